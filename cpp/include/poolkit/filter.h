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

// Along one axis, window w of a maximum covers the cells from w - low to w - low + kernel that there are, one at least;
// all cells are in a window.
struct MaxAxis {
  int64_t in, windows, kernel, low;
};

// The axes one after the other, sums in the accumulator type: each result is rounded once.
void filter(const Filter& filter, const void* x, void* y, Parallel parallel);

// The gradient of x.
void filter_adjoint(const Filter& filter, const void* grad_y, void* grad_x, Parallel parallel);

// The filter of the maxima of x in windows, whose numbers are the sizes that the filter takes. NaN wins over every
// number; of equals the first. Only rows of maxima are ever held.
void max_filter(const Filter& filter, const MaxAxis (&window)[3], const void* x, void* y, Parallel parallel);

// The gradient of x.
void max_filter_backward(const Filter& filter, const MaxAxis (&window)[3], const void* grad_y, const void* x,
                         void* grad_x, Parallel parallel);

}  // namespace poolkit
