#include "apps/study/crossval.hpp"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

#include "apps/study/peaks.hpp"
#include "data/random.hpp"
#include "engine/core/error.hpp"
#include "engine/core/interrupt.hpp"

namespace gliograd::study {
namespace {

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

// A finished fold is taken from the store as it is: what was cut short there must not pass.
void check_finished(const data::Dataset& set, const Pass& pass, const FoldTask& task,
                    const FoldResult& result, const CrossvalSettings& settings) {
  const std::vector<int32_t> test = data::test_patients(pass.split, task.repeat, task.fold);
  const auto same = [&](const ScoredPatient& row, int32_t p) {
    return row.id == set.patients[p].id && row.site == set.patients[p].site &&
           row.label == pass.labels[p] && row.repeat == task.repeat && row.fold == task.fold;
  };
  bool whole = result.predictions.size() == test.size();
  for (size_t i = 0; whole && i < test.size(); ++i) {
    whole = same(result.predictions[i], test[i]);
  }
  if (!whole) throw Error("finished, but its predictions.csv does not hold its test patients");
  const std::vector<ScoredPatient>& inner = result.inner;  // by id, as patients are sorted
  const std::vector<int32_t> training =
      settings.select == Select::inner ? data::training_patients(pass.split, task.repeat, task.fold)
                                       : std::vector<int32_t>();
  bool inner_whole = inner.size() == training.size();
  for (size_t i = 0; inner_whole && i < inner.size(); ++i) {
    inner_whole = same(inner[i], training[i]);
  }
  if (!inner_whole) throw Error("finished, but its inner.csv does not hold its training patients");
  const auto rows = static_cast<int>(result.history.size());
  const int most = settings.train.epochs, least = settings.select == Select::last ? most : 1;
  if (rows < least || rows > most || result.history.back().epoch != rows) {
    throw Error(concat_text("finished, but its history.csv has ", rows, " epochs of ", most));
  }
}

// "repeat 0, fold 3" as fold-0-3 of the run folder counts them, or "permutation 2, fold 3".
std::string name_of(const FoldTask& task) {
  return task.permutation > 0 ? concat_text("permutation ", task.permutation, ", fold ", task.fold)
                              : concat_text("repeat ", task.repeat, ", fold ", task.fold);
}

// Throws what `run` throws with the fold's name in front. The exit code is that of the type, so it
// stays; what no family of ours holds (out of memory, a library's own) exits 1 like WorkError.
template <class Run>
void run_named(const FoldTask& task, const Run& run) {
  const auto text = [&](const char* what) { return concat_text(name_of(task), ": ", what); };
  try {
    run(task);
  } catch (const Interrupted&) {
    throw;
  } catch (const kernels::DeviceError& error) {
    throw kernels::DeviceError(text(error.what()));
  } catch (const WorkError& error) {
    throw WorkError(text(error.what()));
  } catch (const Error& error) {
    throw Error(text(error.what()));
  } catch (const std::bad_alloc&) {
    throw WorkError(text("out of memory"));
  } catch (const std::exception& error) {
    throw WorkError(text(error.what()));
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
        run_named(tasks[i], run);
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

void check_crossval(const data::Dataset& set, const Target& target,
                    const CrossvalSettings& settings, const models::Checkpoint* init) {
  check_settings(settings);
  Progress silent("check", 1, "images", false);
  const Place place(settings.train, set);
  for (int p = 0; p <= settings.permutations; ++p) {
    const Pass pass = make_pass(set, target, settings, p);
    for (const FoldTask& task : tasks_of(pass.split, p)) {
      FoldRun fold(set, place, target, settings, init, pass, task, nullptr,
                   silent);  // makes inner folds
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
  const Place place(settings.train, set);
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
  place.share_plans(store);

  std::map<std::pair<int, int>, FoldResult> folds;     // by repeat and fold
  std::map<int, std::vector<ScoredPatient>> permuted;  // by permutation
  std::map<int, int> folds_left;
  for (const FoldTask& task : tasks) ++folds_left[task.permutation];
  std::mutex mutex;
  const auto run = [&](const FoldTask& task) {
    const bool real = task.permutation == 0;
    std::optional<FoldResult> done;
    if (real) done = store.finished(task.repeat, task.fold);
    if (done) check_finished(set, passes[0], task, *done, settings);
    FoldRun fold(set, place, target, settings, init, passes[task.permutation], task,
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
  const int side_by_side = settings.concurrent_folds > 0
                               ? settings.concurrent_folds
                               : std::min(result.split.folds, place.concurrent(settings.threads));
  tell_peak(progress, settings.train, settings.threads, crossval_work(set, target, settings));
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
