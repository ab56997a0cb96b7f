#include "apps/cli/fold_state_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/core/error.hpp"
#include "engine/files/hdf5_file.hpp"

namespace gliograd::cli {
namespace {

constexpr const char* kFormat = "gliograd.state";
constexpr int64_t kVersion = 2;  // 1 had no count of steady loss scales

std::vector<int64_t> dims_of(const Shape& shape) {
  std::vector<int64_t> dims;
  for (int i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
  return dims;
}

// Columns of the history; "steps" and "epoch" fit a double exactly.
std::vector<double> history_values(const std::vector<study::HistoryRow>& history) {
  std::vector<double> values;
  for (const study::HistoryRow& row : history) {
    values.insert(values.end(), {static_cast<double>(row.epoch), static_cast<double>(row.steps),
                                 row.lr, row.train_loss, row.inner_loss, row.inner_auc});
  }
  return values;
}

constexpr int64_t kHistoryColumns = 6;

void write_scores(files::Hdf5Writer& file, const std::string& group,
                  const std::vector<study::ScoredPatient>& rows) {
  std::vector<std::string> ids, sites;
  std::vector<int32_t> places;
  std::vector<double> scores;
  for (const study::ScoredPatient& row : rows) {
    ids.push_back(row.id);
    sites.push_back(row.site);
    places.insert(places.end(), {row.repeat, row.fold, row.label});
    scores.insert(scores.end(), row.scores.begin(), row.scores.end());
  }
  const auto n = static_cast<int64_t>(rows.size());
  file.write(group + "/id", ids);
  file.write(group + "/site", sites);
  file.write(group + "/place", {n, 3}, places.data());
  file.write(group + "/score", {n, static_cast<int64_t>(rows[0].scores.size())}, scores.data());
}

std::vector<study::ScoredPatient> read_scores(const files::Hdf5Reader& file,
                                              const std::string& group) {
  const std::vector<std::string> ids = file.read_texts(group + "/id");
  const auto n = static_cast<int64_t>(ids.size());
  const std::vector<std::string> sites = file.read_texts(group + "/site", n);
  const std::vector<int32_t> places = file.read<int32_t>(group + "/place", {n, 3});
  const std::vector<double> scores = file.read<double>(group + "/score", {n, -1});
  const size_t columns = ids.empty() ? 0 : scores.size() / ids.size();
  std::vector<study::ScoredPatient> rows(ids.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {ids[i],
               sites[i],
               places[3 * i],
               places[3 * i + 1],
               places[3 * i + 2],
               {scores.begin() + i * columns, scores.begin() + (i + 1) * columns}};
  }
  return rows;
}

// A counter that must fit an int, before it is made one.
int counter(const files::Hdf5Reader& file, const std::string& attribute) {
  const int64_t value = file.int_attribute("/", attribute);
  if (value < 0 || value > 1000000) {
    throw Error(concat_text(file.name(), ": attribute ", attribute,
                            " must be from 0 to 1000000; got ", value));
  }
  return static_cast<int>(value);
}

// A whole number among the doubles of the history.
int64_t whole(const files::Hdf5Reader& file, double value) {
  if (!(value >= 0 && value <= 1e15) || value != std::floor(value)) {
    throw Error(
        concat_text(file.name(), ": /history holds ", value, " where a whole number stands"));
  }
  return static_cast<int64_t>(value);
}

std::string numbered(const std::string& name, size_t i) { return name + "/" + std::to_string(i); }

}  // namespace

void write_fold_state(const std::string& path, const study::FoldState& state) {
  files::Hdf5Writer file(path);
  file.attribute("/", "format", kFormat);
  file.attribute("/", "version", kVersion);
  file.attribute("/", "stage", int64_t{state.stage});
  file.attribute("/", "epoch", int64_t{state.epoch});
  std::vector<uint8_t> step(sizeof state.step);
  std::memcpy(step.data(), &state.step, sizeof state.step);
  file.write("/step_state", step);
  file.write("/history", {static_cast<int64_t>(state.history.size()), kHistoryColumns},
             history_values(state.history).data());
  file.group("/inner_losses");
  for (size_t i = 0; i < state.inner_losses.size(); ++i) {
    if (!state.inner_losses[i].empty()) {
      file.write(numbered("/inner_losses", i), state.inner_losses[i]);
    }
  }
  file.attribute("/", "epochs", static_cast<int64_t>(state.inner_scores.size()));
  file.group("/inner_scores");
  for (size_t e = 0; e < state.inner_scores.size(); ++e) {
    if (!state.inner_scores[e].empty()) {
      write_scores(file, numbered("/inner_scores", e), state.inner_scores[e]);
    }
  }
  std::vector<std::string> names;
  for (size_t i = 0; i < state.tensors.size(); ++i) {
    const auto& [name, tensor] = state.tensors[i];
    names.push_back(name);
    const std::string object = numbered("/tensors", i);
    if (tensor.dtype == DType::f64) {
      file.write(object, dims_of(tensor.shape), tensor.data<double>());
    } else {
      file.write(object, dims_of(tensor.shape), tensor.data<float>());
    }
  }
  file.write("/tensor_names", names);
  file.commit();
}

study::FoldState read_fold_state(const std::string& path, Stream& stream) {
  const files::Hdf5Reader file(path);
  if (file.text_attribute("/", "format") != kFormat ||
      file.int_attribute("/", "version") != kVersion) {
    throw Error(concat_text(path, ": not a ", kFormat, " file of version ", kVersion));
  }
  study::FoldState state;
  state.stage = counter(file, "stage");
  state.epoch = counter(file, "epoch");
  std::memcpy(&state.step, file.view<uint8_t>("/step_state", {sizeof state.step}),
              sizeof state.step);
  const std::vector<double> history = file.read<double>("/history", {-1, kHistoryColumns});
  for (size_t i = 0; i < history.size(); i += kHistoryColumns) {
    state.history.push_back({static_cast<int>(std::min<int64_t>(whole(file, history[i]), 1 << 30)),
                             whole(file, history[i + 1]), history[i + 2], history[i + 3],
                             history[i + 4], history[i + 5]});
  }
  for (size_t i = 0; file.has_dataset(numbered("/inner_losses", i)); ++i) {
    state.inner_losses.push_back(file.read<double>(numbered("/inner_losses", i), {-1}));
  }
  state.inner_scores.resize(counter(file, "epochs"));
  for (size_t e = 0; e < state.inner_scores.size(); ++e) {
    if (file.has_group(numbered("/inner_scores", e))) {
      state.inner_scores[e] = read_scores(file, numbered("/inner_scores", e));
    }
  }
  const std::vector<std::string> names = file.read_texts("/tensor_names");
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string object = numbered("/tensors", i);
    const files::Hdf5Value& value = file.dataset(object);
    if (value.shape.size() > Shape::kMaxRank) {
      throw Error(concat_text(path, ": ", object, " has ", value.shape.size(), " axes"));
    }
    const Shape shape = Shape::of(value.shape.data(), static_cast<int>(value.shape.size()));
    const bool wide = value.type == files::Hdf5Type::f64;
    Tensor tensor = empty(stream, shape, wide ? DType::f64 : DType::f32);
    const void* from = wide ? static_cast<const void*>(file.view<double>(object, value.shape))
                            : file.view<float>(object, value.shape);
    std::memcpy(tensor.raw(), from, tensor.bytes());
    state.tensors.emplace_back(names[i], std::move(tensor));
  }
  return state;
}

}  // namespace gliograd::cli
