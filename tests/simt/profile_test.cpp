// A training step profiled on the emulated GPU: whose times mean nothing, whose rows and launches
// are those of a real one.
#include "apps/study/profile.hpp"

#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using namespace gliograd::study;

namespace {

const ProfileRow& row_of(const Profile& profile, const std::string& pass, const std::string& op,
                         const std::string& layer) {
  for (const ProfileRow& row : profile.rows) {
    if (row.pass == pass && row.op == op && row.layer == layer) return row;
  }
  FAIL("no row ", pass, ' ', op, ' ', layer);
  return profile.rows.front();
}

}  // namespace

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
  CHECK(p.launches > 60);
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

  // Moments of 2 x 16 x 16 values in 16 channels of bf16: one read; what they are joined from.
  const ProfileRow& norm = row_of(p, "forward", "batch_norm", "stage1.norm1");
  CHECK(norm.by == "batch_norm_moments, batch_norm_join_moments, batch_norm_apply");
  CHECK(norm.launches[0].cost.bytes == 2.0 * (2 * 16 * 16 * 16));
  CHECK(norm.launches[2].cost.bytes == 2 * norm.launches[0].cost.bytes);
  CHECK(norm.shape == "2x16x16x16");
  const ProfileRow& conv = row_of(p, "backward", "conv", "stage2.conv1");
  CHECK(conv.launches.size() == 2);
  CHECK(conv.by == "cuDNN, emulated");
  CHECK(row_of(p, "update", "optimizer", "").launches.size() == 3);
  CHECK(row_of(p, "input", "gather and augment", "").by == "draw_augment_params, augment_images");
  int on_gpu = 0;
  for (const TraceEvent& event : p.trace) on_gpu += event.on_gpu ? 1 : 0;
  CHECK(on_gpu == p.launches);
  simt::expect_nothing();
}
