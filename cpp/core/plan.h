// The plan of one pooling: the problem in its simplest form and the window tables of its axes.
// Plain data only: every kernel object includes this file.
#pragma once

#include "poolkit/problem.h"

namespace poolkit {

// Output o holds the taps first[o] <= t < last[o], at the positions base[o] + t * dilation; input i
// can be covered by the outputs cover_begin[i] <= o < cover_end[i] only.
struct AxisPlan {
  int64_t in, out;
  int64_t kernel;  // most taps a window can have: the row-major strides of winner offsets
  int64_t stride, dilation, pad_low;
  bool regular;  // base[o] == o * stride - pad_low, so that lanes can run over outputs
  bool trivial;  // one position, one output
  bool hollow;   // some window holds no cell: not to be run
  int64_t cover;  // most outputs that cover one input
  const int64_t *base, *first, *last, *cover_begin, *cover_end;
  const double* divisor;  // [out], this axis' factor of the divisor
};

// Work is cut into units: one or more rows of results (depth fixed) and one tile of them, in cells along
// the width or, where the width is trivial, in lanes of `inner`. A scattering unit is a plane's tile of lanes.
struct Tiling {
  int64_t tile, tiles;
  int64_t rows, blocks;  // rows of a unit, blocks of rows in the height
  int64_t units, grain;
};

struct Plan {
  Problem problem;
  AxisPlan depth, height, width;
  int winner_bytes;
  Tiling forward, backward, scatter;
  int64_t scratch_bytes;  // enough for either direction, for any lane type up to 8 bytes
};

// Valid until the next call on the same thread.
const Plan& plan_for(const Problem& problem);

// The most taps of a window along an axis; winner offsets count in these.
int64_t window_extent(const Axis& axis);

constexpr int64_t kSlack = 512;    // lanes that vector code may touch beyond a scratch row
constexpr int kMaxFields = 4;      // parts of a reducer's state
constexpr int64_t kTileLanes = 4096;  // lanes of a tile: its scratch stays in the nearest cache

}  // namespace poolkit
