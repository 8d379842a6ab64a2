#include "core/store.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mmunotify::core {
namespace {

static_assert(std::endian::native == std::endian::little,
              "a stored state is the first bytes of its packed words");

constexpr std::uint64_t first_capacity = 1 << 12;
constexpr std::uint32_t pool_size = 64;        // state numbers a worker takes at a time
constexpr std::uint64_t move_block = 1 << 18;  // slots a worker copies at a time: a huge page
constexpr std::uint64_t max_capacity = std::uint64_t{1} << 32;

// Linear probing: at seven tenths a look-up touches about two cache lines. Where memory ends the
// table may get fuller before the search gives up.
std::uint64_t comfortable(std::uint64_t capacity) { return capacity / 10 * 7; }
std::uint64_t crammed(std::uint64_t capacity) { return capacity / 100 * 92; }

std::uint64_t make_slot(std::uint64_t hash, std::uint32_t state) {
  return hash >> 32 << 32 | (state + 1u);  // never 0, which is an empty slot
}

std::uint32_t slot_state(std::uint64_t slot) { return static_cast<std::uint32_t>(slot) - 1u; }

bool same_tag(std::uint64_t slot, std::uint64_t hash) { return slot >> 32 == hash >> 32; }

}  // namespace

Store::Store(int halves, int words) : halves_(halves), words_(words) {
  switch (halves) {
    case 1: choose<1>(); break;
    case 2: choose<2>(); break;
    case 3: choose<3>(); break;
    case 4: choose<4>(); break;
    case 5: choose<5>(); break;
    case 6: choose<6>(); break;
    case 7: choose<7>(); break;
    case 8: choose<8>(); break;
    default: choose<0>(); break;
  }
}

template <int Halves>
void Store::choose() {
  insert_[0] = &Store::insert_all<Halves, false>;
  insert_[1] = &Store::insert_all<Halves, true>;
}

bool Store::open() { return records_.reserve(record_bytes() << 32) && take_table(first_capacity); }

void Store::set_limits(std::uint64_t max_bytes, std::uint64_t max_states) {
  max_bytes_ = max_bytes;
  max_states_ = std::min<std::uint64_t>(max_states, no_state - 1);
  grow_at_ = comfortable(capacity_);
}

void Store::set_workers(int count) { pools_.assign(static_cast<std::size_t>(count), {}); }

std::uint64_t Store::bytes() const {
  return size() * std::uint64_t{record_bytes()} + capacity_ * 8;
}

void Store::load(std::uint32_t state, std::uint64_t* words) const {
  words[words_ - 1] = 0;
  std::memcpy(words, record(state), static_cast<std::size_t>(halves_) * 4);
}

bool Store::equals(std::uint32_t state, const std::uint64_t* words) const {
  return std::memcmp(record(state), words, static_cast<std::size_t>(halves_) * 4) == 0;
}

std::uint32_t Store::find(const std::uint64_t* words) const {
  const std::uint64_t hash = this->hash(words);
  for (std::uint64_t place = home(hash);;) {
    const std::uint64_t slot = slots()[place];
    if (slot == 0) return no_state;
    if (same_tag(slot, hash) && equals(slot_state(slot), words)) return slot_state(slot);
    if (++place == capacity_) place = 0;
  }
}

template <int Halves, bool Shared>
int Store::insert_all(Batch& batch, int begin, int worker, Full& full) {
  const std::size_t size = static_cast<std::size_t>(Halves > 0 ? Halves : halves_) * 4;
  const std::size_t stride = size / 4 + 1;
  auto* const records = reinterpret_cast<std::uint32_t*>(records_.data());
  std::uint64_t* const table = slots();
  const auto read = [](std::uint64_t& slot) {
    if constexpr (Shared)
      return std::atomic_ref(slot).load(std::memory_order_acquire);
    else
      return slot;
  };
  Pool& pool = pools_[static_cast<std::size_t>(worker)];
  for (int n = begin; n < batch.count; ++n) {
    const std::uint64_t hash = batch.hash[n];
    const std::uint64_t* const words = batch.at(n);
    std::uint64_t place = home(hash);
    for (;;) {
      std::uint64_t slot = read(table[place]);
      if (slot == 0) {
        if (pool.next == pool.end && (full = claim(pool)) != Full::no) return n;
        std::uint32_t* const record = records + pool.next * stride;
        std::memcpy(record, words, size);
        record[size / 4] = batch.parent[n];
        const std::uint64_t made = make_slot(hash, pool.next);
        if constexpr (Shared) {
          // Whoever was quicker may have stored this very state: `slot` is what stands there now.
          if (std::atomic_ref(table[place])
                  .compare_exchange_strong(slot, made, std::memory_order_acq_rel)) {
            batch.fresh[n] = pool.next++;
            break;
          }
        } else {
          table[place] = made;
          batch.fresh[n] = pool.next++;
          break;
        }
      }
      if (same_tag(slot, hash) &&
          std::memcmp(records + slot_state(slot) * stride, words, size) == 0) {
        batch.fresh[n] = no_state;
        break;
      }
      if (++place == capacity_) place = 0;
    }
  }
  return batch.count;
}

// Gives `pool` numbers for states, with memory behind them.
Full Store::claim(Pool& pool) {
  const std::lock_guard lock(claiming_);
  const std::uint64_t next = size();
  if (next >= max_states_) return Full::states;
  std::uint64_t count = std::min<std::uint64_t>(pool_size, max_states_ - next);
  if (next + count > crammed(capacity_) || !commit_records((next + count) * record_bytes()))
    return Full::memory;
  pool = {static_cast<std::uint32_t>(next), static_cast<std::uint32_t>(next + count)};
  next_.store(pool.end, std::memory_order_relaxed);
  return Full::no;
}

bool Store::commit_records(std::size_t bytes) {
  const std::size_t have = records_.committed();
  if (bytes <= have) return true;
  constexpr std::size_t step = 1 << 16, huge = 1 << 21;
  // Ahead of need by a quarter, in whole huge pages once that is little; just what is needed
  // where the limit is near.
  std::size_t wish = std::max(have + have / 4, have + step);
  wish = std::min(wish, have + (std::size_t{64} << 20));
  if (have >= 4 * huge) wish = (wish + huge - 1) / huge * huge;
  for (std::size_t size : {std::max(wish, bytes), std::max(have + step, bytes), bytes})
    if (size + table_.committed() <= max_bytes_ && records_.commit(size)) return true;
  return false;
}

bool Store::take_table(std::uint64_t capacity) {
  Region table;
  if (!table.reserve(capacity * 8) || !table.commit(capacity * 8)) return false;
  old_table_ = std::move(table_);
  table_ = std::move(table);
  old_capacity_ = capacity_;
  capacity_ = capacity;
  grow_at_ = comfortable(capacity);
  return true;
}

void Store::start_growth() {
  taken_ = moved_ = 0;
  for (std::uint64_t capacity : {capacity_ * 2, capacity_ / 2 * 3, capacity_ / 4 * 5}) {
    // The old table's pages are given back as it is copied: the two together never take more
    // than the new one.
    const bool fits = capacity <= max_capacity && capacity * 8 + records_.committed() <= max_bytes_;
    if (fits && take_table(capacity)) return;
  }
  grow_at_ = std::numeric_limits<std::uint64_t>::max();
  taken_ = old_capacity_ = 0;
}

void Store::help_growth() {
  for (;;) {
    const std::uint64_t begin = taken_.fetch_add(move_block);
    if (begin >= old_capacity_) return;
    const std::uint64_t end = std::min(begin + move_block, old_capacity_);
    if (pools_.size() > 1)
      move_slots<true>(begin, end);
    else
      move_slots<false>(begin, end);
    if (end - begin == move_block) old_table_.discard(begin * 8, move_block * 8);
    // Counted last: whoever moves the last slots takes the old table away.
    if (moved_.fetch_add(end - begin) + (end - begin) == old_capacity_) old_table_ = Region();
  }
}

// Copies slots of the old table to the new one. Their order is that of their hashes, so both
// tables are walked from front to back.
template <bool Shared>
void Store::move_slots(std::uint64_t begin, std::uint64_t end) {
  const auto* const old = reinterpret_cast<const std::uint64_t*>(old_table_.data());
  std::uint64_t* const table = slots();
  for (std::uint64_t from = begin; from < end; ++from) {
    const std::uint64_t slot = old[from];
    if (slot == 0) continue;
    for (std::uint64_t place = home(slot);;) {
      if constexpr (Shared) {
        std::uint64_t empty = 0;
        if (std::atomic_ref(table[place])
                .compare_exchange_strong(empty, slot, std::memory_order_relaxed))
          break;
      } else if (table[place] == 0) {
        table[place] = slot;
        break;
      }
      if (++place == capacity_) place = 0;
    }
  }
}

void Store::settle(const std::function<void(std::uint32_t, std::uint32_t)>& moved) {
  std::vector<std::uint32_t> gaps;
  for (Pool& pool : pools_) {
    for (std::uint32_t state = pool.next; state < pool.end; ++state) gaps.push_back(state);
    pool = {};
  }
  std::ranges::sort(gaps);
  std::uint32_t end = size();
  std::size_t first = 0, last = gaps.size();
  while (first < last) {
    --end;
    if (gaps[last - 1] == end) {
      --last;
      continue;
    }
    rename(end, gaps[first]);
    moved(end, gaps[first]);
    ++first;
  }
  next_.store(end, std::memory_order_relaxed);
}

void Store::rename(std::uint32_t from, std::uint32_t to) {
  std::vector<std::uint64_t> words(static_cast<std::size_t>(words_));
  load(from, words.data());
  std::memcpy(record(to), record(from), record_bytes());
  const std::uint64_t hash = this->hash(words.data());
  std::uint64_t place = home(hash);
  while (slots()[place] != make_slot(hash, from))
    if (++place == capacity_) place = 0;
  slots()[place] = make_slot(hash, to);
}

}  // namespace mmunotify::core
