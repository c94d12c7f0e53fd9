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

// Means under the softmax of scores for these channels, all accumulators but the scores; those of auto-pool are slope *
// x.
struct SoftmaxCall {
  const void* scores;           // of the first channel, or null
  int64_t pitch;                // of the scores, as that of x; 0 where channels that do not lie side by side share them
  bool shared;                  // one score for all channels of a step
  const void* slopes;           // of auto-pool
  void *tops, *totals, *means;  // of auto-pool the means count from the tops, which are steps, not scores
  void* variances;              // or null
  void* y;                      // of auto-pool: tops + means
};

// Gradients of such means and, of given scores, variances: accumulators.
struct SoftmaxGradients {
  const void *means, *variances;
  int64_t pitch;        // of grad_x, as that of x
  int64_t score_pitch;  // of grad_scores
  void* grad_x;
  void* grad_scores;  // of shared scores, sums that this adds to: accumulators, one for each step
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
  void (*softmax)(const SequenceCall& call, const SoftmaxCall& to, const void* x);
  void (*softmax_backward)(const SequenceCall& call, const SoftmaxCall& from, const SoftmaxGradients& to,
                           const void* x);
  void (*linear_softmax)(const SequenceCall& call, const void* x, void* totals, void* y);
  void (*linear_softmax_backward)(const SequenceCall& call, int64_t grad_pitch, const void* grad_y, const void* x,
                                  const void* totals, const void* y, void* grad_x);
  void (*largest)(const SequenceCall& call, const LargestCall& to, const void* x);
  void (*largest_backward)(const SequenceCall& call, const LargestCall& from, const void* grad_y, void* grad_x);
};

// Those of the active instruction set; null for a dtype that is not floating point.
const SequenceKernels* sequence_kernels(DType dtype);

}  // namespace poolkit
