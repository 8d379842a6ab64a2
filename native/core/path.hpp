// Real executions: from the chain of stored states that a search leaves behind, back to steps
// that run one after the other from the initial state.
#pragma once

#include <cstdint>
#include <vector>

#include "core/expand.hpp"
#include "core/judge.hpp"
#include "core/model.hpp"
#include "core/store.hpp"

namespace mmunotify::core {

// A step as the reduction has it: from one boundary that is kept to the next.
struct MacroStep {
  int thread = 0;
  std::vector<std::int32_t> choices;
  int boundary = -1;  // reached; -1 where the step failed
};

// A step from one boundary to the very next, as the interpreter runs it.
struct MicroStep {
  int thread = 0;
  std::vector<std::int32_t> choices;
};

struct Path {
  bool valid = false;
  std::vector<MacroStep> steps;
  std::vector<MicroStep> schedule;
  std::size_t loop = 0;  // of a cycle: the step of `schedule` from which on all repeats
};

class PathBuilder {
 public:
  explicit PathBuilder(const Model& model);

  // Returns an execution that ends in `state`, up to symmetry, and for a failing step with that
  // step; `finding` becomes what it shows. Invalid when there is none: then the reduction has
  // merged states that it must not.
  Path to(const Store& store, std::uint32_t state, Finding& finding);

  // The same, followed by a cycle that begins and ends in `state`. Without symmetry only.
  Path around(const Store& store, std::uint32_t state, const std::vector<Node>& cycle);

  // The same for steps that have been recorded as they were run.
  Path along(const std::vector<Node>& steps);

 private:
  bool reach(const Store& store, std::uint32_t state);
  bool conclude(Finding& finding);
  bool hop(const std::uint64_t* target);
  bool last(const Finding& finding);
  bool imitate(const std::vector<Node>& log, int node);
  bool imitate_step(const Node& step);
  bool take(int thread, const Vm& vm, bool failed);
  bool same(const Value* cells, const std::vector<Value>& key);
  std::vector<Value> key(const Value* cells);
  bool cut_step(const Node& step, std::vector<Value>& cells);

  const Model& model_;
  std::vector<std::uint8_t> marks_;
  Expander<Vm> expander_;
  Vm vm_;
  Vm micro_;
  Symmetry::Scratch scratch_;
  std::vector<Value> abstract_;  // the stored state the search expanded
  std::vector<Value> real_;      // the same state, up to symmetry, on the path being made
  std::vector<Node> taken_;      // the steps of that path
  std::vector<MicroStep> schedule_;
};

}  // namespace mmunotify::core
