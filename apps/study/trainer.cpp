#include "apps/study/trainer.hpp"

#include <algorithm>
#include <cmath>

#include "apps/study/op_counter.hpp"
#include "data/augment_policy.hpp"
#include "engine/core/error.hpp"
#include "engine/core/log.hpp"
#include "engine/ops/softmax_cross_entropy.hpp"
#include "engine/optim/batch_end.hpp"
#include "engine/tensor/cast.hpp"
#include "models/catalog.hpp"

namespace gliograd::study {
namespace {

// Seconds of gradient noise are worth little in evaluation; a large batch costs only memory.
constexpr size_t kEvaluationBatch = 64;
constexpr size_t kPaddedTo = 16;  // on a GPU

// Where f16's loss scale begins, and how many updates in a row double it: as PyTorch's GradScaler.
constexpr float kFirstLossScale = 65536;
constexpr int kScaleInterval = 2000;

models::Settings network_settings(const TrainSettings& s, int64_t channels, int64_t classes,
                                  int64_t extra) {
  models::Settings settings = {{"input_channels", std::to_string(channels)},
                               {"classes", std::to_string(classes)},
                               {"extra_features", std::to_string(extra)},
                               {"dropout", models::to_text(s.dropout)}};
  if (s.model == "subtype") {
    settings["widths"] = models::join({s.width, 2 * s.width, 4 * s.width, 6 * s.width});
    settings["depth"] = std::to_string(s.depth);
  }
  return settings;
}

InputSpec input_of(const data::Dataset& set, const TrainSettings& s) {
  if (s.input == "paper") return data::input_spec(set, data::input_preset("paper"));
  return data::input_spec(set, {.sequences = s.sequences, .mask = s.mask, .window = s.window});
}

std::vector<std::string> input_names(const data::Dataset& set, const InputSpec& input) {
  std::vector<std::string> names;
  for (int i = 0; i < input.sequence_count; ++i) names.push_back(set.channels[input.sequences[i]]);
  if (input.mask == MaskUse::channel) names.push_back("mask");
  return names;
}

OptimizerOptions optimizer_options(const TrainSettings& s) {
  using Kind = OptimizerOptions::Kind;
  return {.kind = s.optimizer == "sgd"    ? Kind::sgd
                  : s.optimizer == "adam" ? Kind::adam
                                          : Kind::adamw,
          .momentum = s.momentum,
          .nesterov = true,
          .clip_norm = s.clip_norm,
          .ema_decay = s.ema,
          .scale_interval = s.dtype == "f16" ? kScaleInterval : 0};
}

AugmentOptions augment_options(const TrainSettings& settings, const InputSpec& input) {
  AugmentOptions options = data::augment_preset(settings.preset);
  for (const std::string& one : settings.augment) {
    const size_t equals = one.find('=');
    if (equals == std::string::npos) {
      throw Error(concat_text("--augment wants NAME=VALUE; got \"", one, "\""));
    }
    data::set_augment_option(options, one.substr(0, equals), one.substr(equals + 1));
  }
  check_augment_options(options, input);
  return options;
}

BatchSource batch_source(const Place& place, const TrainSettings& settings, const InputSpec& input,
                         const Problem& problem, DType dtype) {
  BatchSource source{.set = place.set(),
                     .input = input,
                     .augment = augment_options(settings, input),
                     .labels = problem.labels,
                     .fused = problem.fused,
                     .patients = {},
                     .dtype = dtype};
  for (const data::Slice& slice : problem.set->slices) source.patients.push_back(slice.patient);
  return source;
}

LearningRates learning_rates(const TrainSettings& s, int64_t steps_per_epoch) {
  const int64_t steps = s.epochs * steps_per_epoch;
  const auto warmup = static_cast<int64_t>(s.warmup_epochs * static_cast<double>(steps_per_epoch));
  if (s.schedule == "constant") return LearningRates::steps(s.learning_rate, steps, {}, 1, warmup);
  if (s.schedule == "step") {
    return LearningRates::steps(s.learning_rate, steps, {steps / 2, steps * 3 / 4}, 0.1, warmup);
  }
  return LearningRates::cosine(s.learning_rate, steps, warmup);
}

// The averaged weights stand in for the trained ones while this lives.
class AveragedWeights {
 public:
  AveragedWeights(Optimizer& optimizer, bool on) : optimizer_(optimizer), on_(on) {
    if (on_) optimizer_.swap_in_ema();
  }
  ~AveragedWeights() {
    if (on_) optimizer_.swap_out_ema();
  }
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;

 private:
  Optimizer& optimizer_;
  bool on_;
};

}  // namespace

Trainer::Trainer(Stream& stream, const Place& place, const TrainSettings& settings, Problem problem,
                 const models::Checkpoint* init)
    : stream_(stream),
      place_(place),
      settings_(settings),
      problem_(std::move(problem)),
      dtype_(settings.compute_type()),
      host_(Stream::cpu()) {
  const data::Dataset& set = *problem_.set;
  input_ = input_of(set, settings);
  batches_ =
      std::make_unique<Batches>(stream, batch_source(place, settings, input_, problem_, dtype_),
                                settings.batch, steps_per_epoch() * settings.batch);
  network_ = models::make_network(
      settings.model,
      network_settings(settings, input_.channels(), static_cast<int64_t>(problem_.classes.size()),
                       problem_.fused.count),
      stream, dtype_ == DType::f64 ? DType::f64 : DType::f32);
  std::vector<ParameterGroup> groups;
  const double decay = settings.weight_decay;
  if (init != nullptr) {
    const models::TransferReport report =
        models::transfer(*network_, *init,
                         {.rule = models::channel_rule(settings.adapt),
                          .channels = input_names(set, input_),
                          .freeze_upto = settings.freeze,
                          .freeze_batch_norm = settings.freeze_batch_norm});
    const models::TransferGroups parts = models::transfer_groups(*network_, report);
    groups = {{"taken", parts.taken, settings.transferred_lr, decay},
              {"fresh", parts.fresh, 1, decay}};
    if (parts.taken.empty()) groups.erase(groups.begin());
  } else {
    groups = {{"all", network_->weights().parameters(), 1, decay}};
  }
  optimizer_ = std::make_unique<Optimizer>(stream, std::move(groups), optimizer_options(settings),
                                           learning_rates(settings, problem_.steps_per_epoch));
  if (settings.ema > 0) {
    Optimizer::NamedTensors buffers;
    for (const models::Buffer& buffer : network_->weights().buffers()) {
      buffers.emplace_back(buffer.name, buffer.value);
    }
    optimizer_->average_buffers(buffers);
  }
}

// The host's part of a step is the same each time, so that it can be recorded: on a GPU it reads
// nothing back, and the optimizer writes what the next step reads of the weights.
void Trainer::step() {
  const Batch batch = batches_->next();
  Tape tape(stream_, dtype_);
  OpCounter counter(stream_);
  if (step_ops_ == 0) tape.observe(counter);
  const Tensor logits = network_->forward(tape, batch.images, batch.extra, Mode::train);
  const Tensor loss = softmax_cross_entropy(tape, logits, batch.labels,
                                            {.label_smoothing = settings_.label_smoothing});
  tape.backward(loss);
  optimizer_->step();
  end_batch(stream_, loss, settings_.batch);
  if (step_ops_ == 0) step_ops_ = counter.ops();
}

void Trainer::run_steps(const std::function<void(int64_t)>& after_step) {
  const bool graph = stream_.device() == Device::cuda && !settings_.eager;
  if (graph && !graph_) graph_ = std::make_unique<CapturedWork>(stream_);
  for (int64_t i = 0; i < steps_per_epoch(); ++i) {
    if (graph) {
      graph_->next([this] { step(); });
    } else {
      step();
    }
    if (after_step) after_step(settings_.batch);
  }
}

// Whether training and evaluation find memory with batches of this size. Running statistics change.
bool Trainer::fits(int64_t batch) {
  const auto slices = [&](int64_t count) {
    std::vector<int32_t> list(static_cast<size_t>(count));
    for (size_t i = 0; i < list.size(); ++i) {
      list[i] = static_cast<int32_t>(i % problem_.set->slices.size());
    }
    return list;
  };
  const auto pass = [&] {
    const Batch images = batches_->plain(slices(batch), 0);
    Tape tape(stream_, dtype_);
    const Tensor logits = network_->forward(tape, images.images, images.extra, Mode::train);
    tape.backward(softmax_cross_entropy(tape, logits, zeros(stream_, {batch}, DType::i32)));
    stream_.wait();
  };
  try {
    std::unique_ptr<CapturedWork> own_memory;  // as that of a captured step, beside what evaluates
    if (stream_.device() == Device::cuda && !settings_.eager) {
      own_memory = std::make_unique<CapturedWork>(stream_);
      own_memory->run(pass);
    } else {
      pass();
    }
    const int64_t evaluated = std::min<int64_t>(kEvaluationBatch, problem_.set->slices.size());
    std::vector<std::vector<double>> sums(evaluated, std::vector<double>(problem_.classes.size()));
    add_probabilities(slices(evaluated), 0, sums);
    return true;
  } catch (const OutOfMemory&) {
    return false;
  }
}

// To an eighth, by halving, what would fit now where settings_.batch does not; less than 2:
// nothing.
int64_t Trainer::fitting_batch() {
  graph_.reset();
  int64_t low = 0, high = settings_.batch;  // fits; does not
  while (high - low > std::max<int64_t>(1, high / 8)) {
    const int64_t middle = (low + high) / 2;
    stream_.allocator()->trim();
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

HistoryRow Trainer::train_epoch(const std::function<void(int64_t)>& after_step) {
  StepState state = stream_.read_state();
  const int64_t updates = state.updates;
  HistoryRow row;
  row.lr = optimizer_->rates()[state.step];
  state.epoch = epoch_;
  state.draw = 0;
  state.loss_sum = 0;
  if (settings_.dtype == "f16" && state.step == 0) state.loss_scale = kFirstLossScale;
  stream_.write_state(state);
  batches_->begin_epoch(problem_.draws(epoch_));
  try {
    run_steps(after_step);
  } catch (const OutOfMemory& error) {
    const int64_t batch = fitting_batch();
    throw OutOfMemory(concat_text(
        error.what(), batch < 2 ? "; not even --batch 2" : concat_text("; --batch ", batch),
        " would fit"));
  }
  ++epoch_;
  if (epoch_ == 1) place_.tell_fallbacks(stream_);
  state = stream_.read_state();
  row.epoch = epoch_;
  row.steps = state.step;
  row.train_loss = state.loss_sum / static_cast<double>(steps_per_epoch() * settings_.batch);
  if (!std::isfinite(row.train_loss)) {
    throw WorkError(concat_text("training: the loss of epoch ", epoch_, " is ", row.train_loss,
                                "; try a lower --learning-rate or --clip-norm"));
  }
  const int64_t skipped = steps_per_epoch() - (state.updates - updates);
  if (skipped > 0) {
    log_info(concat_text("note: epoch ", epoch_, ": ", skipped, " of ", steps_per_epoch(),
                         " steps changed nothing, their gradients were not finite",
                         settings_.dtype == "f16" ? " at that loss scale" : ""));
  }
  return row;
}

// Adds the probabilities of these slices, seen as view `view`, to sums[i].
void Trainer::add_probabilities(const std::vector<int32_t>& slices, int view,
                                std::vector<std::vector<double>>& sums) {
  for (size_t first = 0; first < slices.size(); first += kEvaluationBatch) {
    const size_t end = std::min(slices.size(), first + kEvaluationBatch);
    std::vector<int32_t> part(slices.begin() + first, slices.begin() + end);
    // A GPU's plans are of one shape each: few shapes, few plans. What is filled up is not read.
    if (stream_.device() == Device::cuda) {
      part.resize((part.size() + kPaddedTo - 1) / kPaddedTo * kPaddedTo, part.back());
    }
    const Batch batch = batches_->plain(part, view);
    Tape tape = Tape::off(stream_, dtype_);
    const Tensor logits = network_->forward(tape, batch.images, batch.extra, Mode::eval);
    const std::vector<double> p = to_values(softmax(tape, logits));
    const size_t classes = problem_.classes.size();
    for (size_t i = 0; i < end - first; ++i) {
      for (size_t c = 0; c < classes; ++c) sums[first + i][c] += p[i * classes + c];
    }
  }
}

std::vector<std::vector<double>> Trainer::slice_probabilities(const std::vector<int32_t>& slices) {
  std::vector<std::vector<double>> sums(slices.size(),
                                        std::vector<double>(problem_.classes.size()));
  const AveragedWeights averaged(*optimizer_, settings_.ema > 0);
  for (int view = 0; view < settings_.tta; ++view) add_probabilities(slices, view, sums);
  for (std::vector<double>& row : sums) {
    for (double& p : row) p /= settings_.tta;
  }
  return sums;
}

std::vector<std::vector<double>> Trainer::patient_probabilities(
    const std::vector<int32_t>& patients) {
  const data::Dataset& set = *problem_.set;
  std::vector<int32_t> slices;
  std::vector<size_t> owner;
  for (size_t i = 0; i < patients.size(); ++i) {
    const int64_t end = data::first_slice(set, patients[i] + 1);
    for (int64_t n = data::first_slice(set, patients[i]); n < end; ++n) {
      slices.push_back(static_cast<int32_t>(n));
      owner.push_back(i);
    }
  }
  const std::vector<std::vector<double>> of_slices = slice_probabilities(slices);
  std::vector<std::vector<double>> means(patients.size(),
                                         std::vector<double>(problem_.classes.size()));
  std::vector<double> weights(patients.size());
  for (size_t i = 0; i < slices.size(); ++i) {
    // A patient whose slices all have no area still has a score.
    const double weight = settings_.weight_by_area ? std::max(1, set.slices[slices[i]].area) : 1.0;
    weights[owner[i]] += weight;
    for (size_t c = 0; c < means[0].size(); ++c) means[owner[i]][c] += weight * of_slices[i][c];
  }
  for (size_t i = 0; i < patients.size(); ++i) {
    for (double& p : means[i]) p /= weights[i];
  }
  return means;
}

std::vector<std::pair<std::string, Tensor>> Trainer::own_state() const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const Parameter* p : network_->weights().parameters()) {
    tensors.emplace_back("parameter/" + p->name, p->master);
  }
  for (const models::Buffer& buffer : network_->weights().buffers()) {
    tensors.emplace_back("buffer/" + buffer.name, buffer.value);
  }
  for (auto& [name, tensor] : optimizer_->state()) {
    tensors.emplace_back("optimizer/" + name, tensor);
  }
  return tensors;
}

std::vector<std::pair<std::string, Tensor>> Trainer::state() const {
  std::vector<std::pair<std::string, Tensor>> tensors = own_state();
  if (stream_.device() == Device::cpu) return tensors;
  for (auto& [name, tensor] : tensors) tensor = copy_to(*host_, tensor);
  return tensors;
}

void Trainer::restore(const std::vector<std::pair<std::string, Tensor>>& tensors,
                      const StepState& step, int epoch) {
  std::vector<std::pair<std::string, Tensor>> own = own_state();
  if (own.size() != tensors.size()) {
    throw Error(
        concat_text("resumption: ", own.size(), " tensors expected, ", tensors.size(), " saved"));
  }
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i].first != tensors[i].first || own[i].second.shape != tensors[i].second.shape) {
      throw Error(concat_text("resumption: ", own[i].first, ' ', own[i].second.shape, " expected, ",
                              tensors[i].first, ' ', tensors[i].second.shape, " saved"));
    }
    if (own[i].second.dtype != tensors[i].second.dtype) {
      throw Error(concat_text("resumption: ", own[i].first, " must be ", own[i].second.dtype,
                              "; the saved one is ", tensors[i].second.dtype));
    }
    for (const double value : to_values(tensors[i].second)) {
      if (!std::isfinite(value)) {
        throw Error(concat_text("resumption: the saved ", own[i].first, " holds NaN or infinity"));
      }
    }
  }
  for (size_t i = 0; i < own.size(); ++i) copy_across(stream_, own[i].second, tensors[i].second);
  for (Parameter* p : network_->weights().parameters()) p->bump();
  graph_.reset();  // which has no cast of the weights in it
  stream_.write_state(step);
  epoch_ = epoch;
}

models::Checkpoint Trainer::checkpoint() {
  const AveragedWeights averaged(*optimizer_, settings_.ema > 0);
  models::Checkpoint checkpoint = models::capture(*network_);
  for (auto* list : {&checkpoint.parameters, &checkpoint.buffers}) {
    for (models::NamedTensor& one : *list) {
      one.value = copy_to(stream_.device() == Device::cpu ? stream_ : *host_, one.value);
    }
  }
  checkpoint.input = {.channels = input_names(*problem_.set, input_),
                      .mask = settings_.input == "paper" ? "raw-zero" : settings_.mask,
                      .window = input_.height,
                      .normalization = "robust"};
  checkpoint.classes = problem_.classes;
  checkpoint.step = stream_.read_state().step;
  checkpoint.epoch = epoch_;
  checkpoint.seed = settings_.seed;
  return checkpoint;
}

int64_t Trainer::graph_bytes() const { return graph_ ? graph_->arena().stats().peak_bytes : 0; }

models::SeenRecord seen_by(const data::Dataset& set, const std::vector<int32_t>& patients,
                           const models::Checkpoint* init) {
  models::SeenRecord seen;
  for (const int32_t p : patients) {
    const data::Patient& patient = set.patients[p];
    seen.ids.push_back(patient.id);
    seen.identities.push_back(patient.identity);
    seen.fingerprints.push_back(patient.fingerprint);
  }
  if (init != nullptr) seen.add(init->seen);
  return seen;
}

}  // namespace gliograd::study
