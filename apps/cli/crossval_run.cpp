#include "apps/cli/crossval_run.hpp"

#include <fmt/core.h>

#include <filesystem>
#include <optional>

#include "apps/cli/facts.hpp"
#include "apps/cli/leak_check.hpp"
#include "apps/cli/looks.hpp"
#include "apps/cli/metrics_json.hpp"
#include "apps/cli/run_folder.hpp"
#include "apps/cli/train_options.hpp"
#include "apps/study/crossval.hpp"
#include "apps/study/ledger.hpp"
#include "data/readers/prepared_set.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/interrupt.hpp"
#include "engine/core/log.hpp"
#include "models/weights/checkpoint_file.hpp"

namespace gliograd::cli {
namespace {

void describe(const data::Dataset& set, const study::Target& target) {
  std::vector<int64_t> counts(target.classes.size());
  for (const int32_t label : target.labels) {
    if (label >= 0) ++counts[label];
  }
  std::string classes;
  for (size_t c = 0; c < counts.size(); ++c) {
    classes += fmt::format("{}{}: {}", c ? ", " : "", target.classes[c], counts[c]);
  }
  log_info(fmt::format("{}: {} patients, {} slices, {}x{}; target {} ({})", set.name,
                       set.patient_count(), set.slices_count, set.height, set.width, target.text,
                       classes));
  const int64_t left_out = set.patient_count() - target.labeled();
  if (left_out > 0) log_info(fmt::format("{} patients have no label and are left out", left_out));
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] < study::kExploratoryBelow) {
      log_info(
          fmt::format("note: class {} has {} patients: exploratory", target.classes[c], counts[c]));
    }
  }
}

std::string interval_text(const std::optional<study::Interval>& interval) {
  return interval ? fmt::format("{:.3f} to {:.3f}", interval->low, interval->high) : "none";
}

void print_table(const RunMetrics& run, const CrossvalOptions& options, const std::string& folder) {
  const study::Metrics& m = run.metrics;
  fmt::print("target {}, {} patients ({} positive), {} split, seed {}\n", options.settings.target,
             m.n, m.positives, data::name_of(options.settings.split), options.settings.train.seed);
  fmt::print("AUC {:.3f}  95 % {} (DeLong), {:.3f} to {:.3f} (bootstrap), given these models{}\n",
             m.auc, interval_text(m.ci), m.bootstrap.low, m.bootstrap.high,
             m.within_site ? "; pairs within sites"
             : m.biased    ? "; pooled leave-one-patient-out is biased"
                           : "");
  if (run.assumed_disjoint) {
    fmt::print("  assumed disjoint: no test patient is among those the first weights have seen\n");
  }
  for (const study::ClassMetrics& c : m.classes) {
    fmt::print("  class {:<12} AUC {:.3f}  95 % {}  {} patients{}\n", c.name, c.auc,
               interval_text(c.ci), c.positives, c.exploratory ? ", exploratory" : "");
  }
  if (!run.permutations.empty()) {
    double sum = 0;
    std::vector<double> values;
    for (const auto& [index, auc] : run.permutations) {
      sum += auc;
      values.push_back(auc);
    }
    fmt::print("{} permutations: mean AUC {:.3f}, p = {:.3g}\n", values.size(),
               sum / static_cast<double>(values.size()), study::permutation_p(m.auc, values));
  }
  fmt::print("run folder: {}\n", folder);
}

}  // namespace

void run_crossval(const CrossvalOptions& options) {
  study::CrossvalSettings settings = options.settings;
  choose_device(options.device, settings.train);
  study::check_settings(settings);
  watch_for_interrupt();
  const data::Dataset set = data::read_prepared(options.data);
  const study::Target target = study::make_target(set, settings.target);
  describe(set, target);

  const std::unique_ptr<Stream> init_stream = Stream::cpu();
  std::optional<models::Checkpoint> init;
  if (!settings.train.init.empty()) {
    init = models::read_checkpoint(settings.train.init, *init_stream);
  }
  guard_against_leaks(set, target, init ? &*init : nullptr, settings);
  study::check_crossval(set, target, settings, init ? &*init : nullptr);
  check_ledger(options.ledger, options.data);
  const std::vector<study::NamedSetting> named = study::named_settings(settings);
  RunFacts facts = run_facts(set, options.data, settings.train.device, init ? &*init : nullptr);
  facts.run.emplace_back("ledger", ledger_path(options.ledger, options.data));
  RunFolder folder(options.out, named, facts, options.allow_other_machine);
  folder.use_plan_cache(plan_cache_of(settings.train));
  study::Progress progress("crossval", study::crossval_work(set, target, settings), "images",
                           !options.no_progress);
  const study::CrossvalResult result =
      study::crossval(set, target, settings, init ? &*init : nullptr, folder, progress);
  progress.finish();
  if (!result.split.note.empty()) log_info("note: " + result.split.note);

  study::write_predictions(folder.file("predictions.csv"), result.predictions);
  if (!result.inner.empty()) {
    study::write_predictions(folder.file("inner.csv"), result.inner, study::OneRow::a_fold);
  }
  RunMetrics run;
  run.metrics = study::summarize(
      result.predictions, options.out,
      {.split = settings.split,
       .classes = target.one_against_rest ? std::vector<std::string>{} : target.classes});
  run.permutations = result.permutations;
  run.seconds = result.fold_seconds;
  run.peak_bytes = peak_resident_bytes();
  run.assumed_disjoint = init && settings.assume_disjoint;
  const std::string json = metrics_json(run);
  write_atomically(folder.file("metrics.json"), json);
  note_look(options.ledger, options.data, settings.target, study::settings_digest(named),
            run.metrics.auc, options.out);
  if (options.json) {
    fmt::print("{}", json);
  } else {
    print_table(run, options, options.out);
  }
}

}  // namespace gliograd::cli
