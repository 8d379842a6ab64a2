// The virtual machine: runs one thread from the boundary it stands at to the next boundary at
// which its state may be stored, one alternative of its choices at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/machine.hpp"
#include "core/random.hpp"

namespace mmunotify::core {

enum class Outcome : std::uint8_t {
  stepped,  // `cells()` is the state after the step
  blocked,  // this alternative does not happen in this state
  failed,   // `failure()` says which
  fault,    // the program is beyond what the machine can do; `fault()` says why
};

enum class Fault : std::uint8_t {
  none,
  overflow,  // a result beyond 16 bits
  endless,   // a step that reaches no boundary
  choices,   // too many alternatives in one step
  pc,        // a thread's pc is no boundary
  range,     // a cell's value cannot be stored within its bounds
};

class Vm {
 public:
  using Unit = Value;  // of a state

  // Which alternatives of a choice are run.
  enum class Picks : std::uint8_t {
    all,     // every one: `start`, then `next` while `more`
    tape,    // those given by `follow`; the first where the tape has ended
    random,  // one, by chance
  };

  // `marks` (may be null: discarded) has `machine.marks` bytes, set to 1 for what was executed.
  Vm(const Machine& machine, std::uint8_t* marks);

  void set_picks(Picks picks, Random* random = nullptr) {
    picks_ = picks;
    random_ = random;
  }

  // Sets the choices of the next steps under Picks::tape.
  void follow(std::span<const std::int32_t> tape) { given_.assign(tape.begin(), tape.end()); }

  // Runs `thread`, which stands at `boundary` (not done) in the state `cells` (padded length).
  Outcome start(int thread, int boundary, const Value* cells);

  // Tells whether an alternative has not been run yet; `next` runs it.
  bool more() const { return !branches_.empty(); }
  Outcome next();

  // Runs predicate `number` in the state `cells`: stepped (then `value` is its value), or failed.
  Outcome evaluate(int number, int result_slot, const Value* cells, Value& value);

  const Value* cells() const { return slots_.data(); }
  const Value* state() const { return cells(); }
  // The units of a state.
  int size() const { return m_.padded; }
  // The boundary at which `thread` stands in the state `cells`.
  int boundary_of(int thread, const Value* cells) const {
    return Machine::boundary(m_.threads[static_cast<std::size_t>(thread)], cells);
  }
  // Jumps back and alternatives in all steps so far: time that does not depend on the machine.
  std::int64_t effort() const { return effort_; }
  int boundary() const { return boundary_; }
  int failure() const { return failure_; }
  Fault fault() const { return fault_; }
  // The choices that lead to the state reached; `tape` also has those made after it was passed.
  std::span<const std::int32_t> choices() const { return {tape_.data(), reported_}; }
  std::span<const std::int32_t> tape() const { return tape_; }

 private:
  // Where a choice was made, to come back for the next alternative.
  struct Branch {
    const Code* at;
    std::int32_t next;
    std::uint32_t tape;
    std::int32_t soft;  // arrival last passed softly, or -1
    std::uint32_t soft_tape;
  };

  void begin(const Value* cells);
  Outcome execute(const Code* ip);
  Outcome stop_blocked();
  Outcome stop_fault(Fault fault);
  void arrive(const Arrival& arrival);
  std::int32_t choose(const Code* at);

  const Machine& m_;
  std::uint8_t* marks_;
  std::vector<std::uint8_t> own_marks_;
  const Code* code_ = nullptr;
  std::vector<Value> slots_;
  std::vector<Value> soft_;  // the state at the boundary last passed softly
  std::int32_t soft_arrival_ = -1;
  std::uint32_t soft_tape_ = 0;
  std::vector<Branch> branches_;
  std::vector<Value> saved_;  // slots, then `soft_`, a branch each
  std::vector<std::int32_t> tape_;
  std::vector<std::int32_t> given_;
  std::size_t reported_ = 0;
  std::int32_t budget_ = 0;
  std::int64_t effort_ = 0;
  std::int32_t alternatives_ = 0;
  std::int32_t boundary_ = 0;
  std::int32_t failure_ = 0;
  Fault fault_ = Fault::none;
  Picks picks_ = Picks::all;
  Random* random_ = nullptr;
};

}  // namespace mmunotify::core
