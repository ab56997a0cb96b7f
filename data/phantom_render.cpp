// How a phantom's slice is drawn, from outside in: head (scalp, bone, fluid, cortex with folds,
// white matter, ventricles, falx), the tumor, then the scanner (blur, coil field, gain, gamma,
// noise). Lengths are in units of half the picture; sequences are pre, flair, post. Arithmetic is
// f32 without libm, so the bits are the same everywhere.
#include <algorithm>
#include <array>
#include <cmath>

#include "data/phantom.hpp"
#include "data/random.hpp"
#include "kernels/portable_math.hpp"

namespace gliograd::data {
namespace {

using kernels::portable_exp;
using kernels::portable_pow;
using kernels::portable_sincos;
using kernels::square_root;
using Triple = std::array<float, 3>;  // pre, flair, post

constexpr uint32_t kPersonLayer = 1, kNoiseLayer = 2;
constexpr int kLobes = 5;  // waves 3 to 7 around the margin

// What a tissue looks like; 1 is bright.
constexpr Triple kAir = {0.01F, 0.01F, 0.01F}, kScalp = {0.80F, 0.55F, 0.84F},
                 kBone = {0.14F, 0.10F, 0.15F}, kFluid = {0.16F, 0.10F, 0.18F},
                 kGray = {0.44F, 0.52F, 0.47F}, kWhite = {0.60F, 0.40F, 0.62F},
                 kTumor = {0.36F, 0.80F, 0.40F};

/// 0 below -1, 1 above 1, smooth between.
float soft_step(float x) {
  const float t = std::clamp(0.5F * x + 0.5F, 0.0F, 1.0F);
  return t * t * (3 - 2 * t);
}

float mix(float a, float b, float t) { return a + (b - a) * t; }

/// Smooth random field: two looks, one turned, at a lattice of random values that repeats, so that
/// the lattice's axes do not show. Mean 0, deviation near 1.
class Field {
 public:
  explicit Field(RandomSequence& random) {
    for (float& v : values_) v = static_cast<float>(random.bell());
  }
  /// One lattice step is 1.
  float at(float x, float y, float z) const {
    const float turned_x = 0.788F * x + 0.616F * y + 11.3F;
    const float turned_y = -0.616F * x + 0.788F * y + 7.9F;
    return 1.25F * (look(x, y, z) + look(turned_x, turned_y, z + 5.4F));
  }

 private:
  static constexpr int32_t kSide = 32, kDeep = 16;
  static float ease(float t) { return t * t * (3 - 2 * t); }
  float value(int32_t x, int32_t y, int32_t z) const {
    return values_[((z & (kDeep - 1)) * kSide + (y & (kSide - 1))) * kSide + (x & (kSide - 1))];
  }
  float look(float x, float y, float z) const {
    const int32_t ix = kernels::floor_to_int(x), iy = kernels::floor_to_int(y),
                  iz = kernels::floor_to_int(z);
    const float fx = ease(x - static_cast<float>(ix)), fy = ease(y - static_cast<float>(iy)),
                fz = ease(z - static_cast<float>(iz));
    float plane[2];
    for (int k = 0; k < 2; ++k) {
      const float top = mix(value(ix, iy, iz + k), value(ix + 1, iy, iz + k), fx);
      const float low = mix(value(ix, iy + 1, iz + k), value(ix + 1, iy + 1, iz + k), fx);
      plane[k] = mix(top, low, fy);
    }
    return mix(plane[0], plane[1], fz);
  }
  std::array<float, kSide * kSide * kDeep> values_{};
};

struct Tumor {
  float x = 0, y = 0;    // center
  float radius = 0;      // mean, in the middle slice
  float stretch = 1;     // along `tilt`
  float tilt = 0;        // turns
  float rim = 0;         // brightness of the enhancing rim in post
  float core = 0;        // brightness over the tissue's own, all sequences
  float edema = 0;       // glow in FLAIR around
  float coarseness = 0;  // texture: lattice steps a unit length
  float texture = 0;     // its amplitude
  std::array<float, kLobes> lobe{}, phase{}, drift{};  // of the margin; drift in turns a slice
};

/// What one person's pictures share.
struct Look {
  float head_x = 0, head_y = 0, wide = 0, tall = 0;
  float turn_sine = 0, turn_cosine = 1;
  float ventricle = 1, white = 1;
  Triple gain{}, gamma{}, noise{};
  std::array<std::array<float, 5>, 3> coil{};  // log field: x, y, x^2, y^2, xy
  float level = 0;                             // of the tumor's middle in the brain, -1 to 1
  Tumor tumor;
};

float spread(RandomSequence& random, float low, float high) {
  return static_cast<float>(random.uniform(low, high));
}

/// Lobes and texture are all that the subtype decides; `signal` moves class 2 away from the others.
Tumor draw_tumor(const PhantomOptions& options, const PhantomPerson& person,
                 RandomSequence& random) {
  const float subtype = person.coc == 2 ? static_cast<float>(options.signal) : 0.0F;
  Tumor t;
  const kernels::SineCosine place = portable_sincos(spread(random, 0, 1));
  const float out = spread(random, 0.24F, 0.44F);
  t.x = out * place.cosine * 0.8F;
  t.y = out * place.sine;
  t.radius = spread(random, 0.19F, 0.30F);
  t.stretch = spread(random, 0.85F, 1.18F);
  t.tilt = spread(random, 0, 1);
  t.rim = spread(random, 0.05F, 0.40F);
  t.core = spread(random, -0.05F, 0.07F);
  t.edema = spread(random, 0.0F, 0.22F);
  // Individuals vary inside a class: the two overlap a little.
  const float lobed = 0.06F + 0.11F * subtype + 0.035F * static_cast<float>(random.bell());
  float square = 0;
  for (int k = 0; k < kLobes; ++k) {
    t.lobe[k] = spread(random, -1, 1) * (1 - 0.13F * static_cast<float>(k));  // wide ones lead
    t.phase[k] = spread(random, 0, 1);
    t.drift[k] = spread(random, -0.04F, 0.04F);
    square += t.lobe[k] * t.lobe[k];
  }
  for (float& lobe : t.lobe) lobe *= std::max(0.01F, lobed) / square_root(0.5F * square + 1e-6F);
  t.coarseness = 20 - 11 * std::min(1.3F, subtype) + 1.2F * static_cast<float>(random.bell());
  t.texture = spread(random, 0.09F, 0.14F);
  return t;
}

Look draw_look(const PhantomOptions& options, const PhantomPerson& person, RandomSequence& random) {
  Look look;
  look.head_x = spread(random, -0.05F, 0.05F);
  look.head_y = spread(random, -0.04F, 0.04F);
  look.wide = spread(random, 0.68F, 0.76F);
  look.tall = spread(random, 0.84F, 0.91F);
  const kernels::SineCosine turn = portable_sincos(spread(random, -0.02F, 0.02F));
  look.turn_sine = turn.sine, look.turn_cosine = turn.cosine;
  look.ventricle = spread(random, 0.75F, 1.3F);
  look.white = spread(random, 0.85F, 1.1F);
  look.level = spread(random, -0.35F, 0.45F);
  // The scanner of a site, then what differs from visit to visit.
  const float site = static_cast<float>(person.site.back() - 'A') / 3;  // 0 to 1
  for (int c = 0; c < 3; ++c) {
    look.gain[c] = (0.95F - 0.2F * site) * spread(random, 0.85F, 1.1F);
    look.gamma[c] = (0.9F + 0.2F * site) * spread(random, 0.9F, 1.12F);
    look.noise[c] = (0.012F + 0.012F * site) * spread(random, 0.8F, 1.4F);
    for (float& k : look.coil[c]) k = spread(random, -0.10F, 0.10F);
  }
  look.tumor = draw_tumor(options, person, random);
  return look;
}

/// Where a point lies on the tumor of one slice: 0 in its center, 1 on its margin; 9 where the
/// slice has none.
float tumor_place(const Tumor& t, float profile, float slice, float x, float y) {
  if (profile <= 0) return 9;
  const kernels::SineCosine tilt = portable_sincos(t.tilt);
  const float dx = x - t.x, dy = y - t.y;
  const float u = (tilt.cosine * dx + tilt.sine * dy) / t.stretch;
  const float v = (-tilt.sine * dx + tilt.cosine * dy) * t.stretch;
  const float distance = square_root(u * u + v * v);
  if (distance > 2.2F * t.radius) return 9;
  // Multiples of the angle come from powers of its complex number: no arctangent is needed.
  const float cosine = distance > 1e-6F ? u / distance : 1,
              sine = distance > 1e-6F ? v / distance : 0;
  float c = cosine, s = sine, margin = 1;
  for (int wave = 2; wave < kLobes + 3; ++wave) {
    const float next = c * cosine - s * sine;
    s = s * cosine + c * sine;
    c = next;
    if (wave < 3) continue;
    const kernels::SineCosine phase =
        portable_sincos(t.phase[wave - 3] + t.drift[wave - 3] * slice);
    margin += t.lobe[wave - 3] * (c * phase.cosine - s * phase.sine);
  }
  return distance / (t.radius * profile * std::max(0.35F, margin));
}

/// One point of the head, in the head's own axes (r = 1 on its outer edge).
Triple head_tissue(const Look& look, const Field& folds, const Field& grain, float x, float y,
                   float r, float height, float edge) {
  Triple value = kAir;
  if (r > 1 + edge) return value;
  const auto blend = [&](const Triple& tissue, float amount) {
    for (int c = 0; c < 3; ++c) value[c] = mix(value[c], tissue[c], amount);
  };
  blend(kScalp, soft_step((1.0F - r) / edge));
  blend(kBone, soft_step((0.945F - r) / edge));
  blend(kFluid, soft_step((0.875F - r) / edge));
  // Folds: where a field crosses zero near the surface a groove with fluid runs in.
  const float fold = folds.at(6.2F * x, 6.2F * y, 1.5F * height);
  const float shallow = soft_step((r - 0.55F) / 0.20F);
  const float groove = portable_exp(-9.0F * fold * fold) * shallow;
  const float ribbon = portable_exp(-2.2F * fold * fold);
  const float inside = soft_step((0.845F - r) / edge);
  const float white =
      look.white * soft_step((0.74F - r + 0.05F * fold) / 0.10F) * (1 - 0.85F * ribbon * shallow);
  Triple brain;
  const float speckle = 1 + 0.025F * grain.at(14 * x, 14 * y, 3 * height);
  for (int c = 0; c < 3; ++c) brain[c] = mix(kGray[c], kWhite[c], std::min(1.0F, white)) * speckle;
  blend(brain, inside);
  blend(kFluid, 0.6F * groove * inside);
  // Deep gray matter, ventricles like two leaning leaves, and the falx between the halves.
  const float open = 1 - height * height;
  const float nucleus =
      (std::fabs(x) - 0.22F) * (std::fabs(x) - 0.22F) / 0.012F + (y + 0.02F) * (y + 0.02F) / 0.03F;
  blend(kGray, 0.6F * open * soft_step((1 - nucleus) / 0.5F));
  const float side = std::fabs(x) - 0.075F - 0.12F * y * y;
  const float wide = 0.055F * look.ventricle * open, tall = 0.30F * open + 0.02F;
  const float leaf = side * side / (wide * wide) + (y + 0.03F) * (y + 0.03F) / (tall * tall);
  blend(kFluid, soft_step((1 - leaf) / 0.6F) * (open > 0.1F ? 1.0F : 0.0F));
  const float falx =
      soft_step((0.012F - std::fabs(x)) / edge) * soft_step((std::fabs(y) - 0.42F) / 0.1F);
  blend(kFluid, 0.6F * falx * inside);
  return value;
}

void add_tumor(const Tumor& t, const Field& texture, const Field& wisps, float x, float y,
               float slice, float place, float brain, float edge, Triple& value) {
  // The margin is as sharp as a pixel allows; edema fades out of it along the wisps.
  const float width = edge / t.radius;
  const float here = soft_step((1 - place) / width) * brain;
  const float pattern = texture.at(t.coarseness * x, t.coarseness * y, 0.6F * slice);
  const float inner = soft_step((0.62F - place) / 0.12F);
  const float ring = portable_exp(-(place - 0.68F) * (place - 0.68F) / 0.020F);
  if (place < 2.5F) {
    const float glow = t.edema * portable_exp(-1.6F * std::max(0.0F, place - 1)) *
                       std::clamp(0.8F + 0.4F * wisps.at(5 * x, 5 * y, slice * 0.3F), 0.0F, 1.6F);
    value[1] += glow * (1 - here) * brain;
  }
  const Triple tumor = {kTumor[0] + t.core + 0.6F * t.texture * pattern - 0.05F * inner,
                        kTumor[1] + t.core + 1.2F * t.texture * pattern - 0.10F * inner,
                        kTumor[2] + t.core + t.texture * pattern - 0.07F * inner + t.rim * ring};
  for (int c = 0; c < 3; ++c) value[c] = mix(value[c], tumor[c], here);
}

/// Gain, gamma, coil and noise of one channel's plane, rounded to 8 bit.
void scan(const Look& look, int c, const std::vector<float>& plane, int64_t size,
          const RandomKey& key, uint32_t person, uint32_t slice, std::vector<uint8_t>& pixels) {
  const kernels::PhiloxKey words{{key.seed, key.low_word()}};
  const std::array<float, 5>& k = look.coil[c];
  for (int64_t i = 0; i < size * size; i += 4) {
    const kernels::NormalBlock noise = kernels::normal(kernels::philox(
        words, kernels::counter_of(
                   {.position = static_cast<uint64_t>(i / 4) << 2 | static_cast<uint64_t>(c),
                    .layer = kNoiseLayer,
                    .draw = person,
                    .epoch = slice,
                    .purpose = kernels::Purpose::phantom})));
    for (int64_t j = i; j < std::min(i + 4, size * size); ++j) {
      const int64_t row = j / size, column = j % size;
      const float y = 2 * (static_cast<float>(row) + 0.5F) / static_cast<float>(size) - 1;
      const float x = 2 * (static_cast<float>(column) + 0.5F) / static_cast<float>(size) - 1;
      const float coil =
          portable_exp(k[0] * x + k[1] * y + k[2] * x * x + k[3] * y * y + k[4] * x * y);
      const float clean =
          portable_pow(std::max(0.0F, plane[j]) * coil, look.gamma[c]) * look.gain[c];
      const float seen = std::fabs(clean + look.noise[c] * noise.value[j - i]);
      const float level = std::clamp(235 * seen, 0.0F, 255.0F);
      pixels[j * 3 + c] = static_cast<uint8_t>(kernels::floor_to_int(level + 0.5F));
    }
  }
}

}  // namespace

std::vector<PhantomSlice> phantom_slices(const PhantomOptions& options,
                                         const std::vector<PhantomPerson>& people, size_t index) {
  const PhantomPerson& person = people.at(index);
  const auto draw = static_cast<uint32_t>(index);
  const RandomKey key{.seed = options.seed};
  RandomSequence random(
      key, {.layer = kPersonLayer, .draw = draw, .purpose = kernels::Purpose::phantom});
  const Look look = draw_look(options, person, random);
  const Field folds(random), grain(random), texture(random), wisps(random);
  const int64_t size = options.size;
  const float pixel = 2.0F / static_cast<float>(size);  // in units of half the picture
  const float middle = 0.5F * static_cast<float>(person.first_tumor + person.last_tumor);
  const float half = 0.5F * static_cast<float>(person.last_tumor - person.first_tumor + 1);
  std::vector<PhantomSlice> slices;
  for (const int32_t number : person.numbers) {
    PhantomSlice slice{number, std::vector<uint8_t>(size * size * 3),
                       std::vector<uint8_t>(size * size, 0)};
    const float along = static_cast<float>(number) - middle;  // in slices
    const float height = std::clamp(look.level + 0.045F * along, -0.85F, 0.85F);
    const float shrink = square_root(1 - 0.55F * height * height);
    const float off = along / half;
    const float profile = off * off < 1 ? square_root(1 - off * off) : 0.0F;
    std::array<std::vector<float>, 3> planes;
    for (auto& plane : planes) plane.resize(size * size);
    for (int64_t i = 0; i < size * size; ++i) {
      const int64_t row = i / size, column = i % size;
      const float py = (static_cast<float>(row) + 0.5F) * pixel - 1 - look.head_y;
      const float px = (static_cast<float>(column) + 0.5F) * pixel - 1 - look.head_x;
      const float x = (look.turn_cosine * px + look.turn_sine * py) / (look.wide * shrink);
      const float y = (-look.turn_sine * px + look.turn_cosine * py) / (look.tall * shrink);
      const float r = square_root(x * x + y * y);
      const float edge = 0.8F * pixel / (look.wide * shrink);
      Triple value = head_tissue(look, folds, grain, x, y, r, height, edge);
      const float brain = soft_step((0.86F - r) / edge);
      const float place = tumor_place(look.tumor, profile, along, px, py);
      if (place < 3) {
        add_tumor(look.tumor, texture, wisps, px, py, along, place, brain, 0.6F * pixel, value);
      }
      if (place < 1 && brain > 0.5F) slice.mask[i] = 1;
      for (int c = 0; c < 3; ++c) planes[c][i] = value[c];
    }
    for (int c = 0; c < 3; ++c) {
      scan(look, c, planes[c], size, key, draw, static_cast<uint32_t>(number), slice.pixels);
    }
    for (int64_t i = 0; i < size * size; ++i) {  // a missing sequence is filled by FLAIR
      for (const int c : {0, 2}) {
        if (person.present[c] == 0) slice.pixels[i * 3 + c] = slice.pixels[i * 3 + 1];
      }
    }
    slices.push_back(std::move(slice));
  }
  return slices;
}

}  // namespace gliograd::data
