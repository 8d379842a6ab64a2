// The interval table of one registration cache: which addresses which registration covers.
//
// A registration is what a device gave for a range; it lives in a slot. Pieces are the parts of its
// range that are still valid: an invalidation takes them away, in the middle of a range too, or the
// whole range where a device has no use for parts. A slot without pieces is dead; when its last user
// has left it is handed to whoever deregisters it.
//
// Invariant: pieces do not overlap, and none overlaps an open section or was made from a
// registration that began before the last section over it. Nothing here allocates once the table is
// made, or waits for anything but the mutex, which is never held across a system call: the thread
// that reads invalidations must not stop for what it invalidates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "monitor/gate.hpp"
#include "monitor/range.hpp"
#include "monitor/sections.hpp"

namespace mmunotify::monitor {

constexpr std::int64_t miss = -1;
constexpr std::int64_t busy = -2;   // the gate says wait
constexpr std::int64_t full = -3;
constexpr std::int64_t blind = -4;  // the gate says that the monitor is dead

struct Statistics {
  std::uint64_t hits = 0;
  std::uint64_t invalidations = 0;  // registrations that lost a part or all of their range
  std::uint64_t evictions = 0;
  std::uint64_t bytes = 0;          // covered by pieces
  std::uint64_t registrations = 0;  // slots taken
};

class Table {
 public:
  enum class Commit : std::uint8_t {
    done,
    doomed,  // an invalidation fell into the time between `reserve` and now
    closed,  // a section was open over the range at `reserve`: do not keep it
    clash,   // another piece is in the way that the range does not cover
  };

  // `whole`: a registration that loses a part loses all.
  Table(const Gate& gate, const Sections& sections, std::size_t capacity, bool whole);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // -- lookups ---------------------------------------------------------------------------------

  // The slot of the registration that covers the range, with a user more, or one of the negative
  // numbers above.
  std::int64_t hit(const Range& range) {
    switch (gate_.ask()) {
      case Gate::Answer::open: return find(range);
      case Gate::Answer::wait: return busy;
      case Gate::Answer::dead: break;
    }
    return blind;
  }
  // A user of a slot leaves; true if that was the last one of a dead slot, which is the caller's to
  // deregister and `forget` now. False for a slot that has changed hands, too: see `generation`.
  bool leave(std::uint32_t slot);

  // -- registering: reserve, then ask the device, then commit or cancel --------------------------

  std::int64_t reserve(const Range& range);
  Commit commit(std::uint32_t slot);
  // Give a slot up that was reserved, or that is dead without users.
  void forget(std::uint32_t slot);
  // The union of a range with all pieces that it overlaps or that overlap the union.
  Range joined(Range range) const;

  // -- invalidation ----------------------------------------------------------------------------

  // Take a range out. Whoever does has opened a section over it first, or knows that the operation
  // is over.
  void invalidate(const Range& range);

  // -- room --------------------------------------------------------------------------------------

  // Dead slots without users, each handed out once; at most `room` of them.
  std::size_t reap(std::uint32_t* slots, std::size_t room);
  // A slot that nobody uses and that was not hit since it was last passed over (second chance). It
  // is dead when this returns, and the caller's to deregister and forget. `miss` if there is none.
  std::int64_t evict();
  // The same for one slot; false if it is in use.
  bool evict(std::uint32_t slot);
  // The next slot `evict()` would take, without taking it.
  std::int64_t candidate();
  // Pass over it after all: its device used it.
  void spare(std::uint32_t slot);

  // -- asking --------------------------------------------------------------------------------------

  Statistics statistics() const;
  std::uint64_t generation(std::uint32_t slot) const;
  std::uint32_t users(std::uint32_t slot) const;
  bool valid(std::uint32_t slot, const Range& range) const;
  std::size_t capacity() const { return slots_.size(); }

  // -- fork ----------------------------------------------------------------------------------------

  // In the child, where whoever held the mutex is gone, maybe in the middle of a change: nothing is
  // found any more, and registrations that are in use there can be released.
  void start_anew();

 private:
  enum class State : std::uint8_t { free, reserved, live, dead, reaped };

  struct Slot {
    Range range;
    std::uint64_t generation = 0;
    std::uint32_t users = 0;
    std::uint32_t pieces = 0;
    State state = State::free;
    bool doomed = false;
    bool closed = false;  // a section was open when it was reserved, and may be over by now;
                          // one that has begun since dooms it
    bool referenced = false;
  };

  struct Piece {
    Range range;
    std::uint32_t slot;
  };

  std::int64_t find(const Range& range);
  std::size_t first_overlap(const Range& range) const;
  void kill(const Range& range);
  void drop(std::size_t at);
  void die(std::uint32_t slot);
  void insert(const Piece& piece);

  const Gate& gate_;
  const Sections& sections_;
  const bool whole_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<Piece> pieces_;           // by address; its capacity is never exceeded
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> reserved_;
  std::vector<std::uint32_t> dead_;     // without users, not yet reaped
  std::size_t hand_ = 0;                // of the clock
  Statistics statistics_;
};

}  // namespace mmunotify::monitor
