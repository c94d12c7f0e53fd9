// What each instruction set's object offers; dispatch.cpp picks one table at load.
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
};

struct BackwardCall {
  const Plan* plan;
  const void *grad_y, *x, *y, *winners;
  void* grad_x;
};

// Runs the units [begin, end) of the plan's tiling; scratch has plan->scratch_bytes, 64-byte aligned.
using ForwardKernel = void (*)(const ForwardCall& call, int64_t begin, int64_t end, void* scratch);
using BackwardKernel = void (*)(const BackwardCall& call, int64_t begin, int64_t end, void* scratch);

struct Kernels {
  // Null where the method has no kernel for the type.
  ForwardKernel (*forward)(int method, DType dtype, bool with_winners);
  BackwardKernel (*backward)(int method, DType dtype);
};

// The methods, in the order of reducers.h; `needs` and `winners` are what their traits say.
struct MethodInfo {
  const char* name;
  int needs;
  bool scatters;  // its backward runs over plan.scatter instead of plan.backward
};

}  // namespace poolkit
