// Memory between two pages that nobody may touch: a kernel that strays past an end of it crashes, and
// one that writes into the rest of its pages is found out by intact().
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace poolkit::test {

enum class Flush { begin, end };

class Guarded {
 public:
  // The bytes lie flush with one end; they start as 0xff, a NaN in every floating point format.
  Guarded(size_t bytes, Flush flush) : bytes_(bytes) {
    const size_t page = size_t(sysconf(_SC_PAGESIZE));
    room_ = std::max(page, (bytes + page - 1) / page * page);
    mapped_ = room_ + 2 * page;
    map_ = static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (map_ == MAP_FAILED || mprotect(map_ + page, room_, PROT_READ | PROT_WRITE) != 0) std::abort();
    begin_ = map_ + page;
    data_ = flush == Flush::begin ? begin_ : begin_ + room_ - bytes;
    std::fill_n(begin_, room_, kCanary);
    poison();
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(map_, mapped_); }

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  void poison() { std::fill_n(data_, bytes_, uint8_t(0xff)); }
  // From now on a write crashes.
  void seal() { mprotect(begin_, room_, PROT_READ); }
  bool intact() const {
    const auto is_canary = [](uint8_t byte) { return byte == kCanary; };
    return std::all_of(begin_, data_, is_canary) && std::all_of(data_ + bytes_, begin_ + room_, is_canary);
  }

 private:
  static constexpr uint8_t kCanary = 0xa5;
  size_t bytes_, room_, mapped_;
  uint8_t *map_, *begin_, *data_;
};

}  // namespace poolkit::test
