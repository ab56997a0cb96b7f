// The augmentation alone on a GPU. A plain program.
//   build/gpu/gpu_bench_augment --size 256 --batch 32 --preset full
#include "bench/gpu/augment_engine.hpp"
#include "bench/gpu/program.hpp"

namespace {

using namespace gliograd;

constexpr const char* kHelp =
    "gpu_bench_augment: gathering, augmenting and standardizing batches on a GPU; JSON lines\n"
    "  --size N                        height and width in pixels, default 256\n"
    "  --batch N                       default 32\n"
    "  --preset off|light|full         default light\n"
    "  --dtype f32|bf16|f16            of the images made, default bf16\n"
    "  --slices N                      of the set, which is noise; default 256\n"
    "  --copy yes|no                   time a copy of memory too; default yes\n"
    "  --rounds N --batches N          default 7 rounds of 50\n"
    "gpu_bench_augment serve: reads requests, a line each: setup OPTIONS | round BATCHES\n"
    "Example: gpu_bench_augment --preset full --batch 128\n";

int measure(std::vector<std::string> words) {
  const std::string rounds = bench::taken(words, "--rounds", "7");
  const std::string batches = bench::taken(words, "--batches", "50");
  const int64_t count = bench::Words({"--rounds", rounds}).integer("--rounds", 7, 1, 1000);
  std::vector<std::string> requests{bench::joined("setup", words)};
  requests.insert(requests.end(), static_cast<size_t>(count), "round " + batches);
  bench::AugmentEngine engine;
  return bench::ask_all(engine, requests);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  return bench::run_gpu_program("gpu_bench_augment", kHelp, words, [&] {
    if (words.size() != 1 || words[0] != "serve") return measure(words);
    bench::AugmentEngine engine;
    return bench::serve(engine);
  });
}
