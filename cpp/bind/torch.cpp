// The operators of torch.ops.poolkit, through PyTorch's stable ABI: check, allocate, call the core.
// One shared object serves every torch since 2.10. Argument errors in the user's words are raised in
// Python; the checks here only keep a direct call of an operator from reading or writing out of bounds.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
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

// One run of a kernel, as far as it is known without its tensors.
struct Call {
  int method;
  const double* params;
  int n_params;
  const int64_t* windows;
  int rank;

  Call(int index, const double* values, size_t count, const int64_t* packed)
      : method(index), params(values), n_params(int(count)), windows(packed), rank(int(packed[0])) {
    STD_TORCH_CHECK(packed[0] >= 1 && packed[0] <= 3 && packed[1] >= 0 && packed[1] <= 2, "poolkit: malformed windows");
  }
  Call(int index, const std::vector<double>& values, const std::vector<int64_t>& packed)
      : Call(index, values.data(), values.size(), whole(packed)) {}

  static const int64_t* whole(const std::vector<int64_t>& packed) {
    STD_TORCH_CHECK(packed.size() == poolkit::kWindowInts, "poolkit: malformed windows");
    return packed.data();
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

  // The array around the windows is that of a tensor that passed the check.
  poolkit::Problem problem(poolkit::DType dtype, const Tensor& like, bool channels_last) const {
    const int64_t leading = like.dim() - rank;
    const int64_t channels = like.size(leading - 1), batch = leading == 2 ? like.size(0) : 1;
    const auto problem = poolkit::make_problem(method, dtype, channels_last ? batch : batch * channels,
                                               channels_last ? channels : 1, windows, params, n_params);
    const char* why = poolkit::refusal(problem);
    STD_TORCH_CHECK(why == nullptr, "poolkit: ", why == nullptr ? "" : why);
    return problem;
  }
};

// The same in a tensor of integers. A small map is pooled in less time than it takes to hand over a list of numbers.
struct Prepared {
  int64_t method, n_params;
  double params[poolkit::kMaxParams];
  int64_t windows[poolkit::kWindowInts];
};
constexpr int64_t kPreparedInts = sizeof(Prepared) / sizeof(int64_t);

Tensor prepare(MethodName method, std::vector<int64_t> packed, std::vector<double> params) {
  const Call call(method.index, params, packed);
  STD_TORCH_CHECK(params.size() <= poolkit::kMaxParams, "poolkit: too many parameters");
  Tensor tensor = poolkit::allocate({kPreparedInts}, ScalarType::Long);
  Prepared prepared{call.method, call.n_params, {}, {}};
  std::copy(params.begin(), params.end(), prepared.params);
  std::copy(packed.begin(), packed.end(), prepared.windows);
  std::memcpy(tensor.data_ptr(), &prepared, sizeof prepared);
  return tensor;
}

Call call_of(const Tensor& tensor) {
  STD_TORCH_CHECK(tensor.is_cpu() && tensor.scalar_type() == ScalarType::Long && tensor.is_contiguous() &&
                      tensor.numel() == kPreparedInts,
                  "poolkit: a call as prepare() gives it is expected");
  const auto& prepared = *static_cast<const Prepared*>(tensor.const_data_ptr());
  STD_TORCH_CHECK(prepared.method >= 0 && prepared.method < poolkit::method_count() && prepared.n_params >= 0 &&
                      prepared.n_params <= poolkit::kMaxParams,
                  "poolkit: malformed call");
  return {int(prepared.method), prepared.params, size_t(prepared.n_params), prepared.windows};
}

uint64_t seed_of(int method, const std::optional<Tensor>& seed) {
  if ((poolkit::needs(method) & poolkit::kNeedsSeed) == 0) return 0;
  STD_TORCH_CHECK(seed.has_value() && seed->is_cpu() && seed->numel() == 1 && seed->scalar_type() == ScalarType::Long,
                  "poolkit: this method draws: its seed is an int64 tensor of one number");
  return uint64_t(*static_cast<const int64_t*>(seed->data_ptr()));
}

std::tuple<Tensor, std::optional<Tensor>> run_forward(const Tensor& input, const Call& call,
                                                      const std::optional<Tensor>& seed, bool with_winners) {
  call.check(input, false);
  const bool channels_last = suggests_channels_last(input, call.rank);
  const Tensor x = dense(input, channels_last, call.rank);
  const auto problem = call.problem(dtype_of(x), x, channels_last);
  const auto sizes = call.sizes(x, true);
  Tensor y = poolkit::allocate(sizes, x.scalar_type(), channels_last);
  std::optional<Tensor> winners;
  if (with_winners) {
    STD_TORCH_CHECK(poolkit::has_winners(call.method), "poolkit: this method has no winners");
    winners = poolkit::allocate(sizes, poolkit::winner_type(poolkit::winner_bytes(problem)), channels_last);
  }
  poolkit::forward(problem, x.data_ptr(), y.data_ptr(), winners ? winners->data_ptr() : nullptr, kTorchThreads,
                   seed_of(call.method, seed));
  return {y, winners};
}

Tensor pool(Tensor x, MethodName method, std::vector<int64_t> windows, std::vector<double> params,
            std::optional<Tensor> seed) {
  return std::get<0>(run_forward(x, Call(method.index, params, windows), seed, false));
}

Tensor pool_prepared(Tensor x, Tensor call) { return std::get<0>(run_forward(x, call_of(call), std::nullopt, false)); }

std::tuple<Tensor, Tensor> pool_winners(Tensor x, MethodName method, std::vector<int64_t> windows,
                                        std::vector<double> params, std::optional<Tensor> seed) {
  auto [y, winners] = run_forward(x, Call(method.index, params, windows), seed, true);
  return {y, *winners};
}

std::tuple<Tensor, Tensor> pool_winners_prepared(Tensor x, Tensor call) {
  auto [y, winners] = run_forward(x, call_of(call), std::nullopt, true);
  return {y, *winners};
}

Tensor run_backward(const Tensor& grad, std::optional<Tensor>& x, std::optional<Tensor>& y,
                    std::optional<Tensor>& winners, const Call& call, bool channels_last) {
  STD_TORCH_CHECK(poolkit::has_gradient(call.method), "poolkit: no kernel for the gradient of this method");
  call.check(grad, true);
  const int rank = call.rank;
  channels_last = channels_last && rank > 1 && grad.dim() == rank + 2;
  const auto problem = call.problem(poolkit::float_type(grad), grad, channels_last);
  const auto sizes = call.sizes(grad, false);

  const auto operand = [&](std::optional<Tensor>& tensor, int need, bool outputs, size_t element) -> const void* {
    if ((poolkit::needs(call.method) & need) == 0) return nullptr;
    STD_TORCH_CHECK(tensor.has_value() && tensor->is_cpu() && tensor->element_size() == element &&
                        tensor->sizes().vec() == (outputs ? call.sizes(grad, true) : sizes),
                    "poolkit: pool_backward lacks a tensor that this method saves, or it has the wrong shape or dtype");
    tensor = dense(*tensor, channels_last, rank);
    return tensor->data_ptr();
  };
  const void* x_data = operand(x, poolkit::kNeedsX, false, grad.element_size());
  const void* y_data = operand(y, poolkit::kNeedsY, true, grad.element_size());
  const void* winner_data = operand(winners, poolkit::kNeedsWinners, true, size_t(poolkit::winner_bytes(problem)));
  const Tensor grad_y = dense(grad, channels_last, rank);
  Tensor grad_x = poolkit::allocate(sizes, grad.scalar_type(), channels_last);
  poolkit::backward(problem, grad_y.data_ptr(), x_data, y_data, winner_data, grad_x.data_ptr(), kTorchThreads);
  return grad_x;
}

Tensor pool_backward(Tensor grad, std::optional<Tensor> x, std::optional<Tensor> y, std::optional<Tensor> winners,
                     MethodName method, std::vector<int64_t> packed, std::vector<double> params, bool channels_last) {
  return run_backward(grad, x, y, winners, Call(method.index, params, packed), channels_last);
}

Tensor pool_backward_prepared(Tensor grad, std::optional<Tensor> x, std::optional<Tensor> y,
                              std::optional<Tensor> winners, Tensor call, bool channels_last) {
  return run_backward(grad, x, y, winners, call_of(call), channels_last);
}

// Means weighted by the exponentials of logits: the method "soft" with these in place of x's own.
const std::vector<double> kByLogits = {1, 0};

void check_logits(const Tensor& x, const Tensor& logits) {
  STD_TORCH_CHECK(logits.is_cpu() && logits.scalar_type() == x.scalar_type() && logits.sizes().vec() == x.sizes().vec(),
                  "poolkit: logits must be a CPU tensor with the input's shape and dtype");
}

Tensor pool_by_logits(Tensor input, Tensor logits, std::vector<int64_t> packed) {
  const Call call(poolkit::find_method("soft"), kByLogits, packed);
  call.check(input, false);
  check_logits(input, logits);
  const int rank = call.rank;
  const bool channels_last = suggests_channels_last(input, rank);
  const Tensor x = dense(input, channels_last, rank), scores = dense(logits, channels_last, rank);
  const auto problem = call.problem(dtype_of(x), x, channels_last);
  Tensor y = poolkit::allocate(call.sizes(x, true), x.scalar_type(), channels_last);
  poolkit::forward(problem, x.data_ptr(), y.data_ptr(), nullptr, kTorchThreads, 0, scores.data_ptr());
  return y;
}

std::tuple<Tensor, Tensor> pool_by_logits_backward(Tensor grad, Tensor input, Tensor logits,
                                                   std::vector<int64_t> packed, bool channels_last) {
  const Call call(poolkit::find_method("soft"), kByLogits, packed);
  call.check(grad, true);
  const int rank = call.rank;
  const auto sizes = call.sizes(grad, false);
  check_logits(input, logits);
  STD_TORCH_CHECK(input.is_cpu() && input.sizes().vec() == sizes && input.scalar_type() == grad.scalar_type(),
                  "poolkit: the input does not fit its gradient");
  channels_last = channels_last && rank > 1 && grad.dim() == rank + 2;
  const Tensor grad_y = dense(grad, channels_last, rank);
  const Tensor x = dense(input, channels_last, rank), scores = dense(logits, channels_last, rank);
  const auto problem = call.problem(dtype_of(x), grad, channels_last);
  Tensor grad_x = poolkit::allocate(sizes, x.scalar_type(), channels_last);
  Tensor grad_logits = poolkit::allocate(sizes, x.scalar_type(), channels_last);
  poolkit::backward(problem, grad_y.data_ptr(), x.data_ptr(), nullptr, nullptr, grad_x.data_ptr(), kTorchThreads,
                    scores.data_ptr(), grad_logits.data_ptr());
  return {grad_x, grad_logits};
}

Tensor winner_indices(Tensor input, std::vector<int64_t> packed) {
  const std::vector<double> no_params;
  const Call call(poolkit::find_method("max"), no_params, packed);
  call.check(input, true);
  const bool channels_last = suggests_channels_last(input, call.rank);
  const Tensor winners = dense(input, channels_last, call.rank);
  const auto problem = call.problem(poolkit::DType::f32, winners, channels_last);
  STD_TORCH_CHECK(winners.element_size() == size_t(poolkit::winner_bytes(problem)),
                  "poolkit: these winners do not belong to these windows");
  Tensor indices = poolkit::allocate(call.sizes(winners, true), ScalarType::Long, channels_last);
  poolkit::indices(problem, winners.data_ptr(), static_cast<int64_t*>(indices.data_ptr()), kTorchThreads);
  return indices;
}

std::string joined(const std::vector<int64_t>& sizes) {
  std::string text;
  for (const int64_t size : sizes) text.append(text.empty() ? "" : "x").append(std::to_string(size));
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
  Tensor y = poolkit::allocate(sizes, x.scalar_type(), channels_last);
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
  Tensor grad_x = poolkit::allocate(indices.sizes().vec(), grad.scalar_type(), channels_last);
  check_indices(poolkit::unpool_backward(problem, from.data_ptr(), static_cast<const int64_t*>(at.data_ptr()),
                                         grad_x.data_ptr(), kTorchThreads),
                volume);
  return grad_x;
}

std::string explain(Tensor input, MethodName method, std::vector<int64_t> packed, std::vector<double> params,
                    bool winners) {
  const Call call(method.index, params, packed);
  call.check(input, false);
  const bool channels_last = suggests_channels_last(input, call.rank);
  const auto problem = call.problem(dtype_of(input), input, channels_last);
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
  m.def("prepare(str method, int[] windows, float[] params) -> Tensor");
  m.def("pool_prepared(Tensor x, Tensor call) -> Tensor");
  m.def("pool_winners_prepared(Tensor x, Tensor call) -> (Tensor, Tensor)");
  m.def(
      "pool_backward_prepared(Tensor grad, Tensor? x, Tensor? y, Tensor? winners, Tensor call, bool channels_last) -> "
      "Tensor");
  m.def("pool_by_logits(Tensor x, Tensor logits, SymInt[] windows) -> Tensor");
  m.def(
      "pool_by_logits_backward(Tensor grad, Tensor x, Tensor logits, SymInt[] windows, bool channels_last) -> (Tensor, "
      "Tensor)");
  m.def("winner_indices(Tensor winners, SymInt[] windows) -> Tensor");
  m.def("max_unpool(Tensor x, Tensor indices, int[] output_size) -> Tensor");
  m.def("max_unpool_backward(Tensor grad, Tensor indices, int rank) -> Tensor");
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
  m.impl("pool_prepared", TORCH_BOX(&pool_prepared));
  m.impl("pool_winners_prepared", TORCH_BOX(&pool_winners_prepared));
  m.impl("pool_backward_prepared", TORCH_BOX(&pool_backward_prepared));
  m.impl("pool_by_logits", TORCH_BOX(&pool_by_logits));
  m.impl("pool_by_logits_backward", TORCH_BOX(&pool_by_logits_backward));
  m.impl("winner_indices", TORCH_BOX(&winner_indices));
  m.impl("max_unpool", TORCH_BOX(&max_unpool));
  m.impl("max_unpool_backward", TORCH_BOX(&max_unpool_backward));
  m.impl("explain", TORCH_BOX(&explain));
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CompositeExplicitAutograd, m) {
  m.impl("prepare", TORCH_BOX(&prepare));
  m.impl("kernels", TORCH_BOX(&kernels));
  m.impl("isa", TORCH_BOX(&isa));
  m.impl("isas", TORCH_BOX(&isas));
  m.impl("set_isa", TORCH_BOX(&set_isa));
}
