// Pooling of the rows of segments. Nothing here throws; a binding checks its arguments first.
#pragma once

#include "poolkit/run.h"

namespace poolkit {

// Segment s has the rows order[offsets[s]], ..., order[offsets[s + 1] - 1].
struct Segments {
  DType dtype;  // floating point
  int64_t count, channels;
  const int64_t* offsets;  // [count + 1]: from 0 to the number of rows, never falling
  const int64_t* order;    // [rows]: every row once; null where each stands at its own number
};

// Inputs are [rows][channels], rows `pitch` elements apart; their gradients have no gaps. Results and their gradients
// are [count][channels]. "Accumulators" are float64 for float64 and float32 for the others.

// Sums, as accumulators; 0 of a segment without rows.
void segment_sum(const Segments& segments, int64_t pitch, const void* x, void* sums, Parallel parallel);

// The other way: each row gets what its segment has.
void segment_spread(const Segments& segments, const void* y, void* x, Parallel parallel);

// The largest or smallest value, in the type of x, and, if winners is not null, the number of its row within the
// segment: the first of equals, the last NaN. A segment without rows has the value 0 and the winner 0; none has 2^31
// rows.
void segment_extreme(const Segments& segments, int64_t pitch, bool largest, const void* x, void* y, int32_t* winners,
                     Parallel parallel);
void segment_extreme_backward(const Segments& segments, const void* grad_y, const int32_t* winners, void* grad_x,
                              Parallel parallel);

// The offsets and the order of rows whose segments index[rows] names, rows of a segment in the order that they had.
// False if a number is not from 0 to count - 1; then neither is complete.
bool segment_order(const int64_t* index, int64_t rows, int64_t count, int64_t* offsets, int64_t* order);

}  // namespace poolkit
