// Pooling over the valid steps of padded sequences. Nothing here throws; a binding checks its arguments first.
#pragma once

#include "poolkit/run.h"

namespace poolkit {

// A batch x[n][c][t]. What stands at steps that are not valid changes no result, and its gradient is 0.
struct Sequences {
  DType dtype;                     // floating point
  int64_t batch, channels, steps;  // steps < 2^30
  const uint8_t* valid;            // [batch][steps], 1 at valid steps, 0 at the others; null where all are valid
};

// How many elements apart neighbours stand in memory. Channels lie side by side, or the steps of each do (step is 1,
// which does not matter of one step).
struct SequenceStrides {
  int64_t sample, channel, step;
};

inline bool side_by_side(const Sequences& sequences, const SequenceStrides& strides) {
  return strides.channel == 1 && (sequences.channels > 1 || strides.step != 1);
}

// Results and their gradients are [batch][channels]. "Accumulators" are float64 for float64 and float32 for the others.

// Sums, as accumulators; 0 of a sequence without a valid step. The gradient is in the type of x.
void sequence_sum(const Sequences& sequences, SequenceStrides strides, const void* x, void* sums, Parallel parallel);
void sequence_sum_backward(const Sequences& sequences, SequenceStrides strides, const void* grad_y, void* grad_x,
                           Parallel parallel);

// The largest or smallest value, in the type of x, and, if winners is not null, its step: the first of equals, the last
// NaN. A sequence without a valid step has the value 0 and the winner 0.
void sequence_extreme(const Sequences& sequences, SequenceStrides strides, bool largest, const void* x, void* y,
                      int64_t* winners, Parallel parallel);
void sequence_extreme_backward(const Sequences& sequences, SequenceStrides strides, const void* grad_y,
                               const int64_t* winners, void* grad_x, Parallel parallel);

// Means, then standard deviations, [batch][2 * channels], as their gradients are: accumulators all. The squares are
// divided by the number of valid steps, less one (if that leaves any) if unbiased, before eps is added. The gradient
// lies side by side where x does.
void sequence_statistics(const Sequences& sequences, SequenceStrides strides, bool unbiased, double eps, const void* x,
                         void* y, Parallel parallel);
void sequence_statistics_backward(const Sequences& sequences, SequenceStrides x_strides, SequenceStrides grad_strides,
                                  bool unbiased, const void* grad_y, const void* x, const void* y, void* grad_x,
                                  Parallel parallel);

// Auto-pool: means under the softmax of slope * x, with slopes [channels]. All but x and its gradient are accumulators;
// so are tops, the steps that weigh most, the sums of the weights counted from there, the means less the tops and,
// where `variance`, the variances, which are the gradients of the slopes, in kept, [batch][4 * channels]. The gradient
// lies side by side where x does.
void sequence_auto(const Sequences& sequences, SequenceStrides strides, bool variance, const void* x,
                   const void* slopes, void* y, void* kept, Parallel parallel);
void sequence_auto_backward(const Sequences& sequences, SequenceStrides x_strides, SequenceStrides grad_strides,
                            const void* grad_y, const void* x, const void* slopes, const void* kept, void* grad_x,
                            Parallel parallel);

// Means, then variances, [batch][2 * channels], under the softmax of scores, which lie as x does and have its type; one
// score for all channels where the stride of channels is 0. Kept are the largest scores, and the sums of the weights
// counted from there, [batch][2 * channels]: accumulators, as the results. So are the gradients of scores that channels
// share, [batch][steps]; others lie as that of x.
struct Scores {
  const void* data;
  SequenceStrides strides;
};
void sequence_attentive(const Sequences& sequences, SequenceStrides strides, const void* x, const Scores& scores,
                        void* y, void* kept, Parallel parallel);
void sequence_attentive_backward(const Sequences& sequences, SequenceStrides x_strides, SequenceStrides grad_strides,
                                 const void* grad_y, const void* x, const Scores& scores, const void* y,
                                 const void* kept, void* grad_x, void* grad_scores, Parallel parallel);

// Linear softmax: sums of squares over sums, and the sums, as accumulators; where a sum is 0 the result and its
// gradient are. The gradient lies side by side where x does.
void sequence_linear_softmax(const Sequences& sequences, SequenceStrides strides, const void* x, void* y, void* totals,
                             Parallel parallel);
void sequence_linear_softmax_backward(const Sequences& sequences, SequenceStrides x_strides,
                                      SequenceStrides grad_strides, const void* grad_y, const void* x, const void* y,
                                      const void* totals, void* grad_x, Parallel parallel);

// The largest of the first steps of each row, whose steps lie side by side: NaN counts as larger than all numbers, and
// of equals the earliest is taken. `valid` is not read.
struct Largest {
  const int64_t* lengths;  // [batch]: steps that are looked at
  const int64_t* counts;   // [batch]: how many are kept of them; at most lengths and kept
  int64_t kept;            // steps of a row of the result
  bool by_value;           // the largest first; otherwise in the order that they had
};

// y is [batch][channels][kept], zeros behind what is kept; so are places, if not null: the steps of what is kept, and
// anything behind.
void sequence_largest(const Sequences& sequences, SequenceStrides strides, const Largest& largest, const void* x,
                      void* y, int32_t* places, Parallel parallel);

// The gradient is [batch][channels][steps].
void sequence_largest_backward(const Sequences& sequences, const Largest& largest, const void* grad_y,
                               const int32_t* places, void* grad_x, Parallel parallel);

}  // namespace poolkit
