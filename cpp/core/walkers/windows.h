// Methods that need all cells of a window at once: the cells of as many windows as there are lanes are gathered into
// scratch, one vector for each cell, and handed to the method's selector (reducers/selector.h).
//
//   channels first (inner == 1)   lanes run over outputs along the width
//   channels last  (inner > 1)    lanes run over channels
//
// Padding is never gathered: windows that the border cuts along the width are taken one by one.
#pragma once

#include "../kernels.h"
#include "../reducers/philox.h"
#include "../reducers/selector.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Gathers windows row by row and hands them to Derived::take<L>(i, place), i counting from the row's first output: each
// once, as what is taken may be added to.
template <class T, class S, class Derived>
class WindowLoop {
 protected:
  using A = typename S::Accumulator;

  // Where the cells of some windows stand in each of their rows: tap t of lane i at start + i * apart + t * step.
  struct Place {
    int64_t first, last;  // taps
    int64_t start, apart, step;
  };

  WindowLoop(const Plan& plan, const void* x, const void* x_end, void* scratch)
      : plan_(plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        inner_(plan_.problem.inner),
        selector_(plan_.problem),
        x_(static_cast<const T*>(x)),
        x_end_(static_cast<const T*>(x_end)) {
    const int64_t rows = depth_.kernel * height_.kernel;
    char* cursor = static_cast<char*>(scratch);
    rows_ = reinterpret_cast<const T**>(cursor);
    row_offsets_ = reinterpret_cast<int64_t*>(rows_ + rows);
    offsets_ = row_offsets_ + rows;
    const auto end = reinterpret_cast<uintptr_t>(offsets_ + rows * width_.kernel);
    cells_ = cursor + (end + 63) / 64 * 64 - reinterpret_cast<uintptr_t>(cursor);
    if (inner_ > 1) return;
    // The outputs whose windows are whole and one stride apart share their taps.
    const auto whole = [this](int64_t o) { return width_.first[o] == 0 && width_.last[o] == width_.kernel; };
    while (whole_begin_ < width_.out && !whole(whole_begin_)) ++whole_begin_;
    whole_end_ = whole_begin_;
    while (whole_end_ < width_.out && whole(whole_end_) && width_.base[whole_end_] == reached(whole_end_)) ++whole_end_;
  }

  // Outputs [first, last) of a row: cells of the width or, where it is trivial, lanes.
  void output_row(int64_t outer, int64_t od, int64_t oh, int64_t first, int64_t last) {
    find_rows(outer, od, oh);
    out_ = ((outer * depth_.out + od) * height_.out + oh) * width_.out * inner_;
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
    for_lanes_once<A>(last - first, 0, [&](int64_t i, auto family) {
      const int64_t start = width_.base[o] * inner_ + first + i;
      visit<decltype(family)>(o * inner_ + first + i,
                              Place{width_.first[o], width_.last[o], start, 1, width_.dilation * inner_});
    });
  }

  // The input rows of an output row's windows, with the offset of each one's first tap.
  void find_rows(int64_t outer, int64_t od, int64_t oh) {
    k_ = 0;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const int64_t plane = outer * depth_.in + depth_.base[od] + td * depth_.dilation;
      for (int64_t th = height_.first[oh]; th < height_.last[oh]; ++th) {
        const int64_t row = plane * height_.in + height_.base[oh] + th * height_.dilation;
        rows_[k_] = x_ + row * width_.in * inner_;
        row_offsets_[k_++] = (td * height_.kernel + th) * width_.kernel;
      }
    }
  }

  template <class L>
  POOLKIT_INLINE Window<L> window() const {
    auto* cells = reinterpret_cast<typename L::Value*>(cells_);
    const typename L::Value nothing_drawn{};
    return {cells, offsets_, n_, cells + n_, nothing_drawn};
  }

  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t inner_;
  const S selector_;
  const T *x_, *x_end_;
  const T** rows_;
  int64_t k_ = 0, n_ = 0;  // rows and cells of the current windows
  int64_t out_ = 0;        // first output of the current row

 private:
  // Where the window of output o begins if it is as far from the first whole one as strides say.
  int64_t reached(int64_t o) const { return width_.base[whole_begin_] + (o - whole_begin_) * width_.stride; }

  // The offsets of the taps [begin, end) of all rows.
  void find_offsets(int64_t begin, int64_t end) {
    n_ = 0;
    for (int64_t row = 0; row < k_; ++row) {
      for (int64_t tap = begin; tap < end; ++tap) offsets_[n_++] = row_offsets_[row] + tap;
    }
  }

  void along_width(int64_t first, int64_t last) {
    const int64_t from = first > whole_begin_ ? first : whole_begin_, to = last < whole_end_ ? last : whole_end_;
    for (int64_t o = first; o < last; ++o) {
      if (from < to && o == from) {
        find_offsets(0, width_.kernel);
        for_lanes_once<A>(to - from, 0, [&](int64_t i, auto family) {
          const Place place{0, width_.kernel, reached(from + i), width_.stride, width_.dilation};
          visit<decltype(family)>(from + i, place);
        });
        o = to;
        if (o == last) break;
      }
      find_offsets(width_.first[o], width_.last[o]);
      visit<Single<A>>(o, Place{width_.first[o], width_.last[o], width_.base[o], 1, width_.dilation});
    }
  }

  template <class L>
  POOLKIT_INLINE void visit(int64_t i, const Place& place) {
    auto* to = reinterpret_cast<typename L::Value*>(cells_);
    for (int64_t row = 0; row < k_; ++row) {
      const T* start = rows_[row] + place.start;
      for (int64_t tap = place.first; tap < place.last; ++tap) {
        *to++ = spaced<L>(start + tap * place.step, place.apart);
      }
    }
    static_cast<Derived*>(this)->template take<L>(i, place);
  }

  // Every stride-th number from p on.
  template <class L>
  POOLKIT_INLINE typename L::Value spaced(const T* p, int64_t stride) const {
    if constexpr (L::lanes == 1) {
      return load<L>(p);
    } else {
      if (stride == 1) return load<L>(p);
      if (stride == 2 && p + 2 * L::lanes <= x_end_) return load_apart<L, 2>(p, 2);
      return load_strided<L>(p, stride);
    }
  }

  int64_t* row_offsets_;
  int64_t* offsets_;
  char* cells_;
  int64_t whole_begin_ = 0, whole_end_ = 0;
};

// Forward: what the selector chooses.
template <class T, class S>
class Windows : WindowLoop<T, S, Windows<T, S>> {
  using Loop = WindowLoop<T, S, Windows<T, S>>;
  friend Loop;

 public:
  Windows(const ForwardCall& call, void* scratch) : Loop(*call.plan, call.x, call.x_end, scratch), call_(call) {}

  void run(int64_t begin, int64_t end) {
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
      for (int64_t oh = first_row; oh < stop; ++oh) this->output_row(outer, od, oh, first, last);
    }
  }

 private:
  template <class L>
  POOLKIT_INLINE void take(int64_t i, const typename Loop::Place&) {
    Window<L> window = this->template window<L>();
    const int64_t out = this->out_ + i;
    if constexpr (S::kDraws) window.uniform = uniform_from<L>(out);
    const Chosen<L> chosen = this->selector_.template choose<L>(window);
    store<L>(static_cast<T*>(call_.y) + out, chosen.value);
    if constexpr (S::kWinners) {
      const int bytes = this->plan_.winner_bytes;
      store_index<L>(static_cast<char*>(call_.winners) + out * bytes, bytes, chosen.winner);
    }
  }

  // The random numbers of the outputs from this one on, each by its index in a contiguous array.
  template <class L>
  POOLKIT_INLINE typename L::Value uniform_from(int64_t out) const {
    int64_t index[L::lanes];
    if (call_.channels == 1) {
      for (int lane = 0; lane < L::lanes; ++lane) index[lane] = out + lane;
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
};

template <class T, class S>
void run_windows(const ForwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Windows<T, S>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
