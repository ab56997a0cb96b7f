#include "tests/models/pytorch_fixture.hpp"

#include <utility>

#include "engine/tensor/cast.hpp"

namespace gliograd::test {
namespace {

const files::Hdf5Reader& file() {
  static const files::Hdf5Reader reader(test::source_path("tests/oracle/fixtures/networks.h5"));
  return reader;
}

void append(std::vector<double>& list, const Tensor& x) {
  for (const double v : values(x)) list.push_back(v);
}

}  // namespace

NetworkFixture::NetworkFixture(std::string group) : group_("/" + std::move(group)) {}

std::vector<double> NetworkFixture::numbers(const std::string& object) const {
  const std::string path = object.front() == '/' ? object : group_ + "/" + object;
  return file().read<double>(path, std::vector<int64_t>(file().dataset(path).shape.size(), -1));
}

std::unique_ptr<models::Network> NetworkFixture::network(const std::string& architecture,
                                                         models::Settings settings,
                                                         DType dtype) const {
  settings.insert({{"input_channels", "3"}, {"classes", "3"}, {"extra_features", "2"}});
  auto network = models::make_network(architecture, settings, cpu_stream(), dtype);
  const std::vector<Parameter*> parameters = network->weights().parameters();
  const std::vector<std::string> names = file().read_texts(group_ + "/names");
  REQUIRE(names.size() == parameters.size());
  const std::vector<double> initial = numbers("initial");
  auto at = initial.begin();
  for (size_t i = 0; i < names.size(); ++i) {
    REQUIRE(parameters[i]->name == names[i]);
    const int64_t size = parameters[i]->master.size();
    REQUIRE(initial.end() - at >= size);
    copy_into(parameters[i]->master, tensor(parameters[i]->master.shape, {at, at + size}, dtype));
    parameters[i]->bump();
    at += size;
  }
  REQUIRE(at == initial.end());
  return network;
}

NetworkFixture::Batch NetworkFixture::batch(int64_t index, DType dtype) const {
  const uint8_t* bytes = file().view<uint8_t>("/images", {-1, -1, -1, -1});
  const std::vector<int64_t>& shape = file().dataset("/images").shape;
  REQUIRE(shape[0] == kFixtureBatch * kFixtureBatches);
  const Shape image_shape{kFixtureBatch, shape[1], shape[2], shape[3]};
  std::vector<double> images(image_shape.size()), labels;
  for (int64_t i = 0; i < image_shape.size(); ++i) {  // signed, in units of 1/32
    images[i] = static_cast<int8_t>(bytes[index * image_shape.size() + i]) / 32.0;
  }
  const std::vector<double> all_extra = numbers("/extra");
  const int64_t features = static_cast<int64_t>(all_extra.size()) / shape[0];
  const auto first = all_extra.begin() + index * kFixtureBatch * features;
  const int32_t* all_labels = file().view<int32_t>("/labels", {-1});
  for (int64_t i = 0; i < kFixtureBatch; ++i) {
    labels.push_back(all_labels[index * kFixtureBatch + i]);
  }
  return {tensor(image_shape, images, dtype),
          tensor({kFixtureBatch, features}, {first, first + kFixtureBatch * features}, dtype),
          tensor({kFixtureBatch}, labels, DType::i32)};
}

std::vector<double> flat_parameters(models::Network& network) {
  std::vector<double> list;
  for (const Parameter* p : network.weights().parameters()) append(list, p->master);
  return list;
}

std::vector<double> flat_gradients(models::Network& network) {
  std::vector<double> list;
  for (const Parameter* p : network.weights().parameters()) append(list, p->gradient);
  return list;
}

std::vector<double> flat_buffers(models::Network& network) {
  std::vector<double> list;
  for (const models::Buffer& b : network.weights().buffers()) append(list, b.value);
  return list;
}

}  // namespace gliograd::test
