// RoI align and RoI pool over some channels of one box, compiled as kernels.cpp is: once for each instruction set and
// storage type. Both take the two axes in turn: the rows of a row of bins are put together column by column, then the
// columns bin by bin. The second step always has channels as lanes. Where channels lie one plane after the other, the
// first step has columns as lanes, does as many planes as a vector has lanes, and transposes what it found.
#include "roi.h"

#include "reducers/reducer.h"
#include "storage.h"

#define POOLKIT_JOIN(a, b) a##b
#define POOLKIT_ROI_KERNELS(dtype) POOLKIT_JOIN(roi_kernels_, dtype)

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

using T = StorageOf<DType::POOLKIT_DTYPE>::type;
using A = Storage<T>::Accumulator;
using One = Single<A>;
using Many = Wide<A>;
using Int = One::Int;
constexpr int kGroup = Many::lanes;  // planes done together

A weight(const Tap& tap) { return sizeof(A) == sizeof(double) ? A(tap.weight) : A(tap.single); }

// Calls f with a family of lanes and the first of them: whole vectors, then what is left.
template <class F>
POOLKIT_INLINE void for_lanes(int64_t count, F f) {
  int64_t i = 0;
  for (; i + Many::lanes <= count; i += Many::lanes) f(Many(), i);
  for (; i < count; ++i) f(One(), i);
}

// Some planes of a group. A group that is not full reads its last plane again in place of those it lacks.
struct Full {
  int64_t step;
  static constexpr int count() { return kGroup; }
  int64_t offset(int i) const { return i * step; }
};
struct Partial {
  int64_t step;
  int planes;
  int count() const { return planes; }
  int64_t offset(int i) const { return (i < planes ? i : planes - 1) * step; }
};

// Calls f(first plane, planes of the map, planes of the bins) for each group.
template <class F>
POOLKIT_INLINE void for_groups(const RoiCall& call, F f) {
  int64_t plane = 0;
  for (; plane + kGroup <= call.planes; plane += kGroup) f(plane, Full{call.map.plane}, Full{call.bins.plane});
  const int left = int(call.planes - plane);
  if (left > 0) f(plane, Partial{call.map.plane, left}, Partial{call.bins.plane, left});
}

// A row of bins of a group, [bin][plane], from and to planes.
template <class Planes, class V>
POOLKIT_INLINE void put(const V* tile, const Planes& planes, V* to, int64_t bins) {
  for (int i = 0; i < planes.count(); ++i) {
    for (int64_t q = 0; q < bins; ++q) to[planes.offset(i) + q] = tile[q * kGroup + i];
  }
}
template <class Planes, class V>
POOLKIT_INLINE void take(const V* from, const Planes& planes, V* tile, int64_t bins) {
  for (int i = 0; i < kGroup; ++i) {
    for (int64_t q = 0; q < bins; ++q) tile[q * kGroup + i] = from[planes.offset(i) + q];
  }
}

// The columns that are worked on: where lanes are columns and a row has room, as many as fill whole vectors.
struct Columns {
  int64_t low, count;

  Columns(int64_t low_, int64_t high, const RoiCall& call) : low(low_), count(high - low_) {
    const int64_t whole = (count + Many::lanes - 1) / Many::lanes * Many::lanes;
    if (call.lanes > 1 || whole > call.width) return;
    count = whole;
    low = low + count > call.width ? call.width - count : low;
  }
};

// --- RoI align.

// to[i] = sum over the taps of weight * from[tap][i]; `from` is where the cell `low` stands.
template <class From, class To>
POOLKIT_INLINE void mix(const Tap* tap, const Tap* end, int64_t low, const From* from, int64_t step, To* to,
                        int64_t count) {
  for_lanes(count, [&](auto family, int64_t i) {
    using L = decltype(family);
    typename L::Value sum{};
    for (const Tap* t = tap; t != end; ++t) sum += L::splat(weight(*t)) * load<L>(from + (t->at - low) * step + i);
    store<L>(to + i, sum);
  });
}

// The adjoint: to[tap][i] += weight * from[i].
template <class From>
POOLKIT_INLINE void spread(const Tap* tap, const Tap* end, int64_t low, const From* from, A* to, int64_t step,
                           int64_t count) {
  for_lanes(count, [&](auto family, int64_t i) {
    using L = decltype(family);
    const auto value = load<L>(from + i);
    for (const Tap* t = tap; t != end; ++t) {
      A* cell = to + (t->at - low) * step + i;
      store<L>(cell, load<L>(cell) + L::splat(weight(*t)) * value);
    }
  });
}

// mix() of rows of a group of planes: to[column][plane].
template <class Planes>
POOLKIT_INLINE void mix_planes(const Tap* tap, const Tap* end, const T* from, int64_t width, const Planes& planes,
                               A* to, int64_t columns) {
  for_lanes(columns, [&](auto family, int64_t column) {
    using L = decltype(family);
    typename L::Value sums[kGroup] = {};
    for (const Tap* t = tap; t != end; ++t) {
      const auto factor = L::splat(weight(*t));
      const T* row = from + t->at * width + column;
#pragma GCC unroll 16
      for (int i = 0; i < kGroup; ++i) sums[i] += factor * load<L>(row + planes.offset(i));
    }
    if constexpr (L::lanes > 1) transpose<Many>(sums);
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) store<L>(to + column * kGroup + i * L::lanes, sums[i]);
  });
}

// Its adjoint.
template <class Planes>
POOLKIT_INLINE void spread_planes(const Tap* tap, const Tap* end, const A* from, A* to, int64_t width,
                                  const Planes& planes, int64_t columns) {
  for_lanes(columns, [&](auto family, int64_t column) {
    using L = decltype(family);
    typename L::Value values[kGroup];
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) values[i] = load<L>(from + column * kGroup + i * L::lanes);
    if constexpr (L::lanes > 1) transpose<Many>(values);
    for (const Tap* t = tap; t != end; ++t) {
      const auto factor = L::splat(weight(*t));
      A* row = to + t->at * width + column;
#pragma GCC unroll 16
      for (int i = 0; i < kGroup; ++i) {
        A* cell = row + planes.offset(i);
        if (i < planes.count()) store<L>(cell, load<L>(cell) + factor * values[i]);
      }
    }
  });
}

void align(const RoiCall& call, const Taps& rows, const Taps& columns, const void* x, void* y) {
  const Columns range(columns.low, columns.high, call);
  const T* const from = static_cast<const T*>(x) + range.low * call.map.cell;
  A* const buffer = static_cast<A*>(call.scratch);
  // Puts the columns together, from buffer[column][lane] to bins that stand `step` elements apart.
  const auto bins = [&](T* to, int64_t step, int64_t lanes) {
    for (int64_t q = 0; q < call.out_width; ++q) {
      mix(columns.tap + columns.first[q], columns.tap + columns.first[q + 1], range.low, buffer, lanes, to + q * step,
          lanes);
    }
  };
  if (call.lanes == 1) {
    T* const tile = reinterpret_cast<T*>(buffer + range.count * kGroup);
    for_groups(call, [&](int64_t plane, auto maps, auto outputs) {
      T* to = static_cast<T*>(y) + plane * call.bins.plane;
      for (int64_t p = 0; p < call.out_height; ++p, to += call.out_width) {
        mix_planes(rows.tap + rows.first[p], rows.tap + rows.first[p + 1], from + plane * call.map.plane, call.width,
                   maps, buffer, range.count);
        bins(tile, kGroup, kGroup);
        put(tile, outputs, to, call.out_width);
      }
    });
    return;
  }
  T* to = static_cast<T*>(y);
  for (int64_t p = 0; p < call.out_height; ++p, to += call.out_width * call.bins.cell) {
    for (int64_t i = 0; i < range.count; ++i) {
      if (!columns.touched[i]) continue;
      mix(rows.tap + rows.first[p], rows.tap + rows.first[p + 1], 0, from + i * call.map.cell,
          call.width * call.map.cell, buffer + i * call.lanes, call.lanes);
    }
    bins(to, call.bins.cell, call.lanes);
  }
}

void align_backward(const RoiCall& call, const Taps& rows, const Taps& columns, const void* grad_y, void* sums) {
  const Columns range(columns.low, columns.high, call);
  A* const to = static_cast<A*>(sums) + range.low * call.map.cell;
  A* const buffer = static_cast<A*>(call.scratch);
  const auto bins = [&](const T* from, int64_t step, int64_t lanes) {
    __builtin_memset(buffer, 0, size_t(range.count * lanes) * sizeof(A));
    for (int64_t q = 0; q < call.out_width; ++q) {
      spread(columns.tap + columns.first[q], columns.tap + columns.first[q + 1], range.low, from + q * step, buffer,
             lanes, lanes);
    }
  };
  if (call.lanes == 1) {
    T* const tile = reinterpret_cast<T*>(buffer + range.count * kGroup);
    for_groups(call, [&](int64_t plane, auto maps, auto outputs) {
      const T* from = static_cast<const T*>(grad_y) + plane * call.bins.plane;
      for (int64_t p = 0; p < call.out_height; ++p, from += call.out_width) {
        take(from, outputs, tile, call.out_width);
        bins(tile, kGroup, kGroup);
        spread_planes(rows.tap + rows.first[p], rows.tap + rows.first[p + 1], buffer, to + plane * call.map.plane,
                      call.width, maps, range.count);
      }
    });
    return;
  }
  const T* from = static_cast<const T*>(grad_y);
  for (int64_t p = 0; p < call.out_height; ++p, from += call.out_width * call.bins.cell) {
    bins(from, call.bins.cell, call.lanes);
    for (int64_t i = 0; i < range.count; ++i) {
      if (!columns.touched[i]) continue;
      spread(rows.tap + rows.first[p], rows.tap + rows.first[p + 1], 0, buffer + i * call.lanes, to + i * call.map.cell,
             call.width * call.map.cell, call.lanes);
    }
  }
}

// --- RoI pool.

// The largest value so far, and where in its plane it stands if that is wanted.
template <class L, bool with_winners>
struct Best {
  typename L::Value value;
  typename L::Index at;

  // Of cells that come in row-major order: of equals the first stays, of NaNs the last.
  POOLKIT_INLINE void next(typename L::Value v, typename L::Index position) {
    const auto wins = (v > value) | (v != v);
    value = wins ? v : value;
    if constexpr (with_winners) at = wins ? position : at;
  }

  // Of cells in any order.
  POOLKIT_INLINE void other(typename L::Value v, typename L::Index position) {
    if constexpr (with_winners) {
      const auto nan = (v != v) & ((value == value) | (position > at));
      const auto wins = (v > value) | ((v == value) & (position < at)) | nan;
      value = wins ? v : value;
      at = wins ? position : at;
    } else {
      next(v, position);
    }
  }
};

// Values and positions, [column][lane] or [bin][lane].
struct Places {
  A* value;
  Int* at;
  Places operator+(int64_t offset) const { return {value + offset, at + offset}; }
};

// The best of each column of a group of planes, to[column][plane].
template <bool with_winners, class Planes>
POOLKIT_INLINE void best_of_planes(Span rows, const T* from, int64_t low, int64_t width, const Planes& planes,
                                   Places to, int64_t columns) {
  for_lanes(columns, [&](auto family, int64_t column) {
    using L = decltype(family);
    auto position = lane_numbers<L>() + L::splat_index(Int(rows.begin * width + low + column));
    const T* cell = from + rows.begin * width + column;
    Best<L, with_winners> best[kGroup];
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) best[i] = {load<L>(cell + planes.offset(i)), position};
    for (int64_t row = rows.begin + 1; row < rows.end; ++row) {
      cell += width;
      position += L::splat_index(Int(width));
#pragma GCC unroll 16
      for (int i = 0; i < kGroup; ++i) best[i].next(load<L>(cell + planes.offset(i)), position);
    }
    typename L::Value values[kGroup], positions[kGroup];
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) {
      values[i] = best[i].value;
      positions[i] = bit_cast<typename L::Value>(best[i].at);
    }
    if constexpr (L::lanes > 1) transpose<Many>(values);
    if constexpr (L::lanes > 1 && with_winners) transpose<Many>(positions);
#pragma GCC unroll 16
    for (int i = 0; i < kGroup; ++i) {
      store<L>(to.value + column * kGroup + i * L::lanes, values[i]);
      if constexpr (with_winners) store_bits(to.at + column * kGroup + i * L::lanes, positions[i]);
    }
  });
}

// The best of one column, lane by lane.
template <bool with_winners>
POOLKIT_INLINE void best_of_rows(Span rows, const T* from, int64_t step, int64_t column, int64_t width, Places to,
                                 int64_t lanes) {
  for_lanes(lanes, [&](auto family, int64_t lane) {
    using L = decltype(family);
    const T* cell = from + rows.begin * step + lane;
    Best<L, with_winners> best{load<L>(cell), L::splat_index(Int(rows.begin * width + column))};
    for (int64_t row = rows.begin + 1; row < rows.end; ++row) {
      cell += step;
      best.next(load<L>(cell), L::splat_index(Int(row * width + column)));
    }
    store<L>(to.value + lane, best.value);
    if constexpr (with_winners) store_bits(to.at + lane, best.at);
  });
}

// The best of some columns, or nothing if there are none.
template <bool with_winners>
POOLKIT_INLINE void best_of_columns(Places from, int64_t columns, int64_t lanes, T* y, char* winners, int bytes) {
  if (columns <= 0) {
    __builtin_memset(y, 0, size_t(lanes) * sizeof(T));
    if (with_winners) __builtin_memset(winners, 0xff, size_t(lanes * bytes));
    return;
  }
  for_lanes(lanes, [&](auto family, int64_t i) {
    using L = decltype(family);
    using Index = typename L::Index;
    const auto at = [&](int64_t column) {
      return with_winners ? load_bits<Index>(from.at + column * lanes + i) : Index{};
    };
    Best<L, with_winners> best{load<L>(from.value + i), at(0)};
    for (int64_t column = 1; column < columns; ++column) {
      best.other(load<L>(from.value + column * lanes + i), at(column));
    }
    store<L>(y + i, best.value);
    if constexpr (with_winners) store_index<L>(winners + i * bytes, bytes, best.at);
  });
}

template <bool with_winners>
void pool_with(const RoiCall& call, const Spans& rows, const Spans& columns, const T* x, T* y, char* winners) {
  const Columns range(columns.low, columns.high, call);
  const T* const from = x + range.low * call.map.cell;
  const int64_t group = call.lanes == 1 ? kGroup : call.lanes;
  const Places best{static_cast<A*>(call.scratch), static_cast<Int*>(call.scratch) + range.count * group};
  const int bytes = call.winner_bytes;
  const auto bins = [&](Span row, T* to, char* to_winners, int64_t step, int64_t lanes) {
    for (int64_t q = 0; q < call.out_width; ++q) {
      const Span column = columns.bin[q];
      best_of_columns<with_winners>(best + (column.begin - range.low) * lanes,
                                    row.begin < row.end ? column.end - column.begin : 0, lanes, to + q * step,
                                    to_winners + q * step * bytes, bytes);
    }
  };
  if (call.lanes == 1) {
    T* const tile = reinterpret_cast<T*>(best.at + range.count * kGroup);
    char* const winner_tile = reinterpret_cast<char*>(tile + call.out_width * kGroup);
    for_groups(call, [&](int64_t plane, auto maps, auto outputs) {
      int64_t to = plane * call.bins.plane;
      for (int64_t p = 0; p < call.out_height; ++p, to += call.out_width) {
        const Span row = rows.bin[p];
        if (row.begin < row.end) {
          best_of_planes<with_winners>(row, from + plane * call.map.plane, range.low, call.width, maps, best,
                                       range.count);
        }
        bins(row, tile, winner_tile, kGroup, kGroup);
        put(tile, outputs, y + to, call.out_width);
        if (!with_winners) continue;
        const auto put_winners = [&](auto winner) {
          using Winner = decltype(winner);
          put(reinterpret_cast<const Winner*>(winner_tile), outputs, reinterpret_cast<Winner*>(winners) + to,
              call.out_width);
        };
        bytes == 1 ? put_winners(uint8_t()) : bytes == 2 ? put_winners(uint16_t()) : put_winners(uint32_t());
      }
    });
    return;
  }
  for (int64_t p = 0; p < call.out_height; ++p) {
    const Span row = rows.bin[p];
    for (int64_t i = 0; i < range.count && row.begin < row.end; ++i) {
      best_of_rows<with_winners>(row, from + i * call.map.cell, call.width * call.map.cell, range.low + i, call.width,
                                 best + i * call.lanes, call.lanes);
    }
    const int64_t to = p * call.out_width * call.bins.cell;
    bins(row, y + to, winners + to * bytes, call.bins.cell, call.lanes);
  }
}

void pool(const RoiCall& call, const Spans& rows, const Spans& columns, const void* x, void* y, void* winners) {
  if (winners != nullptr) {
    pool_with<true>(call, rows, columns, static_cast<const T*>(x), static_cast<T*>(y), static_cast<char*>(winners));
  } else {
    pool_with<false>(call, rows, columns, static_cast<const T*>(x), static_cast<T*>(y), nullptr);
  }
}

// Adds the gradients of some channels, bin by bin. Neighbouring bins often share their winner, and each sum waits for
// the one before, so channels are what the inner loop is over.
template <class Winner>
POOLKIT_INLINE void scatter(const RoiCall& call, const T* grad_y, const Winner* winners, A* sums, int64_t channels,
                            int64_t bin_step, int64_t cell_step) {
  for (int64_t bin = 0; bin < call.out_height * call.out_width; ++bin) {
    for (int64_t i = 0; i < channels; ++i) {
      const int64_t winner = winners[i * bin_step];  // the largest number of its type for an empty bin
      if (winner < call.cells) sums[winner * call.map.cell + i * cell_step] += load<One>(grad_y + i * bin_step);
    }
    grad_y += call.bins.cell;
    winners += call.bins.cell;
  }
}

template <class Winner>
void pool_backward_of(const RoiCall& call, const T* grad_y, const Winner* winners, A* sums) {
  if (call.lanes > 1) return scatter(call, grad_y, winners, sums, call.lanes, 1, 1);
  constexpr int64_t kTogether = 4;
  for (int64_t plane = 0; plane < call.planes; plane += kTogether) {
    const int64_t from = plane * call.bins.plane;
    A* const to = sums + plane * call.map.plane;
    if (plane + kTogether <= call.planes) {
      scatter(call, grad_y + from, winners + from, to, kTogether, call.bins.plane, call.map.plane);
    } else {
      scatter(call, grad_y + from, winners + from, to, call.planes - plane, call.bins.plane, call.map.plane);
    }
  }
}

void pool_backward(const RoiCall& call, const void* grad_y, const void* winners, void* sums) {
  const auto run = [&](auto winner) {
    using Winner = decltype(winner);
    pool_backward_of(call, static_cast<const T*>(grad_y), static_cast<const Winner*>(winners), static_cast<A*>(sums));
  };
  if (call.winner_bytes == 1) return run(uint8_t());
  if (call.winner_bytes == 2) return run(uint16_t());
  run(uint32_t());
}

void round(const void* sums, int64_t count, void* grad_x) {
  for_lanes(count, [&](auto family, int64_t i) {
    using L = decltype(family);
    store<L>(static_cast<T*>(grad_x) + i, load<L>(static_cast<const A*>(sums) + i));
  });
}

}  // namespace

extern const RoiKernels POOLKIT_ROI_KERNELS(POOLKIT_DTYPE);
const RoiKernels POOLKIT_ROI_KERNELS(POOLKIT_DTYPE) = {align, align_backward, pool, pool_backward, round};

}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
