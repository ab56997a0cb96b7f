// The house itself: who includes whom, which files the guides name, what must not be in the tree.
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <set>

#include "tests/support/support.hpp"

namespace fs = std::filesystem;
using gliograd::test::contains;
using gliograd::test::read_file;

namespace {

const fs::path kRoot = gliograd::test::source_path("");

bool has_suffix(const std::string& path, const std::vector<std::string>& suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(), [&](const std::string& s) {
    return path.size() >= s.size() && path.compare(path.size() - s.size(), s.size(), s) == 0;
  });
}

// Every file that belongs to the project, relative to its root, '/' between folders. What git
// ignores at the top (builds, dependencies, the demo) is not read.
std::vector<std::string> project_files() {
  static const std::set<std::string> outside = {".git",   "build", ".deps",
                                                ".cache", "demo",  "__pycache__"};
  std::vector<std::string> files;
  for (auto entry = fs::recursive_directory_iterator(kRoot);
       entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string name = entry->path().filename();
    if (outside.count(name) != 0 && (entry.depth() == 0 || name == "__pycache__")) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file() && !entry->is_symlink() &&
               name != "compile_commands.json") {
      files.push_back(fs::relative(entry->path(), kRoot).generic_string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> code_files() {
  std::vector<std::string> files;
  for (const std::string& file : project_files()) {
    if (has_suffix(file, {".cpp", ".hpp", ".cu", ".cuh"})) files.push_back(file);
  }
  return files;
}

// The project's own headers that `text` includes: "folder/file.hpp".
std::vector<std::string> own_includes(const std::string& text) {
  static const std::regex pattern(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]*"([^"]+)")re");
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) {
    found.push_back((*at)[1]);
  }
  return found;
}

std::string top_folder(const std::string& path) { return path.substr(0, path.find('/')); }

// What a file of each top folder may include; tests and bench may include anything.
const std::map<std::string, std::set<std::string>> kArrows = {
    {"kernels", {"kernels"}},
    {"engine", {"engine", "kernels"}},
    {"models", {"models", "engine"}},
    {"data", {"data", "engine"}},
    {"apps", {"apps", "data", "models", "engine"}},
};

// Headers of plain values and inline arithmetic that every floor may include: nothing in them is
// called on a device.
const std::set<std::string> kForAll = {"kernels/base.hpp", "kernels/philox.hpp",
                                       "kernels/portable_math.hpp", "kernels/step_state.hpp"};

// What is wrong with one include; empty when nothing is.
std::string wrong_arrow(const std::string& file, const std::string& included) {
  const auto from = kArrows.find(top_folder(file));
  if (from == kArrows.end()) return {};
  if (!contains(included, "/")) return file + ": \"" + included + "\" must be named from the root";
  if (from->second.count(top_folder(included)) != 0 || kForAll.count(included) != 0) return {};
  return file + " includes " + included;
}

// A circle in the graph, as "a -> b -> a"; empty where there is none.
std::string find_circle(const std::map<std::string, std::set<std::string>>& graph) {
  std::map<std::string, int> state;  // 1 on the path, 2 done
  std::vector<std::string> path;
  std::string circle;
  const std::function<void(const std::string&)> visit = [&](const std::string& node) {
    state[node] = 1;
    path.push_back(node);
    const auto edges = graph.find(node);
    if (edges != graph.end()) {
      for (const std::string& next : edges->second) {
        if (!circle.empty()) return;
        if (state[next] == 1) {
          for (auto at = std::find(path.begin(), path.end(), next); at != path.end(); ++at) {
            circle += *at + " -> ";
          }
          circle += next;
          return;
        }
        if (state[next] == 0) visit(next);
      }
    }
    path.pop_back();
    state[node] = 2;
  };
  for (const auto& [node, edges] : graph) {
    if (state[node] == 0 && circle.empty()) visit(node);
  }
  return circle;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

// Paths that a Markdown text names in backquotes or links: `engine/ops/conv.cpp`, (docs/plan.md).
// Words with a space, a glob or an ellipsis, and what a command leaves behind, are no file names.
std::vector<std::string> named_files(const std::string& text) {
  static const std::regex pattern(
      R"re((?:`|\]\()((?:\./)?[A-Za-z0-9_.][A-Za-z0-9_./-]*)(?:`|\)))re");
  static const std::set<std::string> tops = {"kernels", "engine", "models", "data", "apps",
                                             "bench",   "tests",  "docs",   "cmake"};
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) {
    std::string name = (*at)[1];
    if (name.rfind("./", 0) == 0) name = name.substr(2);
    const bool file_here = !contains(name, "/") && has_suffix(name, {".md", ".txt", ".json"}) &&
                           name != "metrics.json";
    if ((contains(name, "/") && tops.count(top_folder(name)) != 0) || file_here) {
      found.push_back(name);
    }
  }
  return found;
}

void check_guide(const std::string& guide) {
  if (!fs::exists(kRoot / guide)) {
    gliograd::test::skip("tree: files that " + guide + " names", "it is not there");
    return;
  }
  for (const std::string& name : named_files(read_file(kRoot / guide))) {
    CHECK_MESSAGE(fs::exists(kRoot / name), guide, " names ", name, ", which does not exist");
  }
}

}  // namespace

TEST_CASE("tree: no include runs against the arrows") {
  int read = 0;
  for (const std::string& file : code_files()) {
    for (const std::string& included : own_includes(read_file(kRoot / file))) {
      const std::string wrong = wrong_arrow(file, included);
      CHECK_MESSAGE(wrong.empty(), wrong);
      ++read;
    }
  }
  CHECK(read > 50);  // it did find the include lines
}

TEST_CASE("tree: no circle between files, none between folders") {
  std::map<std::string, std::set<std::string>> files, folders;
  for (const std::string& file : code_files()) {
    if (kArrows.count(top_folder(file)) == 0) continue;
    for (const std::string& included : own_includes(read_file(kRoot / file))) {
      files[file].insert(included);
      // A folder may look into its own parts and back (apps/cli and apps/cli/report).
      const std::string from = folder_of(file), to = folder_of(included);
      if (from != to && to.rfind(from + "/", 0) != 0 && from.rfind(to + "/", 0) != 0) {
        folders[from].insert(to);
      }
    }
  }
  CHECK(find_circle(files) == "");
  CHECK(find_circle(folders) == "");
}

TEST_CASE("tree: the checks of this file see what they look for") {
  CHECK(own_includes("#include \"engine/a.hpp\"\n  # include \"data/b.hpp\"\n// \"x\"\n") ==
        std::vector<std::string>{"engine/a.hpp", "data/b.hpp"});
  CHECK(wrong_arrow("engine/ops/conv.cpp", "data/dataset.hpp") != "");
  CHECK(wrong_arrow("kernels/a.cu", "engine/core/error.hpp") != "");
  CHECK(wrong_arrow("models/a.cpp", "data/dataset.hpp") != "");
  CHECK(wrong_arrow("apps/cli/a.cpp", "kernels/augment_map.hpp") != "");
  CHECK(wrong_arrow("apps/cli/a.cpp", "data/dataset.hpp") == "");
  CHECK(wrong_arrow("tests/ops/a.cpp", "kernels/base.hpp") == "");
  CHECK(find_circle({{"a", {"b"}}, {"b", {"c"}}, {"c", {"b"}}}) == "b -> c -> b");
  CHECK(find_circle({{"a", {"b", "c"}}, {"b", {"c"}}}) == "");
  CHECK(
      named_files("see `engine/ops/conv.cpp`, [plan](docs/plan.md), `x / y`, `TOUR.md`, `run/x`") ==
      std::vector<std::string>{"engine/ops/conv.cpp", "docs/plan.md", "TOUR.md"});
}

TEST_CASE("tree: README.md names files that exist") { check_guide("README.md"); }

TEST_CASE("tree: TOUR.md names files that exist") { check_guide("TOUR.md"); }

TEST_CASE("tree: the guides of single folders name files that exist") {
  for (const std::string& file : project_files()) {
    if (has_suffix(file, {"/README.md"})) check_guide(file);
  }
}

TEST_CASE("tree: no file is larger than 1 MiB") {
  for (const std::string& file : project_files()) {
    CHECK_MESSAGE(fs::file_size(kRoot / file) <= 1 << 20, file, " is larger than 1 MiB");
  }
}

TEST_CASE("tree: the project speaks of itself alone") {
  // Only the CI script knows where its machine keeps the real data.
  const std::string outside = std::string("..") + "/shared";
  for (const std::string& file : project_files()) {
    if (file == ".ci/run") continue;
    CHECK_MESSAGE(!contains(read_file(kRoot / file), outside), file, " names ", outside);
  }
}
