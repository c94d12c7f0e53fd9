// The largest steps of a row. Steps that may be among them are collected; when their room is full, the least are
// dropped, and from then on only steps above the last that was kept come in: of most rows few do.
#pragma once

#include <algorithm>

#include "walkers/lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class A>
struct Candidate {
  A value;
  int32_t step;
};

struct Before {
  template <class A>
  bool operator()(const Candidate<A>& a, const Candidate<A>& b) const {
    const bool nan = a.value != a.value, other = b.value != b.value;
    if (nan != other) return nan;
    if (!nan && a.value != b.value) return a.value > b.value;
    return a.step < b.step;
  }
};

template <class T>
class LargestOf {
  using A = typename Storage<T>::Accumulator;
  using One = Single<A>;
  using Many = Wide<A>;

 public:
  // Finds the `count` largest, 0 < count <= steps.
  LargestOf(const T* row, int64_t steps, int64_t count, int64_t room, void* scratch)
      : row_(row), steps_(steps), count_(count), room_(room), found_(static_cast<Candidate<A>*>(scratch)) {
    const int64_t first = room < steps ? room : steps;
    for (int64_t t = 0; t < first; ++t) add(t);
    if (first < steps) collect(first);
    if (held_ > count_) drop();
  }

  // Calls take(i, step) for the i-th in the order of values.
  template <class Take>
  void by_value(const Take& take) {
    std::sort(found_, found_ + count_, Before());
    for (int64_t i = 0; i < count_; ++i) take(i, found_[i].step);
  }

  // The same in the order of steps.
  template <class Take>
  void by_step(const Take& take) const {
    int64_t taken = 0;
    if (count_ == steps_) {
      for (; taken < count_; ++taken) take(taken, taken);
      return;
    }
    const Candidate<A> last = found_[count_ - 1];
    for_those(
        0, [&](auto x) { return (x >= splat_like(x, last.value)) | (x != x); },
        [&](int64_t t) {
          if (!Before()(last, candidate(t))) take(taken++, t);
        });
  }

 private:
  static A splat_like(A, A value) { return value; }
  static typename Many::Value splat_like(typename Many::Value, A value) { return Many::splat(value); }

  Candidate<A> candidate(int64_t t) const { return {load<One>(row_ + t), int32_t(t)}; }
  void add(int64_t t) { found_[held_++] = candidate(t); }

  void drop() {
    std::nth_element(found_, found_ + count_ - 1, found_ + held_, Before());
    held_ = count_;
  }

  // Calls visit(step) for the steps from t on in order, at least for those whose value is wanted.
  template <class Wanted, class Visit>
  POOLKIT_INLINE void for_those(int64_t t, const Wanted& wanted, const Visit& visit) const {
    for (; t + Many::lanes <= steps_; t += Many::lanes) {
      if (!any<Many>(wanted(load<Many>(row_ + t)))) continue;
      for (int64_t i = t; i < t + Many::lanes; ++i) visit(i);
    }
    for (; t < steps_; ++t) visit(t);
  }

  void collect(int64_t from) {
    drop();
    A edge = found_[count_ - 1].value;
    if (edge != edge) return;  // no later step comes before an earlier NaN
    for_those(
        from, [&](auto x) { return (x > splat_like(x, edge)) | (x != x); },
        [&](int64_t t) {
          if (candidate(t).value <= edge) return;
          add(t);
          if (held_ < room_) return;
          drop();
          edge = found_[count_ - 1].value;
        });
  }

  const T* const row_;
  const int64_t steps_, count_, room_;
  Candidate<A>* const found_;
  int64_t held_ = 0;
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
