// The program translated for the virtual machine: one code array a thread, with the treatment of
// every boundary resolved, so that nothing about reductions is decided while a step runs.
#pragma once

#include <cstdint>
#include <vector>

#include "core/program.hpp"

namespace mmunotify::core {

// Operations of the translated code. Those of the IR keep their meaning; the others:
//   mark    note that cover or boundary `d` was executed (COVER, and a fused boundary)
//   hard    the step ends at arrival `d`
//   soft    remember the state at arrival `d` and run on
//   zero    scratch slots become 0 (between fused steps, where the code could tell)
//   loop    go back to `d`, counted against the step's budget
//   stop    a predicate ends
// Pairs of operations are not run as one: a search runs few steps, and remembers them (memo.hpp).
#define MMUNOTIFY_VM_OPS(X)                                                                      \
  X(const_)                                                                                      \
  X(mov) X(add) X(sub) X(mul) X(addk) X(div) X(mod) X(and_) X(or_) X(xor_) X(not_) X(eq) X(ne)   \
      X(lt) X(le) X(ldx) X(stx) X(ldt) X(range) X(fill) X(choose) X(jmp) X(jz) X(jnz) X(jeqk)    \
          X(jnek) X(jeq) X(jne) X(jlt) X(jle) X(wait) X(assert_) X(fail) X(bump) X(mark) X(hard) \
              X(soft) X(zero) X(loop) X(stop)

enum class VmOp : std::uint16_t {
#define MMUNOTIFY_NAME(name) name,
  MMUNOTIFY_VM_OPS(MMUNOTIFY_NAME)
#undef MMUNOTIFY_NAME
};

// One instruction of the translated code: 16 bytes, so that four share a cache line.
struct Code {
  VmOp op = VmOp::stop;
  std::uint16_t a = 0, b = 0, c = 0;
  std::int32_t d = 0, e = 0;
};

// What happens when a thread arrives at a boundary at which its state may be stored.
struct Arrival {
  std::int32_t boundary = 0;  // `done` for END
  std::uint16_t pc = 0;
  Value low = 0, high = 0;  // the two pc cells
  std::uint32_t clears_begin = 0, clears_end = 0;
};

struct Clear {
  std::uint16_t cell = 0;
  Value initial = 0;
};

class Machine {
 public:
  // Translates a checked program; `reduction` null: every boundary hard, nothing cleared.
  Machine(const Program& program, const Reduction* reduction);

  struct Body {
    std::vector<Code> code;
    std::vector<std::uint32_t> entries;  // position of each boundary's first instruction
    std::uint16_t pc = 0;
    std::int32_t done = 0;
    std::uint32_t marks = 0;  // first mark of this thread's boundaries
    bool daemon = false;
  };

  std::vector<Body> threads;
  std::vector<Body> predicates;
  std::vector<Arrival> arrivals;
  std::vector<Clear> clears;
  std::vector<Value> table;
  std::vector<std::vector<std::uint16_t>> epochs;
  int cells = 0;   // stored slots
  int padded = 0;  // the same, rounded up to whole groups of eight
  int slots = 0;   // size of a slot vector, at least `padded`
  int covers = 0;
  int marks = 0;  // covers, then the boundaries of each thread
  bool zero_scratch = false;

  static int boundary(const Body& body, const Value* cells) {
    return cells[body.pc] + 128 * cells[body.pc + 1];
  }

  // Tells whether every thread that is no daemon has finished.
  bool terminal(const Value* cells) const;
};

}  // namespace mmunotify::core
