// Pixels for a page: outlines of masks as paths, gray images as PNG in data URIs.
#include <array>
#include <map>

#include "apps/cli/png.hpp"
#include "apps/cli/report/charts.hpp"
#include "apps/cli/report/svg.hpp"
#include "engine/core/error.hpp"

namespace gliograd::cli::report {
namespace {

std::string base64(const std::vector<uint8_t>& bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = uint32_t{bytes[i]} << 16;
    if (i + 1 < bytes.size()) group |= uint32_t{bytes[i + 1]} << 8;
    if (i + 2 < bytes.size()) group |= bytes[i + 2];
    out += kDigits[group >> 18];
    out += kDigits[group >> 12 & 63];
    out += i + 1 < bytes.size() ? kDigits[group >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? kDigits[group & 63] : '=';
  }
  return out;
}

}  // namespace

// Every border edge is walked with the inside on its right, from pixel corner to pixel corner; at a
// corner where two loops touch, the turn to the right keeps diagonal neighbors apart.
std::string outline_path(const std::vector<uint8_t>& mask, int64_t height, int64_t width) {
  if (mask.empty()) return "";
  const auto inside = [&](int64_t y, int64_t x) {
    return y >= 0 && y < height && x >= 0 && x < width && mask[y * width + x] != 0;
  };
  // Directions: 0 right, 1 down, 2 left, 3 up. edges[corner] has a bit for each outgoing edge.
  constexpr std::array<std::array<int, 2>, 4> kStep = {{{0, 1}, {1, 0}, {0, -1}, {-1, 0}}};
  std::map<std::pair<int64_t, int64_t>, unsigned> edges;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      if (!inside(y, x)) continue;
      if (!inside(y - 1, x)) edges[{y, x}] |= 1u << 0;
      if (!inside(y, x + 1)) edges[{y, x + 1}] |= 1u << 1;
      if (!inside(y + 1, x)) edges[{y + 1, x + 1}] |= 1u << 2;
      if (!inside(y, x - 1)) edges[{y + 1, x}] |= 1u << 3;
    }
  }
  std::string path;
  while (!edges.empty()) {
    // The first corner in reading order: no two loops can touch there, so it has one edge.
    auto corner = edges.begin()->first;
    int direction = -1;
    bool first = true;
    while (true) {
      const auto at = edges.find(corner);
      if (at == edges.end()) break;  // the loop is closed
      int next = -1;
      for (const int turn : {1, 0, 3, 2}) {  // right, straight on, left
        const int candidate = direction < 0 ? turn : (direction + turn) % 4;
        if ((at->second >> candidate & 1) != 0) {
          next = candidate;
          break;
        }
      }
      GG_CHECK(next >= 0, "outline_path: a border edge leads nowhere");
      at->second &= ~(1u << next);
      if (at->second == 0) edges.erase(at);
      const double my = static_cast<double>(corner.first) + 0.5 * kStep[next][0];
      const double mx = static_cast<double>(corner.second) + 0.5 * kStep[next][1];
      path += (first ? "M" : "L") + coordinate(mx) + " " + coordinate(my);
      first = false;
      corner = {corner.first + kStep[next][0], corner.second + kStep[next][1]};
      direction = next;
    }
    path += "Z";
  }
  return path;
}

std::string png_uri(const std::vector<uint8_t>& gray, int64_t height, int64_t width) {
  return "data:image/png;base64," + base64(encode_png(gray, height, width, 1));
}

}  // namespace gliograd::cli::report
