// Fair cycles on which something stays pending for ever: what is left to be asked once all states
// are known.
//
// An execution is fair if every thread that could step from some point on, without end, does so
// again and again (weak fairness), and if a thread that waits in a queue, for a lock, gets it when
// it could have it again and again (strong fairness; WAIT says which waits are such). A set of
// states in which every state can be reached from every other, all pending, has a fair execution
// through all of it unless some thread that never steps within it
//   - can step in all of its states: then there is none in any part of it either;
//   - can step in some of them, having queued: then it may do without these, so they are left out
//     and the rest is taken apart again (Emerson and Lei, Modalities for model checking, 1987).
// Components by Tarjan (Depth-first search and linear graph algorithms, 1972), without recursion.
// Successors are computed again instead of being kept.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "core/bfs.hpp"
#include "core/model.hpp"
#include "core/store.hpp"

namespace mmunotify::core {

// A cycle: the stored state that it begins and ends in, and its steps.
struct Cycle {
  int predicate = -1;
  std::uint32_t start = no_state;
  std::vector<Node> steps;
};

class FairCycles {
 public:
  // `store` holds all states that a search without ample sets and symmetry has found, each of
  // them expanded, and none of their steps fails.
  FairCycles(const Model& model, const Store& store);

  // Looks for a cycle on which some predicate `pending` is true throughout. Stop::violated: then
  // `cycle` is one that begins as early as any. `progress` is what is reported meanwhile.
  Stop run(const Limits& limits, const Report& report, Progress progress);

  const Cycle& cycle() const { return cycle_; }

 private:
  using States = std::vector<std::uint32_t>;
  using Clock = std::chrono::steady_clock;

  struct Edge {
    std::uint32_t to;
    int thread;
  };
  // What one state lets each thread do.
  struct Look {
    std::vector<Edge> edges;         // within the set looked at
    std::vector<std::uint8_t> able;  // [thread] it can step, to wherever
    std::vector<std::uint8_t> queued;  // [thread] it can, and stands where it queues
  };
  struct Frame {
    std::uint32_t state;
    std::size_t next, end;  // its edges in `edges_` that are not followed yet
    bool loops;             // it is its own successor
  };
  // Where a breadth-first search came from.
  struct Came {
    std::uint32_t from;
    int thread;
  };
  struct Hop {
    std::uint32_t from, to;
    int thread;
  };

  void search(int predicate);
  void components(const States& set, std::uint32_t group);
  void enter(std::uint32_t state, std::uint32_t group);
  void leave();
  void examine(States component);
  void look(std::uint32_t state, std::uint32_t group, Look& look);
  void keep(States component, std::uint32_t group);

  bool lasso(std::uint32_t start, std::vector<Hop>& loop);
  bool go(std::uint32_t from, const std::vector<std::uint8_t>& wanted, std::uint32_t home,
          std::vector<Hop>& loop);
  void meet(std::uint32_t state, std::vector<std::uint8_t>& met);
  bool served(const std::vector<Hop>& loop, std::vector<std::uint8_t>& must);
  Node node(const Hop& hop);

  void load(std::uint32_t state);
  bool poll();

  const Model& model_;
  const Store& store_;
  Vm vm_;
  std::vector<std::vector<std::uint8_t>> queues_;  // [thread][boundary]
  std::vector<std::uint64_t> words_;
  std::vector<Value> cells_;
  Look look_;

  std::vector<std::uint32_t> group_;   // the set that a state belongs to at the moment
  std::vector<std::uint32_t> number_;  // order of visits within that set; 0 none yet
  std::vector<std::uint32_t> low_;
  std::uint32_t groups_ = 0;
  std::uint32_t visited_ = 0;
  std::vector<Frame> frames_;
  States edges_;
  States open_;                // Tarjan's stack
  std::vector<States> found_;  // components not examined yet,
  std::uint64_t waiting_ = 0;  // and how many states these have

  int predicate_ = -1;
  States best_;                    // the component with the earliest state
  std::uint32_t best_group_ = 0;
  int best_predicate_ = -1;
  Cycle cycle_;

  Stop stop_ = Stop::none;
  Limits limits_;
  const Report* report_ = nullptr;
  Progress progress_;
  std::uint64_t looks_ = 0;
  Clock::time_point began_{}, reported_{};
};

}  // namespace mmunotify::core
