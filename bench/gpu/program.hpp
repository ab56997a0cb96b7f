// What the programs of this folder begin and end with.
#pragma once
#include <algorithm>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "bench/gpu/engine.hpp"
#include "engine/core/error.hpp"
#include "kernels/runtime.hpp"

namespace gliograd::bench {

/// Exit status: what `work` returns; 77 and a word where there is no GPU; 2 for wrong options, 1
/// where the work failed.
inline int run_gpu_program(const char* name, const char* help,
                           const std::vector<std::string>& words,
                           const std::function<int()>& work) {
  if (std::find(words.begin(), words.end(), "--help") != words.end()) {
    std::cout << help;
    return 0;
  }
  try {
    if (kernels::device_count() == 0) {
      std::cerr << "SKIPPED: " << name << ": no GPU\n";
      return 77;
    }
    return work();
  } catch (const WorkError& error) {
    std::cerr << name << ": " << error.what() << '\n';
    return 1;
  } catch (const Error& error) {
    std::cerr << name << ": " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << name << ": " << error.what() << '\n';
    return 1;
  }
}

/// What a program that times rounds asks its engine, unless its options say otherwise.
struct Rounds {
  std::string rounds = "5";
  std::string of = "--steps", each = "20";  // words for `round`; several, by commas, in turn
  std::vector<std::string> then = {};       // asked for at the end
};

/// From a program's options: setup with those that are the engine's own, then the rounds.
inline std::vector<std::string> requests_of(std::vector<std::string> words, const Rounds& usual) {
  const std::string rounds = taken(words, "--rounds", usual.rounds);
  std::istringstream each(taken(words, usual.of, usual.each));
  std::vector<std::string> turn;
  for (std::string one; std::getline(each, one, ',');) turn.push_back("round " + one);
  if (turn.empty()) throw Error(usual.of + " needs a value");
  const int64_t count = Words({"--rounds", rounds}).integer("--rounds", 1, 1, 1000);
  std::vector<std::string> requests{joined("setup", words)};
  for (int64_t r = 0; r < count; ++r) requests.insert(requests.end(), turn.begin(), turn.end());
  requests.insert(requests.end(), usual.then.begin(), usual.then.end());
  return requests;
}

/// The main program around an engine: by the one word `serve` it takes turns with others, else it
/// times rounds of its own. Exit status.
template <class EngineType>
int run_rounds(const char* name, const char* help, int argc, char** argv, const Rounds& usual) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  return run_gpu_program(name, help, words, [&] {
    EngineType engine;
    return words == std::vector<std::string>{"serve"} ? serve(engine)
                                                      : ask_all(engine, requests_of(words, usual));
  });
}

}  // namespace gliograd::bench
