// What a reducer is. A reducer is a small object made from the problem's parameters, with members
// written once for any lane family L (Wide or Single over the accumulator type A):
//
//   Accumulator           the type it computes in
//   kWinners              it keeps the offset of the winning cell
//   kLinear               its gradient is a weight of the window alone: covering rows may be summed first
//   kDivides              finish (and prepare) read the divisor
//   kIdempotent           combine(s, s) is s: windows may be put together from parts that overlap
//   kSupported            it takes this storage type
//   State<L>              the partial result of some cells; a struct of L::Value / L::Index members only
//   identity<L>()         the state of no cells, also what stands in the padding
//   lift<L>(x, offset)    the state of one cell
//   combine<L>(a, b)      associative and commutative, NaN and ties included
//   append<L>(a, b)       the same, where all of b's cells come after a's in row-major order
//   moved<L>(s, by)       the state with its winner offset moved
//   finish<L>(s, count)   the result; count is the window's divisor
//   winner<L>(s)          the winning offset (kWinners)
//   Pull<L>               what one output hands back to its cells (unless the method scatters)
//   prepare<L>(g, y, winner, count) -> Pull<L>
//   pull<L>(x, pull, offset)        the gradient that the cell at this offset takes from this output
//
//   OfNumbers             the same reducer where no cell is NaN, if it is faster there
//   kRepairs              in_range(y) tells whether y could have lost range; if not, repaired(each_cell, count)
//                         computes it with care
#pragma once

#include "../simd.h"
#include "poolkit/run.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

template <class T>
struct Storage {
  using Accumulator = T;
};
template <>
struct Storage<half> {
  using Accumulator = float;
};
template <>
struct Storage<bfloat> {
  using Accumulator = float;
};

template <class T>
constexpr bool kIsFloat = false;
template <>
constexpr bool kIsFloat<float> = true;
template <>
constexpr bool kIsFloat<double> = true;
template <>
constexpr bool kIsFloat<half> = true;
template <>
constexpr bool kIsFloat<bfloat> = true;

// Offsets of lanes that hold nothing may be any number: their sums wrap.
template <class L>
POOLKIT_INLINE typename L::Index added(typename L::Index a, typename L::Index b) {
  using Unsigned = typename UnsignedLanes<L>::type;
  return typename L::Index(Unsigned(a) + Unsigned(b));
}

// Sums of 64-bit integers wrap, as everywhere; doing so in unsigned arithmetic keeps it defined.
template <class L>
inline typename L::Value add(typename L::Value a, typename L::Value b) {
  if constexpr (kIsFloat<typename L::Scalar>) {
    return a + b;
  } else if constexpr (L::lanes == 1) {
    return typename L::Value(uint64_t(a) + uint64_t(b));
  } else {
    using Unsigned = typename VectorOf<uint64_t, sizeof(typename L::Value)>::type;
    return typename L::Value(Unsigned(a) + Unsigned(b));
  }
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
