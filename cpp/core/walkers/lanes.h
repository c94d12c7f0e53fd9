// The inner loops that all walkers share: reduce k sources lane by lane over a row.
#pragma once

#include "../plan.h"
#include "../reducers/reducer.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Long sums are cut into chunks whose partial sums are added: the rounding error grows with
// chunk + k / chunk instead of k.
constexpr int64_t kChunk = 128;

template <class R, class L, class Source>
POOLKIT_INLINE typename R::template State<L> reduce_at(const R& r, const Source& source, int64_t k, int64_t lane) {
  using State = typename R::template State<L>;
  const auto join = [&r](State a, State b) {
    if constexpr (Source::kAscending) {
      return r.template append<L>(a, b);
    } else {
      return r.template combine<L>(a, b);
    }
  };
  State total = source.template get<L>(r, 0, lane);
  if constexpr (Source::kKnown != 0) {
#pragma GCC unroll 4
    for (int t = 1; t < Source::kKnown; ++t) total = join(total, source.template get<L>(r, t, lane));
    return total;
  }
  const int64_t head = k < kChunk ? k : kChunk;
#pragma GCC unroll 4
  for (int64_t t = 1; t < head; ++t) total = join(total, source.template get<L>(r, t, lane));
  for (int64_t begin = kChunk; begin < k; begin += kChunk) {
    const int64_t end = begin + kChunk < k ? begin + kChunk : k;
    State chunk = source.template get<L>(r, begin, lane);
    for (int64_t t = begin + 1; t < end; ++t) chunk = join(chunk, source.template get<L>(r, t, lane));
    total = join(total, chunk);
  }
  return total;
}

// Calls body(lane, family) until all n lanes are done: whole vectors, then the rest. `room` is how many lanes may be
// touched: the last vector runs over the end where that many are free, and overlaps the one before where not, as the
// body is a pure function from sources to a separate destination.
constexpr int64_t kAnyRoom = int64_t{1} << 60;

template <class A, class Body>
POOLKIT_INLINE void for_lanes(int64_t n, int64_t room, const Body& body) {
  constexpr int64_t lanes = Wide<A>::lanes;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, Wide<A>{});
  if (i == n) return;
  if (i + lanes <= room) {
    body(i, Wide<A>{});
  } else if (n >= lanes) {
    body(n - lanes, Wide<A>{});
  } else {
    for (; i < n; ++i) body(i, Single<A>{});
  }
}

// The same for bodies that add to what is there: no lane is done twice.
template <class A, class Body>
POOLKIT_INLINE void for_lanes_once(int64_t n, int64_t room, const Body& body) {
  constexpr int64_t lanes = Wide<A>::lanes;
  int64_t i = 0;
  for (; i + lanes <= n || (i < n && i + lanes <= room); i += lanes) body(i, Wide<A>{});
  for (; i < n; ++i) body(i, Single<A>{});
}

// start, start + 1, ...
template <class L>
POOLKIT_INLINE typename L::Index count_up(int64_t start) {
  return added<L>(lane_numbers<L>(), L::splat_index(typename L::Int(start)));
}

// A state, or what an output hands back, as the words that scratch holds.
template <class L, class S>
struct Words {
  static constexpr int count = sizeof(S) / sizeof(typename L::Value);
  static_assert(count <= kMaxFields);
  typename L::Index word[count];
};

// a in the lanes that the mask takes, b in the others.
template <class L, class Taken, class State>
POOLKIT_INLINE State chosen(const Taken& taken, const State& a, const State& b) {
  auto words = bit_cast<Words<L, State>>(a);
  const auto others = bit_cast<Words<L, State>>(b);
  for (int f = 0; f < words.count; ++f) words.word[f] = taken ? words.word[f] : others.word[f];
  return bit_cast<State>(words);
}

// States in scratch: field f of lane i stands at base[f * pitch + i].
template <class A>
struct ScratchRow {
  A* base;
  int64_t pitch;

  ScratchRow at(int64_t lane) const { return {base + lane, pitch}; }

  template <class L, class S>
  POOLKIT_INLINE void put(int64_t lane, const S& state) const {
    const auto words = bit_cast<Words<L, S>>(state);
    for (int f = 0; f < words.count; ++f) store_bits(base + f * pitch + lane, words.word[f]);
  }

  template <class L, class S>
  POOLKIT_INLINE S get(int64_t lane) const {
    Words<L, S> words;
    for (int f = 0; f < words.count; ++f) words.word[f] = load_bits<typename L::Index>(base + f * pitch + lane);
    return bit_cast<S>(words);
  }

  // Lanes `lane`, `lane + stride`, ...; kStride is the stride where it is 1, 2 or 4, else 0.
  template <class L, class S, int kStride>
  POOLKIT_INLINE S get_strided(int64_t lane, int64_t stride) const {
    if constexpr (kStride == 1 || L::lanes == 1) {
      return get<L, S>(lane);
    } else {
      Words<L, S> words;
      for (int f = 0; f < words.count; ++f) {
        const A* p = base + f * pitch + lane;
        if constexpr (kStride == 2) {
          words.word[f] = evens<L>(load_bits<typename L::Index>(p), load_bits<typename L::Index>(p + L::lanes));
        } else if constexpr (kStride == 4) {
          using Index = typename L::Index;
          words.word[f] = evens<L>(evens<L>(load_bits<Index>(p), load_bits<Index>(p + L::lanes)),
                                   evens<L>(load_bits<Index>(p + 2 * L::lanes), load_bits<Index>(p + 3 * L::lanes)));
        } else {
          words.word[f] = load_words_apart<L>(p, stride);
        }
      }
      return bit_cast<S>(words);
    }
  }
};

// Finds the rows of an array that an output row's windows read, with the winner offset of each one's first tap. Returns
// how many there are.
template <class T>
inline int64_t rows_of(const Plan& plan, const T* x, int64_t outer, int64_t od, int64_t oh, const T** rows,
                       int64_t* offsets) {
  const AxisPlan &depth = plan.depth, &height = plan.height;
  const int64_t row = plan.width.in * plan.problem.inner;
  int64_t k = 0;
  for (int64_t td = depth.first[od]; td < depth.last[od]; ++td) {
    const int64_t slice = outer * depth.in + depth.base[od] + td * depth.dilation;
    for (int64_t th = height.first[oh]; th < height.last[oh]; ++th) {
      rows[k] = x + (slice * height.in + height.base[oh] + th * height.dilation) * row;
      offsets[k++] = (td * height.kernel + th) * plan.width.kernel;
    }
  }
  return k;
}

// Rows of the input, each with the winner offset of its first tap.
template <class T>
struct InputRows {
  static constexpr bool kAscending = true;
  static constexpr int kKnown = 0;
  const T* const* rows;
  const int64_t* offsets;

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t t, int64_t lane) const {
    return r.template lift<L>(load<L>(rows[t] + lane), L::splat_index(typename L::Int(offsets[t])));
  }
};

// The same for few rows: all their addresses stay in registers.
template <class T, int known>
struct KnownRows {
  static constexpr bool kAscending = true;
  static constexpr int kKnown = known;
  const T* row[known];
  int64_t offset[known];

  KnownRows(const T* const* rows, const int64_t* offsets) {
    for (int t = 0; t < known; ++t) row[t] = rows[t], offset[t] = offsets[t];
  }

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t t, int64_t lane) const {
    return r.template lift<L>(load<L>(row[t] + lane), L::splat_index(typename L::Int(offset[t])));
  }
};

// Whether loops are made for each small number of sources: where the arithmetic is light enough to tell.
template <class R>
constexpr bool kHeavy = requires { requires R::kHeavy; };
template <class R>
constexpr bool kTuned =
    !R::kRepairs && !kHeavy<R> &&
    sizeof(typename R::template State<Single<typename R::Accumulator>>) <= 2 * sizeof(typename R::Accumulator);

// Calls f(source) with the k rows.
template <bool tuned, class T, class F>
POOLKIT_INLINE void with_rows(const T* const* rows, const int64_t* offsets, int64_t k, const F& f) {
  if constexpr (!tuned) return f(InputRows<T>{rows, offsets});
  switch (k) {
    case 1: return f(KnownRows<T, 1>(rows, offsets));
    case 2: return f(KnownRows<T, 2>(rows, offsets));
    case 3: return f(KnownRows<T, 3>(rows, offsets));
    case 4: return f(KnownRows<T, 4>(rows, offsets));
    default: f(InputRows<T>{rows, offsets});
  }
}

// Taps along a scratch row: lane i of tap t is the state at i * stride + t * step. The stride is known where it
// is 1, 2 or 4, else kStride is 0; so are two or three taps.
template <class A, int kStride, int known>
struct ScratchTaps {
  static constexpr bool kAscending = false;
  static constexpr int kKnown = known;
  ScratchRow<A> row;
  int64_t stride, step;

  ScratchTaps shifted(int64_t lanes) const { return {row.at(lanes), stride, step}; }

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t t, int64_t lane) const {
    using State = typename R::template State<L>;
    const State s = row.template get_strided<L, State, kStride>(lane * stride + t * step, stride);
    return r.template moved<L>(s, L::splat_index(typename L::Int(t)));
  }
};

// The same along a row of the input, whose first tap has this winner offset.
template <class T, int kStride, int known>
struct InputTaps {
  static constexpr bool kAscending = true;
  static constexpr int kKnown = known;
  const T* row;
  int64_t stride, step;

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t t, int64_t lane) const {
    const auto cells = load_apart<L, kStride>(row + lane * stride + t * step, stride);
    return r.template lift<L>(cells, L::splat_index(typename L::Int(t)));
  }
};

template <template <class, int, int> class Taps, bool tuned, class A, int kStride, class Row, class F>
POOLKIT_INLINE void with_taps_apart(Row row, int64_t stride, int64_t step, int64_t k, const F& f) {
  if constexpr (!tuned) return f(Taps<A, kStride, 0>{row, stride, step});
  switch (k) {
    case 2: return f(Taps<A, kStride, 2>{row, stride, step});
    case 3: return f(Taps<A, kStride, 3>{row, stride, step});
    default: f(Taps<A, kStride, 0>{row, stride, step});
  }
}

// Calls f(source) with the k taps along `row`.
template <template <class, int, int> class Taps, bool tuned, class A, class Row, class F>
POOLKIT_INLINE void with_taps(Row row, int64_t stride, int64_t step, int64_t k, const F& f) {
  switch (stride) {
    case 1: return with_taps_apart<Taps, tuned, A, 1>(row, 1, step, k, f);
    case 2: return with_taps_apart<Taps, tuned, A, 2>(row, 2, step, k, f);
    case 4:
      if constexpr (tuned) return f(Taps<A, 4, 0>{row, 4, step});
      [[fallthrough]];
    default: f(Taps<A, 0, 0>{row, stride, step});
  }
}

// Windows of any sizes along a scratch row: lane i of tap t is the state at index[t * pitch + i]; where a window has
// fewer taps than others the index is that of an identity.
template <class A>
struct PickedTaps {
  static constexpr bool kAscending = false;
  static constexpr int kKnown = 0;
  ScratchRow<A> row;
  const int32_t* index;
  int64_t pitch;

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t t, int64_t lane) const {
    using State = typename R::template State<L>;
    Words<L, State> words;
    for (int f = 0; f < words.count; ++f) {
      words.word[f] = load_picked<L>(row.base + f * row.pitch, index + t * pitch + lane);
    }
    return r.template moved<L>(bit_cast<State>(words), L::splat_index(typename L::Int(t)));
  }
};

// One window along a contiguous row, as a fixed tree of 64-byte blocks: the same bits for every vector width.
template <class R, class Load>
inline typename R::template State<Single<typename R::Accumulator>> reduce_run(const R& r, int64_t length,
                                                                              const Load& load_state) {
  using A = typename R::Accumulator;
  using One = Single<A>;
  using Many = Wide<A>;
  using State = typename R::template State<One>;
  using States = typename R::template State<Many>;
  constexpr int64_t width = 64 / sizeof(A);
  constexpr int64_t parts = 64 / kVectorBytes;
  if (length < width) {
    State total = load_state(0, One{});
    for (int64_t i = 1; i < length; ++i) total = r.template combine<One>(total, load_state(i, One{}));
    return total;
  }
  States part[parts];
  alignas(64) A spread[kMaxFields * width];
  const ScratchRow<A> row{spread, width};
  bool first = true;
  for (int64_t begin = 0; begin + width <= length; begin += kChunk * width) {
    States chunk[parts];
    for (int64_t p = 0; p < parts; ++p) chunk[p] = load_state(begin + p * Many::lanes, Many{});
    const int64_t limit = begin + kChunk * width < length ? begin + kChunk * width : length;
    for (int64_t i = begin + width; i + width <= limit; i += width) {
      for (int64_t p = 0; p < parts; ++p) {
        chunk[p] = r.template combine<Many>(chunk[p], load_state(i + p * Many::lanes, Many{}));
      }
    }
    for (int64_t p = 0; p < parts; ++p) part[p] = first ? chunk[p] : r.template combine<Many>(part[p], chunk[p]);
    first = false;
  }
  for (int64_t p = 0; p < parts; ++p) row.template put<Many>(p * Many::lanes, part[p]);
  for (int64_t i = length - length % width, lane = 0; i < length; ++i, ++lane) {
    const State s = r.template combine<One>(row.template get<One, State>(lane), load_state(i, One{}));
    row.template put<One>(lane, s);
  }
  for (int64_t half_width = width / 2; half_width > 0; half_width /= 2) {
    for (int64_t lane = 0; lane < half_width; ++lane) {
      const State s =
          r.template combine<One>(row.template get<One, State>(lane), row.template get<One, State>(lane + half_width));
      row.template put<One>(lane, s);
    }
  }
  return row.template get<One, State>(0);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
