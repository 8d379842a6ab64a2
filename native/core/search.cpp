#include "core/search.hpp"

#include <algorithm>
#include <chrono>

namespace mmunotify::core {

Result Search::run(const Options& options, const Report& report) {
  const auto began = std::chrono::steady_clock::now();
  Result result;
  if (!walk_ && options.walk_steps > 0 && !bfs_.started()) {
    walk_ = std::make_unique<Walk>(model_, options.seed);
    walk_finding_ = walk_->run(options.walk_steps);
    // A walk may meet a fault by a way the search would not take first: let the search report it.
    if (walk_finding_.kind == Finding::Kind::fault) walk_finding_ = {};
  }
  if (!walk_finding_ || !options.first_violation) {
    result.stop = bfs_.run(options.limits, report);
    result.finding = bfs_.finding();
  }
  if (walk_finding_ && result.stop != Stop::violated) {
    result.stop = Stop::violated;
    result.finding = walk_finding_;
    result.by_walk = true;
  }
  result.progress = bfs_.progress();
  if (result.stop == Stop::none) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began;
    Limits limits = options.limits;
    limits.max_seconds -= passed.count();
    look_for_cycles(limits, report, result);
    const std::chrono::duration<double> all = std::chrono::steady_clock::now() - began;
    result.progress.seconds += all.count() - passed.count();
  }
  finish(result);
  return result;
}

// Where all states are known and nothing is wrong with any: whether something waits for ever.
void Search::look_for_cycles(const Limits& limits, const Report& report, Result& result) {
  const auto pending = [](const Predicate& p) { return p.kind == PredicateKind::pending; };
  if (std::ranges::none_of(model_.program.predicates, pending)) return;
  FairCycles cycles(model_, bfs_.store());
  result.stop = cycles.run(limits, report, result.progress);
  if (result.stop != Stop::violated) return;
  cycle_ = cycles.cycle();
  result.finding = {Finding::Kind::cycle, -1, cycle_.predicate, Fault::none};
}

void Search::finish(Result& result) {
  result.marks = bfs_.marks();
  result.reached = bfs_.reached();
  if (walk_) {
    for (std::size_t m = 0; m < result.marks.size(); ++m) result.marks[m] |= walk_->marks()[m];
    for (std::size_t n = 0; n < result.reached.size(); ++n)
      result.reached[n] |= walk_->reached()[n];
  }
  if (!result.finding) return;
  PathBuilder builder(model_);
  if (result.finding.kind == Finding::Kind::cycle) {
    result.path = builder.around(bfs_.store(), cycle_.start, cycle_.steps);
    return;
  }
  result.path = result.by_walk ? builder.along(walk_->steps())
                               : builder.to(bfs_.store(), bfs_.found_at(), result.finding);
}

}  // namespace mmunotify::core
