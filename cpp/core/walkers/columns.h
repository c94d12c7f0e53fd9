// The middle cell of square windows with an odd number of rows: the columns of some rows are sorted once for all
// windows that they lie in. Sorting a window's rows then leaves it sorted both ways, so that most of its cells are too
// many ranks from the middle to be it.
#pragma once

#include "../reducers/sorting.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Of k x k cells sorted both ways, those that can be the middle one: at least (i + 1)(j + 1) cells are as small as
// that in row i and column j, and (k - i)(k - j) as large. As many are left out below as above.
template <int k>
struct Candidates {
  static constexpr bool fits(int i, int j) {
    constexpr int half = k * k / 2 + 1;
    return (i + 1) * (j + 1) <= half && (k - i) * (k - j) <= half;
  }
  static constexpr int count = [] {
    int found = 0;
    for (int i = 0; i < k * k; ++i) found += fits(i / k, i % k);
    return found;
  }();
  struct List {
    int cell[count];
  };
  static constexpr List list = [] {
    List cells{};
    int found = 0;
    for (int i = 0; i < k * k; ++i) {
      if (fits(i / k, i % k)) cells.cell[found++] = i;
    }
    return cells;
  }();
};

template <class L, int k, int... i>
POOLKIT_INLINE typename L::Value middle_candidate(const typename L::Value* v, std::integer_sequence<int, i...>) {
  constexpr int n = sizeof...(i);
  typename L::Value c[n] = {v[Candidates<k>::list.cell[i]]...};
  sort_by<L, n>(c, std::make_integer_sequence<int, Network<n>::count>{});
  return c[n / 2];
}

// Lines of scratch: k of sorted cells, then one that is NaN where a column holds what is not finite.
template <class T, class A>
class SortedColumns {
 public:
  SortedColumns(void* scratch, int64_t pitch) : lines_(static_cast<A*>(scratch)), pitch_(pitch) {}

  // Sorts `lanes` columns of k rows from this lane on.
  template <int k>
  void sort(const T* const* rows, int64_t start, int64_t lanes, int64_t room) {
    const T* row[k];
    for (int i = 0; i < k; ++i) row[i] = rows[i] + start;
    for_lanes<A>(lanes, room, [=, this](int64_t lane, auto family) {
      using L = decltype(family);
      typename L::Value v[k];
#pragma GCC unroll 8
      for (int i = 0; i < k; ++i) v[i] = load<L>(row[i] + lane);
      if constexpr (kIsFloat<A>) {
        typename L::Value nan = v[0] * typename L::Value{};
#pragma GCC unroll 8
        for (int i = 1; i < k; ++i) nan = nan + v[i] * typename L::Value{};
        store<L>(line(k) + lane, nan);
      }
      sort_by<L, k>(v, std::make_integer_sequence<int, Network<k>::count>{});
#pragma GCC unroll 8
      for (int i = 0; i < k; ++i) store<L>(line(i) + lane, v[i]);
    });
  }

  // The middle cells of the windows that begin at columns at, at + kStride, ...
  template <class L, int k, int kStride>
  POOLKIT_INLINE typename L::Value middle(int64_t at, int64_t apart, int64_t step) const {
    typename L::Value v[k * k];
#pragma GCC unroll 8
    for (int i = 0; i < k; ++i) {
#pragma GCC unroll 8
      for (int tap = 0; tap < k; ++tap) v[i * k + tap] = load_apart<L, kStride>(line(i) + at + tap * step, apart);
      sort_by<L, k>(v + i * k, std::make_integer_sequence<int, Network<k>::count>{});
    }
    return unsigned_zero<L>(middle_candidate<L, k>(v, std::make_integer_sequence<int, Candidates<k>::count>{}));
  }

  // Whether all cells of these windows are finite.
  template <class L, int k, int kStride>
  POOLKIT_INLINE bool finite(int64_t at, int64_t apart, int64_t step) const {
    if constexpr (kIsFloat<A>) {
      typename L::Value nan = load_apart<L, kStride>(line(k) + at, apart);
#pragma GCC unroll 8
      for (int tap = 1; tap < k; ++tap) nan = nan + load_apart<L, kStride>(line(k) + at + tap * step, apart);
      return !any<L>(nan != nan);
    }
    return true;
  }

 private:
  A* line(int i) const { return lines_ + i * pitch_; }

  A* lines_;
  int64_t pitch_;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
