// A program and the licences to leave states out, as the search gets them. `check` is the gate:
// everything behind it relies on what it has checked, so that no program can crash the search.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/ops.hpp"

namespace mmunotify::core {

// What a slot holds while a step runs. Stored cells lie in -128..127; the width leaves room for
// intermediate results, and a result beyond it ends the search with a reason, never wraps.
using Value = std::int16_t;

struct Thread {
  std::vector<std::int32_t> entries;  // instruction at which the step from boundary k starts
  std::int32_t pc = 0;                // boundary = cell[pc] + 128 * cell[pc + 1]
  bool daemon = false;

  int done() const { return static_cast<int>(entries.size()); }
};

enum class PredicateKind : std::uint8_t { always, never, reachable, final, pending };

struct Predicate {
  PredicateKind kind = PredicateKind::always;
  std::int32_t entry = 0;
  std::int32_t result = 0;
};

struct Program {
  std::vector<std::int32_t> lows, highs, initial;  // one entry a cell
  std::int32_t slots = 0;                          // cells, then scratch
  std::vector<Instr> code;
  std::vector<Thread> threads;
  std::vector<Predicate> predicates;
  std::vector<std::int32_t> table;
  std::vector<std::vector<std::int32_t>> epochs;
  std::int32_t covers = 0;

  int cells() const { return static_cast<int>(lows.size()); }
};

enum class Mode : std::uint8_t { hard, fused, soft };

// Access sets for the choice of one thread to expand alone; see ir/reduction.py.
// Masks are `words` 64-bit words long, low word first.
struct Ample {
  int words = 1;
  std::vector<std::vector<std::vector<std::uint64_t>>> reads, writes;  // [thread][boundary]
  std::vector<std::vector<std::int32_t>> held;                         // [thread][boundary]
  std::vector<std::vector<std::vector<std::vector<std::uint64_t>>>> future_reads,
      future_writes;  // [held][thread][boundary]
};

// Things that may be interchanged; see ir/program.py. `valued` lists, a label each, the cells
// whose values denote such things and the value that denotes element i.
struct Kind {
  struct Valued {
    std::vector<std::int32_t> cells, values;
  };
  int size = 0;
  std::vector<std::vector<std::int32_t>> columns;  // [element][position]
  std::vector<Valued> valued;
};

struct Reduction {
  std::vector<std::vector<Mode>> modes;                        // [thread][boundary]
  std::vector<std::vector<std::vector<std::int32_t>>> clears;  // [thread][boundary or done]
  std::optional<Ample> ample;
  std::vector<Kind> kinds;
};

// Returns what is wrong with `program`, in one sentence, or nothing.
std::optional<std::string> check(const Program& program);

// The same for a reduction of a program that `check` has accepted.
std::optional<std::string> check(const Program& program, const Reduction& reduction);

}  // namespace mmunotify::core
