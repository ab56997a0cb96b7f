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

}  // namespace

int main(int argc, char** argv) {
  return bench::run_rounds<bench::AugmentEngine>("gpu_bench_augment", kHelp, argc, argv,
                                                 {.rounds = "7", .of = "--batches", .each = "50"});
}
