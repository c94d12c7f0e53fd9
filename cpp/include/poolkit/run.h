// What the core offers to a binding. Nothing here throws; a binding checks its arguments first.
#pragma once

#include <cstddef>
#include <cstdint>

#include "poolkit/problem.h"

namespace poolkit {

// A pool of threads, handed in by the binding: calls body(context, b, e) for pieces of [0, size),
// each of at least `grain` items but the last, and returns when all are done.
struct Parallel {
  void (*run)(int64_t size, int64_t grain, void (*body)(const void* context, int64_t begin, int64_t end),
              const void* context);
};

// The index of a method in the core's list, or -1; and the list itself, for tests and messages.
int find_method(const char* name);
int method_count();
const char* method_name(int method);

// Reads the packed geometry. `outer` and `inner` describe the array, `params` the method.
Problem make_problem(int method, DType dtype, int64_t outer, int64_t inner, const int64_t* windows,
                     const double* params, int n_params);

// Why the core has no kernel for this problem, or null if it has one.
const char* refusal(const Problem& problem);

// True if the method keeps the winner of each window (max, min, ...).
bool has_winners(int method);

// True if backward() computes this method's gradient.
bool has_gradient(int method);

// Bytes of one winner: the offset of the winning cell inside its window (indices() decodes it), in the
// smallest unsigned type that holds min(kernel, in) - or the longest adaptive window - multiplied over
// the axes: 1, 2 or 4.
int winner_bytes(const Problem& problem);

// y is [outer][out...][inner]; winners, if not null, has the shape of y and winner_bytes a cell. A method that draws
// (kNeedsSeed) draws the same cells from the same seed, whatever the layout and the threads.
// Logits, if not null, have the shape of x: the method "soft" then weighs by their exponentials instead of by x's own.
void forward(const Problem& problem, const void* x, void* y, void* winners, Parallel parallel, uint64_t seed = 0,
             const void* logits = nullptr);

// grad_x is [outer][in...][inner] and is overwritten. x, y and winners are read where the method
// needs them (see `needs`) and may be null otherwise. Of the method "stochastic_mean", grad_y comes divided by the
// sum of the positive cells of each window. With logits, grad_logits is overwritten too.
void backward(const Problem& problem, const void* grad_y, const void* x, const void* y, const void* winners,
              void* grad_x, Parallel parallel, const void* logits = nullptr, void* grad_logits = nullptr);

// True if forward() and backward() of this method take logits.
bool takes_logits(int method);

enum Needs : int { kNeedsNothing = 0, kNeedsX = 1, kNeedsY = 2, kNeedsWinners = 4, kNeedsSeed = 8 };
int needs(int method);

// Winners as flat positions inside the [depth][height][width] volume of their plane, as torch counts.
void indices(const Problem& problem, const void* winners, int64_t* out, Parallel parallel);

// y[outer][volume][inner] = 0, then y[o][index[o][i][c]][c] = x[o][i][c]; of duplicates the last wins.
// Returns the first index outside [0, volume) (then y's content is unspecified), or -1 if all are inside.
struct Unpool {
  int64_t outer, cells, volume, inner;
  DType dtype;
};
struct BadIndex {
  bool found;
  int64_t value;
};
BadIndex unpool(const Unpool& problem, const void* x, const int64_t* index, void* y, Parallel parallel);

// grad_x[o][i][c] = grad_y[o][index][c] where cell i was the one that wrote there, else 0.
BadIndex unpool_backward(const Unpool& problem, const void* grad_y, const int64_t* index, void* grad_x,
                         Parallel parallel);

// Boxes on maps x[samples][channels][height][width], or [samples][height][width][channels] if channels_last. What is
// pooled from them is [boxes][channels][out_height][out_width], or [boxes][out_height][out_width][channels].
struct Regions {
  DType dtype;  // floating point
  bool channels_last;
  int64_t samples, channels, height, width;  // height * width < 2^31
  int64_t boxes, out_height, out_width;
  const double* box;  // [boxes][5]: the number of the sample, then x1, y1, x2, y2
  double scale;       // cells to a unit of a box
};

// The first box that is not finite or lies on no sample, or -1. Nothing below may be run with such a box.
int64_t bad_box(const Regions& regions);

// RoI align: the mean of samples of the map, interpolated between the four cells around each. There are
// sampling_ratio samples in a bin along each axis, or, if that is 0, as many as the bin has cells. If aligned, a cell's
// centre lies at its index plus 1/2, otherwise at its index.
struct Sampling {
  int64_t ratio;
  bool aligned;
};
void roi_align(const Regions& regions, Sampling sampling, const void* x, void* y, Parallel parallel);
void roi_align_backward(const Regions& regions, Sampling sampling, const void* grad_y, void* grad_x, Parallel parallel);

// RoI pool: the maximum of each bin. Winners, if wanted, are positions in the plane in the smallest unsigned type that
// holds height * width; its largest number stands for a bin without cells, whose value is 0.
int roi_winner_bytes(const Regions& regions);
void roi_pool(const Regions& regions, const void* x, void* y, void* winners, Parallel parallel);
void roi_pool_backward(const Regions& regions, const void* grad_y, const void* winners, void* grad_x,
                       Parallel parallel);

// The instruction set chosen at load ("x86-64-v3", "aarch64", ...), and those this build and machine have.
// POOLKIT_ISA lowers the choice.
const char* isa();
int isa_count();
const char* isa_name(int i);
// For tests: use this one from now on (false if unavailable).
bool set_isa(const char* name);

// For tests: results of so many bytes and more are written past the caches, about so many at a time.
void set_streamed(int64_t fewest, int64_t part);

// One line: instruction set, axes after simplification, walkers and tile of this problem.
void explain(const Problem& problem, bool with_winners, char* text, size_t size);

}  // namespace poolkit
