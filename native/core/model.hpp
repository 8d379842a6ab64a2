// Everything about a program that does not change while it is searched.
#pragma once

#include <cstdint>
#include <optional>

#include "core/ample.hpp"
#include "core/layout.hpp"
#include "core/machine.hpp"
#include "core/program.hpp"
#include "core/symmetry.hpp"
#include "core/vm.hpp"

namespace mmunotify::core {

struct Model {
  // `p` and `r` have passed `check`.
  Model(Program p, Reduction r)
      : program(std::move(p)),
        reduction(std::move(r)),
        layout(program),
        machine(program, &reduction),
        micro(program, nullptr) {
    if (reduction.ample) ample.emplace(program, *reduction.ample);
    if (!reduction.kinds.empty()) symmetry.emplace(program, reduction.kinds);
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // The initial state, padded to whole groups of eight.
  std::vector<Value> initial() const {
    std::vector<Value> cells(program.initial.begin(), program.initial.end());
    cells.resize(static_cast<std::size_t>(machine.padded));
    return cells;
  }

  const Program program;
  const Reduction reduction;
  const Layout layout;
  const Machine machine;  // steps as the reduction has them
  const Machine micro;    // every boundary a step of its own
  std::optional<AmpleSets> ample;
  std::optional<Symmetry> symmetry;
};

// What a search stops for, or nothing.
struct Finding {
  enum class Kind : std::uint8_t { none, failure, deadlock, predicate, cycle, fault };

  Kind kind = Kind::none;
  int thread = -1;  // the one whose step failed
  int number = -1;  // failure, predicate (of a cycle, too), or the cell of Fault::range
  Fault fault = Fault::none;

  explicit operator bool() const { return kind != Kind::none; }
};

}  // namespace mmunotify::core
