// The walks over the valid steps of some channels of one sequence that sequence_kernels.cpp and its like share: along
// the steps of one channel after the other, or across channels that lie side by side.
#pragma once

#include "sequences.h"
#include "storage.h"
#include "walkers/lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

using T = StorageOf<DType::POOLKIT_DTYPE>::type;
using A = Storage<T>::Accumulator;
using One = Single<A>;
using Many = Wide<A>;

// Calls f(step) for the valid steps in order.
template <class F>
POOLKIT_INLINE void for_valid(const SequenceCall& call, const F& f) {
  for (int64_t t = call.begin; t < call.end; ++t) {
    if (call.valid == nullptr || call.valid[t]) f(t);
  }
}

// Calls f with a family of lanes and the first of them; no lane is done twice.
template <class F>
POOLKIT_INLINE void for_channels(const SequenceCall& call, const F& f) {
  for_lanes_once<A>(call.channels, call.channels, [&](int64_t channel, auto family) { f(family, channel); });
}

// `kept` where the steps from `valid` on are valid, `other` elsewhere: values, or states of some.
template <class L, class S>
POOLKIT_INLINE S where_valid(const uint8_t* valid, const S& kept, const S& other) {
  const auto inside = load_index_as<L, uint8_t>(valid) != typename L::Index{};
  auto words = bit_cast<Words<L, S>>(kept);
  const auto others = bit_cast<Words<L, S>>(other);
  for (int f = 0; f < words.count; ++f) words.word[f] = inside ? words.word[f] : others.word[f];
  return bit_cast<S>(words);
}

// A constant as a type.
template <bool v>
struct Known {
  static constexpr bool value = v;
};

// --- Reductions.

// A number for each channel of a block, and zeros where a vector may reach beyond them.
struct OfChannels {
  A number[kSequenceLanes] = {};

  OfChannels() = default;
  OfChannels(const void* from, int64_t channels) { __builtin_memcpy(number, from, size_t(channels) * sizeof(A)); }
  void copy_to(void* to, int64_t channels) const { __builtin_memcpy(to, number, size_t(channels) * sizeof(A)); }
};

// How many lanes from the first channel of a step on lie in the memory of its sequence.
POOLKIT_INLINE int64_t room(const SequenceCall& call, int64_t pitch, int64_t t) {
  return call.channels + (call.steps - 1 - t) * pitch;
}

// Appends steps to the partial results of all channels, or starts these with them.
template <class R, class Lift>
POOLKIT_INLINE void append_steps(const R& r, const SequenceCall& call, int64_t pitch, const int64_t* step,
                                 int64_t count, bool start, const Lift& lift, ScratchRow<A> part) {
  for_lanes_once<A>(call.channels, room(call, pitch, step[count - 1]), [&](int64_t channel, auto family) {
    using L = decltype(family);
    using State = typename R::template State<L>;
    const auto cell = [&](int64_t i) -> State { return lift(family, step[i], channel); };
    State state = start ? cell(0) : r.template append<L>(part.template get<L, State>(channel), cell(0));
    for (int64_t i = 1; i < count; ++i) state = r.template append<L>(state, cell(i));
    part.template put<L>(channel, state);
  });
}

// Calls take(family, channel, state) for channels side by side with the states that lift(family, step, channel) gives,
// of lanes beyond the channels, too: of what is read for each step nothing may lie less than `pitch` apart.
template <class R, class Lift, class Take>
POOLKIT_INLINE void reduce_across(const R& r, const SequenceCall& call, int64_t pitch, const Lift& lift,
                                  const Take& take) {
  constexpr int64_t kTogether = 8;  // steps
  constexpr int kFields = sizeof(typename R::template State<One>) / sizeof(A);
  alignas(64) A whole_words[kFields * kSequenceLanes], chunk_words[kFields * kSequenceLanes];
  const ScratchRow<A> whole{whole_words, kSequenceLanes}, chunk{chunk_words, kSequenceLanes};
  int64_t step[kTogether], waiting = 0, done = 0;
  const auto append = [&] {
    append_steps(r, call, pitch, step, waiting, done % kChunk == 0, lift, done < kChunk ? whole : chunk);
    done += waiting;
    waiting = 0;
  };
  const auto join = [&] {
    for_channels(call, [&](auto family, int64_t channel) {
      using L = decltype(family);
      using State = typename R::template State<L>;
      const State before = whole.template get<L, State>(channel);
      whole.template put<L>(channel, r.template append<L>(before, chunk.template get<L, State>(channel)));
    });
  };
  for_valid(call, [&](int64_t t) {
    step[waiting++] = t;
    if (waiting < kTogether) return;
    append();
    if (done % kChunk == 0 && done > kChunk) join();
  });
  if (waiting > 0) append();
  if (done % kChunk != 0 && done > kChunk) join();
  for_channels(call, [&](auto family, int64_t channel) {
    take(family, channel, whole.template get<decltype(family), typename R::template State<decltype(family)>>(channel));
  });
}

// Steps of a channel that lie side by side, and their scores, which may be null as `valid` may.
struct StepRow {
  const T *x, *scores;
  const uint8_t* valid;

  StepRow at(int64_t t) const {
    return {x + t, scores == nullptr ? nullptr : scores + t, valid == nullptr ? nullptr : valid + t};
  }
};

// Neighbouring lanes of a and then of b, combined.
template <class R, class States>
POOLKIT_INLINE States pairs(const R& r, const States& a, const States& b) {
  using StateWords = Words<Many, States>;
  const auto first = bit_cast<StateWords>(a), second = bit_cast<StateWords>(b);
  StateWords left, right;
  for (int f = 0; f < StateWords::count; ++f) {
    left.word[f] = evens<Many>(first.word[f], second.word[f]);
    right.word[f] = odds<Many>(first.word[f], second.word[f]);
  }
  return r.template combine<Many>(bit_cast<States>(left), bit_cast<States>(right));
}

// The state of a row of steps as a fixed tree of blocks of 64 bytes, in which lift(row) has one vector: the same bits
// for every width of these. What is left over the last block becomes one, filled up with steps that are not valid.
template <class R, class Lift>
POOLKIT_INLINE auto reduce_row(const R& r, const StepRow& row, int64_t count, const Lift& lift) {
  using State = typename R::template State<One>;
  using States = typename R::template State<Many>;
  constexpr int64_t width = 64 / sizeof(A), parts = width / Many::lanes;
  States whole[parts], chunk[parts];
  for (int64_t p = 0; p < parts; ++p) whole[p] = chunk[p] = r.template identity<Many>();
  const auto add = [&](auto all_valid, const StepRow& from) {
    for (int64_t p = 0; p < parts; ++p) {
      const StepRow at = from.at(p * Many::lanes);
      States state = lift(at);
      if constexpr (!decltype(all_valid)::value) {
        state = where_valid<Many>(at.valid, state, r.template identity<Many>());
      }
      chunk[p] = r.template combine<Many>(chunk[p], state);
    }
  };
  const auto join = [&] {
    for (int64_t p = 0; p < parts; ++p) {
      whole[p] = r.template combine<Many>(whole[p], chunk[p]);
      chunk[p] = r.template identity<Many>();
    }
  };
  int64_t t = 0;
  while (t + width <= count) {
    const int64_t end = t + kChunk * width <= count ? t + kChunk * width : count - count % width;
    if (row.valid == nullptr) {
      for (; t < end; t += width) add(Known<true>(), row.at(t));
    } else {
      for (; t < end; t += width) add(Known<false>(), row.at(t));
    }
    join();
  }
  if (t < count) {
    T x[width] = {}, scores[width] = {};
    uint8_t valid[width] = {};
    for (int64_t i = 0; t + i < count; ++i) {
      x[i] = row.x[t + i];
      if (row.scores != nullptr) scores[i] = row.scores[t + i];
      valid[i] = row.valid == nullptr ? 1 : row.valid[t + i];
    }
    add(Known<false>(), {x, scores, valid});
    join();
  }
  for (int64_t left = parts; left > 1; left /= 2) {
    for (int64_t p = 0; p < left / 2; ++p) whole[p] = pairs(r, whole[2 * p], whole[2 * p + 1]);
  }
  for (int64_t left = Many::lanes; left > 1; left /= 2) whole[0] = pairs(r, whole[0], whole[0]);
  const auto words = bit_cast<Words<Many, States>>(whole[0]);
  Words<One, State> first;
  for (int f = 0; f < words.count; ++f) first.word[f] = words.word[f][0];
  return bit_cast<State>(first);
}

// --- Writing.

void clear(T* to, int64_t count) { __builtin_memset(to, 0, size_t(count) * sizeof(T)); }

// Calls body(step) for the valid steps and clear_step(step) for the others, in order.
template <class ClearStep, class Body>
POOLKIT_INLINE void each_step(const SequenceCall& call, const ClearStep& clear_step, const Body& body) {
  int64_t next = 0;  // the first step that is not done yet
  const auto clear_until = [&](int64_t t) {
    for (; next < t; ++next) clear_step(next);
  };
  for_valid(call, [&](int64_t t) {
    clear_until(t);
    body(t);
    ++next;
  });
  clear_until(call.steps);
}

// Where steps are written one behind the other without a gap, a vector may reach into those that are written after,
// unless what is read has less room: the pitch of what may be touched.
POOLKIT_INLINE int64_t touched(const SequenceCall& call, int64_t written, int64_t read) {
  return written == call.channels && written <= read ? written : 0;
}

// Writes write(family, step, channel) at the valid steps and 0 at the others, channels side by side. Of lanes beyond
// the channels, too, where what is read for each step lies `read` apart.
template <class Write>
POOLKIT_INLINE void write_across(const SequenceCall& call, int64_t pitch, T* grad_x, const Write& write,
                                 int64_t read = 0) {
  each_step(
      call, [&](int64_t t) { clear(grad_x + t * pitch, call.channels); },
      [&](int64_t t) {
        for_lanes<A>(call.channels, room(call, touched(call, pitch, read), t), [&](int64_t channel, auto family) {
          store<decltype(family)>(grad_x + t * pitch + channel, write(family, t, channel));
        });
      });
}

// The same, channels one after the other; write(family, step), which may be asked twice for a step unless `once`.
template <bool once = false, class Write>
POOLKIT_INLINE void write_along(const SequenceCall& call, T* row, const Write& write) {
  const int64_t count = call.end - call.begin;
  const auto each_lane = [&](const auto& body) {
    if constexpr (once) {
      for_lanes_once<A>(count, count, body);
    } else {
      for_lanes<A>(count, count, body);
    }
  };
  clear(row, call.begin);
  T* const from = row + call.begin;
  if (call.valid == nullptr) {
    each_lane([&](int64_t i, auto family) { store<decltype(family)>(from + i, write(family, call.begin + i)); });
  } else {
    each_lane([&](int64_t i, auto family) {
      using L = decltype(family);
      const int64_t t = call.begin + i;
      store<L>(from + i, where_valid<L>(call.valid + t, write(family, t), typename L::Value{}));
    });
  }
  clear(row + call.end, call.steps - call.end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
