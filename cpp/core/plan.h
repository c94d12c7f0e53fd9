// The plan of one pooling: the problem in its simplest form and the window tables of its axes.
// Plain data only: every kernel object includes this file.
#pragma once

#include "poolkit/problem.h"

namespace poolkit {

// How the window of an output follows from the one before: so many cells on, one cell on, with a cell more at its end,
// or with one less at its start.
enum class Follow : int64_t { apart, slide, grow, shrink };

// Output o holds the taps first[o] <= t < last[o], at the positions base[o] + t * dilation; input i
// can be covered by the outputs cover_begin[i] <= o < cover_end[i] only.
struct AxisPlan {
  int64_t in, out;
  int64_t kernel;  // most taps a window can have: the row-major strides of winner offsets
  int64_t stride, dilation, pad_low;
  bool regular;              // base[o] == o * stride - pad_low, so that lanes can run over outputs
  bool trivial;              // one position, one output
  bool hollow;               // some window holds no cell: not to be run
  int64_t cover;             // most outputs that cover one input
  const int64_t* alike;      // [out]: outputs from o on whose windows differ in their place alone
  const Follow* follow;      // [out]: how windows from o on follow from one another,
  const int64_t* followers;  // [out]: and of how many outputs, o among them; both where maps are taken side by side
  const int64_t *base, *first, *last, *cover_begin, *cover_end;
  const double* divisor;  // [out], this axis' factor of the divisor
};

// Where the inputs begin that output o looks after, where windows do not overlap: its own, and what lies before the
// next window.
inline int64_t owned_by(const AxisPlan& axis, int64_t o) {
  if (o == 0) return 0;
  return o == axis.out ? axis.in : axis.base[o] + axis.first[o];
}

// Work is cut into units: one or more rows of results (depth fixed) and one tile of them, in cells along
// the width or, where the width is trivial, in lanes of `inner`. A scattering unit is a plane's tile of lanes.
struct Tiling {
  int64_t tile, tiles;
  int64_t rows, blocks;  // rows of a unit, blocks of rows in the height
  int64_t units, grain;
};

// Backward: each input gathers from the outputs that cover it; each output adds to its one winner; where windows
// do not overlap, each output writes its own cells; or the gradients around each input are summed by the forward
// walker, each divided by its window's divisor before where these differ; or small maps are taken side by side; or each
// output shares its gradient by weights, its own or those that logits give.
enum class BackwardWalker : int { gather, scatter, expand, sum, spread, abreast, neighbours, shares, weighted_shares };

struct Plan {
  Problem problem;
  AxisPlan depth, height, width;
  int winner_bytes;
  Tiling forward, backward, scatter, expand;
  bool apart;              // no two windows overlap
  bool gathers;            // winners too: channels last, with few windows over an input
  bool runs;               // one window a plane, its cells neighbours,
  bool abreast;            // and so few that whole windows are gathered with one plane in each lane
  bool single;             // windows lie in one row, and are read where they stand
  bool maps_abreast;       // maps are small and many: one in each lane,
  int64_t abreast_rows;    // so many rows of outputs at a time,
  int64_t abreast_cells;   // which reach over so many cells of a slice
  bool shares_channels;    // channels last, windows that share much: reduced some channels at a time,
  Tiling channels;         // a tile of them in a block of rows,
  int64_t channel_rows;    // so many rows of outputs at a time,
  int64_t channel_states;  // which take so many states of a channel
  bool back_abreast;       // and so they are backward, where sums have few terms
  bool uneven;             // lanes run along a width whose windows lie unevenly: taken as picked, or one by one
  bool slides;             // the vertical step shares the parts of overlapping windows,
  bool doubles;            // and so does the horizontal one
  int64_t line, lines;     // lanes of a scratch row of the forward walker, and how many such rows it keeps
  int64_t count_lanes;     // of its table of divisors
  int64_t square;          // rows and columns of windows whose sorted columns may be shared, or 0;
  int64_t square_tile;     // of that many outputs at a time,
  int64_t square_pitch;    // with so many lanes for a line of these
  const int32_t* picks;    // lane of tap t of output o, at [t * pick_pitch + o], for uneven windows; or null
  int64_t pick_pitch;
  bool cover_picks;        // backward: few of such windows lie over an input
  int64_t spread_lanes;    // that `spread` divides at a time, if this sums gradients in one or two dimensions
  int64_t quotient_bytes;  // scratch for the outputs of a plane, where gradients are divided by sums of weights; or 0
  int64_t scratch_bytes;   // enough for either direction, for any lane type up to 8 bytes
};

// Bytes of an element.
int64_t size_of(DType dtype);

// Valid until three more problems have been planned on the same thread.
const Plan& plan_for(const Problem& problem);

// The backward of a sum or average at stride 1 is a sum again, of the gradients around each input. If all windows
// have the same divisor the sum is divided by it, else each gradient by its own before.
enum class Adjoint { none, sum, sum_of_quotients };

// `sum` is the index of the method that does not divide.
Adjoint find_adjoint(const Plan& plan, const Problem& problem, int sum, Problem* adjoint);

// States that small maps side by side need at once: those of the rows of a band's windows, in all its slices, and, of
// several slices, those of its windows in each.
int64_t abreast_row_states(const Plan& plan);
int64_t abreast_slice_states(const Plan& plan);

// Whether windows are of two or three neighbouring columns, one or two apart (walkers/neighbours.h); backward, in a
// plane.
bool has_neighbours(const Plan& plan);
bool has_neighbours_back(const Plan& plan);

// Bytes of scratch of the walker that gathers whole windows (walkers/windows.h).
int64_t window_scratch(const Plan& plan, bool logits);

// Bytes at its end for sorted columns (walkers/columns.h).
int64_t column_scratch(const Plan& plan);

// Bytes beyond these for the backward that adds up shares: a plane, or two with logits, where the storage type is too
// narrow.
int64_t share_scratch(const Plan& plan, bool logits);

// The most taps of a window along an axis; winner offsets count in these.
int64_t window_extent(const Axis& axis);

constexpr int64_t kSlack = 512;         // lanes that vector code may touch beyond a scratch row
constexpr int64_t kManyRows = 8;        // from here on, the rows of a window are read one after the other
constexpr int kMaxFields = 3;           // parts of a reducer's state
constexpr int64_t kMostLanes = 16;      // of four bytes or more
constexpr int64_t kChannelBytes = 256;  // of accumulators, taken together of a cell of shares_channels
constexpr int64_t kTileLanes = 4096;    // lanes of a tile: its scratch stays in the nearest cache

}  // namespace poolkit
