// Meetings of workers: work that must be done while nobody else runs, and work all then share.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

namespace mmunotify::core {

class Crew {
 public:
  // `alone` is called by one worker of a meeting while all others wait, `together` then by all.
  Crew(int workers, std::function<void()> alone, std::function<void()> together)
      : alone_(std::move(alone)), together_(std::move(together)), active_(workers) {}

  // Takes part in a meeting, which begins when every active worker has come or left. What makes
  // one worker come must be seen by the others too, until `alone` has ended it.
  void meet() {
    std::unique_lock lock(mutex_);
    const int meeting = begun_;
    if (++arrived_ == active_) begin();
    changed_.wait(lock, [&] { return begun_ != meeting; });
    lock.unlock();
    together_();
    lock.lock();
    const int ending = ended_;
    if (++helped_ == active_) {
      helped_ = 0;
      ++ended_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return ended_ != ending; });
  }

  // Ends a worker's part: it will not meet any more.
  void leave() {
    const std::lock_guard lock(mutex_);
    if (--active_ > 0 && arrived_ == active_) begin();
  }

 private:
  void begin() {
    alone_();
    arrived_ = 0;
    ++begun_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> alone_, together_;
  int active_;
  int arrived_ = 0, helped_ = 0;
  int begun_ = 0, ended_ = 0;
};

}  // namespace mmunotify::core
