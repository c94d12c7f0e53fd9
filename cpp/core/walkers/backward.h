// Backward in gather form: every input cell sums over the outputs whose windows cover it, in row-major
// order, so that nothing is written twice and the result does not depend on threads.
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class R>
class Backward {
  using A = typename R::Accumulator;
  template <class L>
  using Pull = typename R::template Pull<L>;

  // An output row that covers the current input row, or, channels last, an output cell.
  struct Cover {
    int64_t out;     // its first element
    int64_t offset;  // winner offset, in its windows, of the input row's (cell's) first tap
    double count;    // the divisor's factor known so far
  };

  // A tap that inputs of one phase of the stride take part in, in the output `shift` before theirs.
  struct PhaseTap {
    int64_t tap, shift;
  };

 public:
  Backward(const BackwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        inner_(plan_.problem.inner),
        reducer_(plan_.problem),
        grad_y_(static_cast<const T*>(call.grad_y)),
        x_(static_cast<const T*>(call.x)),
        y_(static_cast<const T*>(call.y)),
        grad_x_(static_cast<T*>(call.grad_x)) {
    covers_ = static_cast<Cover*>(scratch);
    cells_ = covers_ + depth_.cover * height_.cover;
    A* cursor = reinterpret_cast<A*>(cells_ + depth_.cover * height_.cover * width_.cover);
    counts_ = cursor;
    if (inner_ == 1) {
      for (int64_t o = 0; o < width_.out; ++o) counts_[o] = A(width_.divisor[o]);
      cursor += width_.out + kSlack;
    }
    if (inner_ == 1 && width_.regular) cursor = sort_taps(cursor);
    sums_ = cursor;
    cursor += plan_.backward.tile + (width_.regular ? width_.stride * (kSlack + 2) : kSlack);
    pulls_.base = cursor;
    pulls_.pitch = reach() + kSlack;
  }

  void run(int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t tile = unit % plan_.backward.tiles;
      int64_t rest = unit / plan_.backward.tiles;
      const int64_t ih = rest % height_.in;
      rest /= height_.in;
      const int64_t id = rest % depth_.in;
      input_row(rest / depth_.in, id, ih, tile);
    }
  }

 private:
  // Outputs, in steps of one, that a tile of inputs can meet (regular windows).
  int64_t reach() const {
    return width_.regular ? (plan_.backward.tile + (width_.kernel - 1) * width_.dilation) / width_.stride + 2 : 0;
  }

  // Tap t meets the phase t * dilation mod stride.
  A* sort_taps(A* cursor) {
    phases_ = reinterpret_cast<int64_t*>(reinterpret_cast<uintptr_t>(cursor + 1) & ~uintptr_t{7});
    taps_ = reinterpret_cast<PhaseTap*>(phases_ + width_.stride + 1);
    int64_t n = 0;
    for (int64_t phase = 0; phase < width_.stride; ++phase) {
      phases_[phase] = n;
      for (int64_t tap = 0; tap < width_.kernel; ++tap) {
        const int64_t reach = tap * width_.dilation;
        if (reach % width_.stride == phase) taps_[n++] = {tap, reach / width_.stride};
      }
    }
    phases_[width_.stride] = n;
    return reinterpret_cast<A*>(taps_ + n);
  }

  // The tap of output o at input i, or -1.
  static int64_t tap_at(const AxisPlan& axis, int64_t o, int64_t i) {
    const int64_t distance = i - axis.base[o];
    if (distance < 0) return -1;
    if (axis.dilation != 1 && distance % axis.dilation != 0) return -1;
    const int64_t tap = axis.dilation == 1 ? distance : distance / axis.dilation;
    return tap >= axis.first[o] && tap < axis.last[o] ? tap : -1;
  }

  void input_row(int64_t outer, int64_t id, int64_t ih, int64_t tile) {
    n_covers_ = 0;
    for (int64_t od = depth_.cover_begin[id]; od < depth_.cover_end[id]; ++od) {
      const int64_t td = tap_at(depth_, od, id);
      if (td < 0) continue;
      for (int64_t oh = height_.cover_begin[ih]; oh < height_.cover_end[ih]; ++oh) {
        const int64_t th = tap_at(height_, oh, ih);
        if (th < 0) continue;
        covers_[n_covers_++] = {((outer * depth_.out + od) * height_.out + oh) * width_.out * inner_,
                                (td * height_.kernel + th) * width_.kernel,
                                depth_.divisor[od] * height_.divisor[oh]};
      }
    }
    in_ = ((outer * depth_.in + id) * height_.in + ih) * width_.in * inner_;
    const int64_t first = tile * plan_.backward.tile;
    if (width_.trivial) {
      for (int64_t c = 0; c < n_covers_; ++c) {
        cells_[c] = covers_[c];
        cells_[c].count *= width_.divisor[0];
      }
      const int64_t end = first + plan_.backward.tile < inner_ ? first + plan_.backward.tile : inner_;
      sum_cells(n_covers_, in_, first, end);
      return;
    }
    const int64_t end = first + plan_.backward.tile < width_.in ? first + plan_.backward.tile : width_.in;
    if (inner_ > 1) {
      across_channels(first, end);
    } else if (width_.regular) {
      along_width(first, end);
    } else {
      along_runs(first, end);
    }
  }

  template <class L>
  Pull<L> pull_from(int64_t out, typename L::Value count) const {
    typename L::Value y{};
    typename L::Index winner{};
    if constexpr ((R::kNeeds & kNeedsY) != 0) y = load<L>(y_ + out);
    if constexpr ((R::kNeeds & kNeedsWinners) != 0) {
      const int bytes = plan_.winner_bytes;
      winner = load_index<L>(static_cast<const char*>(call_.winners) + out * bytes, bytes);
    }
    return reducer_.template prepare<L>(load<L>(grad_y_ + out), y, winner, count);
  }

  // Channels last: lanes [first, end) of the input cell at `in`, over the first n of cells_.
  void sum_cells(int64_t n, int64_t in, int64_t first, int64_t end) {
    for_lanes<A>(end - first, Tail::overlap, [&](int64_t i, auto family) {
      using L = decltype(family);
      const int64_t lane = first + i;
      typename L::Value x{};
      if constexpr ((R::kNeeds & kNeedsX) != 0) x = load<L>(x_ + in + lane);
      typename L::Value sum{};
      for (int64_t c = 0; c < n; ++c) {
        const Cover& cell = cells_[c];
        const Pull<L> pulled = pull_from<L>(cell.out + lane, L::splat(A(cell.count)));
        sum = add<L>(sum, reducer_.template pull<L>(x, pulled, L::splat_index(typename L::Int(cell.offset))));
      }
      store<L>(grad_x_ + in + lane, sum);
    });
  }

  void across_channels(int64_t first, int64_t end) {
    for (int64_t iw = first; iw < end; ++iw) {
      int64_t n = 0;
      for (int64_t c = 0; c < n_covers_; ++c) {
        for (int64_t ow = width_.cover_begin[iw]; ow < width_.cover_end[iw]; ++ow) {
          const int64_t tw = tap_at(width_, ow, iw);
          if (tw < 0) continue;
          const Cover& row = covers_[c];
          cells_[n++] = {row.out + ow * inner_, row.offset + tw, row.count * width_.divisor[ow]};
        }
      }
      sum_cells(n, in_ + iw * inner_, 0, inner_);
    }
  }

  // Channels first: what the covering rows hand back stands in zero-padded scratch rows, one each, or a
  // single one with their sum where the gradient is linear; then, for each phase of the stride, lanes
  // run over the inputs of that phase.
  void along_width(int64_t first, int64_t end) {
    const int64_t s = width_.stride, p = width_.pad_low, d = width_.dilation;
    const int64_t effective = (width_.kernel - 1) * d + 1;
    const int64_t low = floor_div(first + p - effective + 1, s);
    const int64_t outputs = floor_div(end - 1 + p, s) + 1 - low;
    fill_pulls(low, outputs);

    const int64_t rows = R::kLinear && n_covers_ > 1 ? 1 : n_covers_;
    const int64_t t_first = floor_div(first + p, s);
    for (int64_t phase = 0; phase < s; ++phase) {
      // Inputs s * t + phase - p of the tile, t in [t_begin, t_end).
      const int64_t t_begin = floor_div(first + p - phase + s - 1, s);
      const int64_t t_end = floor_div(end - 1 + p - phase, s) + 1;
      const int64_t start = s * t_begin + phase - p;
      const PhaseTap* taps = taps_ + phases_[phase];
      const PhaseTap* taps_end = taps_ + phases_[phase + 1];
      const auto sum_at = [&](int64_t i, auto family) {
        using L = decltype(family);
        typename L::Value x{};
        if constexpr ((R::kNeeds & kNeedsX) != 0) x = load_strided<L>(x_ + in_ + start + i * s, s);
        typename L::Value sum{};
        for (int64_t c = 0; c < rows; ++c) {
          const ScratchRow<A> row = pulls_row(c).at(t_begin + i - low);
          for (const PhaseTap* tap = taps; tap != taps_end; ++tap) {
            const Pull<L> pulled = row.template get<L, Pull<L>>(-tap->shift);
            const auto offset = L::splat_index(typename L::Int(covers_[c].offset + tap->tap));
            sum = add<L>(sum, reducer_.template pull<L>(x, pulled, offset));
          }
        }
        return sum;
      };
      if (s == 1) {
        for_lanes<A>(t_end - t_begin, Tail::overlap, [&](int64_t i, auto family) {
          store<decltype(family)>(grad_x_ + in_ + start + i, sum_at(i, family));
        });
      } else {
        A* sums = sums_ + phase * phase_pitch() + (t_begin - t_first);
        for_lanes<A>(t_end - t_begin, Tail::overlap,
                     [&](int64_t i, auto family) { store<decltype(family)>(sums + i, sum_at(i, family)); });
      }
    }
    if (s > 1) interleave(first, end, t_first);
  }

  int64_t phase_pitch() const { return plan_.backward.tile / width_.stride + 2 + kSlack; }

  // Sums of phase r stand for the inputs s * t + r - p, from t_first on.
  void interleave(int64_t first, int64_t end, int64_t t_first) {
    const int64_t s = width_.stride, p = width_.pad_low;
    int64_t i = first;
    int64_t phase = first + p - t_first * s, t = 0;
    if (s == 2) {
      if (phase == 1) {
        store<Single<A>>(grad_x_ + in_ + i++, sums_[phase_pitch()]);
        t = 1;
      }
      using L = Wide<A>;
      for (; i + 2 * L::lanes <= end; i += 2 * L::lanes, t += L::lanes) {
        const auto even = load<L>(sums_ + t), odd = load<L>(sums_ + phase_pitch() + t);
        store<L>(grad_x_ + in_ + i, zipped_low<L>(even, odd));
        store<L>(grad_x_ + in_ + i + L::lanes, zipped_high<L>(even, odd));
      }
      phase = 0;
    }
    for (; i < end; ++i) {
      store<Single<A>>(grad_x_ + in_ + i, sums_[phase * phase_pitch() + t]);
      if (++phase == s) {
        phase = 0;
        ++t;
      }
    }
  }

  static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

  ScratchRow<A> pulls_row(int64_t c) const { return {pulls_.base + c * kMaxFields * pulls_.pitch, pulls_.pitch}; }

  // Outputs low ... low + outputs - 1 of every covering row; those that do not exist hand back nothing.
  void fill_pulls(int64_t low, int64_t outputs) {
    const int64_t begin = low < 0 ? 0 : low;
    const int64_t end = low + outputs < width_.out ? low + outputs : width_.out;
    for (int64_t c = 0; c < n_covers_; ++c) {
      const ScratchRow<A> row = pulls_row(R::kLinear ? 0 : c);
      const A rest = A(covers_[c].count);
      const int64_t out = covers_[c].out + begin;
      const bool add_to = R::kLinear && c > 0;
      if (!add_to) {
        clear(row, begin - low < outputs ? begin - low : outputs);
        if (end - low < outputs) clear(row.at(end - low < 0 ? 0 : end - low), outputs - (end - low < 0 ? 0 : end - low));
      }
      const ScratchRow<A> inside = row.at(begin - low);
      const auto transfer = [&](int64_t i, auto family, bool accumulate) {
        using L = decltype(family);
        Pull<L> pulled = pull_from<L>(out + i, load<L>(counts_ + begin + i) * rest);
        if constexpr (R::kLinear) {
          if (accumulate) pulled.gradient = add<L>(pulled.gradient, inside.template get<L, Pull<L>>(i).gradient);
        }
        inside.template put<L>(i, pulled);
      };
      // Adding to a row is not idempotent: its last lanes must not overlap.
      const int64_t n = end - begin;
      const int64_t whole = add_to ? n - n % Wide<A>::lanes : n;
      for_lanes<A>(whole, Tail::overlap, [&](int64_t i, auto family) { transfer(i, family, add_to); });
      for (int64_t i = whole; i < n; ++i) transfer(i, Single<A>{}, add_to);
    }
  }

  void clear(ScratchRow<A> row, int64_t lanes) const {
    using One = Single<A>;
    for (int64_t i = 0; i < lanes; ++i) row.template put<One>(i, Pull<One>{});
  }

  // Few, long or uneven windows: each output hands its share to its own run of lanes.
  void along_runs(int64_t first, int64_t end) {
    using One = Single<A>;
    for (int64_t i = first; i < end; ++i) sums_[i - first] = A(0);
    for (int64_t c = 0; c < n_covers_; ++c) {
      const Cover& row = covers_[c];
      for (int64_t o = width_.cover_begin[first]; o < width_.cover_end[end - 1]; ++o) {
        const Pull<One> pulled = pull_from<One>(row.out + o, A(row.count * width_.divisor[o]));
        if (width_.dilation == 1) {
          add_run(row, o, pulled, first, end);
        } else {
          for (int64_t tap = width_.first[o]; tap < width_.last[o]; ++tap) {
            const int64_t i = width_.base[o] + tap * width_.dilation;
            if (i >= first && i < end) add_lanes<One>(i, first, pulled, typename One::Int(row.offset + tap));
          }
        }
      }
    }
    for_lanes<A>(end - first, Tail::overlap, [&](int64_t i, auto family) {
      using L = decltype(family);
      store<L>(grad_x_ + in_ + first + i, load<L>(sums_ + i));
    });
  }

  void add_run(const Cover& row, int64_t o, const Pull<Single<A>>& pulled, int64_t first, int64_t end) {
    using Many = Wide<A>;
    int64_t i = width_.base[o] + width_.first[o];
    const int64_t stop = width_.base[o] + width_.last[o] < end ? width_.base[o] + width_.last[o] : end;
    if (i < first) i = first;
    const int64_t offset = row.offset - width_.base[o];
    if (stop - i >= Many::lanes) {
      const Pull<Many> spread = splat(pulled);
      typename Many::Index offsets;
      for (int lane = 0; lane < Many::lanes; ++lane) offsets[lane] = typename Many::Int(offset + i + lane);
      for (; i + Many::lanes <= stop; i += Many::lanes) {
        add_lanes<Many>(i, first, spread, offsets);
        offsets += Many::lanes;
      }
    }
    for (; i < stop; ++i) add_lanes<Single<A>>(i, first, pulled, typename Single<A>::Int(offset + i));
  }

  template <class L>
  void add_lanes(int64_t i, int64_t first, const Pull<L>& pulled, typename L::Index offset) {
    typename L::Value x{};
    if constexpr ((R::kNeeds & kNeedsX) != 0) x = load<L>(x_ + in_ + i);
    A* sums = sums_ + (i - first);
    store<L>(sums, add<L>(load<L>(sums), reducer_.template pull<L>(x, pulled, offset)));
  }

  static Pull<Wide<A>> splat(const Pull<Single<A>>& pulled) {
    constexpr int fields = sizeof(pulled) / sizeof(A);
    using Many = Wide<A>;
    Pull<Many> spread;
    for (int f = 0; f < fields; ++f) {
      typename Many::Int bits;
      __builtin_memcpy(&bits, reinterpret_cast<const char*>(&pulled) + f * sizeof(A), sizeof(A));
      const typename Many::Index lanes = Many::splat_index(bits);
      __builtin_memcpy(reinterpret_cast<char*>(&spread) + f * sizeof(lanes), &lanes, sizeof(lanes));
    }
    return spread;
  }

  const BackwardCall& call_;
  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t inner_;
  const R reducer_;
  const T *grad_y_, *x_, *y_;
  T* grad_x_;
  Cover *covers_, *cells_;
  A *counts_, *sums_;
  int64_t* phases_ = nullptr;
  PhaseTap* taps_ = nullptr;
  ScratchRow<A> pulls_;
  int64_t n_covers_ = 0, in_ = 0;
};

template <class T, class R>
void run_backward(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Backward<T, R>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
