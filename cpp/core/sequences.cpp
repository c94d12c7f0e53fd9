// Sequences: finds the valid steps of each and hands its channels to the kernels, block by block. No result takes part
// in another, so neither blocks nor threads change their bits.
#include "sequences.h"

#include <algorithm>
#include <cstring>

#include "pieces.h"
#include "scratch.h"

namespace poolkit {
namespace {

// Channels of a unit of work that come one after the other: enough that finding the valid steps is no work beside
// them, and few enough that there are units for all threads.
constexpr int64_t kRows = 64;

// What is read twice should be in the cache the second time.
constexpr int64_t kCacheBytes = 1 << 18;

int64_t accumulator_size(const Sequences& s) { return std::max<int64_t>(float_size(s.dtype), sizeof(float)); }

void* at(void* base, int64_t bytes) { return static_cast<char*>(base) + bytes; }
const void* at(const void* base, int64_t bytes) { return static_cast<const char*>(base) + bytes; }

// The valid steps of a sequence.
struct Valid {
  int64_t begin, end, count;
  const uint8_t* holes;  // null where all from begin to end are valid

  Valid(const Sequences& s, int64_t sample) : begin(0), end(s.steps), count(s.steps), holes(nullptr) {
    if (s.valid == nullptr) return;
    const uint8_t* const row = s.valid + sample * s.steps;
    const auto* const first = static_cast<const uint8_t*>(std::memchr(row, 1, size_t(s.steps)));
    begin = first == nullptr ? 0 : first - row;
    end = first == nullptr ? 0 : s.steps;
    while (end > begin && row[end - 1] == 0) --end;
    count = std::count(row + begin, row + end, uint8_t(1));
    if (count < end - begin) holes = row;
  }
};

// Some channels of a sequence.
struct Block {
  const Sequences& sequences;
  int64_t sample, first;
  Valid valid;
  SequenceCall call;

  int64_t result(int64_t results_each = 1) const { return sample * sequences.channels * results_each + first; }
  int64_t cell(const SequenceStrides& strides) const { return sample * strides.sample + first * strides.channel; }
};

// Calls f(block) for all blocks of channels of all sequences; those of a sequence one after the other if `whole`.
template <class F>
void for_blocks(const Sequences& s, const SequenceStrides& strides, int64_t most_lanes, Parallel parallel, F f,
                bool whole = false) {
  const bool lanes = side_by_side(s, strides);
  const int64_t size = lanes ? most_lanes : kRows, blocks = (s.channels + size - 1) / size, each = whole ? blocks : 1;
  const int64_t work = std::min(size * each, s.channels) * s.steps;
  in_parallel(parallel, s.batch * blocks / each, work, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin * each; unit < end * each; ++unit) {
      const int64_t sample = unit / blocks, first = unit % blocks * size;
      const Valid valid(s, sample);
      const SequenceCall call{std::min(size, s.channels - first),
                              lanes,
                              lanes ? strides.step : strides.channel,
                              s.steps,
                              valid.begin,
                              valid.end,
                              valid.holes};
      f(Block{s, sample, first, valid, call});
    }
  });
}

// As many channels side by side as keep a sequence in the cache, of so many arrays; whole lines of it.
int64_t cached_lanes(const Sequences& s, int64_t arrays = 1) {
  constexpr int64_t kFewest = 64;
  const int64_t lanes = kCacheBytes / (arrays * s.steps * float_size(s.dtype));
  return std::clamp(lanes / kFewest * kFewest, kFewest, kSequenceLanes);
}

// Where a block has its means and deviations, and what they are divided by.
Statistics statistics_of(const Block& block, bool unbiased, void* y, const void* grad_y) {
  const Sequences& s = block.sequences;
  const int64_t size = accumulator_size(s), mean = block.result(2) * size, deviation = mean + s.channels * size;
  const int64_t count = block.valid.count;
  const auto half = [&](int64_t bytes) { return grad_y == nullptr ? nullptr : at(grad_y, bytes); };
  return {at(y, mean),     at(y, deviation), half(mean),
          half(deviation), double(count),    double(unbiased ? std::max<int64_t>(count - 1, 1) : count)};
}

// Results of a block, of which each sequence has some for every channel.
void* results_of(const Block& block, const void* base, int64_t each = 1, int64_t number = 0) {
  const int64_t channel = block.result(each) + number * block.sequences.channels;
  return at(const_cast<void*>(base), channel * accumulator_size(block.sequences));
}

void clear_results(const Block& block, void* base, int64_t each = 1) {
  for (int64_t number = 0; number < each; ++number) {
    std::memset(results_of(block, base, each, number), 0,
                size_t(block.call.channels * accumulator_size(block.sequences)));
  }
}

// What auto-pool has of a block.
SoftmaxCall auto_call(const Block& block, bool variance, const void* slopes, const void* y, const void* kept) {
  const auto of = [&](int64_t number) { return results_of(block, kept, 4, number); };
  SoftmaxCall call{};
  call.slopes = at(slopes, block.first * accumulator_size(block.sequences));
  call.tops = of(0), call.totals = of(1), call.means = of(2);
  if (variance) call.variances = of(3);
  if (y != nullptr) call.y = results_of(block, y);
  return call;
}

bool shares_scores(const Sequences& s, const Scores& scores) { return scores.strides.channel == 0 && s.channels > 1; }

// What attentive statistics have of one.
SoftmaxCall attentive_call(const Block& block, const Scores& scores, const void* y, const void* kept) {
  const SequenceStrides& strides = scores.strides;
  SoftmaxCall call{};
  call.scores = at(scores.data, block.cell(strides) * float_size(block.sequences.dtype));
  call.pitch = block.call.side_by_side ? strides.step : strides.channel;
  call.shared = shares_scores(block.sequences, scores);
  call.tops = results_of(block, kept, 2, 0), call.totals = results_of(block, kept, 2, 1);
  call.means = results_of(block, y, 2, 0), call.variances = results_of(block, y, 2, 1);
  return call;
}

// Calls f(call, largest, cell, result) for blocks of rows whose steps lie side by side: the first cell of each and of
// its result.
template <class F>
void for_rows(const Sequences& s, const SequenceStrides& strides, const Largest& largest, Parallel parallel, F f) {
  const int64_t blocks = (s.channels + kRows - 1) / kRows;
  in_parallel(parallel, s.batch * blocks, std::min(kRows, s.channels) * s.steps, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t n = unit / blocks, first = unit % blocks * kRows, rows = std::min(kRows, s.channels - first);
      f(SequenceCall{rows, false, strides.channel, s.steps, 0, largest.lengths[n], nullptr},
        LargestCall{largest.counts[n], largest.kept, largest.by_value, nullptr, nullptr, nullptr},
        n * strides.sample + first * strides.channel, (n * s.channels + first) * largest.kept);
    }
  });
}

}  // namespace

void sequence_sum(const Sequences& s, SequenceStrides strides, const void* x, void* sums, Parallel parallel) {
  const int64_t element = float_size(s.dtype), wide = accumulator_size(s);
  for_blocks(s, strides, kSequenceLanes, parallel, [&](const Block& block) {
    void* const to = at(sums, block.result() * wide);
    if (block.valid.count > 0) {
      sequence_kernels(s.dtype)->sum(block.call, at(x, block.cell(strides) * element), to);
    } else {
      std::memset(to, 0, size_t(block.call.channels * wide));
    }
  });
}

void sequence_sum_backward(const Sequences& s, SequenceStrides strides, const void* grad_y, void* grad_x,
                           Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, strides, kSequenceLanes, parallel, [&](const Block& block) {
    sequence_kernels(s.dtype)->spread(block.call, at(grad_y, block.result() * element),
                                      at(grad_x, block.cell(strides) * element));
  });
}

void sequence_extreme(const Sequences& s, SequenceStrides strides, bool largest, const void* x, void* y,
                      int64_t* winners, Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, strides, kSequenceLanes, parallel, [&](const Block& block) {
    void* const to = at(y, block.result() * element);
    int64_t* const steps = winners == nullptr ? nullptr : winners + block.result();
    if (block.valid.count > 0) {
      sequence_kernels(s.dtype)->extreme(block.call, largest, at(x, block.cell(strides) * element), to, steps);
    } else {
      std::memset(to, 0, size_t(block.call.channels * element));
      if (steps != nullptr) std::fill_n(steps, block.call.channels, 0);
    }
  });
}

void sequence_extreme_backward(const Sequences& s, SequenceStrides strides, const void* grad_y, const int64_t* winners,
                               void* grad_x, Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, strides, kSequenceLanes, parallel, [&](const Block& block) {
    sequence_kernels(s.dtype)->scatter(block.call, at(grad_y, block.result() * element), winners + block.result(),
                                       at(grad_x, block.cell(strides) * element));
  });
}

void sequence_statistics(const Sequences& s, SequenceStrides strides, bool unbiased, double eps, const void* x, void* y,
                         Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, strides, cached_lanes(s), parallel, [&](const Block& block) {
    const Statistics statistics = statistics_of(block, unbiased, y, nullptr);
    if (block.valid.count > 0) {
      sequence_kernels(s.dtype)->statistics(block.call, statistics, eps, at(x, block.cell(strides) * element));
    } else {
      const auto bytes = size_t(block.call.channels * accumulator_size(s));
      std::memset(statistics.means, 0, bytes);
      std::memset(statistics.deviations, 0, bytes);
    }
  });
}

void sequence_statistics_backward(const Sequences& s, SequenceStrides x_strides, SequenceStrides grad_strides,
                                  bool unbiased, const void* grad_y, const void* x, const void* y, void* grad_x,
                                  Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, x_strides, kSequenceLanes, parallel, [&](const Block& block) {
    sequence_kernels(s.dtype)->statistics_backward(
        block.call, block.call.side_by_side ? grad_strides.step : grad_strides.channel,
        statistics_of(block, unbiased, const_cast<void*>(y), grad_y), at(x, block.cell(x_strides) * element),
        at(grad_x, block.cell(grad_strides) * element));
  });
}

void sequence_auto(const Sequences& s, SequenceStrides strides, bool variance, const void* x, const void* slopes,
                   void* y, void* kept, Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, strides, cached_lanes(s), parallel, [&](const Block& block) {
    if (block.valid.count == 0 || !variance) clear_results(block, kept, 4);
    if (block.valid.count == 0) return clear_results(block, y);
    sequence_kernels(s.dtype)->softmax(block.call, auto_call(block, variance, slopes, y, kept),
                                       at(x, block.cell(strides) * element));
  });
}

void sequence_auto_backward(const Sequences& s, SequenceStrides x_strides, SequenceStrides grad_strides,
                            const void* grad_y, const void* x, const void* slopes, const void* kept, void* grad_x,
                            Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, x_strides, kSequenceLanes, parallel, [&](const Block& block) {
    const SoftmaxGradients to{results_of(block, grad_y),
                              nullptr,
                              block.call.side_by_side ? grad_strides.step : grad_strides.channel,
                              0,
                              at(grad_x, block.cell(grad_strides) * element),
                              nullptr};
    sequence_kernels(s.dtype)->softmax_backward(block.call, auto_call(block, true, slopes, nullptr, kept), to,
                                                at(x, block.cell(x_strides) * element));
  });
}

void sequence_attentive(const Sequences& s, SequenceStrides strides, const void* x, const Scores& scores, void* y,
                        void* kept, Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, strides, cached_lanes(s, shares_scores(s, scores) ? 1 : 2), parallel, [&](const Block& block) {
    if (block.valid.count == 0) return clear_results(block, y, 2), clear_results(block, kept, 2);
    sequence_kernels(s.dtype)->softmax(block.call, attentive_call(block, scores, y, kept),
                                       at(x, block.cell(strides) * element));
  });
}

void sequence_attentive_backward(const Sequences& s, SequenceStrides x_strides, SequenceStrides grad_strides,
                                 const void* grad_y, const void* x, const Scores& scores, const void* y,
                                 const void* kept, void* grad_x, void* grad_scores, Parallel parallel) {
  const int64_t element = float_size(s.dtype), sums = s.steps * accumulator_size(s);
  const bool shared = shares_scores(s, scores);
  const auto run = [&](const Block& block) {
    const int64_t pitch = block.call.side_by_side ? grad_strides.step : grad_strides.channel;
    const int64_t cell = block.cell(grad_strides) * element;
    if (shared && block.first == 0) std::memset(at(grad_scores, block.sample * sums), 0, size_t(sums));
    const SoftmaxGradients to{results_of(block, grad_y, 2, 0),
                              results_of(block, grad_y, 2, 1),
                              pitch,
                              shared ? 0 : pitch,
                              at(grad_x, cell),
                              at(grad_scores, shared ? block.sample * sums : cell)};
    sequence_kernels(s.dtype)->softmax_backward(block.call, attentive_call(block, scores, y, kept), to,
                                                at(x, block.cell(x_strides) * element));
  };
  // All channels add to the gradients of scores that they share.
  for_blocks(s, x_strides, kSequenceLanes, parallel, run, shared);
}

void sequence_linear_softmax(const Sequences& s, SequenceStrides strides, const void* x, void* y, void* totals,
                             Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, strides, cached_lanes(s), parallel, [&](const Block& block) {
    if (block.valid.count == 0) return clear_results(block, y), clear_results(block, totals);
    sequence_kernels(s.dtype)->linear_softmax(block.call, at(x, block.cell(strides) * element),
                                              results_of(block, totals), results_of(block, y));
  });
}

void sequence_linear_softmax_backward(const Sequences& s, SequenceStrides x_strides, SequenceStrides grad_strides,
                                      const void* grad_y, const void* x, const void* y, const void* totals,
                                      void* grad_x, Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  for_blocks(s, x_strides, kSequenceLanes, parallel, [&](const Block& block) {
    sequence_kernels(s.dtype)->linear_softmax_backward(
        block.call, block.call.side_by_side ? grad_strides.step : grad_strides.channel, results_of(block, grad_y),
        at(x, block.cell(x_strides) * element), results_of(block, totals), results_of(block, y),
        at(grad_x, block.cell(grad_strides) * element));
  });
}

void sequence_largest(const Sequences& s, SequenceStrides strides, const Largest& largest, const void* x, void* y,
                      int32_t* places, Parallel parallel) {
  thread_local Scratch scratch;
  const int64_t element = float_size(s.dtype);
  for_rows(s, strides, largest, parallel, [&](const SequenceCall& call, LargestCall to, int64_t cell, int64_t result) {
    to.y = at(y, result * element);
    to.places = places == nullptr ? nullptr : places + result;
    to.scratch = scratch.at_least(LargestRoom(to.count).bytes);
    sequence_kernels(s.dtype)->largest(call, to, at(x, cell * element));
  });
}

void sequence_largest_backward(const Sequences& s, const Largest& largest, const void* grad_y, const int32_t* places,
                               void* grad_x, Parallel parallel) {
  const int64_t element = float_size(s.dtype);
  const SequenceStrides strides{s.channels * s.steps, s.steps, 1};
  for_rows(s, strides, largest, parallel,
           [&](const SequenceCall& call, LargestCall from, int64_t cell, int64_t result) {
             from.places = const_cast<int32_t*>(places) + result;
             sequence_kernels(s.dtype)->largest_backward(call, from, at(grad_y, result * element),
                                                         at(grad_x, cell * element));
           });
}

}  // namespace poolkit
