// Tensor: a handle to dense memory with a shape, an element type and a physical layout.
// Copying one copies the handle; the memory goes back to its arena with the last handle.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/core/dtype.hpp"
#include "engine/core/error.hpp"
#include "engine/core/shape.hpp"
#include "engine/device/stream.hpp"

namespace gliograd {

class Parameter;

/// Physical order of an image tensor: [N, H, W, C] as written, or [N, C/16, H, W, 16] (oneDNN's
/// nChw16c). The logical shape is NHWC in both.
enum class Layout : uint8_t { nhwc, blocked16 };

/// Memory of one tensor, from the arena of the stream that made it.
class Storage {
 public:
  /// `use` tells what for. Errors: OutOfMemory, which names it and the largest that lie there.
  Storage(std::shared_ptr<CachingAllocator> allocator, int64_t bytes, const BlockUse& use);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// In whose order the memory may be used.
  kernels::Queue queue() const { return allocator_->queue(); }
  const std::shared_ptr<CachingAllocator>& allocator() const { return allocator_; }

 private:
  std::shared_ptr<CachingAllocator> allocator_;
  Device device_;
  int64_t bytes_;
  void* data_;
  size_t number_;  // among the arena's live blocks
};

class Tensor {
 public:
  /// No memory; `defined()` is false.
  Tensor() = default;
  Tensor(std::shared_ptr<Storage> storage, Shape shape, DType dtype, Layout layout = Layout::nhwc);

  Shape shape;
  DType dtype = DType::f32;
  Layout layout = Layout::nhwc;
  /// This tensor's place on its tape; 0 where no gradient flows to it.
  uint32_t variable = 0;
  /// Which tape that is.
  uint32_t tape = 0;
  /// The parameter this is a handle of (set by Parameter::on), else null.
  Parameter* parameter = nullptr;

  bool defined() const { return storage_ != nullptr; }
  int rank() const { return shape.rank(); }
  int64_t dim(int i) const { return shape.dim(i); }
  int64_t size() const { return shape.size(); }
  int64_t bytes() const { return size() * size_of(dtype); }
  Device device() const { return storage_->device(); }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  /// Whether no other handle shares the memory.
  bool unique() const { return storage_.use_count() == 1; }

  void* raw() const { return storage_->data(); }
  /// The elements, for the host. Errors: Error when T is not the element type, or the memory is a
  /// GPU's.
  template <class T>
  T* data() const {
    GG_CHECK(dtype == dtype_of<T>, "tensor: elements are ", dtype, ", asked for as ", dtype_of<T>);
    GG_CHECK(device() == Device::cpu, "tensor: the host cannot touch the memory of a GPU");
    return static_cast<T*>(storage_->data());
  }
  template <class T>
  std::span<T> values() const {
    return {data<T>(), static_cast<size_t>(size())};
  }
  template <class T>
  T& at(int64_t i) const {
    return data<T>()[i];
  }
  /// The same memory under another shape of the same size; the layout must be nhwc.
  Tensor reshaped(const Shape& to) const;
  /// This handle without its place on the tape.
  Tensor detached() const;

 private:
  std::shared_ptr<Storage> storage_;
};

/// Memory with no defined content.
Tensor empty(Stream& stream, const Shape& shape, DType dtype = DType::f32,
             Layout layout = Layout::nhwc);
/// From the same arena as `x`: its shape, type and layout, unless given.
Tensor empty_like(const Tensor& x);
Tensor empty_like(const Tensor& x, const Shape& shape);
Tensor empty_like(const Tensor& x, const Shape& shape, DType dtype, Layout layout = Layout::nhwc);
Tensor zeros(Stream& stream, const Shape& shape, DType dtype = DType::f32);
Tensor zeros_like(const Tensor& x);
void fill_zero(Tensor& x);

/// The same values in memory of `stream`, on the other device or this one, in nhwc order; waits for
/// the work that makes them. No gradient.
Tensor copy_to(Stream& stream, const Tensor& x);
/// From host values, converted to `dtype`.
Tensor from_values(Stream& stream, const Shape& shape, const std::vector<double>& values,
                   DType dtype = DType::f32);
/// On the host, in nhwc order, as f64.
std::vector<double> to_values(const Tensor& x);

}  // namespace gliograd
