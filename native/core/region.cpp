#include "core/region.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace mmunotify::core {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t smallest = std::size_t{1} << 20;
// Below this, huge pages cost more to clear than they save in address translation.
constexpr std::size_t worth_huge_pages = std::size_t{8} << 20;

std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

}  // namespace

Region::Region(Region&& other) noexcept { *this = std::move(other); }

Region& Region::operator=(Region&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(mapped_, other.mapped_);
  std::swap(mapped_size_, other.mapped_size_);
  std::swap(reserved_, other.reserved_);
  std::swap(committed_, other.committed_);
  return *this;
}

Region::~Region() { release(); }

void Region::release() {
  if (mapped_) munmap(mapped_, mapped_size_);
  data_ = mapped_ = nullptr;
  mapped_size_ = reserved_ = committed_ = 0;
}

bool Region::reserve(std::size_t bytes) {
  release();
  // A limit on address space (ulimit -v) may refuse the wish: then half of it, and so on.
  for (std::size_t size = whole_pages(bytes); size > 0; size = whole_pages(size / 2)) {
    const std::size_t slack = size >= huge_page ? huge_page : 0;
    void* at =
        mmap(nullptr, size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at != MAP_FAILED) {
      mapped_ = static_cast<std::byte*>(at);
      mapped_size_ = size + slack;
      const std::size_t past = reinterpret_cast<std::uintptr_t>(at) % huge_page;
      data_ = mapped_ + (slack > 0 && past > 0 ? huge_page - past : 0);
      reserved_ = size;
      return true;
    }
    if (size <= std::min(smallest, whole_pages(bytes))) break;
  }
  return false;
}

void Region::discard(std::size_t begin, std::size_t bytes) {
  // Refused, it costs memory for a while and nothing else.
  (void)madvise(data_ + begin, bytes, MADV_DONTNEED);
}

bool Region::commit(std::size_t bytes) {
  const std::size_t wanted = whole_pages(bytes);
  if (wanted <= committed_) return true;
  if (wanted > reserved_) return false;
  if (mprotect(data_ + committed_, wanted - committed_, PROT_READ | PROT_WRITE) != 0) return false;
#ifdef MADV_HUGEPAGE
  if (wanted >= worth_huge_pages) madvise(data_, wanted, MADV_HUGEPAGE);
#endif
  committed_ = wanted;
  return true;
}

}  // namespace mmunotify::core
