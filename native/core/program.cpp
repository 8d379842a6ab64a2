#include "core/program.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace mmunotify::core {
namespace {

using Problem = std::optional<std::string>;

// Slot numbers are 16 bits wide in the translated code; the margin covers padding.
constexpr std::int32_t max_slots = 65000;
constexpr int max_done = 127 + 128 * 127;

std::string text(std::int64_t number) { return std::to_string(number); }

bool inside(std::int64_t value, std::int64_t low, std::int64_t high) {
  return low <= value && value <= high;
}

bool is_value(std::int64_t value) {
  return inside(value, std::numeric_limits<Value>::min(), std::numeric_limits<Value>::max());
}

Problem check_cells(const Program& p) {
  if (p.highs.size() != p.lows.size() || p.initial.size() != p.lows.size())
    return "lows, highs and initial differ in length";
  for (std::size_t c = 0; c < p.lows.size(); ++c)
    if (p.lows[c] < -128 || p.highs[c] > 127 || !inside(p.initial[c], p.lows[c], p.highs[c]))
      return "cell " + text(static_cast<int>(c)) +
             ": -128 <= low <= initial <= high <= 127 is needed";
  if (!inside(p.slots, p.cells(), max_slots))
    return "slots must lie in " + text(p.cells()) + ".." + text(max_slots);
  if (!std::ranges::all_of(p.table, is_value)) return "a table entry is beyond 16 bits";
  for (const auto& epoch : p.epochs)
    for (auto slot : epoch)
      if (!inside(slot, 0, p.slots - 1)) return "an epoch names slot " + text(slot);
  if (p.covers < 0) return "covers must not be negative";
  return {};
}

// Checks one operand; the fields that describe arrays are checked with their base.
Problem check_operand(const Program& p, const Instr& i, int field) {
  const std::int32_t value = i[field];
  switch (op_roles[static_cast<std::size_t>(i.op)][static_cast<std::size_t>(field)]) {
    case Role::write:
    case Role::read:
      if (!inside(value, 0, p.slots - 1)) return "slot " + text(value) + " does not exist";
      break;
    case Role::read_base:
    case Role::write_base: {
      const std::int64_t length = i.op == Op::fill ? i[1] : i[3];
      if (length < 0 || value < 0 || value + length > p.slots)
        return "the array at slot " + text(value) + " of length " + text(length) +
               " is not within the slots";
      break;
    }
    case Role::table: {
      const std::int64_t length = i[3];
      if (length < 0 || value < 0 || value + length > static_cast<std::int64_t>(p.table.size()))
        return "the table at " + text(value) + " of length " + text(length) +
               " is not within the constant table";
      break;
    }
    case Role::constant:
      if (!is_value(value)) return "constant " + text(value) + " is beyond 16 bits";
      break;
    case Role::target:
      if (!inside(value, 0, static_cast<std::int64_t>(p.code.size()) - 1))
        return "jump to " + text(value) + " leaves the code";
      break;
    case Role::epoch:
      if (!inside(value, 0, static_cast<std::int64_t>(p.epochs.size()) - 1))
        return "epoch " + text(value) + " does not exist";
      break;
    case Role::cover:
      if (!inside(value, 0, p.covers - 1)) return "cover " + text(value) + " does not exist";
      break;
    case Role::count:
      if (i.op == Op::choose && (value < 1 || !is_value(std::int64_t{i[1]} + value - 1)))
        return "a choice needs 1 or more alternatives within 16 bits";
      break;
    case Role::none:
    case Role::length:    // with its base
    case Role::failure:   // handed back as it is
    case Role::boundary:  // with the thread that gets there
      break;
  }
  return {};
}

Problem check_code(const Program& p) {
  if (p.code.size() > std::size_t{1} << 28) return "the code has more than 2**28 instructions";
  for (std::size_t at = 0; at < p.code.size(); ++at) {
    if (static_cast<int>(p.code[at].op) >= op_count)
      return "instruction " + text(static_cast<int>(at)) + ": no such operation";
    for (int field = 0; field < 5; ++field)
      if (auto problem = check_operand(p, p.code[at], field))
        return "instruction " + text(static_cast<int>(at)) + ": " + *problem;
  }
  return {};
}

// The slots an instruction may write, as a range; empty when it writes none.
std::pair<std::int32_t, std::int32_t> written(const Instr& i) {
  switch (op_roles[static_cast<std::size_t>(i.op)][0]) {
    case Role::write: return {i[0], i[0] + 1};
    case Role::write_base: return {i[0], i[0] + (i.op == Op::fill ? i[1] : i[3])};
    default: return {0, 0};
  }
}

// Only the end of a step may set a pc: what a reduction does at boundaries rests on it.
Problem check_pcs(const Program& p) {
  for (const auto& thread : p.threads) {
    const auto meets = [&](std::int32_t begin, std::int32_t end) {
      return begin < thread.pc + 2 && thread.pc < end;
    };
    for (std::size_t at = 0; at < p.code.size(); ++at)
      if (const auto [begin, end] = written(p.code[at]); meets(begin, end))
        return "instruction " + text(static_cast<int>(at)) + ": it writes the pc of a thread";
    for (const auto& epoch : p.epochs)
      for (auto slot : epoch)
        if (meets(slot, slot + 1)) return "an epoch names slot " + text(slot) + ", a pc";
  }
  return {};
}

// Follows control from `entries`; `done` < 0 for a predicate, in which STEP merely ends.
Problem check_flow(const Program& p, const std::vector<std::int32_t>& entries, int done) {
  std::vector<bool> seen(p.code.size());
  std::vector<std::int32_t> open = entries;
  while (!open.empty()) {
    const std::int32_t at = open.back();
    open.pop_back();
    if (!inside(at, 0, static_cast<std::int64_t>(p.code.size()) - 1))
      return "control reaches instruction " + text(at) + ", past the end of the code";
    if (seen[static_cast<std::size_t>(at)]) continue;
    seen[static_cast<std::size_t>(at)] = true;
    const Instr& i = p.code[static_cast<std::size_t>(at)];
    if (i.op == Op::step && done >= 0 && !inside(i[0], 0, done))
      return "instruction " + text(at) + ": boundary " + text(i[0]) + " does not exist";
    const auto& roles = op_roles[static_cast<std::size_t>(i.op)];
    for (int field = 0; field < 5; ++field)
      if (roles[static_cast<std::size_t>(field)] == Role::target) open.push_back(i[field]);
    if (!ends_flow(i.op)) open.push_back(at + 1);
  }
  return {};
}

Problem check_threads(const Program& p) {
  std::set<std::int32_t> pcs;
  for (std::size_t t = 0; t < p.threads.size(); ++t) {
    const Thread& thread = p.threads[t];
    const std::string who = "thread " + text(static_cast<int>(t)) + ": ";
    if (!inside(thread.pc, 0, p.cells() - 2)) return who + "its pc is no pair of cells";
    if (!pcs.insert(thread.pc).second || !pcs.insert(thread.pc + 1).second)
      return who + "its pc cells belong to another thread too";
    if (thread.done() > max_done) return who + "more than " + text(max_done) + " boundaries";
    const auto pc = static_cast<std::size_t>(thread.pc);
    if (!inside(p.initial[pc] + 128 * p.initial[pc + 1], 0, thread.done()))
      return who + "its initial pc is no boundary";
    if (auto problem = check_flow(p, thread.entries, thread.done())) return who + *problem;
  }
  for (std::size_t n = 0; n < p.predicates.size(); ++n) {
    const std::string who = "predicate " + text(static_cast<int>(n)) + ": ";
    if (!inside(p.predicates[n].result, 0, p.slots - 1)) return who + "its result is no slot";
    if (auto problem = check_flow(p, {p.predicates[n].entry}, -1)) return who + *problem;
  }
  return {};
}

template <class Rows>
bool one_row_a_boundary(const Program& p, const Rows& rows, int extra) {
  if (rows.size() != p.threads.size()) return false;
  for (std::size_t t = 0; t < rows.size(); ++t)
    if (rows[t].size() != p.threads[t].entries.size() &&
        rows[t].size() != p.threads[t].entries.size() + static_cast<std::size_t>(extra))
      return false;
  return true;
}

bool masks_fit(const Program& p, const std::vector<std::vector<std::vector<std::uint64_t>>>& masks,
               int words) {
  if (!one_row_a_boundary(p, masks, 1)) return false;
  for (const auto& row : masks)
    for (const auto& mask : row)
      if (mask.size() != static_cast<std::size_t>(words)) return false;
  return true;
}

Problem check_ample(const Program& p, const Ample& a) {
  if (a.words < 1) return "ample masks need a word at least";
  bool fit = masks_fit(p, a.reads, a.words) && masks_fit(p, a.writes, a.words) &&
             one_row_a_boundary(p, a.held, 1) && a.future_reads.size() == a.future_writes.size();
  for (const auto& masks : a.future_reads) fit = fit && masks_fit(p, masks, a.words);
  for (const auto& masks : a.future_writes) fit = fit && masks_fit(p, masks, a.words);
  if (!fit) return "ample sets need one mask for each thread and boundary";
  for (const auto& row : a.held)
    for (auto held : row)
      if (!inside(held, -1, static_cast<std::int64_t>(a.future_reads.size()) - 1))
        return "ample: held set " + text(held) + " does not exist";
  return {};
}

// The values that kinds seen so far give a meaning in the same cells, by those cells.
using Denoted = std::map<std::vector<std::int32_t>, std::set<std::int32_t>>;

Problem check_values(const Kind::Valued& group, std::vector<bool>& valued, Denoted& denoted) {
  if (group.cells.empty()) return {};  // a label that no cell has
  const bool known = denoted.contains(group.cells);
  auto& values = denoted[group.cells];
  for (auto value : group.values)
    if (!values.insert(value).second) return "value " + text(value) + " has two meanings";
  for (auto cell : group.cells) {
    if (valued[static_cast<std::size_t>(cell)] && !known)
      return "cell " + text(cell) + " has two labels";
    valued[static_cast<std::size_t>(cell)] = true;
  }
  return {};
}

Problem check_kind(const Program& p, const Kind& k, std::vector<bool>& valued, Denoted& denoted) {
  if (!inside(k.size, 1, 64) || k.columns.size() != static_cast<std::size_t>(k.size))
    return "1 to 64 elements, with a column each, are needed";
  std::vector<bool> taken(p.lows.size());
  for (const auto& column : k.columns) {
    if (column.size() != k.columns[0].size()) return "columns differ in length";
    for (auto cell : column) {
      if (!inside(cell, 0, p.cells() - 1)) return "cell " + text(cell) + " does not exist";
      if (taken[static_cast<std::size_t>(cell)]) return "cell " + text(cell) + " is in two columns";
      taken[static_cast<std::size_t>(cell)] = true;
    }
  }
  for (const auto& group : k.valued) {
    if (group.values.size() != static_cast<std::size_t>(k.size))
      return "one value an element is needed";
    std::set<std::int32_t> distinct(group.values.begin(), group.values.end());
    if (distinct.size() != group.values.size() || *distinct.begin() < -128 ||
        *distinct.rbegin() > 127)
      return "the values of the elements must differ and lie in -128..127";
    for (auto cell : group.cells)
      if (!inside(cell, 0, p.cells() - 1)) return "cell " + text(cell) + " does not exist";
    if (auto problem = check_values(group, valued, denoted)) return problem;
  }
  return {};
}

}  // namespace

Problem check(const Program& program) {
  if (auto problem = check_cells(program)) return problem;
  if (auto problem = check_code(program)) return problem;
  if (auto problem = check_threads(program)) return problem;
  return check_pcs(program);
}

Problem check(const Program& program, const Reduction& reduction) {
  if (!reduction.modes.empty() && !one_row_a_boundary(program, reduction.modes, 1))
    return "one mode for each thread and boundary is needed";
  if (!reduction.clears.empty() && !one_row_a_boundary(program, reduction.clears, 1))
    return "one list of cleared cells for each thread and boundary is needed";
  for (const auto& thread : reduction.clears)
    for (const auto& boundary : thread)
      for (auto cell : boundary)
        if (!inside(cell, 0, program.cells() - 1))
          return "cleared cell " + text(cell) + " does not exist";
  const auto pending = [](const Predicate& p) { return p.kind == PredicateKind::pending; };
  if ((reduction.ample || !reduction.kinds.empty()) &&
      std::ranges::any_of(program.predicates, pending))
    return "cycles are looked for without ample sets and symmetry";
  if (reduction.ample)
    if (auto problem = check_ample(program, *reduction.ample)) return problem;
  std::vector<bool> valued(program.lows.size());
  Denoted denoted;
  std::size_t labels = 0;
  for (const auto& kind : reduction.kinds) labels += kind.valued.size();
  if (labels > 200) return "more than 200 labels take part in symmetries";
  for (std::size_t k = 0; k < reduction.kinds.size(); ++k)
    if (auto problem = check_kind(program, reduction.kinds[k], valued, denoted))
      return "symmetry " + text(static_cast<int>(k)) + ": " + *problem;
  return {};
}

}  // namespace mmunotify::core
