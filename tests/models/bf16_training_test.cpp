// SubtypeNet in training in bf16 on the CPU, against f64.
#include "tests/support/support.hpp"
#include "tests/support/training_fold.hpp"

using namespace gliograd;
using gliograd::test::Fold;

namespace {

constexpr int64_t kSlices = 7;  // as test::FoldScale has them

std::unique_ptr<Stream> stream_of(int threads, bool vendor) {
  return Stream::cpu({.threads = threads, .vendor = vendor, .random = {.seed = 3}});
}

}  // namespace

TEST_CASE("bf16 training: a step on the CPU is the f64 one but for roundings") {
  const simt::Toy toy(kSlices, 40, 40, 3, 17);
  const auto exact = stream_of(1, true);
  Fold reference(*exact, DType::f64, toy);
  reference.step();
  for (const bool vendor : {true, false}) {
    CAPTURE(vendor);
    const auto stream = stream_of(1, vendor);
    Fold half(*stream, DType::bf16, toy);
    half.step();
    // Behind the last max pool only roundings remain; in front of it two values that bf16 cannot
    // tell apart may change places.
    for (const char* name : {"stage4.norm1.gamma", "stage4.norm1.beta", "head.weight"}) {
      CAPTURE(std::string(name));
      CHECK(test::distance(half.gradient(name), reference.gradient(name)) < 0.02);
    }
    const double all = test::distance(half.gradients(), reference.gradients());
    CHECK(all < 0.5);
    CHECK(all > 1e-4);  // it is bf16
    CHECK(stream->read_state().loss_sum ==
          doctest::Approx(exact->read_state().loss_sum).epsilon(0.02));
  }
}

TEST_CASE("bf16 training: the same bits again, and in own code for any number of threads") {
  const simt::Toy toy(kSlices, 40, 40, 3, 17);
  const auto trained = [&](int threads, bool vendor) {
    const auto stream = stream_of(threads, vendor);
    Fold fold(*stream, DType::bf16, toy);
    for (int64_t i = 0; i < fold.scale.steps; ++i) fold.step();
    return fold.all();
  };
  for (const bool vendor : {true, false}) {
    const std::vector<double> one = trained(1, vendor);
    CHECK(std::isfinite(one[0]));
    CHECK(trained(1, vendor) == one);
    if (!vendor) {
      CHECK(trained(2, vendor) == one);
      CHECK(trained(3, vendor) == one);
    }
  }
}

TEST_CASE("bf16 training: activations take half the memory of f32 ones") {
  const simt::Toy toy(kSlices, 40, 40, 3, 17);
  const auto peak = [&](DType dtype) {
    const auto stream = stream_of(1, false);
    Fold fold(*stream, dtype, toy, {.batch = 16, .steps = 2, .slices = 7});
    Tape tape(*stream, dtype);
    const Tensor x = zeros(*stream, {16, 32, 32, 4}, dtype);
    const Tensor logits = fold.network.forward(tape, x, {}, Mode::train);
    int64_t saved = 0;
    for (const auto& [name, bytes] : tape.nodes()) {
      if (name != "max_pool") saved += bytes;  // the places of the largest, bytes in any type
    }
    CHECK(logits.dtype == dtype);
    return saved;
  };
  CHECK(static_cast<double>(peak(DType::bf16)) < 0.52 * static_cast<double>(peak(DType::f32)));
}
