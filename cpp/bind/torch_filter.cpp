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
using poolkit::MaxAxis;
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

// A filter as the operators take it.
struct Given {
  Filter filter;
  int rank;
  int64_t leading;                // dimensions before those of the axes
  std::vector<int64_t> from, to;  // the sizes of what is filtered, and of the results
};

Given checked(const Tensor& x, const std::vector<int64_t>& axes, const std::vector<double>& weights,
              bool channels_last) {
  const size_t rank = axes.size() / kInts;
  const auto dims = int64_t(rank);
  STD_TORCH_CHECK(rank >= 1 && rank <= 3 && axes.size() == rank * kInts &&
                      (x.dim() == dims + 1 || x.dim() == dims + 2) &&
                      (!channels_last || (rank > 1 && x.dim() == dims + 2)),
                  "poolkit: malformed filter");
  STD_TORCH_CHECK(x.is_cpu(), "poolkit: a CPU tensor is expected");
  const int64_t leading = x.dim() - dims, channels = x.size(leading - 1), batch = leading == 2 ? x.size(0) : 1;
  Given g{{poolkit::float_type(x), channels_last ? batch : batch * channels, channels_last ? channels : 1, {}},
          int(rank),
          leading,
          {},
          {}};
  g.from.assign(x.sizes().begin(), x.sizes().begin() + leading);
  g.to = g.from;
  size_t used = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (i < 3 - rank) {
      g.filter.axis[i] = {1, 1, 1, 1, 0, &kOne, poolkit::Beyond::nothing};
      continue;
    }
    g.filter.axis[i] = checked_axis(&axes[(i - (3 - rank)) * kInts], weights.data() + used);
    used += size_t(g.filter.axis[i].taps);
    g.from.push_back(g.filter.axis[i].in);
    g.to.push_back(g.filter.axis[i].out);
  }
  STD_TORCH_CHECK(used == weights.size(), "poolkit: a filter needs a weight for each tap");
  return g;
}

void check_sizes(const Tensor& x, const std::vector<int64_t>& sizes) {
  bool good = x.dim() == int64_t(sizes.size());
  for (size_t i = 0; good && i < sizes.size(); ++i) good = x.size(int64_t(i)) == sizes[i];
  STD_TORCH_CHECK(good, "poolkit: the filter does not fit the tensor");
}

Tensor filter(Tensor x, std::vector<int64_t> axes, std::vector<double> weights, bool adjoint, bool channels_last) {
  const Given g = checked(x, axes, weights, channels_last);
  check_sizes(x, adjoint ? g.to : g.from);
  const Tensor from = poolkit::dense(x, channels_last, g.rank);
  Tensor y = poolkit::allocate(adjoint ? g.from : g.to, x.scalar_type(), channels_last);
  (adjoint ? poolkit::filter_adjoint : poolkit::filter)(g.filter, from.const_data_ptr(), y.mutable_data_ptr(),
                                                        poolkit::kTorchThreads);
  return y;
}

// The windows of the maxima that are filtered: of each axis, the kernel and the padding before it.
struct GivenWindows {
  MaxAxis axis[3];
};

GivenWindows checked(const Tensor& x, const Given& g, const std::vector<int64_t>& windows) {
  const auto rank = size_t(g.rank);
  STD_TORCH_CHECK(windows.size() == 2 * rank, "poolkit: malformed windows");
  GivenWindows result{{{1, 1, 1, 0}, {1, 1, 1, 0}, {1, 1, 1, 0}}};
  std::vector<int64_t> sizes(g.from.begin(), g.from.begin() + g.leading);
  for (size_t i = 0; i < rank; ++i) {
    const MaxAxis axis{x.size(g.leading + int64_t(i)), g.from[size_t(g.leading) + i], windows[2 * i],
                       windows[2 * i + 1]};
    STD_TORCH_CHECK(axis.in >= 1 && axis.in < kMost && axis.kernel >= 1 && axis.kernel < kMost && axis.low >= 0 &&
                        axis.low < axis.kernel && axis.windows - 1 - axis.low < axis.in &&
                        axis.windows + axis.kernel > axis.in + axis.low,
                    "poolkit: malformed windows");
    result.axis[3 - rank + i] = axis;
    sizes.push_back(axis.in);
  }
  check_sizes(x, sizes);
  return result;
}

Tensor max_filter(Tensor x, std::vector<int64_t> windows, std::vector<int64_t> axes, std::vector<double> weights,
                  bool channels_last) {
  const Given g = checked(x, axes, weights, channels_last);
  const GivenWindows w = checked(x, g, windows);
  const Tensor from = poolkit::dense(x, channels_last, g.rank);
  Tensor y = poolkit::allocate(g.to, x.scalar_type(), channels_last);
  poolkit::max_filter(g.filter, w.axis, from.const_data_ptr(), y.mutable_data_ptr(), poolkit::kTorchThreads);
  return y;
}

Tensor max_filter_backward(Tensor grad_y, Tensor x, std::vector<int64_t> windows, std::vector<int64_t> axes,
                           std::vector<double> weights, bool channels_last) {
  const Given g = checked(x, axes, weights, channels_last);
  const GivenWindows w = checked(x, g, windows);
  check_sizes(grad_y, g.to);
  STD_TORCH_CHECK(grad_y.is_cpu() && grad_y.scalar_type() == x.scalar_type(), "poolkit: grad_y is not as x is");
  const Tensor from = poolkit::dense(grad_y, channels_last, g.rank), cells = poolkit::dense(x, channels_last, g.rank);
  const std::vector<int64_t> sizes(x.sizes().begin(), x.sizes().end());
  Tensor grad_x = poolkit::allocate(sizes, x.scalar_type(), channels_last);
  poolkit::max_filter_backward(g.filter, w.axis, from.const_data_ptr(), cells.const_data_ptr(),
                               grad_x.mutable_data_ptr(), poolkit::kTorchThreads);
  return grad_x;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(poolkit, m) {
  m.def("filter(Tensor x, int[] axes, float[] weights, bool adjoint, bool channels_last) -> Tensor");
  m.def("max_filter(Tensor x, int[] windows, int[] axes, float[] weights, bool channels_last) -> Tensor");
  m.def(
      "max_filter_backward(Tensor grad_y, Tensor x, int[] windows, int[] axes, float[] weights, bool channels_last) "
      "-> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CPU, m) {
  m.impl("filter", TORCH_BOX(&filter));
  m.impl("max_filter", TORCH_BOX(&max_filter));
  m.impl("max_filter_backward", TORCH_BOX(&max_filter_backward));
}
