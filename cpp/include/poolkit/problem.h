// The contract between the bindings and the core: plain data, no framework, no STL.
#pragma once

#include <cstdint>

namespace poolkit {

enum class DType : int32_t { f32, f64, f16, bf16, u8, i8, i16, i32, i64, boolean };

// The windows along one axis. Output o covers the positions o * stride - pad_low + i * dilation,
// 0 <= i < kernel, that lie in [0, in). kernel == 0 means adaptive windows: output o covers
// [floor(o * in / out), ceil((o + 1) * in / out)). Every window holds at least one position.
struct Axis {
  int64_t in, out, kernel, stride, dilation, pad_low, pad_high;
};

// What an averaging method divides by: the cells inside the input, those inside the padded input
// (a ceil-mode overhang never counts), or a number that the caller chose.
enum class Count : int32_t { valid, padded, fixed };

constexpr int kMaxParams = 4;

// One pooling of a dense array [outer][depth][height][width][inner]: inner is 1 for channels-first
// arrays (outer = batch * channels) and the number of channels for channels-last ones.
struct Problem {
  int32_t method;  // as find_method() gives it
  DType dtype;
  int64_t outer, inner;
  Axis axis[3];  // depth, height, width; a missing axis is {1, 1, 1, 1, 1, 0, 0}
  Count count;
  int64_t divisor;  // for Count::fixed
  double param[kMaxParams];
};

// The bindings pass geometry as one list of integers:
// {rank, count, divisor, then in, out, kernel, stride, dilation, pad_low, pad_high for each of the three axes}.
constexpr int kWindowInts = 3 + 3 * 7;

}  // namespace poolkit
