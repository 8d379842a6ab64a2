// A space: the address space of this process as registration caches see it. It spreads what
// monitors see, and what explicit operations do, to the tables of all caches.
//
// Invariant: a section is open, or the gate says wait, from before an operation's effect can be seen
// until every table is up to date.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <optional>

#include "monitor/gate.hpp"
#include "monitor/journal.hpp"
#include "monitor/ring.hpp"
#include "monitor/sections.hpp"
#include "monitor/table.hpp"

namespace mmunotify::monitor {

class Space {
 public:
  static constexpr std::size_t max_tables = 64;

  Space();
  ~Space();
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  // False if there are too many.
  bool attach(Table* table);
  void detach(Table* table);

  // -- sections --------------------------------------------------------------------------------

  void begin(const Range& range);
  void end(const Range& range);

  // -- what a monitor reports; it has set `gate.working` -----------------------------------------

  // An operation that is over, or that has begun (`Kind::remove`).
  void report(const Event& event);
  // The monitor is gone: from now on nothing is believed.
  void die();
  // Whether everything is in the journal that was done by an operation which began to change the
  // page table before this was called; true as well where there is no monitor that could say no.
  bool settled() const;

  // -- explicit operations; 0 or -errno ----------------------------------------------------------

  long unmap(const Range& range);
  long discard(const Range& range, int advice);
  // The new address, or -errno. Without a target the kernel chooses.
  long remap(const Range& range, std::size_t length, int flags, std::uintptr_t target);
  long protect(const Range& range, int protection);
  long advise(const Range& range, int advice);
  // For an operation that the caller does itself, in a section of its own.
  void expect(Kind kind, const Range& range);
  void expect_no_more(Kind kind, const Range& range);

  // -- fork (`forking.cpp`) ------------------------------------------------------------------------

  void start_anew_in_child();

  Gate gate;
  Sections sections;
  Ring ring;
  Journal journal;

 private:
  struct Expected {
    Kind kind;
    Range range;
  };

  // The report of an explicit operation's own doing is nothing new. One report is swallowed for
  // each: another thread's operation on the very same range is still heard.
  class Echo {
   public:
    Echo(Space& space, Kind kind, const Range& range);
    ~Echo();

   private:
    Space& space_;
    Expected expected_;
  };

  bool swallow(const Event& event);
  void invalidate(const Range& range);

  std::mutex mutex_;  // before the mutex of any table
  std::array<Table*, max_tables> tables_{};
  std::array<std::optional<Expected>, 64> expected_{};
};

}  // namespace mmunotify::monitor
