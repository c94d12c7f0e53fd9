// A small pool of threads for bindings whose host brings none.
#pragma once

#include "poolkit/run.h"

namespace poolkit {

constexpr int kMostThreads = 1024;

// How many threads share the work of one call, the caller among them. At first POOLKIT_NUM_THREADS, or the
// processors that the process may use.
int num_threads();
void set_num_threads(int threads);

// Runs on the pool. Its threads start when first needed, and again after a fork; calls that come at the same
// time share them.
extern const Parallel kPoolThreads;

}  // namespace poolkit
