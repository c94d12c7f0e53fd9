// Backward of the methods that hand the whole gradient to one winner: each output adds its gradient to
// the cell it came from. A plane (or, channels last, a group of channels) belongs to one thread and its
// outputs are visited in row-major order, so the sums have the order of the gather form, bit for bit, at
// a cost that does not grow with the window.
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class Offset>
class Scatter {
  using A = typename Storage<T>::Accumulator;
  using One = Single<A>;

 public:
  Scatter(const BackwardCall& call, void* scratch)
      : plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        inner_(plan_.problem.inner),
        volume_(depth_.in * height_.in * width_.in),
        cells_(depth_.out * height_.out * width_.out),
        grad_y_(static_cast<const T*>(call.grad_y)),
        winners_(static_cast<const Offset*>(call.winners)),
        grad_x_(static_cast<T*>(call.grad_x)),
        distance_(static_cast<int64_t*>(scratch)) {
    const int64_t taps = sizeof(Offset) <= 2 ? depth_.kernel * height_.kernel * width_.kernel : 0;
    for (int64_t offset = 0; offset < taps; ++offset) distance_[offset] = decoded(offset);
    sums_ = reinterpret_cast<A*>(distance_ + taps);
  }

  void run(int64_t begin, int64_t end) {
    const int64_t tiles = plan_.scatter.tiles;
    int64_t unit = begin;
    if (inner_ == 1) {
      for (; unit + kTogether <= end; unit += kTogether) planes<kTogether>(unit);
      for (; unit < end; ++unit) planes<1>(unit);
    }
    for (; unit < end; ++unit) {
      const int64_t first = unit % tiles * plan_.scatter.tile;
      const int64_t lanes = first + plan_.scatter.tile < inner_ ? plan_.scatter.tile : inner_ - first;
      channels(unit / tiles, first, lanes);
    }
  }

 private:
  // From a window's first tap to the cell at this offset of it, in cells.
  int64_t decoded(int64_t offset) const {
    const int64_t tw = offset % width_.kernel, th = offset / width_.kernel % height_.kernel,
                  td = offset / width_.kernel / height_.kernel;
    return (td * depth_.dilation * height_.in + th * height_.dilation) * width_.in + tw * width_.dilation;
  }

  int64_t distance(Offset offset) const {
    if constexpr (sizeof(Offset) <= 2) {
      return distance_[offset];
    } else {
      return decoded(offset);
    }
  }

  // Wide enough types accumulate in place, the others in scratch.
  static constexpr bool kInPlace = kSame<T, A>;

  // Channels first. Neighbouring windows often share their winner, and each sum waits for the one before:
  // the planes keep one another busy.
  template <int n>
  void planes(int64_t outer) {
    T* grad_x = grad_x_ + outer * volume_;
    A* sums = sums_;
    if constexpr (kInPlace) sums = grad_x;
    __builtin_memset(sums, 0, sizeof(A) * size_t(n * volume_));
    const T* grad_y = grad_y_ + outer * cells_;
    const Offset* winners = winners_ + outer * cells_;
    for (int64_t od = 0; od < depth_.out; ++od) {
      for (int64_t oh = 0; oh < height_.out; ++oh) {
        A* row = sums + (depth_.base[od] * height_.in + height_.base[oh]) * width_.in;
        for (int64_t ow = 0; ow < width_.out; ++ow, ++grad_y, ++winners) {
          A* base = row + width_.base[ow];
#pragma GCC unroll 4
          for (int p = 0; p < n; ++p) {
            base[p * volume_ + distance(winners[p * cells_])] += load<One>(grad_y + p * cells_);
          }
        }
      }
    }
    if constexpr (!kInPlace) copy(grad_x, sums, n * volume_);
  }

  // Channels last: some lanes of all cells.
  void channels(int64_t outer, int64_t first, int64_t lanes) {
    T* grad_x = grad_x_ + outer * volume_ * inner_ + first;
    A* sums = sums_;
    int64_t pitch = lanes;
    if constexpr (kInPlace) {
      sums = grad_x;
      pitch = inner_;
    }
    for (int64_t i = 0; i < volume_; ++i) __builtin_memset(sums + i * pitch, 0, sizeof(A) * size_t(lanes));
    int64_t out = outer * cells_ * inner_ + first;
    for (int64_t od = 0; od < depth_.out; ++od) {
      for (int64_t oh = 0; oh < height_.out; ++oh) {
        const int64_t row = (depth_.base[od] * height_.in + height_.base[oh]) * width_.in;
        for (int64_t ow = 0; ow < width_.out; ++ow, out += inner_) {
          A* base = sums + (row + width_.base[ow]) * pitch;
          for (int64_t lane = 0; lane < lanes; ++lane) {
            base[distance(winners_[out + lane]) * pitch + lane] += load<One>(grad_y_ + out + lane);
          }
        }
      }
    }
    if constexpr (!kInPlace) {
      for (int64_t i = 0; i < volume_; ++i) copy(grad_x + i * inner_, sums + i * lanes, lanes);
    }
  }

  static void copy(T* to, const A* from, int64_t lanes) {
    for_lanes<A>(lanes, 0,
                 [=](int64_t i, auto family) { store<decltype(family)>(to + i, load<decltype(family)>(from + i)); });
  }

  static constexpr int kTogether = 4;

  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t inner_, volume_, cells_;
  const T* grad_y_;
  const Offset* winners_;
  T* grad_x_;
  int64_t* distance_;
  A* sums_;
};

template <class T>
void run_scatter(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  switch (call.plan->winner_bytes) {
    case 1: return Scatter<T, uint8_t>(call, scratch).run(begin, end);
    case 2: return Scatter<T, uint16_t>(call, scratch).run(begin, end);
    default: return Scatter<T, uint32_t>(call, scratch).run(begin, end);
  }
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
