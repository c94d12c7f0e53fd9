// The operators of pooling regions of interest, as torch.cpp has the others: check, allocate, call the core.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "poolkit/run.h"
#include "torch_memory.h"

namespace {

using poolkit::dense;
using poolkit::kTorchThreads;
using poolkit::suggests_channels_last;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// `map` has the sizes of the input, [samples, channels, height, width].
poolkit::Regions regions_of(const std::vector<int64_t>& map, ScalarType dtype, const Tensor& boxes,
                            const std::vector<int64_t>& output_size, double scale, bool channels_last) {
  STD_TORCH_CHECK(boxes.is_cpu() && boxes.scalar_type() == ScalarType::Double && boxes.is_contiguous() &&
                      boxes.dim() == 2 && boxes.size(1) == 5,
                  "poolkit: boxes must be a contiguous float64 tensor of shape (K, 5) on the CPU");
  bool fits = map.size() == 4 && output_size.size() == 2 && std::isfinite(scale);
  for (size_t i = 1; fits && i < 4; ++i) fits = map[i] >= 1;
  for (size_t i = 0; fits && i < 2; ++i) fits = output_size[i] >= 1 && output_size[i] < (int64_t{1} << 31);
  STD_TORCH_CHECK(fits && map[0] >= 0 && map[2] <= ((int64_t{1} << 31) - 1) / map[3],
                  "poolkit: malformed sizes of a map or of its regions");
  const poolkit::Regions regions{poolkit::float_type(dtype),
                                 channels_last,
                                 map[0],
                                 map[1],
                                 map[2],
                                 map[3],
                                 boxes.size(0),
                                 output_size[0],
                                 output_size[1],
                                 static_cast<const double*>(boxes.const_data_ptr()),
                                 scale};
  const int64_t bad = poolkit::bad_box(regions);
  STD_TORCH_CHECK(bad < 0, "box ", bad, " is not finite, or its batch index is not an integer in [0, ", map[0], ")");
  return regions;
}

poolkit::Regions forward_regions(const Tensor& x, const Tensor& boxes, const std::vector<int64_t>& output_size,
                                 double scale) {
  STD_TORCH_CHECK(x.is_cpu(), "poolkit: a CPU tensor is expected");
  return regions_of(x.sizes().vec(), x.scalar_type(), boxes, output_size, scale, suggests_channels_last(x, 2));
}

poolkit::Regions backward_regions(const Tensor& grad, const Tensor& boxes, const std::vector<int64_t>& input_size,
                                  double scale, bool channels_last) {
  STD_TORCH_CHECK(grad.is_cpu() && grad.dim() == 4 && input_size.size() == 4 && boxes.dim() == 2 &&
                      grad.size(0) == boxes.size(0) && grad.size(1) == input_size[1],
                  "poolkit: grad must be a CPU tensor with a row for each box and the channels of the input");
  return regions_of(input_size, grad.scalar_type(), boxes, {grad.size(2), grad.size(3)}, scale, channels_last);
}

poolkit::Sampling sampling_of(int64_t ratio, bool aligned) {
  STD_TORCH_CHECK(ratio >= 0 && ratio <= (1 << 16), "poolkit: sampling_ratio must lie in [0, 65536]");
  return {ratio, aligned};
}

Tensor allocate_bins(const poolkit::Regions& r, ScalarType dtype) {
  return poolkit::allocate({r.boxes, r.channels, r.out_height, r.out_width}, dtype, r.channels_last);
}

Tensor roi_align(Tensor x, Tensor boxes, std::vector<int64_t> output_size, double spatial_scale, int64_t sampling_ratio,
                 bool aligned) {
  const auto regions = forward_regions(x, boxes, output_size, spatial_scale);
  const auto sampling = sampling_of(sampling_ratio, aligned);
  const Tensor from = dense(x, regions.channels_last, 2);
  Tensor y = allocate_bins(regions, x.scalar_type());
  poolkit::roi_align(regions, sampling, from.data_ptr(), y.data_ptr(), kTorchThreads);
  return y;
}

Tensor roi_align_backward(Tensor grad, Tensor boxes, std::vector<int64_t> input_size, double spatial_scale,
                          int64_t sampling_ratio, bool aligned, bool channels_last) {
  const auto regions = backward_regions(grad, boxes, input_size, spatial_scale, channels_last);
  const auto sampling = sampling_of(sampling_ratio, aligned);
  const Tensor from = dense(grad, channels_last, 2);
  Tensor grad_x = poolkit::allocate(input_size, grad.scalar_type(), channels_last);
  poolkit::roi_align_backward(regions, sampling, from.data_ptr(), grad_x.data_ptr(), kTorchThreads);
  return grad_x;
}

std::tuple<Tensor, std::optional<Tensor>> run_roi_pool(const Tensor& x, const Tensor& boxes,
                                                       const std::vector<int64_t>& output_size, double scale,
                                                       bool with_winners) {
  const auto regions = forward_regions(x, boxes, output_size, scale);
  const Tensor from = dense(x, regions.channels_last, 2);
  Tensor y = allocate_bins(regions, x.scalar_type());
  std::optional<Tensor> winners;
  if (with_winners) winners = allocate_bins(regions, poolkit::winner_type(poolkit::roi_winner_bytes(regions)));
  poolkit::roi_pool(regions, from.data_ptr(), y.data_ptr(), winners ? winners->data_ptr() : nullptr, kTorchThreads);
  return {y, winners};
}

Tensor roi_pool(Tensor x, Tensor boxes, std::vector<int64_t> output_size, double spatial_scale) {
  return std::get<0>(run_roi_pool(x, boxes, output_size, spatial_scale, false));
}

std::tuple<Tensor, Tensor> roi_pool_winners(Tensor x, Tensor boxes, std::vector<int64_t> output_size,
                                            double spatial_scale) {
  auto [y, winners] = run_roi_pool(x, boxes, output_size, spatial_scale, true);
  return {y, *winners};
}

Tensor roi_pool_backward(Tensor grad, Tensor boxes, Tensor winners, std::vector<int64_t> input_size,
                         bool channels_last) {
  const auto regions = backward_regions(grad, boxes, input_size, 1.0, channels_last);
  STD_TORCH_CHECK(winners.is_cpu() && winners.sizes().vec() == grad.sizes().vec() &&
                      winners.element_size() == size_t(poolkit::roi_winner_bytes(regions)),
                  "poolkit: these winners do not belong to this grad and input");
  const Tensor from = dense(grad, channels_last, 2), at = dense(winners, channels_last, 2);
  Tensor grad_x = poolkit::allocate(input_size, grad.scalar_type(), channels_last);
  poolkit::roi_pool_backward(regions, from.data_ptr(), at.data_ptr(), grad_x.data_ptr(), kTorchThreads);
  return grad_x;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(poolkit, m) {
  m.def(
      "roi_align(Tensor x, Tensor boxes, int[] output_size, float spatial_scale, int sampling_ratio, bool aligned) -> "
      "Tensor");
  m.def(
      "roi_align_backward(Tensor grad, Tensor boxes, int[] input_size, float spatial_scale, int sampling_ratio, "
      "bool aligned, bool channels_last) -> Tensor");
  m.def("roi_pool(Tensor x, Tensor boxes, int[] output_size, float spatial_scale) -> Tensor");
  m.def("roi_pool_winners(Tensor x, Tensor boxes, int[] output_size, float spatial_scale) -> (Tensor, Tensor)");
  m.def("roi_pool_backward(Tensor grad, Tensor boxes, Tensor winners, int[] input_size, bool channels_last) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CPU, m) {
  m.impl("roi_align", TORCH_BOX(&roi_align));
  m.impl("roi_align_backward", TORCH_BOX(&roi_align_backward));
  m.impl("roi_pool", TORCH_BOX(&roi_pool));
  m.impl("roi_pool_winners", TORCH_BOX(&roi_pool_winners));
  m.impl("roi_pool_backward", TORCH_BOX(&roi_pool_backward));
}
