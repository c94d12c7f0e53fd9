// What each object of kernels offers; dispatch.cpp picks among them.
#pragma once

#include "plan.h"
#include "poolkit/run.h"

namespace poolkit {

struct ForwardCall {
  const Plan* plan;
  const void* x;
  void* y;
  void* winners;
  const void* x_end;  // vector loads may run over a row's end, never over the array's
  // Where outputs draw: the key, and the array's channels and outputs of a plane before it was simplified.
  uint64_t seed;
  int64_t channels, cells;
  const void* logits = nullptr;  // of x's shape, where the method weighs by them
};

struct BackwardCall {
  const Plan* plan;
  const void *grad_y, *x, *y, *winners;
  void* grad_x;
  const void* x_end;    // of x, as in the forward direction
  const Plan* adjoint;  // of the sum of the gradients around each input, for `spread`
  const void* logits = nullptr;
  void* grad_logits = nullptr;
};

// Runs the units [begin, end) of the plan's tiling; scratch has plan->scratch_bytes, 64-byte aligned.
using ForwardKernel = void (*)(const ForwardCall& call, int64_t begin, int64_t end, void* scratch);
using BackwardKernel = void (*)(const BackwardCall& call, int64_t begin, int64_t end, void* scratch);

// What a forward kernel does beside its results: it keeps winners, or reads logits.
enum class Extra : int { none, winners, logits };

// Forward over rows of few cells: as any others, maps side by side, or in registers.
enum class ShortRows : int { no, abreast, neighbours };

// The kernels of one instruction set for one storage type; null where a method has none.
struct Kernels {
  ForwardKernel (*forward)(int method, Extra extra);
  BackwardKernel (*backward)(int method, BackwardWalker walker);
  ForwardKernel (*channels)(int method, Extra extra);  // over units of plan.channels, where it shares_channels
  ShortRows (*short_rows)(const Plan& plan, bool with_winners);
};

// The storage types. Each has an object of its own for each instruction set; bool is stored as u8.
#define POOLKIT_FLOATS(TYPE) TYPE(f32) TYPE(f64) TYPE(f16) TYPE(bf16)
#define POOLKIT_DTYPES(TYPE) POOLKIT_FLOATS(TYPE) TYPE(u8) TYPE(i8) TYPE(i16) TYPE(i32) TYPE(i64)

// The methods, in the order of reducers.h, with what their traits say.
struct MethodInfo {
  const char* name;
  int needs;
  bool scatters;  // each output hands its gradient to one winner
  bool linear;    // the gradient is a weight of the window alone
  bool selects;   // it looks at all cells of a window at once
  bool shares;    // and shares the gradient among them,
  bool logits;    // by weights that may be given
  bool sums_exponentials;
};

extern const MethodInfo methods[];
extern const int kMethods;

}  // namespace poolkit
