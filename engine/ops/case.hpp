// Cases: each op registers one, and four users read it: the comparison of its paths, the gradient
// check in f64, the bench row, and `gliograd doctor --check`.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// One input of a case: random values of this shape.
struct CaseInput {
  enum class Fill : uint8_t {
    normal,    // standard normal
    uniform,   // 0 to 1
    distinct,  // a shuffled, evenly spaced grid in (-1, 1): no ties, none near 0
    binary,    // 0 or 1
    classes,   // i32 from 0 to `classes` - 1; never differentiated
  };
  Shape shape;
  Fill fill = Fill::normal;
  int classes = 2;
  bool differentiable = true;
  bool master = false;  // f32 where the others are 16-bit
  /// Axis 0 is the batch: a bench row is compared with it cut to `sample` of CaseRow.
  bool batch = false;
};

/// The op under test, on fresh inputs. Called with inputs of f64 and of the type
/// that is compared with it, on tapes of the same type.
using CaseOp = std::function<Tensor(Tape&, const std::vector<Tensor>&)>;

struct CaseRow {
  std::string label;  // what is special about it: "stride 2, odd sizes"
  std::vector<CaseInput> inputs;
  CaseOp op;
  bool bench = false;          // a layer of real size: timed; compared on a small batch
  bool gradient_check = true;  // by finite differences (never for bench rows)
  double dy_scale = 1;         // as a loss scale: keeps small gradients clear of f16's subnormals
  kernels::Cost cost = {};     // least bytes and operations of the forward pass, for the bench
};

struct Case {
  std::string name;
  std::vector<CaseRow> rows;
  /// Relative norm of the f32 path's error against the f64 reference, output and gradients; lies
  /// between what the right algorithm reaches and what a lazy one reaches.
  double f32_tolerance = 1e-5;
  /// The same in a 16-bit type, as a multiple of its unit roundoff (bf16 2^-8, f16 2^-11): what is
  /// stored between passes is rounded, sums are made in f32.
  double roundoffs = 1;
  /// Relative error of the analytic gradient against central differences, both in f64.
  double gradient_tolerance = 1e-6;
};

/// Returns true, so that `const bool kCase = register_case({...});` runs before main.
bool register_case(Case c);
/// All registered cases, sorted by name.
std::vector<Case> all_cases();

struct CaseOutcome {
  std::string where;  // "batch_norm / smallest batch: gradient of input 1"
  double error = 0;   // relative norm, the worst seen
  double tolerance = 0;
  bool passed = false;  // false also for NaN
};

/// Fresh inputs for a row; the same values in any dtype: such as `held` can hold. `max_batch` > 0
/// cuts batch axes.
std::vector<Tensor> case_inputs(const CaseRow& row, Stream& stream, DType dtype, uint64_t seed,
                                int64_t max_batch = 0, DType held = DType::f32);
/// For an op under test that is to see a physical layout: `x` in it on the CPU's f32 path, which
/// alone knows any but nhwc; elsewhere as it is.
Tensor in_case_layout(const Tensor& x, Layout layout);

/// A path of `stream`'s device in f32, bf16 or f16 against the f64 reference on the CPU, from
/// inputs that the type can hold: output and every gradient.
std::vector<CaseOutcome> compare_paths(const Case& c, const CaseRow& row, Stream& stream,
                                       uint64_t seed, DType dtype = DType::f32);
/// The analytic gradients in f64 against central differences. Elements where the two one-sided
/// differences disagree (a kink within the step) are left out: one, or 5 % where that is more, but
/// never all; beyond that the check fails.
std::vector<CaseOutcome> check_gradients(const Case& c, const CaseRow& row, Stream& stream,
                                         uint64_t seed);

}  // namespace gliograd
