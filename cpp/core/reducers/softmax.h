// SoftPool: the mean of a window's cells, weighted by the softmax of the cells themselves; or of logits, as in local
// importance pooling. And the logarithm of a window's exponentials, whose gradient that softmax is.
#pragma once

#include "exponentials.h"
#include "selector.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, bool with_logits>
struct SoftMean {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = false, kWinners = false, kLinear = false, kSupported = kIsFloat<T>;
  static constexpr bool kShares = true, kLogits = with_logits;

  using By = ByTemperature;
  using Summed = MeanByWeights<T>;
  static constexpr bool kSumsApart = true;
  using Pulled = PullByWeights<T, By, true>;

  double slope;  // of the weights' logarithms: 1 / temperature
  bool exact;    // the weights' own gradient is taken

  explicit SoftMean(const Problem& problem) : slope(ByTemperature::slope(problem)), exact(problem.param[1] == 0) {}

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    return {mean<false>(window).value, typename L::Index{}};
  }

  // dy / dx = w (1 + slope (x - y)), w being the cell's share of the weights; w alone where not exact. Of logits t:
  // dy / dx = w and dy / dt = slope w (x - y).
  template <class L>
  POOLKIT_INLINE void share(const Window<L>& window, typename L::Value gradient) const {
    using V = typename L::Value;
    const Mean<L> y = mean<true>(window);
    const V unit = gradient / y.weights, steep = L::splat(exact ? Accumulator(slope) : Accumulator(0));
    for (int64_t t = 0; t < window.n; ++t) {
      const V weight = window.spare[t], by_weight = exact ? steep * (window.cells[t] - y.value) : V{};
      const V whole = unit * weight, none{};
      if constexpr (with_logits) {
        window.spare[t] = weight == none ? none : whole;
        window.logit_spare[t] = weight == none ? none : whole * by_weight;
      } else {
        window.spare[t] = weight == none ? none : whole * (L::splat(1) + by_weight);
      }
    }
  }

 private:
  template <class L>
  struct Mean {
    typename L::Value value, weights;
  };

  template <class L>
  POOLKIT_INLINE static const typename L::Value* scores(const Window<L>& window) {
    return with_logits ? window.logits : window.cells;
  }

  // The mean and the sum of the weights, which are kept in window.spare. The largest weight is 1, so that none
  // overflows.
  template <bool keeps, class L>
  POOLKIT_INLINE Mean<L> mean(const Window<L>& window) const {
    using V = typename L::Value;
    const V steep = L::splat(Accumulator(slope));
    const V* score = scores(window);
    V largest = score[0];
#pragma GCC unroll 4
    for (int64_t t = 1; t < window.n; ++t) largest = larger<L>(score[t], largest);
    const auto add = [&](Mean<L>& total, int64_t begin, int64_t end) {
#pragma GCC unroll 4
      for (int64_t t = begin; t < end; ++t) {
        const V cell = window.cells[t], weight = exponential<L>((score[t] - largest) * steep);
        if constexpr (keeps) window.spare[t] = weight;
        total.weights = total.weights + weight;
        total.value = total.value + weight * cell;
      }
    };
    Mean<L> sums{};
    add(sums, 0, window.n < kSumCells ? window.n : kSumCells);
    for (int64_t begin = kSumCells; begin < window.n; begin += kSumCells) {
      Mean<L> part{};
      add(part, begin, begin + kSumCells < window.n ? begin + kSumCells : window.n);
      sums.value = sums.value + part.value;
      sums.weights = sums.weights + part.weights;
    }
    const Mean<L> mean{sums.value / sums.weights, sums.weights};
    const auto lost = mean.value - mean.value != V{};
    if (!any<L>(lost)) return mean;
    const Mean<L> careful = careful_mean(window, largest);
    return {lost ? careful.value : mean.value, lost ? careful.weights : mean.weights};
  }

  // The same where something is not finite, or the sum of large cells would not be: where the largest score is
  // infinite, only scores equal to it weigh.
  template <class L>
  __attribute__((noinline)) Mean<L> careful_mean(const Window<L>& window, typename L::Value largest) const {
    using V = typename L::Value;
    Mean<L> mean{};
    for (int64_t t = 0; t < window.n; ++t) {
      const V score = scores(window)[t], below = (score - largest) * L::splat(Accumulator(slope));
      const V weight = score == largest ? L::splat(1) : exponential<L>(below);
      window.spare[t] = weight;
      mean.weights = mean.weights + weight;
    }
    for (int64_t t = 0; t < window.n; ++t) {
      const V cell = window.cells[t], share = window.spare[t] / mean.weights;
      mean.value = mean.value + ((share == V{}) & (cell == cell) ? V{} : share * cell);
    }
    return mean;
  }
};

// ln(sum of exp(r x)) / r, or of their mean: between the mean and, as r grows, the maximum; of r < 0, the minimum.
template <class T>
struct LogOfExponentials {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = false, kWinners = false, kLinear = false, kSupported = kIsFloat<T>;
  static constexpr bool kShares = true;

  using By = BySharpness;
  using Summed = LogOfWeights<T>;
  static constexpr bool kSumsApart = false;
  using Pulled = PullByWeights<T, By, false>;

  double r;
  bool mean;

  explicit LogOfExponentials(const Problem& problem) : r(BySharpness::slope(problem)), mean(problem.param[1] != 0) {}

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    using V = typename L::Value;
    const V top = top_of(window), steep = L::splat(Accumulator(r)), count = L::splat(Accumulator(window.n));
    V part = sum_of<L>(window.n, [&](int64_t t) { return weight<L>(window.cells[t], top); });
    if (mean) part = part / count;
    V y = logarithm<L, false>(part) / steep;
    // Where all cells are near the top, that is the logarithm of nearly 1, which few digits are left of.
    const auto near = part > L::splat(Accumulator(0.9));
    if (mean && any<L>(near)) {
      const V rest =
          sum_of<L>(window.n, [&](int64_t t) { return exponential_less_one<L>((window.cells[t] - top) * steep); });
      const V less = rest / count;
      y = near ? logarithm<L, true>(near ? less : V{}) / steep : y;
    }
    const auto endless = top - top != V{};
    Chosen<L> chosen{endless ? top : top + y, {}};
    if (has_nan(window)) let_nan_win(window, chosen);
    return chosen;
  }

  template <class L>
  POOLKIT_INLINE void share(const Window<L>& window, typename L::Value gradient) const {
    using V = typename L::Value;
    const V top = top_of(window);
    V total{};
    for (int64_t begin = 0; begin < window.n; begin += kSumCells) {
      V part{};
      for (int64_t t = begin; t < window.n && t < begin + kSumCells; ++t) {
        window.spare[t] = weight<L>(window.cells[t], top);
        part = part + window.spare[t];
      }
      total = total + part;
    }
    const V unit = gradient / total, none{};
    for (int64_t t = 0; t < window.n; ++t) {
      window.spare[t] = window.spare[t] == none ? none : unit * window.spare[t];
    }
    if (!has_nan(window)) return;
    V lost{};
    for (int64_t t = 0; t < window.n; ++t) lost = window.cells[t] != window.cells[t] ? window.cells[t] : lost;
    for (int64_t t = 0; t < window.n; ++t) window.spare[t] = lost != lost ? lost : window.spare[t];
  }

 private:
  template <class L>
  POOLKIT_INLINE typename L::Value top_of(const Window<L>& window) const {
    typename L::Value top = window.cells[0];
    for (int64_t t = 1; t < window.n; ++t) {
      top = r < 0 ? smaller<L>(window.cells[t], top) : larger<L>(window.cells[t], top);
    }
    return top;
  }

  // The largest weight is 1, so that none overflows; also where it is infinity that stands above.
  template <class L>
  POOLKIT_INLINE typename L::Value weight(typename L::Value cell, typename L::Value top) const {
    return cell == top ? L::splat(1) : exponential<L>((cell - top) * L::splat(Accumulator(r)));
  }
};

struct LogSumExp {
  static constexpr int kNeeds = kNeedsX;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = LogOfExponentials<T>;
};

struct Soft {
  static constexpr int kNeeds = kNeedsX | kNeedsY;
  static constexpr bool kScatters = false, kTakesLogits = true;
  template <class T, bool with_logits>
  using Reducer = SoftMean<T, with_logits>;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
