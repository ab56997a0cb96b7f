#include "apps/cli/contact_sheet.hpp"

#include <algorithm>
#include <cmath>

#include "apps/cli/png.hpp"
#include "engine/core/atomic_file.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_easy_font.h>
#pragma GCC diagnostic pop

namespace gliograd::cli {
namespace {

constexpr int kZoom = 2, kGap = 8, kTextHeight = 14, kTitleHeight = 28;

struct Color {
  uint8_t r, g, b;
};
constexpr Color kBackground{24, 26, 30}, kText{225, 228, 232}, kOutline{255, 176, 32};

class Canvas {
 public:
  Canvas(int64_t height, int64_t width)
      : height_(height), width_(width), pixels_(static_cast<size_t>(height * width * 3)) {
    fill(0, 0, height, width, kBackground);
  }

  void fill(int64_t y0, int64_t x0, int64_t y1, int64_t x1, Color color) {
    for (int64_t y = std::max<int64_t>(0, y0); y < std::min(height_, y1); ++y) {
      for (int64_t x = std::max<int64_t>(0, x0); x < std::min(width_, x1); ++x) {
        uint8_t* p = pixels_.data() + (y * width_ + x) * 3;
        p[0] = color.r, p[1] = color.g, p[2] = color.b;
      }
    }
  }

  // The font draws quads; characters it does not know become '?'.
  void text(int64_t y, int64_t x, const std::string& words, int64_t size = 1) {
    std::string plain;
    for (const char c : words) {
      const bool continues =
          (static_cast<unsigned char>(c) & 0xC0) == 0x80;  // of a UTF-8 character
      if (!continues) plain += c >= 32 && c < 127 ? c : '?';
    }
    struct Vertex {
      float x, y, z;
      uint8_t color[4];
    };
    std::vector<Vertex> vertices(plain.size() * 80 + 4);
    const int quads = stb_easy_font_print(0, 0, plain.data(), nullptr, vertices.data(),
                                          static_cast<int>(vertices.size() * sizeof(Vertex)));
    for (size_t corner = 0; corner < 4 * static_cast<size_t>(quads); corner += 4) {
      const Vertex &a = vertices[corner], &b = vertices[corner + 2];
      const auto at = [&](float v) { return static_cast<int64_t>(v) * size; };
      fill(y + at(a.y), x + at(a.x), y + at(b.y), x + at(b.x), kText);
    }
  }

  void png(const std::string& path) const {
    const std::vector<uint8_t> file = encode_png(pixels_, height_, width_, 3);
    write_atomically(path, file.data(), file.size());
  }

 private:
  int64_t height_, width_;
  std::vector<uint8_t> pixels_;
};

void draw_tile(Canvas& canvas, const Sheet& sheet, const SheetTile& tile, int64_t top,
               int64_t left) {
  const int64_t h = sheet.height, w = sheet.width;
  const float span = std::max(sheet.white - sheet.black, 1e-6f);
  const auto inside = [&](int64_t y, int64_t x) {
    return y >= 0 && x >= 0 && y < h && x < w && tile.mask[static_cast<size_t>(y * w + x)] != 0;
  };
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      const float value = (tile.values[static_cast<size_t>(y * w + x)] - sheet.black) / span;
      const uint8_t gray = static_cast<uint8_t>(std::lround(255 * std::clamp(value, 0.0f, 1.0f)));
      const int64_t py = top + y * kZoom, px = left + x * kZoom;
      canvas.fill(py, px, py + kZoom, px + kZoom, {gray, gray, gray});
      // The outline runs along the outer rim of the mask's pixels, one screen pixel wide.
      if (tile.mask.empty() || !inside(y, x)) continue;
      if (!inside(y - 1, x)) canvas.fill(py, px, py + 1, px + kZoom, kOutline);
      if (!inside(y + 1, x)) canvas.fill(py + kZoom - 1, px, py + kZoom, px + kZoom, kOutline);
      if (!inside(y, x - 1)) canvas.fill(py, px, py + kZoom, px + 1, kOutline);
      if (!inside(y, x + 1)) canvas.fill(py, px + kZoom - 1, py + kZoom, px + kZoom, kOutline);
    }
  }
}

int64_t text_width(const std::string& text) {
  return 7 * static_cast<int64_t>(text.size());  // an upper bound
}

}  // namespace

GrayRange gray_range(std::vector<float> values) {
  if (values.empty()) return {0, 1};
  std::sort(values.begin(), values.end());
  const size_t last = values.size() - 1;
  const float black = values[last / 200], white = values[last - last / 200];
  return white > black ? GrayRange{black, white} : GrayRange{black - 0.5f, black + 0.5f};
}

void write_sheet(const Sheet& sheet, const std::string& path) {
  int64_t title_width = 0;
  size_t columns = 0;
  for (const std::string& title : sheet.row_titles) {
    title_width = std::max(title_width, text_width(title) + kGap);
  }
  for (const std::vector<SheetTile>& row : sheet.rows) columns = std::max(columns, row.size());
  const int64_t tile_height = sheet.height * kZoom + kTextHeight + kGap;
  const int64_t tile_width = sheet.width * kZoom + kGap;
  const int64_t top = kTitleHeight + kGap, left = kGap + title_width;
  Canvas canvas(top + static_cast<int64_t>(sheet.rows.size()) * tile_height,
                std::max(left + static_cast<int64_t>(columns) * tile_width,
                         2 * text_width(sheet.title) + 2 * kGap));
  canvas.text(kGap, kGap, sheet.title, 2);
  for (size_t r = 0; r < sheet.rows.size(); ++r) {
    const int64_t y = top + static_cast<int64_t>(r) * tile_height;
    if (r < sheet.row_titles.size()) {
      canvas.text(y + kTextHeight + sheet.height, kGap, sheet.row_titles[r]);
    }
    for (size_t c = 0; c < sheet.rows[r].size(); ++c) {
      const int64_t x = left + static_cast<int64_t>(c) * tile_width;
      if (r < sheet.captions.size() && c < sheet.captions[r].size()) {
        canvas.text(y + 3, x, sheet.captions[r][c]);
      }
      draw_tile(canvas, sheet, sheet.rows[r][c], y + kTextHeight, x);
    }
  }
  canvas.png(path);
}

}  // namespace gliograd::cli
