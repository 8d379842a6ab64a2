// The search as Python sees it: plain lists in, plain attributes out. What they mean is said in
// mmunotify.check.search, which is the only caller.
#include "core/search.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <tuple>

#include "bindings.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace mmunotify::bind {
namespace {

using Ints = std::vector<std::int32_t>;
using Table = std::vector<Ints>;                                     // [thread][boundary]
using Masks = std::vector<std::vector<std::vector<std::uint64_t>>>;  // [thread][boundary][word]
using ThreadRow = std::tuple<Ints, std::int32_t, bool>;              // entries, pc, daemon
using PredicateRow = std::tuple<int, std::int32_t, std::int32_t>;    // kind, entry, result
using AmpleRow = std::tuple<int, Masks, Masks, Table, std::vector<Masks>, std::vector<Masks>>;
using KindRow = std::tuple<int, Table, std::vector<std::tuple<Ints, Ints>>>;
using MicroRow = std::tuple<int, Ints>;

const char* name(core::Stop stop) {
  switch (stop) {
    case core::Stop::none: return "complete";
    case core::Stop::violated: return "violated";
    case core::Stop::fault: return "fault";
    case core::Stop::memory: return "memory";
    case core::Stop::states: return "states";
    case core::Stop::time: return "time";
    case core::Stop::interrupted: return "interrupted";
  }
  return "";
}

const char* name(core::Finding::Kind kind) {
  switch (kind) {
    case core::Finding::Kind::none: return "none";
    case core::Finding::Kind::failure: return "failure";
    case core::Finding::Kind::deadlock: return "deadlock";
    case core::Finding::Kind::predicate: return "predicate";
    case core::Finding::Kind::cycle: return "cycle";
    case core::Finding::Kind::fault: return "fault";
  }
  return "";
}

const char* name(core::Fault fault) {
  switch (fault) {
    case core::Fault::none: return "none";
    case core::Fault::overflow: return "overflow";
    case core::Fault::endless: return "endless";
    case core::Fault::choices: return "choices";
    case core::Fault::pc: return "pc";
    case core::Fault::range: return "range";
  }
  return "";
}

const char* name(core::Outcome outcome) {
  switch (outcome) {
    case core::Outcome::stepped: return "stepped";
    case core::Outcome::blocked: return "blocked";
    case core::Outcome::failed: return "failed";
    case core::Outcome::fault: return "fault";
  }
  return "";
}

[[noreturn]] void refuse(const std::string& problem) { throw nb::value_error(problem.c_str()); }

core::Program make_program(Ints lows, Ints highs, Ints initial, std::int32_t slots,
                           const Ints& code, const std::vector<ThreadRow>& threads, Ints table,
                           Table epochs, std::int32_t covers,
                           const std::vector<PredicateRow>& predicates) {
  core::Program program;
  program.lows = std::move(lows);
  program.highs = std::move(highs);
  program.initial = std::move(initial);
  program.slots = slots;
  program.table = std::move(table);
  program.epochs = std::move(epochs);
  program.covers = covers;
  if (code.size() % 6 != 0) refuse("the code must have six numbers an instruction");
  for (std::size_t at = 0; at < code.size(); at += 6) {
    if (code[at] < 0 || code[at] >= core::op_count)
      refuse("instruction " + std::to_string(at / 6) + ": no such operation");
    core::Instr instr;
    instr.op = static_cast<core::Op>(code[at]);
    for (std::size_t field = 0; field < 5; ++field) instr.fields[field] = code[at + 1 + field];
    program.code.push_back(instr);
  }
  for (const auto& [entries, pc, daemon] : threads)
    program.threads.push_back({entries, pc, daemon});
  for (const auto& [kind, entry, result] : predicates) {
    if (kind < 0 || kind > 4) refuse("no such kind of predicate");
    program.predicates.push_back({static_cast<core::PredicateKind>(kind), entry, result});
  }
  return program;
}

core::Reduction make_reduction(const Table& modes, std::vector<Table> clears,
                               std::optional<AmpleRow> ample,
                               const std::vector<KindRow>& symmetry) {
  core::Reduction reduction;
  for (const auto& row : modes) {
    auto& thread = reduction.modes.emplace_back();
    for (int mode : row) {
      if (mode < 0 || mode > 2) refuse("no such mode of a boundary");
      thread.push_back(static_cast<core::Mode>(mode));
    }
  }
  reduction.clears = std::move(clears);
  if (ample) {
    auto& [words, reads, writes, held, future_reads, future_writes] = *ample;
    reduction.ample =
        core::Ample{words,           std::move(reads),        std::move(writes),
                    std::move(held), std::move(future_reads), std::move(future_writes)};
  }
  for (const auto& [size, columns, valued] : symmetry) {
    core::Kind kind{size, columns, {}};
    for (const auto& [cells, values] : valued) kind.valued.push_back({cells, values});
    reduction.kinds.push_back(std::move(kind));
  }
  return reduction;
}

nb::bytes make_bytes(const std::vector<std::int8_t>& cells) {
  return nb::bytes(reinterpret_cast<const char*>(cells.data()), cells.size());
}

// One search, guarded against two Python threads that run it at once.
class Search {
 public:
  Search(Ints lows, Ints highs, Ints initial, std::int32_t slots, const Ints& code,
         const std::vector<ThreadRow>& threads, Ints table, Table epochs, std::int32_t covers,
         const std::vector<PredicateRow>& predicates, const Table& modes, std::vector<Table> clears,
         std::optional<AmpleRow> ample, const std::vector<KindRow>& symmetry) {
    auto program = make_program(std::move(lows), std::move(highs), std::move(initial), slots, code,
                                threads, std::move(table), std::move(epochs), covers, predicates);
    if (auto problem = core::check(program)) refuse(*problem);
    auto reduction = make_reduction(modes, std::move(clears), std::move(ample), symmetry);
    if (auto problem = core::check(program, reduction)) refuse(*problem);
    search_ = std::make_unique<core::Search>(std::move(program), std::move(reduction));
  }

  core::Result run(std::uint64_t max_states, std::uint64_t max_bytes, double max_seconds,
                   int workers, std::uint32_t parallel_from, std::int64_t walk_steps,
                   std::uint64_t seed, bool first_violation, const nb::object& progress) {
    if (busy_.exchange(true)) throw std::runtime_error("this search is running already");
    const Done done{busy_};
    core::Options options;
    options.limits = {max_states, max_bytes, max_seconds, std::min(std::max(workers, 1), 256),
                      parallel_from};
    options.walk_steps = walk_steps;
    options.seed = seed;
    options.first_violation = first_violation;
    std::optional<nb::python_error> error;
    const core::Report report = [&](const core::Progress& p) {
      const nb::gil_scoped_acquire hold;
      try {
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        if (progress.is_none()) return true;
        const nb::object go =
            progress(p.states, p.transitions, p.depth, p.frontier, p.bytes, p.seconds);
        return go.is_none() || nb::cast<bool>(go);
      } catch (nb::python_error& raised) {
        // Ctrl-C ends the search and keeps what it has found; anything else is the caller's.
        if (!raised.matches(PyExc_KeyboardInterrupt)) error.emplace(std::move(raised));
      } catch (const std::exception&) {
        // What the callback returned is no truth value: that means no.
      }
      return false;
    };
    core::Result result;
    {
      const nb::gil_scoped_release release;
      result = search_->run(options, report);
    }
    if (error) throw std::move(*error);
    return result;
  }

  nb::list successors(const nb::bytes& state, bool reduced) const {
    const auto& machine = search_->model().machine;
    if (state.size() != static_cast<std::size_t>(machine.cells))
      refuse("a state has one byte a cell");
    std::vector<core::Value> cells(static_cast<std::size_t>(machine.padded) + 1);
    for (std::size_t c = 0; c < state.size(); ++c)
      cells[c] = static_cast<std::int8_t>(static_cast<const char*>(state.data())[c]);
    nb::list all;
    for (const auto& next : core::successors(search_->model(), cells.data(), reduced))
      all.append(nb::make_tuple(next.thread, next.choices, name(next.outcome), next.number,
                                make_bytes(next.cells)));
    return all;
  }

  nb::tuple replay(const std::vector<MicroRow>& schedule, bool keep_states) const {
    std::vector<core::MicroStep> steps;
    steps.reserve(schedule.size());
    for (const auto& [thread, choices] : schedule) steps.push_back({thread, choices});
    const auto done = core::replay(search_->model(), steps, keep_states);
    return nb::make_tuple(name(done.outcome), done.steps, done.failure, make_bytes(done.states));
  }

  nb::bytes canonical(const nb::bytes& state) const {
    const auto& model = search_->model();
    if (state.size() != static_cast<std::size_t>(model.machine.cells))
      refuse("a state has one byte a cell");
    std::vector<core::Value> cells(static_cast<std::size_t>(model.machine.padded) + 1);
    for (std::size_t c = 0; c < state.size(); ++c)
      cells[c] = static_cast<std::int8_t>(static_cast<const char*>(state.data())[c]);
    if (model.symmetry) {
      auto scratch = model.symmetry->scratch();
      model.symmetry->canonicalise(cells.data(), scratch);
    }
    std::vector<std::int8_t> out(cells.begin(), cells.begin() + model.machine.cells);
    return make_bytes(out);
  }

  int bits() const { return search_->model().layout.bits(); }

 private:
  // Ends a run, however it ends.
  struct Done {
    std::atomic<bool>& busy;
    ~Done() { busy = false; }
  };

  std::unique_ptr<core::Search> search_;
  std::atomic<bool> busy_{false};
};

nb::list steps_of(const core::Result& result) {
  nb::list steps;
  for (const auto& step : result.path.steps)
    steps.append(nb::make_tuple(step.thread, step.choices, step.boundary));
  return steps;
}

nb::list schedule_of(const core::Result& result) {
  nb::list steps;
  for (const auto& step : result.path.schedule)
    steps.append(nb::make_tuple(step.thread, step.choices));
  return steps;
}

std::vector<int> set_bits(const std::vector<std::uint8_t>& flags) {
  std::vector<int> set;
  for (std::size_t n = 0; n < flags.size(); ++n)
    if (flags[n]) set.push_back(static_cast<int>(n));
  return set;
}

}  // namespace

void add_search(nb::module_& module) {
  using core::Result;
  nb::class_<Result>(module, "Result", "What a run of a search has found.")
      .def_prop_ro("stop", [](const Result& r) { return name(r.stop); })
      .def_prop_ro("finding", [](const Result& r) { return name(r.finding.kind); })
      .def_prop_ro("thread", [](const Result& r) { return r.finding.thread; })
      .def_prop_ro("number", [](const Result& r) { return r.finding.number; })
      .def_prop_ro("fault", [](const Result& r) { return name(r.finding.fault); })
      .def_prop_ro("by_walk", [](const Result& r) { return r.by_walk; })
      .def_prop_ro("states", [](const Result& r) { return r.progress.states; })
      .def_prop_ro("transitions", [](const Result& r) { return r.progress.transitions; })
      .def_prop_ro("depth", [](const Result& r) { return r.progress.depth; })
      .def_prop_ro("bytes", [](const Result& r) { return r.progress.bytes; })
      .def_prop_ro("seconds", [](const Result& r) { return r.progress.seconds; })
      .def_prop_ro("path_valid", [](const Result& r) { return r.path.valid; })
      .def_prop_ro("path", steps_of, nb::sig("def path(self) -> list[tuple[int, list[int], int]]"))
      .def_prop_ro("schedule", schedule_of,
                   nb::sig("def schedule(self) -> list[tuple[int, list[int]]]"))
      .def_prop_ro("loop", [](const Result& r) { return r.path.loop; })
      .def_prop_ro("marks", [](const Result& r) { return set_bits(r.marks); })
      .def_prop_ro("reached", [](const Result& r) { return set_bits(r.reached); });
  nb::class_<Search>(module, "Search", "A search of one program.")
      .def(nb::init<Ints, Ints, Ints, std::int32_t, const Ints&, const std::vector<ThreadRow>&,
                    Ints, Table, std::int32_t, const std::vector<PredicateRow>&, const Table&,
                    std::vector<Table>, std::optional<AmpleRow>, const std::vector<KindRow>&>(),
           nb::kw_only(), "lows"_a, "highs"_a, "initial"_a, "slots"_a, "code"_a, "threads"_a,
           "table"_a, "epochs"_a, "covers"_a, "predicates"_a, "modes"_a, "clears"_a,
           "ample"_a.none(), "symmetry"_a)
      .def("run", &Search::run, nb::kw_only(), "max_states"_a, "max_bytes"_a, "max_seconds"_a,
           "workers"_a, "parallel_from"_a, "walk_steps"_a, "seed"_a, "first_violation"_a,
           "progress"_a.none())
      .def("successors", &Search::successors, "state"_a, nb::kw_only(), "reduced"_a = false,
           nb::sig("def successors(self, state: bytes, *, reduced: bool = False) -> "
                   "list[tuple[int, list[int], str, int, bytes]]"))
      .def("replay", &Search::replay, "schedule"_a, nb::kw_only(), "keep_states"_a = true,
           nb::sig("def replay(self, schedule: Sequence[tuple[int, Sequence[int]]], *, "
                   "keep_states: bool = True) -> tuple[str, int, int, bytes]"))
      .def("canonical", &Search::canonical, "state"_a)
      .def_prop_ro("bits", &Search::bits);
}

}  // namespace mmunotify::bind
