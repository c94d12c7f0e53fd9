// The kernels of one instruction set for one storage type: compiled once for each pair, with
// POOLKIT_ISA_NAMESPACE naming the set and POOLKIT_DTYPE the type. Everything inside has internal
// linkage, so that no object can lend its code to another.
#include "kernels.h"

#include "reducers.h"
#include "storage.h"
#include "walkers/abreast_backward.h"
#include "walkers/backward.h"
#include "walkers/channels.h"
#include "walkers/expand.h"
#include "walkers/exponentials.h"
#include "walkers/forward.h"
#include "walkers/neighbours_backward.h"
#include "walkers/scatter.h"
#include "walkers/shares.h"
#include "walkers/spread.h"
#include "walkers/windows.h"

#define POOLKIT_JOIN(a, b) a##b
#define POOLKIT_KERNELS(dtype) POOLKIT_JOIN(kernels_, dtype)

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

using T = StorageOf<DType::POOLKIT_DTYPE>::type;

template <class Method>
constexpr bool kHasWinners = (Method::kNeeds & kNeedsWinners) != 0;

// The second argument of a method's reducer says whether it keeps winners or, where it takes logits, reads these.
template <class Method, bool extra>
ForwardKernel forward_of() {
  using R = typename Method::template Reducer<T, extra>;
  if constexpr (!R::kSupported) {
    return nullptr;
  } else if constexpr (kSelects<R> && kSumsExponentials<R>) {
    return run_exponentials<T, R>;
  } else if constexpr (kSelects<R>) {
    return run_windows<T, R>;
  } else {
    return run_forward<T, R>;
  }
}

template <class Method, bool with_winners>
ForwardKernel channels_of() {
  using R = typename Method::template Reducer<T, with_winners>;
  if constexpr (R::kSupported && !kSelects<R>) {
    if constexpr (kTuned<R>) return run_channels<T, R>;
  }
  return nullptr;
}

template <class Method, bool with_winners>
ShortRows short_rows_of(const Plan& plan) {
  using R = typename Method::template Reducer<T, with_winners>;
  if constexpr (R::kSupported && !kSelects<R>) return short_rows<T, R>(plan);
  return ShortRows::no;
}

template <class R, int needs>
struct WithNeeds : R {
  using R::R;
  static constexpr int kNeeds = needs;
};

template <class Method>
BackwardKernel backward_of(BackwardWalker walker) {
  using R = WithNeeds<typename Method::template Reducer<T, kHasWinners<Method>>, Method::kNeeds>;
  if constexpr (!R::kSupported || !kIsFloat<T>) {
    return nullptr;
  } else if constexpr (kSelects<R>) {
    // The gradient goes to the winner, however it was found.
    if constexpr (kHasWinners<Method>) {
      return backward_of<Max>(walker);
    } else if constexpr (kShares<R>) {
      if (walker == BackwardWalker::weighted_shares) {
        if constexpr (kTakesLogits<Method>) return run_shares<T, typename Method::template Reducer<T, true>>;
        return nullptr;
      }
      using Plain = typename Method::template Reducer<T, false>;
      if constexpr (kSumsExponentials<Plain>) return run_exponential_shares<T, Plain>;
      return run_shares<T, Plain>;
    } else {
      return nullptr;
    }
  } else {
    if (walker == BackwardWalker::expand) return run_expand<T, R>;
    if (walker == BackwardWalker::gather) return run_backward<T, R>;
    if (walker == BackwardWalker::abreast) {
      if constexpr (kGoesBackAbreast<R>) return run_abreast_backward<T, R>;
      return nullptr;
    }
    if (walker == BackwardWalker::neighbours) {
      if constexpr (kTakesNeighboursBack<T, R>) return run_neighbours_backward<T, R>;
      return nullptr;
    }
    if (walker == BackwardWalker::spread) {
      if constexpr (kSame<T, typename Storage<T>::Accumulator>) return run_spread<T>;
      return nullptr;
    }
    return run_scatter<T>;
  }
}

enum MethodIndex : int {
#define POOLKIT_INDEX(name, Method) k_##name,
  POOLKIT_REDUCERS(POOLKIT_INDEX)
#undef POOLKIT_INDEX
};

ForwardKernel forward(int method, Extra extra) {
  switch (method) {
#define POOLKIT_FORWARD(name, Method)                              \
  case k_##name:                                                   \
    if constexpr (kHasWinners<Method> || kTakesLogits<Method>) {   \
      if (extra != Extra::none) return forward_of<Method, true>(); \
    }                                                              \
    return forward_of<Method, false>();
    POOLKIT_REDUCERS(POOLKIT_FORWARD)
#undef POOLKIT_FORWARD
    default: return nullptr;
  }
}

BackwardKernel backward(int method, BackwardWalker walker) {
  switch (method) {
#define POOLKIT_BACKWARD(name, Method) \
  case k_##name: return backward_of<Method>(walker);
    POOLKIT_REDUCERS(POOLKIT_BACKWARD)
#undef POOLKIT_BACKWARD
    default: return nullptr;
  }
}

ForwardKernel channels(int method, Extra extra) {
  if (extra == Extra::logits) return nullptr;
  switch (method) {
#define POOLKIT_CHANNELS(name, Method)                                 \
  case k_##name:                                                       \
    if constexpr (kHasWinners<Method>) {                               \
      if (extra == Extra::winners) return channels_of<Method, true>(); \
    }                                                                  \
    return channels_of<Method, false>();
    POOLKIT_REDUCERS(POOLKIT_CHANNELS)
#undef POOLKIT_CHANNELS
    default: return nullptr;
  }
}

ShortRows ways_of_short_rows(const Plan& plan, bool with_winners) {
  switch (plan.problem.method) {
#define POOLKIT_SHORT_ROWS(name, Method)                          \
  case k_##name:                                                  \
    if constexpr (kHasWinners<Method>) {                          \
      if (with_winners) return short_rows_of<Method, true>(plan); \
    }                                                             \
    return short_rows_of<Method, false>(plan);
    POOLKIT_REDUCERS(POOLKIT_SHORT_ROWS)
#undef POOLKIT_SHORT_ROWS
    default: return ShortRows::no;
  }
}

}  // namespace

extern const Kernels POOLKIT_KERNELS(POOLKIT_DTYPE);
const Kernels POOLKIT_KERNELS(POOLKIT_DTYPE) = {forward, backward, channels, ways_of_short_rows};

}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
