// Damaged files of every kind: whatever the bytes, a reader returns or throws an Error of one line.
// Images and tables are taken apart in this process, so that the sanitizers see our own code and
// the libraries in it; prepared sets through a worker, as in use. GLIOGRAD_FUZZ multiplies the
// rounds.
#include <tiffio.h>
#include <zlib.h>

#include <cstdlib>
#include <random>

#include "data/readers/csv.hpp"
#include "data/readers/image.hpp"
#include "data/readers/prepared_set.hpp"
#include "tests/support/image_files.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::data;
using namespace gliograd::test;

namespace {

using Bytes = std::vector<uint8_t>;

int rounds(int base) {
  const char* more = std::getenv("GLIOGRAD_FUZZ");
  return base * (more != nullptr ? std::max(1, std::atoi(more)) : 1);
}

/// One to eight changes: bits, bytes, extreme 16- and 32-bit values, copied or removed stretches.
Bytes mutated(Bytes bytes, std::mt19937_64& random) {
  for (uint64_t change = 1 + random() % 8; change > 0 && !bytes.empty(); --change) {
    // Headers decide most, so half of the changes go there.
    const size_t range = random() % 2 == 0 ? std::min<size_t>(bytes.size(), 200) : bytes.size();
    const size_t at = random() % range;
    const size_t length = std::min<size_t>(1 + random() % 32, bytes.size() - at);
    const auto from = bytes.begin() + static_cast<int64_t>(at);
    switch (random() % 6) {
      case 0: bytes[at] = static_cast<uint8_t>(bytes[at] ^ 1 << random() % 8); break;
      case 1: bytes[at] = static_cast<uint8_t>(random()); break;
      case 2: std::fill_n(from, std::min<size_t>(length, 4), random() % 2 == 0 ? 0xff : 0); break;
      case 3: bytes.insert(from, from, from + static_cast<int64_t>(length)); break;
      case 4: bytes.erase(from, from + static_cast<int64_t>(length)); break;
      default: bytes.resize(at); break;
    }
  }
  return bytes;
}

/// Every chunk's checksum made right again, so that changes get past our own check to the decoder.
void mend_png(Bytes& bytes) {
  for (size_t at = 8; at + 12 <= bytes.size();) {
    const uint64_t length = uint64_t{bytes[at]} << 24 | uint64_t{bytes[at + 1]} << 16 |
                            uint64_t{bytes[at + 2]} << 8 | bytes[at + 3];
    if (length > bytes.size() - at - 12) return;
    const uLong sum = crc32(0, bytes.data() + at + 4, static_cast<uInt>(length + 4));
    for (int i = 0; i < 4; ++i) {
      bytes[at + 8 + length + i] = static_cast<uint8_t>(sum >> (24 - 8 * i));
    }
    at += 12 + length;
  }
}

struct Counts {
  int accepted = 0, refused = 0;
};

template <class Read>
void count(Counts& counts, const Read& read) {
  try {
    read();
    ++counts.accepted;
  } catch (const Error& error) {
    ++counts.refused;
    const std::string text = error.what();
    CHECK(!text.empty());
    CHECK(!contains(text, "\n"));
  }
}

Bytes pixels(std::mt19937_64& random, int size) {
  Bytes out(static_cast<size_t>(size));
  for (uint8_t& byte : out) byte = static_cast<uint8_t>(random() % 7 * 30);
  return out;
}

}  // namespace

TEST_CASE("fuzz: images") {
  for (const uint64_t seed : {uint64_t{20201}, fresh_seed()}) {
    INFO("seed ", seed);
    std::mt19937_64 random(seed);
    std::vector<Bytes> originals;
    for (const int codec : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE,
                            COMPRESSION_PACKBITS, COMPRESSION_JPEG, COMPRESSION_ZSTD}) {
      if (TIFFIsCODECConfigured(static_cast<uint16_t>(codec)) == 0) continue;
      TiffForm form{.height = 24, .width = 20, .channels = 3, .photometric = 2, .codec = codec};
      form.tile = random() % 2 == 0 ? 16 : 0;
      form.rows = 8;
      form.planar = codec != COMPRESSION_JPEG && random() % 2 == 0 ? 2 : 1;
      originals.push_back(tiff_bytes(pixels(random, 24 * 20 * 3), form));
    }
    TiffForm deep{.height = 5, .width = 7, .bits = 16};
    originals.push_back(tiff_bytes(pixels(random, 70), deep));
    const size_t tiffs = originals.size();
    originals.push_back(png_bytes(pixels(random, 24 * 20 * 4), 24, 20, 4));
    originals.push_back(png_bytes(pixels(random, 24 * 20), 24, 20, 1));
    const size_t pngs = originals.size();
    originals.push_back(jpeg_bytes(pixels(random, 24 * 20 * 3), 24, 20, 3));
    Counts counts;
    ImageDecoder decoder;
    for (const Bytes& original : originals) CHECK_NOTHROW(decode_image(original));
    for (int round = 0; round < rounds(600); ++round) {
      const size_t which = random() % originals.size();
      Bytes bytes = mutated(originals[which], random);
      if (which >= tiffs && which < pngs) mend_png(bytes);
      INFO("round ", round, " kind ", which);
      if (which < tiffs) {
        count(counts, [&] { decode_image(bytes); });
      } else {
        count(counts, [&] { decoder.decode("f", bytes); });
      }
    }
    CHECK(counts.accepted > 0);  // else the changes were too coarse to reach the decoders
    CHECK(counts.refused > 0);
  }
}

TEST_CASE("fuzz: tables") {
  const std::string original =
      "\xef\xbb\xbfPatient;\"a;b\";age\r\nP1;\"x "
      "\"\"y\"\"\";41,5\r\nP2;;\r\nM\xc3\xbcller;\"\n\";7\r\n";
  for (const uint64_t seed : {uint64_t{20202}, fresh_seed()}) {
    INFO("seed ", seed);
    std::mt19937_64 random(seed);
    Counts counts;
    for (int round = 0; round < rounds(3000); ++round) {
      const Bytes bytes = mutated({original.begin(), original.end()}, random);
      count(counts, [&] {
        const CsvTable table = parse_csv("t.csv", text_of(bytes));
        for (const auto& row : table.rows) CHECK(row.size() == table.header.size());
      });
    }
    CHECK(counts.accepted > 0);
    CHECK(counts.refused > 0);
  }
}

TEST_CASE("fuzz: prepared sets") {
  const TempDir folder;
  Dataset set;
  set.name = "fuzz";
  set.digest = "d";
  set.height = set.width = 4;
  set.slices_count = 3;
  set.channels = {"pre", "flair"};
  for (int p = 0; p < 2; ++p) {
    set.patients.emplace_back();
    set.patients.back().id = "P" + std::to_string(p);
    set.patients.back().present = {1, 1};
    set.patients.back().affine = {{}, {}};
  }
  set.slices.resize(3);
  set.slices[1].number = 1;
  set.slices[2].patient = 1;
  set.images.assign(3 * 16 * 2, 9);
  set.masks.assign(3 * 16, 1);
  set.labels = {{"COCCluster", {"1", "2"}, {0, 1}}};
  set.covariates = {{"age", {40, 50}}};
  const std::string path = folder / "a.h5";
  write_prepared(set, path, {{"command", "x"}});
  const std::string whole = read_file(path);
  for (const uint64_t seed : {uint64_t{20203}, fresh_seed()}) {
    INFO("seed ", seed);
    std::mt19937_64 random(seed);
    Counts counts;
    for (int round = 0; round < rounds(40); ++round) {
      write_file(path, text_of(mutated({whole.begin(), whole.end()}, random)));
      INFO("round ", round);
      count(counts, [&] {
        try {
          const Dataset got = read_prepared(path);
          check_dataset(got);
        } catch (const Error& error) {
          CHECK(std::string(error.what()).rfind(path + ": ", 0) == 0);
          throw;
        }
      });
    }
    CHECK(counts.refused > 0);
  }
}
