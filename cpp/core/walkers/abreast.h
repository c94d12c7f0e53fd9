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

// The first place from p on where a vector of any width may stand.
inline void* whole_vectors(void* p) { return static_cast<char*>(p) + (64 - reinterpret_cast<uintptr_t>(p) % 64) % 64; }

template <class T, class R>
class Abreast {
  using A = typename R::Accumulator;
  using L = Wide<A>;
  using V = typename L::Value;
  using State = typename R::template State<L>;
  static constexpr int kFields = Words<L, State>::count;
  static constexpr int64_t kLanes = L::lanes;

 public:
  Abreast(const ForwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        reducer_(plan_.problem),
        slice_(height_.in * width_.in) {
    const int64_t rows = depth_.kernel * height_.kernel;
    rows_ = static_cast<const A**>(scratch);
    offsets_ = reinterpret_cast<int64_t*>(rows_ + rows);
    A* cursor = static_cast<A*>(whole_vectors(offsets_ + rows));
    cells_ = cursor;
    cursor += depth_.kernel * plan_.abreast_cells * kLanes;
    const int64_t pitch = plan_.abreast_rows * width_.in * kLanes;
    states_ = {cursor, pitch};
    cursor += kFields * pitch;
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
        map + kLanes <= last ? group(map, AllMaps<kLanes>{}, od) : group(map, SomeMaps{int(last - map)}, od);
      }
    }
  }

 private:
  bool is_whole(int64_t o) const { return width_.first[o] == 0 && width_.last[o] == width_.kernel; }
  int64_t reached(int64_t o) const { return width_.base[whole_begin_] + (o - whole_begin_) * width_.stride; }

  template <class Maps>
  void group(int64_t map, const Maps& maps, int64_t od) {
    for (int64_t begin = 0; begin < height_.out; begin += plan_.abreast_rows) {
      const int64_t end = begin + plan_.abreast_rows < height_.out ? begin + plan_.abreast_rows : height_.out;
      band(map, maps, od, begin, end);
    }
  }

  // Output rows [begin, end): as many as stay in the nearest cache.
  template <class Maps>
  void band(int64_t map, const Maps& maps, int64_t od, int64_t begin, int64_t end) {
    // The input rows that these reach.
    const int64_t top = height_.base[begin] + height_.first[begin] * height_.dilation;
    const int64_t bottom = height_.base[end - 1] + (height_.last[end - 1] - 1) * height_.dilation + 1;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const int64_t id = depth_.base[od] + td * depth_.dilation, pitch = depth_.in * slice_;
      const T* x = static_cast<const T*>(call_.x) + (map * depth_.in + id) * slice_ + top * width_.in;
      A* to = cells_ + td * plan_.abreast_cells * kLanes;
      for_blocks<kLanes>((bottom - top) * width_.in, [=](int64_t cell) {
        V v[kLanes];
        load_transposed<L>(v, [=](int i) { return x + maps[i] * pitch + cell; });
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) store<L>(to + (cell + i) * kLanes, v[i]);
      });
    }
    for (int64_t oh = begin, alike; oh < end; oh += alike) {
      alike = height_.alike[oh] < end - oh ? height_.alike[oh] : end - oh;
      find_rows(od, oh, top);
      vertical(alike);
      horizontal(od, oh, alike, oh - begin);
    }
    const int64_t outputs = height_.out * width_.out, count = (end - begin) * width_.out;
    const int64_t out = (map * depth_.out + od) * outputs + begin * width_.out, pitch = depth_.out * outputs;
    T* y = static_cast<T*>(call_.y) + out;
    for_blocks<kLanes>(count, [=, from = results_](int64_t cell) {
      V v[kLanes];
      load_transposed<L>(v, [=](int i) { return from + (cell + i) * kLanes; });
      maps.each([&](int i) { store<L>(y + i * pitch + cell, v[i]); });
    });
    if constexpr (R::kWinners) {
      const int bytes = plan_.winner_bytes;
      char* winners = static_cast<char*>(call_.winners) + out * bytes;
      for_blocks<kLanes>(count, [=, from = winners_](int64_t cell) {
        V v[kLanes];
        load_transposed<L>(v, [=](int i) { return from + (cell + i) * kLanes; });
        maps.each([&](int i) {
          store_index<L>(winners + (i * pitch + cell) * bytes, bytes, bit_cast<typename L::Index>(v[i]));
        });
      });
    }
  }

  void find_rows(int64_t od, int64_t oh, int64_t top) {
    k_ = 0;
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      for (int64_t th = height_.first[oh]; th < height_.last[oh]; ++th) {
        const int64_t ih = height_.base[oh] + th * height_.dilation;
        rows_[k_] = cells_ + (td * plan_.abreast_cells + (ih - top) * width_.in) * kLanes;
        offsets_[k_++] = (td * height_.kernel + th) * width_.kernel;
      }
    }
  }

  // The states of all columns in the rows found and in those alike.
  void vertical(int64_t alike) const {
    const int64_t line = width_.in * kLanes, ahead = height_.stride * line;
    with_rows<true, A>(rows_, offsets_, k_, [=, k = k_, states = states_, reducer = reducer_](auto rows) {
      // At stride 1 the rows follow one another.
      const int64_t lines = ahead == line ? 1 : alike, length = ahead == line ? alike * line : line;
      for (int64_t r = 0; r < lines; ++r) {
        for (int64_t i = 0; i < length; i += kLanes) {
          states.template put<L>(r * line + i, reduce_at<R, L>(reducer, rows, k, r * ahead + i));
        }
      }
    });
  }

  // Their results, those of oh in this row of the band.
  void horizontal(int64_t od, int64_t oh, int64_t alike, int64_t band_row) const {
    const double rest = depth_.divisor[od] * height_.divisor[oh];
    const int64_t out = band_row * width_.out;
    for (int64_t o = 0; o < whole_begin_; ++o) cut_windows(o, out + o, alike, rest);
    if (whole_begin_ < whole_end_) whole_windows(out + whole_begin_, alike, rest);
    for (int64_t o = whole_end_; o < width_.out; ++o) cut_windows(o, out + o, alike, rest);
  }

  void whole_windows(int64_t out, int64_t alike, double rest) const {
    const ScratchRow<A> row = states_.at(width_.base[whole_begin_] * kLanes);
    const A count = counted(rest, whole_begin_);
    const int64_t n = whole_end_ - whole_begin_, taps = width_.kernel, apart = width_.stride * kLanes;
    const int64_t line = width_.in * kLanes, pitch = width_.out;
    with_taps_apart<ScratchTaps, true, A, 1>(row, 1, width_.dilation * kLanes, taps, [=, *this](auto source) {
      for (int64_t r = 0; r < alike; ++r) {
        for (int64_t o = 0; o < n; ++o) {
          this->put(out + r * pitch + o, reduce_at<R, L>(reducer_, source, taps, r * line + o * apart), count);
        }
      }
    });
  }

  // Output o of some rows, whose windows the border cuts, or which lie unevenly.
  void cut_windows(int64_t o, int64_t out, int64_t alike, double rest) const {
    const int64_t first = width_.first[o], start = width_.base[o] + first * width_.dilation;
    const ScratchTaps<A, 1, 0> source{states_.at(start * kLanes), 1, width_.dilation * kLanes};
    const A count = counted(rest, o);
    const int64_t taps = width_.last[o] - first, line = width_.in * kLanes;
    for (int64_t r = 0; r < alike; ++r) {
      const State state = reduce_at<R, L>(reducer_, source, taps, r * line);
      const auto moved = reducer_.template moved<L>(state, L::splat_index(typename L::Int(first)));
      put(out + r * width_.out, moved, count);
    }
  }

  // The divisor of output o; whole windows share theirs.
  A counted(double rest, int64_t o) const { return R::kDivides ? A(width_.divisor[o]) * A(rest) : A(1); }

  POOLKIT_INLINE void put(int64_t cell, const State& state, A count) const {
    store<L>(results_ + cell * kLanes, reducer_.template finish<L>(state, L::splat(count)));
    if constexpr (R::kWinners) store_bits(winners_ + cell * kLanes, reducer_.template winner<L>(state));
  }

  const ForwardCall& call_;
  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const R reducer_;
  const int64_t slice_;  // cells of a map, or of one slice of it
  const A** rows_;
  int64_t* offsets_;
  A *cells_, *results_, *winners_;  // the bits of winners stand for numbers
  ScratchRow<A> states_;
  int64_t whole_begin_ = 0, whole_end_ = 0;  // outputs of the width whose windows are whole and evenly spaced
  int64_t k_ = 0;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
