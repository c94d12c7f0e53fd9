// What the outputs hand back to the inputs of their windows, as the backward walkers read it.
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class R>
struct Pulls {
  using A = typename R::Accumulator;

  const R reducer;
  const T *grad_y, *y;
  const char* winners;
  const int winner_bytes;

  explicit Pulls(const BackwardCall& call)
      : reducer(call.plan->problem),
        grad_y(static_cast<const T*>(call.grad_y)),
        y(static_cast<const T*>(call.y)),
        winners(static_cast<const char*>(call.winners)),
        winner_bytes(call.plan->winner_bytes) {}

  // Of the outputs from this one on, whose divisors are `count`.
  template <class L>
  POOLKIT_INLINE typename R::template Pull<L> at(int64_t out, typename L::Value count) const {
    typename L::Value result{};
    typename L::Index winner{};
    if constexpr ((R::kNeeds & kNeedsY) != 0) result = load<L>(y + out);
    if constexpr ((R::kNeeds & kNeedsWinners) != 0) winner = load_index<L>(winners + out * winner_bytes, winner_bytes);
    return reducer.template prepare<L>(load<L>(grad_y + out), result, winner, count);
  }
};

// The same for every lane.
template <class R>
POOLKIT_INLINE auto spread(const typename R::template Pull<Single<typename R::Accumulator>>& pulled) {
  using A = typename R::Accumulator;
  using Many = Wide<A>;
  typename R::template Pull<Many> all;
  constexpr int fields = sizeof(pulled) / sizeof(A);
  for (int f = 0; f < fields; ++f) {
    typename Many::Int bits;
    __builtin_memcpy(&bits, reinterpret_cast<const char*>(&pulled) + f * sizeof(A), sizeof(A));
    const typename Many::Index lanes = Many::splat_index(bits);
    __builtin_memcpy(reinterpret_cast<char*>(&all) + f * sizeof(lanes), &lanes, sizeof(lanes));
  }
  return all;
}

// The tap of output o at input i, or -1.
inline int64_t tap_at(const AxisPlan& axis, int64_t o, int64_t i) {
  const int64_t distance = i - axis.base[o];
  if (distance < 0) return -1;
  if (axis.dilation != 1 && distance % axis.dilation != 0) return -1;
  const int64_t tap = axis.dilation == 1 ? distance : distance / axis.dilation;
  return tap >= axis.first[o] && tap < axis.last[o] ? tap : -1;
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
