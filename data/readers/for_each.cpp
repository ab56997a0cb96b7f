#include "data/readers/for_each.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/core/interrupt.hpp"

namespace gliograd::data {

void for_each_decoding(int64_t count, int threads,
                       const std::function<void(int64_t, ImageDecoder&)>& body,
                       const Progress& progress) {
  std::mutex mutex;
  std::map<int64_t, std::string> errors;  // of the input, by piece
  std::exception_ptr failure;             // of the work
  std::atomic<int64_t> next{0};
  std::atomic<bool> stop{false};
  int64_t done = 0;
  const auto work = [&] {
    ImageDecoder decoder;
    for (int64_t i = next++; i < count && !stop && !interrupted(); i = next++) {
      try {
        body(i, decoder);
        const std::lock_guard lock(mutex);
        ++done;
        if (progress) progress(done, count);
      } catch (const WorkError&) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        stop = true;
      } catch (const Error& error) {
        const std::lock_guard lock(mutex);
        errors[i] = error.what();
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        stop = true;
      }
    }
  };
  std::vector<std::thread> team;
  for (int64_t t = 0; t < std::min<int64_t>(std::max(1, threads), count); ++t) {
    team.emplace_back(work);
  }
  for (std::thread& thread : team) thread.join();
  stop_if_interrupted();
  if (failure) std::rethrow_exception(failure);
  if (errors.empty()) return;
  const std::string more =
      errors.size() > 1 ? " (and " + std::to_string(errors.size() - 1) + " more with errors)" : "";
  throw Error(errors.begin()->second + more);
}

}  // namespace gliograd::data
