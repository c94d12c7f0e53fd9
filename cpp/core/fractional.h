// Between fractional.cpp, which looks up the regions of each plane, and fractional_kernels.cpp, which reduces them.
#pragma once

#include "poolkit/fractional.h"

namespace poolkit {

// One plane. Regions are the products of those of three axes.
struct RegionCall {
  RegionAxis axis[3];
  const int64_t *first[2], *last[2];  // of the first two axes
  // Of the last axis: where tap t of region o stands, taps[t * out + o]; at `in` where there is none.
  const int32_t* taps;
  int winner_bytes;
  // Room for what RegionRoom says.
  void* states;
  const void** rows;
  int64_t* offsets;
};

// The elements of each: states are accumulators.
struct RegionRoom {
  int64_t pitch, rows;
  explicit RegionRoom(const RegionAxis* axis)
      : pitch(axis[2].in + 1), rows(axis[0].longest * axis[1].longest) {}  // behind the last cell stands the identity
};

// The kernels of one instruction set for one storage type.
struct FractionalKernels {
  void (*max)(const RegionCall& call, const void* x, void* y, void* winners);
  // `sums` has room for a plane of accumulators where these are not of the storage type.
  void (*scatter)(const Winners& shape, const void* grad_y, const void* winners, void* grad_x, void* sums);
};

// Those of the active instruction set; null for a dtype that is not floating point.
const FractionalKernels* fractional_kernels(DType dtype);

}  // namespace poolkit
