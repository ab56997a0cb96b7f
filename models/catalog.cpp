#include "models/catalog.hpp"

#include "models/refuse.hpp"
#include "models/residual_net.hpp"
#include "models/subtype_net.hpp"

namespace gliograd::models {
namespace {

using Make = std::unique_ptr<Network> (*)(const Settings&, Stream&, DType);

template <class T>
std::unique_ptr<Network> make(const Settings& settings, Stream& stream, DType dtype) {
  return std::make_unique<T>(settings, stream, dtype);
}

struct Entry {
  const char* name;
  Make make;
};
constexpr Entry kNetworks[] = {
    {SubtypeNet::kName, make<SubtypeNet>},
    {ResidualNet::kName, make<ResidualNet>},
};

}  // namespace

std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kNetworks) names.emplace_back(entry.name);
  return names;
}

std::unique_ptr<Network> make_network(const std::string& name, const Settings& settings,
                                      Stream& stream, DType dtype) {
  std::string known;
  for (const Entry& entry : kNetworks) {
    if (name == entry.name) return entry.make(settings, stream, dtype);
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  GG_REFUSE_UNLESS(false, "network: unknown name '", name, "'; known are ", known);
  return nullptr;
}

}  // namespace gliograd::models
