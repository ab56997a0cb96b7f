// Softmax and the loss of a classifier with one label a row.
#pragma once
#include "engine/autograd/tape.hpp"
#include "engine/tensor/tensor.hpp"

namespace gliograd {

/// y[i, k] = e^x[i, k] / sum over j of e^x[i, j], along the last axis.
/// Shapes  x, y: [..., K], K >= 1. Grads x. Paths f64 reference; f32 on the CPU; f32, bf16 and f16
///         on the GPU.
Tensor softmax(Tape& tape, const Tensor& x);

struct SoftmaxCrossEntropyOptions {
  Tensor class_weights = {};   // w [K], not negative; undefined: all 1
  Tensor sample_weights = {};  // v [...] like labels, not negative; undefined: all 1
  double label_smoothing = 0;  // s, 0 to 1: this share of every label goes to all classes alike
};

/// The weighted mean over the rows i of -log softmax(x_i), with y_i the label of row i:
///   loss = sum_i v_i * l_i / sum_i v_i * w[y_i],
///   l_i = (1 - s) * w[y_i] * -log q[i, y_i] + s / K * sum_k w[k] * -log q[i, k], q = softmax(x).
/// That is PyTorch's cross_entropy(weight, label_smoothing), whose mean divides by the sum of w[y];
/// sample weights multiply both sums. With neither it is the plain mean.
/// Shapes  x [..., K] (rows along all axes but the last), labels i32 [...]; loss: a scalar, f64
///         where x is, else f32. Dense prediction is the same with image axes in front. On a GPU
///         weights are f32.
/// Grads   x.
/// Saves   the probabilities; on a GPU x and two numbers a row.
/// Paths   f64 reference; f32 on the CPU, by log-sum-exp with the largest logit taken out; f32,
///         bf16 and f16 on the GPU, the same way.
/// Errors  Error when a shape or type disagrees, when a label is not 0 to K - 1 (names the row),
///         when a weight is negative or not finite, when all weights are zero, or when s is out of
///         range. On a GPU labels and weights are not read by the host: where they are wrong, the
///         loss is NaN, and every gradient too.
/// Source  Szegedy et al. 2015, arXiv:1512.00567, section 7 (label smoothing).
Tensor softmax_cross_entropy(Tape& tape, const Tensor& x, const Tensor& labels,
                             const SoftmaxCrossEntropyOptions& options = {});

}  // namespace gliograd
