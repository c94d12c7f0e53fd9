// Forward of the windows that most models have, over rows of a few vectors: windows of two or three columns, at strides
// of 1 and 2, in channels-first arrays. The columns of a row are reduced into vectors that begin where the row begins
// and stay in registers; the taps of a window are their lanes, moved. Nothing is stored in scratch and loaded again,
// and a row costs few instructions to start.
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class R>
constexpr bool kTakesNeighbours = kTuned<R> && kIsFloat<T>;

template <class T, class R>
class Neighbours {
  using A = typename R::Accumulator;
  using L = Wide<A>;
  using V = typename L::Value;
  using State = typename R::template State<L>;
  using Fields = Words<L, State>;
  static constexpr int kLanes = L::lanes;
  static constexpr int kMost = 4;  // vectors of a row

  static int64_t vectors(int64_t n, int64_t lanes = kLanes) { return (n + lanes - 1) / lanes; }

 public:
  static bool takes(const Plan& plan, int64_t lanes = kLanes) {
    const AxisPlan& w = plan.width;
    return has_neighbours(plan) && w.in <= kMost * lanes &&
           vectors(w.out, lanes) <= (vectors(w.in, lanes) + w.stride - 1) / w.stride;
  }

  // Whether rows leave so few lanes idle that maps need not be taken side by side: of the longest vectors, as both ways
  // may round differently, and results are not to depend on the instruction set.
  static bool fills_lanes(const Plan& plan) {
    constexpr int64_t kShort = 14, kLongest = 64 / sizeof(A);
    const int64_t n = plan.width.in;
    return takes(plan, kLongest) && n >= kShort && 4 * n >= 3 * vectors(n, kLongest) * kLongest;
  }

  Neighbours(const ForwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        reducer_(plan_.problem) {
    const int64_t rows = depth_.kernel * height_.kernel;
    rows_ = static_cast<const T**>(scratch);
    offsets_ = reinterpret_cast<int64_t*>(rows_ + rows);
    counts_ = reinterpret_cast<A*>(offsets_ + rows);
    if constexpr (R::kDivides) {
      for (int64_t o = 0; o < width_.out; ++o) counts_[o] = A(width_.divisor[o]);
      for (int64_t i = 0; i < kLanes; ++i) counts_[width_.out + i] = A(1);
    }
  }

  void run(int64_t begin, int64_t end) {
    switch (vectors(width_.in)) {
      case 1: return run_vectors<1>(begin, end);
      case 2: return run_vectors<2>(begin, end);
      case 3: return run_vectors<3>(begin, end);
      default: return run_vectors<4>(begin, end);
    }
  }

 private:
  template <int kVectors>
  void run_vectors(int64_t begin, int64_t end) {
    if (width_.kernel == 2) {
      return width_.stride == 1 ? units<kVectors, 2, 1, 0>(begin, end) : units<kVectors, 2, 2, 0>(begin, end);
    }
    if (width_.stride == 1) {
      return width_.pad_low == 0 ? units<kVectors, 3, 1, 0>(begin, end) : units<kVectors, 3, 1, 1>(begin, end);
    }
    return width_.pad_low == 0 ? units<kVectors, 3, 2, 0>(begin, end) : units<kVectors, 3, 2, 1>(begin, end);
  }

  // All rows of outputs one after the other, wherever a plane begins.
  template <int kVectors, int kTaps, int kStride, int kPad>
  void units(int64_t begin, int64_t end) {
    const int64_t blocks = plan_.forward.blocks, height = height_.out, length = width_.out;
    const auto first_row = [=, this](int64_t unit) {
      return unit / blocks * height + unit % blocks * plan_.forward.rows;
    };
    const int64_t last_row = first_row(end);
    int64_t oh = begin % blocks * plan_.forward.rows, od = begin / blocks % depth_.out;
    int64_t outer = begin / blocks / depth_.out;
    limit_ = last_row * length;
    for (int64_t row = first_row(begin); row < last_row;) {
      const int64_t stop = height - oh < last_row - row ? height - oh : last_row - row;
      for (int64_t r = 0, alike; r < stop; r += alike) {
        alike = height_.alike[oh + r] < stop - r ? height_.alike[oh + r] : stop - r;
        k_ = rows_of(plan_, static_cast<const T*>(call_.x), outer, od, oh + r, rows_, offsets_);
        const A rest = R::kDivides ? A(depth_.divisor[od] * height_.divisor[oh + r]) : A(1);
        rows<kVectors, kTaps, kStride, kPad>((row + r) * length, alike, rest);
      }
      row += stop;
      oh = 0;
      if (++od == depth_.out) od = 0, ++outer;
    }
  }

  // The results of the rows found and of the output rows alike.
  template <int kVectors, int kTaps, int kStride, int kPad>
  void rows(int64_t out, int64_t alike, A rest) const {
    const auto each = [=, this](const auto& rows) {
      constexpr int kResults = (kVectors + kStride - 1) / kStride;
      const R reducer = reducer_;
      const int64_t k = k_, step = height_.stride * width_.in, length = width_.out, limit = limit_;
      const T *last = rows_[k - 1], *const x_end = static_cast<const T*>(call_.x_end);
      const int64_t rest_of_row = width_.in - (kVectors - 1) * kLanes;
      const auto inside = lane_numbers<L>() < L::splat_index(typename L::Int(rest_of_row));
      T* y = static_cast<T*>(call_.y) + out;
      const int64_t whole = vectors(length) - 1;  // vectors of results that end within the row
      for (int64_t r = 0, at = out, moved = 0; r < alike; ++r, at += length, y += length, moved += step) {
        if (step <= kFetchedCells) fetch_lines<false>(last + moved + kFetchedAhead, step);
        Row<kVectors> row;
        row.nothing = bit_cast<Fields>(reducer.template identity<L>());
#pragma GCC unroll 4
        for (int v = 0; v < kVectors - 1; ++v) {
          row.states[v] = bit_cast<Fields>(reduce_at<R, L>(reducer, rows, k, moved + v * kLanes));
        }
        State tail;
        if (last + moved + kVectors * kLanes <= x_end) {
          tail = reduce_at<R, L>(reducer, rows, k, moved + (kVectors - 1) * kLanes);
        } else {
          tail = end_of_array(rows, k, moved + (kVectors - 1) * kLanes, rest_of_row);
        }
        row.states[kVectors - 1] = bit_cast<Fields>(chosen<L>(inside, tail, reducer.template identity<L>()));
#pragma GCC unroll 4
        for (int v = 0; v < kResults; ++v) {
          if (v > whole) break;
          State state = bit_cast<State>(row.template tap<kStride, -kPad>(v));
          const auto join = [&](const Fields& next, int by) {
            const auto late = reducer.template moved<L>(bit_cast<State>(next), L::splat_index(typename L::Int(by)));
            state = reducer.template combine<L>(state, late);
          };
          join(row.template tap<kStride, 1 - kPad>(v), 1);
          if constexpr (kTaps == 3) join(row.template tap<kStride, 2 - kPad>(v), 2);
          V count{};
          if constexpr (R::kDivides) count = load<L>(counts_ + v * kLanes) * rest;
          const V result = reducer.template finish<L>(state, count);
          if (v < whole || at + (v + 1) * kLanes <= limit) {
            store<L>(y + v * kLanes, result);
            if constexpr (R::kWinners) {
              const int bytes = plan_.winner_bytes;
              char* winners = static_cast<char*>(call_.winners) + (at + v * kLanes) * bytes;
              store_index<L>(winners, bytes, reducer.template winner<L>(state));
            }
          } else {
            put_some(at + v * kLanes, result, state, length - v * kLanes);
          }
        }
      }
    };
    switch (k_) {
      case 2: return each(KnownRows<T, 2>(rows_, offsets_));
      case 3: return each(KnownRows<T, 3>(rows_, offsets_));
      default: each(InputRows<T>{rows_, offsets_});
    }
  }

  template <int kVectors>
  struct Row {
    Fields states[kVectors], nothing;

    POOLKIT_INLINE const Fields& at(int i) const { return i >= 0 && i < kVectors ? states[i] : nothing; }

    // The states of columns kStride * (v * kLanes + lane) + by.
    template <int kStride, int by>
    POOLKIT_INLINE Fields tap(int v) const {
      Fields tap = at(kStride * v);
      if constexpr (kStride == 2) {
        const Fields& more = at(2 * v + 1);
        for (int f = 0; f < Fields::count; ++f) {
          tap.word[f] = by % 2 == 0 ? evens<L>(tap.word[f], more.word[f]) : odds<L>(tap.word[f], more.word[f]);
        }
      }
      // Of the vectors beside these no more than the lane next to them is taken.
      if constexpr (by < 0) {
        const Fields& before = at(kStride * v - 1);
        for (int f = 0; f < Fields::count; ++f) tap.word[f] = shifted<L, kLanes - 1>(before.word[f], tap.word[f]);
      } else if constexpr (by >= kStride) {
        const Fields& after = at(kStride * (v + 1));
        constexpr int lanes = by / kStride;
        for (int f = 0; f < Fields::count; ++f) tap.word[f] = shifted<L, lanes>(tap.word[f], after.word[f]);
      }
      return tap;
    }
  };

  // The columns of the last vector where the array ends within it.
  template <class Rows>
  [[gnu::noinline]] State end_of_array(const Rows& rows, int64_t k, int64_t column, int64_t n) const {
    using One = Single<A>;
    const R reducer = reducer_;
    alignas(kVectorBytes) A lanes[Fields::count * kLanes];
    const ScratchRow<A> row = {lanes, kLanes};
    row.template put<L>(0, reducer.template identity<L>());
    for (int64_t i = 0; i < n; ++i) row.template put<One>(i, reduce_at<R, One>(reducer, rows, k, column + i));
    return row.template get<L, State>(0);
  }

  [[gnu::noinline]] void put_some(int64_t at, V result, const State& state, int64_t n) const {
    T results[kLanes];
    store<L>(results, result);
    __builtin_memcpy(static_cast<T*>(call_.y) + at, results, sizeof(T) * size_t(n));
    if constexpr (R::kWinners) {
      const int bytes = plan_.winner_bytes;
      char offsets[kLanes * 4];
      store_index<L>(offsets, bytes, reducer_.template winner<L>(state));
      __builtin_memcpy(static_cast<char*>(call_.winners) + at * bytes, offsets, size_t(n * bytes));
    }
  }

  static constexpr int64_t kFetchedAhead = 512;

  const ForwardCall& call_;
  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const R reducer_;
  const T** rows_;
  int64_t* offsets_;
  A* counts_;
  int64_t k_ = 0;      // input rows of the current output row
  int64_t limit_ = 0;  // results that may be written, as they are in ascending order
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
