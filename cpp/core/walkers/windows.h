// Methods that need all cells of a window at once: the cells of as many windows as there are lanes are gathered into
// scratch, one vector for each cell, and handed to the method's selector (reducers/selector.h).
//
//   channels first (inner == 1)   lanes run over outputs along the width
//   channels last  (inner > 1)    lanes run over channels
//
// Padding is never gathered: windows that the border cuts along the width are taken one by one or, forward, column by
// column, lanes running over rows. Where a window is a whole plane of neighbouring cells, lanes run over planes.
#pragma once

#include "../kernels.h"
#include "../reducers/philox.h"
#include "../reducers/selector.h"
#include "columns.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Where the cells of a window are so far apart, each is a stream of its own, more than the processor foresees.
constexpr int64_t kFarTaps = 512;

// Gathers windows row by row and hands them to Derived::take(window, i, place, inside), i counting from the row's first
// output: each once, as what is taken may be added to. Lanes that are not inside hold nothing.
template <class T, class S, class Derived>
class WindowLoop {
 protected:
  using A = typename S::Accumulator;

  // Where the cells of some windows stand in each of their rows: tap t of lane i at start + i * apart + t * step. Their
  // outputs are `next` apart.
  struct Place {
    int64_t first, last;  // taps
    int64_t start, apart, step;
    int64_t next = 1;

    Place moved(int64_t lanes) const { return {first, last, start + lanes * apart, apart, step, next}; }
  };

  struct Inside {
    int begin, end;
  };

  WindowLoop(const Plan& plan, const void* x, const void* logits, const void* x_end, void* scratch)
      : plan_(plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        inner_(plan_.problem.inner),
        selector_(plan_.problem),
        x_(static_cast<const T*>(x)),
        logits_(static_cast<const T*>(logits)),
        x_end_(static_cast<const T*>(x_end)) {
    const int64_t rows = depth_.kernel * height_.kernel;
    char* cursor = static_cast<char*>(scratch);
    rows_ = reinterpret_cast<const T**>(cursor);
    row_offsets_ = reinterpret_cast<int64_t*>(rows_ + rows);
    offsets_ = row_offsets_ + rows;
    const auto end = reinterpret_cast<uintptr_t>(offsets_ + rows * width_.kernel);
    cells_ = cursor + (end + 63) / 64 * 64 - reinterpret_cast<uintptr_t>(cursor);
    // The outputs whose windows are whole and one stride apart share their taps.
    const auto whole = [this](int64_t o) { return width_.first[o] == 0 && width_.last[o] == width_.kernel; };
    while (whole_begin_ < width_.out && !whole(whole_begin_)) ++whole_begin_;
    whole_end_ = whole_begin_;
    while (whole_end_ < width_.out && whole(whole_end_) && width_.base[whole_end_] == reached(whole_end_)) ++whole_end_;
  }

  void start_row(int64_t outer, int64_t od, int64_t oh) {
    find_rows(outer, od, oh);
    out_ = ((outer * depth_.out + od) * height_.out + oh) * width_.out * inner_;
  }

  // Outputs [first, last) of a row: cells of the width or, where it is trivial, lanes.
  void output_row(int64_t outer, int64_t od, int64_t oh, int64_t first, int64_t last) {
    start_row(outer, od, oh);
    if (width_.trivial) {
      across_channels(0, first, last);
    } else if (inner_ > 1) {
      for (int64_t o = first; o < last; ++o) across_channels(o, 0, inner_);
    } else {
      along_width(first, last);
    }
  }

  // Channels [first, last) of one output cell.
  void across_channels(int64_t o, int64_t first, int64_t last) {
    find_offsets(width_.first[o], width_.last[o]);
    const int64_t start = width_.base[o] * inner_ + first;
    in_lanes(o * inner_ + first, last - first, {width_.first[o], width_.last[o], start, 1, width_.dilation * inner_},
             visitor());
  }

  // n outputs from i on to visit(family, i, place, inside); the last vector takes those before again where outputs
  // may be taken twice, or runs over their end where the input goes on.
  template <class Visit>
  POOLKIT_INLINE void in_lanes(int64_t i, int64_t n, const Place& place, const Visit& visit) {
    using L = Wide<A>;
    constexpr int lanes = L::lanes;
    if (n == 1) return visit(Single<A>{}, i, place, Inside{0, 1});  // its scratch may hold no more (plan.cpp)
    int64_t done = 0;
    for (; done + lanes <= n; done += lanes) visit(L{}, i + done * place.next, place.moved(done), Inside{0, lanes});
    const int rest = int(n - done);
    if (rest == 0) return;
    if (Derived::kTakesTwice && n >= lanes) {
      return visit(L{}, i + (n - lanes) * place.next, place.moved(n - lanes), Inside{0, lanes});
    }
    const int64_t reach = (done + lanes - 1) * place.apart + (place.last - 1) * place.step;
    if (rows_[k_ - 1] + place.start + reach < x_end_) {
      visit(L{}, i + done * place.next, place.moved(done), Inside{0, rest});
    } else if (n >= lanes) {
      visit(L{}, i + (n - lanes) * place.next, place.moved(n - lanes), Inside{lanes - rest, lanes});
    } else {
      for (; done < n; ++done) visit(Single<A>{}, i + done * place.next, place.moved(done), Inside{0, 1});
    }
  }

  // Gathers windows.
  POOLKIT_INLINE auto visitor() {
    return [this](auto family, int64_t i, const Place& place, Inside inside) {
      this->template visit<decltype(family)>(i, place, inside);
    };
  }

  template <class L>
  POOLKIT_INLINE void visit(int64_t i, const Place& place, Inside inside) {
    if constexpr (L::lanes > 1) {
      if (k_ == 2 && place.last - place.first == 2) return visit_pairs<L>(i, place, inside);
    }
    const Window<L> window = this->window<L>();
    auto* to = const_cast<typename L::Value*>(window.cells);
    auto* logits = const_cast<typename L::Value*>(window.logits);
    for (int64_t row = 0; row < k_; ++row) {
      const T* start = rows_[row] + place.start;
      for (int64_t tap = place.first; tap < place.last; ++tap) {
        if (L::lanes > 1 && place.step >= kFarTaps) __builtin_prefetch(start + tap * place.step + 2 * L::lanes, 0, 2);
        *to++ = spaced<L>(start + tap * place.step, place.apart);
        if constexpr (kLogits<S>) *logits++ = spaced_logits<L>(start + tap * place.step, place.apart);
      }
    }
    derived().take(window, i, place, inside);
  }

  // As many planes as there are lanes, from this one on, the window of each in a lane.
  void gather_planes(int64_t plane) {
    using L = Wide<A>;
    using V = typename L::Value;
    const int64_t cells = width_.in;
    n_ = cells;
    for (int64_t t = 0; t < cells; ++t) offsets_[t] = t;
    const Window<L> window = this->window<L>();
    const auto gather = [cells](const T* from, V* to) {
      int64_t t = 0;
      for (; t + L::lanes <= cells; t += L::lanes) {
        V v[L::lanes];
        load_transposed<L>(v, [=](int i) { return from + i * cells + t; });
#pragma GCC unroll 16
        for (int i = 0; i < L::lanes; ++i) to[t + i] = v[i];
      }
      for (; t < cells; ++t) to[t] = load_strided<L>(from + t, cells);
    };
    gather(x_ + plane * cells, const_cast<V*>(window.cells));
    if constexpr (kLogits<S>) gather(logits_ + plane * cells, const_cast<V*>(window.logits));
  }

  // Calls groups(plane) for as many planes at a time as there are lanes, the last ones maybe twice; false if there
  // are too few for that, or they are no windows.
  template <class F>
  bool for_planes(int64_t begin, int64_t end, const F& groups) const {
    constexpr int64_t lanes = Wide<A>::lanes;
    if (!plan_.abreast || end - begin < lanes) return false;
    for (int64_t plane = begin; plane < end; plane += lanes) groups(plane + lanes <= end ? plane : end - lanes);
    return true;
  }

  // The input rows of an output row's windows, with the offset of each one's first tap.
  void find_rows(int64_t outer, int64_t od, int64_t oh) {
    k_ = rows_of(plan_, x_, outer, od, oh, rows_, row_offsets_);
    // Short rows end before the processor has seen where they lead: those of the output row after the next one.
    const int64_t row = width_.in * inner_, ahead = height_.stride * row;
    if (ahead <= kFetchedCells) fetch_lines<false>(rows_[k_ - 1] + row + ahead, ahead);
  }

  template <class L>
  POOLKIT_INLINE Window<L> window() const {
    auto* cells = reinterpret_cast<typename L::Value*>(cells_);
    Window<L> window{cells, offsets_, n_, cells + n_};
    if constexpr (kLogits<S>) window.logits = cells + 2 * n_, window.logit_spare = cells + 3 * n_;
    return window;
  }

  // Where the window of output o begins if it is as far from the first whole one as strides say.
  int64_t reached(int64_t o) const { return width_.base[whole_begin_] + (o - whole_begin_) * width_.stride; }

  // The offsets of the taps [begin, end) of all rows.
  void find_offsets(int64_t begin, int64_t end) {
    n_ = 0;
    for (int64_t row = 0; row < k_; ++row) {
      for (int64_t tap = begin; tap < end; ++tap) offsets_[n_++] = row_offsets_[row] + tap;
    }
  }

  // Every stride-th number from p on, or of the logits there.
  template <class L>
  POOLKIT_INLINE typename L::Value spaced(const T* p, int64_t stride) const {
    return spaced<L>(p, stride, p);
  }
  template <class L>
  POOLKIT_INLINE typename L::Value spaced_logits(const T* p, int64_t stride) const {
    return spaced<L>(p, stride, logits_ + (p - x_));
  }
  template <class L>
  POOLKIT_INLINE typename L::Value spaced(const T* p, int64_t stride, const T* from) const {
    if constexpr (L::lanes == 1) {
      return load<L>(from);
    } else {
      if (stride == 1) return load<L>(from);
      if (stride == 2 && p + 2 * L::lanes <= x_end_) return load_apart<L, 2>(from, 2);
      return load_strided<L>(from, stride);
    }
  }

  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t inner_;
  const S selector_;
  const T *x_, *logits_, *x_end_;  // logits_ where the selector reads them
  const T** rows_;
  int64_t k_ = 0, n_ = 0;  // rows and cells of the current windows
  int64_t out_ = 0;        // first output of the current row
  int64_t* offsets_;       // of the cells of the current windows
  int64_t whole_begin_ = 0, whole_end_ = 0;

 private:
  void along_width(int64_t first, int64_t last) {
    const int64_t from = first > whole_begin_ ? first : whole_begin_, to = last < whole_end_ ? last : whole_end_;
    for (int64_t o = first; o < last; ++o) {
      if (from < to && o == from) {
        find_offsets(0, width_.kernel);
        in_lanes(from, to - from, {0, width_.kernel, reached(from), width_.stride, width_.dilation}, visitor());
        o = to;
        if (o == last) break;
      }
      find_offsets(width_.first[o], width_.last[o]);
      visit<Single<A>>(o, Place{width_.first[o], width_.last[o], width_.base[o], 1, width_.dilation}, {0, 1});
    }
  }

  // The same where windows have two rows and two columns, as most have: their cells stay in registers.
  template <class L>
  POOLKIT_INLINE void visit_pairs(int64_t i, const Place& place, Inside inside) {
    using V = typename L::Value;
    V cells[4], spare[4], logits[4], logit_spare[4];
    const auto gather = [&](const T* p, const T* from, V* to) {
      if (place.apart == 2 && place.step == 1 && p + 2 * L::lanes <= x_end_) {
        const V a = load<L>(from), b = load<L>(from + L::lanes);
        to[0] = evens<L>(a, b);
        to[1] = odds<L>(a, b);
      } else {
        to[0] = spaced<L>(p, place.apart, from);
        to[1] = spaced<L>(p + place.step, place.apart, from + place.step);
      }
    };
    Window<L> window{cells, offsets_, 4, spare};
    for (int row = 0; row < 2; ++row) {
      const T* start = rows_[row] + place.start + place.first * place.step;
      gather(start, start, cells + 2 * row);
      if constexpr (kLogits<S>) gather(start, logits_ + (start - x_), logits + 2 * row);
    }
    if constexpr (kLogits<S>) window.logits = logits, window.logit_spare = logit_spare;
    derived().take(window, i, place, inside);
  }

  Derived& derived() { return *static_cast<Derived*>(this); }

  int64_t* row_offsets_;
  char* cells_;
};

// Forward: what the selector chooses.
template <class T, class S>
class Windows : WindowLoop<T, S, Windows<T, S>> {
  using Loop = WindowLoop<T, S, Windows<T, S>>;
  friend Loop;
  using typename Loop::A;
  using typename Loop::Inside;
  using typename Loop::Place;

  static constexpr bool kTakesTwice = true;

 public:
  Windows(const ForwardCall& call, void* scratch)
      : Loop(*call.plan, call.x, call.logits, call.x_end, scratch),
        call_(call),
        columns_(static_cast<char*>(scratch) + window_scratch(*call.plan, kLogits<S>) - column_scratch(*call.plan),
                 call.plan->square_pitch) {}

  void run(int64_t begin, int64_t end) {
    const bool done = this->for_planes(begin, end, [this](int64_t plane) {
      this->gather_planes(plane);
      this->out_ = plane;
      take(this->template window<Wide<A>>(), 0, Place{}, {0, Wide<A>::lanes});
    });
    if (done) return;
    const Tiling& tiling = this->plan_.forward;
    const int64_t height = this->height_.out, depth = this->depth_.out;
    const int64_t length = this->width_.trivial ? this->inner_ : this->width_.out;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t tile = unit % tiling.tiles;
      int64_t rest = unit / tiling.tiles;
      const int64_t first_row = rest % tiling.blocks * tiling.rows;
      rest /= tiling.blocks;
      const int64_t od = rest % depth, outer = rest / depth;
      const int64_t stop = first_row + tiling.rows < height ? first_row + tiling.rows : height;
      const int64_t first = tile * tiling.tile, last = first + tiling.tile < length ? first + tiling.tile : length;
      for (int64_t oh = first_row, alike; oh < stop; oh += alike) {
        alike = this->height_.alike[oh] < stop - oh ? this->height_.alike[oh] : stop - oh;
        rows(outer, od, oh, alike, first, last);
      }
    }
  }

 private:
  // Outputs [first, last) of some rows alike. Those whose windows the border cuts along the width are taken column by
  // column, lanes running over the rows.
  void rows(int64_t outer, int64_t od, int64_t oh, int64_t alike, int64_t first, int64_t last) {
    if (this->inner_ == 1 && alike > 1 && !this->width_.trivial) {
      const int64_t begin = this->whole_begin_ < last ? this->whole_begin_ : last;
      const int64_t from = first > begin ? first : begin;
      const int64_t end = this->whole_end_ > from ? this->whole_end_ : from, to = last < end ? last : end;
      this->start_row(outer, od, oh);
      for (int64_t o = first; o < from; ++o) column(o, alike);
      for (int64_t o = to; o < last; ++o) column(o, alike);
      first = from;
      last = to;
    }
    for (int64_t r = 0; r < alike && first < last; ++r) {
      if (!middles(outer, od, oh + r, first, last)) this->output_row(outer, od, oh + r, first, last);
    }
  }

  // Output o of the current row and of those alike.
  void column(int64_t o, int64_t alike) {
    const AxisPlan& width = this->width_;
    this->find_offsets(width.first[o], width.last[o]);
    const Place place{width.first[o], width.last[o], width.base[o], this->height_.stride * width.in,
                      width.dilation, width.out};
    this->in_lanes(o, alike, place, this->visitor());
  }

  template <class L>
  POOLKIT_INLINE void take(Window<L> window, int64_t i, const Place& place, Inside inside) {
    if constexpr (S::kDraws) window.uniform = uniform_from<L>(this->out_ + i, place.next);
    put<L>(i, this->selector_.template choose<L>(window), place.next, inside);
  }

  template <class L>
  POOLKIT_INLINE void put(int64_t i, const Chosen<L>& chosen, int64_t next, Inside inside) {
    const int64_t out = this->out_ + i;
    const int bytes = this->plan_.winner_bytes;
    T* y = static_cast<T*>(call_.y) + out;
    char* winners = static_cast<char*>(call_.winners) + out * bytes;
    if (inside.end - inside.begin == L::lanes && (L::lanes == 1 || next == 1)) {
      store<L>(y, chosen.value);
      if constexpr (S::kWinners) store_index<L>(winners, bytes, chosen.winner);
      return;
    }
    T values[L::lanes];
    char offsets[L::lanes * 4];
    store<L>(values, chosen.value);
    if constexpr (S::kWinners) store_index<L>(offsets, bytes, chosen.winner);
    const int begin = inside.begin, n = inside.end - begin;
    if (next == 1) {
      __builtin_memcpy(y + begin, values + begin, sizeof(T) * size_t(n));
      if constexpr (S::kWinners) __builtin_memcpy(winners + begin * bytes, offsets + begin * bytes, size_t(n * bytes));
      return;
    }
    for (int i = inside.begin; i < inside.end; ++i) y[i * next] = values[i];
    if constexpr (S::kWinners) {
      for (int i = inside.begin; i < inside.end; ++i) {
        for (int byte = 0; byte < bytes; ++byte) winners[i * next * bytes + byte] = offsets[i * bytes + byte];
      }
    }
  }

  // An output row of middle cells of square windows; false if it is no such row.
  bool middles(int64_t outer, int64_t od, int64_t oh, int64_t first, int64_t last) {
    if constexpr (kRanks<S>) {
      const int64_t k = this->plan_.square;
      if (k == 0 || this->height_.last[oh] - this->height_.first[oh] != k || !this->selector_.is_middle(k * k)) {
        return false;
      }
      const int64_t from = first > this->whole_begin_ ? first : this->whole_begin_;
      const int64_t to = last < this->whole_end_ ? last : this->whole_end_;
      if (from >= to) return false;
      this->output_row(outer, od, oh, first, from);
      this->output_row(outer, od, oh, to, last);
      k == 3 ? whole_squares<3>(from, to) : whole_squares<5>(from, to);
      return true;
    }
    return false;
  }

  // The outputs [from, to) of the current row, none cut by the border.
  template <int k>
  void whole_squares(int64_t from, int64_t to) {
    const AxisPlan& width = this->width_;
    const int64_t inner = this->inner_, effective = (k - 1) * width.dilation + 1;
    this->find_offsets(0, k);
    for (int64_t begin = from; begin < to; begin += this->plan_.square_tile) {
      const int64_t end = begin + this->plan_.square_tile < to ? begin + this->plan_.square_tile : to;
      const int64_t start = this->reached(begin) * inner;
      const int64_t lanes = ((end - begin - 1) * width.stride + effective) * inner;
      const bool goes_on = this->rows_[k - 1] + start + lanes + Wide<A>::lanes <= this->x_end_;
      columns_.template sort<k>(this->rows_, start, lanes, goes_on ? kAnyRoom : 0);
      if (inner == 1 && width.stride == 2) {
        squares<k, 2>(begin, end - begin, {0, k, start, 2, width.dilation}, start);
      } else if (inner == 1) {
        const Place place{0, k, start, width.stride, width.dilation};
        width.stride == 1 ? squares<k, 1>(begin, end - begin, place, start)
                          : squares<k, 0>(begin, end - begin, place, start);
      } else {
        for (int64_t o = begin; o < end; ++o) {
          squares<k, 1>(o * inner, inner, {0, k, this->reached(o) * inner, 1, width.dilation * inner}, start);
        }
      }
    }
  }

  template <int k, int kStride>
  void squares(int64_t i, int64_t n, const Place& place, int64_t start) {
    this->in_lanes(i, n, place, [this, start](auto family, int64_t i, const Place& place, Inside inside) {
      using L = decltype(family);
      const int64_t at = place.start - start;
      if (!columns_.template finite<L, k, kStride>(at, place.apart, place.step)) {
        return this->template visit<L>(i, place, inside);
      }
      Chosen<L> chosen{columns_.template middle<L, k, kStride>(at, place.apart, place.step), {}};
      if constexpr (S::kWinners) chosen.winner = this->template first_equal_cell<L>(place, chosen.value);
      this->template put<L>(i, chosen, place.next, inside);
    });
  }

  template <class L>
  POOLKIT_INLINE typename L::Index first_equal_cell(const Place& place, typename L::Value value) const {
    int64_t t = this->n_ - 1;
    typename L::Index winner = L::splat_index(typename L::Int(this->offsets_[t]));
    for (int64_t row = this->k_ - 1; row >= 0; --row) {
      for (int64_t tap = place.last - 1; tap >= place.first; --tap, --t) {
        const auto cell = this->template spaced<L>(this->rows_[row] + place.start + tap * place.step, place.apart);
        winner = cell == value ? L::splat_index(typename L::Int(this->offsets_[t])) : winner;
      }
    }
    return winner;
  }

  // The random numbers of the outputs from this one on, each by its index in a contiguous array.
  template <class L>
  POOLKIT_INLINE typename L::Value uniform_from(int64_t out, int64_t next) {
    if (call_.channels == 1 && (next == 1 || L::lanes == 1)) return uniforms_.template at<L>(call_.seed, out);
    int64_t index[L::lanes];
    if (call_.channels == 1) {
      for (int lane = 0; lane < L::lanes; ++lane) index[lane] = out + lane * next;
    } else {
      int64_t channel = out % call_.channels, rest = out / call_.channels;
      for (int lane = 0; lane < L::lanes; ++lane) {
        const int64_t sample = rest / call_.cells, cell = rest % call_.cells;
        index[lane] = (sample * call_.channels + channel) * call_.cells + cell;
        if (++channel == call_.channels) channel = 0, ++rest;
      }
    }
    return uniform_at<L>(call_.seed, index);
  }

  const ForwardCall& call_;
  SortedColumns<T, A> columns_;
  UniformRun<A> uniforms_;
};

template <class T, class S>
void run_windows(const ForwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Windows<T, S>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
