// Stochastic pooling: cells are drawn with a probability in proportion to their positive part, or averaged with these
// probabilities as weights.
#pragma once

#include "selector.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class L>
POOLKIT_INLINE typename L::Value positive_part(typename L::Value x) {
  return x > typename L::Value{} ? x : typename L::Value{};
}

// One cell of each window. Where no cell is positive, all are as likely and the result is 0.
template <class T, bool with_winners>
struct DrawnCell {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = true, kWinners = with_winners, kLinear = false;
  static constexpr bool kSupported = kIsFloat<T>;

  explicit DrawnCell(const Problem&) {}

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    using V = typename L::Value;
    V* weights = window.spare;
    V sum = weigh(window, [](V cell) { return positive_part<L>(cell); });
    const auto endless = sum == L::splat(Accumulator(__builtin_inf()));
    if (any<L>(endless)) {
      // Shares of the largest: an infinite cell leaves the finite ones nothing, and no sum leaves the range.
      V largest{};
      for (int64_t t = 0; t < window.n; ++t) largest = larger<L>(weights[t], largest);
      sum = weigh(window, [=](V cell) {
        const V part = positive_part<L>(cell), share = cell == largest ? L::splat(1) : part / largest;
        return endless ? share : part;
      });
    }
    const auto none = sum == V{};
    if (any<L>(none)) {
      sum = V{};
      for (int64_t t = 0; t < window.n; ++t) {
        weights[t] = none ? L::splat(1) : weights[t];
        sum = sum + weights[t];
      }
    }
    // The first cell at which the weights so far exceed the target; should rounding leave none, the last that weighs.
    const V target = window.uniform * sum;
    Chosen<L> chosen{window.cells[0], offset_of(window, 0)};
    V before{};
    for (int64_t t = 0; t < window.n; ++t) {
      const auto takes = (weights[t] > V{}) & (before <= target);
      chosen.value = takes ? window.cells[t] : chosen.value;
      chosen.winner = takes ? offset_of(window, t) : chosen.winner;
      before = before + weights[t];
    }
    chosen.value = none ? V{} : chosen.value;
    if (has_nan(window)) let_nan_win(window, chosen);
    return chosen;
  }

 private:
  template <class L, class F>
  POOLKIT_INLINE static typename L::Value weigh(const Window<L>& window, const F& weight) {
    typename L::Value sum{};
    for (int64_t t = 0; t < window.n; ++t) {
      window.spare[t] = weight(window.cells[t]);
      sum = sum + window.spare[t];
    }
    return sum;
  }
};

// The expectation: sum of r * r over sum of r, where r = max(x, 0), and 0 where no cell is positive.
template <class T>
struct PositiveMean {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kWinners = false, kLinear = false, kDivides = false, kIdempotent = false, kRepairs = true;
  static constexpr bool kSupported = kIsFloat<T>;

  explicit PositiveMean(const Problem&) {}

  template <class L>
  struct State {
    typename L::Value weights, squares;
  };
  template <class L>
  POOLKIT_INLINE State<L> identity() const {
    return {typename L::Value{}, typename L::Value{}};
  }
  template <class L>
  POOLKIT_INLINE State<L> lift(typename L::Value x, typename L::Index) const {
    const typename L::Value part = x < typename L::Value{} ? typename L::Value{} : x;  // NaN stays
    return {part, part * part};
  }
  template <class L>
  POOLKIT_INLINE State<L> combine(State<L> a, State<L> b) const {
    return {a.weights + b.weights, a.squares + b.squares};
  }
  template <class L>
  POOLKIT_INLINE State<L> append(State<L> a, State<L> b) const {
    return combine<L>(a, b);
  }
  template <class L>
  POOLKIT_INLINE State<L> moved(State<L> s, typename L::Index) const {
    return s;
  }
  template <class L>
  POOLKIT_INLINE typename L::Value finish(State<L> s, typename L::Value) const {
    // Squares so small may have lost digits: -1 asks for the repair.
    const typename L::Value low = L::splat(Accumulator(sizeof(Accumulator) == 4 ? 1e-30 : 1e-290));
    const typename L::Value mean = (s.squares < low ? -s.weights : s.squares) / s.weights;
    return s.weights == typename L::Value{} ? typename L::Value{} : mean;
  }

  bool in_range(double y) const { return y >= 0 && y <= __DBL_MAX__; }

  // With the largest divided out first.
  template <class EachCell>
  double repaired(const EachCell& each_cell, double) const {
    double largest = 0, weights = 0, squares = 0;
    bool nan = false;
    each_cell([&](double x) {
      nan = nan || x != x;
      largest = x > largest ? x : largest;
    });
    if (nan) return __builtin_nan("");
    if (largest == 0 || largest > __DBL_MAX__) return largest;
    each_cell([&](double x) {
      const double share = x > 0 ? x / largest : 0;
      weights += share;
      squares += share * share;
    });
    return largest * (squares / weights);
  }

  template <class L>
  struct Pull {
    typename L::Value gradient, mean;
  };
  // The gradient comes divided by the window's weights already.
  template <class L>
  POOLKIT_INLINE Pull<L> prepare(typename L::Value g, typename L::Value y, typename L::Index, typename L::Value) const {
    return {g, y};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value pull(typename L::Value x, Pull<L> p, typename L::Index) const {
    const typename L::Value zero{};  // also the mean where there is no output: infinite cells are to take nothing of it
    return (x > zero) & (p.mean != zero) ? p.gradient * (x + x - p.mean) : zero;
  }
};

struct Stochastic {
  static constexpr int kNeeds = kNeedsWinners | kNeedsSeed;
  static constexpr bool kScatters = true;
  template <class T, bool with_winners>
  using Reducer = DrawnCell<T, with_winners>;
};

struct StochasticMean {
  static constexpr int kNeeds = kNeedsX | kNeedsY;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = PositiveMean<T>;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
