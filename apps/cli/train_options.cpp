#include "apps/cli/train_options.hpp"

#include <CLI/CLI.hpp>

#include "apps/cli/plan_cache.hpp"
#include "engine/core/error.hpp"
#include "engine/core/log.hpp"
#include "engine/device/machine.hpp"

namespace gliograd::cli {

void add_train_options(CLI::App& command, study::TrainSettings& s) {
  const auto add = [&](const char* name, auto& value, const char* help, const char* group) {
    return command.add_option(name, value, help)->capture_default_str()->group(group);
  };
  const char* network = "Network";
  add("--model", s.model, "architecture: subtype or subtype-large", network);
  add("--width", s.width, "channels of the first stage (subtype)", network);
  add("--depth", s.depth, "3x3 convolutions a stage (subtype)", network);
  add("--dropout", s.dropout, "of the pooled features", network);
  s.dtype = "auto";
  add("--dtype", s.dtype,
      "auto (f32; on a GPU bf16), f32, bf16; on a GPU also tf32 (products of f32 rounded to TF32) "
      "and f16; on a CPU f64, the reference",
      network);
  add("--fuse", s.fuse, "numbers beside the network's features: shape, or covariate columns",
      network)
      ->delimiter(',');

  const char* input = "Input";
  add("--input", s.input, "default, or paper (FLAIR, 80x80, zero outside the mask)", input);
  add("--sequences", s.sequences, "channels by name (pre,flair), all, or none", input);
  add("--mask", s.mask, "none, multiply (zero outside), channel or raw-zero", input);
  add("--window", s.window, "center cut of the stored window, in pixels", input);
  add("--preset", s.preset, "augmentation: off, light or full", input);
  add("--augment", s.augment, "single settings over the preset: rotation-degrees=10,...", input)
      ->delimiter(',');

  const char* training = "Training";
  add("--epochs", s.epochs, "epochs", training);
  add("--batch", s.batch, "slices a step", training);
  add("--optimizer", s.optimizer, "sgd (Nesterov), adam or adamw", training);
  add("--learning-rate", s.learning_rate, "peak learning rate", training);
  add("--weight-decay", s.weight_decay, "not on biases and batch norm", training);
  add("--momentum", s.momentum, "of sgd", training);
  add("--schedule", s.schedule, "constant, cosine or step", training);
  add("--warmup-epochs", s.warmup_epochs, "linear warm-up", training);
  add("--clip-norm", s.clip_norm, "global gradient norm; 0 is off", training);
  add("--ema", s.ema, "decay of the averaged weights that are evaluated; 0 is off", training);
  add("--label-smoothing", s.label_smoothing, "share given to the other classes", training);
  add("--balance-classes", s.balance_classes, "draw every class equally often", training);
  add("--weight-by-area", s.weight_by_area, "draws and scores weigh slices by tumor area",
      training);
  add("--tta", s.tta, "views a slice in evaluation: 1, 2, 4 or 8 flips and rotations", training);
  add("--seed", s.seed, "of everything random", training);
  add("--intra-threads", s.intra_threads,
      "threads of one network (with oneDNN, gradients of convolutions differ by it in their last "
      "bits)",
      training);

  const char* transfer = "Transfer";
  add("--init", s.init, "checkpoint to start from (all but its head)", transfer);
  add("--adapt", s.adapt, "first layer to another channel count: average, repeat or copy",
      transfer);
  add("--freeze", s.freeze, "freeze up to and including this stage", transfer);
  add("--transferred-lr", s.transferred_lr, "factor on the learning rate of transferred weights",
      transfer);
  add("--freeze-batch-norm", s.freeze_batch_norm, "keep transferred batch-norm statistics",
      transfer);
}

void add_threads_option(CLI::App& command, int& threads) {
  const int cores = usable_cores();
  threads = cores;
  command.add_option("--threads", threads, "threads in all")
      ->capture_default_str()
      ->check([cores](const std::string& text) {
        const int asked = std::atoi(text.c_str());
        if (asked < 1 || asked > 4096) return std::string("must be 1 to 4096");
        if (asked > cores) {
          log_info(concat_text("note: ", asked, " threads on ", cores, " cores"));
        }
        return std::string();
      });
}

void add_device_options(CLI::App& command, std::string& device, study::TrainSettings& settings) {
  device = "auto";
  command.add_option("--device", device, "auto (a GPU where one works), cpu or cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  command.add_flag("--deterministic", settings.deterministic,
                   "GPU: the same bits in every run (on a CPU they are in any case)");
  command
      .add_option(
          "--plans", settings.plans,
          "GPU: of cuDNN's and cuBLASLt's plans the fastest, timed at the first step or as this "
          "run or the "
          "user's cache has it (timed; GLIOGRAD_CACHE=off in the environment: without that cache), "
          "timed anew (fresh), or the heuristics' first (heuristic, as with --deterministic)")
      ->capture_default_str();
  command.add_flag("--eager", settings.eager,
                   "GPU: launch every kernel singly, not a step as one graph (the same bits)");
}

void choose_device(const std::string& device, study::TrainSettings& settings) {
  settings.device = "cpu";
  if (device != "cpu") {
    const std::string problem = gpu_problem();
    if (problem.empty()) settings.device = "cuda";
    if (device == "cuda" && !problem.empty()) throw Error("--device cuda: " + problem);
  }
  const bool gpu = settings.device == "cuda";
  // Of 16-bit types the faster one for the network and the window that are the defaults:
  // docs/performance.md.
  if (settings.dtype == "auto") settings.dtype = gpu ? "bf16" : "f32";
  log_info("device: " + (gpu ? gpu_facts().names[0] : settings.device) + ", " + settings.dtype);
}

std::string plan_cache_of(const study::TrainSettings& settings) {
  if (settings.device != "cuda" || settings.plans != "timed") return "";
  const GpuFacts gpu = gpu_facts();
  const GpuLibraryFacts library = gpu_library_facts();
  return plan_cache_path(gpu.names.empty() ? "" : gpu.names[0], library.cudnn_loaded,
                         library.cublaslt, gpu.driver);
}

}  // namespace gliograd::cli
