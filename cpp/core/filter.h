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

struct FilterCall {
  const Sums* axis[3];
  int64_t inner;
  const void* x;
  void* y;
};

// Vectors may read so many numbers behind the row of sums that they are made from.
constexpr int64_t kRowSlack = 64;

struct FilterKernels {
  // Rows [begin, end) of the results; scratch has room for a row of the sources, as accumulators, and the slack.
  void (*run)(const FilterCall& call, int64_t begin, int64_t end, void* scratch);
};

// Those of the active instruction set; null for a dtype that is not floating point.
const FilterKernels* filter_kernels(DType dtype);

}  // namespace poolkit
