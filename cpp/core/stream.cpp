#include "stream.h"

#include <atomic>
#include <cstring>

#include "poolkit/run.h"

#if defined(__x86_64__) && defined(__linux__)
#include <emmintrin.h>
#include <sys/mman.h>
#include <unistd.h>
#define POOLKIT_STREAMS
#endif

namespace poolkit {
namespace {

constexpr int64_t kLine = 64;

// More than the part of the last cache that one process gets, on most machines; and what the nearest one holds.
std::atomic<int64_t> fewest_bytes = 48 << 20, part_bytes = 32 << 10;

}  // namespace

void set_streamed(int64_t fewest, int64_t part) {
  fewest_bytes.store(fewest, std::memory_order_relaxed);
  part_bytes.store(part, std::memory_order_relaxed);
}

int64_t streamed_part() { return part_bytes.load(std::memory_order_relaxed); }

#ifdef POOLKIT_STREAMS

namespace {

bool is_resident(const char* p) {
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char present = 0;
  void* start = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(p) / page * page);
  return mincore(start, 1, &present) == 0 && (present & 1) != 0;
}

}  // namespace

bool streams(const void* to, int64_t bytes) {
  if (bytes < fewest_bytes.load(std::memory_order_relaxed)) return false;
  constexpr int64_t kSamples = 8;
  const char* start = static_cast<const char*>(to);
  for (int64_t i = 0; i < kSamples; ++i) {
    if (!is_resident(start + (bytes - 1) / (kSamples - 1) * i)) return false;
  }
  return true;
}

// What does not fill a line goes through the caches, as others may write to the rest of it.
void stream(char* to, const char* from, int64_t bytes) {
  const int64_t misplaced = static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) % kLine);
  int64_t i = misplaced == 0 ? 0 : kLine - misplaced;
  if (bytes < i + kLine) {
    std::memcpy(to, from, static_cast<size_t>(bytes));
    return;
  }
  std::memcpy(to, from, static_cast<size_t>(i));
  for (; i + kLine <= bytes; i += kLine) {
    const auto* words = reinterpret_cast<const __m128i*>(from + i);
    auto* line = reinterpret_cast<__m128i*>(to + i);
    for (int word = 0; word < 4; ++word) _mm_stream_si128(line + word, _mm_loadu_si128(words + word));
  }
  std::memcpy(to + i, from + i, static_cast<size_t>(bytes - i));
}

void end_stream() { _mm_sfence(); }

#else

bool streams(const void*, int64_t) { return false; }
void stream(char* to, const char* from, int64_t bytes) { std::memcpy(to, from, static_cast<size_t>(bytes)); }
void end_stream() {}

#endif

}  // namespace poolkit
