// The cohort's people, and the set that comes of them. How a slice is drawn: phantom_render.cpp.
#include "data/phantom.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "data/fingerprint.hpp"
#include "data/leak_guard.hpp"
#include "data/random.hpp"
#include "data/robust_scale.hpp"
#include "data/shape_features.hpp"
#include "engine/core/digest.hpp"
#include "engine/core/error.hpp"
#include "engine/core/parallel.hpp"

namespace gliograd::data {
namespace {

constexpr uint32_t kPeopleLayer = 0;  // the renderer takes layers from 1 on
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void check_options(const PhantomOptions& options) {
  const auto check = [](bool good, const char* name, const char* range, double got) {
    if (!good) throw Error(concat_text("phantom: ", name, " must be ", range, "; got ", got));
  };
  check(options.patients >= 6 && options.patients <= 9999, "patients", "6 to 9999",
        options.patients);
  check(options.size >= 32 && options.size <= 512, "size", "32 to 512",
        static_cast<double>(options.size));
  check(options.slices >= 3 && options.slices <= 40, "slices", "3 to 40", options.slices);
  check(options.signal >= 0 && options.signal <= 2, "signal", "0 to 2", options.signal);
}

/// "P0RS": three digits of base 36 that differ between the first cohorts of any seeds, so that one
/// phantom can pretrain for another without sharing names.
std::string participant(uint32_t seed, size_t index) {
  const char* digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const uint64_t code = (uint64_t{seed} * 1000 + index) % (36 * 36 * 36);
  return {'P', digits[code / 1296], digits[code / 36 % 36], digits[code % 36]};
}

/// COCCluster of each person: half are 2, the others 1 and 3 in turn; in random order.
std::vector<int> draw_clusters(int patients, RandomSequence& random) {
  std::vector<int> clusters;
  for (int p = 0; p < patients; ++p) clusters.push_back(p < patients / 2 ? 2 : p % 2 == 0 ? 1 : 3);
  random.shuffle(clusters);
  return clusters;
}

int draw_rnaseq(int coc, double signal, RandomSequence& random) {
  const double blank = random.uniform(), follows = random.uniform();
  const int by_chance = 1 + static_cast<int>(random.below(4));
  if (blank < 0.12) return 0;
  return follows < 0.75 * std::min(1.0, signal) ? coc : by_chance;
}

void draw_slices(int mean, PhantomPerson& person, RandomSequence& random) {
  const int spread = std::max(1, mean / 3);
  const int count = mean - spread + static_cast<int>(random.below(2 * spread + 1));
  person.first_tumor = 6 + static_cast<int32_t>(random.below(8));
  person.last_tumor = person.first_tumor + count - 1;
  // One slice below and one above, with a gap between.
  person.numbers.push_back(person.first_tumor - 2 - static_cast<int32_t>(random.below(3)));
  for (int32_t n = person.first_tumor; n <= person.last_tumor; ++n) person.numbers.push_back(n);
  person.numbers.push_back(person.last_tumor + 2 + static_cast<int32_t>(random.below(3)));
}

/// A column of the table as labels: the classes that occur, in order; 0 is a blank.
LabelColumn label_column_of(const std::string& name, const std::vector<PhantomPerson>& people,
                            int PhantomPerson::*value) {
  std::set<int> occurring;
  for (const PhantomPerson& person : people) {
    if (person.*value > 0) occurring.insert(person.*value);
  }
  LabelColumn column{name, {}, {}};
  for (const int c : occurring) column.classes.push_back(std::to_string(c));
  for (const PhantomPerson& person : people) {
    const auto found = occurring.find(person.*value);
    column.values.push_back(found == occurring.end()
                                ? -1
                                : static_cast<int32_t>(std::distance(occurring.begin(), found)));
  }
  return column;
}

struct MadePatient {
  Patient patient;
  std::vector<Slice> slices;
  std::vector<uint8_t> images, masks;
  std::vector<std::pair<std::string, double>> shape;
};

Slice slice_record(const PhantomSlice& slice, int64_t size, int64_t window) {
  Slice record;
  record.number = slice.number;
  double rows = 0, columns = 0;
  std::array<int32_t, 4> box = {static_cast<int32_t>(size), static_cast<int32_t>(size), 0, 0};
  for (int64_t i = 0; i < size * size; ++i) {
    if (slice.mask[i] == 0) continue;
    const auto y = static_cast<int32_t>(i / size), x = static_cast<int32_t>(i % size);
    ++record.area;
    rows += y, columns += x;
    box = {std::min(box[0], y), std::min(box[1], x), std::max(box[2], y + 1),
           std::max(box[3], x + 1)};
  }
  record.box = box;
  if (window > 0) {
    record.origin = {
        static_cast<int32_t>(std::nearbyint(rows / record.area)) - static_cast<int32_t>(window / 2),
        static_cast<int32_t>(std::nearbyint(columns / record.area)) -
            static_cast<int32_t>(window / 2)};
  }
  return record;
}

void append_window(const std::vector<uint8_t>& source, int64_t size, int64_t channels,
                   const Slice& record, int64_t side, std::vector<uint8_t>& out) {
  for (int64_t y = 0; y < side; ++y) {
    for (int64_t x = 0; x < side; ++x) {
      const int64_t sy = record.origin[0] + y, sx = record.origin[1] + x;
      const bool inside = sy >= 0 && sx >= 0 && sy < size && sx < size;
      for (int64_t c = 0; c < channels; ++c) {
        out.push_back(inside ? source[(sy * size + sx) * channels + c] : 0);
      }
    }
  }
}

MadePatient make_patient(const PhantomOptions& options, const std::vector<PhantomPerson>& people,
                         size_t index, int64_t window) {
  const PhantomPerson& person = people[index];
  const std::vector<PhantomSlice> slices = phantom_slices(options, people, index);
  const int64_t size = options.size, side = window > 0 ? window : size;
  MadePatient made;
  made.patient.id = person.id;
  made.patient.site = person.site;
  made.patient.identity = canonical_identity(person.id);
  made.patient.present.assign(person.present.begin(), person.present.end());
  std::vector<ScaleSlice> kept;
  std::vector<FingerprintSlice> pictures;
  MaskStack stack{static_cast<int64_t>(slices.size()), size, size, {}, {}};
  for (const PhantomSlice& slice : slices) {
    stack.numbers.push_back(slice.number);
    stack.voxels.insert(stack.voxels.end(), slice.mask.begin(), slice.mask.end());
    if (slice.number < person.first_tumor || slice.number > person.last_tumor) continue;
    kept.push_back({slice.pixels.data(), size * size});
    pictures.push_back({slice.pixels.data(), size, size, 3, slice.mask.data()});
    made.slices.push_back(slice_record(slice, size, window));
    append_window(slice.pixels, size, 3, made.slices.back(), side, made.images);
    append_window(slice.mask, size, 1, made.slices.back(), side, made.masks);
  }
  made.patient.affine = robust_scale(kept, 3);
  made.patient.fingerprint = fingerprint(pictures);
  made.shape = shape_features(stack);
  return made;
}

}  // namespace

std::vector<PhantomPerson> phantom_people(const PhantomOptions& options) {
  check_options(options);
  RandomSequence random({.seed = options.seed},
                        {.layer = kPeopleLayer, .purpose = kernels::Purpose::phantom});
  const auto count = static_cast<size_t>(options.patients);
  const std::vector<int> clusters = draw_clusters(options.patients, random);
  std::vector<PhantomPerson> people(count);
  const char* sites[4] = {"PA", "PB", "PC", "PD"};
  for (size_t p = 0; p < count; ++p) {
    PhantomPerson& person = people[p];
    const double site = random.uniform();
    person.site = sites[site < 0.4 ? 0 : site < 0.7 ? 1 : site < 0.88 ? 2 : 3];
    person.id = "TCGA_" + person.site + "_" + participant(options.seed, p);
    const uint32_t year = 1995 + random.below(10), month = 1 + random.below(12),
                   day = 1 + random.below(28);
    person.folder = person.id + "_" + std::to_string(year * 10000 + month * 100 + day);
    person.coc = clusters[p];
    person.rnaseq = draw_rnaseq(person.coc, options.signal, random);
    person.mirna = 1 + static_cast<int>(random.below(2));
    person.gender = 1 + static_cast<int>(random.below(2));
    const double older = person.coc == 2 ? 8 * std::min(1.0, options.signal) : 0;
    const double age = std::round(std::clamp(42 + older + 12 * random.bell(), 18.0, 85.0));
    person.age_years = random.uniform() < 0.05 ? kNaN : age;
    draw_slices(options.slices, person, random);
  }
  // One in twenty without both T1 sequences, one in twelve without post-contrast alone.
  std::vector<size_t> order(count);
  for (size_t p = 0; p < count; ++p) order[p] = p;
  random.shuffle(order);
  const size_t neither = (count + 19) / 20, no_post = (count + 11) / 12;
  for (size_t i = 0; i < neither; ++i) people[order[i]].present = {0, 1, 0};
  for (size_t i = neither; i < neither + no_post; ++i) people[order[i]].present = {1, 1, 0};
  std::sort(people.begin(), people.end(),
            [](const PhantomPerson& a, const PhantomPerson& b) { return a.id < b.id; });
  return people;
}

std::vector<std::vector<std::string>> phantom_table(const std::vector<PhantomPerson>& people) {
  std::vector<std::vector<std::string>> rows = {{"Patient", "RNASeqCluster", "miRNACluster",
                                                 "COCCluster", "gender",
                                                 "age_at_initial_pathologic"}};
  const auto text = [](int value) { return value == 0 ? std::string() : std::to_string(value); };
  for (const PhantomPerson& person : people) {
    rows.push_back(
        {person.id, text(person.rnaseq), text(person.mirna), text(person.coc), text(person.gender),
         std::isnan(person.age_years) ? std::string() : text(static_cast<int>(person.age_years))});
  }
  return rows;
}

Dataset make_phantom(const PhantomOptions& options, int64_t window, int threads) {
  if (window < 0 || window > 1024) {
    throw Error(concat_text("phantom: window must be 0 to 1024; got ", window));
  }
  const std::vector<PhantomPerson> people = phantom_people(options);
  std::vector<MadePatient> made(people.size());
  parallel_for(threads, static_cast<int64_t>(people.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) made[p] = make_patient(options, people, p, window);
  });
  Dataset set;
  set.name = concat_text("phantom ", options.seed);
  set.channels = {"pre", "flair", "post"};
  set.height = set.width = window > 0 ? window : options.size;
  Digest digest;
  for (const std::string& name : shape_feature_names()) set.shape.push_back({name, {}});
  for (size_t p = 0; p < made.size(); ++p) {
    MadePatient& one = made[p];
    for (Slice slice : one.slices) {
      slice.patient = static_cast<int32_t>(p);
      set.slices.push_back(slice);
    }
    set.images.insert(set.images.end(), one.images.begin(), one.images.end());
    set.masks.insert(set.masks.end(), one.masks.begin(), one.masks.end());
    for (size_t f = 0; f < set.shape.size(); ++f) {
      set.shape[f].values.push_back(one.shape[f].second);
    }
    set.patients.push_back(std::move(one.patient));
    one = {};
  }
  set.slices_count = static_cast<int64_t>(set.slices.size());
  set.labels.push_back(label_column_of("RNASeqCluster", people, &PhantomPerson::rnaseq));
  set.labels.push_back(label_column_of("miRNACluster", people, &PhantomPerson::mirna));
  set.labels.push_back(label_column_of("COCCluster", people, &PhantomPerson::coc));
  set.labels.push_back(label_column_of("gender", people, &PhantomPerson::gender));
  CovariateColumn age{"age_at_initial_pathologic", {}};
  for (const PhantomPerson& person : people) age.values.push_back(person.age_years);
  set.covariates.push_back(age);
  digest.add(set.images.data(), set.images.size());
  digest.add(set.masks.data(), set.masks.size());
  for (const auto& row : phantom_table(people)) {
    for (const std::string& field : row) digest.add(field + ",");
  }
  set.digest = digest.hex();
  check_dataset(set);
  return set;
}

}  // namespace gliograd::data
