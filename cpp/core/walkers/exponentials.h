// Methods made of the exponentials of cells. These are summed as anything else is, each taken once; where a sum is so
// large or small that something may have overflown or vanished, whole windows are gathered instead, and the
// exponentials counted from the largest. The two differ by rounding alone, and which one a result comes from depends on
// its unit's cells, not on threads or lanes.
#pragma once

#include "../reducers/exponentials.h"
#include "backward.h"
#include "forward.h"
#include "shares.h"
#include "windows.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Whether n numbers are positive and within limits; NaN is not.
template <class T>
bool all_within(const T* x, int64_t n, T low, T high) {
  using L = Wide<T>;
  typename L::Value least = L::splat(high), most = L::splat(low), nan{};
  int64_t i = 0;
  for (; i + L::lanes <= n; i += L::lanes) {
    const auto v = load<L>(x + i);
    least = smaller<L>(v, least);
    most = larger<L>(v, most);
    nan = nan + v;  // infinity less infinity may give it, too
  }
  bool within = !any<L>((least < L::splat(low)) | (most > L::splat(high)) | (nan != nan));
  for (; i < n; ++i) within &= x[i] >= low && x[i] <= high;
  return within;
}

// Whether n results hold a NaN.
template <class T, class A>
bool any_nan(const T* y, int64_t n) {
  using L = Wide<A>;
  Mask<L> nan{};
  int64_t i = 0;
  for (; i + L::lanes <= n; i += L::lanes) {
    const auto v = load<L>(y + i);
    nan = nan | (v != v);
  }
  bool found = any<L>(nan);
  for (; i < n; ++i) found |= load<Single<A>>(y + i) != load<Single<A>>(y + i);
  return found;
}

template <class T, class S>
class Exponentials {
  using A = typename S::Accumulator;

 public:
  Exponentials(const ForwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        sums_(call, scratch),
        windows_(call, static_cast<char*>(scratch) + plan_.scratch_bytes) {}

  // A sum beyond its limits gives NaN.
  void run(int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      sums_.run(unit, unit + 1);
      if (is_lost(unit)) windows_.run(unit, unit + 1);
    }
  }

 private:
  // Whether a result of this unit is NaN.
  bool is_lost(int64_t unit) const {
    const AxisPlan &height = plan_.height, &width = plan_.width;
    const Tiling& tiling = plan_.forward;
    const int64_t tile = unit % tiling.tiles, first = unit / tiling.tiles % tiling.blocks * tiling.rows;
    const int64_t plane = unit / tiling.tiles / tiling.blocks;
    const int64_t rows = first + tiling.rows < height.out ? tiling.rows : height.out - first;
    const int64_t row = width.out * plan_.problem.inner, cell = width.trivial ? 1 : plan_.problem.inner;
    const T* y = static_cast<const T*>(call_.y) + (plane * height.out + first) * row + tile * tiling.tile * cell;
    if (tiling.tiles == 1) return any_nan<T, A>(y, rows * row);
    const int64_t rest = row - tile * tiling.tile * cell, tiled = tiling.tile * cell;
    for (int64_t r = 0; r < rows; ++r, y += row) {
      if (any_nan<T, A>(y, tiled < rest ? tiled : rest)) return true;
    }
    return false;
  }

  const ForwardCall& call_;
  const Plan& plan_;
  Forward<T, typename S::Summed> sums_;
  Windows<T, S> windows_;
};

template <class T, class S>
void run_exponentials(const ForwardCall& call, int64_t begin, int64_t end, void* scratch) {
  // Where windows share no cell they take as many exponentials; then sums are faster along the width alone, and not
  // where logarithms follow.
  const Plan& plan = *call.plan;
  const bool along = plan.problem.inner == 1 && !plan.runs;
  if (plan.apart && !(along && S::kSumsApart)) return run_windows<T, S>(call, begin, end, scratch);
  Exponentials<T, S>(call, scratch).run(begin, end);
}

// Backward of windows that overlap, whole planes at a time: the sums of weights are found again, the gradients divided
// by them, and each cell takes its weight's part of the outputs that cover it.
template <class T, class S>
class ExponentialShares {
 public:
  ExponentialShares(const BackwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        outputs_(plan_.depth.out * plan_.height.out * plan_.width.out * plan_.problem.inner),
        limits_(S::By::limits(plan_.problem, true)),
        quotients_(static_cast<T*>(scratch)),
        scratch_(static_cast<char*>(scratch) + plan_.quotient_bytes) {}

  void run(int64_t begin, int64_t end) const {
    for (int64_t plane = begin; plane < end; ++plane) {
      find_weights(plane);
      if (all_within(quotients_, outputs_, T(limits_.low), T(limits_.high))) {
        share(plane);
      } else {
        run_shares<T, S>(call_, plane, plane + 1, scratch_);
      }
    }
  }

 private:
  // Where those of the first plane would stand if these are this plane's.
  T* first(int64_t plane) const {
    return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(quotients_) - size_t(plane * outputs_) * sizeof(T));
  }

  void find_weights(int64_t plane) const {
    const ForwardCall weights{&plan_, call_.x, first(plane), nullptr, call_.x_end, 0, 1, 1};
    const int64_t units = plan_.forward.units / plan_.problem.outer;
    Forward<T, SumOfWeights<T, typename S::By>>(weights, scratch_).run(plane * units, (plane + 1) * units);
  }

  void share(int64_t plane) const {
    const T* gradients = static_cast<const T*>(call_.grad_y) + plane * outputs_;
    for_lanes_once<T>(outputs_, 0, [=, to = quotients_](int64_t i, auto family) {
      using L = decltype(family);
      store<L>(to + i, load<L>(gradients + i) / load<L>(to + i));
    });
    BackwardCall shared = call_;
    shared.grad_y = first(plane);
    const int64_t units = plan_.backward.units / plan_.problem.outer;
    run_backward<T, typename S::Pulled>(shared, plane * units, (plane + 1) * units, scratch_);
  }

  const BackwardCall& call_;
  const Plan& plan_;
  const int64_t outputs_;  // of a plane, all lanes
  const Limits limits_;
  T* const quotients_;
  void* const scratch_;
};

template <class T, class S>
void run_exponential_shares(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  if constexpr (kSame<T, typename S::Accumulator>) {
    if (!call.plan->apart && call.plan->quotient_bytes != 0)
      return ExponentialShares<T, S>(call, scratch).run(begin, end);
  }
  run_shares<T, S>(call, begin, end, scratch);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
