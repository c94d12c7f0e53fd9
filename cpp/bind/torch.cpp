// The operators of torch.ops.poolkit, through PyTorch's stable ABI: check, allocate, call the core.
// One shared object serves every torch since 2.10. Argument errors in the user's words are raised in
// Python; the checks here only keep a direct call of an operator from reading or writing out of bounds.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "poolkit/run.h"
#include "torch_memory.h"

namespace {

using poolkit::kTorchThreads;
using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// A method by its name, looked up without keeping the string.
struct MethodName {
  int index;
};

}  // namespace

template <>
struct torch::stable::detail::ToImpl<MethodName> {
  static MethodName call(StableIValue value, uint64_t, bool) {
    const auto handle = torch::stable::detail::to<StringHandle>(value);
    const char* text = nullptr;
    TORCH_ERROR_CODE_CHECK(torch_string_c_str(handle, &text));
    const int index = poolkit::find_method(text);
    const std::string name = index < 0 ? text : "";
    TORCH_ERROR_CODE_CHECK(torch_delete_string(handle));
    STD_TORCH_CHECK(index >= 0, "poolkit has no kernel for method '", name, "'");
    return {index};
  }
};

namespace {

poolkit::DType dtype_of(ScalarType dtype) {
  using poolkit::DType;
  switch (dtype) {
    case ScalarType::Float: return DType::f32;
    case ScalarType::Double: return DType::f64;
    case ScalarType::Half: return DType::f16;
    case ScalarType::BFloat16: return DType::bf16;
    case ScalarType::Byte: return DType::u8;
    case ScalarType::Char: return DType::i8;
    case ScalarType::Short: return DType::i16;
    case ScalarType::Int: return DType::i32;
    case ScalarType::Long: return DType::i64;
    case ScalarType::Bool: return DType::boolean;
    default: STD_TORCH_CHECK(false, "poolkit has no kernel for this dtype");
  }
}

poolkit::DType dtype_of(const Tensor& x) { return dtype_of(x.scalar_type()); }

// torch's own rule for which format a tensor's strides suggest (rank 2 and 3, batched).
bool suggests_channels_last(const Tensor& x, int rank) {
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

MemoryFormat format_of(bool channels_last, int rank) {
  if (!channels_last) return MemoryFormat::Contiguous;
  return rank == 2 ? MemoryFormat::ChannelsLast : MemoryFormat::ChannelsLast3d;
}

bool is_dense(const Tensor& x, bool channels_last) {
  if (!channels_last) return x.is_contiguous();
  int64_t expected = 1;
  for (int64_t i = 0; i < x.dim(); ++i) {
    const int64_t d = i == 0 ? 1 : i == x.dim() - 1 ? 0 : x.dim() - i;
    if (x.size(d) != 1 && x.stride(d) != expected) return false;
    expected *= x.size(d);
  }
  return true;
}

Tensor dense(const Tensor& x, bool channels_last, int rank) {
  return is_dense(x, channels_last) ? x : torch::stable::contiguous(x, format_of(channels_last, rank));
}

// The geometry that every operator gets, with the array around it.
struct Geometry {
  std::vector<int64_t> windows;
  int rank;

  explicit Geometry(std::vector<int64_t> packed) : windows(std::move(packed)), rank(0) {
    STD_TORCH_CHECK(windows.size() == poolkit::kWindowInts && windows[0] >= 1 && windows[0] <= 3 && windows[1] >= 0 &&
                        windows[1] <= 2,
                    "poolkit: malformed windows");
    rank = int(windows[0]);
  }

  int64_t in(int axis) const { return windows[3 + 7 * axis]; }
  int64_t out(int axis) const { return windows[4 + 7 * axis]; }

  // x's spatial sizes must be the inputs (or outputs) of the windows.
  void check(const Tensor& x, bool outputs) const {
    const int64_t leading = x.dim() - rank;
    bool fits = leading == 1 || leading == 2;
    for (int i = 0; fits && i < 3; ++i) {
      const int64_t expected = outputs ? out(i) : in(i);
      fits = i < 3 - rank ? expected == 1 : x.size(leading + i - (3 - rank)) == expected;
    }
    STD_TORCH_CHECK(fits, "poolkit: the windows do not fit the tensor");
    STD_TORCH_CHECK(x.is_cpu(), "poolkit: a CPU tensor is expected");
  }

  std::vector<int64_t> sizes(const Tensor& like, bool outputs) const {
    std::vector<int64_t> result(like.sizes().begin(), like.sizes().end() - rank);
    for (int i = 3 - rank; i < 3; ++i) result.push_back(outputs ? out(i) : in(i));
    return result;
  }

  poolkit::Problem problem(int method, poolkit::DType dtype, const Tensor& like, bool channels_last,
                           const std::vector<double>& params) const {
    const int64_t leading = like.dim() - rank;
    const int64_t channels = like.size(leading - 1), batch = leading == 2 ? like.size(0) : 1;
    const auto problem =
        poolkit::make_problem(method, dtype, channels_last ? batch : batch * channels, channels_last ? channels : 1,
                              windows.data(), params.data(), int(params.size()));
    const char* why = poolkit::refusal(problem);
    STD_TORCH_CHECK(why == nullptr, "poolkit: ", why == nullptr ? "" : why);
    return problem;
  }
};

Tensor allocate(const std::vector<int64_t>& sizes, ScalarType dtype, bool channels_last, int rank) {
  return poolkit::allocate(sizes, dtype, format_of(channels_last, rank));
}

ScalarType winner_type(int bytes) {
  return bytes == 1 ? ScalarType::Byte : bytes == 2 ? ScalarType::UInt16 : ScalarType::Int;
}

uint64_t seed_of(MethodName method, const std::optional<Tensor>& seed) {
  if ((poolkit::needs(method.index) & poolkit::kNeedsSeed) == 0) return 0;
  STD_TORCH_CHECK(seed.has_value() && seed->is_cpu() && seed->numel() == 1 && seed->scalar_type() == ScalarType::Long,
                  "poolkit: this method draws: its seed is an int64 tensor of one number");
  return uint64_t(*static_cast<const int64_t*>(seed->data_ptr()));
}

std::tuple<Tensor, std::optional<Tensor>> run_forward(const Tensor& input, MethodName method,
                                                      std::vector<int64_t> packed, const std::vector<double>& params,
                                                      const std::optional<Tensor>& seed, bool with_winners) {
  const Geometry geometry(std::move(packed));
  geometry.check(input, false);
  const bool channels_last = suggests_channels_last(input, geometry.rank);
  const Tensor x = dense(input, channels_last, geometry.rank);
  const auto problem = geometry.problem(method.index, dtype_of(x), x, channels_last, params);
  const auto sizes = geometry.sizes(x, true);
  Tensor y = allocate(sizes, x.scalar_type(), channels_last, geometry.rank);
  std::optional<Tensor> winners;
  if (with_winners) {
    STD_TORCH_CHECK(poolkit::has_winners(method.index), "poolkit: this method has no winners");
    winners = allocate(sizes, winner_type(poolkit::winner_bytes(problem)), channels_last, geometry.rank);
  }
  poolkit::forward(problem, x.data_ptr(), y.data_ptr(), winners ? winners->data_ptr() : nullptr, kTorchThreads,
                   seed_of(method, seed));
  return {y, winners};
}

Tensor pool(Tensor x, MethodName method, std::vector<int64_t> windows, std::vector<double> params,
            std::optional<Tensor> seed) {
  return std::get<0>(run_forward(x, method, std::move(windows), params, seed, false));
}

std::tuple<Tensor, Tensor> pool_winners(Tensor x, MethodName method, std::vector<int64_t> windows,
                                        std::vector<double> params, std::optional<Tensor> seed) {
  auto [y, winners] = run_forward(x, method, std::move(windows), params, seed, true);
  return {y, *winners};
}

Tensor pool_backward(Tensor grad, std::optional<Tensor> x, std::optional<Tensor> y, std::optional<Tensor> winners,
                     MethodName method, std::vector<int64_t> packed, std::vector<double> params, bool channels_last) {
  STD_TORCH_CHECK(poolkit::has_gradient(method.index), "poolkit: no kernel for the gradient of this method");
  const Geometry geometry(std::move(packed));
  geometry.check(grad, true);
  const int rank = geometry.rank;
  channels_last = channels_last && rank > 1 && grad.dim() == rank + 2;
  const auto problem = geometry.problem(method.index, dtype_of(grad), grad, channels_last, params);
  const auto sizes = geometry.sizes(grad, false);

  const auto operand = [&](std::optional<Tensor>& tensor, int need, bool outputs, size_t element) -> const void* {
    if ((poolkit::needs(method.index) & need) == 0) return nullptr;
    STD_TORCH_CHECK(tensor.has_value() && tensor->is_cpu() && tensor->element_size() == element &&
                        tensor->sizes().vec() == (outputs ? geometry.sizes(grad, true) : sizes),
                    "poolkit: pool_backward lacks a tensor that this method saves, or it has the wrong shape or dtype");
    tensor = dense(*tensor, channels_last, rank);
    return tensor->data_ptr();
  };
  const void* x_data = operand(x, poolkit::kNeedsX, false, grad.element_size());
  const void* y_data = operand(y, poolkit::kNeedsY, true, grad.element_size());
  const void* winner_data = operand(winners, poolkit::kNeedsWinners, true, size_t(poolkit::winner_bytes(problem)));
  const Tensor grad_y = dense(grad, channels_last, rank);
  const auto floating = grad.scalar_type();
  STD_TORCH_CHECK(floating == ScalarType::Float || floating == ScalarType::Double || floating == ScalarType::Half ||
                      floating == ScalarType::BFloat16,
                  "poolkit: gradients are floating point");
  Tensor grad_x = allocate(sizes, floating, channels_last, rank);
  poolkit::backward(problem, grad_y.data_ptr(), x_data, y_data, winner_data, grad_x.data_ptr(), kTorchThreads);
  return grad_x;
}

// Means weighted by the exponentials of logits: the method "soft" with these in place of x's own.
const std::vector<double> kByLogits = {1, 0};

void check_logits(const Tensor& x, const Tensor& logits) {
  STD_TORCH_CHECK(logits.is_cpu() && logits.scalar_type() == x.scalar_type() && logits.sizes().vec() == x.sizes().vec(),
                  "poolkit: logits must be a CPU tensor with the input's shape and dtype");
}

Tensor pool_by_logits(Tensor input, Tensor logits, std::vector<int64_t> packed) {
  const Geometry geometry(std::move(packed));
  geometry.check(input, false);
  check_logits(input, logits);
  const int rank = geometry.rank;
  const bool channels_last = suggests_channels_last(input, rank);
  const Tensor x = dense(input, channels_last, rank), scores = dense(logits, channels_last, rank);
  const auto problem = geometry.problem(poolkit::find_method("soft"), dtype_of(x), x, channels_last, kByLogits);
  Tensor y = allocate(geometry.sizes(x, true), x.scalar_type(), channels_last, rank);
  poolkit::forward(problem, x.data_ptr(), y.data_ptr(), nullptr, kTorchThreads, 0, scores.data_ptr());
  return y;
}

std::tuple<Tensor, Tensor> pool_by_logits_backward(Tensor grad, Tensor input, Tensor logits,
                                                   std::vector<int64_t> packed, bool channels_last) {
  const Geometry geometry(std::move(packed));
  geometry.check(grad, true);
  const int rank = geometry.rank;
  const auto sizes = geometry.sizes(grad, false);
  check_logits(input, logits);
  STD_TORCH_CHECK(input.is_cpu() && input.sizes().vec() == sizes && input.scalar_type() == grad.scalar_type(),
                  "poolkit: the input does not fit its gradient");
  channels_last = channels_last && rank > 1 && grad.dim() == rank + 2;
  const Tensor grad_y = dense(grad, channels_last, rank);
  const Tensor x = dense(input, channels_last, rank), scores = dense(logits, channels_last, rank);
  const auto problem = geometry.problem(poolkit::find_method("soft"), dtype_of(x), grad, channels_last, kByLogits);
  Tensor grad_x = allocate(sizes, x.scalar_type(), channels_last, rank);
  Tensor grad_logits = allocate(sizes, x.scalar_type(), channels_last, rank);
  poolkit::backward(problem, grad_y.data_ptr(), x.data_ptr(), nullptr, nullptr, grad_x.data_ptr(), kTorchThreads,
                    scores.data_ptr(), grad_logits.data_ptr());
  return {grad_x, grad_logits};
}

Tensor winner_indices(Tensor input, std::vector<int64_t> packed) {
  const Geometry geometry(std::move(packed));
  geometry.check(input, true);
  const bool channels_last = suggests_channels_last(input, geometry.rank);
  const Tensor winners = dense(input, channels_last, geometry.rank);
  const int method = poolkit::find_method("max");
  const auto problem = geometry.problem(method, poolkit::DType::f32, winners, channels_last, {});
  STD_TORCH_CHECK(winners.element_size() == size_t(poolkit::winner_bytes(problem)),
                  "poolkit: these winners do not belong to these windows");
  Tensor indices = allocate(geometry.sizes(winners, true), ScalarType::Long, channels_last, geometry.rank);
  poolkit::indices(problem, winners.data_ptr(), static_cast<int64_t*>(indices.data_ptr()), kTorchThreads);
  return indices;
}

std::string joined(const std::vector<int64_t>& sizes) {
  std::string text;
  for (const int64_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

poolkit::Unpool unpool_problem(const Tensor& cells, const Tensor& indices, const std::vector<int64_t>& volume,
                               bool channels_last) {
  STD_TORCH_CHECK(indices.scalar_type() == ScalarType::Long, "elements in indices should be type int64");
  STD_TORCH_CHECK(indices.is_cpu() && cells.is_cpu(), "poolkit: a CPU tensor is expected");
  const auto leading = size_t(indices.dim()) - volume.size();
  STD_TORCH_CHECK(volume.size() >= 1 && volume.size() <= 3 && (leading == 1 || leading == 2),
                  "poolkit: indices of rank ", indices.dim(), " do not fit an output of rank ", volume.size());
  poolkit::Unpool problem{1, 1, 1, 1, dtype_of(cells)};
  for (size_t i = 0; i < size_t(indices.dim()); ++i) {
    const bool lane = channels_last && i == 1;
    (lane ? problem.inner : i < leading ? problem.outer : problem.cells) *= indices.size(int64_t(i));
  }
  for (const int64_t size : volume) {
    STD_TORCH_CHECK(size >= 0, "poolkit: a negative output size");
    problem.volume *= size;
  }
  return problem;
}

void check_indices(const poolkit::BadIndex& bad, const std::vector<int64_t>& volume) {
  STD_TORCH_CHECK(!bad.found, "Found an invalid max index: ", bad.value, " (output volumes are of size ",
                  joined(volume), ")");
}

Tensor max_unpool(Tensor x, Tensor indices, std::vector<int64_t> output_size) {
  const int rank = int(output_size.size());
  const bool channels_last = suggests_channels_last(x, rank);
  const auto problem = unpool_problem(x, indices, output_size, channels_last);
  STD_TORCH_CHECK(x.sizes().vec() == indices.sizes().vec(), "Expected shape of indices to be that of the input");
  const Tensor from = dense(x, channels_last, rank), at = dense(indices, channels_last, rank);
  std::vector<int64_t> sizes(x.sizes().begin(), x.sizes().end() - output_size.size());
  sizes.insert(sizes.end(), output_size.begin(), output_size.end());
  Tensor y = allocate(sizes, x.scalar_type(), channels_last, rank);
  check_indices(poolkit::unpool(problem, from.data_ptr(), static_cast<const int64_t*>(at.data_ptr()), y.data_ptr(),
                                kTorchThreads),
                output_size);
  return y;
}

Tensor max_unpool_backward(Tensor grad, Tensor indices, int64_t rank) {
  const int64_t leading = grad.dim() - rank;
  bool fits = rank >= 1 && rank <= 3 && (leading == 1 || leading == 2) && indices.dim() == grad.dim();
  for (int64_t i = 0; fits && i < leading; ++i) fits = grad.size(i) == indices.size(i);
  STD_TORCH_CHECK(fits, "poolkit: grad and indices differ in shape");
  const std::vector<int64_t> volume(grad.sizes().begin() + leading, grad.sizes().end());
  const bool channels_last = suggests_channels_last(indices, int(rank));
  const auto problem = unpool_problem(grad, indices, volume, channels_last);
  const Tensor from = dense(grad, channels_last, int(rank)), at = dense(indices, channels_last, int(rank));
  Tensor grad_x = allocate(indices.sizes().vec(), grad.scalar_type(), channels_last, int(rank));
  check_indices(poolkit::unpool_backward(problem, from.data_ptr(), static_cast<const int64_t*>(at.data_ptr()),
                                         grad_x.data_ptr(), kTorchThreads),
                volume);
  return grad_x;
}

// What the RoI operators share. `map` has the sizes of the input, [samples, channels, height, width].
poolkit::Regions regions_of(const std::vector<int64_t>& map, ScalarType dtype, const Tensor& boxes,
                            const std::vector<int64_t>& output_size, double scale, bool channels_last) {
  STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double || dtype == ScalarType::Half ||
                      dtype == ScalarType::BFloat16,
                  "poolkit: regions are pooled from floating point maps");
  STD_TORCH_CHECK(boxes.is_cpu() && boxes.scalar_type() == ScalarType::Double && boxes.is_contiguous() &&
                      boxes.dim() == 2 && boxes.size(1) == 5,
                  "poolkit: boxes must be a contiguous float64 tensor of shape (K, 5) on the CPU");
  bool fits = map.size() == 4 && output_size.size() == 2 && std::isfinite(scale);
  for (size_t i = 1; fits && i < 4; ++i) fits = map[i] >= 1;
  for (size_t i = 0; fits && i < 2; ++i) fits = output_size[i] >= 1 && output_size[i] < (int64_t{1} << 31);
  STD_TORCH_CHECK(fits && map[0] >= 0 && map[2] <= ((int64_t{1} << 31) - 1) / map[3],
                  "poolkit: malformed sizes of a map or of its regions");
  const poolkit::Regions regions{dtype_of(dtype),
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
  return allocate({r.boxes, r.channels, r.out_height, r.out_width}, dtype, r.channels_last, 2);
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
  Tensor grad_x = allocate(input_size, grad.scalar_type(), channels_last, 2);
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
  if (with_winners) winners = allocate_bins(regions, winner_type(poolkit::roi_winner_bytes(regions)));
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
  Tensor grad_x = allocate(input_size, grad.scalar_type(), channels_last, 2);
  poolkit::roi_pool_backward(regions, from.data_ptr(), at.data_ptr(), grad_x.data_ptr(), kTorchThreads);
  return grad_x;
}

std::string explain(Tensor input, MethodName method, std::vector<int64_t> packed, std::vector<double> params,
                    bool winners) {
  const Geometry geometry(std::move(packed));
  geometry.check(input, false);
  const bool channels_last = suggests_channels_last(input, geometry.rank);
  const auto problem = geometry.problem(method.index, dtype_of(input), input, channels_last, params);
  char text[640];
  poolkit::explain(problem, winners, text, sizeof(text));
  return text;
}

std::string kernels() {
  std::string names;
  for (int i = 0; i < poolkit::method_count(); ++i) names += std::string(i ? "," : "") + poolkit::method_name(i);
  return names;
}

std::string isas() {
  std::string names;
  for (int i = 0; i < poolkit::isa_count(); ++i) names += std::string(i ? "," : "") + poolkit::isa_name(i);
  return names;
}

std::string isa() { return poolkit::isa(); }

bool set_isa(std::string name) { return poolkit::set_isa(name.c_str()); }

}  // namespace

STABLE_TORCH_LIBRARY(poolkit, m) {
  m.def("pool(Tensor x, str method, SymInt[] windows, float[] params, Tensor? seed=None) -> Tensor");
  m.def("pool_winners(Tensor x, str method, SymInt[] windows, float[] params, Tensor? seed=None) -> (Tensor, Tensor)");
  m.def(
      "pool_backward(Tensor grad, Tensor? x, Tensor? y, Tensor? winners, str method, SymInt[] windows, float[] params, "
      "bool channels_last) -> Tensor");
  m.def("pool_by_logits(Tensor x, Tensor logits, SymInt[] windows) -> Tensor");
  m.def(
      "pool_by_logits_backward(Tensor grad, Tensor x, Tensor logits, SymInt[] windows, bool channels_last) -> (Tensor, "
      "Tensor)");
  m.def("winner_indices(Tensor winners, SymInt[] windows) -> Tensor");
  m.def("max_unpool(Tensor x, Tensor indices, int[] output_size) -> Tensor");
  m.def("max_unpool_backward(Tensor grad, Tensor indices, int rank) -> Tensor");
  m.def(
      "roi_align(Tensor x, Tensor boxes, int[] output_size, float spatial_scale, int sampling_ratio, bool aligned) -> "
      "Tensor");
  m.def(
      "roi_align_backward(Tensor grad, Tensor boxes, int[] input_size, float spatial_scale, int sampling_ratio, "
      "bool aligned, bool channels_last) -> Tensor");
  m.def("roi_pool(Tensor x, Tensor boxes, int[] output_size, float spatial_scale) -> Tensor");
  m.def("roi_pool_winners(Tensor x, Tensor boxes, int[] output_size, float spatial_scale) -> (Tensor, Tensor)");
  m.def("roi_pool_backward(Tensor grad, Tensor boxes, Tensor winners, int[] input_size, bool channels_last) -> Tensor");
  m.def("explain(Tensor x, str method, int[] windows, float[] params, bool winners) -> str");
  m.def("kernels() -> str");
  m.def("isa() -> str");
  m.def("isas() -> str");
  m.def("set_isa(str name) -> bool");
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CPU, m) {
  m.impl("pool", TORCH_BOX(&pool));
  m.impl("pool_winners", TORCH_BOX(&pool_winners));
  m.impl("pool_backward", TORCH_BOX(&pool_backward));
  m.impl("pool_by_logits", TORCH_BOX(&pool_by_logits));
  m.impl("pool_by_logits_backward", TORCH_BOX(&pool_by_logits_backward));
  m.impl("winner_indices", TORCH_BOX(&winner_indices));
  m.impl("max_unpool", TORCH_BOX(&max_unpool));
  m.impl("max_unpool_backward", TORCH_BOX(&max_unpool_backward));
  m.impl("roi_align", TORCH_BOX(&roi_align));
  m.impl("roi_align_backward", TORCH_BOX(&roi_align_backward));
  m.impl("roi_pool", TORCH_BOX(&roi_pool));
  m.impl("roi_pool_winners", TORCH_BOX(&roi_pool_winners));
  m.impl("roi_pool_backward", TORCH_BOX(&roi_pool_backward));
  m.impl("explain", TORCH_BOX(&explain));
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CompositeExplicitAutograd, m) {
  m.impl("kernels", TORCH_BOX(&kernels));
  m.impl("isa", TORCH_BOX(&isa));
  m.impl("isas", TORCH_BOX(&isas));
  m.impl("set_isa", TORCH_BOX(&set_isa));
}
