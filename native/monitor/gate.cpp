#include "monitor/gate.hpp"

#include <cerrno>
#include <thread>

#include "monitor/uapi.hpp"

namespace mmunotify::monitor {

Changing changing(int fd) {
  // No range is this small: the request can do nothing, but is refused for one reason or the other.
  uffdio_writeprotect nothing{{1, 1}, 0};
  if (ioctl(fd, UFFDIO_WRITEPROTECT, &nothing) == 0) return Changing::no;
  if (errno == EAGAIN) return Changing::yes;
  return errno == EINVAL ? Changing::no : Changing::closed;
}

void Gate::wait_for_batch() const {
  const auto batch = batches.load(std::memory_order_seq_cst);
  while (working.load(std::memory_order_seq_cst) != 0 &&
         batches.load(std::memory_order_seq_cst) == batch)
    std::this_thread::yield();
}

Gate::Answer Gate::ask() const {
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
