#include "monitor/journal.hpp"

#include <time.h>

namespace mmunotify::monitor {
namespace {

// Every page of it is there: whoever notes need not fault, let alone allocate.
std::vector<Note> with_room(std::size_t capacity) {
  std::vector<Note> notes(capacity);
  notes.clear();
  return notes;
}

std::int64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

void Journal::keep() {
  if (kept_.load()) return;
  notes_ = with_room(capacity);
  taken_ = with_room(capacity);
  kept_.store(true, std::memory_order_release);
}

void Journal::note(const Event& event) {
  if (!kept_.load(std::memory_order_acquire)) return;
  const std::int64_t time = now();
  const std::lock_guard hold(mutex_);
  if (notes_.size() < capacity)
    notes_.push_back({time, event});
  else
    lost_ = true;
}

std::vector<Note> Journal::take(bool& lost) {
  {
    const std::lock_guard hold(mutex_);
    notes_.swap(taken_);
    lost = lost_;
    lost_ = false;
  }
  // The copy is made without the mutex: to allocate can be a system call.
  const std::vector<Note> found(taken_);
  taken_.clear();
  return found;
}

}  // namespace mmunotify::monitor
