// A range of addresses, `[start, end)`.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mmunotify::monitor {

struct Range {
  std::uintptr_t start = 0;
  std::uintptr_t end = 0;

  bool empty() const { return start >= end; }
  bool overlaps(const Range& other) const {
    return start < other.end && other.start < end && !empty() && !other.empty();
  }
  bool covers(const Range& other) const { return start <= other.start && other.end <= end; }
  bool operator==(const Range&) const = default;
};

constexpr Range everything{0, UINTPTR_MAX};

}  // namespace mmunotify::monitor
