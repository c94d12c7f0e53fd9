// What the operators share: torch's threads and types, and memory for results.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdint>
#include <optional>
#include <vector>

#include "poolkit/run.h"

namespace poolkit {

inline constexpr Parallel kTorchThreads = {
    [](int64_t size, int64_t grain, void (*body)(const void*, int64_t, int64_t), const void* context) {
      torch::stable::parallel_for(0, size, grain, [=](int64_t begin, int64_t end) { body(context, begin, end); });
    }};

inline DType float_type(const torch::stable::Tensor& x) {
  using torch::headeronly::ScalarType;
  switch (x.scalar_type()) {
    case ScalarType::Float: return DType::f32;
    case ScalarType::Double: return DType::f64;
    case ScalarType::Half: return DType::f16;
    case ScalarType::BFloat16: return DType::bf16;
    default: STD_TORCH_CHECK(false, "poolkit: this operator takes floating point");
  }
}

// Fresh memory comes page by page at its first touch, which takes longer than the pooling; in huge pages it comes
// 512 times faster. Where the memory has been touched before, this does nothing.
inline void advise_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr size_t kHuge = size_t{2} << 20;
  if (bytes < 2 * kHuge) return;
  const auto begin = (reinterpret_cast<uintptr_t>(data) + kHuge - 1) / kHuge * kHuge;
  const auto end = (reinterpret_cast<uintptr_t>(data) + bytes) / kHuge * kHuge;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);  // advice: no harm if it is not taken
#endif
}

inline torch::stable::Tensor allocate(
    const std::vector<int64_t>& sizes, torch::headeronly::ScalarType dtype,
    torch::headeronly::MemoryFormat format = torch::headeronly::MemoryFormat::Contiguous) {
  auto fresh = torch::stable::empty(sizes, dtype, std::nullopt, std::nullopt, std::nullopt, format);
  advise_huge_pages(fresh.data_ptr(), size_t(fresh.numel()) * fresh.element_size());
  return fresh;
}

}  // namespace poolkit
