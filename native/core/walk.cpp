#include "core/walk.hpp"

#include <algorithm>
#include <numeric>

namespace mmunotify::core {
namespace {

constexpr std::size_t longest = 2000;          // steps of one walk: a loop must not take them all
constexpr std::int64_t most_effort = 1 << 20;  // within steps: long ones must not take for ever

}  // namespace

Walk::Walk(const Model& model, std::uint64_t seed)
    : model_(model),
      random_(seed),
      marks_(static_cast<std::size_t>(model.machine.marks) + 1),
      judge_(model),
      vm_(model.machine, marks_.data()),
      all_(model.machine, marks_.data()),
      order_(model.program.threads.size()) {
  vm_.set_picks(Vm::Picks::random, &random_);
  std::iota(order_.begin(), order_.end(), 0);
}

Finding Walk::run(std::int64_t steps) {
  while (steps > 0) {
    steps_.clear();
    cells_ = model_.initial();
    if ((finding_ = judge_.judge(cells_.data()))) return finding_;
    Moved moved = Moved::yes;
    while (moved == Moved::yes && steps_.size() < longest && steps-- > 0) {
      if (vm_.effort() + all_.effort() > most_effort) return {};
      moved = move();
    }
    if (moved == Moved::finding) return finding_;
    if (steps_.empty()) break;  // nothing moves, in no walk
  }
  return {};
}

// Takes one step of a thread chosen by chance.
Walk::Moved Walk::move() {
  for (std::size_t n = 0; n < order_.size(); ++n) {
    const auto left = static_cast<int>(order_.size() - n);
    std::swap(order_[n], order_[n + static_cast<std::size_t>(random_.below(left))]);
    const int boundary = locate(order_[n]);
    if (boundary < 0) continue;
    const Outcome outcome = vm_.start(order_[n], boundary, cells_.data());
    if (outcome == Outcome::stepped) {
      std::copy_n(vm_.cells(), model_.machine.padded, cells_.begin());
      return take(node(order_[n], vm_), boundary);
    }
    if (outcome != Outcome::blocked) return refuse(order_[n], outcome, vm_);
  }
  return move_any();
}

// The same where every pick was blocked: other alternatives of the same threads may not be.
Walk::Moved Walk::move_any() {
  Node chosen;
  int chosen_boundary = -1, count = 0;
  bool alive = false;
  for (int thread : order_) {
    const int boundary = locate(thread);
    if (boundary < 0) continue;
    alive = alive || !model_.machine.threads[static_cast<std::size_t>(thread)].daemon;
    for (Outcome outcome = all_.start(thread, boundary, cells_.data());; outcome = all_.next()) {
      if (outcome == Outcome::failed || outcome == Outcome::fault)
        return refuse(thread, outcome, all_);
      if (outcome == Outcome::stepped && random_.below(++count) == 0) {
        chosen = node(thread, all_);
        chosen.cells.assign(all_.cells(), all_.cells() + model_.machine.padded);
        chosen_boundary = boundary;
      }
      if (!all_.more()) break;
    }
  }
  if (count > 0) {
    cells_ = std::move(chosen.cells);
    return take(std::move(chosen), chosen_boundary);
  }
  if (!alive) return Moved::end;
  finding_.kind = Finding::Kind::deadlock;
  return Moved::finding;
}

// Returns the boundary at which `thread` stands, or -1 when it has finished.
int Walk::locate(int thread) const {
  const auto& body = model_.machine.threads[static_cast<std::size_t>(thread)];
  const int boundary = Machine::boundary(body, cells_.data());
  return boundary == body.done ? -1 : boundary;
}

Node Walk::node(int thread, const Vm& vm) {
  Node node;
  node.thread = thread;
  node.boundary = vm.boundary();
  node.tape.assign(vm.tape().begin(), vm.tape().end());
  node.choices = vm.choices().size();
  return node;
}

// Notes a step that has led from boundary `from` to `cells_`.
Walk::Moved Walk::take(Node node, int from) {
  const auto& body = model_.machine.threads[static_cast<std::size_t>(node.thread)];
  marks_[body.marks + static_cast<std::uint32_t>(from)] = 1;
  steps_.push_back(std::move(node));
  return (finding_ = judge_.judge(cells_.data())) ? Moved::finding : Moved::yes;
}

Walk::Moved Walk::refuse(int thread, Outcome outcome, const Vm& vm) {
  if (outcome == Outcome::fault) {
    finding_ = {Finding::Kind::fault, thread, -1, vm.fault()};
    return Moved::finding;
  }
  steps_.push_back(node(thread, vm));
  steps_.back().boundary = -1;
  steps_.back().failure = vm.failure();
  finding_ = {Finding::Kind::failure, thread, vm.failure(), Fault::none};
  return Moved::finding;
}

}  // namespace mmunotify::core
