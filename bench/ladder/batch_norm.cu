// Batch norm forward in training, in five rungs; read from the top. x is [rows, C], a row being a
// pixel, so the values of a channel lie C apart. For each channel: mean and variance over the rows,
// then y = relu(gamma * (x - mean) * rstd + beta), and the running statistics.
//
// Every number under "Expected" is for x [128 * 112 * 112, 64] in bf16 (205.5 MB, the first batch
// norm of ResNet-18) on an H200: 132 multiprocessors at 1.98 GHz, 3.07 TB/s measured when copying.
// The mean must be known before the first y, and x is four times the L2, so the least is two reads
// and one write: 617 MB, 0.201 ms. They were written down before any rung had run on a GPU, from
// bytes, instructions and latencies (a load from memory: 0.7 us, so 3.07 TB/s want 2.1 MB under way
// at every moment).
#include <cmath>

#include "bench/ladder/batch_norm.hpp"
#include "kernels/batch_norm_blocks.hpp"
#include "kernels/gpu/launch.cuh"
#include "kernels/gpu/pack.cuh"
#include "kernels/gpu/reduce.cuh"

namespace gliograd::ladder {
namespace {

using namespace kernels;

constexpr int kThreads = 256;

// What a channel's moments become, in every rung but the last: what normalizes, and the running
// statistics.
__device__ void finish_channel(const BatchNormPass& pass, int64_t c, double mean, double m2) {
  const auto m = static_cast<double>(pass.shape.rows);
  const double var = m2 / m, take = pass.running.momentum;
  pass.stats.mean[c] = static_cast<float>(mean);
  pass.stats.rstd[c] = static_cast<float>(1 / sqrt(var + static_cast<double>(pass.eps)));
  float* running = pass.running.mean + c;
  *running = static_cast<float>((1 - take) * *running + take * mean);
  running = pass.running.var + c;
  *running = static_cast<float>((1 - take) * *running + take * (m2 / (m - 1)));
}

__device__ __forceinline__ float normalized(float x, float mean, float scale, float beta) {
  const float p = (x - mean) * scale + beta;
  return p < 0 ? 0.0f : p;
}

Cost cost_of(const BatchNormPass& pass, double passes, double ops, size_t size) {
  const auto values = static_cast<double>(pass.shape.rows * pass.shape.channels);
  return {.bytes = passes * values * static_cast<double>(size), .ops = ops * values};
}

unsigned ceiling(int64_t n, int64_t by) { return static_cast<unsigned>((n + by - 1) / by); }

// ---- 1: a thread a channel --------------------------------------------------------------------
// The formula as one would write it in C: a thread walks down its channel three times.
//
// Expected  64 threads: two warps on one of 132 multiprocessors. 3 * 1.6 million loads one after
//           the other, of which the compiler keeps perhaps four under way: 3 * 1.6e6 * 0.7 us / 4 =
//           843 ms. The machine waits; bandwidth does not matter.
// Brought   not measured yet.
template <class T>
__global__ void thread_a_channel_kernel(BatchNormPass pass) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t rows = pass.shape.rows, channels = pass.shape.channels;
  if (c >= channels) return;
  const T* x = static_cast<const T*>(pass.x) + c;
  double sum = 0, m2 = 0;  // f64, since f32 would lose the mean of a million values
  for (int64_t row = 0; row < rows; ++row) sum += load_value(x + row * channels);
  const double mean = sum / static_cast<double>(rows);
  for (int64_t row = 0; row < rows; ++row) {
    const double d = load_value(x + row * channels) - mean;
    m2 += d * d;
  }
  finish_channel(pass, c, mean, m2);
  const float center = pass.stats.mean[c], scale = pass.gamma[c] * pass.stats.rstd[c];
  T* y = static_cast<T*>(pass.y) + c;
  for (int64_t row = 0; row < rows; ++row) {
    const float v = load_value(x + row * channels);
    store_value(y + row * channels, normalized(v, center, scale, pass.beta[c]));
  }
}

void thread_a_channel(Queue queue, const BatchNormPass& pass) {
  with_float_type(pass.shape.dtype, [&](auto t) {
    using T = decltype(t);
    launch({.name = "ladder_thread_a_channel",
            .grid = ceiling(pass.shape.channels, 32),
            .block = 32,
            .cost = cost_of(pass, 4, 7, sizeof(T))},
           queue, thread_a_channel_kernel<T>, pass);
  });
}

// ---- 2: a block a channel ---------------------------------------------------------------------
// 256 threads share a channel and add up through shared memory. 256 times as many loads are under
// way; still three walks, and each load of two bytes fetches a sector of 32, because the neighbor
// in memory is another channel, which another block reads.
//
// Expected  Blocks of all channels walk side by side, so a sector comes from memory once and from
//           the L2 15 times more. What limits is the multiprocessor: a warp's load touches 32
//           lines, and one is looked up a cycle. 64 blocks on 64 multiprocessors: 4 walks (two
//           reads, then a read and a write) * 102.8e6 values / (64 * 1.98e9) = 3.2 ms. 260 times
//           the rung above, and a sixteenth of what the memory would allow.
// Brought   not measured yet.
template <class T>
__global__ void __launch_bounds__(kThreads) block_a_channel_kernel(BatchNormPass pass) {
  const int64_t c = blockIdx.x, rows = pass.shape.rows, channels = pass.shape.channels;
  const T* x = static_cast<const T*>(pass.x) + c;
  double sum = 0, m2 = 0;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    sum += load_value(x + row * channels);
  }
  const double mean = block_sum<kThreads>(sum) / static_cast<double>(rows);
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    const double d = load_value(x + row * channels) - mean;
    m2 += d * d;
  }
  m2 = block_sum<kThreads>(m2);
  if (threadIdx.x == 0) finish_channel(pass, c, mean, m2);
  __syncthreads();
  const float center = pass.stats.mean[c], scale = pass.gamma[c] * pass.stats.rstd[c];
  T* y = static_cast<T*>(pass.y) + c;
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    const float v = load_value(x + row * channels);
    store_value(y + row * channels, normalized(v, center, scale, pass.beta[c]));
  }
}

void block_a_channel(Queue queue, const BatchNormPass& pass) {
  with_float_type(pass.shape.dtype, [&](auto t) {
    using T = decltype(t);
    launch({.name = "ladder_block_a_channel",
            .grid = static_cast<unsigned>(pass.shape.channels),
            .block = kThreads,
            .cost = cost_of(pass, 4, 7, sizeof(T))},
           queue, block_a_channel_kernel<T>, pass);
  });
}

// ---- 3: a warp across channels ----------------------------------------------------------------
// The lanes of a warp take 32 neighboring channels of one row, so what they read lies together; the
// rows are cut into slices, enough blocks for every multiprocessor. Three launches: moments of each
// slice, their join, the result. Mean and squared distances come from one read (Welford 1962), and
// join by Chan, Golub & LeVeque 1979: the textbook's mean of squares less squared mean would
// cancel.
//
// Expected  617 MB at last. But a thread has one load of two bytes under way. Moments: 38 registers
//           leave six blocks, 0.4 MB under way, a fifth of what the bandwidth wants: 0.36 ms.
//           Result: eight blocks, a quarter: 0.27 ms; its writes wait for nobody. The division for
//           every value hides behind that: some 20 instructions * 102.8e6 / 33e12 a second = 0.06.
//           The join walks twice down 1,056 slices with one thread a channel, four loads from the
//           L2 under way: 2 * 1,056 * 0.28 us / 4 = 0.15 ms. Together 0.78 ms: four times the rung
//           above.
// Brought   not measured yet.
constexpr int kLanes = 32, kDepth = kThreads / kLanes;
constexpr int64_t kSlices = 8 * 132;  // blocks of 256 threads that fill 132 multiprocessors

int64_t slices_of(int64_t rows) {
  const int64_t most = (rows + kDepth - 1) / kDepth;
  return most < kSlices ? most : kSlices;
}

struct Moments {
  float n, mean, m2;
  __device__ void add(float v) {
    n += 1;
    const float d = v - mean;
    mean += d / n;
    m2 += d * (v - mean);
  }
  __device__ void join(const Moments& other) {
    const float both = n + other.n, d = other.mean - mean;
    if (both == 0) return;
    mean += d * (other.n / both);
    m2 += other.m2 + d * d * (n * other.n / both);
    n = both;
  }
};

// partial: the counts of each slice and channel, behind them the means, behind those the m2.
template <class T>
__global__ void __launch_bounds__(kThreads) slice_moments_kernel(BatchNormPass pass) {
  __shared__ Moments shared[kDepth][kLanes];
  const int lane = static_cast<int>(threadIdx.x) % kLanes,
            level = static_cast<int>(threadIdx.x) / kLanes;
  const int64_t channels = pass.shape.channels, slices = gridDim.x;
  const int64_t c = static_cast<int64_t>(blockIdx.y) * kLanes + lane;
  const T* x = static_cast<const T*>(pass.x) + c;
  Moments own{};
  if (c < channels) {
    for (int64_t row = static_cast<int64_t>(blockIdx.x) * kDepth + level; row < pass.shape.rows;
         row += slices * kDepth) {
      own.add(load_value(x + row * channels));
    }
  }
  shared[level][lane] = own;
  __syncthreads();
  if (level != 0 || c >= channels) return;
  for (int other = 1; other < kDepth; ++other) own.join(shared[other][lane]);
  float* to = pass.scratch + blockIdx.x * channels + c;
  to[0] = own.n;
  to[slices * channels] = own.mean;
  to[2 * slices * channels] = own.m2;
}

// In f64: a thousand f32 joins would each round the mean, and lose 1e-5 of the spread.
__global__ void join_slices_kernel(BatchNormPass pass, int64_t slices) {
  const int64_t channels = pass.shape.channels, each = slices * channels;
  const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  const float* counts = pass.scratch + c;
  double sum = 0, m2 = 0;
  for (int64_t i = 0; i < each; i += channels) {
    sum += static_cast<double>(counts[i]) * counts[each + i];
  }
  const double mean = sum / static_cast<double>(pass.shape.rows);
  for (int64_t i = 0; i < each; i += channels) {
    const double d = counts[each + i] - mean;
    m2 += counts[2 * each + i] + counts[i] * d * d;
  }
  finish_channel(pass, c, mean, m2);
}

template <class T>
__global__ void __launch_bounds__(kThreads) normalize_kernel(BatchNormPass pass) {
  const int64_t channels = pass.shape.channels;
  const int64_t c = static_cast<int64_t>(blockIdx.y) * kLanes + threadIdx.x % kLanes;
  if (c >= channels) return;
  const float mean = pass.stats.mean[c], scale = pass.gamma[c] * pass.stats.rstd[c];
  const float beta = pass.beta[c];
  const T* x = static_cast<const T*>(pass.x) + c;
  T* y = static_cast<T*>(pass.y) + c;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kDepth + threadIdx.x / kLanes;
       row < pass.shape.rows; row += static_cast<int64_t>(gridDim.x) * kDepth) {
    const float v = load_value(x + row * channels);
    store_value(y + row * channels, normalized(v, mean, scale, beta));
  }
}

void join_slices(Queue queue, const BatchNormPass& pass, int64_t slices) {
  const auto partial = static_cast<double>(3 * slices * pass.shape.channels);
  launch({.name = "ladder_join_slices",
          .grid = ceiling(pass.shape.channels, 32),
          .block = 32,
          .cost = {.bytes = 4 * partial, .ops = 4 * partial}},
         queue, join_slices_kernel, pass, slices);
}

void warp_across_channels(Queue queue, const BatchNormPass& pass) {
  const int64_t slices = slices_of(pass.shape.rows);
  const dim3 grid(static_cast<unsigned>(slices), ceiling(pass.shape.channels, kLanes));
  with_float_type(pass.shape.dtype, [&](auto t) {
    using T = decltype(t);
    launch({.name = "ladder_slice_moments",
            .grid = grid,
            .block = kThreads,
            .cost = cost_of(pass, 1, 5, sizeof(T))},
           queue, slice_moments_kernel<T>, pass);
    join_slices(queue, pass, slices);
    launch({.name = "ladder_normalize",
            .grid = grid,
            .block = kThreads,
            .cost = cost_of(pass, 2, 4, sizeof(T))},
           queue, normalize_kernel<T>, pass);
  });
}

// ---- 4: eight channels a thread ---------------------------------------------------------------
// A thread reads 16 bytes of bf16 (or twice 16 of f32), eight channels of a row: an eighth of the
// loads for the same bytes. The count is the same for its eight channels, so one division serves
// them. Rows and channels are cut as kernels/batch_norm_blocks.hpp says, which is what the shipped
// kernels do: 264 blocks, two for each multiprocessor. Where 8 does not divide C, one channel.
//
// Expected  The result: 48 registers leave five blocks, 2.7 MB under way, more than is wanted: at
//           the copy rate, 0.134 ms. The moments: two blocks, 67,600 threads with one row each, 1.1
//           MB, half of what is wanted: 0.134 ms. The join, 264 slices long: 0.04 ms. Together 0.31
//           ms: two fifths of the rung above.
// Brought   not measured yet.
struct Seat {
  int level, depth;
  int64_t channel;
  __device__ Seat(int width, int lanes)
      : level(static_cast<int>(threadIdx.x) / lanes),
        depth(kThreads / lanes),
        channel((static_cast<int64_t>(blockIdx.y) * lanes + threadIdx.x % lanes) * width) {}
};

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads)
    pack_moments_kernel(BatchNormPass pass, int lanes, int64_t rows_each) {
  __shared__ Moments shared[kThreads * kWidth];
  const int64_t channels = pass.shape.channels, slices = gridDim.x;
  const Seat seat(kWidth, lanes);
  const int64_t begin = blockIdx.x * rows_each;
  const int64_t end = begin + rows_each < pass.shape.rows ? begin + rows_each : pass.shape.rows;
  float n = 0, mean[kWidth] = {}, m2[kWidth] = {};
  if (seat.channel < channels) {
    const T* x = static_cast<const T*>(pass.x) + seat.channel;
    for (int64_t row = begin + seat.level; row < end; row += seat.depth) {
      float v[kWidth];
      load_pack(v, x + row * channels);
      n += 1;
      const float share = 1 / n;
      GG_UNROLL
      for (int k = 0; k < kWidth; ++k) {
        const float d = v[k] - mean[k];
        mean[k] += d * share;
        m2[k] += d * (v[k] - mean[k]);
      }
    }
  }
  GG_UNROLL
  for (int k = 0; k < kWidth; ++k) shared[k * kThreads + threadIdx.x] = {n, mean[k], m2[k]};
  for (int half = seat.depth / 2; half > 0; half /= 2) {
    __syncthreads();
    if (seat.level >= half) continue;
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) {
      const int at = k * kThreads + static_cast<int>(threadIdx.x);
      shared[at].join(shared[at + half * lanes]);
    }
  }
  if (seat.level != 0 || seat.channel >= channels) return;
  GG_UNROLL
  for (int k = 0; k < kWidth; ++k) {
    const Moments all = shared[k * kThreads + threadIdx.x];
    float* to = pass.scratch + blockIdx.x * channels + seat.channel + k;
    to[0] = all.n;
    to[slices * channels] = all.mean;
    to[2 * slices * channels] = all.m2;
  }
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads, 4)
    pack_normalize_kernel(BatchNormPass pass, int lanes) {
  const int64_t channels = pass.shape.channels;
  const Seat seat(kWidth, lanes);
  if (seat.channel >= channels) return;
  float mean[kWidth], scale[kWidth], gamma[kWidth], beta[kWidth];
  load_pack(mean, pass.stats.mean + seat.channel);
  load_pack(scale, pass.stats.rstd + seat.channel);
  load_pack(gamma, pass.gamma + seat.channel);
  load_pack(beta, pass.beta + seat.channel);
  GG_UNROLL
  for (int k = 0; k < kWidth; ++k) scale[k] *= gamma[k];
  const T* x = static_cast<const T*>(pass.x) + seat.channel;
  T* y = static_cast<T*>(pass.y) + seat.channel;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * seat.depth + seat.level;
       row < pass.shape.rows; row += static_cast<int64_t>(gridDim.x) * seat.depth) {
    float v[kWidth];
    load_pack(v, x + row * channels);
    GG_UNROLL
    for (int k = 0; k < kWidth; ++k) v[k] = normalized(v[k], mean[k], scale[k], beta[k]);
    store_pack(y + row * channels, v);
  }
}

void pack_of_channels(Queue queue, const BatchNormPass& pass) {
  const ChannelBlocks cut(pass.shape.rows, pass.shape.channels);
  const auto columns = static_cast<unsigned>(cut.column_blocks);
  const int64_t wanted = (pass.shape.rows + cut.depth - 1) / cut.depth;
  constexpr int64_t kMost = 8 * ChannelBlocks::kMostBlocks;
  const auto go = [&](auto width, auto t) {
    using T = decltype(t);
    constexpr int kWidth = decltype(width)::value;
    launch({.name = "ladder_pack_moments",
            .grid = dim3(static_cast<unsigned>(cut.row_blocks), columns),
            .block = kThreads,
            .cost = cost_of(pass, 1, 5, sizeof(T))},
           queue, pack_moments_kernel<kWidth, T>, pass, cut.lanes, cut.rows_each);
    join_slices(queue, pass, cut.row_blocks);
    launch({.name = "ladder_pack_normalize",
            .grid = dim3(static_cast<unsigned>(wanted < kMost ? wanted : kMost), columns),
            .block = kThreads,
            .cost = cost_of(pass, 2, 4, sizeof(T))},
           queue, pack_normalize_kernel<kWidth, T>, pass, cut.lanes);
  };
  with_float_type(pass.shape.dtype, [&](auto t) {
    if (cut.width == 8) {
      go(std::integral_constant<int, 8>{}, t);
    } else {
      go(std::integral_constant<int, 1>{}, t);
    }
  });
}

// ---- 5: the shipped kernels -------------------------------------------------------------------
// kernels/gpu/batch_norm.cu. A thread loads four rows before it looks at the first, takes the
// four's own moments and joins them once. The block that comes last joins all of them
// (kernels/gpu/last_block.cuh) instead of a launch of its own, in f64 and in a fixed order, so that
// the bits do not depend on how the GPU schedules.
//
// Expected  The moments have 4.3 MB under way, and now keep up with the memory: 0.067 ms. The
//           result as on the rung above, 0.134 ms. The join: four threads a channel, 66 blocks
//           each, the loads of eight under way: 9 * 0.28 us = 0.003 ms with the fences. Together
//           0.204 ms, 98 % of the copy rate; less where the end of x still lies in the L2 when the
//           result begins to read.
// Brought   not measured yet at this size. At [32 * 80 * 80, 16], which lies in the L2, it took
//           0.024 ms on an H200 while the join was a third launch, most of it the launches
//           themselves (bench/results/gpu-nvidia-h200-2026-11-27.json, "profile").
void shipped(Queue queue, const BatchNormPass& pass) {
  batch_norm_moments(queue, pass.shape, pass.x, pass.scratch, pass.eps, pass.stats, pass.running);
  batch_norm_apply(queue, pass.shape, pass.x, nullptr, pass.stats, pass.gamma, pass.beta, pass.y);
}

constexpr BatchNormRung kRungs[] = {{"thread_a_channel", thread_a_channel, 843},
                                    {"block_a_channel", block_a_channel, 3.2},
                                    {"warp_across_channels", warp_across_channels, 0.78},
                                    {"pack_of_channels", pack_of_channels, 0.31},
                                    {"shipped", shipped, 0.204}};

}  // namespace

int64_t batch_norm_pass_scratch(int64_t rows, int64_t channels) {
  const int64_t slices = slices_of(rows), blocks = ChannelBlocks(rows, channels).row_blocks;
  return 3 * channels * (slices > blocks ? slices : blocks);
}

std::span<const BatchNormRung> batch_norm_rungs() { return kRungs; }

}  // namespace gliograd::ladder
