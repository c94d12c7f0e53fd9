// Powers and exponentials of lanes, the same bits on every instruction set; polynomials are minimax fits. Powers of
// floats are computed in double lanes, whose errors (below 2^-38) vanish when the result is rounded: within 0.51 units
// in the last place. Those of doubles come from the C library.
#pragma once

#include "simd.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <int bytes>
struct DoubleLanes {
  using Value = typename VectorOf<double, bytes>::type;
  using Bits = typename VectorOf<uint64_t, bytes>::type;

  static Value splat(double v) { return v - Value{}; }
  static Bits splat_bits(uint64_t v) { return v - Bits{}; }

  // The natural logarithm of positive, finite, normal numbers: 2^e * m with m around 1, and
  // ln m = 2 atanh(s) for s = (m - 1) / (m + 1).
  static Value log(Value x) {
    const Bits bits = bit_cast<Bits>(x);
    // Counted from sqrt(1/2), so that m lies in [sqrt(1/2), sqrt(2)).
    const Bits above = bits - splat_bits(0x3fe6a09e667f3bcdu);
    // An exponent field that may be negative becomes a double by way of the low bits of 1.5 * 2^52.
    const Bits exponent = ((above + splat_bits(uint64_t{1} << 62)) >> 52) + splat_bits(0x4338000000000000u - 1024);
    const Value e = bit_cast<Value>(exponent) - splat(0x1.8p52);
    const Bits field = above & splat_bits(0xfff0000000000000u);
    const Value m = bit_cast<Value>(bits - field);
    const Value s = (m - splat(1)) / (m + splat(1)), t = s * s;
    Value p = splat(0.097921261382829904);
    p = p * t + splat(0.11088090723266345);
    p = p * t + splat(0.14286054670240909);
    p = p * t + splat(0.19999997809997564);
    p = p * t + splat(0.33333333337903474);
    return e * splat(0x1.62e42fefa39efp-1) + (s + s) * (splat(1) + p * t);
  }

  // ln(1 + x): what rounding 1 + x loses is in proportion.
  static Value log_one_plus(Value x) {
    const Value sum = x + splat(1), kept = sum - splat(1);
    return kept == Value{} ? x : log(sum) * (x / kept);
  }

  // e^x, for |x| <= 700.
  static Value exp(Value x) {
    const Value shifted = x * splat(0x1.71547652b82fep+0) + splat(0x1.8p52);  // rounds to an integer, in the low bits
    const Value n = shifted - splat(0x1.8p52);
    const Value r = (x - n * splat(0x1.62e42fefap-1)) - n * splat(0x1.cf79abc9e3b3ap-40);
    Value p = splat(2.4708372959841625e-5);
    p = p * r + splat(0.00019908951618121072);
    p = p * r + splat(0.0013889197031791468);
    p = p * r + splat(0.0083332817890438427);
    p = p * r + splat(0.04166666440508735);
    p = p * r + splat(0.16666666784506538);
    p = p * r + splat(0.50000000004269322);
    p = p * r + splat(1);
    p = p * r + splat(1);
    return bit_cast<Value>(bit_cast<Bits>(p) + (bit_cast<Bits>(shifted) << 52));
  }

  // The same for all numbers: what lies beyond overflows or vanishes as a float in any case.
  static Value bounded_exp(Value x) {
    x = x > splat(700) ? splat(700) : x;
    x = x < splat(-700) ? splat(-700) : x;
    return exp(x);
  }

  static Value power(Value x, double exponent) { return bounded_exp(log(x) * splat(exponent)); }
};

// e^x = 2^n (1 + r + r^2 q(r)) in lanes of the numbers' own type.
template <class A>
struct ExpOf;

template <>
struct ExpOf<float> {
  static constexpr int kDigits = 23;
  static constexpr float lowest = -87, log2_e = 1.44269504f, rounder = 0x1.8p23f;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float q[] = {0.00138145402f, 0.00836874511f, 0.0416683908f, 0.166665204f, 0.499999934f};
};

template <>
struct ExpOf<double> {
  static constexpr int kDigits = 52;
  static constexpr double lowest = -708, log2_e = 0x1.71547652b82fep+0, rounder = 0x1.8p52;
  static constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr double q[] = {2.5000018833187373e-8, 2.76303062503e-7,       2.7557586803895325e-6,
                                 2.4801492949633869e-5, 0.00019841269505773775, 0.0013888888943759965,
                                 0.0083333333334949773, 0.041666666666529728,   0.16666666666666412,
                                 0.50000000000000107};
};

// e^x for x <= 88 as 2^n (1 + rest).
template <class L>
struct SplitPower {
  typename L::Value power, rest;

  POOLKIT_INLINE explicit SplitPower(typename L::Value x) {
    using V = typename L::Value;
    using Exp = ExpOf<typename L::Scalar>;
    using Bits = typename UnsignedLanes<L>::type;
    const V shifted = x * L::splat(Exp::log2_e) + L::splat(Exp::rounder);  // rounds to an integer, in the low bits
    const V n = shifted - L::splat(Exp::rounder);
    const V r = (x - n * L::splat(Exp::ln2_high)) - n * L::splat(Exp::ln2_low);
    V q = L::splat(Exp::q[0]);
#pragma GCC unroll 16
    for (size_t i = 1; i < sizeof(Exp::q) / sizeof(Exp::q[0]); ++i) q = q * r + L::splat(Exp::q[i]);
    rest = q * (r * r) + r;
    power = bit_cast<V>((bit_cast<Bits>(shifted) << Exp::kDigits) + bit_cast<Bits>(L::splat(1)));
  }
};

// e^x for x <= 88, within one unit in the last place; 0 where that is all but the smallest numbers. NaN and larger
// numbers may give anything.
template <class L>
POOLKIT_INLINE typename L::Value exponential(typename L::Value x) {
  const SplitPower<L> split(x);
  const typename L::Value mantissa = split.rest + L::splat(1);
  return x < L::splat(ExpOf<typename L::Scalar>::lowest) ? typename L::Value{} : mantissa * split.power;
}

// e^x - 1 for x <= 88; exact to a few units in the last place near 0, too.
template <class L>
POOLKIT_INLINE typename L::Value exponential_less_one(typename L::Value x) {
  const SplitPower<L> split(x);
  const typename L::Value less = split.power - L::splat(1);
  return x < L::splat(ExpOf<typename L::Scalar>::lowest) ? L::splat(-1) : split.rest * split.power + less;
}

// ln(x) of positive numbers, or ln(1 + x).
template <class L, bool one_plus>
__attribute__((noinline)) typename L::Value logarithm(typename L::Value x) {
  using V = typename L::Value;
  if constexpr (!kSame<typename L::Scalar, float>) {
    return each_lane<L>(x, [](double v) { return one_plus ? __builtin_log1p(v) : __builtin_log(v); });
  } else if constexpr (L::lanes == 1) {
    using Two = typename VectorOf<float, 8>::type;
    using D = DoubleLanes<16>;
    return __builtin_convertvector(one_plus ? D::log_one_plus(D::splat(x)) : D::log(D::splat(x)), Two)[0];
  } else {
    using Half = typename VectorOf<float, sizeof(V) / 2>::type;
    using D = DoubleLanes<sizeof(V)>;
    Half halves[2];
    __builtin_memcpy(halves, &x, sizeof(V));
    for (Half& half : halves) {
      const auto wide = __builtin_convertvector(half, typename D::Value);
      half = __builtin_convertvector(one_plus ? D::log_one_plus(wide) : D::log(wide), Half);
    }
    return load_bits<V>(halves);
  }
}

// x^p of magnitudes; NaN stays NaN.
template <class L>
POOLKIT_INLINE typename L::Value power_of_floats(typename L::Value x, double p) {
  using V = typename L::Value;
  if constexpr (L::lanes == 1) {
    using Two = typename VectorOf<float, 8>::type;
    using D = DoubleLanes<16>;
    if (x != x || p == 0) return p == 0 ? 1 : x;
    if (x == 0 || x == __builtin_inff()) return (x == 0) == (p > 0) ? 0 : __builtin_inff();
    return __builtin_convertvector(D::power(D::splat(x), p), Two)[0];
  } else {
    constexpr int half_bytes = sizeof(V) / 2;
    using Half = typename VectorOf<float, half_bytes>::type;
    using D = DoubleLanes<sizeof(V)>;
    const V zero{}, infinite = L::splat(__builtin_inff());
    const auto special = (x == zero) | (x == infinite) | (x != x);
    const V usual = special ? L::splat(1) : x;
    Half halves[2];
    __builtin_memcpy(halves, &usual, sizeof(V));
    for (Half& half : halves) {
      half = __builtin_convertvector(D::power(__builtin_convertvector(half, typename D::Value), p), Half);
    }
    V result;
    __builtin_memcpy(&result, halves, sizeof(V));
    if (p == 0) return L::splat(1);
    const V at_zero = p > 0 ? zero : infinite, at_infinity = p > 0 ? infinite : zero;
    result = x == zero ? at_zero : result;
    result = x == infinite ? at_infinity : result;
    return x != x ? x : result;
  }
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
