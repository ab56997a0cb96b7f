// Batch normalization. Every pass cuts x as ChannelBlocks says: a thread keeps its few channels for
// good, so what belongs to a channel is read once, and walks down the rows.
#include <cmath>

#include "kernels/batch_norm.hpp"
#include "kernels/batch_norm_blocks.hpp"
#include "kernels/gpu/last_block.cuh"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"

namespace gliograd::kernels {
namespace {

constexpr int kThreads = ChannelBlocks::kThreads;

// What a launch tells its kernel about the cut.
struct Cut {
  int64_t rows, channels, rows_each;
  int lanes;
};

// Where a thread stands.
template <int kWidth>
struct Seat {
  int level, depth;  // row of threads in the block, of how many
  int64_t channel;   // the first of kWidth
  bool inside;
  __device__ explicit Seat(const Cut& cut)
      : level(static_cast<int>(threadIdx.x) / cut.lanes),
        depth(kThreads / cut.lanes),
        channel((static_cast<int64_t>(blockIdx.y) * cut.lanes +
                 static_cast<int>(threadIdx.x) % cut.lanes) *
                kWidth),
        inside(channel < cut.channels) {}
};

// ---- sums over the blocks of rows -------------------------------------------------------------

struct Sums {
  double a = 0, b = 0;
};

// Of each channel of this column of blocks the sums over its blocks of rows, in f64 and in an order
// that the cut alone fixes. For the last block; the first lanes * kWidth threads get one channel
// each. value(block, channel): what a block has.
template <int kWidth, class Value>
__device__ __forceinline__ Sums sum_blocks(const Cut& cut, int64_t channel, const Value& value) {
  __shared__ Sums shared[kThreads];
  const int channels = cut.lanes * kWidth;  // a power of two
  const int slice = static_cast<int>(threadIdx.x) / channels, slices = kThreads / channels;
  const int blocks = static_cast<int>(gridDim.x);
  Sums own;
  if (channel < cut.channels) {
    GG_UNROLL_BY(8)  // their loads are in flight together
    for (int block = slice; block < blocks; block += slices) {
      const Sums one = value(block, channel);
      own.a += one.a;
      own.b += one.b;
    }
  }
  shared[threadIdx.x] = own;
  for (int half = slices / 2; half > 0; half /= 2) {
    __syncthreads();
    if (slice >= half) continue;
    const Sums other = shared[threadIdx.x + half * channels];
    own.a += other.a;
    own.b += other.b;
    shared[threadIdx.x] = own;
  }
  return own;
}

// The channel whose sums a thread adds up in sum_blocks().
template <int kWidth>
__device__ __forceinline__ int64_t channel_to_sum(const Cut& cut) {
  const int channels = cut.lanes * kWidth;
  return static_cast<int64_t>(blockIdx.y) * channels + static_cast<int>(threadIdx.x) % channels;
}
// Whether it is this thread that gets them.
template <int kWidth>
__device__ __forceinline__ bool gets_sums(const Cut& cut, int64_t channel) {
  return static_cast<int>(threadIdx.x) < cut.lanes * kWidth && channel < cut.channels;
}

// ---- moments ----------------------------------------------------------------------------------

// Count, mean and sum of squared distances from it.
template <int kWidth>
struct Moments {
  float n = 0;
  float mean[kWidth] = {}, m2[kWidth] = {};

  // Chan, Golub & LeVeque 1979. The count is the same for all channels.
  __device__ void join(float other_n, const float (&other_mean)[kWidth],
                       const float (&other_m2)[kWidth]) {
    const float both = n + other_n;
    const float share = both > 0 ? other_n / both : 0.0f;
    const float weight = n * share;
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      const float delta = other_mean[k] - mean[k];
      mean[k] += delta * share;
      m2[k] += other_m2[k] + delta * delta * weight;
    }
    n = both;
  }
};

struct MomentsOut {
  float* partial;  // for each block of rows the means of its channels, behind all of those the m2
  unsigned* tickets;
  float eps;
  BatchNormStats stats;
  BatchNormRunning running;
};

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads) moments_kernel(const T* x, Cut cut, MomentsOut out) {
  constexpr int kRows = 4;  // at a time: their loads are in flight together
  __shared__ float means[kWidth * kThreads];
  __shared__ float squares[kWidth * kThreads];
  __shared__ float counts[kThreads];
  const Seat<kWidth> seat(cut);
  const int64_t begin = blockIdx.x * cut.rows_each;
  const int64_t end = begin + cut.rows_each < cut.rows ? begin + cut.rows_each : cut.rows;
  Moments<kWidth> own;
  if (seat.inside) {
    for (int64_t row = begin + seat.level; row < end; row += kRows * seat.depth) {
      float v[kRows][kWidth], mean[kWidth] = {}, m2[kWidth] = {};
      int n = 0;
      GG_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int64_t at = row + r * seat.depth;
        if (at >= end) break;
        load_pack(v[r], x + at * cut.channels + seat.channel);
        ++n;
      }
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) {
        GG_UNROLL
        for (int r = 0; r < kRows; ++r) mean[k] += r < n ? v[r][k] : 0.0f;
        mean[k] /= static_cast<float>(n);
        GG_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const float d = r < n ? v[r][k] - mean[k] : 0.0f;
          m2[k] += d * d;
        }
      }
      own.join(static_cast<float>(n), mean, m2);
    }
  }
  // The rows of threads, joined by halves.
  const auto put = [&] {
    counts[threadIdx.x] = own.n;
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      means[k * kThreads + threadIdx.x] = own.mean[k];
      squares[k * kThreads + threadIdx.x] = own.m2[k];
    }
  };
  put();
  for (int half = seat.depth / 2; half > 0; half /= 2) {
    __syncthreads();
    if (seat.level >= half) continue;
    const int other = static_cast<int>(threadIdx.x) + half * cut.lanes;
    float mean[kWidth], m2[kWidth];
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      mean[k] = means[k * kThreads + other];
      m2[k] = squares[k * kThreads + other];
    }
    own.join(counts[other], mean, m2);
    put();
  }
  if (seat.level == 0 && seat.inside) {
    float* to = out.partial + blockIdx.x * cut.channels + seat.channel;
    store_pack(to, own.mean);
    store_pack(to + static_cast<int64_t>(gridDim.x) * cut.channels, own.m2);
  }
  if (!is_last_block(out.tickets + blockIdx.y, gridDim.x)) return;
  // With n_b rows in block b and d_b = mean_b - mean_0: mean = mean_0 + sum of n_b d_b / m, and var
  // = (sum of m2_b + n_b d_b^2) / m - (mean - mean_0)^2. From mean_0, lest a mean far from 0
  // cancel.
  const int64_t channel = channel_to_sum<kWidth>(cut);
  const double first = channel < cut.channels ? out.partial[channel] : 0.0;
  const Sums all = sum_blocks<kWidth>(cut, channel, [&](int block, int64_t c) {
    const int64_t left = cut.rows - block * cut.rows_each;
    const auto n = static_cast<double>(left < cut.rows_each ? left : cut.rows_each);
    const float* from = out.partial + block * cut.channels + c;
    const double d = from[0] - first;
    return Sums{n * d, static_cast<double>(from[gridDim.x * cut.channels]) + n * (d * d)};
  });
  if (!gets_sums<kWidth>(cut, channel)) return;
  const auto m = static_cast<double>(cut.rows);
  const double shift = all.a / m, mean = first + shift, raw = all.b / m - shift * shift;
  const double var = raw < 0 ? 0 : raw;  // rounding; NaN stays
  out.stats.mean[channel] = static_cast<float>(mean);
  out.stats.rstd[channel] = static_cast<float>(1 / sqrt(var + static_cast<double>(out.eps)));
  const BatchNormRunning& running = out.running;
  const double keep = 1 - static_cast<double>(running.momentum), take = running.momentum;
  running.mean[channel] = static_cast<float>(keep * running.mean[channel] + take * mean);
  running.var[channel] =
      static_cast<float>(keep * running.var[channel] + take * var * (m / (m - 1)));
}

__global__ void from_running_kernel(int64_t channels, BatchNormRunning running, float eps,
                                    BatchNormStats stats) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  stats.mean[c] = running.mean[c];
  stats.rstd[c] =
      static_cast<float>(1 / sqrt(static_cast<double>(running.var[c]) + static_cast<double>(eps)));
}

// ---- forward ----------------------------------------------------------------------------------

// What a thread needs of its channels. p = (x - mean) * scale + beta is written alike in both
// passes, so that backward finds the sign that forward saw.
template <int kWidth>
struct Channels {
  float mean[kWidth] = {}, scale[kWidth] = {}, beta[kWidth] = {};
  __device__ Channels(const Seat<kWidth>& seat, const BatchNormStats& stats, const float* gamma,
                      const float* shift) {
    if (!seat.inside) return;
    float rstd[kWidth];
    load_pack(mean, stats.mean + seat.channel);
    load_pack(rstd, stats.rstd + seat.channel);
    load_pack(scale, gamma + seat.channel);
    load_pack(beta, shift + seat.channel);
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) scale[k] *= rstd[k];
  }
};

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads, 4)
    apply_kernel(const T* x, const T* z, Cut cut, BatchNormStats stats, const float* gamma,
                 const float* beta, Activation activation, float slope, T* y) {
  const Seat<kWidth> seat(cut);
  if (!seat.inside) return;
  const Channels<kWidth> of(seat, stats, gamma, beta);
  const int64_t step = static_cast<int64_t>(gridDim.x) * seat.depth;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * seat.depth + seat.level; row < cut.rows;
       row += step) {
    const int64_t at = row * cut.channels + seat.channel;
    float v[kWidth], more[kWidth] = {};
    load_pack(v, x + at);
    if (z != nullptr) load_pack(more, z + at);
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      float p = (v[k] - of.mean[k]) * of.scale[k] + of.beta[k];
      if (z != nullptr) p += more[k];
      if (activation == Activation::relu) p = p < 0 ? 0.0f : p;
      if (activation == Activation::leaky_relu) p = p < 0 ? slope * p : p;
      v[k] = p;
    }
    store_pack(y + at, v);
  }
}

// ---- backward ---------------------------------------------------------------------------------

// dp of one row: dy times the activation's derivative.
template <int kWidth, class T>
__device__ __forceinline__ void gradient_before(const Channels<kWidth>& of,
                                                const float (&v)[kWidth], const T* y,
                                                Activation activation, float slope,
                                                float (&d)[kWidth]) {
  if (activation == Activation::none) return;
  const float cut_to = activation == Activation::relu ? 0.0f : slope;
  float sign[kWidth];
  if (y != nullptr) {
    load_pack(sign, y);
  } else {
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) sign[k] = (v[k] - of.mean[k]) * of.scale[k] + of.beta[k];
  }
  GG_UNROLL
  for (int k = 0; k < kWidth; ++k) d[k] = sign[k] > 0 ? d[k] : cut_to * d[k];
}

struct SumsOut {
  float* partial;  // for each block of rows sum dp of its channels, behind all of those sum dp * (x
                   // - mean)
  unsigned* tickets;
  // For each channel the mean of dp and the slope of dp on x - mean; zeros where mean and rstd are
  // constants.
  float* factors;
};

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads)
    sums_kernel(Cut cut, BatchNormGradient args, Activation activation, float slope, SumsOut out) {
  __shared__ float sums[kWidth * kThreads];
  __shared__ float dots[kWidth * kThreads];
  const Seat<kWidth> seat(cut);
  const Channels<kWidth> of(seat, args.stats, args.gamma, args.beta);
  const auto* x = static_cast<const T*>(args.x);
  const auto* y = static_cast<const T*>(args.y);
  const auto* dy = static_cast<const T*>(args.dy);
  auto* dz = static_cast<T*>(args.dz);
  const int64_t begin = blockIdx.x * cut.rows_each;
  const int64_t end = begin + cut.rows_each < cut.rows ? begin + cut.rows_each : cut.rows;
  float sum[kWidth] = {}, dot[kWidth] = {};
  if (seat.inside) {
    for (int64_t row = begin + seat.level; row < end; row += seat.depth) {
      const int64_t at = row * cut.channels + seat.channel;
      float v[kWidth], d[kWidth];
      load_pack(v, x + at);
      load_pack(d, dy + at);
      gradient_before(of, v, y == nullptr ? nullptr : y + at, activation, slope, d);
      if (dz != nullptr) store_pack(dz + at, d);
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) {
        sum[k] += d[k];
        dot[k] += d[k] * (v[k] - of.mean[k]);
      }
    }
  }
  const auto put = [&] {
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      sums[k * kThreads + threadIdx.x] = sum[k];
      dots[k * kThreads + threadIdx.x] = dot[k];
    }
  };
  put();
  for (int half = seat.depth / 2; half > 0; half /= 2) {
    __syncthreads();
    if (seat.level >= half) continue;
    const int other = static_cast<int>(threadIdx.x) + half * cut.lanes;
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      sum[k] += sums[k * kThreads + other];
      dot[k] += dots[k * kThreads + other];
    }
    put();
  }
  if (seat.level == 0 && seat.inside) {
    float* to = out.partial + blockIdx.x * cut.channels + seat.channel;
    store_pack(to, sum);
    store_pack(to + static_cast<int64_t>(gridDim.x) * cut.channels, dot);
  }
  if (!is_last_block(out.tickets + blockIdx.y, gridDim.x)) return;
  const int64_t channel = channel_to_sum<kWidth>(cut);
  const Sums all = sum_blocks<kWidth>(cut, channel, [&](int block, int64_t c) {
    const float* from = out.partial + block * cut.channels + c;
    return Sums{from[0], from[gridDim.x * cut.channels]};
  });
  if (!gets_sums<kWidth>(cut, channel)) return;
  const double rstd = args.stats.rstd[channel];
  args.dbeta[channel] = static_cast<float>(all.a);
  args.dgamma[channel] = static_cast<float>(all.b * rstd);
  const double share = args.train ? 1.0 / static_cast<double>(cut.rows) : 0.0;
  out.factors[channel] = static_cast<float>(all.a * share);
  out.factors[cut.channels + channel] = static_cast<float>(all.b * rstd * rstd * share);
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads)
    gradient_kernel(Cut cut, BatchNormGradient args, Activation activation, float slope,
                    const float* factors) {
  const Seat<kWidth> seat(cut);
  if (!seat.inside) return;
  const Channels<kWidth> of(seat, args.stats, args.gamma, args.beta);
  float mean_dp[kWidth], slope_dp[kWidth];
  load_pack(mean_dp, factors + seat.channel);
  load_pack(slope_dp, factors + cut.channels + seat.channel);
  const auto* x = static_cast<const T*>(args.x);
  const auto* dp = static_cast<const T*>(args.dz);  // where it was written, the cut is in it
  const auto* dy = dp != nullptr ? dp : static_cast<const T*>(args.dy);
  const auto* y = static_cast<const T*>(args.y);
  auto* dx = static_cast<T*>(args.dx);
  const int64_t step = static_cast<int64_t>(gridDim.x) * seat.depth;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * seat.depth + seat.level; row < cut.rows;
       row += step) {
    const int64_t at = row * cut.channels + seat.channel;
    float v[kWidth], d[kWidth];
    load_pack(v, x + at);
    load_pack(d, dy + at);
    if (dp == nullptr) {
      gradient_before(of, v, y == nullptr ? nullptr : y + at, activation, slope, d);
    }
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      d[k] = of.scale[k] * (d[k] - mean_dp[k] - (v[k] - of.mean[k]) * slope_dp[k]);
    }
    store_pack(dx + at, d);
  }
}

// ---- launches ---------------------------------------------------------------------------------

Cut cut_of(const ChannelBlocks& blocks, const BatchNormShape& shape) {
  return {shape.rows, shape.channels, blocks.rows_each, blocks.lanes};
}

// A pass that sums: one block for each part of the cut. Two partial results of each are written for
// each channel, and read by the last.
Launch summing(const char* name, const ChannelBlocks& blocks, int64_t channels, Cost cost) {
  const auto partial = static_cast<double>(2 * blocks.row_blocks * channels);
  cost.bytes += 2 * partial * sizeof(float);
  cost.ops += partial;
  return {.name = name,
          .grid = dim3(static_cast<unsigned>(blocks.row_blocks),
                       static_cast<unsigned>(blocks.column_blocks)),
          .block = kThreads,
          .cost = cost};
}
// A pass that writes: as many blocks as there are rows for, up to a few waves.
Launch writing(const char* name, const ChannelBlocks& blocks, int64_t rows, Cost cost) {
  const int64_t most = 8 * ChannelBlocks::kMostBlocks;
  const int64_t wanted = (rows + blocks.depth - 1) / blocks.depth;
  return {.name = name,
          .grid = dim3(static_cast<unsigned>(wanted < most ? wanted : most),
                       static_cast<unsigned>(blocks.column_blocks)),
          .block = kThreads,
          .cost = cost};
}
// So many passes over a tensor, and operations a value.
template <class T>
Cost cost_of(const BatchNormShape& shape, int passes, int ops) {
  const auto values = static_cast<double>(shape.rows * shape.channels);
  return {.bytes = values * sizeof(T) * passes, .ops = values * ops};
}

void moments(Queue queue, const BatchNormShape& shape, const void* x, float* scratch, float eps,
             BatchNormStats stats, BatchNormRunning running) {
  const ChannelBlocks blocks(shape.rows, shape.channels);
  const Cut cut = cut_of(blocks, shape);
  const MomentsOut out = {scratch, tickets_of(queue, blocks.column_blocks), eps, stats, running};
  with_pack(blocks.width, shape.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch(summing("batch_norm_moments", blocks, shape.channels, cost_of<T>(shape, 1, 4)), queue,
           moments_kernel<decltype(width)::value, T>, static_cast<const T*>(x), cut, out);
  });
}

void from_running(Queue queue, int64_t channels, BatchNormRunning running, float eps,
                  BatchNormStats stats) {
  launch({.name = "batch_norm_from_running",
          .grid = static_cast<unsigned>((channels + kThreads - 1) / kThreads),
          .block = kThreads,
          .cost = {.bytes = 4.0 * sizeof(float) * static_cast<double>(channels)}},
         queue, from_running_kernel, channels, running, eps, stats);
}

void apply(Queue queue, const BatchNormShape& shape, const void* x, const void* z,
           BatchNormStats stats, const float* gamma, const float* beta, void* y) {
  const ChannelBlocks blocks(shape.rows, shape.channels);
  with_pack(blocks.width, shape.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    const int reads_z = z != nullptr ? 1 : 0;
    launch(writing("batch_norm_apply", blocks, shape.rows, cost_of<T>(shape, 2 + reads_z, 4)),
           queue, apply_kernel<decltype(width)::value, T>, static_cast<const T*>(x),
           static_cast<const T*>(z), cut_of(blocks, shape), stats, gamma, beta, shape.activation,
           shape.slope, static_cast<T*>(y));
  });
}

void backward(Queue queue, const BatchNormShape& shape, const BatchNormGradient& args,
              float* scratch) {
  const ChannelBlocks blocks(shape.rows, shape.channels);
  const Cut cut = cut_of(blocks, shape);
  const SumsOut out = {scratch, tickets_of(queue, blocks.column_blocks),
                       scratch + 2 * blocks.row_blocks * shape.channels};
  const int more = (args.y != nullptr ? 1 : 0) + (args.dz != nullptr ? 1 : 0);
  with_pack(blocks.width, shape.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    launch(summing("batch_norm_sums", blocks, shape.channels, cost_of<T>(shape, 2 + more, 6)),
           queue, sums_kernel<decltype(width)::value, T>, cut, args, shape.activation, shape.slope,
           out);
  });
  if (args.dx == nullptr) return;
  with_pack(blocks.width, shape.dtype, [&](auto width, auto t) {
    using T = decltype(t);
    const int reads_y = args.y != nullptr && args.dz == nullptr ? 1 : 0;
    launch(writing("batch_norm_gradient", blocks, shape.rows, cost_of<T>(shape, 3 + reads_y, 6)),
           queue, gradient_kernel<decltype(width)::value, T>, cut, args, shape.activation,
           shape.slope, static_cast<const float*>(out.factors));
  });
}

const Provide<batch_norm_moments> provide_moments{moments};
const Provide<batch_norm_from_running> provide_from_running{from_running};
const Provide<batch_norm_apply> provide_apply{apply};
const Provide<batch_norm_backward> provide_backward{backward};

}  // namespace
}  // namespace gliograd::kernels
