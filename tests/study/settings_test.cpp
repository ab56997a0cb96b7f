#include "apps/study/settings.hpp"

#include <cmath>

#include "apps/study/progress.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("settings: what is out of range or unknown is named with what is allowed") {
  study::CrossvalSettings settings;
  settings.target = "A=1";
  CHECK_NOTHROW(study::check_settings(settings));
  settings.train.optimizer = "lion";
  CHECK(
      contains(error_of([&] { study::check_settings(settings); }), "sgd,adam,adamw; got \"lion\""));
  settings.train.optimizer = "sgd";
  settings.train.learning_rate = NAN;
  CHECK(contains(error_of([&] { study::check_settings(settings); }), "--learning-rate"));
  settings.train.learning_rate = 0.1;
  settings.folds = 1;
  CHECK(contains(error_of([&] { study::check_settings(settings); }), "--folds must be between 2"));
}

TEST_CASE("settings: the digest changes with a compared setting and not with the threads") {
  study::CrossvalSettings a, b;
  b.threads = 7;
  CHECK(study::settings_digest(study::named_settings(a)) ==
        study::settings_digest(study::named_settings(b)));
  b.train.seed = 2;
  CHECK(study::settings_digest(study::named_settings(a)) !=
        study::settings_digest(study::named_settings(b)));
}

TEST_CASE("settings: which plans are taken belongs to a run on a GPU alone") {
  study::CrossvalSettings a, b;
  b.train.plans = "heuristic";
  const auto digest = [](const study::CrossvalSettings& s) {
    return study::settings_digest(study::named_settings(s));
  };
  CHECK(digest(a) == digest(b));
  a.train.device = b.train.device = "cuda";
  CHECK(digest(a) != digest(b));
}

TEST_CASE("progress: durations are short and readable") {
  CHECK(study::duration_text(0.4) == "0 s");
  CHECK(study::duration_text(200) == "3 min 20 s");
  CHECK(study::duration_text(3720) == "1 h 02 min");
}
