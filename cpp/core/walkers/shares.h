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

 public:
  Shares(const BackwardCall& call, void* scratch)
      : Loop(*call.plan, call.x, call.x_end, scratch),
        grad_y_(static_cast<const T*>(call.grad_y)),
        grad_x_(static_cast<T*>(call.grad_x)) {}

  void run(int64_t begin, int64_t end) {
    const Tiling& tiling = this->plan_.scatter;
    const int64_t inner = this->inner_;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t outer = unit / tiling.tiles, first = unit % tiling.tiles * tiling.tile;
      plane(outer, first, first + tiling.tile < inner ? first + tiling.tile : inner);
    }
  }

 private:
  // Lanes [first, last) of all cells of a plane.
  void plane(int64_t outer, int64_t first, int64_t last) {
    const int64_t volume = this->depth_.in * this->height_.in * this->width_.in, inner = this->inner_;
    T* grads = grad_x_ + outer * volume * inner;
    for (int64_t i = 0; i < (inner == 1 ? 1 : volume); ++i) {
      __builtin_memset(grads + i * inner + first, 0, sizeof(T) * size_t(inner == 1 ? volume : last - first));
    }
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
  }

  template <class L>
  POOLKIT_INLINE void take(int64_t i, const typename Loop::Place& place) {
    const Window<L> window = this->template window<L>();
    this->selector_.template share<L>(window, load<L>(grad_y_ + this->out_ + i));
    const typename L::Value* share = window.spare;
    for (int64_t row = 0; row < this->k_; ++row) {
      T* start = grad_x_ + (this->rows_[row] - this->x_) + place.start;
      for (int64_t tap = place.first; tap < place.last; ++tap) {
        add_spaced<L>(start + tap * place.step, place.apart, *share++);
      }
    }
  }

  template <class L>
  POOLKIT_INLINE static void add_spaced(T* p, int64_t stride, typename L::Value v) {
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
};

template <class T, class S>
void run_shares(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Shares<T, S>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
