#include "kernels/entry.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cstring>

namespace gliograd::kernels {
namespace {

constexpr const char* kLibrary = "libgliograd_gpu.so";

const Provided* find_in(const Provided* list, const char* name) {
  while (list != nullptr && std::strcmp(list->name, name) != 0) list = list->next;
  return list;
}

std::string folder_of_program() {
  std::string path(4096, '\0');
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return path.substr(0, path.find_last_of('/') + 1);
}

/// Opened once, and never closed: its kernels stay registered with the driver.
const Provided* library_list() {
  static const Provided* const list = [] {
    const std::string path = folder_of_program() + kLibrary;
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* why = dlerror();
      throw DeviceError(std::string("no GPU library: ") + (why != nullptr ? why : path));
    }
    using List = const Provided* (*)();
    const auto get = reinterpret_cast<List>(dlsym(library, "gliograd_provided"));
    if (get == nullptr) throw DeviceError(path + ": is no GPU library of this program");
    return get();
  }();
  return list;
}

}  // namespace

void (*find_provided(const char* name, const char* types))() {
  const Provided* found = find_in(provided_here(), name);
  if (found == nullptr) found = find_in(library_list(), name);
  if (found == nullptr) throw DeviceError(std::string("the GPU library has no ") + name);
  if (std::strcmp(found->types, types) != 0) {
    throw DeviceError(std::string("the GPU library is of another version: ") + name +
                      " has other parameters there");
  }
  return found->function;
}

}  // namespace gliograd::kernels
