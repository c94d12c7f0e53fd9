// Memory that a thread keeps from one call to the next.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace poolkit {

// The sanitizer is to see what lies beyond the scratch that a call asked for.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kExactScratch = true;
#else
constexpr bool kExactScratch = false;
#endif

// Scratch of a worker thread: grows, and is kept for the next call.
class Scratch {
 public:
  ~Scratch() { std::free(memory_); }
  void* at_least(int64_t bytes) {
    if (bytes > size_ || kExactScratch) {
      std::free(memory_);
      size_ = ((kExactScratch ? bytes : bytes + bytes / 2) + 63) / 64 * 64;
      memory_ = std::aligned_alloc(64, static_cast<size_t>(size_));
      if (memory_ == nullptr) {
        std::fprintf(stderr, "poolkit: out of memory (%lld bytes of scratch)\n", static_cast<long long>(size_));
        std::abort();
      }
      std::memset(memory_, 0, static_cast<size_t>(size_));
    }
    return memory_;
  }

 private:
  void* memory_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace poolkit
