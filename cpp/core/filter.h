// Between filter.cpp, which finds out what every result is the sum of, and filter_kernels.cpp, which adds it up.
#pragma once

#include <vector>

#include "poolkit/filter.h"

namespace poolkit {

// Along one axis every result is a sum of sources: those from begin[r] to begin[r + 1], in order.
struct Sums {
  int64_t in = 0, out = 0;
  std::vector<int64_t> begin, source;
  std::vector<double> weight;
  // The results of groups [first, last), `each` to a group, have the same weights as those of the group before, of
  // sources `step` further on.
  int64_t each = 1, step = 1, first = 0, last = 0;
};

// Numbers before and behind a row in scratch that vectors may read and write.
constexpr int64_t kRowMargin = 64;

struct FilterCall {
  const Sums* axis[3];
  int64_t inner;
  const void* x;
  void* y;
  // A row in scratch is so long, with its margins. The first is the sum of the rows of sources that a row of results is
  // made from. Where every other cell of it begins a sum, it `splits`: two more take its cells of even and odd places.
  int64_t pitch;
  bool splits;
  // Where the source of each term of the last axis stands, in the first row or, as it splits, in the two more; and its
  // weight as an accumulator.
  const int64_t* place;
  const void* weight;

  int64_t rows() const { return splits ? 3 : 1; }
};

// The filter of the maxima of x, or its adjoint; that reads `filter.x`, the gradient of the results, and writes the
// gradient of x to `filter.y`.
struct MaxFilterCall {
  FilterCall filter;
  MaxAxis window[3];
  const void* x;
  int64_t pitch;  // of a row of maxima with a window's worth before and behind it, with margins
  int64_t kept;   // rows of maxima, as many as a row of results is made from
};

struct FilterKernels {
  // Rows [begin, end) of the results. Scratch is made of accumulators: `rows()` rows.
  void (*filter)(const FilterCall& call, int64_t begin, int64_t end, void* scratch);
  // The same with `kept` rows of maxima, two words of 64 bits for each, and two for each row of a window.
  void (*max_filter)(const MaxFilterCall& call, int64_t begin, int64_t end, void* scratch);
  // Rows [begin, end) of x. For each row of a window, two rows of maxima and four words of 64 bits.
  void (*max_filter_backward)(const MaxFilterCall& call, int64_t begin, int64_t end, void* scratch);
};

// Those of the active instruction set; null for a dtype that is not floating point.
const FilterKernels* filter_kernels(DType dtype);

}  // namespace poolkit
