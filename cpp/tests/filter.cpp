// Separable filters, of arrays and of maxima, and their gradients against loops over all taps, in both layouts; the
// same bits for every instruction set and way to run in parallel; nothing read or written out of bounds.
#include "poolkit/filter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "guarded.h"
#include "numbers.h"
#include "sweep.h"

namespace poolkit::test {
namespace {

using Reals = std::vector<double>;

class FilterTest {
 public:
  explicit FilterTest(DType dtype) {
    const int64_t many[] = {31, 64, 67, 130};
    const bool lanes = pick(0, 1);
    filter_ = {dtype, pick(0, 9) ? pick(1, 3) : 0, !lanes ? 1 : pick(0, 3) ? pick(2, 20) : many[pick(0, 3)], {}};
    const int64_t rank = pick(1, 3);
    for (int i = 0; i < 3; ++i) {
      const int64_t largest = i < 2 ? (rank < 3 ? 12 : 5) : pick(0, 3) || rank > 1 ? 40 : 300;
      add_axis(i, i < 3 - rank ? 1 : pick(1, largest), i < 3 - rank ? 1 : pick(1, 7));
    }
    // Loops over all taps take their time.
    double terms = double(count(true));
    for (const FilterAxis& a : filter_.axis) terms *= double(a.taps);
    if (terms > 1e5) filter_.outer = 1, filter_.inner = std::min<int64_t>(filter_.inner, terms > 1e6 ? 3 : 20);
    x_ = noise(count(false));
    grad_y_ = noise(count(true));
    cells_ = size_t(filter_.outer * filter_.inner);
    for (int i = 0; i < 3; ++i) {
      add_window(i);
      cells_ *= size_t(window_[i].in);
    }
    map_ = noise(cells_);
  }

  void run() {
    constexpr const char* beyonds[] = {"nothing", "reflect", "replicate", "circular"};
    current = std::string("filter ") + name(filter_.dtype) + " outer=" + std::to_string(filter_.outer) +
              " inner=" + std::to_string(filter_.inner);
    for (const FilterAxis& a : filter_.axis) {
      current += " [" + std::to_string(a.in) + "->" + std::to_string(a.out) + " taps=" + std::to_string(a.taps) +
                 " stride=" + std::to_string(a.stride) + " low=" + std::to_string(a.low) + " " +
                 beyonds[int(a.beyond)] + "]";
    }
    Reals y(count(true), 0.0), grad_x(count(false), 0.0), size_y = y, size_x = grad_x;
    for_terms([&](size_t from, size_t to, double weight) {
      y[to] += weight * x_[from];
      size_y[to] += std::fabs(weight * x_[from]);
      grad_x[from] += weight * grad_y_[to];
      size_x[from] += std::fabs(weight * grad_y_[to]);
    });
    const auto& f = filter_;
    compare("y", x_, y, size_y, [&](const void* x, void* to, Parallel way) { poolkit::filter(f, x, to, way); });
    compare("grad_x", grad_y_, grad_x, size_x,
            [&](const void* grad, void* to, Parallel way) { filter_adjoint(f, grad, to, way); });
    run_maxima(grad_x, size_x);
  }

 private:
  void add_axis(int i, int64_t in, int64_t taps) {
    FilterAxis& a = filter_.axis[i];
    a = {in, 0, taps, taps == 1 ? 1 : pick(1, 4), 0, nullptr, Beyond(pick(0, 3))};
    const int64_t most = a.beyond == Beyond::reflect ? in - 1 : taps + 1;
    a.low = taps == 1 ? 0 : pick(0, most);
    const int64_t high = std::max(taps == 1 ? 0 : pick(0, most), taps - in - a.low);
    if (a.beyond == Beyond::reflect && high > most) a.beyond = Beyond::replicate;
    a.out = (in + a.low + high - taps) / a.stride + 1;
    for (int64_t t = 0; t < taps; ++t) weight_[i].push_back(double(pick(-8, 8)) / 8);
    a.weight = weight_[i].data();
  }

  // Windows as many as the filter takes cells.
  void add_window(int i) {
    MaxAxis& a = window_[i];
    a.windows = filter_.axis[i].in;
    a.kernel = filter_.axis[i].taps == 1 ? 1 : pick(1, 4);
    a.low = pick(0, a.kernel - 1);
    const int64_t high = std::min(pick(0, a.kernel - 1), a.windows + a.kernel - 2 - a.low);
    a.in = a.windows + a.kernel - 1 - a.low - high;
  }

  // The filter of the maxima of map_; grad_x is what reaches the maxima.
  void run_maxima(const Reals& grad_x, const Reals& size_x) {
    const auto& [depth, height, width] = window_;
    for (const MaxAxis& a : window_) {
      current += " [max kernel=" + std::to_string(a.kernel) + " low=" + std::to_string(a.low) +
                 " in=" + std::to_string(a.in) + "]";
    }
    Reals y(count(true), 0.0), size_y = y, grad(cells_, 0.0), size = grad;
    std::vector<size_t> winner(count(false));
    for (size_t at = 0; at < winner.size(); ++at) {
      auto rest = int64_t(at);
      const int64_t lane = rest % filter_.inner, w = (rest /= filter_.inner) % width.windows,
                    h = (rest /= width.windows) % height.windows, d = (rest /= height.windows) % depth.windows,
                    n = rest / depth.windows;
      bool any = false;
      for (int64_t z = std::max<int64_t>(0, d - depth.low); z < std::min(depth.in, d - depth.low + depth.kernel); ++z) {
        for (int64_t y_at = std::max<int64_t>(0, h - height.low);
             y_at < std::min(height.in, h - height.low + height.kernel); ++y_at) {
          for (int64_t x = std::max<int64_t>(0, w - width.low); x < std::min(width.in, w - width.low + width.kernel);
               ++x) {
            const auto cell = size_t((((n * depth.in + z) * height.in + y_at) * width.in + x) * filter_.inner + lane);
            if (!any || map_[cell] > map_[winner[at]]) winner[at] = cell;
            any = true;
          }
        }
      }
      grad[winner[at]] += grad_x[at];
      size[winner[at]] += size_x[at];
    }
    for_terms([&](size_t from, size_t to, double weight) {
      y[to] += weight * map_[winner[from]];
      size_y[to] += std::fabs(weight * map_[winner[from]]);
    });
    compare("y of maxima", map_, y, size_y,
            [&](const void* x, void* to, Parallel way) { max_filter(filter_, window_, x, to, way); });
    Guarded x(cells_ * bytes(filter_.dtype), Flush::end);
    store_real(filter_.dtype, map_, x.data());
    x.seal();
    compare("grad_x of maxima", grad_y_, grad, size, [&](const void* grad_y, void* to, Parallel way) {
      max_filter_backward(filter_, window_, grad_y, x.data(), to, way);
    });
  }

  size_t count(bool outputs) const {
    int64_t n = filter_.outer * filter_.inner;
    for (const FilterAxis& a : filter_.axis) n *= outputs ? a.out : a.in;
    return size_t(n);
  }

  Reals noise(size_t n) const {
    Reals values(n);
    for (double& value : values) value = pick_real(-2, 2);
    std::vector<char> stored(n * bytes(filter_.dtype));
    store_real(filter_.dtype, values, stored.data());
    return load_real(filter_.dtype, stored.data(), n);
  }

  // The position in the axis that this one stands for, or -1.
  static int64_t place(const FilterAxis& a, int64_t position) {
    if (position >= 0 && position < a.in) return position;
    if (a.beyond == Beyond::nothing) return -1;
    if (a.beyond == Beyond::replicate) return std::clamp<int64_t>(position, 0, a.in - 1);
    if (a.beyond == Beyond::circular) {
      while (position < 0) position += a.in;
      return position % a.in;
    }
    return position < 0 ? -position : a.in - 1 - (position - (a.in - 1));
  }

  // Calls f(cell, output, weight) for every tap of every output.
  template <class F>
  void for_terms(F f) const {
    const auto& [depth, height, width] = filter_.axis;
    for (int64_t n = 0; n < filter_.outer; ++n) {
      for (int64_t d = 0; d < depth.out; ++d) {
        for (int64_t h = 0; h < height.out; ++h) {
          for (int64_t w = 0; w < width.out; ++w) {
            for (int64_t i = 0; i < depth.taps; ++i) {
              for (int64_t j = 0; j < height.taps; ++j) {
                for (int64_t k = 0; k < width.taps; ++k) {
                  const int64_t z = place(depth, d * depth.stride - depth.low + i);
                  const int64_t y = place(height, h * height.stride - height.low + j);
                  const int64_t x = place(width, w * width.stride - width.low + k);
                  if (z < 0 || y < 0 || x < 0) continue;
                  const double weight = depth.weight[i] * height.weight[j] * width.weight[k];
                  for (int64_t lane = 0; lane < filter_.inner; ++lane) {
                    f(size_t((((n * depth.in + z) * height.in + y) * width.in + x) * filter_.inner + lane),
                      size_t((((n * depth.out + d) * height.out + h) * width.out + w) * filter_.inner + lane), weight);
                  }
                }
              }
            }
          }
        }
      }
    }
  }

  template <class Run>
  void compare(const std::string& what, const Reals& from, const Reals& expected, const Reals& size, Run run) const {
    const std::string best = isa();
    std::vector<char> first;
    for (int i = 0; i < isa_count(); ++i) {
      set_isa(isa_name(i));
      for (const Flush flush : {Flush::begin, Flush::end}) {
        for (const Parallel& parallel : {kSerial, kPieces, kPoolThreads}) {
          Guarded x(from.size() * bytes(filter_.dtype), flush), y(expected.size() * bytes(filter_.dtype), flush);
          store_real(filter_.dtype, from, x.data());
          x.seal();
          run(x.data(), y.data(), parallel);
          check(y.intact(), what + ": written out of bounds");
          const char* const data = static_cast<const char*>(y.data());
          if (first.empty()) first.assign(data, data + y.bytes());
          check(std::equal(first.begin(), first.end(), data), what + ": other bits");
          const Reals got = load_real(filter_.dtype, data, expected.size());
          bool right = true;
          for (size_t at = 0; at < got.size(); ++at) {
            const double allowed = size[at] * 64 * accumulator(filter_.dtype).eps() +
                                   std::fabs(expected[at]) * format(filter_.dtype).eps() + format(filter_.dtype).tiny();
            right = right && std::fabs(got[at] - expected[at]) <= allowed;
          }
          check(right, what + " is wrong");
        }
      }
    }
    set_isa(best.c_str());
  }

  Filter filter_;
  MaxAxis window_[3];
  size_t cells_;
  Reals weight_[3], x_, grad_y_, map_;
};

}  // namespace

void sweep_filters(int random_shapes) {
  for (int i = 0; i < random_shapes; ++i) {
    if (!share.has(i)) continue;
    for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) FilterTest(dtype).run();
  }
}

}  // namespace poolkit::test
