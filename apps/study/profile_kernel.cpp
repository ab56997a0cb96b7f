#include "apps/study/profile_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "apps/study/peaks.hpp"
#include "data/augment_policy.hpp"
#include "data/noise_set.hpp"
#include "engine/core/error.hpp"
#include "engine/ops/augment_cuda.hpp"
#include "engine/ops/case.hpp"
#include "engine/optim/batch_end.hpp"
#include "engine/optim/optimizer.hpp"

namespace gliograd::study {
namespace {

using kernels::RecordedLaunch;

// Forward and backward of a row, with a gradient of ones.
void run(const CaseRow& row, Stream& stream, DType dtype, std::vector<Tensor> inputs) {
  Tape tape(stream, dtype);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (row.inputs[i].differentiable) inputs[i] = tape.watch(inputs[i]);
  }
  const Tensor y = row.op(tape, inputs);
  if (y.variable == 0) return;
  const std::vector<double> ones(static_cast<size_t>(y.size()), 1.0);
  tape.backward(y, from_values(stream, y.shape, ones, y.dtype));
}

// The row with a first input of another shape: inputs of the old shape take it too, and axes that
// were as long as its channels or its batch follow.
CaseRow with_shape(CaseRow row, const Shape& x) {
  const Shape old = row.inputs[0].shape;
  GG_CHECK(x.rank() == old.rank(), "--shape: this op's input has ", old.rank(), " axes, as in ",
           text_of(old), "; got ", text_of(x));
  const int last = old.rank() - 1;
  for (CaseInput& input : row.inputs) {
    const Shape s = input.shape;
    if (s == old) {
      input.shape = x;
    } else if (s.rank() > 0 && s[s.rank() - 1] == old[last]) {
      input.shape = s.with(-1, x[last]);
    } else if (s.rank() > 0 && s[0] == old[0]) {
      input.shape = s.with(0, x[0]);
    }
  }
  return row;
}

// What is no op, and so has no case: a batch in the making, and the end of a step.
struct Work {
  std::string name, input;
  std::function<void()> run;
};
struct WorkKind {
  const char* name;
  size_t axes;  // of --shape
  std::vector<int64_t> small, usual;
  Work (*make)(Stream&, DType, const std::vector<int64_t>& shape);
};

std::string joined(const std::vector<int64_t>& axes) {
  std::string text;
  for (const int64_t n : axes) text += concat_text(text.empty() ? "" : "x", n);
  return text;
}

// shape: images, height, width. Everything is done to some of them, and their labels are gathered.
Work batch_work(Stream& stream, DType dtype, const std::vector<int64_t>& shape) {
  const int64_t images = shape[0], size = shape[1];
  GG_CHECK(size == shape[2], "--shape: the images of a batch are square; got ", joined(shape));
  GG_CHECK(size >= 8 && size <= 512, "--shape: images of a batch have 8 to 512 pixels; got ", size);
  const int64_t slices = std::min<int64_t>(images, 64);
  const data::Dataset set = data::noise_set(slices, 1, size);
  const data::Resident resident(set);
  const auto there = std::make_shared<DeviceSet>(stream, resident.set());
  const InputSpec input = data::input_spec(set, {.window = static_cast<int>(size)});
  std::vector<double> order, labels(static_cast<size_t>(slices), 1);
  for (int64_t i = 0; i < images; ++i) order.push_back(static_cast<double>(i % slices));
  stream.write_state({});
  const Tensor draws = from_values(stream, {images}, order, DType::i32);
  const Tensor table = from_values(stream, {slices}, labels, DType::i32);
  return {"augment", joined(shape), [=, &stream] {
            augment_next(stream, there->set(), input, draws, data::augment_preset("full"),
                         {.images = images, .dtype = dtype, .channels = 8});
            rows_next(stream, table, draws, images);
          }};
}

// shape: weights. AdamW that clips and averages, and the batch's end.
Work update_work(Stream& stream, DType, const std::vector<int64_t>& shape) {
  struct Kept {
    Parameter parameter;
    std::unique_ptr<Optimizer> optimizer;
    Tensor loss;
  };
  const auto kept = std::make_shared<Kept>();
  stream.write_state({});
  kept->parameter = Parameter("weight", zeros(stream, {shape[0]}));
  kept->parameter.gradient = zeros(stream, {shape[0]});
  kept->loss = zeros(stream, {1});
  kept->optimizer = std::make_unique<Optimizer>(
      stream, std::vector<ParameterGroup>{{"all", {&kept->parameter}, 1, 0.01}},
      OptimizerOptions{.clip_norm = 1, .ema_decay = 0.99},
      LearningRates::constant(1e-3, int64_t{1} << 20));
  return {"optimizer", joined(shape), [kept, &stream] {
            kept->parameter.has_gradient = true;
            kept->optimizer->step();
            kept->optimizer->swap_in_ema();
            kept->optimizer->swap_out_ema();
            end_batch(stream, kept->loss, 0);
          }};
}

const std::vector<WorkKind>& other_work() {
  static const std::vector<WorkKind> kinds = {
      {"augment", 3, {2, 13, 13}, {32, 80, 80}, batch_work},
      {"optimizer", 1, {4099}, {int64_t{1} << 24}, update_work}};
  return kinds;
}

bool launches(const std::vector<RecordedLaunch>& all, const std::string& kernel) {
  return std::any_of(all.begin(), all.end(), [&](const RecordedLaunch& launch) {
    return launch.grid[0] > 0 && launch.name == kernel;
  });
}

// A layer of real size that launches the kernel, where the op's case has one: as one image of it
// shows.
const CaseRow& usual_row(const Case& c, const CaseRow& small, Stream& stream, LaunchLog& log,
                         const KernelOptions& o) {
  for (const CaseRow& row : c.rows) {
    if (!row.bench) continue;
    run(row, stream, o.dtype, case_inputs(row, stream, o.dtype, 1, 1));
    if (launches(log.take(), o.kernel)) return row;
  }
  return small;
}

// Runs it over and over, and times that launch alone.
KernelRun timed(const Work& work, LaunchLog& log, const KernelOptions& o, double copy_gb_s) {
  KernelRun result;
  result.op = work.name;
  result.input = work.input;
  std::vector<double> ms;
  for (int i = 0; i <= o.steps; ++i) {
    work.run();
    const std::vector<RecordedLaunch> all = log.take();
    if (!launches(all, o.kernel)) {
      throw Error(concat_text("--kernel ", o.kernel, ": ", work.name, " of ", work.input,
                              " takes another kernel"));
    }
    for (const RecordedLaunch& launch : all) {
      if (launch.name != o.kernel) continue;
      if (i > 0) ms.push_back(launch.ms);  // the first one loads the code
      result.launch = {launch.name, shape_of(launch), launch.cost, launch.kernel, {}};
      break;
    }
  }
  result.launch.ms = timing_of(ms);
  result.copy_gb_s = copy_gb_s;
  return result;
}

}  // namespace

std::vector<ListedKernel> list_kernels(DType dtype) {
  const std::unique_ptr<Stream> stream = Stream::cuda(0, {.random = {.seed = 1}});
  LaunchLog log(*stream);
  std::map<std::string, ListedKernel> found;  // by all that is shown
  const auto take = [&](const std::string& op) {
    for (const RecordedLaunch& launch : log.take()) {
      if (launch.grid[0] == 0) continue;
      const int threads = static_cast<int>(launch.block[0] * launch.block[1] * launch.block[2]);
      found.try_emplace(concat_text(launch.name, ' ', threads, ' ', launch.kernel.registers, ' ',
                                    launch.kernel.static_bytes),
                        ListedKernel{launch.name, op, threads, launch.kernel});
    }
  };
  for (const Case& c : all_cases()) {
    for (const CaseRow& row : c.rows) {
      if (row.bench) continue;
      run(row, *stream, dtype, case_inputs(row, *stream, dtype, 1));
      take(c.name);
    }
  }
  for (const WorkKind& kind : other_work()) {
    kind.make(*stream, dtype, kind.small).run();
    take(kind.name);
  }
  std::vector<ListedKernel> list;
  for (auto& [key, kernel] : found) list.push_back(std::move(kernel));
  return list;
}

KernelRun profile_kernel(const KernelOptions& o) {
  GG_CHECK(o.steps >= 1, "--steps must be at least 1; got ", o.steps);
  const std::unique_ptr<Stream> stream = Stream::cuda(0, {.random = {.seed = 1}});
  const double copy_gb_s = o.peaks ? measure_copy(*stream) : 0;
  LaunchLog log(*stream);
  std::map<std::string, int> known;
  for (const Case& c : all_cases()) {
    std::vector<const CaseRow*> with_kernel;
    for (const CaseRow& row : c.rows) {
      if (row.bench) continue;
      run(row, *stream, o.dtype, case_inputs(row, *stream, o.dtype, 1));
      const std::vector<RecordedLaunch> all = log.take();
      for (const RecordedLaunch& launch : all) {
        if (launch.grid[0] > 0) ++known[launch.name];
      }
      if (launches(all, o.kernel)) with_kernel.push_back(&row);
    }
    if (with_kernel.empty()) continue;
    const CaseRow row =
        o.shape.empty() ? usual_row(c, *with_kernel.front(), *stream, log, o)
                        : with_shape(*with_kernel.front(),
                                     Shape::of(o.shape.data(), static_cast<int>(o.shape.size())));
    const std::vector<Tensor> inputs = case_inputs(row, *stream, o.dtype, 1);
    log.take();
    Work work{c.name, text_of(row.inputs[0].shape), [&] { run(row, *stream, o.dtype, inputs); }};
    return timed(work, log, o, copy_gb_s);
  }
  for (const WorkKind& kind : other_work()) {
    kind.make(*stream, o.dtype, kind.small).run();
    const std::vector<RecordedLaunch> all = log.take();
    for (const RecordedLaunch& launch : all) {
      if (launch.grid[0] > 0) ++known[launch.name];
    }
    if (!launches(all, o.kernel)) continue;
    GG_CHECK(o.shape.empty() || o.shape.size() == kind.axes, "--shape: ", kind.name, " has ",
             kind.axes, " axes, as in ", joined(kind.usual), "; got ", joined(o.shape));
    const Work work = kind.make(*stream, o.dtype, o.shape.empty() ? kind.usual : o.shape);
    log.take();
    return timed(work, log, o, copy_gb_s);
  }
  std::string names;
  for (const auto& [name, count] : known) names += (names.empty() ? "" : ", ") + name;
  throw Error(concat_text("--kernel \"", o.kernel, "\": known are ", names));
}

std::string kernel_list_text(const std::vector<ListedKernel>& kernels) {
  std::vector<std::vector<std::string>> rows = {
      {"kernel", "op", "threads", "registers", "local bytes", "shared bytes", "occupancy", ""}};
  for (const ListedKernel& k : kernels) {
    rows.push_back({k.name, k.op, std::to_string(k.threads), std::to_string(k.facts.registers),
                    std::to_string(k.facts.local_bytes), std::to_string(k.facts.static_bytes),
                    concat_text(std::lround(100 * k.facts.occupancy), " %"), ""});
  }
  return aligned(rows, 2);
}

std::string kernel_run_text(const KernelRun& run, const KernelOptions& o) {
  const ProfiledLaunch& l = run.launch;
  const double ms = l.ms.median, gb_s = l.cost.bytes * 1e-6 / ms;
  std::string out = concat_text(l.name, " of ", run.op, ", ", o.dtype, ", input ", run.input, ": ",
                                l.shape, '\n');
  out += concat_text(l.facts.registers, " registers, ", l.facts.local_bytes,
                     " B of local memory a thread, ", l.facts.static_bytes,
                     " B of static shared memory, occupancy ", std::lround(100 * l.facts.occupancy),
                     " %\n");
  out += concat_text(rounded(ms), " ms (quartiles ", rounded(l.ms.low), " to ", rounded(l.ms.high),
                     "), ", rounded(l.cost.bytes * 1e-6), " MB, ", rounded(gb_s), " GB/s, ",
                     rounded(l.cost.ops * 1e-6 / ms), " GFLOP/s");
  if (run.copy_gb_s > 0) {
    out += concat_text("; ", rounded(100 * gb_s / run.copy_gb_s), " % of the ",
                       rounded(run.copy_gb_s), " GB/s of copying");
  }
  out += concat_text("\nncu --nvtx --nvtx-include \"", l.name,
                     "/\" --launch-skip 1 --launch-count 1 --set full gliograd profile --kernel ",
                     l.name, " --shape ", run.input, " --dtype ", o.dtype, '\n');
  return out;
}

}  // namespace gliograd::study
