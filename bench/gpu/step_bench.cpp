// Whole training steps on a GPU: draw, gather, augment, forward, loss, backward, AdamW, from a set
// that lies there. A plain program.
//   build/gpu/gpu_bench_step --model subtype --size 80 --batch 32 --dtype bf16 --mode graph
#include <iostream>

#include "bench/gpu/program.hpp"
#include "bench/gpu/step_engine.hpp"

namespace {

using namespace gliograd;

constexpr const char* kHelp =
    "gpu_bench_step: whole training steps on a GPU; one JSON object a line\n"
    "  --model subtype|subtype-large|resnet18   default subtype\n"
    "  --size N                        height and width in pixels, default 80\n"
    "  --batch N                       default 32\n"
    "  --dtype f32|tf32|bf16|f16       default bf16\n"
    "  --mode graph|eager              a step as one CUDA graph, or launch by launch; default "
    "graph\n"
    "  --preset off|light|full         augmentation, default light\n"
    "  --deterministic yes|no          default no\n"
    "  --slices N                      of the set, which is noise; default 256\n"
    "  --most-steps N                  of a round, at least 8, default 512\n"
    "  --rounds N --steps N            default 5 rounds of 20\n"
    "gpu_bench_step serve: reads requests, a line each, and answers each by a line:\n"
    "  setup OPTIONS | round STEPS | launches | largest OPTIONS [--limit N]\n"
    "Example: gpu_bench_step --model resnet18 --size 224 --batch 128\n";

int measure(std::vector<std::string> words) {
  bench::StepEngine engine;
  std::vector<std::string> own;
  for (size_t i = 0; i + 1 < words.size();) {
    if (words[i] != "--rounds" && words[i] != "--steps") {
      i += 2;
      continue;
    }
    own.insert(own.end(), words.begin() + i, words.begin() + i + 2);
    words.erase(words.begin() + i, words.begin() + i + 2);
  }
  bench::Words mine(own);
  const int64_t rounds = mine.integer("--rounds", 5, 1, 1000);
  const int64_t steps = mine.integer("--steps", 20, 1, 100'000);
  std::string setup = "setup";
  for (const std::string& word : words) setup += " " + word;
  bool failed = false;
  const auto ask = [&](const std::string& request) {
    const std::string answer = engine.answer(request);
    failed = failed || answer.rfind("{\"error\"", 0) == 0;
    std::cout << answer << std::endl;
  };
  ask(setup);
  for (int64_t r = 0; r < rounds && !failed; ++r) ask("round " + std::to_string(steps));
  if (!failed) ask("launches");
  return failed ? 1 : 0;
}

int serve() {
  bench::StepEngine engine;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << engine.answer(line) << std::endl;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  return bench::run_gpu_program("gpu_bench_step", kHelp, words, [&] {
    return words.size() == 1 && words[0] == "serve" ? serve() : measure(words);
  });
}
