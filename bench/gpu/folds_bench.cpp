// Cross-validations on a GPU, so many folds at once. A plain program.
//   build/gpu/gpu_bench_folds --epochs 30 --at-once 1,10
#include "bench/gpu/folds_engine.hpp"
#include "bench/gpu/program.hpp"

namespace {

using namespace gliograd;

constexpr const char* kHelp =
    "gpu_bench_folds: ten-fold cross-validation of SubtypeNet on a GPU; JSON lines\n"
    "  --epochs N                      default 30\n"
    "  --folds N                       default 10\n"
    "  --patients N --slices N         of the phantom, slices a patient; default 110 and 12\n"
    "  --size N --batch N --width N    default 80, 32, 16\n"
    "  --dtype f32|tf32|bf16|f16       default bf16\n"
    "  --preset off|light|full         default light\n"
    "  --at-once N,...                 folds at once, each its own cross-validation; default "
    "1,2,4,8,10\n"
    "  --rounds N                      of them all, default 1\n"
    "gpu_bench_folds serve: reads requests, a line each: setup OPTIONS | round AT_ONCE\n"
    "Example: gpu_bench_folds --epochs 5 --at-once 1,10 --rounds 3\n";

int measure(std::vector<std::string> words) {
  const std::string rounds = bench::taken(words, "--rounds", "1");
  std::istringstream at_once(bench::taken(words, "--at-once", "1,2,4,8,10"));
  std::vector<std::string> turn;
  for (std::string one; std::getline(at_once, one, ',');) turn.push_back("round " + one);
  const int64_t count = bench::Words({"--rounds", rounds}).integer("--rounds", 1, 1, 1000);
  std::vector<std::string> requests{bench::joined("setup", words)};
  for (int64_t r = 0; r < count; ++r) requests.insert(requests.end(), turn.begin(), turn.end());
  bench::FoldsEngine engine;
  return bench::ask_all(engine, requests);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  return bench::run_gpu_program("gpu_bench_folds", kHelp, words, [&] {
    if (words.size() != 1 || words[0] != "serve") return measure(words);
    bench::FoldsEngine engine;
    return bench::serve(engine);
  });
}
