#include "data/fingerprint.hpp"

#include <cmath>

#include "tests/data/changed_slices.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

/// A head of blobs: an oval on a dark ground, 12 soft spots in each of `channels` channels, five
/// slices that change slowly.
PatientSlices made_up_patient(uint64_t seed, int64_t channels = 3) {
  std::mt19937_64 random(seed);
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  PatientSlices patient{120, 100, channels, {}, {}};
  std::vector<std::array<double, 4>> spots;
  for (int64_t i = 0; i < 12 * channels; ++i) {
    spots.push_back({uniform(-0.8, 0.8), uniform(-0.8, 0.8), uniform(-60, 60), uniform(0.1, 0.4)});
  }
  for (int slice = 0; slice < 5; ++slice) {
    std::vector<uint8_t> image;
    for (int64_t y = 0; y < 120; ++y) {
      for (int64_t x = 0; x < 100; ++x) {
        const double v = (static_cast<double>(y) - 62) / 45, u = (static_cast<double>(x) - 48) / 36;
        for (int64_t c = 0; c < channels; ++c) {
          double value = 4 + uniform(-3, 3);
          if (u * u + v * v < 1) {
            value += u * u + v * v > 0.85 ? 200 : 120;  // a bright rim, as of the scalp
            for (int i = 0; i < 12; ++i) {
              const auto& s = spots[c * 12 + i];
              const double dy = v - s[0] - 0.03 * slice, dx = u - s[1];
              value += s[2] * std::exp(-(dy * dy + dx * dx) / (2 * s[3] * s[3]));
            }
          }
          image.push_back(static_cast<uint8_t>(std::lround(std::clamp(value, 0.0, 255.0))));
        }
      }
    }
    patient.images.push_back(image);
  }
  return patient;
}

}  // namespace

TEST_CASE("fingerprint: the same pictures changed in every way are alike, others are not") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::vector<Fingerprint> prints;
  for (int i = 0; i < 12; ++i) {
    const PatientSlices patient = made_up_patient(seed + i);
    prints.push_back(patient.fingerprint());
    for (int k = 0; k < 2; ++k) {
      CHECK(fingerprint_similarity(prints[i], changed(patient, 20, random).fingerprint()) >
            kFingerprintAlike);
    }
    for (int j = 0; j < i; ++j) {
      CHECK(fingerprint_similarity(prints[i], prints[j]) < kFingerprintAlike);
    }
  }
}

TEST_CASE("fingerprint: a strictly rising change of intensities alone changes nothing at all") {
  const PatientSlices patient = made_up_patient(3);
  PatientSlices doubled = patient;
  for (auto& image : doubled.images) {
    for (uint8_t& v : image) v = static_cast<uint8_t>(v / 2);  // merges pairs
  }
  PatientSlices spread = doubled;
  for (auto& image : spread.images) {
    for (uint8_t& v : image) v = static_cast<uint8_t>(v < 40 ? v : v + 100);
  }
  CHECK(doubled.fingerprint() == spread.fingerprint());
}

TEST_CASE("fingerprint: masks weigh slices, and those without tumor do not count") {
  PatientSlices patient = made_up_patient(5);
  patient.masks.assign(5, std::vector<uint8_t>(120 * 100, 0));
  const Fingerprint unweighted = patient.fingerprint();
  CHECK(unweighted == made_up_patient(5).fingerprint());  // empty masks: all alike
  patient.masks[2][100] = 1;
  PatientSlices one = patient;
  one.images = {patient.images[2]};
  one.masks.clear();
  CHECK(patient.fingerprint() == one.fingerprint());
  CHECK(patient.fingerprint() != unweighted);
}

TEST_CASE("fingerprint: gray pictures and pictures with gray repeated are the same") {
  const PatientSlices gray = made_up_patient(7, 1);
  PatientSlices color{gray.height, gray.width, 3, {}, {}};
  for (const auto& image : gray.images) {
    color.images.emplace_back();
    for (const uint8_t v : image) color.images.back().insert(color.images.back().end(), 3, v);
  }
  CHECK(fingerprint_similarity(gray.fingerprint(), color.fingerprint()) ==
        doctest::Approx(1).epsilon(1e-6));
}

TEST_CASE("fingerprint: pictures of nothing resemble nothing") {
  PatientSlices blank{32, 32, 3, {std::vector<uint8_t>(32 * 32 * 3, 9)}, {}};
  const Fingerprint none = blank.fingerprint();
  CHECK(none == Fingerprint{});
  CHECK(fingerprint({}) == Fingerprint{});
  CHECK(fingerprint_similarity(none, none) == 0);
  CHECK(fingerprint_similarity(none, made_up_patient(1).fingerprint()) == 0);
  PatientSlices dot{1, 1, 1, {{200}}, {}};
  CHECK(dot.fingerprint() == Fingerprint{});
  PatientSlices bad{0, 32, 3, {{}}, {}};
  CHECK(contains(error_of([&] { bad.fingerprint(); }), "fingerprint: a slice of 0 x 32 x 3"));
}
