// The heavy network of the benches, "subtype-large": a 3x3 stem and stages of basic residual blocks
// (He, Zhang, Ren, Sun 2015, arXiv:1512.03385), stride 1 in the first stage and 2 in the others.
// With its defaults (stem 32, stages 32-64-128-256 of two blocks) a training step takes
// 13.3 GFLOP an image of 128x128. Its options also make ResNet-18 as torchvision defines it:
// resnet18_settings().
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/network.hpp"

namespace gliograd::models {

struct ResidualNetOptions {
  std::vector<int64_t> widths = {32, 64, 128, 256};  // channels, one for each stage
  int64_t blocks = 2;                                // residual blocks a stage
  int64_t stem_kernel = 3;                           // side of the first window, odd
  int64_t stem_stride = 1;
  bool stem_pool = false;  // a 3x3 max pool of stride 2 behind the stem

  /// Reads "widths", "blocks", "stem_kernel", "stem_stride" and "stem_pool" (0 or 1).
  static ResidualNetOptions read(SettingsReader& reader);
};

/// Of ResNet-18 for images of `channels` channels: 11,689,512 parameters with 3 and 1,000 classes.
Settings resnet18_settings(int64_t channels, int64_t classes);

/// y = relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x)); the shortcut is x itself where the
/// shape stays, else a 1x1 convolution with the block's stride and a batch norm.
class BasicBlock {
 public:
  BasicBlock(Weights& weights, const std::string& name, int64_t in, int64_t out, int64_t stride);
  Tensor operator()(Tape& tape, const Tensor& x, Mode mode) const;

 private:
  struct Projection {
    Conv conv;
    BatchNorm norm;
  };
  Conv conv1_;
  BatchNorm norm1_;
  Conv conv2_;
  BatchNorm norm2_;
  std::vector<Projection> projection_;  // none or one
};

class ResidualNet final : public Network {
 public:
  static constexpr const char* kName = "subtype-large";
  /// Errors: Error when an option is unknown or out of range.
  ResidualNet(const Settings& settings, Stream& stream, DType dtype = DType::f32);

  /// "stem", "stage1", "stage2", …
  std::vector<std::string> stages() const override;
  std::string first_layer() const override { return "stem.conv.weight"; }
  int64_t smallest_size() const override { return 1; }
  Tensor maps(Tape& tape, const Tensor& x, Mode mode) override;

 private:
  struct Parts;
  ResidualNet(const Parts& parts, Stream& stream, DType dtype);
  Conv stem_;
  BatchNorm stem_norm_;
  bool stem_pool_;
  std::vector<std::vector<BasicBlock>> stages_;
};

}  // namespace gliograd::models
