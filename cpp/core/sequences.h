// Between sequences.cpp, which finds the valid steps, and sequence_kernels.cpp, which runs over them.
#pragma once

#include "poolkit/sequences.h"

namespace poolkit {

// Channels side by side that are done together at most: their partial results stay in the first cache.
constexpr int64_t kSequenceLanes = 512;

// Some channels of one sequence, which has a valid step. They lie side by side, or each one's steps do.
struct SequenceCall {
  int64_t channels;
  bool side_by_side;
  int64_t pitch;         // elements from one step to the next, or from one channel to the next
  int64_t steps;         // valid or not
  int64_t begin, end;    // the valid ones lie in [begin, end)
  const uint8_t* valid;  // 1 at those that are, 0 at the others; null where all from begin to end are
};

// The results for these channels with their gradients, accumulators, and the divisors behind them.
struct Statistics {
  void *means, *deviations;
  const void *grad_means, *grad_deviations;
  double count, divisor;
};

// Where the largest steps of some rows go.
struct LargestCall {
  int64_t count, kept;
  bool by_value;
  void* y;
  int32_t* places;  // or null
  void* scratch;    // as LargestRoom says
};

// Room for the steps that may still be among the largest: enough that they are rarely sorted out.
struct LargestRoom {
  int64_t candidates, bytes;
  explicit LargestRoom(int64_t count) : candidates(2 * count + 64), bytes(candidates * 16) {}
};

// The kernels of one instruction set for one storage type. Sums are in the accumulator type.
struct SequenceKernels {
  void (*sum)(const SequenceCall& call, const void* x, void* sums);
  void (*spread)(const SequenceCall& call, const void* grad_y, void* grad_x);
  void (*extreme)(const SequenceCall& call, bool largest, const void* x, void* y, int64_t* winners);
  void (*scatter)(const SequenceCall& call, const void* grad_y, const int64_t* winners, void* grad_x);
  void (*statistics)(const SequenceCall& call, const Statistics& to, double eps, const void* x);
  void (*statistics_backward)(const SequenceCall& call, int64_t grad_pitch, const Statistics& from, const void* x,
                              void* grad_x);
  void (*largest)(const SequenceCall& call, const LargestCall& to, const void* x);
  void (*largest_backward)(const SequenceCall& call, const LargestCall& from, const void* grad_y, void* grad_x);
};

// Those of the active instruction set; null for a dtype that is not floating point.
const SequenceKernels* sequence_kernels(DType dtype);

}  // namespace poolkit
