// Transfer: a network starts from another's weights, all but the head. The first layer is adapted
// where the input channels differ.
#pragma once
#include <string>
#include <vector>

#include "models/checkpoint.hpp"

namespace gliograd::models {

/// How the first layer's weights meet other input channels.
enum class ChannelRule : uint8_t {
  average,  // each new channel: the mean of the old ones, times old / new count
  repeat,   // new channel i: old channel i mod the old count, times old / new count
  copy,     // the old channel of the same name, as it is; others keep their own first weights.
            // Where no name matches: by position
};
/// "average", "repeat", "copy". Errors: Error that lists them.
ChannelRule channel_rule(const std::string& name);

struct TransferOptions {
  ChannelRule rule = ChannelRule::average;
  std::vector<std::string> channels = {};  // names of the network's inputs, in order
  std::string freeze_upto = {};            // the last stage that is not trained; empty: train all
  bool freeze_batch_norm = false;          // all taken batch norms: statistics, gamma and beta
};

struct TransferReport {
  std::vector<std::string> taken;   // names of parameters and buffers
  std::vector<std::string> fresh;   // parameters that keep their first weights: the head
  std::string first_layer;          // what was done to it, in words
  std::vector<std::string> frozen;  // parameters that are not trained
  /// One line for a log.
  std::string summary() const;
};

/// Takes everything but the head from a checkpoint of the same architecture. Whatever the rule, the
/// first layer is taken as it is when the channels are the same (in whatever order: by name), and
/// also when their number is the same and no name matches. Nothing is changed unless all fits.
/// Errors: Error that names the checkpoint when the architecture, a name or a shape differs, or
/// when `channels` does not name every input.
TransferReport transfer(Network& network, const Checkpoint& from, const TransferOptions& options);

/// Parameters that train, in two groups: those that were taken, which may learn at a lower rate,
/// and the fresh ones.
struct TransferGroups {
  std::vector<Parameter*> taken;
  std::vector<Parameter*> fresh;
};
TransferGroups transfer_groups(Network& network, const TransferReport& report);

}  // namespace gliograd::models
