#include "core/reference.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "poolkit/run.h"

namespace poolkit::reference {
namespace {

// One axis of one window: the positions inside the input, and how many the divisor counts.
struct Span {
  std::vector<int64_t> positions;
  int64_t count;
};

Span span(const Axis& axis, int64_t output, Count count) {
  Span result{{}, 0};
  if (axis.kernel == 0) {
    const int64_t begin = output * axis.in / axis.out;
    const int64_t end = ((output + 1) * axis.in + axis.out - 1) / axis.out;
    for (int64_t position = begin; position < end; ++position) result.positions.push_back(position);
    result.count = end - begin;
    return result;
  }
  for (int64_t tap = 0; tap < axis.kernel; ++tap) {
    const int64_t position = output * axis.stride - axis.pad_low + tap * axis.dilation;
    const bool inside = position >= 0 && position < axis.in;
    if (inside) result.positions.push_back(position);
    if (count == Count::padded ? position < axis.in + axis.pad_high : inside) ++result.count;
  }
  return result;
}

double size_of(double value) { return std::fabs(value); }
int64_t size_of(int64_t) { return 0; }  // sums of integers are exact

bool is_nan(double value) { return std::isnan(value); }
bool is_nan(int64_t) { return false; }

// Which of the values wins: the last NaN, else the first of the largest (or smallest).
template <class T>
size_t winner_of(const std::vector<T>& values, bool smallest) {
  size_t best = 0;
  for (size_t i = 1; i < values.size(); ++i) {
    const bool beats = smallest ? values[i] < values[best] : values[i] > values[best];
    if (is_nan(values[i]) || (beats && !is_nan(values[best]))) best = i;
  }
  return best;
}

template <class T>
T sum_of(const std::vector<T>& values) {
  T sum = 0;
  for (const T value : values) sum += value;
  return sum;
}

// (sum |x|^p / divisor)^(1/p), with the largest divided out so that no power leaves the range of double.
double power_mean(const std::vector<double>& values, double p, double divisor) {
  double largest = 0;
  for (const double value : values) {
    if (is_nan(value)) return value;
    largest = std::max(largest, std::fabs(value));
  }
  if (largest == 0 || std::isinf(largest) || std::isinf(p)) return largest;
  double sum = 0;
  for (const double value : values) sum += std::pow(std::fabs(value) / largest, p);
  return largest * std::pow(sum / divisor, 1 / p);
}

}  // namespace

std::vector<Window> windows(const Problem& problem) {
  const auto& [depth, height, width] = problem.axis;
  std::vector<Window> result;
  for (int64_t d = 0; d < depth.out; ++d) {
    const Span over_depth = span(depth, d, problem.count);
    for (int64_t h = 0; h < height.out; ++h) {
      const Span over_height = span(height, h, problem.count);
      for (int64_t w = 0; w < width.out; ++w) {
        const Span over_width = span(width, w, problem.count);
        Window window{{}, over_depth.count * over_height.count * over_width.count};
        if (problem.count == Count::fixed) window.divisor = problem.divisor;
        for (const int64_t z : over_depth.positions) {
          for (const int64_t y : over_height.positions) {
            for (const int64_t x : over_width.positions) {
              window.cells.push_back((z * height.in + y) * width.in + x);
            }
          }
        }
        result.push_back(window);
      }
    }
  }
  return result;
}

template <class T>
Forward<T> forward(const Problem& problem, const std::vector<Window>& windows, const std::vector<T>& x) {
  const std::string_view method = method_name(problem.method);
  const int64_t volume = problem.axis[0].in * problem.axis[1].in * problem.axis[2].in;
  Forward<T> result;
  std::vector<T> values, sizes;
  for (int64_t outer = 0; outer < problem.outer; ++outer) {
    for (const Window& window : windows) {
      for (int64_t inner = 0; inner < problem.inner; ++inner) {
        values.clear();
        sizes.clear();
        for (const int64_t cell : window.cells) {
          values.push_back(x[(outer * volume + cell) * problem.inner + inner]);
          sizes.push_back(size_of(values.back()));
        }
        const size_t winner = winner_of(values, method == "min");
        const T divisor = T(window.divisor);
        T y = 0, size = 0;
        if (method == "max" || method == "min") {
          y = values[winner];
        } else if (method == "sum") {
          y = sum_of(values);
          size = sum_of(sizes);
        } else if (method == "avg") {
          y = sum_of(values) / divisor;
          size = sum_of(sizes) / (divisor < 0 ? -divisor : divisor);
        } else if constexpr (std::is_same_v<T, double>) {
          const double parameter = problem.param[0];
          if (method == "lp") {
            size = y = power_mean(values, parameter, 1);
          } else if (method == "power_avg") {
            size = y = power_mean(values, parameter, divisor);
          } else if (method == "avg_max") {
            y = parameter * (sum_of(values) / divisor + values[winner]);
            size = std::fabs(parameter) * (sum_of(sizes) / std::fabs(divisor) + sizes[winner]);
          }
        }
        result.y.push_back(y);
        result.size.push_back(size);
        result.winner.push_back(window.cells[winner]);
      }
    }
  }
  return result;
}

template Forward<double> forward(const Problem&, const std::vector<Window>&, const std::vector<double>&);
template Forward<int64_t> forward(const Problem&, const std::vector<Window>&, const std::vector<int64_t>&);

Backward backward(const Problem& problem, const std::vector<Window>& windows, const std::vector<double>& grad_y,
                  const std::vector<double>& x, const std::vector<double>& y, const std::vector<int64_t>& winner) {
  const std::string_view method = method_name(problem.method);
  const double parameter = problem.param[0];
  const int64_t volume = problem.axis[0].in * problem.axis[1].in * problem.axis[2].in;
  Backward result;
  result.grad_x.resize(problem.outer * volume * problem.inner);
  result.size.resize(result.grad_x.size());
  result.terms.resize(result.grad_x.size());
  size_t output = 0;
  for (int64_t outer = 0; outer < problem.outer; ++outer) {
    for (const Window& window : windows) {
      for (int64_t inner = 0; inner < problem.inner; ++inner, ++output) {
        const double divisor = double(window.divisor);
        for (const int64_t cell : window.cells) {
          const size_t input = (outer * volume + cell) * problem.inner + inner;
          const bool won = cell == winner[output];
          double slope = 0;
          if (method == "max" || method == "min") {
            slope = won;
          } else if (method == "sum") {
            slope = 1;
          } else if (method == "avg") {
            slope = 1 / divisor;
          } else if (method == "avg_max") {
            slope = parameter * (1 / divisor + won);
          } else if (x[input] != 0 && y[output] != 0) {
            slope = std::pow(std::fabs(x[input]) / y[output], parameter - 1) / (method == "lp" ? 1 : divisor);
            slope = std::copysign(slope, x[input]);
          }
          // A cell that did not win takes nothing, not even from a gradient that is infinite.
          if (slope == 0) continue;
          result.grad_x[input] += slope * grad_y[output];
          result.size[input] += std::fabs(slope * grad_y[output]);
          ++result.terms[input];
        }
      }
    }
  }
  return result;
}

}  // namespace poolkit::reference
