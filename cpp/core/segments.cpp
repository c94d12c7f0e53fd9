// Segments: cuts each into blocks of rows, which threads take wherever they begin, and joins the results of blocks in
// an order that depends on their number alone, so that threads change no bits.
#include "segments.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "pieces.h"
#include "scratch.h"

namespace poolkit {
namespace {

constexpr int64_t kBlock = 1024;  // rows

int64_t accumulator_size(const Segments& s) { return std::max<int64_t>(float_size(s.dtype), sizeof(float)); }

void* at(void* base, int64_t bytes) { return static_cast<char*>(base) + bytes; }
const void* at(const void* base, int64_t bytes) { return static_cast<const char*>(base) + bytes; }

// Some rows of a segment, all of them if it has one block.
struct Block {
  int64_t segment, number;  // among the blocks of the segment
  int64_t first, rows;      // the number of its first row within the segment
  int64_t place;            // and among all rows in their order
};

int64_t blocks_of(const Segments& s, int64_t segment) {
  return (s.offsets[segment + 1] - s.offsets[segment] + kBlock - 1) / kBlock;
}

// Calls f(block) for all blocks of all segments, and for an empty one of each empty segment.
template <class F>
void for_blocks(const Segments& s, Parallel parallel, F f) {
  // Each segment counts as one unit, and each of its rows, so that long ones are shared among threads and many empty
  // ones are, too. A block belongs to whoever has its first unit.
  const auto unit = [&](int64_t segment) { return s.offsets[segment] + segment; };
  in_parallel(parallel, unit(s.count), s.channels, [&](int64_t begin, int64_t end) {
    int64_t segment = 0, beyond = s.count;
    while (beyond - segment > 1) {  // the last one that begins at the first unit or before
      const int64_t middle = (segment + beyond) / 2;
      (unit(middle) <= begin ? segment : beyond) = middle;
    }
    for (; segment < s.count && unit(segment) < end; ++segment) {
      const int64_t rows = s.offsets[segment + 1] - s.offsets[segment], start = unit(segment);
      int64_t number = start < begin ? (begin - start + kBlock - 1) / kBlock : 0;
      for (; (number == 0 || number * kBlock < rows) && start + number * kBlock < end; ++number) {
        const int64_t first = number * kBlock;
        f(Block{segment, number, first, std::min(kBlock, rows - first), s.offsets[segment] + first});
      }
    }
  });
}

SegmentCall call_of(const Segments& s, int64_t pitch, const Block& block) {
  const int64_t known = s.offsets[s.count] - block.place;
  return {s.channels, pitch, s.order == nullptr ? nullptr : s.order + block.place, block.rows, known};
}

// Where the rows of a block are found: with an order anywhere.
int64_t first_row(const Segments& s, const Block& block) { return s.order == nullptr ? block.place : 0; }

// The results of blocks: the first of a segment stands where its result will be, the others stand here until they are
// joined.
class Partial {
 public:
  Partial(const Segments& s, int64_t bytes_each) : segments_(s), bytes_(s.channels * bytes_each) {
    for (int64_t i = 0; i < s.count && !any_; ++i) any_ = blocks_of(s, i) > 1;
    if (any_) rest_ = scratch_.at_least((s.offsets[s.count] / kBlock + 1) * bytes_);
  }

  // No two blocks share a place: those of a segment lie kBlock rows apart, and the second one of the next segment at
  // least as far behind the last of this.
  void* of(void* results, int64_t segment, int64_t number) const {
    if (number == 0) return at(results, segment * bytes_);
    return at(rest_, (segments_.offsets[segment] / kBlock + number) * bytes_);
  }

  // Calls f(segment, a, b) for blocks of a segment to be joined, the second to the first; in pairs, then pairs of
  // pairs.
  template <class F>
  void join(Parallel parallel, F f) const {
    if (!any_) return;
    in_parallel(parallel, segments_.count, segments_.channels, [&](int64_t begin, int64_t end) {
      for (int64_t segment = begin; segment < end; ++segment) {
        const int64_t blocks = blocks_of(segments_, segment);
        for (int64_t step = 1; step < blocks; step *= 2) {
          for (int64_t i = 0; i + step < blocks; i += 2 * step) f(segment, i, i + step);
        }
      }
    });
  }

 private:
  const Segments& segments_;
  int64_t bytes_;
  bool any_ = false;
  Scratch scratch_;
  void* rest_ = nullptr;
};

// Calls f(row) for the rows of a block.
template <class F>
void for_rows(const Segments& s, const Block& block, F f) {
  for (int64_t i = block.place; i < block.place + block.rows; ++i) f(s.order == nullptr ? i : s.order[i]);
}

template <class Word>
void put_winners(const Segments& s, const Block& block, const void* grad_y, const int32_t* winners, void* grad_x) {
  const Word* const from = static_cast<const Word*>(grad_y) + block.segment * s.channels;
  const int32_t* const winner = winners + block.segment * s.channels;
  for (int64_t channel = 0; channel < s.channels; ++channel) {
    const int64_t i = winner[channel] - block.first;
    if (i < 0 || i >= block.rows) continue;
    const int64_t row = s.order == nullptr ? block.place + i : s.order[block.place + i];
    static_cast<Word*>(grad_x)[row * s.channels + channel] = from[channel];
  }
}

}  // namespace

void segment_sum(const Segments& s, int64_t pitch, const void* x, void* sums, Parallel parallel) {
  const SegmentKernels& kernels = *segment_kernels(s.dtype);
  const int64_t element = float_size(s.dtype), wide = accumulator_size(s);
  const Partial partial(s, wide);
  for_blocks(s, parallel, [&](const Block& block) {
    void* const to = partial.of(sums, block.segment, block.number);
    if (block.rows > 0) {
      kernels.sum(call_of(s, pitch, block), at(x, first_row(s, block) * pitch * element), to);
    } else {
      std::memset(to, 0, size_t(s.channels * wide));
    }
  });
  partial.join(parallel, [&](int64_t segment, int64_t a, int64_t b) {
    kernels.add(s.channels, partial.of(sums, segment, a), partial.of(sums, segment, b));
  });
}

void segment_spread(const Segments& s, const void* y, void* x, Parallel parallel) {
  const int64_t bytes = s.channels * float_size(s.dtype);
  for_blocks(s, parallel, [&](const Block& block) {
    const void* const from = at(y, block.segment * bytes);
    if (block.rows == 0) return;
    if (s.order != nullptr) {
      return for_rows(s, block, [&](int64_t row) { std::memcpy(at(x, row * bytes), from, size_t(bytes)); });
    }
    // Short rows are copied several at a time, from those that are there already.
    constexpr int64_t kCopied = 4096;
    void* const to = at(x, block.place * bytes);
    const int64_t all = block.rows * bytes;
    std::memcpy(to, from, size_t(std::min(bytes, all)));
    for (int64_t done = bytes; done < all;) {
      const int64_t more = std::min(all - done, std::max(bytes, std::min(done, kCopied / bytes * bytes)));
      std::memcpy(at(to, done), to, size_t(more));
      done += more;
    }
  });
}

void segment_extreme(const Segments& s, int64_t pitch, bool largest, const void* x, void* y, int32_t* winners,
                     Parallel parallel) {
  const SegmentKernels& kernels = *segment_kernels(s.dtype);
  const int64_t element = float_size(s.dtype);
  const Partial values(s, element), places(s, winners == nullptr ? 0 : sizeof(int32_t));
  const auto places_of = [&](int64_t segment, int64_t number) {
    return winners == nullptr ? nullptr : static_cast<int32_t*>(places.of(winners, segment, number));
  };
  for_blocks(s, parallel, [&](const Block& block) {
    void* const to = values.of(y, block.segment, block.number);
    int32_t* const places_to = places_of(block.segment, block.number);
    if (block.rows > 0) {
      kernels.extreme(call_of(s, pitch, block), largest, block.first, at(x, first_row(s, block) * pitch * element), to,
                      places_to);
    } else {
      std::memset(to, 0, size_t(s.channels * element));
      if (winners != nullptr) std::fill_n(places_to, s.channels, 0);
    }
  });
  values.join(parallel, [&](int64_t segment, int64_t a, int64_t b) {
    kernels.join(s.channels, largest, values.of(y, segment, a), places_of(segment, a), values.of(y, segment, b),
                 places_of(segment, b));
  });
}

void segment_extreme_backward(const Segments& s, const void* grad_y, const int32_t* winners, void* grad_x,
                              Parallel parallel) {
  const int64_t element = float_size(s.dtype), bytes = s.channels * element;
  for_blocks(s, parallel, [&](const Block& block) {
    if (block.rows == 0) return;
    if (s.order == nullptr) {
      std::memset(at(grad_x, block.place * bytes), 0, size_t(block.rows * bytes));
    } else {
      for_rows(s, block, [&](int64_t row) { std::memset(at(grad_x, row * bytes), 0, size_t(bytes)); });
    }
    const auto put = element == 2   ? put_winners<uint16_t>
                     : element == 4 ? put_winners<uint32_t>
                                    : put_winners<uint64_t>;
    put(s, block, grad_y, winners, grad_x);
  });
}

bool segment_order(const int64_t* index, int64_t rows, int64_t count, int64_t* offsets, int64_t* order) {
  std::fill_n(offsets, count + 1, 0);
  for (int64_t row = 0; row < rows; ++row) {
    if (index[row] < 0 || index[row] >= count) return false;
    ++offsets[index[row]];
  }
  int64_t before = 0;
  for (int64_t segment = 0; segment <= count; ++segment) before += std::exchange(offsets[segment], before);
  for (int64_t row = 0; row < rows; ++row) order[offsets[index[row]]++] = row;
  // Each has moved to its end, where the next one begins.
  for (int64_t segment = count; segment > 0; --segment) offsets[segment] = offsets[segment - 1];
  offsets[0] = 0;
  return true;
}

}  // namespace poolkit
