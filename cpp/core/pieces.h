// What the walks over whole arrays share: sizes of elements, and pieces of work for threads.
#pragma once

#include <algorithm>

#include "poolkit/run.h"

namespace poolkit {

// Of a floating point type.
inline int64_t float_size(DType dtype) { return dtype == DType::f64 ? 8 : dtype == DType::f32 ? 4 : 2; }

// Calls body(begin, end) for pieces of at least `grain` units.
template <class Body>
void in_pieces(Parallel parallel, int64_t units, int64_t grain, const Body& body) {
  if (units <= grain) return body(0, units);
  parallel.run(
      units, grain,
      [](const void* context, int64_t begin, int64_t end) { (*static_cast<const Body*>(context))(begin, end); }, &body);
}

// The same for units each of which takes about `work` operations.
template <class Body>
void in_parallel(Parallel parallel, int64_t units, int64_t work, const Body& body) {
  constexpr int64_t kGrain = 1 << 14;
  in_pieces(parallel, units, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, work)), body);
}

}  // namespace poolkit
