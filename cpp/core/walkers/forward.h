// Forward: for each output row, combine the input rows of its windows lane by lane (the vertical
// step), then the taps along that row (the horizontal step). Both steps are the same lane loop, so
// kd * kh + kw cells are read for a window instead of kd * kh * kw, in both element orders:
//
//   channels first (inner == 1)   lanes run along the width, then over outputs
//   channels last  (inner > 1)    lanes run along width and channels, then over channels
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class R>
class Forward {
  using A = typename R::Accumulator;

 public:
  Forward(const ForwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        inner_(plan_.problem.inner),
        reducer_(plan_.problem),
        x_(static_cast<const T*>(call.x)),
        y_(static_cast<T*>(call.y)) {
    const int64_t rows = depth_.kernel * height_.kernel;
    rows_ = static_cast<const T**>(scratch);
    offsets_ = reinterpret_cast<int64_t*>(rows_ + rows);
    A* cursor = reinterpret_cast<A*>(offsets_ + rows);
    counts_ = cursor;
    if (inner_ == 1) {
      for (int64_t o = 0; o < width_.out; ++o) counts_[o] = A(width_.divisor[o]);
      cursor += width_.out + kSlack;
    }
    row_.base = cursor;
    row_.pitch = plan_.forward.rows * line() * inner_ + kSlack;
    result_.base = row_.base + kMaxFields * row_.pitch;
    result_.pitch = row_.pitch;
  }

  void run(int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t tile = unit % plan_.forward.tiles;
      int64_t rest = unit / plan_.forward.tiles;
      const int64_t oh = rest % plan_.forward.blocks * plan_.forward.rows;
      rest /= plan_.forward.blocks;
      const int64_t od = rest % depth_.out;
      if (plan_.forward.rows == 1) {
        output_row(rest / depth_.out, od, oh, tile);
      } else {
        const int64_t stop = oh + plan_.forward.rows < height_.out ? oh + plan_.forward.rows : height_.out;
        output_block(rest / depth_.out, od, oh, stop);
      }
    }
  }

 private:
  // Columns that `outputs` neighbouring windows reach.
  int64_t span(int64_t outputs) const {
    if (width_.trivial) return 0;
    if (!width_.regular) return width_.in;
    return (outputs - 1) * width_.stride + (width_.kernel - 1) * width_.dilation + 1;
  }

  // Scratch lanes from one row of a block to the next: a multiple of the stride, so that every row of
  // outputs starts at a lane of its own.
  int64_t line() const {
    const int64_t columns = span(plan_.forward.tile);
    return plan_.forward.rows == 1 ? columns : (columns + width_.stride - 1) / width_.stride * width_.stride;
  }

  void find_rows(int64_t outer, int64_t od, int64_t oh) {
    k_ = 0;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const int64_t id = depth_.base[od] + td * depth_.dilation;
      for (int64_t th = height_.first[oh]; th < height_.last[oh]; ++th) {
        const int64_t ih = height_.base[oh] + th * height_.dilation;
        rows_[k_] = x_ + ((outer * depth_.in + id) * height_.in + ih) * width_.in * inner_;
        offsets_[k_++] = (td * height_.kernel + th) * width_.kernel;
      }
    }
    count_ = depth_.divisor[od] * height_.divisor[oh];
    out_ = ((outer * depth_.out + od) * height_.out + oh) * width_.out * inner_;
  }

  // Small maps, channels first: the horizontal step runs once over all rows of the block.
  void output_block(int64_t outer, int64_t od, int64_t oh, int64_t stop) {
    const int64_t lane_pitch = line() / width_.stride;
    for (int64_t row = oh; row < stop; ++row) {
      find_rows(outer, od, row);
      vertical(row_.at((row - oh) * line()), 0, width_.out);
    }
    with_taps(row_, width_.stride, width_.dilation, [&](auto taps) {
      for_lanes<A>((stop - oh - 1) * lane_pitch + width_.out, Tail::overrun, [&](int64_t i, auto family) {
        using L = decltype(family);
        result_.template put<L>(i, reduce_at<R, L>(reducer_, taps, width_.kernel, i));
      });
    });
    const int64_t out = ((outer * depth_.out + od) * height_.out + oh) * width_.out;
    for (int64_t row = oh; row < stop; ++row) {
      const A rest = A(depth_.divisor[od] * height_.divisor[row]);
      const ScratchRow<A> result = result_.at((row - oh) * lane_pitch);
      for_lanes<A>(width_.out, Tail::overlap, [&](int64_t i, auto family) {
        using L = decltype(family);
        using LaneState = typename R::template State<L>;
        put<L>(out + (row - oh) * width_.out + i, result.template get<L, LaneState>(i), load<L>(counts_ + i) * rest);
      });
      if constexpr (R::kRepairs) {
        find_rows(outer, od, row);
        repair(outer, od, row, 0);
      }
    }
  }

  void output_row(int64_t outer, int64_t od, int64_t oh, int64_t tile) {
    find_rows(outer, od, oh);
    const int64_t first = tile * plan_.forward.tile;
    if (width_.trivial) {
      const int64_t end = first + plan_.forward.tile < inner_ ? first + plan_.forward.tile : inner_;
      for (int64_t t = 0; t < k_; ++t) rows_[t] += first;
      const A count = A(count_ * width_.divisor[0]);
      finish_lanes(InputRows<T>{rows_, offsets_}, k_, out_ + first, end - first,
                   [count](int64_t, auto family) { return decltype(family)::splat(count); });
    } else {
      const int64_t end = first + plan_.forward.tile < width_.out ? first + plan_.forward.tile : width_.out;
      if (inner_ > 1) {
        across_channels(first, end);
      } else if (width_.regular) {
        along_width(first, end);
      } else {
        along_runs(first, end);
      }
    }
    if constexpr (R::kRepairs) repair(outer, od, oh, first);
  }

  // Reduces the rows over the columns that outputs [first, end) need; returns the column of scratch lane 0.
  int64_t vertical(ScratchRow<A> to, int64_t first, int64_t end) {
    int64_t left = 0, right = width_.in;
    if (width_.regular) {
      left = first * width_.stride - width_.pad_low;
      right = left + span(end - first);
    }
    const int64_t inside_left = left < 0 ? 0 : left;
    const int64_t inside_right = right > width_.in ? width_.in : right;
    if (inner_ > 1) {  // taps are visited one by one there, and only those inside
      left = inside_left;
      right = inside_right;
    }
    const ScratchRow<A> inside = to.at((inside_left - left) * inner_);
    const int64_t lanes = (inside_right - inside_left) * inner_;
    for (int64_t t = 0; t < k_; ++t) rows_[t] += inside_left * inner_;
    const InputRows<T> source{rows_, offsets_};
    // In this order, as each may spill beyond its end.
    pad(to, (inside_left - left) * inner_);
    // A vector may run on into whatever follows the row, as long as the array goes on.
    bool overrun = true;
    for (int64_t t = 0; t < k_; ++t) {
      overrun &= rows_[t] + lanes + Wide<A>::lanes <= static_cast<const T*>(call_.x_end);
    }
    for_lanes<A>(lanes, overrun ? Tail::overrun : Tail::overlap, [&](int64_t i, auto family) {
      using L = decltype(family);
      inside.template put<L>(i, reduce_at<R, L>(reducer_, source, k_, i));
    });
    pad(inside.at(lanes), (right - inside_right) * inner_);
    return left;
  }

  void pad(ScratchRow<A> row, int64_t lanes) const {
    for_lanes<A>(lanes, Tail::overrun, [&](int64_t i, auto family) {
      using L = decltype(family);
      row.template put<L>(i, reducer_.template identity<L>());
    });
  }

  void along_width(int64_t first, int64_t end) {
    vertical(row_, first, end);
    const A* counts = counts_ + first;
    const A rest = A(count_);
    with_taps(row_, width_.stride, width_.dilation, [&](auto taps) {
      finish_lanes(taps, width_.kernel, out_ + first, end - first, [counts, rest](int64_t i, auto family) {
        using L = decltype(family);
        return load<L>(counts + i) * rest;
      });
    });
  }

  void across_channels(int64_t first, int64_t end) {
    const int64_t left = vertical(row_, first, end);
    for (int64_t o = first; o < end; ++o) {
      const int64_t begin = width_.base[o] + width_.first[o] * width_.dilation - left;
      const ScratchTaps<A, 1> taps{row_.at(begin * inner_), 1, width_.dilation * inner_};
      const A count = A(count_ * width_.divisor[o]);
      tap_shift_ = width_.first[o];
      finish_lanes(taps, width_.last[o] - width_.first[o], out_ + o * inner_, inner_,
                   [count](int64_t, auto family) { return decltype(family)::splat(count); });
    }
    tap_shift_ = 0;
  }

  // Few, long or uneven windows: each is reduced along its own run of lanes.
  void along_runs(int64_t first, int64_t end) {
    using One = Single<A>;
    using State = typename R::template State<One>;
    const bool direct = k_ == 1;  // nothing to combine vertically: read the input itself
    if (!direct) vertical(row_, first, end);
    for (int64_t o = first; o < end; ++o) {
      const int64_t taps = width_.last[o] - width_.first[o];
      const int64_t begin = width_.base[o] + width_.first[o] * width_.dilation;
      State s;
      if (width_.dilation != 1) {
        s = dilated_run(begin, taps, direct);
      } else if (direct) {
        const T* x = rows_[0] + begin;
        const int64_t offset = offsets_[0];
        s = reduce_run(reducer_, taps, [&](int64_t i, auto family) {
          using L = decltype(family);
          return reducer_.template lift<L>(load<L>(x + i), count_up<L>(offset + i));
        });
      } else {
        const ScratchRow<A> row = row_.at(begin);
        s = reduce_run(reducer_, taps, [&](int64_t i, auto family) {
          using L = decltype(family);
          using LaneState = typename R::template State<L>;
          return reducer_.template moved<L>(row.template get<L, LaneState>(i), count_up<L>(i));
        });
      }
      s = reducer_.template moved<One>(s, typename One::Int(width_.first[o]));
      put<One>(out_ + o, s, A(count_ * width_.divisor[o]));
    }
  }

  typename R::template State<Single<A>> dilated_run(int64_t begin, int64_t taps, bool direct) const {
    using One = Single<A>;
    using State = typename R::template State<One>;
    State s = reducer_.template identity<One>();
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t column = begin + t * width_.dilation;
      const State cell = direct ? reducer_.template lift<One>(load<One>(rows_[0] + column),
                                                              typename One::Int(offsets_[0]))
                                : row_.template get<One, State>(column);
      s = reducer_.template combine<One>(s, reducer_.template moved<One>(cell, typename One::Int(t)));
    }
    return s;
  }

  template <class L>
  static typename L::Index count_up(int64_t start) {
    if constexpr (L::lanes == 1) {
      return typename L::Int(start);
    } else {
      typename L::Index v;
      for (int i = 0; i < L::lanes; ++i) v[i] = typename L::Int(start + i);
      return v;
    }
  }

  template <class Source, class Counts>
  void finish_lanes(const Source& source, int64_t k, int64_t out, int64_t n, const Counts& counts) {
    for_lanes<A>(n, Tail::overlap, [&](int64_t i, auto family) {
      using L = decltype(family);
      auto s = reduce_at<R, L>(reducer_, source, k, i);
      s = reducer_.template moved<L>(s, L::splat_index(typename L::Int(tap_shift_)));
      put<L>(out + i, s, counts(i, family));
    });
  }

  template <class L, class S>
  void put(int64_t out, const S& state, typename L::Value count) {
    store<L>(y_ + out, reducer_.template finish<L>(state, count));
    if constexpr (R::kWinners) {
      const int bytes = plan_.winner_bytes;
      store_index<L>(static_cast<char*>(call_.winners) + out * bytes, bytes, reducer_.template winner<L>(state));
    }
  }

  // Recomputes, cell by cell, the outputs that may have left the accumulator's range.
  void repair(int64_t outer, int64_t od, int64_t oh, int64_t first) {
    using One = Single<A>;
    const int64_t begin = width_.trivial ? first : first * inner_;
    const int64_t whole = width_.out * inner_;
    const int64_t tile = plan_.forward.tile * (width_.trivial ? 1 : inner_);
    const int64_t end = begin + tile < whole ? begin + tile : whole;
    for (int64_t i = begin; i < end; ++i) {
      if (reducer_.in_range(double(load<One>(y_ + out_ + i)))) continue;
      const int64_t ow = i / inner_, lane = i % inner_;
      typename R::Repair window;
      each_cell(outer, od, oh, ow, lane, [&](double x) { window.look(x); });
      if (!window.settled()) each_cell(outer, od, oh, ow, lane, [&](double x) { window.take(x, reducer_.exact_p); });
      store<One>(y_ + out_ + i, A(window.result(reducer_.exact_p, count_ * width_.divisor[ow])));
    }
  }

  template <class Visit>
  void each_cell(int64_t outer, int64_t od, int64_t oh, int64_t ow, int64_t lane, const Visit& visit) const {
    using One = Single<A>;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const int64_t id = depth_.base[od] + td * depth_.dilation;
      for (int64_t th = height_.first[oh]; th < height_.last[oh]; ++th) {
        const int64_t ih = height_.base[oh] + th * height_.dilation;
        for (int64_t tw = width_.first[ow]; tw < width_.last[ow]; ++tw) {
          const int64_t iw = width_.base[ow] + tw * width_.dilation;
          visit(double(load<One>(x_ + (((outer * depth_.in + id) * height_.in + ih) * width_.in + iw) * inner_ + lane)));
        }
      }
    }
  }

  const ForwardCall& call_;
  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t inner_;
  const R reducer_;
  const T* x_;
  T* y_;
  const T** rows_;
  int64_t* offsets_;
  A* counts_;
  ScratchRow<A> row_, result_;
  int64_t k_ = 0, out_ = 0, tap_shift_ = 0;
  double count_ = 1;
};

template <class T, class R>
void run_forward(const ForwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Forward<T, R>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
