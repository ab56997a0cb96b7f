#include "apps/study/comparison.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

using Rows = std::vector<ScoredPatient>;

// The arms are answers to one question: what one says of a patient's label, all say.
void check_same_question(const std::vector<Arm>& arms, const std::vector<Rows>& rows) {
  std::map<std::string, std::pair<const ScoredPatient*, size_t>> first;
  for (size_t a = 0; a < arms.size(); ++a) {
    const auto differ = [&](size_t other, const std::string& what) {
      throw Error(concat_text("arms ", arms[other].name, " and ", arms[a].name,
                              " cannot be compared: ", what));
    };
    if (rows[a].front().scores.size() != rows[0].front().scores.size()) {
      differ(0, concat_text(rows[0].front().scores.size(), " and ", rows[a].front().scores.size(),
                            " score columns"));
    }
    for (const ScoredPatient& row : rows[a]) {
      const auto [known, other] = first.emplace(row.id, std::make_pair(&row, a)).first->second;
      if (known->label != row.label) differ(other, "patient " + row.id + " has another label");
      if (known->site != row.site) differ(other, "patient " + row.id + " has another site");
    }
  }
}

// Ids that stand in every arm.
std::set<std::string> common_ids(const std::vector<Rows>& rows) {
  std::map<std::string, std::set<size_t>> arms_of;
  for (size_t a = 0; a < rows.size(); ++a) {
    for (const ScoredPatient& row : rows[a]) arms_of[row.id].insert(a);
  }
  std::set<std::string> common;
  for (const auto& [id, arms] : arms_of) {
    if (arms.size() == rows.size()) common.insert(id);
  }
  return common;
}

Rows only(const Rows& rows, const std::set<std::string>& ids) {
  Rows kept;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(kept),
               [&](const ScoredPatient& row) { return ids.count(row.id) > 0; });
  return kept;
}

bool every_class_occurs(const Gathered& patients) {
  std::set<int32_t> labels(patients.labels.begin(), patients.labels.end());
  return static_cast<int>(labels.size()) == patients.class_count();
}

}  // namespace

Comparison compare_arms(const std::vector<Arm>& arms, const ComparisonOptions& options) {
  GG_CHECK(!arms.empty() && options.reference < arms.size(), "compare_arms: ", arms.size(),
           " arms, reference ", options.reference);
  std::vector<Rows> rows;
  for (const Arm& arm : arms) rows.push_back(merge_runs(arm.runs, arm.run_names));
  check_same_question(arms, rows);
  const std::set<std::string> common = common_ids(rows);

  Comparison out;
  out.reference = options.reference;
  out.common_patients = static_cast<int>(common.size());
  for (size_t a = 0; a < arms.size(); ++a) {
    ArmResult& result = out.arms.emplace_back();
    result.name = arms[a].name;
    result.note = arms[a].note;
    result.metrics = summarize(
        rows[a], arms[a].name,
        {.split = arms[a].split, .classes = options.classes, .bootstrap = options.bootstrap});
    const bool within = result.metrics.within_site;
    std::vector<double> seeds;
    for (size_t r = 0; r < arms[a].runs.size(); ++r) {
      const std::string& name = arms[a].run_names[r];
      seeds.push_back(macro_influence(gather(arms[a].runs[r], name), within, name).auc);
    }
    result.seeds = spread_of(seeds);
  }
  if (common.empty()) return out;

  const std::string& reference_name = arms[options.reference].name;
  const Gathered reference = gather(only(rows[options.reference], common), reference_name);
  if (!every_class_occurs(reference)) return out;
  const bool within = out.arms[options.reference].metrics.within_site;
  std::vector<double> reference_draws;
  std::vector<std::optional<double>> p;
  std::vector<size_t> tested;
  for (size_t a = 0; a < arms.size(); ++a) {
    ArmResult& result = out.arms[a];
    if (a == options.reference || result.metrics.within_site != within) continue;
    const Gathered patients = gather(only(rows[a], common), result.name);
    result.paired = paired_macro(patients, reference, within, result.name, reference_name);
    if (reference_draws.empty()) {
      reference_draws = macro_bootstrap_aucs(reference, within, reference_name, options.bootstrap);
    }
    std::vector<double> draws =
        macro_bootstrap_aucs(patients, within, result.name, options.bootstrap);
    for (size_t d = 0; d < draws.size(); ++d) draws[d] -= reference_draws[d];
    result.paired_bootstrap = percentile_interval(draws);
    p.push_back(result.paired->p);
    tested.push_back(a);
  }
  const std::vector<std::optional<double>> corrected = holm(p);
  for (size_t k = 0; k < tested.size(); ++k) out.arms[tested[k]].p_holm = corrected[k];
  return out;
}

}  // namespace gliograd::study
