// Average and maximum added: a * average + b * max, in one pass.
#pragma once

#include "extrema.h"
#include "means.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, bool with_winners>
struct MeanPlusMax {
  using Best = Extreme<T, Greater, with_winners>;
  using Total = Mean<T, true>;
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kWinners = with_winners, kLinear = false, kDivides = true, kIdempotent = false,
                        kRepairs = false;
  static constexpr bool kSupported = kIsFloat<T>;

  Best best;
  Total total;
  Accumulator a, b;

  explicit MeanPlusMax(const Problem& problem)
      : best(problem), total(problem), a(Accumulator(problem.param[0])), b(Accumulator(problem.param[1])) {}

  template <class L>
  struct State {
    typename Best::template State<L> best;
    typename Total::template State<L> total;
  };
  template <class L>
  POOLKIT_INLINE State<L> identity() const {
    return {best.template identity<L>(), total.template identity<L>()};
  }
  template <class L>
  POOLKIT_INLINE State<L> lift(typename L::Value x, typename L::Index offset) const {
    return {best.template lift<L>(x, offset), total.template lift<L>(x, offset)};
  }
  template <class L>
  POOLKIT_INLINE State<L> combine(State<L> s, State<L> t) const {
    return {best.template combine<L>(s.best, t.best), total.template combine<L>(s.total, t.total)};
  }
  template <class L>
  POOLKIT_INLINE State<L> append(State<L> s, State<L> t) const {
    return {best.template append<L>(s.best, t.best), total.template append<L>(s.total, t.total)};
  }
  template <class L>
  POOLKIT_INLINE State<L> moved(State<L> s, typename L::Index by) const {
    return {best.template moved<L>(s.best, by), s.total};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value finish(State<L> s, typename L::Value count) const {
    return a * total.template finish<L>(s.total, count) + b * s.best.value;
  }
  template <class L>
  POOLKIT_INLINE typename L::Index winner(State<L> s) const {
    return s.best.offset;
  }

  template <class L>
  struct Pull {
    typename L::Value shared, whole;
    typename L::Index winner;
  };
  template <class L>
  POOLKIT_INLINE Pull<L> prepare(typename L::Value g, typename L::Value, typename L::Index winner,
                                 typename L::Value count) const {
    return {a * g / count, b * g, winner};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value pull(typename L::Value, Pull<L> p, typename L::Index offset) const {
    return p.shared + (p.winner == offset ? p.whole : typename L::Value{});
  }
};

struct AverageMax {
  static constexpr int kNeeds = kNeedsWinners;
  static constexpr bool kScatters = false;
  template <class T, bool with_winners>
  using Reducer = MeanPlusMax<T, with_winners>;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
