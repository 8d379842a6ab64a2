// The sections that are open over a space, and the tombstones of those whose end nobody reports.
//
// A section is what lies between the begin of an explicit operation and its end. A tombstone stands
// for an operation that has begun and whose end is unknown: MADV_DONTNEED is reported before its
// pages go, and runs on when the report is read. A registration over either must not be kept.
#pragma once

#include <mutex>
#include <new>

#include "monitor/range_list.hpp"

namespace mmunotify::monitor {

class Sections {
 public:
  void open(const Range& range) {
    const std::lock_guard hold(mutex_);
    open_.add(range);
  }

  void close(const Range& range) {
    const std::lock_guard hold(mutex_);
    open_.remove(range);
  }

  void bury(const Range& range) {
    const std::lock_guard hold(mutex_);
    fresh_.add(range);
  }

  // The tombstones that were there at the last call are gone, those since are the next to go.
  // True while there are any.
  bool age() {
    const std::lock_guard hold(mutex_);
    old_ = fresh_;
    fresh_.clear();
    return !old_.empty();
  }

  bool buried() const {
    const std::lock_guard hold(mutex_);
    return !old_.empty() || !fresh_.empty();
  }

  bool over(const Range& range) const {
    const std::lock_guard hold(mutex_);
    return open_.overlaps(range) || fresh_.overlaps(range) || old_.overlaps(range);
  }

  // In the child of a fork, where whoever held the mutex is gone.
  void start_anew() {
    new (&mutex_) std::mutex;
    open_.clear();
    fresh_.clear();
    old_.clear();
  }

 private:
  mutable std::mutex mutex_;
  RangeList<64> open_;
  RangeList<64> fresh_;
  RangeList<64> old_;
};

}  // namespace mmunotify::monitor
