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
    const std::string small = " --size 16 --batch 2 --slices 5 --most-steps 8";
    has(engine.answer("setup --mode eager --dtype f32" + small), "\"graph_nodes\": 0");
    has(engine.answer("round 2"), "\"updates\": 2");
    has(engine.answer("round 9"), "must be 1 to 8");
    has(engine.answer("setup --mode graph --dtype f16" + small), "\"engine\": \"gliograd\"");
    has(engine.answer("round 3"), "\"steps\": 3");
    has(engine.answer("launches"), "\"kernel\": \"max_pool\", \"launches\": 4");
    // Larger ones are slow here.
    has(engine.answer("largest --size 16 --batch 1 --slices 5 --limit 1"), "\"largest_batch\": 1");
    simt::set_device({.memory_bytes = simt::device_memory_bytes() + (1 << 20)});
    has(engine.answer("largest --size 16 --batch 1 --slices 5"), "no batch fits: out of memory");
    simt::set_device({});
    has(engine.answer("setup" + small), "\"engine\": \"gliograd\"");
  }
  simt::expect_nothing();
}
