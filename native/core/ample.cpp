#include "core/ample.hpp"

namespace mmunotify::core {

AmpleSets::AmpleSets(const Program& program, const Ample& ample)
    : words_(ample.words), threads_(static_cast<int>(program.threads.size())) {
  for (const auto& thread : program.threads) {
    offsets_.push_back(rows_);
    done_.push_back(thread.done());
    rows_ += thread.entries.size();
  }
  const auto each_row = [&](auto visit) {
    for (std::size_t t = 0; t < program.threads.size(); ++t)
      for (std::size_t k = 0; k < program.threads[t].entries.size(); ++k) visit(t, k);
  };
  const auto append = [](Masks& to, const Masks& mask) {
    to.insert(to.end(), mask.begin(), mask.end());
  };
  each_row([&](std::size_t t, std::size_t k) {
    held_.push_back(ample.held[t][k]);
    append(reads_, ample.reads[t][k]);
    append(writes_, ample.writes[t][k]);
  });
  for (std::size_t h = 0; h < ample.future_reads.size(); ++h)
    each_row([&](std::size_t t, std::size_t k) {
      const Masks& writes = ample.future_writes[h][t][k];
      Masks any = ample.future_reads[h][t][k];
      for (std::size_t w = 0; w < any.size(); ++w) any[w] |= writes[w];
      append(future_any_, any);
      append(future_writes_, writes);
    });
}

bool AmpleSets::alone(int thread, const std::int32_t* boundaries) const {
  const std::size_t mine = row(thread, boundaries[thread]);
  const std::int32_t held = held_[mine];
  if (held < 0) return false;
  const auto words = static_cast<std::size_t>(words_);
  const std::uint64_t* reads = reads_.data() + mine * words;
  const std::uint64_t* writes = writes_.data() + mine * words;
  const std::size_t base = static_cast<std::size_t>(held) * rows_;
  for (int other = 0; other < threads_; ++other) {
    if (other == thread || boundaries[other] == done_[static_cast<std::size_t>(other)]) continue;
    const std::size_t theirs = (base + row(other, boundaries[other])) * words;
    std::uint64_t conflict = 0;
    for (std::size_t w = 0; w < words; ++w)
      conflict |= (writes[w] & future_any_[theirs + w]) | (reads[w] & future_writes_[theirs + w]);
    if (conflict != 0) return false;
  }
  return true;
}

}  // namespace mmunotify::core
