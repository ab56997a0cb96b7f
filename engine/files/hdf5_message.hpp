// How the content of an HDF5 file travels from the worker that read it: one entry an object,
// numbers aligned so that they are used where they lie.
#pragma once
#include <string>
#include <vector>

#include "engine/files/hdf5_file.hpp"
#include "engine/files/worker.hpp"

namespace gliograd::files {

/// In this process. Errors: as Hdf5Reader, without the file's name.
Hdf5Objects read_hdf5(const std::vector<uint8_t>& bytes);

/// The worker's answer to a request of kind "hdf5".
void decode_hdf5_request(const std::vector<uint8_t>& bytes, Reply& reply);

/// What decode_hdf5_request packed; numbers stay in the shared memory. Nothing in it is trusted:
/// Error "NAME: damaged" for lengths that do not fit.
Hdf5Objects unpack_objects(const std::string& name, const SharedBytes& message);

}  // namespace gliograd::files
