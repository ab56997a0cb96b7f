#include "apps/study/fold_run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "apps/study/auc.hpp"
#include "data/leak_guard.hpp"
#include "data/sampler.hpp"
#include "engine/core/error.hpp"
#include "engine/core/interrupt.hpp"

namespace gliograd::study {
namespace {

// The mean of -log p(label) over a class's patients, averaged over the classes: the loss that a
// score under balanced priors should have.
double balanced_log_loss(const std::vector<ScoredPatient>& rows, int classes) {
  std::vector<double> sums(classes), counts(classes);
  for (const ScoredPatient& row : rows) {
    const double p =
        classes == 2 ? (row.label == 1 ? row.scores[0] : 1 - row.scores[0]) : row.scores[row.label];
    sums[row.label] -= std::log(std::max(p, 1e-12));
    counts[row.label] += 1;
  }
  double loss = 0, used = 0;
  for (int c = 0; c < classes; ++c) {
    if (counts[c] == 0) continue;
    loss += sums[c] / counts[c];
    used += 1;
  }
  return loss / used;
}

}  // namespace

int64_t slices_of(const data::Dataset& set, const std::vector<int32_t>& patients) {
  int64_t count = 0;
  for (const int32_t p : patients)
    count += data::first_slice(set, p + 1) - data::first_slice(set, p);
  return count;
}

double pooled_auc(const std::vector<ScoredPatient>& rows, int classes) {
  const std::string name = "predictions";
  const Gathered patients = gather(rows, name);
  return classes == 2 ? auc(against_rest(patients, 1, false, name))
                      : macro_auc(patients, false, name).auc;
}

FoldRun::FoldRun(const data::Dataset& set, const Place& place, const Target& target,
                 const CrossvalSettings& settings, const models::Checkpoint* init, const Pass& pass,
                 const FoldTask& task, RunStore* store, Progress& progress)
    : set_(set),
      place_(place),
      target_(target),
      settings_(settings),
      init_(init),
      pass_(pass),
      task_(task),
      store_(store),
      progress_(progress) {
  test_ = data::test_patients(pass.split, task.repeat, task.fold);
  training_ = data::training_patients(pass.split, task.repeat, task.fold);
  if (settings.select != Select::last) {
    inner_of_ = data::inner_folds(set, training_, pass.labels, kInnerFolds, settings.train.seed,
                                  task.repeat, task.fold);
    // The holdout is the first of the inner folds.
    inner_count_ = settings.select == Select::holdout
                       ? 1
                       : *std::max_element(inner_of_.begin(), inner_of_.end()) + 1;
  }
}

FoldResult FoldRun::run() {
  const auto start = std::chrono::steady_clock::now();
  stream_ = place_.stream(key(0));
  if (store_ != nullptr) {
    const std::unique_ptr<Stream> host = Stream::cpu();
    if (auto saved = store_->load_state(task_.repeat, task_.fold, *host)) {
      state_ = std::move(*saved);
      check_resumable();
      resumed_ = true;
    }
  }
  if (state_.inner_scores.empty()) state_.inner_scores.resize(settings_.train.epochs);
  const int first = state_.stage;
  for (int stage = 0; stage < first; ++stage) count_as_done(stage, settings_.train.epochs);
  for (; state_.stage < inner_count_; next_stage()) train_inner(state_.stage);
  FoldResult result = train_outer();
  result.repeat = task_.repeat;
  result.fold = task_.fold;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.peak_bytes = stream_->allocator()->stats().peak_bytes + graph_bytes_;
  return result;
}

// Beyond check_saved: what the inner networks left so far. A file that was damaged or edited must
// not choose the epochs.
void FoldRun::check_resumable() const {
  const int epochs = settings_.train.epochs;
  check_saved(state_, inner_count_ + 1, epochs, whole_batches(training_of(state_.stage)));
  const auto refuse = [](const auto&... parts) { refuse_saved(concat_text(parts...)); };
  const auto curves = static_cast<size_t>(std::min(state_.stage + 1, inner_count_));
  if (state_.inner_losses.size() != curves) {
    refuse(state_.inner_losses.size(), " inner curves where there are ", curves);
  }
  if (state_.inner_scores.size() != static_cast<size_t>(epochs)) {
    refuse("inner scores of ", state_.inner_scores.size(), " epochs of ", epochs);
  }
  std::vector<size_t> scored(epochs);
  for (int stage = 0; stage < static_cast<int>(curves); ++stage) {
    const int done = stage < state_.stage ? epochs : state_.epoch;
    if (static_cast<int>(state_.inner_losses[stage].size()) != done) {
      refuse(state_.inner_losses[stage].size(), " losses of inner network ", stage, " behind ",
             done, " epochs");
    }
    for (const double loss : state_.inner_losses[stage]) {
      if (!std::isfinite(loss)) refuse("a loss of inner network ", stage, " is not finite");
    }
    for (int e = 0; e < done; ++e) scored[e] += held_out_of(stage).size();
  }
  for (int e = 0; e < epochs; ++e) {
    if (state_.inner_scores[e].size() != scored[e]) {
      refuse(state_.inner_scores[e].size(), " inner scores of epoch ", e + 1, "; ", scored[e],
             " are needed");
    }
    if (scored[e] > 0) check_predictions(state_.inner_scores[e], "the inner scores in state.h5");
  }
}

void FoldRun::check() {
  stream_ = place_.stream(key(0));
  trainer_at(inner_count_, training_);
}

RandomKey FoldRun::key(int inner) const {
  return {.seed = settings_.train.seed,
          .permutation = task_.permutation,
          .repeat = task_.repeat,
          .fold = task_.fold,
          .inner = inner};
}

void FoldRun::count_as_done(int stage, int epochs) {
  progress_.skip(epochs * whole_batches(training_of(stage)) * settings_.train.batch);
}

int64_t FoldRun::whole_batches(const std::vector<int32_t>& patients) const {
  return data::batches_per_epoch(slices_of(set_, patients), settings_.train.batch);
}

std::vector<int32_t> FoldRun::training_of(int stage) const {
  if (stage >= inner_count_) return training_;
  std::vector<int32_t> patients;
  for (size_t i = 0; i < training_.size(); ++i) {
    if (inner_of_[i] != stage) patients.push_back(training_[i]);
  }
  return patients;
}

std::vector<int32_t> FoldRun::held_out_of(int stage) const {
  std::vector<int32_t> patients;
  for (size_t i = 0; i < training_.size(); ++i) {
    if (inner_of_[i] == stage) patients.push_back(training_[i]);
  }
  return patients;
}

Problem FoldRun::problem(const std::vector<int32_t>& patients, int inner) const {
  Problem problem;
  problem.set = &set_;
  problem.classes = target_.classes;
  problem.labels.resize(set_.slices_count);
  for (int64_t n = 0; n < set_.slices_count; ++n) {
    problem.labels[n] = pass_.labels[set_.slices[n].patient];
  }
  problem.steps_per_epoch = whole_batches(patients);
  const data::SamplerOptions sampling{.batch = settings_.train.batch,
                                      .balance_classes = settings_.train.balance_classes,
                                      .weight_by_area = settings_.train.weight_by_area,
                                      .random = key(inner)};
  problem.draws = [this, patients, sampling](int epoch) {
    std::vector<int32_t> draws = data::epoch_draws(set_, patients, pass_.labels, sampling, epoch);
    data::check_fold_slices(set_, test_, draws, concat_text("the draws of epoch ", epoch));
    return draws;
  };
  data::check_fold_patients(set_, test_, patients, "the scale of fused numbers");
  problem.fused = fuse_features(set_, settings_.train.fuse, patients);
  return problem;
}

// A network at the beginning of `stage`, or where the saved state left it.
std::unique_ptr<Trainer> FoldRun::trainer_at(int stage, const std::vector<int32_t>& patients) {
  const int inner = stage < inner_count_ ? stage + 1 : 0;
  stream_->set_random(key(inner));
  stream_->write_state({});
  auto trainer =
      std::make_unique<Trainer>(*stream_, place_, settings_.train, problem(patients, inner), init_);
  if (resumed_ && state_.epoch > 0) {
    trainer->restore(state_.tensors, state_.step, state_.epoch);
    count_as_done_epochs(*trainer);
  } else {
    state_.epoch = 0;
    state_.history.clear();
  }
  resumed_ = false;
  return trainer;
}

void FoldRun::count_as_done_epochs(const Trainer& trainer) {
  progress_.skip(state_.epoch * trainer.steps_per_epoch() * settings_.train.batch);
}

void FoldRun::train_one_epoch(Trainer& trainer) {
  const HistoryRow row = trainer.train_epoch([&](int64_t images) {
    progress_.advance(images, trainer.step_ops());
    stop_if_interrupted();
  });
  state_.history.push_back(row);
  state_.epoch = row.epoch;
  graph_bytes_ = std::max(graph_bytes_, trainer.graph_bytes());
}

void FoldRun::save(const Trainer& trainer) {
  if (store_ == nullptr) return;
  state_.step = stream_->read_state();
  state_.tensors = trainer.state();
  store_->save_state(task_.repeat, task_.fold, state_);
}

void FoldRun::next_stage() {
  ++state_.stage;
  state_.epoch = 0;
}

std::vector<ScoredPatient> FoldRun::score(Trainer& trainer,
                                          const std::vector<int32_t>& patients) const {
  const std::vector<std::vector<double>> probabilities = trainer.patient_probabilities(patients);
  std::vector<ScoredPatient> rows;
  for (size_t i = 0; i < patients.size(); ++i) {
    const data::Patient& patient = set_.patients[patients[i]];
    ScoredPatient row;
    row.id = patient.id;
    row.site = patient.site;
    row.repeat = task_.repeat;
    row.fold = task_.fold;
    row.label = pass_.labels[patients[i]];
    row.scores = probabilities[i];
    if (row.scores.size() == 2) row.scores.erase(row.scores.begin());  // of the class asked for
    rows.push_back(std::move(row));
  }
  return rows;
}

void FoldRun::train_inner(int stage) {
  const std::vector<int32_t> held_out = held_out_of(stage);
  const std::unique_ptr<Trainer> trainer = trainer_at(stage, training_of(stage));
  if (static_cast<int>(state_.inner_losses.size()) <= stage) state_.inner_losses.resize(stage + 1);
  while (state_.epoch < settings_.train.epochs) {
    train_one_epoch(*trainer);
    const std::vector<ScoredPatient> rows = score(*trainer, held_out);
    state_.inner_losses[stage].push_back(balanced_log_loss(rows, target_.class_count()));
    std::vector<ScoredPatient>& scored = state_.inner_scores[state_.epoch - 1];
    scored.insert(scored.end(), rows.begin(), rows.end());
    save(*trainer);
  }
}

// Epochs to train the outer network for: the earliest minimum of the mean inner curve.
int FoldRun::chosen_epochs() const {
  if (inner_count_ == 0) return settings_.train.epochs;
  int best = 0;
  double best_loss = INFINITY;
  for (int e = 0; e < settings_.train.epochs; ++e) {
    const double loss = mean_inner_loss(e);
    if (loss < best_loss) {
      best_loss = loss;
      best = e;
    }
  }
  return best + 1;
}

double FoldRun::mean_inner_loss(int epoch) const {
  double sum = 0;
  for (const std::vector<double>& curve : state_.inner_losses) sum += curve[epoch];
  return sum / static_cast<double>(state_.inner_losses.size());
}

FoldResult FoldRun::train_outer() {
  const int epochs = chosen_epochs();
  const std::unique_ptr<Trainer> trainer = trainer_at(inner_count_, training_);
  while (state_.epoch < epochs) {
    train_one_epoch(*trainer);
    HistoryRow& row = state_.history.back();
    if (inner_count_ > 0) {
      row.inner_loss = mean_inner_loss(row.epoch - 1);
      row.inner_auc = pooled_auc(state_.inner_scores[row.epoch - 1], target_.class_count());
    }
    save(*trainer);
  }
  progress_.skip((settings_.train.epochs - epochs) * trainer->steps_per_epoch() *
                 settings_.train.batch);
  FoldResult result;
  result.history = state_.history;
  result.predictions = score(*trainer, test_);
  if (settings_.select == Select::inner) {
    result.inner = state_.inner_scores[epochs - 1];
    std::sort(result.inner.begin(), result.inner.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
  }
  model_ = trainer->checkpoint();
  model_.seen = seen_by(set_, training_, init_);
  return result;
}

}  // namespace gliograd::study
