// prepare: reads a data set as published, writes a prepared set (docs/formats.md).
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/cli/commands.hpp"
#include "apps/study/progress.hpp"
#include "data/readers/prepare_gbm.hpp"
#include "data/readers/prepare_images.hpp"
#include "data/readers/prepare_lgg.hpp"
#include "data/readers/prepared_set.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/log.hpp"
#include "engine/device/machine.hpp"

namespace gliograd::cli {
namespace {

struct PrepareOptions {
  std::string folder, out, crop = "window", slices = "tumor", table;
  int64_t size = 128;
  double margin = 0.1;
  int threads = usable_cores();
  bool mask_optional = false, json = false;
  std::vector<std::string> labels, covariates;
};

data::CropOptions crop_options(const PrepareOptions& options) {
  data::CropOptions crop;
  crop.crop = data::crop_of(options.crop);
  crop.size = options.size;
  if (!std::isfinite(options.margin)) throw Error("--margin must be a number from 0 to 10");
  crop.margin = options.margin;
  crop.tumor_only = options.slices == "tumor";
  return crop;
}

/// Before the work, not behind it: a file that cannot be written.
void check_out(const std::string& path) { const PendingFile file(path); }

/// What decides the content, and nothing else: equal content gives equal files, whatever --threads
/// and --out were.
data::Provenance provenance(const std::string& kind, const PrepareOptions& options,
                            const data::Prepared& prepared) {
  std::string command = "gliograd prepare " + kind + " " + options.folder;
  data::Provenance out = {{"source", kind}};
  const auto add = [&](const std::string& name, const std::string& value) {
    command += " --" + name + " " + value;
    out.emplace_back(name, value);
  };
  const bool cut = kind != "images";
  if (cut) add("crop", options.crop);
  if (cut) add("slices", options.slices);
  if (!cut || options.crop != "none") add("size", std::to_string(options.size));
  if (cut && options.crop == "box") add("margin", fmt::format("{}", options.margin));
  if (options.mask_optional) command += " --mask-optional";
  std::string notes;
  for (const std::string& note : prepared.notes) notes += (notes.empty() ? "" : "; ") + note;
  out.emplace_back("command", command);
  out.emplace_back("notes", notes);
  return out;
}

/// How many patients each class of a column has, and how many have none.
std::vector<std::pair<std::string, int64_t>> counts_of(const data::LabelColumn& column) {
  std::vector<std::pair<std::string, int64_t>> counts;
  for (size_t k = 0; k < column.classes.size(); ++k) {
    counts.emplace_back(column.classes[k], std::count(column.values.begin(), column.values.end(),
                                                      static_cast<int32_t>(k)));
  }
  return counts;
}

int64_t missing_in(const data::LabelColumn& column) {
  return std::count(column.values.begin(), column.values.end(), -1);
}

int64_t tumor_slices(const data::Dataset& set) {
  return std::count_if(set.slices.begin(), set.slices.end(),
                       [](const data::Slice& slice) { return slice.area > 0; });
}

/// Ids of the patients whose channel was filled by another.
std::vector<std::string> filled(const data::Dataset& set, int64_t channel) {
  std::vector<std::string> ids;
  for (const data::Patient& patient : set.patients) {
    if (patient.present[channel] == 0) ids.push_back(patient.id);
  }
  return ids;
}

void print_json(const PrepareOptions& options, const data::Prepared& prepared) {
  const data::Dataset& set = prepared.set;
  nlohmann::ordered_json out;
  out["file"] = options.out;
  out["patients"] = set.patient_count();
  out["slices"] = set.slices_count;
  out["tumor_slices"] = tumor_slices(set);
  out["height"] = set.height;
  out["width"] = set.width;
  out["channels"] = set.channels;
  out["digest"] = set.digest;
  out["labels"] = nlohmann::ordered_json::object();
  for (const data::LabelColumn& column : set.labels) {
    nlohmann::ordered_json classes = nlohmann::ordered_json::object();
    for (const auto& [name, count] : counts_of(column)) classes[name] = count;
    out["labels"][column.name] = {{"classes", classes}, {"missing", missing_in(column)}};
  }
  out["covariates"] = nlohmann::ordered_json::array();
  for (const data::CovariateColumn& column : set.covariates)
    out["covariates"].push_back(column.name);
  out["filled"] = nlohmann::ordered_json::object();
  for (int64_t c = 0; c < set.channel_count(); ++c) out["filled"][set.channels[c]] = filled(set, c);
  out["notes"] = prepared.notes;
  fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_text(const PrepareOptions& options, const data::Prepared& prepared) {
  const data::Dataset& set = prepared.set;
  std::string channels;
  for (const std::string& name : set.channels) channels += (channels.empty() ? "" : ", ") + name;
  fmt::print("{}: {} patients, {} slices ({} with tumor), {}x{} pixels, channels {}\n", options.out,
             set.patient_count(), set.slices_count, tumor_slices(set), set.width, set.height,
             channels);
  for (const data::LabelColumn& column : set.labels) {
    std::string line;
    const auto counts = counts_of(column);
    for (size_t k = 0; k < std::min<size_t>(12, counts.size()); ++k) {
      line += fmt::format("  {}: {}", counts[k].first, counts[k].second);
    }
    if (counts.size() > 12) line += fmt::format("  and {} more classes", counts.size() - 12);
    fmt::print("  {:<28}{}  missing: {}\n", column.name, line, missing_in(column));
  }
  for (const data::CovariateColumn& column : set.covariates) {
    const auto known =
        std::count_if(column.values.begin(), column.values.end(), [](double v) { return v == v; });
    fmt::print("  {:<28}  numbers of {} patients\n", column.name, known);
  }
  for (int64_t c = 0; c < set.channel_count(); ++c) {
    const std::vector<std::string> ids = filled(set, c);
    if (ids.empty()) continue;
    std::string line;
    for (size_t i = 0; i < std::min<size_t>(20, ids.size()); ++i) line += " " + ids[i];
    if (ids.size() > 20) line += " ...";
    fmt::print("  {} missing and filled, or not known, in {} patients:{}\n", set.channels[c],
               ids.size(), line);
  }
}

void finish(const std::string& kind, const PrepareOptions& options,
            const data::Prepared& prepared) {
  data::write_prepared(prepared.set, options.out, provenance(kind, options, prepared));
  for (const std::string& note : prepared.notes) log_info("note: " + note);
  if (options.json) {
    print_json(options, prepared);
  } else {
    print_text(options, prepared);
  }
}

void check_threads(const PrepareOptions& options) {
  const int cores = usable_cores();
  if (options.threads > cores) {
    log_warning(fmt::format("{} threads on {} cores", options.threads, cores));
  }
}

/// A bar over whatever the reader counts; short work that nobody watches prints none.
class Bar {
 public:
  explicit Bar(std::string unit) : unit_(std::move(unit)) {}
  data::Progress callback() {
    return [this](int64_t done, int64_t total) {
      const auto elapsed = std::chrono::steady_clock::now() - start_;
      if (!bar_ && (isatty(2) != 0 || elapsed > std::chrono::seconds(2))) {
        bar_ = std::make_unique<study::Progress>("prepare", total, unit_);
        bar_->skip(done_);
      }
      if (bar_) bar_->advance(done - done_);
      done_ = done;
    };
  }

 private:
  std::string unit_;
  int64_t done_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::unique_ptr<study::Progress> bar_;
};

void run_lgg(const PrepareOptions& options) {
  check_threads(options);
  check_out(options.out);
  data::LggOptions lgg;
  lgg.crop = crop_options(options);
  lgg.table = options.table;
  lgg.mask_optional = options.mask_optional;
  lgg.columns = {options.labels, options.covariates};
  lgg.threads = options.threads;
  finish("lgg", options, data::prepare_lgg(options.folder, lgg, Bar("patients").callback()));
}

/// What all kinds of sources have in common.
void add_common(CLI::App& command, PrepareOptions& options) {
  command.add_option("folder", options.folder, "the data set's folder")->required();
  command.add_option("--out", options.out, "the prepared set to write (.h5)")->required();
  command.add_option("--threads", options.threads, "decode workers at once")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options.json, "print the summary as JSON");
}

std::shared_ptr<PrepareOptions> new_options() { return std::make_shared<PrepareOptions>(); }

void add_crop(CLI::App& command, PrepareOptions& options) {
  command
      .add_option("--crop", options.crop,
                  "window: around the tumor at native scale; box: the tumor's box scaled; none: "
                  "whole slices")
      ->check(CLI::IsMember({"window", "box", "none"}));
  command
      .add_option(
          "--slices", options.slices,
          "tumor: those with tumor; all: a slice without is cut where the nearest one with is")
      ->check(CLI::IsMember({"tumor", "all"}));
  command.add_option("--size", options.size, "pixels a side of the window or scaled box")
      ->check(CLI::Range(8, 4096));
  command.add_option("--margin", options.margin, "around the box, as a share of its longer side")
      ->check(CLI::Range(0.0, 10.0));
}

void add_lgg(CLI::App& prepare) {
  auto* command = prepare.add_subcommand(
      "lgg",
      "the public lower-grade glioma set: patient folders of TIFF slices and masks, data.csv");
  auto options = new_options();
  add_common(*command, *options);
  add_crop(*command, *options);
  command->add_option("--table", options->table, "clinical table; default data.csv in the folder");
  command->add_flag("--mask-optional", options->mask_optional,
                    "an image without a mask counts as one without tumor");
  command->add_option("--label", options->labels, "columns that are labels, whatever they hold");
  command->add_option("--covariate", options->covariates, "columns that are numbers");
  command->footer("Example: gliograd prepare lgg lgg-mri-segmentation/kaggle_3m --out lgg.h5");
  command->callback([options] { run_lgg(*options); });
}

void run_gbm(const PrepareOptions& options) {
  check_threads(options);
  check_out(options.out);
  data::GbmOptions gbm;
  gbm.crop = crop_options(options);
  gbm.threads = options.threads;
  finish("gbm", options, data::prepare_gbm(options.folder, gbm, Bar("patients").callback()));
}

void add_gbm(CLI::App& prepare) {
  auto* command = prepare.add_subcommand(
      "gbm", "glioblastoma slices for pretraining: folders tcga_gbm and brats_3seq of PNG files");
  auto options = new_options();
  options->crop = "none";
  options->slices = "all";
  add_common(*command, *options);
  add_crop(*command, *options);
  command->footer("Example: gliograd prepare gbm gbm --crop window --slices all --out gbm.h5");
  command->callback([options] { run_gbm(*options); });
}

void run_images(const PrepareOptions& options) {
  check_threads(options);
  check_out(options.out);
  data::ImageSetOptions images;
  images.size = options.size;
  images.threads = options.threads;
  finish("images", options, data::prepare_images(options.folder, images, Bar("images").callback()));
}

void add_images(CLI::App& prepare) {
  auto* command = prepare.add_subcommand(
      "images", "photographs for pretraining: a folder of JPEG or PNG files for each category");
  auto options = new_options();
  add_common(*command, *options);
  command->add_option("--size", options->size, "pixels a side; the shorter side is scaled to it")
      ->check(CLI::Range(8, 4096));
  command->footer("Example: gliograd prepare images natural --out natural.h5");
  command->callback([options] { run_images(*options); });
}

}  // namespace

void add_prepare(CLI::App& app) {
  auto* prepare =
      app.add_subcommand("prepare", "read a data set as published, write a prepared set");
  prepare->require_subcommand(1);
  prepare->footer("Example: gliograd prepare lgg lgg-mri-segmentation/kaggle_3m --out lgg.h5");
  add_lgg(*prepare);
  add_gbm(*prepare);
  add_images(*prepare);
}

}  // namespace gliograd::cli
