// What the network sees, in words: named strengths of augmentation and single settings by name (as
// they stand in a configuration file), and the input (sequences, mask, window) for one set.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.hpp"
#include "engine/ops/augment.hpp"
#include "engine/ops/augment_options.hpp"

namespace gliograd::data {

/// One setting: "rotation-degrees", its member, limits, and one line of help.
using PolicyField = AugmentField;
inline const std::vector<PolicyField>& policy_fields() { return augment_fields(); }

/// "off", "light", "full".
const std::vector<std::string>& augment_presets();
/// Errors: Error that lists the names that exist.
AugmentOptions augment_preset(const std::string& name);

/// One setting of policy_fields(), or "fill" with "zero" or "edge". Errors: Error when there is no
/// such name (it lists them), or the text is no number within the limits.
void set_augment_option(AugmentOptions& options, const std::string& name, const std::string& value);
/// All settings in force, names and values, for the record; set_augment_option reads them back.
std::vector<std::pair<std::string, std::string>> describe(const AugmentOptions& options);

struct InputOptions {
  std::string sequences = "all";  // names of the set's channels, separated by commas; all; none
  std::string mask = "channel";   // none, multiply, channel, raw-zero
  int window = 0;  // pixels of the square center cut; 0: 80, or the stored size where that is less
};

/// "default" (all sequences, the mask as channel) or "paper" (FLAIR alone, 80 by 80, raw values
/// outside the mask 0). Errors: Error for another name.
InputOptions input_preset(const std::string& name);
/// Errors: Error that names the set when it has no such sequence (it lists those it has), no masks
/// where they are used, or windows smaller than asked for.
InputSpec input_spec(const Dataset& set, const InputOptions& options);

/// A set as the engine's ops read it. Points into the Dataset, which must live as long.
class Resident {
 public:
  explicit Resident(const Dataset& set);
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;
  const ResidentSet& set() const { return set_; }

 private:
  std::vector<int32_t> patients_;     // [N]
  std::vector<ChannelScale> scales_;  // [P, C]
  ResidentSet set_;
};

}  // namespace gliograd::data
