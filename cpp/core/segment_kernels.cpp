// Reductions of a block of rows, compiled as kernels.cpp is: once for each instruction set and storage type. Channels
// are the lanes, and a few rows at a time go into partial results that stay in the cache.
#include "segments.h"

#include "reducers/extrema.h"
#include "reducers/means.h"
#include "storage.h"
#include "walkers/lanes.h"

#define POOLKIT_JOIN(a, b) a##b
#define POOLKIT_SEGMENT_KERNELS(dtype) POOLKIT_JOIN(segment_kernels_, dtype)

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

using T = StorageOf<DType::POOLKIT_DTYPE>::type;
using A = Storage<T>::Accumulator;
using One = Single<A>;

constexpr int64_t kTogether = 8;  // rows
constexpr int64_t kAhead = 16;    // rows, asked for before their turn where they may stand anywhere
constexpr int64_t kLanes = 512;   // channels whose partial results are kept at a time

// Calls f with a family of lanes and the first of them; no lane is done twice.
template <class F>
POOLKIT_INLINE void for_channels(int64_t channels, const F& f) {
  for_lanes_once<A>(channels, channels, [&](int64_t channel, auto family) { f(family, channel); });
}

// The partial result of rows `first` and after: in pairs and pairs of pairs if there are as many as go together, for
// the sake of their rounding errors and because no addition waits for the one before.
template <bool whole, class R, class L>
POOLKIT_INLINE typename R::template State<L> reduce_rows(const R& r, const T* const* row, int64_t first, int64_t rows,
                                                         int64_t channel) {
  using State = typename R::template State<L>;
  const auto cell = [&](int64_t i) {
    return r.template lift<L>(load<L>(row[i] + channel), L::splat_index(typename L::Int(first + i)));
  };
  if constexpr (whole) {
    State state[kTogether];
#pragma GCC unroll 8
    for (int64_t i = 0; i < kTogether; ++i) state[i] = cell(i);
#pragma GCC unroll 3
    for (int64_t step = 1; step < kTogether; step *= 2) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < kTogether; i += 2 * step) state[i] = r.template append<L>(state[i], state[i + step]);
    }
    return state[0];
  } else {
    State state = cell(0);
    for (int64_t i = 1; i < rows; ++i) state = r.template append<L>(state, cell(i));
    return state;
  }
}

// Appends rows to the partial results of all channels, or starts these with them.
template <bool whole, class R>
POOLKIT_INLINE void append_rows(const R& r, const T* const* row, int64_t first, int64_t rows, int64_t channels,
                                bool start, ScratchRow<A> part) {
  for_channels(channels, [&](auto family, int64_t channel) {
    using L = decltype(family);
    using State = typename R::template State<L>;
    State state = reduce_rows<whole, R, L>(r, row, first, rows, channel);
    if (!start) state = r.template append<L>(part.template get<L, State>(channel), state);
    part.template put<L>(channel, state);
  });
}

// Calls take(family, channel, state) for all channels.
template <class R, class Take>
POOLKIT_INLINE void reduce(const SegmentCall& call, const T* x, const Take& take) {
  constexpr int kFields = sizeof(typename R::template State<One>) / sizeof(A);
  alignas(64) A whole_words[kFields * kLanes], chunk_words[kFields * kLanes];
  const ScratchRow<A> whole{whole_words, kLanes}, chunk{chunk_words, kLanes};
  const R r{Problem()};
  for (int64_t begin = 0; begin < call.channels; begin += kLanes) {
    const int64_t channels = call.channels - begin < kLanes ? call.channels - begin : kLanes;
    for (int64_t i = 0; i < call.rows;) {
      const int64_t rows = call.rows - i < kTogether ? call.rows - i : kTogether;
      const T* row[kTogether];
      for (int64_t t = 0; t < rows; ++t) {
        row[t] = x + (call.order == nullptr ? i + t : call.order[i + t]) * call.pitch + begin;
        if (call.order == nullptr || i + t + kAhead >= call.known) continue;
        __builtin_prefetch(x + call.order[i + t + kAhead] * call.pitch + begin);
      }
      const bool start = i % kChunk == 0;
      const ScratchRow<A> part = i < kChunk ? whole : chunk;
      if (rows == kTogether) {
        append_rows<true>(r, row, i, rows, channels, start, part);
      } else {
        append_rows<false>(r, row, i, rows, channels, start, part);
      }
      i += rows;
      if (i <= kChunk || (i % kChunk != 0 && i < call.rows)) continue;
      for_channels(channels, [&](auto family, int64_t channel) {
        using L = decltype(family);
        using State = typename R::template State<L>;
        const State before = whole.template get<L, State>(channel);
        whole.template put<L>(channel, r.template append<L>(before, chunk.template get<L, State>(channel)));
      });
    }
    for_channels(channels, [&](auto family, int64_t channel) {
      using L = decltype(family);
      take(family, begin + channel, whole.template get<L, typename R::template State<L>>(channel));
    });
  }
}

void sum(const SegmentCall& call, const void* x, void* sums) {
  reduce<Mean<T, false>>(call, static_cast<const T*>(x), [&](auto family, int64_t channel, auto state) {
    store<decltype(family)>(static_cast<A*>(sums) + channel, state.sum);
  });
}

void add(int64_t channels, void* sums, const void* more) {
  for_channels(channels, [&](auto family, int64_t channel) {
    using L = decltype(family);
    A* const to = static_cast<A*>(sums) + channel;
    store<L>(to, load<L>(to) + load<L>(static_cast<const A*>(more) + channel));
  });
}

template <class Order>
void extreme_of(const SegmentCall& call, int64_t first, const T* x, T* y, int32_t* winners) {
  if (winners == nullptr) {
    return reduce<Extreme<T, Order, false>>(
        call, x, [&](auto family, int64_t channel, auto state) { store<decltype(family)>(y + channel, state.value); });
  }
  reduce<Extreme<T, Order, true>>(call, x, [&](auto family, int64_t channel, auto state) {
    using L = decltype(family);
    store<L>(y + channel, state.value);
    store_index_as<L, uint32_t>(winners + channel, added<L>(state.offset, L::splat_index(typename L::Int(first))));
  });
}

void extreme(const SegmentCall& call, bool largest, int64_t first, const void* x, void* y, int32_t* winners) {
  if (largest) return extreme_of<Greater>(call, first, static_cast<const T*>(x), static_cast<T*>(y), winners);
  extreme_of<Less>(call, first, static_cast<const T*>(x), static_cast<T*>(y), winners);
}

void join(int64_t channels, bool largest, void* y, int32_t* winners, const void* later_y,
          const int32_t* later_winners) {
  for (int64_t channel = 0; channel < channels; ++channel) {
    T* const best = static_cast<T*>(y) + channel;
    const T* const other = static_cast<const T*>(later_y) + channel;
    const A a = load<One>(best), b = load<One>(other);
    if (!(largest ? b > a : b < a) && b == b) continue;
    *best = *other;
    if (winners != nullptr) winners[channel] = later_winners[channel];
  }
}

}  // namespace

extern const SegmentKernels POOLKIT_SEGMENT_KERNELS(POOLKIT_DTYPE);
const SegmentKernels POOLKIT_SEGMENT_KERNELS(POOLKIT_DTYPE) = {sum, add, extreme, join};

}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
