#include "apps/study/profile.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/support/profile_rows.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using gliograd::test::contains;
using gliograd::test::error_of;
using gliograd::test::row_of;

namespace {

const ProfileOptions kSmall{.size = 32, .batch = 4, .preset = "off", .steps = 5, .warmup = 2};

const Profile& small() {
  static const Profile profile = profile_step(kSmall);
  return profile;
}

}  // namespace

TEST_CASE("profile: every op of the step is there, forward in order and backward in reverse") {
  std::vector<std::string> forward, backward;
  std::set<std::string> passes;
  for (const ProfileRow& row : small().rows) {
    passes.insert(row.pass);
    if (row.pass == "forward") forward.push_back(row.op + " " + row.layer);
    if (row.pass == "backward") backward.push_back(row.op + " " + row.layer);
  }
  CHECK(passes == std::set<std::string>{"input", "forward", "backward", "update"});
  std::vector<std::string> wanted = {"between ops "};
  for (const char* stage : {"stage1", "stage2", "stage3", "stage4"}) {
    wanted.push_back(concat_text("conv ", stage, ".conv1"));
    wanted.push_back(concat_text("batch_norm ", stage, ".norm1"));
    wanted.emplace_back("max_pool ");
  }
  for (const char* op : {"global_average_pool ", "linear head", "softmax_cross_entropy "}) {
    wanted.emplace_back(op);
  }
  CHECK(forward == wanted);
  wanted[0] = "add and hand over gradients ";
  std::reverse(wanted.begin() + 1, wanted.end());
  CHECK(backward == wanted);
}

TEST_CASE("profile: bytes and operations by hand") {
  // stage1.conv1: 3x3, 4 to 16 channels, 4 images of 32 x 32, f32.
  const ProfileRow& conv = row_of(small(), "forward", "conv", "stage1.conv1");
  const double in = 4 * 32 * 32 * 4, out = 4 * 32 * 32 * 16, weights = 16 * 3 * 3 * 4;
  CHECK(conv.cost.bytes == 4 * (in + out + weights));
  CHECK(conv.cost.ops == 2 * out * 3 * 3 * 4);
  CHECK(conv.saved_bytes == 4 * (in + weights));
  CHECK(conv.shape == "4x32x32x16");
  CHECK(!conv.by.empty());
  // No gradient of the images: dy, and what was kept, in; dw out; one product.
  const ProfileRow& back = row_of(small(), "backward", "conv", "stage1.conv1");
  CHECK(back.cost.bytes == 4 * (out + in + weights + weights));
  CHECK(back.cost.ops == conv.cost.ops);
  const ProfileRow& second = row_of(small(), "backward", "conv", "stage2.conv1");
  CHECK(second.cost.ops == 2 * row_of(small(), "forward", "conv", "stage2.conv1").cost.ops);
  // 4 images of 32 x 32: a byte in and an f32 out for each of 4 channels.
  CHECK(small().rows.front().cost.bytes == 4 * 32 * 32 * 4 * 5);
}

TEST_CASE("profile: rows add up to the step; quartiles lie around medians; peaks are real") {
  const Profile& p = small();
  double sum = 0;
  for (const ProfileRow& row : p.rows) {
    INFO(row.pass, ' ', row.op);
    CHECK(row.ms.low >= 0);
    CHECK(row.ms.low <= row.ms.median);
    CHECK(row.ms.median <= row.ms.high);
    sum += row.ms.low;
  }
  CHECK(sum > 0);
  CHECK(sum < p.step_ms.high * 1.01);
  CHECK(p.copy_gb_s > 0.1);
  CHECK(p.product_gflop_s > 0.1);
  CHECK(p.peak_bytes > 4 * 4 * 32 * 32 * 16);
  // 1 GB at 10 GB/s is 100 ms; 10 GFLOP at 50 GFLOP/s is 200 ms, which is the longer.
  Profile known;
  known.copy_gb_s = 10;
  known.product_gflop_s = 50;
  CHECK(known.peak_share({.bytes = 1e9}, 200) == doctest::Approx(0.5));
  CHECK(known.peak_share({.bytes = 1e9, .ops = 1e10}, 400) == doctest::Approx(0.5));
  CHECK(known.computes({.bytes = 1e9, .ops = 1e10}));
  CHECK(!known.computes({.bytes = 1e9, .ops = 1e9}));
  CHECK(Profile{}.peak_share({.bytes = 1}, 1) == 0);
}

TEST_CASE("profile: the trace is the last step, one thing inside another") {
  const Profile& p = small();
  CHECK(p.trace.size() == p.rows.size());
  const auto named = [&](const std::string& name, const std::string& within) {
    for (const TraceEvent& event : p.trace) {
      if (event.name == name && event.within == within) return event;
    }
    FAIL("no event ", name);
    return TraceEvent{};
  };
  const TraceEvent outer = named("between ops", "forward");
  const TraceEvent conv = named("conv stage2.conv1", "forward");
  CHECK(conv.begin_ms >= outer.begin_ms);
  CHECK(conv.begin_ms + conv.ms <= outer.begin_ms + outer.ms);
  CHECK(named("optimizer", "update").begin_ms >= outer.begin_ms + outer.ms);
}

TEST_CASE("profile: bf16 on the CPU, and what computes its convolutions") {
  ProfileOptions options = kSmall;
  options.dtype = "bf16";
  const std::string table = profile_table(profile_step(options));
  CHECK_MESSAGE(contains(table, "subtype, 32x32, batch 4, bf16"), table);
  CHECK_MESSAGE((contains(table, "bf16") && contains(table, "stage4.norm1")), table);
}

TEST_CASE("profile: the table names every op; options out of range are one line") {
  const std::string table = profile_table(small());
  for (const char* part : {"subtype, 32x32, batch 4, f32", "gather and augment", "stage4.norm1",
                           "optimizer", "Layout conversions", "Step: ", "GB/s copying"}) {
    CHECK_MESSAGE(contains(table, part), part, " is missing in\n", table);
  }
  ProfileOptions options = kSmall;
  options.dtype = "f16";
  CHECK(error_of([&] { profile_step(options); }) ==
        "--dtype on the cpu must be f32 or bf16; got \"f16\"");
  options = kSmall;
  options.batch = 1;
  CHECK(contains(error_of([&] { profile_step(options); }), "--batch must be 2 to 4096; got 1"));
  options = kSmall;
  options.size = 8;
  CHECK(contains(error_of([&] { profile_step(options); }), "--size 8: subtype needs at least 16"));
  options = kSmall;
  options.model = "vgg";
  CHECK(contains(error_of([&] { profile_step(options); }), "subtype"));
}
