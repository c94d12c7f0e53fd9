// All kernels of one instruction set. Compiled once per instruction set, with POOLKIT_ISA_NAMESPACE naming
// it; everything inside has internal linkage, so that no object can lend its code to another.
#include "kernels.h"

#include "reducers.h"
#include "walkers/backward.h"
#include "walkers/forward.h"
#include "walkers/scatter.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Calls f(storage type) for the runtime type.
template <class F>
auto with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::f32: return f(float());
    case DType::f64: return f(double());
    case DType::f16: return f(half());
    case DType::bf16: return f(bfloat());
    case DType::i8: return f(int8_t());
    case DType::i16: return f(int16_t());
    case DType::i32: return f(int32_t());
    case DType::i64: return f(int64_t());
    default: return f(uint8_t());  // u8, and bool as 0 or 1
  }
}

template <class Method, bool with_winners>
ForwardKernel forward_of(DType dtype) {
  return with_type(dtype, [](auto value) -> ForwardKernel {
    using T = decltype(value);
    using R = typename Method::template Reducer<T, with_winners>;
    if constexpr (R::kSupported) {
      return run_forward<T, R>;
    } else {
      return nullptr;
    }
  });
}

template <class R, int needs>
struct WithNeeds : R {
  using R::R;
  static constexpr int kNeeds = needs;
};

template <class Method>
BackwardKernel backward_of(DType dtype) {
  return with_type(dtype, [](auto value) -> BackwardKernel {
    using T = decltype(value);
    constexpr bool with_winners = (Method::kNeeds & kNeedsWinners) != 0;
    using R = WithNeeds<typename Method::template Reducer<T, with_winners>, Method::kNeeds>;
    if constexpr (!R::kSupported || !kIsFloat<T>) {
      return nullptr;
    } else if constexpr (Method::kScatters) {
      return run_scatter<T>;
    } else {
      return run_backward<T, R>;
    }
  });
}

enum MethodIndex : int {
#define POOLKIT_INDEX(name, Method) k_##name,
  POOLKIT_REDUCERS(POOLKIT_INDEX)
#undef POOLKIT_INDEX
};

ForwardKernel forward(int method, DType dtype, bool with_winners) {
  switch (method) {
#define POOLKIT_FORWARD(name, Method)                                                        \
  case k_##name:                                                                             \
    if constexpr ((Method::kNeeds & kNeedsWinners) != 0) {                                   \
      if (with_winners) return forward_of<Method, true>(dtype);                              \
    }                                                                                        \
    return forward_of<Method, false>(dtype);
    POOLKIT_REDUCERS(POOLKIT_FORWARD)
#undef POOLKIT_FORWARD
    default: return nullptr;
  }
}

BackwardKernel backward(int method, DType dtype) {
  switch (method) {
#define POOLKIT_BACKWARD(name, Method) \
  case k_##name: return backward_of<Method>(dtype);
    POOLKIT_REDUCERS(POOLKIT_BACKWARD)
#undef POOLKIT_BACKWARD
    default: return nullptr;
  }
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {forward, backward};

// The same list for every instruction set; dispatch.cpp reads the lowest one's.
extern const MethodInfo methods[];
extern const int method_count;
const MethodInfo methods[] = {
#define POOLKIT_INFO(name, Method) {#name, Method::kNeeds, Method::kScatters},
    POOLKIT_REDUCERS(POOLKIT_INFO)
#undef POOLKIT_INFO
};
const int method_count = int(sizeof(methods) / sizeof(methods[0]));

}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
