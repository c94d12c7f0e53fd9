// Windows that follow from one another along lines of cells, a vector each: what neighbours have in common is reduced
// once, so that a window of any length takes few steps.
#pragma once

#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// A reducer that is faster where no cell is NaN.
template <class R>
constexpr bool kSeesNaN = kIsFloat<typename R::Accumulator> && requires { typename R::OfNumbers; };

// A state whose winner is so much further: of a window, not of the line that it was found in.
template <class L, class R, class State, class Place>
POOLKIT_INLINE State placed(const R& reducer, const State& state, const Place& place) {
  if constexpr (!R::kWinners) return state;
  return reducer.template moved<L>(state, L::splat_index(typename L::Int(place())));
}

// Cells `step` lanes apart. Their winners are their places in the line.
template <class A>
struct CellsOf {
  const A* base;
  int64_t step;

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t i, int64_t lane) const {
    return r.template lift<L>(load<L>(base + lane + i * step), L::splat_index(typename L::Int(i)));
  }
};

// States `step` lanes apart, with winners of their own.
template <class A>
struct StatesOf {
  ScratchRow<A> base;
  int64_t step;

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R&, int64_t i, int64_t lane) const {
    return base.template get<L, typename R::template State<L>>(lane + i * step);
  }
};

// Calls f(i, how many) for all i < n, four at a time.
template <int n>
struct Together {
  static constexpr int value = n;
};
template <class F>
POOLKIT_INLINE void in_fours(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) f(i, Together<4>{});
  for (; i < n; ++i) f(i, Together<1>{});
}

// Some outputs whose windows follow from one another in the same way, in some lines.
struct Followers {
  Follow how;
  int64_t n;
  int64_t taps, apart;  // taps of the first window; lanes from it to the next
  int64_t lines, line;  // how many, and lanes from one to the next

  // Of the outputs from o on, before `end`, of an axis whose cells are so many lanes apart.
  static Followers from(const AxisPlan& axis, int64_t o, int64_t end, int64_t cell, int64_t lines, int64_t line) {
    const int64_t n = axis.followers[o] < end - o ? axis.followers[o] : end - o;
    const int64_t apart = n > 1 ? (axis.base[o + 1] - axis.base[o]) * cell : 0;
    return {axis.follow[o], n, axis.last[o] - axis.first[o], apart, lines, line};
  }
};

// Reduces them. Hands done(line, o, before, state) the results, whose winners count from a cell so many before the
// window's first.
template <class R, class L, class Source>
class Following {
  using State = typename R::template State<L>;

 public:
  Following(const R& reducer, const Source& source, const Followers& all)
      : reducer_(reducer), source_(source), all_(all) {}

  template <class F>
  POOLKIT_INLINE void each(const F& done) const {
    switch (all_.how) {
      case Follow::grow: return grow(done);
      case Follow::shrink: return shrink(done);
      case Follow::slide:
        if (all_.taps == 3 && all_.n >= 2) return slide<2>(3, done);
        if (all_.taps > 3 && all_.n >= 4) return slide<4>(all_.taps, done);
        break;
      case Follow::apart: break;
    }
    if (all_.taps == 2) return apart(2, done);
    if (all_.taps == 3) return apart(3, done);
    apart(all_.taps, done);
  }

 private:
  POOLKIT_INLINE State get(int64_t i, int64_t lane) const { return source_.template get<L>(reducer_, i, lane); }
  POOLKIT_INLINE State append(const State& a, const State& b) const { return reducer_.template append<L>(a, b); }

  // Cells [first, last) of as many windows as there are states, each so many lanes after the one before.
  template <int together>
  POOLKIT_INLINE void reduce(State (&state)[together], int64_t first, int64_t last, int64_t lane, int64_t lanes) const {
#pragma GCC unroll 4
    for (int i = 0; i < together; ++i) state[i] = get(first, lane + i * lanes);
#pragma GCC unroll 1
    for (int64_t t = first + 1; t < last; ++t) {
#pragma GCC unroll 4
      for (int i = 0; i < together; ++i) state[i] = append(state[i], get(t, lane + i * lanes));
    }
  }

  // Windows that share nothing, or too little. One alone in its line goes with those of other lines.
  template <class F>
  POOLKIT_INLINE void apart(int64_t taps, const F& done) const {
    if (all_.n == 1) {
      in_fours(all_.lines, [&](int64_t r, auto together) {
        State state[together.value];
        reduce(state, 0, taps, r * all_.line, all_.line);
#pragma GCC unroll 4
        for (int i = 0; i < together.value; ++i) done(r + i, 0, 0, state[i]);
      });
      return;
    }
    for (int64_t r = 0; r < all_.lines; ++r) {
      in_fours(all_.n, [&](int64_t o, auto together) {
        State state[together.value];
        reduce(state, 0, taps, r * all_.line + o * all_.apart, all_.apart);
#pragma GCC unroll 4
        for (int i = 0; i < together.value; ++i) done(r, o + i, 0, state[i]);
      });
    }
  }

  // Some windows at a time share the cells that they all hold. The last ones may be found twice.
  template <int together, class F>
  POOLKIT_INLINE void slide(int64_t taps, const F& done) const {
    for (int64_t r = 0; r < all_.lines; ++r) {
      for (int64_t begin = 0; begin < all_.n; begin += together) {
        const int64_t o = begin + together <= all_.n ? begin : all_.n - together;
        const int64_t lane = r * all_.line + o * source_.step;
        State shared = get(together - 1, lane);
        for (int64_t t = together; t < taps; ++t) shared = append(shared, get(t, lane));
        State state[together];
        state[together - 1] = shared;
        State before = get(together - 2, lane);
        state[together - 2] = append(before, shared);
#pragma GCC unroll 4
        for (int i = together - 3; i >= 0; --i) {
          before = append(get(i, lane), before);
          state[i] = append(before, shared);
        }
        done(r, o, 0, state[0]);
        State after = get(taps, lane);
        done(r, o + 1, 1, append(state[1], after));
#pragma GCC unroll 4
        for (int i = 2; i < together; ++i) {
          after = append(after, get(taps + i - 1, lane));
          done(r, o + i, i, append(state[i], after));
        }
      }
    }
  }

  // Each window is the one before and a cell more.
  template <class F>
  POOLKIT_INLINE void grow(const F& done) const {
    in_fours(all_.lines, [&](int64_t r, auto together) {
      State state[together.value];
      reduce(state, 0, all_.taps, r * all_.line, all_.line);
      for (int64_t o = 0;; ++o) {
#pragma GCC unroll 4
        for (int i = 0; i < together.value; ++i) done(r + i, o, 0, state[i]);
        if (o + 1 == all_.n) break;
#pragma GCC unroll 4
        for (int i = 0; i < together.value; ++i) state[i] = append(state[i], get(all_.taps + o, (r + i) * all_.line));
      }
    });
  }

  // Each window is a cell and the one after.
  template <class F>
  POOLKIT_INLINE void shrink(const F& done) const {
    in_fours(all_.lines, [&](int64_t r, auto together) {
      State state[together.value];
      reduce(state, all_.n - 1, all_.taps, r * all_.line, all_.line);
      for (int64_t o = all_.n - 1;; --o) {
#pragma GCC unroll 4
        for (int i = 0; i < together.value; ++i) done(r + i, o, o, state[i]);
        if (o == 0) break;
#pragma GCC unroll 4
        for (int i = 0; i < together.value; ++i) state[i] = append(get(o - 1, (r + i) * all_.line), state[i]);
      }
    });
  }

  const R reducer_;
  const Source source_;
  const Followers all_;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
