// What this needs of the kernel's interface and older headers lack.
#pragma once

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include <cstdint>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

namespace mmunotify::monitor {

// Since Linux kernel 6.7: a write to a write-protected page is noted, and nobody has to resolve it.
constexpr std::uint64_t feature_wp_unpopulated = std::uint64_t{1} << 13;
constexpr std::uint64_t feature_wp_async = std::uint64_t{1} << 15;

constexpr std::uintptr_t page_size = 4096;

}  // namespace mmunotify::monitor
