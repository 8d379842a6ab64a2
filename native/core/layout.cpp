#include "core/layout.hpp"

#include <bit>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace mmunotify::core {
namespace {

bool pack_portable(const Layout& layout, const Value* cells, std::uint64_t* words) {
  std::uint64_t word = 0;
  std::uint32_t misfit = 0;
  unsigned fill = 0;
  for (const auto& cell : layout.singles()) {
    const auto raw = static_cast<std::uint32_t>(*cells++ - cell.low);
    misfit |= raw >> cell.width;
    word |= static_cast<std::uint64_t>(raw) << fill;
    fill += cell.width;
    if (fill >= 64) {
      *words++ = word;
      fill -= 64;
      word = static_cast<std::uint64_t>(raw) >> (cell.width - fill);
    }
  }
  // The last word is written even where it is empty: a layout has one word at least.
  if (fill > 0 || layout.bits() == 0) *words = word;
  return misfit == 0;
}

void unpack_portable(const Layout& layout, const std::uint64_t* words, Value* cells) {
  unsigned at = 0;
  for (const auto& cell : layout.singles()) {
    std::uint64_t raw = 0;
    if (cell.width > 0) {  // a cell without bits may lie past the last word
      const unsigned shift = at % 64;
      raw = words[at / 64] >> shift;
      if (shift + cell.width > 64) raw |= words[at / 64 + 1] << (64 - shift);
      raw &= (std::uint64_t{1} << cell.width) - 1;
    }
    *cells++ = static_cast<Value>(static_cast<Value>(raw) + cell.low);
    at += cell.width;
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
#define MMUNOTIFY_BIT_EXTRACTION 1

__attribute__((target("bmi2"))) bool pack_bmi2(const Layout& layout, const Value* cells,
                                               std::uint64_t* words) {
  std::uint64_t word = 0;
  __m128i misfit = _mm_setzero_si128();
  for (const auto& group : layout.groups()) {
    const auto low = _mm_load_si128(reinterpret_cast<const __m128i*>(group.low));
    const auto outside = _mm_load_si128(reinterpret_cast<const __m128i*>(group.outside));
    auto lanes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(cells));
    lanes = _mm_sub_epi16(lanes, low);
    misfit = _mm_or_si128(misfit, _mm_and_si128(lanes, outside));
    const auto bytes =
        static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_packus_epi16(lanes, lanes)));
    const std::uint64_t bits = _pext_u64(bytes, group.mask);
    word |= bits << group.shift;
    if (group.shift + group.width >= 64) {
      *words++ = word;
      word = group.shift == 0 ? 0 : bits >> (64 - group.shift);
    }
    cells += 8;
  }
  if (layout.bits() % 64 != 0 || layout.bits() == 0) *words = word;
  return _mm_movemask_epi8(_mm_cmpeq_epi8(misfit, _mm_setzero_si128())) == 0xffff;
}

__attribute__((target("bmi2"))) void unpack_bmi2(const Layout& layout, const std::uint64_t* words,
                                                 Value* cells) {
  for (const auto& group : layout.groups()) {
    std::uint64_t bits = words[group.word] >> group.shift;
    if (group.shift + group.width > 64) bits |= words[group.word + 1] << (64 - group.shift);
    const auto bytes = static_cast<long long>(_pdep_u64(bits, group.mask));
    const auto low = _mm_load_si128(reinterpret_cast<const __m128i*>(group.low));
    const auto lanes = _mm_unpacklo_epi8(_mm_cvtsi64_si128(bytes), _mm_setzero_si128());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(cells), _mm_add_epi16(lanes, low));
    cells += 8;
  }
}

// Zen 1 and 2 have the instructions, but in microcode: slower there than the portable loop.
bool extracts_bits_fast() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("bmi2") && !__builtin_cpu_is("znver1") &&
         !__builtin_cpu_is("znver2");
}
#endif

}  // namespace

Layout::Layout(const Program& program)
    : lows_(program.lows), highs_(program.highs), pack_(pack_portable), unpack_(unpack_portable) {
  const int cells = program.cells();
  groups_.resize(static_cast<std::size_t>(cells + 7) / 8);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    group = {};
    group.word = static_cast<std::uint32_t>(bits_) / 64;
    group.shift = static_cast<std::uint32_t>(bits_) % 64;
    for (std::size_t lane = 0; lane < 8 && g * 8 + lane < lows_.size(); ++lane) {
      const std::int32_t low = lows_[g * 8 + lane];
      const auto width = std::bit_width(static_cast<std::uint32_t>(highs_[g * 8 + lane] - low));
      group.low[lane] = static_cast<Value>(low);
      group.outside[lane] = static_cast<std::uint16_t>(~((1u << width) - 1));
      group.mask |= ((std::uint64_t{1} << width) - 1) << (8 * lane);
      group.width += static_cast<std::uint32_t>(width);
      singles_.push_back({static_cast<Value>(low), static_cast<std::uint8_t>(width)});
    }
    bits_ += static_cast<int>(group.width);
    // A group without bits may start past the last word: read it from a word that exists.
    if (group.width == 0) group.word = group.shift = 0;
  }
  words_ = bits_ == 0 ? 1 : (bits_ + 63) / 64;
  halves_ = bits_ == 0 ? 1 : (bits_ + 31) / 32;
#ifdef MMUNOTIFY_BIT_EXTRACTION
  if (extracts_bits_fast()) {
    pack_ = pack_bmi2;
    unpack_ = unpack_bmi2;
  }
#endif
}

int Layout::misfit(const Value* cells) const {
  for (std::size_t c = 0; c < lows_.size(); ++c) {
    const auto raw = static_cast<std::uint32_t>(cells[c] - lows_[c]);
    if (raw >> singles_[c].width != 0) return static_cast<int>(c);
  }
  return -1;
}

Layout::Field Layout::field(int cell) const {
  std::uint32_t at = 0;
  for (int before = 0; before < cell; ++before)
    at += singles_[static_cast<std::size_t>(before)].width;
  const Single& single = singles_[static_cast<std::size_t>(cell)];
  const std::uint64_t mask = (std::uint64_t{1} << single.width) - 1;
  if (mask == 0) at = 0;  // a cell without bits may lie past the last word
  return {at / 64, at % 64, mask, single.low};
}

void Layout::mark(int cell, std::uint64_t* mask) const {
  const Field place = field(cell);
  mask[place.word] |= place.mask << place.shift;
  const std::uint64_t rest = place.mask >> 1 >> (63 - place.shift);
  if (rest != 0) mask[place.word + 1] |= rest;
}

}  // namespace mmunotify::core
