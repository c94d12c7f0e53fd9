// The operator of separable filters, as torch.cpp has the others: check, allocate, call the core.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <vector>

#include "poolkit/filter.h"
#include "torch_memory.h"

namespace {

using poolkit::Filter;
using poolkit::FilterAxis;
using torch::stable::Tensor;

constexpr int kInts = 6;  // of an axis: in, out, taps, stride, low, beyond
constexpr int64_t kMost = int64_t{1} << 31;
constexpr double kOne = 1;

FilterAxis checked_axis(const int64_t* ints, const double* weight) {
  bool good = ints[5] < poolkit::kBeyonds;
  for (int i = 0; i < kInts; ++i) good = good && ints[i] < kMost && ints[i] >= (i < 4 ? 1 : 0);
  const FilterAxis a{ints[0], ints[1], ints[2], ints[3], ints[4], weight, poolkit::Beyond(good ? ints[5] : 0)};
  if (good && a.beyond == poolkit::Beyond::reflect) {
    good = a.low < a.in && (a.out - 1) * a.stride - a.low + a.taps - a.in < a.in;
  }
  STD_TORCH_CHECK(good, "poolkit: malformed filter");
  return a;
}

Tensor filter(Tensor x, std::vector<int64_t> axes, std::vector<double> weights, bool adjoint, bool channels_last) {
  const size_t rank = axes.size() / kInts;
  const auto dims = int64_t(rank);
  STD_TORCH_CHECK(rank >= 1 && rank <= 3 && axes.size() == rank * kInts &&
                      (x.dim() == dims + 1 || x.dim() == dims + 2) &&
                      (!channels_last || (rank > 1 && x.dim() == dims + 2)),
                  "poolkit: malformed filter");
  STD_TORCH_CHECK(x.is_cpu(), "poolkit: a CPU tensor is expected");
  const int64_t leading = x.dim() - dims, channels = x.size(leading - 1), batch = leading == 2 ? x.size(0) : 1;
  Filter f{poolkit::float_type(x), channels_last ? batch : batch * channels, channels_last ? channels : 1, {}};
  std::vector<int64_t> sizes(x.sizes().begin(), x.sizes().begin() + leading);
  size_t used = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (i < 3 - rank) {
      f.axis[i] = {1, 1, 1, 1, 0, &kOne, poolkit::Beyond::nothing};
      continue;
    }
    const size_t k = i - (3 - rank);
    f.axis[i] = checked_axis(&axes[k * kInts], weights.data() + used);
    used += size_t(f.axis[i].taps);
    const int64_t given = x.size(leading + int64_t(k));
    STD_TORCH_CHECK(given == (adjoint ? f.axis[i].out : f.axis[i].in), "poolkit: the filter does not fit the tensor");
    sizes.push_back(adjoint ? f.axis[i].in : f.axis[i].out);
  }
  STD_TORCH_CHECK(used == weights.size(), "poolkit: a filter needs a weight for each tap");
  const Tensor from = poolkit::dense(x, channels_last, int(rank));
  Tensor y = poolkit::allocate(sizes, x.scalar_type(), channels_last);
  (adjoint ? poolkit::filter_adjoint : poolkit::filter)(f, from.const_data_ptr(), y.mutable_data_ptr(),
                                                        poolkit::kTorchThreads);
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(poolkit, m) {
  m.def("filter(Tensor x, int[] axes, float[] weights, bool adjoint, bool channels_last) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CPU, m) { m.impl("filter", TORCH_BOX(&filter)); }
