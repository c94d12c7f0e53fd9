// Forward over small channels-first maps: as many maps as there are lanes are taken together, the same cell of each in
// one vector. So no vector runs over a row's end, whatever the map's width, the stride or the windows' places. The maps
// are transposed into scratch, reduced there as if they were channels last, and the results transposed back.
#pragma once

#include "../kernels.h"
#include "following.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// The reducer of maps side by side: another where R's lanes are too narrow for these.
template <class R>
struct AbreastOf {
  using type = R;
};
template <class R>
  requires requires { typename R::Abreast; }
struct AbreastOf<R> {
  using type = typename R::Abreast;
};

template <class R>
constexpr bool kGoesAbreast = kTuned<R> && sizeof(typename AbreastOf<R>::type::Accumulator) >= 4;

// Maps from one on, one a lane; where lanes are too many the last map is repeated.
template <int lanes>
struct AllMaps {
  static int64_t count() { return lanes; }
  POOLKIT_INLINE int64_t operator[](int i) const { return i; }
  template <class F>
  POOLKIT_INLINE void each(const F& f) const {
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) f(i);
  }
};

struct SomeMaps {
  int maps;
  int64_t count() const { return maps; }
  int64_t operator[](int i) const { return i < maps ? i : maps - 1; }
  template <class F>
  void each(const F& f) const {
    for (int i = 0; i < maps; ++i) f(i);
  }
};

// Calls f(cell) for blocks of as many cells as there are lanes; the last may overlap the one before. There are
// enough for one (plan.cpp).
template <int64_t lanes, class F>
POOLKIT_INLINE void for_blocks(int64_t cells, const F& f) {
  for (int64_t cell = 0; cell < cells; cell += lanes) f(cell + lanes <= cells ? cell : cells - lanes);
}

template <class T, class R>
class Abreast {
  using A = typename R::Accumulator;
  using L = Wide<A>;
  using V = typename L::Value;
  static constexpr int64_t kLanes = L::lanes;

  // Output rows [begin, end): as many as stay in the nearest cache, with the input rows [top, bottom) that they reach.
  struct Band {
    int64_t begin, end, top, bottom;
  };

 public:
  Abreast(const ForwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        slice_(height_.in * width_.in) {
    // Before the cells there is room for a block of them (read).
    row_places_ = static_cast<int64_t*>(scratch);
    window_places_ = row_places_ + height_.in;
    counts_ = reinterpret_cast<A*>(window_places_ + height_.out);
    rests_ = counts_ + width_.out;
    cells_ = static_cast<A*>(whole_vectors(rests_ + plan_.abreast_rows)) + kLanes * kLanes;
    A* cursor = cells_ + depth_.kernel * plan_.abreast_cells * kLanes;
    const auto states = [&](int64_t count) {
      const ScratchRow<A> row = {cursor, count * kLanes};
      cursor += Words<L, typename R::template State<L>>::count * row.pitch;
      return row;
    };
    states_ = states(abreast_row_states(plan_));
    slices_ = states(abreast_slice_states(plan_));
    results_ = cursor;
    cursor += plan_.abreast_rows * width_.out * kLanes;
    winners_ = cursor;
    if constexpr (R::kWinners) place_rows();
    if constexpr (R::kDivides) {
      for (int64_t o = 0; o < width_.out; ++o) counts_[o] = A(width_.divisor[o]);
    }
  }

  // Units are output slices of maps.
  void run(int64_t begin, int64_t end) {
    for (int64_t od = 0; od < depth_.out; ++od) {
      const int64_t first = (begin - od + depth_.out - 1) / depth_.out, last = (end - od + depth_.out - 1) / depth_.out;
      for (int64_t map = first; map < last; map += kLanes) {
        ahead_ = map + 2 * kLanes <= last ? kLanes : 0;
        map + kLanes <= last ? group(map, AllMaps<kLanes>{}, od) : group(map, SomeMaps{int(last - map)}, od);
      }
    }
  }

 private:
  // Rows as winners name them, in cells of windows: a step of the height is a row of these. And where windows begin.
  void place_rows() {
    for (int64_t ih = 0; ih < height_.in; ++ih) row_places_[ih] = ih / height_.dilation * width_.kernel;
    for (int64_t oh = 0; oh < height_.out; ++oh) {
      const int64_t first = height_.first[oh];
      window_places_[oh] = row_places_[height_.base[oh] + first * height_.dilation] - first * width_.kernel;
    }
  }

  template <class Maps>
  void group(int64_t map, const Maps& maps, int64_t od) {
    bool numbers = true;
    Band band{};
    for (int64_t begin = 0; begin < height_.out; begin += plan_.abreast_rows) {
      const int64_t end = begin + plan_.abreast_rows < height_.out ? begin + plan_.abreast_rows : height_.out;
      const int64_t held = band.bottom, from = band.top;
      band = {begin, end, height_.base[begin] + height_.first[begin] * height_.dilation,
              height_.base[end - 1] + (height_.last[end - 1] - 1) * height_.dilation + 1};
      // Dilated windows that the border cuts may end before the ones above them do, or begin before.
      const int64_t reached = held < band.bottom ? held : band.bottom;
      const int64_t kept = from <= band.top && reached > band.top ? reached - band.top : 0;
      if (kept > 0) keep_states(od, band.top - from, kept);
      const int64_t top = band.top + kept;
      numbers &= read(map, maps, od, band, top);
      if constexpr (kSeesNaN<R>) {
        numbers ? reduce<typename R::OfNumbers>(od, band, top) : reduce<R>(od, band, top);
      } else {
        reduce<R>(od, band, top);
      }
      write(map, maps, od, band);
    }
  }

  int64_t first_output(int64_t map, int64_t od, const Band& band) const {
    return ((map * depth_.out + od) * height_.out + band.begin) * width_.out;
  }

  // The first rows of a band are there already, so many rows further down.
  void keep_states(int64_t od, int64_t down, int64_t rows) const {
    const int64_t line = width_.out * kLanes, slice = plan_.abreast_cells / width_.in * line;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      A* to = states_.base + td * slice;
      for (int f = 0; f < Words<L, typename R::template State<L>>::count; ++f, to += states_.pitch) {
        __builtin_memmove(to, to + down * line, sizeof(A) * size_t(rows * line));
      }
    }
  }

  // The cells of a band's rows from `top` on, and whether none of them is NaN. Where these are fewer than a block, it
  // begins before them: the whole band fills one.
  template <class Maps>
  bool read(int64_t map, const Maps& maps, int64_t od, const Band& band, int64_t top) const {
    // So many streams at once are more than the processor foresees: the maps after these, and the results.
    const int64_t results = (band.end - band.begin) * width_.out, apart = depth_.out * height_.out * width_.out;
    const T* y = static_cast<const T*>(call_.y) + first_output(map, od, band);
    const int64_t cells = (band.bottom - top) * width_.in;
    bool numbers = true;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const int64_t id = depth_.base[od] + td * depth_.dilation, pitch = depth_.in * slice_;
      const T* x = static_cast<const T*>(call_.x) + (map * depth_.in + id) * slice_ + top * width_.in;
      A* to = cells_ + td * plan_.abreast_cells * kLanes;
      for (int64_t begin = 0; begin < cells; begin += kLanes) {
        const int64_t cell = begin + kLanes <= cells ? begin : cells - kLanes;
        V v[kLanes];
        load_transposed<L>(v, [=](int i) { return x + maps[i] * pitch + cell; });
        const T *later = x + ahead_ * pitch + cell, *result = y + cell;
        const bool fetches = cell < results;
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i, later += pitch, result += apart) {
          store<L>(to + (cell + i) * kLanes, v[i]);
          if (i >= maps.count()) continue;
          fetch_later(later);
          if (fetches) fetch_later(result);
        }
        if constexpr (kSeesNaN<R>) {
#pragma GCC unroll 8
          for (int i = 0; i < kLanes; i += 2) numbers &= !any_nan<L>(v[i], v[i + 1]);
        }
      }
    }
    return numbers;
  }

  template <class Maps>
  void write(int64_t map, const Maps& maps, int64_t od, const Band& band) const {
    const int64_t out = first_output(map, od, band), count = (band.end - band.begin) * width_.out;
    const int64_t pitch = depth_.out * height_.out * width_.out;
    T* y = static_cast<T*>(call_.y) + out;
    for_blocks<kLanes>(count, [=, from = results_](int64_t cell) {
      V v[kLanes];
      load_transposed<L>(v, [=](int i) { return from + (cell + i) * kLanes; });
      T* to = y + cell;
      maps.each([&](int i) {
        store<L>(to, v[i]);
        to += pitch;
      });
    });
    if constexpr (R::kWinners) {
      const int bytes = plan_.winner_bytes;
      char* winners = static_cast<char*>(call_.winners) + out * bytes;
      if (bytes == 1) return write_bytes(winners, maps, count, pitch);
      for_blocks<kLanes>(count, [=, from = winners_](int64_t cell) {
        V v[kLanes];
        load_transposed<L>(v, [=](int i) { return from + (cell + i) * kLanes; });
        maps.each([&](int i) {
          store_index<L>(winners + (i * pitch + cell) * bytes, bytes, bit_cast<typename L::Index>(v[i]));
        });
      });
    }
  }

  // Winners of one byte are transposed as many at once as a word holds. Behind the last one scratch has room.
  template <class Maps>
  void write_bytes(char* winners, const Maps& maps, int64_t count, int64_t pitch) const {
    constexpr int64_t kInWord = sizeof(A), kBlock = kLanes * kInWord;
    alignas(kVectorBytes) A words[kLanes * kLanes];
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      const int64_t cell = begin + kBlock <= count || count < kBlock ? begin : count - kBlock;
      for (int64_t i = 0; i < kLanes; ++i) {
        typename L::Index word{};
#pragma GCC unroll 8
        for (int64_t byte = 0; byte < kInWord; ++byte) {
          word |= load_bits<typename L::Index>(winners_ + (cell + i * kInWord + byte) * kLanes) << (8 * byte);
        }
        store_bits(words + i * kLanes, word);
      }
      V v[kLanes];
      load_transposed<L>(v, [&](int i) { return words + i * kLanes; });
      char* to = winners + cell;
      if (count >= kBlock) {
        maps.each([&](int i) {
          store_bits(to, v[i]);
          to += pitch;
        });
      } else {
        maps.each([&](int i) {
          __builtin_memcpy(to, &v[i], size_t(count));
          to += pitch;
        });
      }
    }
  }

  // Windows are reduced along their rows, then down these, then across slices: of equal cells the first is met first.
  template <class Q>
  void reduce(int64_t od, const Band& band, int64_t top) const {
    const Q reducer(plan_.problem);
    if constexpr (Q::kDivides) {
      for (int64_t oh = band.begin; oh < band.end; ++oh) {
        rests_[oh - band.begin] = A(depth_.divisor[od] * height_.divisor[oh]);
      }
    }
    const int64_t rows = plan_.abreast_cells / width_.in, outputs = plan_.abreast_rows * width_.out * kLanes;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const ScratchRow<A> states = states_.at(td * rows * width_.out * kLanes);
      along_rows(reducer, band, top, cells_ + td * plan_.abreast_cells * kLanes, states);
      if (depth_.kernel == 1) {
        down_rows(reducer, band, states,
                  [=, this](int64_t row, int64_t o, const auto& state) { this->put(reducer, row, o, state); });
      } else {
        const ScratchRow<A> slice = slices_.at(td * outputs);
        const auto place = L::splat_index(typename L::Int(td * height_.kernel * width_.kernel));
        down_rows(reducer, band, states, [=, this](int64_t row, int64_t o, const auto& state) {
          slice.template put<L>((row * width_.out + o) * kLanes, reducer.template moved<L>(state, place));
        });
      }
    }
    if (depth_.kernel > 1) across_slices(reducer, od, band, outputs);
  }

  // The states of the windows' rows, for the input rows of a band from `top` on.
  template <class Q>
  void along_rows(const Q& reducer, const Band& band, int64_t top, const A* cells, ScratchRow<A> states) const {
    const int64_t pitch = width_.out * kLanes, rows = band.bottom - top;
    for (int64_t first = 0; first < width_.out; first += width_.followers[first]) {
      const int64_t start = width_.base[first] + width_.first[first] * width_.dilation;
      const CellsOf<A> source = {cells + start * kLanes, width_.dilation * kLanes};
      const Followers all = Followers::from(width_, first, width_.out, kLanes, rows, width_.in * kLanes);
      const ScratchRow<A> to = states.at((top - band.top) * pitch + first * kLanes);
      Following<Q, L, CellsOf<A>>(reducer, source, all)
          .each([=, tap = width_.first + first, place = row_places_ + top](int64_t row, int64_t o, int64_t before,
                                                                           const auto& state) {
            to.template put<L>(row * pitch + o * kLanes,
                               placed<L>(reducer, state, [=] { return place[row] + tap[o] - before; }));
          });
    }
  }

  // Hands done(row, o, state) those of the windows in a slice.
  template <class Q, class F>
  void down_rows(const Q& reducer, const Band& band, ScratchRow<A> states, const F& done) const {
    const int64_t pitch = width_.out * kLanes;
    for (int64_t oh = band.begin, n; oh < band.end; oh += n) {
      const int64_t start = height_.base[oh] + height_.first[oh] * height_.dilation;
      const StatesOf<A> source = {states.at((start - band.top) * pitch), height_.dilation * pitch};
      const Followers all = Followers::from(height_, oh, band.end, pitch, width_.out, kLanes);
      n = all.n;
      Following<Q, L, StatesOf<A>>(reducer, source, all)
          .each([=, row = oh - band.begin, place = window_places_ + oh](int64_t o, int64_t r, int64_t,
                                                                        const auto& state) {
            done(row + r, o, placed<L>(reducer, state, [=] { return -place[r]; }));
          });
    }
  }

  template <class Q>
  void across_slices(const Q& reducer, int64_t od, const Band& band, int64_t pitch) const {
    const StatesOf<A> source = {slices_.at(depth_.first[od] * pitch), pitch};
    const int64_t cells = (band.end - band.begin) * width_.out, taps = depth_.last[od] - depth_.first[od];
    Following<Q, L, StatesOf<A>>(reducer, source, {Follow::apart, 1, taps, 0, cells, kLanes})
        .each([=, this](int64_t cell, int64_t, int64_t, const auto& state) {
          this->put(reducer, cell / width_.out, cell % width_.out, state);
        });
  }

  template <class Q, class State>
  POOLKIT_INLINE void put(const Q& reducer, int64_t row, int64_t o, const State& state) const {
    const A count = Q::kDivides ? counts_[o] * rests_[row] : A(1);
    const int64_t at = (row * width_.out + o) * kLanes;
    store<L>(results_ + at, reducer.template finish<L>(state, L::splat(count)));
    if constexpr (Q::kWinners) store_bits(winners_ + at, reducer.template winner<L>(state));
  }

  const ForwardCall& call_;
  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t slice_;  // cells of a map, or of one slice of it
  int64_t *row_places_, *window_places_;
  A *counts_, *rests_;              // what the widths and rows of windows count
  A *cells_, *results_, *winners_;  // the bits of winners stand for numbers
  ScratchRow<A> states_, slices_;
  int64_t ahead_ = 0;  // maps from the current ones to those after them
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
