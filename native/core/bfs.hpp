// Breadth-first search over the stored states, level by level, by one worker or several.
//
// A search that stops at a limit can be run again with larger limits: it goes on exactly where
// it stopped, because a state counts as expanded only when all its successors are stored.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "core/crew.hpp"
#include "core/expand.hpp"
#include "core/judge.hpp"
#include "core/memo.hpp"
#include "core/model.hpp"
#include "core/store.hpp"

namespace mmunotify::core {

enum class Stop : std::uint8_t { none, violated, fault, memory, states, time, interrupted };

struct Limits {
  std::uint64_t max_states = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t max_bytes = std::numeric_limits<std::uint64_t>::max();
  double max_seconds = std::numeric_limits<double>::infinity();
  int workers = 1;
  // In levels of fewer states than this one worker searches, which keeps small searches
  // deterministic and costs nothing there.
  std::uint32_t parallel_from = 20'000;
};

struct Progress {
  std::uint64_t states = 0, transitions = 0, depth = 0, frontier = 0, bytes = 0;
  double seconds = 0;
};

// Called about ten times a second; returns false to interrupt the search.
using Report = std::function<bool(const Progress&)>;

class Bfs {
 public:
  explicit Bfs(const Model& model);
  ~Bfs();

  // Searches until all states are expanded (Stop::none), a violation is found, or a limit is
  // reached. A search that has found a violation stays where it is.
  Stop run(const Limits& limits, const Report& report);

  bool started() const { return started_; }
  Progress progress() const;
  const Finding& finding() const { return finding_; }
  // The state expanded when the finding was met, or the state that violates a predicate.
  std::uint32_t found_at() const { return found_at_; }
  const Store& store() const { return store_; }
  // Sums of what the workers have marked and reached.
  std::vector<std::uint8_t> marks() const;
  std::vector<std::uint8_t> reached() const;

 private:
  class Worker;
  template <int Words>
  class WorkerOf;
  struct Range {
    std::uint32_t begin = 0, end = 0;
  };
  using Clock = std::chrono::steady_clock;

  Stop start();
  void hire();
  void run_level(int workers);
  bool take(Range& range, std::uint32_t most);
  void give_back(Range range);
  void stop(Stop reason);
  void found(const Finding& finding, std::uint32_t state);
  void grow();
  void poll();
  double seconds() const;

  const Model& model_;
  Store store_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Crew> crew_;  // while several workers run

  std::mutex mutex_;         // guards the next three
  std::vector<Range> todo_;  // states of this level not expanded yet
  Finding finding_;
  std::uint32_t found_at_ = no_state;

  std::atomic<Stop> stop_{Stop::none};
  bool started_ = false;
  std::uint32_t level_begin_ = 0, level_end_ = 0;
  std::uint64_t depth_ = 0;
  Limits limits_;
  const Report* report_ = nullptr;
  Clock::time_point began_{}, reported_{};
  double earlier_ = 0;  // seconds of earlier runs
};

}  // namespace mmunotify::core
