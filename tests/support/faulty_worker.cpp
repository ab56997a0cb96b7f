#include "tests/support/faulty_worker.hpp"

#include <csignal>
#include <cstdlib>
#include <list>

#include "data/readers/image.hpp"
#include "engine/files/hdf5_message.hpp"
#include "engine/files/worker.hpp"

namespace gliograd::test {

void serve_test_requests() {
  using Bytes = std::vector<uint8_t>;
  files::serve_requests({
      {"echo",
       [](const Bytes& bytes, files::Reply& reply) { reply.append(bytes.data(), bytes.size()); }},
      {"text", [](const Bytes& bytes,
                  files::Reply&) { throw Error(std::string(bytes.begin(), bytes.end())); }},
      {"die", [](const Bytes&, files::Reply&) { std::raise(SIGKILL); }},
      {"exit", [](const Bytes&, files::Reply&) { std::_Exit(0); }},
      {"spin",
       [](const Bytes& bytes, files::Reply&) {
         const volatile uint8_t* first = bytes.data();
         while (*first == 'x') {
         }
       }},
      {"eat",
       [](const Bytes&, files::Reply&) {
         std::list<std::vector<char>> eaten;
         for (int i = 0; i < 1 << 14; ++i) eaten.emplace_back(1 << 20);
       }},
      {"image", data::decode_image_request},
      {"hdf5", files::decode_hdf5_request},
  });
}

}  // namespace gliograd::test
