// One pooling of float32 for benchmarks/instructions.py, which counts the instructions of `measured` under callgrind.
//   instructions                                              what was built and what this machine runs
//   instructions METHOD DIRECTION OUTER INNER WINDOW... PARAM...    the windows as make_problem() reads them
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "poolkit/run.h"

using namespace poolkit;

namespace {

constexpr Parallel kSerial = {
    [](int64_t size, int64_t, void (*body)(const void*, int64_t, int64_t), const void* context) {
      if (size > 0) body(context, 0, size);
    }};

struct Work {
  Problem problem;
  bool backward;
  const float *x, *grad_y;
  float *y, *grad_x;
  void* winners;
};

// Memory that starts as the kernels like it best, so that the counts do not depend on where the heap stands.
template <class T>
T* aligned(int64_t count) {
  return static_cast<T*>(std::aligned_alloc(64, static_cast<size_t>((count * int64_t{sizeof(T)} + 63) / 64 * 64)));
}

float* numbers(int64_t count) {
  float* values = aligned<float>(count);
  uint32_t state = 1;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = float(state >> 8) / float(1 << 23) - 1.0f;
  }
  return values;
}

void run(const Work& work) {
  if (work.backward) {
    backward(work.problem, work.grad_y, work.x, work.y, work.winners, work.grad_x, kSerial);
  } else {
    forward(work.problem, work.x, work.y, work.winners, kSerial);
  }
}

}  // namespace

// Named in the command line of callgrind.
extern "C" __attribute__((noinline)) void measured(const Work& work) { run(work); }

int main(int argc, char** argv) {
  if (argc == 1) {
#ifdef __clang__
    std::printf("%s\n%s\n", __VERSION__, isa());
#else
    std::printf("GCC %s\n%s\n", __VERSION__, isa());
#endif
    return 0;
  }
  if (argc < 5 + kWindowInts) {
    std::fprintf(stderr, "expected METHOD DIRECTION OUTER INNER, %d window integers and PARAM...\n", kWindowInts);
    return 2;
  }
  const int method = find_method(argv[1]);
  if (method < 0) {
    std::fprintf(stderr, "no method is named %s\n", argv[1]);
    return 2;
  }
  const int64_t outer = std::atoll(argv[3]), inner = std::atoll(argv[4]);
  int64_t windows[kWindowInts];
  for (int i = 0; i < kWindowInts; ++i) windows[i] = std::atoll(argv[5 + i]);
  std::vector<double> params;
  for (int i = 5 + kWindowInts; i < argc; ++i) params.push_back(std::atof(argv[i]));

  Work work{};
  work.problem = make_problem(method, DType::f32, outer, inner, windows, params.data(), int(params.size()));
  if (const char* reason = refusal(work.problem)) {
    std::fprintf(stderr, "%s\n", reason);
    return 2;
  }
  int64_t inputs = outer * inner, outputs = outer * inner;
  for (const Axis& axis : work.problem.axis) inputs *= axis.in, outputs *= axis.out;
  work.x = numbers(inputs);
  work.y = aligned<float>(outputs);
  work.grad_x = aligned<float>(inputs);
  work.grad_y = numbers(outputs);
  work.backward = std::strcmp(argv[2], "backward") == 0;
  if (work.backward) {
    if (has_winners(method)) work.winners = aligned<char>(outputs * winner_bytes(work.problem));
    forward(work.problem, work.x, work.y, work.winners, kSerial);
  }
  run(work);  // plans and makes scratch memory
  measured(work);
}
