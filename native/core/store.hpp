// The set of states found. States lie one after another in the order of their arrival, each with
// the number of the state it was first reached from; so the same memory is the queue of the
// breadth-first search and the way back to the start. A table of 64-bit slots (32 bits of hash,
// 32 bits of state number) finds them again. The bits of the hash that a slot keeps also say where
// it belongs, in order: so a table is copied to a larger one from front to back, without a look at
// the states.
//
// Invariant: a slot is published only after the state it names has been written, so workers need
// no lock to look states up.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <vector>

#include "core/hash.hpp"
#include "core/region.hpp"

namespace mmunotify::core {

inline constexpr std::uint32_t no_state = std::numeric_limits<std::uint32_t>::max();

// Why nothing more can be stored.
enum class Full : std::uint8_t { no, memory, states };

// Successors on their way into the store: the memory they will touch is asked for while the next
// ones are computed. First the slot; and `lead` successors later, when it has come, the state that
// the slot names.
struct Batch {
  static constexpr int capacity = 64, lead = 16;

  explicit Batch(int words) : stride(words), words(static_cast<std::size_t>(capacity * words)) {}

  std::uint64_t* at(int entry) { return words.data() + entry * stride; }

  int stride;
  int count = 0;
  std::vector<std::uint64_t> words;
  std::uint64_t hash[capacity];
  std::uint32_t parent[capacity];
  std::uint32_t fresh[capacity];  // out: number of the state if it is new, else no_state
};

class Store {
 public:
  // `halves`: 32-bit words of a state; `words`: 64-bit words of a packed one.
  Store(int halves, int words);

  // Takes the first memory. Returns false when there is none.
  bool open();

  void set_limits(std::uint64_t max_bytes, std::uint64_t max_states);

  // Workers 0..count-1 may insert from now on; with more than one, at the same time.
  void set_workers(int count);

  // Number of states, some of them not written yet between a worker's first insertion and settle().
  std::uint32_t size() const { return next_.load(std::memory_order_relaxed); }

  void load(std::uint32_t state, std::uint64_t* words) const;
  std::uint32_t parent(std::uint32_t state) const { return record(state)[halves_]; }
  bool equals(std::uint32_t state, const std::uint64_t* words) const;
  // Returns the number of the state, or no_state. To be called while nobody inserts.
  std::uint32_t find(const std::uint64_t* words) const;

  std::uint64_t hash(const std::uint64_t* words) const { return hash_words(words, words_); }
  void prefetch_slot(std::uint64_t hash) const { __builtin_prefetch(slots() + home(hash)); }
  // To be called when the slot has been fetched: without a jump, which would be guessed wrong.
  void prefetch_record(std::uint64_t hash) const {
    const std::uint64_t slot =
        std::atomic_ref(slots()[home(hash)]).load(std::memory_order_relaxed);
    const bool named = (slot ^ hash) >> 32 == 0;
    __builtin_prefetch(record(named ? static_cast<std::uint32_t>(slot) - 1 : 0));
  }

  // Inserts the entries of `batch` from `begin` on. Returns the number of the first entry that
  // could not be inserted for want of room (`full` says which), or batch.count.
  int insert(Batch& batch, int begin, int worker, Full& full) {
    return (this->*insert_[pools_.size() > 1])(batch, begin, worker, full);
  }

  // The table is to be enlarged before more is inserted. One worker calls start_growth while
  // nobody inserts; then all may call help_growth, and nobody inserts before all have returned.
  bool wants_growth() const { return size() >= grow_at_; }
  void start_growth();
  void help_growth();

  // Closes the gaps that several workers leave in the order of arrival. `moved(from, to)` is
  // called for each state that gets another number. To be called while nobody inserts, before
  // the states found since the last call have successors.
  void settle(const std::function<void(std::uint32_t, std::uint32_t)>& moved);

  // Bytes in use for states and slots.
  std::uint64_t bytes() const;

 private:
  struct Pool {
    std::uint32_t next = 0, end = 0;  // state numbers taken but not used yet
  };

  template <int Halves, bool Shared>
  int insert_all(Batch& batch, int begin, int worker, Full& full);
  using Insert = int (Store::*)(Batch&, int, int, Full&);
  template <int Halves>
  void choose();

  std::uint32_t* record(std::uint32_t state) const {
    return reinterpret_cast<std::uint32_t*>(records_.data()) +
           static_cast<std::size_t>(state) * static_cast<std::size_t>(halves_ + 1);
  }
  std::uint64_t* slots() const { return reinterpret_cast<std::uint64_t*>(table_.data()); }
  // Where the look-up of a hash, or of the slot made from it, begins.
  std::uint64_t home(std::uint64_t hash) const { return (hash >> 32) * capacity_ >> 32; }
  std::size_t record_bytes() const { return static_cast<std::size_t>(halves_ + 1) * 4; }

  Full claim(Pool& pool);
  bool commit_records(std::size_t bytes);
  bool take_table(std::uint64_t capacity);
  template <bool Shared>
  void move_slots(std::uint64_t begin, std::uint64_t end);
  void rename(std::uint32_t from, std::uint32_t to);

  int halves_, words_;
  Region records_;
  Region table_, old_table_;
  std::uint64_t capacity_ = 0;  // slots
  std::uint64_t old_capacity_ = 0;
  std::uint64_t grow_at_ = 0;  // number of states from which on the table is too full
  std::uint64_t max_bytes_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t max_states_ = no_state - 1;
  std::atomic<std::uint32_t> next_{0};
  std::vector<Pool> pools_{1};
  std::mutex claiming_;
  std::atomic<std::uint64_t> taken_{0}, moved_{0};  // slots of the old table, while growing
  Insert insert_[2];
};

}  // namespace mmunotify::core
