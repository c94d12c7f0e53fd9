// SoftPool: the mean of a window's cells, weighted by the softmax of the cells themselves.
#pragma once

#include "../elementary.h"
#include "selector.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T>
struct SoftMean {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = false, kWinners = false, kLinear = false, kSupported = kIsFloat<T>;
  static constexpr bool kShares = true;

  double slope;  // of the weights' logarithms: 1 / temperature
  bool exact;    // the weights' own gradient is taken

  explicit SoftMean(const Problem& problem)
      : slope(1 / (problem.param[0] > 0 ? problem.param[0] : 1)), exact(problem.param[1] == 0) {}

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    typename L::Value weights;
    const typename L::Index none{};
    return {mean(window, weights), none};
  }

  // dy / dx = w (1 + slope (x - y)), w being the cell's share of the weights; w alone where not exact.
  template <class L>
  POOLKIT_INLINE void share(const Window<L>& window, typename L::Value gradient) const {
    using V = typename L::Value;
    V weights;
    const V y = mean(window, weights), unit = gradient / weights;
    const V steep = L::splat(exact ? Accumulator(slope) : Accumulator(0));
    for (int64_t t = 0; t < window.n; ++t) {
      const V weight = window.spare[t], by_weight = exact ? steep * (window.cells[t] - y) : V{};
      window.spare[t] = weight == V{} ? V{} : unit * weight * (L::splat(1) + by_weight);
    }
  }

 private:
  // The mean, with the weights in window.spare and their sum. The largest cell weighs 1, so that nothing overflows;
  // among infinite cells only those of its sign weigh.
  template <class L>
  POOLKIT_INLINE typename L::Value mean(const Window<L>& window, typename L::Value& weights) const {
    using V = typename L::Value;
    V largest = window.cells[0], sum{};
    for (int64_t t = 1; t < window.n; ++t) largest = larger<L>(window.cells[t], largest);
    weights = V{};
    for (int64_t begin = 0; begin < window.n; begin += kSumCells) {
      V part{}, part_weights{};
      for (int64_t t = begin; t < window.n && t < begin + kSumCells; ++t) {
        const V cell = window.cells[t];
        const V power = exponential<L>((cell - largest) * L::splat(Accumulator(slope)));
        const V weight = cell == largest ? L::splat(1) : power;
        window.spare[t] = weight;
        part_weights = part_weights + weight;
        part = part + (weight == V{} ? V{} : weight * cell);
      }
      weights = weights + part_weights;
      sum = sum + part;
    }
    return sum / weights;
  }
};

struct Soft {
  static constexpr int kNeeds = kNeedsX;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = SoftMean<T>;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
