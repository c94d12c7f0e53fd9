// Forward where one window is a whole plane of neighbouring cells, as in global pooling. Each plane is reduced
// by a fixed tree over the 64-byte blocks of its cells - the same bits for every vector width - and the last
// steps of the tree are taken for as many planes at once as there are lanes.
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Of the groups of 2 * half lanes in a and then in b, the first (shift 0) or last (shift half) half of each.
template <int half, int shift, class V, int... lane>
POOLKIT_INLINE V halves(V a, V b, LaneList<lane...>) {
  return __builtin_shufflevector(a, b, (lane / half * 2 * half + lane % half + shift)...);
}

template <class T, class R>
class Planes {
  using A = typename R::Accumulator;
  using L = Wide<A>;
  using State = typename R::template State<L>;
  using Fields = Words<L, State>;
  static constexpr int64_t kBlock = 64 / sizeof(A);
  static constexpr int kParts = 64 / kVectorBytes;

 public:
  Planes(const ForwardCall& call, const R& reducer)
      : call_(call),
        reducer_(reducer),
        length_(call.plan->width.in),
        count_(call.plan->depth.divisor[0] * call.plan->height.divisor[0] * call.plan->width.divisor[0]),
        winner_bytes_(call.plan->winner_bytes) {}

  void run(int64_t begin, int64_t end) const {
    for (int64_t plane = begin; plane < end; plane += L::lanes) {
      group(plane, plane + L::lanes < end ? L::lanes : int(end - plane));
    }
  }

 private:
  const T* cells(int64_t plane) const { return static_cast<const T*>(call_.x) + plane * length_; }

  void group(int64_t plane, int n) const {
    State states[L::lanes];
    for (int i = 0; i < L::lanes; ++i) {
      states[i] = i < n ? reduce(cells(plane + i)) : reducer_.template identity<L>();
    }
    const State all = folded<L::lanes / 2>(states);
    T results[L::lanes];
    store<L>(results, reducer_.template finish<L>(all, L::splat(R::kDivides ? A(count_) : A(1))));
    if constexpr (R::kRepairs) repair(plane, n, results);
    __builtin_memcpy(static_cast<T*>(call_.y) + plane, results, sizeof(T) * size_t(n));
    if constexpr (R::kWinners) {
      char winners[L::lanes * 4];
      store_index<L>(winners, winner_bytes_, reducer_.template winner<L>(all));
      __builtin_memcpy(static_cast<char*>(call_.winners) + plane * winner_bytes_, winners, size_t(n * winner_bytes_));
    }
  }

  State combine(const State& a, const State& b) const { return reducer_.template combine<L>(a, b); }

  // In each lane the cells of b come after those of a.
  State append(const State& a, const State& b) const { return reducer_.template append<L>(a, b); }

  State lifted(const T* x, int64_t offset) const { return reducer_.template lift<L>(load<L>(x), count_up<L>(offset)); }

  State reduce(const T* x) const {
    State part[kParts];
    for (int p = 0; p < kParts; ++p) part[p] = reducer_.template identity<L>();
    const int64_t whole = length_ - length_ % kBlock;
    for (int64_t begin = 0; begin < whole; begin += kChunk * kBlock) {
      const int64_t end = begin + kChunk * kBlock < whole ? begin + kChunk * kBlock : whole;
      State chunk[kParts];
      for (int p = 0; p < kParts; ++p) chunk[p] = lifted(x + begin + p * L::lanes, begin + p * L::lanes);
      for (int64_t i = begin + kBlock; i < end; i += kBlock) {
        for (int p = 0; p < kParts; ++p) chunk[p] = append(chunk[p], lifted(x + i + p * L::lanes, i + p * L::lanes));
      }
      for (int p = 0; p < kParts; ++p) part[p] = begin == 0 ? chunk[p] : append(part[p], chunk[p]);
    }
    if (whole < length_) {
      const int64_t rest = length_ - whole;
      const T* tail = x + whole;
      T copy[kBlock];
      if (tail + kBlock > static_cast<const T*>(call_.x_end)) {
        __builtin_memset(copy, 0, sizeof(copy));
        __builtin_memcpy(copy, tail, sizeof(T) * size_t(rest));
        tail = copy;
      }
      for (int p = 0; p < kParts; ++p) {
        const State cells = lifted(tail + p * L::lanes, whole + p * L::lanes);
        const auto inside = count_up<L>(p * L::lanes) < L::splat_index(typename L::Int(rest));
        part[p] = append(part[p], chosen<L>(inside, cells, reducer_.template identity<L>()));
      }
    }
    for (int n = kParts / 2; n > 0; n /= 2) {
      for (int p = 0; p < n; ++p) part[p] = combine(part[p], part[p + n]);
    }
    return part[0];
  }

  // From 2 * half vectors, each of lanes / (2 * half) planes with 2 * half partial results, down to one.
  template <int half>
  State folded(State* states) const {
    if constexpr (half == 0) {
      return states[0];
    } else {
      using List = typename FirstLanes<L::lanes>::type;
      for (int i = 0; i < half; ++i) {
        const auto a = bit_cast<Fields>(states[2 * i]), b = bit_cast<Fields>(states[2 * i + 1]);
        Fields low, high;
        for (int f = 0; f < Fields::count; ++f) {
          low.word[f] = halves<half, 0>(a.word[f], b.word[f], List{});
          high.word[f] = halves<half, half>(a.word[f], b.word[f], List{});
        }
        states[i] = combine(bit_cast<State>(low), bit_cast<State>(high));
      }
      return folded<half / 2>(states);
    }
  }

  void repair(int64_t plane, int n, T* results) const {
    using One = Single<A>;
    for (int i = 0; i < n; ++i) {
      if (reducer_.in_range(double(load<One>(results + i)))) continue;
      const T* x = cells(plane + i);
      const auto each_cell = [&](const auto& visit) {
        for (int64_t cell = 0; cell < length_; ++cell) visit(double(load<One>(x + cell)));
      };
      store<One>(results + i, A(reducer_.repaired(each_cell, count_)));
    }
  }

  const ForwardCall& call_;
  const R& reducer_;
  const int64_t length_;
  const double count_;
  const int winner_bytes_;
};

template <class T, class R>
void run_planes(const ForwardCall& call, const R& reducer, int64_t begin, int64_t end) {
  Planes<T, R>(call, reducer).run(begin, end);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
