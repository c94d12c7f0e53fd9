// Forward: for each output row, combine the input rows of its windows lane by lane (the vertical
// step), then the taps along that row (the horizontal step). Both steps are the same lane loop, so
// kd * kh + kw cells are read for a window instead of kd * kh * kw, in both element orders:
//
//   channels first (inner == 1)   lanes run along the width, then over outputs
//   channels last  (inner > 1)    lanes run along width and channels, then over channels
//
// Short rows of channels-first arrays stay in registers instead (neighbours.h), or their maps are taken side by side
// (abreast.h).
//
// Large windows at stride 1 share their parts: vertically three combinations a row serve windows of any
// height (van Herk, Gil and Werman), horizontally the number of combinations grows with log2 of the width.
#pragma once

#include "../kernels.h"
#include "abreast.h"
#include "lanes.h"
#include "neighbours.h"
#include "runs.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, class R>
class Forward {
  using A = typename R::Accumulator;
  using WideState = typename R::template State<Wide<A>>;
  static constexpr int kFields = Words<Wide<A>, WideState>::count;

  // Where results go. Taken by value into the lane loops: their stores cannot change it.
  struct Results {
    T* y;
    char* winners;
    int winner_bytes;

    template <class L, class S>
    POOLKIT_INLINE void put(const R& reducer, int64_t i, const S& state, typename L::Value count) const {
      store<L>(y + i, reducer.template finish<L>(state, count));
      if constexpr (R::kWinners) {
        store_index<L>(winners + i * winner_bytes, winner_bytes, reducer.template winner<L>(state));
      }
    }
  };

  // What windows reach of a row, in lanes: padding before, input after those skipped, padding after.
  struct Columns {
    int64_t left;  // the first column, maybe in the padding
    int64_t skipped, before, lanes, after;
  };

 public:
  Forward(const ForwardCall& call, void* scratch)
      : call_(call),
        plan_(*call.plan),
        depth_(plan_.depth),
        height_(plan_.height),
        width_(plan_.width),
        inner_(plan_.problem.inner),
        reducer_(plan_.problem),
        x_(static_cast<const T*>(call.x)) {
    const int64_t rows = depth_.kernel * height_.kernel;
    rows_ = static_cast<const T**>(scratch);
    offsets_ = reinterpret_cast<int64_t*>(rows_ + rows);
    A* cursor = reinterpret_cast<A*>(offsets_ + rows);
    counts_ = cursor;
    if (R::kDivides && inner_ == 1) {
      for (int64_t o = 0; o < width_.out; ++o) counts_[o] = A(width_.divisor[o]);
      // Integers must not divide by chance's zero where vectors run over the end.
      for (int i = 0; i < Wide<A>::lanes; ++i) counts_[width_.out + i] = A(1);
    }
    cursor += plan_.count_lanes;
    const int64_t lines = plan_.lines * plan_.line + kSlack, pitch = plan_.line + kSlack;
    row_ = {cursor, lines};
    sums_ = {row_.base + kFields * lines, lines};
    prefixes_[0] = {sums_.base + kFields * lines, pitch};
    prefixes_[1] = {prefixes_[0].base + kFields * pitch, pitch};
    suffixes_ = {prefixes_[1].base + kFields * pitch, pitch};
  }

  void run(int64_t begin, int64_t end) {
    const Tiling& tiling = plan_.forward;
    if (plan_.runs) return run_planes<T, R>(call_, reducer_, begin, end);
    // Results are written in ascending order, so that vectors may run over a row's end up to here.
    limit_ = tiling.tiles == 1 ? first_output(end) : 0;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t tile = unit % tiling.tiles;
      int64_t rest = unit / tiling.tiles;
      const int64_t oh = rest % tiling.blocks * tiling.rows;
      rest /= tiling.blocks;
      const int64_t od = rest % depth_.out, outer = rest / depth_.out;
      const int64_t stop = oh + tiling.rows < height_.out ? oh + tiling.rows : height_.out;
      const int64_t length = width_.trivial ? inner_ : width_.out;
      first_ = tile * tiling.tile;
      end_ = first_ + tiling.tile < length ? first_ + tiling.tile : length;
      output_rows(outer, od, oh, stop);
    }
  }

 private:
  int64_t first_output(int64_t unit) const {
    const int64_t plane = unit / plan_.forward.blocks, block = unit % plan_.forward.blocks;
    return (plane * height_.out + block * plan_.forward.rows) * width_.out * inner_;
  }

  A counted(double count) const { return R::kDivides ? A(count) : A(1); }

  Results results(int64_t out) const {
    return {static_cast<T*>(call_.y) + out, static_cast<char*>(call_.winners) + out * plan_.winner_bytes,
            plan_.winner_bytes};
  }

  const T* input_row(int64_t outer, int64_t id, int64_t ih) const {
    return x_ + ((outer * depth_.in + id) * height_.in + ih) * width_.in * inner_;
  }

  void output_rows(int64_t outer, int64_t od, int64_t oh, int64_t stop) {
    const int64_t rows = stop - oh;
    out_ = ((outer * depth_.out + od) * height_.out + oh) * width_.out * inner_;
    if (plan_.uneven && plan_.picks == nullptr) {
      for (int64_t r = 0; r < rows; ++r) {
        find_rows(outer, od, oh + r, 0);
        along_runs(result(r), depth_.divisor[od] * height_.divisor[oh + r]);
      }
    } else if (plan_.single && (kTuned<R> || width_.stride >= width_.kernel)) {  // else lifting once costs less
      for (int64_t r = 0; r < rows; ++r) single_row(outer, od, oh + r, r);
    } else {
      const Columns columns = reached();
      if (plan_.slides) {
        slide(columns, outer, od, oh, rows);
      } else {
        combine_rows(columns, outer, od, oh, rows);
      }
    }
    if constexpr (R::kRepairs) {
      for (int64_t r = 0; r < rows; ++r) repair(result(r), outer, od, oh + r);
    }
  }

  // Windows of one row read it where it stands, save those at its ends.
  void single_row(int64_t outer, int64_t od, int64_t oh, int64_t r) {
    find_rows(outer, od, oh, 0);
    const T* row = rows_[0];
    const int64_t begin = first_, end = end_, taps = width_.kernel, s = width_.stride, step = width_.dilation;
    const int64_t reach = (taps - 1) * step;
    // Vectors read all that lies between their cells, and up to a stride beyond the last.
    const int64_t readable = static_cast<const T*>(call_.x_end) - row - reach + width_.pad_low;
    int64_t inside = (width_.pad_low + s - 1) / s, outside = (width_.in - 1 - reach + width_.pad_low) / s + 1;
    if (outside > readable / s) outside = readable / s;
    if (inside < begin) inside = begin;
    if (outside > end) outside = end;
    if (outside <= inside) return combine_rows(reached(), outer, od, oh, 1, r);
    const auto ends = [&](int64_t from, int64_t to) {
      if (from == to) return;
      first_ = from;
      end_ = to;
      combine_rows(reached(), outer, od, oh, 1, r);
    };
    ends(begin, inside);
    first_ = inside;
    end_ = outside;
    const A rest = counted(depth_.divisor[od] * height_.divisor[oh]);
    const int64_t out = result(r) + inside;
    const int64_t free = readable / s - inside, room = free < limit_ - out ? free : limit_ - out;
    with_taps<InputTaps, kTuned<R>, T>(row + (inside * s - width_.pad_low), s, step, taps,
                                       [=, this](auto source) { along_width(source, taps, out, room, rest); });
    ends(outside, end);
    first_ = begin;
    end_ = end;
  }

  // The output rows from oh on, the first of which is the r-th of the current ones.
  void combine_rows(const Columns& columns, int64_t outer, int64_t od, int64_t oh, int64_t rows, int64_t r0 = 0) {
    const int64_t stop = oh + rows;
    const int64_t free = room(input_row(outer, depth_.in - 1, height_.in - 1) + columns.skipped, columns.lanes);
    for (int64_t begin = oh; begin < stop; begin += plan_.lines) {
      const int64_t n = begin + plan_.lines < stop ? plan_.lines : stop - begin;
      for (int64_t r = 0, alike; r < n; r += alike) {
        alike = height_.alike[begin + r] < n - r ? height_.alike[begin + r] : n - r;
        find_rows(outer, od, begin + r, columns.skipped);
        if (width_.trivial) {
          cells(result(begin + r - oh + r0) + first_, columns.lanes, free, alike,
                depth_.divisor[od] * height_.divisor[begin + r]);
        } else {
          vertical(row_.at(r * plan_.line), columns, free, alike);
        }
      }
      if (!width_.trivial) horizontal(columns.left, begin - oh + r0, n, od, oh - r0);
    }
  }

  // The first result of the r-th of the current rows.
  int64_t result(int64_t r) const { return out_ + r * width_.out * inner_; }

  // The input rows of an output row's windows, without the first lanes.
  void find_rows(int64_t outer, int64_t od, int64_t oh, int64_t skipped) {
    k_ = rows_of(plan_, x_ + skipped, outer, od, oh, rows_, offsets_);
  }

  Columns reached() const {
    if (width_.trivial) return {0, first_, 0, end_ - first_, 0};
    int64_t left = 0, right = width_.in;
    if (width_.regular) {
      left = first_ * width_.stride - width_.pad_low;
      right = left + (end_ - first_ - 1) * width_.stride + (width_.kernel - 1) * width_.dilation + 1;
    } else if (plan_.picks != nullptr) {
      ++right;  // the identity
    }
    const int64_t inside_left = left < 0 ? 0 : left, inside_right = right > width_.in ? width_.in : right;
    if (inner_ > 1 && !plan_.doubles) {  // taps are visited one by one there, and only those inside
      left = inside_left;
      right = inside_right;
    }
    return {left, inside_left * inner_, (inside_left - left) * inner_, (inside_right - inside_left) * inner_,
            (right - inside_right) * inner_};
  }

  // Lanes of a row that may be read: vectors may run on into whatever follows, as long as the array goes on.
  int64_t room(const T* row, int64_t lanes) const {
    return row + lanes + Wide<A>::lanes <= static_cast<const T*>(call_.x_end) ? kAnyRoom : 0;
  }

  POOLKIT_INLINE static void pad_with(const R& reducer, ScratchRow<A> row, int64_t lanes) {
    for (int64_t i = 0; i < lanes; i += Wide<A>::lanes) {
      row.template put<Wide<A>>(i, reducer.template identity<Wide<A>>());
    }
  }

  void pad(ScratchRow<A> row, int64_t lanes) const { pad_with(reducer_, row, lanes); }

  // Input lanes from one output row to the next.
  int64_t row_step() const { return height_.stride * width_.in * inner_; }

  // The states of the columns in the rows found, and in those of the output rows alike that follow.
  void vertical(ScratchRow<A> to, const Columns& columns, int64_t free, int64_t alike) const {
    const int64_t lanes = columns.lanes, after = columns.after, line = plan_.line;
    // What pads the end of a row pads the start of the next, too.
    const int64_t between = columns.before + after == 0 ? 0 : line - lanes;
    pad(to, columns.before);
    const ScratchRow<A> inside = to.at(columns.before);
    // Short rows end before the processor has seen where they lead: those of the output row after the next one.
    const int64_t step = row_step();
    const T* const later = rows_[k_ - 1] + width_.in * inner_ + step;
    with_rows<kTuned<R>, T>(rows_, offsets_, k_, [=, reducer = reducer_, k = k_](auto rows) {
      ScratchRow<A> row = inside;
      int64_t moved = 0;
      for (int64_t left = alike; left > 0; --left, moved += step, row = row.at(line)) {
        if (step <= kFetchedCells) fetch_lines<false>(later + moved, step);
        // In this order, as each may spill beyond its end.
        for_lanes<A>(lanes, free, [=](int64_t i, auto family) {
          using L = decltype(family);
          row.template put<L>(i, reduce_at<R, L>(reducer, rows, k, moved + i));
        });
        pad_with(reducer, row.at(lanes), left > 1 ? between : after);
      }
    });
  }

  // Where lanes are all there is: the results of the rows found and of those alike.
  void cells(int64_t out, int64_t lanes, int64_t free, int64_t alike, double divisor) const {
    const int64_t pitch = width_.out * inner_;
    divisor *= width_.divisor[0];
    const int64_t ahead = row_step();
    if (k_ > kManyRows) {
      for (int64_t r = 0; r < alike; ++r) {
        gather_rows(lanes, free, r * ahead);
        finish_cell(ScratchTaps<A, 1, 1>{row_, 1, 0}, 1, 0, out + r * pitch, lanes, kAnyRoom, 0, divisor);
      }
      return;
    }
    with_rows<kTuned<R>, T>(rows_, offsets_, k_, [=, k = k_, this](auto rows) {
      for (int64_t r = 0; r < alike; ++r) {
        this->finish_cell(rows, k, r * ahead, out + r * pitch, lanes, free, 0, divisor);
      }
    });
  }

  // The states of many rows in row_, read once from first to last as memory likes it, four at a time.
  void gather_rows(int64_t lanes, int64_t free, int64_t moved) const {
    for (int64_t begin = 0; begin < k_; begin += kChunk) {
      const int64_t end = begin + kChunk < k_ ? begin + kChunk : k_;
      const ScratchRow<A> chunk = begin == 0 ? row_ : sums_;
      for (int64_t t = begin; t < end; t += 4) {
        const int64_t n = t + 4 < end ? 4 : end - t;
        with_rows<kTuned<R>, T>(rows_ + t, offsets_ + t, n, [=, this, reducer = reducer_](auto rows) {
          for_lanes_once<A>(lanes, free, [=](int64_t i, auto family) {
            using L = decltype(family);
            using State = typename R::template State<L>;
            const State more = reduce_at<R, L>(reducer, rows, n, moved + i);
            chunk.template put<L>(
                i, t == begin ? more : reducer.template append<L>(chunk.template get<L, State>(i), more));
          });
        });
      }
      if (begin > 0) {
        for_lanes_once<A>(lanes, kAnyRoom, [=, total = row_, reducer = reducer_](int64_t i, auto family) {
          using L = decltype(family);
          using State = typename R::template State<L>;
          total.template put<L>(
              i, reducer.template append<L>(total.template get<L, State>(i), chunk.template get<L, State>(i)));
        });
      }
    }
  }

  // The same for output rows oh, oh + 1, ..., whose windows overlap by all but one row: cut into blocks of the
  // windows' height, the rows of each window are the end of one block and the start of the next.
  void slide(const Columns& columns, int64_t outer, int64_t od, int64_t oh, int64_t rows) {
    const int64_t k = height_.kernel, lanes = columns.lanes;
    const R reducer = reducer_;
    const auto input = [&](int64_t ih) -> const T* {
      return ih < 0 || ih >= height_.in ? nullptr : input_row(outer, depth_.base[od], ih) + columns.skipped;
    };
    // Winner offsets count from the block's first row until a window's own first row is known.
    const auto lifted = [](const T* row, int64_t offset) { return KnownRows<T, 1>(&row, &offset); };
    for (int64_t begin = 0; begin < rows; begin += k) {
      const int64_t top = oh + begin - height_.pad_low;
      int64_t held = k;  // the suffix that stands for the rows from j on; k: of no rows
      pad(suffix(k), lanes);
      for (int64_t j = k - 1; j >= 0; --j) {
        if (const T* row = input(top + j)) {
          const auto source = lifted(row, j * width_.kernel);
          const ScratchRow<A> below = suffix(held), to = suffix(j);
          for_lanes<A>(lanes, room(row, lanes), [=](int64_t i, auto family) {
            using L = decltype(family);
            using State = typename R::template State<L>;
            to.template put<L>(
                i, reducer.template append<L>(source.template get<L>(reducer, 0, i), below.template get<L, State>(i)));
          });
          held = j;
        }
        offsets_[j] = held;
      }
      ScratchRow<A> prefix = prefixes_[0], next = prefixes_[1];
      pad(prefix, lanes);
      for (int64_t j = 0; j < k && begin + j < rows; ++j) {
        const int64_t r = begin + j, held_rows = r % plan_.lines;
        const ScratchRow<A> to = row_.at(held_rows * plan_.line), inside = to.at(columns.before);
        pad(to, columns.before);
        const ScratchRow<A> above = suffix(offsets_[j]);
        const int64_t back = -j * width_.kernel;
        const auto finish = [=](int64_t i, auto family, const auto& below) {
          using L = decltype(family);
          const auto whole = reducer.template append<L>(above.template get<L, typename R::template State<L>>(i), below);
          inside.template put<L>(i, reducer.template moved<L>(whole, L::splat_index(typename L::Int(back))));
        };
        if (const T* row = j == 0 ? nullptr : input(top + k + j - 1)) {
          const auto source = lifted(row, (k + j - 1) * width_.kernel);
          for_lanes<A>(lanes, room(row, lanes), [=](int64_t i, auto family) {
            using L = decltype(family);
            const auto below = reducer.template append<L>(prefix.template get<L, typename R::template State<L>>(i),
                                                          source.template get<L>(reducer, 0, i));
            next.template put<L>(i, below);
            finish(i, family, below);
          });
          const ScratchRow<A> spent = prefix;
          prefix = next;
          next = spent;
        } else {
          for_lanes<A>(lanes, kAnyRoom, [=](int64_t i, auto family) {
            using L = decltype(family);
            finish(i, family, prefix.template get<L, typename R::template State<L>>(i));
          });
        }
        pad(inside.at(lanes), columns.after);
        if (held_rows + 1 == plan_.lines || r + 1 == rows) {
          horizontal(columns.left, r - held_rows, held_rows + 1, od, oh);
        }
      }
    }
  }

  ScratchRow<A> suffix(int64_t j) const { return {suffixes_.base + j * kFields * suffixes_.pitch, suffixes_.pitch}; }

  // From the states of `rows` scratch rows, whose lane 0 is this column, to the results [first_, end_) of the
  // output rows from oh + begin on.
  void horizontal(int64_t column, int64_t begin, int64_t rows, int64_t od, int64_t oh) const {
    const int64_t line = plan_.line, out = result(begin) + first_ * inner_, pitch = width_.out * inner_;
    const double plane = depth_.divisor[od];
    const double* divisor = height_.divisor + oh + begin;
    if (width_.trivial) {
      for (int64_t r = 0; r < rows; ++r) {
        finish_cell(ScratchTaps<A, 1, 1>{row_.at(r * line), 1, 0}, 1, 0, out + r * pitch, end_ - first_, kAnyRoom, 0,
                    plane * divisor[r] * width_.divisor[0]);
      }
      return;
    }
    const int64_t limit = limit_;
    if (plan_.picks != nullptr) {
      for (int64_t r = 0; r < rows; ++r) {
        const PickedTaps<A> source = {row_.at(r * line), plan_.picks + first_, plan_.pick_pitch};
        along_width(source, width_.kernel, out + r * pitch, limit - (out + r * pitch), counted(plane * divisor[r]));
      }
      return;
    }
    ScratchRow<A> from = row_;
    int64_t taps = width_.kernel;
    const int64_t step = width_.dilation * inner_;
    if (plan_.doubles) {
      from = doubled((rows - 1) * line + ((end_ - first_ - 1) * width_.stride + 1) * inner_, step);
      taps = 1;
    }
    if (inner_ == 1) {
      with_taps<ScratchTaps, kTuned<R>, A>(from, width_.stride, step, taps, [=, this](auto source) {
        int64_t at = out;
        for (int64_t r = 0; r < rows; ++r, at += pitch, source.row = source.row.at(line)) {
          along_width(source, taps, at, limit - at, counted(plane * divisor[r]));
        }
      });
      return;
    }
    for (int64_t r = 0; r < rows; ++r) {
      const double count = plane * divisor[r];
      for (int64_t o = first_; o < end_; ++o) {
        int64_t start = (o - first_) * width_.stride, moved = 0;
        if (!plan_.doubles) {
          moved = width_.first[o];
          start = width_.base[o] + moved * width_.dilation - column;
          taps = width_.last[o] - moved;
        }
        const ScratchRow<A> cells = from.at(r * line + start * inner_);
        const int64_t at = out + r * pitch + (o - first_) * inner_;
        with_taps<ScratchTaps, kTuned<R>, A>(cells, 1, step, taps, [&](auto source) {
          finish_cell(source, taps, 0, at, inner_, kAnyRoom, moved, count * width_.divisor[o]);
        });
      }
    }
  }

  template <class Source>
  POOLKIT_INLINE void along_width(const Source& row, int64_t taps, int64_t out, int64_t room, A rest) const {
    for_lanes<A>(
        end_ - first_, room,
        [=, source = row, reducer = reducer_, counts = counts_ + first_, to = results(out)](int64_t i, auto family) {
          using L = decltype(family);
          typename L::Value count{};
          if constexpr (R::kDivides) count = load<L>(counts + i) * rest;
          to.template put<L>(reducer, i, reduce_at<R, L>(reducer, source, taps, i), count);
        });
  }

  // The lanes of one output cell, whose windows begin at tap `moved`; `free` lanes of the source may be read.
  template <class Source>
  void finish_cell(const Source& cells, int64_t taps, int64_t from, int64_t out, int64_t n, int64_t free, int64_t moved,
                   double divisor) const {
    const A count = counted(divisor);
    const Results to = results(out);
    const R reducer = reducer_;
    const int64_t room = free < limit_ - out ? free : limit_ - out;
    for_lanes<A>(n, room, [=, source = cells](int64_t i, auto family) {
      using L = decltype(family);
      auto state = reduce_at<R, L>(reducer, source, taps, from + i);
      state = reducer.template moved<L>(state, L::splat_index(typename L::Int(moved)));
      to.template put<L>(reducer, i, state, L::splat(count));
    });
  }

  // Windows of 2, 4, 8, ... taps, each from two of half as many; the windows of `kernel` taps are put
  // together from these, for the first n lanes.
  ScratchRow<A> doubled(int64_t n, int64_t step) const {
    const int64_t taps = width_.kernel;
    const R reducer = reducer_;
    const auto join = [=](ScratchRow<A> to, ScratchRow<A> a, ScratchRow<A> b, int64_t lanes, int64_t by) {
      for_lanes<A>(lanes, kAnyRoom, [=](int64_t i, auto family) {
        using L = decltype(family);
        using State = typename R::template State<L>;
        const State late = reducer.template moved<L>(b.template get<L, State>(i), L::splat_index(typename L::Int(by)));
        to.template put<L>(i, reducer.template combine<L>(a.template get<L, State>(i), late));
      });
    };
    ScratchRow<A> sum = row_;
    int64_t have = 1, done = 0;  // taps in a window of row_, and in one of `sum`
    for (;; have *= 2) {
      if (!R::kIdempotent && (taps & have) != 0) {
        if (done == 0 && have == taps) return row_;
        if (done == 0) {
          copy(sums_, row_, n);
        } else {
          join(sums_, sums_, row_.at(done * step), n, done);
        }
        sum = sums_;
        done += have;
      }
      if (2 * have > taps) break;
      join(row_, row_, row_.at(have * step), n + (taps - 2 * have) * step, have);
    }
    if (R::kIdempotent && have != taps) join(row_, row_, row_.at((taps - have) * step), n, taps - have);
    return R::kIdempotent ? row_ : sum;
  }

  void copy(ScratchRow<A> to, ScratchRow<A> from, int64_t lanes) const {
    for (int f = 0; f < kFields; ++f) {
      __builtin_memcpy(to.base + f * to.pitch, from.base + f * from.pitch, sizeof(A) * size_t(lanes));
    }
  }

  // Few, long or uneven windows: each is reduced along its own run of lanes.
  void along_runs(int64_t out, double rest) {
    using One = Single<A>;
    using State = typename R::template State<One>;
    const bool direct = k_ == 1;  // nothing to combine vertically: read the input itself
    if (!direct) vertical(row_, reached(), 0, 1);
    for (int64_t o = first_; o < end_; ++o) {
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
      results(out + o).template put<One>(reducer_, 0, s, counted(rest * width_.divisor[o]));
    }
  }

  typename R::template State<Single<A>> dilated_run(int64_t begin, int64_t taps, bool direct) const {
    using One = Single<A>;
    using State = typename R::template State<One>;
    State s = reducer_.template identity<One>();
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t column = begin + t * width_.dilation;
      const State cell = direct
                             ? reducer_.template lift<One>(load<One>(rows_[0] + column), typename One::Int(offsets_[0]))
                             : row_.template get<One, State>(column);
      s = reducer_.template combine<One>(s, reducer_.template moved<One>(cell, typename One::Int(t)));
    }
    return s;
  }

  // Recomputes, cell by cell, the outputs that may have left the accumulator's range.
  void repair(int64_t out, int64_t outer, int64_t od, int64_t oh) const {
    using One = Single<A>;
    const int64_t lanes = width_.trivial ? 1 : inner_;
    T* y = static_cast<T*>(call_.y) + out;
    const double rest = depth_.divisor[od] * height_.divisor[oh];
    for (int64_t i = first_ * lanes; i < end_ * lanes; ++i) {
      if (reducer_.in_range(double(load<One>(y + i)))) continue;
      const int64_t ow = i / inner_, lane = i % inner_;
      const auto each_cell = [&](const auto& visit) { this->each_cell(outer, od, oh, ow, lane, visit); };
      store<One>(y + i, A(reducer_.repaired(each_cell, rest * width_.divisor[ow])));
    }
  }

  template <class Visit>
  void each_cell(int64_t outer, int64_t od, int64_t oh, int64_t ow, int64_t lane, const Visit& visit) const {
    for (int64_t td = depth_.first[od]; td < depth_.last[od]; ++td) {
      const int64_t id = depth_.base[od] + td * depth_.dilation;
      for (int64_t th = height_.first[oh]; th < height_.last[oh]; ++th) {
        const T* row = input_row(outer, id, height_.base[oh] + th * height_.dilation);
        for (int64_t tw = width_.first[ow]; tw < width_.last[ow]; ++tw) {
          visit(double(load<Single<A>>(row + (width_.base[ow] + tw * width_.dilation) * inner_ + lane)));
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
  const T** rows_;
  int64_t* offsets_;
  A* counts_;
  ScratchRow<A> row_, sums_, prefixes_[2], suffixes_;
  int64_t first_ = 0, end_ = 0;  // the tile: outputs of the width, or lanes where it is trivial
  int64_t limit_ = 0;            // results that may be written
  int64_t k_ = 0;                // input rows of the current output row
  int64_t out_ = 0;              // first result of the current rows
};

// How rows of a few vectors are taken.
template <class T, class R>
ShortRows short_rows(const Plan& plan) {
  bool abreast = kGoesAbreast<R> && plan.maps_abreast;
  if constexpr (kTakesNeighbours<T, R>) {
    using Rows = Neighbours<T, R>;
    abreast = abreast && !Rows::fills_lanes(plan);
    if (Rows::takes(plan) && !abreast) return ShortRows::neighbours;
  }
  return abreast ? ShortRows::abreast : ShortRows::no;
}

template <class T, class R>
void run_forward(const ForwardCall& call, int64_t begin, int64_t end, void* scratch) {
  const ShortRows way = short_rows<T, R>(*call.plan);
  if constexpr (kTakesNeighbours<T, R>) {
    if (way == ShortRows::neighbours) return Neighbours<T, R>(call, scratch).run(begin, end);
  }
  if constexpr (kGoesAbreast<R>) {
    if (way == ShortRows::abreast) return Abreast<T, typename AbreastOf<R>::type>(call, scratch).run(begin, end);
  }
  Forward<T, R>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
