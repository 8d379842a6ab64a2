// Runs given steps, one boundary each: the ground on which counterexamples are shortened and
// shown.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/model.hpp"
#include "core/path.hpp"

namespace mmunotify::core {

struct Replayed {
  Outcome outcome = Outcome::stepped;  // of the last step tried
  std::size_t steps = 0;               // how many happened
  int failure = -1;
  Fault fault = Fault::none;
  std::vector<std::int8_t> states;  // after each step that happened, cell by cell
};

// Runs `schedule` from the initial state until a step is blocked, fails or the end is reached.
// A step of a thread that does not exist or has finished is blocked.
Replayed replay(const Model& model, std::span<const MicroStep> schedule, bool keep_states);

struct Successor {
  int thread = 0;
  std::vector<std::int32_t> choices;
  Outcome outcome = Outcome::stepped;
  int number = -1;  // boundary reached, or failure
  Fault fault = Fault::none;
  std::vector<std::int8_t> cells;
};

// Every way in which any thread can go on from `cells` (padded), blocked ones included; with
// `reduced` under the boundaries of the reduction, else one boundary each.
std::vector<Successor> successors(const Model& model, const Value* cells, bool reduced);

}  // namespace mmunotify::core
