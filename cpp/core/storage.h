// The C++ type that stores each dtype.
#pragma once

#include "poolkit/problem.h"
#include "simd.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <DType dtype>
struct StorageOf;
template <>
struct StorageOf<DType::f32> {
  using type = float;
};
template <>
struct StorageOf<DType::f64> {
  using type = double;
};
template <>
struct StorageOf<DType::f16> {
  using type = half;
};
template <>
struct StorageOf<DType::bf16> {
  using type = bfloat;
};
template <>
struct StorageOf<DType::u8> {
  using type = uint8_t;
};
template <>
struct StorageOf<DType::i8> {
  using type = int8_t;
};
template <>
struct StorageOf<DType::i16> {
  using type = int16_t;
};
template <>
struct StorageOf<DType::i32> {
  using type = int32_t;
};
template <>
struct StorageOf<DType::i64> {
  using type = int64_t;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
