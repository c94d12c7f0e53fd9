// Large results are written past the caches. They would not stay there until somebody reads them, and a processor first
// fetches what it writes through a cache: that costs more than twice the time of writing (docs/performance.md).
#pragma once

#include <cstdint>

namespace poolkit {

// Whether results of this size are better streamed. Their memory has to be in use already: the pages that a first touch
// brings come through the caches.
bool streams(const void* to, int64_t bytes);

// About so many bytes of them are made in scratch at a time, and copied from there: they stay in the nearest cache.
int64_t streamed_part();

// Copies past the caches.
void stream(char* to, const char* from, int64_t bytes);

// What was streamed before this is seen by other threads before what follows.
void end_stream();

}  // namespace poolkit
