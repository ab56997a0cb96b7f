#include "kernels/batch_norm.hpp"

#include "kernels/batch_norm_blocks.hpp"

namespace gliograd::kernels {

int64_t batch_norm_scratch(int64_t rows, int64_t channels) {
  return 2 * ChannelBlocks(rows, channels).row_blocks * channels;
}

}  // namespace gliograd::kernels
