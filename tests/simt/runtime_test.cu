// The emulated GPU: work runs late and in any order that events allow; what a program forgets
// shows.
#include <doctest/doctest.h>

#include <vector>

#include "kernels/runtime.hpp"
#include "tests/simt/planted.cuh"
#include "tests/simt/runtime.hpp"
#include "tests/simt/simt.hpp"

using namespace gliograd;
using namespace gliograd::kernels;
using simt::Order;
using simt::take_report;

namespace {

constexpr int kCount = 100;
constexpr int64_t kBytes = kCount * sizeof(float);

/// A queue and three arrays of floats on the device, the first of them 0, 1, 2, ...
struct Device {
  Queue queue = make_queue(0), other = make_queue(0);
  Event event = make_event(false);
  std::vector<float> start = std::vector<float>(kCount);
  float* memory[3];

  Device() {
    for (float*& one : memory) one = static_cast<float*>(take_memory(0, kBytes));
    for (int i = 0; i < kCount; ++i) start[static_cast<size_t>(i)] = static_cast<float>(i);
    copy_memory(queue, memory[0], start.data(), kBytes, CopyKind::to_device);
    wait_queue(queue);
  }
  ~Device() {
    free_event(event);
    free_queue(queue);
    free_queue(other);
    for (float* one : memory) {
      if (one != nullptr) give_memory(0, one);
    }
  }
  void step(Queue on, int from, int to, float a, float b) const {
    launch({"scale_and_shift", 4, 32}, on, simt::scale_and_shift, memory[from], memory[to], kCount,
           a, b);
  }
  std::vector<float> values(int of) const {
    std::vector<float> out(kCount);
    copy_memory(queue, out.data(), memory[of], kBytes, CopyKind::to_host);
    wait_queue(queue);
    return out;
  }
};

void expect_nothing() {
  const simt::Report report = take_report();
  INFO(report.text());
  CHECK(report.total == 0);
}

}  // namespace

TEST_CASE("emulated GPU: work is queued, runs when it is waited for, and gives the right numbers") {
  simt::set_device({});
  const Device device;
  CHECK(device_count() == 1);
  CHECK(device_facts(0).name == "emulated");
  device.step(device.queue, 0, 1, 2, 1);
  device.step(device.queue, 1, 2, 1, -1);
  CHECK(simt::waiting_work() == 2);
  const std::vector<float> out = device.values(2);
  CHECK(simt::waiting_work() == 0);
  CHECK(out[7] == 14);
  zero_memory(device.queue, device.memory[2], kBytes);
  CHECK(device.values(2)[7] == 0);
  expect_nothing();
}

TEST_CASE("emulated GPU: two streams without an event between them go wrong under some seed") {
  bool wrong = false;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    simt::set_device({.order = Order::any, .seed = seed});
    const Device device;
    device.step(device.queue, 0, 1, 2, 1);
    device.step(device.other, 1, 2, 1, 0);
    wait_queue(device.other);
    wait_queue(device.queue);
    if (take_report().total > 0) wrong = true;  // it read what nothing had written
  }
  CHECK(wrong);
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    simt::set_device({.order = Order::any, .seed = seed});
    const Device device;
    device.step(device.queue, 0, 1, 2, 1);
    record_event(device.queue, device.event);
    wait_event(device.other, device.event);
    device.step(device.other, 1, 2, 1, 0);
    wait_queue(device.other);
    CHECK(device.values(2)[5] == 11);
    expect_nothing();
  }
}

TEST_CASE("emulated GPU: a host that touches device memory is named with its line") {
  simt::set_device({});
  const Device device;
  volatile float* closed = device.memory[0];
  const float seen = closed[3];
  CHECK(seen == 3);
  const simt::Report report = take_report();
  INFO(report.text());
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].kind == "host");
  CHECK(report.findings[0].text.find("runtime_test.cu:") != std::string::npos);
}

TEST_CASE("emulated GPU: a captured graph replays, over two streams, as often as it is launched") {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    simt::set_device({.order = Order::any, .seed = seed});
    const Device device;
    begin_capture(device.queue);
    CHECK(is_capturing(device.queue));
    device.step(device.queue, 0, 1, 1, 1);
    record_event(device.queue, device.event);
    wait_event(device.other, device.event);
    device.step(device.other, 1, 2, 10, 0);
    const Event back = make_event(false);
    record_event(device.other, back);
    wait_event(device.queue, back);
    device.step(device.queue, 1, 0, 1, 0);
    const Graph graph = end_capture(device.queue);
    CHECK(!is_capturing(device.queue));
    CHECK(simt::waiting_work() == 0);
    CHECK(graph_nodes(graph) == 3);
    for (int i = 0; i < 3; ++i) launch_graph(graph, device.queue);
    CHECK(device.values(0)[1] == 4);
    CHECK(device.values(2)[1] == 40);
    free_graph(graph);
    free_event(back);
    expect_nothing();
  }
}

TEST_CASE("emulated GPU: what a capture does not allow ends it, and the next one works") {
  simt::set_device({});
  const Device device;
  begin_capture(device.queue);
  CHECK_THROWS_WITH_AS(take_memory(0, 64), doctest::Contains("not permitted under capture"),
                       DeviceError);
  CHECK_THROWS_WITH_AS(end_capture(device.queue), doctest::Contains("ended the capture"),
                       DeviceError);
  begin_capture(device.queue);
  CHECK_THROWS_AS(wait_queue(device.queue), DeviceError);
  drop_capture(device.queue);
  // A stream that joined and did not come back.
  begin_capture(device.queue);
  device.step(device.queue, 0, 1, 1, 1);
  record_event(device.queue, device.event);
  wait_event(device.other, device.event);
  device.step(device.other, 1, 2, 1, 1);
  CHECK_THROWS_WITH_AS(end_capture(device.queue), doctest::Contains("did not come back"),
                       DeviceError);
  // An event from before the capture.
  record_event(device.other, device.event);
  begin_capture(device.queue);
  CHECK_THROWS_WITH_AS(wait_event(device.queue, device.event),
                       doctest::Contains("outside of the capture"), DeviceError);
  drop_capture(device.queue);
  begin_capture(device.queue);
  device.step(device.queue, 0, 1, 1, 1);
  const Graph graph = end_capture(device.queue);
  launch_graph(graph, device.queue);
  CHECK(device.values(1)[1] == 2);
  free_graph(graph);
  expect_nothing();
}

TEST_CASE("emulated GPU: a graph that keeps the pointer of memory given back is found out") {
  simt::set_device({});
  Device device;
  begin_capture(device.queue);
  device.step(device.queue, 0, 1, 1, 1);
  const Graph graph = end_capture(device.queue);
  give_memory(0, device.memory[1]);
  device.memory[1] = static_cast<float*>(take_memory(0, kBytes));
  launch_graph(graph, device.queue);
  wait_queue(device.queue);
  free_graph(graph);
  const simt::Report report = take_report();
  INFO(report.text());
  REQUIRE(!report.findings.empty());
  CHECK(report.findings[0].kind == "bounds");
}

TEST_CASE("emulated GPU: memory is refused beyond its size, and there again when given back") {
  simt::set_device({.memory_bytes = 4096});
  void* first = take_memory(0, 3000);
  CHECK(first != nullptr);
  CHECK(take_memory(0, 2000) == nullptr);
  CHECK(simt::device_memory_bytes() == 3000);
  give_memory(0, first);
  void* second = take_memory(0, 2000);
  CHECK(second != nullptr);
  give_memory(0, second);
  CHECK(simt::device_memory_bytes() == 0);
  simt::set_device({});
}

TEST_CASE("emulated GPU: pinned memory goes in and comes back") {
  simt::set_device({});
  const Device device;
  auto* pinned = static_cast<float*>(take_pinned(kBytes));
  for (int i = 0; i < kCount; ++i) pinned[i] = static_cast<float>(3 * i);
  copy_memory(device.queue, device.memory[1], pinned, kBytes, CopyKind::to_device);
  copy_memory(device.queue, device.memory[2], device.memory[1], kBytes, CopyKind::on_device);
  CHECK(device.values(2)[9] == 27);
  give_pinned(pinned);
  expect_nothing();
}

TEST_CASE("emulated GPU: time passes between events") {
  simt::set_device({});
  const Device device;
  const Event begin = make_event(true), end = make_event(true);
  record_event(device.queue, begin);
  device.step(device.queue, 0, 1, 1, 1);
  record_event(device.queue, end);
  CHECK_THROWS_AS(milliseconds_between(begin, end), DeviceError);
  finish_event(end);
  CHECK(milliseconds_between(begin, end) > 0);
  free_event(begin);
  free_event(end);
}

TEST_CASE("entry: a function that nothing provides, and one with other parameters, are refused") {
  static const Entry<void()> missing{"no_such_function"};
  CHECK_THROWS_AS(missing(), DeviceError);
  static const Entry<int(int)> other{"device_count"};
  CHECK_THROWS_WITH_AS(other(1), doctest::Contains("has other parameters"), DeviceError);
}
