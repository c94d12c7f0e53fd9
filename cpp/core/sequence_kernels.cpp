// Pooling over the valid steps of some channels of one sequence, compiled as kernels.cpp is: once for each instruction
// set and storage type. Where channels lie side by side they are the lanes, and a few steps at a time go into partial
// results that stay in the cache; otherwise the steps of one channel after the other are.
#include "sequences.h"

#include "largest.h"
#include "reducers/extrema.h"
#include "reducers/means.h"
#include "sequence_softmax.h"
#include "sequence_walks.h"

#define POOLKIT_JOIN(a, b) a##b
#define POOLKIT_SEQUENCE_KERNELS(dtype) POOLKIT_JOIN(sequence_kernels_, dtype)

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

using Total = Mean<T, false>;

// --- Reductions of a value of each cell, of channels that are the lanes (across) or of lanes of one channel (along).

struct Itself {
  template <class L>
  POOLKIT_INLINE typename L::Value across(typename L::Value x, int64_t) const {
    return x;
  }
  template <class L>
  POOLKIT_INLINE typename L::Value along(typename L::Value x, int64_t) const {
    return x;
  }
};

struct SquareOver {
  const A* divisors;  // of OfChannels

  template <class L>
  POOLKIT_INLINE typename L::Value across(typename L::Value x, int64_t channel) const {
    return x / load<L>(divisors + channel) * x;
  }
  template <class L>
  POOLKIT_INLINE typename L::Value along(typename L::Value x, int64_t channel) const {
    return x / L::splat(divisors[channel]) * x;
  }
};

struct SquareFrom {
  const A* means;  // of OfChannels

  template <class L>
  POOLKIT_INLINE typename L::Value across(typename L::Value x, int64_t channel) const {
    const auto deviation = x - load<L>(means + channel);
    return deviation * deviation;
  }
  template <class L>
  POOLKIT_INLINE typename L::Value along(typename L::Value x, int64_t channel) const {
    const auto deviation = x - L::splat(means[channel]);
    return deviation * deviation;
  }
};

// Calls take(family, channel, state) for channels side by side.
template <class R, class Of, class Take>
POOLKIT_INLINE void reduce_across(const R& r, const SequenceCall& call, const T* x, const Of& of, const Take& take) {
  const auto lift = [&](auto family, int64_t t, int64_t channel) {
    using L = decltype(family);
    const auto value = of.template across<L>(load<L>(x + t * call.pitch + channel), channel);
    return r.template lift<L>(value, L::splat_index(typename L::Int(t)));
  };
  reduce_across(r, call, call.pitch, lift, take);
}

// The same for channels one after the other, without winners; steps between that are not valid count as the identity.
template <bool all_valid, class R, class Of, class Take>
POOLKIT_INLINE void reduce_along(const R& r, const SequenceCall& call, const T* x, const Of& of, const Take& take) {
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    const T* const row = x + channel * call.pitch;
    const auto state = reduce_run(r, call.end - call.begin, [&](int64_t i, auto family) {
      using L = decltype(family);
      const int64_t t = call.begin + i;
      auto value = of.template along<L>(load<L>(row + t), channel);
      if constexpr (!all_valid) {
        const auto nothing = r.template finish<L>(r.template identity<L>(), typename L::Value{});
        value = where_valid<L>(call.valid + t, value, nothing);
      }
      return r.template lift<L>(value, typename L::Index{});
    });
    take(One(), channel, state);
  }
}

template <class R, class Of, class Take>
POOLKIT_INLINE void reduce(const SequenceCall& call, const T* x, const Of& of, const Take& take) {
  const R r{Problem()};
  if (call.side_by_side) return reduce_across(r, call, x, of, take);
  if (call.valid == nullptr) return reduce_along<true>(r, call, x, of, take);
  reduce_along<false>(r, call, x, of, take);
}

void sum(const SequenceCall& call, const void* x, void* sums) {
  reduce<Total>(call, static_cast<const T*>(x), Itself(), [&](auto family, int64_t channel, auto state) {
    store<decltype(family)>(static_cast<A*>(sums) + channel, state.sum);
  });
}

void statistics(const SequenceCall& call, const Statistics& to, double eps, const void* x) {
  OfChannels means;
  reduce<Total>(call, static_cast<const T*>(x), Itself(), [&](auto family, int64_t channel, auto state) {
    using L = decltype(family);
    store<L>(means.number + channel, state.sum / L::splat(A(to.count)));
  });
  means.copy_to(to.means, call.channels);
  reduce<Total>(call, static_cast<const T*>(x), SquareFrom{means.number},
                [&](auto family, int64_t channel, auto state) {
                  using L = decltype(family);
                  const auto variance = state.sum / L::splat(A(to.divisor)) + L::splat(A(eps));
                  store<L>(static_cast<A*>(to.deviations) + channel, square_root<L>(variance));
                });
}

// Squares are taken of shares, so that they neither overflow nor vanish.
void linear_softmax(const SequenceCall& call, const void* x, void* totals, void* y) {
  sum(call, x, totals);
  const OfChannels total(totals, call.channels);
  reduce<Total>(call, static_cast<const T*>(x), SquareOver{total.number},
                [&](auto family, int64_t channel, auto state) {
                  using L = decltype(family);
                  const typename L::Value none{};
                  store<L>(static_cast<A*>(y) + channel, load<L>(total.number + channel) == none ? none : state.sum);
                });
}

// The step of a row that has the largest or smallest of its values, or the last NaN.
template <bool all_valid>
POOLKIT_INLINE int64_t winner_along(const SequenceCall& call, const T* row, A best) {
  if (best != best) {
    int64_t t = call.end - 1;
    while (load<One>(row + t) == load<One>(row + t) || !(all_valid || call.valid[t])) --t;
    return t;
  }
  int64_t t = call.begin;
  for (; t + Many::lanes <= call.end; t += Many::lanes) {
    auto found = load<Many>(row + t) == Many::splat(best);
    if constexpr (!all_valid) found = where_valid<Many>(call.valid + t, found, decltype(found){});
    if (any<Many>(found)) break;
  }
  while (load<One>(row + t) != best || !(all_valid || call.valid[t])) ++t;
  return t;
}

template <class Order>
void extreme_of(const SequenceCall& call, const T* x, T* y, int64_t* winners) {
  if (winners != nullptr && call.side_by_side) {
    const Extreme<T, Order, true> reducer{Problem()};
    return reduce_across(reducer, call, x, Itself(), [&](auto family, int64_t channel, auto state) {
      using L = decltype(family);
      store<L>(y + channel, state.value);
      typename L::Int steps[L::lanes];
      store_bits(steps, state.offset);
      for (int i = 0; i < L::lanes; ++i) winners[channel + i] = steps[i];
    });
  }
  // Of a row in the cache, finding the winner by its value takes less than keeping it.
  reduce<Extreme<T, Order, false>>(call, x, Itself(), [&](auto family, int64_t channel, auto state) {
    using L = decltype(family);
    store<L>(y + channel, state.value);
    if constexpr (L::lanes == 1) {
      const T* const row = x + channel * call.pitch;
      if (winners == nullptr) return;
      winners[channel] = call.valid == nullptr ? winner_along<true>(call, row, state.value)
                                               : winner_along<false>(call, row, state.value);
    }
  });
}

void extreme(const SequenceCall& call, bool largest, const void* x, void* y, int64_t* winners) {
  if (largest) return extreme_of<Greater>(call, static_cast<const T*>(x), static_cast<T*>(y), winners);
  extreme_of<Less>(call, static_cast<const T*>(x), static_cast<T*>(y), winners);
}

// --- Gradients.

void spread(const SequenceCall& call, const void* grad_y, void* grad_x) {
  const T* const gradient = static_cast<const T*>(grad_y);
  T* const to = static_cast<T*>(grad_x);
  if (call.side_by_side) {
    return write_across(call, call.pitch, to, [&](auto family, int64_t, int64_t channel) {
      return load<decltype(family)>(gradient + channel);
    });
  }
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    const A value = load<One>(gradient + channel);
    write_along(call, to + channel * call.pitch, [&](auto family, int64_t) { return decltype(family)::splat(value); });
  }
}

void scatter(const SequenceCall& call, const void* grad_y, const int64_t* winners, void* grad_x) {
  T* const to = static_cast<T*>(grad_x);
  const int64_t rows = call.side_by_side ? call.steps : call.channels;
  const int64_t width = call.side_by_side ? call.channels : call.steps;
  const int64_t together = call.pitch == width ? rows : 1;
  for (int64_t row = 0; row < rows; row += together) clear(to + row * call.pitch, together * width);
  if (call.begin == call.end) return;
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    const int64_t cell =
        call.side_by_side ? winners[channel] * call.pitch + channel : channel * call.pitch + winners[channel];
    to[cell] = static_cast<const T*>(grad_y)[channel];
  }
}

// Each valid step becomes f(step, a, b, c), of three numbers of its channel.
template <class F>
void write_of_channels(const SequenceCall& call, int64_t grad_pitch, const void* x, void* grad_x, const A* a,
                       const A* b, const A* c, const F& f) {
  const T* const from = static_cast<const T*>(x);
  T* const to = static_cast<T*>(grad_x);
  if (call.side_by_side) {
    return write_across(
        call, grad_pitch, to,
        [&](auto family, int64_t t, int64_t channel) {
          using L = decltype(family);
          return f(load<L>(from + t * call.pitch + channel), load<L>(a + channel), load<L>(b + channel),
                   load<L>(c + channel));
        },
        call.pitch);
  }
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    write_along(call, to + channel * grad_pitch, [&](auto family, int64_t t) {
      using L = decltype(family);
      return f(load<L>(from + channel * call.pitch + t), L::splat(a[channel]), L::splat(b[channel]),
               L::splat(c[channel]));
    });
  }
}

// grad_x = base + slope * (x - mean)
void statistics_backward(const SequenceCall& call, int64_t grad_pitch, const Statistics& from, const void* x,
                         void* grad_x) {
  const OfChannels means(from.means, call.channels);
  OfChannels bases, slopes;
  A *const base = bases.number, *const slope = slopes.number;
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    base[channel] = static_cast<const A*>(from.grad_means)[channel] / A(from.count);
    slope[channel] = static_cast<const A*>(from.grad_deviations)[channel] /
                     (A(from.divisor) * static_cast<const A*>(from.deviations)[channel]);
  }
  write_of_channels(call, grad_pitch, x, grad_x, base, slope, means.number,
                    [](auto value, auto base, auto slope, auto mean) { return base + slope * (value - mean); });
}

// grad_x = (x + (x - y)) / total, by the gradient of y
void linear_softmax_backward(const SequenceCall& call, int64_t grad_pitch, const void* grad_y, const void* x,
                             const void* totals, const void* y, void* grad_x) {
  const OfChannels means(y, call.channels);
  OfChannels gradients, divisors;
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    const A total = static_cast<const A*>(totals)[channel];
    gradients.number[channel] = total == 0 ? 0 : static_cast<const A*>(grad_y)[channel];
    divisors.number[channel] = total == 0 ? 1 : total;
  }
  write_of_channels(call, grad_pitch, x, grad_x, gradients.number, divisors.number, means.number,
                    [](auto value, auto gradient, auto divisor, auto mean) {
                      return gradient * ((value + (value - mean)) / divisor);
                    });
}

// --- The largest steps.

void largest(const SequenceCall& call, const LargestCall& to, const void* x) {
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    const T* const row = static_cast<const T*>(x) + channel * call.pitch;
    T* const y = static_cast<T*>(to.y) + channel * to.kept;
    int32_t* const places = to.places == nullptr ? nullptr : to.places + channel * to.kept;
    clear(y + to.count, to.kept - to.count);
    if (to.count == 0) continue;
    LargestOf<T> found(row, call.end, to.count, LargestRoom(to.count).candidates, to.scratch);
    const auto take = [=](int64_t i, int64_t t) {
      y[i] = row[t];
      if (places != nullptr) places[i] = int32_t(t);
    };
    if (to.by_value) {
      found.by_value(take);
    } else {
      found.by_step(take);
    }
  }
}

void largest_backward(const SequenceCall& call, const LargestCall& from, const void* grad_y, void* grad_x) {
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    T* const to = static_cast<T*>(grad_x) + channel * call.pitch;
    const T* const gradient = static_cast<const T*>(grad_y) + channel * from.kept;
    const int32_t* const places = from.places + channel * from.kept;
    clear(to, call.steps);
    for (int64_t i = 0; i < from.count; ++i) to[places[i]] = gradient[i];
  }
}

}  // namespace

extern const SequenceKernels POOLKIT_SEQUENCE_KERNELS(POOLKIT_DTYPE);
const SequenceKernels POOLKIT_SEQUENCE_KERNELS(POOLKIT_DTYPE) = {sum,
                                                                 spread,
                                                                 extreme,
                                                                 scatter,
                                                                 statistics,
                                                                 statistics_backward,
                                                                 softmax,
                                                                 softmax_backward,
                                                                 linear_softmax,
                                                                 linear_softmax_backward,
                                                                 largest,
                                                                 largest_backward};

}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
