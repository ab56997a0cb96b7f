#include "models/transfer.hpp"

#include <algorithm>

#include "models/catalog.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::models;
using namespace gliograd::test;

namespace {

std::unique_ptr<Network> network_of(int64_t channels, uint32_t seed, const char* classes = "2") {
  cpu_stream().set_random({.seed = seed});
  return make_network(
      "subtype",
      {{"widths", "2-3"}, {"input_channels", std::to_string(channels)}, {"classes", classes}},
      cpu_stream());
}

// A checkpoint whose first layer holds 1 in channel 0, 10 in channel 1, 100 in channel 2, ...
Checkpoint source_of(const std::vector<std::string>& channels) {
  const auto network = network_of(static_cast<int64_t>(channels.size()), 1, "5");
  Tensor& w = network->weights().parameters()[0]->master;
  const int64_t count = w.dim(3);
  for (int64_t i = 0; i < w.size(); ++i) {
    w.at<float>(i) = 1;
    for (int64_t c = 0; c < i % count; ++c) w.at<float>(i) *= 10;
  }
  Tensor mean = network->weights().buffers()[0].value;
  mean.at<float>(1) = 4.5f;
  Checkpoint checkpoint = capture(*network);
  checkpoint.source = "gbm.h5";
  checkpoint.input.channels = channels;
  return checkpoint;
}

// The first layer's values at the first place of the first output channel, one a channel.
std::vector<double> adapted(const std::vector<std::string>& from,
                            const std::vector<std::string>& to, ChannelRule rule,
                            std::string* words = nullptr) {
  const auto network = network_of(static_cast<int64_t>(to.size()), 2);
  const Tensor w = network->weights().parameters()[0]->master;
  fill_zero(network->weights().parameters()[0]->master);
  Checkpoint source = source_of(std::vector<std::string>(from.size(), "x"));
  source.input.channels = from;
  const TransferReport report = transfer(*network, source, {.rule = rule, .channels = to});
  if (words != nullptr) *words = report.first_layer;
  const std::vector<double> all = values(w);
  const size_t count = to.size();
  // Every place of the kernel is treated alike.
  for (size_t i = 0; i < all.size(); ++i) CHECK(all[i] == all[i % count]);
  return {all.begin(), all.begin() + static_cast<int64_t>(count)};
}

using List = std::vector<double>;

}  // namespace

TEST_CASE("transfer: everything but the head is taken") {
  const Checkpoint source = source_of({"pre", "flair"});
  const auto network = network_of(2, 2);
  const std::vector<Parameter*> parameters = network->weights().parameters();
  std::vector<std::vector<double>> before;
  for (const Parameter* p : parameters) before.push_back(values(p->master));
  const uint64_t version = parameters[0]->version();
  const TransferReport report = transfer(*network, source, {.channels = {"pre", "flair"}});
  for (size_t i = 0; i < parameters.size(); ++i) {
    CAPTURE(parameters[i]->name);
    if (is_below(parameters[i]->name, "head")) {
      CHECK(values(parameters[i]->master) == before[i]);
    } else {
      CHECK(values(parameters[i]->master) == values(source.parameters[i].value));
    }
  }
  CHECK(parameters[0]->version() > version);
  CHECK(values(network->weights().buffers()[0].value) == List{0, 4.5});
  CHECK(report.fresh == std::vector<std::string>{"head.weight", "head.bias"});
  CHECK(report.taken.size() == 6 + 4);  // parameters and buffers of two stages
  CHECK(report.frozen.empty());
  CHECK(report.summary() ==
        "took 10 tensors (first layer: taken by channel name), fresh: head.weight, head.bias");
  const TransferGroups groups = transfer_groups(*network, report);
  CHECK(groups.taken.size() == 6);
  CHECK(groups.fresh.size() == 2);
}

TEST_CASE("transfer: the first layer meets other channels by rule, worked out by hand") {
  const std::vector<std::string> three = {"pre", "flair", "post"};  // 1, 10, 100
  const std::vector<std::string> four = {"pre", "flair", "post", "mask"};
  // 37 is the mean; times 3/4, so that equal channels give an equal response.
  CHECK(adapted(three, four, ChannelRule::average) == List{27.75, 27.75, 27.75, 27.75});
  CHECK(adapted(three, four, ChannelRule::repeat) == List{0.75, 7.5, 75, 0.75});
  CHECK(adapted(three, four, ChannelRule::copy) == List{1, 10, 100, 0});  // the mask stays fresh
  CHECK(adapted({"gray"}, three, ChannelRule::repeat) == List{1.0f / 3, 1.0f / 3, 1.0f / 3});
  CHECK(adapted({"r", "g", "b"}, {"mask"}, ChannelRule::average) == List{111});
  CHECK(adapted({"r", "g", "b"}, {"mask"}, ChannelRule::repeat) == List{3});
  CHECK(adapted({"r", "g", "b"}, four, ChannelRule::copy) == List{1, 10, 100, 0});  // by position
  CHECK(adapted(three, {"mask", "post", "pre"}, ChannelRule::copy) == List{0, 100, 1});
  // The same channels are taken as they are, whatever the rule.
  for (const ChannelRule rule : {ChannelRule::average, ChannelRule::repeat, ChannelRule::copy}) {
    CHECK(adapted(three, three, rule) == List{1, 10, 100});
    CHECK(adapted(three, {"post", "pre", "flair"}, rule) == List{100, 1, 10});
    CHECK(adapted(three, {"flair"}, rule) == List{10});
    CHECK(adapted({"r", "g", "b"}, three, rule) == List{1, 10, 100});
  }
  std::string words;
  adapted(three, four, ChannelRule::copy, &words);
  CHECK(words == "copied by name, 3 of 4 channels");
  CHECK(channel_rule("repeat") == ChannelRule::repeat);
  CHECK(error_of([] { channel_rule("mean"); }) ==
        "transfer: unknown channel rule 'mean'; known are average, repeat, copy");
}

TEST_CASE("transfer: stages and batch norms freeze on request") {
  const auto network = network_of(2, 2);
  const TransferReport report =
      transfer(*network, source_of({"a", "b"}),
               {.channels = {"a", "b"}, .freeze_upto = "stage1", .freeze_batch_norm = true});
  CHECK(report.frozen == std::vector<std::string>{"stage1.conv1.weight", "stage1.norm1.gamma",
                                                  "stage1.norm1.beta", "stage2.norm1.gamma",
                                                  "stage2.norm1.beta"});
  CHECK(contains(report.summary(), "5 parameters are frozen"));
  for (const NormState* norm : network->weights().norms()) CHECK(norm->frozen);
  const TransferGroups groups = transfer_groups(*network, report);
  CHECK(groups.taken.size() == 1);
  CHECK(groups.taken[0]->name == "stage2.conv1.weight");
}

TEST_CASE("transfer: what does not fit is named and leaves the network as it was") {
  const auto network = network_of(2, 2);
  const std::vector<double> before = values(network->weights().parameters()[0]->master);
  const Checkpoint good = source_of({"a", "b"});
  const auto refused = [&](auto change, const TransferOptions& options) {
    Checkpoint c = good;
    change(c);
    std::string text = error_of([&] { transfer(*network, c, options); });
    CHECK(values(network->weights().parameters()[0]->master) == before);
    CHECK(text.find('\n') == std::string::npos);
    return text;
  };
  const TransferOptions plain = {.channels = {"a", "b"}};
  const auto same = [](Checkpoint&) {};
  CHECK(refused([](Checkpoint& c) { c.architecture = "subtype-large"; }, plain) ==
        "gbm.h5: holds weights of subtype-large; the network is subtype");
  CHECK(refused([](Checkpoint& c) { c.parameters.erase(c.parameters.begin() + 3); }, plain) ==
        "gbm.h5: parameter stage2.conv1.weight is missing");
  CHECK(refused(
            [](Checkpoint& c) {
              c.parameters[1].value = tensor({3}, {1, 2, 3});
            },
            plain) == "gbm.h5: parameter stage1.norm1.gamma must be [2]; got [3]");
  CHECK(refused(
            [](Checkpoint& c) {
              c.parameters[0].value = tensor({2}, {1, 2});
            },
            plain) == "gbm.h5: parameter stage1.conv1.weight must be [2, 3, 3, 2]; got [2]");
  CHECK(refused(
            [](Checkpoint& c) {
              c.parameters[1].value = tensor({2}, {1, 2}, DType::i32);
            },
            plain) == "gbm.h5: parameter stage1.norm1.gamma must be f32 or f64; got i32");
  CHECK(refused([](Checkpoint& c) { c.buffers.clear(); }, plain) ==
        "gbm.h5: buffer stage1.norm1.mean is missing");
  CHECK(refused([](Checkpoint& c) { c.input.channels = {"a"}; }, plain) ==
        "gbm.h5: names 1 input channels; its first layer has 2");
  CHECK(contains(refused(same, {.channels = {"a"}}), "names were given for 1"));
  CHECK(contains(refused(same, {.channels = {"a", "b"}, .freeze_upto = "stage9"}),
                 "has no stage 'stage9'"));
}
