// Arrays of every dtype as double or int64, and back.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "poolkit/problem.h"

namespace poolkit::test {

constexpr DType kDTypes[] = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::u8,
                             DType::i8,  DType::i16, DType::i32, DType::i64,  DType::boolean};

inline const char* name(DType dtype) {
  constexpr const char* names[] = {"f32", "f64", "f16", "bf16", "u8", "i8", "i16", "i32", "i64", "bool"};
  return names[int(dtype)];
}

inline size_t bytes(DType dtype) {
  constexpr size_t sizes[] = {4, 8, 2, 2, 1, 1, 2, 4, 8, 1};
  return sizes[int(dtype)];
}

inline bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
}

// A binary floating point format: eps is the gap above 1, tiny the smallest subnormal.
struct Format {
  int exponent_bits, mantissa_bits;
  int min_exponent() const { return 2 - (1 << (exponent_bits - 1)); }
  double eps() const { return std::ldexp(1.0, -mantissa_bits); }
  double tiny() const { return std::ldexp(1.0, min_exponent() - mantissa_bits); }
};

inline Format format(DType dtype) {
  constexpr Format formats[] = {{8, 23}, {11, 52}, {5, 10}, {8, 7}};
  return formats[int(dtype)];
}

// The format in which the kernels accumulate.
inline Format accumulator(DType dtype) { return format(dtype == DType::f64 ? DType::f64 : DType::f32); }

inline double decode(Format format, uint16_t bits) {
  const int mantissa = bits & ((1 << format.mantissa_bits) - 1);
  const int exponent = (bits >> format.mantissa_bits) & ((1 << format.exponent_bits) - 1);
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == (1 << format.exponent_bits) - 1) {
    return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  }
  const int steps = exponent ? mantissa + (1 << format.mantissa_bits) : mantissa;
  return sign * std::ldexp(steps, format.min_exponent() - format.mantissa_bits + (exponent ? exponent - 1 : 0));
}

// To nearest, ties to even.
inline uint16_t encode(Format format, double value) {
  const int infinity = ((1 << format.exponent_bits) - 1) << format.mantissa_bits;
  const int sign = std::signbit(value) ? 1 << 15 : 0;
  if (std::isnan(value)) return uint16_t(infinity | 1 << (format.mantissa_bits - 1));
  if (std::isinf(value)) return uint16_t(sign | infinity);
  const double magnitude = std::fabs(value);
  const int exponent = magnitude == 0 ? format.min_exponent() : std::max(std::ilogb(magnitude), format.min_exponent());
  const int steps = int(std::nearbyint(std::ldexp(magnitude, format.mantissa_bits - exponent)));
  // The implicit leading bit, and a carry out of the mantissa, add one to the exponent by themselves.
  const int encoded = ((exponent - format.min_exponent()) << format.mantissa_bits) + steps;
  return uint16_t(sign | std::min(encoded, infinity));
}

namespace detail {

template <class T, class To>
std::vector<To> widened(const void* data, size_t count) {
  std::vector<To> result;
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, static_cast<const char*>(data) + i * sizeof(T), sizeof(T));
    result.push_back(To(value));
  }
  return result;
}

template <class T, class From>
void narrowed(const std::vector<From>& values, void* data) {
  for (size_t i = 0; i < values.size(); ++i) {
    const T value = T(values[i]);
    std::memcpy(static_cast<char*>(data) + i * sizeof(T), &value, sizeof(T));
  }
}

}  // namespace detail

inline std::vector<double> load_real(DType dtype, const void* data, size_t count) {
  if (dtype == DType::f32) return detail::widened<float, double>(data, count);
  if (dtype == DType::f64) return detail::widened<double, double>(data, count);
  std::vector<double> result = detail::widened<uint16_t, double>(data, count);
  for (double& value : result) value = decode(format(dtype), uint16_t(value));
  return result;
}

inline void store_real(DType dtype, const std::vector<double>& values, void* data) {
  if (dtype == DType::f32) return detail::narrowed<float>(values, data);
  if (dtype == DType::f64) return detail::narrowed<double>(values, data);
  std::vector<uint16_t> bits;
  for (const double value : values) bits.push_back(encode(format(dtype), value));
  detail::narrowed<uint16_t>(bits, data);
}

inline std::vector<int64_t> load_integer(DType dtype, const void* data, size_t count) {
  switch (dtype) {
    case DType::i8: return detail::widened<int8_t, int64_t>(data, count);
    case DType::i16: return detail::widened<int16_t, int64_t>(data, count);
    case DType::i32: return detail::widened<int32_t, int64_t>(data, count);
    case DType::i64: return detail::widened<int64_t, int64_t>(data, count);
    default: return detail::widened<uint8_t, int64_t>(data, count);
  }
}

inline void store_integer(DType dtype, const std::vector<int64_t>& values, void* data) {
  switch (dtype) {
    case DType::i16: return detail::narrowed<int16_t>(values, data);
    case DType::i32: return detail::narrowed<int32_t>(values, data);
    case DType::i64: return detail::narrowed<int64_t>(values, data);
    default: return detail::narrowed<uint8_t>(values, data);
  }
}

}  // namespace poolkit::test
