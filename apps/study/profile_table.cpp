// The profile as text.
#include <algorithm>
#include <cstdio>

#include "apps/study/profile.hpp"
#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

std::string number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}
std::string unless_zero(double value) { return value > 0 ? rounded(value) : ""; }
std::string quartiles_text(const Timing& s) { return rounded(s.low) + " to " + rounded(s.high); }

}  // namespace

std::string rounded(double value) {
  return number(value, value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3);
}

std::string aligned(const std::vector<std::vector<std::string>>& rows, size_t left) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const bool last = c + 1 == row.size();
      const std::string space(last ? 0 : widths[c] - row[c].size(), ' ');
      line += c < left || last ? row[c] + space : space + row[c];
      if (!last) line += "  ";
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

std::string profile_table(const Profile& p) {
  const ProfileOptions& o = p.options;
  const bool gpu = o.device == Device::cuda;
  std::string out =
      concat_text(o.model, ", ", o.size, 'x', o.size, ", batch ", o.batch, ", ", o.dtype,
                  ", augmentation ", o.preset, ", ", o.steps, " steps\n", p.machine);
  if (!gpu) out += concat_text(", ", o.threads, " thread(s), ", p.libraries);
  out += '\n';
  if (p.copy_gb_s > 0) {
    out += concat_text("Reached in this run: ", rounded(p.copy_gb_s), " GB/s copying memory, ",
                       rounded(p.product_gflop_s), " GFLOP/s in a product of this type\n");
  }
  double total = 0;
  for (const ProfileRow& row : p.rows) total += row.ms.median;
  std::vector<std::vector<std::string>> table = {{"pass", "op", "of", "result", "ms", "quartiles",
                                                  "share", "MB", "MFLOP", "GB/s", "GFLOP/s",
                                                  "of peak", "kept MB", "by"}};
  int64_t saved = 0;
  for (const ProfileRow& row : p.rows) {
    const double ms = row.ms.median, share = p.peak_share(row.cost, ms);
    saved += row.saved_bytes;
    table.push_back({row.pass, row.op, row.layer, row.shape, number(ms, 3),
                     number(row.ms.low, 3) + "-" + number(row.ms.high, 3),
                     total > 0 ? number(100 * ms / total, 1) + " %" : "",
                     unless_zero(row.cost.bytes * 1e-6), unless_zero(row.cost.ops * 1e-6),
                     ms > 0 ? unless_zero(row.cost.bytes * 1e-6 / ms) : "",
                     ms > 0 ? unless_zero(row.cost.ops * 1e-6 / ms) : "",
                     share > 0 ? concat_text(number(100 * share, 0), " % ",
                                             p.computes(row.cost) ? "product" : "   copy")
                               : "",
                     unless_zero(static_cast<double>(row.saved_bytes) * 1e-6), row.by});
  }
  out += '\n' + aligned(table, 4) + '\n';
  out += concat_text("Step: ", rounded(p.step_ms.median), " ms (quartiles ",
                     quartiles_text(p.step_ms), "), ", rounded(1e3 * o.batch / p.step_ms.median),
                     " images/s; its rows together ", rounded(total), " ms\n");
  if (p.graph_ms) {
    out += concat_text("As one graph: ", rounded(p.graph_ms->median), " ms (quartiles ",
                       quartiles_text(*p.graph_ms), "), ",
                       rounded(1e3 * o.batch / p.graph_ms->median), " images/s\n");
  }
  if (gpu) {
    out += concat_text("Idle between launches: ", rounded(p.idle_ms.median), " ms a step\n");
    out += concat_text("Launches: ", p.launches,
                       "; products that no vendor's plan serves: ", p.fallbacks.size(), '\n');
    for (const auto& [what, calls] : p.fallbacks) out += concat_text("  ", what, '\n');
  }
  out += concat_text("Memory: ", rounded(static_cast<double>(p.peak_bytes) * 1e-6),
                     " MB at most, of which ops keep ", rounded(static_cast<double>(saved) * 1e-6),
                     " MB for the backward pass\n");
  if (!gpu) {
    out += concat_text("Layout conversions a step: ", p.conversions, ", ",
                       rounded(p.conversion_bytes * 1e-6), " MB\n");
  }
  return out;
}

}  // namespace gliograd::study
