// The engines of bench/gpu on the emulated GPU: what they answer, and that they go on after an
// error.
#include "bench/gpu/step_engine.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;

TEST_CASE("GPU benches: the step engine answers, checks what it timed, and goes on after errors") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  {
    bench::StepEngine engine;
    const auto has = [](const std::string& text, const std::string& part) {
      INFO(text);
      CHECK(text.find(part) != std::string::npos);
    };
    has(engine.answer("round 3"), "\"error\": \"round: setup comes first");
    has(engine.answer("setup --model vgg"), "--model must be one of subtype,");
    has(engine.answer("setup --sizes 3"), "unknown option --sizes");
    has(engine.answer("faster"), "unknown request");
    const std::string small = " --size 16 --batch 2 --slices 5 --most-steps 4";
    has(engine.answer("setup --mode eager --dtype f32" + small), "\"graph_nodes\": 0");
    has(engine.answer("round 2"), "\"updates\": 2");
    has(engine.answer("round 9"), "must be 1 to 4");
    has(engine.answer("setup --mode graph --dtype f16" + small), "\"engine\": \"gliograd\"");
    has(engine.answer("round 3"), "\"steps\": 3");
    has(engine.answer("launches"), "\"kernel\": \"max_pool\", \"launches\": 4");
    simt::set_device({.memory_bytes = simt::device_memory_bytes() + (24 << 20)});
    has(engine.answer("largest --size 32 --batch 2 --slices 5 --preset off"),
        "\"largest_batch\": ");
    has(engine.answer("largest --size 512 --batch 9 --slices 5"), "no batch fits: out of memory");
    simt::set_device({});
    has(engine.answer("setup" + small), "\"held_bytes\": ");
    has(engine.answer("round 1"), "\"loss\": ");
  }
  simt::expect_nothing();
}
