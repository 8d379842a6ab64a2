#include "core/bfs.hpp"

#include <algorithm>
#include <system_error>
#include <thread>

namespace mmunotify::core {
namespace {

constexpr std::uint32_t chunk = 256;      // states a worker takes at a time
constexpr std::uint32_t poll_every = 64;  // states between two looks at the clock
constexpr double report_every = 0.1;      // seconds

}  // namespace

// One worker's memory: it shares only the store with the others.
class Bfs::Worker {
 public:
  explicit Worker(const Model& model)
      : marks(static_cast<std::size_t>(model.machine.marks) + 1), judge(model) {}
  virtual ~Worker() = default;

  // Expands states of the level until there are none left or the search stops.
  virtual void work(std::uint32_t most) = 0;

  // Stores the initial state.
  virtual void begin() = 0;

  std::uint64_t transitions() const { return published_.load(std::memory_order_relaxed); }

  std::vector<std::uint8_t> marks;
  Judge judge;

 protected:
  std::atomic<std::uint64_t> published_{0};
};

// A worker on packed states of `Words` words, 0 for any number.
template <int Words>
class Bfs::WorkerOf final : public Worker {
 public:
  WorkerOf(Bfs& bfs, int number)
      : Worker(bfs.model_),
        bfs_(bfs),
        model_(bfs.model_),
        number_(number),
        expander_(model_, marks.data()),
        batch_(model_.layout.words()),
        state_(static_cast<std::size_t>(model_.layout.words()) + 1),
        cells_(static_cast<std::size_t>(model_.machine.padded) + 1) {
    if (model_.symmetry) scratch_ = model_.symmetry->scratch();
  }

  void work(std::uint32_t most) override {
    for (Range range; bfs_.take(range, most);) {
      expand(range);
      if (range.begin < range.end) {
        bfs_.give_back(range);
        return;
      }
    }
  }

  void begin() override {
    const auto initial = model_.initial();
    model_.layout.pack(initial.data(), state_.data());  // `check` has seen that it fits
    parent_ = no_state;
    if (put(state_.data())) flush();
  }

 private:
  int words() const { return Words > 0 ? Words : batch_.stride; }

  void expand(Range& range) {
    const auto sink = [this](const std::uint64_t* state, int) { return put(state); };
    for (; range.begin < range.end; ++range.begin) {
      if (bfs_.stop_.load(std::memory_order_relaxed) != Stop::none) break;
      if (++expanded_ % poll_every == 0) publish();
      parent_ = range.begin;
      before_ = expander_.transitions;
      bfs_.store_.load(parent_, state_.data());
      const Finding finding = expander_.expand(state_.data(), sink);
      if (finding) {
        bfs_.found(finding, parent_);
        break;
      }
      if (undone_ != no_state) break;
    }
    if (undone_ == no_state) flush();
    // States whose successors could not be stored are expanded again when the search goes on.
    if (undone_ != no_state) range.begin = std::min(range.begin, undone_);
    undone_ = no_state;
    publish();
  }

  void publish() {
    published_.store(expander_.transitions, std::memory_order_relaxed);
    if (number_ == 0) bfs_.poll();
  }

  bool put(const std::uint64_t* state) {
    const int n = batch_.count;
    std::uint64_t* const entry = batch_.at(n);
    if (model_.symmetry) {
      if (!put_canonical(state, entry)) return false;
    } else {
      for (int w = 0; w < words(); ++w) entry[w] = state[w];
    }
    const std::uint64_t hash = hash_words(entry, words());
    bfs_.store_.prefetch_slot(hash);
    if (n >= Batch::lead) bfs_.store_.prefetch_record(batch_.hash[n - Batch::lead]);
    batch_.hash[n] = hash;
    batch_.parent[n] = parent_;
    befores_[n] = before_;
    return ++batch_.count < Batch::capacity || flush();
  }

  // Makes `entry` the state that stands for `state`.
  bool put_canonical(const std::uint64_t* state, std::uint64_t* entry) {
    model_.layout.unpack(state, cells_.data());
    model_.symmetry->canonicalise(cells_.data(), scratch_);
    if (model_.layout.pack(cells_.data(), entry)) return true;
    const int cell = model_.layout.misfit(cells_.data());
    bfs_.found({Finding::Kind::fault, -1, cell, Fault::range}, parent_);
    return false;
  }

  // Stores the successors collected. Returns false when there is no room for one of them.
  bool flush() {
    if (bfs_.store_.wants_growth()) bfs_.grow();
    Full full = Full::no;
    for (int n = std::max(0, batch_.count - Batch::lead); n < batch_.count; ++n)
      bfs_.store_.prefetch_record(batch_.hash[n]);
    const int done = bfs_.store_.insert(batch_, 0, number_, full);
    if (judge.needed())
      for (int n = 0; n < done; ++n)
        if (batch_.fresh[n] != no_state) examine(n);
    if (done < batch_.count) {
      undone_ = batch_.parent[done];
      expander_.transitions = befores_[done];
      bfs_.stop(full == Full::states ? Stop::states : Stop::memory);
    }
    const bool all = done == batch_.count;
    batch_.count = 0;
    return all;
  }

  void examine(int n) {
    model_.layout.unpack(batch_.at(n), cells_.data());
    if (const Finding finding = judge.judge(cells_.data()))
      bfs_.found(finding, batch_.fresh[n]);
  }

  Bfs& bfs_;
  const Model& model_;
  int number_;
  Expander<Memo<Words>> expander_;
  Batch batch_;
  std::uint64_t befores_[Batch::capacity];  // transitions before an entry's parent was expanded
  std::vector<std::uint64_t> state_;        // the state expanded
  std::vector<Value> cells_;                // a state in full, for symmetry and predicates
  Symmetry::Scratch scratch_;
  std::uint32_t parent_ = no_state;
  std::uint64_t before_ = 0;
  std::uint32_t undone_ = no_state;  // first state whose successors are not all stored
  std::uint32_t expanded_ = 0;
};

Bfs::Bfs(const Model& model) : model_(model), store_(model.layout.halves(), model.layout.words()) {
  hire();
}

Bfs::~Bfs() = default;

// Adds a worker for states as long as those of the model.
void Bfs::hire() {
  const int number = static_cast<int>(workers_.size());
  switch (model_.layout.words()) {
    case 1: workers_.push_back(std::make_unique<WorkerOf<1>>(*this, number)); break;
    case 2: workers_.push_back(std::make_unique<WorkerOf<2>>(*this, number)); break;
    case 3: workers_.push_back(std::make_unique<WorkerOf<3>>(*this, number)); break;
    case 4: workers_.push_back(std::make_unique<WorkerOf<4>>(*this, number)); break;
    default: workers_.push_back(std::make_unique<WorkerOf<0>>(*this, number)); break;
  }
}

Stop Bfs::run(const Limits& limits, const Report& report) {
  if (finding_) return stop_;
  limits_ = limits;
  report_ = &report;
  began_ = reported_ = Clock::now();
  stop_ = Stop::none;
  store_.set_limits(limits.max_bytes, limits.max_states);
  if (!started_ && start() != Stop::none) return stop_;
  while (stop_ == Stop::none) {
    if (todo_.empty()) {
      level_begin_ = level_end_;
      level_end_ = store_.size();
      if (level_begin_ == level_end_) break;
      todo_.push_back({level_begin_, level_end_});
      if (level_begin_ > 0) ++depth_;
    }
    std::uint32_t left = 0;
    for (const Range& range : todo_) left += range.end - range.begin;
    run_level(left >= limits.parallel_from ? std::max(limits.workers, 1) : 1);
  }
  earlier_ = seconds();
  began_ = {};
  return stop_;
}

Stop Bfs::start() {
  if (!store_.open()) {
    stop(Stop::memory);
    return stop_;
  }
  store_.set_limits(limits_.max_bytes, limits_.max_states);
  store_.set_workers(1);
  workers_[0]->begin();
  store_.settle([](std::uint32_t, std::uint32_t) {});
  started_ = stop_ == Stop::none || finding_;
  return stop_;
}

void Bfs::run_level(int workers) {
  while (static_cast<int>(workers_.size()) < workers) hire();
  store_.set_workers(workers);
  if (workers == 1) {
    workers_[0]->work(no_state);
  } else {
    crew_ = std::make_unique<Crew>(
        workers, [this] { store_.start_growth(); }, [this] { store_.help_growth(); });
    const auto work = [this](int number) {
      workers_[static_cast<std::size_t>(number)]->work(chunk);
      crew_->leave();
    };
    std::vector<std::thread> threads;
    for (int number = 1; number < workers; ++number) {
      try {
        threads.emplace_back(work, number);
      } catch (const std::system_error&) {
        crew_->leave();  // the system has no more threads: the others do its part
      }
    }
    work(0);
    for (auto& thread : threads) thread.join();
    crew_.reset();
  }
  store_.settle([this](std::uint32_t from, std::uint32_t to) {
    if (found_at_ == from) found_at_ = to;
  });
}

bool Bfs::take(Range& range, std::uint32_t most) {
  const std::lock_guard lock(mutex_);
  if (stop_ != Stop::none || todo_.empty()) return false;
  Range& first = todo_.front();
  range = {first.begin, first.begin + std::min(most, first.end - first.begin)};
  first.begin = range.end;
  if (first.begin == first.end) todo_.erase(todo_.begin());
  return true;
}

void Bfs::give_back(Range range) {
  const std::lock_guard lock(mutex_);
  todo_.insert(std::ranges::upper_bound(todo_, range.begin, {}, &Range::begin), range);
}

void Bfs::stop(Stop reason) {
  Stop none = Stop::none;
  stop_.compare_exchange_strong(none, reason);
}

void Bfs::found(const Finding& finding, std::uint32_t state) {
  const std::lock_guard lock(mutex_);
  // Of several workers' findings one is kept by rule, not by chance.
  if (finding_ && found_at_ <= state) return;
  finding_ = finding;
  found_at_ = state;
  stop_ = finding.kind == Finding::Kind::fault ? Stop::fault : Stop::violated;
}

void Bfs::grow() {
  if (crew_) return crew_->meet();
  store_.start_growth();
  store_.help_growth();
}

// Called by the first worker, which runs on the caller's thread.
void Bfs::poll() {
  const auto now = Clock::now();
  if (seconds() - earlier_ > limits_.max_seconds) stop(Stop::time);
  if (std::chrono::duration<double>(now - reported_).count() < report_every) return;
  reported_ = now;
  if (*report_ && !(*report_)(progress())) stop(Stop::interrupted);
}

double Bfs::seconds() const {
  if (began_ == Clock::time_point{}) return earlier_;
  return earlier_ + std::chrono::duration<double>(Clock::now() - began_).count();
}

Progress Bfs::progress() const {
  Progress p;
  p.states = store_.size();
  for (const auto& worker : workers_) p.transitions += worker->transitions();
  p.depth = depth_ + (store_.size() > level_end_ ? 1 : 0);
  p.frontier = level_end_ - level_begin_;
  p.bytes = store_.bytes();
  p.seconds = seconds();
  return p;
}

std::vector<std::uint8_t> Bfs::marks() const {
  std::vector<std::uint8_t> sum(static_cast<std::size_t>(model_.machine.marks));
  for (const auto& worker : workers_)
    for (std::size_t m = 0; m < sum.size(); ++m) sum[m] |= worker->marks[m];
  return sum;
}

std::vector<std::uint8_t> Bfs::reached() const {
  std::vector<std::uint8_t> sum(model_.program.predicates.size());
  for (const auto& worker : workers_)
    for (std::size_t n = 0; n < sum.size(); ++n) sum[n] |= worker->judge.reached()[n];
  return sum;
}

}  // namespace mmunotify::core
