#include "apps/cli/report/charts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/cli/report/svg.hpp"

namespace gliograd::cli::report {
namespace {

constexpr double kWidth = 460, kSquare = 430, kLow = 330;

// A patient's score, mean over repeats, of column c.
std::vector<double> mean_scores(const study::Gathered& patients, int column) {
  std::vector<double> scores(patients.ids.size(), 0);
  for (const auto& repeat : patients.scores) {
    for (size_t i = 0; i < scores.size(); ++i) {
      scores[i] += repeat[column][i] / static_cast<double>(patients.scores.size());
    }
  }
  return scores;
}

double median(std::vector<double> values) { return study::quantile(std::move(values), 0.5); }

// Class 0 of two is "the rest"; others take the colors in turn.
std::string color(const ReportData& report, int label) {
  if (report.binary) return label == 1 ? "c1" : "c0";
  return fmt::format("c{}", 1 + label % 6);
}

struct Lane {
  std::string name;
  std::string style;
  std::vector<std::pair<double, std::string>> dots;  // score and patient
};

// Dots of one lane stacked upward in bins, so that each patient is seen.
void draw_lane(Svg& svg, const Plot& plot, const Lane& lane, double base, double height) {
  constexpr int kBins = 38;
  std::vector<std::vector<const std::pair<double, std::string>*>> bins(kBins);
  for (const auto& dot : lane.dots) {
    const int bin = std::clamp(static_cast<int>(dot.first * kBins), 0, kBins - 1);
    bins[bin].push_back(&dot);
  }
  size_t most = 1;
  for (auto& bin : bins) most = std::max(most, bin.size());
  const double pitch = (plot.right() - plot.left()) / kBins;
  const double step = std::min(pitch, height / static_cast<double>(most));
  const double radius = std::max(1.2, 0.46 * pitch);
  svg.line(plot.left(), base, plot.right(), base, "axis");
  for (int b = 0; b < kBins; ++b) {
    std::sort(bins[b].begin(), bins[b].end(),
              [](const auto* a, const auto* c) { return a->second < c->second; });
    for (size_t k = 0; k < bins[b].size(); ++k) {
      svg.circle(plot.left() + (b + 0.5) * pitch, base - radius - 1 - static_cast<double>(k) * step,
                 radius, "dot " + lane.style,
                 fmt::format("{}: {:.3f}", bins[b][k]->second, bins[b][k]->first));
    }
  }
}

std::vector<Lane> lanes_of(const ReportData& report) {
  std::vector<Lane> lanes;
  const study::Gathered& patients = report.patients;
  const int count = patients.class_count();
  for (int label = count - 1; label >= 0; --label) {
    const std::vector<double> scores = mean_scores(patients, report.binary ? 0 : label);
    Lane lane;
    lane.style = color(report, label);
    for (size_t i = 0; i < scores.size(); ++i) {
      if (patients.labels[i] == label) lane.dots.emplace_back(scores[i], patients.ids[i]);
    }
    if (lane.dots.empty()) continue;
    std::vector<double> values;
    for (const auto& dot : lane.dots) values.push_back(dot.first);
    lane.name = fmt::format("{}: {} patients, median {:.2f}", report.classes[label],
                            lane.dots.size(), median(values));
    lanes.push_back(std::move(lane));
  }
  return lanes;
}

// The mean of the curves at each epoch that all of them have.
template <class Value>
Points mean_curve(const std::vector<std::vector<Epoch>>& curves, const Value& value) {
  Points mean;
  size_t common = curves.front().size();
  for (const auto& curve : curves) common = std::min(common, curve.size());
  for (size_t e = 0; e < common; ++e) {
    double sum = 0;
    for (const auto& curve : curves) sum += value(curve[e]);
    mean.emplace_back(curves.front()[e].number, sum / static_cast<double>(curves.size()));
  }
  return mean;
}

}  // namespace

std::string roc_chart(const ReportData& report) {
  Svg svg(kWidth, kSquare, "ROC curve, true positive rate by false positive rate");
  const Plot plot(svg, {0, 1}, {0, 1}, "false positive rate (1 \u2212 specificity)",
                  "true positive rate (sensitivity)");
  svg.line(plot.x(0), plot.y(0), plot.x(1), plot.y(1), "chance");
  double y = plot.bottom() - 16;
  for (size_t c = report.roc.size(); c-- > 0;) {
    const std::vector<study::RocPoint>& points = report.roc[c];
    const std::string style = report.binary ? "c1" : color(report, static_cast<int>(c));
    Points curve, band, back;
    // A curve through grid points starts at the origin, whatever its first vertex is.
    curve.emplace_back(0, 0);
    for (const study::RocPoint& point : points) {
      curve.emplace_back(point.false_positive_rate, point.true_positive_rate);
      band.emplace_back(point.false_positive_rate, point.low);
      back.emplace_back(point.false_positive_rate, point.high);
    }
    band.insert(band.end(), back.rbegin(), back.rend());
    if (report.binary) svg.polygon(plot.map(band), "band " + style);
    svg.polyline(plot.map(curve), "curve " + style);
    const std::string name = report.binary ? "AUC" : report.classes[c];
    const double auc = report.binary ? report.metrics.auc : report.metrics.classes[c].auc;
    const auto& ci = report.binary ? report.metrics.ci : report.metrics.classes[c].ci;
    std::string text = fmt::format("{} {:.3f}", name, auc);
    if (ci && !report.binary) text += fmt::format(" ({:.2f}\u2013{:.2f})", ci->low, ci->high);
    svg.text(plot.right() - 12, y, text, (report.binary ? "big " : "strong ") + style, Anchor::end);
    y -= 19;
  }
  if (report.binary && report.metrics.ci) {
    svg.text(
        plot.right() - 12, plot.bottom() - 42,
        fmt::format("95\u00a0% {:.3f} to {:.3f}", report.metrics.ci->low, report.metrics.ci->high),
        "tick", Anchor::end);
  }
  return svg.str();
}

std::string score_chart(const ReportData& report) {
  const std::vector<Lane> lanes = lanes_of(report);
  Svg svg(kWidth, kSquare, "Score of every patient, by class");
  const Plot plot(svg, {0, 1}, {0, 1},
                  report.binary ? "score (probability of " + report.classes[1] + ")"
                                : "score of the patient's own class",
                  "");
  const double lane_height = (plot.bottom() - plot.top()) / static_cast<double>(lanes.size());
  for (size_t k = 0; k < lanes.size(); ++k) {
    const double base = plot.top() + static_cast<double>(k + 1) * lane_height;
    draw_lane(svg, plot, lanes[k], base, lane_height - 30);
    std::vector<double> values;
    for (const auto& dot : lanes[k].dots) values.push_back(dot.first);
    const double x = plot.x(median(values));
    svg.line(x, base - lane_height + 26, x, base, "median " + lanes[k].style);
    svg.text(plot.left() + 6, base - lane_height + 18, lanes[k].name, "strong " + lanes[k].style);
  }
  return svg.str();
}

std::string loss_chart(const ReportData& report) {
  if (report.curves.empty()) return "";
  const auto train = [](const Epoch& e) { return e.train_loss; };
  const auto inner = [](const Epoch& e) { return e.inner_loss; };
  bool has_inner = true;
  double high = 0, last = 1;
  for (const auto& curve : report.curves) {
    for (const Epoch& epoch : curve) {
      has_inner = has_inner && std::isfinite(epoch.inner_loss);
      last = std::max(last, epoch.number);
      for (const double value : {epoch.train_loss, epoch.inner_loss}) {
        if (std::isfinite(value)) high = std::max(high, value);
      }
    }
  }
  const double guess = std::log(static_cast<double>(report.patients.class_count()));
  high = std::min(std::max(high, guess) * 1.06, 4 * guess);
  Svg svg(kWidth, kLow, "Log-loss by epoch, every fold and their mean");
  const Plot plot(svg, {1, std::max(2.0, last)}, {0, high}, "epoch", "log-loss", 6, 4);
  svg.line(plot.left(), plot.y(guess), plot.right(), plot.y(guess), "chance");
  svg.text(plot.right() - 4, plot.y(guess) - 5, "knowing nothing", "tick", Anchor::end);
  const auto draw = [&](const auto& value, const std::string& style) {
    for (const auto& curve : report.curves) {
      Points points;
      for (const Epoch& epoch : curve) points.emplace_back(epoch.number, value(epoch));
      svg.polyline(plot.map(points), "thin " + style);
    }
    svg.polyline(plot.map(mean_curve(report.curves, value)), "curve " + style);
  };
  draw(train, "c2");
  svg.text(plot.left() + 8, plot.bottom() - 10, "training", "strong c2");
  if (has_inner) {
    draw(inner, "c1");
    svg.text(plot.left() + 100, plot.bottom() - 10, "inner validation", "strong c1");
  }
  return svg.str();
}

std::string null_chart(const ReportData& report) {
  if (report.permutations.empty()) return "";
  const auto [least, most] =
      std::minmax_element(report.permutations.begin(), report.permutations.end());
  const double low = std::floor(std::min({*least, report.metrics.auc, 0.4}) * 10 - 0.2) / 10;
  const double high = std::ceil(std::max({*most, report.metrics.auc, 0.6}) * 10 + 0.2) / 10;
  const Range range{std::max(0.0, low), std::min(1.0, high)};
  const double width = 0.025;
  const int bins = static_cast<int>(std::ceil((range.high - range.low) / width - 1e-9));
  std::vector<int> counts(bins, 0);
  for (const double auc : report.permutations) {
    ++counts[std::clamp(static_cast<int>((auc - range.low) / width), 0, bins - 1)];
  }
  const int tallest = *std::max_element(counts.begin(), counts.end());
  Svg svg(kWidth, kLow, "Histogram of AUCs under shuffled labels, and the observed one");
  const Plot plot(svg, range, {0, tallest * 1.25}, "AUC", "shuffles", 6, std::min(4, tallest));
  for (int b = 0; b < bins; ++b) {
    if (counts[b] == 0) continue;
    const double x = plot.x(range.low + b * width);
    const double next = plot.x(std::min(range.high, range.low + (b + 1) * width));
    svg.rect(x + 0.75, plot.y(counts[b]), next - x - 1.5, plot.bottom() - plot.y(counts[b]),
             "bar c0");
  }
  svg.line(plot.x(0.5), plot.top(), plot.x(0.5), plot.bottom(), "chance");
  const double x = plot.x(report.metrics.auc);
  svg.line(x, plot.top(), x, plot.bottom(), "mark c1");
  const bool on_left = report.metrics.auc > (range.low + range.high) / 2;
  svg.text(x + (on_left ? -7 : 7), plot.top() + 14,
           fmt::format("observed {:.3f}", report.metrics.auc), "strong c1",
           on_left ? Anchor::end : Anchor::start);
  return svg.str();
}

std::string slice_chart(const Example& example) {
  const double scale = 2, gap = 6;  // view-box units a pixel, so that outlines can be fine
  const double w = static_cast<double>(example.width) * scale,
               h = static_cast<double>(example.height) * scale;
  const auto count = static_cast<double>(example.gray.size());
  Svg frame(count * w + (count - 1) * gap, h, "Slices of patient " + example.patient);
  std::string text = frame.str();
  text.resize(text.rfind("</svg>"));
  const std::string outline = outline_path(example.mask, example.height, example.width);
  for (size_t c = 0; c < example.gray.size(); ++c) {
    const std::string x = coordinate(static_cast<double>(c) * (w + gap));
    text += fmt::format("<image x=\"{}\" y=\"0\" width=\"{}\" height=\"{}\" href=\"{}\"/>\n", x,
                        coordinate(w), coordinate(h),
                        png_uri(example.gray[c], example.height, example.width));
    if (!outline.empty()) {
      text += fmt::format(
          "<path class=\"outline\" transform=\"translate({} 0) scale({})\" d=\"{}\"/>\n", x,
          coordinate(scale), outline);
    }
  }
  return text + "</svg>\n";
}

}  // namespace gliograd::cli::report
