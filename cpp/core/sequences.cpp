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

// Calls f(block) for all blocks of channels of all sequences.
template <class F>
void for_blocks(const Sequences& s, const SequenceStrides& strides, int64_t most_lanes, Parallel parallel, F f) {
  const bool lanes = side_by_side(s, strides);
  const int64_t size = lanes ? most_lanes : kRows, blocks = (s.channels + size - 1) / size;
  in_parallel(parallel, s.batch * blocks, std::min(size, s.channels) * s.steps, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
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

// As many channels side by side as keep a sequence in the cache; whole lines of it.
int64_t cached_lanes(const Sequences& s) {
  constexpr int64_t kFewest = 64;
  const int64_t lanes = kCacheBytes / (s.steps * float_size(s.dtype));
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
