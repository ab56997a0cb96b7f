#include "engine/core/shape.hpp"

#include <limits>
#include <sstream>

#include "engine/core/error.hpp"

namespace gliograd {

Shape::Shape(std::initializer_list<int64_t> dims) {
  *this = of(dims.begin(), static_cast<int>(dims.size()));
}

Shape Shape::of(const int64_t* dims, int rank) {
  GG_CHECK(rank >= 0 && rank <= kMaxRank, "shape: at most ", kMaxRank, " axes; got ", rank);
  Shape shape;
  shape.rank_ = rank;
  int64_t size = 1;
  for (int i = 0; i < rank; ++i) {
    GG_CHECK(dims[i] >= 0, "shape: axis ", i, " must not be negative; got ", dims[i]);
    GG_CHECK(!__builtin_mul_overflow(size, dims[i], &size),
             "shape: the number of elements overflows 64 bits at axis ", i);
    shape.dims_[i] = dims[i];
  }
  return shape;
}

int64_t Shape::dim(int i) const {
  const int axis = i < 0 ? i + rank_ : i;
  GG_CHECK(axis >= 0 && axis < rank_, "shape: no axis ", i, " in ", *this);
  return dims_[axis];
}

int64_t Shape::size() const {
  int64_t size = 1;
  for (int i = 0; i < rank_; ++i) size *= dims_[i];
  return size;
}

Shape Shape::with(int i, int64_t value) const {
  Shape shape = *this;
  const int axis = i < 0 ? i + rank_ : i;
  GG_CHECK(axis >= 0 && axis < rank_, "shape: no axis ", i, " in ", *this);
  shape.dims_[axis] = value;
  return of(shape.dims_.data(), rank_);
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ']';
}

std::string to_string(const Shape& shape) {
  std::ostringstream out;
  out << shape;
  return out.str();
}

}  // namespace gliograd
