// Forward over small channels-first maps: as many maps as there are lanes are taken together, the same cell of each in
// one vector. So no vector runs over a row's end, whatever the map's width, the stride or the windows' places. The maps
// are transposed into scratch, reduced there as if they were channels last, and the results transposed back.
#pragma once

#include "../kernels.h"
#include "lanes.h"

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

// A reducer that is faster where no cell is NaN.
template <class R>
constexpr bool kSeesNaN = kIsFloat<typename R::Accumulator> && requires { typename R::OfNumbers; };

// States of rows in scratch, each with what moves its winner.
template <class A, int known>
struct StateRows {
  static constexpr bool kAscending = true;
  static constexpr int kKnown = known;
  const A* const* rows;
  const int64_t* offsets;
  int64_t pitch;

  template <class L, class R>
  POOLKIT_INLINE typename R::template State<L> get(const R& r, int64_t t, int64_t lane) const {
    const ScratchRow<A> row = {const_cast<A*>(rows[t]), pitch};
    const auto offset = L::splat_index(typename L::Int(offsets[t]));
    return r.template moved<L>(row.template get<L, typename R::template State<L>>(lane), offset);
  }
};

// Reduces n cells of neighbouring windows: window o's k sources at lane + o * apart. Some at a time, so that what a
// source costs to find is shared. Hands done(o, state) the results.
template <class R, class L, class Source, class F>
POOLKIT_INLINE void reduce_each(const R& reducer, const Source& source, int64_t k, int64_t lane, int64_t apart,
                                int64_t n, const F& done) {
  using State = typename R::template State<L>;
  const auto join = [&](State a, State b) {
    if constexpr (Source::kAscending) {
      return reducer.template append<L>(a, b);
    } else {
      return reducer.template combine<L>(a, b);
    }
  };
  const int64_t taps = Source::kKnown != 0 ? Source::kKnown : k;
  constexpr int kTogether = 4;
  int64_t o = 0;
  for (; o + kTogether <= n; o += kTogether) {
    State state[kTogether];
#pragma GCC unroll 4
    for (int i = 0; i < kTogether; ++i) state[i] = source.template get<L>(reducer, 0, lane + (o + i) * apart);
#pragma GCC unroll 1
    for (int64_t t = 1; t < taps; ++t) {
#pragma GCC unroll 4
      for (int i = 0; i < kTogether; ++i) {
        state[i] = join(state[i], source.template get<L>(reducer, t, lane + (o + i) * apart));
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kTogether; ++i) done(o + i, state[i]);
  }
  for (; o < n; ++o) done(o, reduce_at<R, L>(reducer, source, k, lane + o * apart));
}

// The same of n windows in each of some rows, `line` apart. A window alone in its row goes with those of other rows.
template <class R, class L, class Source, class F>
POOLKIT_INLINE void reduce_rows(const R& reducer, const Source& source, int64_t k, int64_t rows, int64_t line,
                                int64_t n, int64_t apart, const F& done) {
  if (n == 1) {
    reduce_each<R, L>(reducer, source, k, 0, line, rows, [&](int64_t r, const auto& state) { done(r, 0, state); });
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    reduce_each<R, L>(reducer, source, k, r * line, apart, n, [&](int64_t o, const auto& state) { done(r, o, state); });
  }
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
    const int64_t rows = depth_.kernel * height_.kernel;
    rows_ = static_cast<const A**>(scratch);
    offsets_ = reinterpret_cast<int64_t*>(rows_ + rows);
    A* cursor = static_cast<A*>(whole_vectors(offsets_ + rows));
    cells_ = cursor;
    cursor += depth_.kernel * plan_.abreast_cells * kLanes;
    const int64_t pitch = abreast_states(plan_) * kLanes;
    states_ = {cursor, pitch};
    cursor += Words<L, typename R::template State<L>>::count * pitch;
    results_ = cursor;
    cursor += plan_.abreast_rows * width_.out * kLanes;
    winners_ = cursor;
    while (whole_begin_ < width_.out && !is_whole(whole_begin_)) ++whole_begin_;
    whole_end_ = whole_begin_;
    while (whole_end_ < width_.out && is_whole(whole_end_) && width_.base[whole_end_] == reached(whole_end_)) {
      ++whole_end_;
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
  bool is_whole(int64_t o) const { return width_.first[o] == 0 && width_.last[o] == width_.kernel; }
  int64_t reached(int64_t o) const { return width_.base[whole_begin_] + (o - whole_begin_) * width_.stride; }

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
      numbers &= read(map, maps, od, band, band.top - from, kept);
      if constexpr (kSeesNaN<R>) {
        numbers ? reduce<typename R::OfNumbers>(od, band) : reduce<R>(od, band);
      } else {
        reduce<R>(od, band);
      }
      write(map, maps, od, band);
    }
  }

  int64_t first_output(int64_t map, int64_t od, const Band& band) const {
    return ((map * depth_.out + od) * height_.out + band.begin) * width_.out;
  }

  // The cells that a band reaches, and whether none of them is NaN; of its first rows so many are there, further down.
  template <class Maps>
  bool read(int64_t map, const Maps& maps, int64_t od, const Band& band, int64_t down, int64_t kept) const {
    // So many streams at once are more than the processor foresees: the maps after these, and the results.
    const int64_t results = (band.end - band.begin) * width_.out, apart = depth_.out * height_.out * width_.out;
    const T* y = static_cast<const T*>(call_.y) + first_output(map, od, band);
    const int64_t cells = (band.bottom - band.top) * width_.in, line = width_.in * kLanes;
    bool numbers = true;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const int64_t id = depth_.base[od] + td * depth_.dilation, pitch = depth_.in * slice_;
      const T* x = static_cast<const T*>(call_.x) + (map * depth_.in + id) * slice_ + band.top * width_.in;
      A* to = cells_ + td * plan_.abreast_cells * kLanes;
      if (kept > 0) __builtin_memmove(to, to + down * line, sizeof(A) * size_t(kept * line));
      for (int64_t begin = kept * width_.in; begin < cells; begin += kLanes) {
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

  // Results follow from their windows' rows, and these from their cells, or the other way round.
  template <class Q>
  void reduce(int64_t od, const Band& band) {
    const Q reducer(plan_.problem);
    // Of equal cells the first is the first met where rows are reduced first, then columns of what they left.
    if constexpr (Q::kWinners) along_rows(reducer, od, band.bottom - band.top);
    for (int64_t oh = band.begin, alike; oh < band.end; oh += alike) {
      alike = height_.alike[oh] < band.end - oh ? height_.alike[oh] : band.end - oh;
      const double rest = depth_.divisor[od] * height_.divisor[oh];
      const int64_t out = (oh - band.begin) * width_.out;
      if constexpr (Q::kWinners) {
        find_rows(od, oh, band.top, states_.base, plan_.abreast_cells / width_.in, width_.out);
        down_states(reducer, out, alike);
      } else {
        find_rows(od, oh, band.top, cells_, plan_.abreast_cells / width_.in, width_.in);
        down_cells(reducer, alike);
        along_states(reducer, out, alike, rest);
      }
    }
  }

  // The rows of oh's windows where slices have so many rows of so many cells each.
  void find_rows(int64_t od, int64_t oh, int64_t top, const A* from, int64_t rows, int64_t cells) {
    k_ = 0;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      for (int64_t th = height_.first[oh]; th < height_.last[oh]; ++th) {
        const int64_t ih = height_.base[oh] + th * height_.dilation;
        rows_[k_] = from + (td * rows + ih - top) * cells * kLanes;
        offsets_[k_++] = (td * height_.kernel + th) * width_.kernel;
      }
    }
  }

  // Calls f(first, n, o, start, taps, moved) for the outputs of a row: all whole windows, then each that the border
  // cuts, or that lies unevenly.
  template <class F>
  void for_windows(const F& f) const {
    const auto cut = [&](int64_t o) {
      const int64_t first = width_.first[o];
      f(o, int64_t{1}, width_.base[o] + first * width_.dilation, width_.last[o] - first, first);
    };
    for (int64_t o = 0; o < whole_begin_; ++o) cut(o);
    if (whole_begin_ < whole_end_) {
      f(whole_begin_, whole_end_ - whole_begin_, width_.base[whole_begin_], width_.kernel, int64_t{0});
    }
    for (int64_t o = whole_end_; o < width_.out; ++o) cut(o);
  }

  // The states of the windows' rows in all rows of a band.
  template <class Q>
  void along_rows(const Q& reducer, int64_t od, int64_t rows) const {
    const int64_t apart = width_.stride * kLanes, line = width_.in * kLanes, pitch = width_.out * kLanes;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const A* slice = cells_ + td * plan_.abreast_cells * kLanes;
      const ScratchRow<A> states = states_.at(td * plan_.abreast_cells / width_.in * pitch);
      for_windows([=, this](int64_t first, int64_t n, int64_t start, int64_t taps, int64_t moved) {
        const auto by = L::splat_index(typename L::Int(moved));
        const ScratchRow<A> to = states.at(first * kLanes);
        with_taps_apart<InputTaps, true, A, 1>(
            slice + start * kLanes, 1, width_.dilation * kLanes, taps, [=](auto source) {
              reduce_rows<Q, L>(reducer, source, taps, rows, line, n, apart,
                                [=](int64_t r, int64_t o, const auto& state) {
                                  to.template put<L>(r * pitch + o * kLanes, reducer.template moved<L>(state, by));
                                });
            });
      });
    }
  }

  // From these, found for one row of outputs, to its results and those of rows alike.
  template <class Q>
  void down_states(const Q& reducer, int64_t out, int64_t alike) const {
    const int64_t line = width_.out, ahead = height_.stride * line * kLanes;
    const auto each = [=, this](auto source) {
      for (int64_t r = 0; r < alike; ++r) {
        reduce_each<Q, L>(reducer, source, k_, r * ahead, kLanes, line, [=, this](int64_t o, const auto& state) {
          this->put(reducer, out + r * line + o, state, A(1));
        });
      }
    };
    switch (k_) {
      case 2: return each(StateRows<A, 2>{rows_, offsets_, states_.pitch});
      case 3: return each(StateRows<A, 3>{rows_, offsets_, states_.pitch});
      default: each(StateRows<A, 0>{rows_, offsets_, states_.pitch});
    }
  }

  // The states of all columns in the rows found and in those alike.
  template <class Q>
  void down_cells(const Q& reducer, int64_t alike) const {
    const int64_t line = width_.in * kLanes, ahead = height_.stride * line;
    with_rows<true, A>(rows_, offsets_, k_, [=, k = k_, states = states_](auto rows) {
      // At stride 1 the rows follow one another.
      const int64_t lines = ahead == line ? 1 : alike, length = ahead == line ? alike * line : line;
      for (int64_t r = 0; r < lines; ++r) {
        reduce_each<Q, L>(reducer, rows, k, r * ahead, kLanes, length / kLanes,
                          [=](int64_t i, const auto& state) { states.template put<L>(r * line + i * kLanes, state); });
      }
    });
  }

  // Their results.
  template <class Q>
  void along_states(const Q& reducer, int64_t out, int64_t alike, double rest) const {
    const int64_t apart = width_.stride * kLanes, line = width_.in * kLanes, pitch = width_.out;
    for_windows([=, this](int64_t first, int64_t n, int64_t start, int64_t taps, int64_t) {
      const A count = Q::kDivides ? A(width_.divisor[first]) * A(rest) : A(1);
      with_taps_apart<ScratchTaps, true, A, 1>(
          states_.at(start * kLanes), 1, width_.dilation * kLanes, taps, [=, this](auto source) {
            reduce_rows<Q, L>(reducer, source, taps, alike, line, n, apart,
                              [=, this](int64_t r, int64_t o, const auto& state) {
                                this->put(reducer, out + first + r * pitch + o, state, count);
                              });
          });
    });
  }

  template <class Q, class State>
  POOLKIT_INLINE void put(const Q& reducer, int64_t cell, const State& state, A count) const {
    store<L>(results_ + cell * kLanes, reducer.template finish<L>(state, L::splat(count)));
    if constexpr (Q::kWinners) store_bits(winners_ + cell * kLanes, reducer.template winner<L>(state));
  }

  const ForwardCall& call_;
  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const int64_t slice_;  // cells of a map, or of one slice of it
  const A** rows_;
  int64_t* offsets_;
  A *cells_, *results_, *winners_;  // the bits of winners stand for numbers
  ScratchRow<A> states_;
  int64_t whole_begin_ = 0, whole_end_ = 0;  // outputs of the width whose windows are whole and evenly spaced
  int64_t k_ = 0;
  int64_t ahead_ = 0;  // maps from the current ones to those after them
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
