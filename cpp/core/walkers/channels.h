// Forward over channels-last planes whose windows share their parts: lanes run over channels, and the windows of a
// plane are reduced along its rows, then down these, as in maps side by side (abreast.h).
#pragma once

#include "../kernels.h"
#include "following.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class R>
class Channels {
  using A = typename R::Accumulator;
  using L = Wide<A>;
  using V = typename L::Value;
  static constexpr int64_t kLanes = L::lanes;
  static constexpr int64_t kGroup = kChannelBytes / sizeof(A);  // channels at a time

  // Output rows [begin, end), with the input rows [top, bottom) that they reach; those before `fresh` are reduced.
  struct Band {
    int64_t begin, end, top, fresh, bottom;
  };

 public:
  Channels(const ForwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        height_(plan_.height),
        width_(plan_.width),
        inner_(plan_.problem.inner),
        counts_(static_cast<A*>(scratch)),
        states_{static_cast<A*>(whole_vectors(counts_ + plan_.channel_rows)), plan_.channel_states * kGroup} {}

  // Units are blocks of rows of outputs in a tile of the channels; the last tile has those left over.
  void run(int64_t begin, int64_t end) {
    const Tiling& tiling = plan_.channels;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t tile = unit % tiling.tiles, row = unit / tiling.tiles % tiling.blocks * tiling.rows;
      const int64_t last = row + tiling.rows < height_.out ? row + tiling.rows : height_.out;
      outer_ = unit / tiling.tiles / tiling.blocks;
      first_ = tile * tiling.tile;
      const int64_t stop = tile + 1 == tiling.tiles ? inner_ : first_ + tiling.tile;
      for (; first_ + kLanes <= stop; first_ += lanes_) {
        lanes_ = stop - first_ < kGroup ? (stop - first_) / kLanes * kLanes : kGroup;
        rows(row, last);
      }
      if (first_ == stop) continue;
      first_ = stop - kLanes;  // the last ones again
      lanes_ = kLanes;
      rows(row, last);
    }
  }

 private:
  void rows(int64_t begin, int64_t end) {
    bool numbers = true;
    Band band{};
    for (int64_t row = begin; row < end; row += plan_.channel_rows) {
      const int64_t held = band.bottom, from = band.top;
      band.begin = row;
      band.end = row + plan_.channel_rows < end ? row + plan_.channel_rows : end;
      band.top = height_.base[row] + height_.first[row];
      band.bottom = height_.base[band.end - 1] + height_.last[band.end - 1];
      band.fresh = held > band.top ? held : band.top;
      keep_states(band.top - from, band.fresh - band.top);
      if constexpr (kSeesNaN<R>) {
        numbers &= are_numbers(band);
        numbers ? reduce<typename R::OfNumbers>(band) : reduce<R>(band);
      } else {
        reduce<R>(band);
      }
    }
  }

  // The first rows of a band are there already, so many rows further down.
  void keep_states(int64_t down, int64_t rows) const {
    const int64_t line = width_.out * lanes_;
    if (rows == 0 || down == 0) return;
    for (int f = 0; f < Words<L, typename R::template State<L>>::count; ++f) {
      A* const to = states_.base + f * states_.pitch;
      __builtin_memmove(to, to + down * line, sizeof(A) * size_t(rows * line));
    }
  }

  const T* cell(int64_t row, int64_t column) const {
    return static_cast<const T*>(call_.x) + ((outer_ * height_.in + row) * width_.in + column) * inner_ + first_;
  }

  bool are_numbers(const Band& band) const {
    bool numbers = true;
    const T *begin = cell(band.fresh, 0), *const end = cell(band.bottom, 0);
    for (const T* x = begin; x < end; x += inner_) {
      for (int64_t i = 0; i < lanes_; i += kLanes) {
        const V v = load<L>(x + i);
        numbers &= !any_nan<L>(v, v);
      }
    }
    return numbers;
  }

  template <class Q>
  void reduce(const Band& band) const {
    const Q reducer(plan_.problem);
    for (int64_t row = band.fresh; row < band.bottom; ++row) along_row(reducer, row, row - band.top);
    for (int64_t o = 0; o < width_.out; ++o) {
      if constexpr (Q::kDivides) count_cells(band, o);
      down_column(reducer, band, o);
    }
  }

  // The states of the windows' rows in a row of the input.
  template <class Q>
  void along_row(const Q& reducer, int64_t row, int64_t line) const {
    const ScratchRow<A> states = states_.at(line * width_.out * lanes_);
    for (int64_t first = 0; first < width_.out; first += width_.followers[first]) {
      const CellsOf<T> source = {cell(row, width_.base[first] + width_.first[first]), inner_};
      const Followers all = Followers::from(width_, first, width_.out, inner_, lanes_ / kLanes, kLanes);
      const ScratchRow<A> to = states.at(first * lanes_);
      Following<Q, L, CellsOf<T>>(reducer, source, all)
          .each([=, lanes = lanes_, tap = width_.first + first, place = row * width_.kernel](
                    int64_t vector, int64_t o, int64_t before, const auto& state) {
            to.template put<L>(o * lanes + vector * kLanes,
                               placed<L>(reducer, state, [=] { return place + tap[o] - before; }));
          });
    }
  }

  // What the windows of a column of outputs count.
  void count_cells(const Band& band, int64_t o) const {
    if (o > 0 && width_.divisor[o] == width_.divisor[o - 1]) return;
    for (int64_t row = band.begin; row < band.end; ++row) {
      counts_[row - band.begin] = A(height_.divisor[row] * width_.divisor[o] * plan_.depth.divisor[0]);
    }
  }

  // The results of a column of outputs.
  template <class Q>
  void down_column(const Q& reducer, const Band& band, int64_t o) const {
    const int64_t line = width_.out * lanes_, pitch = width_.out * inner_;
    for (int64_t oh = band.begin, n; oh < band.end; oh += n) {
      const int64_t start = height_.base[oh] + height_.first[oh] - band.top;
      const StatesOf<A> source = {states_.at(start * line + o * lanes_), line};
      const Followers all = Followers::from(height_, oh, band.end, line, lanes_ / kLanes, kLanes);
      n = all.n;
      const int64_t out = ((outer_ * height_.out + oh) * width_.out + o) * inner_ + first_;
      T* const y = static_cast<T*>(call_.y) + out;
      const int bytes = plan_.winner_bytes;
      char* const winners = static_cast<char*>(call_.winners) + out * bytes;
      Following<Q, L, StatesOf<A>>(reducer, source, all)
          .each([=, counts = counts_ + (oh - band.begin), base = height_.base + oh, kernel = width_.kernel](
                    int64_t vector, int64_t r, int64_t, const auto& found) {
            const auto state = placed<L>(reducer, found, [=] { return -base[r] * kernel; });
            const int64_t at = r * pitch + vector * kLanes;
            store<L>(y + at, reducer.template finish<L>(state, L::splat(Q::kDivides ? counts[r] : A(1))));
            if constexpr (Q::kWinners) store_index<L>(winners + at * bytes, bytes, reducer.template winner<L>(state));
          });
    }
  }

  const ForwardCall& call_;
  const Plan& plan_;
  const AxisPlan &height_, &width_;
  const int64_t inner_;
  A* const counts_;  // of the rows of a band
  const ScratchRow<A> states_;
  int64_t outer_ = 0, first_ = 0, lanes_ = 0;  // the current channels
};

template <class T, class R>
void run_channels(const ForwardCall& call, int64_t begin, int64_t end, void* scratch) {
  Channels<T, R>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
