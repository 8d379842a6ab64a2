// Steps remembered. What a thread's step does depends on few cells of a state and changes few
// (footprint.hpp), so most steps of a search have been run before, in states that differ only
// elsewhere. They are looked up by the bits they depend on, and their results put into the packed
// state: nothing is unpacked, run or packed again. LTSmin caches the transitions of its language
// modules so (Blom, van de Pol, Weber, "LTSmin: Distributed and Symbolic Reachability", CAV 2010).
//
// Invariant: what comes out is what the Vm would give, in the same order.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/footprint.hpp"
#include "core/model.hpp"

namespace mmunotify::core {

// What is remembered, and how it comes there.
class Memory {
 protected:
  // The step from one boundary of one thread. An entry has the bits that decide, the number of
  // successors, and of each successor the bits that change.
  struct Step {
    std::vector<std::uint32_t> table;    // by hash: where an entry begins, 0 for none
    std::vector<std::uint64_t> entries;  // one after the other, from 1 on
    std::uint32_t shift = 0;             // of a hash, to a place in the table
    std::uint32_t count = 0;             // entries
    std::uint64_t asked = 0;             // look-ups since the step was last forgotten
    bool ready = false;                  // the masks are there
    bool off = false;                    // it hardly ever repeats itself: do not remember it
  };

  // The place of a thread's pc, and where its steps begin.
  struct Counter {
    Layout::Field low, high;
    bool wide;  // the upper cell has bits: there are more boundaries than the lower one can tell
    std::size_t first;
  };

  Memory(const Model& model, std::uint8_t* marks);

  void prepare(Step& step, int thread, int boundary);
  void run(Step& step, int thread, int boundary, const std::uint64_t* state);

  static std::uint64_t mix(std::uint64_t hash, std::uint64_t bits) {
    return (std::rotl(hash, 29) ^ bits) * 0x9e3779b97f4a7c15u;
  }
  // The bits of a state that decide what a step does, and behind them those that it keeps.
  std::uint64_t* masks(const Step& step) {
    return masks_.data() + (&step - steps_.data()) * 2 * words_;
  }

  const int words_;  // of a state
  std::vector<Counter> counters_;
  std::vector<Step> steps_;           // [thread][boundary]
  std::vector<std::uint64_t> fresh_;  // what a run has changed, a successor each
  std::uint64_t left_ = 0;            // successors still to come
  Outcome end_ = Outcome::blocked;    // what comes after them: a failure, a fault, or nothing
  int failure_ = -1;
  Fault fault_ = Fault::none;

 private:
  Outcome add_successor(const std::uint64_t* state, const std::uint64_t* keeps);
  void remember(Step& step, const std::uint64_t* state);
  void insert(Step& step, std::uint32_t entry);
  void resize(Step& step, int bits);
  void forget(Step& step);

  const Model& model_;
  Footprints footprints_;
  Vm vm_;
  std::vector<std::uint64_t> masks_;   // [step]
  std::vector<Value> cells_;           // the state that is run
  std::vector<std::uint64_t> packed_;  // one successor
  std::uint64_t kept_ = 0;             // words of all entries
};

// One worker's steps, used like a Vm, but on packed states of `Words` words.
template <int Words>
class Memo : private Memory {
 public:
  using Unit = std::uint64_t;  // of a state

  // `marks` as for Vm.
  Memo(const Model& model, std::uint8_t* marks)
      : Memory(model, marks), state_(static_cast<std::size_t>(words_)) {}

  // The units of a state. Behind every state that is read there must be one more.
  int size() const { return Words > 0 ? Words : words_; }

  // The boundary at which `thread` stands in `state`.
  int boundary_of(int thread, const std::uint64_t* state) const {
    const Counter& counter = counters_[static_cast<std::size_t>(thread)];
    const int low = counter.low.get(state);
    return counter.wide ? low + 128 * counter.high.get(state) : low;
  }

  // Finds or runs all alternatives of the step of `thread`, which stands at `boundary` in `state`;
  // the result is the first that is not blocked. `state` must stay until the last is taken.
  Outcome start(int thread, int boundary, const std::uint64_t* state) {
    Step& step = steps_[counters_[static_cast<std::size_t>(thread)].first +
                        static_cast<std::size_t>(boundary)];
    if (!step.ready) [[unlikely]] prepare(step, thread, boundary);
    ++step.asked;
    from_ = state;
    keeps_ = masks(step) + size();
    if (!find(step, state)) [[unlikely]] {
      run(step, thread, boundary, state);
      after_ = fresh_.data();
    }
    return next();
  }

  // Tells whether there is another alternative; `next` takes it.
  bool more() const { return left_ > 0 || end_ != Outcome::blocked; }
  Outcome next() {
    if (left_ == 0) return std::exchange(end_, Outcome::blocked);
    for (int w = 0; w < size(); ++w)
      state_[static_cast<std::size_t>(w)] = (from_[w] & keeps_[w]) | after_[w];
    after_ += size();
    --left_;
    return Outcome::stepped;
  }

  const std::uint64_t* state() const { return state_.data(); }
  // What a step failed with; of Fault::range the cell.
  int failure() const { return failure_; }
  Fault fault() const { return fault_; }

 private:
  bool find(const Step& step, const std::uint64_t* state) {
    const std::uint64_t* const decides = masks(step);
    std::uint64_t hash = 0;
    for (int w = 0; w < size(); ++w) hash = mix(hash, state[w] & decides[w]);
    for (std::uint64_t place = hash >> step.shift;; place = (place + 1) % step.table.size()) {
      const std::uint32_t begin = step.table[place];
      if (begin == 0) return false;
      const std::uint64_t* const entry = step.entries.data() + begin;
      std::uint64_t different = 0;
      for (int w = 0; w < size(); ++w) different |= (state[w] & decides[w]) ^ entry[w];
      if (different != 0) continue;
      left_ = entry[size()];
      after_ = entry + size() + 1;
      return true;
    }
  }

  // The step being taken.
  const std::uint64_t* from_ = nullptr;   // the state
  const std::uint64_t* keeps_ = nullptr;  // the bits that stay of it
  const std::uint64_t* after_ = nullptr;  // the next successor's other bits
  std::vector<std::uint64_t> state_;      // the successor taken last
};

}  // namespace mmunotify::core
