#include <nlohmann/json.hpp>

#include "engine/device/machine.hpp"
#include "tests/support/support.hpp"

using namespace gliograd::test;
using nlohmann::json;

namespace {

std::vector<std::string> with(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"profile", "--size",   "32",  "--batch",   "4", "--steps",
                                        "3",       "--device", "cpu", "--threads", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("profile: a table on standard output; JSON, trace and page as files") {
  const TempDir folder;
  const CommandResult result = gliograd::test::gliograd(with(
      {"--json", folder / "p.json", "--trace", folder / "t.json", "--html", folder / "p.html"}));
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(contains(result.out, "stage1.conv1"));

  const json p = json::parse(read_file(folder / "p.json"));
  CHECK(p.at("model") == "subtype");
  CHECK(p.at("peaks").at("copy_gb_s").get<double>() > 0);
  CHECK(p.at("step_ms").at("median").get<double>() > 0);
  CHECK(p.at("layout_conversions").contains("count"));
  int convolutions = 0;
  for (const json& row : p.at("rows")) {
    for (const char* key : {"pass", "op", "layer", "result", "ms", "bytes", "ops", "gb_s",
                            "gflop_s", "peak_share", "by", "saved_bytes", "launches"}) {
      CHECK_MESSAGE(row.contains(key), key);
    }
    if (row.at("op") != "conv") continue;
    ++convolutions;
    const double ms = row.at("ms").at("median");
    CHECK(row.at("gflop_s").get<double>() ==
          doctest::Approx(row.at("ops").get<double>() * 1e-6 / ms));
  }
  CHECK(convolutions == 8);

  const json trace = json::parse(read_file(folder / "t.json"));
  int complete = 0;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    ++complete;
    CHECK(event.at("dur").get<double>() >= 0);
    CHECK(event.at("ts").get<double>() >= 0);
  }
  CHECK(complete == static_cast<int>(p.at("rows").size()));

  const std::string page = read_file(folder / "p.html");
  for (const char* part : {"<svg", "operations a byte", "stage4.norm1", "</html>"}) {
    CHECK_MESSAGE(contains(page, part), part);
  }
  for (const char* foreign : {"http:", "https:", "<script", "nan"}) {
    CHECK_MESSAGE(!contains(page, foreign), foreign);
  }
}

TEST_CASE("profile: --json - is all of standard output") {
  const CommandResult result = gliograd::test::gliograd(with({"--json", "-"}));
  CHECK(result.code == 0);
  CHECK(json::parse(result.out).at("rows").size() > 20);
}

TEST_CASE("profile: bad options are one line, and --help says what there is") {
  const auto refused = [](const std::vector<std::string>& more, const std::string& why) {
    const CommandResult result = gliograd::test::gliograd(with(more));
    CHECK(result.code == 2);
    CHECK_MESSAGE(contains(result.err, why), result.err);
  };
  refused({"--model", "vgg"}, "subtype-large");
  refused({"--dtype", "f64"}, "must be f32");
  refused({"--preset", "strong"}, "light");
  refused({"--html", "/no/such/folder/p.html"}, "/no/such/folder");
  CHECK(gliograd::test::gliograd({"profile", "--steps", "2"}).code == 2);
  CHECK(gliograd::test::gliograd({"profile", "--shape", "2x2"}).code == 2);
  refused({"--list", "--html", "p.html"}, "of a whole step");
  if (!gliograd::gpu_problem().empty()) {
    refused({"--list"}, "--list: " + gliograd::gpu_problem());
    refused({"--kernel", "add"}, "kernels run on a GPU alone");
    refused({"--device", "cuda"}, "--device cuda: ");
  }
  CHECK(gliograd::test::gliograd({"profile", "--device", "tpu"}).code == 2);
  const CommandResult help = gliograd::test::gliograd({"profile", "--help"});
  CHECK(help.code == 0);
  for (const char* part :
       {"--model", "--size", "--batch", "--dtype", "--device", "--threads", "--steps", "--list",
        "--kernel", "--shape", "--json", "--trace", "--html", "GLIOGRAD_TRACE"}) {
    CHECK_MESSAGE(contains(help.out, part), part);
  }
}
