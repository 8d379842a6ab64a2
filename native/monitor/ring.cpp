#include "monitor/ring.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace mmunotify::monitor {

Ring::Ring() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Ring::~Ring() { close(fd_); }

void Ring::push(const Event& event) {
  {
    const std::lock_guard hold(mutex_);
    if (size_ < capacity)
      events_[(head_ + size_++) % capacity] = event;
    else
      lost_ = true;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
}

std::size_t Ring::drain(Event* events, std::size_t room, bool& lost) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = read(fd_, &count, sizeof count);
  const std::lock_guard hold(mutex_);
  lost = lost_;
  lost_ = false;
  std::size_t taken = 0;
  for (; taken < room && size_ > 0; --size_, ++taken) {
    events[taken] = events_[head_];
    head_ = (head_ + 1) % capacity;
  }
  return taken;
}

}  // namespace mmunotify::monitor
