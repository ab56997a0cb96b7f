#include "apps/cli/report/answers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gliograd::cli::report {
namespace {

constexpr double kAlpha = 0.05;

std::string setting(const ReportData& report, const std::string& name) {
  const auto found = report.config.find(name);
  return found == report.config.end() ? std::string() : found->second;
}

std::string plural(int64_t n, const std::string& noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Answer than_chance(const ReportData& report) {
  const study::Metrics& m = report.metrics;
  Answer out{"Better than chance?", "Not shown", "", Verdict::open};
  if (!m.ci) {
    out.why = "A class has too few patients for an interval.";
  } else if (m.ci->low > 0.5) {
    out.answer = "Yes";
    out.verdict = Verdict::yes;
    out.why = fmt::format("The 95\u00a0% interval, {:.3f} to {:.3f}, lies above 0.5.", m.ci->low,
                          m.ci->high);
  } else if (m.ci->high < 0.5) {
    out.answer = "No: worse than guessing";
    out.verdict = Verdict::no;
    out.why = fmt::format("The 95\u00a0% interval, {:.3f} to {:.3f}, lies below 0.5.", m.ci->low,
                          m.ci->high);
  } else {
    out.why =
        fmt::format("The 95\u00a0% interval, {:.3f} to {:.3f}, holds 0.5.", m.ci->low, m.ci->high);
  }
  if (!report.permutations.empty()) out.why += " " + permutation_line(report);
  if (m.exploratory) {
    out.why +=
        fmt::format(" A class has fewer than {} patients: exploratory.", study::kExploratoryBelow);
  }
  return out;
}

// The strongest of what describes shape and age; shortcuts are no yardstick.
const Arm* strongest(const ReportData& report) {
  const Arm* best = nullptr;
  for (size_t i = 1; i < report.arms.size(); ++i) {
    const Arm& arm = report.arms[i];
    if (!arm.shortcut && (best == nullptr || arm.auc > best->auc)) best = &arm;
  }
  return best;
}

Answer than_baselines(const ReportData& report) {
  Answer out{"Better than tumor shape and age?", "Not known", "", Verdict::open};
  const Arm* best = strongest(report);
  if (best == nullptr) {
    const auto found = report.missing.find("arms");
    out.why = found == report.missing.end() ? "The set has neither shape nor age."
                                            : "No baselines: " + found->second + ".";
    return out;
  }
  const std::string reaches = fmt::format(
      "The strongest of them, {}, reaches {:.3f}{}", best->name, best->auc,
      best->ci ? fmt::format(" ({:.2f}\u2013{:.2f})", best->ci->low, best->ci->high) : "");
  if (!best->paired) {
    out.answer = best->auc > report.metrics.auc ? "No" : "Not tested";
    out.why = reaches + ", the network " + fmt::format("{:.3f}.", report.metrics.auc);
    return out;
  }
  const study::PairedTest& test = *best->paired;
  out.why = reaches + fmt::format("; the network is {:.3f} {}", std::abs(test.difference),
                                  test.difference >= 0 ? "above" : "below");
  if (test.interval) {
    out.why += fmt::format(" (95\u00a0% {} to {}", signed_text(test.interval->low),
                           signed_text(test.interval->high));
    out.why += best->p_holm ? fmt::format(", p {} after Holm)", p_text(*best->p_holm)) : ")";
  }
  out.why += fmt::format(" on the same {} patients.", best->n);
  const bool sure = best->p_holm && *best->p_holm < kAlpha;
  if (sure && test.difference > 0) {
    out.answer = "Yes";
    out.verdict = Verdict::yes;
  } else if (sure) {
    out.answer = "No: worse";
    out.verdict = Verdict::no;
  } else {
    out.answer = "Not shown";
  }
  return out;
}

Answer looks(const ReportData& report) {
  Answer out{"How often has one looked?", "Not known", "", Verdict::open};
  if (!report.looks) {
    const auto found = report.missing.find("looks");
    out.why = found == report.missing.end() ? "" : "No count: " + found->second + ".";
    return out;
  }
  const int count = report.looks->count;
  out.answer = count == 1 ? "Once" : count == 2 ? "Twice" : fmt::format("{} times", count);
  out.why =
      fmt::format("Outer evaluations of {} on this set, this one included, by the ledger {}. {}",
                  report.target, report.looks->ledger,
                  count > 1 ? "The best of several looks is too good on average."
                            : "The first look is the honest one.");
  if (count == 0) {
    out.answer = "Never recorded";
    out.why =
        fmt::format("The ledger {} holds no look at {}.", report.looks->ledger, report.target);
  }
  return out;
}

std::string split_text(const ReportData& report) {
  const std::string split = setting(report, "split");
  const auto repeats = static_cast<int64_t>(report.patients.repeats.size());
  int folds = 0;
  for (const auto& repeat : report.patients.folds) {
    for (const int32_t fold : repeat) folds = std::max(folds, fold + 1);
  }
  std::string text = split == "site"      ? "leave one site out"
                     : split == "patient" ? "leave one patient out"
                                          : plural(folds, "fold") + " by patient";
  if (repeats > 1) text += fmt::format(", {} repeats", repeats);
  return text;
}

}  // namespace

std::vector<Answer> answers_of(const ReportData& report) {
  return {than_chance(report), than_baselines(report), looks(report)};
}

std::string headline(const ReportData& report) {
  if (report.classes.front() == "rest") return report.classes[1] + " against the rest";
  if (report.binary) return report.classes[1] + " against " + report.classes[0];
  return report.target + ", all classes";
}

std::string facts_line(const ReportData& report) {
  const study::Metrics& m = report.metrics;
  std::string text = plural(m.n, "patient");
  if (report.binary) text += fmt::format(", {} of them {}", m.positives, report.classes[1]);
  text += " \u00b7 " + split_text(report);
  if (const std::string model = setting(report, "model"); !model.empty()) {
    const std::string init = setting(report, "init");
    text += fmt::format(" \u00b7 network {}, {}", model,
                        init.empty() ? "from random weights" : "from " + init);
  }
  if (const std::string seed = setting(report, "seed"); !seed.empty())
    text += " \u00b7 seed " + seed;
  if (const std::string date = setting(report, "provenance.date"); date.size() >= 10) {
    text += " \u00b7 " + date.substr(0, 10);
  }
  return text;
}

std::string interval_line(const study::Metrics& m) {
  std::string text = m.ci ? "By DeLong; the " : "The ";
  text += fmt::format("bootstrap of patients gives {:.3f} to {:.3f}. Both are given these models.",
                      m.bootstrap.low, m.bootstrap.high);
  if (m.repeats.count > 1) {
    text += fmt::format(" Mean of {} repeats, from {:.3f} to {:.3f}.", m.repeats.count,
                        m.repeats.low, m.repeats.high);
  }
  if (m.within_site) text += " Only pairs of one site are compared.";
  if (m.biased) text += " Pooled leave-one-patient-out is biased.";
  return text;
}

std::string permutation_line(const ReportData& report) {
  const auto n = static_cast<int>(report.permutations.size());
  const double p = study::permutation_p(report.metrics.auc, report.permutations);
  const bool least = p <= 1.0 / (n + 1) + 1e-12;
  return fmt::format("With labels shuffled {} times the mean is {:.3f}, and p = {:.3g}{}.", n,
                     mean(report.permutations), p,
                     least ? fmt::format(", the least that {} shuffles can give", n) : "");
}

std::string again_command(const ReportData& report) {
  std::string data = setting(report, "run.data");
  if (data.empty()) data = "FILE.h5";
  return fmt::format("gliograd crossval --config {}/config.toml --data {} --out RUN", report.run,
                     data);
}

std::vector<std::string> reading_notes(const ReportData& report) {
  std::vector<std::string> notes = {
      "AUC is the chance that a patient of the class is scored above one who is not, ties one "
      "half; "
      "0.5 is guessing. It is computed from the scores as written, pooled out of fold.",
      "The unit is the patient. No slice of a test patient was seen in training, in choosing the "
      "epoch, or in any statistic used across patients.",
      "Intervals are given these models: they hold the chance of which patients were drawn, not "
      "what "
      "another seed, another split or other training patients would have changed. Seeds alone move "
      "AUCs of small cohorts by several hundredths.",
      "Scores are probabilities under balanced classes. A patient\u2019s score is the mean over "
      "slices.",
      "Every outer evaluation of a target is a look. With many looks the best one is too good by "
      "chance, so the ledger counts them.",
  };
  const std::string mask = setting(report, "run.mask-source");
  if (mask == "manual") {
    notes.emplace_back(
        "Windows were cut around manual masks: even without a mask channel the network was told "
        "where "
        "the tumor is.");
  }
  if (report.metrics.within_site) {
    notes.emplace_back(
        "Leave one site out: each site was scored by a network that never saw that "
        "site, and only pairs of one site are compared.");
  }
  return notes;
}

std::string p_text(double p) { return p < 0.001 ? "< 0.001" : fmt::format("{:.3f}", p); }

std::string signed_text(double value) {
  std::string digits = fmt::format("{:.3f}", std::abs(value));
  if (digits == "0.000") return digits;
  return (value < 0 ? "\u2212" : "+") + digits;
}

std::string duration_text(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(seconds));
  if (total >= 3600) return fmt::format("{} h {:02} min", total / 3600, total / 60 % 60);
  if (total >= 60) return fmt::format("{} min {:02} s", total / 60, total % 60);
  return fmt::format("{} s", total);
}

}  // namespace gliograd::cli::report
