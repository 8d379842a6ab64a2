#include "core/fair_cycles.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

namespace mmunotify::core {
namespace {

constexpr std::uint32_t done = no_state;         // `number_` of a state whose component is known
constexpr std::uint64_t poll_every = 256;        // states looked at between two looks at the clock
constexpr double report_every = 0.1;             // seconds
constexpr std::size_t starts = 64;               // states of a component a loop is tried from,
constexpr std::uint64_t most_looks = 200'000;    // unless they are large
constexpr std::uint64_t bytes_a_state = 3 * 4;   // group, number, low
constexpr std::size_t bytes_a_frame = 32 + 4;    // a frame, and a place on Tarjan's stack
constexpr std::size_t bytes_a_component = 24 + 16;

// Tells for each boundary whether the step from there waits in a queue and nowhere else.
std::vector<std::uint8_t> queues(const Program& program, const Thread& thread) {
  std::vector<std::uint8_t> rows;
  for (auto entry : thread.entries) {
    bool queued = false, other = false;
    std::vector<bool> seen(program.code.size());
    std::vector<std::int32_t> open{entry};
    while (!open.empty()) {
      const auto at = static_cast<std::size_t>(open.back());
      open.pop_back();
      if (seen[at]) continue;
      seen[at] = true;
      const Instr& i = program.code[at];
      if (i.op == Op::wait) (i[1] != 0 ? queued : other) = true;
      const auto& roles = op_roles[static_cast<std::size_t>(i.op)];
      for (int f = 0; f < 5; ++f)
        if (roles[static_cast<std::size_t>(f)] == Role::target) open.push_back(i[f]);
      if (!ends_flow(i.op)) open.push_back(static_cast<std::int32_t>(at) + 1);
    }
    rows.push_back(queued && !other);
  }
  return rows;
}

}  // namespace

FairCycles::FairCycles(const Model& model, const Store& store)
    : model_(model),
      store_(store),
      vm_(model.machine, nullptr),
      words_(static_cast<std::size_t>(model.layout.words())),
      cells_(static_cast<std::size_t>(model.machine.padded) + 1) {
  for (const Thread& thread : model.program.threads)
    queues_.push_back(queues(model.program, thread));
  look_.able.resize(queues_.size());
  look_.queued.resize(queues_.size());
}

Stop FairCycles::run(const Limits& limits, const Report& report, Progress progress) {
  limits_ = limits;
  report_ = &report;
  progress_ = progress;
  began_ = reported_ = Clock::now();
  if (progress.bytes + store_.size() * bytes_a_state > limits.max_bytes) return Stop::memory;
  group_.assign(store_.size(), 0);
  number_.assign(store_.size(), 0);
  low_.resize(store_.size());
  const auto& predicates = model_.program.predicates;
  for (std::size_t n = 0; n < predicates.size() && stop_ == Stop::none; ++n)
    if (predicates[n].kind == PredicateKind::pending) search(static_cast<int>(n));
  if (stop_ != Stop::none || best_.empty()) return stop_;
  std::ranges::sort(best_);
  for (std::uint32_t state : best_) group_[state] = best_group_;
  std::vector<Hop> best, loop;
  const std::uint64_t enough = looks_ + most_looks;
  for (std::size_t n = 0; n < std::min(best_.size(), starts); ++n) {
    if (!best.empty() && looks_ > enough) break;
    if (lasso(best_[n], loop) && (best.empty() || loop.size() < best.size())) best = loop;
  }
  cycle_ = {best_predicate_, best.front().from, {}};
  for (const Hop& hop : best) cycle_.steps.push_back(node(hop));
  return Stop::violated;
}

// -- components ----------------------------------------------------------------------------------

// Looks at all states in which one predicate is true.
void FairCycles::search(int predicate) {
  predicate_ = predicate;
  const std::uint32_t group = ++groups_;
  const auto slot = model_.program.predicates[static_cast<std::size_t>(predicate)].result;
  States set;
  for (std::uint32_t state = 0; state < store_.size(); ++state) {
    Value value = 0;
    ++looks_;
    if (!poll()) return;
    load(state);
    if (vm_.evaluate(predicate, slot, cells_.data(), value) != Outcome::stepped || value == 0)
      continue;
    group_[state] = group;
    number_[state] = 0;
    set.push_back(state);
  }
  components(set, group);
  while (!found_.empty() && stop_ == Stop::none) {
    States component = std::move(found_.back());
    found_.pop_back();
    waiting_ -= component.size();
    examine(std::move(component));
  }
}

// Appends to `found_` the components of a set that have a cycle.
void FairCycles::components(const States& set, std::uint32_t group) {
  visited_ = 0;
  for (std::uint32_t root : set) {
    if (number_[root] != 0) continue;
    enter(root, group);
    while (!frames_.empty() && stop_ == Stop::none) {
      Frame& frame = frames_.back();
      if (frame.next == frame.end) {
        leave();
        continue;
      }
      const std::uint32_t to = edges_[frame.next++];
      if (number_[to] == 0)
        enter(to, group);
      else if (number_[to] != done)
        low_[frame.state] = std::min(low_[frame.state], number_[to]);
    }
    if (stop_ != Stop::none) return;
  }
}

void FairCycles::enter(std::uint32_t state, std::uint32_t group) {
  if (!poll()) return;
  look(state, group, look_);
  low_[state] = number_[state] = ++visited_;
  open_.push_back(state);
  Frame frame{state, edges_.size(), 0, false};
  for (const Edge& edge : look_.edges) {
    frame.loops = frame.loops || edge.to == state;
    if (edges_.size() == frame.next || edges_.back() != edge.to) edges_.push_back(edge.to);
  }
  frame.end = edges_.size();
  frames_.push_back(frame);
}

void FairCycles::leave() {
  const Frame frame = frames_.back();
  frames_.pop_back();
  edges_.resize(frames_.empty() ? 0 : frames_.back().end);
  if (!frames_.empty()) {
    const std::uint32_t before = frames_.back().state;
    low_[before] = std::min(low_[before], low_[frame.state]);
  }
  if (low_[frame.state] != number_[frame.state]) return;
  const auto first = std::find(open_.rbegin(), open_.rend(), frame.state).base() - 1;
  std::for_each(first, open_.end(), [&](std::uint32_t state) { number_[state] = done; });
  if (open_.end() - first > 1 || frame.loops) {
    found_.emplace_back(first, open_.end());
    waiting_ += found_.back().size();
  }
  open_.erase(first, open_.end());
}

// Decides whether a component has a fair execution through all of it; takes it apart if some
// thread has to be kept from what it queues for.
void FairCycles::examine(States component) {
  const std::uint32_t group = ++groups_;
  for (std::uint32_t state : component) group_[state] = group;
  const std::size_t threads = queues_.size();
  std::vector<std::uint8_t> moves(threads), always(threads, 1), queued(threads);
  for (std::uint32_t state : component) {
    if (!poll()) return;
    look(state, group, look_);
    for (const Edge& edge : look_.edges) moves[static_cast<std::size_t>(edge.thread)] = 1;
    for (std::size_t t = 0; t < threads; ++t) {
      always[t] &= look_.able[t];
      queued[t] |= look_.queued[t];
    }
  }
  bool served = true;
  for (std::size_t t = 0; t < threads; ++t) {
    if (moves[t]) queued[t] = 0;
    if (!moves[t] && always[t]) return;
    served = served && !queued[t];
  }
  if (served) return keep(std::move(component), group);
  const std::uint32_t rest = ++groups_;
  States set;
  for (std::uint32_t state : component) {
    look(state, group, look_);
    bool kept = true;
    for (std::size_t t = 0; t < threads; ++t) kept = kept && !(queued[t] && look_.queued[t]);
    if (kept) set.push_back(state);
  }
  for (std::uint32_t state : set) {
    group_[state] = rest;
    number_[state] = 0;
  }
  components(set, rest);
}

void FairCycles::keep(States component, std::uint32_t group) {
  if (!best_.empty() && std::ranges::min(best_) <= std::ranges::min(component)) return;
  best_ = std::move(component);
  best_group_ = group;
  best_predicate_ = predicate_;
}

// Finds what each thread can do in `state`, and the edges that stay within `group`.
void FairCycles::look(std::uint32_t state, std::uint32_t group, Look& look) {
  ++looks_;
  load(state);
  look.edges.clear();
  for (std::size_t t = 0; t < queues_.size(); ++t) {
    const auto& body = model_.machine.threads[t];
    const int boundary = Machine::boundary(body, cells_.data());
    look.able[t] = look.queued[t] = 0;
    if (boundary == body.done) continue;
    const int thread = static_cast<int>(t);
    for (Outcome outcome = vm_.start(thread, boundary, cells_.data());; outcome = vm_.next()) {
      if (outcome == Outcome::stepped) {
        look.able[t] = 1;
        model_.layout.pack(vm_.cells(), words_.data());
        const std::uint32_t to = store_.find(words_.data());
        if (to != no_state && group_[to] == group) look.edges.push_back({to, thread});
      }
      if (outcome == Outcome::fault || !vm_.more()) break;
    }
    look.queued[t] = look.able[t] && queues_[t][static_cast<std::size_t>(boundary)];
  }
}

// -- the loop ------------------------------------------------------------------------------------

// Makes a fair loop from `start` through `best_`, by going to the nearest place where some thread
// is served that was not, until all are. Returns false when it gets too long to be of use.
bool FairCycles::lasso(std::uint32_t start, std::vector<Hop>& loop) {
  const std::size_t threads = queues_.size();
  std::vector<std::uint8_t> must(threads);  // only a step of its own will do
  for (std::size_t round = 0; round <= threads; ++round) {
    loop.clear();
    std::vector<std::uint8_t> met(threads);
    std::uint32_t at = start;
    for (;;) {
      std::vector<std::uint8_t> unable(threads);
      meet(at, unable);
      for (std::size_t t = 0; t < threads; ++t) met[t] |= unable[t] && !must[t];
      std::vector<std::uint8_t> wanted(threads);
      for (std::size_t t = 0; t < threads; ++t) wanted[t] = met[t] ? 0 : must[t] ? 2 : 1;
      const bool all = std::ranges::all_of(met, [](std::uint8_t m) { return m != 0; });
      if (all && at == start && !loop.empty()) break;
      const std::size_t before = loop.size();
      if (!go(at, wanted, all ? start : no_state, loop)) return false;
      for (std::size_t n = before; n < loop.size(); ++n) {
        met[static_cast<std::size_t>(loop[n].thread)] = 1;
        meet(loop[n].to, unable);
        for (std::size_t t = 0; t < threads; ++t) met[t] |= unable[t] && !must[t];
      }
      at = loop.back().to;
    }
    if (served(loop, must)) return true;
  }
  return false;
}

// Sets `met` for each thread that cannot step in `state`.
void FairCycles::meet(std::uint32_t state, std::vector<std::uint8_t>& met) {
  look(state, best_group_, look_);
  for (std::size_t t = 0; t < met.size(); ++t) met[t] = !look_.able[t];
}

// Tells whether no thread that queues is passed over on `loop`; else that thread `must` step.
bool FairCycles::served(const std::vector<Hop>& loop, std::vector<std::uint8_t>& must) {
  std::vector<std::uint8_t> moves(must.size());
  for (const Hop& hop : loop) moves[static_cast<std::size_t>(hop.thread)] = 1;
  bool good = true;
  for (const Hop& hop : loop) {
    look(hop.from, best_group_, look_);
    for (std::size_t t = 0; t < must.size(); ++t)
      if (!moves[t] && look_.queued[t]) {
        good = false;
        must[t] = 1;
      }
  }
  return good;
}

// Appends the shortest way from `from` to `home`, or, without a home, to where a thread is served
// that is `wanted`: by a step of its own, or (1, not 2) in a state where it cannot step.
bool FairCycles::go(std::uint32_t from, const std::vector<std::uint8_t>& wanted, std::uint32_t home,
                    std::vector<Hop>& loop) {
  std::unordered_map<std::uint32_t, Came> came;
  States level{from}, next;
  Hop last{no_state, no_state, -1};
  while (!level.empty() && last.thread < 0) {
    next.clear();
    for (std::size_t n = 0; n < level.size() && last.thread < 0; ++n) {
      const std::uint32_t state = level[n];
      look(state, best_group_, look_);
      for (const Edge& edge : std::vector<Edge>(look_.edges)) {
        const bool steps = wanted[static_cast<std::size_t>(edge.thread)] != 0;
        if (home == no_state ? steps : edge.to == home) {
          last = {state, edge.to, edge.thread};
          break;
        }
        if (edge.to == from || !came.try_emplace(edge.to, Came{state, edge.thread}).second)
          continue;
        next.push_back(edge.to);
        if (home != no_state) continue;
        look(edge.to, best_group_, look_);
        for (std::size_t t = 0; t < wanted.size(); ++t)
          if (wanted[t] == 1 && !look_.able[t]) last = {state, edge.to, edge.thread};
        if (last.thread >= 0) break;
      }
    }
    std::swap(level, next);
  }
  if (last.thread < 0) return false;
  std::vector<Hop> way{last};
  while (way.back().from != from) {
    const Came& step = came.at(way.back().from);
    way.push_back({step.from, way.back().from, step.thread});
  }
  loop.insert(loop.end(), way.rbegin(), way.rend());
  return true;
}

// Returns the step of a hop, as it is run.
Node FairCycles::node(const Hop& hop) {
  load(hop.from);
  const auto& body = model_.machine.threads[static_cast<std::size_t>(hop.thread)];
  const int boundary = Machine::boundary(body, cells_.data());
  Outcome outcome = vm_.start(hop.thread, boundary, cells_.data());
  for (;; outcome = vm_.next()) {
    if (outcome == Outcome::stepped) {
      model_.layout.pack(vm_.cells(), words_.data());
      if (store_.find(words_.data()) == hop.to) break;
    }
    if (!vm_.more()) return {};
  }
  Node node;
  node.thread = hop.thread;
  node.boundary = vm_.boundary();
  node.tape.assign(vm_.tape().begin(), vm_.tape().end());
  node.choices = vm_.choices().size();
  node.cells.assign(vm_.cells(), vm_.cells() + model_.machine.padded);
  return node;
}

// -- the rest ------------------------------------------------------------------------------------

void FairCycles::load(std::uint32_t state) {
  store_.load(state, words_.data());
  model_.layout.unpack(words_.data(), cells_.data());
}

// Looks at the clock and at the memory now and then. Returns false when the search has to stop.
bool FairCycles::poll() {
  if (looks_ % poll_every != 0) return stop_ == Stop::none;
  const auto now = Clock::now();
  const auto since = [&](Clock::time_point then) {
    return std::chrono::duration<double>(now - then).count();
  };
  if (since(began_) > limits_.max_seconds) stop_ = Stop::time;
  const std::uint64_t bytes = progress_.bytes + store_.size() * bytes_a_state +
                              edges_.capacity() * 4 + frames_.capacity() * bytes_a_frame +
                              found_.capacity() * bytes_a_component + waiting_ * 4;
  if (bytes > limits_.max_bytes) stop_ = Stop::memory;
  if (since(reported_) >= report_every) {
    reported_ = now;
    Progress progress = progress_;
    progress.frontier = 0;
    progress.bytes = bytes;
    progress.seconds += since(began_);
    if (*report_ && !(*report_)(progress)) stop_ = Stop::interrupted;
  }
  return stop_ == Stop::none;
}

}  // namespace mmunotify::core
