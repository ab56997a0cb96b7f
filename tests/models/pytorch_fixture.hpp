// The fixture of whole networks and of training, as tests/oracle/make_fixtures.py wrote it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/files/hdf5_file.hpp"
#include "models/catalog.hpp"
#include "tests/support/distance.hpp"
#include "tests/support/support.hpp"

namespace gliograd::test {

constexpr int64_t kFixtureBatch = 8, kFixtureBatches = 4;

class NetworkFixture {
 public:
  /// `group` is "subtype" or "residual".
  explicit NetworkFixture(std::string group);

  /// A dataset of the group, f64; a path that starts with "/" stands for itself.
  std::vector<double> numbers(const std::string& object) const;
  /// With the fixture's first weights. Fails the test when names differ.
  std::unique_ptr<models::Network> network(const std::string& architecture,
                                           models::Settings settings, DType dtype) const;
  struct Batch {
    Tensor x, extra, labels;
  };
  Batch batch(int64_t index, DType dtype) const;

 private:
  std::string group_;
};

/// All parameters, gradients or buffers, one after the other in the network's order.
std::vector<double> flat_parameters(models::Network& network);
std::vector<double> flat_gradients(models::Network& network);
std::vector<double> flat_buffers(models::Network& network);

}  // namespace gliograd::test
