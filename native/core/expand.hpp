// The successors of a state under the licences of a reduction: of one thread alone where that is
// enough, running on without storing while the next state has such a thread too.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
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

// `Steps` runs the steps: a Vm, on cells, or a Memo, on packed states. Only a Vm's can be logged.
template <class Steps>
class Expander {
 public:
  using Unit = typename Steps::Unit;  // of a state

  // `marks` as for Vm.
  Expander(const Model& model, std::uint8_t* marks)
      : model_(model),
        steps_(source(model), marks),
        chain_steps_(source(model), marks),
        marks_(marks),
        at_(model.program.threads.size()),
        chain_at_(model.program.threads.size()),
        tried_(model.program.threads.size()),
        here_(static_cast<std::size_t>(steps_.size()) + 1),
        held_(static_cast<std::size_t>(steps_.size()) + 1) {}

  // Number of steps executed so far.
  std::uint64_t transitions = 0;

  // Records every step from now on; null: none.
  void set_log(std::vector<Node>* log) { log_ = log; }

  // Calls `sink(state, node)` for every successor of `state`; the sink returns false to stop.
  // Returns the failure, the deadlock or the fault met, if any, else nothing. `state` must not
  // change meanwhile, and one unit behind it must be readable.
  template <class Sink>
  Finding expand(const Unit* state, Sink&& sink);

 private:
  // Whether an enumeration goes on.
  enum class Go : std::uint8_t { on, stop };

  template <class Sink>
  Go run(int thread, const Unit* state, Sink& sink, bool& stepped);
  template <class Sink>
  Go chain(const Unit* state, int node, Sink& sink);
  template <class Sink>
  Go chain_step(int thread, int& node, int& count, Sink& sink);

  bool locate(const Unit* state, std::vector<std::int32_t>& at);
  Go refuse(Outcome outcome, const Steps& steps, int thread, int before);
  int record(const Steps& steps, int thread, int before, bool failed);

  static constexpr bool plain = std::is_same_v<Steps, Vm>;
  static constexpr int max_chain = 256;

  static const auto& source(const Model& model) {
    if constexpr (plain)
      return model.machine;
    else
      return model;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(steps_.size()) * sizeof(Unit); }
  void mark(int thread, std::int32_t boundary) {
    marks_[model_.machine.threads[static_cast<std::size_t>(thread)].marks +
           static_cast<std::uint32_t>(boundary)] = 1;
  }

  const Model& model_;
  Steps steps_;
  Steps chain_steps_;
  std::uint8_t* marks_;
  std::vector<std::int32_t> at_, chain_at_;  // boundary of each thread
  std::vector<std::uint8_t> tried_;
  std::vector<Unit> here_, held_;
  std::vector<Node>* log_ = nullptr;
  Finding finding_;
};

// Finds where each thread stands. Returns false when some pc is no boundary.
template <class Steps>
bool Expander<Steps>::locate(const Unit* state, std::vector<std::int32_t>& at) {
  for (std::size_t t = 0; t < at.size(); ++t) {
    at[t] = steps_.boundary_of(static_cast<int>(t), state);
    if (at[t] < 0 || at[t] > model_.machine.threads[t].done) {
      finding_ = {Finding::Kind::fault, static_cast<int>(t), -1, Fault::pc};
      return false;
    }
  }
  return true;
}

template <class Steps>
Expander<Steps>::Go Expander<Steps>::refuse(Outcome outcome, const Steps& steps, int thread,
                                            int before) {
  if (outcome == Outcome::failed) {
    record(steps, thread, before, true);
    finding_ = {Finding::Kind::failure, thread, steps.failure(), Fault::none};
  } else if (steps.fault() == Fault::range) {
    finding_ = {Finding::Kind::fault, -1, steps.failure(), Fault::range};
  } else {
    finding_ = {Finding::Kind::fault, thread, -1, steps.fault()};
  }
  return Go::stop;
}

template <class Steps>
int Expander<Steps>::record(const Steps& steps, int thread, int before, bool failed) {
  if constexpr (plain) {
    if (!log_) return -1;
    Node node;
    node.before = before;
    node.thread = thread;
    node.boundary = failed ? -1 : steps.boundary();
    node.failure = failed ? steps.failure() : -1;
    node.tape.assign(steps.tape().begin(), steps.tape().end());
    node.choices = steps.choices().size();
    node.cells.assign(steps.cells(), steps.cells() + steps.size());
    log_->push_back(std::move(node));
    return static_cast<int>(log_->size()) - 1;
  } else {
    return -1;
  }
}

template <class Steps>
template <class Sink>
Finding Expander<Steps>::expand(const Unit* state, Sink&& sink) {
  finding_ = {};
  if (!locate(state, at_)) return finding_;
  const int threads = static_cast<int>(at_.size());
  bool stepped = false;
  if (model_.ample) {
    for (int t = 0; t < threads; ++t) {
      const auto n = static_cast<std::size_t>(t);
      tried_[n] = at_[n] != model_.machine.threads[n].done && model_.ample->alone(t, at_.data());
      if (!tried_[n]) continue;
      if (run(t, state, sink, stepped) == Go::stop || stepped) return finding_;
    }
  }
  bool alive = false;  // some thread that is no daemon has not finished
  for (int t = 0; t < threads; ++t) {
    const auto n = static_cast<std::size_t>(t);
    const auto& body = model_.machine.threads[n];
    if (at_[n] == body.done) continue;
    alive = alive || !body.daemon;
    // One tried above has turned out to be blocked.
    if (!tried_[n] && run(t, state, sink, stepped) == Go::stop) return finding_;
  }
  if (!stepped && alive) finding_.kind = Finding::Kind::deadlock;
  return finding_;
}

// Runs all alternatives of one thread's step.
template <class Steps>
template <class Sink>
Expander<Steps>::Go Expander<Steps>::run(int thread, const Unit* state, Sink& sink,
                                         bool& stepped) {
  const auto boundary = at_[static_cast<std::size_t>(thread)];
  bool some = false;
  Outcome outcome = steps_.start(thread, boundary, state);
  for (;;) {
    if (outcome == Outcome::stepped) {
      some = true;
      ++transitions;
      const int node = record(steps_, thread, -1, false);
      const bool go = model_.ample ? chain(steps_.state(), node, sink) == Go::on
                                   : sink(steps_.state(), node);
      if (!go) return Go::stop;
    } else if (outcome != Outcome::blocked) {
      return refuse(outcome, steps_, thread, -1);
    }
    if (!steps_.more()) break;
    outcome = steps_.next();
  }
  if (!some) return Go::on;
  stepped = true;
  mark(thread, boundary);
  return Go::on;
}

// From `state` on, runs threads that may run alone as long as each has one successor; hands the
// last state to the sink, or the successors of a step that has several.
template <class Steps>
template <class Sink>
Expander<Steps>::Go Expander<Steps>::chain(const Unit* state, int node, Sink& sink) {
  std::memcpy(here_.data(), state, bytes());
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
template <class Steps>
template <class Sink>
Expander<Steps>::Go Expander<Steps>::chain_step(int thread, int& node, int& count, Sink& sink) {
  const auto boundary = chain_at_[static_cast<std::size_t>(thread)];
  const int before = node;
  Outcome outcome = chain_steps_.start(thread, boundary, here_.data());
  for (;;) {
    if (outcome == Outcome::stepped) {
      ++transitions;
      const int reached = record(chain_steps_, thread, before, false);
      if (++count == 1) {
        std::memcpy(held_.data(), chain_steps_.state(), bytes());
        node = reached;
      } else {
        if (count == 2 && !sink(held_.data(), node)) return Go::stop;
        if (!sink(chain_steps_.state(), reached)) return Go::stop;
      }
    } else if (outcome != Outcome::blocked) {
      return refuse(outcome, chain_steps_, thread, before);
    }
    if (!chain_steps_.more()) break;
    outcome = chain_steps_.next();
  }
  if (count > 0) mark(thread, boundary);
  return Go::on;
}

}  // namespace mmunotify::core
