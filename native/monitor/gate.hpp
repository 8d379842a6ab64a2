// What every lookup asks before it believes a table: are there invalidations that nobody has
// entered yet, and would anybody enter them?
//
// A lookup that passes the gate sees every operation that had begun to change the page table
// before. Three things are asked, in this order:
//
//  - Has an operation begun whose event is unread (`mmap_changing`)? The kernel counts an unmap or
//    a move from before its first change of the page table until its thread has been woken by the
//    read of its event. Its addresses can be mapped again by another thread in between, so the
//    table alone would answer with the old registration. An ioctl that is refused with -EAGAIN
//    while the count is not 0, and with -EINVAL otherwise, tells.
//  - Is the monitor at work on an event? It sets `working` before it reads, since the read lets the
//    operation run on, and clears it when the tables are up to date.
//  - Is it alive? Without a monitor, nothing is believed.
#pragma once

#include <atomic>
#include <cstdint>

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
Changing changing(int fd);

}  // namespace mmunotify::monitor
