// How the engine reaches the GPU library. All that needs nvcc or links to CUDA stands in one shared
// library, opened when the first GPU stream is made, so that the program starts fast, runs where
// there is no CUDA, and takes the tests' emulator in its place. A function of it is declared here
// once, with its types, and called like any other:
//
//   kernels/scale.hpp   inline const Entry<void(Queue, float*, int64_t, float)> scale{"scale"};
//   kernels/scale.cu    void scale_values(Queue queue, float* x, int64_t n, float by) { ... }
//                       const Provide<scale> provide_scale{scale_values};
//   engine/ops/...      kernels::scale(stream.queue(), x, n, 2.0f);
#pragma once
#include <atomic>
#include <typeinfo>

#include "kernels/base.hpp"

namespace gliograd::kernels {

/// One function that the GPU library provides. The list lives in whatever image provides it.
struct Provided {
  const char* name;
  const char* types;  // the mangled name of its signature
  void (*function)();
  const Provided* next;
};
/// Head of the list of the image that this code is linked into.
const Provided*& provided_here();

/// The function of that name and signature: of this image, else of the GPU library, which is opened
/// at the first call. Errors: DeviceError where there is no library, or none with this function.
void (*find_provided(const char* name, const char* types))();

template <class Signature>
class Entry;
template <class Result, class... Parameters>
class Entry<Result(Parameters...)> {
 public:
  using Function = Result (*)(Parameters...);
  constexpr explicit Entry(const char* name) : name_(name) {}
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  const char* name() const { return name_; }
  Result operator()(Parameters... arguments) const {
    Function function = found_.load(std::memory_order_acquire);
    if (function == nullptr) {
      function = reinterpret_cast<Function>(find_provided(name_, typeid(Function).name()));
      found_.store(function, std::memory_order_release);
    }
    return function(arguments...);
  }

 private:
  const char* name_;
  mutable std::atomic<Function> found_{nullptr};
};

/// Puts a function into the list of its image. One static object for each entry.
template <const auto& entry>
class Provide {
 public:
  using Function = typename std::remove_cvref_t<decltype(entry)>::Function;
  explicit Provide(Function function)
      : provided_{entry.name(), typeid(Function).name(), reinterpret_cast<void (*)()>(function),
                  provided_here()} {
    provided_here() = &provided_;
  }

 private:
  Provided provided_;
};

}  // namespace gliograd::kernels
