// Inline SVG as text: shapes that take their colors from the page's style sheet, so one drawing
// serves light, dark and paper; and a plot area with axes on top of them.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace gliograd::cli::report {

/// Text as HTML and SVG want it: & < > " and ' replaced; control characters dropped.
std::string escape(const std::string& text);
/// A coordinate: at most two decimals, no trailing zeros, independent of the locale.
std::string coordinate(double value);

using Points = std::vector<std::pair<double, double>>;

enum class Anchor { start, middle, end };

/// Coordinates are units of the view box (about one CSS pixel); y grows downward. `style` is a
/// class of the page's style sheet.
class Svg {
 public:
  /// `label` is what a screen reader says.
  Svg(double width, double height, const std::string& label);

  void line(double x1, double y1, double x2, double y2, const std::string& style);
  void rect(double x, double y, double width, double height, const std::string& style);
  void circle(double x, double y, double radius, const std::string& style,
              const std::string& hint = "");
  void polyline(const Points& points, const std::string& style);
  void polygon(const Points& points, const std::string& style);
  void text(double x, double y, const std::string& text, const std::string& style,
            Anchor anchor = Anchor::start);
  /// Rotated by a quarter turn, reading upward: the label of a y axis.
  void text_upward(double x, double y, const std::string& text, const std::string& style);

  double width() const { return width_; }
  double height() const { return height_; }
  std::string str() const { return body_ + "</svg>\n"; }

 private:
  double width_, height_;
  std::string body_;
};

struct Range {
  double low = 0;
  double high = 1;
};

/// Round numbers inside the range, about `wanted` of them.
std::vector<double> ticks(const Range& range, int wanted);
/// The shortest text for a tick: "0.2", "10".
std::string tick_text(double value);

/// The plot area of an Svg: margins, scales, grid and axis labels.
class Plot {
 public:
  /// Draws grid, ticks and labels at once. An empty y label leaves out the y axis altogether.
  Plot(Svg& svg, const Range& x, const Range& y, const std::string& x_label,
       const std::string& y_label, int x_ticks = 5, int y_ticks = 5);

  double x(double value) const;
  double y(double value) const;
  double left() const { return left_; }
  double right() const { return right_; }
  double top() const { return top_; }
  double bottom() const { return bottom_; }
  /// Points in plot units, clipped to the y range.
  Points map(const Points& points) const;

 private:
  Range x_range_, y_range_;
  double left_, right_, top_, bottom_;
};

}  // namespace gliograd::cli::report
