// What the engines of this folder share. One takes turns with others (bench/peers/): a request a
// line, an answer a line. An answer is a JSON object; where something went wrong it has a key
// "error", and the engine goes on.
#pragma once
#include <functional>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/gpu/record.hpp"

namespace gliograd::bench {

class Engine {
 public:
  /// Given the words behind the request's first one.
  using Answer = std::function<std::string(const std::vector<std::string>&)>;

  std::string answer(const std::string& request) {
    std::istringstream in(request);
    const std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
    try {
      if (words.empty()) throw Error("an empty request");
      std::string known;
      for (const auto& [name, reply] : answers_) {
        if (name == words[0]) return reply({words.begin() + 1, words.end()});
        known += (known.empty() ? "" : ", ") + name;
      }
      throw Error("unknown request \"" + words[0] + "\"; known are " + known);
    } catch (const std::exception& error) {
      return Record().add("error", std::string(error.what())).text();
    }
  }

 protected:
  explicit Engine(std::vector<std::pair<std::string, Answer>> answers)
      : answers_(std::move(answers)) {}
  ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

 private:
  std::vector<std::pair<std::string, Answer>> answers_;
};

/// Reads requests, a line each, until standard input ends.
inline int serve(Engine& engine) {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << engine.answer(line) << std::endl;
  }
  return 0;
}

/// Prints the answers to `requests` in order, up to the first error. Exit status.
inline int ask_all(Engine& engine, const std::vector<std::string>& requests) {
  for (const std::string& request : requests) {
    const std::string answer = engine.answer(request);
    std::cout << answer << std::endl;
    if (answer.rfind("{\"error\"", 0) == 0) return 1;
  }
  return 0;
}

/// Takes "--name value" out of `words`; `fallback` where it is not there.
inline std::string taken(std::vector<std::string>& words, const std::string& name,
                         std::string fallback) {
  for (size_t i = 0; i + 1 < words.size(); i += 2) {
    if (words[i] != name) continue;
    std::string value = words[i + 1];
    words.erase(words.begin() + static_cast<int64_t>(i),
                words.begin() + static_cast<int64_t>(i) + 2);
    return value;
  }
  return fallback;
}

inline std::string joined(std::string first, const std::vector<std::string>& words) {
  for (const std::string& word : words) first += " " + word;
  return first;
}

}  // namespace gliograd::bench
