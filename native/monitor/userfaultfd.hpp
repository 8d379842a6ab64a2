// The monitor that needs no privilege: a userfaultfd and the thread that reads it.
//
// Memory is registered for write-protection with WP_ASYNC and never write-protected. Then there are
// no faults to serve, on files neither, and every unmap, move and discard of it is reported
// (measured on Linux 6.18: munmap, mmap over, mremap, MADV_DONTNEED, MADV_FREE, MADV_REMOVE, brk).
//
// Invariant: reading an event lets its operation run on, so `gate.working` is set before `read` and
// cleared when the tables are up to date. The thread takes no lock that is held across a system
// call, allocates nothing and knows no Python: whoever is blocked until it has read may hold
// anything else, the interpreter's lock above all.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "monitor/space.hpp"
#include "monitor/watches.hpp"

namespace mmunotify::monitor {

class Userfaultfd {
 public:
  // Throws std::system_error if the kernel refuses.
  explicit Userfaultfd(std::shared_ptr<Space> space);
  ~Userfaultfd();
  Userfaultfd(const Userfaultfd&) = delete;
  Userfaultfd& operator=(const Userfaultfd&) = delete;

  // 0 or -errno: -EBUSY if another userfaultfd has the range, -EINVAL if it cannot be watched. The
  // kernel is asked again for a range that is watched: its mapping may be a new one.
  long watch(const Range& range);
  // Each `watch` is answered by one of these, failed ones too; what is watched by nobody any more is
  // given back to the kernel.
  void unwatch(const Range& range);

  // Give back what is watched, since a copy of the descriptor elsewhere would block its operations
  // for ever; then end the thread and close the descriptor. Whoever is blocked goes on.
  void stop();

  bool alive() const { return !space_->gate.dead.load() && space_->gate.fd.load() >= 0; }
  bool hears_forks() const { return hears_forks_; }
  bool user_mode_only() const { return user_mode_only_; }
  int fd() const { return uffd_; }

 private:
  long unregister(const Range& range);
  void open();
  void run();
  bool read_events();
  void take(const void* message);

  std::shared_ptr<Space> space_;
  pid_t process_;
  int uffd_ = -1;
  int wake_ = -1;  // an eventfd that ends the thread
  bool hears_forks_ = false;
  bool user_mode_only_ = false;
  // Counting and asking the kernel are one: else one thread gives back what another has just begun
  // to watch. The monitor's thread does not come here.
  std::mutex watching_;
  Watches watches_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace mmunotify::monitor
