// SubtypeNet trained on the emulated GPU: the whole step, from the resident set to the averaged
// weights, eager and as one captured graph, in f32 and bf16, several folds at once.
#include "kernels/launch_record.hpp"
#include "tests/simt/op_cases.hpp"
#include "tests/support/training_fold.hpp"

using namespace gliograd;
using simt::expect_nothing;
using simt::fresh_seed;
using simt::Toy;
using test::distance;
using test::Fold;
using test::train_by_graph;

namespace {

constexpr int64_t kBatch = 4, kSteps = 6, kSlices = 7;  // as test::FoldScale has them

std::unique_ptr<Stream> gpu_stream(int32_t fold = 0) {
  return Stream::cuda(0, {.random = {.seed = 3, .fold = fold}});
}
std::unique_ptr<Stream> cpu_stream(int32_t fold = 0) {
  return Stream::cpu({.random = {.seed = 3, .fold = fold}});
}

}  // namespace

TEST_CASE("GPU training: f32 follows the CPU's f64 for six steps, 16-bit types for one") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  simt::set_device({.order = simt::Order::any, .seed = seed});
  const Toy toy(kSlices, 40, 40, 3, 17);
  const auto exact = cpu_stream(), plain = gpu_stream();
  Fold reference(*exact, DType::f64, toy), f32(*plain, DType::f32, toy);
  reference.step();
  f32.step();
  CHECK(distance(f32.gradients(), reference.gradients()) < 1e-5);

  // In front of a max pool two values that 16 bits cannot tell apart may change places, and the
  // gradient then goes through another pixel: with four images that is felt. Behind the last pool
  // only roundings remain.
  struct Bound {
    DType dtype;
    double behind, all;
  };
  for (const Bound& bound : {Bound{DType::bf16, 0.02, 0.5}, Bound{DType::f16, 0.003, 0.1}}) {
    const auto stream = gpu_stream();
    Fold half(*stream, bound.dtype, toy);
    half.step();
    INFO(std::string(name_of(bound.dtype)));
    for (const char* name : {"stage4.norm1.gamma", "stage4.norm1.beta", "head.weight"}) {
      CHECK(distance(half.gradient(name), reference.gradient(name)) < bound.behind);
    }
    CHECK(distance(half.gradients(), reference.gradients()) < bound.all);
    CHECK(stream->read_state().loss_sum ==
          doctest::Approx(exact->read_state().loss_sum).epsilon(bound.behind));
  }

  for (int64_t i = 1; i < kSteps; ++i) {
    reference.step();
    f32.step();
  }
  CHECK(distance(f32.all(), reference.all()) < 1e-3);
  const StepState a = exact->read_state(), b = plain->read_state();
  CHECK(b.step == kSteps);
  CHECK(b.updates == kSteps);
  CHECK(b.draw == kSteps * kBatch);
  CHECK(b.loss_sum == doctest::Approx(a.loss_sum).epsilon(1e-4));
  expect_nothing();
}

TEST_CASE("GPU training: a step in bf16 is the CPU's in bf16 but for the last bits") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  simt::set_device({.order = simt::Order::any, .seed = seed});
  const Toy toy(kSlices, 40, 40, 3, 17);
  const auto host = cpu_stream(), device = gpu_stream(), exact = cpu_stream();
  Fold cpu(*host, DType::bf16, toy), gpu(*device, DType::bf16, toy);
  Fold reference(*exact, DType::f64, toy);
  cpu.step();
  gpu.step();
  reference.step();
  // Sums in another order may round an activation to its neighbor, and a max pool then take
  // another pixel.
  const auto apart = [](Fold& a, Fold& b, const char* name) {
    return distance(a.gradient(name), b.gradient(name));
  };
  for (const char* name : {"stage4.norm1.gamma", "stage4.norm1.beta", "head.weight"}) {
    CAPTURE(std::string(name));
    CHECK(apart(cpu, gpu, name) < 0.003);
  }
  const double between = distance(cpu.gradients(), gpu.gradients());
  MESSAGE("bf16 gradients, CPU and GPU: ", between,
          " apart; from f64: ", distance(cpu.gradients(), reference.gradients()), " and ",
          distance(gpu.gradients(), reference.gradients()));
  CHECK(between < 0.03);
  CHECK(host->read_state().loss_sum ==
        doctest::Approx(device->read_state().loss_sum).epsilon(0.001));
  expect_nothing();
}

TEST_CASE("GPU training: the replayed graph gives the bits of eager steps, in f32 and bf16") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  simt::set_device({.order = simt::Order::any, .seed = seed});
  const Toy toy(kSlices, 40, 40, 3, 17);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto one = gpu_stream(), two = gpu_stream();
    Fold eager(*one, dtype, toy), captured(*two, dtype, toy);
    CapturedWork work(*two);
    for (int64_t i = 0; i < kSteps; ++i) eager.step();
    train_by_graph(captured, work);
    CHECK(captured.all() == eager.all());
    CHECK(two->read_state().loss_sum == one->read_state().loss_sum);
    // More of them is a step back: say why where it grows.
    CHECK(work.nodes() <= 50);
  }
  expect_nothing();
}

TEST_CASE("GPU training: a fold beside others is the fold alone, to the bit") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  simt::set_device({.order = simt::Order::any, .seed = seed});
  const Toy toy(kSlices, 40, 40, 3, 17);
  std::vector<std::vector<double>> alone;
  for (int32_t f = 0; f < 3; ++f) {
    const auto stream = gpu_stream(f);
    Fold fold(*stream, DType::f32, toy);
    for (int i = 0; i < 3; ++i) fold.step();
    alone.push_back(fold.all());
  }
  CHECK(alone[0] != alone[1]);
  const auto a = gpu_stream(0), b = gpu_stream(1), c = gpu_stream(2);
  Fold first(*a, DType::f32, toy), second(*b, DType::f32, toy), third(*c, DType::f32, toy);
  for (int i = 0; i < 3; ++i) {
    for (Fold* fold : {&first, &second, &third}) fold->step();
  }
  CHECK(first.all() == alone[0]);
  CHECK(second.all() == alone[1]);
  CHECK(third.all() == alone[2]);
  expect_nothing();
}

TEST_CASE("GPU training: out of memory in the middle is a clear error, and training goes on") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const Toy toy(kSlices, 40, 40, 3, 17);
  const auto stream = gpu_stream();
  Fold fold(*stream, DType::f32, toy);
  simt::set_device({.memory_bytes = simt::device_memory_bytes() + (256 << 10)});
  CHECK_THROWS_WITH_AS(fold.step(), doctest::Contains("out of memory: GPU 0"), WorkError);
  simt::set_device({});
  fold.step();
  CHECK(std::isfinite(stream->read_state().loss_sum));
  CHECK(stream->read_state().step == 1);
  expect_nothing();
}

TEST_CASE("GPU training: the record of a step names its launches in order, with costs and times") {
  simt::set_device({.order = simt::Order::any, .seed = fresh_seed()});
  const Toy toy(kSlices, 40, 40, 3, 17);
  const auto stream = gpu_stream(), other = gpu_stream();
  Fold fold(*stream, DType::f32, toy), beside(*other, DType::f32, toy);
  fold.step();  // the first one converts and makes what stays
  kernels::record_launches(stream->queue(), true);
  fold.step();
  beside.step();  // on a queue of its own, of which nothing is recorded
  const std::vector<kernels::RecordedLaunch> launches = kernels::take_launches(stream->queue());
  CHECK(kernels::take_launches(other->queue()).empty());
  CHECK(launches.size() == 50);
  std::vector<std::string> names;
  double end = 0;
  for (const kernels::RecordedLaunch& launch : launches) {
    INFO(launch.name);
    names.push_back(launch.name);
    CHECK(launch.cost.bytes > 0);
    CHECK(launch.ms >= 0);
    CHECK(launch.begin_ms >= end - 1e-3);  // floats of milliseconds
    end = launch.begin_ms + launch.ms;
    CHECK((launch.grid[0] > 0) == (launch.name != "cuDNN, emulated"));
  }
  std::vector<std::string> wanted = {"augment_images", "gather_rows",
                                     "copy_channels"};  // the first weights, to 8 channels
  const auto add = [&](std::initializer_list<const char*> more) {
    wanted.insert(wanted.end(), more.begin(), more.end());
  };
  for (int stage = 0; stage < 4; ++stage) {
    add({"cuDNN, emulated", "batch_norm_moments", "batch_norm_apply", "max_pool"});
  }
  add({"global_average_pool", "linear_forward", "softmax_cross_entropy", "loss_scale",
       "softmax_cross_entropy_gradient", "linear_backward", "global_average_pool_gradient"});
  for (int stage = 4; stage > 0; --stage) {
    add({"max_pool_gradient", "batch_norm_sums", "batch_norm_gradient", "cuDNN, emulated"});
    add({stage > 1 ? "cuDNN, emulated" : "copy_channels"});  // of the images no gradient
  }
  add({"convert_many",  // all gradients
       "optimizer_decide", "optimizer_update", "end_batch"});
  REQUIRE(names == wanted);
  CHECK(launches[0].range == "augment");
  CHECK(launches[3].range == "conv");
  CHECK(launches[5].range == "batch_norm");
  CHECK(launches[23].range == "backward/softmax_cross_entropy");
  CHECK(launches[46].range == "backward/hand gradients over");
  CHECK(launches[48].range == "optimizer");
  // The first layer: 4 x 32 x 32 pixels of 8 channels in, 8 out, and the weights.
  CHECK(launches[3].cost.bytes == 4 * (4 * 32 * 32 * 16 + 8 * 9 * 8));
  CHECK(launches[3].cost.ops == 2.0 * 4 * 32 * 32 * 8 * 9 * 8);

  // Taken, it begins anew; captured, it has no times; ended, it is empty.
  CHECK(kernels::take_launches(stream->queue()).empty());
  CapturedWork work(*stream);
  work.run([&] { fold.step(); });
  work.run([&] { fold.step(); });
  kernels::take_launches(stream->queue());
  work.capture([&] { fold.step(); });
  work.replay();
  const auto captured = kernels::take_launches(stream->queue());
  REQUIRE(captured.size() == 51);
  CHECK(captured[0].name == "augment_images");
  CHECK(captured[0].ms < 0);
  CHECK(captured[50].name == "graph of 50");
  CHECK(captured[50].ms >= 0);
  kernels::record_launches(stream->queue(), false);
  // In bf16 no more: the optimizer writes what the next step computes with.
  const auto third = gpu_stream();
  Fold half(*third, DType::bf16, toy);
  half.step();
  kernels::record_launches(third->queue(), true);
  half.step();
  CHECK(kernels::take_launches(third->queue()).size() == 50);
  fold.step();
  CHECK(kernels::take_launches(stream->queue()).empty());
  expect_nothing();
}
