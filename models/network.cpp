#include "models/network.hpp"

#include <algorithm>
#include <utility>

#include "engine/core/error.hpp"
#include "engine/ops/concat.hpp"
#include "engine/ops/pool.hpp"
#include "models/refuse.hpp"

namespace gliograd::models {

NetworkOptions NetworkOptions::read(SettingsReader& reader) {
  NetworkOptions options;
  options.input_channels = reader.integer("input_channels", options.input_channels, 1, 64);
  options.classes = reader.integer("classes", options.classes, 1, 4096);
  options.extra_features = reader.integer("extra_features", options.extra_features, 0, 4096);
  options.dropout = reader.number("dropout", options.dropout, 0, 0.95);
  return options;
}

void NetworkOptions::write(Settings& settings) const {
  settings["input_channels"] = std::to_string(input_channels);
  settings["classes"] = std::to_string(classes);
  settings["extra_features"] = std::to_string(extra_features);
  settings["dropout"] = to_text(dropout);
}

Network::Network(std::string architecture, Settings settings, const NetworkOptions& options,
                 Stream& stream, DType dtype)
    : weights_(stream, dtype),
      architecture_(std::move(architecture)),
      settings_(std::move(settings)),
      options_(options) {
  options_.write(settings_);
}

void Network::add_head(int64_t features) {
  if (options_.dropout > 0) dropout_.emplace_back(weights_, options_.dropout);
  head_.emplace_back(weights_, "head", features + options_.extra_features, options_.classes);
}

Tensor Network::features(Tape& tape, const Tensor& x, Mode mode) {
  const Device device = x.defined() ? x.device() : Device::cpu;
  const int64_t channels = image_channels(device, options_.input_channels);
  GG_CHECK(x.rank() == 4 && x.dim(3) == channels && x.dtype == tape.compute(), architecture_,
           ": x must be ", tape.compute(), " [N, H, W, ", channels, "]; got ", x.dtype, ' ',
           x.shape);
  GG_CHECK(std::min(x.dim(1), x.dim(2)) >= smallest_size(), architecture_,
           ": height and width must be at least ", smallest_size(), " pixels; got ", x.shape);
  return global_average_pool(tape, maps(tape, x, mode));
}

Tensor Network::forward(Tape& tape, const Tensor& x, const Tensor& extra, Mode mode) {
  Tensor pooled = features(tape, x, mode);
  for (const Dropout& dropout : dropout_) pooled = dropout(tape, pooled, mode);
  if (options_.extra_features > 0) {
    GG_CHECK(extra.defined() && extra.shape == Shape({x.dim(0), options_.extra_features}) &&
                 extra.dtype == tape.compute(),
             architecture_, ": extra must be ", tape.compute(), ' ',
             Shape({x.dim(0), options_.extra_features}), "; got ",
             extra.defined() ? to_string(extra.shape) : "none");
    pooled = concat(tape, {pooled, extra});
  } else {
    GG_CHECK(!extra.defined(), architecture_, ": takes no extra features; got ", extra.shape);
  }
  return head_.front()(tape, pooled);
}

void Network::freeze_upto(const std::string& stage) {
  const std::vector<std::string> all = stages();
  const auto end = std::find(all.begin(), all.end(), stage);
  if (end == all.end()) {
    std::string names;
    for (const std::string& name : all) names += (names.empty() ? "" : ", ") + name;
    GG_REFUSE_UNLESS(false, "freeze: ", architecture_, " has no stage '", stage,
                     "'; its stages are ", names);
  }
  for (auto name = all.begin(); name <= end; ++name) weights_.freeze(*name);
}

}  // namespace gliograd::models
