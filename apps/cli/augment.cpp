// gliograd augment: contact sheets of what the network sees, and on request the batch itself.
// Reading order: what is shown, the three kinds of sheets, the arrays, the command.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/cli/augment_arrays.hpp"
#include "apps/cli/commands.hpp"
#include "apps/cli/contact_sheet.hpp"
#include "data/readers/prepared_set.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/log.hpp"

namespace gliograd::cli {
namespace {

namespace fs = std::filesystem;

struct AugmentCommand {
  std::string data, out, preset = "light", input = "default", sequences, mask;
  std::vector<std::string> patients = {"6"}, settings;
  int window = -1, draws = 8, threads = 1;
  uint32_t seed = 1;
  bool arrays = false, all_slices = false;
};

// What all sheets share.
struct Shown {
  const data::Dataset& set;
  const data::Resident& resident;
  InputSpec input;
  AugmentOptions options;
  std::vector<int32_t> slices;
  int draws;
  Stream& stream;
};

// `--patients 6`: so many, evenly over the set; otherwise ids.
std::vector<int32_t> chosen_patients(const data::Dataset& set,
                                     const std::vector<std::string>& asked) {
  const auto find = [&](const std::string& id) {
    const auto at = std::lower_bound(
        set.patients.begin(), set.patients.end(), id,
        [](const data::Patient& p, const std::string& name) { return p.id < name; });
    return at != set.patients.end() && at->id == id
               ? static_cast<int32_t>(at - set.patients.begin())
               : -1;
  };
  std::vector<int32_t> chosen;
  const bool number = asked.size() == 1 && !asked[0].empty() && asked[0].size() < 9 &&
                      asked[0].find_first_not_of("0123456789") == std::string::npos;
  if (number && find(asked[0]) < 0) {
    const int64_t count = std::min<int64_t>(std::stoi(asked[0]), set.patient_count());
    if (count < 1) throw Error("--patients must be at least 1, or ids");
    for (int64_t i = 0; i < count; ++i) {
      chosen.push_back(static_cast<int32_t>(i * set.patient_count() / count));
    }
    return chosen;
  }
  for (const std::string& id : asked) {
    const int32_t patient = find(id);
    if (patient < 0) throw Error(set.name + ": no patient \"" + id + "\"");
    chosen.push_back(patient);
  }
  return chosen;
}

std::vector<int32_t> chosen_slices(const data::Dataset& set, const AugmentCommand& command) {
  std::vector<int32_t> slices;
  for (const int32_t patient : chosen_patients(set, command.patients)) {
    const int64_t begin = data::first_slice(set, patient),
                  end = data::first_slice(set, patient + 1);
    if (begin == end) continue;
    int64_t largest = begin;
    for (int64_t n = begin; n < end; ++n) {
      if (set.slices[n].area > set.slices[largest].area) largest = n;
      if (command.all_slices) slices.push_back(static_cast<int32_t>(n));
    }
    if (!command.all_slices) slices.push_back(static_cast<int32_t>(largest));
  }
  if (slices.empty()) throw Error(set.name + ": the patients asked for have no slices");
  return slices;
}

std::string slice_title(const data::Dataset& set, int32_t slice) {
  return fmt::format("{} {}", set.patients[set.slices[slice].patient].id, set.slices[slice].number);
}

std::string channel_title(const Shown& shown, int channel) {
  return channel < shown.input.sequence_count ? shown.set.channels[shown.input.sequences[channel]]
                                              : std::string("mask");
}

// Channel `channel` of image i of a batch.
SheetTile tile_of(const Shown& shown, const SampleBatch& batch, int64_t i, int channel) {
  const int64_t pixels = int64_t{shown.input.height} * shown.input.width;
  const int64_t channels = shown.input.channels();
  SheetTile tile;
  const float* values = batch.images.data<float>() + i * pixels * channels + channel;
  for (int64_t p = 0; p < pixels; ++p) tile.values.push_back(values[p * channels]);
  if (batch.masks.defined()) {
    const uint8_t* mask = batch.masks.data<uint8_t>() + i * pixels;
    tile.mask.assign(mask, mask + pixels);
  }
  return tile;
}

WithMasks masks_of(const Shown& shown) {
  return shown.set.has_masks() ? WithMasks::yes : WithMasks::no;
}

Sheet empty_sheet(const Shown& shown, const std::string& title) {
  Sheet sheet;
  sheet.title = title;
  sheet.height = shown.input.height;
  sheet.width = shown.input.width;
  return sheet;
}

void set_range(const SampleBatch& plain, int channel, const Shown& shown, Sheet& sheet) {
  std::vector<float> values;
  for (int64_t i = 0; i < plain.images.dim(0); ++i) {
    const SheetTile tile = tile_of(shown, plain, i, channel);
    values.insert(values.end(), tile.values.begin(), tile.values.end());
  }
  const GrayRange range = gray_range(std::move(values));
  sheet.black = range.black;
  sheet.white = range.white;
}

struct Page {
  std::string file, words;
};

// Every channel of every slice, nothing changed. One sheet; each channel has its own gray range,
// so tiles are brought to 0 to 1 first.
Page inputs_sheet(const Shown& shown, const std::string& folder) {
  Sheet sheet = empty_sheet(shown, "What the network sees, unchanged");
  const SampleBatch plain =
      sample(shown.stream, shown.resident.set(), shown.input, shown.slices, masks_of(shown));
  sheet.rows.resize(shown.slices.size());
  sheet.captions.resize(shown.slices.size());
  for (int c = 0; c < shown.input.channels(); ++c) {
    Sheet range;
    set_range(plain, c, shown, range);
    for (size_t i = 0; i < shown.slices.size(); ++i) {
      SheetTile tile = tile_of(shown, plain, static_cast<int64_t>(i), c);
      for (float& v : tile.values) v = (v - range.black) / (range.white - range.black);
      sheet.rows[i].push_back(std::move(tile));
      sheet.captions[i].push_back(channel_title(shown, c));
    }
  }
  for (const int32_t slice : shown.slices)
    sheet.row_titles.push_back(slice_title(shown.set, slice));
  write_sheet(sheet, folder + "/inputs.png");
  return {"inputs.png",
          "Every channel as the network sees it, nothing changed; the outline is the mask."};
}

// One sequence: each slice unchanged, then in several draws of one epoch.
Page draws_sheet(const Shown& shown, int channel, const std::string& folder) {
  const std::string name = channel_title(shown, channel);
  Sheet sheet = empty_sheet(shown, name + ": one epoch's draws of the same slices");
  const SampleBatch plain =
      sample(shown.stream, shown.resident.set(), shown.input, shown.slices, masks_of(shown));
  set_range(plain, channel, shown, sheet);
  const std::vector<int32_t> drawn = repeated(shown.slices, shown.draws);
  const SampleBatch batch = augment(shown.stream, shown.resident.set(), shown.input, drawn,
                                    shown.options, StepState{}, masks_of(shown));
  for (size_t i = 0; i < shown.slices.size(); ++i) {
    std::vector<SheetTile> row = {tile_of(shown, plain, static_cast<int64_t>(i), channel)};
    std::vector<std::string> captions = {"unchanged"};
    for (int k = 0; k < shown.draws; ++k) {
      const int64_t slot = static_cast<int64_t>(i) * shown.draws + k;
      row.push_back(tile_of(shown, batch, slot, channel));
      captions.push_back(fmt::format("draw {}", slot));
    }
    sheet.rows.push_back(std::move(row));
    sheet.captions.push_back(std::move(captions));
    sheet.row_titles.push_back(slice_title(shown.set, shown.slices[i]));
  }
  const std::string file = fmt::format("draws-{}.png", channel);
  write_sheet(sheet, folder + "/" + file);
  return {file, fmt::format("{}: each slice unchanged, then as {} draws of one epoch.", name,
                            shown.draws)};
}

// Names of the transforms: what stands before "-probability".
std::vector<std::string> transform_names() {
  const std::string suffix = "-probability";
  std::vector<std::string> names;
  for (const data::PolicyField& field : data::policy_fields()) {
    const std::string name = field.name;
    if (name.size() > suffix.size() &&
        name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0) {
      names.push_back(name.substr(0, name.size() - suffix.size()));
    }
  }
  return names;
}

// One transform alone and certain; its strength from the settings in force where they use it, else
// from the full preset. `words`: its settings.
AugmentOptions alone(const std::string& name, const AugmentOptions& in_force, std::string& words) {
  const AugmentOptions full = data::augment_preset("full");
  AugmentOptions one;
  one.fill = in_force.fill;
  bool used = false;
  for (const data::PolicyField& field : data::policy_fields()) {
    if (field.name == name + "-probability") used = in_force.*field.member > 0;
  }
  for (const data::PolicyField& field : data::policy_fields()) {
    const std::string setting = field.name;
    if (setting.rfind(name + "-", 0) != 0) continue;
    if (setting == name + "-probability") {
      one.*field.member = 1;
      continue;
    }
    one.*field.member = (used ? in_force : full).*field.member;
    words += fmt::format(" {} {:g}", setting.substr(name.size() + 1), one.*field.member);
  }
  if (!used) words += " (not in force)";
  return one;
}

// One slice, one sequence: a row for each transform.
Page transforms_sheet(const Shown& shown, int channel, const std::string& folder) {
  const int32_t slice = shown.slices[0];
  const std::string name = channel_title(shown, channel);
  Sheet sheet = empty_sheet(shown, fmt::format("{} of {}: each transform alone, always", name,
                                               slice_title(shown.set, slice)));
  const SampleBatch plain =
      sample(shown.stream, shown.resident.set(), shown.input, {&slice, 1}, masks_of(shown));
  set_range(plain, channel, shown, sheet);
  const std::vector<int32_t> drawn = repeated({slice}, shown.draws);
  for (const std::string& transform : transform_names()) {
    std::string words;
    const AugmentOptions one = alone(transform, shown.options, words);
    const SampleBatch batch = augment(shown.stream, shown.resident.set(), shown.input, drawn, one,
                                      StepState{}, masks_of(shown));
    std::vector<SheetTile> row = {tile_of(shown, plain, 0, channel)};
    for (int k = 0; k < shown.draws; ++k) row.push_back(tile_of(shown, batch, k, channel));
    sheet.rows.push_back(std::move(row));
    sheet.captions.push_back({"unchanged", transform + words});
    sheet.row_titles.push_back(transform);
  }
  write_sheet(sheet, folder + "/transforms.png");
  return {"transforms.png",
          "One slice under each transform alone, at the greatest strength in force (that of the "
          "full preset for those that are off)."};
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c == '&'   ? "&amp;"
           : c == '<' ? "&lt;"
           : c == '>' ? "&gt;"
           : c == '"' ? "&quot;"
                      : std::string(1, c);
  }
  return out;
}

void write_index(const std::vector<Page>& pages, const std::string& title,
                 const std::string& folder) {
  std::string html =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>gliograd augment</title>"
      "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem;background:#18191d;color:#e1e4e8}"
      "img{max-width:100%;image-rendering:pixelated}</style>\n<h1>What the network sees</h1><p>" +
      escaped(title) + "</p>\n";
  for (const Page& page : pages) {
    html += "<h2>" + escaped(page.words) + "</h2><a href=\"" + page.file + "\"><img alt=\"" +
            escaped(page.words) + "\" src=\"" + page.file + "\"></a>\n";
  }
  html += "<p>For research use only.</p></html>\n";
  write_atomically(folder + "/index.html", html);
}

void make_folder(const std::string& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed || !fs::is_directory(folder)) {
    throw Error(folder + ": cannot be a folder" + (failed ? ": " + failed.message() : ""));
  }
}

data::InputOptions input_options(const AugmentCommand& command) {
  data::InputOptions input = data::input_preset(command.input);
  if (!command.sequences.empty()) input.sequences = command.sequences;
  if (!command.mask.empty()) input.mask = command.mask;
  if (command.window >= 0) input.window = command.window;
  return input;
}

AugmentOptions augment_options(const AugmentCommand& command) {
  AugmentOptions options = data::augment_preset(command.preset);
  for (const std::string& setting : command.settings) {
    const size_t at = setting.find('=');
    if (at == std::string::npos) {
      throw Error("--augment takes NAME=VALUE, as rotation-degrees=10; got \"" + setting + "\"");
    }
    data::set_augment_option(options, setting.substr(0, at), setting.substr(at + 1));
  }
  return options;
}

void run(const AugmentCommand& command) {
  const AugmentOptions options = augment_options(command);
  const data::InputOptions input = input_options(command);
  const data::Dataset set = data::read_prepared(command.data);
  const data::Resident resident(set);
  const auto stream = Stream::cpu({.threads = command.threads, .random = {.seed = command.seed}});
  const Shown shown{
      set,           resident, data::input_spec(set, input), options, chosen_slices(set, command),
      command.draws, *stream};
  check_augment_options(options, shown.input);
  make_folder(command.out);
  std::vector<Page> pages = {inputs_sheet(shown, command.out)};
  for (int c = 0; c < shown.input.sequence_count; ++c) {
    pages.push_back(draws_sheet(shown, c, command.out));
  }
  // The mask moves too; where it is all that the network sees it gets the sheets.
  if (shown.input.sequence_count == 0) pages.push_back(draws_sheet(shown, 0, command.out));
  pages.push_back(transforms_sheet(
      shown, std::min(1, shown.input.sequence_count - 1 < 0 ? 0 : shown.input.sequence_count - 1),
      command.out));
  const std::string title =
      fmt::format("{}: {} slices, preset {}, window {}, seed {}", set.name, shown.slices.size(),
                  command.preset, shown.input.height, command.seed);
  write_index(pages, title, command.out);
  if (command.arrays) {
    write_batch({.set = set,
                 .resident = resident,
                 .input = shown.input,
                 .options = options,
                 .slices = shown.slices,
                 .draws = command.draws,
                 .stream = *stream,
                 .preset = command.preset,
                 .seed = command.seed},
                command.out + "/batch.h5");
  }
  fmt::print("{}: {} sheets of {} slices{}\n", command.out, pages.size(), shown.slices.size(),
             command.arrays ? ", and batch.h5" : "");
  log_info("open " + command.out + "/index.html");
}

}  // namespace

void add_augment(CLI::App& app) {
  auto* sub = app.add_subcommand(
      "augment", "contact sheets of what the network sees, and how augmentation changes it");
  auto command = std::make_shared<AugmentCommand>();
  const auto add = [&](const char* name, auto& value, const char* help) {
    return sub->add_option(name, value, help)->capture_default_str();
  };
  add("--data", command->data, "prepared set (FILE.h5)")->required();
  add("--out", command->out, "folder for index.html and the sheets")->required();
  add("--preset", command->preset, "augmentation: off, light or full");
  add("--augment", command->settings, "single settings over the preset: rotation-degrees=10,...")
      ->delimiter(',');
  add("--input", command->input, "default, or paper (FLAIR, 80x80, zero outside the mask)");
  add("--sequences", command->sequences, "channels by name (pre,flair), all, or none");
  add("--mask", command->mask, "none, multiply (zero outside), channel or raw-zero");
  add("--window", command->window, "center cut of the stored window, in pixels")->default_str("80");
  add("--patients", command->patients, "how many, evenly over the set, or their ids: A,B,...")
      ->delimiter(',');
  sub->add_flag("--all-slices", command->all_slices,
                "all slices of each patient, not the one with the most tumor alone");
  add("--draws", command->draws, "draws of each slice")->check(CLI::Range(1, 1000));
  add("--seed", command->seed, "of all draws");
  sub->add_flag("--arrays", command->arrays, "also write the drawn batch itself, batch.h5");
  add("--threads", command->threads, "threads")->check(CLI::Range(1, 4096));
  sub->footer("Example: gliograd augment --data lgg.h5 --out sheets --preset full --patients 4");
  sub->callback([command] { run(*command); });
}

}  // namespace gliograd::cli
