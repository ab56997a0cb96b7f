#include "apps/study/settings.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/core/error.hpp"

namespace gliograd::study {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

void check_one_of(const char* option, const std::string& value,
                  const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  throw Error(
      concat_text("--", option, " must be one of ", joined(allowed), "; got \"", value, "\""));
}

void check_range(const char* option, double value, double low, double high) {
  if (value >= low && value <= high) return;  // false for NaN
  throw Error(concat_text("--", option, " must be between ", low, " and ", high, "; got ", value));
}

}  // namespace

const char* name_of(Select select) {
  switch (select) {
    case Select::last: return "last";
    case Select::holdout: return "holdout";
    case Select::inner: return "inner";
  }
  return "?";
}

Select select_named(const std::string& name) {
  for (const Select select : {Select::last, Select::holdout, Select::inner}) {
    if (name == name_of(select)) return select;
  }
  throw Error(concat_text("--select must be last, holdout or inner; got \"", name, "\""));
}

std::vector<NamedSetting> named_settings(const TrainSettings& s) {
  using Int = int64_t;
  std::vector<NamedSetting> all = {
      {"model", s.model},
      {"width", Int{s.width}},
      {"depth", Int{s.depth}},
      {"dropout", s.dropout},
      {"dtype", s.dtype},
      {"epochs", Int{s.epochs}},
      {"batch", Int{s.batch}},
      {"optimizer", s.optimizer},
      {"learning-rate", s.learning_rate},
      {"weight-decay", s.weight_decay},
      {"momentum", s.momentum},
      {"schedule", s.schedule},
      {"warmup-epochs", s.warmup_epochs},
      {"clip-norm", s.clip_norm},
      {"ema", s.ema},
      {"label-smoothing", s.label_smoothing},
      {"balance-classes", s.balance_classes},
      {"weight-by-area", s.weight_by_area},
      {"preset", s.preset},
      {"augment", joined(s.augment)},
      {"input", s.input},
      {"sequences", s.sequences},
      {"mask", s.mask},
      {"window", Int{s.window}},
      {"tta", Int{s.tta}},
      {"init", s.init},
      {"adapt", s.adapt},
      {"freeze", s.freeze},
      {"transferred-lr", s.transferred_lr},
      {"freeze-batch-norm", s.freeze_batch_norm},
      {"fuse", joined(s.fuse)},
      {"seed", Int{s.seed}},
      {"intra-threads", Int{s.intra_threads}},
  };
  if (s.device == "cuda") {  // on a CPU neither means anything
    all.push_back({"deterministic", s.deterministic});
    all.push_back({"plans", s.plans});
    all.push_back({"eager", s.eager, false});  // the same bits
  }
  return all;
}

std::vector<NamedSetting> named_settings(const CrossvalSettings& s) {
  using Int = int64_t;
  std::vector<NamedSetting> all = {
      {"target", s.target},
      {"split", std::string(data::name_of(s.split))},
      {"folds", Int{s.folds}},
      {"repeats", Int{s.repeats}},
      {"select", std::string(name_of(s.select))},
      {"permute", Int{s.permutations}, false},  // more may be asked for later
      {"threads", Int{s.threads}, false},
      {"concurrent-folds", Int{s.concurrent_folds}, false},
      {"assume-disjoint", s.assume_disjoint},
      {"mapping", s.mapping},
  };
  for (NamedSetting& setting : named_settings(s.train)) all.push_back(std::move(setting));
  return all;
}

std::string settings_digest(const std::vector<NamedSetting>& settings) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto add = [&](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
    hash = (hash ^ 0xffu) * 0x100000001b3u;
  };
  for (const NamedSetting& setting : settings) {
    if (!setting.compared) continue;
    add(setting.name);
    std::visit([&](const auto& value) { add(concat_text(value)); }, setting.value);
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

DType TrainSettings::compute_type() const {
  return dtype == "f64"    ? DType::f64
         : dtype == "bf16" ? DType::bf16
         : dtype == "f16"  ? DType::f16
                           : DType::f32;
}

void check_settings(const TrainSettings& s) {
  check_range("width", s.width, 1, 1024);
  check_range("depth", s.depth, 1, 16);
  check_range("dropout", s.dropout, 0, 0.99);
  check_one_of("dtype", s.dtype, {"f32", "tf32", "bf16", "f16", "f64"});
  check_one_of("device", s.device, {"cpu", "cuda"});
  check_one_of("plans", s.plans, {"timed", "fresh", "heuristic"});
  const bool gpu = s.device == "cuda";
  if (!gpu && (s.dtype == "f16" || s.dtype == "tf32")) {
    throw Error(concat_text("--dtype ", s.dtype, " needs a GPU (--device cuda)"));
  }
  if (gpu && s.dtype == "f64") throw Error("--dtype f64 is the reference: use --device cpu");
  check_range("epochs", s.epochs, 1, 100000);
  check_range("batch", s.batch, 2, 65536);
  check_one_of("optimizer", s.optimizer, {"sgd", "adam", "adamw"});
  check_range("learning-rate", s.learning_rate, 1e-12, 100);
  check_range("weight-decay", s.weight_decay, 0, 10);
  check_range("momentum", s.momentum, 0, 0.9999);
  check_one_of("schedule", s.schedule, {"constant", "cosine", "step"});
  check_range("warmup-epochs", s.warmup_epochs, 0, s.epochs);
  check_range("clip-norm", s.clip_norm, 0, 1e9);
  check_range("ema", s.ema, 0, 0.999999);
  check_range("label-smoothing", s.label_smoothing, 0, 0.9);
  check_one_of("preset", s.preset, {"off", "light", "full"});
  check_one_of("input", s.input, {"default", "paper"});
  check_one_of("mask", s.mask, {"none", "multiply", "channel", "raw-zero"});
  check_range("window", s.window, 8, 4096);
  if (s.tta != 1 && s.tta != 2 && s.tta != 4 && s.tta != 8) {
    throw Error(concat_text("--tta must be 1, 2, 4 or 8; got ", s.tta));
  }
  check_one_of("adapt", s.adapt, {"average", "repeat", "copy"});
  check_range("transferred-lr", s.transferred_lr, 0, 100);
  if (s.init.empty() && !s.freeze.empty()) throw Error("--freeze needs --init: weights to keep");
  if (s.init.empty() && s.freeze_batch_norm) throw Error("--freeze-batch-norm needs --init");
  if (s.init.empty() && s.transferred_lr != 1) throw Error("--transferred-lr needs --init");
  check_range("intra-threads", s.intra_threads, 1, 1024);
}

void check_settings(const CrossvalSettings& s) {
  check_settings(s.train);
  if (s.target.empty()) throw Error("--target is needed: COLUMN=VALUE, or COLUMN for all classes");
  check_range("folds", s.folds, 2, 511);
  check_range("repeats", s.repeats, 1, 127);
  check_range("permute", s.permutations, 0, 8191);
  check_range("threads", s.threads, 1, 4096);
  check_range("concurrent-folds", s.concurrent_folds, 0, 4096);
}

}  // namespace gliograd::study
