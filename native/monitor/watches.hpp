// How many watch each page, as segments with the same count. Not for the monitor's thread: it
// allocates.
#pragma once

#include <cstddef>
#include <vector>

#include "monitor/range.hpp"

namespace mmunotify::monitor {

class Watches {
 public:
  void add(const Range& range) { change(range, 1); }
  // The parts that nobody watches any more.
  std::vector<Range> remove(const Range& range) { return change(range, -1); }
  std::vector<Range> clear();
  std::size_t size() const { return segments_.size(); }

 private:
  struct Segment {
    Range range;
    int count;
  };

  std::vector<Range> change(const Range& range, int step);

  std::vector<Segment> segments_;  // disjoint, in order, each with a count above 0
};

}  // namespace mmunotify::monitor
