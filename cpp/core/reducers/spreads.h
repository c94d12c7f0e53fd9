// How far the cells of a window lie apart: range, variance, standard deviation.
#pragma once

#include "selector.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T>
struct MaxLessMin {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = false, kWinners = false, kLinear = false, kSupported = kIsFloat<T>;
  static constexpr bool kShares = true;

  explicit MaxLessMin(const Problem&) {}

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    const Ends<L> ends = ends_of(window);
    Chosen<L> chosen{ends.high - ends.low, {}};
    if (has_nan(window)) let_nan_win(window, chosen);
    return chosen;
  }

  // The first of the largest gains what the first of the smallest loses; a NaN is both.
  template <class L>
  POOLKIT_INLINE void share(const Window<L>& window, typename L::Value gradient) const {
    using V = typename L::Value;
    const Ends<L> ends = ends_of(window);
    const V none{};
    V gain = gradient, loss = gradient;
    for (int64_t t = 0; t < window.n; ++t) {
      const auto high = window.cells[t] == ends.high, low = window.cells[t] == ends.low;
      const V gained = high ? gain : none, lost = low ? loss : none;
      window.spare[t] = gained - lost;
      gain = high ? none : gain;
      loss = low ? none : loss;
    }
    if (!has_nan(window)) return;
    V sound = L::splat(1);
    for (int64_t t = 0; t < window.n; ++t) sound = window.cells[t] != window.cells[t] ? none : sound;
    for (int64_t t = 0; t < window.n; ++t) window.spare[t] = sound == none ? none : window.spare[t];
  }

 private:
  template <class L>
  struct Ends {
    typename L::Value low, high;
  };

  template <class L>
  POOLKIT_INLINE static Ends<L> ends_of(const Window<L>& window) {
    Ends<L> ends{window.cells[0], window.cells[0]};
    for (int64_t t = 1; t < window.n; ++t) {
      ends = {smaller<L>(window.cells[t], ends.low), larger<L>(window.cells[t], ends.high)};
    }
    return ends;
  }
};

// The mean square of the deviations from the mean, which are taken in a second pass, so that a large mean costs no
// precision; or the root of that and eps.
template <class T, bool root>
struct Deviation {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = false, kWinners = false, kLinear = false, kSupported = kIsFloat<T>;
  static constexpr bool kShares = true;

  bool unbiased;
  double eps;

  explicit Deviation(const Problem& problem) : unbiased(problem.param[0] != 0), eps(problem.param[1]) {}

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    return {moments(window).y, typename L::Index{}};
  }

  template <class L>
  POOLKIT_INLINE void share(const Window<L>& window, typename L::Value gradient) const {
    using V = typename L::Value;
    const Moments<L> m = moments(window);
    const V unit = gradient / divisor<L>(window);
    for (int64_t t = 0; t < window.n; ++t) {
      const V deviation = window.cells[t] - m.mean;
      window.spare[t] = unit * (root ? deviation / m.y : deviation + deviation);
    }
  }

 private:
  template <class L>
  struct Moments {
    typename L::Value mean, y;
  };

  // One cell has no deviation.
  template <class L>
  POOLKIT_INLINE typename L::Value divisor(const Window<L>& window) const {
    return L::splat(Accumulator(unbiased && window.n > 1 ? window.n - 1 : window.n));
  }

  template <class L>
  POOLKIT_INLINE Moments<L> moments(const Window<L>& window) const {
    using V = typename L::Value;
    const V mean = sum_of<L>(window.n, [&](int64_t t) { return window.cells[t]; }) / L::splat(Accumulator(window.n));
    const V squares = sum_of<L>(window.n, [&](int64_t t) {
      const V deviation = window.cells[t] - mean;
      return deviation * deviation;
    });
    V y = squares / divisor<L>(window);
    if constexpr (root) y = square_root<L>(y + L::splat(Accumulator(eps)));
    const auto lost = y - y != V{};
    if (!any<L>(lost)) return {mean, y};
    const Moments<L> careful = careful_moments(window);
    return {lost ? careful.mean : mean, lost ? careful.y : y};
  }

  // The same of cells whose squares leave the range of their type: in units of the largest.
  template <class L>
  __attribute__((noinline)) Moments<L> careful_moments(const Window<L>& window) const {
    using V = typename L::Value;
    V unit{};
    for (int64_t t = 0; t < window.n; ++t) {
      const V cell = window.cells[t];
      unit = larger<L>(cell < V{} ? -cell : cell, unit);
    }
    const V mean =
        sum_of<L>(window.n, [&](int64_t t) { return window.cells[t] / unit; }) / L::splat(Accumulator(window.n));
    const V squares = sum_of<L>(window.n, [&](int64_t t) {
      const V deviation = window.cells[t] / unit - mean;
      return deviation * deviation;
    });
    const V part = squares / divisor<L>(window);
    if constexpr (root) return {mean * unit, unit * square_root<L>(part + L::splat(Accumulator(eps)) / unit / unit)};
    return {mean * unit, part * unit * unit};
  }
};

struct Range {
  static constexpr int kNeeds = kNeedsX;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = MaxLessMin<T>;
};

struct StandardDeviation {
  static constexpr int kNeeds = kNeedsX;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = Deviation<T, true>;
};

struct Variance {
  static constexpr int kNeeds = kNeedsX;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = Deviation<T, false>;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
