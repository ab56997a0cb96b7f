// Which of a vendor library's plans computes a product on a GPU: timed once, shared by all networks
// of a run, written down, and read again by the next.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace gliograd {

struct PlanChoice {
  std::string plan;        // the library's engine and its knobs
  double ms = 0;           // median, on the device
  int64_t workspace = 0;   // bytes
  int64_t candidates = 0;  // that were timed
};

/// Thread-safe. Networks side by side that meet a product for the first time wait for the one that
/// times it, and take its choice: so they compute with the same bits as one alone with these
/// choices.
class PlanChoices {
 public:
  /// The choice for `product`; `time` is called where there is none.
  PlanChoice of(const std::string& product, const std::function<PlanChoice()>& time);
  /// Times anew, because the plan `gone` does not exist here; once for all networks that find so.
  PlanChoice renewed(const std::string& product, const std::string& gone,
                     const std::function<PlanChoice()>& time);
  /// `told` gets csv() whenever that has changed, before anybody is given the choice: nothing that
  /// was computed with it can be kept before it is. One call at a time; it must not ask this
  /// object. What it throws, of() and renewed() throw.
  void on_change(std::function<void(const std::string& csv)> told);

  enum class Which : uint8_t { used, all };
  /// Sorted, a product a line: product,plan,ms,workspace,candidates. Used: those that of() was
  /// asked for.
  std::string csv(Which which = Which::used) const;
  /// Adds what such a text holds; what is known already stays. Errors: Error "NAME: ..." where it
  /// is no such text.
  void read(const std::string& csv, const std::string& name);
  /// How many choices were timed here, not read.
  int64_t timed() const;

 private:
  struct Entry {
    PlanChoice choice;
    bool used = false;
  };
  // Both with mutex_ held.
  std::string text(Which which) const;
  void tell_used(Entry& entry) const;

  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::function<void(const std::string& csv)> told_;
  int64_t timed_ = 0;
};

}  // namespace gliograd
