#include "engine/tensor/cast.hpp"

#include <bit>
#include <cmath>

#include "engine/core/parallel.hpp"
#include "engine/core/simd.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/convert.hpp"
#include "kernels/runtime.hpp"

namespace gliograd {
namespace {

// Rounds to odd: what f32 cannot hold becomes the neighbor whose last bit is set. With at least two
// bits more than the target, a second rounding to nearest even then gives what one would have given
// (Boldo & Melquiond 2008, "Emulation of FMA and correctly rounded sums").
float to_odd(double x) {
  const float nearest = static_cast<float>(x);
  if (std::isnan(x) || std::isinf(nearest) || static_cast<double>(nearest) == x) return nearest;
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (std::abs(static_cast<double>(nearest)) > std::abs(x)) --bits;  // toward zero
  return std::bit_cast<float>(bits | 1u);
}

}  // namespace

bf16 to_bf16(double x) { return to_bf16(to_odd(x)); }
f16 to_f16(double x) { return to_f16(to_odd(x)); }

namespace {

float load(const float* p, int64_t i) { return p[i]; }
double load(const double* p, int64_t i) { return p[i]; }
float load(const bf16* p, int64_t i) { return to_float(p[i]); }
float load(const f16* p, int64_t i) { return to_float(p[i]); }
void store(float* p, int64_t i, double v) { p[i] = static_cast<float>(v); }
void store(double* p, int64_t i, double v) { p[i] = v; }
void store(bf16* p, int64_t i, double v) { p[i] = to_bf16(v); }
void store(bf16* p, int64_t i, float v) { p[i] = to_bf16(v); }
void store(f16* p, int64_t i, double v) { p[i] = to_f16(v); }

// Calls body with a typed pointer to the elements of x.
template <class Body>
void with_float_type(const Tensor& x, const Body& body) {
  switch (x.dtype) {
    case DType::f64: body(x.data<double>()); break;
    case DType::f32: body(x.data<float>()); break;
    case DType::bf16: body(x.data<bf16>()); break;
    case DType::f16: body(x.data<f16>()); break;
    default: GG_CHECK(false, "cast: only between floating types; got ", x.dtype);
  }
}

constexpr int64_t kGrain = 1 << 15;

// What a step on the CPU in bf16 does most.
GG_MULTIVERSION void widen(const bf16* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = to_float(x[i]);
}
GG_MULTIVERSION void narrow(const float* x, bf16* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = to_bf16(x[i]);
}

// from f32 to bf16 or back; false, and nothing done, for other types.
bool between_f32_and_bf16(const Tensor& to, const Tensor& x, int64_t n, int threads) {
  const bool up = x.dtype == DType::bf16 && to.dtype == DType::f32;
  if (!up && !(x.dtype == DType::f32 && to.dtype == DType::bf16)) return false;
  parallel_for(threads, n, kGrain, [&](int64_t begin, int64_t end) {
    up ? widen(x.data<bf16>() + begin, to.data<float>() + begin, end - begin)
       : narrow(x.data<float>() + begin, to.data<bf16>() + begin, end - begin);
  });
  return true;
}

void check_transfer(const Tensor& to, const Tensor& x, bool add) {
  const char* name = add ? "add_into" : "copy_into";
  GG_CHECK(to.shape == x.shape && to.layout == x.layout, name,
           ": shapes and layouts must agree; got ", to.shape, " and ", x.shape);
  GG_CHECK(to.device() == x.device(), name, ": from ", x.device(), " to ", to.device(),
           "; copy_to() goes between devices");
}

template <bool kAdd>
void transfer(Tensor& to, const Tensor& x, int threads) {
  check_transfer(to, x, kAdd);
  const int64_t n = storage_size(x.shape, x.layout);
  if (to.device() == Device::cuda) {
    kernels::convert_values(to.storage()->queue(), to.dtype, to.raw(), x.dtype, x.raw(), n, kAdd);
    return;
  }
  if (!kAdd && between_f32_and_bf16(to, x, n, threads)) return;
  with_float_type(to, [&](auto* out) {
    with_float_type(x, [&](auto* in) {
      parallel_for(threads, n, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          if constexpr (kAdd) {
            store(out, i, load(out, i) + load(in, i));
          } else {
            store(out, i, load(in, i));
          }
        }
      });
    });
  });
}

}  // namespace

void add_into(Tensor& to, const Tensor& x, int threads) { transfer<true>(to, x, threads); }

void copy_into(Tensor& to, const Tensor& x, int threads) { transfer<false>(to, x, threads); }

void transfer_all(std::vector<Transfer>& list, int threads) {
  kernels::ConvertItems items;
  const auto launch = [&](const kernels::Queue queue) {
    if (items.count > 0) kernels::convert_many(queue, items);
    items.count = 0;
  };
  for (size_t i = 0; i < list.size(); ++i) {
    auto& [to, x, add] = list[i];
    if (to.device() == Device::cpu) {
      add ? add_into(to, x, threads) : copy_into(to, x, threads);
      continue;
    }
    check_transfer(to, x, add);
    GG_CHECK(to.dtype == DType::f32 && is_float(x.dtype) && x.dtype != DType::f64,
             "transfer_all: on a GPU from f32, bf16 or f16 to f32; got ", x.dtype, " to ",
             to.dtype);
    items.item[items.count++] = {.to = static_cast<float*>(to.raw()),
                                 .from = x.raw(),
                                 .count = x.size(),
                                 .first_block = 0,
                                 .from_type = x.dtype,
                                 .add = add};
    const bool full = items.count == kernels::ConvertItems::kMost;
    if (full || i + 1 == list.size()) launch(to.storage()->queue());
  }
}

void copy_across(Stream& stream, Tensor& to, const Tensor& x) {
  if (x.device() == to.device()) return copy_into(to, x);
  if (x.dtype != to.dtype) return copy_into(to, copy_to(stream, x));
  GG_CHECK(to.shape == x.shape && to.layout == x.layout,
           "copy_across: shapes and layouts must agree; got ", to.shape, " and ", x.shape);
  const bool up = to.device() == Device::cuda;
  const kernels::Queue queue = (up ? to : x).storage()->queue();
  kernels::copy_memory(queue, to.raw(), x.raw(), x.bytes(),
                       up ? kernels::CopyKind::to_device : kernels::CopyKind::to_host);
  kernels::wait_queue(queue);
}

Tensor cast(const Tensor& x, DType dtype, int threads) {
  if (x.dtype == dtype) return x;
  GG_CHECK(is_float(x.dtype) && is_float(dtype), "cast: only between floating types; got ", x.dtype,
           " to ", dtype);
  GG_CHECK(x.layout == Layout::nhwc, "cast: the layout must be nhwc");
  Tensor y = empty_like(x, x.shape, dtype);
  copy_into(y, x, threads);
  return y;
}

}  // namespace gliograd
