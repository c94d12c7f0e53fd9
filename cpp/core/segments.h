// Between segments.cpp, which cuts segments into blocks of rows, and segment_kernels.cpp, which reduces them.
#pragma once

#include "poolkit/segments.h"

namespace poolkit {

// A block of rows of one segment, not empty.
struct SegmentCall {
  int64_t channels;
  int64_t pitch;         // elements from one row to the next
  const int64_t* order;  // the numbers of its rows; null where they are 0, 1, ...
  int64_t rows;
  int64_t known;  // the numbers of the order that may be read, those of later blocks included
};

// The kernels of one instruction set for one storage type. Sums are in the accumulator type.
struct SegmentKernels {
  void (*sum)(const SegmentCall& call, const void* x, void* sums);
  void (*add)(int64_t channels, void* sums, const void* more);
  // The winners, if wanted, are counted from `first`.
  void (*extreme)(const SegmentCall& call, bool largest, int64_t first, const void* x, void* y, int32_t* winners);
  // Of two blocks, the second of which comes later.
  void (*join)(int64_t channels, bool largest, void* y, int32_t* winners, const void* later_y,
               const int32_t* later_winners);
};

// Those of the active instruction set; null for a dtype that is not floating point.
const SegmentKernels* segment_kernels(DType dtype);

}  // namespace poolkit
