#include "models/transfer.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "engine/tensor/cast.hpp"
#include "models/refuse.hpp"

namespace gliograd::models {
namespace {

constexpr const char* kHead = "head";

// For each new channel, how much of each old one it takes; no entry: it keeps its first weights.
struct ChannelPlan {
  std::vector<std::vector<std::pair<int64_t, double>>> parts;
  std::string words;
};

ChannelPlan plan_channels(const std::vector<std::string>& from, const std::vector<std::string>& to,
                          int64_t old_count, ChannelRule rule) {
  const int64_t new_count = static_cast<int64_t>(to.size());
  ChannelPlan plan;
  plan.parts.resize(to.size());
  std::vector<int64_t> match(to.size(), -1);  // the old channel of the same name
  int64_t matched = 0;
  for (size_t i = 0; i < to.size(); ++i) {
    const auto found = std::find(from.begin(), from.end(), to[i]);
    if (found == from.end()) continue;
    match[i] = found - from.begin();
    ++matched;
  }
  if (matched == new_count) {
    for (size_t i = 0; i < to.size(); ++i) plan.parts[i] = {{match[i], 1.0}};
    plan.words = "taken by channel name";
    return plan;
  }
  if (matched == 0 && (old_count == new_count || rule == ChannelRule::copy)) {
    for (int64_t i = 0; i < std::min(old_count, new_count); ++i) plan.parts[i] = {{i, 1.0}};
    plan.words = "taken by position, " + std::to_string(std::min(old_count, new_count)) + " of " +
                 std::to_string(new_count) + " channels";
    return plan;
  }
  const double scale = static_cast<double>(old_count) / static_cast<double>(new_count);
  const std::string counts =
      std::to_string(old_count) + " channels to " + std::to_string(new_count);
  switch (rule) {
    case ChannelRule::average:
      for (auto& parts : plan.parts) {
        for (int64_t c = 0; c < old_count; ++c) {
          parts.emplace_back(c, scale / static_cast<double>(old_count));
        }
      }
      plan.words = "averaged, " + counts;
      break;
    case ChannelRule::repeat:
      for (int64_t i = 0; i < new_count; ++i) plan.parts[i] = {{i % old_count, scale}};
      plan.words = "repeated, " + counts;
      break;
    case ChannelRule::copy:
      for (size_t i = 0; i < to.size(); ++i) {
        if (match[i] >= 0) plan.parts[i] = {{match[i], 1.0}};
      }
      plan.words = "copied by name, " + std::to_string(matched) + " of " +
                   std::to_string(new_count) + " channels";
      break;
  }
  return plan;
}

void check_type(const std::string& source, const char* kind, const std::string& name,
                const Tensor& x) {
  GG_REFUSE_UNLESS(x.dtype == DType::f32 || x.dtype == DType::f64, source, ": ", kind, ' ', name,
                   " must be f32 or f64; got ", x.dtype);
}

double value_at(const Tensor& x, int64_t i) {
  return x.dtype == DType::f64 ? x.at<double>(i) : x.at<float>(i);
}

// to[o, r, s, c] = sum of parts of from[o, r, s, :]; both on the host.
void adapt_on_host(Tensor& to, const Tensor& from, const ChannelPlan& plan) {
  const int64_t rows = to.size() / to.dim(3), new_count = to.dim(3), old_count = from.dim(3);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < new_count; ++c) {
      if (plan.parts[c].empty()) continue;
      double sum = 0;
      for (const auto& [old, weight] : plan.parts[c]) {
        sum += weight * value_at(from, row * old_count + old);
      }
      if (to.dtype == DType::f64) {
        to.at<double>(row * new_count + c) = sum;
      } else {
        to.at<float>(row * new_count + c) = static_cast<float>(sum);
      }
    }
  }
}

void adapt(Stream& stream, Tensor& to, const Tensor& from, const ChannelPlan& plan) {
  if (stream.device() == Device::cpu) return adapt_on_host(to, from, plan);
  const std::unique_ptr<Stream> host = Stream::cpu();
  Tensor there = copy_to(*host, to);
  adapt_on_host(there, from, plan);
  copy_across(stream, to, there);
}

}  // namespace

ChannelRule channel_rule(const std::string& name) {
  if (name == "average") return ChannelRule::average;
  if (name == "repeat") return ChannelRule::repeat;
  GG_REFUSE_UNLESS(name == "copy", "transfer: unknown channel rule '", name,
                   "'; known are average, repeat, copy");
  return ChannelRule::copy;
}

TransferReport transfer(Network& network, const Checkpoint& from, const TransferOptions& options) {
  const std::string& source = from.source.empty() ? "checkpoint" : from.source;
  GG_REFUSE_UNLESS(from.architecture == network.architecture(), source, ": holds weights of ",
                   from.architecture, "; the network is ", network.architecture());
  GG_REFUSE_UNLESS(
      static_cast<int64_t>(options.channels.size()) == network.options().input_channels,
      "transfer: the network has ", network.options().input_channels,
      " input channels; names were given for ", options.channels.size());
  std::map<std::string, const Tensor*> parameters, buffers;
  for (const NamedTensor& one : from.parameters) parameters[one.name] = &one.value;
  for (const NamedTensor& one : from.buffers) buffers[one.name] = &one.value;

  struct Copy {
    Tensor to;
    const Tensor* from;
  };
  std::vector<Copy> copies;
  TransferReport report;
  Tensor first;
  const Tensor* first_from = nullptr;
  for (const Parameter* parameter : network.weights().parameters()) {
    const std::string& name = parameter->name;
    if (is_below(name, kHead)) {
      report.fresh.push_back(name);
      continue;
    }
    const auto found = parameters.find(name);
    GG_REFUSE_UNLESS(found != parameters.end(), source, ": parameter ", name, " is missing");
    Shape expected = parameter->master.shape;
    const bool is_first = name == network.first_layer();
    if (is_first && found->second->rank() == 4) {
      expected = expected.with(3, std::max<int64_t>(1, found->second->dim(3)));
    }
    GG_REFUSE_UNLESS(found->second->shape == expected, source, ": parameter ", name, " must be ",
                     expected, "; got ", found->second->shape);
    check_type(source, "parameter", name, *found->second);
    if (is_first) {
      first = parameter->master;
      first_from = found->second;
    } else {
      copies.push_back({parameter->master, found->second});
    }
    report.taken.push_back(name);
  }
  GG_REFUSE_UNLESS(first_from != nullptr, "transfer: ", network.architecture(),
                   " has no parameter ", network.first_layer());
  for (const Buffer& buffer : network.weights().buffers()) {
    const auto found = buffers.find(buffer.name);
    GG_REFUSE_UNLESS(found != buffers.end(), source, ": buffer ", buffer.name, " is missing");
    GG_REFUSE_UNLESS(found->second->shape == buffer.value.shape, source, ": buffer ", buffer.name,
                     " must be ", buffer.value.shape, "; got ", found->second->shape);
    check_type(source, "buffer", buffer.name, *found->second);
    copies.push_back({buffer.value, found->second});
    report.taken.push_back(buffer.name);
  }
  const int64_t old_count = first_from->dim(3);
  GG_REFUSE_UNLESS(
      from.input.channels.empty() || static_cast<int64_t>(from.input.channels.size()) == old_count,
      source, ": names ", from.input.channels.size(), " input channels; its first layer has ",
      old_count);
  const ChannelPlan plan =
      plan_channels(from.input.channels, options.channels, old_count, options.rule);

  if (!options.freeze_upto.empty()) network.freeze_upto(options.freeze_upto);  // may refuse
  if (options.freeze_batch_norm) network.weights().freeze_norms("");
  Stream& stream = network.weights().stream();
  adapt(stream, first, *first_from, plan);
  report.first_layer = plan.words;
  for (Copy& copy : copies) copy_across(stream, copy.to, *copy.from);
  for (Parameter* parameter : network.weights().parameters()) {
    parameter->bump();
    if (!parameter->trainable) report.frozen.push_back(parameter->name);
  }
  return report;
}

std::string TransferReport::summary() const {
  std::string text =
      concat_text("took ", taken.size(), " tensors (first layer: ", first_layer, "), fresh: ");
  for (size_t i = 0; i < fresh.size(); ++i) text += (i == 0 ? "" : ", ") + fresh[i];
  if (!frozen.empty()) text += concat_text("; ", frozen.size(), " parameters are frozen");
  return text;
}

TransferGroups transfer_groups(Network& network, const TransferReport& report) {
  const std::set<std::string> taken(report.taken.begin(), report.taken.end());
  TransferGroups groups;
  for (Parameter* parameter : network.weights().parameters()) {
    if (!parameter->trainable) continue;
    (taken.count(parameter->name) ? groups.taken : groups.fresh).push_back(parameter);
  }
  return groups;
}

}  // namespace gliograd::models
