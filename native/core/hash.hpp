// The hash of a packed state.
#pragma once

#include <cstdint>

namespace mmunotify::core {

// The high half of the product of two 64-bit numbers; `low` gets the low half.
inline std::uint64_t multiply(std::uint64_t x, std::uint64_t y, std::uint64_t& low) {
#ifdef __SIZEOF_INT128__
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(x) * y;
  low = static_cast<std::uint64_t>(product);
  return static_cast<std::uint64_t>(product >> 64);
#else
  const std::uint64_t x0 = x & 0xffffffffu, x1 = x >> 32, y0 = y & 0xffffffffu, y1 = y >> 32;
  const std::uint64_t middle = x1 * y0 + (x0 * y0 >> 32);
  const std::uint64_t other = x0 * y1 + (middle & 0xffffffffu);
  low = x * y;
  return x1 * y1 + (middle >> 32) + (other >> 32);
#endif
}

// The high half alone is used, and decides both the place and the tag of a state: all of it must
// depend on every bit, hence the folding of the two halves of a product, once more at the end.
inline std::uint64_t hash_words(const std::uint64_t* words, int count) {
  std::uint64_t hash = 0x9e3779b97f4a7c15u, low = 0;
  for (int w = 0; w < count; ++w) {
    hash = multiply(hash ^ words[w], 0xd6e8feb86659fd93u, low);
    hash ^= low;
  }
  hash = multiply(hash ^ 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu, low);
  return hash ^ low;
}

}  // namespace mmunotify::core
