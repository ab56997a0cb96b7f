// Checkpoints as HDF5 files (format "gliograd.checkpoint", version 1).
//
//   /parameters/<dotted.name>  f32 or f64      /buffers/<dotted.name>  f32 or f64
//   /optimizer/<name>          any type        /classes                text, in order of the logits
//   /seen/id, /seen/identity   text [S]        /seen/fingerprint       f32 [S, 64]
//   attributes of /       format, version, architecture, options and notes ("key=value" each),
//                         channels, mask, window, normalization, step, epoch, seed
//   attributes of /seen   provenance: "known" or "unknown"
//
// Class names are a dataset: a thousand of them are more than the 64 KiB an attribute may hold.
#pragma once
#include <string>

#include "models/checkpoint.hpp"

namespace gliograd::models {

/// Replaces the file at once. Equal content gives equal bytes, whatever the order of the tensors.
/// Errors: Error when a tensor is not finite, a name is taken twice or holds "/", or the lists in
/// `seen` differ in length; WorkError when the disk fails.
void write_checkpoint(const std::string& path, const Checkpoint& checkpoint);

/// Tensors come into the stream's memory, sorted by name.
/// Errors: Error that names the file and what is wrong in it: no such file, damaged, another format
/// or version, something missing or mistyped, NaN or infinity.
Checkpoint read_checkpoint(const std::string& path, Stream& stream);

}  // namespace gliograd::models
