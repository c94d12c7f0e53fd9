// The operators of segments, as torch.cpp has the others: check, allocate, call the core.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "poolkit/segments.h"
#include "torch_memory.h"

namespace {

using poolkit::float_type;
using poolkit::kTorchThreads;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

Tensor checked_integers(const Tensor& t, const char* message) {
  STD_TORCH_CHECK(t.is_cpu() && t.scalar_type() == ScalarType::Long && t.dim() == 1, message);
  return torch::stable::contiguous(t);
}

const int64_t* integers(const Tensor& t) { return static_cast<const int64_t*>(t.const_data_ptr()); }

// The segments of so many rows, checked; the tensors must live as long as what points to them.
class Packed {
 public:
  Packed(const Tensor& like, int64_t rows, const Tensor& offsets, const std::optional<Tensor>& order)
      : offsets_(checked_integers(offsets, "poolkit: offsets must be an int64 CPU tensor (segments + 1,)")) {
    STD_TORCH_CHECK(
        like.is_cpu() && like.dim() == 2 && like.size(1) >= 1,
        "poolkit: rows, or what is pooled from them, must be a CPU tensor (n, C) with at least one channel");
    const int64_t count = offsets_.size(0) - 1;
    STD_TORCH_CHECK(count >= 0, "poolkit: offsets must have a number, but have none");
    const int64_t* const offset = integers(offsets_);
    bool good = offset[0] == 0 && offset[count] == rows;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t length = offset[i + 1] - offset[i];
      good = good && length >= 0 && length <= std::numeric_limits<int32_t>::max();
    }
    STD_TORCH_CHECK(good, "poolkit: offsets must begin with 0, never fall or rise by 2^31, and end with ", rows,
                    ", the number of rows");
    if (order.has_value()) {
      order_ = checked_integers(*order, "poolkit: order must be an int64 CPU tensor (rows,)");
      good = order_->size(0) == rows;
      for (int64_t i = 0; good && i < rows; ++i) good = uint64_t(integers(*order_)[i]) < uint64_t(rows);
      STD_TORCH_CHECK(good, "poolkit: order must have each of the ", rows, " rows once");
    }
    segments_ = {float_type(like), count, like.size(1), offset, order_ ? integers(*order_) : nullptr};
  }

  const poolkit::Segments& segments() const { return segments_; }
  std::vector<int64_t> result_sizes() const { return {segments_.count, segments_.channels}; }
  std::vector<int64_t> row_sizes() const { return {segments_.offsets[segments_.count], segments_.channels}; }

  // A result, or its gradient.
  Tensor checked_result(const Tensor& y) const {
    STD_TORCH_CHECK(y.size(0) == segments_.count, "poolkit: there must be a row for each of the ", segments_.count,
                    " segments, but there are ", y.size(0));
    return torch::stable::contiguous(y);
  }

 private:
  Tensor offsets_;
  std::optional<Tensor> order_;
  poolkit::Segments segments_{};
};

// As the kernels can read it.
Tensor readable(const Tensor& x) { return x.stride(1) == 1 || x.size(1) == 1 ? x : torch::stable::contiguous(x); }

int64_t rows_of(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() == 2, "poolkit: rows must be (total, C)");
  return x.size(0);
}

Tensor segment_sum(Tensor x, Tensor offsets, std::optional<Tensor> order) {
  const Packed packed(x, rows_of(x), offsets, order);
  const Tensor from = readable(x);
  const auto dtype = x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
  Tensor y = poolkit::allocate(packed.result_sizes(), dtype);
  poolkit::segment_sum(packed.segments(), from.stride(0), from.const_data_ptr(), y.mutable_data_ptr(), kTorchThreads);
  return y;
}

Tensor segment_spread(Tensor y, Tensor offsets, std::optional<Tensor> order, int64_t rows) {
  const Packed packed(y, rows, offsets, order);
  const Tensor from = packed.checked_result(y);
  Tensor x = poolkit::allocate(packed.row_sizes(), y.scalar_type());
  poolkit::segment_spread(packed.segments(), from.const_data_ptr(), x.mutable_data_ptr(), kTorchThreads);
  return x;
}

Tensor run_extreme(const Packed& packed, const Tensor& x, bool largest, int32_t* winners) {
  const Tensor from = readable(x);
  Tensor y = poolkit::allocate(packed.result_sizes(), x.scalar_type());
  poolkit::segment_extreme(packed.segments(), from.stride(0), largest, from.const_data_ptr(), y.mutable_data_ptr(),
                           winners, kTorchThreads);
  return y;
}

Tensor segment_extreme(Tensor x, Tensor offsets, std::optional<Tensor> order, bool largest) {
  return run_extreme(Packed(x, rows_of(x), offsets, order), x, largest, nullptr);
}

std::tuple<Tensor, Tensor> segment_extreme_winners(Tensor x, Tensor offsets, std::optional<Tensor> order,
                                                   bool largest) {
  const Packed packed(x, rows_of(x), offsets, order);
  Tensor winners = poolkit::allocate(packed.result_sizes(), ScalarType::Int);
  Tensor y = run_extreme(packed, x, largest, static_cast<int32_t*>(winners.mutable_data_ptr()));
  return {y, winners};
}

Tensor segment_extreme_backward(Tensor grad, Tensor winners, Tensor offsets, std::optional<Tensor> order,
                                int64_t rows) {
  const Packed packed(grad, rows, offsets, order);
  STD_TORCH_CHECK(winners.is_cpu() && winners.scalar_type() == ScalarType::Int && winners.dim() == 2 &&
                      winners.size(0) == grad.size(0) && winners.size(1) == grad.size(1),
                  "poolkit: winners must be an int32 CPU tensor of the gradient's shape");
  const Tensor from = packed.checked_result(grad), places = torch::stable::contiguous(winners);
  Tensor grad_x = poolkit::allocate(packed.row_sizes(), grad.scalar_type());
  poolkit::segment_extreme_backward(packed.segments(), from.const_data_ptr(),
                                    static_cast<const int32_t*>(places.const_data_ptr()), grad_x.mutable_data_ptr(),
                                    kTorchThreads);
  return grad_x;
}

std::tuple<Tensor, Tensor> segment_order(Tensor index, int64_t segments) {
  const Tensor from = checked_integers(index, "poolkit: index must be an int64 CPU tensor (rows,)");
  STD_TORCH_CHECK(segments >= 0, "poolkit: the number of segments must be 0 or more, but got ", segments);
  Tensor offsets = torch::stable::empty({segments + 1}, ScalarType::Long);
  Tensor order = torch::stable::empty({from.size(0)}, ScalarType::Long);
  const bool good =
      poolkit::segment_order(integers(from), from.size(0), segments, static_cast<int64_t*>(offsets.mutable_data_ptr()),
                             static_cast<int64_t*>(order.mutable_data_ptr()));
  STD_TORCH_CHECK(good, "poolkit: index must be from 0 to ", segments - 1);
  return {offsets, order};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(poolkit, m) {
  m.def("segment_sum(Tensor x, Tensor offsets, Tensor? order) -> Tensor");
  m.def("segment_spread(Tensor y, Tensor offsets, Tensor? order, SymInt rows) -> Tensor");
  m.def("segment_extreme(Tensor x, Tensor offsets, Tensor? order, bool largest) -> Tensor");
  m.def("segment_extreme_winners(Tensor x, Tensor offsets, Tensor? order, bool largest) -> (Tensor, Tensor)");
  m.def("segment_extreme_backward(Tensor grad, Tensor winners, Tensor offsets, Tensor? order, SymInt rows) -> Tensor");
  m.def("segment_order(Tensor index, SymInt segments) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CPU, m) {
  m.impl("segment_sum", TORCH_BOX(&segment_sum));
  m.impl("segment_spread", TORCH_BOX(&segment_spread));
  m.impl("segment_extreme", TORCH_BOX(&segment_extreme));
  m.impl("segment_extreme_winners", TORCH_BOX(&segment_extreme_winners));
  m.impl("segment_extreme_backward", TORCH_BOX(&segment_extreme_backward));
  m.impl("segment_order", TORCH_BOX(&segment_order));
}
