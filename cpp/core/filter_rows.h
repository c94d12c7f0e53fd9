// One row of a filter's results at a time: the rows that it is made from are added up first, into scratch that stays
// in the cache; then sums are taken along that row. Sources are read from arrays, or from rows made a moment before.
#pragma once

#include "filter.h"
#include "walkers/lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Of lambdas that stand in innermost loops.
#define POOLKIT_INLINED __attribute__((always_inline))

// So many terms at most are summed by a loop made for their number, whose weights stay in registers.
constexpr int kKnownTerms = 4;

template <class S, class A>
struct Terms {
  int count = 0;
  const S* from[kKnownTerms] = {};
  A weight[kKnownTerms] = {};

  POOLKIT_INLINE void add(const S* p, A w) { from[count] = p, weight[count++] = w; }
};

// Calls f with the sum of 1 to 4 terms, lane by lane.
template <int count, class S, class A, class F>
POOLKIT_INLINE void with_known(const Terms<S, A>& t, const F& f) {
  const S *const p = t.from[0], *const q = t.from[1], *const r = t.from[2], *const s = t.from[3];
  const A a = t.weight[0], b = t.weight[1], c = t.weight[2], d = t.weight[3];
  f([=](int64_t i, auto family) POOLKIT_INLINED {
    using L = decltype(family);
    auto sum = L::splat(a) * load<L>(p + i);
    if constexpr (count > 1) sum = sum + L::splat(b) * load<L>(q + i);
    if constexpr (count > 2) sum = sum + L::splat(c) * load<L>(r + i);
    if constexpr (count > 3) sum = sum + L::splat(d) * load<L>(s + i);
    return sum;
  });
}
template <class S, class A, class F>
POOLKIT_INLINE void with_sum(const Terms<S, A>& t, const F& f) {
  switch (t.count) {
    case 1: return with_known<1>(t, f);
    case 2: return with_known<2>(t, f);
    case 3: return with_known<3>(t, f);
    default: return with_known<4>(t, f);
  }
}

// Sources are of type S, results of type Y.
template <class S, class Y, class A>
class FilterRow {
 public:
  FilterRow(const FilterCall& call, A* scratch)
      : width_(*call.axis[2]),
        inner_(call.inner),
        length_(width_.in * call.inner),
        pitch_(call.pitch),
        splits_(call.splits),
        place_(call.place),
        weight_(static_cast<const A*>(call.weight)),
        sum_(scratch + kRowMargin),
        cells_(splits_ ? sum_ + pitch_ : sum_),
        first_(width_.first * width_.each),
        last_(width_.first < width_.last ? width_.last * width_.each : first_) {
    if (first_ == last_) return;
    const int64_t before = width_.first, behind = width_.out / width_.each - width_.last;
    // Whole rows keep vectors aligned; what is read beyond the sources is in the margins.
    const int64_t step = splits_ ? 1 : width_.step;
    const bool whole = before * step < kRowMargin / 2 && behind * step < kRowMargin / 2;
    begin_ = whole ? -before : 0;
    end_ = width_.last - before + (whole ? behind : 0);
    for (int64_t r = 0; r < width_.each && r < 2; ++r) alike_[r] = terms_of(first_ + r);
  }

  // Adds a row of sources to the sum that the next row of results is made from.
  POOLKIT_INLINE void add(const S* row, A weight) {
    if (rows_.count == kKnownTerms) add_up();
    rows_.add(row, weight);
  }

  // The row of sources that was added last; null if none waits.
  const S* last_row() const { return rows_.count > 0 ? rows_.from[rows_.count - 1] : nullptr; }

  // Writes the row of results.
  void write(Y* y) {
    if (splits_ && !begun_ && rows_.count > 0) {
      with_sum(rows_, [&](const auto& sum) POOLKIT_INLINED { split(sum); });
    } else {
      add_up();
      if (splits_) split([this](int64_t i, auto family) { return load<decltype(family)>(sum_ + i); });
    }
    begun_ = false;
    rows_.count = 0;
    if (inner_ > 1) {
      for (int64_t o = 0; o < width_.out; ++o) across(y + o * inner_, o);
    } else {
      along(y);
    }
  }

 private:
  using One = Single<A>;
  using Many = Wide<A>;

  // The sum that a result is, of any number of terms; that of the result i groups further on where all are alike.
  struct AnyTerms {
    const FilterRow& row;
    int64_t begin, end, step;

    template <class L>
    POOLKIT_INLINE typename L::Value operator()(int64_t i, L) const {
      typename L::Value sum{};
      for (int64_t k = begin; k < end; ++k) {
        const A* const p = row.cells_ + row.place_[k] + i * step;
        const auto cells = step == 1 ? load<L>(p) : load_strided<L>(p, step);
        sum = sum + L::splat(row.weight_[k]) * cells;
      }
      return sum;
    }
  };

  // The terms of result o, none if they are not 1 to 4.
  Terms<A, A> terms_of(int64_t o) const {
    const int64_t begin = width_.begin[o], end = width_.begin[o + 1];
    Terms<A, A> terms;
    for (int64_t k = begin; k < end && end - begin <= kKnownTerms; ++k) terms.add(cells_ + place_[k], weight_[k]);
    return terms;
  }

  // Calls f with the sum that result o is, of cells next to another.
  template <class F>
  POOLKIT_INLINE void with_terms(int64_t o, const Terms<A, A>& terms, const F& f) const {
    if (terms.count == 0) return f(AnyTerms{*this, width_.begin[o], width_.begin[o + 1], 1});
    with_sum(terms, f);
  }

  // Adds the rows that wait to the sum, or begins it with them.
  void add_up() {
    if (rows_.count == 0) {
      for (int64_t i = 0; !begun_ && i < length_; ++i) sum_[i] = A(0);
      return;
    }
    with_sum(rows_, [&](const auto& sum) POOLKIT_INLINED {
      if (begun_) {
        for_lanes_once<A>(length_, length_, [&](int64_t i, auto family) POOLKIT_INLINED {
          using L = decltype(family);
          store<L>(sum_ + i, load<L>(sum_ + i) + sum(i, L{}));
        });
      } else {
        for_lanes<A>(length_, length_, [&](int64_t i, auto family) POOLKIT_INLINED {
          store<decltype(family)>(sum_ + i, sum(i, family));
        });
      }
    });
    begun_ = true;
    rows_.count = 0;
  }

  // Cells of even and of odd places, the first ones of sums and those between, go to rows of their own.
  template <class Sum>
  POOLKIT_INLINE void split(const Sum& sum) {
    constexpr int64_t lanes = Many::lanes;
    A *const even = cells_, *const odd = cells_ + pitch_;
    const auto pair = [&](int64_t i) POOLKIT_INLINED {
      const auto a = sum(i, Many{}), b = sum(i + lanes, Many{});
      store<Many>(even + i / 2, evens<Many>(a, b));
      store<Many>(odd + i / 2, odds<Many>(a, b));
    };
    int64_t i = 0;
    for (; i + 2 * lanes <= length_; i += 2 * lanes) pair(i);
    if (i < length_ && i > 0) {
      pair((length_ - 2 * lanes) / 2 * 2);
      i = length_ / 2 * 2;
    }
    for (; i < length_; ++i) store<One>((i % 2 == 0 ? even : odd) + i / 2, sum(i, One{}));
  }

  // The channels of one result.
  POOLKIT_INLINE void across(Y* y, int64_t o) const {
    with_terms(o, terms_of(o), [&](const auto& sum) POOLKIT_INLINED {
      for_lanes<A>(inner_, inner_, [&](int64_t i, auto family) POOLKIT_INLINED {
        using L = decltype(family);
        store<L>(y + i, sum(i, L{}));
      });
    });
  }

  POOLKIT_INLINE Y single(int64_t o) const {
    const int64_t begin = width_.begin[o], end = width_.begin[o + 1];
    A sum = begin < end ? weight_[begin] * cells_[place_[begin]] : A(0);
    for (int64_t k = begin + 1; k < end; ++k) sum = sum + weight_[k] * cells_[place_[k]];
    Y result;
    store<One>(&result, sum);
    return result;
  }

  // Results next to another: those of groups that are alike, then the others, which vectors may have run over.
  POOLKIT_INLINE void along(Y* y) const {
    if (begin_ < end_) groups_alike(y + (width_.first + begin_) * width_.each);
    for (int64_t o = 0; o < first_; ++o) y[o] = single(o);
    for (int64_t o = last_; o < width_.out; ++o) y[o] = single(o);
  }

  // The groups from begin_ to end_, lanes running over them; y is where they begin.
  POOLKIT_INLINE void groups_alike(Y* y) const {
    const int64_t each = width_.each, step = splits_ ? 1 : width_.step;
    if (each == 1 && step == 1) {
      with_terms(first_, alike_[0], [&](const auto& sum) POOLKIT_INLINED {
        for_vectors<1>(y, [&](int64_t i, Y* to) POOLKIT_INLINED { store<Many>(to, sum(i, Many{})); });
      });
    } else if (each == 2 && step == 1) {
      with_terms(first_, alike_[0], [&](const auto& one) POOLKIT_INLINED {
        with_terms(first_ + 1, alike_[1], [&](const auto& other) POOLKIT_INLINED {
          for_vectors<2>(y, [&](int64_t i, Y* to) POOLKIT_INLINED {
            const auto a = one(i, Many{}), b = other(i, Many{});
            store<Many>(to, zipped_low<Many>(a, b));
            store<Many>(to + Many::lanes, zipped_high<Many>(a, b));
          });
        });
      });
    } else {
      for (int64_t r = 0; r < each; ++r) {
        const AnyTerms sum{*this, width_.begin[first_ + r], width_.begin[first_ + r + 1], step};
        for_lanes<A>(end_ - begin_, end_ - begin_, [&](int64_t i, auto family) POOLKIT_INLINED {
          using L = decltype(family);
          Y results[L::lanes];
          store<L>(results, sum(begin_ + i, L{}));
          for (int lane = 0; lane < L::lanes; ++lane) y[(i + lane) * each + r] = results[lane];
        });
      }
    }
  }

  // Calls body(i, to) for vectors of groups from i on, whose results go to `to`.
  template <int each, class Body>
  POOLKIT_INLINE void for_vectors(Y* y, const Body& body) const {
    constexpr int64_t lanes = Many::lanes;
    const int64_t end = end_;
    int64_t i = begin_;
    for (; i + lanes <= end; i += lanes, y += each * lanes) body(i, y);
    if (i == end) return;
    if (i > begin_) return body(end - lanes, y - (i + lanes - end) * each);
    Y few[each * lanes];
    body(i, few);
    for (int64_t k = 0; k < (end - i) * each; ++k) y[k] = few[k];
  }

  const Sums& width_;
  const int64_t inner_, length_, pitch_;
  const bool splits_;
  const int64_t* const place_;
  const A* const weight_;
  A *const sum_, *const cells_;
  Terms<S, A> rows_;  // that wait to be added to the sum
  bool begun_ = false;
  // Results of groups that are alike, and those groups counted from the first, with what vectors may run over.
  const int64_t first_, last_;
  int64_t begin_ = 0, end_ = 0;
  Terms<A, A> alike_[2];
};

template <class S>
POOLKIT_INLINE const S* row_of(const FilterCall& call, int64_t outer, int64_t z, int64_t y) {
  const Sums &depth = *call.axis[0], &height = *call.axis[1], &width = *call.axis[2];
  return static_cast<const S*>(call.x) + ((outer * depth.in + z) * height.in + y) * width.in * call.inner;
}

// Calls add(z, y, weight) for the rows of sources that row h of plane d of the results is made from.
template <class A, class Add>
POOLKIT_INLINE void for_sources(const FilterCall& call, int64_t d, int64_t h, const Add& add) {
  const Sums &depth = *call.axis[0], &height = *call.axis[1];
  for (int64_t i = depth.begin[d]; i < depth.begin[d + 1]; ++i) {
    for (int64_t j = height.begin[h]; j < height.begin[h + 1]; ++j) {
      add(depth.source[i], height.source[j], A(depth.weight[i] * height.weight[j]));
    }
  }
}

// Calls row(outer, d, h, at) for rows [begin, end) of the results, `at` being where they stand.
template <class Row>
POOLKIT_INLINE void for_results(const FilterCall& call, int64_t begin, int64_t end, const Row& row) {
  const int64_t planes = call.axis[0]->out, rows = call.axis[1]->out, length = call.axis[2]->out * call.inner;
  int64_t h = begin % rows, d = begin / rows % planes, outer = begin / rows / planes;
  for (int64_t at = begin; at < end; ++at) {
    row(outer, d, h, at * length);
    if (++h < rows) continue;
    h = 0;
    if (++d < planes) continue;
    d = 0;
    ++outer;
  }
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
