// The handwritten kernels of a GPU one by one: all of them with what the compiler made of each, and
// one alone at a given shape.
#pragma once
#include <string>
#include <vector>

#include "apps/study/profile.hpp"
#include "engine/core/dtype.hpp"

namespace gliograd::study {

struct ListedKernel {
  std::string name, op;  // the op that launched it
  int threads = 0;       // of a block
  kernels::KernelFacts facts;
};
/// Every kernel that the small rows of all ops' cases launch in this type, or that make a batch (op
/// "augment") or end a step ("optimizer"), sorted by name.
/// Errors: DeviceError where there is no GPU.
std::vector<ListedKernel> list_kernels(DType dtype);

struct KernelOptions {
  std::string kernel;  // as list_kernels() names it
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  // of the op's first input; empty: a layer of real size.
                               // augment: images, height, width; optimizer: weights
  int steps = 30;
  bool peaks = true;
};
struct KernelRun {
  std::string op, input;  // "batch_norm", "32x40x40x32"
  ProfiledLaunch launch;
  double copy_gb_s = 0;  // 0: not measured
};
/// Runs the op that launches the kernel, forward and backward, so many times, and times that launch
/// alone. Errors: Error for an unknown kernel, listing the known ones, or a shape of other rank.
KernelRun profile_kernel(const KernelOptions& options);

std::string kernel_list_text(const std::vector<ListedKernel>& kernels);
/// With the command line that shows the same launch to Nsight Compute.
std::string kernel_run_text(const KernelRun& run, const KernelOptions& options);

}  // namespace gliograd::study
