// What the monitor has seen, for Python to be told later. Nothing waits for Python here: where there
// is no room an event is lost, and that one was is remembered.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>

#include "monitor/range.hpp"

namespace mmunotify::monitor {

// What an event is of. `begun` and `ended` are of an explicit operation, and for the journal alone.
enum class Kind : std::uint8_t { unmap, remap, remove, fork, died, change, begun, ended };

struct Event {
  Kind kind;
  Range range;
  Range target;  // where a remap leads to
};

class Ring {
 public:
  Ring();
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  void push(const Event& event);
  // Take up to `room` events; `lost` becomes true if any was thrown away since the last call.
  std::size_t drain(Event* events, std::size_t room, bool& lost);
  // Readable while there is something to drain (an eventfd).
  int fd() const { return fd_; }

  // In the child of a fork, where whoever held the mutex is gone.
  void start_anew() {
    new (&mutex_) std::mutex;
    head_ = size_ = 0;
  }

 private:
  static constexpr std::size_t capacity = 1024;

  std::mutex mutex_;
  std::array<Event, capacity> events_;
  std::size_t head_ = 0;  // the oldest
  std::size_t size_ = 0;
  bool lost_ = false;
  int fd_;
};

}  // namespace mmunotify::monitor
