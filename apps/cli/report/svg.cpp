#include "apps/cli/report/svg.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/core/error.hpp"

namespace gliograd::cli::report {
namespace {

constexpr double kTop = 14, kRight = 14, kBottom = 46, kLeft = 54, kLeftBare = 14;

std::string point_list(const Points& points) {
  std::string text;
  for (const auto& [x, y] : points) {
    text += (text.empty() ? "" : " ") + coordinate(x) + "," + coordinate(y);
  }
  return text;
}

const char* name_of(Anchor anchor) {
  switch (anchor) {
    case Anchor::start: return "start";
    case Anchor::middle: return "middle";
    case Anchor::end: return "end";
  }
  return "start";
}

}  // namespace

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

std::string coordinate(double value) {
  if (!std::isfinite(value)) return "0";
  char text[64];
  const auto [end, error] =
      std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 2);
  std::string out(text, end);
  while (out.back() == '0') out.pop_back();
  if (out.back() == '.') out.pop_back();
  return out == "-0" ? "0" : out;
}

Svg::Svg(double width, double height, const std::string& label) : width_(width), height_(height) {
  body_ = concat_text("<svg viewBox=\"0 0 ", coordinate(width), " ", coordinate(height),
                      "\" role=\"img\" aria-label=\"", escape(label), "\">\n");
}

void Svg::line(double x1, double y1, double x2, double y2, const std::string& style) {
  body_ +=
      concat_text("<line class=\"", style, "\" x1=\"", coordinate(x1), "\" y1=\"", coordinate(y1),
                  "\" x2=\"", coordinate(x2), "\" y2=\"", coordinate(y2), "\"/>\n");
}

void Svg::rect(double x, double y, double width, double height, const std::string& style) {
  body_ += concat_text("<rect class=\"", style, "\" x=\"", coordinate(x), "\" y=\"", coordinate(y),
                       "\" width=\"", coordinate(std::max(0.0, width)), "\" height=\"",
                       coordinate(std::max(0.0, height)), "\"/>\n");
}

void Svg::circle(double x, double y, double radius, const std::string& style,
                 const std::string& hint) {
  body_ += concat_text("<circle class=\"", style, "\" cx=\"", coordinate(x), "\" cy=\"",
                       coordinate(y), "\" r=\"", coordinate(radius), "\"");
  body_ += hint.empty() ? "/>\n" : "><title>" + escape(hint) + "</title></circle>\n";
}

void Svg::polyline(const Points& points, const std::string& style) {
  body_ += "<polyline class=\"" + style + "\" points=\"" + point_list(points) + "\"/>\n";
}

void Svg::polygon(const Points& points, const std::string& style) {
  body_ += "<polygon class=\"" + style + "\" points=\"" + point_list(points) + "\"/>\n";
}

void Svg::text(double x, double y, const std::string& text, const std::string& style,
               Anchor anchor) {
  body_ += concat_text("<text class=\"", style, "\" x=\"", coordinate(x), "\" y=\"", coordinate(y),
                       "\" text-anchor=\"", name_of(anchor), "\">", escape(text), "</text>\n");
}

void Svg::text_upward(double x, double y, const std::string& text, const std::string& style) {
  body_ += concat_text("<text class=\"", style, "\" transform=\"translate(", coordinate(x), " ",
                       coordinate(y), ") rotate(-90)\" text-anchor=\"middle\">", escape(text),
                       "</text>\n");
}

std::vector<double> ticks(const Range& range, int wanted) {
  const double span = range.high - range.low;
  if (!(span > 0)) return {range.low};
  const double raw = span / wanted, power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = power * 10;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw * 0.999) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> out;
  for (auto i = static_cast<int64_t>(std::ceil(range.low / step - 1e-9));
       i * step <= range.high + 1e-9 * span; ++i) {
    out.push_back(static_cast<double>(i) * step);
  }
  return out;
}

std::string tick_text(double value) {
  const double rounded = std::round(value * 1e6) / 1e6;  // 0.30000000000000004
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, rounded == 0 ? 0.0 : rounded);
  return {text, end};
}

Plot::Plot(Svg& svg, const Range& x, const Range& y, const std::string& x_label,
           const std::string& y_label, int x_ticks, int y_ticks)
    : x_range_(x),
      y_range_(y),
      left_(y_label.empty() ? kLeftBare : kLeft),
      right_(svg.width() - kRight),
      top_(kTop),
      bottom_(svg.height() - kBottom) {
  for (const double tick : ticks(x, x_ticks)) {
    svg.line(this->x(tick), top_, this->x(tick), bottom_, "rule");
    svg.text(this->x(tick), bottom_ + 17, tick_text(tick), "tick", Anchor::middle);
  }
  if (!y_label.empty()) {
    for (const double tick : ticks(y, y_ticks)) {
      svg.line(left_, this->y(tick), right_, this->y(tick), "rule");
      svg.text(left_ - 7, this->y(tick) + 4, tick_text(tick), "tick", Anchor::end);
    }
    svg.text_upward(14, (top_ + bottom_) / 2, y_label, "label");
  }
  svg.line(left_, bottom_, right_, bottom_, "axis");
  svg.text((left_ + right_) / 2, svg.height() - 8, x_label, "label", Anchor::middle);
}

double Plot::x(double value) const {
  return left_ + (value - x_range_.low) / (x_range_.high - x_range_.low) * (right_ - left_);
}

double Plot::y(double value) const {
  return bottom_ - (value - y_range_.low) / (y_range_.high - y_range_.low) * (bottom_ - top_);
}

Points Plot::map(const Points& points) const {
  Points out;
  for (const auto& [px, py] : points) {
    out.emplace_back(x(px), y(std::clamp(py, y_range_.low, y_range_.high)));
  }
  return out;
}

}  // namespace gliograd::cli::report
