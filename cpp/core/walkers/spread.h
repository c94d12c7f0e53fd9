// Backward of averages at stride 1 whose windows have different divisors: the gradients are divided, some rows at a
// time, and the forward walker of the sum adds them up around each input.
#pragma once

#include "../reducers/means.h"
#include "forward.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T>
class Spread {
  using R = Mean<T, false>;

 public:
  Spread(const BackwardCall& call, void* scratch)
      : call_(call),
        sums_(*call.adjoint),
        height_(call.plan->height),
        width_(call.plan->width),
        row_(width_.out * call.plan->problem.inner),
        inner_(call.plan->problem.inner),
        quotients_(static_cast<T*>(scratch)),
        scratch_(quotients_ + sums_.spread_lanes + kSlack) {
    if (inner_ > 1) return;
    counts_ = reinterpret_cast<T*>(scratch_);
    scratch_ = counts_ + sums_.count_lanes;
    for (int64_t o = 0; o < width_.out; ++o) counts_[o] = T(width_.divisor[o]);
  }

  // Units of the sum's tiling: one plane's block of rows at a time, or several whole planes.
  void run(int64_t begin, int64_t end) {
    const Tiling& tiling = sums_.forward;
    const int64_t block_units = tiling.tiles;
    const bool whole = tiling.blocks == 1 && tiling.tiles == 1;
    const int64_t planes = whole ? sums_.spread_lanes / (height_.out * row_) : 1;
    for (int64_t unit = begin, stop; unit < end; unit = stop) {
      stop = whole ? unit + planes : (unit / block_units + 1) * block_units;
      if (stop > end) stop = end;
      const int64_t plane = unit / block_units / tiling.blocks, block = unit / block_units % tiling.blocks;
      int64_t low = 0, high = height_.out;
      if (!whole) reach(block * tiling.rows, low, high);
      const int64_t count = whole ? stop - unit : 1;
      for (int64_t p = 0; p < count; ++p) {
        for (int64_t oh = low; oh < high; ++oh) {
          divide((plane + p) * height_.out + oh, oh, quotients_ + (p * height_.out + oh - low) * row_);
        }
      }
      // Addressed as if all gradients stood there.
      const auto start =
          reinterpret_cast<uintptr_t>(quotients_) - size_t((plane * height_.out + low) * row_) * sizeof(T);
      const T* last = quotients_ + ((count - 1) * height_.out + high - low) * row_;
      const ForwardCall sum{&sums_, reinterpret_cast<const T*>(start), call_.grad_x, nullptr, last, 0, 1, 1};
      run_forward<T, R>(sum, unit, stop, scratch_);
    }
  }

 private:
  // The output rows [low, high) that the input rows of a block take part in.
  void reach(int64_t first, int64_t& low, int64_t& high) const {
    const AxisPlan& rows = sums_.height;
    const int64_t last = first + sums_.forward.rows < rows.out ? first + sums_.forward.rows : rows.out;
    low = rows.base[first] + rows.first[first] * rows.dilation;
    for (int64_t i = first; i < last; ++i) {
      const int64_t from = rows.base[i] + rows.first[i] * rows.dilation;
      const int64_t to = rows.base[i] + (rows.last[i] - 1) * rows.dilation + 1;
      low = from < low ? from : low;
      high = i == first || to > high ? to : high;
    }
  }

  void divide(int64_t row, int64_t oh, T* to) const {
    const T* grad = static_cast<const T*>(call_.grad_y) + row * row_;
    const double rest = call_.plan->depth.divisor[0] * height_.divisor[oh];
    if (inner_ == 1) {
      for_lanes<T>(row_, 0, [=, counts = counts_](int64_t i, auto family) {
        using L = decltype(family);
        store<L>(to + i, load<L>(grad + i) / (load<L>(counts + i) * L::splat(T(rest))));
      });
      return;
    }
    for (int64_t o = 0; o < width_.out; ++o) {
      const T count = T(rest * width_.divisor[o]);
      for_lanes<T>(inner_, 0, [=, from = o * inner_](int64_t i, auto family) {
        using L = decltype(family);
        store<L>(to + from + i, load<L>(grad + from + i) / L::splat(count));
      });
    }
  }

  const BackwardCall& call_;
  const Plan& sums_;
  const AxisPlan &height_, &width_;
  const int64_t row_, inner_;
  T* const quotients_;
  T* counts_ = nullptr;
  void* scratch_;
};

template <class T>
void run_spread(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Spread<T>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
