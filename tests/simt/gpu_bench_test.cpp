// The engines of bench/gpu on the emulated GPU: what they answer, and that they go on after an
// error.
#include "bench/gpu/augment_engine.hpp"
#include "bench/gpu/folds_engine.hpp"
#include "bench/gpu/kernels_engine.hpp"
#include "bench/gpu/program.hpp"
#include "bench/gpu/step_engine.hpp"
#include "tests/simt/kernel_names.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;

namespace {

void has(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
}

// The value of a key, as it stands there.
std::string value_of(const std::string& text, const std::string& key) {
  const size_t at = text.find('"' + key + "\": ");
  REQUIRE(at != std::string::npos);
  const size_t begin = at + key.size() + 4;
  return text.substr(begin, text.find_first_of(",}", begin) - begin);
}

}  // namespace

TEST_CASE("GPU benches: the step engine answers, checks what it timed, and goes on after errors") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  {
    bench::StepEngine engine;
    has(engine.answer("round 3"), "\"error\": \"round: setup comes first");
    has(engine.answer("setup --model vgg"), "--model must be one of subtype,");
    has(engine.answer("setup --sizes 3"), "unknown option --sizes");
    has(engine.answer("faster"), "unknown request");
    const std::string small = " --size 16 --batch 2 --slices 5 --most-steps 8";
    has(engine.answer("setup --mode eager --dtype f32" + small), "\"graph_nodes\": 0");
    has(engine.answer("round 2"), "\"updates\": 2");
    has(engine.answer("round 9"), "must be 1 to 8");
    has(engine.answer("setup --mode graph --dtype f16" + small), "\"engine\": \"gliograd\"");
    has(engine.answer("round 3"), "\"steps\": 3");
    const std::string launches = engine.answer("launches");
    has(launches, "\"kernel\": \"max_pool\", \"launches\": 4");
    CHECK(std::stod(value_of(launches, "idle_ms")) >= 0);
    // Larger ones are slow here.
    has(engine.answer("largest --size 16 --batch 1 --slices 5 --limit 1"), "\"largest_batch\": 1");
    simt::set_device({.memory_bytes = simt::device_memory_bytes() + (1 << 20)});
    has(engine.answer("largest --size 16 --batch 1 --slices 5"), "no batch fits: out of memory");
    simt::set_device({});
    has(engine.answer("setup" + small), "\"engine\": \"gliograd\"");
  }
  simt::expect_nothing();
}

TEST_CASE(
    "GPU benches: augmentation alone is of real images, against the floor of a read and a write") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  {
    bench::AugmentEngine engine;
    has(engine.answer("round 3"), "\"error\": \"round: setup comes first");
    has(engine.answer("setup --size 8"), "--size must be 16 to 1024");
    const std::string ready =
        engine.answer("setup --size 16 --batch 3 --preset full --slices 5 --copy no");
    has(ready, "\"channels\": 8");
    CHECK(value_of(ready, "floor_bytes") == std::to_string(3 * 16 * 16 * (3 + 2 * 8)));
    const std::string round = engine.answer("round 2");
    has(round, "\"batches\": 2");
    CHECK(std::stod(value_of(round, "ms")) > 0);
    CHECK(value_of(round, "joules_per_image") == "null");  // nobody measures here
  }
  simt::expect_nothing();
}

TEST_CASE("GPU benches: folds at once and one after another have the same scores") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  {
    bench::FoldsEngine engine;
    has(engine.answer("round 1"), "\"error\": \"round: setup comes first");
    has(engine.answer("setup --patients 8 --slices 3 --folds 2 --size 16 --batch 4 --width 8 "
                      "--epochs 1"),
        "\"patients\": 8");
    const std::string one = engine.answer("round 1"), two = engine.answer("round 2");
    has(one, "\"at_once\": 1");
    has(two, "\"at_once\": 2");
    CHECK(value_of(one, "scores") == value_of(two, "scores"));
    CHECK(value_of(one, "auc") == value_of(two, "auc"));
    has(engine.answer("round 3"), "--at-once must be 1 to 2");
  }
  simt::expect_nothing();
}

TEST_CASE("GPU benches: a program sets up, asks for its rounds in turn, and what comes last") {
  using Words = std::vector<std::string>;
  CHECK(bench::requests_of({"--size", "9", "--rounds", "2"},
                           {.rounds = "7", .of = "--at-once", .each = "1,10", .then = {"end"}}) ==
        Words{"setup --size 9", "round 1", "round 10", "round 1", "round 10", "end"});
  CHECK(bench::requests_of({"--steps", "3"}, {}) ==
        Words{"setup", "round 3", "round 3", "round 3", "round 3", "round 3"});
  CHECK_THROWS_WITH_AS(bench::requests_of({"--rounds", "0"}, {}),
                       doctest::Contains("--rounds must be 1 to 1000"), Error);
  CHECK_THROWS_WITH_AS(bench::requests_of({"--steps", ""}, {}),
                       doctest::Contains("--steps needs a value"), Error);
}

TEST_CASE("GPU benches: every kernel has a line of bytes over time") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  {
    bench::KernelsEngine engine;
    has(engine.answer("kernels --runs 0"), "--runs must be 1 to 1000");
    const std::string all = engine.answer("kernels --dtype f16 --bytes 200000 --runs 2 --copy no");
    // Why those are not among them stands in bench/gpu/kernels_engine.hpp.
    const std::set<std::string> left_out = {"batch_norm_from_running", "loss_scale", "end_batch",
                                            "linear_forward", "linear_backward"};
    for (const std::string& name : simt::kernel_names()) {
      INFO(name);
      const bool there = all.find("\"kernel\": \"" + name + '"') != std::string::npos;
      CHECK(there == (left_out.count(name) == 0));
    }
    const auto beyond_caches = [&](const std::string& name) {
      return value_of(all.substr(all.find("\"kernel\": \"" + name + '"')), "beyond_caches");
    };
    for (const char* name : {"batch_norm_apply", "conv_depthwise_forward", "conv_depthwise_data",
                             "conv_depthwise_weights", "copy_channels", "softmax", "add_into"}) {
      CHECK_MESSAGE(beyond_caches(name) == "true", std::string(name));
    }
    for (const char* name :
         {"conv_depthwise_join", "softmax_cross_entropy_join", "sigmoid_cross_entropy_join"}) {
      CHECK_MESSAGE(beyond_caches(name) == "false", std::string(name));
    }
    has(all, "\"left_out\": []");
    CHECK(value_of(all, "copy_gb_s") == "null");
  }
  simt::expect_nothing();
}
