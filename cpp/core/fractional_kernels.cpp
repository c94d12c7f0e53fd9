// Maxima of regions of any bounds, compiled as kernels.cpp is: once for each instruction set and storage type. The rows
// of a region go together as vectors, for the whole width of the plane; then its taps along that row.
#include "fractional.h"

#include "reducers/extrema.h"
#include "storage.h"
#include "walkers/lanes.h"

#define POOLKIT_JOIN(a, b) a##b
#define POOLKIT_FRACTIONAL_KERNELS(dtype) POOLKIT_JOIN(fractional_kernels_, dtype)

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

using T = StorageOf<DType::POOLKIT_DTYPE>::type;
using A = Storage<T>::Accumulator;
using One = Single<A>;

// The rows that a region of the first two axes has; how many.
int64_t find_rows(const RegionCall& call, const T* x, int64_t depth, int64_t height) {
  const int64_t width = call.axis[2].in;
  int64_t count = 0;
  for (int64_t d = call.first[0][depth]; d <= call.last[0][depth]; ++d) {
    for (int64_t h = call.first[1][height]; h <= call.last[1][height]; ++h, ++count) {
      const int64_t begin = (d * call.axis[1].in + h) * width;
      call.rows[count] = x + begin;
      call.offsets[count] = begin;
    }
  }
  return count;
}

template <bool with_winners>
void max_of(const RegionCall& call, const T* x, T* y, char* winners) {
  using R = Extreme<T, Greater, with_winners>;
  const R r{Problem()};
  const int64_t width = call.axis[2].in, out = call.axis[2].out;
  const ScratchRow<A> row{static_cast<A*>(call.states), RegionRoom(call.axis).pitch};
  row.template put<One>(width, r.template identity<One>());
  const PickedTaps<A> taps{row, call.taps, out};
  for (int64_t depth = 0; depth < call.axis[0].out; ++depth) {
    for (int64_t height = 0; height < call.axis[1].out; ++height) {
      const int64_t count = find_rows(call, x, depth, height);
      const auto* const rows = reinterpret_cast<const T* const*>(call.rows);
      with_rows<true>(rows, call.offsets, count, [&](const auto& source) {
        for_lanes<A>(width, width, [&](int64_t lane, auto family) {
          using L = decltype(family);
          row.template put<L>(lane, reduce_at<R, L>(r, source, count, lane));
        });
      });
      for_lanes<A>(out, out, [&](int64_t lane, auto family) {
        using L = decltype(family);
        const auto state = reduce_at<R, L>(r, taps, call.axis[2].longest, lane);
        store<L>(y + lane, state.value);
        if constexpr (with_winners) {
          const auto first = load_index_as<L, uint32_t>(call.taps + lane);
          store_index<L>(winners + lane * call.winner_bytes, call.winner_bytes, added<L>(state.offset, first));
        }
      });
      y += out;
      if constexpr (with_winners) winners += out * call.winner_bytes;
    }
  }
}

void max(const RegionCall& call, const void* x, void* y, void* winners) {
  if (winners == nullptr) return max_of<false>(call, static_cast<const T*>(x), static_cast<T*>(y), nullptr);
  max_of<true>(call, static_cast<const T*>(x), static_cast<T*>(y), static_cast<char*>(winners));
}

template <class U>
void scatter_as(const Winners& shape, const T* grad_y, const U* winners, T* grad_x, A* sums) {
  A* const to = kSame<T, A> ? reinterpret_cast<A*>(grad_x) : sums;
  __builtin_memset(to, 0, size_t(shape.cells) * sizeof(A));
  for (int64_t i = 0; i < shape.outputs; ++i) {
    if (int64_t(winners[i]) < shape.cells) to[winners[i]] += load<One>(grad_y + i);
  }
  if constexpr (!kSame<T, A>) {
    for_lanes<A>(shape.cells, shape.cells, [&](int64_t cell, auto family) {
      store<decltype(family)>(grad_x + cell, load<decltype(family)>(to + cell));
    });
  }
}

void scatter(const Winners& shape, const void* grad_y, const void* winners, void* grad_x, void* sums) {
  const auto run = [&](auto number) {
    scatter_as(shape, static_cast<const T*>(grad_y), static_cast<const decltype(number)*>(winners),
               static_cast<T*>(grad_x), static_cast<A*>(sums));
  };
  switch (region_winner_bytes(shape.cells)) {
    case 1: return run(uint8_t());
    case 2: return run(uint16_t());
    default: run(uint32_t());
  }
}

}  // namespace

extern const FractionalKernels POOLKIT_FRACTIONAL_KERNELS(POOLKIT_DTYPE);
const FractionalKernels POOLKIT_FRACTIONAL_KERNELS(POOLKIT_DTYPE) = {max, scatter};

}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
