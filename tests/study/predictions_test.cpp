#include "apps/study/predictions.hpp"

#include <clocale>
#include <limits>
#include <random>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::study;
using test::contains;
using test::error_of;

namespace {

const std::string kHeader = "patient,site,repeat,fold,label,score\n";

std::string message(const std::string& text) {
  return error_of([&] { parse_predictions(text, "p.csv"); });
}

}  // namespace

TEST_CASE("predictions: the file's text, to the letter") {
  const std::vector<ScoredPatient> rows = {{"TCGA_CS_4941", "CS", 0, 3, 1, {0.1234567894}},
                                           {"a, \"b\"", "", 1, 0, 0, {-1e-12}}};
  const std::string text = kHeader +
                           "TCGA_CS_4941,CS,0,3,1,0.123456789\n"
                           "\"a, \"\"b\"\"\",,1,0,0,0.000000000\n";
  CHECK(format_predictions(rows) == text);
  const std::vector<ScoredPatient> back = parse_predictions(text, "p.csv");
  REQUIRE(back.size() == 2);
  CHECK(back[0].id == "TCGA_CS_4941");
  CHECK(back[0].site == "CS");
  CHECK(back[0].fold == 3);
  CHECK(back[0].label == 1);
  CHECK(back[0].scores == std::vector<double>{0.123456789});
  CHECK(back[1].id == "a, \"b\"");
  CHECK(back[1].repeat == 1);
}

TEST_CASE("predictions: several classes, written and read again, byte for byte") {
  const uint64_t seed = test::fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(-1e6, 1e6);
  std::vector<ScoredPatient> rows;
  for (int p = 0; p < 50; ++p) {
    rows.push_back({"p" + std::to_string(p), "s\n" + std::to_string(p % 3), 0, p % 10, p % 4, {}});
    for (int c = 0; c < 4; ++c) rows.back().scores.push_back(uniform(random));
  }
  const std::string text = format_predictions(rows);
  CHECK(contains(text, "label,score_0,score_1,score_2,score_3\n"));
  CHECK(format_predictions(parse_predictions(text, "p.csv")) == text);
}

TEST_CASE("predictions: the locale changes nothing") {
  const char* comma = std::setlocale(LC_ALL, "de_DE.UTF-8");
  if (comma == nullptr) test::skip("predictions: the locale", "de_DE.UTF-8 is not installed");
  const std::string text = format_score(1234.5);
  std::setlocale(LC_ALL, "C");
  CHECK(text == "1234.500000000");
}

TEST_CASE("predictions: a score counts as written") {
  CHECK(as_written(0.5 + 1e-12) == 0.5);
  CHECK(as_written(0.123456789) == 0.123456789);
  CHECK(as_written(-1e-15) == 0.0);
  CHECK(format_score(std::numeric_limits<double>::max()).size() == 309 + 10);
}

TEST_CASE("predictions: bad rows are refused with patient and row") {
  const std::string good = "a,S,0,0,1,0.5\n";
  CHECK(message("") == "p.csv: is empty");
  CHECK(message(kHeader) == "p.csv: no predictions");
  CHECK(contains(message("patient,label,score\na,1,0.5\n"), "the header must be"));
  CHECK(contains(message(kHeader + good + "b,S,0,0,1\n"), "p.csv: row 3: 5 fields"));
  CHECK(contains(message(kHeader + good + "b,S,0,0,1,nan\n"),
                 "row 3: patient b has a score that is not finite"));
  CHECK(contains(message(kHeader + "b,S,0,0,1,inf\n"), "patient b"));
  CHECK(contains(message(kHeader + "b,S,0,0,1,0.5x\n"), "score \"0.5x\" of patient b"));
  CHECK(contains(message(kHeader + "b,S,0,0,1,\n"), "is not a number"));
  CHECK(contains(message(kHeader + "b,S,-1,0,1,0.5\n"), "repeat \"-1\""));
  CHECK(contains(message(kHeader + "b,S,0,0.5,1,0.5\n"), "fold \"0.5\""));
  CHECK(contains(message(kHeader + "b,S,0,0,2,0.5\n"), "label 2; there are 2 classes"));
  CHECK(contains(message(kHeader + ",S,0,0,1,0.5\n"), "the patient is empty"));
  CHECK(contains(message(kHeader + good + good), "row 3: patient a stands twice in repeat 0"));
  // Scores of inner folds: once a repeat and outer fold.
  const std::string other_fold = "a,S,0,1,1,0.250000000\n", inner = kHeader + good + other_fold;
  CHECK(contains(message(inner), "row 3: patient a stands twice in repeat 0"));
  CHECK(parse_predictions(inner, "inner.csv", OneRow::a_fold).size() == 2);
  CHECK(contains(error_of([&] { parse_predictions(inner + good, "i.csv", OneRow::a_fold); }),
                 "i.csv: row 4: patient a stands twice in repeat 0, fold 0"));
  CHECK(contains(message(kHeader + good + "a,S,1,0,0,0.5\n"), "label 0 here and 1 before"));
  CHECK(contains(message(kHeader + good + "a,T,1,0,1,0.5\n"), "site \"T\" here and \"S\""));
  CHECK(contains(message(kHeader + "\"a,S,0,0,1,0.5\n"), "line 2: a quoted field never ends"));
  CHECK(contains(message(kHeader + "\"a\"b,S,0,0,1,0.5\n"), "text after a closing quote"));
  CHECK(contains(error_of([] { read_predictions("/no/such/file.csv"); }), "/no/such/file.csv: "));
  const test::TempDir folder;
  CHECK(contains(error_of([&] { read_predictions(folder.path().string()); }), "is a folder"));
}

TEST_CASE("predictions: NaN never gets into a file, and nothing is left behind") {
  const test::TempDir folder;
  const std::string path = folder / "predictions.csv";
  CHECK(contains(error_of([&] {
                   write_predictions(path, {{"a", "S", 0, 0, 1, {std::nan("")}}});
                 }),
                 "patient a has a score that is not finite"));
  CHECK(std::filesystem::is_empty(folder.path()));
  write_predictions(path, {{"a", "S", 0, 0, 1, {0.25}}});
  CHECK(test::read_file(path) == kHeader + "a,S,0,0,1,0.250000000\n");
  CHECK(read_predictions(path).size() == 1);
  CHECK(contains(error_of([&] {
                   write_predictions(folder / "no/p.csv", {{"a", "S", 0, 0, 1, {0.25}}});
                 }),
                 "No such file"));
}
