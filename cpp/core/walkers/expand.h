// Backward of windows that do not overlap: each output writes the gradient of its own cells, once.
#pragma once

#include "pulls.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class R>
class Expand {
  using A = typename R::Accumulator;
  using One = Single<A>;
  using Many = Wide<A>;

  // One row of the input with the output row whose windows cover it.
  struct Row {
    int64_t in, out;  // their first elements
    int64_t offset;   // winner offset of the input row's first tap
    double count;     // the divisor's factor of the row
  };

 public:
  Expand(const BackwardCall& call, void* scratch)
      : plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        inner_(plan_.problem.inner),
        pulls_(call),
        x_(static_cast<const T*>(call.x)),
        grad_x_(static_cast<T*>(call.grad_x)),
        counts_(static_cast<A*>(scratch)) {
    if (R::kDivides && inner_ == 1) {
      for (int64_t o = 0; o < width_.out; ++o) counts_[o] = A(width_.divisor[o]);
    }
    while (full_begin_ < width_.out && !is_full(full_begin_)) ++full_begin_;
    full_end_ = full_begin_;
    while (full_end_ < width_.out && is_full(full_end_)) ++full_end_;
    joined_ = width_.regular && width_.kernel == width_.stride;
    int64_t covered = 0;
    for (int64_t o = 0; o < width_.out && covered == owned_by(width_, o); ++o)
      covered = width_.base[o] + width_.last[o];
    covers_all_ = width_.dilation == 1 && covered == width_.in;
    if (!joined_) full_end_ = full_begin_ = 0;
  }

  void run(int64_t begin, int64_t end) {
    const Tiling& tiling = plan_.expand;
    if (plan_.runs) return whole_planes(begin, end);
    int64_t tile = begin % tiling.tiles, rest = begin / tiling.tiles;
    int64_t block = rest % tiling.blocks;
    rest /= tiling.blocks;
    int64_t od = rest % depth_.out, outer = rest / depth_.out;
    if (depth_.trivial && tiling.tiles == 1 && covers_all_) {
      const int64_t plane = end / tiling.blocks, row = end % tiling.blocks * tiling.rows;
      out_limit_ = (plane * height_.out + row) * width_.out * inner_;
      in_limit_ = (plane * height_.in + owned_by(height_, row)) * width_.in * inner_;
    }
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = block * tiling.rows;
      const int64_t stop = first + tiling.rows < height_.out ? first + tiling.rows : height_.out;
      for (int64_t oh = first; oh < stop; ++oh) output_row(outer, od, oh, tile);
      if (++tile < tiling.tiles) continue;
      tile = 0;
      if (++block < tiling.blocks) continue;
      block = 0;
      if (++od < depth_.out) continue;
      od = 0;
      ++outer;
    }
  }

 private:
  bool is_full(int64_t o) const { return width_.first[o] == 0 && width_.last[o] == width_.kernel; }

  A counted(double count) const { return R::kDivides ? A(count) : A(1); }

  void output_row(int64_t outer, int64_t od, int64_t oh, int64_t tile) {
    const int64_t out = ((outer * depth_.out + od) * height_.out + oh) * width_.out * inner_;
    for (int64_t id = owned_by(depth_, od); id < owned_by(depth_, od + 1); ++id) {
      const int64_t td = tap_at(depth_, od, id);
      for (int64_t ih = owned_by(height_, oh); ih < owned_by(height_, oh + 1); ++ih) {
        const int64_t th = tap_at(height_, oh, ih);
        const int64_t in = ((outer * depth_.in + id) * height_.in + ih) * width_.in * inner_;
        const Row row{in, out, (td * height_.kernel + th) * width_.kernel, depth_.divisor[od] * height_.divisor[oh]};
        fill(row, td >= 0 && th >= 0, tile);
      }
    }
  }

  void fill(const Row& row, bool covered, int64_t tile) {
    const int64_t first = tile * plan_.expand.tile;
    if (width_.trivial) {
      const int64_t end = first + plan_.expand.tile < inner_ ? first + plan_.expand.tile : inner_;
      if (covered) {
        fill_cell(row, 0, 0, first, end, 0);
      } else {
        clear(row.in + first, end - first);
      }
      return;
    }
    const int64_t end = first + plan_.expand.tile < width_.out ? first + plan_.expand.tile : width_.out;
    const int64_t left = owned_by(width_, first), right = owned_by(width_, end);
    if (!covered || !covers_all_) clear(row.in + left * inner_, (right - left) * inner_);
    if (!covered) return;
    if (inner_ > 1) {
      // Side by side, cells are written in ascending order: vectors may run over one's end while others follow.
      const bool overrun = joined_ && inner_ < Many::lanes;
      const int64_t stop = overrun ? width_.base[end - 1] + width_.last[end - 1] : 0;
      for (int64_t o = first; o < end; ++o) {
        for (int64_t tap = width_.first[o]; tap < width_.last[o]; ++tap) {
          const int64_t cells = stop - width_.base[o] - tap;
          fill_cell(row, o, tap, 0, inner_, overrun ? (cells < end - o ? cells : end - o) * inner_ : 0);
        }
      }
      return;
    }
    int64_t o = first;
    if (width_.kernel == 2 || width_.kernel == 4) {
      const int64_t from = full_begin_ > first ? full_begin_ : first, to = full_end_ < end ? full_end_ : end;
      for (; o < from && o < end; ++o) fill_window(row, o);
      o = width_.kernel == 2 ? interleave<2>(row, o, to) : interleave<4>(row, o, to);
    }
    for (; o < end; ++o) fill_window(row, o);
  }

  // Rows are written in ascending order, so that vectors may run over a row's end.
  bool may_overrun(int64_t out, int64_t in) const { return out <= out_limit_ && in <= in_limit_; }

  void clear(int64_t in, int64_t lanes) const { __builtin_memset(grad_x_ + in, 0, sizeof(T) * size_t(lanes)); }

  // Channels last: lanes [first, end) of one cell; so many may be written.
  void fill_cell(const Row& row, int64_t o, int64_t tap, int64_t first, int64_t end, int64_t room) const {
    const int64_t in = row.in + (width_.base[o] + tap) * inner_ + first, out = row.out + o * inner_ + first;
    const int64_t offset = row.offset + tap;
    const A count = counted(row.count * width_.divisor[o]);
    for_lanes<A>(end - first, room, [=, pulls = pulls_, x = x_, grad_x = grad_x_](int64_t i, auto family) {
      using L = decltype(family);
      typename L::Value cell{};
      if constexpr ((R::kNeeds & kNeedsX) != 0) cell = load<L>(x + in + i);
      const auto pulled = pulls.template at<L>(out + i, L::splat(count));
      store<L>(grad_x + in + i, pulls.reducer.template pull<L>(cell, pulled, L::splat_index(typename L::Int(offset))));
    });
  }

  // Channels first: the cells of one window along the row.
  void fill_window(const Row& row, int64_t o) const {
    const int64_t in = row.in + width_.base[o] + width_.first[o];
    fill_run(row.out + o, counted(row.count * width_.divisor[o]), in, width_.last[o] - width_.first[o], 0,
             row.offset + width_.first[o]);
  }

  // Units of a plane each, which is one window.
  void whole_planes(int64_t begin, int64_t end) const {
    const int64_t cells = width_.in;
    const A count = counted(depth_.divisor[0] * height_.divisor[0] * width_.divisor[0]);
    for (int64_t plane = begin; plane < end; ++plane) {
      fill_run(plane, count, plane * cells, cells, (end - plane) * cells, 0);
    }
  }

  // Neighbouring cells of one window, from this input and winner offset on; `room` lanes may be written.
  POOLKIT_INLINE void fill_run(int64_t out, A count, int64_t in, int64_t cells, int64_t room, int64_t offset) const {
    const auto pulled = pulls_.template at<One>(out, count);
    const auto all = spread<R>(pulled);
    constexpr bool reads = (R::kNeeds & kNeedsX) != 0;
    for_lanes<A>(cells, reads ? 0 : room,
                 [=, reducer = pulls_.reducer, x = x_ + in, grad_x = grad_x_ + in](int64_t i, auto family) {
                   using L = decltype(family);
                   typename L::Value cell{};
                   if constexpr (reads) cell = load<L>(x + i);
                   if constexpr (L::lanes == 1) {
                     store<L>(grad_x + i, reducer.template pull<L>(cell, pulled, typename L::Int(offset + i)));
                   } else {
                     store<L>(grad_x + i, reducer.template pull<L>(cell, all, count_up<L>(offset + i)));
                   }
                 });
  }

  // Channels first: whole windows of k cells side by side, as many at once as there are lanes. Returns the
  // first output that is left over.
  template <int k>
  int64_t interleave(const Row& row, int64_t o, int64_t end) const {
    using L = Many;
    using V = typename L::Value;
    const Pulls<T, R> pulls = pulls_;
    const T* x = x_;
    T* grad_x = grad_x_;
    const A* counts = counts_;
    const A rest = counted(row.count);
    const int64_t begin = o, start = row.in + width_.base[o];
    while (o < end) {
      if (o + L::lanes > end && !may_overrun(row.out + o + L::lanes, start + (o - begin + L::lanes) * k)) {
        if (end - begin < L::lanes) break;
        o = end - L::lanes;  // the last windows overlap those before
      }
      const int64_t in = start + (o - begin) * k;
      V count{};
      if constexpr (R::kDivides) count = load<L>(counts + o) * rest;
      const auto pulled = pulls.template at<L>(row.out + o, count);
      V cells[k]{}, grads[k];
      if constexpr ((R::kNeeds & kNeedsX) != 0) {
        if constexpr (k == 2) {
          const V low = load<L>(x + in), high = load<L>(x + in + L::lanes);
          cells[0] = evens<L>(low, high);
          cells[1] = odds<L>(low, high);
        } else {
          for (int t = 0; t < k; ++t) cells[t] = load_strided<L>(x + in + t, k);
        }
      }
      for (int t = 0; t < k; ++t) {
        grads[t] = pulls.reducer.template pull<L>(cells[t], pulled, L::splat_index(typename L::Int(row.offset + t)));
      }
      if constexpr (k == 2) {
        put_zipped(grad_x + in, grads[0], grads[1]);
      } else {
        put_zipped(grad_x + in, zipped_low<L>(grads[0], grads[2]), zipped_low<L>(grads[1], grads[3]));
        put_zipped(grad_x + in + 2 * L::lanes, zipped_high<L>(grads[0], grads[2]), zipped_high<L>(grads[1], grads[3]));
      }
      o += L::lanes;
    }
    return o < end ? o : end;
  }

  static void put_zipped(T* to, typename Many::Value even, typename Many::Value odd) {
    store<Many>(to, zipped_low<Many>(even, odd));
    store<Many>(to + Many::lanes, zipped_high<Many>(even, odd));
  }

  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t inner_;
  const Pulls<T, R> pulls_;
  const T* x_;
  T* grad_x_;
  A* counts_;
  int64_t full_begin_ = 0, full_end_ = 0;  // outputs whose windows are whole and without gaps between them
  bool joined_ = false;                    // windows lie side by side
  bool covers_all_ = false;                // no column is left out
  int64_t out_limit_ = 0, in_limit_ = 0;   // the first output and input that are not ours
};

template <class T, class R>
void run_expand(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Expand<T, R>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
