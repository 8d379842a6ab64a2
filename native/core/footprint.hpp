// Which cells a step depends on, and which it may change: so much of a state, and no more, decides
// what the step does.
#pragma once

#include <cstdint>
#include <vector>

#include "core/program.hpp"

namespace mmunotify::core {

// Sets of cells, in ascending order. Two states that agree in `decides` have the same executions
// of the step; after it, cells in `changes` have the same values in both, all others their own.
struct Footprint {
  std::vector<std::int32_t> decides, changes;
};

// Computes footprints, one step after another, from the code: nothing is run.
class Footprints {
 public:
  Footprints(const Program& program, const Reduction& reduction);

  // The step of `thread` from `boundary` (not done) to wherever its state may be stored next.
  Footprint of(int thread, int boundary);

 private:
  using Set = std::vector<std::uint64_t>;  // of cells

  void explore(std::int32_t entry);
  void visit(std::int32_t at);
  void flow(std::int32_t to, const Set& written);
  void write(const Instr& instr, Set& written) const;
  void arrive(int boundary, Set& written) const;
  void reads(const Instr& instr, const Set& written, Set& decides) const;
  void changes(const Instr& instr, Set& changes) const;
  bool ends(const Instr& instr) const;
  int boundary(const Instr& instr) const;
  Mode mode(int boundary) const;
  void add(std::int32_t slot, std::int32_t count, Set& set) const;
  void add_unwritten(std::int32_t slot, std::int32_t count, const Set& written, Set& set) const;
  std::vector<std::int32_t> listed(const Set& set) const;

  const Program& p_;
  const Reduction& reduction_;
  std::int32_t cells_;
  std::size_t words_;
  int thread_ = 0;
  std::vector<std::int32_t> row_;      // of an instruction in `written_`, -1: not reached
  std::vector<std::int32_t> reached_;  // instructions, one a row
  std::vector<Set> written_;           // [row]: certainly written when control comes here
  std::vector<std::int32_t> open_;
};

}  // namespace mmunotify::core
