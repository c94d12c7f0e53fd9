// Backward over small channels-first maps, whatever their windows: as many maps as there are lanes are taken together,
// the same cell of each in one vector (abreast.h). Gradients, and winners with them, are transposed into scratch; every
// input cell then sums over the outputs whose windows cover it, as if channels were last; the sums are transposed back.
#pragma once

#include "abreast.h"
#include "pulls.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Where what an output hands back depends on its gradient and winner alone.
template <class R>
constexpr bool kGoesBackAbreast = (R::kNeeds & (kNeedsX | kNeedsY)) == 0 && sizeof(typename R::Accumulator) >= 4;

template <class T, class R>
class AbreastBackward {
  using A = typename R::Accumulator;
  using L = Wide<A>;
  using V = typename L::Value;
  using Pull = typename R::template Pull<L>;
  static constexpr int kFields = Words<L, Pull>::count;
  static constexpr int64_t kLanes = L::lanes;
  static constexpr bool kReadsWinners = (R::kNeeds & kNeedsWinners) != 0;

  // An output row that covers the current input row, or an output of a row that covers an input of it.
  struct Cover {
    int64_t out, tap;
  };

 public:
  AbreastBackward(const BackwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        reducer_(plan_.problem),
        volume_(depth_.in * height_.in * width_.in),
        outputs_(depth_.out * height_.out * width_.out) {
    A* cursor = static_cast<A*>(whole_vectors(scratch));
    pulls_ = cursor;
    cursor += kFields * outputs_ * kLanes;
    row_sums_ = cursor;
    cursor += width_.out * kLanes;
    sums_ = cursor;
    cursor += volume_ * kLanes;
    rows_ = reinterpret_cast<Cover*>(cursor);
    columns_ = rows_ + depth_.cover * height_.cover;
    column_ends_ = reinterpret_cast<int64_t*>(columns_ + width_.in * width_.cover);
    counts_ = reinterpret_cast<A*>(column_ends_ + width_.in + 1);
    find_columns();
    if constexpr (R::kDivides) find_counts();
  }

  // Units are maps, or volumes.
  void run(int64_t begin, int64_t end) {
    for (int64_t map = begin; map < end; map += kLanes) {
      ahead_ = map + 2 * kLanes <= end ? kLanes : 0;
      map + kLanes <= end ? group(map, AllMaps<kLanes>{}) : group(map, SomeMaps{int(end - map)});
    }
  }

 private:
  void find_columns() {
    int64_t n = 0;
    column_ends_[0] = 0;
    for (int64_t iw = 0; iw < width_.in; ++iw) {
      for (int64_t ow = width_.cover_begin[iw]; ow < width_.cover_end[iw]; ++ow) {
        const int64_t tap = tap_at(width_, ow, iw);
        if (tap >= 0) columns_[n++] = {ow, tap};
      }
      column_ends_[iw + 1] = n;
    }
  }

  // Multiplied as in every walker: the width's factor comes last.
  void find_counts() {
    A* count = counts_;
    for (int64_t od = 0; od < depth_.out; ++od) {
      for (int64_t oh = 0; oh < height_.out; ++oh) {
        const A rest = A(depth_.divisor[od] * height_.divisor[oh]);
        for (int64_t ow = 0; ow < width_.out; ++ow) *count++ = A(width_.divisor[ow]) * rest;
      }
    }
  }

  template <class Maps>
  void group(int64_t map, const Maps& maps) {
    T* grad_x = static_cast<T*>(call_.grad_x) + map * volume_;
    read(map, maps);
    V* sums = reinterpret_cast<V*>(sums_);
    for (int64_t id = 0; id < depth_.in; ++id) {
      for (int64_t ih = 0; ih < height_.in; ++ih, sums += width_.in) {
        find_rows(id, ih);
        if constexpr (R::kLinear) {
          sum_linear(sums);
        } else {
          for (int64_t iw = 0; iw < width_.in; ++iw) sums[iw] = plan_.apart ? one_cover(iw) : sum_covers(iw);
        }
      }
    }
    for_blocks<kLanes>(volume_, [=, this](int64_t cell) {
      V v[kLanes];
      load_transposed<L>(v, [=, this](int i) { return sums_ + (cell + i) * kLanes; });
      // So many streams at once are more than the processor foresees: here the maps after these will be written.
      T *to = grad_x + cell, *later = to + ahead_ * volume_;
      maps.each([&](int i) {
        store<L>(to, v[i]);
        fetch_later(later);
        to += volume_, later += volume_;
      });
    });
  }

  // What every output hands back.
  template <class Maps>
  void read(int64_t map, const Maps& maps) const {
    const T* grad_y = static_cast<const T*>(call_.grad_y) + map * outputs_;
    const int bytes = plan_.winner_bytes;
    const char* winners = static_cast<const char*>(call_.winners) + map * outputs_ * bytes;
    const auto put = [this](int64_t cell, V gradient, typename L::Index winner) {
      const V count = L::splat(R::kDivides ? counts_[cell] : A(1));
      const auto words = bit_cast<Words<L, Pull>>(reducer_.template prepare<L>(gradient, V{}, winner, count));
      for (int f = 0; f < kFields; ++f) store_bits(pulls_ + (cell * kFields + f) * kLanes, words.word[f]);
    };
    if (outputs_ < kLanes) {
      for (int64_t cell = 0; cell < outputs_; ++cell) {
        A gradient[kLanes];
        typename L::Int winner[kLanes] = {};
        for (int i = 0; i < kLanes; ++i) {
          gradient[i] = load<Single<A>>(grad_y + maps[i] * outputs_ + cell);
          if constexpr (kReadsWinners) {
            winner[i] = load_index<Single<A>>(winners + (maps[i] * outputs_ + cell) * bytes, bytes);
          }
        }
        put(cell, load_bits<V>(gradient), load_bits<typename L::Index>(winner));
      }
      return;
    }
    for_blocks<kLanes>(outputs_, [=, this](int64_t cell) {
      V gradients[kLanes], offsets[kLanes] = {};
      load_transposed<L>(gradients, [=, this](int i) { return grad_y + maps[i] * outputs_ + cell; });
      const T* later = grad_y + ahead_ * outputs_ + cell;
      maps.each([&](int) {
        fetch_later(later);
        later += outputs_;
      });
      if constexpr (kReadsWinners) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          offsets[i] = bit_cast<V>(load_index<L>(winners + (maps[i] * outputs_ + cell) * bytes, bytes));
        }
        transpose<L>(offsets);
      }
      for (int i = 0; i < kLanes; ++i) put(cell + i, gradients[i], bit_cast<typename L::Index>(offsets[i]));
    });
  }

  void find_rows(int64_t id, int64_t ih) {
    n_rows_ = 0;
    for (int64_t od = depth_.cover_begin[id]; od < depth_.cover_end[id]; ++od) {
      const int64_t td = tap_at(depth_, od, id);
      if (td < 0) continue;
      for (int64_t oh = height_.cover_begin[ih]; oh < height_.cover_end[ih]; ++oh) {
        const int64_t th = tap_at(height_, oh, ih);
        if (th < 0) continue;
        rows_[n_rows_++] = {(od * height_.out + oh) * width_.out, (td * height_.kernel + th) * width_.kernel};
      }
    }
  }

  // What a cell gets of the output that covers it.
  POOLKIT_INLINE V pulled_by(const Cover& row, const Cover& column) const {
    Words<L, Pull> words;
    const A* pull = pulls_ + (row.out + column.out) * kFields * kLanes;
    for (int f = 0; f < kFields; ++f) words.word[f] = load_bits<typename L::Index>(pull + f * kLanes);
    const auto offset = L::splat_index(typename L::Int(row.tap + column.tap));
    return reducer_.template pull<L>(V{}, bit_cast<Pull>(words), offset);
  }

  POOLKIT_INLINE V one_cover(int64_t iw) const {
    const int64_t c = column_ends_[iw];
    return n_rows_ == 0 || c == column_ends_[iw + 1] ? V{} : pulled_by(rows_[0], columns_[c]);
  }

  V sum_covers(int64_t iw) const {
    V sum{};
    for (int64_t r = 0; r < n_rows_; ++r) {
      for (int64_t c = column_ends_[iw]; c < column_ends_[iw + 1]; ++c) {
        sum = sum + pulled_by(rows_[r], columns_[c]);
      }
    }
    return sum;
  }

  // A row of inputs whose covering rows may be summed first.
  void sum_linear(V* sums) const {
    const V* row = reinterpret_cast<const V*>(row_sums_);
    if (n_rows_ == 1) {
      row = reinterpret_cast<const V*>(pulls_) + rows_[0].out;
    } else {
      V* to = reinterpret_cast<V*>(row_sums_);
      for (int64_t ow = 0; ow < width_.out; ++ow) {
        to[ow] = sum_of(rows_, n_rows_, reinterpret_cast<const V*>(pulls_) + ow);
      }
    }
    for (int64_t iw = 0; iw < width_.in; ++iw) {
      sums[iw] = sum_of(columns_ + column_ends_[iw], column_ends_[iw + 1] - column_ends_[iw], row);
    }
  }

  // Most have one to three covers.
  POOLKIT_INLINE static V sum_of(const Cover* covers, int64_t n, const V* from) {
    if (n == 0) return V{};
    if (n == 1) return from[covers[0].out];
    V sum = from[covers[0].out] + from[covers[1].out];
    for (int64_t c = 2; c < n; ++c) sum = sum + from[covers[c].out];
    return sum;
  }

  const BackwardCall& call_;
  const Plan& plan_;
  const AxisPlan &depth_, &height_, &width_;
  const R reducer_;
  const int64_t volume_, outputs_;  // cells of a map, and of its outputs
  A *pulls_, *row_sums_, *sums_;    // vectors, one a cell
  Cover *rows_, *columns_;          // of the current input row, and of each of its cells
  int64_t* column_ends_;
  A* counts_;
  int64_t n_rows_ = 0;
  int64_t ahead_ = 0;  // maps from the current ones to those after them
};

template <class T, class R>
void run_abreast_backward(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  AbreastBackward<T, R>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
