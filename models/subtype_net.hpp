// SubtypeNet: the study's default network, small enough that ten folds train in minutes on two
// cores. Stages of depth x (3x3 convolution without bias, batch norm + ReLU), each closed by a 2x2
// max pool; then what every Network ends with.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/network.hpp"

namespace gliograd::models {

struct SubtypeNetOptions {
  std::vector<int64_t> widths = {16, 32, 64, 96};  // channels, one for each stage
  int64_t depth = 1;                               // convolutions a stage

  /// Reads "widths" and "depth".
  static SubtypeNetOptions read(SettingsReader& reader);
};

class SubtypeNet final : public Network {
 public:
  static constexpr const char* kName = "subtype";
  /// Errors: Error when an option is unknown or out of range.
  SubtypeNet(const Settings& settings, Stream& stream, DType dtype = DType::f32);

  /// "stage1", "stage2", …; their layers are stage1.conv1.weight, stage1.norm1.gamma, …
  std::vector<std::string> stages() const override;
  std::string first_layer() const override { return "stage1.conv1.weight"; }
  int64_t smallest_size() const override { return int64_t{1} << stages_.size(); }
  Tensor maps(Tape& tape, const Tensor& x, Mode mode) override;

 private:
  struct Layer {
    Conv conv;
    BatchNorm norm;
  };
  struct Parts;
  SubtypeNet(const Parts& parts, Stream& stream, DType dtype);
  std::vector<std::vector<Layer>> stages_;
};

}  // namespace gliograd::models
