// Random walks: cheap, repeatable executions by chance, which find most bugs before a search has
// begun in earnest.
#pragma once

#include <cstdint>
#include <vector>

#include "core/expand.hpp"
#include "core/judge.hpp"
#include "core/model.hpp"
#include "core/random.hpp"

namespace mmunotify::core {

class Walk {
 public:
  Walk(const Model& model, std::uint64_t seed);

  // Walks from the initial state again and again, `steps` steps in all, or until something is
  // found. The number of steps bounds it, not the clock: the same seed finds the same.
  Finding run(std::int64_t steps);

  // The steps of the walk that `run` ended with, without the states between them; the last one
  // failed if that is the finding.
  const std::vector<Node>& steps() const { return steps_; }
  const std::vector<std::uint8_t>& marks() const { return marks_; }
  const std::vector<std::uint8_t>& reached() const { return judge_.reached(); }

 private:
  enum class Moved : std::uint8_t { yes, end, finding };

  Moved move();
  Moved move_any();
  Moved take(Node node, int from);
  Moved refuse(int thread, Outcome outcome, const Vm& vm);
  int locate(int thread) const;
  static Node node(int thread, const Vm& vm);

  const Model& model_;
  Random random_;
  std::vector<std::uint8_t> marks_;
  Judge judge_;
  Vm vm_;   // picks by chance
  Vm all_;  // runs every alternative
  std::vector<Value> cells_;
  std::vector<Node> steps_;
  std::vector<int> order_;
  Finding finding_;
};

}  // namespace mmunotify::core
