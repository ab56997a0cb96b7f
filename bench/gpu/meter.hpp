// What a GPU says of itself while it works, by NVML, which comes with the driver: opened at run
// time, and silent where it is not there.
#pragma once
#include <dlfcn.h>

#include <chrono>
#include <cmath>

#include "bench/gpu/record.hpp"

namespace gliograd::bench {

/// NaN where NVML does not say.
struct Reading {
  double energy_j = NAN;  // since the driver was loaded
  double power_w = NAN, temperature_c = NAN, sm_mhz = NAN, memory_mhz = NAN;
  double throttle = NAN;  // reasons, NVML's bits; 0: none
  std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();

  /// NaN over less than half a second too: the counter moves only every few tens of milliseconds.
  double joules_since(const Reading& before) const {
    return at - before.at < std::chrono::milliseconds(500) ? NAN : energy_j - before.energy_j;
  }

  Record record() const {
    return Record()
        .add("power_w", power_w)
        .add("temperature_c", temperature_c)
        .add("sm_mhz", sm_mhz)
        .add("memory_mhz", memory_mhz)
        .add("throttle", throttle);
  }
};

/// Of CUDA's first GPU, by its place on the bus: NVML's own count knows nothing of
/// CUDA_VISIBLE_DEVICES.
class Meter {
 public:
  Meter() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    char bus[32] = {};
    const auto init = function<int()>("nvmlInit_v2");
    const auto handle = function<int(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
    if (init == nullptr || handle == nullptr || !find_bus(bus, sizeof bus) || init() != 0 ||
        handle(bus, &device_) != 0) {
      device_ = nullptr;
    }
  }
  ~Meter() {
    if (const auto shutdown = function<int()>("nvmlShutdown")) shutdown();
    if (library_ != nullptr) dlclose(library_);
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  Reading read() const {
    Reading r;
    if (device_ == nullptr) return r;
    r.energy_j = number<unsigned long long>("nvmlDeviceGetTotalEnergyConsumption") * 1e-3;
    r.power_w = number<unsigned>("nvmlDeviceGetPowerUsage") * 1e-3;
    r.temperature_c = kind(function<int(void*, int, unsigned*)>("nvmlDeviceGetTemperature"), 0);
    r.sm_mhz = kind(function<int(void*, int, unsigned*)>("nvmlDeviceGetClockInfo"), 1);
    r.memory_mhz = kind(function<int(void*, int, unsigned*)>("nvmlDeviceGetClockInfo"), 2);
    r.throttle = number<unsigned long long>("nvmlDeviceGetCurrentClocksThrottleReasons");
    return r;
  }

 private:
  template <class Signature>
  static Signature* function_of(void* library, const char* name) {
    return library == nullptr ? nullptr : reinterpret_cast<Signature*>(dlsym(library, name));
  }
  template <class Signature>
  Signature* function(const char* name) const {
    return function_of<Signature>(library_, name);
  }
  // By the driver, which stays open: what computes here needs it too.
  static bool find_bus(char* bus, int size) {
    void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    const auto init = function_of<int(unsigned)>(driver, "cuInit");
    const auto first = function_of<int(int*, int)>(driver, "cuDeviceGet");
    const auto place = function_of<int(char*, int, int)>(driver, "cuDeviceGetPCIBusId");
    int device = 0;
    return init != nullptr && first != nullptr && place != nullptr && init(0) == 0 &&
           first(&device, 0) == 0 && place(bus, size, device) == 0;
  }
  template <class T>
  double number(const char* name) const {
    T value{};
    const auto get = function<int(void*, T*)>(name);
    return get != nullptr && get(device_, &value) == 0 ? static_cast<double>(value) : NAN;
  }
  double kind(int (*get)(void*, int, unsigned*), int which) const {
    unsigned value = 0;
    return get != nullptr && get(device_, which, &value) == 0 ? value : NAN;
  }

  void* library_;
  void* device_ = nullptr;
};

}  // namespace gliograd::bench
