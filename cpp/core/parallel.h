// A small pool of threads for bindings whose host brings none.
#pragma once

#include "poolkit/run.h"

namespace poolkit {

// Work is shared by this many threads, the caller among them: POOLKIT_NUM_THREADS, or the processors that the
// process may use.
int num_threads();
void set_num_threads(int threads);

// Runs on the pool. Threads start when first needed, and again after a fork; a caller that finds the pool busy
// works alone.
extern const Parallel kPoolThreads;

}  // namespace poolkit
