// Products of a vendor library on a GPU (convolutions through cuDNN, linear layers through
// cuBLASLt): which of its plans computes one, and whether its epilogue (a bias, a ReLU) is computed
// in the product's kernel or behind it. Only conv_cuda.cpp and linear_cuda.cpp include this.
#pragma once
#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "engine/tensor/tensor.hpp"
#include "kernels/runtime.hpp"
#include "kernels/vendor_plan.hpp"

namespace gliograd {

/// A product whose plans are to be compared.
struct TimedProduct {
  std::string text;  // all that a plan depends on; no comma
  std::function<std::vector<kernels::VendorPlan>()> plans;
  std::function<bool(const std::string& plan)> take;  // false where there is none of that name
  std::function<void(const Tensor& workspace)> run;   // by the plan taken, any number of times
};

/// Takes the plan that stream.plans() has for all networks, timing those there are where it has
/// none. False where there is none, or none runs. A plan that fails is left out, and noted.
/// Errors: OutOfMemory where no plan had room; DeviceError where the GPU itself has failed.
bool take_fastest_plan(Stream& stream, const TimedProduct& product);

/// result[row, c] += bias[c], and with `relu` the larger of that and 0: a launch.
void add_bias(Stream& stream, const Tensor& bias, bool relu, Tensor& result);

/// A library's handle and choices, which live as long as their stream. Library has the types
/// Handle, Pass and Shape (with a flag `bias`), and make, free, workspace, list, take, run and
/// text: kernels/conv.hpp and kernels/linear.hpp say what they do. Besides, bare(shape) is the
/// product without its epilogue, and epilogue(stream, shape, bias, result) computes that alone.
template <class Library>
class VendorProducts {
 public:
  using Pass = typename Library::Pass;
  using Shape = typename Library::Shape;
  struct Operands {
    const Tensor& first;
    const Tensor& second;
    const Tensor& bias;  // read where the shape says that there is one
    Tensor& result;
  };

  VendorProducts() = default;
  ~VendorProducts() {
    if (handle_.handle != nullptr) Library::free(handle_);
  }
  VendorProducts(const VendorProducts&) = delete;
  VendorProducts& operator=(const VendorProducts&) = delete;

  /// False where no plan serves the pass: nothing is done then.
  bool run(Stream& stream, Pass pass, const Shape& shape, const Operands& operands) {
    if (!made_) handle_ = Library::make(stream.queue());
    made_ = true;
    if (handle_.handle == nullptr) return false;
    const Product product{pass, shape};
    // Under capture nothing can be timed; a shape first met there is, where it next runs eagerly.
    if (stream.plans() != nullptr && !kernels::is_capturing(stream.queue())) {
      decide(stream, product, operands);
    }
    if (refused_.count(product) != 0) return false;
    if (Library::bare(shape) != shape && workspace(stream, product) < 0) apart_.insert(product);
    const int64_t bytes = workspace(stream, product);
    if (bytes < 0) return false;
    compute(stream, product, operands, room(stream, bytes));
    return true;
  }

 private:
  using Product = std::tuple<Pass, Shape>;

  static Product bare(Product product) {
    std::get<Shape>(product) = Library::bare(std::get<Shape>(product));
    return product;
  }
  // What the library computes of a product: all, or all but the epilogue.
  Product served(const Product& product) const {
    return apart_.count(product) != 0 ? bare(product) : product;
  }

  int64_t workspace(const Stream& stream, const Product& product) const {
    const auto [pass, shape] = served(product);
    return Library::workspace(handle_, pass, shape, stream.deterministic());
  }
  static Tensor room(Stream& stream, int64_t bytes) {
    return empty(stream, {std::max<int64_t>(1, bytes)}, DType::u8);
  }

  void compute(Stream& stream, const Product& product, const Operands& o, const Tensor& room) {
    const auto [pass, shape] = served(product);
    Library::run(handle_, pass, shape, stream.deterministic(), o.first.raw(), o.second.raw(),
                 shape.bias ? o.bias.raw() : nullptr, o.result.raw(), room.raw());
    if (apart_.count(product) != 0) {
      Library::epilogue(stream, std::get<Shape>(product), o.bias, o.result);
    }
  }

  // The way apart is one of a product's plans: that of the bare product, which is chosen before,
  // and a launch of its own. In 16 bits it rounds once more than a plan that does all.
  void decide(Stream& stream, const Product& product, const Operands& operands) {
    if (decided_.count(product) != 0) return;
    const Product part = bare(product);
    const bool divides = part != product;
    if (divides) decide(stream, part, operands);
    const auto bytes_apart = [&] {
      return divides && refused_.count(part) == 0 ? workspace(stream, part) : -1;
    };
    const auto& [pass, shape] = product;
    const bool taken = take_fastest_plan(
        stream, {.text = Library::text(pass, shape),
                 .plans =
                     [&, pass = pass, shape = shape] {
                       constexpr int kMost = 6;
                       auto plans = Library::list(handle_, pass, shape, kMost);
                       if (bytes_apart() >= 0) plans.push_back({kApart, bytes_apart()});
                       return plans;
                     },
                 .take =
                     [&, pass = pass, shape = shape](const std::string& plan) {
                       if (plan == kApart) {
                         if (bytes_apart() < 0) return false;
                         apart_.insert(product);
                         return true;
                       }
                       if (!Library::take(handle_, pass, shape, plan)) return false;
                       apart_.erase(product);
                       return true;
                     },
                 .run = [&](const Tensor& room) { compute(stream, product, operands, room); }});
    if (!taken) refused_.insert(product);
    decided_.insert(product);
  }

  static constexpr const char* kApart = "epilogue apart";

  bool made_ = false;
  typename Library::Handle handle_;
  std::set<Product> decided_;
  std::set<Product> refused_;  // which no plan computes
  std::set<Product> apart_;    // which the library computes bare
};

}  // namespace gliograd
