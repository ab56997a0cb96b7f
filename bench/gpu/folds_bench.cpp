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

}  // namespace

int main(int argc, char** argv) {
  return bench::run_rounds<bench::FoldsEngine>(
      "gpu_bench_folds", kHelp, argc, argv,
      {.rounds = "1", .of = "--at-once", .each = "1,2,4,8,10"});
}
