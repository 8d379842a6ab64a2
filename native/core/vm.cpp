#include "core/vm.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace mmunotify::core {
namespace {

// A step that goes back this often, or has this many alternatives, is refused with a reason.
constexpr std::int32_t max_loops = 200'000;
constexpr std::int32_t max_alternatives = 1 << 20;
constexpr std::size_t max_branches = 4096;

bool fits(std::int32_t value) { return value == static_cast<Value>(value); }

// Division as in Python: rounding down, remainder with the sign of the divisor.
std::int32_t floor_div(std::int32_t x, std::int32_t y) {
  return x / y - (x % y != 0 && (x % y < 0) != (y < 0));
}

std::int32_t floor_mod(std::int32_t x, std::int32_t y) { return x - y * floor_div(x, y); }

}  // namespace

Vm::Vm(const Machine& machine, std::uint8_t* marks) : m_(machine), marks_(marks) {
  if (!marks_) {
    own_marks_.resize(static_cast<std::size_t>(machine.marks) + 1);
    marks_ = own_marks_.data();
  }
  slots_.resize(static_cast<std::size_t>(machine.slots) + 1);
  soft_.resize(static_cast<std::size_t>(machine.padded) + 1);
}

// Makes `cells` the state of a new step.
void Vm::begin(const Value* cells) {
  std::memcpy(slots_.data(), cells, static_cast<std::size_t>(m_.padded) * sizeof(Value));
  if (m_.zero_scratch) std::fill(slots_.begin() + m_.cells, slots_.end(), Value{0});
  branches_.clear();
  tape_.clear();
  soft_arrival_ = -1;
  budget_ = max_loops;
  alternatives_ = 0;
}

Outcome Vm::start(int thread, int boundary, const Value* cells) {
  const auto& body = m_.threads[static_cast<std::size_t>(thread)];
  begin(cells);
  if (boundary < 0 || boundary >= body.done) return stop_fault(Fault::pc);
  code_ = body.code.data();
  return execute(code_ + body.entries[static_cast<std::size_t>(boundary)]);
}

Outcome Vm::next() {
  if (++alternatives_ > max_alternatives) return stop_fault(Fault::choices);
  ++effort_;
  Branch& branch = branches_.back();
  const std::size_t size = slots_.size() + soft_.size();
  const Value* saved = saved_.data() + (branches_.size() - 1) * size;
  std::memcpy(slots_.data(), saved, slots_.size() * sizeof(Value));
  soft_arrival_ = branch.soft;
  soft_tape_ = branch.soft_tape;
  if (soft_arrival_ >= 0)
    std::memcpy(soft_.data(), saved + slots_.size(), soft_.size() * sizeof(Value));
  const Code* at = branch.at;
  const std::int32_t pick = branch.next++;
  tape_.resize(branch.tape);
  tape_.push_back(pick);
  if (pick + 1 == at->d) branches_.pop_back();
  slots_[at->a] = static_cast<Value>(static_cast<Value>(at->b) + pick);
  return execute(at + 1);
}

Outcome Vm::evaluate(int number, int result_slot, const Value* cells, Value& value) {
  const auto& body = m_.predicates[static_cast<std::size_t>(number)];
  begin(cells);
  if (result_slot >= m_.cells) slots_[static_cast<std::size_t>(result_slot)] = 0;
  code_ = body.code.data();
  const Outcome outcome = execute(code_ + body.entries[0]);
  value = slots_[static_cast<std::size_t>(result_slot)];
  // An unmet WAIT ends a predicate as END does.
  return outcome == Outcome::blocked ? Outcome::stepped : outcome;
}

Outcome Vm::stop_blocked() {
  if (soft_arrival_ < 0) return Outcome::blocked;
  std::memcpy(slots_.data(), soft_.data(), static_cast<std::size_t>(m_.padded) * sizeof(Value));
  boundary_ = m_.arrivals[static_cast<std::size_t>(soft_arrival_)].boundary;
  reported_ = soft_tape_;
  return Outcome::stepped;
}

Outcome Vm::stop_fault(Fault fault) {
  branches_.clear();
  reported_ = tape_.size();
  fault_ = fault;
  return Outcome::fault;
}

void Vm::arrive(const Arrival& arrival) {
  slots_[arrival.pc] = arrival.low;
  slots_[static_cast<std::size_t>(arrival.pc) + 1] = arrival.high;
  for (std::uint32_t c = arrival.clears_begin; c < arrival.clears_end; ++c)
    slots_[m_.clears[c].cell] = m_.clears[c].initial;
}

// Takes one alternative, the first of several under Picks::all, and returns its number.
std::int32_t Vm::choose(const Code* at) {
  std::int32_t pick = 0;
  if (picks_ == Picks::all) {
    if (at->d > 1) {
      branches_.push_back(
          {at, 1, static_cast<std::uint32_t>(tape_.size()), soft_arrival_, soft_tape_});
      const std::size_t size = slots_.size() + soft_.size();
      if (saved_.size() < branches_.size() * size) saved_.resize(branches_.size() * size * 2);
      Value* saved = saved_.data() + (branches_.size() - 1) * size;
      std::memcpy(saved, slots_.data(), slots_.size() * sizeof(Value));
      if (soft_arrival_ >= 0)
        std::memcpy(saved + slots_.size(), soft_.data(), soft_.size() * sizeof(Value));
    }
  } else if (picks_ == Picks::random) {
    pick = random_->below(at->d);
  } else if (tape_.size() < given_.size()) {
    pick = given_[tape_.size()];
  }
  tape_.push_back(pick);
  return pick;
}

// clang-format off: labels by macro are beyond it
#if defined(__GNUC__)
// Computed goto: every operation ends in its own indirect jump, which the processor predicts
// by the operation before it.
#pragma GCC diagnostic ignored "-Wpedantic"
#define VM_BEGIN                                                    \
  static const void* const labels[] = {MMUNOTIFY_VM_OPS(VM_LABEL)}; \
  goto* labels[static_cast<int>(ip->op)];
#define VM_LABEL(name) &&do_##name,
#define VM_OP(name) do_##name
#define VM_GO goto* labels[static_cast<int>(ip->op)]
#define VM_END
#else
#define VM_BEGIN \
  dispatch:      \
  switch (ip->op) {
#define VM_OP(name) case VmOp::name
#define VM_GO goto dispatch
#define VM_END \
  }            \
  return stop_fault(Fault::endless);
#endif

#define VM_NEXT \
  do {          \
    ++ip;       \
    VM_GO;      \
  } while (false)
#define VM_FAIL(number)          \
  do {                           \
    failure_ = (number);         \
    reported_ = tape_.size();    \
    return Outcome::failed;      \
  } while (false)
// Stores a result that may be beyond 16 bits.
#define VM_STORE(expression)                                        \
  do {                                                              \
    const std::int32_t result = (expression);                       \
    if (!fits(result)) [[unlikely]] return stop_fault(Fault::overflow); \
    s[ip->a] = static_cast<Value>(result);                          \
  } while (false)
#define VM_JUMP_IF(condition)  \
  do {                         \
    if (condition) {           \
      ip = code_ + ip->d;      \
      VM_GO;                   \
    }                          \
    VM_NEXT;                   \
  } while (false)

Outcome Vm::execute(const Code* ip) {
  Value* const s = slots_.data();
  const auto constant = [](std::uint16_t field) { return static_cast<Value>(field); };
  VM_BEGIN
  VM_OP(const_):
    s[ip->a] = constant(ip->b);
    VM_NEXT;
  VM_OP(mov):
    s[ip->a] = s[ip->b];
    VM_NEXT;
  VM_OP(add):
    VM_STORE(s[ip->b] + s[ip->c]);
    VM_NEXT;
  VM_OP(sub):
    VM_STORE(s[ip->b] - s[ip->c]);
    VM_NEXT;
  VM_OP(mul):
    VM_STORE(s[ip->b] * s[ip->c]);
    VM_NEXT;
  VM_OP(addk):
    VM_STORE(s[ip->b] + constant(ip->c));
    VM_NEXT;
  VM_OP(div):
    if (s[ip->c] == 0) VM_FAIL(ip->d);
    VM_STORE(floor_div(s[ip->b], s[ip->c]));
    VM_NEXT;
  VM_OP(mod):
    if (s[ip->c] == 0) VM_FAIL(ip->d);
    VM_STORE(floor_mod(s[ip->b], s[ip->c]));
    VM_NEXT;
  VM_OP(and_):
    s[ip->a] = s[ip->b] & s[ip->c];
    VM_NEXT;
  VM_OP(or_):
    s[ip->a] = s[ip->b] | s[ip->c];
    VM_NEXT;
  VM_OP(xor_):
    s[ip->a] = s[ip->b] ^ s[ip->c];
    VM_NEXT;
  VM_OP(not_):
    s[ip->a] = s[ip->b] == 0;
    VM_NEXT;
  VM_OP(eq):
    s[ip->a] = s[ip->b] == s[ip->c];
    VM_NEXT;
  VM_OP(ne):
    s[ip->a] = s[ip->b] != s[ip->c];
    VM_NEXT;
  VM_OP(lt):
    s[ip->a] = s[ip->b] < s[ip->c];
    VM_NEXT;
  VM_OP(le):
    s[ip->a] = s[ip->b] <= s[ip->c];
    VM_NEXT;
  VM_OP(ldx): {
    const int index = s[ip->c];
    if (static_cast<std::uint32_t>(index) >= static_cast<std::uint32_t>(ip->d)) VM_FAIL(ip->e);
    s[ip->a] = s[ip->b + index];
    VM_NEXT;
  }
  VM_OP(stx): {
    const int index = s[ip->b];
    if (static_cast<std::uint32_t>(index) >= static_cast<std::uint32_t>(ip->d)) VM_FAIL(ip->e);
    s[ip->a + index] = s[ip->c];
    VM_NEXT;
  }
  VM_OP(ldt): {
    const int index = s[ip->c];
    if (static_cast<std::uint32_t>(index) >= ip->b) VM_FAIL(ip->e);
    s[ip->a] = m_.table[static_cast<std::size_t>(ip->d + index)];
    VM_NEXT;
  }
  VM_OP(range):
    if (s[ip->a] < constant(ip->b) || s[ip->a] > constant(ip->c)) VM_FAIL(ip->d);
    VM_NEXT;
  VM_OP(fill):
    std::fill_n(s + ip->a, ip->d, constant(ip->b));
    VM_NEXT;
  VM_OP(choose): {
    if (branches_.size() >= max_branches) return stop_fault(Fault::choices);
    const std::int32_t pick = choose(ip);
    // A pick off the end of the choice, from a schedule made for another program.
    if (pick < 0 || pick >= ip->d) return Outcome::blocked;
    s[ip->a] = static_cast<Value>(constant(ip->b) + pick);
    VM_NEXT;
  }
  VM_OP(jmp):
    ip = code_ + ip->d;
    VM_GO;
  VM_OP(jz):
    VM_JUMP_IF(s[ip->a] == 0);
  VM_OP(jnz):
    VM_JUMP_IF(s[ip->a] != 0);
  VM_OP(jeqk):
    VM_JUMP_IF(s[ip->a] == constant(ip->b));
  VM_OP(jnek):
    VM_JUMP_IF(s[ip->a] != constant(ip->b));
  VM_OP(jeq):
    VM_JUMP_IF(s[ip->a] == s[ip->b]);
  VM_OP(jne):
    VM_JUMP_IF(s[ip->a] != s[ip->b]);
  VM_OP(jlt):
    VM_JUMP_IF(s[ip->a] < s[ip->b]);
  VM_OP(jle):
    VM_JUMP_IF(s[ip->a] <= s[ip->b]);
  VM_OP(wait):
    if (s[ip->a] == 0) return stop_blocked();
    VM_NEXT;
  VM_OP(assert_):
    if (s[ip->a] == 0) VM_FAIL(ip->d);
    VM_NEXT;
  VM_OP(fail):
    VM_FAIL(ip->d);
  VM_OP(bump):
    for (auto slot : m_.epochs[static_cast<std::size_t>(ip->d)]) {
      if (s[slot] == 1) s[slot] = 2;
    }
    VM_NEXT;
  VM_OP(mark):
    marks_[ip->d] = 1;
    VM_NEXT;
  VM_OP(hard): {
    const Arrival& arrival = m_.arrivals[static_cast<std::size_t>(ip->d)];
    arrive(arrival);
    boundary_ = arrival.boundary;
    reported_ = tape_.size();
    return Outcome::stepped;
  }
  VM_OP(soft):
    arrive(m_.arrivals[static_cast<std::size_t>(ip->d)]);
    std::memcpy(soft_.data(), s, static_cast<std::size_t>(m_.padded) * sizeof(Value));
    soft_arrival_ = ip->d;
    soft_tape_ = static_cast<std::uint32_t>(tape_.size());
    VM_NEXT;
  VM_OP(zero):
    std::fill(slots_.begin() + m_.cells, slots_.end(), Value{0});
    VM_NEXT;
  VM_OP(loop):
    if (--budget_ < 0) return stop_fault(Fault::endless);
    ++effort_;
    ip = code_ + ip->d;
    VM_GO;
  VM_OP(stop):
    return Outcome::stepped;
  VM_END
}
// clang-format on

}  // namespace mmunotify::core
