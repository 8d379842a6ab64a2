// How the cells of a state are packed into bits: cell after cell, each as wide as its bounds
// need, with the lower bound subtracted. Two states are equal exactly when their bits are.
#pragma once

#include <cstdint>
#include <vector>

#include "core/program.hpp"

namespace mmunotify::core {

class Layout {
 public:
  explicit Layout(const Program& program);

  int bits() const { return bits_; }
  int words() const { return words_; }    // 64-bit words of a packed state, 1 at least
  int halves() const { return halves_; }  // 32-bit words of a stored state, 1 at least

  // Packs `cells` (padded to whole groups of eight) into `words()` words. Returns false when
  // some cell does not fit its bounds; `misfit` then tells which.
  bool pack(const Value* cells, std::uint64_t* words) const { return pack_(*this, cells, words); }
  void unpack(const std::uint64_t* words, Value* cells) const { unpack_(*this, words, cells); }

  // Returns the first cell of `cells` outside its bounds, or -1.
  int misfit(const Value* cells) const;

  // The place of one cell in a packed state: its bits begin in `word`, and may go on in the next.
  struct Field {
    std::uint32_t word, shift;
    std::uint64_t mask;  // as wide as the cell, from bit 0
    Value low;

    // `words` has one word more than a packed state: what is in it does not matter.
    int get(const std::uint64_t* words) const {
      const std::uint64_t* const first = words + word;
      const std::uint64_t next = first[1] << 1 << (63 - shift);
      return low + static_cast<int>((first[0] >> shift | next) & mask);
    }
  };
  Field field(int cell) const;

  // Sets the bits of `cell` in `mask`, which has `words()` words.
  void mark(int cell, std::uint64_t* mask) const;

  // Eight cells: one load, one bit extraction.
  struct alignas(16) Group {
    Value low[8];              // subtracted; 0 in lanes that are no cells
    std::uint16_t outside[8];  // bits that must be clear after that; 0 in such lanes
    std::uint64_t mask;        // bits kept of the eight bytes
    std::uint32_t width;       // how many those are
    std::uint32_t word, shift;
  };

  // One cell, for machines without bit extraction.
  struct Single {
    Value low;
    std::uint8_t width;
  };

  const std::vector<Group>& groups() const { return groups_; }
  const std::vector<Single>& singles() const { return singles_; }

 private:
  std::vector<Group> groups_;
  std::vector<Single> singles_;
  std::vector<std::int32_t> lows_, highs_;
  int bits_ = 0, words_ = 1, halves_ = 1;
  bool (*pack_)(const Layout&, const Value*, std::uint64_t*);
  void (*unpack_)(const Layout&, const std::uint64_t*, Value*);
};

}  // namespace mmunotify::core
