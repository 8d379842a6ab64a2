// Evaluates the predicates of a program in the states that are stored.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model.hpp"

namespace mmunotify::core {

class Judge {
 public:
  explicit Judge(const Model& model)
      : model_(model), vm_(model.machine, nullptr), reached_(model.program.predicates.size()) {}

  bool needed() const { return !reached_.empty(); }

  // Returns the first predicate that `cells` violates, or the failure that one ran into.
  Finding judge(const Value* cells) {
    for (std::size_t n = 0; n < reached_.size(); ++n) {
      const Predicate& predicate = model_.program.predicates[n];
      if (predicate.kind == PredicateKind::final && !at_rest(cells)) continue;
      const int number = static_cast<int>(n);
      Value value = 0;
      const Outcome outcome = vm_.evaluate(number, predicate.result, cells, value);
      if (outcome == Outcome::failed)
        return {Finding::Kind::failure, -1, vm_.failure(), Fault::none};
      if (outcome == Outcome::fault) return {Finding::Kind::fault, -1, number, vm_.fault()};
      if (predicate.kind == PredicateKind::reachable ||
          predicate.kind == PredicateKind::pending) {
        reached_[n] |= value != 0;
      } else if ((value != 0) == (predicate.kind == PredicateKind::never)) {
        return {Finding::Kind::predicate, -1, number, Fault::none};
      }
    }
    return {};
  }

  // Which REACHABLE and PENDING predicates were true in some state.
  const std::vector<std::uint8_t>& reached() const { return reached_; }

 private:
  // Tells whether all threads have finished, but for daemons that have to wait.
  bool at_rest(const Value* cells) {
    if (!model_.machine.terminal(cells)) return false;
    const auto& threads = model_.machine.threads;
    for (std::size_t t = 0; t < threads.size(); ++t)
      if (threads[t].daemon && can_move(static_cast<int>(t), cells)) return false;
    return true;
  }

  bool can_move(int thread, const Value* cells) {
    const int boundary = vm_.boundary_of(thread, cells);
    if (boundary == model_.machine.threads[static_cast<std::size_t>(thread)].done) return false;
    Outcome outcome = vm_.start(thread, boundary, cells);
    while (outcome == Outcome::blocked && vm_.more()) outcome = vm_.next();
    return outcome != Outcome::blocked;
  }

  const Model& model_;
  Vm vm_;
  std::vector<std::uint8_t> reached_;
};

}  // namespace mmunotify::core
