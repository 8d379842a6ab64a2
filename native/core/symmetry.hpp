// Symmetry: of all states that differ only by which of several like things plays which part,
// one is chosen to stand for them.
//
// The things of one kind are interchanged by a permutation; kinds are independent of each other,
// so the group is the product of theirs. The state chosen is the least, cell by cell in a fixed
// order, among the images under the group, where two shortcuts leave the choice unique:
//   - images that do not sort the elements of a kind by their plain cells (pc, counters) are
//     left out: only ties are enumerated;
//   - one kind (the largest possible) is not enumerated but named: its elements in the order in
//     which the rest of the state refers to them first, those nobody refers to by their contents.
// A kind that would make the group larger than `max_images` is left alone: fewer states merge,
// and those that do are still the same up to symmetry.
#pragma once

#include <cstdint>
#include <vector>

#include "core/program.hpp"

namespace mmunotify::core {

class Symmetry {
 public:
  static constexpr int max_images = 1024;

  // `program` and `kinds` have passed `check`.
  Symmetry(const Program& program, const std::vector<Kind>& kinds);

  // Memory of one caller, so that several may canonicalise at the same time.
  struct Scratch {
    std::vector<Value> best, image;
    std::vector<std::int32_t> rank, pick, name, order;
    std::vector<std::vector<std::int32_t>> allowed;
  };
  Scratch scratch() const;

  // Replaces `cells` by the state that stands for it.
  void canonicalise(Value* cells, Scratch& scratch) const;

 private:
  // A kind whose permutations are enumerated.
  struct Enumerated {
    int size = 0;
    std::vector<std::vector<std::int32_t>> keys;     // [element]: its plain cells
    std::vector<std::vector<std::int32_t>> inverse;  // [permutation][place]: element put there
    std::int32_t stride = 1;                         // of its permutation number in an image number
  };

  // What the values of a cell denote: 0 is nothing, the others one set of cells each.
  using Class = std::uint8_t;

  void classify(const std::vector<Kind>& kinds);
  void enumerate(const std::vector<Kind>& kinds, const std::vector<int>& chosen);
  void name(const std::vector<Kind>& kinds, int kind);
  void allow(const Enumerated& kind, const Value* cells, Scratch& scratch,
             std::vector<std::int32_t>& allowed) const;
  Value mapped(std::int32_t image, std::int32_t to, const Value* cells) const;
  bool improves(std::int32_t image, const Value* cells, bool first, Scratch& scratch) const;
  void order_named(std::int32_t image, const Value* cells, Scratch& scratch) const;

  int cells_;
  std::vector<Enumerated> enumerated_;
  std::vector<Class> class_;                        // [cell]
  std::vector<std::vector<std::size_t>> class_of_;  // [kind][group of values]
  std::int32_t images_ = 1;
  std::vector<std::int32_t> source_;  // [image][cell]: the cell whose content comes here
  std::vector<Value> lookup_;         // [image][class - 1][value as a byte]
  int classes_ = 0;
  std::vector<std::int32_t> free_;  // cells in no column of the named kind, in order
  int named_size_ = 0;              // 0: no kind is named
  std::vector<std::vector<std::int32_t>> named_columns_;
  std::vector<std::int32_t> element_of_;  // [class - 1][value as a byte]: element, or -1
  std::vector<Value> value_of_;           // [class - 1][element]
};

}  // namespace mmunotify::core
