#include "apps/study/summary.hpp"

#include <algorithm>
#include <map>

#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

int patients_of_class(const Gathered& patients, int label) {
  return static_cast<int>(std::count(patients.labels.begin(), patients.labels.end(), label));
}

}  // namespace

Metrics summarize(const std::vector<ScoredPatient>& rows, const std::string& name,
                  const SummaryOptions& options) {
  const Gathered patients = gather(rows, name);
  Metrics metrics;
  metrics.n = static_cast<int>(patients.ids.size());
  metrics.within_site = options.split == data::SplitKind::site;
  metrics.biased = options.split == data::SplitKind::patient;
  const bool within = metrics.within_site;
  if (patients.columns() == 1) {
    const Scores scores = against_rest(patients, 1, within, name);
    const Influence it = auc_influence(scores);
    metrics.auc = it.auc;
    metrics.ci = delong_interval(scores);
    metrics.bootstrap = bootstrap_interval(scores, options.bootstrap);
    metrics.positives = patients_of_class(patients, 1);
    metrics.exploratory =
        std::min(metrics.positives, metrics.n - metrics.positives) < kExploratoryBelow;
    metrics.repeats = spread_of(it.repeat_auc);
    metrics.per_fold = fold_aucs(patients, 1);
    const bool sites = std::any_of(patients.sites.begin(), patients.sites.end(),
                                   [](const std::string& site) { return !site.empty(); });
    if (sites) metrics.per_site = site_aucs(patients, 1);
    return metrics;
  }
  const MacroAuc macro = macro_auc(patients, within, name);
  metrics.auc = macro.auc;
  metrics.ci = macro.interval;
  metrics.bootstrap = macro_bootstrap_interval(patients, within, name, options.bootstrap);
  metrics.repeats = spread_of(macro_influence(patients, within, name).repeat_auc);
  for (int c = 0; c < patients.columns(); ++c) {
    ClassMetrics one;
    const auto index = static_cast<size_t>(c);
    one.name = index < options.classes.size() ? options.classes[index] : std::to_string(c);
    const Scores scores =
        against_rest(patients, c, within, concat_text(name, ", class ", one.name));
    one.auc = auc(scores);
    one.ci = delong_interval(scores);
    one.bootstrap = bootstrap_interval(scores, options.bootstrap);
    one.positives = patients_of_class(patients, c);
    one.exploratory = one.positives < kExploratoryBelow;
    metrics.exploratory = metrics.exploratory || one.exploratory;
    metrics.classes.push_back(one);
  }
  return metrics;
}

std::vector<ScoredPatient> merge_runs(const std::vector<std::vector<ScoredPatient>>& runs,
                                      const std::vector<std::string>& names) {
  GG_CHECK(!runs.empty() && runs.size() == names.size(), "merge_runs: ", runs.size(), " runs and ",
           names.size(), " names");
  std::vector<ScoredPatient> merged;
  int next = 0;
  std::map<std::string, int> labels;  // of the first run
  for (size_t i = 0; i < runs.size(); ++i) {
    check_predictions(runs[i], names[i]);
    const auto differ = [&](const std::string& what) {
      throw Error(concat_text(names[i], " is no other seed of ", names[0], ": ", what));
    };
    if (runs[i].front().scores.size() != runs[0].front().scores.size()) {
      differ("another number of score columns");
    }
    std::map<std::string, int> own;
    int largest = 0;
    for (ScoredPatient row : runs[i]) {
      own[row.id] = row.label;
      if (i > 0) {
        const auto found = labels.find(row.id);
        if (found == labels.end()) differ("patient " + row.id + " is not there");
        if (found->second != row.label) differ("patient " + row.id + " has another label");
      }
      largest = std::max(largest, row.repeat);
      row.repeat += next;
      merged.push_back(std::move(row));
    }
    if (i == 0) labels = own;
    for (const auto& [id, label] : labels) {
      if (own.count(id) == 0) differ("patient " + id + " is missing");
    }
    next += largest + 1;
  }
  return merged;
}

}  // namespace gliograd::study
