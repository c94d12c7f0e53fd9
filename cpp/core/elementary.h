// Powers and exponentials of lanes. Those of floats are computed in double lanes, whose errors (below 2^-38) vanish
// when the result is rounded: within 0.51 units in the last place, the same bits on every instruction set. Polynomials
// are minimax fits. Those of doubles come from the C library.
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

// e^x; NaN stays NaN.
template <class L>
POOLKIT_INLINE typename L::Value exponential(typename L::Value x) {
  if constexpr (kSame<typename L::Scalar, double>) {
    return each_lane<L>(x, [](double v) { return __builtin_exp(v); });
  } else if constexpr (L::lanes == 1) {
    using Two = typename VectorOf<float, 8>::type;
    using D = DoubleLanes<16>;
    if (x != x) return x;
    return __builtin_convertvector(D::bounded_exp(D::splat(x)), Two)[0];
  } else {
    constexpr int half_bytes = sizeof(x) / 2;
    using Half = typename VectorOf<float, half_bytes>::type;
    using D = DoubleLanes<sizeof(x)>;
    Half halves[2];
    __builtin_memcpy(halves, &x, sizeof(x));
    for (Half& half : halves) {
      half = __builtin_convertvector(D::bounded_exp(__builtin_convertvector(half, typename D::Value)), Half);
    }
    typename L::Value result;
    __builtin_memcpy(&result, halves, sizeof(x));
    return x != x ? x : result;
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
