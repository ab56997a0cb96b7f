// What the program looks up when it opens the GPU library.
#include "kernels/entry.hpp"

extern "C" __attribute__((visibility("default"))) const gliograd::kernels::Provided*
gliograd_provided() {
  return gliograd::kernels::provided_here();
}
