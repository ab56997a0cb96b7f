#include "apps/study/draw_guard.hpp"

#include "engine/core/error.hpp"

namespace gliograd::study {

void check_draws(const data::Dataset& set, const std::vector<int32_t>& draws,
                 const std::vector<int32_t>& test) {
  std::vector<char> is_test(set.patients.size());
  for (const int32_t p : test) is_test[p] = 1;
  for (const int32_t slice : draws) {
    const data::Slice& drawn = set.slices[slice];
    if (is_test[drawn.patient] == 0) continue;
    throw Error(concat_text("leak: slice ", drawn.number, " of test patient ",
                            set.patients[drawn.patient].id, " was drawn for training"));
  }
}

}  // namespace gliograd::study
