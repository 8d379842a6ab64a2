#include "core/scratch.hpp"

#include <cstdint>
#include <vector>

namespace mmunotify::core {
namespace {

// A forward analysis over the scratch slots certainly written on every way to an instruction.
class Analysis {
 public:
  explicit Analysis(const Program& program)
      : p_(program),
        words_(static_cast<std::size_t>(program.slots - program.cells() + 63) / 64),
        reached_(program.code.size()),
        written_(program.code.size() * words_) {}

  bool run() {
    const Set nothing(words_);
    for (const auto& thread : p_.threads)
      for (auto entry : thread.entries) flow(entry, nothing);
    for (const auto& predicate : p_.predicates) flow(predicate.entry, nothing);
    while (!open_.empty() && !found_) {
      const std::int32_t at = open_.back();
      open_.pop_back();
      visit(at);
    }
    return found_;
  }

 private:
  using Set = std::vector<std::uint64_t>;

  // Control reaches `at` with `set` written: keep what is written on every way.
  void flow(std::int32_t at, const Set& set) {
    std::uint64_t* known = written_.data() + static_cast<std::size_t>(at) * words_;
    bool changed = !reached_[static_cast<std::size_t>(at)];
    for (std::size_t w = 0; w < words_; ++w) {
      const std::uint64_t kept =
          changed && !reached_[static_cast<std::size_t>(at)] ? set[w] : known[w] & set[w];
      changed = changed || kept != known[w];
      known[w] = kept;
    }
    reached_[static_cast<std::size_t>(at)] = true;
    if (changed) open_.push_back(at);
  }

  void read(std::int32_t slot, std::int32_t count, const Set& set) {
    for (std::int32_t s = slot - p_.cells(); s < slot - p_.cells() + count; ++s)
      if (s >= 0 && (set[static_cast<std::size_t>(s) / 64] >> (s % 64) & 1) == 0) found_ = true;
  }

  void write(std::int32_t slot, std::int32_t count, Set& set) const {
    for (std::int32_t s = slot - p_.cells(); s < slot - p_.cells() + count; ++s)
      if (s >= 0) set[static_cast<std::size_t>(s) / 64] |= std::uint64_t{1} << (s % 64);
  }

  // BUMP neither reads nor writes here: who reads the slot afterwards is asked for the write.
  void visit(std::int32_t at) {
    const Instr& i = p_.code[static_cast<std::size_t>(at)];
    const auto begin =
        written_.begin() + static_cast<std::ptrdiff_t>(at) * static_cast<std::ptrdiff_t>(words_);
    Set set(begin, begin + static_cast<std::ptrdiff_t>(words_));
    const auto& roles = op_roles[static_cast<std::size_t>(i.op)];
    for (int f = 0; f < 5; ++f) {
      const Role role = roles[static_cast<std::size_t>(f)];
      if (role == Role::read) read(i[f], 1, set);
      if (role == Role::read_base) read(i[f], i[3], set);
    }
    for (int f = 0; f < 5; ++f)
      if (roles[static_cast<std::size_t>(f)] == Role::write) write(i[f], 1, set);
    if (i.op == Op::fill) write(i[0], i[1], set);
    for (int f = 0; f < 5; ++f)
      if (roles[static_cast<std::size_t>(f)] == Role::target) flow(i[f], set);
    if (!ends_flow(i.op)) flow(at + 1, set);
  }

  const Program& p_;
  std::size_t words_;
  std::vector<bool> reached_;
  std::vector<std::uint64_t> written_;  // one set an instruction
  std::vector<std::int32_t> open_;
  bool found_ = false;
};

}  // namespace

bool reads_fresh_scratch(const Program& program) { return Analysis(program).run(); }

}  // namespace mmunotify::core
