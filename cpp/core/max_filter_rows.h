// Maxima of sliding windows, filtered. A row of maxima is made when a row of results needs it, and kept while others
// may; there is never a map of them. The gradient finds the cells that won again.
#pragma once

#include "filter_rows.h"
#include "reducers/extrema.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

struct Range {
  int64_t begin, end;
};

// The taps of a window that meet cells.
POOLKIT_INLINE Range taps_of(const MaxAxis& a, int64_t window) {
  const int64_t first = window - a.low;
  return {first < 0 ? -first : 0, first + a.kernel > a.in ? a.in - first : a.kernel};
}

// The windows that meet a cell.
POOLKIT_INLINE Range windows_of(const MaxAxis& a, int64_t cell) {
  const int64_t last = cell + a.low, first = last - a.kernel + 1;
  return {first < 0 ? 0 : first, last < a.windows ? last + 1 : a.windows};
}

// Calls f with 1, 2 or 3, for loops made for them, or with 0.
template <int n>
struct Known {
  static constexpr int value = n;
};
template <class F>
POOLKIT_INLINE void with_count(int64_t count, const F& f) {
  switch (count) {
    case 1: return f(Known<1>{});
    case 2: return f(Known<2>{});
    case 3: return f(Known<3>{});
    default: return f(Known<0>{});
  }
}

// An array, copied where so few of it are known to be read.
template <class V, int known>
struct Few {
  V value[known];
  explicit Few(const V* all) {
    for (int i = 0; i < known; ++i) value[i] = all[i];
  }
  V operator[](int64_t i) const { return value[i]; }
};
template <class V>
struct Few<V, 0> {
  const V* value;
  explicit Few(const V* all) : value(all) {}
  V operator[](int64_t i) const { return value[i]; }
};

// The windows of one row of maxima.
template <class T, class A>
class RowOfWindows {
 public:
  // Scratch has room for two words of 64 bits for each row of a window.
  RowOfWindows(const MaxFilterCall& call, void* scratch)
      : call_(call),
        inner_(call.filter.inner),
        x_(static_cast<const T**>(scratch)),
        tap_(static_cast<int64_t*>(scratch) + call.window[0].kernel * call.window[1].kernel) {}

  // Calls store(i, state) for the states, of a maximum by this reducer, of all lanes i of the row.
  template <class R, class Store>
  void reduce(int64_t outer, int64_t z, int64_t y, const R& reducer, const Store& store) {
    find_rows(outer, z, y);
    const MaxAxis& width = call_.window[2];
    // Short rows end before the processor has seen where they lead: to the row that windows three further on meet.
    const int64_t row = width.in * inner_;
    if (row <= kFetchedCells) fetch_lines<false>(x_[count_ - 1] + 3 * row, row);
    const int64_t begin = width.low < width.windows ? width.low : width.windows;
    const int64_t whole = width.in - width.kernel + width.low + 1, end = whole < begin ? begin : whole;
    for (int64_t w = 0; w < begin; ++w) alike({w, w + 1}, reducer, store);
    if (begin < end) alike({begin, end}, reducer, store);
    for (int64_t w = end; w < width.windows; ++w) alike({w, w + 1}, reducer, store);
  }

 private:
  // The rows of x that the windows meet, and the number of the first tap in each.
  void find_rows(int64_t outer, int64_t z, int64_t y) {
    const auto& [depth, height, width] = call_.window;
    const Range planes = taps_of(depth, z), rows = taps_of(height, y);
    count_ = 0;
    for (int64_t i = planes.begin; i < planes.end; ++i) {
      const int64_t plane = (outer * depth.in + z - depth.low + i) * height.in;
      for (int64_t j = rows.begin; j < rows.end; ++j) {
        x_[count_] = static_cast<const T*>(call_.x) + (plane + y - height.low + j) * width.in * inner_;
        tap_[count_++] = (i * height.kernel + j) * width.kernel;
      }
    }
  }

  // Windows of the same taps.
  template <class R, class Store>
  POOLKIT_INLINE void alike(Range windows, const R& reducer, const Store& store) const {
    const Range taps = taps_of(call_.window[2], windows.begin);
    with_count(count_, [&](auto rows) POOLKIT_INLINED {
      with_count(taps.end - taps.begin, [&](auto columns) POOLKIT_INLINED {
        lanes<rows.value, columns.value>(windows, taps, reducer, store);
      });
    });
  }

  template <int known_rows, int known_columns, class R, class Store>
  POOLKIT_INLINE void lanes(Range windows, Range taps, const R& reducer, const Store& store) const {
    const int64_t inner = inner_, begin = windows.begin * inner, count = (windows.end - windows.begin) * inner;
    const int64_t first = begin + (taps.begin - call_.window[2].low) * inner;
    const int64_t rows = known_rows > 0 ? known_rows : count_;
    const int64_t columns = known_columns > 0 ? known_columns : taps.end - taps.begin;
    const Few<const T*, known_rows> x(x_);
    const Few<int64_t, known_rows> tap(tap_);
    for_lanes<A>(count, count, [=, &reducer, &store](int64_t i, auto family) POOLKIT_INLINED {
      using L = decltype(family);
      auto best = reducer.template identity<L>();
#pragma GCC unroll 3
      for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 3
        for (int64_t t = 0; t < columns; ++t) {
          const auto number = L::splat_index(typename L::Int(tap[r] + taps.begin + t));
          const auto cell = reducer.template lift<L>(load<L>(x[r] + first + i + t * inner), number);
          best = r == 0 && t == 0 ? cell : reducer.template append<L>(best, cell);
        }
      }
      store(begin + i, best, family);
    });
  }

  const MaxFilterCall& call_;
  const int64_t inner_;
  const T** const x_;
  int64_t* const tap_;
  int64_t count_ = 0;
};

// The rows of maxima that results of late were made from.
template <class T, class A>
class Maxima {
 public:
  Maxima(const MaxFilterCall& call, A* scratch)
      : call_(call),
        rows_(scratch + kRowMargin),
        made_(reinterpret_cast<int64_t*>(scratch + call.kept * call.pitch)),
        used_(made_ + call.kept),
        windows_(call, used_ + call.kept) {
    for (int64_t i = 0; i < call.kept; ++i) made_[i] = used_[i] = -1;
  }

  // Row y of plane z, which stays while no more than `kept` others are asked for.
  const A* at(int64_t outer, int64_t z, int64_t y) {
    const int64_t number = (outer * call_.window[0].windows + z) * call_.window[1].windows + y;
    int64_t slot = 0, oldest = 0;
    for (; slot < call_.kept && made_[slot] != number; ++slot) {
      if (used_[slot] < used_[oldest]) oldest = slot;
    }
    if (slot == call_.kept) {
      slot = oldest;
      made_[slot] = number;
      A* const row = rows_ + slot * call_.pitch;
      windows_.reduce(outer, z, y, ExtremeIn<T, Greater, A>{Problem{}},
                      [row](int64_t i, const auto& best, auto family)
                          POOLKIT_INLINED { store<decltype(family)>(row + i, best.value); });
    }
    used_[slot] = ++clock_;
    return rows_ + slot * call_.pitch;
  }

 private:
  const MaxFilterCall& call_;
  A* const rows_;
  int64_t *const made_, *const used_;
  RowOfWindows<T, A> windows_;
  int64_t clock_ = 0;
};

// Every cell adds up the gradients of the maxima that it won.
template <class T, class A>
class MaxGradient {
 public:
  MaxGradient(const MaxFilterCall& call, A* scratch)
      : call_(call),
        inner_(call.filter.inner),
        before_((call.window[2].kernel - 1) * inner_),
        kept_(call.window[0].kernel * call.window[1].kernel),
        row_(call.filter, scratch),
        gradients_(scratch + call.filter.rows() * call.filter.pitch),
        winners_(gradients_ + kept_ * call.pitch),
        place_(reinterpret_cast<int64_t*>(winners_ + kept_ * call.pitch)),
        tap_(place_ + kept_),
        windows_(call, tap_ + kept_) {
    // Before and behind the maxima, too.
    for (int64_t i = 0; i < kept_ * call.pitch; ++i) gradients_[i] = A(0);
  }

  // Rows [begin, end) of plane d.
  void run(int64_t outer, int64_t d, int64_t begin, int64_t end) {
    const auto& [depth, height, width] = call_.window;
    const Range planes = windows_of(depth, d);
    int64_t made = windows_of(height, begin).begin;
    for (int64_t h = begin; h < end; ++h) {
      const Range rows = windows_of(height, h);
      for (; made < rows.end; ++made) {
        for (int64_t z = planes.begin; z < planes.end; ++z) make(outer, z, made);
      }
      T* const x = static_cast<T*>(call_.filter.y) + ((outer * depth.in + d) * height.in + h) * width.in * inner_;
      count_ = 0;
      for (int64_t z = planes.begin; z < planes.end; ++z) {
        for (int64_t y = rows.begin; y < rows.end; ++y) {
          place_[count_] = place(z, y) + width.low * inner_;
          tap_[count_++] = ((d + depth.low - z) * height.kernel + h + height.low - y) * width.kernel;
        }
      }
      with_count(count_, [&](auto count) POOLKIT_INLINED {
        with_count(width.kernel, [&](auto kernel) POOLKIT_INLINED { add_up<count.value, kernel.value>(x); });
      });
    }
  }

 private:
  // Where row y of plane z is kept, from the first maximum on.
  POOLKIT_INLINE int64_t place(int64_t z, int64_t y) const {
    const auto& [depth, height, width] = call_.window;
    return (z % depth.kernel * height.kernel + y % height.kernel) * call_.pitch + kRowMargin + before_;
  }

  // The gradients of a row of maxima, and the taps that won them, as integers in the place of numbers.
  void make(int64_t outer, int64_t z, int64_t y) {
    for_sources<A>(call_.filter, z, y, [&](int64_t from_z, int64_t from_y, A weight) POOLKIT_INLINED {
      row_.add(row_of<T>(call_.filter, outer, from_z, from_y), weight);
    });
    row_.write(gradients_ + place(z, y));
    A* const winners = winners_ + place(z, y);
    windows_.reduce(outer, z, y, Extreme<T, Greater, true>{Problem{}},
                    [winners](int64_t i, const auto& best, auto)
                        POOLKIT_INLINED { store_bits(winners + i, best.offset); });
  }

  // A row of cells, which windows of `count_` rows meet.
  template <int known_rows, int known_kernel>
  POOLKIT_INLINE void add_up(T* x) const {
    const int64_t inner = inner_, length = call_.window[2].in * inner;
    const int64_t rows = known_rows > 0 ? known_rows : count_;
    const int64_t kernel = known_kernel > 0 ? known_kernel : call_.window[2].kernel;
    const A *const gradients = gradients_, *const winners = winners_;
    const Few<int64_t, known_rows> place(place_), tap(tap_);
    for_lanes<A>(length, length, [=](int64_t i, auto family) POOLKIT_INLINED {
      using L = decltype(family);
      typename L::Value sum{};
#pragma GCC unroll 3
      for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 3
        for (int64_t t = 0; t < kernel; ++t) {
          const int64_t from = place[r] + i - t * inner;
          const auto winner = load_bits<typename L::Index>(winners + from);
          const auto gradient = load<L>(gradients + from);
          sum = sum + (winner == L::splat_index(typename L::Int(tap[r] + t)) ? gradient : typename L::Value{});
        }
      }
      store<L>(x + i, sum);
    });
  }

  const MaxFilterCall& call_;
  const int64_t inner_, before_, kept_;
  FilterRow<T, A, A> row_;
  A *const gradients_, *const winners_;  // of each row, with a window's worth of cells before the first
  // Of rows of maxima whose windows meet the row of cells in hand: where those with the first cell are kept, and the
  // taps that this is there.
  int64_t *const place_, *const tap_;
  int64_t count_ = 0;
  RowOfWindows<T, A> windows_;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
