// Sums of cells' exponentials: each is taken once, however many windows share the cell (walkers/exponentials.h).
#pragma once

#include "../elementary.h"
#include "reducer.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// A state of some sums.
template <class T, int parts>
struct Sums {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kWinners = false, kLinear = false, kDivides = false, kIdempotent = false, kRepairs = false,
                        kSupported = kIsFloat<T>, kHeavy = true;

  template <class L>
  struct State {
    typename L::Value part[parts];
  };
  template <class L>
  POOLKIT_INLINE State<L> identity() const {
    return {};
  }
  template <class L>
  POOLKIT_INLINE State<L> combine(State<L> a, const State<L>& b) const {
#pragma GCC unroll 4
    for (int i = 0; i < parts; ++i) a.part[i] = a.part[i] + b.part[i];
    return a;
  }
  template <class L>
  POOLKIT_INLINE State<L> append(const State<L>& a, const State<L>& b) const {
    return combine<L>(a, b);
  }
  template <class L>
  POOLKIT_INLINE State<L> moved(const State<L>& s, typename L::Index) const {
    return s;
  }
};

// What sums of weights may be, so that none that counts has overflown or vanished.
struct Limits {
  double low, high;

  explicit Limits(double logarithm) : low(__builtin_exp(-logarithm)), high(__builtin_exp(logarithm)) {}

  // NaN for sums beyond, and where they are NaN.
  template <class L>
  POOLKIT_INLINE typename L::Value kept(typename L::Value sum, typename L::Value result) const {
    using A = typename L::Scalar;
    const auto within = (sum >= L::splat(A(low))) & (sum <= L::splat(A(high)));
    return within ? result : L::splat(__builtin_nanf(""));
  }
};

// The slope of the weights' logarithms: SoftPool has a temperature, log-sum-exp a sharpness.
struct ByTemperature {
  static double slope(const Problem& problem) { return 1 / (problem.param[0] > 0 ? problem.param[0] : 1); }

  // Unless the slope is a power of two a logarithm is rounded, and the more the larger it is.
  static Limits limits(const Problem& problem, bool backward) {
    int exponent;
    return Limits(!backward && __builtin_frexp(slope(problem), &exponent) == 0.5 ? 64 : 20);
  }
};
struct BySharpness {
  static double slope(const Problem& problem) { return problem.param[0] == 0 ? 1 : problem.param[0]; }
  static Limits limits(const Problem&, bool backward) { return Limits(backward ? 32 : 64); }
};

// e^x, infinite where no float of this type is as large.
template <class L>
POOLKIT_INLINE typename L::Value weight_of(typename L::Value x) {
  using A = typename L::Scalar;
  return x > L::splat(-ExpOf<A>::lowest) ? L::splat(A(__builtin_inff())) : exponential<L>(x);
}

// The sum of the weights e^(slope x).
template <class T, class By>
struct SumOfWeights : Sums<T, 1> {
  typename Sums<T, 1>::Accumulator slope;

  explicit SumOfWeights(const Problem& problem) : slope(By::slope(problem)) {}

  template <class L>
  using State = typename Sums<T, 1>::template State<L>;

  template <class L>
  POOLKIT_INLINE State<L> lift(typename L::Value x, typename L::Index) const {
    return {{weight_of<L>(x * L::splat(slope))}};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value finish(const State<L>& s, typename L::Value) const {
    return s.part[0];
  }
};

// The mean of the cells by these weights.
template <class T>
struct MeanByWeights : Sums<T, 2> {
  typename Sums<T, 2>::Accumulator slope;
  Limits limits;

  explicit MeanByWeights(const Problem& problem)
      : slope(ByTemperature::slope(problem)), limits(ByTemperature::limits(problem, false)) {}

  template <class L>
  using State = typename Sums<T, 2>::template State<L>;

  template <class L>
  POOLKIT_INLINE State<L> lift(typename L::Value x, typename L::Index) const {
    const auto weight = weight_of<L>(x * L::splat(slope));
    return {{weight, weight * x}};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value finish(const State<L>& s, typename L::Value) const {
    return limits.kept<L>(s.part[0], s.part[1] / s.part[0]);
  }
};

// The logarithm of their sum or mean, by the slope. Where that is near one, few digits of it are left of what the
// cells' weights differ from one by: these differences are summed, too.
template <class T>
struct LogOfWeights : Sums<T, 3> {
  typename Sums<T, 3>::Accumulator slope;
  bool mean;
  Limits limits;

  explicit LogOfWeights(const Problem& problem)
      : slope(BySharpness::slope(problem)), mean(problem.param[1] != 0), limits(BySharpness::limits(problem, false)) {}

  template <class L>
  using State = typename Sums<T, 3>::template State<L>;

  template <class L>
  POOLKIT_INLINE State<L> lift(typename L::Value x, typename L::Index) const {
    const auto scaled = x * L::splat(slope);
    return {{weight_of<L>(scaled), exponential_less_one<L>(scaled), L::splat(1)}};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value finish(const State<L>& s, typename L::Value) const {
    const typename L::Value sum = s.part[0], less = s.part[1], cells = s.part[2], one = L::splat(1);
    const typename L::Value part = mean ? sum / cells : sum;
    typename L::Value result = logarithm<L, false>(part);
    const auto near = (part > L::splat(0.5)) & (part < L::splat(2));
    if (any<L>(near)) {
      const typename L::Value rest = mean ? less / cells : less + (cells - one);
      result = near ? logarithm<L, true>(near ? rest : typename L::Value{}) : result;
    }
    return limits.kept<L>(sum, result / L::splat(slope));
  }
};

// The gradients of either, where each output hands back its gradient divided by the sum of its weights. A weighted
// mean's weights have a gradient, too.
template <class T, class By, bool of_mean>
struct PullByWeights {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kLinear = false, kDivides = false, kRepairs = false, kHeavy = true;
  static constexpr int kNeeds = of_mean ? kNeedsX | kNeedsY : kNeedsX;

  Accumulator slope, steep;

  explicit PullByWeights(const Problem& problem)
      : slope(By::slope(problem)), steep(of_mean && problem.param[1] == 0 ? slope : Accumulator(0)) {}

  template <class L>
  struct State {
    typename L::Value none;
  };
  template <class L>
  struct Pull {
    typename L::Value gradient, mean;
  };
  template <class L>
  POOLKIT_INLINE Pull<L> prepare(typename L::Value g, typename L::Value y, typename L::Index, typename L::Value) const {
    return {g, y};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value pull(typename L::Value x, const Pull<L>& p, typename L::Index) const {
    const auto weight = exponential<L>(x * L::splat(slope));
    auto gradient = p.gradient;
    if constexpr (of_mean) gradient = gradient * (L::splat(1) + L::splat(steep) * (x - p.mean));
    // However large the gradient is, or far the cell from the mean; and where there is no output, whatever the cell.
    const typename L::Value zero{};
    return (weight == zero) | (p.gradient == zero) ? zero : weight * gradient;
  }
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
