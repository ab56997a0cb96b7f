#include "engine/core/error.hpp"

#include <string_view>

namespace gliograd {

std::string source_place(const char* path, int line) {
  std::string_view text = path;
  for (const std::string_view root :
       {"kernels/", "engine/", "models/", "data/", "apps/", "bench/", "tests/"}) {
    const size_t at = text.rfind(std::string("/") + std::string(root));
    if (at != std::string_view::npos) {
      text.remove_prefix(at + 1);
      break;
    }
  }
  return std::string(text) + ":" + std::to_string(line);
}

}  // namespace gliograd
