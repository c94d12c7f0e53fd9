// Maxima of regions whose bounds are given, for each plane its own. Nothing here throws; a binding checks its arguments
// first.
#pragma once

#include "poolkit/run.h"

namespace poolkit {

// Planes x[samples][channels][in of each axis], and regions of them: as many as the product of `out`.
struct RegionAxis {
  int64_t in, out;
  int64_t longest;  // cells of a region at most
};
struct PlaneRegions {
  DType dtype;  // floating point
  int64_t samples, channels;
  RegionAxis axis[3];  // the product of `in` is less than 2^30
  // The first and the last cell of each region along each axis, [drawn_samples][drawn_channels][sum of out]. What is
  // drawn is drawn for each sample or once, and for each channel or once.
  const int64_t *first, *last;
  int64_t drawn_samples, drawn_channels;
};

// Bytes of a winner, which is a position in its plane, in the smallest unsigned type that holds any: 1, 2 or 4.
int region_winner_bytes(int64_t cells);

// The largest cell of each region, and its position if winners is not null: the first of equals, the last NaN, in
// row-major order. Both are [samples][channels][out of each axis].
void fractional_max(const PlaneRegions& regions, const void* x, void* y, void* winners, Parallel parallel);

// Adds up, for each cell of so many planes, what the outputs that it won have. Winners that are no cells win nothing.
struct Winners {
  DType dtype;
  int64_t planes, cells, outputs;
};
void fractional_max_backward(const Winners& shape, const void* grad_y, const void* winners, void* grad_x,
                             Parallel parallel);

}  // namespace poolkit
