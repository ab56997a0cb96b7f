// How channel-wise kernels cut [rows, C] into blocks: by the shape alone, so that sums made block
// by block and then joined in order have the same bits on every GPU.
#pragma once
#include <cstdint>

namespace gliograd::kernels {

/// A block has 256 threads: `lanes` of them side by side along the channels, kWidth neighbors each,
/// and `depth` such rows of threads below each other. The lanes read 128 bytes in a row or more
/// (64 in 16 bits where 8 do not divide C), where there are so many channels, and no more than 64
/// channels: so that the last block has several threads for each when it joins what all have
/// summed.
struct ChannelBlocks {
  static constexpr int kThreads = 256;
  static constexpr int64_t kMostBlocks = 264;  // two for each multiprocessor of an H100

  int width = 1;  // channels a thread: 8, or 1 where 8 do not divide C
  int lanes = 1;  // a power of two, at most 8 of width 8, or 32
  int depth = 1;  // lanes * depth = kThreads
  int64_t column_blocks = 1;
  int64_t row_blocks = 1;
  int64_t rows_each = 1;  // rows of a block; the last one may have fewer

  ChannelBlocks(int64_t rows, int64_t channels) {
    width = channels % 8 == 0 ? 8 : 1;
    const int64_t groups = channels / width;
    while (lanes < groups && lanes < (width == 8 ? 8 : 32)) lanes *= 2;
    depth = kThreads / lanes;
    column_blocks = (groups + lanes - 1) / lanes;
    const int64_t most = column_blocks < kMostBlocks ? kMostBlocks / column_blocks : 1;
    const int64_t wanted = (rows + 4 * depth - 1) / (4 * depth);  // four rows a thread or more
    row_blocks = wanted < most ? wanted : most;
    if (row_blocks < 1) row_blocks = 1;
    rows_each = (rows + row_blocks - 1) / row_blocks;
    if (rows_each < 1) rows_each = 1;
    row_blocks = (rows + rows_each - 1) / rows_each;  // none of them empty
    if (row_blocks < 1) row_blocks = 1;
  }
};

}  // namespace gliograd::kernels
