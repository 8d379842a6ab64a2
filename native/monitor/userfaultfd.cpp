#include "monitor/userfaultfd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "monitor/forking.hpp"
#include "monitor/uapi.hpp"

namespace mmunotify::monitor {
namespace {

// How long a discard may take from the read of its report to the end of its system call, counted in
// rounds of the thread, so that a stopped process does not age. Measured: microseconds.
constexpr int grace_ms = 100;

constexpr std::uint64_t wanted = UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP |
                                 UFFD_FEATURE_EVENT_REMOVE | feature_wp_async |
                                 feature_wp_unpopulated;

[[noreturn]] void refuse(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

bool agree(int fd, std::uint64_t features) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = features;
  return ioctl(fd, UFFDIO_API, &api) == 0;
}

int opened(int flags) {
  return static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags));
}

// Blocks every signal while it lives: a thread inherits what is blocked where it is made. A signal
// would end `poll` early at best, and run a handler of the program's on this thread at worst.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

Range range_of(std::uint64_t start, std::uint64_t end) {
  return {static_cast<std::uintptr_t>(start), static_cast<std::uintptr_t>(end)};
}

}  // namespace

Userfaultfd::Userfaultfd(std::shared_ptr<Space> space)
    : space_(std::move(space)), process_(getpid()) {
  open();
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) {
    ::close(uffd_);
    refuse("eventfd");
  }
  close_in_children(uffd_);
  space_->gate.fd.store(uffd_);
  const AllSignalsBlocked blocked;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "mmunotify");
}

Userfaultfd::~Userfaultfd() { stop(); }

// With all rights; else without the report of forks; else without faults of the kernel's own, which
// there are none of here, but which need a privilege.
void Userfaultfd::open() {
  for (const int flags : {0, UFFD_USER_MODE_ONLY}) {
    for (const std::uint64_t forks : {std::uint64_t{UFFD_FEATURE_EVENT_FORK}, std::uint64_t{0}}) {
      uffd_ = opened(flags);
      if (uffd_ < 0) break;
      hears_forks_ = forks != 0;
      user_mode_only_ = flags != 0;
      if (agree(uffd_, wanted | forks)) return;
      const int problem = errno;
      ::close(uffd_);
      errno = problem;
    }
  }
  refuse(uffd_ < 0 ? "userfaultfd" : "UFFDIO_API");
}

void Userfaultfd::stop() {
  if (uffd_ < 0) return;
  if (getpid() != process_) {  // the thread is the parent's, and the descriptor is closed here
    thread_.detach();
    uffd_ = -1;
    ::close(wake_);
    return;
  }
  {
    const std::lock_guard hold(watching_);
    for (const Range& range : watches_.clear()) {
      if (unregister(range) == 0) continue;
      // A part of it is gone: the rest page by page.
      for (std::uintptr_t page = range.start; page < range.end; page += page_size)
        unregister({page, page + page_size});
    }
  }
  stopping_.store(true);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_, &one, sizeof one);
  thread_.join();
  ::close(wake_);
  uffd_ = -1;
}

long Userfaultfd::watch(const Range& range) {
  uffdio_register request{};
  request.range = {range.start, range.end - range.start};
  request.mode = UFFDIO_REGISTER_MODE_WP;
  const std::lock_guard hold(watching_);
  watches_.add(range);
  return ioctl(uffd_, UFFDIO_REGISTER, &request) == 0 ? 0 : -errno;
}

void Userfaultfd::unwatch(const Range& range) {
  const std::lock_guard hold(watching_);
  for (const Range& rest : watches_.remove(range)) unregister(rest);
}

long Userfaultfd::unregister(const Range& range) {
  uffdio_range request{range.start, range.end - range.start};
  return ioctl(uffd_, UFFDIO_UNREGISTER, &request) == 0 ? 0 : -errno;
}

void Userfaultfd::run() {
  int rounds = 0;
  while (!stopping_.load()) {
    const bool aging = space_->sections.buried();
    pollfd waits[2] = {{uffd_, POLLIN, 0}, {wake_, POLLIN, 0}};
    const int ready = poll(waits, 2, aging ? grace_ms / 10 : 1000);
    if (ready < 0 && errno != EINTR) break;
    if (ready > 0 && waits[0].revents != 0 && !read_events()) break;
    if (!aging) {
      rounds = 0;
    } else if (++rounds >= 10 && changing(uffd_) == Changing::no) {
      space_->sections.age();
      rounds = 0;
    }
    // Somebody may have closed the descriptor behind our back; poll would not tell.
    if (ready == 0 && changing(uffd_) == Changing::closed) break;
  }
  space_->gate.fd.store(-1);
  keep_in_children(uffd_);
  space_->die();
  // A number that is not ours any more must not be closed.
  if (changing(uffd_) != Changing::closed) ::close(uffd_);
}

bool Userfaultfd::read_events() {
  // Before the read: it lets the operations run on whose events it returns.
  space_->gate.begin_batch();
  uffd_msg messages[16];
  // Not ours any more, if somebody closed it and opened another file: do not steal from that.
  bool good = changing(uffd_) != Changing::closed;
  if (good) {
    const ssize_t got = read(uffd_, messages, sizeof messages);
    good = got > 0 || errno == EAGAIN || errno == EINTR;
    for (ssize_t at = 0; at < got; at += static_cast<ssize_t>(sizeof messages[0]))
      take(&messages[static_cast<std::size_t>(at) / sizeof messages[0]]);
  }
  if (!good) space_->gate.dead.store(true, std::memory_order_seq_cst);
  space_->gate.end_batch();
  return good;
}

void Userfaultfd::take(const void* raw) {
  const auto& message = *static_cast<const uffd_msg*>(raw);
  const auto& remap = message.arg.remap;
  const auto& remove = message.arg.remove;
  switch (message.event) {
    case UFFD_EVENT_UNMAP:
      space_->report({Kind::unmap, range_of(remove.start, remove.end), {}});
      break;
    case UFFD_EVENT_REMOVE:
      space_->report({Kind::remove, range_of(remove.start, remove.end), {}});
      break;
    case UFFD_EVENT_REMAP:
      space_->report({Kind::remap, range_of(remap.from, remap.from + remap.len),
                      range_of(remap.to, remap.to + remap.len)});
      break;
    case UFFD_EVENT_FORK:
      ::close(static_cast<int>(message.arg.fork.ufd));  // the child is not ours to watch
      space_->report({Kind::fork, everything, {}});
      break;
    default: break;  // no faults: nothing is write-protected
  }
}

}  // namespace mmunotify::monitor
