#include "models/residual_net.hpp"

#include "engine/ops/pool.hpp"

namespace gliograd::models {

struct ResidualNet::Parts {
  explicit Parts(const Settings& settings) {
    SettingsReader reader(kName, settings);
    common = NetworkOptions::read(reader);
    own = ResidualNetOptions::read(reader);
    reader.finish();
  }
  NetworkOptions common;
  ResidualNetOptions own;
};

ResidualNetOptions ResidualNetOptions::read(SettingsReader& reader) {
  ResidualNetOptions options;
  options.widths = reader.integers("widths", options.widths, 1, 4096, 8);
  options.blocks = reader.integer("blocks", options.blocks, 1, 64);
  options.stem_kernel = reader.integer("stem_kernel", options.stem_kernel, 1, 15);
  options.stem_stride = reader.integer("stem_stride", options.stem_stride, 1, 4);
  options.stem_pool = reader.integer("stem_pool", options.stem_pool ? 1 : 0, 0, 1) == 1;
  return options;
}

Settings resnet18_settings(int64_t channels, int64_t classes) {
  return {{"widths", "64-128-256-512"},
          {"stem_kernel", "7"},
          {"stem_stride", "2"},
          {"stem_pool", "1"},
          {"input_channels", std::to_string(channels)},
          {"classes", std::to_string(classes)}};
}

BasicBlock::BasicBlock(Weights& weights, const std::string& name, int64_t in, int64_t out,
                       int64_t stride)
    : conv1_(weights, name + ".conv1", {.in = in, .out = out, .stride = stride}),
      norm1_(weights, name + ".norm1", out, Activation::relu),
      conv2_(weights, name + ".conv2", {.in = out, .out = out}),
      norm2_(weights, name + ".norm2", out, Activation::relu) {
  if (in != out || stride != 1) {
    Conv conv(weights, name + ".shortcut.conv",
              {.in = in, .out = out, .kernel = 1, .stride = stride});
    BatchNorm norm(weights, name + ".shortcut.norm", out);
    projection_.push_back({conv, norm});
  }
}

Tensor BasicBlock::operator()(Tape& tape, const Tensor& x, Mode mode) const {
  Tensor shortcut = x;
  for (const Projection& p : projection_) shortcut = p.norm(tape, p.conv(tape, x), mode);
  const Tensor inner = norm1_(tape, conv1_(tape, x), mode);
  return norm2_(tape, conv2_(tape, inner), mode, &shortcut);  // adds it, then the activation
}

ResidualNet::ResidualNet(const Settings& settings, Stream& stream, DType dtype)
    : ResidualNet(Parts(settings), stream, dtype) {}

ResidualNet::ResidualNet(const Parts& parts, Stream& stream, DType dtype)
    : Network(kName,
              {{"widths", join(parts.own.widths)},
               {"blocks", std::to_string(parts.own.blocks)},
               {"stem_kernel", std::to_string(parts.own.stem_kernel)},
               {"stem_stride", std::to_string(parts.own.stem_stride)},
               {"stem_pool", parts.own.stem_pool ? "1" : "0"}},
              parts.common, stream, dtype),
      stem_(weights_, "stem.conv",
            {.in = parts.common.input_channels,
             .out = parts.own.widths.front(),
             .kernel = parts.own.stem_kernel,
             .stride = parts.own.stem_stride}),
      stem_norm_(weights_, "stem.norm", parts.own.widths.front(), Activation::relu),
      stem_pool_(parts.own.stem_pool) {
  int64_t in = parts.own.widths.front();
  for (const int64_t width : parts.own.widths) {
    const std::string stage = "stage" + std::to_string(stages_.size() + 1);
    const int64_t stride = stages_.empty() ? 1 : 2;
    std::vector<BasicBlock>& blocks = stages_.emplace_back();
    for (int64_t i = 1; i <= parts.own.blocks; ++i) {
      blocks.emplace_back(weights_, stage + ".block" + std::to_string(i), in, width,
                          i == 1 ? stride : 1);
      in = width;
    }
  }
  add_head(in);
}

std::vector<std::string> ResidualNet::stages() const {
  std::vector<std::string> names = {"stem"};
  for (size_t i = 1; i <= stages_.size(); ++i) names.push_back("stage" + std::to_string(i));
  return names;
}

Tensor ResidualNet::maps(Tape& tape, const Tensor& x, Mode mode) {
  Tensor y = stem_norm_(tape, stem_(tape, x), mode);
  if (stem_pool_) y = max_pool(tape, y, {.kernel = 3, .stride = 2, .pad = Padding::all(1)});
  for (const std::vector<BasicBlock>& blocks : stages_) {
    for (const BasicBlock& block : blocks) y = block(tape, y, mode);
  }
  return y;
}

}  // namespace gliograd::models
