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
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % plan_.scatter.tiles * plan_.scatter.tile;
      const int64_t lanes = first + plan_.scatter.tile < inner_ ? plan_.scatter.tile : inner_ - first;
      plane(unit / plan_.scatter.tiles, first, lanes);
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

  void plane(int64_t outer, int64_t first, int64_t lanes) {
    T* grad_x = grad_x_ + outer * volume_ * inner_ + first;
    // Wide enough types accumulate in place, the others in scratch.
    constexpr bool in_place = kSame<T, A>;
    A* sums = sums_;
    int64_t pitch = lanes;
    if constexpr (in_place) {
      sums = grad_x;
      pitch = inner_;
    }
    if (pitch == lanes) {
      __builtin_memset(sums, 0, sizeof(A) * size_t(volume_ * lanes));
    } else {
      for (int64_t i = 0; i < volume_; ++i) __builtin_memset(sums + i * pitch, 0, sizeof(A) * size_t(lanes));
    }

    int64_t out = outer * cells_ * inner_ + first;
    for (int64_t od = 0; od < depth_.out; ++od) {
      for (int64_t oh = 0; oh < height_.out; ++oh) {
        const int64_t row = (depth_.base[od] * height_.in + height_.base[oh]) * width_.in;
        if (inner_ == 1) {
          for (int64_t ow = 0; ow < width_.out; ++ow, ++out) {
            sums[row + width_.base[ow] + distance(winners_[out])] += load<One>(grad_y_ + out);
          }
        } else {
          for (int64_t ow = 0; ow < width_.out; ++ow, out += inner_) {
            for (int64_t lane = 0; lane < lanes; ++lane) {
              const int64_t cell = row + width_.base[ow] + distance(winners_[out + lane]);
              sums[cell * pitch + lane] += load<One>(grad_y_ + out + lane);
            }
          }
        }
      }
    }

    if constexpr (!in_place) {
      for (int64_t i = 0; i < volume_; ++i) {
        for_lanes<A>(lanes, Tail::overlap, [&](int64_t lane, auto family) {
          using L = decltype(family);
          store<L>(grad_x + i * inner_ + lane, load<L>(sums + i * lanes + lane));
        });
      }
    }
  }

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
