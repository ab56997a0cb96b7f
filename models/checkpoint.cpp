#include "models/checkpoint.hpp"

#include <set>
#include <utility>

#include "engine/tensor/cast.hpp"
#include "models/catalog.hpp"
#include "models/refuse.hpp"

namespace gliograd::models {
namespace {

// (from, to) for each tensor of the network. Errors when a name is missing, left over or of another
// shape.
using Plan = std::vector<std::pair<const Tensor*, Tensor>>;
void match(const std::string& source, const char* kind, const std::vector<NamedTensor>& have,
           const std::vector<NamedTensor>& want, Plan& plan) {
  std::map<std::string, const Tensor*> by_name;
  for (const NamedTensor& one : have) by_name[one.name] = &one.value;
  for (const NamedTensor& one : want) {
    const auto found = by_name.find(one.name);
    GG_REFUSE_UNLESS(found != by_name.end(), source, ": ", kind, ' ', one.name, " is missing");
    GG_REFUSE_UNLESS(found->second->shape == one.value.shape, source, ": ", kind, ' ', one.name,
                     " must be ", one.value.shape, "; got ", found->second->shape);
    GG_REFUSE_UNLESS(is_float(found->second->dtype), source, ": ", kind, ' ', one.name,
                     " must hold floating numbers; got ", found->second->dtype);
    plan.emplace_back(found->second, one.value);
    by_name.erase(found);
  }
  GG_REFUSE_UNLESS(by_name.empty(), source, ": ", kind, ' ', by_name.begin()->first,
                   " has no place in the network");
}

std::vector<NamedTensor> parameters_of(Network& network) {
  std::vector<NamedTensor> list;
  for (const Parameter* p : network.weights().parameters()) list.push_back({p->name, p->master});
  return list;
}

std::vector<NamedTensor> buffers_of(Network& network) {
  std::vector<NamedTensor> list;
  for (const Buffer& b : network.weights().buffers()) list.push_back({b.name, b.value});
  return list;
}

}  // namespace

void SeenRecord::add(const SeenRecord& other) {
  std::set<std::pair<std::string, Fingerprint>> known;
  for (size_t i = 0; i < ids.size(); ++i) known.emplace(ids[i], fingerprints[i]);
  for (size_t i = 0; i < other.ids.size(); ++i) {
    if (!known.emplace(other.ids[i], other.fingerprints[i]).second) continue;
    ids.push_back(other.ids[i]);
    identities.push_back(other.identities[i]);
    fingerprints.push_back(other.fingerprints[i]);
  }
  provenance_unknown = provenance_unknown || other.provenance_unknown;
}

Checkpoint capture(Network& network) {
  Checkpoint checkpoint;
  checkpoint.architecture = network.architecture();
  checkpoint.settings = network.settings();
  checkpoint.parameters = parameters_of(network);
  checkpoint.buffers = buffers_of(network);
  return checkpoint;
}

void restore(Network& network, const Checkpoint& checkpoint) {
  const std::string& source = checkpoint.source.empty() ? "checkpoint" : checkpoint.source;
  Plan plan;
  match(source, "parameter", checkpoint.parameters, parameters_of(network), plan);
  match(source, "buffer", checkpoint.buffers, buffers_of(network), plan);
  Stream& stream = network.weights().stream();
  for (auto& [from, to] : plan) copy_across(stream, to, *from);
  for (Parameter* parameter : network.weights().parameters()) parameter->bump();
}

std::unique_ptr<Network> make_network(const Checkpoint& checkpoint, Stream& stream, DType dtype) {
  std::unique_ptr<Network> network;
  try {
    network = make_network(checkpoint.architecture, checkpoint.settings, stream, dtype);
  } catch (const WorkError&) {
    throw;
  } catch (const Error& error) {
    throw Error(checkpoint.source + ": " + error.what());
  }
  restore(*network, checkpoint);
  return network;
}

}  // namespace gliograd::models
