#include "apps/cli/plan_cache.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"
#include "engine/core/log.hpp"
#include "engine/device/plan_choices.hpp"

namespace gliograd::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 3;  // to rise when the names of products or plans change
constexpr int64_t kMost = 4096;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string slug(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.';
    if (plain) {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  return out;
}

}  // namespace

std::string plan_cache_path(const std::string& gpu, const std::string& cudnn,
                            const std::string& cublaslt, int driver) {
  if (environment("GLIOGRAD_CACHE") == "off") return "";
  std::string folder = environment("XDG_CACHE_HOME");
  // A relative one is to be ignored (XDG Base Directory Specification).
  if (folder.empty() || folder[0] != '/') {
    const std::string home = environment("HOME");
    if (home.empty() || home[0] != '/') return "";
    folder = home + "/.cache";
  }
  return concat_text(folder, "/gliograd/plans-", slug(gpu), "-cudnn-", slug(cudnn), "-cublaslt-",
                     slug(cublaslt), "-driver-", driver, "-v", kFormat, ".csv");
}

std::string read_plan_cache(const std::string& path) {
  std::error_code unreadable;  // then it is as if there were none; writing will say why
  if (path.empty() || !fs::exists(path, unreadable)) return "";
  try {
    std::string text = read_text(path);
    PlanChoices().read(text, path);
    return text;
  } catch (const Error& error) {
    log_info(concat_text("note: left aside: ", error.what()));
    return "";
  }
}

void add_to_plan_cache(const std::string& path, const std::string& csv) {
  if (path.empty()) return;
  try {
    PlanChoices all;
    all.read(csv, "plans.csv");
    const std::string known = read_plan_cache(path);
    if (std::count(known.begin(), known.end(), '\n') <= kMost && !known.empty()) {
      all.read(known, path);
    }
    fs::create_directories(fs::path(path).parent_path());
    const std::string text = all.csv(PlanChoices::Which::all);
    if (text != known) write_atomically(path, text);
  } catch (const std::exception& error) {  // the run itself does not need it
    log_info(concat_text("note: choices of plans are not kept for the next run: ", error.what()));
  }
}

}  // namespace gliograd::cli
