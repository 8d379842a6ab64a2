// A short list of ranges that never allocates: what it cannot hold makes it cover everything.
#pragma once

#include <cstddef>

#include "monitor/range.hpp"

namespace mmunotify::monitor {

template <std::size_t capacity>
class RangeList {
 public:
  void add(const Range& range) {
    if (size_ < capacity)
      ranges_[size_++] = range;
    else
      ++beyond_;
  }

  // Take one range like this out, or one of those that there was no room for.
  bool remove(const Range& range) {
    for (std::size_t at = 0; at < size_; ++at) {
      if (ranges_[at] == range) {
        ranges_[at] = ranges_[--size_];
        return true;
      }
    }
    if (beyond_ == 0) return false;
    --beyond_;
    return true;
  }

  bool overlaps(const Range& range) const {
    if (beyond_ > 0) return true;
    for (std::size_t at = 0; at < size_; ++at)
      if (ranges_[at].overlaps(range)) return true;
    return false;
  }

  bool empty() const { return size_ == 0 && beyond_ == 0; }
  void clear() { size_ = beyond_ = 0; }

 private:
  Range ranges_[capacity];
  std::size_t size_ = 0;
  std::size_t beyond_ = 0;
};

}  // namespace mmunotify::monitor
