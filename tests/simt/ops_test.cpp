// The ops' GPU paths on the emulated GPU: every case that the CPU passes, in each type, against the
// f64 reference; and what goes between host and device.
#include "engine/ops/batch_norm.hpp"
#include "engine/ops/elementwise.hpp"
#include "engine/tensor/cast.hpp"
#include "kernels/batch_norm_blocks.hpp"
#include "tests/simt/op_cases.hpp"

using namespace gliograd;
using simt::case_of;
using simt::compare;
using simt::expect_nothing;
using simt::fresh_seed;
using simt::fresh_stream;
using simt::kSizes;
using simt::row_of;

TEST_CASE("GPU ops: every case in f32, bf16 and f16 against the f64 reference") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const uint64_t seed = fresh_seed();
    simt::set_device({.order = simt::Order::any, .seed = seed});
    const std::unique_ptr<Stream> stream = Stream::cuda();
    int compared = 0;
    for (const Case& c : all_cases()) {
      for (const CaseRow& row : c.rows) {
        if (row.bench) continue;  // of real size: for a real GPU
        for (const CaseOutcome& o : compare_paths(c, row, *stream, seed, dtype)) {
          INFO(o.where, ", ", dtype, ": error ", o.error, ", tolerance ", o.tolerance, ", seed ",
               seed);
          CHECK(o.passed);
          ++compared;
        }
      }
    }
    CHECK(compared >= 100);
    expect_nothing();
  }
}

TEST_CASE("GPU ops: element-wise ones at sizes around every vector width") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  for (const char* op : {"relu", "sigmoid", "add"}) {
    for (const int64_t n : kSizes) {
      CaseRow row = case_of(op).rows[0];
      for (CaseInput& input : row.inputs) input.shape = {n};
      compare(op, row, *stream, 2);
    }
  }
  expect_nothing();
}

TEST_CASE("GPU ops: linear layers at sizes around every cut") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  const auto with = [&](int64_t n, int64_t in, int64_t out) {
    CaseRow row = row_of("linear", "odd sizes");
    row.inputs[0].shape = {n, in};
    row.inputs[1].shape = {out, in};
    row.inputs[2].shape = {out};
    compare("linear", row, *stream, 10);
  };
  for (const int64_t size : kSizes) {
    with(size, 9, 2);
    with(3, size, 5);
    with(2, 13, size);
  }
  with(40, 96, 3);
  expect_nothing();
}

TEST_CASE("GPU ops: batch norm at numbers of rows and channels around every cut") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  const auto with = [&](const char* label, int64_t rows, int64_t channels) {
    CaseRow row = row_of("batch_norm", label);
    row.gradient_check = false;
    for (CaseInput& input : row.inputs) {
      input.shape = input.master ? Shape{channels} : Shape{1, rows, 1, channels};
    }
    compare("batch_norm", row, *stream, 100);
  };
  for (const int64_t channels : kSizes) with("17 channels, relu", 9, channels);
  for (const int64_t rows : {3, 31, 33, 257, 1031}) with("residual and relu", rows, 8);
  with("17 channels, relu", 2500, 1);
  with("residual", 1100, 264);
  expect_nothing();
}

TEST_CASE("GPU batch norm: many blocks of rows and of channels, again and again on one queue") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  for (const int64_t channels : {136, 35}) {  // of eight a thread, and of one: blocks side by side
    CaseRow row = row_of("batch_norm", "residual and relu");
    for (CaseInput& input : row.inputs) {
      input.shape = input.master ? Shape{channels} : Shape{1, 30, 41, channels};
    }
    for (int time = 0; time < 2; ++time) compare("batch_norm", row, *stream);
  }
  expect_nothing();
}

TEST_CASE("GPU batch norm: what does not vary has no variance, however far from zero") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  // As many blocks of rows as there may be, every one but the last of five rows a thread, and that
  // of one: so that each block's mean is exact.
  constexpr int64_t kChannels = 72, kRows = 131 * 160 + 32;
  const kernels::ChannelBlocks blocks(kRows, kChannels);
  CHECK(blocks.row_blocks == 132);
  CHECK(blocks.rows_each == 5 * blocks.depth);
  std::mt19937_64 generator(fresh_seed());
  std::vector<double> x(kRows * kChannels);
  for (size_t i = 0; i < x.size(); ++i) {  // 24 bits, as f32 has
    x[i] = i < kChannels ? static_cast<double>(1 << 23 | (generator() & 0x7fffff)) / 2
                         : x[i - kChannels];
  }
  RunningStats running{zeros(*stream, {kChannels}), zeros(*stream, {kChannels})};
  const Tensor ones = from_values(*stream, {kChannels}, std::vector<double>(kChannels, 1));
  Tape tape = Tape::off(*stream);
  batch_norm(tape, from_values(*stream, {1, kRows, 1, kChannels}, x), ones, ones, running,
             {.momentum = 1});
  CHECK(to_values(running.mean) == std::vector<double>(x.begin(), x.begin() + kChannels));
  CHECK(to_values(running.var) == std::vector<double>(kChannels, 0));
  expect_nothing();
}

TEST_CASE("GPU tensors: values go there and back, are cast, added and cleared") {
  simt::set_device({});
  const std::unique_ptr<Stream> stream = Stream::cuda(), cpu = Stream::cpu();
  std::vector<double> values(1031);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) / 8 - 50;
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i32}) {
    std::vector<double> held = to_values(from_values(*cpu, {1031}, values, dtype));
    CHECK(to_values(from_values(*stream, {1031}, values, dtype)) == held);
  }
  Tensor x = from_values(*stream, {1031}, values);
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const Tensor half = cast(x, dtype);
    CHECK(to_values(half) == to_values(cast(from_values(*cpu, {1031}, values), dtype)));
    Tensor sum = cast(half, DType::f32);
    add_into(sum, x);
    const std::vector<double> sums = to_values(sum), halves = to_values(half);
    bool right = true;
    for (size_t i = 0; i < sums.size(); ++i) right = right && sums[i] == halves[i] + values[i];
    CHECK(right);
  }
  CHECK(to_values(copy_to(*cpu, x)) == values);
  CHECK_THROWS_WITH_AS((void)x.data<float>(), doctest::Contains("cannot touch"), Error);
  Tensor host = from_values(*cpu, {1031}, values);
  CHECK_THROWS_WITH_AS(copy_into(host, x), doctest::Contains("copy_to()"), Error);
  fill_zero(x);
  CHECK(to_values(x) == std::vector<double>(1031));
  expect_nothing();
}

TEST_CASE("GPU tensors: many are converted or added in one launch, as one by one") {
  const std::unique_ptr<Stream> stream = fresh_stream();
  std::mt19937_64 generator(fresh_seed());
  const DType types[] = {DType::f32, DType::bf16, DType::f16};
  std::vector<Transfer> list;
  std::vector<Tensor> wanted;
  // Sizes around packs and blocks, and more of them than a launch takes.
  for (const int64_t size : {1, 7, 8, 9, 257, 8191, 8192, 8193, 20'000}) {
    for (int i = 0; i < 12; ++i) {
      std::vector<double> from(static_cast<size_t>(size)), to(from.size());
      for (double& v : from) v = static_cast<double>(generator() >> 50) - 8192;
      for (double& v : to) v = static_cast<double>(generator() >> 50);
      const Tensor x = from_values(*stream, {size}, from, types[i % 3]);
      const Tensor y = from_values(*stream, {size}, to);
      Tensor z = from_values(*stream, {size}, to);
      i % 2 == 0 ? copy_into(z, x) : add_into(z, x);
      list.push_back({y, x, i % 2 != 0});
      wanted.push_back(z);
    }
  }
  stream->wait();
  CHECK(list.size() == 108);
  transfer_all(list);
  CHECK(simt::waiting_work() == 2);
  bool same = true;
  for (size_t i = 0; i < list.size(); ++i) {
    same = same && to_values(list[i].to) == to_values(wanted[i]);
  }
  CHECK(same);
  std::vector<Transfer> half{{cast(list[0].to, DType::bf16), list[0].x}};
  CHECK_THROWS_WITH_AS(transfer_all(half), doctest::Contains("to f32; got f32 to bf16"), Error);
  expect_nothing();
}

TEST_CASE("GPU tape: gradients begin with the loss scale in the stream's memory, and add up") {
  simt::set_device({});
  const std::unique_ptr<Stream> stream = Stream::cuda();
  StepState state;
  state.loss_scale = 64;
  state.step = 5;
  stream->write_state(state);
  CHECK(stream->read_state().step == 5);
  Tape tape(*stream);
  const Tensor x = tape.watch(from_values(*stream, {1}, {3}));
  tape.backward(add(tape, relu(tape, x), x));
  CHECK(to_values(tape.gradient(x)) == std::vector<double>{128});
  expect_nothing();
}

TEST_CASE("GPU stream: memory comes back, runs out with a clear word, and is there again") {
  const int64_t before = simt::device_memory_bytes();
  simt::set_device({.memory_bytes = before + (1 << 20)});
  {
    const std::unique_ptr<Stream> stream = Stream::cuda();
    {
      const Tensor most = empty(*stream, {200'000});
      CHECK_THROWS_WITH_AS(empty(*stream, {200'000}), doctest::Contains("out of memory: GPU 0"),
                           WorkError);
    }
    CHECK(empty(*stream, {200'000}).defined());
    // Of another size: what is cached goes back first.
    CHECK(empty(*stream, {150'000}).defined());
    CHECK(simt::device_memory_bytes() > before);
  }
  CHECK(simt::device_memory_bytes() == before);
  CHECK_THROWS_AS(Stream::cuda(7), kernels::DeviceError);
  CHECK_THROWS_WITH_AS(Stream::cuda(0, {.threads = 0}), doctest::Contains("threads"), Error);
  simt::set_device({});
  expect_nothing();
}
