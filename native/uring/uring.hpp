// A small io_uring by raw system calls: registered buffers that can be replaced one at a time, and
// one transfer at a time through them. It knows no Python and holds no lock of it.
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>
#include <mutex>

namespace mmunotify::uring {

// One mapping of memory that the kernel shares.
class Shared {
 public:
  Shared(int fd, std::size_t length, std::uint64_t offset);
  ~Shared();
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  template <typename T>
  T* at(std::uint32_t offset) const {
    return reinterpret_cast<T*>(static_cast<char*>(base_) + offset);
  }

 private:
  void* base_;
  std::size_t length_;
};

// A descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class Uring {
 public:
  // A ring with a table of `buffers` registered buffers, all empty. Throws std::system_error.
  explicit Uring(unsigned buffers);

  // Pins `length` bytes at `address` as buffer `slot`; nothing with length 0. 0, or -errno.
  int update(unsigned slot, std::uintptr_t address, std::size_t length);

  // Reads or writes `length` bytes at `offset` of `fd` and waits until that is done. With a `slot`
  // the transfer goes to the pages that were pinned then, wherever `address` leads to now; without
  // one (-1) it goes to what is at `address`. The number of bytes, or -errno.
  long transfer(bool write, int fd, std::uintptr_t address, std::size_t length, std::int64_t offset,
                int slot);

 private:
  io_uring_sqe& next_entry();
  long wait();

  std::mutex mutex_;  // one transfer at a time
  io_uring_params params_{};
  Descriptor fd_;
  Shared rings_;
  Shared entries_;
};

}  // namespace mmunotify::uring
