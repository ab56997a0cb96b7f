// The names that kernels are launched by, read from their sources.
#pragma once
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace gliograd::simt {

/// A launch's name is the one kind of text in lower case that those sources hold.
inline std::set<std::string> kernel_names() {
  static const std::regex text("\"([a-z_0-9]+)\"");
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(GLIOGRAD_KERNELS_DIR)) {
    if (file.path().extension() != ".cu") continue;
    std::ostringstream source;
    source << std::ifstream(file.path()).rdbuf();
    const std::string code = source.str();
    for (std::sregex_iterator at(code.begin(), code.end(), text), end; at != end; ++at) {
      names.insert((*at)[1]);
    }
  }
  return names;
}

}  // namespace gliograd::simt
