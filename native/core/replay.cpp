#include "core/replay.hpp"

namespace mmunotify::core {
namespace {

void append(std::vector<std::int8_t>& to, const Value* cells, int count) {
  for (int c = 0; c < count; ++c) to.push_back(static_cast<std::int8_t>(cells[c]));
}

}  // namespace

Replayed replay(const Model& model, std::span<const MicroStep> schedule, bool keep_states) {
  const Machine& machine = model.micro;
  Vm vm(machine, nullptr);
  vm.set_picks(Vm::Picks::tape);
  auto cells = model.initial();
  Replayed result;
  for (const MicroStep& step : schedule) {
    result.outcome = Outcome::blocked;
    if (step.thread < 0 || static_cast<std::size_t>(step.thread) >= machine.threads.size()) break;
    const auto& body = machine.threads[static_cast<std::size_t>(step.thread)];
    const int boundary = Machine::boundary(body, cells.data());
    if (boundary == body.done) break;
    vm.follow(step.choices);
    result.outcome = vm.start(step.thread, boundary, cells.data());
    if (result.outcome == Outcome::failed) result.failure = vm.failure();
    if (result.outcome == Outcome::fault) result.fault = vm.fault();
    if (result.outcome != Outcome::stepped) break;
    cells.assign(vm.cells(), vm.cells() + machine.padded);
    if (model.layout.misfit(cells.data()) >= 0) {
      result.outcome = Outcome::fault;
      result.fault = Fault::range;
      break;
    }
    ++result.steps;
    if (keep_states) append(result.states, cells.data(), machine.cells);
  }
  return result;
}

std::vector<Successor> successors(const Model& model, const Value* cells, bool reduced) {
  const Machine& machine = reduced ? model.machine : model.micro;
  std::vector<Successor> all;
  Vm vm(machine, nullptr);
  for (int t = 0; t < static_cast<int>(machine.threads.size()); ++t) {
    const auto& body = machine.threads[static_cast<std::size_t>(t)];
    const int boundary = Machine::boundary(body, cells);
    if (boundary == body.done) continue;
    for (Outcome outcome = vm.start(t, boundary, cells);; outcome = vm.next()) {
      Successor next;
      next.thread = t;
      next.outcome = outcome;
      const auto choices = outcome == Outcome::blocked ? vm.tape() : vm.choices();
      next.choices.assign(choices.begin(), choices.end());
      if (outcome == Outcome::stepped) {
        next.number = vm.boundary();
        append(next.cells, vm.cells(), machine.cells);
        if (const int cell = model.layout.misfit(vm.cells()); cell >= 0) {
          next.outcome = Outcome::fault;
          next.fault = Fault::range;
          next.number = cell;
        }
      }
      if (outcome == Outcome::failed) next.number = vm.failure();
      if (outcome == Outcome::fault) next.fault = vm.fault();
      all.push_back(std::move(next));
      if (!vm.more()) break;
    }
  }
  return all;
}

}  // namespace mmunotify::core
