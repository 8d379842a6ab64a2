#include "monitor/watches.hpp"

#include <algorithm>

namespace mmunotify::monitor {

std::vector<Range> Watches::change(const Range& range, int step) {
  const auto first = std::lower_bound(
      segments_.begin(), segments_.end(), range.start,
      [](const Segment& segment, std::uintptr_t start) { return segment.range.end <= start; });
  auto last = first;
  std::vector<Segment> changed;
  std::uintptr_t at = range.start;
  for (; last != segments_.end() && last->range.start < range.end; ++last) {
    const Range inner{std::max(last->range.start, range.start),
                      std::min(last->range.end, range.end)};
    if (last->range.start < at) changed.push_back({{last->range.start, at}, last->count});
    if (at < inner.start) changed.push_back({{at, inner.start}, step});
    changed.push_back({inner, last->count + step});
    if (inner.end < last->range.end)
      changed.push_back({{inner.end, last->range.end}, last->count});
    at = inner.end;
  }
  if (at < range.end) changed.push_back({{at, range.end}, step});

  std::vector<Range> gone;
  std::vector<Segment> kept;
  for (const Segment& segment : changed) {
    if (segment.count == 0) gone.push_back(segment.range);
    if (segment.count > 0) kept.push_back(segment);
  }
  const auto place = segments_.erase(first, last);
  segments_.insert(place, kept.begin(), kept.end());
  return gone;
}

std::vector<Range> Watches::clear() {
  std::vector<Range> all;
  for (const Segment& segment : segments_) all.push_back(segment.range);
  segments_.clear();
  return all;
}

}  // namespace mmunotify::monitor
