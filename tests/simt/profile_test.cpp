// A training step profiled on the emulated GPU: whose times mean nothing, whose rows and launches
// are those of a real one.
#include "apps/study/profile.hpp"

#include <cstdio>
#include <cstdlib>

#include "apps/study/profile_kernel.hpp"
#include "tests/simt/op_cases.hpp"
#include "tests/support/profile_rows.hpp"

using namespace gliograd;
using namespace gliograd::study;
using gliograd::test::row_of;

TEST_CASE("GPU profile: each launch of a step belongs to a row, with its cost") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  const Profile p = profile_step({.size = 16,
                                  .batch = 2,
                                  .dtype = "bf16",
                                  .preset = "off",
                                  .device = Device::cuda,
                                  .steps = 3,
                                  .warmup = 2,
                                  .peaks = false});
  CHECK(p.machine == "emulated");
  REQUIRE(p.graph_ms);
  CHECK(p.graph_ms->median > 0);
  CHECK(p.launches > 45);
  int64_t launches = 0;
  for (const ProfileRow& row : p.rows) {
    INFO(row.pass, " ", row.op, " ", row.layer);
    CHECK(!row.launches.empty());
    CHECK(!row.by.empty());
    CHECK(row.cost.bytes > 0);
    double bytes = 0;
    for (const ProfiledLaunch& launch : row.launches) bytes += launch.cost.bytes;
    CHECK(row.cost.bytes == bytes);
    launches += static_cast<int64_t>(row.launches.size());
  }
  CHECK(launches == p.launches);
  // What no launch fills of a step: less than each step, and so in the median.
  CHECK(p.idle_ms.median > 0);
  CHECK(p.idle_ms.median < p.step_ms.median);
  CHECK(profile_table(p).find("Idle between launches: ") != std::string::npos);

  // Moments of 2 x 16 x 16 values in 16 channels of bf16: one read, and what they are joined from,
  // two numbers a channel of one block, written and read.
  const ProfileRow& norm = row_of(p, "forward", "batch_norm", "stage1.norm1");
  CHECK(norm.by == "batch_norm_moments, batch_norm_apply");
  CHECK(norm.launches[0].cost.bytes == 2.0 * (2 * 16 * 16 * 16) + 2 * 4 * 2 * 16);
  CHECK(norm.launches[1].cost.bytes == 2 * 2.0 * (2 * 16 * 16 * 16));
  CHECK(norm.shape == "2x16x16x16");
  const ProfileRow& conv = row_of(p, "backward", "conv", "stage2.conv1");
  CHECK(conv.launches.size() == 2);
  CHECK(conv.by == "cuDNN, emulated");
  CHECK(row_of(p, "update", "optimizer", "").launches.size() == 2);
  CHECK(row_of(p, "input", "gather and augment", "").by == "augment_images, gather_rows");
  int on_gpu = 0;
  for (const TraceEvent& event : p.trace) on_gpu += event.on_gpu ? 1 : 0;
  CHECK(on_gpu == p.launches);
  CHECK(p.fallbacks.empty());
  CHECK(profile_table(p).find("products that no vendor's plan serves: 0\n") != std::string::npos);
  simt::expect_nothing();
}

TEST_CASE("GPU profile: products that no plan serves are named") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  const Profile p = profile_step({.size = 16,
                                  .batch = 2,
                                  .dtype = "tf32",
                                  .preset = "off",
                                  .device = Device::cuda,
                                  .steps = 3,
                                  .warmup = 2,
                                  .peaks = false});
  CHECK(p.fallbacks.empty());
  Profile with = p;
  with.fallbacks = {{"conv forward, bf16 1x3x4x12 to 9, 1x1 / 1", 2}};
  const std::string table = profile_table(with);
  CHECK(table.find("plan serves: 1\n  conv forward, bf16 1x3x4x12 to 9, 1x1 / 1\n") !=
        std::string::npos);
  simt::expect_nothing();
}

TEST_CASE("GPU profile: one kernel alone, at a given shape; an unknown one lists the known") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  const KernelOptions options{.kernel = "batch_norm_apply",
                              .dtype = DType::bf16,
                              .shape = {2, 6, 5, 24},
                              .steps = 3,
                              .peaks = false};
  const KernelRun run = profile_kernel(options);
  CHECK(run.op == "batch_norm");
  CHECK(run.input == "2x6x5x24");
  CHECK(run.launch.cost.bytes >=
        2.0 * 2 * (2 * 6 * 5 * 24));  // x in, y out, and perhaps a residual
  CHECK(run.launch.facts.occupancy == 1);
  CHECK(run.launch.ms.median >= 0);
  const std::string text = kernel_run_text(run, options);
  INFO(text);
  CHECK(text.find("--kernel batch_norm_apply --shape 2x6x5x24 --dtype bf16") != std::string::npos);
  KernelOptions wrong = options;
  wrong.kernel = "fast_norm";
  CHECK_THROWS_WITH_AS(profile_kernel(wrong), doctest::Contains("batch_norm_apply, "), Error);
  wrong = options;
  wrong.shape = {4, 4};
  CHECK_THROWS_WITH_AS(profile_kernel(wrong), doctest::Contains("has 4 axes"), Error);
  simt::expect_nothing();
}

TEST_CASE("GPU profile: without a shape, one kernel alone has the real size that launches it") {
  if (std::getenv("GLIOGRAD_LONG") == nullptr) {  // half a minute: ./run test --all
    std::puts("SKIPPED: GPU profile: one kernel at its real size: GLIOGRAD_LONG is not set");
    return;
  }
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  const KernelRun depthwise = profile_kernel({.kernel = "conv_depthwise_join",
                                              .dtype = DType::bf16,
                                              .shape = {},
                                              .steps = 1,
                                              .peaks = false});
  CHECK(depthwise.op == "conv");
  CHECK(depthwise.input == "32x28x28x192");
  simt::expect_nothing();
}

TEST_CASE("GPU profile: kernels of augmentation and optimizer alone, which are no ops") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  KernelOptions options{.kernel = "augment_images",
                        .dtype = DType::bf16,
                        .shape = {3, 13, 13},
                        .steps = 2,
                        .peaks = false};
  KernelRun run = profile_kernel(options);
  CHECK(run.op == "augment");
  CHECK(run.input == "3x13x13");
  // Four bytes a pixel in, eight channels of two bytes out.
  CHECK(run.launch.cost.bytes == (4 + 16) * 3 * 13 * 13);
  CHECK(kernel_run_text(run, options).find("--kernel augment_images --shape 3x13x13") !=
        std::string::npos);
  options.shape = {3, 13, 14};
  CHECK_THROWS_WITH_AS(profile_kernel(options), doctest::Contains("square"), Error);
  options.shape = {3, 13, 13, 4};
  CHECK_THROWS_WITH_AS(profile_kernel(options), doctest::Contains("augment has 3 axes"), Error);
  options.kernel = "optimizer_update";
  options.shape = {1031};
  run = profile_kernel(options);
  CHECK(run.op == "optimizer");
  CHECK(run.input == "1031");
  CHECK(run.launch.cost.bytes > 0);
  simt::expect_nothing();
}

TEST_CASE("GPU profile: the list names the kernels of ops, augmentation and optimizer") {
  simt::set_device({.order = simt::Order::any, .seed = simt::fresh_seed()});
  const std::vector<ListedKernel> list = list_kernels(DType::f32);
  CHECK(list.size() > 20);
  std::string names;
  for (const ListedKernel& one : list) {
    names += one.name + " ";
    CHECK(one.threads > 0);
    CHECK(one.facts.occupancy > 0);
  }
  for (const char* name : {"batch_norm_moments", "conv_direct_forward", "max_pool_gradient",
                           "augment_images", "gather_rows", "optimizer_decide", "end_batch"}) {
    CHECK(names.find(name) != std::string::npos);
  }
  CHECK(kernel_list_text(list).find("occupancy") != std::string::npos);
}
