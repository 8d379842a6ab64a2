// Repeatable random numbers (xorshift64*): the same seed gives the same walk on every machine.
#pragma once

#include <cstdint>

namespace mmunotify::core {

class Random {
 public:
  explicit Random(std::uint64_t seed = 0)
      : state_(seed * 0x9e3779b97f4a7c15u + 0x1234567887654321u) {
    if (state_ == 0) state_ = 1;
    for (int n = 0; n < 4; ++n) next();  // neighbouring seeds part
  }

  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }

  // A number in 0..bound-1; `bound` must be 1..2**31.
  int below(int bound) {
    return static_cast<int>((next() >> 32) * static_cast<std::uint64_t>(bound) >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace mmunotify::core
