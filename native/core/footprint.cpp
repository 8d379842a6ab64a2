#include "core/footprint.hpp"

#include <algorithm>
#include <bit>

namespace mmunotify::core {

Footprints::Footprints(const Program& program, const Reduction& reduction)
    : p_(program),
      reduction_(reduction),
      cells_(program.cells()),
      words_(static_cast<std::size_t>(program.cells() + 63) / 64),
      row_(program.code.size(), -1) {}

Footprint Footprints::of(int thread, int boundary) {
  thread_ = thread;
  explore(p_.threads[static_cast<std::size_t>(thread)]
              .entries[static_cast<std::size_t>(boundary)]);
  Set decides(words_), changed(words_);
  for (std::int32_t at : reached_) {
    const Instr& instr = p_.code[static_cast<std::size_t>(at)];
    changes(instr, changed);
    reads(instr, written_[static_cast<std::size_t>(row_[static_cast<std::size_t>(at)])], decides);
  }
  // What one way through the step changes and another leaves as it was must be known before.
  for (std::size_t row = 0; row < reached_.size(); ++row) {
    const Instr& instr = p_.code[static_cast<std::size_t>(reached_[row])];
    if (!ends(instr)) continue;
    Set written = written_[row];
    arrive(this->boundary(instr), written);
    for (std::size_t w = 0; w < words_; ++w) decides[w] |= changed[w] & ~written[w];
  }
  return {listed(decides), listed(changed)};
}

// A forward analysis: what is certainly written on every way from `entry` to an instruction.
void Footprints::explore(std::int32_t entry) {
  for (std::int32_t at : reached_) row_[static_cast<std::size_t>(at)] = -1;
  reached_.clear();
  written_.clear();
  flow(entry, Set(words_));
  while (!open_.empty()) {
    const std::int32_t at = open_.back();
    open_.pop_back();
    visit(at);
  }
}

void Footprints::visit(std::int32_t at) {
  const Instr& instr = p_.code[static_cast<std::size_t>(at)];
  Set written = written_[static_cast<std::size_t>(row_[static_cast<std::size_t>(at)])];
  if (instr.op == Op::step || instr.op == Op::end) {
    const int next = boundary(instr);
    const Mode kind = mode(next);
    if (kind == Mode::soft) arrive(next, written);
    if (kind != Mode::hard)
      flow(p_.threads[static_cast<std::size_t>(thread_)].entries[static_cast<std::size_t>(next)],
           written);
    return;
  }
  write(instr, written);
  const auto& roles = op_roles[static_cast<std::size_t>(instr.op)];
  for (int f = 0; f < 5; ++f)
    if (roles[static_cast<std::size_t>(f)] == Role::target) flow(instr[f], written);
  if (!ends_flow(instr.op)) flow(at + 1, written);
}

// Control comes to `to` with `written` written: there, only what every way has written counts.
void Footprints::flow(std::int32_t to, const Set& written) {
  std::int32_t& row = row_[static_cast<std::size_t>(to)];
  if (row < 0) {
    row = static_cast<std::int32_t>(reached_.size());
    reached_.push_back(to);
    written_.push_back(written);
    open_.push_back(to);
    return;
  }
  Set& known = written_[static_cast<std::size_t>(row)];
  bool fewer = false;
  for (std::size_t w = 0; w < words_; ++w) {
    fewer = fewer || (known[w] & ~written[w]) != 0;
    known[w] &= written[w];
  }
  if (fewer) open_.push_back(to);
}

// Adds what `instr` certainly writes.
void Footprints::write(const Instr& instr, Set& written) const {
  const auto& roles = op_roles[static_cast<std::size_t>(instr.op)];
  for (int f = 0; f < 5; ++f)
    if (roles[static_cast<std::size_t>(f)] == Role::write) add(instr[f], 1, written);
  if (instr.op == Op::fill) add(instr[0], instr[1], written);
}

// Adds what is written when the thread arrives at a boundary and its state may be stored.
void Footprints::arrive(int boundary, Set& written) const {
  const auto thread = static_cast<std::size_t>(thread_);
  add(p_.threads[thread].pc, 2, written);
  if (reduction_.clears.empty()) return;
  const auto& rows = reduction_.clears[thread];
  if (static_cast<std::size_t>(boundary) < rows.size())
    for (std::int32_t cell : rows[static_cast<std::size_t>(boundary)]) add(cell, 1, written);
}

// Adds the cells that `instr` may read as they were before the step.
void Footprints::reads(const Instr& instr, const Set& written, Set& decides) const {
  const auto& roles = op_roles[static_cast<std::size_t>(instr.op)];
  for (int f = 0; f < 5; ++f) {
    const Role role = roles[static_cast<std::size_t>(f)];
    if (role == Role::read) add_unwritten(instr[f], 1, written, decides);
    if (role == Role::read_base) add_unwritten(instr[f], instr[3], written, decides);
  }
  if (instr.op == Op::bump)
    for (std::int32_t slot : p_.epochs[static_cast<std::size_t>(instr[0])])
      add_unwritten(slot, 1, written, decides);
}

// Adds the cells that `instr` may write.
void Footprints::changes(const Instr& instr, Set& changes) const {
  write(instr, changes);
  if (instr.op == Op::stx) add(instr[0], instr[3], changes);
  if (instr.op == Op::bump)
    for (std::int32_t slot : p_.epochs[static_cast<std::size_t>(instr[0])]) add(slot, 1, changes);
  if (ends(instr)) arrive(boundary(instr), changes);
}

// Tells whether the state may be stored where `instr` is.
bool Footprints::ends(const Instr& instr) const {
  return (instr.op == Op::step || instr.op == Op::end) && mode(boundary(instr)) != Mode::fused;
}

// The boundary at which a STEP or an END arrives.
int Footprints::boundary(const Instr& instr) const {
  return instr.op == Op::end ? p_.threads[static_cast<std::size_t>(thread_)].done() : instr[0];
}

Mode Footprints::mode(int boundary) const {
  if (reduction_.modes.empty()) return Mode::hard;
  const auto& modes = reduction_.modes[static_cast<std::size_t>(thread_)];
  const auto number = static_cast<std::size_t>(boundary);
  const bool done = boundary == p_.threads[static_cast<std::size_t>(thread_)].done();
  return !done && number < modes.size() ? modes[number] : Mode::hard;
}

// Adds slots, as far as they are cells: scratch means nothing before a step and after it.
void Footprints::add(std::int32_t slot, std::int32_t count, Set& set) const {
  for (std::int32_t cell = slot; cell < std::min(slot + count, cells_); ++cell)
    set[static_cast<std::size_t>(cell) / 64] |= std::uint64_t{1} << (cell % 64);
}

void Footprints::add_unwritten(std::int32_t slot, std::int32_t count, const Set& written,
                               Set& set) const {
  for (std::int32_t cell = slot; cell < std::min(slot + count, cells_); ++cell) {
    const std::uint64_t bit = std::uint64_t{1} << (cell % 64);
    set[static_cast<std::size_t>(cell) / 64] |= bit & ~written[static_cast<std::size_t>(cell) / 64];
  }
}

std::vector<std::int32_t> Footprints::listed(const Set& set) const {
  std::vector<std::int32_t> cells;
  for (std::size_t w = 0; w < words_; ++w)
    for (std::uint64_t left = set[w]; left != 0; left &= left - 1)
      cells.push_back(static_cast<std::int32_t>(w * 64) + std::countr_zero(left));
  return cells;
}

}  // namespace mmunotify::core
