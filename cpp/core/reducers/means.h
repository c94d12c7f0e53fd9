// Sum and average.
#pragma once

#include "reducer.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, bool divides>
struct Mean {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kWinners = false, kLinear = true, kDivides = divides, kIdempotent = false, kRepairs = false;
  static constexpr bool kSupported = kIsFloat<T> || sizeof(T) == 8;  // of the integers torch averages int64 alone

  explicit Mean(const Problem&) {}

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
    return {x};
  }
  template <class L>
  POOLKIT_INLINE State<L> combine(State<L> a, State<L> b) const {
    return {add<L>(a.sum, b.sum)};
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
    if constexpr (!divides) {
      return s.sum;
    } else {
      return s.sum / count;
    }
  }

  template <class L>
  struct Pull {
    typename L::Value gradient;
  };
  template <class L>
  POOLKIT_INLINE Pull<L> prepare(typename L::Value g, typename L::Value, typename L::Index,
                                 typename L::Value count) const {
    if constexpr (!divides) {
      return {g};
    } else {
      return {g / count};
    }
  }
  template <class L>
  POOLKIT_INLINE typename L::Value pull(typename L::Value, Pull<L> p, typename L::Index) const {
    return p.gradient;
  }
};

struct Average {
  static constexpr int kNeeds = kNeedsNothing;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = Mean<T, true>;
};

struct Sum {
  static constexpr int kNeeds = kNeedsNothing;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = Mean<T, false>;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
