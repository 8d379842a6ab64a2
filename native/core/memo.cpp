#include "core/memo.hpp"

#include <cassert>

namespace mmunotify::core {
namespace {

constexpr int first_bits = 4;  // of a table: 16 places

// Words of a step's entries, and of all steps' together: beyond these, looking up would wait for
// memory as long as running takes.
constexpr std::uint64_t most_of_step = 1 << 15;
constexpr std::uint64_t most = 1 << 20;

// A step that is out of room and was not asked for this often an entry is not worth remembering.
constexpr std::uint64_t worth = 4;

}  // namespace

Memory::Memory(const Model& model, std::uint8_t* marks)
    : words_(model.layout.words()),
      model_(model),
      footprints_(model.program, model.reduction),
      vm_(model.machine, marks),
      cells_(static_cast<std::size_t>(model.machine.padded) + 1),
      packed_(static_cast<std::size_t>(words_)) {
  std::size_t steps = 0;
  for (const auto& thread : model.program.threads) {
    const auto high = model.layout.field(thread.pc + 1);
    const bool wide = high.mask != 0 || high.low != 0;
    counters_.push_back({model.layout.field(thread.pc), high, wide, steps});
    steps += thread.entries.size();
  }
  steps_.resize(steps);
  masks_.resize(steps * 2 * static_cast<std::size_t>(words_));
}

void Memory::prepare(Step& step, int thread, int boundary) {
  const Footprint footprint = footprints_.of(thread, boundary);
  std::uint64_t* const decides = masks(step);
  std::uint64_t* const keeps = decides + words_;
  for (std::int32_t cell : footprint.decides) model_.layout.mark(cell, decides);
  for (std::int32_t cell : footprint.changes) model_.layout.mark(cell, keeps);
  for (int w = 0; w < words_; ++w) keeps[w] = ~keeps[w];
  forget(step);
  step.ready = true;
}

// Runs the step in the Vm, and remembers it unless it fails.
void Memory::run(Step& step, int thread, int boundary, const std::uint64_t* state) {
  const std::uint64_t* const keeps = masks(step) + words_;
  model_.layout.unpack(state, cells_.data());
  fresh_.clear();
  left_ = 0;
  fault_ = Fault::none;
  for (Outcome outcome = vm_.start(thread, boundary, cells_.data());; outcome = vm_.next()) {
    if (outcome == Outcome::stepped) outcome = add_successor(state, keeps);
    if (outcome == Outcome::failed || outcome == Outcome::fault) {
      if (fault_ == Fault::none) failure_ = vm_.failure();
      if (fault_ == Fault::none) fault_ = vm_.fault();
      end_ = outcome;
      return;
    }
    if (!vm_.more()) break;
  }
  if (!step.off) remember(step, state);
}

// Appends the state the Vm has come to, as far as it may be another.
Outcome Memory::add_successor([[maybe_unused]] const std::uint64_t* state,
                              const std::uint64_t* keeps) {
  if (!model_.layout.pack(vm_.cells(), packed_.data())) {
    fault_ = Fault::range;
    failure_ = model_.layout.misfit(vm_.cells());
    return Outcome::fault;
  }
  for (int w = 0; w < words_; ++w) {
    const std::uint64_t bits = packed_[static_cast<std::size_t>(w)];
    assert(((bits ^ state[w]) & keeps[w]) == 0 && "the footprint does not have all that changes");
    fresh_.push_back(bits & ~keeps[w]);
  }
  ++left_;
  return Outcome::stepped;
}

void Memory::remember(Step& step, const std::uint64_t* state) {
  const std::uint64_t size = static_cast<std::uint64_t>(words_) + 1 + fresh_.size();
  if (size > most_of_step / 2) return;
  if (step.entries.size() + size > most_of_step) {
    step.off = step.asked < worth * step.count;
    forget(step);
    if (step.off) return;
  }
  if (kept_ + size > most)
    for (Step& other : steps_)
      if (other.ready) forget(other);
  const auto begin = static_cast<std::uint32_t>(step.entries.size());
  const std::uint64_t* const decides = masks(step);
  for (int w = 0; w < words_; ++w) step.entries.push_back(state[w] & decides[w]);
  step.entries.push_back(left_);
  step.entries.insert(step.entries.end(), fresh_.begin(), fresh_.end());
  kept_ += size;
  if (++step.count * 2 > step.table.size()) resize(step, std::countr_zero(step.table.size()) + 1);
  insert(step, begin);
}

// Puts an entry into the table.
void Memory::insert(Step& step, std::uint32_t entry) {
  std::uint64_t hash = 0;
  for (int w = 0; w < words_; ++w)
    hash = mix(hash, step.entries[entry + static_cast<std::size_t>(w)]);
  std::uint64_t place = hash >> step.shift;
  while (step.table[place] != 0) place = (place + 1) % step.table.size();
  step.table[place] = entry;
}

void Memory::resize(Step& step, int bits) {
  std::vector<std::uint32_t> old(std::size_t{1} << bits);
  old.swap(step.table);
  step.shift = static_cast<std::uint32_t>(64 - bits);
  for (std::uint32_t entry : old)
    if (entry != 0) insert(step, entry);
}

void Memory::forget(Step& step) {
  if (!step.entries.empty()) kept_ -= step.entries.size() - 1;
  step.entries.assign(1, 0);  // an entry at 0 would be none
  step.table.clear();
  step.count = 0;
  step.asked = 0;
  resize(step, first_bits);
}

}  // namespace mmunotify::core
