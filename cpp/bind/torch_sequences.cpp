// The operators of pooling over time, as torch.cpp has the others: check, allocate, call the core.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "poolkit/sequences.h"
#include "torch_memory.h"

namespace {

using poolkit::float_type;
using poolkit::kTorchThreads;
using poolkit::Sequences;
using poolkit::SequenceStrides;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

ScalarType accumulator_type(const Tensor& x) {
  return x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// Which steps of a batch of sequences are valid; the tensor must live as long as what points to it.
class Batch {
 public:
  Batch(const Tensor& like, std::vector<int64_t> sizes, const std::optional<Tensor>& valid) : sizes_(std::move(sizes)) {
    STD_TORCH_CHECK(like.is_cpu(), "poolkit: a CPU tensor is expected");
    STD_TORCH_CHECK(sizes_[1] >= 1 && sizes_[2] >= 1 && sizes_[2] < (int64_t{1} << 30),
                    "poolkit: sequences must have a channel, and steps from 1 to 2^30 - 1");
    if (valid.has_value()) {
      STD_TORCH_CHECK(valid->is_cpu() && valid->scalar_type() == ScalarType::Bool && valid->dim() == 2 &&
                          valid->size(0) == sizes_[0] && valid->size(1) == sizes_[2],
                      "poolkit: valid must be a bool CPU tensor of shape (N, L)");
      valid_ = torch::stable::contiguous(*valid);
    }
    sequences_ = {float_type(like), sizes_[0], sizes_[1], sizes_[2],
                  valid_ ? static_cast<const uint8_t*>(valid_->const_data_ptr()) : nullptr};
  }

  const Sequences& sequences() const { return sequences_; }
  const std::vector<int64_t>& sizes() const { return sizes_; }

 private:
  std::vector<int64_t> sizes_;
  std::optional<Tensor> valid_;
  Sequences sequences_{};
};

std::vector<int64_t> sizes_of_input(const Tensor& x) {
  STD_TORCH_CHECK(x.dim() == 3, "poolkit: sequences must be (N, C, L)");
  return x.sizes().vec();
}

// As the kernels can read it.
Tensor readable(const Tensor& x) {
  return x.stride(1) == 1 || x.stride(2) == 1 || x.size(2) == 1 ? x : torch::stable::contiguous(x);
}

SequenceStrides strides_of(const Tensor& x) { return {x.stride(0), x.stride(1), x.stride(2)}; }

// A result (N, count * C) of sequences and its gradient.
Tensor allocate_result(const Batch& batch, ScalarType dtype, int64_t count = 1) {
  return torch::stable::empty({batch.sizes()[0], count * batch.sizes()[1]}, dtype);
}

Tensor checked_result(const Tensor& y, const std::vector<int64_t>& sizes, ScalarType dtype, int64_t count = 1) {
  STD_TORCH_CHECK(
      y.is_cpu() && y.scalar_type() == dtype && y.dim() == 2 && y.size(0) == sizes[0] && y.size(1) == count * sizes[1],
      "poolkit: a result of these sequences, or its gradient, has the wrong shape or dtype");
  return torch::stable::contiguous(y);
}

// The gradient of an input, its dimensions in the order that they have in memory.
struct InputGradient {
  Tensor tensor;
  SequenceStrides strides;

  InputGradient(const std::vector<int64_t>& sizes, ScalarType dtype, const std::vector<int64_t>& order)
      : tensor(poolkit::allocate(ordered(sizes, order), dtype)), strides{} {
    int64_t stride[3];
    for (int i = 0; i < 3; ++i) stride[order[size_t(i)]] = tensor.stride(i);
    strides = {stride[0], stride[1], stride[2]};
  }

 private:
  static std::vector<int64_t> ordered(const std::vector<int64_t>& sizes, const std::vector<int64_t>& order) {
    using Order = std::vector<int64_t>;
    STD_TORCH_CHECK(order == (Order{0, 1, 2}) || order == (Order{0, 2, 1}) || order == (Order{2, 0, 1}),
                    "poolkit: order must be 0, 1, 2 or 0, 2, 1 or 2, 0, 1");
    return {sizes[size_t(order[0])], sizes[size_t(order[1])], sizes[size_t(order[2])]};
  }
};

// The gradient lies side by side where the input does.
void check_order(const Batch& batch, const Tensor& x, const InputGradient& grad_x) {
  const bool fits = poolkit::side_by_side(batch.sequences(), strides_of(x))
                        ? grad_x.strides.channel == 1 || x.size(1) == 1
                        : grad_x.strides.step == 1 || x.size(2) == 1;
  STD_TORCH_CHECK(fits, "poolkit: this order is not that of the input");
}

std::vector<int64_t> sizes_of_gradient(const Tensor& grad, int64_t steps) {
  STD_TORCH_CHECK(grad.dim() == 2, "poolkit: the gradient of pooled sequences must be (N, C)");
  return {grad.size(0), grad.size(1), steps};
}

Tensor sequence_sum(Tensor x, std::optional<Tensor> valid) {
  const Batch batch(x, sizes_of_input(x), valid);
  const Tensor from = readable(x);
  Tensor y = allocate_result(batch, accumulator_type(x));
  poolkit::sequence_sum(batch.sequences(), strides_of(from), from.const_data_ptr(), y.mutable_data_ptr(),
                        kTorchThreads);
  return y;
}

Tensor sequence_sum_backward(Tensor grad, std::optional<Tensor> valid, int64_t steps, std::vector<int64_t> order) {
  const Batch batch(grad, sizes_of_gradient(grad, steps), valid);
  const Tensor from = torch::stable::contiguous(grad);
  const InputGradient grad_x(batch.sizes(), grad.scalar_type(), order);
  poolkit::sequence_sum_backward(batch.sequences(), grad_x.strides, from.const_data_ptr(),
                                 grad_x.tensor.mutable_data_ptr(), kTorchThreads);
  return grad_x.tensor;
}

Tensor sequence_extreme(Tensor x, std::optional<Tensor> valid, bool largest) {
  const Batch batch(x, sizes_of_input(x), valid);
  const Tensor from = readable(x);
  Tensor y = allocate_result(batch, x.scalar_type());
  poolkit::sequence_extreme(batch.sequences(), strides_of(from), largest, from.const_data_ptr(), y.mutable_data_ptr(),
                            nullptr, kTorchThreads);
  return y;
}

std::tuple<Tensor, Tensor> sequence_extreme_winners(Tensor x, std::optional<Tensor> valid, bool largest) {
  const Batch batch(x, sizes_of_input(x), valid);
  const Tensor from = readable(x);
  Tensor y = allocate_result(batch, x.scalar_type()), winners = allocate_result(batch, ScalarType::Long);
  poolkit::sequence_extreme(batch.sequences(), strides_of(from), largest, from.const_data_ptr(), y.mutable_data_ptr(),
                            static_cast<int64_t*>(winners.mutable_data_ptr()), kTorchThreads);
  return {y, winners};
}

Tensor sequence_extreme_backward(Tensor grad, Tensor winners, std::optional<Tensor> valid, int64_t steps,
                                 std::vector<int64_t> order) {
  const Batch batch(grad, sizes_of_gradient(grad, steps), valid);
  const Tensor from = torch::stable::contiguous(grad);
  const Tensor at = checked_result(winners, batch.sizes(), ScalarType::Long);
  const auto* const step = static_cast<const int64_t*>(at.const_data_ptr());
  for (int64_t i = 0; i < at.numel(); ++i) {
    STD_TORCH_CHECK(step[i] >= 0 && step[i] < steps, "poolkit: winners must be steps from 0 to ", steps - 1);
  }
  const InputGradient grad_x(batch.sizes(), grad.scalar_type(), order);
  poolkit::sequence_extreme_backward(batch.sequences(), grad_x.strides, from.const_data_ptr(), step,
                                     grad_x.tensor.mutable_data_ptr(), kTorchThreads);
  return grad_x.tensor;
}

Tensor sequence_statistics(Tensor x, std::optional<Tensor> valid, bool unbiased, double eps) {
  const Batch batch(x, sizes_of_input(x), valid);
  STD_TORCH_CHECK(eps > 0 && std::isfinite(eps), "poolkit: eps must be finite and > 0");
  const Tensor from = readable(x);
  Tensor y = allocate_result(batch, accumulator_type(x), 2);
  poolkit::sequence_statistics(batch.sequences(), strides_of(from), unbiased, eps, from.const_data_ptr(),
                               y.mutable_data_ptr(), kTorchThreads);
  return y;
}

Tensor sequence_statistics_backward(Tensor grad, Tensor x, Tensor y, std::optional<Tensor> valid, bool unbiased,
                                    std::vector<int64_t> order) {
  const Batch batch(x, sizes_of_input(x), valid);
  const Tensor from = checked_result(grad, batch.sizes(), accumulator_type(x), 2);
  const Tensor results = checked_result(y, batch.sizes(), accumulator_type(x), 2);
  const InputGradient grad_x(batch.sizes(), x.scalar_type(), order);
  const Tensor values = readable(x);
  check_order(batch, values, grad_x);
  poolkit::sequence_statistics_backward(batch.sequences(), strides_of(values), grad_x.strides, unbiased,
                                        from.const_data_ptr(), values.const_data_ptr(), results.const_data_ptr(),
                                        grad_x.tensor.mutable_data_ptr(), kTorchThreads);
  return grad_x.tensor;
}

// The slopes of auto-pool.
Tensor checked_slopes(const Batch& batch, const Tensor& x, const Tensor& slopes) {
  STD_TORCH_CHECK(slopes.is_cpu() && slopes.scalar_type() == accumulator_type(x) && slopes.dim() == 1 &&
                      slopes.size(0) == batch.sizes()[1],
                  "poolkit: slopes must be accumulators, one for each channel");
  return torch::stable::contiguous(slopes);
}

std::tuple<Tensor, Tensor> sequence_auto(Tensor x, Tensor slopes, std::optional<Tensor> valid, bool variance) {
  const Batch batch(x, sizes_of_input(x), valid);
  const Tensor from = readable(x), by = checked_slopes(batch, x, slopes);
  Tensor y = allocate_result(batch, accumulator_type(x)), kept = allocate_result(batch, accumulator_type(x), 4);
  poolkit::sequence_auto(batch.sequences(), strides_of(from), variance, from.const_data_ptr(), by.const_data_ptr(),
                         y.mutable_data_ptr(), kept.mutable_data_ptr(), kTorchThreads);
  return {y, kept};
}

Tensor sequence_auto_backward(Tensor grad, Tensor x, Tensor slopes, Tensor kept, std::optional<Tensor> valid,
                              std::vector<int64_t> order) {
  const Batch batch(x, sizes_of_input(x), valid);
  const Tensor from = checked_result(grad, batch.sizes(), accumulator_type(x)), values = readable(x);
  const Tensor known = checked_result(kept, batch.sizes(), accumulator_type(x), 4);
  const Tensor by = checked_slopes(batch, x, slopes);
  const InputGradient grad_x(batch.sizes(), x.scalar_type(), order);
  check_order(batch, values, grad_x);
  poolkit::sequence_auto_backward(batch.sequences(), strides_of(values), grad_x.strides, from.const_data_ptr(),
                                  values.const_data_ptr(), by.const_data_ptr(), known.const_data_ptr(),
                                  grad_x.tensor.mutable_data_ptr(), kTorchThreads);
  return grad_x.tensor;
}

// The scores of sequences, which lie in memory as these do.
class CheckedScores {
 public:
  CheckedScores(const Batch& batch, const Tensor& x, const Tensor& scores) : tensor_(scores) {
    STD_TORCH_CHECK(scores.is_cpu() && scores.scalar_type() == x.scalar_type() && scores.dim() == 3 &&
                        scores.size(0) == x.size(0) && scores.size(2) == x.size(2) &&
                        (scores.size(1) == x.size(1) || scores.size(1) == 1),
                    "poolkit: scores must be (N, C, L) or (N, 1, L), of the input's dtype");
    strides_ = strides_of(scores);
    if (shared()) strides_.channel = 0;
    const bool lanes = poolkit::side_by_side(batch.sequences(), strides_of(x));
    const bool fits = x.size(0) == 0 || (lanes ? shared() || strides_.channel == 1 || x.size(1) == 1
                                               : strides_.step == 1 || x.size(2) == 1);
    STD_TORCH_CHECK(fits, "poolkit: scores must lie in memory as the input does");
  }

  bool shared() const { return tensor_.size(1) == 1; }
  poolkit::Scores scores() const { return {tensor_.const_data_ptr(), strides_}; }

 private:
  Tensor tensor_;
  SequenceStrides strides_{};
};

std::tuple<Tensor, Tensor> sequence_attentive(Tensor x, Tensor scores, std::optional<Tensor> valid) {
  const Batch batch(x, sizes_of_input(x), valid);
  const Tensor from = readable(x);
  const CheckedScores by(batch, from, scores);
  Tensor y = allocate_result(batch, accumulator_type(x), 2), kept = allocate_result(batch, accumulator_type(x), 2);
  poolkit::sequence_attentive(batch.sequences(), strides_of(from), from.const_data_ptr(), by.scores(),
                              y.mutable_data_ptr(), kept.mutable_data_ptr(), kTorchThreads);
  return {y, kept};
}

std::tuple<Tensor, Tensor> sequence_attentive_backward(Tensor grad, Tensor x, Tensor scores, Tensor y, Tensor kept,
                                                       std::optional<Tensor> valid, std::vector<int64_t> order) {
  const Batch batch(x, sizes_of_input(x), valid);
  const ScalarType wide = accumulator_type(x);
  const Tensor from = checked_result(grad, batch.sizes(), wide, 2), values = readable(x);
  const Tensor results = checked_result(y, batch.sizes(), wide, 2),
               known = checked_result(kept, batch.sizes(), wide, 2);
  const CheckedScores by(batch, values, scores);
  const InputGradient grad_x(batch.sizes(), x.scalar_type(), order);
  check_order(batch, values, grad_x);
  Tensor grad_scores = by.shared() && x.size(1) > 1 ? torch::stable::empty({x.size(0), x.size(2)}, wide)
                                                    : InputGradient(batch.sizes(), x.scalar_type(), order).tensor;
  poolkit::sequence_attentive_backward(batch.sequences(), strides_of(values), grad_x.strides, from.const_data_ptr(),
                                       values.const_data_ptr(), by.scores(), results.const_data_ptr(),
                                       known.const_data_ptr(), grad_x.tensor.mutable_data_ptr(),
                                       grad_scores.mutable_data_ptr(), kTorchThreads);
  return {grad_x.tensor, grad_scores};
}

std::tuple<Tensor, Tensor> sequence_linear_softmax(Tensor x, std::optional<Tensor> valid) {
  const Batch batch(x, sizes_of_input(x), valid);
  const Tensor from = readable(x);
  Tensor y = allocate_result(batch, accumulator_type(x)), totals = allocate_result(batch, accumulator_type(x));
  poolkit::sequence_linear_softmax(batch.sequences(), strides_of(from), from.const_data_ptr(), y.mutable_data_ptr(),
                                   totals.mutable_data_ptr(), kTorchThreads);
  return {y, totals};
}

Tensor sequence_linear_softmax_backward(Tensor grad, Tensor x, Tensor y, Tensor totals, std::optional<Tensor> valid,
                                        std::vector<int64_t> order) {
  const Batch batch(x, sizes_of_input(x), valid);
  const ScalarType wide = accumulator_type(x);
  const Tensor from = checked_result(grad, batch.sizes(), wide), values = readable(x);
  const Tensor results = checked_result(y, batch.sizes(), wide), sums = checked_result(totals, batch.sizes(), wide);
  const InputGradient grad_x(batch.sizes(), x.scalar_type(), order);
  check_order(batch, values, grad_x);
  poolkit::sequence_linear_softmax_backward(batch.sequences(), strides_of(values), grad_x.strides,
                                            from.const_data_ptr(), values.const_data_ptr(), results.const_data_ptr(),
                                            sums.const_data_ptr(), grad_x.tensor.mutable_data_ptr(), kTorchThreads);
  return grad_x.tensor;
}

// How many steps of each sample are looked at, and how many are kept.
class Counted {
 public:
  Counted(const Batch& batch, const std::optional<Tensor>& lengths, const Tensor& counts, int64_t kept, bool by_value)
      : counts_(checked(batch, counts)), lengths_(lengths.has_value() ? checked(batch, *lengths) : counts_) {
    largest_ = {values(lengths_), values(counts_), kept, by_value};
    for (int64_t n = 0; n < batch.sizes()[0]; ++n) {
      const int64_t length = largest_.lengths[n], count = largest_.counts[n];
      STD_TORCH_CHECK(0 <= count && count <= kept && count <= length && length <= batch.sizes()[2],
                      "poolkit: counts must be from 0 to k and to lengths, and these to ", batch.sizes()[2],
                      ", but got ", count, " of ", length);
    }
  }

  const poolkit::Largest& largest() const { return largest_; }

 private:
  static const int64_t* values(const Tensor& t) { return static_cast<const int64_t*>(t.const_data_ptr()); }
  static Tensor checked(const Batch& batch, const Tensor& t) {
    STD_TORCH_CHECK(t.is_cpu() && t.scalar_type() == ScalarType::Long && t.dim() == 1 && t.size(0) == batch.sizes()[0],
                    "poolkit: lengths and counts must be int64 CPU tensors of shape (N,)");
    return torch::stable::contiguous(t);
  }

  Tensor counts_, lengths_;
  poolkit::Largest largest_{};
};

Tensor along_steps(const Tensor& x) { return x.stride(2) == 1 || x.size(2) == 1 ? x : torch::stable::contiguous(x); }

Tensor run_largest(const Tensor& x, const Tensor& lengths, const Tensor& counts, int64_t kept, bool by_value,
                   int32_t* places) {
  const Batch batch(x, sizes_of_input(x), std::nullopt);
  const Counted counted(batch, lengths, counts, kept, by_value);
  const Tensor from = along_steps(x);
  Tensor y = poolkit::allocate({x.size(0), x.size(1), kept}, x.scalar_type());
  poolkit::sequence_largest(batch.sequences(), strides_of(from), counted.largest(), from.const_data_ptr(),
                            y.mutable_data_ptr(), places, kTorchThreads);
  return y;
}

Tensor sequence_largest(Tensor x, Tensor lengths, Tensor counts, int64_t k, bool by_value) {
  STD_TORCH_CHECK(k >= 1, "poolkit: k must be greater than zero, but got ", k);
  return run_largest(x, lengths, counts, k, by_value, nullptr);
}

std::tuple<Tensor, Tensor> sequence_largest_places(Tensor x, Tensor lengths, Tensor counts, int64_t k, bool by_value) {
  STD_TORCH_CHECK(k >= 1, "poolkit: k must be greater than zero, but got ", k);
  const std::vector<int64_t> sizes = sizes_of_input(x);
  Tensor places = torch::stable::empty({sizes[0], sizes[1], k}, ScalarType::Int);
  Tensor y = run_largest(x, lengths, counts, k, by_value, static_cast<int32_t*>(places.mutable_data_ptr()));
  return {y, places};
}

Tensor sequence_largest_backward(Tensor grad, Tensor places, Tensor counts, int64_t steps) {
  STD_TORCH_CHECK(grad.dim() == 3, "poolkit: the gradient of the largest steps must be (N, C, k)");
  const int64_t samples = grad.size(0), channels = grad.size(1), kept = grad.size(2);
  const Batch batch(grad, {samples, channels, steps}, std::nullopt);
  const Counted counted(batch, std::nullopt, counts, kept, false);
  STD_TORCH_CHECK(places.is_cpu() && places.scalar_type() == ScalarType::Int && places.dim() == 3 &&
                      places.size(0) == samples && places.size(1) == channels && places.size(2) == kept,
                  "poolkit: places must be an int32 CPU tensor of the gradient's shape");
  const Tensor at = torch::stable::contiguous(places), from = torch::stable::contiguous(grad);
  const auto* const place = static_cast<const int32_t*>(at.const_data_ptr());
  for (int64_t row = 0; row < samples * channels; ++row) {
    for (int64_t i = 0; i < counted.largest().counts[row / channels]; ++i) {
      const int32_t step = place[row * kept + i];
      STD_TORCH_CHECK(step >= 0 && step < steps, "poolkit: places must be steps from 0 to ", steps - 1);
    }
  }
  Tensor grad_x = poolkit::allocate({samples, channels, steps}, grad.scalar_type());
  poolkit::sequence_largest_backward(batch.sequences(), counted.largest(), from.const_data_ptr(), place,
                                     grad_x.mutable_data_ptr(), kTorchThreads);
  return grad_x;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(poolkit, m) {
  m.def("sequence_sum(Tensor x, Tensor? valid) -> Tensor");
  m.def("sequence_sum_backward(Tensor grad, Tensor? valid, int steps, int[] order) -> Tensor");
  m.def("sequence_extreme(Tensor x, Tensor? valid, bool largest) -> Tensor");
  m.def("sequence_extreme_winners(Tensor x, Tensor? valid, bool largest) -> (Tensor, Tensor)");
  m.def("sequence_extreme_backward(Tensor grad, Tensor winners, Tensor? valid, int steps, int[] order) -> Tensor");
  m.def("sequence_statistics(Tensor x, Tensor? valid, bool unbiased, float eps) -> Tensor");
  m.def(
      "sequence_statistics_backward(Tensor grad, Tensor x, Tensor y, Tensor? valid, bool unbiased, int[] order) -> "
      "Tensor");
  m.def("sequence_auto(Tensor x, Tensor slopes, Tensor? valid, bool variance) -> (Tensor, Tensor)");
  m.def(
      "sequence_auto_backward(Tensor grad, Tensor x, Tensor slopes, Tensor kept, Tensor? valid, int[] order) -> "
      "Tensor");
  m.def("sequence_attentive(Tensor x, Tensor scores, Tensor? valid) -> (Tensor, Tensor)");
  m.def(
      "sequence_attentive_backward(Tensor grad, Tensor x, Tensor scores, Tensor y, Tensor kept, Tensor? valid, int[] "
      "order) -> (Tensor, Tensor)");
  m.def("sequence_linear_softmax(Tensor x, Tensor? valid) -> (Tensor, Tensor)");
  m.def(
      "sequence_linear_softmax_backward(Tensor grad, Tensor x, Tensor y, Tensor totals, Tensor? valid, int[] order) -> "
      "Tensor");
  m.def("sequence_largest(Tensor x, Tensor lengths, Tensor counts, int k, bool by_value) -> Tensor");
  m.def("sequence_largest_places(Tensor x, Tensor lengths, Tensor counts, int k, bool by_value) -> (Tensor, Tensor)");
  m.def("sequence_largest_backward(Tensor grad, Tensor places, Tensor counts, int steps) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CPU, m) {
  m.impl("sequence_sum", TORCH_BOX(&sequence_sum));
  m.impl("sequence_sum_backward", TORCH_BOX(&sequence_sum_backward));
  m.impl("sequence_extreme", TORCH_BOX(&sequence_extreme));
  m.impl("sequence_extreme_winners", TORCH_BOX(&sequence_extreme_winners));
  m.impl("sequence_extreme_backward", TORCH_BOX(&sequence_extreme_backward));
  m.impl("sequence_statistics", TORCH_BOX(&sequence_statistics));
  m.impl("sequence_statistics_backward", TORCH_BOX(&sequence_statistics_backward));
  m.impl("sequence_auto", TORCH_BOX(&sequence_auto));
  m.impl("sequence_auto_backward", TORCH_BOX(&sequence_auto_backward));
  m.impl("sequence_attentive", TORCH_BOX(&sequence_attentive));
  m.impl("sequence_attentive_backward", TORCH_BOX(&sequence_attentive_backward));
  m.impl("sequence_linear_softmax", TORCH_BOX(&sequence_linear_softmax));
  m.impl("sequence_linear_softmax_backward", TORCH_BOX(&sequence_linear_softmax_backward));
  m.impl("sequence_largest", TORCH_BOX(&sequence_largest));
  m.impl("sequence_largest_places", TORCH_BOX(&sequence_largest_places));
  m.impl("sequence_largest_backward", TORCH_BOX(&sequence_largest_backward));
}
