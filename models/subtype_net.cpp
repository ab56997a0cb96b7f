#include "models/subtype_net.hpp"

#include "engine/core/error.hpp"
#include "engine/ops/pool.hpp"

namespace gliograd::models {

struct SubtypeNet::Parts {
  explicit Parts(const Settings& settings) {
    SettingsReader reader(kName, settings);
    common = NetworkOptions::read(reader);
    own = SubtypeNetOptions::read(reader);
    reader.finish();
  }
  NetworkOptions common;
  SubtypeNetOptions own;
};

SubtypeNetOptions SubtypeNetOptions::read(SettingsReader& reader) {
  SubtypeNetOptions options;
  options.widths = reader.integers("widths", options.widths, 1, 4096, 8);
  options.depth = reader.integer("depth", options.depth, 1, 16);
  return options;
}

SubtypeNet::SubtypeNet(const Settings& settings, Stream& stream, DType dtype)
    : SubtypeNet(Parts(settings), stream, dtype) {}

SubtypeNet::SubtypeNet(const Parts& parts, Stream& stream, DType dtype)
    : Network(kName,
              {{"widths", join(parts.own.widths)}, {"depth", std::to_string(parts.own.depth)}},
              parts.common, stream, dtype) {
  int64_t in = parts.common.input_channels;
  for (const int64_t width : parts.own.widths) {
    const std::string stage = "stage" + std::to_string(stages_.size() + 1);
    std::vector<Layer>& layers = stages_.emplace_back();
    for (int64_t i = 1; i <= parts.own.depth; ++i) {
      Conv conv(weights_, concat_text(stage, ".conv", i), {.in = in, .out = width});
      BatchNorm norm(weights_, concat_text(stage, ".norm", i), width, Activation::relu);
      layers.push_back({conv, norm});
      in = width;
    }
  }
  add_head(in);
}

std::vector<std::string> SubtypeNet::stages() const {
  std::vector<std::string> names;
  for (size_t i = 1; i <= stages_.size(); ++i) names.push_back("stage" + std::to_string(i));
  return names;
}

Tensor SubtypeNet::maps(Tape& tape, const Tensor& x, Mode mode) {
  Tensor y = x;
  for (const std::vector<Layer>& layers : stages_) {
    for (const Layer& layer : layers) y = layer.norm(tape, layer.conv(tape, y), mode);
    y = max_pool(tape, y, {.kernel = 2, .stride = 2});
  }
  return y;
}

}  // namespace gliograd::models
