// The instruction set of the IR, with the numbers and the operand roles of
// src/mmunotify/ir/ops.py, which is where each operation's meaning is written down.
#pragma once

#include <array>
#include <cstdint>

namespace mmunotify::core {

enum class Op : std::uint8_t {
  const_,
  mov,
  add,
  sub,
  mul,
  addk,
  div,
  mod,
  and_,
  or_,
  xor_,
  not_,
  eq,
  ne,
  lt,
  le,
  ldx,
  stx,
  ldt,
  range,
  fill,
  choose,
  jmp,
  jz,
  jnz,
  jeqk,
  jnek,
  jeq,
  jne,
  jlt,
  jle,
  wait,
  assert_,
  fail,
  bump,
  cover,
  step,
  end,
};

inline constexpr int op_count = 38;

// What an operand field means; `none` fields are ignored.
enum class Role : std::uint8_t {
  none,
  write,       // slot written
  read,        // slot read
  read_base,   // first slot of an array read at an index
  write_base,  // first slot of an array written at an index, or of the slots FILL writes
  length,      // length of that array
  constant,    // immediate
  table,       // first entry in the constant table
  target,      // instruction index
  failure,     // opaque here: handed back as it came
  boundary,    // boundary number within the thread
  epoch,       // index of an epoch
  count,       // number of alternatives or of slots
  cover,       // index of a cover
};

using Roles = std::array<Role, 5>;

inline constexpr std::array<Roles, op_count> op_roles = [] {
  using enum Role;
  constexpr Roles binary{write, read, read, none, none};
  constexpr Roles jump_two{read, read, target, none, none};
  constexpr Roles jump_constant{read, constant, target, none, none};
  return std::array<Roles, op_count>{{
      {write, constant, none, none, none},        // const_
      {write, read, none, none, none},            // mov
      binary,                                     // add
      binary,                                     // sub
      binary,                                     // mul
      {write, read, constant, none, none},        // addk
      {write, read, read, failure, none},         // div
      {write, read, read, failure, none},         // mod
      binary,                                     // and_
      binary,                                     // or_
      binary,                                     // xor_
      {write, read, none, none, none},            // not_
      binary,                                     // eq
      binary,                                     // ne
      binary,                                     // lt
      binary,                                     // le
      {write, read_base, read, length, failure},  // ldx
      {write_base, read, read, length, failure},  // stx
      {write, table, read, length, failure},      // ldt
      {read, constant, constant, failure, none},  // range
      {write_base, count, constant, none, none},  // fill
      {write, constant, count, none, none},       // choose
      {target, none, none, none, none},           // jmp
      {read, target, none, none, none},           // jz
      {read, target, none, none, none},           // jnz
      jump_constant,                              // jeqk
      jump_constant,                              // jnek
      jump_two,                                   // jeq
      jump_two,                                   // jne
      jump_two,                                   // jlt
      jump_two,                                   // jle
      {read, constant, none, none, none},         // wait
      {read, failure, none, none, none},          // assert_
      {failure, none, none, none, none},          // fail
      {epoch, none, none, none, none},            // bump
      {cover, none, none, none, none},            // cover
      {boundary, none, none, none, none},         // step
      {none, none, none, none, none},             // end
  }};
}();

struct Instr {
  Op op = Op::end;
  std::array<std::int32_t, 5> fields{};

  std::int32_t operator[](int field) const { return fields[static_cast<std::size_t>(field)]; }
};

// Tells whether control never goes on to the next instruction.
constexpr bool ends_flow(Op op) {
  return op == Op::jmp || op == Op::fail || op == Op::step || op == Op::end;
}

}  // namespace mmunotify::core
