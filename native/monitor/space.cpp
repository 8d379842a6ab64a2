#include "monitor/space.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <new>

#include "monitor/forking.hpp"

namespace mmunotify::monitor {
namespace {

// Opens a section and closes it, whatever happens in between.
class Section {
 public:
  Section(Space& space, const Range& range) : space_(space), range_(range) { space_.begin(range_); }
  ~Section() { space_.end(range_); }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

 private:
  Space& space_;
  Range range_;
};

void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

std::uintptr_t page_of(const void* object) {
  return reinterpret_cast<std::uintptr_t>(object) & ~(page_size - 1);
}

long answer(int result) { return result == 0 ? 0 : -errno; }

}  // namespace

Space::Space() { watch_forks_of(this); }

Space::~Space() { forget_forks_of(this); }

bool Space::attach(Table* table) {
  const std::lock_guard hold(mutex_);
  for (Table*& place : tables_) {
    if (place != nullptr) continue;
    place = table;
    return true;
  }
  return false;
}

void Space::detach(Table* table) {
  const std::lock_guard hold(mutex_);
  for (Table*& place : tables_)
    if (place == table) place = nullptr;
}

// -- sections ------------------------------------------------------------------------------------

void Space::begin(const Range& range) {
  sections.open(range);
  invalidate(range);
  journal.note({Kind::begun, range, {}});
}

void Space::end(const Range& range) {
  journal.note({Kind::ended, range, {}});
  sections.close(range);
}

void Space::invalidate(const Range& range) {
  const std::lock_guard hold(mutex_);
  for (Table* table : tables_)
    if (table != nullptr) table->invalidate(range);
}

// -- reports -------------------------------------------------------------------------------------

void Space::report(const Event& event) {
  journal.note(event);
  const bool known = swallow(event);
  if (event.kind == Kind::remove && !known) sections.bury(event.range);
  if (event.kind != Kind::fork) {
    invalidate(event.range);
    if (event.kind == Kind::remap) invalidate(event.target);
  }
  if (!known) ring.push(event);
}

void Space::die() {
  gate.dead.store(true, std::memory_order_seq_cst);
  journal.note({Kind::died, everything, {}});
  invalidate(everything);
  ring.push({Kind::died, everything, {}});
}

// In this order: an event that the kernel does not count as unread any more has been read, and was
// read after `working` had been set. The kernel is asked whether or not lookups do (`probes`).
//
// It counts a move only when the pages have moved (`mremap_userfaultfd_prep` after
// `move_page_tables`), and so after notifiers have been told, but before it gives `mmap_lock` back.
// `mincore` takes that for a moment.
bool Space::settled() const {
  const int uffd = gate.fd.load(std::memory_order_acquire);
  if (uffd >= 0) {
    unsigned char present = 0;
    mincore(pointer(page_of(this)), 1, &present);
    if (changing(uffd) == Changing::yes) return false;
  }
  return gate.working.load(std::memory_order_seq_cst) == 0;
}

bool Space::swallow(const Event& event) {
  const std::lock_guard hold(mutex_);
  for (auto& expected : expected_) {
    if (!expected || expected->kind != event.kind || expected->range != event.range) continue;
    expected.reset();
    return true;
  }
  return false;
}

void Space::expect(Kind kind, const Range& range) {
  const std::lock_guard hold(mutex_);
  for (auto& place : expected_) {
    if (place) continue;
    place = {kind, range};
    return;
  }
}

void Space::expect_no_more(Kind kind, const Range& range) {
  // The operation is over when its event is read, a little before the event is reported here.
  gate.wait_for_batch();
  swallow({kind, range, {}});
}

Space::Echo::Echo(Space& space, Kind kind, const Range& range)
    : space_(space), expected_{kind, range} {
  space_.expect(kind, range);
}

Space::Echo::~Echo() { space_.expect_no_more(expected_.kind, expected_.range); }

// -- explicit operations -------------------------------------------------------------------------

long Space::unmap(const Range& range) {
  const Section section(*this, range);
  const Echo echo(*this, Kind::unmap, range);
  return answer(munmap(pointer(range.start), range.end - range.start));
}

long Space::discard(const Range& range, int advice) {
  const Section section(*this, range);
  const Echo echo(*this, Kind::remove, range);
  return answer(madvise(pointer(range.start), range.end - range.start, advice));
}

long Space::remap(const Range& range, std::size_t length, int flags, std::uintptr_t target) {
  const Section section(*this, range);
  const Range onto{target, target + ((flags & MREMAP_FIXED) != 0 ? length : 0)};
  const Section there(*this, onto);
  const Echo moved(*this, Kind::remap, range);
  const Echo gone(*this, Kind::unmap, range);
  const Echo replaced(*this, Kind::unmap, onto);
  void* found =
      (flags & MREMAP_FIXED) != 0
          ? mremap(pointer(range.start), range.end - range.start, length, flags, pointer(target))
          : mremap(pointer(range.start), range.end - range.start, length, flags);
  return found == MAP_FAILED ? -errno : reinterpret_cast<long>(found);
}

long Space::protect(const Range& range, int protection) {
  const Section section(*this, range);
  return answer(mprotect(pointer(range.start), range.end - range.start, protection));
}

long Space::advise(const Range& range, int advice) {
  const Section section(*this, range);
  return answer(madvise(pointer(range.start), range.end - range.start, advice));
}

// -- fork ----------------------------------------------------------------------------------------

void Space::start_anew_in_child() {
  gate.dead.store(true);
  gate.working.store(0);
  gate.fd.store(-1);
  new (&mutex_) std::mutex;
  sections.start_anew();
  ring.start_anew();
  journal.start_anew();
  for (Table* table : tables_)
    if (table != nullptr) table->start_anew();
}

}  // namespace mmunotify::monitor
