// The successors of a state under the licences of a reduction: of one thread alone where that is
// enough, running on without storing while the next state has such a thread too.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "core/model.hpp"

namespace mmunotify::core {

// One step on the way to a successor, for paths. Several lie between two stored states where
// threads are run on without storing.
struct Node {
  int before = -1;  // the node this step follows, -1 for the state expanded
  int thread = 0;
  int boundary = -1;  // reached; -1 where the step failed
  int failure = -1;   // with which failure
  std::vector<std::int32_t> tape;
  std::size_t choices = 0;   // those of the tape that lead to the state reached
  std::vector<Value> cells;  // the state reached
};

class Expander {
 public:
  // `marks` as for Vm.
  Expander(const Model& model, std::uint8_t* marks)
      : model_(model),
        vm_(model.machine, marks),
        chain_vm_(model.machine, marks),
        marks_(marks),
        at_(model.program.threads.size()),
        chain_at_(model.program.threads.size()),
        tried_(model.program.threads.size()),
        here_(static_cast<std::size_t>(model.machine.padded) + 1),
        held_(static_cast<std::size_t>(model.machine.padded) + 1) {}

  // Number of steps executed so far.
  std::uint64_t transitions = 0;

  // Records every step from now on; null: none.
  void set_log(std::vector<Node>* log) { log_ = log; }

  // Calls `sink(cells, node)` for every successor of `cells`; the sink returns false to stop.
  // Returns the failure, the deadlock or the fault met, if any, else nothing.
  template <class Sink>
  Finding expand(const Value* cells, Sink&& sink);

 private:
  // Whether an enumeration goes on.
  enum class Go : std::uint8_t { on, stop };

  template <class Sink>
  Go run(int thread, const Value* cells, Sink& sink, bool& stepped);
  template <class Sink>
  Go chain(const Value* cells, int node, Sink& sink);
  template <class Sink>
  Go chain_step(int thread, int& node, int& count, Sink& sink);

  bool locate(const Value* cells, std::vector<std::int32_t>& at);
  Go refuse(Outcome outcome, const Vm& vm, int thread, int before);
  int record(const Vm& vm, int thread, int before, bool failed);

  static constexpr int max_chain = 256;

  const Model& model_;
  Vm vm_;
  Vm chain_vm_;
  std::uint8_t* marks_;
  std::vector<std::int32_t> at_, chain_at_;  // boundary of each thread
  std::vector<std::uint8_t> tried_;
  std::vector<Value> here_, held_;
  std::vector<Node>* log_ = nullptr;
  Finding finding_;
};

// Finds where each thread stands. Returns false when some pc is no boundary.
inline bool Expander::locate(const Value* cells, std::vector<std::int32_t>& at) {
  for (std::size_t t = 0; t < at.size(); ++t) {
    const auto& body = model_.machine.threads[t];
    at[t] = Machine::boundary(body, cells);
    if (at[t] < 0 || at[t] > body.done) {
      finding_ = {Finding::Kind::fault, static_cast<int>(t), -1, Fault::pc};
      return false;
    }
  }
  return true;
}

inline Expander::Go Expander::refuse(Outcome outcome, const Vm& vm, int thread, int before) {
  if (outcome == Outcome::failed) {
    record(vm, thread, before, true);
    finding_ = {Finding::Kind::failure, thread, vm.failure(), Fault::none};
  } else {
    finding_ = {Finding::Kind::fault, thread, -1, vm.fault()};
  }
  return Go::stop;
}

inline int Expander::record(const Vm& vm, int thread, int before, bool failed) {
  if (!log_) return -1;
  Node node;
  node.before = before;
  node.thread = thread;
  node.boundary = failed ? -1 : vm.boundary();
  node.failure = failed ? vm.failure() : -1;
  node.tape.assign(vm.tape().begin(), vm.tape().end());
  node.choices = vm.choices().size();
  node.cells.assign(vm.cells(), vm.cells() + model_.machine.padded);
  log_->push_back(std::move(node));
  return static_cast<int>(log_->size()) - 1;
}

template <class Sink>
Finding Expander::expand(const Value* cells, Sink&& sink) {
  finding_ = {};
  if (!locate(cells, at_)) return finding_;
  const int threads = static_cast<int>(at_.size());
  bool stepped = false;
  if (model_.ample) {
    for (int t = 0; t < threads; ++t) {
      const auto n = static_cast<std::size_t>(t);
      tried_[n] = at_[n] != model_.machine.threads[n].done && model_.ample->alone(t, at_.data());
      if (!tried_[n]) continue;
      if (run(t, cells, sink, stepped) == Go::stop || stepped) return finding_;
    }
  }
  bool alive = false;  // some thread that is no daemon has not finished
  for (int t = 0; t < threads; ++t) {
    const auto n = static_cast<std::size_t>(t);
    const auto& body = model_.machine.threads[n];
    if (at_[n] == body.done) continue;
    alive = alive || !body.daemon;
    // One tried above has turned out to be blocked.
    if (!tried_[n] && run(t, cells, sink, stepped) == Go::stop) return finding_;
  }
  if (!stepped && alive) finding_.kind = Finding::Kind::deadlock;
  return finding_;
}

// Runs all alternatives of one thread's step.
template <class Sink>
Expander::Go Expander::run(int thread, const Value* cells, Sink& sink, bool& stepped) {
  const auto boundary = at_[static_cast<std::size_t>(thread)];
  bool some = false;
  Outcome outcome = vm_.start(thread, boundary, cells);
  for (;;) {
    if (outcome == Outcome::stepped) {
      some = true;
      ++transitions;
      const int node = record(vm_, thread, -1, false);
      const bool go =
          model_.ample ? chain(vm_.cells(), node, sink) == Go::on : sink(vm_.cells(), node);
      if (!go) return Go::stop;
    } else if (outcome != Outcome::blocked) {
      return refuse(outcome, vm_, thread, -1);
    }
    if (!vm_.more()) break;
    outcome = vm_.next();
  }
  if (!some) return Go::on;
  stepped = true;
  marks_[model_.machine.threads[static_cast<std::size_t>(thread)].marks +
         static_cast<std::uint32_t>(boundary)] = 1;
  return Go::on;
}

// From the state `cells` on, runs threads that may run alone as long as each has one successor;
// hands the last state to the sink, or the successors of a step that has several.
template <class Sink>
Expander::Go Expander::chain(const Value* cells, int node, Sink& sink) {
  const auto size = static_cast<std::size_t>(model_.machine.padded) * sizeof(Value);
  std::memcpy(here_.data(), cells, size);
  for (int length = 0; length < max_chain; ++length) {
    if (!locate(here_.data(), chain_at_)) return Go::stop;
    int count = 0;
    for (int t = 0; t < static_cast<int>(chain_at_.size()) && count == 0; ++t) {
      const auto n = static_cast<std::size_t>(t);
      if (chain_at_[n] == model_.machine.threads[n].done ||
          !model_.ample->alone(t, chain_at_.data()))
        continue;
      if (chain_step(t, node, count, sink) == Go::stop) return Go::stop;
    }
    if (count > 1) return Go::on;
    if (count == 0) break;
    std::swap(here_, held_);
  }
  return sink(here_.data(), node) ? Go::on : Go::stop;
}

// Runs the step of `thread` from `here_`. One successor: it is left in `held_`, its node in
// `node`. Several: all go to the sink.
template <class Sink>
Expander::Go Expander::chain_step(int thread, int& node, int& count, Sink& sink) {
  const auto size = static_cast<std::size_t>(model_.machine.padded) * sizeof(Value);
  const auto boundary = chain_at_[static_cast<std::size_t>(thread)];
  const int before = node;
  Outcome outcome = chain_vm_.start(thread, boundary, here_.data());
  for (;;) {
    if (outcome == Outcome::stepped) {
      ++transitions;
      const int reached = record(chain_vm_, thread, before, false);
      if (++count == 1) {
        std::memcpy(held_.data(), chain_vm_.cells(), size);
        node = reached;
      } else {
        if (count == 2 && !sink(held_.data(), node)) return Go::stop;
        if (!sink(chain_vm_.cells(), reached)) return Go::stop;
      }
    } else if (outcome != Outcome::blocked) {
      return refuse(outcome, chain_vm_, thread, before);
    }
    if (!chain_vm_.more()) break;
    outcome = chain_vm_.next();
  }
  if (count > 0)
    marks_[model_.machine.threads[static_cast<std::size_t>(thread)].marks +
           static_cast<std::uint32_t>(boundary)] = 1;
  return Go::on;
}

}  // namespace mmunotify::core
