// One search of one program, from random walks to the path of what was found: the face of the
// core towards the binding.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/bfs.hpp"
#include "core/fair_cycles.hpp"
#include "core/model.hpp"
#include "core/path.hpp"
#include "core/replay.hpp"
#include "core/walk.hpp"

namespace mmunotify::core {

struct Options {
  Limits limits;
  std::int64_t walk_steps = 20'000;  // 0: no walks
  std::uint64_t seed = 0;
  bool first_violation = true;  // a violation found by a walk ends the search
};

struct Result {
  Stop stop = Stop::none;
  Finding finding;
  bool by_walk = false;  // found by a random walk
  Progress progress;
  Path path;                          // to what was found; of a fault, to the state before it
  std::vector<std::uint8_t> marks;    // covers, then the boundaries of each thread
  std::vector<std::uint8_t> reached;  // one a predicate
};

class Search {
 public:
  // `program` and `reduction` have passed `check`.
  Search(Program program, Reduction reduction)
      : model_(std::move(program), std::move(reduction)), bfs_(model_) {}

  // Goes on where the last call stopped.
  Result run(const Options& options, const Report& report);

  const Model& model() const { return model_; }

 private:
  void look_for_cycles(const Limits& limits, const Report& report, Result& result);
  void finish(Result& result);

  Model model_;
  Bfs bfs_;
  std::unique_ptr<Walk> walk_;  // null until there were walks
  Finding walk_finding_;
  Cycle cycle_;
};

}  // namespace mmunotify::core
