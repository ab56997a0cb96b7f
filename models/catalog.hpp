// Networks by name, as the command line and checkpoints call them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "models/network.hpp"

namespace gliograd::models {

/// "subtype", "subtype-large"
std::vector<std::string> network_names();
/// Errors: Error that lists the known names when this one is unknown, or the known options.
std::unique_ptr<Network> make_network(const std::string& name, const Settings& settings,
                                      Stream& stream, DType dtype = DType::f32);

}  // namespace gliograd::models
