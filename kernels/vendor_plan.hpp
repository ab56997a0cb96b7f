// A vendor library's way of computing a product, as the engine sees it: something to time, to take
// and to write down.
#pragma once
#include <cstdint>
#include <string>

namespace gliograd::kernels {

struct VendorPlan {
  std::string name;  // the library's engine or algorithm and its knobs, by which another handle
                     // of the same library on the same GPU knows it too; no comma
  int64_t workspace = 0;  // bytes
};

}  // namespace gliograd::kernels
