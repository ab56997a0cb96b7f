// The test programs' main: doctest's, and a decode worker that misbehaves on request.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstring>

#include "tests/support/faulty_worker.hpp"

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "decode-worker") == 0) {
    gliograd::test::serve_test_requests();
    return 0;
  }
  return doctest::Context(argc, argv).run();
}
