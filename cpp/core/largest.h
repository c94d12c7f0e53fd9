// The largest steps of a row. Every step is one number, its value above its place, so that of equals the earliest is
// the largest and NaN is larger than all. A few are kept in order; of many, those that may be among the largest are
// collected, and when their room is full the least of them are dropped. Either way, from then on only steps above the
// last that is kept come in: of most rows few do.
#pragma once

#include <algorithm>

#include "reducers/sorting.h"
#include "walkers/lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class A>
struct StepOf {
  using Key = typename UnsignedOf<sizeof(A)>::type;
  using Type = uint64_t;
};
template <>
struct StepOf<double> {
  using Key = uint64_t;
  using Type = unsigned __int128;
};

// A type of this object alone, as the code is that the library makes for it.
struct Descending {
  template <class Step>
  bool operator()(Step a, Step b) const {
    return a > b;
  }
};

template <class T>
class LargestOf {
  using A = typename Storage<T>::Accumulator;
  using One = Single<A>;
  using Many = Wide<A>;
  using Key = typename StepOf<A>::Key;
  using Step = typename StepOf<A>::Type;

 public:
  // Finds the `count` largest, 0 < count <= steps.
  LargestOf(const T* row, int64_t steps, int64_t count, int64_t room, void* scratch)
      : row_(row), steps_(steps), count_(count), room_(room), found_(static_cast<Step*>(scratch)) {
    if (count <= kFew) {
      for (int64_t t = 0; t < count; ++t) insert(step(t));
      for_above(count, [this](Step candidate) { insert(candidate); });
      return;
    }
    const int64_t first = room < steps ? room : steps;
    while (held_ < first) found_[held_] = step(held_), ++held_;
    if (held_ > count_) drop();
    for_above(first, [this](Step candidate) {
      found_[held_++] = candidate;
      if (held_ == room_) drop();
    });
    if (held_ > count_) drop();
  }

  // Calls take(i, step) for the i-th in the order of values.
  template <class Take>
  void by_value(const Take& take) {
    std::sort(found_, found_ + count_, Descending());
    for (int64_t i = 0; i < count_; ++i) take(i, place(found_[i]));
  }

  // The same in the order of steps.
  template <class Take>
  void by_step(const Take& take) const {
    int64_t taken = 0;
    Step last = found_[0];
    for (int64_t i = 1; i < count_; ++i) last = found_[i] < last ? found_[i] : last;
    const A edge = value(last);
    for_those(
        0, [edge](auto x, auto splat) { return (x >= splat(edge)) | (x != x); },
        [&](Step candidate) {
          if (candidate >= last) take(taken++, place(candidate));
        });
  }

 private:
  static constexpr int64_t kFew = 24;
  static constexpr int kBits = 8 * sizeof(Key);

  Step step(int64_t t) const {
    const A x = load<One>(row_ + t);
    return Step(x != x ? Key(~Key(0)) : key_of(x)) << kBits | Key(~Key(t));
  }
  static int64_t place(Step step) { return int64_t(Key(~Key(step))); }
  static A value(Step step) { return of_key<A>(Key(step >> kBits)); }

  // Among those in order; the last of a full row gives way.
  POOLKIT_INLINE void insert(Step candidate) {
    int64_t i = held_ < count_ ? held_++ : count_ - 1;
    for (; i > 0 && found_[i - 1] < candidate; --i) found_[i] = found_[i - 1];
    found_[i] = candidate;
  }

  void drop() {
    std::nth_element(found_, found_ + count_ - 1, found_ + held_, Descending());
    held_ = count_;
  }

  // Calls visit(step) for the steps from t on in order, at least for those whose value is wanted.
  template <class Wanted, class Visit>
  POOLKIT_INLINE void for_those(int64_t t, const Wanted& wanted, const Visit& visit) const {
    const auto splat = [](A v) { return Many::splat(v); };
    for (; t + Many::lanes <= steps_; t += Many::lanes) {
      if (!any<Many>(wanted(load<Many>(row_ + t), splat))) continue;
      for (int64_t i = t; i < t + Many::lanes; ++i) visit(step(i));
    }
    for (; t < steps_; ++t) visit(step(t));
  }

  // Calls add(step) for the steps from t on that come before the last that is sure to be kept so far.
  template <class Add>
  POOLKIT_INLINE void for_above(int64_t t, const Add& add) {
    for_those(
        t, [this](auto x, auto splat) { return (x > splat(value(found_[count_ - 1]))) | (x != x); },
        [&](Step candidate) {
          if (candidate > found_[count_ - 1]) add(candidate);
        });
  }

  const T* const row_;
  const int64_t steps_, count_, room_;
  Step* const found_;
  int64_t held_ = 0;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
