#include "engine/core/digest.hpp"

#include <random>
#include <set>

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

std::string digest_of(const std::string& text) {
  Digest digest;
  digest.add(text);
  return digest.hex();
}

}  // namespace

TEST_CASE("digest: pieces of any size give what the whole gives") {
  const uint64_t seed = fresh_seed();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::string text(1 + random() % 500, '\0');
  for (char& c : text) c = static_cast<char>(random());
  Digest digest;
  for (size_t at = 0; at < text.size();) {
    const size_t size = std::min<size_t>(random() % 70, text.size() - at);
    digest.add(text.data() + at, size);
    at += size;
  }
  CHECK(digest.hex() == digest_of(text));
  CHECK(digest.hex().size() == 32);
}

TEST_CASE("digest: every bit, every length and every order counts") {
  std::set<std::string> seen = {digest_of("")};
  size_t expected = 1;
  std::string text(70, '\0');
  for (size_t size = 1; size <= text.size(); ++size, ++expected) {
    seen.insert(digest_of(text.substr(0, size)));
  }
  for (size_t bit = 0; bit < 8 * text.size(); ++bit, ++expected) {
    std::string other = text;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << bit % 8));
    seen.insert(digest_of(other));
  }
  for (const char* pair : {"ab", "ba"}) {
    seen.insert(digest_of(std::string(32, pair[0]) + std::string(32, pair[1])));
    ++expected;
  }
  CHECK(seen.size() == expected);
}

TEST_CASE("digest: the same bytes give the same digits in every build") {
  CHECK(digest_of("gliograd") == "81b184271014fa447db0835603c71143");
}
