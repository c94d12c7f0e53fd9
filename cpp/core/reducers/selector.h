// What a selector is: a method that needs all cells of a window at once (walkers/windows.h), where a reducer takes
// them one by one. A small object made from the problem's parameters, written once for any lane family L:
//
//   Accumulator, kSupported, kWinners, kLinear   as a reducer's (reducer.h)
//   kSelects                                     it is a selector
//   kDraws                                       it reads one random number a window
//   is_middle(n)                                 (kRanks) whether the middle one of n cells, by size, is the result
//   choose<L>(window)                            the result of a window, with the offset of its cell (kWinners)
//   kLogits                                      it weighs by window.logits
//   share<L>(window, gradient)                   (kShares) leaves in window.spare what each cell gets of the gradient
//
// and, where exponentials may be summed instead (walkers/exponentials.h):
//
//   By                                           what they are exponentials of
//   Summed, Pulled                               the reducers of results, and of gradients divided by sums of weights
//   kSumsApart                                   it is faster so even where windows share no cell
#pragma once

#include "reducer.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class Method>
constexpr bool kSelects = requires { requires Method::kSelects; };

template <class S>
constexpr bool kLogits = requires { requires S::kLogits; };

// A method whose reducer may be told to read logits.
template <class Method>
constexpr bool kTakesLogits = requires { requires Method::kTakesLogits; };

template <class S>
constexpr bool kRanks = requires(const S& s) { s.is_middle(9); };

template <class S>
constexpr bool kShares = requires { requires S::kShares; };

template <class S>
constexpr bool kSumsExponentials = requires { typename S::Summed; } && !kLogits<S>;

// The cells of a window in row-major order, one vector a cell.
template <class L>
struct Window {
  const typename L::Value* cells;
  const int64_t* offsets;  // of the cells, ascending
  int64_t n;
  typename L::Value* spare;                         // room for n vectors more
  typename L::Value uniform = typename L::Value{};  // in [0, 1), where the method draws
  const typename L::Value* logits = nullptr;        // one a cell, where the method reads them,
  typename L::Value* logit_spare = nullptr;         // and room for as many more
};

template <class L>
struct Chosen {
  typename L::Value value;
  typename L::Index winner;
};

template <class L>
POOLKIT_INLINE typename L::Index offset_of(const Window<L>& window, int64_t t) {
  return L::splat_index(typename L::Int(window.offsets[t]));
}

constexpr int64_t kSumCells = 128;  // long sums are cut into parts, whose rounding errors do not add up

// The sum of part(t) over n cells.
template <class L, class F>
POOLKIT_INLINE typename L::Value sum_of(int64_t n, const F& part) {
  using V = typename L::Value;
  const auto sum = [&](int64_t begin, int64_t end) {
    V some = part(begin);
#pragma GCC unroll 4
    for (int64_t t = begin + 1; t < end; ++t) some = some + part(t);
    return some;
  };
  V total = sum(0, n < kSumCells ? n : kSumCells);
  for (int64_t begin = kSumCells; begin < n; begin += kSumCells) {
    total = total + sum(begin, begin + kSumCells < n ? begin + kSumCells : n);
  }
  return total;
}

// Integers as numbers of the accumulator type.
template <class L>
POOLKIT_INLINE typename L::Value numbers(typename L::Index i) {
  if constexpr (L::lanes == 1) {
    return typename L::Value(i);
  } else {
    return __builtin_convertvector(i, typename L::Value);
  }
}

// The first cell of this value.
template <class L>
POOLKIT_INLINE typename L::Index first_equal(const Window<L>& window, typename L::Value value) {
  typename L::Index winner = offset_of(window, window.n - 1);
  for (int64_t t = window.n - 2; t >= 0; --t) winner = window.cells[t] == value ? offset_of(window, t) : winner;
  return winner;
}

// NaN wins over every number, the last NaN over the others.
template <class L>
POOLKIT_INLINE void let_nan_win(const Window<L>& window, Chosen<L>& chosen) {
  if constexpr (kIsFloat<typename L::Scalar>) {
    for (int64_t t = 0; t < window.n; ++t) {
      const typename L::Value cell = window.cells[t];
      chosen.winner = cell != cell ? offset_of(window, t) : chosen.winner;
      chosen.value = cell != cell ? cell : chosen.value;
    }
  }
}

// Which windows have a NaN; of floating point only.
template <class L>
POOLKIT_INLINE Mask<L> nan_lanes(const Window<L>& window) {
  Mask<L> nan = window.cells[0] != window.cells[0];
  for (int64_t t = 1; t < window.n; ++t) nan = nan | (window.cells[t] != window.cells[t]);
  return nan;
}

template <class L>
POOLKIT_INLINE bool has_nan(const Window<L>& window) {
  if constexpr (kIsFloat<typename L::Scalar>) return any<L>(nan_lanes(window));
  return false;
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
