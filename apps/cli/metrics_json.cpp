#include "apps/cli/metrics_json.hpp"

#include <sys/resource.h>

#include <nlohmann/json.hpp>

namespace gliograd::cli {
namespace {

using nlohmann::json;

json optional(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

json parts(const std::vector<study::PartAuc>& list) {
  json array = json::array();
  for (const study::PartAuc& part : list) {
    json one = {{"n", part.n}, {"positives", part.positives}, {"auc", optional(part.auc)}};
    if (part.site.empty()) {
      one["repeat"] = part.repeat;
      one["fold"] = part.fold;
    } else {
      one["site"] = part.site;
    }
    array.push_back(one);
  }
  return array;
}

json classes(const std::vector<study::ClassMetrics>& list) {
  json array = json::array();
  for (const study::ClassMetrics& c : list) {
    array.push_back({{"class", c.name},
                     {"auc", c.auc},
                     {"ci_low", c.ci ? json(c.ci->low) : json(nullptr)},
                     {"ci_high", c.ci ? json(c.ci->high) : json(nullptr)},
                     {"positives", c.positives},
                     {"exploratory", c.exploratory}});
  }
  return array;
}

}  // namespace

std::string metrics_json(const RunMetrics& run) {
  const study::Metrics& m = run.metrics;
  json out = {{"auc", m.auc},
              {"ci_low", m.ci ? json(m.ci->low) : json(nullptr)},
              {"ci_high", m.ci ? json(m.ci->high) : json(nullptr)},
              {"ci_method", m.ci_method},
              {"bootstrap_low", m.bootstrap.low},
              {"bootstrap_high", m.bootstrap.high},
              {"n", m.n},
              {"positives", m.positives},
              {"per_fold", parts(m.per_fold)},
              {"seconds", run.seconds},
              {"peak_bytes", run.peak_bytes}};
  if (!m.per_site.empty()) out["per_site"] = parts(m.per_site);
  if (!m.classes.empty()) out["classes"] = classes(m.classes);
  if (m.exploratory) out["exploratory"] = true;
  if (m.within_site) out["within_site_pairs"] = true;
  if (m.biased) out["biased"] = true;
  if (run.assumed_disjoint) out["assumed_disjoint"] = true;
  if (!run.permutations.empty()) {
    std::vector<double> values;
    double sum = 0;
    for (const auto& [index, auc] : run.permutations) {
      values.push_back(auc);
      sum += auc;
    }
    out["permutation"] = {{"n", values.size()},
                          {"mean", sum / static_cast<double>(values.size())},
                          {"p", study::permutation_p(m.auc, values)}};
  }
  return out.dump(2) + "\n";
}

int64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace gliograd::cli
