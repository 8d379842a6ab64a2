#include "core/symmetry.hpp"

#include <algorithm>
#include <numeric>

namespace mmunotify::core {
namespace {

std::size_t byte(Value value) { return static_cast<std::uint8_t>(value); }

std::int64_t factorial(int n) {
  std::int64_t product = 1;
  for (int k = 2; k <= n && product <= Symmetry::max_images; ++k) product *= k;
  return product;
}

std::vector<bool> column_cells(const Kind& kind, int cells) {
  std::vector<bool> inside(static_cast<std::size_t>(cells));
  for (const auto& column : kind.columns)
    for (auto cell : column) inside[static_cast<std::size_t>(cell)] = true;
  return inside;
}

// A kind can be named by first reference when none of its elements contains a reference to one.
bool can_be_named(const Kind& kind, int cells) {
  const auto inside = column_cells(kind, cells);
  for (const auto& group : kind.valued)
    for (auto cell : group.cells)
      if (inside[static_cast<std::size_t>(cell)]) return false;
  return !kind.valued.empty();
}

// All permutations of 0..size-1 as [permutation][place] -> element, the identity first.
std::vector<std::vector<std::int32_t>> permutations(int size) {
  std::vector<std::vector<std::int32_t>> all;
  std::vector<std::int32_t> one(static_cast<std::size_t>(size));
  std::iota(one.begin(), one.end(), 0);
  do all.push_back(one);
  while (std::ranges::next_permutation(one).found);
  return all;
}

}  // namespace

Symmetry::Symmetry(const Program& program, const std::vector<Kind>& kinds)
    : cells_(program.cells()), class_(static_cast<std::size_t>(cells_)) {
  int named = -1;
  for (std::size_t k = 0; k < kinds.size(); ++k)
    if (kinds[k].size > 1 && can_be_named(kinds[k], cells_) &&
        (named < 0 || kinds[k].size > kinds[static_cast<std::size_t>(named)].size))
      named = static_cast<int>(k);
  // Smaller kinds first: as many kinds as possible take part.
  std::vector<int> order(kinds.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {},
                           [&](int k) { return kinds[static_cast<std::size_t>(k)].size; });
  std::vector<int> chosen;
  for (int k : order) {
    const std::int64_t grown = images_ * factorial(kinds[static_cast<std::size_t>(k)].size);
    if (k == named || kinds[static_cast<std::size_t>(k)].size < 2 || grown > max_images) continue;
    images_ = static_cast<std::int32_t>(grown);
    chosen.push_back(k);
  }
  classify(kinds);
  std::vector<bool> named_cells(static_cast<std::size_t>(cells_));
  if (named >= 0) named_cells = column_cells(kinds[static_cast<std::size_t>(named)], cells_);
  for (std::int32_t c = 0; c < cells_; ++c)
    if (!named_cells[static_cast<std::size_t>(c)]) free_.push_back(c);
  name(kinds, named);
  enumerate(kinds, chosen);
}

// Kinds whose values occur in the same cells (threads of two sorts, say) share a class.
void Symmetry::classify(const std::vector<Kind>& kinds) {
  std::vector<const std::vector<std::int32_t>*> known;
  class_of_.resize(kinds.size());
  for (std::size_t k = 0; k < kinds.size(); ++k)
    for (const auto& group : kinds[k].valued) {
      std::size_t cls = 0;
      while (cls < known.size() && *known[cls] != group.cells) ++cls;
      if (cls == known.size()) known.push_back(&group.cells);
      class_of_[k].push_back(cls);
      for (auto cell : group.cells)
        class_[static_cast<std::size_t>(cell)] = static_cast<Class>(cls + 1);
    }
  classes_ = static_cast<int>(known.size());
}

void Symmetry::name(const std::vector<Kind>& kinds, int kind) {
  if (kind < 0) return;
  const Kind& named = kinds[static_cast<std::size_t>(kind)];
  named_size_ = named.size;
  named_columns_ = named.columns;
  element_of_.assign(static_cast<std::size_t>(classes_) * 256, -1);
  value_of_.assign(static_cast<std::size_t>(classes_ * named.size), 0);
  for (std::size_t g = 0; g < named.valued.size(); ++g) {
    const std::size_t cls = class_of_[static_cast<std::size_t>(kind)][g];
    for (int e = 0; e < named.size; ++e) {
      const auto value = static_cast<Value>(named.valued[g].values[static_cast<std::size_t>(e)]);
      element_of_[cls * 256 + byte(value)] = e;
      value_of_[cls * static_cast<std::size_t>(named.size) + static_cast<std::size_t>(e)] = value;
    }
  }
}

void Symmetry::enumerate(const std::vector<Kind>& kinds, const std::vector<int>& chosen) {
  // Cells in the columns of two kinds move under both: no key of either.
  std::vector<int> columns(static_cast<std::size_t>(cells_));
  for (const auto& kind : kinds)
    for (const auto& column : kind.columns)
      for (auto cell : column) ++columns[static_cast<std::size_t>(cell)];
  std::int32_t stride = 1;
  for (int k : chosen) {
    const Kind& kind = kinds[static_cast<std::size_t>(k)];
    Enumerated e;
    e.size = kind.size;
    e.inverse = permutations(kind.size);
    e.stride = stride;
    stride *= static_cast<std::int32_t>(e.inverse.size());
    e.keys.resize(kind.columns.size());
    for (std::size_t p = 0; p < kind.columns[0].size(); ++p) {
      const bool plain = std::ranges::all_of(kind.columns, [&](const auto& column) {
        const auto cell = static_cast<std::size_t>(column[p]);
        return class_[cell] == 0 && columns[cell] == 1;
      });
      if (plain)
        for (std::size_t i = 0; i < kind.columns.size(); ++i)
          e.keys[i].push_back(kind.columns[i][p]);
    }
    enumerated_.push_back(std::move(e));
  }
  source_.resize(static_cast<std::size_t>(images_) * class_.size());
  lookup_.resize(static_cast<std::size_t>(images_ * classes_) * 256);
  for (std::int32_t image = 0; image < images_; ++image) {
    auto* const source = source_.data() + static_cast<std::size_t>(image) * class_.size();
    auto* const lookup = lookup_.data() + static_cast<std::size_t>(image * classes_) * 256;
    std::iota(source, source + class_.size(), 0);
    for (int v = 0; v < classes_ * 256; ++v)
      lookup[v] = static_cast<std::int8_t>(static_cast<std::uint8_t>(v % 256));
    for (std::size_t n = 0; n < chosen.size(); ++n) {
      const Kind& kind = kinds[static_cast<std::size_t>(chosen[n])];
      const Enumerated& e = enumerated_[n];
      const auto& inverse =
          e.inverse[static_cast<std::size_t>(image / e.stride) % e.inverse.size()];
      // Where a cell's content comes from, one kind after the other.
      std::vector<std::int32_t> from(class_.size());
      std::iota(from.begin(), from.end(), 0);
      std::vector<std::size_t> place(inverse.size());
      for (std::size_t j = 0; j < inverse.size(); ++j) {
        const auto& whence = kind.columns[static_cast<std::size_t>(inverse[j])];
        for (std::size_t p = 0; p < whence.size(); ++p)
          from[static_cast<std::size_t>(kind.columns[j][p])] = whence[p];
        place[static_cast<std::size_t>(inverse[j])] = j;
      }
      std::vector<std::int32_t> composed(class_.size());
      for (std::size_t c = 0; c < class_.size(); ++c)
        composed[c] = source[static_cast<std::size_t>(from[c])];
      std::ranges::copy(composed, source);
      for (std::size_t g = 0; g < kind.valued.size(); ++g) {
        const auto& values = kind.valued[g].values;
        const std::size_t cls = class_of_[static_cast<std::size_t>(chosen[n])][g];
        for (std::size_t i = 0; i < values.size(); ++i)
          lookup[cls * 256 + byte(static_cast<Value>(values[i]))] =
              static_cast<Value>(values[place[i]]);
      }
    }
  }
}

Symmetry::Scratch Symmetry::scratch() const {
  Scratch s;
  s.best.resize(class_.size());
  s.image.resize(class_.size());
  s.pick.resize(enumerated_.size());
  s.allowed.resize(enumerated_.size());
  s.name.resize(static_cast<std::size_t>(named_size_));
  s.order.resize(static_cast<std::size_t>(named_size_));
  return s;
}

// Lists the permutations of a kind that sort its elements by their plain cells.
void Symmetry::allow(const Enumerated& kind, const Value* cells, Scratch& s,
                     std::vector<std::int32_t>& allowed) const {
  const auto size = static_cast<std::size_t>(kind.size);
  s.rank.assign(size, 0);
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = 0; j < size; ++j) {
      for (std::size_t k = 0; k < kind.keys[i].size(); ++k) {
        const Value x = cells[kind.keys[i][k]], y = cells[kind.keys[j][k]];
        if (x == y) continue;
        s.rank[i] += y < x;
        break;
      }
    }
  allowed.clear();
  for (std::size_t p = 0; p < kind.inverse.size(); ++p) {
    const auto& inverse = kind.inverse[p];
    bool sorted = true;
    for (std::size_t j = 1; j < size && sorted; ++j)
      sorted = s.rank[static_cast<std::size_t>(inverse[j - 1])] <=
               s.rank[static_cast<std::size_t>(inverse[j])];
    if (sorted) allowed.push_back(static_cast<std::int32_t>(p));
  }
}

// What cell `to` holds in an image, references to the named kind left as they are.
Value Symmetry::mapped(std::int32_t image, std::int32_t to, const Value* cells) const {
  const auto at = static_cast<std::size_t>(image) * class_.size() + static_cast<std::size_t>(to);
  const Value value = cells[source_[at]];
  const Class cls = class_[static_cast<std::size_t>(to)];
  // A value beyond a byte denotes nothing, and is refused when the state is packed.
  if (cls == 0 || value != static_cast<std::int8_t>(value)) return value;
  return lookup_[static_cast<std::size_t>(image * classes_ + cls - 1) * 256 + byte(value)];
}

// Computes an image as far as it may still be less than the best one; keeps it if it is.
bool Symmetry::improves(std::int32_t image, const Value* cells, bool first, Scratch& s) const {
  bool less = first;
  std::size_t at = 0;
  const auto worse = [&](Value value) {
    s.image[at] = value;
    if (!less) {
      if (value > s.best[at]) return true;
      less = value < s.best[at];
    }
    ++at;
    return false;
  };
  int names = 0;
  std::ranges::fill(s.name, -1);
  for (std::int32_t cell : free_) {
    Value value = mapped(image, cell, cells);
    const Class cls = class_[static_cast<std::size_t>(cell)];
    if (named_size_ > 0 && cls > 0) {
      const auto group = static_cast<std::size_t>(cls - 1);
      const std::int32_t e = element_of_[group * 256 + byte(value)];
      if (e >= 0 && value == static_cast<std::int8_t>(value)) {
        auto& name = s.name[static_cast<std::size_t>(e)];
        if (name < 0) name = names++;
        value = value_of_[group * static_cast<std::size_t>(named_size_) +
                          static_cast<std::size_t>(name)];
      }
    }
    if (worse(value)) return false;
  }
  order_named(image, cells, s);
  for (std::int32_t element : s.order)
    for (std::int32_t cell : named_columns_[static_cast<std::size_t>(element)])
      if (worse(mapped(image, cell, cells))) return false;
  if (less) std::swap(s.best, s.image);
  return less;
}

// Puts the elements of the named kind in order: by name, then by contents.
void Symmetry::order_named(std::int32_t image, const Value* cells, Scratch& s) const {
  const auto before = [&](std::int32_t x, std::int32_t y) {
    const std::int32_t nx = s.name[static_cast<std::size_t>(x)],
                       ny = s.name[static_cast<std::size_t>(y)];
    if (nx >= 0 || ny >= 0) return nx >= 0 && (ny < 0 || nx < ny);
    const auto& cx = named_columns_[static_cast<std::size_t>(x)];
    const auto& cy = named_columns_[static_cast<std::size_t>(y)];
    for (std::size_t p = 0; p < cx.size(); ++p) {
      const Value vx = mapped(image, cx[p], cells), vy = mapped(image, cy[p], cells);
      if (vx != vy) return vx < vy;
    }
    return false;
  };
  for (int n = 0; n < named_size_; ++n) {  // insertion: a handful of elements
    int at = n;
    for (; at > 0 && before(n, s.order[static_cast<std::size_t>(at - 1)]); --at)
      s.order[static_cast<std::size_t>(at)] = s.order[static_cast<std::size_t>(at - 1)];
    s.order[static_cast<std::size_t>(at)] = n;
  }
}

void Symmetry::canonicalise(Value* cells, Scratch& s) const {
  for (std::size_t k = 0; k < enumerated_.size(); ++k) {
    allow(enumerated_[k], cells, s, s.allowed[k]);
    s.pick[k] = 0;
  }
  bool first = true;
  for (;;) {
    std::int32_t image = 0;
    for (std::size_t k = 0; k < enumerated_.size(); ++k)
      image += s.allowed[k][static_cast<std::size_t>(s.pick[k])] * enumerated_[k].stride;
    improves(image, cells, first, s);
    first = false;
    std::size_t k = 0;
    while (k < enumerated_.size() && ++s.pick[k] == static_cast<std::int32_t>(s.allowed[k].size()))
      s.pick[k++] = 0;
    if (k == enumerated_.size()) break;
  }
  std::size_t at = 0;
  for (std::int32_t cell : free_) cells[cell] = s.best[at++];
  for (const auto& column : named_columns_)
    for (std::int32_t cell : column) cells[cell] = s.best[at++];
}

}  // namespace mmunotify::core
