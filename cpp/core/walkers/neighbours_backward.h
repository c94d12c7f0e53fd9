// Backward of the windows of neighbours.h: every input cell sums over the outputs whose windows cover it, in row-major
// order. The outputs beside a cell's own are vectors moved by a lane, as there.
#pragma once

#include "neighbours.h"
#include "pulls.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Where what an output hands back depends on its gradient and winner alone.
template <class T, class R>
constexpr bool kTakesNeighboursBack =
    (R::kNeeds & (kNeedsX | kNeedsY)) == 0 && kIsFloat<T> && kSame<T, typename R::Accumulator>;

template <class T, class R>
class NeighboursBackward {
  using L = Wide<T>;
  using V = typename L::Value;
  using Pull = typename R::template Pull<L>;
  using Fields = Words<L, Pull>;
  static constexpr int kLanes = L::lanes;
  static constexpr bool kReadsWinners = (R::kNeeds & kNeedsWinners) != 0;

  // An output row that covers the current input row: its gradients and winners from the first output on, and the offset
  // that the input row's first tap has in its windows.
  struct Cover {
    const T* gradients;
    const char* winners;
    int64_t offset;
    T rest;  // the divisor's factor that a row shares
  };

 public:
  NeighboursBackward(const BackwardCall& call, void* scratch)
      : plan_(*call.plan),
        height_(plan_.height),
        width_(plan_.width),
        reducer_(plan_.problem),
        grad_y_(static_cast<const T*>(call.grad_y)),
        winners_(static_cast<const char*>(call.winners)),
        grad_x_(static_cast<T*>(call.grad_x)),
        outputs_(plan_.problem.outer * height_.out * width_.out),
        counts_(static_cast<T*>(scratch)) {
    for (int64_t o = 0; o < width_.out + kLanes; ++o) {
      counts_[o] = R::kDivides && o < width_.out ? T(width_.divisor[o]) : T(1);
    }
    spare_ = counts_ + plan_.count_lanes;
  }

  // Units are rows of inputs.
  void run(int64_t begin, int64_t end) {
    if (width_.kernel == 2) return units<2, 2, 0>(begin, end);
    if (width_.stride == 1) return units<3, 1, 1>(begin, end);
    return width_.pad_low == 0 ? units<3, 2, 0>(begin, end) : units<3, 2, 1>(begin, end);
  }

 private:
  template <int kTaps, int kStride, int kPad>
  void units(int64_t begin, int64_t end) {
    int64_t plane = begin / height_.in, ih = begin % height_.in;
    for (int64_t unit = begin; unit < end; ++unit) {
      find_covers(plane, ih);
      // Rows are written in ascending order, so that vectors may run over a row's end.
      T* const to = grad_x_ + unit * width_.in;
      const int64_t room = (end - unit) * width_.in;
      if (n_covers_ == 0) {
        __builtin_memset(to, 0, sizeof(T) * size_t(width_.in));
      } else if constexpr (R::kLinear) {
        switch (n_covers_) {
          case 1: pass<kTaps, kStride, kPad, false, 1>(to, room, covers_); break;
          case 2: pass<kTaps, kStride, kPad, false, 2>(to, room, covers_); break;
          default: pass<kTaps, kStride, kPad, false, 3>(to, room, covers_);
        }
      } else {
        pass<kTaps, kStride, kPad, false, 1>(to, room, covers_);
        for (int c = 1; c < n_covers_; ++c) pass<kTaps, kStride, kPad, true, 1>(to, room, covers_ + c);
      }
      if (++ih == height_.in) ih = 0, ++plane;
    }
  }

  void find_covers(int64_t plane, int64_t ih) {
    n_covers_ = 0;
    alike_ = true;
    for (int64_t oh = height_.cover_begin[ih]; oh < height_.cover_end[ih]; ++oh) {
      const int64_t th = tap_at(height_, oh, ih), out = (plane * height_.out + oh) * width_.out;
      if (th < 0) continue;
      Cover& cover = covers_[n_covers_];
      cover = {grad_y_ + out, winners_ + out, th * width_.kernel, R::kDivides ? T(height_.divisor[oh]) : T(1)};
      alike_ &= cover.rest == covers_[0].rest;
      if (out + width_.out + kLanes > outputs_) set_aside(cover);
      ++n_covers_;
    }
  }

  // Behind the array's last rows vectors may not read on.
  [[gnu::noinline]] void set_aside(Cover& cover) const {
    const int64_t n = width_.out, room = n + kLanes;
    T* const gradients = spare_ + n_covers_ * 2 * room;
    char* const winners = reinterpret_cast<char*>(gradients + room);
    __builtin_memcpy(gradients, cover.gradients, sizeof(T) * size_t(n));
    if constexpr (kReadsWinners) __builtin_memcpy(winners, cover.winners, size_t(n));
    cover.gradients = gradients;
    cover.winners = winners;
  }

  // A row of inputs from the covering rows given, added to what is there or not.
  template <int kTaps, int kStride, int kPad, bool adds, int n>
  POOLKIT_INLINE void pass(T* to, int64_t room, const Cover* covers) const {
    const R reducer = reducer_;
    const Cover cover = covers[0], second = covers[n > 1 ? 1 : 0], third = covers[n > 2 ? 2 : 0];
    const T* const counts = counts_;
    const int64_t width = width_.in, length = width_.out;
    const bool alike = alike_;
    // What the outputs from o on hand back, those that do not exist nothing.
    const auto pulled = [&](int64_t o) {
      if (o >= length) return Fields{};
      const auto prepared = [&](V gradient, T rest) {
        typename L::Index winner{};
        V count{};
        if constexpr (R::kDivides) count = load<L>(counts + o) * rest;
        if constexpr (kReadsWinners) winner = load_index<L>(cover.winners + o, 1);
        return reducer.template prepare<L>(gradient, V{}, winner, count);
      };
      Pull pull;
      if constexpr (R::kLinear) {
        const auto share = [&](const Cover& some) {
          const V gradient = load<L>(some.gradients + o);
          return alike ? gradient : prepared(gradient, some.rest).gradient;
        };
        V sum = share(cover);
        if constexpr (n > 1) sum = sum + share(second);
        if constexpr (n > 2) sum = sum + share(third);
        pull = alike ? prepared(sum, cover.rest) : Pull{sum};
      } else {
        pull = prepared(load<L>(cover.gradients + o), cover.rest);
      }
      auto fields = bit_cast<Fields>(pull);
      if (o + kLanes > length) {
        const auto inside = count_up<L>(o) < L::splat_index(typename L::Int(length));
        for (int f = 0; f < Fields::count; ++f) fields.word[f] = inside ? fields.word[f] : typename L::Index{};
      }
      return fields;
    };
    const auto add = [&](V& sum, const Fields& pull, int tap) {
      const auto winner = L::splat_index(typename L::Int(cover.offset + tap));
      sum = sum + reducer.template pull<L>(V{}, bit_cast<Pull>(pull), winner);
    };
    const auto put = [&](int64_t i, V sum) {
      i + kLanes <= width || i + kLanes <= room ? store<L>(to + i, sum) : put_some(to + i, sum, width - i);
    };
    const auto start = [&](int64_t i) {
      if constexpr (!adds) return V{};
      return i + kLanes <= width || i + kLanes <= room ? load<L>(to + i) : get_some(to + i, width - i);
    };
    Fields before{}, here = pulled(0);
    for (int64_t o = 0, i = 0; i < width; o += kLanes, i += kStride * kLanes) {
      const Fields after = pulled(o + kLanes);
      // The outputs of a cell in ascending order: the later the output, the earlier its tap.
      if constexpr (kStride == 1) {
        V sum = start(i);
        add(sum, moved<kLanes - 1>(before, here), 2);
        add(sum, here, 1);
        add(sum, moved<1>(here, after), 0);
        put(i, sum);
      } else {
        V even{}, odd{};
        const bool more = i + kLanes < width;
        if constexpr (adds) {
          const V low = start(i), high = more ? start(i + kLanes) : V{};
          even = evens<L>(low, high);
          odd = odds<L>(low, high);
        }
        if constexpr (kTaps == 2) {
          add(even, here, 0);
          add(odd, here, 1);
        } else if constexpr (kPad == 0) {
          add(even, moved<kLanes - 1>(before, here), 2);
          add(even, here, 0);
          add(odd, here, 1);
        } else {
          add(even, here, 1);
          add(odd, here, 2);
          add(odd, moved<1>(here, after), 0);
        }
        put(i, zipped_low<L>(even, odd));
        if (more) put(i + kLanes, zipped_high<L>(even, odd));
      }
      before = here;
      here = after;
    }
  }

  template <int by>
  POOLKIT_INLINE static Fields moved(const Fields& a, const Fields& b) {
    Fields lanes;
    for (int f = 0; f < Fields::count; ++f) lanes.word[f] = shifted<L, by>(a.word[f], b.word[f]);
    return lanes;
  }

  [[gnu::noinline]] static void put_some(T* to, V sum, int64_t n) {
    T some[kLanes];
    store<L>(some, sum);
    __builtin_memcpy(to, some, sizeof(T) * size_t(n));
  }

  [[gnu::noinline]] static V get_some(const T* from, int64_t n) {
    T some[kLanes] = {};
    __builtin_memcpy(some, from, sizeof(T) * size_t(n));
    return load<L>(some);
  }

  const Plan& plan_;
  const AxisPlan &height_, &width_;
  const R reducer_;
  const T* const grad_y_;
  const char* const winners_;
  T* const grad_x_;
  const int64_t outputs_;  // of all planes
  T* const counts_;
  T* spare_;  // for covering rows that end with the array
  Cover covers_[3];
  int n_covers_ = 0;
  bool alike_ = true;  // in their divisors
};

template <class T, class R>
void run_neighbours_backward(const BackwardCall& call, int64_t begin, int64_t end, void* scratch) {
  NeighboursBackward<T, R>(call, scratch).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
