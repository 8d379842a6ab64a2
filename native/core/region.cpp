#include "core/region.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace mmunotify::core {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t smallest = std::size_t{1} << 20;
// Below this, huge pages cost more to clear than they save in address translation.
constexpr std::size_t worth_huge_pages = std::size_t{8} << 20;

std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

}  // namespace

Region::Region(Region&& other) noexcept { *this = std::move(other); }

Region& Region::operator=(Region&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(reserved_, other.reserved_);
  std::swap(committed_, other.committed_);
  return *this;
}

Region::~Region() { release(); }

void Region::release() {
  if (data_) munmap(data_, reserved_);
  data_ = nullptr;
  reserved_ = committed_ = 0;
}

bool Region::reserve(std::size_t bytes) {
  release();
  // A limit on address space (ulimit -v) may refuse the wish: then half of it, and so on.
  for (std::size_t size = whole_pages(bytes); size > 0; size = whole_pages(size / 2)) {
    void* at = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at != MAP_FAILED) {
      data_ = static_cast<std::byte*>(at);
      reserved_ = size;
      return true;
    }
    if (size <= std::min(smallest, whole_pages(bytes))) break;
  }
  return false;
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
