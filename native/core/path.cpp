#include "core/path.hpp"

#include <algorithm>
#include <span>

namespace mmunotify::core {
namespace {

bool same_cells(const std::vector<Value>& x, const Value* y, int count) {
  return std::equal(x.begin(), x.begin() + count, y);
}

}  // namespace

PathBuilder::PathBuilder(const Model& model)
    : model_(model),
      marks_(static_cast<std::size_t>(model.machine.marks) + 1),
      expander_(model, marks_.data()),
      vm_(model.machine, nullptr),
      micro_(model.micro, nullptr) {
  if (model.symmetry) scratch_ = model.symmetry->scratch();
}

Path PathBuilder::to(const Store& store, std::uint32_t state, Finding& finding) {
  if (!reach(store, state) || !conclude(finding)) return {};
  return along(std::vector<Node>(std::move(taken_)));
}

Path PathBuilder::around(const Store& store, std::uint32_t state, const std::vector<Node>& cycle) {
  if (!reach(store, state)) return {};
  std::vector<Node> steps(std::move(taken_));
  const std::size_t loop = along(steps).schedule.size();
  steps.insert(steps.end(), cycle.begin(), cycle.end());
  Path path = along(steps);
  path.loop = loop;
  return path;
}

// Makes `taken_` the way to a stored state.
bool PathBuilder::reach(const Store& store, std::uint32_t state) {
  std::vector<std::uint32_t> chain;
  for (std::uint32_t s = state; s != no_state; s = store.parent(s)) chain.push_back(s);
  std::ranges::reverse(chain);
  std::vector<std::uint64_t> words(static_cast<std::size_t>(model_.layout.words()));
  real_ = model_.initial();
  abstract_ = real_;
  taken_.clear();
  for (std::size_t n = 0; n < chain.size(); ++n) {
    store.load(chain[n], words.data());
    if (n > 0 && !hop(words.data())) return false;
    model_.layout.unpack(words.data(), abstract_.data());
  }
  return true;
}

// Appends the failing step, if one failed. On a symmetric path a symmetric thing may be wrong:
// `finding` becomes what this path shows.
bool PathBuilder::conclude(Finding& finding) {
  if (finding.kind == Finding::Kind::failure && finding.thread >= 0) {
    if (!last(finding)) return false;
    finding.thread = taken_.back().thread;
    finding.number = taken_.back().failure;
  } else if (finding.kind == Finding::Kind::failure || finding.kind == Finding::Kind::predicate) {
    finding = Judge(model_).judge(real_.data());
    return static_cast<bool>(finding);
  }
  return true;
}

// The form in which states are compared: the one that stands for all symmetric to it.
std::vector<Value> PathBuilder::key(const Value* cells) {
  std::vector<Value> key(cells, cells + model_.machine.padded);
  if (model_.symmetry) model_.symmetry->canonicalise(key.data(), scratch_);
  return key;
}

bool PathBuilder::same(const Value* cells, const std::vector<Value>& other) {
  return same_cells(key(cells), other.data(), model_.machine.cells);
}

// Goes on from `abstract_` to the stored state `target`, by the steps that the search took.
bool PathBuilder::hop(const std::uint64_t* target) {
  std::vector<Node> log;
  std::vector<std::uint64_t> words(static_cast<std::size_t>(model_.layout.words()));
  int reached = -1;
  expander_.set_log(&log);
  expander_.expand(abstract_.data(), [&](const Value* cells, int node) {
    const auto canonical = key(cells);
    if (model_.layout.pack(canonical.data(), words.data()) &&
        std::equal(words.begin(), words.end(), target))
      reached = node;
    return reached < 0;
  });
  expander_.set_log(nullptr);
  return reached >= 0 && imitate(log, reached);
}

// Appends the step that failed when `abstract_` was expanded, and those it was chained to.
bool PathBuilder::last(const Finding& finding) {
  std::vector<Node> log;
  expander_.set_log(&log);
  const Finding again = expander_.expand(abstract_.data(), [](const Value*, int) { return true; });
  expander_.set_log(nullptr);
  return again.kind == Finding::Kind::failure && again.number == finding.number && !log.empty() &&
         imitate(log, static_cast<int>(log.size()) - 1);
}

bool PathBuilder::imitate(const std::vector<Node>& log, int node) {
  std::vector<int> steps;
  for (int n = node; n >= 0; n = log[static_cast<std::size_t>(n)].before) steps.push_back(n);
  return std::all_of(steps.rbegin(), steps.rend(),
                     [&](int n) { return imitate_step(log[static_cast<std::size_t>(n)]); });
}

// Finds, from `real_`, the step that corresponds to one taken from a symmetric state: some
// thread has it, as a permutation that maps one state to the other maps the step too.
bool PathBuilder::imitate_step(const Node& step) {
  const bool failed = step.boundary < 0;
  const int threads = static_cast<int>(model_.machine.threads.size());
  const auto wanted = key(step.cells.data());
  if (!model_.symmetry) {
    taken_.push_back(step);
    real_ = step.cells;
    return true;
  }
  for (int t = 0; t < threads; ++t) {
    const auto& body = model_.machine.threads[static_cast<std::size_t>(t)];
    const int boundary = Machine::boundary(body, real_.data());
    if (boundary == body.done) continue;
    for (Outcome outcome = vm_.start(t, boundary, real_.data());; outcome = vm_.next()) {
      if (outcome == (failed ? Outcome::failed : Outcome::stepped) && same(vm_.cells(), wanted))
        return take(t, vm_, failed);
      if (outcome == Outcome::fault || !vm_.more()) break;
    }
  }
  return false;
}

bool PathBuilder::take(int thread, const Vm& vm, bool failed) {
  Node node;
  node.thread = thread;
  node.boundary = failed ? -1 : vm.boundary();
  node.failure = failed ? vm.failure() : -1;
  node.tape.assign(vm.tape().begin(), vm.tape().end());
  node.choices = vm.choices().size();
  node.cells.assign(vm.cells(), vm.cells() + model_.machine.padded);
  real_ = node.cells;
  taken_.push_back(std::move(node));
  return true;
}

Path PathBuilder::along(const std::vector<Node>& steps) {
  Path path;
  auto cells = model_.initial();
  schedule_.clear();
  micro_.set_picks(Vm::Picks::tape);
  for (const Node& step : steps) {
    path.steps.push_back(
        {step.thread,
         {step.tape.begin(), step.tape.begin() + static_cast<std::ptrdiff_t>(step.choices)},
         step.boundary});
    if (!cut_step(step, cells)) return {};
  }
  path.schedule = std::move(schedule_);
  path.valid = true;
  return path;
}

// Cuts a step at every boundary it passes. Where it was blocked after a soft boundary, the
// execution ends at the last one of these.
bool PathBuilder::cut_step(const Node& step, std::vector<Value>& cells) {
  const auto thread = static_cast<std::size_t>(step.thread);
  const auto& body = model_.micro.threads[thread];
  const auto& modes = model_.reduction.modes;
  std::span<const std::int32_t> tape = step.tape;
  std::vector<Value> soft;
  std::size_t soft_length = 0;
  for (;;) {
    micro_.follow(tape);
    const Outcome outcome =
        micro_.start(step.thread, Machine::boundary(body, cells.data()), cells.data());
    if (outcome == Outcome::blocked) {
      if (soft.empty()) return false;
      cells = soft;
      schedule_.resize(soft_length);
      return true;
    }
    if (outcome == Outcome::fault) return false;
    schedule_.push_back({step.thread, {micro_.choices().begin(), micro_.choices().end()}});
    if (outcome == Outcome::failed) return step.boundary < 0;
    tape = tape.subspan(std::min(tape.size(), micro_.choices().size()));
    cells.assign(micro_.cells(), micro_.cells() + model_.machine.padded);
    const auto boundary = static_cast<std::size_t>(micro_.boundary());
    const Mode mode =
        micro_.boundary() == body.done || modes.empty() || boundary >= modes[thread].size()
            ? Mode::hard
            : modes[thread][boundary];
    if (mode == Mode::hard) return step.boundary == micro_.boundary();
    if (mode == Mode::soft) {
      soft = cells;
      soft_length = schedule_.size();
    }
  }
}

}  // namespace mmunotify::core
