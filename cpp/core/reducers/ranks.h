// Quantiles (the median is one), the mean of the largest and that of the middle. NaN wins over every number; of equals
// the first.
#pragma once

#include "extrema.h"
#include "sorting.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T, bool with_winners>
struct RankAccumulator {
  using type = typename Storage<T>::Accumulator;
};
template <class T>
struct RankAccumulator<T, true> {
  using type = typename WinnerStorage<T>::Accumulator;
};

// No parameter leads out of a window.
inline double fraction(double q) { return q > 0 && q <= 1 ? q : 0; }

// The cell at q of the way from the smallest to the largest. Where that lies between two, the lower, the higher or the
// nearest (of two as near, that of even rank).
template <class T, bool with_winners>
struct QuantileCell {
  using Accumulator = typename RankAccumulator<T, with_winners>::type;
  static constexpr bool kSelects = true, kDraws = false, kWinners = with_winners, kLinear = false, kSupported = true;
  enum Rule { kLower, kHigher, kNearest };

  double q;
  Rule rule;

  explicit QuantileCell(const Problem& problem)
      : q(fraction(problem.param[0])),
        rule(problem.param[1] == 0   ? kLower
             : problem.param[1] == 1 ? kHigher
                                     : kNearest) {}

  int64_t rank(int64_t n) const {
    const double position = q * double(n - 1);
    const int64_t below = int64_t(position);
    const double rest = position - double(below);
    if (rule == kLower || rest == 0) return below;
    if (rule == kHigher || rest > 0.5) return below + 1;
    return rest < 0.5 ? below : below + (below & 1);
  }

  bool is_middle(int64_t n) const { return n % 2 == 1 && rank(n) == n / 2; }

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    const typename L::Value value = unsigned_zero<L>(Ranked<L>(window).at(rank(window.n)));
    Chosen<L> chosen{value, {}};
    if constexpr (with_winners) chosen.winner = first_equal(window, value);
    if (has_nan(window)) let_nan_win(window, chosen);
    return chosen;
  }
};

// The same, interpolated between the two cells.
template <class T>
struct QuantileBetween {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = false, kWinners = false, kLinear = false, kSupported = kIsFloat<T>;

  double q;

  explicit QuantileBetween(const Problem& problem) : q(fraction(problem.param[0])) {}

  bool is_middle(int64_t n) const { return n % 2 == 1 && q == 0.5; }

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    const double position = q * double(window.n - 1);
    const int64_t below = int64_t(position);
    const double rest = position - double(below);
    Ranked<L> ranked(window);
    Chosen<L> chosen{};
    if (rest == 0) {
      chosen.value = ranked.at(below);
    } else {
      const bool small = ranked.is_small();
      if (small) ranked.sort_all();
      const typename L::Value low = small ? window.spare[below] : ranked.at(below);
      const typename L::Value high = small ? window.spare[below + 1] : ranked.at(below + 1);
      chosen.value = low * Accumulator(1 - rest) + high * Accumulator(rest);
    }
    chosen.value = unsigned_zero<L>(chosen.value);
    if (has_nan(window)) let_nan_win(window, chosen);
    return chosen;
  }
};

// The mean of the k largest, or of all where a window has fewer.
template <class T>
struct LargestMean {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = false, kWinners = false, kLinear = false, kSupported = kIsFloat<T>;
  static constexpr bool kShares = true;

  int64_t most;

  explicit LargestMean(const Problem& problem)
      : most(problem.param[0] >= 1 && problem.param[0] < 0x1p62 ? int64_t(problem.param[0]) : 1) {}

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    using V = typename L::Value;
    const int64_t n = window.n, k = most < n ? most : n;
    Ranked<L> ranked(window);
    V sum{};
    if (ranked.is_small()) {
      const V* sorted = ranked.sort_all();
      for (int64_t t = n - 1; t >= n - k; --t) sum = sum + sorted[t];
    } else {
      // Those above the k-th largest, and as many times that one as are left.
      const V edge = ranked.at(n - k);
      typename L::Index left = L::splat_index(typename L::Int(k));
      sum = sum_of<L>(n, [&](int64_t t) {
        const V cell = window.cells[t];
        left = cell > edge ? left - 1 : left;
        return cell > edge ? cell : V{};
      });
      sum = sum + numbers<L>(left) * edge;
    }
    Chosen<L> chosen{sum / L::splat(Accumulator(k)), {}};
    if (has_nan(window)) let_nan_win(window, chosen);
    return chosen;
  }

  // The same for each of the k largest; of those that equal the last of them, for the first.
  template <class L>
  POOLKIT_INLINE void share(const Window<L>& window, typename L::Value gradient) const {
    using V = typename L::Value;
    const int64_t n = window.n, k = most < n ? most : n;
    const V unit = gradient / L::splat(Accumulator(k)), none{};
    if (has_nan(window)) return share_with_nan(window, k, unit);
    const V edge = Ranked<L>(window).at(n - k);
    const typename L::Index zero{};
    typename L::Index left = L::splat_index(typename L::Int(k));
    for (int64_t t = 0; t < n; ++t) left = window.cells[t] > edge ? left - 1 : left;
    for (int64_t t = 0; t < n; ++t) {
      const V cell = window.cells[t];
      const typename L::Index equal = cell == edge ? left : zero;
      window.spare[t] = cell > edge ? unit : equal > zero ? unit : none;
      left = cell == edge ? left - 1 : left;
    }
  }

 private:
  // NaN counts as the largest. The key of the k-th largest is found bit by bit.
  template <class L>
  __attribute__((noinline)) void share_with_nan(const Window<L>& window, int64_t k, typename L::Value unit) const {
    using A = Accumulator;
    using Key = typename UnsignedOf<sizeof(A)>::type;
    const auto* cells = reinterpret_cast<const A*>(window.cells);
    auto* shares = reinterpret_cast<A*>(window.spare);
    for (int lane = 0; lane < L::lanes; ++lane) {
      const auto key = [=](int64_t t) {
        const A cell = cells[t * L::lanes + lane];
        return cell != cell ? Key(~Key(0)) : key_of(cell);
      };
      const auto count = [&](Key least) {
        int64_t found = 0;
        for (int64_t t = 0; t < window.n; ++t) found += key(t) >= least;
        return found;
      };
      Key edge = 0;
      for (Key bit = Key(Key(1) << (8 * sizeof(Key) - 1)); bit != 0; bit >>= 1) {
        if (count(edge | bit) >= k) edge |= bit;
      }
      int64_t left = k;
      for (int64_t t = 0; t < window.n; ++t) left -= key(t) > edge;
      for (int64_t t = 0; t < window.n; ++t) {
        const bool taken = key(t) > edge || (key(t) == edge && left-- > 0);
        shares[t * L::lanes + lane] = taken ? reinterpret_cast<const A*>(&unit)[lane] : A(0);
      }
    }
  }
};

// The mean without a share of the smallest cells and as many of the largest. Where that share ends within a cell, the
// rest of the cell takes part, so that the result is continuous in the share; at a half, nothing but the middle is
// left.
template <class T>
struct MiddleMean {
  using Accumulator = typename Storage<T>::Accumulator;
  static constexpr bool kSelects = true, kDraws = false, kWinners = false, kLinear = false, kSupported = kIsFloat<T>;
  static constexpr bool kShares = true;

  double trim;

  explicit MiddleMean(const Problem& problem) : trim(fraction(2 * problem.param[0]) / 2) {}

  // The cells of these ranks count in part, those between wholly, of so much in all.
  struct Kept {
    int64_t first, last;
    Accumulator part, total;
  };
  Kept kept(int64_t n) const {
    const double dropped = trim * double(n);
    const int64_t first = int64_t(dropped + 1e-9);  // 0.29 of 100 cells are 29, though their product is less
    if (2 * first + 2 >= n) return {(n - 1) / 2, n / 2, Accumulator(0.5), Accumulator(1)};
    const double rest = dropped > double(first) ? dropped - double(first) : 0;
    return {first, n - 1 - first, Accumulator(1 - rest), Accumulator(double(n - 2 * first) - 2 * rest)};
  }

  template <class L>
  POOLKIT_INLINE Chosen<L> choose(const Window<L>& window) const {
    using V = typename L::Value;
    const int64_t n = window.n;
    const auto [first, last, part, total] = kept(n);
    Ranked<L> ranked(window);
    Chosen<L> chosen{};
    if (ranked.is_small()) {
      const V* sorted = ranked.sort_all();
      V sum = sorted[first] * L::splat(part) + sorted[last] * L::splat(part);
      if (last > first + 1) sum = sum + sum_of<L>(last - first - 1, [&](int64_t t) { return sorted[first + 1 + t]; });
      chosen.value = sum / L::splat(total);
    } else {
      // Those between the two, and each of the two as often as it is there.
      const V low = ranked.at(first), high = ranked.at(last);
      typename L::Index lows = L::splat_index(typename L::Int(-1 - first)), highs = lows;
      V sum = sum_of<L>(n, [&](int64_t t) {
        const V cell = window.cells[t];
        lows = cell <= low ? lows + 1 : lows;
        highs = cell >= high ? highs + 1 : highs;
        return cell > low ? (cell < high ? cell : V{}) : V{};
      });
      sum = sum + low * (numbers<L>(lows) + part) + high * (numbers<L>(highs) + part);
      chosen.value = low == high ? low : sum / L::splat(total);
    }
    chosen.value = unsigned_zero<L>(chosen.value);
    if (has_nan(window)) let_nan_win(window, chosen);
    return chosen;
  }

  // Of equals the first is the smallest. A window with NaN has no order: as in a mean, all its cells get the same.
  template <class L>
  POOLKIT_INLINE void share(const Window<L>& window, typename L::Value gradient) const {
    using V = typename L::Value;
    using Index = typename L::Index;
    const int64_t n = window.n;
    const auto [first, last, part, total] = kept(n);
    Ranked<L> ranked(window);
    const bool small = ranked.is_small();
    if (small) ranked.sort_all();
    const V low = small ? window.spare[first] : ranked.at(first), high = small ? window.spare[last] : ranked.at(last);
    const V whole = gradient / L::splat(total), edge = whole * L::splat(part), none{};
    const Index from = L::splat_index(typename L::Int(first)), to = L::splat_index(typename L::Int(last));
    Index low_rank{}, high_rank{};  // of the next cell of this value
    for (int64_t t = 0; t < n; ++t) {
      low_rank = window.cells[t] < low ? low_rank + 1 : low_rank;
      high_rank = window.cells[t] < high ? high_rank + 1 : high_rank;
    }
    for (int64_t t = 0; t < n; ++t) {
      const V cell = window.cells[t];
      // Of a rank that neither cell has, the one between.
      Index rank = cell > low ? (cell < high ? from + 1 : to + 1) : from - 1;
      rank = cell == high ? high_rank : rank;
      rank = cell == low ? low_rank : rank;
      low_rank = cell == low ? low_rank + 1 : low_rank;
      high_rank = cell == high ? high_rank + 1 : high_rank;
      V share = rank > from ? (rank < to ? whole : none) : none;
      share = share + (rank == from ? edge : none);
      window.spare[t] = share + (rank == to ? edge : none);
    }
    if (!has_nan(window)) return;
    const Mask<L> nan = nan_lanes(window);
    const V even = gradient / L::splat(Accumulator(n));
    for (int64_t t = 0; t < n; ++t) window.spare[t] = nan ? even : window.spare[t];
  }
};

struct Quantile {
  static constexpr int kNeeds = kNeedsWinners;
  static constexpr bool kScatters = true;
  template <class T, bool with_winners>
  using Reducer = QuantileCell<T, with_winners>;
};

struct QuantileLinear {
  static constexpr int kNeeds = kNeedsNothing;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = QuantileBetween<T>;
};

struct TopKMean {
  static constexpr int kNeeds = kNeedsX;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = LargestMean<T>;
};

struct TrimmedMean {
  static constexpr int kNeeds = kNeedsX;
  static constexpr bool kScatters = false;
  template <class T, bool>
  using Reducer = MiddleMean<T>;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
