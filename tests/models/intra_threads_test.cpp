// --intra-threads: one training step of the study's network at 1, 2 and 3 threads.
#include <cmath>
#include <random>

#include "engine/ops/softmax_cross_entropy.hpp"
#include "models/catalog.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::models;
using namespace gliograd::test;

namespace {

struct Step {
  std::vector<std::string> names = {"loss"};
  std::vector<std::vector<double>> values;  // the loss, then every gradient
};

Step step_of(int threads, bool vendor, uint64_t seed) {
  const auto stream = Stream::cpu({.threads = threads, .vendor = vendor, .random = {.seed = 1}});
  const auto network = make_network(
      "subtype", {{"widths", "16-32-64-96"}, {"input_channels", "4"}, {"classes", "2"}}, *stream,
      DType::f32);
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<double> pixels(8 * 80 * 80 * 4);
  for (double& v : pixels) v = normal(generator);
  Tape tape(*stream, DType::f32);
  const Tensor x = from_values(*stream, {8, 80, 80, 4}, pixels, DType::f32);
  const Tensor labels = from_values(*stream, {8}, {0, 1, 1, 0, 1, 0, 0, 1}, DType::i32);
  const Tensor loss =
      softmax_cross_entropy(tape, network->forward(tape, x, {}, Mode::train), labels);
  tape.backward(loss);
  Step step;
  step.values.push_back(to_values(loss));
  for (const Parameter* p : network->weights().parameters()) {
    step.names.push_back(p->name);
    step.values.push_back(to_values(p->gradient));
  }
  return step;
}

}  // namespace

TEST_CASE("threads of one network: a training step differs in its last bits at most") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  for (const bool vendor : {true, false}) {
    const Step one = step_of(1, vendor, seed);
    CHECK(step_of(1, vendor, seed).values == one.values);  // the same bits at the same count
    for (const int threads : {2, 3}) {
      const Step several = step_of(threads, vendor, seed);
      if (!vendor) CHECK(several.values == one.values);
      double worst = 0;
      std::string where = "nothing";
      for (size_t i = 0; i < one.values.size(); ++i) {
        double difference = 0, norm = 0;
        for (size_t k = 0; k < one.values[i].size(); ++k) {
          const double a = several.values[i][k], b = one.values[i][k];
          difference += (a - b) * (a - b);
          norm += b * b;
        }
        INFO(one.names[i], ", ", threads, " threads, vendor ", vendor);
        CHECK(std::sqrt(difference) <= 2e-5 * std::sqrt(norm));  // false for NaN
        if (difference > worst * worst * norm) {
          worst = std::sqrt(difference / norm);
          where = one.names[i];
        }
      }
      MESSAGE(threads, " threads, ", std::string(vendor ? "oneDNN where it is" : "own paths"), ": ",
              worst, " in ", where);
    }
  }
}
