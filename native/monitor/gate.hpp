// What every lookup asks before it believes a table: are there invalidations that nobody has
// entered yet, and would anybody enter them?
//
// A lookup that passes the gate sees every operation that had begun to change the page table
// before. Three things are asked, in this order:
//
//  - Has an operation begun whose event is unread (`mmap_changing`)? The kernel counts an unmap
//    from before its first change of the page table, and a move from before it gives `mmap_lock`
//    back, until its thread has been woken by the read of its event. Its addresses can be mapped
//    again by another thread in between, so the table alone would answer with the old
//    registration. An ioctl that is refused with -EAGAIN while the count is not 0, and with
//    -EINVAL otherwise, tells.
//  - Is the monitor at work on an event? It sets `working` before it reads, since the read lets the
//    operation run on, and clears it when the tables are up to date.
//  - Is it alive? Without a monitor, nothing is believed.
#pragma once

#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "monitor/uapi.hpp"

namespace mmunotify::monitor {

class Gate {
 public:
  enum class Answer : std::uint8_t { open, wait, dead };

  Answer ask() const;

  // Wait until the monitor has entered what it has read so far.
  void wait_for_batch() const;
  void begin_batch() { working.fetch_add(1, std::memory_order_seq_cst); }
  void end_batch() {
    batches.fetch_add(1, std::memory_order_seq_cst);
    working.fetch_sub(1, std::memory_order_seq_cst);
  }

  std::atomic<int> fd{-1};             // the userfaultfd, or -1 if there is none
  std::atomic<int> working{0};
  std::atomic<std::uint64_t> batches{0};
  std::atomic<bool> dead{false};
  std::atomic<bool> probes{true};      // whether to ask the kernel, which costs a system call
};

// How `mmap_changing` of a userfaultfd stands.
enum class Changing : std::uint8_t { no, yes, closed };

// The kernel empties the processor's stack of return addresses, so that each return that was not
// called since is mispredicted. Hence no function stands between a lookup and its system call.
inline Changing changing(int fd) {
  // No range is this small: the request can do nothing, but is refused for one reason or the other.
  uffdio_writeprotect nothing{{1, 1}, 0};
#ifdef __x86_64__
  long result = SYS_ioctl;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(static_cast<long>(fd)), "S"(UFFDIO_WRITEPROTECT), "d"(&nothing)
               : "rcx", "r11", "memory");
#else
  const long result = ioctl(fd, UFFDIO_WRITEPROTECT, &nothing) == 0 ? 0 : -errno;
#endif
  if (result == -EAGAIN) return Changing::yes;
  return result == 0 || result == -EINVAL ? Changing::no : Changing::closed;
}

inline Gate::Answer Gate::ask() const {
  if (dead.load(std::memory_order_acquire)) return Answer::dead;
  const int uffd = fd.load(std::memory_order_acquire);
  if (uffd >= 0 && probes.load(std::memory_order_relaxed)) {
    switch (changing(uffd)) {
      case Changing::no: break;
      case Changing::yes: return Answer::wait;
      case Changing::closed: return Answer::dead;
    }
  }
  return working.load(std::memory_order_seq_cst) == 0 ? Answer::open : Answer::wait;
}

}  // namespace mmunotify::monitor
