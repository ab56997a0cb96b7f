#include "apps/cli/report/page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/cli/report/answers.hpp"
#include "apps/cli/report/charts.hpp"
#include "apps/cli/report/svg.hpp"

namespace gliograd::cli::report {
namespace {

std::string setting(const ReportData& report, const std::string& name) {
  const auto found = report.config.find(name);
  return found == report.config.end() ? std::string() : found->second;
}

// A range of AUCs that holds every interval of the page, for bars beside each other.
Range auc_range(const ReportData& report) {
  double low = 0.4, high = 1;
  for (const Arm& arm : report.arms) low = std::min({low, arm.auc, arm.ci ? arm.ci->low : arm.auc});
  return {std::floor(low * 10 + 1e-9) / 10, high};
}

double percent_of(const Range& range, double value) {
  return std::clamp(100 * (value - range.low) / (range.high - range.low), 0.0, 100.0);
}

// An interval as a bar with its point, on a line from range.low to range.high.
std::string track(const Range& range, double at, const std::optional<study::Interval>& interval) {
  std::string out = fmt::format(
      "<div class=\"track\"><i class=\"half\" style=\"left:{:.2f}%\"></i>", percent_of(range, 0.5));
  if (interval) {
    const double low = percent_of(range, interval->low), high = percent_of(range, interval->high);
    out +=
        fmt::format("<i class=\"span\" style=\"left:{:.2f}%;width:{:.2f}%\"></i>", low, high - low);
  }
  return out +
         fmt::format("<i class=\"at\" style=\"left:{:.2f}%\"></i></div>", percent_of(range, at));
}

std::string scale(const Range& range, int wanted = 4) {
  std::string out = "<div class=\"scale\">";
  for (const double tick : ticks(range, wanted)) {
    out += fmt::format("<span style=\"left:{:.2f}%\">{}</span>", percent_of(range, tick),
                       tick_text(tick));
  }
  return out + "</div>";
}

std::string figure(const std::string& title, const std::string& drawing,
                   const std::string& caption) {
  return fmt::format("<figure class=\"card\"><h3>{}</h3>\n{}<figcaption>{}</figcaption></figure>\n",
                     escape(title), drawing, escape(caption));
}

std::string absent(const ReportData& report, const std::string& title, const std::string& part) {
  const auto found = report.missing.find(part);
  const std::string why = found == report.missing.end() ? "not in this run" : found->second;
  return fmt::format("<div class=\"card\"><h3>{}</h3><p class=\"absent\">Left out: {}.</p></div>\n",
                     escape(title), escape(why));
}

std::string header(const ReportData& report) {
  std::string out = "<header>\n<p class=\"over\">gliograd \u00b7 cross-validation report</p>\n";
  out += fmt::format("<h1>{}</h1>\n<p class=\"facts\">{}</p>\n", escape(headline(report)),
                     escape(facts_line(report)));
  if (!report.note.empty())
    out += fmt::format("<p class=\"research\">{}</p>\n", escape(report.note));
  out +=
      "<p class=\"research\"><strong>Research use only.</strong> Not a medical device; not for "
      "diagnosis, prognosis or treatment.</p>\n</header>\n";
  return out;
}

std::string answers(const ReportData& report) {
  const Range range = auc_range(report);
  const study::Metrics& m = report.metrics;
  std::string out = "<div class=\"answers\">\n<div class=\"card hero\"><div>";
  out += fmt::format("<p class=\"over\">{}</p><div class=\"figure-number\">{:.3f}</div>",
                     report.binary ? "AUC" : "mean AUC, each class against the rest", m.auc);
  if (m.ci) {
    out += fmt::format("<p class=\"interval\"><span>95\u00a0%</span> {:.3f} to {:.3f}</p>",
                       m.ci->low, m.ci->high);
  }
  out += fmt::format("<p class=\"what\">{}</p></div>", escape(interval_line(m)));
  out += "<div>" + track(range, m.auc, m.ci) + scale(range, 5) + "</div></div>\n";
  out += "<div class=\"card questions\">\n";
  for (const Answer& answer : answers_of(report)) {
    const char* style = answer.verdict == Verdict::yes  ? "a yes"
                        : answer.verdict == Verdict::no ? "a no"
                                                        : "a";
    out += fmt::format(
        "<div><p class=\"q\">{}</p><p class=\"{}\">{}</p><p class=\"why\">{}</p></div>\n",
        escape(answer.question), style, escape(answer.answer), escape(answer.why));
  }
  return out + "</div>\n</div>\n";
}

std::string discrimination(const ReportData& report) {
  std::string out =
      "<section><h2>How well the scores tell patients apart</h2>\n<div class=\"grid\">\n";
  out += figure(
      "ROC", roc_chart(report),
      report.binary
          ? "Out-of-fold scores. The band is a pointwise 95\u00a0% bootstrap of patients: it says "
            "where the curve may be at one false positive rate."
          : "Out-of-fold scores, each class against all others.");
  out += figure("Scores by class", score_chart(report),
                "One dot a patient, scored by a network that had not seen that patient. Dashed: "
                "the median.");
  return out + "</div></section>\n";
}

std::string arm_row(const Arm& arm, const Range& range, bool own) {
  std::string out = own ? "<tr class=\"own\">" : "<tr>";
  out += fmt::format("<td>{}{}</td><td class=\"n wide\">{}</td><td class=\"n\">{:.3f}</td>",
                     escape(arm.name), arm.kind == "raw" ? " <span class=\"soft\">raw</span>" : "",
                     arm.n, arm.auc);
  out +=
      fmt::format("<td class=\"n\">{}</td><td class=\"range\">{}</td>",
                  arm.ci ? fmt::format("{:.2f}\u2013{:.2f}", arm.ci->low, arm.ci->high) : "\u2013",
                  track(range, arm.auc, arm.ci));
  if (own) return out + "<td class=\"n wide\"></td><td class=\"n\"></td></tr>\n";
  out += fmt::format("<td class=\"n wide\">{}</td>",
                     arm.paired ? signed_text(arm.paired->difference) : "\u2013");
  return out + fmt::format("<td class=\"n\">{}</td></tr>\n",
                           arm.p_holm ? escape(p_text(*arm.p_holm)) : "\u2013");
}

std::string comparison(const ReportData& report) {
  std::string out = "<section><h2>Against simpler predictors</h2>\n";
  if (report.arms.size() < 2) return out + absent(report, "Baselines", "arms") + "</section>\n";
  out +=
      "<p class=\"lead\">The same patients in the same folds. A network that does not beat the "
      "tumor\u2019s shape and the patient\u2019s age has not shown that it reads more from the "
      "images.</p>\n";
  const Range range = auc_range(report);
  out +=
      "<div class=\"card scroll\"><table class=\"arms\">\n<thead><tr><th>predictor</th>"
      "<th class=\"n wide\">patients</th><th class=\"n\">AUC</th><th class=\"n\">95\u00a0%</th>"
      "<th class=\"range\">" +
      scale(range, 5) +
      "</th><th class=\"n wide\">network \u2212 this</th>"
      "<th class=\"n\">p (Holm)</th></tr></thead>\n<tbody>\n";
  out += arm_row(report.arms.front(), range, true);
  for (const bool shortcut : {false, true}) {
    const bool any = std::any_of(report.arms.begin() + 1, report.arms.end(),
                                 [&](const Arm& arm) { return arm.shortcut == shortcut; });
    if (!any) continue;
    out +=
        fmt::format("<tr class=\"group\"><td colspan=\"7\">{}</td></tr>\n",
                    shortcut ? "Shortcuts: what should say nothing about the tumor, and a network "
                               "might live on"
                             : "Tumor shape and the patient");
    for (size_t i = 1; i < report.arms.size(); ++i) {
      if (report.arms[i].shortcut == shortcut) out += arm_row(report.arms[i], range, false);
    }
  }
  out += "</tbody></table></div>\n<p class=\"small soft\" style=\"margin-top:10px\">";
  out +=
      report.binary
          ? "Paired DeLong tests on the patients that both score, corrected by Holm for all rows. "
            "A raw feature is not fitted; its sign was fixed beforehand. The others are logistic "
            "regressions, prepared inside each fold."
          : "Mean of the one-against-rest AUCs; no paired test is made of means.";
  return out + "</p></section>\n";
}

std::string training(const ReportData& report) {
  std::string out = "<section><h2>Chance, and training</h2>\n<div class=\"grid\">\n";
  out += report.permutations.empty()
             ? absent(report, "Labels shuffled", "permutations")
             : figure("Labels shuffled", null_chart(report), permutation_line(report));
  out +=
      report.curves.empty()
          ? absent(report, "Learning curves", "curves")
          : figure(
                "Learning curves", loss_chart(report),
                "Thin: every fold; thick: their mean. Training loss includes what the sampler and "
                "the augmentation do, so it may start above the dashed line.");
  return out + "</div></section>\n";
}

std::string part_table(const std::vector<study::PartAuc>& parts, bool sites, bool repeats) {
  std::string out = "<div class=\"card scroll\"><h3>";
  out += sites ? "By site" : "By fold";
  out += "</h3><table>\n<thead><tr>";
  if (repeats && !sites) out += "<th class=\"n\">repeat</th>";
  out += sites ? "<th>site</th>" : "<th class=\"n\">fold</th>";
  out +=
      "<th class=\"n\">patients</th><th class=\"n\">positive</th><th class=\"n\">AUC</th>"
      "<th class=\"range\">" +
      scale({0, 1}, 2) + "</th></tr></thead>\n<tbody>\n";
  for (const study::PartAuc& part : parts) {
    out += "<tr>";
    if (repeats && !sites) out += fmt::format("<td class=\"n\">{}</td>", part.repeat);
    out += sites ? fmt::format("<td>{}</td>", escape(part.site.empty() ? "unknown" : part.site))
                 : fmt::format("<td class=\"n\">{}</td>", part.fold);
    out += fmt::format(
        "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "<td class=\"range\">{}</td></tr>\n",
        part.n, part.positives, part.auc ? fmt::format("{:.3f}", *part.auc) : "\u2013",
        part.auc ? track({0, 1}, *part.auc, std::nullopt) : "");
  }
  return out + "</tbody></table></div>\n";
}

std::string class_table(const std::vector<study::ClassMetrics>& classes) {
  std::string out =
      "<section><h2>Class by class</h2>\n<div class=\"card scroll\"><table>\n<thead><tr>"
      "<th>class</th><th class=\"n\">patients</th><th class=\"n\">AUC</th>"
      "<th class=\"n\">95\u00a0%</th><th class=\"range\">" +
      scale({0, 1}, 2) + "</th></tr></thead>\n<tbody>\n";
  for (const study::ClassMetrics& c : classes) {
    out += fmt::format(
        "<tr><td>{}{}</td><td class=\"n\">{}</td><td class=\"n\">{:.3f}</td>"
        "<td class=\"n\">{}</td><td class=\"range\">{}</td></tr>\n",
        escape(c.name), c.exploratory ? " (exploratory)" : "", c.positives, c.auc,
        c.ci ? fmt::format("{:.2f}\u2013{:.2f}", c.ci->low, c.ci->high) : "\u2013",
        track({0, 1}, c.auc, c.ci));
  }
  return out + "</tbody></table></div></section>\n";
}

std::string parts(const ReportData& report) {
  const study::Metrics& m = report.metrics;
  std::string out;
  if (!m.classes.empty()) out += class_table(m.classes);
  if (m.per_fold.empty() && m.per_site.empty()) return out;
  out +=
      "<section><h2>Folds and sites</h2>\n<p class=\"lead\">A fold or a site alone has few "
      "patients: "
      "its AUC scatters widely and is no estimate to quote.</p>\n";
  const bool both = !m.per_site.empty() && !m.per_fold.empty();
  if (both) out += "<div class=\"grid top\">\n";
  if (!m.per_fold.empty()) out += part_table(m.per_fold, false, report.patients.repeats.size() > 1);
  if (!m.per_site.empty()) out += part_table(m.per_site, true, false);
  return out + (both ? "</div>" : "") + "</section>\n";
}

std::string slices(const ReportData& report) {
  std::string out = "<section><h2>What the network saw</h2>\n";
  if (report.examples.empty())
    return out + absent(report, "Example slices", "examples") + "</section>\n";
  std::string channels;
  for (const std::string& name : report.examples.front().channels) {
    channels += (channels.empty() ? "" : ", ") + name;
  }
  out += fmt::format(
      "<p class=\"lead\">Each patient\u2019s slice with the most tumor, left to right: {}{}. "
      "Patients with the highest and the lowest scores of each class; brightness is "
      "stretched for the eye.</p>\n<div class=\"slices\">\n",
      escape(channels),
      report.examples.front().mask.empty() ? "" : "; the line is the mask\u2019s outline");
  for (const Example& example : report.examples) {
    out += fmt::format(
        "<div class=\"card\">{}<p><span>{}, slice {}<br/><span class=\"soft\">{}</span></span>"
        "<strong>{:.3f}</strong></p></div>\n",
        slice_chart(example), escape(example.patient), example.slice, escape(example.why),
        example.score);
  }
  return out + "</div></section>\n";
}

std::string configuration(const ReportData& report) {
  std::string out = "<section><h2>Configuration</h2>\n<div class=\"card\">\n";
  out += fmt::format("<pre>{}</pre>\n", escape(again_command(report)));
  // Settings first, then the tables that the run added (a dot in the name).
  for (const bool facts : {false, true}) {
    out += facts ? "<h3 style=\"margin-top:18px\">Data, machine, program</h3><dl>\n"
                 : "<h3>Settings</h3><dl>\n";
    for (const auto& [name, value] : report.config) {
      if ((name.find('.') != std::string::npos) != facts) continue;
      out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name),
                         value.empty() ? "\u2013" : escape(value));
    }
    out += "</dl>\n";
  }
  return out + "</div></section>\n";
}

std::string reading(const ReportData& report) {
  std::string out = "<section><h2>How to read this page</h2>\n<div class=\"card two small\">\n";
  for (const std::string& text : reading_notes(report)) out += "<p>" + escape(text) + "</p>\n";
  return out + "</div></section>\n";
}

std::string footer(const ReportData& report) {
  std::string made = "Made by gliograd " + setting(report, "provenance.version");
  if (!setting(report, "provenance.commit").empty()) {
    made += ", commit " + setting(report, "provenance.commit");
  }
  if (report.seconds)
    made += fmt::format(", {} of training in all", duration_text(*report.seconds));
  if (report.peak_bytes)
    made += fmt::format(", peak memory {:.0f} MiB", *report.peak_bytes / 1048576);
  return fmt::format("<footer>{}. Run folder: {}. Research use only.</footer>\n", escape(made),
                     escape(report.run));
}

}  // namespace

std::string report_page(const ReportData& report) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n";
  out +=
      fmt::format("<title>{} \u00b7 gliograd</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
                  escape(headline(report)), style_sheet());
  out += header(report) + answers(report) + discrimination(report) + comparison(report) +
         training(report) + parts(report) + slices(report) + configuration(report) +
         reading(report) + footer(report);
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace gliograd::cli::report
