// Each handwritten kernel against the bandwidth of a copy, its data beyond the caches. A plain
// program.
//   build/gpu/gpu_bench_kernels --dtype bf16
#include "bench/gpu/kernels_engine.hpp"
#include "bench/gpu/program.hpp"

namespace {

using namespace gliograd;

constexpr const char* kHelp =
    "gpu_bench_kernels: every kernel's bytes over its time, against a copy's; one JSON object\n"
    "  --dtype f32|bf16|f16            default bf16\n"
    "  --bytes N                       of an op's first input at least, default 268435456\n"
    "  --runs N                        default 7\n"
    "  --copy yes|no                   time a copy of memory too; default yes\n"
    "Example: gpu_bench_kernels --dtype f16 --runs 20\n";

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  return bench::run_gpu_program("gpu_bench_kernels", kHelp, words, [&] {
    bench::KernelsEngine engine;
    return bench::ask_all(engine, {bench::joined("kernels", words)});
  });
}
