// Lp pooling (sum |x|^p)^(1/p), power-average pooling (sum |x|^p / count)^(1/p), and GeM, which has max(x, eps) for
// |x|.
#pragma once

#include "../elementary.h"
#include "reducer.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Out of line: a power takes far longer than a call, and stands in many loops.
template <class L>
__attribute__((noinline)) typename L::Value power(typename L::Value x, double p) {
  if constexpr (kSame<typename L::Scalar, float>) {
    return power_of_floats<L>(x, p);
  } else {
    return each_lane<L>(x, [p](double v) { return __builtin_pow(v, p); });
  }
}

template <class T, bool mean, bool clamps = false>
struct Norm {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kWinners = false, kLinear = false, kDivides = mean, kIdempotent = false, kRepairs = true;
  static constexpr bool kSupported = kIsFloat<T>;
  enum Exponent { kOne, kTwo, kThree, kAny };

  double p, low, high;
  Accumulator least;
  Exponent exponent;

  explicit Norm(const Problem& problem)
      : p(problem.param[0]),
        least(Accumulator(problem.param[1])),
        exponent(p == 1   ? kOne
                 : p == 2 ? kTwo
                 : p == 3 ? kThree
                          : kAny) {
    // Sums of powers between these bounds lost nothing to overflow or underflow.
    constexpr double limit = sizeof(Accumulator) == 4 ? 1e25 : 1e250;
    low = __builtin_pow(limit, -1 / p);
    high = __builtin_pow(limit, 1 / p);
  }

  template <class L>
  POOLKIT_INLINE typename L::Value raised(typename L::Value magnitude) const {
    if (exponent == kOne) return magnitude;
    if (exponent == kTwo) return magnitude * magnitude;
    if (exponent == kThree) return magnitude * magnitude * magnitude;
    return power<L>(magnitude, p);
  }
  template <class L>
  POOLKIT_INLINE typename L::Value root(typename L::Value sum) const {
    if (exponent == kOne) return sum;
    if (exponent == kTwo) return square_root<L>(sum);
    return power<L>(sum, 1 / p);
  }
  template <class L>
  POOLKIT_INLINE typename L::Value magnitude(typename L::Value x) const {
    if constexpr (clamps) return x < L::splat(least) ? L::splat(least) : x;
    return x < typename L::Value{} ? -x : x;
  }

  template <class L>
  struct State {
    typename L::Value sum;
  };
  template <class L>
  POOLKIT_INLINE State<L> identity() const {
    return {typename L::Value{}};
  }
  template <class L>
  POOLKIT_INLINE State<L> lift(typename L::Value x, typename L::Index) const {
    return {raised<L>(magnitude<L>(x))};
  }
  template <class L>
  POOLKIT_INLINE State<L> combine(State<L> a, State<L> b) const {
    return {a.sum + b.sum};
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
  POOLKIT_INLINE typename L::Value finish(State<L> s, typename L::Value count) const {
    if constexpr (mean) {
      return root<L>(s.sum / count);
    } else {
      return root<L>(s.sum);
    }
  }

  bool in_range(double y) const { return y > low && y < high; }

  // The result of a window with its largest magnitude divided out first: exact wherever it is representable.
  template <class EachCell>
  double repaired(const EachCell& each_cell, double count) const {
    double largest = 0, sum = 0;
    const auto size_of = [this](double x) { return clamps ? (x < least ? least : x) : x < 0 ? -x : x; };
    each_cell([&](double x) {
      const double size = size_of(x);
      largest = x != x || largest != largest ? __builtin_nan("") : size > largest ? size : largest;
    });
    if (largest == 0 || largest != largest || largest == __builtin_inf()) return largest;
    each_cell([&](double x) { sum += __builtin_pow(size_of(x) / largest, p); });
    return largest * __builtin_pow(mean ? sum / count : sum, 1 / p);
  }

  template <class L>
  struct Pull {
    typename L::Value gradient, y;
  };
  template <class L>
  POOLKIT_INLINE Pull<L> prepare(typename L::Value g, typename L::Value y, typename L::Index,
                                 typename L::Value count) const {
    if constexpr (mean) {
      return {g / count, y};
    } else {
      return {g, y};
    }
  }
  // sign(x) (|x| / y)^(p - 1): the ratio form cannot overflow for p >= 1. The gradient at 0, and up to eps, is 0.
  template <class L>
  POOLKIT_INLINE typename L::Value pull(typename L::Value x, Pull<L> pulled, typename L::Index) const {
    const typename L::Value ratio = magnitude<L>(x) / pulled.y;
    typename L::Value weight;
    if (exponent == kOne) {
      weight = L::splat(1);
    } else if (exponent == kTwo) {
      weight = ratio;
    } else if (exponent == kThree) {
      weight = ratio * ratio;
    } else {
      weight = power<L>(ratio, p - 1);
    }
    const typename L::Value zero{};
    const typename L::Value slope = weight * pulled.gradient;
    if constexpr (clamps) return ((x <= L::splat(least)) | (pulled.y == zero)) ? zero : slope;
    const typename L::Value signed_slope = x < zero ? -slope : slope;
    return ((x == zero) | (pulled.y == zero)) ? zero : signed_slope;
  }
};

struct Lp {
  static constexpr int kNeeds = kNeedsX | kNeedsY;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = Norm<T, false>;
};

struct PowerAverage {
  static constexpr int kNeeds = kNeedsX | kNeedsY;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = Norm<T, true>;
};

struct GeneralisedMean {
  static constexpr int kNeeds = kNeedsX | kNeedsY;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = Norm<T, true, true>;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
