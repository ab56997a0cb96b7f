#include "apps/study/crossval.hpp"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <numeric>
#include <thread>

#include "apps/study/auc.hpp"
#include "data/leak_guard.hpp"
#include "data/random.hpp"
#include "data/sampler.hpp"
#include "engine/core/error.hpp"
#include "engine/core/interrupt.hpp"

namespace gliograd::study {
namespace {

constexpr int kInnerFolds = 5;

// One fold of one pass over the patients; permutation 0 is the real labels.
struct FoldTask {
  int permutation = 0;
  int repeat = 0;
  int fold = 0;
};

// Labels of the patients shuffled among those that have one.
std::vector<int32_t> permuted_labels(const std::vector<int32_t>& labels, uint32_t seed,
                                     int permutation) {
  std::vector<int32_t> kept;
  for (const int32_t label : labels) {
    if (label >= 0) kept.push_back(label);
  }
  data::RandomSequence random({.seed = seed, .permutation = permutation},
                              {.purpose = kernels::Purpose::permute});
  random.shuffle(kept);
  std::vector<int32_t> shuffled = labels;
  size_t next = 0;
  for (int32_t& label : shuffled) {
    if (label >= 0) label = kept[next++];
  }
  return shuffled;
}

// What all folds of one permutation share.
struct Pass {
  std::vector<int32_t> labels;  // [P]
  data::Split split;
};

Pass make_pass(const data::Dataset& set, const Target& target, const CrossvalSettings& settings,
               int permutation) {
  Pass pass;
  pass.labels = permutation == 0 ? target.labels
                                 : permuted_labels(target.labels, settings.train.seed, permutation);
  pass.split = data::make_split(set, pass.labels,
                                {.kind = settings.split,
                                 .folds = settings.folds,
                                 .repeats = permutation == 0 ? settings.repeats : 1,
                                 .seed = settings.train.seed});
  return pass;
}

int64_t slices_of(const data::Dataset& set, const std::vector<int32_t>& patients) {
  int64_t count = 0;
  for (const int32_t p : patients)
    count += data::first_slice(set, p + 1) - data::first_slice(set, p);
  return count;
}

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

// Trains and scores the networks of one fold, from the state that the store holds.
class FoldRun {
 public:
  FoldRun(const data::Dataset& set, const Target& target, const CrossvalSettings& settings,
          const models::Checkpoint* init, const Pass& pass, const FoldTask& task, RunStore* store,
          Progress& progress)
      : set_(set),
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

  FoldResult run() {
    const auto start = std::chrono::steady_clock::now();
    stream_ = Stream::cpu({.threads = settings_.train.intra_threads, .random = key(0)});
    if (store_ != nullptr) {
      if (auto saved = store_->load_state(task_.repeat, task_.fold, *stream_)) {
        state_ = std::move(*saved);
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
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.peak_bytes = stream_->allocator()->stats().peak_bytes;
    return result;
  }

  const models::Checkpoint& model() const { return model_; }

  /// Makes the network and its data as run() would, and trains nothing.
  void check() {
    stream_ = Stream::cpu({.threads = settings_.train.intra_threads, .random = key(0)});
    trainer_at(inner_count_, training_);
  }

 private:
  RandomKey key(int inner) const {
    return {.seed = settings_.train.seed,
            .permutation = task_.permutation,
            .repeat = task_.repeat,
            .fold = task_.fold,
            .inner = inner};
  }

  void count_as_done(int stage, int epochs) {
    progress_.skip(epochs * whole_batches(training_of(stage)) * settings_.train.batch);
  }

  int64_t whole_batches(const std::vector<int32_t>& patients) const {
    return data::batches_per_epoch(slices_of(set_, patients), settings_.train.batch);
  }

  std::vector<int32_t> training_of(int stage) const {
    if (stage >= inner_count_) return training_;
    std::vector<int32_t> patients;
    for (size_t i = 0; i < training_.size(); ++i) {
      if (inner_of_[i] != stage) patients.push_back(training_[i]);
    }
    return patients;
  }

  std::vector<int32_t> held_out_of(int stage) const {
    std::vector<int32_t> patients;
    for (size_t i = 0; i < training_.size(); ++i) {
      if (inner_of_[i] == stage) patients.push_back(training_[i]);
    }
    return patients;
  }

  Problem problem(const std::vector<int32_t>& patients, int inner) const {
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
      data::check_fold_slices(set_, test_, draws,
                              concat_text("the draws of epoch ", epoch, ", fold ", task_.fold));
      return draws;
    };
    data::check_fold_patients(set_, test_, patients, "the scale of fused numbers");
    problem.fused = fuse_features(set_, settings_.train.fuse, patients);
    return problem;
  }

  // A network at the beginning of `stage`, or where the saved state left it.
  std::unique_ptr<Trainer> trainer_at(int stage, const std::vector<int32_t>& patients) {
    const int inner = stage < inner_count_ ? stage + 1 : 0;
    stream_->set_random(key(inner));
    *stream_->state() = StepState{};
    auto trainer =
        std::make_unique<Trainer>(*stream_, settings_.train, problem(patients, inner), init_);
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

  void count_as_done_epochs(const Trainer& trainer) {
    progress_.skip(state_.epoch * trainer.steps_per_epoch() * settings_.train.batch);
  }

  void train_one_epoch(Trainer& trainer) {
    const HistoryRow row = trainer.train_epoch([&](int64_t images) {
      progress_.advance(images);
      stop_if_interrupted();
    });
    state_.history.push_back(row);
    state_.epoch = row.epoch;
  }

  void save(const Trainer& trainer) {
    if (store_ == nullptr) return;
    state_.step = *stream_->state();
    state_.tensors = trainer.state();
    store_->save_state(task_.repeat, task_.fold, state_);
  }

  void next_stage() {
    ++state_.stage;
    state_.epoch = 0;
  }

  std::vector<ScoredPatient> score(Trainer& trainer, const std::vector<int32_t>& patients) const {
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

  void train_inner(int stage) {
    const std::vector<int32_t> held_out = held_out_of(stage);
    const std::unique_ptr<Trainer> trainer = trainer_at(stage, training_of(stage));
    if (static_cast<int>(state_.inner_losses.size()) <= stage)
      state_.inner_losses.resize(stage + 1);
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
  int chosen_epochs() const {
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

  double mean_inner_loss(int epoch) const {
    double sum = 0;
    for (const std::vector<double>& curve : state_.inner_losses) sum += curve[epoch];
    return sum / static_cast<double>(state_.inner_losses.size());
  }

  FoldResult train_outer() {
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

  const data::Dataset& set_;
  const Target& target_;
  const CrossvalSettings& settings_;
  const models::Checkpoint* init_;
  const Pass& pass_;
  FoldTask task_;
  RunStore* store_;  // null for permutations, which are small enough to be run again
  Progress& progress_;
  std::vector<int32_t> training_, test_, inner_of_;
  int inner_count_ = 0;
  std::unique_ptr<Stream> stream_;
  FoldState state_;
  models::Checkpoint model_;
  bool resumed_ = false;
};

// A finished fold is taken from the store as it is: what was cut short there must not pass.
void check_finished(const data::Dataset& set, const data::Split& split, const FoldTask& task,
                    const FoldResult& result, const CrossvalSettings& settings) {
  const std::string fold = concat_text("the finished fold ", task.repeat, "-", task.fold);
  const std::vector<int32_t> test = data::test_patients(split, task.repeat, task.fold);
  bool whole = result.predictions.size() == test.size();
  for (size_t i = 0; whole && i < test.size(); ++i) {
    const ScoredPatient& row = result.predictions[i];
    whole =
        row.id == set.patients[test[i]].id && row.repeat == task.repeat && row.fold == task.fold;
  }
  if (!whole) throw Error(fold + ": its predictions.csv does not hold its test patients");
  const auto rows = static_cast<int>(result.history.size());
  const int most = settings.train.epochs, least = settings.select == Select::last ? most : 1;
  if (rows < least || rows > most || result.history.back().epoch != rows) {
    throw Error(concat_text(fold, ": its history.csv has ", rows, " epochs of ", most));
  }
}

// Hands tasks to `threads` std::threads in order; the first exception of any stops the rest.
template <class Run>
void run_tasks(const std::vector<FoldTask>& tasks, int threads, int intra_threads, const Run& run) {
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::exception_ptr error;
  std::mutex mutex;
  const auto work = [&] {
    omp_set_num_threads(intra_threads);
    for (size_t i = next++; i < tasks.size() && !stop; i = next++) {
      try {
        run(tasks[i]);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        stop = true;
      }
    }
  };
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t) team.emplace_back(work);
  for (std::thread& thread : team) thread.join();
  if (error) std::rethrow_exception(error);
}

std::vector<FoldTask> tasks_of(const data::Split& split, int permutation) {
  std::vector<FoldTask> tasks;
  for (int r = 0; r < split.repeats; ++r) {
    for (int f = 0; f < split.folds; ++f) tasks.push_back({permutation, r, f});
  }
  return tasks;
}

}  // namespace

double pooled_auc(const std::vector<ScoredPatient>& rows, int classes) {
  const std::string name = "predictions";
  const Gathered patients = gather(rows, name);
  return classes == 2 ? auc(against_rest(patients, 1, false, name))
                      : macro_auc(patients, false, name).auc;
}

void check_crossval(const data::Dataset& set, const Target& target,
                    const CrossvalSettings& settings, const models::Checkpoint* init) {
  check_settings(settings);
  Progress silent("check", 1, "images", false);
  for (int p = 0; p <= settings.permutations; ++p) {
    const Pass pass = make_pass(set, target, settings, p);
    for (const FoldTask& task : tasks_of(pass.split, p)) {
      FoldRun fold(set, target, settings, init, pass, task, nullptr, silent);  // makes inner folds
      if (p == 0 && task.repeat == 0 && task.fold == 0) fold.check();
    }
  }
}

int64_t crossval_work(const data::Dataset& set, const Target& target,
                      const CrossvalSettings& settings) {
  const auto of_pass = [&](int permutation) {
    const Pass pass = make_pass(set, target, settings, permutation);
    int64_t images = 0;
    for (const FoldTask& task : tasks_of(pass.split, permutation)) {
      const std::vector<int32_t> training =
          data::training_patients(pass.split, task.repeat, task.fold);
      const double networks = settings.select == Select::inner     ? 1 + (kInnerFolds - 1)
                              : settings.select == Select::holdout ? 1.8
                                                                   : 1;
      images += static_cast<int64_t>(networks * static_cast<double>(slices_of(set, training)));
    }
    return images * settings.train.epochs;
  };
  int64_t images = of_pass(0);
  if (settings.permutations > 0) images += settings.permutations * of_pass(1);
  return images;
}

CrossvalResult crossval(const data::Dataset& set, const Target& target,
                        const CrossvalSettings& settings, const models::Checkpoint* init,
                        RunStore& store, Progress& progress) {
  check_settings(settings);
  std::vector<Pass> passes;
  std::vector<FoldTask> tasks;
  const std::map<int, double> known = store.permutations();
  for (int p = 0; p <= settings.permutations; ++p) {
    passes.push_back(make_pass(set, target, settings, p));
    if (known.count(p) != 0) continue;
    const std::vector<FoldTask> of_pass = tasks_of(passes.back().split, p);
    tasks.insert(tasks.end(), of_pass.begin(), of_pass.end());
  }
  CrossvalResult result;
  result.split = passes[0].split;
  result.permutations = known;
  store.begin(set, result.split);

  std::map<std::pair<int, int>, FoldResult> folds;     // by repeat and fold
  std::map<int, std::vector<ScoredPatient>> permuted;  // by permutation
  std::map<int, int> folds_left;
  for (const FoldTask& task : tasks) ++folds_left[task.permutation];
  std::mutex mutex;
  const auto run = [&](const FoldTask& task) {
    const bool real = task.permutation == 0;
    std::optional<FoldResult> done;
    if (real) done = store.finished(task.repeat, task.fold);
    if (done) check_finished(set, passes[0].split, task, *done, settings);
    FoldRun fold(set, target, settings, init, passes[task.permutation], task,
                 real ? &store : nullptr, progress);
    if (done) {
      progress.skip(crossval_work(set, target, settings) / static_cast<int64_t>(tasks.size()));
    } else {
      done = fold.run();
      if (real) store.finish(*done, fold.model());
    }
    const std::lock_guard lock(mutex);
    if (real) {
      folds[{task.repeat, task.fold}] = std::move(*done);
      return;
    }
    std::vector<ScoredPatient>& rows = permuted[task.permutation];
    rows.insert(rows.end(), done->predictions.begin(), done->predictions.end());
    if (--folds_left[task.permutation] == 0) {
      const double auc = pooled_auc(rows, target.class_count());
      store.add_permutation(task.permutation, auc);
      result.permutations[task.permutation] = auc;
      permuted.erase(task.permutation);
    }
  };
  const int intra = settings.train.intra_threads;
  const int side_by_side =
      settings.concurrent_folds > 0
          ? settings.concurrent_folds
          : std::min(result.split.folds, std::max(1, settings.threads / intra));
  run_tasks(tasks, side_by_side, intra, run);

  for (auto& [place, fold] : folds) {
    result.predictions.insert(result.predictions.end(), fold.predictions.begin(),
                              fold.predictions.end());
    result.inner.insert(result.inner.end(), fold.inner.begin(), fold.inner.end());
    result.fold_seconds += fold.seconds;
    result.peak_bytes = std::max(result.peak_bytes, fold.peak_bytes);
  }
  return result;
}

}  // namespace gliograd::study
