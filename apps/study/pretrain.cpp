#include "apps/study/pretrain.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "apps/study/auc.hpp"
#include "apps/study/peaks.hpp"
#include "data/leak_guard.hpp"
#include "data/random.hpp"
#include "data/sampler.hpp"
#include "engine/core/error.hpp"
#include "engine/core/interrupt.hpp"

namespace gliograd::study {
namespace {

constexpr const char* kBest = "best/";

// The task as slices with labels, and who is held out.
struct Task {
  std::vector<std::string> classes;
  std::vector<int32_t> slice_labels;        // [N]
  std::vector<int32_t> training, held_out;  // patients
  std::vector<int32_t> training_slices, held_out_slices;
};

bool is_tumor_task(const PretrainSettings& settings) { return settings.task == "tumor"; }

void label_slices(const data::Dataset& set, const PretrainSettings& settings, Task& task) {
  task.slice_labels.resize(set.slices_count);
  if (is_tumor_task(settings)) {
    if (!set.has_masks()) throw Error(concat_text(set.name, ": the task tumor needs masks"));
    task.classes = {"no tumor", "tumor"};
    int64_t with = 0;
    for (int64_t n = 0; n < set.slices_count; ++n) {
      task.slice_labels[n] = set.slices[n].area > 0 ? 1 : 0;
      with += task.slice_labels[n];
    }
    if (with == 0 || with == set.slices_count) {
      throw Error(concat_text(set.name, ": the task tumor needs slices with and without tumor; ",
                              with, " of ", set.slices_count,
                              " have some (prepare with --slices all)"));
    }
    return;
  }
  const data::LabelColumn& column = data::label_column(set, settings.column);
  if (column.classes.size() < 2) {
    throw Error(concat_text(set.name, ": column ", column.name, " has one class only"));
  }
  task.classes = column.classes;
  for (int64_t n = 0; n < set.slices_count; ++n) {
    task.slice_labels[n] = column.values[set.slices[n].patient];
  }
}

// Who may be held out: everybody, or the patients of one class of a label column.
std::vector<char> candidates(const data::Dataset& set, const std::string& from) {
  if (from.empty()) return std::vector<char>(set.patients.size(), 1);
  const size_t equals = from.find('=');
  const data::LabelColumn& column = data::label_column(set, from.substr(0, equals));
  const std::string value = equals == std::string::npos ? "" : from.substr(equals + 1);
  std::vector<char> chosen;
  for (const int32_t v : column.values) chosen.push_back(v >= 0 && column.classes[v] == value);
  return chosen;
}

// Patients in an order shuffled by the seed; where labels are the patients', class by class, so
// that each class is held out in the same share.
void hold_out(const data::Dataset& set, const PretrainSettings& settings, Task& task) {
  const std::vector<char> may_be_held_out = candidates(set, settings.holdout_from);
  std::vector<std::vector<int32_t>> strata(1);
  if (!is_tumor_task(settings)) strata.resize(task.classes.size());
  for (int32_t p = 0; p < set.patient_count(); ++p) {
    const int64_t first = data::first_slice(set, p);
    const bool labeled = task.slice_labels[first] >= 0;
    if (!labeled) continue;
    if (may_be_held_out[p]) {
      strata[is_tumor_task(settings) ? 0 : task.slice_labels[first]].push_back(p);
    } else {
      task.training.push_back(p);
    }
  }
  uint32_t layer = 0;
  for (std::vector<int32_t>& patients : strata) {
    data::RandomSequence random({.seed = settings.train.seed},
                                {.layer = layer++, .purpose = kernels::Purpose::split});
    random.shuffle(patients);
    const auto count =
        static_cast<size_t>(std::lround(settings.holdout * static_cast<double>(patients.size())));
    task.held_out.insert(task.held_out.end(), patients.begin(), patients.begin() + count);
    task.training.insert(task.training.end(), patients.begin() + count, patients.end());
  }
  std::sort(task.held_out.begin(), task.held_out.end());
  std::sort(task.training.begin(), task.training.end());
  if (task.held_out.empty() || task.training.empty()) {
    throw Error(concat_text(
        set.name, ": holding out ", settings.holdout, " of ", set.patient_count(),
        " patients leaves ", task.training.size(), " to train on and ", task.held_out.size(),
        " to score",
        settings.holdout_from.empty() ? "" : " (--holdout-from " + settings.holdout_from + ")"));
  }
}

std::vector<int32_t> slices_of(const data::Dataset& set, const std::vector<int32_t>& patients) {
  std::vector<int32_t> slices;
  for (const int32_t p : patients) {
    const int64_t end = data::first_slice(set, p + 1);
    for (int64_t n = data::first_slice(set, p); n < end; ++n) {
      slices.push_back(static_cast<int32_t>(n));
    }
  }
  return slices;
}

// Every class is trained on; the score of two classes is an AUC, and needs both.
void check_classes(const data::Dataset& set, const Task& task) {
  const auto check = [&](const std::vector<int32_t>& slices, const char* part) {
    std::vector<char> there(task.classes.size(), 0);
    for (const int32_t n : slices) there[task.slice_labels[n]] = 1;
    for (size_t c = 0; c < there.size(); ++c) {
      if (there[c]) continue;
      throw Error(concat_text(set.name, ": no ", part, " slice is of class \"", task.classes[c],
                              "\"; try another --holdout or --seed"));
    }
  };
  check(task.training_slices, "training");
  if (task.classes.size() == 2) check(task.held_out_slices, "held-out");
}

Task make_task(const data::Dataset& set, const PretrainSettings& settings) {
  Task task;
  label_slices(set, settings, task);
  hold_out(set, settings, task);
  task.training_slices = slices_of(set, task.training);
  task.held_out_slices = slices_of(set, task.held_out);
  check_classes(set, task);
  return task;
}

// `set`, `settings` and `task` outlive it.
Problem make_problem(const data::Dataset& set, const PretrainSettings& settings, const Task& task) {
  Problem problem;
  problem.set = &set;
  problem.classes = task.classes;
  problem.labels = task.slice_labels;
  problem.steps_per_epoch = data::batches_per_epoch(
      static_cast<int64_t>(task.training_slices.size()), settings.train.batch);
  const data::SamplerOptions sampling{.batch = settings.train.batch,
                                      .balance_classes = settings.train.balance_classes,
                                      .random = {.seed = settings.train.seed}};
  problem.draws = [&set, &task, sampling](int epoch) {
    std::vector<int32_t> draws =
        data::epoch_draws_by_slice(set, task.training_slices, task.slice_labels, sampling, epoch);
    data::check_fold_slices(set, task.held_out, draws, concat_text("the draws of epoch ", epoch));
    return draws;
  };
  return problem;
}

struct HeldOutScore {
  double loss = 0;
  double score = 0;
};

HeldOutScore score_held_out(const Task& task, Trainer& trainer) {
  const std::vector<std::vector<double>> probabilities =
      trainer.slice_probabilities(task.held_out_slices);
  HeldOutScore held_out;
  Scores tumor;
  tumor.name = "held-out slices";
  tumor.repeats.resize(1);
  int64_t right = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const std::vector<double>& p = probabilities[i];
    const int32_t label = task.slice_labels[task.held_out_slices[i]];
    held_out.loss -= std::log(std::max(p[label], 1e-12));
    right += std::max_element(p.begin(), p.end()) - p.begin() == label;
    tumor.positive.push_back(label == 1);
    tumor.repeats[0].push_back(as_written(p[1]));
  }
  const auto n = static_cast<double>(probabilities.size());
  held_out.loss /= n;
  held_out.score = task.classes.size() == 2 ? auc(tumor) : static_cast<double>(right) / n;
  return held_out;
}

// The best epoch's weights, under names of their own, so that resumption keeps them.
std::vector<std::pair<std::string, Tensor>> best_tensors(const models::Checkpoint& best) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const models::NamedTensor& one : best.parameters) {
    tensors.emplace_back(concat_text(kBest, "parameter/", one.name), one.value);
  }
  for (const models::NamedTensor& one : best.buffers) {
    tensors.emplace_back(concat_text(kBest, "buffer/", one.name), one.value);
  }
  return tensors;
}

// Of a saved state: name for name and shape for shape what best_tensors makes, and finite.
void check_best(const std::vector<std::pair<std::string, Tensor>>& best, Trainer& trainer) {
  const std::vector<std::pair<std::string, Tensor>> own = best_tensors(trainer.checkpoint());
  bool same = own.size() == best.size();
  for (size_t i = 0; same && i < own.size(); ++i) {
    const Tensor& a = own[i].second;
    const Tensor& b = best[i].second;
    same = own[i].first == best[i].first && a.shape == b.shape && a.dtype == b.dtype;
    for (const double value : to_values(b)) same = same && std::isfinite(value);
  }
  if (!same) refuse_saved("its best epoch's weights");
}

models::Checkpoint checkpoint_of(Trainer& trainer,
                                 const std::vector<std::pair<std::string, Tensor>>& best) {
  models::Checkpoint checkpoint = trainer.checkpoint();
  size_t next = 0;
  for (models::NamedTensor& one : checkpoint.parameters) one.value = best[next++].second;
  for (models::NamedTensor& one : checkpoint.buffers) one.value = best[next++].second;
  return checkpoint;
}

}  // namespace

std::vector<NamedSetting> named_settings(const PretrainSettings& s) {
  std::vector<NamedSetting> all = {
      {"task", s.task},
      {"column", s.column},
      {"holdout", s.holdout},
      {"holdout-from", s.holdout_from},
      {"threads", int64_t{s.threads}, false},
  };
  for (NamedSetting& setting : named_settings(s.train)) all.push_back(std::move(setting));
  return all;
}

void check_settings(const PretrainSettings& s) {
  check_settings(s.train);
  if (s.task != "tumor" && s.task != "category") {
    throw Error(concat_text("--task must be tumor or category; got \"", s.task, "\""));
  }
  if (!(s.holdout > 0 && s.holdout < 1)) {
    throw Error(concat_text("--holdout must lie between 0 and 1; got ", s.holdout));
  }
  if (s.task == "tumor" && s.train.mask != "none") {
    throw Error("--task tumor: the mask holds the answer; use --mask none");
  }
  if (s.train.input == "paper") throw Error("pretrain: --input paper needs the mask; use default");
  if (!s.train.fuse.empty()) throw Error("pretrain: --fuse is for crossval");
  if (!s.train.init.empty()) throw Error("pretrain: --init is for crossval");
}

void check_pretrain(const data::Dataset& set, const PretrainSettings& settings) {
  check_settings(settings);
  const Task task = make_task(set, settings);
  const Place place(settings.train, set);
  const std::unique_ptr<Stream> stream = place.stream({.seed = settings.train.seed});
  Trainer(*stream, place, settings.train, make_problem(set, settings, task), nullptr);
}

int64_t pretrain_work(const data::Dataset& set, const PretrainSettings& settings) {
  const Task task = make_task(set, settings);
  return settings.train.epochs * settings.train.batch *
         data::batches_per_epoch(static_cast<int64_t>(task.training_slices.size()),
                                 settings.train.batch);
}

PretrainResult pretrain(const data::Dataset& set, const PretrainSettings& settings, RunStore& store,
                        Progress& progress) {
  check_settings(settings);
  const auto start = std::chrono::steady_clock::now();
  const Task task = make_task(set, settings);
  const Place place(settings.train, set);
  place.share_plans(store);
  const std::unique_ptr<Stream> stream = place.stream({.seed = settings.train.seed});
  const std::unique_ptr<Stream> host = Stream::cpu();
  Trainer trainer(*stream, place, settings.train, make_problem(set, settings, task), nullptr);

  FoldState state;
  std::vector<std::pair<std::string, Tensor>> best;
  if (auto saved = store.load_state(0, 0, *host)) {
    state = std::move(*saved);
    std::vector<std::pair<std::string, Tensor>> current;
    for (auto& one : state.tensors) {
      (one.first.rfind(kBest, 0) == 0 ? best : current).push_back(std::move(one));
    }
    check_saved(state, 1, settings.train.epochs, trainer.steps_per_epoch());
    check_best(best, trainer);
    trainer.restore(current, state.step, state.epoch);
    progress.skip(state.epoch * trainer.steps_per_epoch() * settings.train.batch);
  }
  tell_peak(progress, settings.train, settings.train.intra_threads, pretrain_work(set, settings));
  PretrainResult result;
  const auto note_best = [&](const HistoryRow& row) {
    if (result.best_epoch != 0 && row.inner_auc <= result.best_score) return false;
    result.best_epoch = row.epoch;
    result.best_score = row.inner_auc;
    result.best_loss = row.inner_loss;
    return true;
  };
  for (const HistoryRow& row : state.history) note_best(row);
  while (state.epoch < settings.train.epochs) {
    HistoryRow row = trainer.train_epoch([&](int64_t images) {
      progress.advance(images, trainer.step_ops());
      stop_if_interrupted();
    });
    const HeldOutScore held_out = score_held_out(task, trainer);
    row.inner_loss = held_out.loss;
    row.inner_auc = held_out.score;
    if (note_best(row)) best = best_tensors(trainer.checkpoint());
    progress.note(concat_text("epoch ", row.epoch, ", held-out score ", row.inner_auc));
    state.history.push_back(row);
    state.epoch = row.epoch;
    state.step = stream->read_state();
    state.tensors = trainer.state();
    state.tensors.insert(state.tensors.end(), best.begin(), best.end());
    store.save_state(0, 0, state);
  }
  result.history = state.history;
  result.score_name = task.classes.size() == 2 ? "AUC" : "accuracy";
  result.training_patients = static_cast<int64_t>(task.training.size());
  result.held_out_patients = static_cast<int64_t>(task.held_out.size());
  result.held_out_slices = static_cast<int64_t>(task.held_out_slices.size());
  result.checkpoint = checkpoint_of(trainer, best);
  result.checkpoint.epoch = result.best_epoch;
  result.checkpoint.step = result.best_epoch * trainer.steps_per_epoch();
  // Held-out patients were looked at too: they chose the epoch.
  std::vector<int32_t> everybody(set.patients.size());
  for (size_t p = 0; p < everybody.size(); ++p) everybody[p] = static_cast<int32_t>(p);
  result.checkpoint.seen = seen_by(set, everybody, nullptr);
  result.checkpoint.notes["task"] = settings.task;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.peak_bytes = stream->allocator()->stats().peak_bytes + trainer.graph_bytes();
  return result;
}

}  // namespace gliograd::study
