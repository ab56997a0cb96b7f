// The report: from a made-up run folder of 60 patients in 5 folds, whose true AUC is known.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "apps/cli/report/charts.hpp"
#include "apps/cli/report/svg.hpp"
#include "apps/study/auc.hpp"
#include "apps/study/predictions.hpp"
#include "data/random.hpp"
#include "data/readers/image.hpp"
#include "data/readers/prepared_set.hpp"
#include "tests/support/support.hpp"

namespace fs = std::filesystem;
namespace data = gliograd::data;
namespace study = gliograd::study;
using namespace gliograd::test;
using gliograd::kernels::Purpose;

namespace {

constexpr int kPatients = 60, kFolds = 5, kSlices = 3;
constexpr int64_t kSize = 48;

struct MadeUp {
  data::Dataset set;
  std::vector<study::ScoredPatient> rows;
};

// Heads as ellipses, tumors as blobs: rounder in class 1. Patients know their age.
void draw_slice(data::Dataset& set, int patient, int number, bool positive,
                data::RandomSequence& random) {
  const double cy = kSize / 2.0 + random.uniform(-2, 2), cx = kSize / 2.0 + random.uniform(-2, 2);
  const double radius = random.uniform(7, 10), wave = positive ? 0.08 : 0.32;
  const double phase = random.uniform(0, 6.28);
  data::Slice slice;
  slice.patient = patient;
  slice.number = number;
  slice.box = {static_cast<int32_t>(kSize), static_cast<int32_t>(kSize), 0, 0};
  for (int32_t y = 0; y < kSize; ++y) {
    for (int32_t x = 0; x < kSize; ++x) {
      const double dy = y - cy, dx = x - cx, angle = std::atan2(dy, dx);
      const bool tumor = std::hypot(dy, dx) < radius * (1 + wave * std::cos(4 * angle + phase));
      const bool head = std::hypot(dy / 23, dx / 19) < 1;
      for (int c = 0; c < 3; ++c) {
        const double base = head ? 90 + 20 * c + (tumor ? 50 - 25 * c : 0) : 0;
        set.images.push_back(static_cast<uint8_t>(base > 0 ? base + random.uniform(-9, 9) : 0));
      }
      set.masks.push_back(tumor ? 1 : 0);
      if (!tumor) continue;
      ++slice.area;
      slice.box = {std::min(slice.box[0], y), std::min(slice.box[1], x),
                   std::max(slice.box[2], y + 1), std::max(slice.box[3], x + 1)};
    }
  }
  set.slices.push_back(slice);
}

MadeUp made_up(uint32_t seed, int classes = 2) {
  MadeUp out;
  data::RandomSequence random({.seed = seed}, {.purpose = Purpose::phantom});
  data::Dataset& set = out.set;
  set.height = set.width = kSize;
  set.channels = {"pre", "flair", "post"};
  set.digest = "0123456789abcdef";
  set.name = "made up";
  set.slices_count = kPatients * kSlices;
  data::LabelColumn column{"COCCluster", {"1", "2", "3"}, {}};
  data::CovariateColumn age{"age", {}};
  data::CovariateColumn bevr{"inverse_bevr", {}}, std_column{"angular_std", {}},
      margin{"margin_fluctuation", {}};
  for (int p = 0; p < kPatients; ++p) {
    const int label = classes > 2 ? p % 3 : p % 3 == 0;
    data::Patient patient;
    patient.id = gliograd::concat_text("TCGA_", p % 2 ? "DU" : "HT", "_", 1000 + p);
    patient.site = p % 2 ? "DU" : "HT";
    patient.present = {1, 1, 1};
    patient.affine.resize(3);
    set.patients.push_back(patient);
    column.values.push_back(label);
    age.values.push_back(p == 7 ? NAN : 45 + 6 * label + 8 * random.bell());
    bevr.values.push_back(1.6 + 0.4 * label + 0.4 * random.bell());
    std_column.values.push_back(0.1 + 0.02 * random.bell());
    margin.values.push_back(0.05 + 0.01 * label + 0.02 * random.bell());
  }
  std::sort(set.patients.begin(), set.patients.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  for (int p = 0; p < kPatients; ++p) {
    for (int s = 0; s < kSlices; ++s) draw_slice(set, p, 20 + s, column.values[p] == 1, random);
    study::ScoredPatient row;
    row.id = set.patients[p].id;
    row.site = set.patients[p].site;
    row.fold = (p / 3) % kFolds;
    row.label = column.values[p];
    if (classes == 2) {
      row.scores = {1 / (1 + std::exp(-1.3 * (row.label == 1 ? 0.8 : -0.8) - 0.9 * random.bell()))};
    } else {
      double sum = 0;
      for (int c = 0; c < 3; ++c) {
        row.scores.push_back(std::exp((c == row.label ? 1.0 : 0.0) + random.bell()));
        sum += row.scores.back();
      }
      for (double& score : row.scores) score /= sum;
    }
    out.rows.push_back(row);
  }
  set.labels = {column};
  set.covariates = {age};
  set.shape = {bevr, std_column, margin};
  return out;
}

// The folder as crossval leaves it, and the prepared set beside it.
std::string write_run(const fs::path& folder, const MadeUp& made, const std::string& target) {
  data::check_dataset(made.set);
  data::write_prepared(made.set, (folder / "cohort.h5").string(), {{"command", "made up"}});
  const fs::path run = folder / "run";
  fs::create_directories(run);
  write_file((run / "config.toml").string(),
             "target = \"" + target +
                 "\"\nsplit = \"stratified\"\nfolds = 5\nseed = 1\nwindow = 40\n"
                 "model = \"subtype\"\ninit = \"\"\nepochs = 20\nlearning-rate = 0.002\n"
                 "preset = \"light\"\n\n[run]\ndata = \"" +
                 (folder / "cohort.h5").string() +
                 "\"\ndigest = \"0123456789abcdef\"\nmask-source = \"manual\"\n\n[machine]\n"
                 "device = \"cpu\"\nkind = \"made up\"\n\n[provenance]\nversion = \"0.1.0\"\n"
                 "date = \"2026-01-02T03:04:05Z\"\n");
  study::write_predictions((run / "predictions.csv").string(), made.rows);
  std::string folds = "patient,repeat,fold\n";
  for (const auto& row : made.rows) folds += gliograd::concat_text(row.id, ",0,", row.fold, "\n");
  write_file((run / "folds.csv").string(), folds);
  data::RandomSequence random({.seed = 9}, {.purpose = Purpose::noise});
  for (int f = 0; f < kFolds; ++f) {
    std::string history = "epoch,steps,lr,train_loss,inner_loss,inner_auc\n";
    for (int e = 1; e <= 20; ++e) {
      const double train = 0.72 * std::exp(-e / 14.0) + 0.02 * random.bell() + 0.04;
      const double inner = 0.5 + 0.22 * std::exp(-e / 5.0) + 0.006 * e + 0.012 * random.bell();
      history += gliograd::concat_text(e, ",", 9 * e, ",0.002,", train, ",", inner, ",0.7\n");
    }
    fs::create_directories(run / gliograd::concat_text("fold-0-", f));
    write_file((run / gliograd::concat_text("fold-0-", f) / "history.csv").string(), history);
  }
  std::string shuffled = "index,auc\n";
  for (int i = 1; i <= 19; ++i) {
    shuffled +=
        gliograd::concat_text(i, ",", study::format_score(0.5 + 0.07 * random.bell()), "\n");
  }
  write_file((run / "permutation.csv").string(), shuffled);
  write_file((folder / "looks.csv").string(),
             "date,target,settings,auc,run\n2026-01-02T03:04:05Z," + target +
                 ",0011223344556677,0.801000,run\n2026-01-03T03:04:05Z," + target +
                 ",0011223344556678,0.811000,run2\n");
  return run.string();
}

// Green, or gray where there is one channel.
double value_at(const data::Image& image, int64_t y, int64_t x) {
  const int64_t c = image.channels >= 3 ? 1 : 0;
  return image.bytes[(y * image.width + x) * image.channels + c];
}

// Every tag opened is closed, in order; returns what is wrong, or nothing.
std::string unbalanced(const std::string& html) {
  std::vector<std::string> open;
  size_t at = 0;
  while ((at = html.find('<', at)) != std::string::npos) {
    const size_t end = html.find('>', at);
    if (end == std::string::npos) return "a tag without an end";
    const std::string tag = html.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.empty()) return "an empty tag";
    if (tag[0] == '!') continue;
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return "a quote in <" + tag + ">";
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1))
        return "</" + tag.substr(1) + "> closes nothing";
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find_first_of(" \n")));
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

std::string report_of(const std::string& run, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"report", run};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const CommandResult result = gliograd::test::gliograd(arguments);
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(contains(result.out, "report.html"));
  return read_file(run + "/report.html");
}

void check_page(const std::string& html) {
  CHECK(unbalanced(html) == "");
  for (const char* word : {"http:", "https:", "<script", "src=", "url(", "@import", "<link"}) {
    CHECK_MESSAGE(!contains(html, word), "the page holds ", word);
  }
  CHECK(!contains(html, ">nan"));
  CHECK(!contains(html, ":nan"));
  CHECK(contains(html, "Research use only"));
}

}  // namespace

TEST_CASE("report: a whole run gives one whole page with the answers first") {
  const TempDir folder;
  const uint32_t seed = static_cast<uint32_t>(fresh_seed());
  INFO("seed ", seed);
  const MadeUp made = made_up(seed);
  const std::string run = write_run(folder.path(), made, "COCCluster=2");
  const std::string html = report_of(run, {"--note", "a <b>note</b> & \"more\""});
  check_page(html);
  const double auc =
      study::auc(study::against_rest(study::gather(made.rows, "rows"), 1, false, "rows"));
  char figure[64];
  std::snprintf(figure, sizeof figure, "<div class=\"figure-number\">%.3f</div>", auc);
  CHECK_MESSAGE(contains(html, figure), figure);
  for (const char* part :
       {"COCCluster 2 against the rest", "Better than chance?", "Better than tumor shape and age?",
        ">Twice<", "a &lt;b&gt;note&lt;/b&gt; &amp; &quot;more&quot;", "class=\"band c1\"",
        "inner validation", "observed", "By fold", "By site", "logistic: shape + age", "p (Holm)",
        "data:image/png;base64,iVBORw0KGgo", "class=\"outline\"", "learning-rate",
        "prefers-color-scheme: dark"}) {
    CHECK_MESSAGE(contains(html, part), "the page lacks ", part);
  }
  CHECK(!contains(html, "Left out"));
}

TEST_CASE("report: all classes at once") {
  const TempDir folder;
  const std::string run = write_run(folder.path(), made_up(3, 3), "COCCluster");
  const std::string html = report_of(run);
  check_page(html);
  for (const char* part : {"COCCluster, all classes", "Class by class", "COCCluster 3",
                           "mean AUC, each class against the rest", "no paired test is made"}) {
    CHECK_MESSAGE(contains(html, part), "the page lacks ", part);
  }
}

TEST_CASE("report: parts that a run does not have are left out, and the page says why") {
  const TempDir folder;
  const std::string run = write_run(folder.path(), made_up(4), "COCCluster=2");
  for (int f = 0; f < kFolds; ++f) fs::remove_all(run + "/fold-0-" + std::to_string(f));
  fs::remove(run + "/permutation.csv");
  fs::remove(folder / "cohort.h5");
  fs::remove(folder / "looks.csv");
  const std::string html = report_of(run);
  check_page(html);
  for (const char* part :
       {"Left out: the folder holds no history.csv", "Left out: none was run; crossval --permute",
        "Left out: the prepared set cannot be used", "No count: there is no ledger", "Not known",
        "By fold"}) {
    CHECK_MESSAGE(contains(html, part), "the page lacks ", part);
  }
}

TEST_CASE("report: what does not fit is refused in one line and leaves no page") {
  const TempDir folder;
  const auto refused = [&](const std::string& what, const std::string& expected,
                           const std::function<void(const std::string&)>& spoil,
                           std::vector<std::string> more = {}) {
    fs::remove_all(folder.path());
    fs::create_directories(folder.path());
    const std::string run = write_run(folder.path(), made_up(6), "COCCluster=2");
    spoil(run);
    more.insert(more.begin(), {"report", run});
    const CommandResult result = gliograd::test::gliograd(more);
    CHECK_MESSAGE(result.code == 2, what, ": ", result.err);
    CHECK_MESSAGE(contains(result.err, expected), what, ": ", result.err);
    CHECK_MESSAGE(std::count(result.err.begin(), result.err.end(), '\n') == 1, what, ": ",
                  result.err);
    CHECK(result.out.empty());
    CHECK(!fs::exists(run + "/report.html"));
  };
  const auto nothing = [](const std::string&) {};
  refused("no folder", "no such folder", [](const auto& run) { fs::remove_all(run); });
  refused("a file", "a run folder is wanted", [](const auto& run) {
    fs::remove_all(run);
    write_file(run, "x");
  });
  for (const char* name : {"config.toml", "folds.csv", "predictions.csv"}) {
    refused(name, std::string("has no ") + name,
            [&](const auto& run) { fs::remove(run + "/" + name); });
    refused(name, name,
            [&](const auto& run) { write_file(run + "/" + name, "\x01 not this = = ["); });
    refused(name, name, [&](const auto& run) { write_file(run + "/" + name, ""); });
  }
  refused("folds disagree", "was scored in fold", [](const auto& run) {
    std::string text = read_file(run + "/folds.csv");
    text.replace(text.find(",0,1\n"), 5, ",0,2\n");
    write_file(run + "/folds.csv", text);
  });
  refused("history", "fold-0-2/history.csv", [](const auto& run) {
    write_file(run + "/fold-0-2/history.csv",
               "epoch,steps,lr,train_loss,inner_loss,inner_auc\n1,x\n");
  });
  refused("permutation", "permutation.csv: line 2",
          [](const auto& run) { write_file(run + "/permutation.csv", "index,auc\n1,1.5\n"); });
  refused("metrics", "metrics.json: damaged",
          [](const auto& run) { write_file(run + "/metrics.json", "{\"auc\": "); });
  refused("other metrics", "but predictions.csv gives",
          [](const auto& run) { write_file(run + "/metrics.json", "{\"auc\": 0.123}"); });
  refused("no set", "nowhere.h5", nothing, {"--data", "nowhere.h5"});
  refused("no ledger", "nowhere.csv: no such file", nothing, {"--ledger", "nowhere.csv"});
  refused("another set", "is not the set",
          [](const auto& run) {
            MadeUp other = made_up(6);
            other.set.digest = "ffff456789abcdef";
            data::write_prepared(other.set, run + "/other.h5", {});
          },
          {"--data", folder / "run/other.h5"});
}

TEST_CASE("report: outlines go around every part of a mask, holes too") {
  namespace report = gliograd::cli::report;
  CHECK(report::outline_path({}, 0, 0) == "");
  CHECK(report::outline_path({0, 0, 0, 0}, 2, 2) == "");
  CHECK(report::outline_path({1}, 1, 1) == "M0.5 0L1 0.5L0.5 1L0 0.5Z");
  const auto loops = [](const std::vector<uint8_t>& mask, int64_t h, int64_t w) {
    const std::string path = report::outline_path(mask, h, w);
    return std::count(path.begin(), path.end(), 'M');
  };
  CHECK(loops({1, 0, 0, 1}, 2, 2) == 2);  // neighbors by a corner stay apart
  CHECK(loops({0, 1, 1, 0}, 2, 2) == 2);
  CHECK(loops({1, 1, 1, 1, 0, 1, 1, 1, 1}, 3, 3) == 2);  // a ring
  CHECK(loops({1, 1, 1, 1}, 2, 2) == 1);
}

TEST_CASE("report: numbers and text as SVG and HTML want them") {
  namespace report = gliograd::cli::report;
  CHECK(report::escape("a<b>&\"'\x01") == "a&lt;b&gt;&amp;&quot;&#39;");
  CHECK(report::coordinate(1.5) == "1.5");
  CHECK(report::coordinate(-0.001) == "0");
  CHECK(report::coordinate(100) == "100");
  CHECK(report::coordinate(NAN) == "0");
  std::string marks;
  for (const double tick : report::ticks({0, 1}, 5)) marks += report::tick_text(tick) + " ";
  CHECK(marks == "0 0.2 0.4 0.6 0.8 1 ");
  CHECK(report::tick_text(3 * 0.1) == "0.3");
  CHECK(unbalanced("<p><b>x</b></p>") == "");
  CHECK(unbalanced("<p><b>x</p></b>") != "");
  CHECK(unbalanced("<p>") != "");
}

TEST_CASE("report: looks right in a browser, light and dark, wide and narrow") {
  if (std::system("command -v chromium >/dev/null 2>&1") != 0) {
    skip("report: looks right in a browser", "chromium is not installed");
    return;
  }
  const TempDir folder;
  const std::string run = write_run(folder.path(), made_up(5), "COCCluster=2");
  report_of(run);
  const auto shot = [&](const std::string& name, const std::string& size, bool dark) {
    const std::string png = folder / name;
    std::vector<std::string> command = {"timeout",
                                        "60",
                                        "chromium",
                                        "--headless",
                                        "--no-sandbox",
                                        "--disable-gpu",
                                        "--hide-scrollbars",
                                        "--user-data-dir=" + folder / "profile",
                                        "--window-size=" + size,
                                        "--screenshot=" + png};
    if (dark)
      command.insert(command.end(),
                     {"--force-dark-mode", "--blink-settings=preferredColorScheme=0"});
    command.push_back("file://" + run + "/report.html");
    run_command(command);
    REQUIRE_MESSAGE(fs::exists(png), "chromium made no picture");
    const std::string bytes = read_file(png);
    return data::decode_image({bytes.begin(), bytes.end()});
  };
  // Of the page's left edge, which is bare background: mean brightness, and how it varies.
  const auto edge = [](const data::Image& image) {
    double low = 255, high = 0;
    for (int64_t y = 0; y < image.height; ++y) {
      const double v = value_at(image, y, 3);
      low = std::min(low, v);
      high = std::max(high, v);
    }
    return std::pair(low, high);
  };
  // The share of pixels that are far from the background: text, lines, pictures.
  const auto ink = [&](const data::Image& image) {
    const double background = value_at(image, 3, 3);
    int64_t different = 0;
    for (int64_t y = 0; y < image.height; ++y) {
      for (int64_t x = 0; x < image.width; ++x) {
        different += std::abs(value_at(image, y, x) - background) > 60;
      }
    }
    return static_cast<double>(different) / static_cast<double>(image.height * image.width);
  };
  const data::Image light = shot("light.png", "1180,4200", false);
  const data::Image dark = shot("dark.png", "1180,4200", true);
  const data::Image phone = shot("phone.png", "390,4200", false);
  CHECK(light.width == 1180);
  CHECK(edge(light).first > 230);  // light to its end, and nothing runs into the margin
  CHECK(edge(dark).second < 40);
  for (const data::Image* image : {&light, &dark, &phone}) {
    CHECK(ink(*image) > 0.02);
    CHECK(ink(*image) < 0.5);
  }
  // On a phone, too, the right margin stays bare: nothing is wider than the page.
  for (int64_t y = 0; y < phone.height; ++y) REQUIRE(value_at(phone, y, phone.width - 4) > 230);
}
