#include "core/search.hpp"

namespace mmunotify::core {

Result Search::run(const Options& options, const Report& report) {
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
  finish(result);
  return result;
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
  result.path = result.by_walk ? builder.along(walk_->steps())
                               : builder.to(bfs_.store(), bfs_.found_at(), result.finding);
}

}  // namespace mmunotify::core
