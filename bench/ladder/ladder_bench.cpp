// The ladders on a GPU: every rung checked, timed, and held against the copy rate of the same run.
// A plain program.
//   build/gpu/gpu_bench_ladder --only batch_norm --dtype bf16
#include <iostream>

#include "apps/study/peaks.hpp"
#include "bench/gpu/program.hpp"
#include "bench/ladder/program.hpp"

namespace {

using namespace gliograd;

constexpr const char* kHelp =
    "gpu_bench_ladder: batch norm and augmentation, rung by rung from a naive kernel to the "
    "shipped\n"
    "one (bench/ladder/README.md); a table, then one JSON object a line. Exit 1 where a rung is "
    "wrong\n"
    "  --only all|batch_norm|augment   default all\n"
    "  --dtype all|f32|bf16|f16        default all: f32 and bf16\n"
    "  --rows N --channels N           of batch norm, default 1605632 (128 x 112 x 112) and 64\n"
    "  --images N --size N             of the augmentation, default 32 of 256\n"
    "  --preset all|light|full         of the augmentation, default all\n"
    "  --runs N                        of a rung, at most; default 30\n"
    "Example: gpu_bench_ladder --only augment --size 80 --dtype bf16\n";

int run(const std::vector<std::string>& given) {
  bench::Words words(given);
  const ladder::Options options(words);
  const std::unique_ptr<Stream> stream = Stream::cuda(0, {.random = {.seed = 1}});
  const double copy_gb_s = study::measure_copy(*stream);
  std::cout << kernels::device_facts(0).name << ", " << study::rounded(copy_gb_s)
            << " GB/s copying; the L2 is cold; a time is that of a rung's launches together\n\n";
  if (ladder::run_ladders(*stream, options, copy_gb_s, std::cout)) return 0;
  std::cerr << "gpu_bench_ladder: a rung is wrong\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  return bench::run_gpu_program("gpu_bench_ladder", kHelp, words, [&] { return run(words); });
}
