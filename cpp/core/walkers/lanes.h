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
  const int64_t head = k < kChunk ? k : kChunk;
  for (int64_t t = 1; t < head; ++t) total = join(total, source.template get<L>(r, t, lane));
  for (int64_t begin = kChunk; begin < k; begin += kChunk) {
    const int64_t end = begin + kChunk < k ? begin + kChunk : k;
    State chunk = source.template get<L>(r, begin, lane);
    for (int64_t t = begin + 1; t < end; ++t) chunk = join(chunk, source.template get<L>(r, t, lane));
    total = join(total, chunk);
  }
  return total;
}

// Calls body(lane, family) until all n lanes are done: whole vectors, then the rest. Where the body is
// a pure function from sources to a separate destination, the last vector may overlap the one before;
// where even lanes beyond n may be touched, it may run over the end.
enum class Tail { overlap, overrun };

template <class A, class Body>
POOLKIT_INLINE void for_lanes(int64_t n, Tail tail, const Body& body) {
  constexpr int64_t lanes = Wide<A>::lanes;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, Wide<A>{});
  if (i == n) return;
  if (tail == Tail::overrun) {
    body(i, Wide<A>{});
  } else if (n >= lanes) {
    body(n - lanes, Wide<A>{});
  } else {
    for (; i < n; ++i) body(i, Single<A>{});
  }
}

// A state, or what an output hands back, as the words that scratch holds.
template <class L, class S>
struct Words {
  static constexpr int count = sizeof(S) / sizeof(typename L::Value);
  static_assert(count <= kMaxFields);
  typename L::Index word[count];
};

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

  // Lanes `lane`, `lane + stride`, ...; kStride is the stride where it is 1 or 2, else 0.
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
        } else {
          for (int i = 0; i < L::lanes; ++i) words.word[f][i] = load_bits<typename L::Int>(p + i * stride);
        }
      }
      return bit_cast<S>(words);
    }
  }
};

// Rows of the input, each with the winner offset of its first tap.
template <class T>
struct InputRows {
  static constexpr bool kAscending = true;
  const T* const* rows;
  const int64_t* offsets;

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t t, int64_t lane) const {
    return r.template lift<L>(load<L>(rows[t] + lane), L::splat_index(typename L::Int(offsets[t])));
  }
};

// Taps along a scratch row: lane i of tap t is the state at i * stride + t * step.
template <class A, int kStride>
struct ScratchTaps {
  static constexpr bool kAscending = false;
  ScratchRow<A> row;
  int64_t stride, step;

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t t, int64_t lane) const {
    using State = typename R::template State<L>;
    const State s = row.template get_strided<L, State, kStride>(lane * stride + t * step, stride);
    return r.template moved<L>(s, L::splat_index(typename L::Int(t)));
  }
};

// Calls f(source) with the taps along `row`, the common strides known at compile time.
template <class A, class F>
POOLKIT_INLINE void with_taps(ScratchRow<A> row, int64_t stride, int64_t step, const F& f) {
  if (stride == 1) return f(ScratchTaps<A, 1>{row, 1, step});
  if (stride == 2) return f(ScratchTaps<A, 2>{row, 2, step});
  f(ScratchTaps<A, 0>{row, stride, step});
}

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
      const State s = r.template combine<One>(row.template get<One, State>(lane),
                                              row.template get<One, State>(lane + half_width));
      row.template put<One>(lane, s);
    }
  }
  return row.template get<One, State>(0);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
