// parallel_for: the one way the engine's CPU paths use several threads: an OpenMP team (the runtime
// that oneDNN uses too), contiguous chunks, so that who computes what depends on `threads` alone.
#pragma once
#include <algorithm>
#include <cstdint>
#include <exception>

namespace gliograd {

/// Calls body(begin, end) on at most `threads` contiguous chunks of [0, n), none smaller than
/// `grain` (but the last). The first exception of any chunk is thrown again after all have ended.
template <class Body>
void parallel_for(int threads, int64_t n, int64_t grain, const Body& body) {
  const int64_t chunks =
      std::max<int64_t>(1, std::min<int64_t>(threads, n / std::max<int64_t>(1, grain)));
  if (n <= 0) return;
  if (chunks == 1) {
    body(int64_t{0}, n);
    return;
  }
  std::exception_ptr error;
#pragma omp parallel for num_threads(static_cast <int>(chunks)) schedule(static, 1)
  for (int64_t i = 0; i < chunks; ++i) {
    try {
      body(n * i / chunks, n * (i + 1) / chunks);
    } catch (...) {
#pragma omp critical(gliograd_parallel_for)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace gliograd
