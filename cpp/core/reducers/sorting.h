// The cells of a window in order: a sorting network on whole vectors for small windows, selection by digits, lane by
// lane, for large ones. Both give the same values; NaN is the caller's business.
#pragma once

#include <utility>

#include "selector.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

constexpr int64_t kNetworkCells = 64;  // up to here the network is faster

template <class L>
POOLKIT_INLINE void exchange(typename L::Value& low, typename L::Value& high) {
  const typename L::Value a = low, b = high;
  low = smaller<L>(a, b);
  high = larger<L>(a, b);
}

// Of zeros of either sign, which are equal, it depends on the exchanges which one is found: none has a sign in the end.
template <class L>
POOLKIT_INLINE typename L::Value unsigned_zero(typename L::Value x) {
  return x + typename L::Value{};
}

// Calls exchange(i, j) for Batcher's merge exchange of n numbers (Knuth, The Art of Computer Programming 3, 5.2.2,
// algorithm M), which sorts them in ascending order.
template <class F>
constexpr void merge_exchange(int n, const F& exchange) {
  for (int p = 1; p < n; p *= 2) {
    const int block = 2 * p - 1;  // pairs within a block of 2p, so that only their last bits differ
    for (int k = p; k >= 1; k /= 2) {
      for (int j = k & (p - 1); j + k < n; j += 2 * k) {
        for (int i = j; i < j + k && i + k < n; ++i) {
          if ((i | block) == ((i + k) | block)) exchange(i, i + k);
        }
      }
    }
  }
}

// The same as a list, for sizes known when compiling.
template <int n>
struct Network {
  static constexpr int count = [] {
    int found = 0;
    merge_exchange(n, [&](int, int) { ++found; });
    return found;
  }();
  struct Pairs {
    int low[count], high[count];
  };
  static constexpr Pairs pairs = [] {
    Pairs list{};
    int found = 0;
    merge_exchange(n, [&](int i, int j) { list.low[found] = i, list.high[found++] = j; });
    return list;
  }();
};

template <class L, int n, int... step>
POOLKIT_INLINE void sort_by(typename L::Value* v, std::integer_sequence<int, step...>) {
  (exchange<L>(v[Network<n>::pairs.low[step]], v[Network<n>::pairs.high[step]]), ...);
}

template <class V, int... i>
POOLKIT_INLINE void copy_all(V* to, const V* from, std::integer_sequence<int, i...>) {
  ((to[i] = from[i]), ...);
}

// Out of line: one copy serves all methods.
template <class L, int n>
__attribute__((noinline)) void sort_known(const typename L::Value* cells, typename L::Value* sorted) {
  using All = std::make_integer_sequence<int, n>;
  typename L::Value v[n];
  copy_all(v, cells, All{});
  sort_by<L, n>(v, std::make_integer_sequence<int, Network<n>::count>{});
  copy_all(sorted, v, All{});
}

template <class L>
inline void sort(const typename L::Value* cells, typename L::Value* sorted, int n) {
  switch (n) {  // windows of 2 and 3, 2x2, 3x3, 2x2x2, 4x4 and 5x5, and what borders leave of these
    case 2: return sort_known<L, 2>(cells, sorted);
    case 3: return sort_known<L, 3>(cells, sorted);
    case 4: return sort_known<L, 4>(cells, sorted);
    case 5: return sort_known<L, 5>(cells, sorted);
    case 6: return sort_known<L, 6>(cells, sorted);
    case 8: return sort_known<L, 8>(cells, sorted);
    case 9: return sort_known<L, 9>(cells, sorted);
    case 12: return sort_known<L, 12>(cells, sorted);
    case 15: return sort_known<L, 15>(cells, sorted);
    case 16: return sort_known<L, 16>(cells, sorted);
    case 20: return sort_known<L, 20>(cells, sorted);
    case 25: return sort_known<L, 25>(cells, sorted);
    default: break;
  }
  for (int t = 0; t < n; ++t) sorted[t] = cells[t];
  merge_exchange(n, [sorted](int i, int j) { exchange<L>(sorted[i], sorted[j]); });
}

// The median of nine in 19 exchanges (Paeth, Graphics Gems, 1990; Smith, 1996): the columns of three sorted, then the
// largest of the lows, the middle of the middles and the smallest of the highs.
template <class L>
POOLKIT_INLINE typename L::Value median_of_nine(const typename L::Value* cells) {
  typename L::Value v[9];
  copy_all(v, cells, std::make_integer_sequence<int, 9>{});
  const auto sort_three = [](auto& a, auto& b, auto& c) {
    exchange<L>(b, c);
    exchange<L>(a, b);
    exchange<L>(b, c);
  };
  sort_three(v[0], v[1], v[2]);
  sort_three(v[3], v[4], v[5]);
  sort_three(v[6], v[7], v[8]);
  const typename L::Value low = larger<L>(larger<L>(v[0], v[3]), v[6]);
  const typename L::Value high = smaller<L>(smaller<L>(v[2], v[5]), v[8]);
  exchange<L>(v[1], v[4]);
  const typename L::Value middle = larger<L>(v[1], smaller<L>(v[4], v[7]));
  const typename L::Value a = smaller<L>(low, middle), b = larger<L>(low, middle);
  return larger<L>(a, smaller<L>(b, high));
}

// Numbers as unsigned keys of the same order; zeros of either sign have one key.
template <class A>
POOLKIT_INLINE typename UnsignedOf<sizeof(A)>::type key_of(A x) {
  using U = typename UnsignedOf<sizeof(A)>::type;
  constexpr U top = U(U(1) << (8 * sizeof(A) - 1));
  if constexpr (kIsFloat<A>) {
    const U bits = bit_cast<U>(A(x + A(0)));
    return (bits & top) != 0 ? U(~bits) : U(bits | top);
  } else {
    return A(-1) < A(0) ? U(U(x) ^ top) : U(x);
  }
}

template <class A>
POOLKIT_INLINE A of_key(typename UnsignedOf<sizeof(A)>::type key) {
  using U = typename UnsignedOf<sizeof(A)>::type;
  constexpr U top = U(U(1) << (8 * sizeof(A) - 1));
  if constexpr (kIsFloat<A>) {
    return bit_cast<A>((key & top) != 0 ? U(key & ~top) : U(~key));
  } else {
    return A(A(-1) < A(0) ? U(key ^ top) : key);
  }
}

// The element of this rank (0: the smallest) among n numbers `step` apart: digit by digit from the highest, keeping
// those that share the digits found. `keys` has room for n.
template <class A>
inline A of_rank(const A* numbers, int64_t step, int64_t n, int64_t rank, typename UnsignedOf<sizeof(A)>::type* keys) {
  using U = typename UnsignedOf<sizeof(A)>::type;
  for (int64_t i = 0; i < n; ++i) keys[i] = key_of(numbers[i * step]);
  for (int shift = 8 * sizeof(A) - 8; shift >= 0; shift -= 8) {
    int64_t counts[256] = {};
    for (int64_t i = 0; i < n; ++i) ++counts[U(keys[i] >> shift) & 255];
    U digit = 0;
    for (; rank >= counts[digit]; ++digit) rank -= counts[digit];
    int64_t kept = 0;
    for (int64_t i = 0; i < n; ++i) {
      keys[kept] = keys[i];
      kept += (U(keys[i] >> shift) & 255) == digit;
    }
    n = kept;
  }
  return of_key<A>(keys[0]);
}

// The cells of a window by rank.
template <class L>
class Ranked {
  using A = typename L::Scalar;
  using V = typename L::Value;

 public:
  explicit Ranked(const Window<L>& window) : window_(window) {}

  // The value at this rank (0: the smallest) alone.
  POOLKIT_INLINE V at(int64_t rank) {
    if (window_.n == 1) return window_.cells[0];
    if (window_.n == 9 && rank == 4) return median_of_nine<L>(window_.cells);
    if (!is_small()) return digits(rank);
    sort_all();
    return window_.spare[rank];
  }

  bool is_small() const { return window_.n <= kNetworkCells; }

  // All of a small window, ascending.
  POOLKIT_INLINE const V* sort_all() {
    sort<L>(window_.cells, window_.spare, int(window_.n));
    return window_.spare;
  }

 private:
  V digits(int64_t rank) const {
    A found[L::lanes];
    for (int lane = 0; lane < L::lanes; ++lane) {
      found[lane] = of_rank(reinterpret_cast<const A*>(window_.cells) + lane, L::lanes, window_.n, rank,
                            reinterpret_cast<typename UnsignedOf<sizeof(A)>::type*>(window_.spare));
    }
    return load_bits<V>(found);
  }

  const Window<L>& window_;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
