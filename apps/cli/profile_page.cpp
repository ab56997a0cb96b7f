#include "apps/cli/profile_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/cli/report/page.hpp"
#include "apps/cli/report/svg.hpp"

namespace gliograd::cli {
namespace {

using nlohmann::json;
using report::Anchor;
using report::escape;
using report::Svg;
using study::Profile;
using study::ProfileRow;
using study::Timing;

json to_json(const Timing& s) { return {{"median", s.median}, {"low", s.low}, {"high", s.high}}; }

double rate(double amount, double ms) { return ms > 0 ? amount * 1e-6 / ms : 0; }

json to_json(const Profile& p, const ProfileRow& row) {
  json launches = json::array();
  for (const study::ProfiledLaunch& one : row.launches) {
    launches.push_back({{"name", one.name},
                        {"shape", one.shape},
                        {"ms", to_json(one.ms)},
                        {"bytes", one.cost.bytes},
                        {"ops", one.cost.ops},
                        {"registers", one.facts.registers},
                        {"local_bytes", one.facts.local_bytes},
                        {"occupancy", one.facts.occupancy},
                        {"peak_share", p.peak_share(one.cost, one.ms.median)}});
  }
  const double ms = row.ms.median;
  return {{"pass", row.pass},
          {"op", row.op},
          {"layer", row.layer},
          {"result", row.shape},
          {"ms", to_json(row.ms)},
          {"bytes", row.cost.bytes},
          {"ops", row.cost.ops},
          {"gb_s", rate(row.cost.bytes, ms)},
          {"gflop_s", rate(row.cost.ops, ms)},
          {"peak_share", p.peak_share(row.cost, ms)},
          {"bound", p.computes(row.cost) ? "product" : "copy"},
          {"by", row.by},
          {"saved_bytes", row.saved_bytes},
          {"launches", launches}};
}

std::string title_of(const Profile& p) {
  const study::ProfileOptions& o = p.options;
  return fmt::format("{}, {}\u00b2, batch {}, {}", o.model, o.size, o.batch, o.dtype);
}

std::string place_of(const Profile& p) {
  return p.options.device == Device::cuda
             ? p.machine
             : fmt::format("{}, {} thread{}, {}", p.machine, p.options.threads,
                           p.options.threads == 1 ? "" : "s", p.libraries);
}

double total_ms(const Profile& p) {
  double total = 0;
  for (const ProfileRow& row : p.rows) total += row.ms.median;
  return total;
}

// ---- the roofline -----------------------------------------------------------------------------

const char* color_of(const std::string& pass) {
  return pass == "forward" ? "c1" : pass == "backward" ? "c2" : pass == "update" ? "c3" : "c4";
}

std::string name_of(const ProfileRow& row) {
  return row.layer.empty() ? row.op : row.op + " " + row.layer;
}

// A power of ten for people: 0.01, 1, 1000.
std::string decade(int power) {
  return power < 0 ? fmt::format("{:.{}f}", std::pow(10.0, power), -power)
                   : fmt::format("{:.0f}", std::pow(10.0, power));
}

// Both axes by powers of ten.
class LogPlot {
 public:
  LogPlot(Svg& svg, int left, int right, int bottom, int top)
      : svg_(svg), left_(left), right_(right), bottom_(bottom), top_(top) {
    for (int power = left; power <= right; ++power) {
      const double at = x(std::pow(10.0, power));
      svg.line(at, kTop, at, svg.height() - kBottom, "rule");
      svg.text(at, svg.height() - kBottom + 17, decade(power), "tick", Anchor::middle);
    }
    for (int power = bottom; power <= top; ++power) {
      const double at = y(std::pow(10.0, power));
      svg.line(kLeft, at, svg.width() - kRight, at, "rule");
      svg.text(kLeft - 7, at + 4, decade(power), "tick", Anchor::end);
    }
    svg.text((kLeft + svg.width() - kRight) / 2, svg.height() - 8, "operations a byte", "label",
             Anchor::middle);
    svg.text_upward(14, (kTop + svg.height() - kBottom) / 2, "GFLOP/s", "label");
  }
  double x(double value) const {
    return kLeft + (std::log10(value) - left_) / (right_ - left_) * (svg_.width() - kLeft - kRight);
  }
  double y(double value) const {
    const double share = (std::log10(value) - bottom_) / (top_ - bottom_);
    return svg_.height() - kBottom - share * (svg_.height() - kTop - kBottom);
  }
  double low_x() const { return std::pow(10.0, left_); }
  double high_x() const { return std::pow(10.0, right_); }

 private:
  static constexpr double kTop = 16, kRight = 20, kBottom = 46, kLeft = 68;
  Svg& svg_;
  int left_, right_, bottom_, top_;
};

struct Dot {
  const ProfileRow* row;
  double intensity, gflop_s;
  double share;  // of the step
};

// The longest first; those of a thousandth of the step and less are left out.
std::vector<Dot> dots_of(const Profile& p) {
  const double total = total_ms(p);
  std::vector<Dot> dots;
  for (const ProfileRow& row : p.rows) {
    if (row.cost.bytes <= 0 || row.cost.ops <= 0 || row.ms.median < 1e-3 * total) continue;
    dots.push_back({&row, row.cost.ops / row.cost.bytes, rate(row.cost.ops, row.ms.median),
                    row.ms.median / total});
  }
  std::sort(dots.begin(), dots.end(), [](const Dot& a, const Dot& b) { return a.share > b.share; });
  return dots;
}

constexpr size_t kNumbered = 10;  // dots with a number and a name

std::string roofline(const Profile& p, const std::vector<Dot>& dots) {
  double left = 0.1, right = 100, bottom = 1, top = p.product_gflop_s;
  for (const Dot& dot : dots) {
    left = std::min(left, dot.intensity);
    right = std::max(right, dot.intensity);
    bottom = std::min(bottom, dot.gflop_s);
    top = std::max(top, dot.gflop_s);
  }
  const auto below = [](double v) { return static_cast<int>(std::floor(std::log10(v))); };
  const auto above = [](double v) { return static_cast<int>(std::ceil(std::log10(1.2 * v))); };
  Svg svg(1000, 520, "Roofline: operations a second by operations a byte");
  const LogPlot plot(svg, below(left), above(right), below(bottom), above(top));
  if (p.copy_gb_s > 0) {
    const double ridge = p.product_gflop_s / p.copy_gb_s;
    svg.polyline({{plot.x(plot.low_x()), plot.y(plot.low_x() * p.copy_gb_s)},
                  {plot.x(ridge), plot.y(p.product_gflop_s)},
                  {plot.x(plot.high_x()), plot.y(p.product_gflop_s)}},
                 "curve c0");
    svg.text(plot.x(plot.high_x()) - 6, plot.y(p.product_gflop_s) - 8,
             fmt::format("product, {:.0f} GFLOP/s", p.product_gflop_s), "tick", Anchor::end);
    svg.text(plot.x(2 * plot.low_x()) + 12, plot.y(2 * plot.low_x() * p.copy_gb_s) + 6,
             fmt::format("copy, {:.1f} GB/s", p.copy_gb_s), "tick");
  }
  std::vector<std::pair<double, double>> labels;
  for (const Dot& dot : dots) {
    const double x = plot.x(dot.intensity), y = plot.y(dot.gflop_s);
    const double radius = 3 + 30 * std::sqrt(dot.share) / 2;
    svg.circle(x, y, radius, fmt::format("dot {}", color_of(dot.row->pass)),
               fmt::format("{}, {}: {:.3f} ms, {:.1f} % of the step, {:.1f} GFLOP/s, {:.1f} GB/s, "
                           "{:.0f} % of the peak",
                           name_of(*dot.row), dot.row->pass, dot.row->ms.median, 100 * dot.share,
                           dot.gflop_s, rate(dot.row->cost.bytes, dot.row->ms.median),
                           100 * p.peak_share(dot.row->cost, dot.row->ms.median)));
    if (labels.size() == kNumbered) continue;
    // Below its dot, and below any number that stands there already.
    double at = y + radius + 12;
    const auto taken = [&](double v) {
      return std::any_of(labels.begin(), labels.end(), [&](const auto& one) {
        return std::abs(one.first - x) < 18 && std::abs(one.second - v) < 13;
      });
    };
    while (taken(at)) at += 13;
    labels.emplace_back(x, at);
    svg.text(x, at, std::to_string(labels.size()), "tick", Anchor::middle);
  }
  return svg.str();
}

std::string names(const std::vector<Dot>& dots) {
  std::string out = "<p class=\"small\">";
  for (size_t i = 0; i < dots.size() && i < kNumbered; ++i) {
    out += fmt::format("{}<b>{}</b>&nbsp;{}, {}, {:.1f}&nbsp;%", i > 0 ? " &ensp; " : "", i + 1,
                       escape(name_of(*dots[i].row)), dots[i].row->pass, 100 * dots[i].share);
  }
  return out + "</p>\n";
}

std::string legend() {
  std::string out = "<p class=\"small\">";
  for (const char* pass : {"input", "forward", "backward", "update"}) {
    Svg mark(12, 12, pass);
    mark.circle(6, 6, 5, color_of(pass));
    std::string drawn = mark.str();
    drawn.replace(0, 4, "<svg style=\"width:0.8em;display:inline-block\"");
    out += drawn + fmt::format(" {}&emsp;", pass);
  }
  return out + "</p>\n";
}

// ---- the table --------------------------------------------------------------------------------

std::string table(const Profile& p) {
  const double total = total_ms(p);
  double longest = 0;
  for (const ProfileRow& row : p.rows) longest = std::max(longest, row.ms.median);
  std::string out =
      "<div class=\"card scroll\"><table>\n<thead><tr><th>op</th><th>result</th>"
      "<th class=\"n\">ms</th><th class=\"n\">quartiles</th><th "
      "style=\"min-width:110px\">share</th>"
      "<th class=\"n\">MB</th><th class=\"n\">MFLOP</th><th class=\"n\">GB/s</th>"
      "<th class=\"n\">GFLOP/s</th><th class=\"n\">of peak</th><th class=\"n\">kept MB</th>"
      "<th>by</th></tr></thead>\n<tbody>\n";
  std::string pass;
  for (const ProfileRow& row : p.rows) {
    if (row.pass != pass) {
      pass = row.pass;
      out += fmt::format("<tr class=\"group\"><td colspan=\"12\">{}</td></tr>\n", pass);
    }
    const double ms = row.ms.median, share = p.peak_share(row.cost, ms);
    const auto cell = [](double value, int digits) {
      return value > 0 ? fmt::format("<td class=\"n\">{:.{}f}</td>", value, digits)
                       : std::string("<td class=\"n\"></td>");
    };
    out += fmt::format("<tr><td>{}</td><td>{}</td>", escape(name_of(row)), row.shape);
    out += fmt::format("<td class=\"n\">{:.3f}</td><td class=\"n\">{:.3f}\u2013{:.3f}</td>", ms,
                       row.ms.low, row.ms.high);
    out += fmt::format(
        "<td><div class=\"track\" title=\"{:.1f} %\"><i class=\"span\" "
        "style=\"left:0;width:{:.1f}%\"></i></div></td>",
        100 * ms / total, 100 * ms / longest);
    out += cell(row.cost.bytes * 1e-6, 2) + cell(row.cost.ops * 1e-6, 2) +
           cell(rate(row.cost.bytes, ms), 1) + cell(rate(row.cost.ops, ms), 1);
    out += share > 0 ? fmt::format("<td class=\"n\">{:.0f} % {}</td>", 100 * share,
                                   p.computes(row.cost) ? "product" : "copy")
                     : std::string("<td></td>");
    out += cell(static_cast<double>(row.saved_bytes) * 1e-6, 2) +
           fmt::format("<td class=\"small\">{}</td></tr>\n", escape(row.by));
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace

std::string profile_json(const Profile& p) {
  const study::ProfileOptions& o = p.options;
  json rows = json::array();
  for (const ProfileRow& row : p.rows) rows.push_back(to_json(p, row));
  json out = {{"program", "gliograd profile"},
              {"version", GLIOGRAD_VERSION},
              {"model", o.model},
              {"size", o.size},
              {"batch", o.batch},
              {"dtype", o.dtype},
              {"preset", o.preset},
              {"device", gliograd::name_of(o.device)},
              {"threads", o.threads},
              {"steps", o.steps},
              {"machine", p.machine},
              {"libraries", p.libraries},
              {"peaks", {{"copy_gb_s", p.copy_gb_s}, {"product_gflop_s", p.product_gflop_s}}},
              {"step_ms", to_json(p.step_ms)},
              {"images_per_second", 1e3 * o.batch / p.step_ms.median},
              {"launches", p.launches},
              {"idle_ms", to_json(p.idle_ms)},
              {"fallbacks", p.fallbacks},
              {"peak_bytes", p.peak_bytes},
              {"layout_conversions", {{"count", p.conversions}, {"bytes", p.conversion_bytes}}},
              {"rows", rows}};
  if (p.graph_ms) out["graph_ms"] = to_json(*p.graph_ms);
  return out.dump(1) + "\n";
}

std::string profile_trace(const Profile& p) {
  constexpr int kHost = 1, kGpu = 2;
  json events = json::array();
  const auto name_line = [&](int line, const std::string& name) {
    events.push_back({{"ph", "M"},
                      {"name", "thread_name"},
                      {"pid", 1},
                      {"tid", line},
                      {"args", {{"name", name}}}});
  };
  name_line(kHost, "host");
  if (p.options.device == Device::cuda) name_line(kGpu, p.machine);
  for (const study::TraceEvent& event : p.trace) {
    events.push_back({{"ph", "X"},
                      {"name", event.name},
                      {"cat", event.within},
                      {"pid", 1},
                      {"tid", event.on_gpu ? kGpu : kHost},
                      {"ts", 1e3 * event.begin_ms},
                      {"dur", 1e3 * event.ms},
                      {"args",
                       {{"op", event.within},
                        {"bytes", event.cost.bytes},
                        {"ops", event.cost.ops},
                        {"GB/s", rate(event.cost.bytes, event.ms)},
                        {"GFLOP/s", rate(event.cost.ops, event.ms)}}}});
  }
  return json{{"traceEvents", events}, {"displayTimeUnit", "ms"}}.dump() + "\n";
}

std::string profile_page(const Profile& p) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{} \u00b7 gliograd profile</title>\n<style>{} main {{ max-width: 1320px; }} "
      "td, th {{ padding: 4px 8px; }}</style>\n</head>\n<body>\n<main>\n",
      escape(title_of(p)), report::style_sheet());
  out += fmt::format(
      "<header>\n<p class=\"over\">gliograd \u00b7 a training step, op by op</p>\n<h1>{}</h1>\n"
      "<p class=\"facts\">{}. {} steps, augmentation {}.</p>\n</header>\n",
      escape(title_of(p)), escape(place_of(p)), p.options.steps, escape(p.options.preset));
  out += fmt::format(
      "<p>A step takes <b>{:.3f} ms</b> (quartiles {:.3f} to {:.3f}): {:.0f} images a second. {}"
      "At most {:.1f} MB of memory. In the same run this machine copied {:.1f} GB/s, and reached "
      "{:.0f} GFLOP/s in a product of this type.</p>\n",
      p.step_ms.median, p.step_ms.low, p.step_ms.high, 1e3 * p.options.batch / p.step_ms.median,
      p.graph_ms ? fmt::format("As one graph it takes {:.3f} ms. ", p.graph_ms->median) : "",
      static_cast<double>(p.peak_bytes) * 1e-6, p.copy_gb_s, p.product_gflop_s);
  const std::vector<Dot> dots = dots_of(p);
  out += fmt::format(
      "<section><h2>Roofline</h2>\n<figure class=\"card\">{}{}{}<figcaption>A dot is an op in one "
      "direction; its area is its share of the step. What stands on the line is as fast as copying "
      "or a plain product was in this run; what lies in the caches may stand above it, and so may "
      "a convolution that needs fewer operations than the formula has. Ops that only move memory, "
      "and those that take less than a thousandth, are in the table "
      "alone.</figcaption></figure></section>\n",
      legend(), roofline(p, dots), names(dots));
  out += "<section><h2>Op by op</h2>\n" + table(p) + "</section>\n";
  return out + "<footer>Made by gliograd profile.</footer>\n</main>\n</body>\n</html>\n";
}

}  // namespace gliograd::cli
