// Checkpoint: all that is known of a trained network, in memory: what a file holds, what training
// hands on, what transfer takes from. Files: models/weights/checkpoint_file.hpp.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/network.hpp"

namespace gliograd::models {

struct NamedTensor {
  std::string name;  // dotted, without "/"
  Tensor value;
};

/// The patients whose images these weights ever saw, through every transfer: what the leak guard
/// reads. The three lists run in parallel.
struct SeenRecord {
  using Fingerprint = std::array<float, 64>;
  std::vector<std::string> ids;         // as the data set calls them
  std::vector<std::string> identities;  // canonical public ids, or "unknown"
  std::vector<Fingerprint> fingerprints;
  bool provenance_unknown = false;  // nobody said whom imported weights have seen

  /// Joins another record; a patient who stands in both (same id and fingerprint) is kept once.
  void add(const SeenRecord& other);
};

/// What the network expects in its input channels.
struct InputDescription {
  std::vector<std::string>
      channels;               // names in order, the mask channel too: pre, flair, post, mask
  std::string mask = "none";  // none, multiply or channel
  int64_t window = 0;         // pixels of the center cut; 0: whole
  std::string normalization;  // how u8 became numbers: robust, unit, …
};

struct Checkpoint {
  std::string source;  // the file it came from, for messages
  std::string architecture;
  Settings settings;
  InputDescription input;
  std::vector<std::string> classes;  // names, in the order of the logits
  int64_t step = 0;
  int64_t epoch = 0;
  uint32_t seed = 0;
  std::map<std::string, std::string> notes;  // threshold, calibration, task, …
  std::vector<NamedTensor> parameters;       // f32 or f64
  std::vector<NamedTensor> buffers;          // f32 or f64
  std::vector<NamedTensor> optimizer;        // any type
  SeenRecord seen;
};

/// Architecture, settings, parameters and buffers of a network. The tensors share its memory: they
/// change with it, and are to be written before the next step.
Checkpoint capture(Network& network);
/// Puts parameters and buffers into a network of the same names and shapes; nothing is changed
/// unless all fit. Errors: Error that names the source and the tensor.
void restore(Network& network, const Checkpoint& checkpoint);
/// A network of the checkpoint's architecture with its weights.
/// Errors: Error that names the source when the architecture is unknown or does not fit.
std::unique_ptr<Network> make_network(const Checkpoint& checkpoint, Stream& stream,
                                      DType dtype = DType::f32);

}  // namespace gliograd::models
