#include "uring/uring.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace mmunotify::uring {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

int setup(io_uring_params& params) {
  const long fd = syscall(__NR_io_uring_setup, 4U, &params);
  if (fd < 0) fail("io_uring_setup");
  if (!(params.features & IORING_FEAT_SINGLE_MMAP)) {  // since 5.4; older kernels lack more than this
    close(static_cast<int>(fd));
    errno = ENOSYS;
    fail("io_uring");
  }
  return static_cast<int>(fd);
}

std::size_t rings_length(const io_uring_params& params) {
  const std::size_t submissions = params.sq_off.array + params.sq_entries * sizeof(std::uint32_t);
  const std::size_t completions = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
  return std::max(submissions, completions);
}

long enter(int fd, unsigned submit, unsigned complete) {
  return syscall(__NR_io_uring_enter, fd, submit, complete, IORING_ENTER_GETEVENTS, nullptr, 0);
}

std::uint32_t load(const std::uint32_t* place) {
  return std::atomic_ref(*const_cast<std::uint32_t*>(place)).load(std::memory_order_acquire);
}

void store(std::uint32_t* place, std::uint32_t value) {
  std::atomic_ref(*place).store(value, std::memory_order_release);
}

}  // namespace

Shared::Shared(int fd, std::size_t length, std::uint64_t offset) : length_(length) {
  base_ = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
               static_cast<off_t>(offset));
  if (base_ == MAP_FAILED) fail("mmap of an io_uring");
}

Shared::~Shared() { munmap(base_, length_); }

Descriptor::~Descriptor() { close(fd_); }

Uring::Uring(unsigned buffers)
    : fd_(setup(params_)),
      rings_(fd_.get(), rings_length(params_), IORING_OFF_SQ_RING),
      entries_(fd_.get(), params_.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES) {
  io_uring_rsrc_register table{};
  table.nr = buffers;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  if (syscall(__NR_io_uring_register, fd_.get(), IORING_REGISTER_BUFFERS2, &table, sizeof table) < 0)
    fail("a sparse table of registered buffers");
}

int Uring::update(unsigned slot, std::uintptr_t address, std::size_t length) {
  const iovec buffer{reinterpret_cast<void*>(address), length};
  const std::uint64_t tag = 0;
  io_uring_rsrc_update2 change{};
  change.offset = slot;
  change.data = reinterpret_cast<std::uintptr_t>(&buffer);
  change.tags = reinterpret_cast<std::uintptr_t>(&tag);
  change.nr = 1;
  const long done =
      syscall(__NR_io_uring_register, fd_.get(), IORING_REGISTER_BUFFERS_UPDATE, &change, sizeof change);
  return done < 0 ? -errno : 0;
}

io_uring_sqe& Uring::next_entry() {
  const std::uint32_t tail = *rings_.at<std::uint32_t>(params_.sq_off.tail);
  const std::uint32_t index = tail & *rings_.at<std::uint32_t>(params_.sq_off.ring_mask);
  rings_.at<std::uint32_t>(params_.sq_off.array)[index] = index;
  io_uring_sqe& entry = entries_.at<io_uring_sqe>(0)[index];
  std::memset(&entry, 0, sizeof entry);
  return entry;
}

long Uring::transfer(bool write, int fd, std::uintptr_t address, std::size_t length,
                     std::int64_t offset, int slot) {
  const std::lock_guard held(mutex_);
  io_uring_sqe& entry = next_entry();
  const bool fixed = slot >= 0;
  entry.opcode = write ? (fixed ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE)
                       : (fixed ? IORING_OP_READ_FIXED : IORING_OP_READ);
  entry.fd = fd;
  entry.addr = address;
  entry.len = static_cast<std::uint32_t>(length);
  entry.off = static_cast<std::uint64_t>(offset);
  if (fixed) entry.buf_index = static_cast<std::uint16_t>(slot);
  std::uint32_t* tail = rings_.at<std::uint32_t>(params_.sq_off.tail);
  store(tail, *tail + 1);
  return wait();
}

// Submits what was queued and takes its completion, through interruptions by signals.
long Uring::wait() {
  std::uint32_t* head = rings_.at<std::uint32_t>(params_.cq_off.head);
  const std::uint32_t* tail = rings_.at<std::uint32_t>(params_.cq_off.tail);
  const std::uint32_t* taken = rings_.at<std::uint32_t>(params_.sq_off.head);
  const std::uint32_t* queued = rings_.at<std::uint32_t>(params_.sq_off.tail);
  while (load(tail) == *head) {
    const unsigned left = *queued - load(taken);
    if (enter(fd_.get(), left, 1) < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY)
      return -errno;
  }
  const std::uint32_t index = *head & *rings_.at<std::uint32_t>(params_.cq_off.ring_mask);
  const long result = rings_.at<io_uring_cqe>(params_.cq_off.cqes)[index].res;
  store(head, *head + 1);
  return result;
}

}  // namespace mmunotify::uring
