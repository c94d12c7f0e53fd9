// Means of steps weighted by the softmax of the steps themselves (auto-pool) or of scores (attentive statistics).
// Weights are computed again wherever they are needed: of steps in the cache that takes less than to keep them.
#pragma once

#include "elementary.h"
#include "reducers/extrema.h"
#include "reducers/means.h"
#include "sequence_walks.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// A sum of weights, and one of what they weigh.
struct WeightedSum {
  template <class L>
  struct State {
    typename L::Value weights, values;
  };
  template <class L>
  POOLKIT_INLINE State<L> identity() const {
    return {typename L::Value{}, typename L::Value{}};
  }
  template <class L>
  POOLKIT_INLINE State<L> combine(State<L> a, State<L> b) const {
    return {a.weights + b.weights, a.values + b.values};
  }
  template <class L>
  POOLKIT_INLINE State<L> append(State<L> a, State<L> b) const {
    return combine<L>(a, b);
  }
};

// What is known of a channel: the slope of its scores, the step or score that weighs most, the mean counted from there.
template <class L>
struct Channel {
  typename L::Value slope, top, mean;
};

// A step and its score.
template <class L>
struct Step {
  typename L::Value x, score;
};

// A step's weight, 1 at the top, and what it weighs: where there is no score, the distance from the top, so that a
// level common to all steps costs no digits. Scores equal to an infinite one weigh the same, and leave the others
// nothing.
template <bool scored, class L>
struct Weighed {
  using V = typename L::Value;
  V weight, value;

  POOLKIT_INLINE Weighed(const Step<L>& step, const Channel<L>& channel) {
    const V from = scored ? step.score : step.x, below = from - channel.top;
    const auto best = from == channel.top;
    weight = best ? L::splat(1) : exponential<L>(scored ? below : channel.slope * below);
    value = scored ? step.x : best ? V{} : below;
  }

  // Without a weight an infinite value is nothing; NaN stays.
  POOLKIT_INLINE V times(V v) const { return (weight == V{}) & (v == v) ? V{} : weight * v; }
};

// The steps of a block, and what is known of its channels.
template <bool scored>
struct SoftmaxSteps {
  const SequenceCall& call;
  const SoftmaxCall& of;
  const T* const x;
  OfChannels slope, top, mean;

  const T* scores() const { return static_cast<const T*>(of.scores); }

  // Of channels that are the lanes.
  template <class L>
  POOLKIT_INLINE Channel<L> channels(int64_t channel) const {
    return {load<L>(slope.number + channel), load<L>(top.number + channel), load<L>(mean.number + channel)};
  }
  template <class L>
  POOLKIT_INLINE Step<L> across(int64_t t, int64_t channel) const {
    const auto value = load<L>(x + t * call.pitch + channel);
    if constexpr (!scored) return {value, value};
    const T* const score = scores() + t * of.pitch;
    return {value, of.shared ? L::splat(load<One>(score)) : load<L>(score + channel)};
  }
  int64_t pitch() const { return scored && !of.shared && of.pitch < call.pitch ? of.pitch : call.pitch; }

  // Of one channel, whose steps are.
  template <class L>
  POOLKIT_INLINE Channel<L> one_channel(int64_t channel) const {
    const Channel<One> one = channels<One>(channel);
    return {L::splat(one.slope), L::splat(one.top), L::splat(one.mean)};
  }
  POOLKIT_INLINE StepRow row(int64_t channel) const {
    return {x + channel * call.pitch, scored ? scores() + channel * of.pitch : nullptr, call.valid};
  }
  template <class L>
  POOLKIT_INLINE static Step<L> along(const StepRow& row) {
    const auto value = load<L>(row.x);
    if constexpr (!scored) return {value, value};
    return {value, load<L>(row.scores)};
  }

  // Calls take(family, channel, state) with the states that lift(family, step, channel) gives.
  template <class R, class Lift, class Take>
  POOLKIT_INLINE void reduce(const R& r, const Lift& lift, const Take& take) const {
    if (call.side_by_side) {
      const auto cell = [&](auto family, int64_t t, int64_t channel) {
        using L = decltype(family);
        return lift(family, across<L>(t, channel), channels<L>(channel));
      };
      return reduce_across(r, call, pitch(), cell, take);
    }
    for (int64_t channel = 0; channel < call.channels; ++channel) {
      const Channel<Many> known = one_channel<Many>(channel);
      const auto cells = [&](const StepRow& at) { return lift(Many(), along<Many>(at), known); };
      take(One(), channel, reduce_row(r, row(channel).at(call.begin), call.end - call.begin, cells));
    }
  }
};

// --- Results.

template <bool scored>
void softmax_of(const SequenceCall& call, const SoftmaxCall& to, const T* x) {
  SoftmaxSteps<scored> steps{call, to, x, {}, {}, {}};
  if constexpr (!scored) steps.slope = OfChannels(to.slopes, call.channels);
  // The largest score; its step where that is a multiple of it.
  using Largest = Extreme<T, Greater, false>;
  const auto turned = [](auto x, auto slope) { return slope < decltype(x){} ? -x : x; };
  steps.reduce(
      Largest(Problem()),
      [&](auto family, auto step, auto channel) {
        return typename Largest::State<decltype(family)>{scored ? step.score : turned(step.x, channel.slope)};
      },
      [&](auto family, int64_t channel, auto state) {
        using L = decltype(family);
        store<L>(steps.top.number + channel,
                 scored ? state.value : turned(state.value, load<L>(steps.slope.number + channel)));
      });
  steps.reduce(
      WeightedSum(),
      [](auto family, auto step, auto channel) {
        using L = decltype(family);
        const Weighed<scored, L> weighed(step, channel);
        return WeightedSum::State<L>{weighed.weight, weighed.times(weighed.value)};
      },
      [&](auto family, int64_t channel, auto state) {
        using L = decltype(family);
        auto mean = state.values / state.weights;
        if constexpr (!scored) {
          const auto [slope, top, _] = steps.template channels<L>(channel);
          // The top stands for itself, but not where the slope is NaN, nor an infinite one where it is 0.
          const auto no_number = slope == typename L::Value{} ? top - top : slope - slope;
          mean = mean + no_number;
          store<L>(static_cast<A*>(to.y) + channel, top + mean);
        }
        store<L>(static_cast<A*>(to.totals) + channel, state.weights);
        store<L>(steps.mean.number + channel, mean);
      });
  steps.top.copy_to(to.tops, call.channels);
  steps.mean.copy_to(to.means, call.channels);
  if (to.variances == nullptr) return;
  steps.reduce(
      Mean<T, false>(Problem()),
      [](auto family, auto step, auto channel) {
        using L = decltype(family);
        const Weighed<scored, L> weighed(step, channel);
        const auto deviation = weighed.value - channel.mean;
        return typename Mean<T, false>::template State<L>{weighed.times(deviation * deviation)};
      },
      [&](auto family, int64_t channel, auto state) {
        using L = decltype(family);
        store<L>(static_cast<A*>(to.variances) + channel,
                 state.sum / load<L>(static_cast<const A*>(to.totals) + channel));
      });
}

void softmax(const SequenceCall& call, const SoftmaxCall& to, const void* x) {
  if (to.scores != nullptr) return softmax_of<true>(call, to, static_cast<const T*>(x));
  softmax_of<false>(call, to, static_cast<const T*>(x));
}

// --- Gradients.

// The sum of the numbers of channels, as a fixed tree.
POOLKIT_INLINE A sum_of(OfChannels& of, int64_t channels) {
  using Sum = Mean<T, false>;
  constexpr int64_t width = 64 / sizeof(A);
  const int64_t whole = (channels + width - 1) / width * width;
  for (int64_t channel = channels; channel < whole; ++channel) of.number[channel] = 0;
  return reduce_run(Sum(Problem()), whole,
                    [&](int64_t channel, auto family) {
                      using L = decltype(family);
                      return typename Sum::State<L>{load<L>(of.number + channel)};
                    })
      .sum;
}

template <bool scored>
void softmax_backward_of(const SequenceCall& call, const SoftmaxCall& from, const SoftmaxGradients& to, const T* x) {
  const int64_t channels = call.channels;
  const SoftmaxSteps<scored> steps{call,
                                   from,
                                   x,
                                   scored ? OfChannels() : OfChannels(from.slopes, channels),
                                   OfChannels(from.tops, channels),
                                   OfChannels(from.means, channels)};
  const OfChannels variance = scored ? OfChannels(from.variances, channels) : OfChannels();
  // The gradients of the mean and the variance, divided by the sum of the weights.
  OfChannels by_mean, by_variance;
  for (int64_t channel = 0; channel < channels; ++channel) {
    const A total = static_cast<const A*>(from.totals)[channel];
    by_mean.number[channel] = static_cast<const A*>(to.means)[channel] / total;
    by_variance.number[channel] = scored ? static_cast<const A*>(to.variances)[channel] / total : 0;
  }
  const auto gradient = [](auto family, auto step, auto channel, auto of_mean, auto of_variance, auto variance) {
    using L = decltype(family);
    using V = typename L::Value;
    const V weight = Weighed<scored, L>(step, channel).weight, none{};
    const V distance = (scored ? step.x : step.x - channel.top) - channel.mean;
    Step<L> result;
    if constexpr (scored) {
      const V half = of_variance * distance;
      result = {weight * (of_mean + (half + half)),
                weight * (of_mean * distance + of_variance * (distance * distance - variance))};
    } else {
      result = {weight * of_mean * (L::splat(1) + channel.slope * distance), none};
    }
    return Step<L>{weight == none ? none : result.x, weight == none ? none : result.score};
  };
  T *const grad_x = static_cast<T*>(to.grad_x), *const grad_scores = static_cast<T*>(to.grad_scores);
  A* const sums = static_cast<A*>(to.grad_scores);
  const bool own_scores = scored && !from.shared;

  if (call.side_by_side) {
    const auto write = [&](auto family, int64_t t, int64_t channel) {
      using L = decltype(family);
      const auto result = gradient(family, steps.template across<L>(t, channel), steps.template channels<L>(channel),
                                   load<L>(by_mean.number + channel), load<L>(by_variance.number + channel),
                                   load<L>(variance.number + channel));
      store<L>(grad_x + t * to.pitch + channel, result.x);
      return result.score;
    };
    OfChannels of_scores;
    return each_step(
        call,
        [&](int64_t t) {
          clear(grad_x + t * to.pitch, channels);
          if (own_scores) clear(grad_scores + t * to.score_pitch, channels);
        },
        [&](int64_t t) {
          T* const score_row = own_scores ? grad_scores + t * to.score_pitch : nullptr;
          for_lanes<A>(channels, room(call, touched(call, to.pitch, steps.pitch()), t),
                       [&](int64_t channel, auto family) {
                         using L = decltype(family);
                         const auto of_score = write(family, t, channel);
                         if (own_scores) store<L>(score_row + channel, of_score);
                         if (scored && !own_scores) store<L>(of_scores.number + channel, of_score);
                       });
          if (scored && !own_scores) sums[t] += sum_of(of_scores, channels);
        });
  }
  for (int64_t channel = 0; channel < call.channels; ++channel) {
    T* const score_row = grad_scores + channel * to.score_pitch;
    const auto write = [&](auto family, int64_t t) {
      using L = decltype(family);
      const auto result = gradient(family, steps.template along<L>(steps.row(channel).at(t)),
                                   steps.template one_channel<L>(channel), L::splat(by_mean.number[channel]),
                                   L::splat(by_variance.number[channel]), L::splat(variance.number[channel]));
      if constexpr (scored) {
        const typename L::Value none{};
        const auto of_score = call.valid == nullptr ? result.score : where_valid<L>(call.valid + t, result.score, none);
        if (from.shared) {
          store<L>(sums + t, load<L>(sums + t) + of_score);
        } else {
          store<L>(score_row + t, of_score);
        }
      }
      return result.x;
    };
    if (own_scores) {
      clear(score_row, call.begin);
      clear(score_row + call.end, call.steps - call.end);
    }
    T* const row = grad_x + channel * to.pitch;
    if (scored && from.shared) {
      write_along<true>(call, row, write);
    } else {
      write_along<false>(call, row, write);
    }
  }
}

void softmax_backward(const SequenceCall& call, const SoftmaxCall& from, const SoftmaxGradients& to, const void* x) {
  if (from.scores != nullptr) return softmax_backward_of<true>(call, from, to, static_cast<const T*>(x));
  softmax_backward_of<false>(call, from, to, static_cast<const T*>(x));
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
