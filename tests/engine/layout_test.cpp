#include "engine/tensor/layout.hpp"

#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

TEST_CASE("layout: there and back is the identity, pads with zeros and is counted") {
  std::vector<double> v(2 * 3 * 2 * 20);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i);
  const Tensor x = tensor({2, 3, 2, 20}, v, DType::f32);
  const int64_t before = layout_conversions().count;
  const Tensor blocked = to_layout(x, Layout::blocked16);
  CHECK(blocked.storage()->bytes() == 2 * 3 * 2 * 32 * 4);
  CHECK(blocked.at<float>(6 * 16 + 0) == 16);  // pixel 0, channel 16
  CHECK(blocked.at<float>(6 * 16 + 4) == 0);   // channel 20 is padding
  CHECK(values(to_layout(blocked, Layout::nhwc)) == v);
  CHECK(layout_conversions().count == before + 2);
}

TEST_CASE("layout: every channel count from 1 to 40, from several threads, 16 without a copy") {
  for (int64_t c = 1; c <= 40; ++c) {
    const Shape shape{3, 2, 3, c};
    std::vector<double> v(shape.size());
    for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(i) + 1;
    const Tensor x = tensor(shape, v, DType::f32), blocked = to_layout(x, Layout::blocked16, 2);
    CHECK((blocked.storage() == x.storage()) == (c == 16));
    CHECK(values(to_layout(blocked, Layout::nhwc, 2)) == v);
    double all = 0;  // what is not a channel is zero
    for (int64_t i = 0; i < storage_size(shape, Layout::blocked16); ++i)
      all += blocked.at<float>(i);
    const double n = static_cast<double>(v.size());
    CHECK(all == n * (n + 1) / 2);
  }
  CHECK(contains(error_of([] {
                   to_layout(tensor({2}, {1, 2}, DType::f32), Layout::blocked16);
                 }),
                 "only f32 [N, H, W, C] tensors are converted; got f32 [2]"));
}
