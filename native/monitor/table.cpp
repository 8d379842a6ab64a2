#include "monitor/table.hpp"

#include <algorithm>
#include <new>

namespace mmunotify::monitor {

Table::Table(const Gate& gate, const Sections& sections, std::size_t capacity, bool whole)
    : gate_(gate), sections_(sections), whole_(whole), slots_(std::max<std::size_t>(capacity, 1)) {
  const std::size_t count = slots_.size();
  pieces_.reserve(2 * count);
  free_.reserve(count);
  reserved_.reserve(count);
  dead_.reserve(count);
  for (std::size_t slot = count; slot-- > 0;) free_.push_back(static_cast<std::uint32_t>(slot));
}

// -- lookups -------------------------------------------------------------------------------------

std::int64_t Table::find(const Range& range) {
  const std::lock_guard hold(mutex_);
  const std::size_t at = first_overlap(range);
  if (at == pieces_.size() || !pieces_[at].range.covers(range)) return miss;
  Slot& slot = slots_[pieces_[at].slot];
  ++slot.users;
  slot.referenced = true;
  ++statistics_.hits;
  return pieces_[at].slot;
}

bool Table::leave(std::uint32_t number) {
  const std::lock_guard hold(mutex_);
  Slot& slot = slots_[number];
  if (slot.users == 0) return false;
  if (--slot.users > 0 || slot.state != State::dead) return false;
  slot.state = State::reaped;
  return true;
}

// -- registering ---------------------------------------------------------------------------------

std::int64_t Table::reserve(const Range& range) {
  const std::lock_guard hold(mutex_);
  if (free_.empty()) return full;
  const std::uint32_t number = free_.back();
  free_.pop_back();
  Slot& slot = slots_[number];
  slot = Slot{range, slot.generation + 1, 1, 0, State::reserved, false, sections_.over(range), true};
  reserved_.push_back(number);
  ++statistics_.registrations;
  return number;
}

Table::Commit Table::commit(std::uint32_t number) {
  const std::lock_guard hold(mutex_);
  Slot& slot = slots_[number];
  if (slot.state != State::reserved || slot.doomed) return Commit::doomed;
  if (slot.closed) return Commit::closed;
  if (pieces_.size() == pieces_.capacity()) return Commit::clash;
  std::size_t at = first_overlap(slot.range);
  for (std::size_t next = at; next < pieces_.size(); ++next) {
    if (!pieces_[next].range.overlaps(slot.range)) break;
    if (!slot.range.covers(pieces_[next].range)) return Commit::clash;
  }
  // The new registration takes the place of those that it covers.
  while (at < pieces_.size() && pieces_[at].range.overlaps(slot.range)) drop(at);
  std::erase(reserved_, number);
  slot.state = State::live;
  slot.pieces = 1;
  insert({slot.range, number});
  return Commit::done;
}

void Table::forget(std::uint32_t number) {
  const std::lock_guard hold(mutex_);
  Slot& slot = slots_[number];
  if (slot.state == State::free || slot.state == State::live) return;
  if (slot.state == State::reserved) std::erase(reserved_, number);
  if (slot.state == State::dead) std::erase(dead_, number);
  slot.state = State::free;
  slot.users = 0;
  ++slot.generation;
  free_.push_back(number);
  --statistics_.registrations;
}

Range Table::joined(Range range) const {
  const std::lock_guard hold(mutex_);
  for (std::size_t at = first_overlap(range); at < pieces_.size(); ++at) {
    if (!pieces_[at].range.overlaps(range)) break;
    range.start = std::min(range.start, pieces_[at].range.start);
    range.end = std::max(range.end, pieces_[at].range.end);
  }
  return range;
}

// -- invalidation --------------------------------------------------------------------------------

void Table::invalidate(const Range& range) {
  const std::lock_guard hold(mutex_);
  kill(range);
}

void Table::start_anew() {
  new (&mutex_) std::mutex;
  pieces_.clear();
  reserved_.clear();
  dead_.clear();
  free_.clear();
}

void Table::kill(const Range& range) {
  for (const std::uint32_t number : reserved_)
    if (slots_[number].range.overlaps(range)) slots_[number].doomed = true;
  std::size_t at = first_overlap(range);
  while (at < pieces_.size() && pieces_[at].range.overlaps(range)) {
    const Piece whole = pieces_[at];
    // Counted before the piece goes: a slot that loses its last one is dead from then on.
    ++statistics_.invalidations;
    ++slots_[whole.slot].pieces;
    drop(at);
    // The parts on either side stay valid; where there is no room for them, they go too.
    for (const Range& rest : {Range{whole.range.start, range.start},
                              Range{range.end, whole.range.end}}) {
      if (whole_ || rest.start >= rest.end || pieces_.size() == pieces_.capacity()) continue;
      ++slots_[whole.slot].pieces;
      insert({rest, whole.slot});
      if (rest.start < range.start) ++at;
    }
    if (--slots_[whole.slot].pieces == 0) die(whole.slot);
  }
}

std::size_t Table::first_overlap(const Range& range) const {
  const auto found = std::lower_bound(
      pieces_.begin(), pieces_.end(), range.start,
      [](const Piece& piece, std::uintptr_t start) { return piece.range.end <= start; });
  return static_cast<std::size_t>(found - pieces_.begin());
}

void Table::drop(std::size_t at) {
  const std::uint32_t number = pieces_[at].slot;
  statistics_.bytes -= pieces_[at].range.end - pieces_[at].range.start;
  pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(at));
  if (--slots_[number].pieces == 0) die(number);
}

void Table::insert(const Piece& piece) {
  statistics_.bytes += piece.range.end - piece.range.start;
  const auto place = pieces_.begin() + static_cast<std::ptrdiff_t>(first_overlap(piece.range));
  pieces_.insert(place, piece);
}

void Table::die(std::uint32_t number) {
  Slot& slot = slots_[number];
  slot.state = State::dead;
  if (slot.users == 0) dead_.push_back(number);
}

// -- room ----------------------------------------------------------------------------------------

std::size_t Table::reap(std::uint32_t* slots, std::size_t room) {
  const std::lock_guard hold(mutex_);
  std::size_t count = 0;
  while (count < room && !dead_.empty()) {
    slots[count] = dead_.back();
    dead_.pop_back();
    slots_[slots[count++]].state = State::reaped;
  }
  return count;
}

std::int64_t Table::candidate() {
  const std::lock_guard hold(mutex_);
  // Twice round: the first time everybody may have been used since.
  for (std::size_t looked = 0; looked < 2 * slots_.size(); ++looked) {
    const std::size_t at = hand_;
    Slot& slot = slots_[at];
    if (slot.state == State::live && slot.users == 0) {
      if (!slot.referenced) return static_cast<std::int64_t>(at);
      slot.referenced = false;
    }
    hand_ = (hand_ + 1) % slots_.size();
  }
  return miss;
}

void Table::spare(std::uint32_t number) {
  const std::lock_guard hold(mutex_);
  slots_[number].referenced = true;
}

bool Table::evict(std::uint32_t number) {
  const std::lock_guard hold(mutex_);
  Slot& slot = slots_[number];
  if (slot.state != State::live || slot.users > 0) return false;
  slot.users = 1;  // so that it is not handed out by `reap`
  for (std::size_t at = pieces_.size(); at-- > 0;)
    if (pieces_[at].slot == number) drop(at);
  slot.users = 0;
  slot.state = State::reaped;
  ++statistics_.evictions;
  return true;
}

std::int64_t Table::evict() {
  const std::int64_t slot = candidate();
  return slot >= 0 && evict(static_cast<std::uint32_t>(slot)) ? slot : miss;
}

// -- asking --------------------------------------------------------------------------------------

Statistics Table::statistics() const {
  const std::lock_guard hold(mutex_);
  return statistics_;
}

std::uint64_t Table::generation(std::uint32_t slot) const {
  const std::lock_guard hold(mutex_);
  return slots_[slot].generation;
}

std::uint32_t Table::users(std::uint32_t slot) const {
  const std::lock_guard hold(mutex_);
  return slots_[slot].users;
}

bool Table::valid(std::uint32_t slot, const Range& range) const {
  if (gate_.ask() != Gate::Answer::open) return false;
  const std::lock_guard hold(mutex_);
  const std::size_t at = first_overlap(range);
  return at < pieces_.size() && pieces_[at].slot == slot && pieces_[at].range.covers(range);
}

}  // namespace mmunotify::monitor
