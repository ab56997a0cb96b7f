// Whole networks against PyTorch (tests/oracle/make_fixtures.py): the same weights and inputs.
#include "engine/ops/softmax_cross_entropy.hpp"
#include "tests/models/pytorch_fixture.hpp"

using namespace gliograd;
using namespace gliograd::models;
using namespace gliograd::test;

namespace {

void compare(const std::string& fixture_name, const std::string& architecture,
             const Settings& settings) {
  const NetworkFixture fixture(fixture_name);
  for (const DType dtype : {DType::f64, DType::f32}) {
    CAPTURE(architecture);
    CAPTURE(std::string(name_of(dtype)));
    const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-5;
    const auto network = fixture.network(architecture, settings, dtype);
    const NetworkFixture::Batch batch = fixture.batch(0, dtype);
    Tape tape(cpu_stream(), dtype);
    const Tensor logits = network->forward(tape, batch.x, batch.extra, Mode::train);
    CHECK(distance(values(logits), fixture.numbers("logits_train")) <= tolerance);
    const Tensor loss = softmax_cross_entropy(tape, logits, batch.labels);
    CHECK(distance(values(loss), fixture.numbers("loss")) <= tolerance);
    network->weights().clear_gradients();
    tape.backward(loss);
    CHECK(distance(flat_gradients(*network), fixture.numbers("gradients")) <= tolerance);
    CHECK(distance(flat_buffers(*network), fixture.numbers("buffers")) <= tolerance);
    Tape off = Tape::off(cpu_stream(), dtype);
    CHECK(distance(values(network->forward(off, batch.x, batch.extra, Mode::eval)),
                   fixture.numbers("logits_eval")) <= tolerance);
  }
}

}  // namespace

TEST_CASE("pytorch: SubtypeNet, forward in both modes, gradients and running statistics") {
  compare("subtype", "subtype", {{"widths", "4-6-8"}});
}

TEST_CASE("pytorch: the residual network, forward in both modes, gradients, running statistics") {
  compare("residual", "subtype-large", {{"widths", "4-6"}});
}
