// A block of memory that can grow without moving: address space is reserved at once, pages are
// taken from the system as they are needed.
#pragma once

#include <cstddef>

namespace mmunotify::core {

class Region {
 public:
  Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;
  ~Region();

  // Reserves up to `bytes` of address space, less where the system gives less. Returns whether
  // anything was reserved.
  bool reserve(std::size_t bytes);

  // Makes the first `bytes` usable, filled with zeros. Returns false when the reservation is too
  // small or the system has no memory.
  bool commit(std::size_t bytes);

  // Gives the pages of a part back to the system; its contents are lost.
  void discard(std::size_t begin, std::size_t bytes);

  std::byte* data() const { return data_; }
  std::size_t reserved() const { return reserved_; }
  std::size_t committed() const { return committed_; }

 private:
  void release();

  std::byte* data_ = nullptr;    // at a multiple of the size of a huge page
  std::byte* mapped_ = nullptr;  // what to unmap, from here
  std::size_t mapped_size_ = 0;
  std::size_t reserved_ = 0;
  std::size_t committed_ = 0;
};

}  // namespace mmunotify::core
