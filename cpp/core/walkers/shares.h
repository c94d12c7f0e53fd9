// Backward of the selectors that share an output's gradient among its cells by weights of their own: windows are
// gathered as in the forward direction and their shares added to the cells, or written where no two meet. A
// plane (or, channels last, a group of its channels) belongs to one thread and its outputs are visited in row-major
// order: nothing depends on threads.
#pragma once

#include "windows.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class S>
class Shares : WindowLoop<T, S, Shares<T, S>> {
  using Loop = WindowLoop<T, S, Shares<T, S>>;
  friend Loop;

  using A = typename Loop::A;

  static constexpr bool kTakesTwice = false;  // shares are added

  // Wide enough types are added up in place, the others in scratch.
  static constexpr bool kInPlace = kSame<T, A>;

  static constexpr int kInputs = kLogits<S> ? 2 : 1;  // of which each gets a gradient

 public:
  Shares(const BackwardCall& call, void* scratch)
      : Loop(*call.plan, call.x, call.logits, call.x_end, scratch),
        grad_y_(static_cast<const T*>(call.grad_y)),
        gradients_{static_cast<T*>(call.grad_x), static_cast<T*>(call.grad_logits)},
        plane_(this->depth_.in * this->height_.in * this->width_.in * this->inner_),
        writes_(this->plan_.apart && this->inner_ == 1),
        covers_all_(writes_ && covers(this->depth_) && covers(this->height_) && covers(this->width_)) {
    if constexpr (!kInPlace) {
      sums_[0] = reinterpret_cast<A*>(static_cast<char*>(scratch) + window_scratch(*call.plan, kLogits<S>));
      sums_[1] = sums_[0] + plane_;
    }
  }

  void run(int64_t begin, int64_t end) {
    if (this->for_planes(begin, end, [this](int64_t plane) { planes_abreast(plane); })) return;
    const Tiling& tiling = this->plan_.scatter;
    const int64_t inner = this->inner_;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t outer = unit / tiling.tiles, first = unit % tiling.tiles * tiling.tile;
      if constexpr (kInPlace) {
        for (int k = 0; k < kInputs; ++k) sums_[k] = gradients_[k] + outer * plane_;
      }
      plane(outer, first, first + tiling.tile < inner ? first + tiling.tile : inner);
    }
  }

 private:
  // Lanes [first, last) of all cells of a plane.
  void plane(int64_t outer, int64_t first, int64_t last) {
    const int64_t inner = this->inner_, lanes = inner == 1 ? plane_ : last - first;
    for (int64_t i = first; i < plane_ && !covers_all_; i += inner == 1 ? plane_ : inner) {
      for (int k = 0; k < kInputs; ++k) __builtin_memset(sums_[k] + i, 0, sizeof(A) * size_t(lanes));
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
        for (int k = 0; k < kInputs; ++k) {
          const A* from = sums_[k] + i;
          for_lanes<A>(lanes, 0, [from, to = gradients_[k] + outer * plane_ + i](int64_t lane, auto family) {
            store<decltype(family)>(to + lane, load<decltype(family)>(from + lane));
          });
        }
      }
    }
  }

  // As many planes as there are lanes, each one window.
  void planes_abreast(int64_t plane) {
    using L = Wide<A>;
    this->gather_planes(plane);
    const Window<L> window = this->template window<L>();
    this->selector_.template share<L>(window, load<L>(grad_y_ + plane));
    put_planes(window.spare, gradients_[0] + plane * plane_);
    if constexpr (kLogits<S>) put_planes(window.logit_spare, gradients_[1] + plane * plane_);
  }

  void put_planes(const typename Wide<A>::Value* share, T* first) const {
    using L = Wide<A>;
    using V = typename L::Value;
    int64_t t = 0;
    for (; t + L::lanes <= plane_; t += L::lanes) {
      V v[L::lanes];
      load_transposed<L>(v, [&](int i) { return reinterpret_cast<const A*>(share + t + i); });
#pragma GCC unroll 16
      for (int i = 0; i < L::lanes; ++i) store<L>(first + i * plane_ + t, v[i] + V{});  // zeros as sums have them
    }
    for (; t < plane_; ++t) {
      const V v = share[t] + V{};
      for (int i = 0; i < L::lanes; ++i) store<Single<A>>(first + i * plane_ + t, A(v[i]));
    }
  }

  template <class L>
  POOLKIT_INLINE void take(Window<L> window, int64_t i, const typename Loop::Place& place,
                           typename Loop::Inside inside) {
    this->selector_.template share<L>(window, gradients<L>(i, inside));
    writes_ ? put_all<false, L>(window, place, inside) : put_all<true, L>(window, place, inside);
  }

  template <bool adds, class L>
  POOLKIT_INLINE void put_all(const Window<L>& window, const typename Loop::Place& place,
                              typename Loop::Inside inside) const {
    put_shares<adds, L>(sums_[0], window.spare, place, inside);
    if constexpr (kLogits<S>) put_shares<adds, L>(sums_[1], window.logit_spare, place, inside);
  }

  // The last tap first: so a cell takes from its outputs in their order, however many lanes there are.
  template <bool adds, class L>
  POOLKIT_INLINE void put_shares(A* sums, const typename L::Value* shares, const typename Loop::Place& place,
                                 typename Loop::Inside inside) const {
    const int64_t taps = place.last - place.first;
    const bool whole = L::lanes > 1 && inside.end - inside.begin == L::lanes;
    const bool pairs = whole && place.apart == 2 && place.step == 1;
    for (int64_t row = 0; row < this->k_; ++row) {
      A* to = sums + (this->rows_[row] - start_) + place.start;
      const typename L::Value* share = shares + row * taps - place.first;
      int64_t tap = place.last - 1;
      for (; pairs && tap > place.first; tap -= 2) put_pairs<adds, L>(to + tap - 1, share[tap - 1], share[tap]);
      for (; tap >= place.first; --tap) put_spaced<adds, L>(to + tap * place.step, place.apart, share[tap], inside);
    }
  }

  template <class L>
  POOLKIT_INLINE typename L::Value gradients(int64_t i, typename Loop::Inside inside) const {
    const T* gradients = grad_y_ + this->out_ + i;
    const int n = inside.end - inside.begin;
    if (n == L::lanes) return load<L>(gradients);
    T some[L::lanes] = {};
    __builtin_memcpy(some + inside.begin, gradients + inside.begin, sizeof(T) * size_t(n));
    return load<L>(some);
  }

  // Two neighbouring taps of windows two cells apart.
  template <bool adds, class L>
  POOLKIT_INLINE static void put_pairs(A* p, typename L::Value a, typename L::Value b) {
    if constexpr (L::lanes > 1) {
      put<adds, L>(p, zipped_low<L>(a, b));
      put<adds, L>(p + L::lanes, zipped_high<L>(a, b));
    }
  }

  template <bool adds, class L>
  POOLKIT_INLINE static void put_spaced(A* p, int64_t stride, typename L::Value v, typename Loop::Inside inside) {
    if constexpr (L::lanes == 1) {
      put<adds, L>(p, v);
    } else if (stride == 1 && inside.end - inside.begin == L::lanes) {
      put<adds, L>(p, v);
    } else {
      A values[L::lanes];
      store<L>(values, v);
      for (int i = inside.begin; i < inside.end; ++i) put<adds, Single<A>>(p + i * stride, values[i]);
    }
  }

  // What is written is what would be added to zero: never a negative one.
  template <bool adds, class L>
  POOLKIT_INLINE static void put(A* p, typename L::Value v) {
    store<L>(p, (adds ? load<L>(p) : typename L::Value{}) + v);
  }

  // Whether every cell of an axis lies in one window.
  static bool covers(const AxisPlan& axis) {
    int64_t covered = 0;
    for (int64_t o = 0; o < axis.out; ++o) covered += axis.last[o] - axis.first[o];
    return covered == axis.in;
  }

  const T* grad_y_;
  T* gradients_[2];           // of x, and of logits
  const int64_t plane_;       // numbers of a plane, all lanes
  const bool writes_;         // shares are written, not added: channels last they lie too far apart for that
  const bool covers_all_;     // every cell is written
  A* sums_[2] = {};           // of the current plane
  const T* start_ = nullptr;  // its cells
};

template <class T, class S>
void run_shares(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Shares<T, S>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
