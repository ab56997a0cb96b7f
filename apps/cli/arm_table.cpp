#include "apps/cli/arm_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace gliograd::cli {
namespace {

using nlohmann::ordered_json;
using study::ArmResult;
using study::Interval;
using study::Metrics;

using Row = std::vector<std::string>;

std::string text_of(const std::optional<Interval>& interval, bool sign = false) {
  if (!interval) return "–";
  return sign ? fmt::format("{:+.3f} to {:+.3f}", interval->low, interval->high)
              : fmt::format("{:.3f} to {:.3f}", interval->low, interval->high);
}

std::string text_of_p(const std::optional<double>& p) {
  if (!p) return "–";
  return *p < 0.0005 ? std::string("<0.001") : fmt::format("{:.3f}", *p);
}

std::string marks(const Metrics& m) {
  return std::string(m.exploratory ? " e" : "") + (m.within_site ? " w" : "") +
         (m.biased ? " b" : "");
}

std::string spread_text(const study::Spread& spread) {
  if (!spread.deviation) return "–";
  return fmt::format("{:.3f} ({:.3f} to {:.3f})", *spread.deviation, spread.low, spread.high);
}

// Which columns the table has.
struct Columns {
  bool seeds = false, splits = false, paired = false;
};

Row row_of(const ArmResult& arm, const Columns& columns) {
  const Metrics& m = arm.metrics;
  Row row = {arm.name,
             std::to_string(arm.seeds.count),
             std::to_string(m.n),
             m.classes.empty() ? std::to_string(m.positives) : "–",
             fmt::format("{:.3f}{}", m.auc, marks(m)),
             text_of(m.ci),
             text_of(m.bootstrap)};
  if (columns.seeds) row.push_back(spread_text(arm.seeds));
  if (columns.splits) row.push_back(spread_text(m.repeats));
  if (columns.paired && !arm.paired) row.insert(row.end(), {"–", "–", "–", "–"});
  if (columns.paired && arm.paired) {
    row.push_back(fmt::format("{:+.3f}", arm.paired->difference));
    row.push_back(text_of(arm.paired->interval, true));
    row.push_back(text_of_p(arm.paired->p));
    row.push_back(text_of_p(arm.p_holm));
  }
  return row;
}

// Width on a terminal: an en dash takes three bytes and one column.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      line += row[c] + std::string(widths[c] - width_of(row[c]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

ordered_json json_of(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return {interval->low, interval->high};
}
ordered_json json_of(const std::optional<double>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}
ordered_json json_of(const study::Spread& spread) {
  return {{"count", spread.count},
          {"mean", spread.mean},
          {"deviation", json_of(spread.deviation)},
          {"low", spread.low},
          {"high", spread.high}};
}

ordered_json json_of(const ArmResult& arm, bool paired) {
  const Metrics& m = arm.metrics;
  ordered_json out = {{"arm", arm.name},
                      {"runs", arm.seeds.count},
                      {"n", m.n},
                      {"positives", m.positives},
                      {"auc", m.auc},
                      {"ci_delong", json_of(m.ci)},
                      {"ci_bootstrap", json_of(std::optional<Interval>(m.bootstrap))},
                      {"seeds", json_of(arm.seeds)},
                      {"repeats", json_of(m.repeats)},
                      {"exploratory", m.exploratory},
                      {"within_site", m.within_site},
                      {"biased", m.biased}};
  if (!arm.note.empty()) out["note"] = arm.note;
  for (const study::ClassMetrics& c : m.classes) {
    out["classes"].push_back({{"class", c.name},
                              {"positives", c.positives},
                              {"auc", c.auc},
                              {"ci_delong", json_of(c.ci)},
                              {"ci_bootstrap", json_of(std::optional<Interval>(c.bootstrap))},
                              {"exploratory", c.exploratory}});
  }
  for (const study::PartAuc& part : m.per_site) {
    out["sites"].push_back({{"site", part.site},
                            {"n", part.n},
                            {"positives", part.positives},
                            {"auc", json_of(part.auc)}});
  }
  if (paired && arm.paired) {
    out["difference"] = {{"auc", arm.paired->difference},
                         {"ci_delong", json_of(arm.paired->interval)},
                         {"ci_bootstrap", json_of(arm.paired_bootstrap)},
                         {"p", json_of(arm.paired->p)},
                         {"p_holm", json_of(arm.p_holm)}};
  }
  return out;
}

}  // namespace

std::string arm_table(const study::Comparison& comparison, const ArmTableOptions& options) {
  const std::vector<ArmResult>& arms = comparison.arms;
  Columns columns;
  columns.paired = options.paired && arms.size() > 1;
  for (const ArmResult& arm : arms) {
    columns.seeds = columns.seeds || arm.seeds.count > 1;
    columns.splits = columns.splits || arm.metrics.repeats.count > arm.seeds.count;
  }
  Row header = {"arm", "runs", "n", "pos", "AUC", "95 % DeLong", "95 % bootstrap"};
  if (columns.seeds) header.push_back("sd over seeds");
  if (columns.splits) header.push_back("sd over splits");
  if (columns.paired) header.insert(header.end(), {"difference", "95 %", "p", "Holm"});
  std::vector<Row> rows = {header};
  std::set<std::string> notes;
  bool exploratory = false, within = false, biased = false, absent = false;
  for (const ArmResult& arm : arms) {
    rows.push_back(row_of(arm, columns));
    for (const study::ClassMetrics& c : arm.metrics.classes) {
      rows.push_back({"  class " + c.name, "", "", std::to_string(c.positives),
                      fmt::format("{:.3f}{}", c.auc, c.exploratory ? " e" : ""), text_of(c.ci),
                      text_of(c.bootstrap)});
    }
    if (!arm.note.empty()) notes.insert(arm.name + ": " + arm.note);
    exploratory = exploratory || arm.metrics.exploratory;
    within = within || arm.metrics.within_site;
    biased = biased || arm.metrics.biased;
    absent = absent || (arm.paired && !arm.paired->p);
  }
  std::string text = options.target.empty() ? "" : "target " + options.target + "\n";
  text += aligned(rows);
  text += "Intervals are given these models: other training patients or seeds are not in them.\n";
  if (columns.paired) {
    text += fmt::format(
        "Differences from {} on the {} patients of all arms: paired DeLong test, p as it is and "
        "after Holm.\n",
        arms[comparison.reference].name, comparison.common_patients);
  }
  if (exploratory) text += "e: a class has fewer than 20 patients; exploratory.\n";
  if (within) text += "w: leave-one-site-out; pairs of patients within one site.\n";
  if (biased) text += "b: pooled leave-one-patient-out is biased, each score has its own model.\n";
  if (absent) text += "–: the difference has no variance to judge it by.\n";
  for (const std::string& note : notes) text += note + "\n";
  return text;
}

std::string arm_json(const study::Comparison& comparison, const ArmTableOptions& options) {
  const bool paired = options.paired && comparison.arms.size() > 1;
  ordered_json out = {{"target", options.target}};
  if (paired) {
    out["reference"] = comparison.arms[comparison.reference].name;
    out["common_patients"] = comparison.common_patients;
  }
  for (const ArmResult& arm : comparison.arms) out["arms"].push_back(json_of(arm, paired));
  return out.dump(2) + "\n";
}

}  // namespace gliograd::cli
