// Separable filters, sampled, as blur pooling has them. Nothing here throws; a binding checks its arguments first.
#pragma once

#include "poolkit/run.h"

namespace poolkit {

// What stands beyond the ends of an axis.
enum class Beyond : int { nothing, reflect, replicate, circular };
constexpr int kBeyonds = 4;

// Output o of an axis is the sum over taps t of weight[t] * x[o * stride - low + t].
struct FilterAxis {
  int64_t in, out, taps, stride, low;
  const double* weight;
  Beyond beyond;  // reflect needs cells enough: low < in, and as many behind
};

// x is [outer][in of each axis][inner], y is [outer][out of each axis][inner].
struct Filter {
  DType dtype;  // floating point
  int64_t outer, inner;
  FilterAxis axis[3];
};

// The axes one after the other, sums in the accumulator type: each result is rounded once.
void filter(const Filter& filter, const void* x, void* y, Parallel parallel);

// The gradient of x.
void filter_adjoint(const Filter& filter, const void* grad_y, void* grad_x, Parallel parallel);

}  // namespace poolkit
