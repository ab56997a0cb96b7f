#include "engine/tensor/tensor.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/tensor/cast.hpp"
#include "engine/tensor/layout.hpp"
#include "kernels/runtime.hpp"

namespace gliograd {

namespace {

void* allocate(CachingAllocator& allocator, int64_t bytes, const BlockUse& use) {
  constexpr size_t kNamed = 5;
  try {
    return allocator.allocate(bytes);
  } catch (const OutOfMemory& error) {
    throw OutOfMemory(
        concat_text(error.what(), " for ", to_string(use), "; ", allocator.live().largest(kNamed)));
  }
}

}  // namespace

Storage::Storage(std::shared_ptr<CachingAllocator> allocator, int64_t bytes, const BlockUse& use)
    : allocator_(std::move(allocator)),
      device_(allocator_->device()),
      bytes_(bytes),
      data_(allocate(*allocator_, bytes, use)),
      number_(allocator_->live().add(use)) {}

Storage::~Storage() {
  allocator_->live().remove(number_);
  allocator_->release(data_, bytes_);
}

Tensor::Tensor(std::shared_ptr<Storage> storage, Shape shape_, DType dtype_, Layout layout_)
    : shape(shape_), dtype(dtype_), layout(layout_), storage_(std::move(storage)) {}

Tensor Tensor::reshaped(const Shape& to) const {
  GG_CHECK(to.size() == size(), "reshape: ", shape, " has ", size(), " elements, ", to, " has ",
           to.size());
  GG_CHECK(layout == Layout::nhwc, "reshape: the layout must be nhwc");
  Tensor y = *this;
  y.shape = to;
  return y;
}

Tensor Tensor::detached() const {
  Tensor y = *this;
  y.variable = y.tape = 0;
  y.parameter = nullptr;
  return y;
}

namespace {

Tensor make(const std::shared_ptr<CachingAllocator>& allocator, const Shape& shape, DType dtype,
            Layout layout) {
  int64_t bytes = 0;
  GG_CHECK(!__builtin_mul_overflow(storage_size(shape, layout), size_of(dtype), &bytes) &&
               bytes <= int64_t{1} << 60,
           "tensor: no memory holds ", dtype, ' ', shape);
  const BlockUse use{shape, dtype, allocator->live().op()};
  return {std::make_shared<Storage>(allocator, bytes, use), shape, dtype, layout};
}

void check_memory(const Tensor& x) {
  GG_CHECK(x.defined(), "tensor: undefined, where one with memory is needed");
}

// Outside of its range a conversion to an integer is undefined behavior.
template <class T>
T integer(double v) {
  const double low = static_cast<double>(std::numeric_limits<T>::min());
  const double above = std::ldexp(1.0, std::numeric_limits<T>::digits);
  GG_CHECK(v >= low && v < above, "from_values: ", dtype_of<T>, " cannot hold ", v);
  return static_cast<T>(v);
}

}  // namespace

Tensor empty(Stream& stream, const Shape& shape, DType dtype, Layout layout) {
  return make(stream.allocator(), shape, dtype, layout);
}

Tensor empty_like(const Tensor& x) {
  check_memory(x);
  return make(x.storage()->allocator(), x.shape, x.dtype, x.layout);
}

Tensor empty_like(const Tensor& x, const Shape& shape) { return empty_like(x, shape, x.dtype); }

Tensor empty_like(const Tensor& x, const Shape& shape, DType dtype, Layout layout) {
  check_memory(x);
  return make(x.storage()->allocator(), shape, dtype, layout);
}

Tensor zeros(Stream& stream, const Shape& shape, DType dtype) {
  Tensor x = empty(stream, shape, dtype);
  fill_zero(x);
  return x;
}

Tensor zeros_like(const Tensor& x) {
  Tensor y = empty_like(x);
  fill_zero(y);
  return y;
}

void fill_zero(Tensor& x) {
  check_memory(x);
  const Storage& storage = *x.storage();
  if (x.device() == Device::cuda) {
    kernels::zero_memory(storage.queue(), x.raw(), storage.bytes());
  } else {
    std::memset(x.raw(), 0, static_cast<size_t>(storage.bytes()));
  }
}

namespace {

Tensor on_host(const Shape& shape, DType dtype) {
  return make(std::make_shared<CachingAllocator>(host_memory()), shape, dtype, Layout::nhwc);
}

Tensor to_host(const Tensor& x) {
  Tensor y = on_host(x.shape, x.dtype);
  kernels::copy_memory(x.storage()->queue(), y.raw(), x.raw(), x.bytes(),
                       kernels::CopyKind::to_host);
  kernels::wait_queue(x.storage()->queue());
  return y;
}

}  // namespace

Tensor copy_to(Stream& stream, const Tensor& any) {
  check_memory(any);
  const Tensor x = to_layout(any, Layout::nhwc);
  Tensor y = empty(stream, x.shape, x.dtype);
  const bool from_gpu = x.device() == Device::cuda, to_gpu = y.device() == Device::cuda;
  if (!from_gpu && !to_gpu) {
    std::memcpy(y.raw(), x.raw(), static_cast<size_t>(x.bytes()));
    return y;
  }
  // Of two queues, the one that makes the values has to be done first.
  if (from_gpu && to_gpu) kernels::wait_queue(x.storage()->queue());
  const kernels::Queue queue = to_gpu ? y.storage()->queue() : x.storage()->queue();
  kernels::copy_memory(queue, y.raw(), x.raw(), x.bytes(),
                       from_gpu && to_gpu ? kernels::CopyKind::on_device
                       : to_gpu           ? kernels::CopyKind::to_device
                                          : kernels::CopyKind::to_host);
  kernels::wait_queue(queue);
  return y;
}

Tensor from_values(Stream& stream, const Shape& shape, const std::vector<double>& values,
                   DType dtype) {
  GG_CHECK(static_cast<int64_t>(values.size()) == shape.size(), "from_values: ", shape, " needs ",
           shape.size(), " values; got ", values.size());
  const bool gpu = stream.device() == Device::cuda;
  const Tensor x = gpu ? on_host(shape, dtype) : empty(stream, shape, dtype);
  for (int64_t i = 0; i < x.size(); ++i) {
    const double v = values[i];
    switch (dtype) {
      case DType::f64: x.at<double>(i) = v; break;
      case DType::f32: x.at<float>(i) = static_cast<float>(v); break;
      case DType::bf16: x.at<bf16>(i) = to_bf16(v); break;
      case DType::f16: x.at<f16>(i) = to_f16(v); break;
      case DType::u8: x.at<uint8_t>(i) = integer<uint8_t>(v); break;
      case DType::i32: x.at<int32_t>(i) = integer<int32_t>(v); break;
      case DType::i64: x.at<int64_t>(i) = integer<int64_t>(v); break;
    }
  }
  return gpu ? copy_to(stream, x) : x;
}

std::vector<double> to_values(const Tensor& any) {
  check_memory(any);
  const Tensor x = any.device() == Device::cpu ? to_layout(any, Layout::nhwc) : to_host(any);
  std::vector<double> values(x.size());
  for (int64_t i = 0; i < x.size(); ++i) {
    switch (x.dtype) {
      case DType::f64: values[i] = x.at<double>(i); break;
      case DType::f32: values[i] = x.at<float>(i); break;
      case DType::bf16: values[i] = to_float(x.at<bf16>(i)); break;
      case DType::f16: values[i] = to_float(x.at<f16>(i)); break;
      case DType::u8: values[i] = x.at<uint8_t>(i); break;
      case DType::i32: values[i] = x.at<int32_t>(i); break;
      case DType::i64: values[i] = static_cast<double>(x.at<int64_t>(i)); break;
    }
  }
  return values;
}

}  // namespace gliograd
