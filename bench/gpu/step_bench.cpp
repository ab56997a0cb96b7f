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

}  // namespace

int main(int argc, char** argv) {
  return bench::run_rounds<bench::StepEngine>(
      "gpu_bench_step", kHelp, argc, argv,
      {.rounds = "5", .of = "--steps", .each = "20", .then = {"launches"}});
}
