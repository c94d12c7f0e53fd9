// Maxima of regions against loops over their cells, in planes of every rank; the same bits for every instruction set
// and way to run in parallel; nothing read or written out of bounds.
#include "poolkit/fractional.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "guarded.h"
#include "numbers.h"
#include "sweep.h"

namespace poolkit::test {
namespace {

using Reals = std::vector<double>;

class FractionalTest {
 public:
  explicit FractionalTest(DType dtype) {
    regions_ = {dtype, pick(0, 9) ? pick(1, 3) : 0, pick(1, 3), {}, nullptr, nullptr, 1, 1};
    if (pick(0, 1)) regions_.drawn_samples = std::max<int64_t>(regions_.samples, 1);
    if (pick(0, 1)) regions_.drawn_channels = regions_.channels;
    const int64_t rank = pick(1, 3);
    for (int i = 0; i < 3; ++i) {
      const int64_t most = i < 2 ? (rank == 2 ? 20 : 6) : rank == 1 ? 400 : 40;
      const int64_t in = i < 3 - rank ? 1 : pick(1, most);
      regions_.axis[i] = {in, i < 3 - rank ? 1 : pick(1, in), std::min<int64_t>(in, pick(1, pick(0, 4) ? 4 : in))};
    }
    for (int64_t drawn = regions_.drawn_samples * regions_.drawn_channels; drawn > 0; --drawn) {
      for (const RegionAxis& axis : regions_.axis) {
        for (int64_t o = 0; o < axis.out; ++o) {
          first_.push_back(pick(0, axis.in - 1));
          last_.push_back(pick(first_.back(), std::min(axis.in, first_.back() + axis.longest) - 1));
        }
      }
    }
    cells_ = regions_.axis[0].in * regions_.axis[1].in * regions_.axis[2].in;
    outputs_ = regions_.axis[0].out * regions_.axis[1].out * regions_.axis[2].out;
    constexpr double special[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                                  -std::numeric_limits<double>::infinity()};
    for (int64_t i = planes() * cells_; i > 0; --i) {
      x_.push_back(pick(0, 20) ? double(pick(-8, 8)) / 4 : special[pick(0, 2)]);  // ties
    }
    for (int64_t i = planes() * outputs_; i > 0; --i) grad_y_.push_back(double(pick(-8, 8)) / 8);
  }

  void run() {
    current = std::string("fractional ") + name(regions_.dtype) + " " + std::to_string(regions_.samples) + "x" +
              std::to_string(regions_.channels) + " drawn " + std::to_string(regions_.drawn_samples) + "x" +
              std::to_string(regions_.drawn_channels);
    for (const RegionAxis& a : regions_.axis) {
      current += " [" + std::to_string(a.in) + "->" + std::to_string(a.out) + " of " + std::to_string(a.longest) + "]";
    }
    find_winners();
    const std::string best = isa();
    for (int i = 0; i < isa_count(); ++i) {
      set_isa(isa_name(i));
      for (const Flush flush : {Flush::begin, Flush::end}) {
        for (const Parallel& parallel : {kSerial, kPieces, kPoolThreads}) run(flush, parallel);
      }
    }
    set_isa(best.c_str());
  }

 private:
  int64_t planes() const { return regions_.samples * regions_.channels; }

  // Results, winners and gradient, by loops.
  void find_winners() {
    const auto& axis = regions_.axis;
    y_.clear(), winner_.clear(), grad_x_.assign(x_.size(), 0.0);
    for (int64_t plane = 0; plane < planes(); ++plane) {
      const int64_t n = plane / regions_.channels, c = plane % regions_.channels;
      const int64_t drawn =
          (regions_.drawn_samples > 1 ? n : 0) * regions_.drawn_channels + (regions_.drawn_channels > 1 ? c : 0);
      const auto from = size_t(drawn * (axis[0].out + axis[1].out + axis[2].out));
      for (int64_t output = 0; output < outputs_; ++output) {
        const size_t d = from + size_t(output / (axis[1].out * axis[2].out));
        const size_t h = from + size_t(axis[0].out + output / axis[2].out % axis[1].out);
        const size_t w = from + size_t(axis[0].out + axis[1].out + output % axis[2].out);
        int64_t best = -1;
        for (int64_t i = first_[d]; i <= last_[d]; ++i) {
          for (int64_t j = first_[h]; j <= last_[h]; ++j) {
            for (int64_t k = first_[w]; k <= last_[w]; ++k) {
              const int64_t cell = (i * axis[1].in + j) * axis[2].in + k;
              const double value = x_[size_t(plane * cells_ + cell)];
              if (best < 0 || value > x_[size_t(plane * cells_ + best)] || std::isnan(value)) best = cell;
            }
          }
        }
        y_.push_back(x_[size_t(plane * cells_ + best)]);
        grad_x_[size_t(plane * cells_ + best)] += grad_y_[winner_.size()];
        winner_.push_back(best);
      }
    }
  }

  static bool same(const Reals& got, const Reals& expected) {
    return std::equal(got.begin(), got.end(), expected.begin(), expected.end(),
                      [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); });
  }

  void run(Flush flush, const Parallel& parallel) const {
    const DType dtype = regions_.dtype;
    const int each = region_winner_bytes(cells_);
    Guarded x(x_.size() * bytes(dtype), flush), grad_y(y_.size() * bytes(dtype), flush);
    Guarded first(first_.size() * sizeof(int64_t), flush), last(last_.size() * sizeof(int64_t), flush);
    store_real(dtype, x_, x.data());
    store_real(dtype, grad_y_, grad_y.data());
    std::copy(first_.begin(), first_.end(), static_cast<int64_t*>(first.data()));
    std::copy(last_.begin(), last_.end(), static_cast<int64_t*>(last.data()));
    for (Guarded* memory : {&x, &grad_y, &first, &last}) memory->seal();
    PlaneRegions regions = regions_;
    regions.first = static_cast<const int64_t*>(first.data());
    regions.last = static_cast<const int64_t*>(last.data());

    const Guarded y(y_.size() * bytes(dtype), flush), plain(y_.size() * bytes(dtype), flush);
    const Guarded winners(y_.size() * size_t(each), flush), grad_x(x_.size() * bytes(dtype), flush);
    fractional_max(regions, x.data(), plain.data(), nullptr, parallel);
    fractional_max(regions, x.data(), y.data(), winners.data(), parallel);
    fractional_max_backward({dtype, planes(), cells_, outputs_}, grad_y.data(), winners.data(), grad_x.data(),
                            parallel);
    for (const Guarded* memory : {&y, &plain, &winners, &grad_x}) check(memory->intact(), "written out of bounds");
    check(same(load_real(dtype, plain.data(), y_.size()), y_), "y without winners is wrong");
    check(same(load_real(dtype, y.data(), y_.size()), y_), "y is wrong");
    std::vector<char> once_rounded(x_.size() * bytes(dtype));
    store_real(dtype, grad_x_, once_rounded.data());
    check(same(load_real(dtype, grad_x.data(), x_.size()), load_real(dtype, once_rounded.data(), x_.size())),
          "grad_x is wrong");
    bool right = true;
    for (size_t i = 0; i < winner_.size(); ++i) {
      uint32_t place = 0;
      std::memcpy(&place, static_cast<const char*>(winners.data()) + i * size_t(each), size_t(each));
      right = right && int64_t(place) == winner_[i];
    }
    check(right, "a winner is wrong");
  }

  PlaneRegions regions_{};
  int64_t cells_, outputs_;
  std::vector<int64_t> first_, last_, winner_;
  Reals x_, y_, grad_y_, grad_x_;
};

}  // namespace

void sweep_fractional(int random_shapes) {
  for (int i = 0; i < random_shapes; ++i) {
    if (!share.has(i)) continue;
    for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) FractionalTest(dtype).run();
  }
}

}  // namespace poolkit::test
