// Between roi.cpp, which turns boxes into tables, and roi_kernels.cpp, which runs over the cells.
#pragma once

#include "poolkit/run.h"

namespace poolkit {

// A cell that a bin reads, along one axis, and its weight in both accumulator types.
struct Tap {
  int32_t at;
  float single;
  double weight;
};

// The taps of all bins of an axis: those of bin i are tap[first[i]] to tap[first[i + 1]]. All of them lie in
// [low, high), and touched[cell - low] tells which of these cells have one.
struct Taps {
  const int32_t* first;
  const Tap* tap;
  const uint8_t* touched;
  int64_t low, high;
};

// The cells [begin, end) of each bin of an axis, all of them in [low, high).
struct Span {
  int32_t begin, end;
};
struct Spans {
  const Span* bin;
  int64_t low, high;
};

// How far apart elements stand: from one plane of channels to the next, from one cell to the next.
struct Steps {
  int64_t plane, cell;
};

// Some channels of one box: `planes` of them one after the other, or `lanes` of them side by side; the other is 1.
struct RoiCall {
  int64_t planes, lanes;
  int64_t width, cells;  // of a row of the map, and of all of it
  int64_t out_height, out_width;
  Steps map, bins;
  int winner_bytes;
  void* scratch;  // as scratch_bytes() says
};

// The kernels of one instruction set for one storage type. Sums of gradients are in the accumulator type.
struct RoiKernels {
  void (*align)(const RoiCall& call, const Taps& rows, const Taps& columns, const void* x, void* y);
  void (*align_backward)(const RoiCall& call, const Taps& rows, const Taps& columns, const void* grad_y, void* sums);
  void (*pool)(const RoiCall& call, const Spans& rows, const Spans& columns, const void* x, void* y, void* winners);
  void (*pool_backward)(const RoiCall& call, const void* grad_y, const void* winners, void* sums);
  void (*round)(const void* sums, int64_t count, void* grad_x);  // from accumulator to storage type
};

// Room for a row of the map and a row of bins, values and positions of a group of channels.
inline int64_t scratch_bytes(int64_t width, int64_t out_width, int64_t lanes) {
  constexpr int64_t kLargestVector = 64;
  const int64_t group = lanes * int64_t(sizeof(double));
  return 2 * (width + out_width) * (group < kLargestVector ? kLargestVector : group);
}

// Those of the active instruction set; null for a dtype that is not floating point.
const RoiKernels* roi_kernels(DType dtype);

}  // namespace poolkit
