// The operators of fractional max pooling, as torch.cpp has the others: check, allocate, call the core.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <tuple>
#include <vector>

#include "poolkit/fractional.h"
#include "torch_memory.h"

namespace {

using poolkit::kTorchThreads;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

using Sizes = std::vector<int64_t>;

constexpr int64_t kMostCells = int64_t{1} << 30;

// The smallest type that holds a position in a plane.
ScalarType winner_type(int64_t cells) { return poolkit::winner_type(poolkit::region_winner_bytes(cells)); }

// The planes of x and their regions, checked; the tensors must live as long as what points to them.
class Drawn {
 public:
  Drawn(const Tensor& x, const Tensor& first, const Tensor& last, const Sizes& output_size, const Sizes& longest)
      : first_(checked(first)), last_(checked(last)) {
    const auto rank = int64_t(output_size.size());
    STD_TORCH_CHECK(
        x.is_cpu() && rank >= 1 && rank <= 3 && x.dim() == rank + 2 && longest.size() == output_size.size(),
        "poolkit: maps must be CPU tensors (N, C, *spatial), with an output size and a length for each axis");
    regions_ = {
        poolkit::float_type(x), x.size(0), x.size(1), {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, nullptr, nullptr, 1, 1};
    sizes_ = {x.size(0), x.size(1)};
    int64_t each = 3 - rank;
    for (int64_t i = 0; i < rank; ++i) {
      const int64_t in = x.size(2 + i), out = output_size[size_t(i)];
      STD_TORCH_CHECK(in >= 1 && out >= 1 && longest[size_t(i)] >= 1 && longest[size_t(i)] <= in && cells_ < kMostCells,
                      "poolkit: planes and outputs must have a cell, and regions from one cell to all");
      regions_.axis[3 - rank + i] = {in, out, longest[size_t(i)]};
      sizes_.push_back(out);
      cells_ *= in;
      each += out;
    }
    STD_TORCH_CHECK(cells_ < kMostCells, "poolkit: a plane must have less than 2^30 cells, but has ", cells_);
    regions_.drawn_samples = first_.size(0), regions_.drawn_channels = first_.size(1);
    const bool fits = (first_.size(0) == 1 || first_.size(0) == x.size(0)) &&
                      (first_.size(1) == 1 || first_.size(1) == x.size(1)) && first_.size(2) == each - (3 - rank) &&
                      last_.size(0) == first_.size(0) && last_.size(1) == first_.size(1) &&
                      last_.size(2) == first_.size(2);
    STD_TORCH_CHECK(fits, "poolkit: first and last must be (N or 1, C or 1, all regions of all axes)");
    point_at_bounds(rank);
    check_bounds(rank);
  }

  const poolkit::PlaneRegions& regions() const { return regions_; }
  const Sizes& sizes() const { return sizes_; }
  int64_t cells() const { return cells_; }

 private:
  static Tensor checked(const Tensor& t) {
    STD_TORCH_CHECK(t.is_cpu() && t.scalar_type() == ScalarType::Long && t.dim() == 3,
                    "poolkit: first and last must be int64 CPU tensors of three dimensions");
    return torch::stable::contiguous(t);
  }
  static const int64_t* values(const Tensor& t) { return static_cast<const int64_t*>(t.const_data_ptr()); }

  // The kernels know three axes; those that the map lacks have one region, of one cell.
  void point_at_bounds(int64_t rank) {
    if (rank == 3) {
      regions_.first = values(first_), regions_.last = values(last_);
      return;
    }
    const int64_t given = first_.size(2), draws = first_.size(0) * first_.size(1);
    for (const Tensor* t : {&first_, &last_}) {
      Sizes& all = t == &first_ ? all_first_ : all_last_;
      for (int64_t i = 0; i < draws; ++i) {
        all.insert(all.end(), size_t(3 - rank), 0);
        all.insert(all.end(), values(*t) + i * given, values(*t) + (i + 1) * given);
      }
    }
    regions_.first = all_first_.data(), regions_.last = all_last_.data();
  }

  void check_bounds(int64_t rank) const {
    const int64_t *first = regions_.first, *last = regions_.last;
    bool good = true;
    for (int64_t i = first_.size(0) * first_.size(1); i > 0; --i) {
      for (const poolkit::RegionAxis& axis : regions_.axis) {
        for (int64_t o = 0; o < axis.out; ++o, ++first, ++last) {
          good = good && 0 <= *first && *first <= *last && *last < axis.in && *last - *first < axis.longest;
        }
      }
    }
    STD_TORCH_CHECK(good, "poolkit: regions must lie in the plane and be no longer than said, in ", rank,
                    " dimensions");
  }

  Tensor first_, last_;
  Sizes all_first_, all_last_, sizes_;
  int64_t cells_ = 1;
  poolkit::PlaneRegions regions_{};
};

Tensor run_max(const Drawn& drawn, const Tensor& x, void* winners) {
  const Tensor from = torch::stable::contiguous(x);
  Tensor y = poolkit::allocate(drawn.sizes(), x.scalar_type());
  poolkit::fractional_max(drawn.regions(), from.const_data_ptr(), y.mutable_data_ptr(), winners, kTorchThreads);
  return y;
}

Tensor fractional_max(Tensor x, Tensor first, Tensor last, Sizes output_size, Sizes longest) {
  return run_max(Drawn(x, first, last, output_size, longest), x, nullptr);
}

std::tuple<Tensor, Tensor> fractional_max_winners(Tensor x, Tensor first, Tensor last, Sizes output_size,
                                                  Sizes longest) {
  const Drawn drawn(x, first, last, output_size, longest);
  Tensor winners = poolkit::allocate(drawn.sizes(), winner_type(drawn.cells()));
  Tensor y = run_max(drawn, x, winners.mutable_data_ptr());
  return {y, winners};
}

Tensor fractional_max_backward(Tensor grad, Tensor winners, Sizes input_size) {
  const auto rank = int64_t(input_size.size());
  STD_TORCH_CHECK(grad.is_cpu() && rank >= 1 && rank <= 3 && grad.dim() == rank + 2 && winners.dim() == grad.dim(),
                  "poolkit: gradients must be CPU tensors (N, C, *spatial)");
  Sizes sizes = {grad.size(0), grad.size(1)};
  poolkit::Winners shape{poolkit::float_type(grad), grad.size(0) * grad.size(1), 1, 1};
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t in = input_size[size_t(i)];
    STD_TORCH_CHECK(in >= 1 && shape.cells < kMostCells, "poolkit: planes must have from 1 to 2^30 - 1 cells");
    sizes.push_back(in);
    shape.cells *= in;
    shape.outputs *= grad.size(2 + i);
  }
  bool fits = shape.cells < kMostCells && winners.is_cpu() && winners.scalar_type() == winner_type(shape.cells);
  for (int64_t i = 0; i < rank + 2; ++i) fits = fits && winners.size(i) == grad.size(i);
  STD_TORCH_CHECK(fits, "poolkit: winners must be positions in these planes, of the gradient's shape");
  const Tensor from = torch::stable::contiguous(grad), places = torch::stable::contiguous(winners);
  Tensor grad_x = poolkit::allocate(sizes, grad.scalar_type());
  poolkit::fractional_max_backward(shape, from.const_data_ptr(), places.const_data_ptr(), grad_x.mutable_data_ptr(),
                                   kTorchThreads);
  return grad_x;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(poolkit, m) {
  m.def("fractional_max(Tensor x, Tensor first, Tensor last, SymInt[] output_size, SymInt[] longest) -> Tensor");
  m.def(
      "fractional_max_winners(Tensor x, Tensor first, Tensor last, SymInt[] output_size, SymInt[] longest) -> (Tensor, "
      "Tensor)");
  m.def("fractional_max_backward(Tensor grad, Tensor winners, SymInt[] input_size) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(poolkit, CPU, m) {
  m.impl("fractional_max", TORCH_BOX(&fractional_max));
  m.impl("fractional_max_winners", TORCH_BOX(&fractional_max_winners));
  m.impl("fractional_max_backward", TORCH_BOX(&fractional_max_backward));
}
