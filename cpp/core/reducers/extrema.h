// Maximum and minimum. NaN wins over every number, the last NaN over the others; of equals the first.
#pragma once

#include "reducer.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class A>
constexpr A kLowest = A(A(1) << (8 * sizeof(A) - 1)) < A(0) ? A(A(1) << (8 * sizeof(A) - 1)) : A(0);
template <>
constexpr float kLowest<float> = -__builtin_inff();
template <>
constexpr double kLowest<double> = -__builtin_inf();
template <class A>
constexpr A kHighest = A(~kLowest<A>);
template <>
constexpr float kHighest<float> = __builtin_inff();
template <>
constexpr double kHighest<double> = __builtin_inf();

struct Greater {
  template <class V>
  static auto beats(V b, V a) {
    return b > a;
  }
  template <class L>
  POOLKIT_INLINE static typename L::Value better(typename L::Value b, typename L::Value a) {
    return larger<L>(b, a);
  }
  template <class A>
  static constexpr A worst = kLowest<A>;
};

struct Less {
  template <class V>
  static auto beats(V b, V a) {
    return b < a;
  }
  template <class L>
  POOLKIT_INLINE static typename L::Value better(typename L::Value b, typename L::Value a) {
    return smaller<L>(b, a);
  }
  template <class A>
  static constexpr A worst = kHighest<A>;
};

// The value alone, computed in this type, among cells of which some may be NaN, or none is.
template <class T, class Order, class A, bool nan = kIsFloat<A>>
struct ExtremeIn {
  using Accumulator = A;
  using OfNumbers = ExtremeIn<T, Order, A, false>;
  static constexpr bool kWinners = false, kLinear = false, kDivides = false, kIdempotent = true, kRepairs = false;
  static constexpr bool kSupported = true;

  explicit ExtremeIn(const Problem&) {}

  template <class L>
  struct State {
    typename L::Value value;
  };
  template <class L>
  POOLKIT_INLINE State<L> identity() const {
    return {L::splat(Order::template worst<Accumulator>)};
  }
  template <class L>
  POOLKIT_INLINE State<L> lift(typename L::Value x, typename L::Index) const {
    return {x};
  }
  template <class L>
  POOLKIT_INLINE State<L> combine(State<L> a, State<L> b) const {
    const typename L::Value best = Order::template better<L>(b.value, a.value);
    if constexpr (nan) {
      return {b.value != b.value ? b.value : best};
    } else {
      return {best};
    }
  }
  template <class L>
  POOLKIT_INLINE State<L> append(State<L> a, State<L> b) const {
    return combine<L>(a, b);
  }
  template <class L>
  POOLKIT_INLINE State<L> moved(State<L> s, typename L::Index) const {
    return s;
  }
  template <class L>
  POOLKIT_INLINE typename L::Value finish(State<L> s, typename L::Value) const {
    return s.value;
  }
};

template <class T, class Order, bool with_winners>
struct Extreme;

template <class T, class Order>
struct Extreme<T, Order, false> : ExtremeIn<T, Order, typename Storage<T>::Accumulator> {
  using ExtremeIn<T, Order, typename Storage<T>::Accumulator>::ExtremeIn;
};

// Numbers of half precision are compared as keys of theirs; but side by side, where lanes are wider.
template <class T, class Order>
struct ExtremeOfKeys : ExtremeIn<T, Order, int16_t> {
  using Abreast = Extreme<T, Order, false>;
  using ExtremeIn<T, Order, int16_t>::ExtremeIn;

  // NaN of either sign becomes the key that wins.
  template <class L>
  POOLKIT_INLINE typename ExtremeIn<T, Order, int16_t>::template State<L> lift(typename L::Value key,
                                                                               typename L::Index) const {
    constexpr int16_t last = kInfinityKey<T>;
    if constexpr (kSame<Order, Greater>) {
      return {key < L::splat(int16_t(-1 - last)) ? L::splat(kHighest<int16_t>) : key};
    } else {
      return {key > L::splat(last) ? L::splat(kLowest<int16_t>) : key};
    }
  }
};

template <class T, class Order, bool with_winners>
struct ExtremeFor {
  using type = Extreme<T, Order, with_winners>;
};
template <class Order>
struct ExtremeFor<half, Order, false> {
  using type = ExtremeOfKeys<half, Order>;
};
template <class Order>
struct ExtremeFor<bfloat, Order, false> {
  using type = ExtremeOfKeys<bfloat, Order>;
};

// Winner offsets need lanes of at least 32 bits beside the values.
template <class T>
struct WinnerStorage {
  using Accumulator = typename Storage<T>::Accumulator;
};
template <>
struct WinnerStorage<uint8_t> {
  using Accumulator = int32_t;
};
template <>
struct WinnerStorage<int8_t> {
  using Accumulator = int32_t;
};
template <>
struct WinnerStorage<int16_t> {
  using Accumulator = int32_t;
};

// The value, and where it stands in the window.
template <class T, class Order, bool nan>
struct Winner {
  using Accumulator = typename WinnerStorage<T>::Accumulator;
  using OfNumbers = Winner<T, Order, false>;
  static constexpr bool kWinners = true, kLinear = false, kDivides = false, kIdempotent = true, kRepairs = false;
  static constexpr bool kSupported = true;

  explicit Winner(const Problem&) {}

  template <class L>
  struct State {
    typename L::Value value;
    typename L::Index offset;
  };
  template <class L>
  POOLKIT_INLINE State<L> identity() const {
    // Larger than any offset (dispatch.cpp refuses larger windows), with room to be moved.
    return {L::splat(Order::template worst<Accumulator>), L::splat_index(1 << 30)};
  }
  template <class L>
  POOLKIT_INLINE State<L> lift(typename L::Value x, typename L::Index offset) const {
    return {x, offset};
  }
  template <class L>
  POOLKIT_INLINE State<L> combine(State<L> a, State<L> b) const {
    auto take = Order::beats(b.value, a.value) | ((b.value == a.value) & (b.offset < a.offset));
    if constexpr (nan) take = take | ((b.value != b.value) & ((a.value == a.value) | (b.offset > a.offset)));
    return {take ? b.value : a.value, take ? b.offset : a.offset};
  }
  // b's cells all come after a's.
  template <class L>
  POOLKIT_INLINE State<L> append(State<L> a, State<L> b) const {
    auto take = Order::beats(b.value, a.value);
    if constexpr (nan) {
      take = take | (b.value != b.value);
      return {take ? b.value : a.value, take ? b.offset : a.offset};
    } else {
      return {Order::template better<L>(b.value, a.value), take ? b.offset : a.offset};
    }
  }
  template <class L>
  POOLKIT_INLINE State<L> moved(State<L> s, typename L::Index by) const {
    return {s.value, added<L>(s.offset, by)};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value finish(State<L> s, typename L::Value) const {
    return s.value;
  }
  template <class L>
  POOLKIT_INLINE typename L::Index winner(State<L> s) const {
    return s.offset;
  }

  template <class L>
  struct Pull {
    typename L::Value whole;
    typename L::Index winner;
  };
  template <class L>
  POOLKIT_INLINE Pull<L> prepare(typename L::Value g, typename L::Value, typename L::Index winner,
                                 typename L::Value) const {
    return {g, winner};
  }
  template <class L>
  POOLKIT_INLINE typename L::Value pull(typename L::Value, Pull<L> p, typename L::Index offset) const {
    return p.winner == offset ? p.whole : typename L::Value{};
  }
};

template <class T, class Order>
struct Extreme<T, Order, true> : Winner<T, Order, kIsFloat<typename WinnerStorage<T>::Accumulator>> {
  using Winner<T, Order, kIsFloat<typename WinnerStorage<T>::Accumulator>>::Winner;
};

struct Max {
  static constexpr int kNeeds = kNeedsWinners;
  static constexpr bool kScatters = true;
  template <class T, bool with_winners>
  using Reducer = typename ExtremeFor<T, Greater, with_winners>::type;
};

struct Min {
  static constexpr int kNeeds = kNeedsWinners;
  static constexpr bool kScatters = true;
  template <class T, bool with_winners>
  using Reducer = typename ExtremeFor<T, Less, with_winners>::type;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
