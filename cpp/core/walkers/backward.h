// Backward in gather form: every input cell sums over the outputs whose windows cover it, in row-major
// order, so that nothing is written twice and the result does not depend on threads.
#pragma once

#include "pulls.h"

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
    int64_t slot;    // the scratch row that holds what it hands back
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
        pulls_from_(call),
        reducer_(pulls_from_.reducer),
        x_(static_cast<const T*>(call.x)),
        grad_x_(static_cast<T*>(call.grad_x)) {
    const int64_t most = depth_.cover * height_.cover;
    rows_ = static_cast<const T**>(scratch);
    offsets_ = reinterpret_cast<int64_t*>(rows_ + most);
    held_ = offsets_ + most;
    for (int64_t c = 0; c < most; ++c) offsets_[c] = 0, held_[c] = -1;
    covers_ = reinterpret_cast<Cover*>(held_ + most);
    cells_ = covers_ + most;
    A* cursor = reinterpret_cast<A*>(cells_ + most * width_.cover);
    counts_ = cursor;
    if (inner_ == 1) {
      for (int64_t o = 0; o < width_.out; ++o) counts_[o] = R::kDivides ? A(width_.divisor[o]) : A(1);
      cursor += width_.out + kSlack;
    }
    if (inner_ == 1 && width_.regular) cursor = sort_taps(cursor);
    if (plan_.cover_picks) cursor = find_picks(cursor);
    sums_ = cursor;
    cursor += plan_.backward.tile + (width_.regular ? width_.stride * (kSlack + 2) : kSlack);
    pulls_.base = cursor;
    pulls_.pitch = reach() + kSlack;
  }

  void run(int64_t begin, int64_t end) {
    int64_t tile = begin % plan_.backward.tiles, rest = begin / plan_.backward.tiles;
    int64_t ih = rest % height_.in;
    rest /= height_.in;
    int64_t id = rest % depth_.in, outer = rest / depth_.in;
    for (int64_t unit = begin; unit < end; ++unit) {
      input_row(outer, id, ih, tile);
      if (++tile < plan_.backward.tiles) continue;
      tile = 0;
      if (++ih < height_.in) continue;
      ih = 0;
      if (++id < depth_.in) continue;
      id = 0;
      ++outer;
    }
  }

 private:
  // Outputs, in steps of one, that a tile of inputs can meet (regular windows).
  int64_t reach() const {
    if (!width_.regular) return width_.out + 1;
    return (plan_.backward.tile + (width_.kernel - 1) * width_.dilation) / width_.stride + 2;
  }

  // The outputs that cover each input: the c-th of input i at picks_[c * in + i], or the one after the last.
  A* find_picks(A* cursor) {
    picks_ = reinterpret_cast<int32_t*>(cursor);
    for (int64_t c = 0; c < width_.cover; ++c) {
      for (int64_t i = 0; i < width_.in; ++i) {
        const int64_t o = width_.cover_begin[i] + c;
        picks_[c * width_.in + i] = int32_t(o < width_.cover_end[i] ? o : width_.out);
      }
    }
    return cursor + (width_.cover * width_.in + 1) / 2 * 2;
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

  // Neighbouring inputs find an output's row in the same slot.
  static int64_t first_slot(const AxisPlan& axis, int64_t i) {
    return axis.cover <= 1 || R::kLinear ? 0 : axis.cover_begin[i] % axis.cover;
  }

  void input_row(int64_t outer, int64_t id, int64_t ih, int64_t tile) {
    n_covers_ = 0;
    int64_t plane_slot = first_slot(depth_, id);
    for (int64_t od = depth_.cover_begin[id]; od < depth_.cover_end[id]; ++od, ++plane_slot) {
      const int64_t td = tap_at(depth_, od, id);
      if (td < 0) continue;
      if (plane_slot >= depth_.cover) plane_slot -= depth_.cover;
      int64_t row_slot = first_slot(height_, ih);
      for (int64_t oh = height_.cover_begin[ih]; oh < height_.cover_end[ih]; ++oh, ++row_slot) {
        if (row_slot >= height_.cover) row_slot -= height_.cover;
        const int64_t th = tap_at(height_, oh, ih);
        if (th < 0) continue;
        covers_[n_covers_++] = {((outer * depth_.out + od) * height_.out + oh) * width_.out * inner_,
                                (td * height_.kernel + th) * width_.kernel, depth_.divisor[od] * height_.divisor[oh],
                                R::kLinear ? 0 : plane_slot * height_.cover + row_slot};
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
    } else if (R::kLinear && plan_.cover_picks) {
      along_picks(first, end);
    } else {
      along_runs(first, end);
    }
  }

  // Channels last: lanes [first, end) of the input cell at `in`, over the first n of cells_.
  void sum_cells(int64_t n, int64_t in, int64_t first, int64_t end) {
    for_lanes<A>(end - first, 0,
                 [=, cells = cells_, pulls = pulls_from_, x = x_, grad_x = grad_x_](int64_t i, auto family) {
                   using L = decltype(family);
                   const int64_t lane = first + i;
                   typename L::Value cell{}, sum{};
                   if constexpr ((R::kNeeds & kNeedsX) != 0) cell = load<L>(x + in + lane);
                   for (int64_t c = 0; c < n; ++c) {
                     const A count = R::kDivides ? A(cells[c].count) : A(1);
                     const Pull<L> pulled = pulls.template at<L>(cells[c].out + lane, L::splat(count));
                     const auto offset = L::splat_index(typename L::Int(cells[c].offset));
                     sum = add<L>(sum, pulls.reducer.template pull<L>(cell, pulled, offset));
                   }
                   store<L>(grad_x + in + lane, sum);
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
          cells_[n++] = {row.out + ow * inner_, row.offset + tw, row.count * width_.divisor[ow], 0};
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

    const int64_t t_first = floor_div(first + p, s);
    for (int64_t phase = 0; phase < s; ++phase) {
      // Inputs s * t + phase - p of the tile, t in [t_begin, t_end).
      const int64_t t_begin = floor_div(first + p - phase + s - 1, s);
      const int64_t t_end = floor_div(end - 1 + p - phase, s) + 1;
      T* in_place = grad_x_ + in_ + s * t_begin + phase - p;
      A* aside = sums_ + phase * phase_pitch() + (t_begin - t_first);
      const int64_t n_taps = phases_[phase + 1] - phases_[phase];
      if constexpr (!kTuned<R>) {
        add_taps<0>(phase, t_begin, t_end - t_begin, low, in_place, aside);
      } else if (n_taps == 1) {
        add_taps<1>(phase, t_begin, t_end - t_begin, low, in_place, aside);
      } else if (n_taps == 2) {
        add_taps<2>(phase, t_begin, t_end - t_begin, low, in_place, aside);
      } else if (n_taps == 3) {
        add_taps<3>(phase, t_begin, t_end - t_begin, low, in_place, aside);
      } else {
        add_taps<0>(phase, t_begin, t_end - t_begin, low, in_place, aside);
      }
    }
    if (s > 1) interleave(first, end, t_first);
  }

  // The sums of n inputs of one phase: in place at stride 1, else aside. `known` taps, or those of the phase if 0.
  template <int known>
  void add_taps(int64_t phase, int64_t t_begin, int64_t n, int64_t low, T* in_place, A* aside) const {
    const int64_t rows = R::kLinear && n_covers_ > 1 ? 1 : n_covers_;
    const PhaseTap* taps = taps_ + phases_[phase];
    const int64_t n_taps = known != 0 ? known : phases_[phase + 1] - phases_[phase];
    PhaseTap few[known == 0 ? 1 : known];
    for (int t = 0; t < known; ++t) few[t] = taps[t];
    const T* x = x_ + (in_place - grad_x_);
    const ScratchRow<A> pulls = pulls_;
    const Cover* covers = covers_;
    const int64_t s = width_.stride;
    const auto sum_at = [=, reducer = reducer_](int64_t i, auto family) {
      using L = decltype(family);
      typename L::Value cell{}, sum{};
      if constexpr ((R::kNeeds & kNeedsX) != 0) cell = load_strided<L>(x + i * s, s);
      const auto take = [&](const ScratchRow<A>& row, int64_t offset, const PhaseTap& tap) {
        const Pull<L> pulled = row.template get<L, Pull<L>>(-tap.shift);
        return reducer.template pull<L>(cell, pulled, L::splat_index(typename L::Int(offset + tap.tap)));
      };
      for (int64_t c = 0; c < rows; ++c) {
        const ScratchRow<A> row = slot(pulls, covers[c].slot).at(t_begin + i - low);
        if (n_taps == 0) break;
        // A sum a row, so that the rows need not wait for one another.
        typename L::Value part = take(row, covers[c].offset, known != 0 ? few[0] : taps[0]);
        if constexpr (known != 0) {
#pragma GCC unroll 3
          for (int t = 1; t < known; ++t) part = add<L>(part, take(row, covers[c].offset, few[t]));
        } else {
          for (int64_t t = 1; t < n_taps; ++t) part = add<L>(part, take(row, covers[c].offset, taps[t]));
        }
        sum = add<L>(sum, part);
      }
      return sum;
    };
    if (s == 1) {
      for_lanes<A>(n, 0, [=](int64_t i, auto family) { store<decltype(family)>(in_place + i, sum_at(i, family)); });
    } else {
      for_lanes<A>(n, 0, [=](int64_t i, auto family) { store<decltype(family)>(aside + i, sum_at(i, family)); });
    }
  }

  int64_t phase_pitch() const { return floor_div(plan_.backward.tile, width_.stride) + 2 + kSlack; }

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
      constexpr int64_t both = 2 * L::lanes;
      const int64_t start = i;
      while (end - i >= 2 && end - start >= both) {
        if (i + both > end) {  // the last pairs overlap those before
          const int64_t back = both - (end - i) / 2 * 2;
          i -= back;
          t -= back / 2;
        }
        const auto even = load<L>(sums_ + t), odd = load<L>(sums_ + phase_pitch() + t);
        store<L>(grad_x_ + in_ + i, zipped_low<L>(even, odd));
        store<L>(grad_x_ + in_ + i + L::lanes, zipped_high<L>(even, odd));
        i += both;
        t += L::lanes;
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

  static int64_t floor_div(int64_t a, int64_t b) {
    if (b <= 2) return a >> (b - 1);  // the usual strides, without a division
    return a >= 0 ? a / b : -((-a + b - 1) / b);
  }

  static ScratchRow<A> slot(ScratchRow<A> pulls, int64_t i) {
    return {pulls.base + i * kMaxFields * pulls.pitch, pulls.pitch};
  }

  // Outputs low ... low + outputs - 1 of every covering row; those that do not exist hand back nothing.
  void fill_pulls(int64_t low, int64_t outputs) {
    const int64_t begin = low < 0 ? 0 : low;
    const int64_t end = low + outputs < width_.out ? low + outputs : width_.out;
    if (R::kLinear && alike()) {
      const ScratchRow<A> row = pulls_;
      clear_around(row, low, begin, end, outputs);
      for (int64_t c = 0; c < n_covers_; ++c) rows_[c] = pulls_from_.grad_y + covers_[c].out + begin;
      add_rows(row.at(begin - low), counts_ + begin, end - begin);
      return;
    }
    for (int64_t c = 0; c < n_covers_; ++c) {
      const ScratchRow<A> row = slot(pulls_, covers_[c].slot);
      const A rest = R::kDivides ? A(covers_[c].count) : A(1);
      const int64_t out = covers_[c].out + begin, n = end - begin;
      if (R::kLinear && c > 0) {
        add_row(row.at(begin - low), out, begin, n, rest);
        continue;
      }
      // The row may still be there from the input row before.
      if (!R::kLinear && held_[covers_[c].slot] == out) continue;
      held_[covers_[c].slot] = out;
      clear_around(row, low, begin, end, outputs);
      for_lanes<A>(
          n, 0, [=, to = row.at(begin - low), counts = counts_ + begin, pulls = pulls_from_](int64_t i, auto family) {
            using L = decltype(family);
            to.template put<L>(i, pulls.template at<L>(out + i, load<L>(counts + i) * rest));
          });
    }
  }

  // Adding in place is not idempotent: the last lanes must not overlap.
  void add_row(ScratchRow<A> to, int64_t out, int64_t begin, int64_t n, A rest) const {
    if constexpr (R::kLinear) {
      const auto transfer = [&](int64_t i, auto family) {
        using L = decltype(family);
        Pull<L> pulled = pulls_from_.template at<L>(out + i, load<L>(counts_ + begin + i) * rest);
        pulled.gradient = add<L>(pulled.gradient, to.template get<L, Pull<L>>(i).gradient);
        to.template put<L>(i, pulled);
      };
      int64_t i = 0;
      for (; i + Wide<A>::lanes <= n; i += Wide<A>::lanes) transfer(i, Wide<A>{});
      for (; i < n; ++i) transfer(i, Single<A>{});
    }
  }

  bool alike() const {
    for (int64_t c = 1; c < n_covers_; ++c) {
      if (covers_[c].count != covers_[0].count) return false;
    }
    return n_covers_ > 0;
  }

  // The gradients of the rows found, added and divided once.
  void add_rows(ScratchRow<A> to, const A* counts, int64_t n) const {
    if constexpr (R::kLinear) {
      with_rows<kTuned<R>, T>(rows_, offsets_, n_covers_, [=, this, reducer = reducer_, k = n_covers_](auto rows) {
        const A rest = A(covers_[0].count);
        for_lanes<A>(n, 0, [=](int64_t i, auto family) {
          using L = decltype(family);
          const typename L::Value none{}, sum = reduce_at<R, L>(reducer, rows, k, i).sum;
          const typename L::Index nobody{};
          to.template put<L>(i, reducer.template prepare<L>(sum, none, nobody, load<L>(counts + i) * rest));
        });
      });
    }
  }

  void clear_around(ScratchRow<A> row, int64_t low, int64_t begin, int64_t end, int64_t outputs) const {
    clear(row, begin - low < outputs ? begin - low : outputs);
    const int64_t after = end - low < 0 ? 0 : end - low;
    if (after < outputs) clear(row.at(after), outputs - after);
  }

  void clear(ScratchRow<A> row, int64_t lanes) const {
    using One = Single<A>;
    for (int64_t i = 0; i < lanes; ++i) row.template put<One>(i, Pull<One>{});
  }

  // Uneven windows, few over an input: each input picks what they hand back from a scratch row.
  void along_picks(int64_t first, int64_t end) {
    if constexpr (R::kLinear) {
      const int64_t begin = width_.cover_begin[first];
      for (int64_t c = 0; c < n_covers_; ++c) add_outputs(c, begin, width_.cover_end[end - 1]);
      const ScratchRow<A> row = pulls_;
      clear(row.at(width_.out), 1);
      pick(row, first, end);
    }
  }

  // To what the scratch row holds of outputs [begin, end), what they hand back in the c-th of the covering rows.
  void add_outputs(int64_t c, int64_t begin, int64_t end) const {
    const int64_t out = covers_[c].out;
    const int64_t outputs = plan_.problem.outer * depth_.out * height_.out * width_.out;
    const A rest = R::kDivides ? A(covers_[c].count) : A(1);
    for_lanes_once<A>(end - begin, outputs - out - begin,
                      [=, to = pulls_, counts = counts_, pulls = pulls_from_](int64_t i, auto family) {
                        using L = decltype(family);
                        const int64_t o = begin + i;
                        Pull<L> pulled = pulls.template at<L>(out + o, load<L>(counts + o) * rest);
                        const typename L::Value before = to.template get<L, Pull<L>>(o).gradient;
                        if (c > 0) pulled.gradient = add<L>(before, pulled.gradient);
                        to.template put<L>(o, pulled);
                      });
  }

  void pick(ScratchRow<A> row, int64_t first, int64_t end) const {
    for_lanes<A>(end - first, 0,
                 [=, covers = n_covers_ > 0 ? width_.cover : 0, in = width_.in, picks = picks_ + first,
                  to = grad_x_ + in_ + first](int64_t i, auto family) {
                   using L = decltype(family);
                   typename L::Value sum{};
                   for (int64_t c = 0; c < covers; ++c) {
                     const auto words = load_picked<L>(row.base, picks + c * in + i);
                     sum = add<L>(sum, bit_cast<typename L::Value>(words));
                   }
                   store<L>(to + i, sum);
                 });
  }

  // Few, long or uneven windows: each output hands its share to its own run of lanes.
  void along_runs(int64_t first, int64_t end) {
    using One = Single<A>;
    for (int64_t i = first; i < end; ++i) sums_[i - first] = A(0);
    for (int64_t c = 0; c < n_covers_; ++c) {
      const Cover& row = covers_[c];
      for (int64_t o = width_.cover_begin[first]; o < width_.cover_end[end - 1]; ++o) {
        const Pull<One> pulled = pulls_from_.template at<One>(row.out + o, A(row.count * width_.divisor[o]));
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
    for_lanes<A>(end - first, 0, [&](int64_t i, auto family) {
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
      const Pull<Many> all = spread<R>(pulled);
      typename Many::Index offsets = count_up<Many>(offset + i);
      for (; i + Many::lanes <= stop; i += Many::lanes) {
        add_lanes<Many>(i, first, all, offsets);
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

  const BackwardCall& call_;
  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t inner_;
  const Pulls<T, R> pulls_from_;
  const R& reducer_;
  const T* x_;
  T* grad_x_;
  const T** rows_;
  int64_t *offsets_, *held_;  // the outputs in each scratch row, by their first
  Cover *covers_, *cells_;
  A *counts_, *sums_;
  int64_t* phases_ = nullptr;
  PhaseTap* taps_ = nullptr;
  int32_t* picks_ = nullptr;
  ScratchRow<A> pulls_;
  int64_t n_covers_ = 0, in_ = 0;
};

template <class T, class R>
void run_backward(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Backward<T, R>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
