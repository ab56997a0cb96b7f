// The head of this image's list. In the program and in the GPU library each its own.
#include "kernels/entry.hpp"

namespace gliograd::kernels {

const Provided*& provided_here() {
  static const Provided* head = nullptr;
  return head;
}

}  // namespace gliograd::kernels
