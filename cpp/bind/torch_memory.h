// What the operators share: torch's threads and types, how tensors lie in memory, and memory for results.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
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

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

inline DType float_type(ScalarType dtype) {
  switch (dtype) {
    case ScalarType::Float: return DType::f32;
    case ScalarType::Double: return DType::f64;
    case ScalarType::Half: return DType::f16;
    case ScalarType::BFloat16: return DType::bf16;
    default: STD_TORCH_CHECK(false, "poolkit: this operator takes floating point");
  }
}
inline DType float_type(const Tensor& x) { return float_type(x.scalar_type()); }

// The type of winners of so many bytes.
inline ScalarType winner_type(int bytes) {
  return bytes == 1 ? ScalarType::Byte : bytes == 2 ? ScalarType::UInt16 : ScalarType::Int;
}

// torch's own rule for which format a tensor's strides suggest (rank 2 and 3, batched).
inline bool suggests_channels_last(const Tensor& x, int rank) {
  if (rank < 2 || x.dim() != rank + 2) return false;
  const int order_2d[] = {1, 3, 2, 0}, order_3d[] = {1, 4, 3, 2, 0};
  const int* order = rank == 2 ? order_2d : order_3d;
  if (x.stride(1) == 0) return false;
  int64_t least = 0;
  for (int i = 0; i < rank + 2; ++i) {
    const int d = order[i];
    if (x.size(d) == 0 || x.stride(d) < least) return false;
    if (d == 0 && least == x.stride(1)) return false;
    least = x.stride(d) * (x.size(d) > 1 ? x.size(d) : 1);
  }
  return true;
}

inline MemoryFormat format_of(bool channels_last, int rank) {
  if (!channels_last) return MemoryFormat::Contiguous;
  return rank == 2 ? MemoryFormat::ChannelsLast : MemoryFormat::ChannelsLast3d;
}

inline bool is_dense(const Tensor& x, bool channels_last) {
  if (!channels_last) return x.is_contiguous();
  int64_t expected = 1;
  for (int64_t i = 0; i < x.dim(); ++i) {
    const int64_t d = i == 0 ? 1 : i == x.dim() - 1 ? 0 : x.dim() - i;
    if (x.size(d) != 1 && x.stride(d) != expected) return false;
    expected *= x.size(d);
  }
  return true;
}

inline Tensor dense(const Tensor& x, bool channels_last, int rank) {
  return is_dense(x, channels_last) ? x : torch::stable::contiguous(x, format_of(channels_last, rank));
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

// Straight from torch's allocator: to ask its dispatcher for a tensor takes longer than to pool a small one.
inline Tensor allocate(const std::vector<int64_t>& sizes, ScalarType dtype, bool channels_last = false) {
  std::vector<int64_t> strides(sizes.size());
  int64_t stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    // From the innermost dimension outwards; channels come first where they are last.
    const size_t dim = !channels_last || i == 0 ? i : i + 1 == sizes.size() ? 1 : i + 1;
    strides[dim] = stride;
    stride *= channels_last || sizes[dim] > 1 ? sizes[dim] : 1;
  }
  AtenTensorHandle handle = nullptr;
  const auto type = torch::stable::detail::to<int32_t>(torch::stable::detail::from(dtype));
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(int64_t(sizes.size()), sizes.data(), strides.data(), type,
                                                  aoti_torch_device_type_cpu(), 0, &handle));
  Tensor fresh(handle);
  advise_huge_pages(fresh.data_ptr(), size_t(fresh.numel()) * fresh.element_size());
  return fresh;
}

}  // namespace poolkit
