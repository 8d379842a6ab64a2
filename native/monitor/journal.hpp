// Everything that monitors report and explicit operations announce, with its time, for the auditor.
//
// The ring is for subscribers: an explicit operation's own report is no news to them, and many
// events in a row become one over everything. An auditor has to see each. Nobody audits by default,
// and then a note costs one load.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

#include "monitor/ring.hpp"

namespace mmunotify::monitor {

struct Note {
  std::int64_t time;  // ns of CLOCK_MONOTONIC, as the kernel's events have it
  Event event;
};

class Journal {
 public:
  // From now on; the first call counts.
  void keep();
  void note(const Event& event);
  // Everything since the last call; `lost` becomes true if something found no room. One at a time.
  std::vector<Note> take(bool& lost);

  // In the child of a fork, where whoever held the mutex is gone and nobody audits.
  void start_anew() {
    new (&mutex_) std::mutex;
    kept_.store(false);
  }

 private:
  static constexpr std::size_t capacity = 1 << 15;

  std::atomic<bool> kept_{false};
  std::mutex mutex_;
  std::vector<Note> notes_;
  std::vector<Note> taken_;  // what `take` is at; the two change places
  bool lost_ = false;
};

}  // namespace mmunotify::monitor
