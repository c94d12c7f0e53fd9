// Backward of the selectors that share an output's gradient among its cells by weights of their own: windows are
// gathered as in the forward direction and their shares added to the cells. A plane (or, channels last, a group of its
// channels) belongs to one thread and its outputs are visited in row-major order: nothing depends on threads.
#pragma once

#include "windows.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class S>
class Shares : WindowLoop<T, S, Shares<T, S>> {
  using Loop = WindowLoop<T, S, Shares<T, S>>;
  friend Loop;

  using A = typename Loop::A;

  // Wide enough types are added up in place, the others in scratch.
  static constexpr bool kInPlace = kSame<T, A>;

 public:
  Shares(const BackwardCall& call, void* scratch)
      : Loop(*call.plan, call.x, call.x_end, scratch),
        grad_y_(static_cast<const T*>(call.grad_y)),
        grad_x_(static_cast<T*>(call.grad_x)),
        plane_(this->depth_.in * this->height_.in * this->width_.in * this->inner_) {
    if constexpr (!kInPlace) sums_ = reinterpret_cast<A*>(static_cast<char*>(scratch) + window_scratch(*call.plan));
  }

  void run(int64_t begin, int64_t end) {
    const Tiling& tiling = this->plan_.scatter;
    const int64_t inner = this->inner_;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t outer = unit / tiling.tiles, first = unit % tiling.tiles * tiling.tile;
      if constexpr (kInPlace) sums_ = grad_x_ + outer * plane_;
      plane(outer, first, first + tiling.tile < inner ? first + tiling.tile : inner);
    }
  }

 private:
  // Lanes [first, last) of all cells of a plane.
  void plane(int64_t outer, int64_t first, int64_t last) {
    const int64_t inner = this->inner_, lanes = inner == 1 ? plane_ : last - first;
    for (int64_t i = first; i < plane_; i += inner == 1 ? plane_ : inner) {
      __builtin_memset(sums_ + i, 0, sizeof(A) * size_t(lanes));
    }
    start_ = this->x_ + outer * plane_;
    for (int64_t od = 0; od < this->depth_.out; ++od) {
      for (int64_t oh = 0; oh < this->height_.out; ++oh) {
        if (inner == 1) {
          this->output_row(outer, od, oh, 0, this->width_.out);
          continue;
        }
        this->find_rows(outer, od, oh);
        this->out_ = ((outer * this->depth_.out + od) * this->height_.out + oh) * this->width_.out * inner;
        for (int64_t o = 0; o < this->width_.out; ++o) this->across_channels(o, first, last);
      }
    }
    if constexpr (!kInPlace) {
      for (int64_t i = first; i < plane_; i += inner == 1 ? plane_ : inner) {
        for_lanes<A>(lanes, 0, [from = sums_ + i, to = grad_x_ + outer * plane_ + i](int64_t lane, auto family) {
          store<decltype(family)>(to + lane, load<decltype(family)>(from + lane));
        });
      }
    }
  }

  template <class L>
  POOLKIT_INLINE void take(int64_t i, const typename Loop::Place& place) {
    const Window<L> window = this->template window<L>();
    this->selector_.template share<L>(window, load<L>(grad_y_ + this->out_ + i));
    // The last tap first: so a cell takes from its outputs in their order, however many lanes there are.
    const int64_t taps = place.last - place.first;
    for (int64_t row = 0; row < this->k_; ++row) {
      A* to = sums_ + (this->rows_[row] - start_) + place.start;
      const typename L::Value* share = window.spare + row * taps;
      for (int64_t tap = place.last - 1; tap >= place.first; --tap) {
        add_spaced<L>(to + tap * place.step, place.apart, share[tap - place.first]);
      }
    }
  }

  template <class L>
  POOLKIT_INLINE static void add_spaced(A* p, int64_t stride, typename L::Value v) {
    if constexpr (L::lanes == 1) {
      *p += v;
    } else if (stride == 1) {
      store<L>(p, load<L>(p) + v);
    } else {
      for (int i = 0; i < L::lanes; ++i) p[i * stride] += v[i];
    }
  }

  const T* grad_y_;
  T* grad_x_;
  const int64_t plane_;       // numbers of a plane, all lanes
  A* sums_ = nullptr;         // of the current plane
  const T* start_ = nullptr;  // its cells
};

template <class T, class S>
void run_shares(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Shares<T, S>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
