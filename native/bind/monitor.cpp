// The live side as Python sees it: a space, the tables of caches, the userfaultfd monitor. What they
// mean is said in mmunotify.live, which is the only caller.
#include <fcntl.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <system_error>

#include "bind/hit.hpp"
#include "bind/unlocked.hpp"
#include "bind/uring.hpp"
#include "monitor/userfaultfd.hpp"

#ifndef MMUNOTIFY_VERSION
#define MMUNOTIFY_VERSION "0"
#endif

namespace nb = nanobind;
using namespace nb::literals;

namespace mmunotify::bind {
namespace {

using monitor::Range;
using EventRow = std::tuple<int, std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t>;

std::tuple<std::uintptr_t, std::size_t, bool> extent(nb::handle object) {
  Py_buffer view;
  if (PyObject_GetBuffer(object.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
  const std::tuple found{reinterpret_cast<std::uintptr_t>(view.buf),
                         static_cast<std::size_t>(view.len), view.readonly != 0};
  PyBuffer_Release(&view);
  return found;
}

nb::tuple drain(monitor::Space& space) {
  monitor::Event events[256];
  bool lost = false;
  const std::size_t count = space.ring.drain(events, 256, lost);
  std::vector<EventRow> rows;
  rows.reserve(count);
  for (std::size_t at = 0; at < count; ++at) {
    const auto& [kind, range, target] = events[at];
    rows.emplace_back(static_cast<int>(kind), range.start, range.end, target.start, target.end);
  }
  return nb::make_tuple(rows, lost);
}

using NoteRow = std::tuple<std::int64_t, int, std::uintptr_t, std::uintptr_t>;

nb::tuple take_journal(monitor::Space& space) {
  bool lost = false;
  std::vector<monitor::Note> notes;
  unlocked([&] {
    notes = space.journal.take(lost);
    return 0L;
  });
  std::vector<NoteRow> rows;
  rows.reserve(notes.size());
  for (const auto& [time, event] : notes)
    rows.emplace_back(time, static_cast<int>(event.kind), event.range.start, event.range.end);
  return nb::make_tuple(rows, lost);
}

std::vector<std::uint32_t> reap(Table& table) {
  std::uint32_t slots[256];
  const std::size_t count = table->reap(slots, 256);
  return {slots, slots + count};
}

nb::dict statistics(Table& table) {
  const auto found = table->statistics();
  nb::dict all;
  all["hits"] = found.hits;
  all["invalidations"] = found.invalidations;
  all["evictions"] = found.evictions;
  all["bytes"] = found.bytes;
  all["registrations"] = found.registrations;
  return all;
}

const char* name(monitor::Table::Commit commit) {
  switch (commit) {
    case monitor::Table::Commit::done: return "done";
    case monitor::Table::Commit::doomed: return "doomed";
    case monitor::Table::Commit::closed: return "closed";
    case monitor::Table::Commit::clash: return "clash";
  }
  return "";
}

// The child runs nothing of Python's, nor of the C library's: another thread may have their locks,
// or have asked for the interpreter's, which whoever runs Python must then hand over to it.
long fork_unseen(int reads, int writes) {
  const long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    char byte;
    syscall(SYS_close, writes);
    syscall(SYS_read, reads, &byte, 1);
    syscall(SYS_exit_group, 0);
  }
  return child == -1 ? -errno : child;
}

std::shared_ptr<monitor::Userfaultfd> open_userfaultfd(std::shared_ptr<monitor::Space> space) {
  try {
    return std::make_shared<monitor::Userfaultfd>(std::move(space));
  } catch (const std::system_error& error) {
    errno = error.code().value();
    PyErr_SetFromErrno(PyExc_OSError);
    throw nb::python_error();
  }
}

void add_table(nb::module_& module) {
  nb::class_<Table>(module, "Table", "The interval table of one registration cache.")
      .def(nb::init<std::shared_ptr<monitor::Space>, std::size_t, bool>(), "space"_a, "capacity"_a,
           "whole"_a = false)
      .def("hit_range", [](Table& t, std::uintptr_t start, std::uintptr_t end) {
        return t->hit({start, end});
      }, "start"_a, "end"_a)
      .def("leave", [](Table& t, std::uint32_t slot) { return t->leave(slot); }, "slot"_a)
      .def("reserve", [](Table& t, std::uintptr_t start, std::uintptr_t end) {
        return t->reserve({start, end});
      }, "start"_a, "end"_a)
      .def("commit", [](Table& t, std::uint32_t slot) { return name(t->commit(slot)); }, "slot"_a)
      .def("forget", [](Table& t, std::uint32_t slot) { t->forget(slot); }, "slot"_a)
      .def("joined", [](Table& t, std::uintptr_t start, std::uintptr_t end) {
        const Range range = t->joined({start, end});
        return std::pair{range.start, range.end};
      }, "start"_a, "end"_a)
      .def("reap", &reap)
      .def("candidate", [](Table& t) { return t->candidate(); })
      .def("spare", [](Table& t, std::uint32_t slot) { t->spare(slot); }, "slot"_a)
      .def("evict", [](Table& t, std::uint32_t slot) { return t->evict(slot); }, "slot"_a)
      .def("invalidate", [](Table& t, std::uintptr_t start, std::uintptr_t end) {
        t->invalidate({start, end});
      }, "start"_a, "end"_a)
      .def("valid", [](Table& t, std::uint32_t slot, std::uintptr_t start, std::uintptr_t end) {
        return t->valid(slot, {start, end});
      }, "slot"_a, "start"_a, "end"_a)
      .def("users", [](Table& t, std::uint32_t slot) { return t->users(slot); }, "slot"_a)
      .def("generation", [](Table& t, std::uint32_t slot) { return t->generation(slot); },
           "slot"_a)
      .def("statistics", &statistics, nb::sig("def statistics(self) -> dict[str, int]"))
      .def_prop_ro("capacity", [](Table& t) { return t->capacity(); });
}

void add_space(nb::module_& module) {
  using monitor::Space;
  nb::class_<Space>(module, "Space", "This process's address space, as caches see it.")
      .def("__init__", [](Space* place) { new (place) Space(); })
      .def("begin_unmap", [](Space& s, std::uintptr_t start, std::uintptr_t end) {
        s.begin({start, end});
        s.expect(monitor::Kind::unmap, {start, end});
      }, "start"_a, "end"_a, "Open a section for an unmap that the caller does.")
      .def("end_unmap", [](Space& s, std::uintptr_t start, std::uintptr_t end) {
        s.expect_no_more(monitor::Kind::unmap, {start, end});
        s.end({start, end});
      }, "start"_a, "end"_a, "Close that section.")
      .def("begin_fork", [](Space& s) { s.expect(monitor::Kind::fork, monitor::everything); },
           "The report of a fork by the caller is nothing new.")
      .def("end_fork", [](Space& s) { s.expect_no_more(monitor::Kind::fork, monitor::everything); },
           "That fork is over, or has failed.")
      .def("unmap", [](Space& s, std::uintptr_t start, std::uintptr_t end) {
        return unlocked([&] { return s.unmap({start, end}); });
      }, "start"_a, "end"_a)
      .def("discard", [](Space& s, std::uintptr_t start, std::uintptr_t end, int advice) {
        return unlocked([&] { return s.discard({start, end}, advice); });
      }, "start"_a, "end"_a, "advice"_a)
      .def("remap", [](Space& s, std::uintptr_t start, std::uintptr_t end, std::size_t length,
                       int flags, std::uintptr_t target) {
        return unlocked([&] { return s.remap({start, end}, length, flags, target); });
      }, "start"_a, "end"_a, "length"_a, "flags"_a, "target"_a)
      .def("protect", [](Space& s, std::uintptr_t start, std::uintptr_t end, int protection) {
        return unlocked([&] { return s.protect({start, end}, protection); });
      }, "start"_a, "end"_a, "protection"_a)
      .def("advise", [](Space& s, std::uintptr_t start, std::uintptr_t end, int advice) {
        return unlocked([&] { return s.advise({start, end}, advice); });
      }, "start"_a, "end"_a, "advice"_a)
      .def("invalidate", [](Space& s, std::uintptr_t start, std::uintptr_t end) {
        s.report({monitor::Kind::change, {start, end}, {}});
      }, "start"_a, "end"_a, "Report that something has happened to a range, and is over.")
      .def("settle", [](Space& s) {
        unlocked([&] {
          while (s.gate.ask() == monitor::Gate::Answer::wait) usleep(10);
          return 0L;
        });
      }, "Wait until every invalidation that has begun is entered.")
      .def("keep_journal", [](Space& s) { s.journal.keep(); },
           "From now on keep what is reported, for an auditor.")
      .def("take_journal", &take_journal,
           nb::sig("def take_journal(self) -> tuple[list[tuple[int, int, int, int]], bool]"),
           "Time, kind and range of each report since the last call, and whether any was lost.")
      .def_prop_ro("settled", &Space::settled,
                   "Whether everything done by operations that had begun before is reported.")
      .def("drain", &drain, nb::sig("def drain(self) -> tuple[list[tuple[int, int, int, int, int]]"
                                    ", bool]"))
      .def_prop_ro("event_fd", [](Space& s) { return s.ring.fd(); })
      .def_prop_ro("dead", [](Space& s) { return s.gate.dead.load(); })
      .def_prop_rw("probes", [](Space& s) { return s.gate.probes.load(); },
                   [](Space& s, bool on) { s.gate.probes.store(on); });
}

void add_userfaultfd(nb::module_& module) {
  using monitor::Userfaultfd;
  nb::class_<Userfaultfd>(module, "Userfaultfd", "The userfaultfd monitor and its thread.")
      .def(nb::new_(&open_userfaultfd), "space"_a)
      .def("watch", [](Userfaultfd& m, std::uintptr_t start, std::uintptr_t end) {
        return unlocked([&] { return m.watch({start, end}); });
      }, "start"_a, "end"_a)
      .def("unwatch", [](Userfaultfd& m, std::uintptr_t start, std::uintptr_t end) {
        unlocked([&] {
          m.unwatch({start, end});
          return 0L;
        });
      }, "start"_a, "end"_a)
      .def("stop", [](Userfaultfd& m) {
        unlocked([&] {
          m.stop();
          return 0L;
        });
      })
      .def_prop_ro("fd", &Userfaultfd::fd)
      .def_prop_ro("alive", &Userfaultfd::alive)
      .def_prop_ro("hears_forks", &Userfaultfd::hears_forks)
      .def_prop_ro("user_mode_only", &Userfaultfd::user_mode_only);
}

}  // namespace
}  // namespace mmunotify::bind

NB_MODULE(_monitor, module) {
  module.doc() = "The native part of mmunotify.live.";
  // What is alive when the process ends is no leak: a daemon thread may still be using it.
  nb::set_leak_warnings(false);
  module.attr("version") = MMUNOTIFY_VERSION;
  module.attr("MISS") = mmunotify::monitor::miss;
  module.attr("BUSY") = mmunotify::monitor::busy;
  module.attr("FULL") = mmunotify::monitor::full;
  module.attr("BLIND") = mmunotify::monitor::blind;
  mmunotify::bind::add_space(module);
  mmunotify::bind::add_table(module);
  mmunotify::bind::add_hit(module);
  mmunotify::bind::add_userfaultfd(module);
  mmunotify::bind::add_uring(module);
  module.def("extent", &mmunotify::bind::extent, nb::arg("buffer"),
             "Address and length of an object's buffer, and whether it may only be read.");
  module.def("fork_unseen", [](int reads, int writes) {
    return mmunotify::bind::unlocked([&] { return mmunotify::bind::fork_unseen(reads, writes); });
  }, nb::arg("reads"), nb::arg("writes"),
             "Fork by the system call alone. The child ends when nobody can write to `reads` any more, "
             "or something is read from it. Returns its number, or minus the error.");
  module.def("closing", &mmunotify::bind::set_closing,
             "The interpreter is about to end: other threads must not come back into it.");
}
