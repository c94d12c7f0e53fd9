// The formulas once more, slow and obvious, for tests: one window at a time, in double or int64.
#pragma once

#include <cstdint>
#include <vector>

#include "poolkit/problem.h"

namespace poolkit::reference {

// The cells of one window as flat positions inside the [depth][height][width] volume, in row-major order.
struct Window {
  std::vector<int64_t> cells;
  int64_t divisor;
};

std::vector<Window> windows(const Problem& problem);

// `size` is what |terms| add up to: it bounds the rounding error of a sum in any order.
template <class T>
struct Forward {
  std::vector<T> y, size;
  std::vector<int64_t> winner;  // a position in the volume: the first of equals, the last NaN
};

// T is double or int64_t; x is [outer][in...][inner], the results are [outer][out...][inner]. Logits are empty or of
// x's shape.
template <class T>
Forward<T> forward(const Problem& problem, const std::vector<Window>& windows, const std::vector<T>& x, uint64_t seed,
                   const std::vector<double>& logits = {});

struct Backward {
  std::vector<double> grad_x, size;
  std::vector<int64_t> terms;
  explicit Backward(int64_t inputs) : grad_x(inputs), size(inputs), terms(inputs) {}
};

// Scatters each gradient over its window; winner as forward() gives it; grad_y as run.h says of "stochastic_mean".
Backward backward(const Problem& problem, const std::vector<Window>& windows, const std::vector<double>& grad_y,
                  const std::vector<double>& x, const std::vector<double>& y, const std::vector<int64_t>& winner);

// What x, or the logits, take of a mean weighted by the exponentials of logits.
Backward weighted_backward(const Problem& problem, const std::vector<Window>& windows,
                           const std::vector<double>& grad_y, const std::vector<double>& x,
                           const std::vector<double>& logits, bool of_logits);

}  // namespace poolkit::reference
