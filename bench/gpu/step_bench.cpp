// Whole training steps on a GPU: draw, gather, augment, forward, loss, backward, AdamW, from a set
// that lies there. A plain program.
//   build/gpu/gpu_bench_step --model subtype --size 80 --batch 32 --dtype bf16 --mode graph
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
    "  --plans timed|heuristic         of cuDNN: the fastest, or its first; default timed\n"
    "  --slices N                      of the set, which is noise; default 256\n"
    "  --most-steps N                  of a round, at least 8, default 512\n"
    "  --rounds N --steps N            default 5 rounds of 20\n"
    "gpu_bench_step serve: reads requests, a line each, and answers each by a line:\n"
    "  setup OPTIONS | round STEPS | launches | largest OPTIONS [--limit N]\n"
    "Example: gpu_bench_step --model resnet18 --size 224 --batch 128\n";

int measure(std::vector<std::string> words) {
  const std::string rounds = bench::taken(words, "--rounds", "5");
  const std::string steps = bench::taken(words, "--steps", "20");
  const int64_t count = bench::Words({"--rounds", rounds}).integer("--rounds", 5, 1, 1000);
  std::vector<std::string> requests{bench::joined("setup", words)};
  requests.insert(requests.end(), static_cast<size_t>(count), "round " + steps);
  requests.push_back("launches");
  bench::StepEngine engine;
  return bench::ask_all(engine, requests);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  return bench::run_gpu_program("gpu_bench_step", kHelp, words, [&] {
    if (words.size() != 1 || words[0] != "serve") return measure(words);
    bench::StepEngine engine;
    return bench::serve(engine);
  });
}
