#include "data/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "data/random.hpp"
#include "engine/core/error.hpp"

namespace gliograd::data {
namespace {

/// What the random words are for; the layer of their place.
enum Stage : uint32_t { kOrder = 0, kOffsets = 1, kPlaces = 2 };

RandomSequence sequence(const SamplerOptions& options, int epoch, Stage stage) {
  return RandomSequence(options.random, {.layer = stage,
                                         .epoch = static_cast<uint32_t>(epoch),
                                         .purpose = kernels::Purpose::shuffle});
}

/// Systematic sampling: counts that add up to `total`, expected in proportion to `weights`, each
/// within one of its expectation; so is the sum over any run of neighbors.
std::vector<int64_t> systematic(const std::vector<double>& weights, int64_t total, double offset) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> counts(weights.size());
  double reached = 0;
  int64_t given = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    reached += weights[i];
    const bool last = i + 1 == weights.size();
    const auto upto =
        last
            ? total
            : static_cast<int64_t>(std::floor(reached / sum * static_cast<double>(total) + offset));
    counts[i] = std::clamp<int64_t>(upto, given, total) - given;
    given += counts[i];
  }
  return counts;
}

/// The slices of one patient in one class.
struct Unit {
  int32_t label = 0;
  std::vector<int32_t> slices;
  double share = 0;  // of the epoch
};

/// `count` slices of the unit, in random order.
std::vector<int32_t> draw_slices(const Dataset& set, const Unit& unit, int64_t count, bool by_area,
                                 RandomSequence& random) {
  std::vector<int32_t> order = unit.slices;
  random.shuffle(order);
  std::vector<double> weights(order.size(), 1.0);
  if (by_area) {
    double sum = 0;
    for (size_t i = 0; i < order.size(); ++i) sum += weights[i] = set.slices[order[i]].area;
    if (sum == 0) weights.assign(order.size(), 1.0);
  }
  const std::vector<int64_t> counts = systematic(weights, count, random.uniform());
  std::vector<int32_t> drawn;
  for (size_t i = 0; i < order.size(); ++i) drawn.insert(drawn.end(), counts[i], order[i]);
  random.shuffle(drawn);
  return drawn;
}

struct Placed {
  double place;  // in the epoch, 0 to 1
  int32_t slice;
};

/// Item i of n gets a random place inside the i-th of n equal stretches.
void place_evenly(const std::vector<int32_t>& slices, RandomSequence& random,
                  std::vector<Placed>& out) {
  for (size_t i = 0; i < slices.size(); ++i) {
    const double place =
        (static_cast<double>(i) + random.uniform()) / static_cast<double>(slices.size());
    out.push_back({place, slices[i]});
  }
}

std::vector<int32_t> in_order(std::vector<Placed>& placed) {
  std::stable_sort(placed.begin(), placed.end(),
                   [](const Placed& a, const Placed& b) { return a.place < b.place; });
  std::vector<int32_t> slices;
  for (const Placed& p : placed) slices.push_back(p.slice);
  return slices;
}

std::vector<Unit> make_units(const Dataset& set, const std::vector<int32_t>& slices,
                             const std::vector<int32_t>& slice_labels, bool balance) {
  std::map<std::pair<int32_t, int32_t>, Unit> units;  // by (class, patient), so in fixed order
  for (const int32_t s : slices) {
    const int32_t label = slice_labels.at(s);
    GG_CHECK(label >= 0, set.name, ": training slice ", set.slices[s].number, " of patient ",
             set.patients[set.slices[s].patient].id, " has no label");
    Unit& unit = units[{label, set.slices[s].patient}];
    unit.label = label;
    unit.slices.push_back(s);
  }
  std::map<int32_t, double> size;
  for (const auto& [key, unit] : units) size[unit.label] += 1;
  std::vector<Unit> list;
  for (auto& [key, unit] : units) {
    unit.share = balance ? 1.0 / (size[unit.label] * static_cast<double>(size.size()))
                         : 1.0 / static_cast<double>(units.size());
    list.push_back(std::move(unit));
  }
  return list;
}

/// Units in random order, those of a class side by side and the classes in random order too, so
/// that systematic sampling rounds classes fairly as well.
void shuffle_units(std::vector<Unit>& units, RandomSequence& random) {
  random.shuffle(units);
  std::vector<int32_t> classes;
  for (const Unit& unit : units) classes.push_back(unit.label);
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  random.shuffle(classes);
  const auto rank = [&](const Unit& unit) {
    return std::find(classes.begin(), classes.end(), unit.label) - classes.begin();
  };
  std::stable_sort(units.begin(), units.end(),
                   [&](const Unit& a, const Unit& b) { return rank(a) < rank(b); });
}

}  // namespace

int64_t batches_per_epoch(int64_t slices, int64_t batch) {
  if (batch < 1) throw Error(concat_text("batch must be at least 1; got ", batch));
  return (slices + batch - 1) / batch;
}

std::vector<int32_t> epoch_draws_by_slice(const Dataset& set,
                                          const std::vector<int32_t>& training_slices,
                                          const std::vector<int32_t>& slice_labels,
                                          const SamplerOptions& options, int epoch) {
  GG_CHECK(epoch >= 0 && epoch < 1 << 24, "epoch must be in [0, 2^24); got ", epoch);
  GG_CHECK(!training_slices.empty(), set.name, ": nothing to train on");
  const int64_t batches =
      batches_per_epoch(static_cast<int64_t>(training_slices.size()), options.batch);
  std::vector<Unit> units = make_units(set, training_slices, slice_labels, options.balance_classes);
  RandomSequence order = sequence(options, epoch, kOrder);
  RandomSequence offsets = sequence(options, epoch, kOffsets);
  RandomSequence places = sequence(options, epoch, kPlaces);
  shuffle_units(units, order);
  std::vector<double> shares;
  for (const Unit& unit : units) shares.push_back(unit.share);
  const std::vector<int64_t> counts =
      systematic(shares, batches * options.batch, offsets.uniform());

  // A patient's draws are spread over its class, and each class's draws over the epoch.
  std::vector<Placed> epoch_places;
  for (size_t u = 0; u < units.size();) {
    std::vector<Placed> class_places;
    const int32_t label = units[u].label;
    for (; u < units.size() && units[u].label == label; ++u) {
      const std::vector<int32_t> drawn =
          draw_slices(set, units[u], counts[u], options.weight_by_area, offsets);
      place_evenly(drawn, places, class_places);
    }
    place_evenly(in_order(class_places), places, epoch_places);
  }
  return in_order(epoch_places);
}

std::vector<int32_t> epoch_draws(const Dataset& set, const std::vector<int32_t>& training_patients,
                                 const std::vector<int32_t>& labels, const SamplerOptions& options,
                                 int epoch) {
  std::vector<int32_t> slices, slice_labels(set.slices.size(), -1);
  for (const int32_t p : training_patients) {
    const Patient& patient = set.patients.at(p);
    GG_CHECK(labels.at(p) >= 0, set.name, ": training patient ", patient.id, " has no label");
    const int64_t first = first_slice(set, p), last = first_slice(set, p + 1);
    GG_CHECK(first < last, set.name, ": training patient ", patient.id, " has no slice");
    for (int64_t s = first; s < last; ++s) {
      slices.push_back(static_cast<int32_t>(s));
      slice_labels[s] = labels[p];
    }
  }
  return epoch_draws_by_slice(set, slices, slice_labels, options, epoch);
}

}  // namespace gliograd::data
