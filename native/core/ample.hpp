// Decides when one thread may be expanded alone, from access sets that a pass has computed.
#pragma once

#include <cstdint>
#include <vector>

#include "core/program.hpp"

namespace mmunotify::core {

class AmpleSets {
 public:
  // `program` and `ample` have passed `check`.
  AmpleSets(const Program& program, const Ample& ample);

  // Tells whether `thread` may be expanded alone where the threads stand at `boundaries`, if its
  // step is enabled: nothing it touches may be touched, in a way that matters, by any other
  // thread before that thread takes a lock which `thread` holds.
  bool alone(int thread, const std::int32_t* boundaries) const;

 private:
  using Masks = std::vector<std::uint64_t>;

  std::size_t row(int thread, std::int32_t boundary) const {
    return offsets_[static_cast<std::size_t>(thread)] + static_cast<std::size_t>(boundary);
  }

  int words_;
  int threads_;
  std::size_t rows_ = 0;
  std::vector<std::size_t> offsets_;  // first row of each thread
  std::vector<std::int32_t> done_;
  std::vector<std::int32_t> held_;    // [row]
  Masks reads_, writes_;              // [row][word]
  Masks future_any_, future_writes_;  // [held][row][word]; `any`: reads or writes
};

}  // namespace mmunotify::core
