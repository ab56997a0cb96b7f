// The two kinds of device.
#pragma once
#include <cstdint>
#include <ostream>

namespace gliograd {

enum class Device : uint8_t { cpu, cuda };
/// "cpu"
const char* name_of(Device device);
inline std::ostream& operator<<(std::ostream& out, Device device) { return out << name_of(device); }

}  // namespace gliograd
