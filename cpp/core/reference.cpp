#include "core/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
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

// Each value weighted by its positive part, with the largest divided out.
double positive_mean(const std::vector<double>& values) {
  double largest = 0, weights = 0, squares = 0;
  for (const double value : values) largest = std::max(largest, value);
  if (largest == 0 || std::isinf(largest)) return largest;
  for (const double value : values) {
    const double share = std::max(value, 0.0) / largest;
    weights += share;
    squares += share * share;
  }
  return largest * (squares / weights);
}

// The random number of an output: word index % 4 of what Philox4x32-10 makes of the counter index / 4.
double uniform(uint64_t key, uint64_t index) {
  uint32_t counter[4] = {uint32_t(index / 4), uint32_t(index / 4 >> 32), 0, 0};
  uint32_t low = uint32_t(key), high = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t x = uint64_t(0xD2511F53) * counter[0], y = uint64_t(0xCD9E8D57) * counter[2];
    const uint32_t next[4] = {uint32_t(y >> 32) ^ counter[1] ^ low, uint32_t(y), uint32_t(x >> 32) ^ counter[3] ^ high,
                              uint32_t(x)};
    std::copy(next, next + 4, counter);
    low += 0x9E3779B9;
    high += 0xBB67AE85;
  }
  return double(counter[index % 4] / 256) / 16777216;
}

// The place that a number drawn falls on, each value taking room in proportion to its positive part. A is the type
// that the kernel computes in: another one may round to the other side of a border.
template <class A>
size_t drawn(const std::vector<double>& values, double number) {
  std::vector<A> weights;
  A largest = 0, sum = 0;
  for (const double value : values) weights.push_back(value > 0 ? A(value) : A(0));
  for (const A weight : weights) largest = std::max(largest, weight), sum += weight;
  if (sum == std::numeric_limits<A>::infinity()) {
    for (A& weight : weights) weight = weight == largest ? 1 : weight / largest;
  } else if (largest == 0) {
    for (A& weight : weights) weight = 1;
  }
  A total = 0, before = 0;
  for (const A weight : weights) total += weight;
  const A target = A(number) * total;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    before += weights[i];
    if (weights[i] > 0) last = i;
    if (before > target) return i;
  }
  return last;
}

// Between the smallest and the largest of the values, which are in order.
struct Place {
  size_t below;
  double rest;
};
Place place(double q, size_t n) {
  const double position = q * double(n - 1);
  return {size_t(std::floor(position)), position - std::floor(position)};
}

// The weight of a cell beside the largest, whose weight is 1.
double soft_weight(double value, double top, double temperature) {
  return value == top ? 1 : std::exp((value - top) / temperature);
}

// The shares of scores in a mean, and how far they lie below the largest, in temperatures. Beside NaN, what weighs
// nothing still has no share.
struct SoftWeights {
  std::vector<double> share, below;

  SoftWeights(const std::vector<double>& scores, double temperature) {
    double top = scores[0], sum = 0;
    for (const double score : scores) top = std::max(top, score);
    for (const double score : scores) {
      share.push_back(soft_weight(score, top, temperature));
      below.push_back(score == top ? 0 : (top - score) / temperature);
      sum += share.back();
    }
    for (double& weight : share) weight = weight == 0 ? 0 : weight / sum;
  }
};

// Which value stands at this quantile: the last NaN, else the first of its size.
template <class T>
size_t quantile_of(const std::vector<T>& values, double q, int rule) {
  for (size_t i = values.size(); i-- > 0;) {
    if (is_nan(values[i])) return i;
  }
  std::vector<T> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const auto [below, rest] = place(q, sorted.size());
  size_t rank = below;
  if (rule == 1 && rest > 0) ++rank;
  if (rule == 2 && (rest > 0.5 || (rest == 0.5 && below % 2 == 1))) ++rank;
  return size_t(std::find(values.begin(), values.end(), sorted[rank]) - values.begin());
}

// What a window gives, and how each of its cells takes part; sizes bound the rounding errors, as in reference.h.
struct Whole {
  double y = 0, size = 0;
  std::vector<double> slope, rough;
};

// ln(sum of exp(r x)) / r, or of their mean.
Whole log_of_exponentials(const std::vector<double>& values, double r, bool mean) {
  const double n = double(values.size()), additions = std::min(n, 128.0) + n / 128;
  double top = values[0], weights = 0, less = 0, arms = 0;
  for (const double value : values) top = r > 0 ? std::max(top, value) : std::min(top, value);
  Whole whole;
  std::vector<double> arm;  // how far below the top, as an exponent
  for (const double value : values) {
    arm.push_back(value == top ? 0 : r * (top - value));
    whole.slope.push_back(std::exp(-arm.back()));
    weights += whole.slope.back();
    less += std::expm1(-arm.back());
    if (whole.slope.back() != 0) arms += whole.slope.back() * arm.back();
  }
  const double part = mean ? std::log1p(less / n) : std::log(weights);
  whole.y = std::isinf(top) ? top : top + part / r;
  // Near the top, what a cell is less is exact; farther, the logarithm loses a rounding of 1.
  const bool near = mean && weights / n > 0.9;
  whole.size = std::fabs(top) + (near ? 4 * std::fabs(part) : 4 + arms / weights + std::fabs(part)) / std::fabs(r);
  for (size_t i = 0; i < values.size(); ++i) {
    whole.slope[i] /= weights;
    whole.rough.push_back((2 + additions) * whole.slope[i] * (1 + arm[i] + arms / weights));
  }
  return whole;
}

Whole deviation(const std::vector<double>& values, bool unbiased, bool root, double eps) {
  const double n = double(values.size()), divisor = unbiased && n > 1 ? n - 1 : n;
  double largest = 0, mean = 0, square = 0, linear = 0;
  bool finite = true;
  for (const double value : values) largest = std::max(largest, std::fabs(value)), finite &= std::isfinite(value);
  Whole whole;
  const double unit = largest == 0 ? 1 : largest;
  for (const double value : values) mean += value / unit / n;
  for (const double value : values) {
    const double part = value / unit - mean;
    square += part * part / divisor;
    linear += 2 * std::fabs(part) / divisor;
  }
  // In units of the largest; the last is the square of what the mean is rounded by.
  const double variance = finite ? square : std::numeric_limits<double>::quiet_NaN(), rough = square + linear + 1e-4;
  const double additions = 1 + std::min(n, 128.0) + n / 128;
  if (root) {
    const double squares = variance * unit * unit + eps;
    whole.y = std::isinf(squares) ? unit * std::sqrt(variance + eps / unit / unit) : std::sqrt(squares);
    whole.size = rough * unit * (unit / (2 * whole.y)) + whole.y;
  } else {
    whole.y = variance * unit * unit;
    whole.size = rough * unit * unit;
  }
  const double scale = (root ? unit / whole.y : 2 * unit) / divisor, inexact = root ? 1 + whole.size / whole.y : 1;
  for (const double value : values) {
    const double part = value / unit - mean;
    whole.slope.push_back(finite ? part * scale : variance);
    whole.rough.push_back((std::fabs(part) * inexact + 2) * scale * additions);
  }
  return whole;
}

// The mean of the k largest: NaN counts as the largest, of equals the first is taken.
Whole largest_mean(const std::vector<double>& values, size_t k) {
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return is_nan(values[a]) ? !is_nan(values[b]) : values[a] > values[b]; });
  k = std::min(k, values.size());
  Whole whole{0, 0, std::vector<double>(values.size()), std::vector<double>(values.size())};
  for (size_t i = 0; i < k; ++i) {
    whole.y += values[order[i]] / double(k);
    whole.size += std::fabs(values[order[i]]) / double(k);
    whole.slope[order[i]] = 1 / double(k);
  }
  return whole;
}

// The mean of what lies between trim n and n - trim n where the n values in order are intervals of length 1. With NaN
// it is the mean of all, for the gradient's sake.
Whole trimmed_mean(const std::vector<double>& values, double trim) {
  const double n = double(values.size());
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  long double low = trim * n;  // of which n - low is exact
  if (std::any_of(values.begin(), values.end(), [](double value) { return is_nan(value); })) {
    low = 0;
  } else {
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  }
  if (std::abs(low - std::round(low)) < 1e-9) low = std::round(low);
  const bool middle = 2 * low > n - 0.5;
  Whole whole{0, 0, std::vector<double>(values.size()), std::vector<double>(values.size())};
  for (size_t i = 0; i < order.size(); ++i) {
    const long double rank = double(i), begin = std::max(rank, low), end = std::min(rank + 1, n - low);
    double share = end > begin ? double((end - begin) / (n - 2 * low)) : 0;
    if (middle) share = 0.5 * (i == (order.size() - 1) / 2) + 0.5 * (i == order.size() / 2);
    if (share == 0) continue;
    whole.y += share * values[order[i]];
    whole.size += share * std::fabs(values[order[i]]);
    whole.slope[order[i]] = share;
  }
  return whole;
}

Whole range_of(const std::vector<double>& values) {
  const size_t high = winner_of(values, false), low = winner_of(values, true);
  Whole whole{values[high] - values[low], std::fabs(values[high]) + std::fabs(values[low]),
              std::vector<double>(values.size()), std::vector<double>(values.size())};
  whole.slope[high] += 1;
  whole.slope[low] -= 1;
  return whole;
}

// The methods whose gradient takes the whole window again.
bool is_whole(std::string_view method) {
  return method == "log_sum_exp" || method == "range" || method == "std" || method == "var" || method == "top_k_mean" ||
         method == "trimmed_mean";
}

Whole whole(std::string_view method, const double* params, const std::vector<double>& values) {
  const bool lost = std::any_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
  if (method == "log_sum_exp" && lost) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {nan, 0, std::vector<double>(values.size(), nan), std::vector<double>(values.size())};
  }
  if (method == "log_sum_exp") return log_of_exponentials(values, params[0], params[1] != 0);
  if (method == "range") return range_of(values);
  if (method == "top_k_mean") return largest_mean(values, size_t(params[0]));
  if (method == "trimmed_mean") return trimmed_mean(values, params[0]);
  return deviation(values, params[0] != 0, method == "std", params[1]);
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
Forward<T> forward(const Problem& problem, const std::vector<Window>& windows, const std::vector<T>& x, uint64_t seed,
                   const std::vector<double>& logits) {
  const std::string_view method = method_name(problem.method);
  const int64_t volume = problem.axis[0].in * problem.axis[1].in * problem.axis[2].in;
  Forward<T> result;
  std::vector<T> values, sizes;
  std::vector<double> scores;  // what the softmax is taken of
  for (int64_t outer = 0; outer < problem.outer; ++outer) {
    for (const Window& window : windows) {
      for (int64_t inner = 0; inner < problem.inner; ++inner) {
        values.clear();
        sizes.clear();
        scores.clear();
        for (const int64_t cell : window.cells) {
          const size_t input = (outer * volume + cell) * problem.inner + inner;
          values.push_back(x[input]);
          scores.push_back(logits.empty() ? double(x[input]) : logits[input]);
          sizes.push_back(size_of(values.back()));
        }
        size_t winner = winner_of(values, method == "min");
        if (method == "quantile") winner = quantile_of(values, problem.param[0], int(problem.param[1]));
        const T divisor = T(window.divisor);
        T y = 0, size = 0;
        if (method == "max" || method == "min" || method == "quantile") {
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
          } else if (method == "gem") {
            for (double& value : values) value = std::isnan(value) ? value : std::max(value, problem.param[1]);
            size = y = power_mean(values, parameter, divisor);
          } else if (method == "avg_max") {
            const double other = problem.param[1];
            y = parameter * (sum_of(values) / divisor) + other * values[winner];
            size = std::fabs(parameter) * (sum_of(sizes) / std::fabs(divisor)) + std::fabs(other) * sizes[winner];
          } else if (is_whole(method)) {
            const Whole result = whole(method, problem.param, values);
            y = result.y;
            size = result.size;
          } else if (std::any_of(values.begin(), values.end(), [](double value) { return std::isnan(value); })) {
            y = std::numeric_limits<double>::quiet_NaN();
            winner = quantile_of(values, 0, 0);
          } else if (method == "soft") {
            const SoftWeights weights(scores, parameter);
            for (size_t i = 0; i < values.size(); ++i) {
              if (weights.share[i] == 0) continue;
              y += weights.share[i] * values[i];
              size += weights.share[i] * std::fabs(values[i]) * (2 + weights.below[i]);
            }
          } else if (method == "stochastic") {
            const size_t plane = size_t(outer * problem.inner + inner), output = size_t(&window - windows.data());
            const double number = uniform(seed, plane * windows.size() + output);
            winner = problem.dtype == DType::f64 ? drawn<double>(values, number) : drawn<float>(values, number);
            y = std::max(values[winner], 0.0);
          } else if (method == "stochastic_mean") {
            size = y = positive_mean(values);
            size *= 2;
          } else {
            std::vector<double> sorted = values;
            std::sort(sorted.begin(), sorted.end());
            const auto [below, rest] = place(parameter, sorted.size());
            y = sorted[below];
            if (rest > 0) y = y * (1 - rest) + sorted[below + 1] * rest;
            size = std::fabs(sorted[below]) + (rest > 0 ? std::fabs(sorted[below + 1]) : 0);
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

template Forward<double> forward(const Problem&, const std::vector<Window>&, const std::vector<double>&, uint64_t,
                                 const std::vector<double>&);
template Forward<int64_t> forward(const Problem&, const std::vector<Window>&, const std::vector<int64_t>&, uint64_t,
                                  const std::vector<double>&);

Backward backward(const Problem& problem, const std::vector<Window>& windows, const std::vector<double>& grad_y,
                  const std::vector<double>& x, const std::vector<double>& y, const std::vector<int64_t>& winner) {
  const std::string_view method = method_name(problem.method);
  const double parameter = problem.param[0];
  const int64_t volume = problem.axis[0].in * problem.axis[1].in * problem.axis[2].in;
  Backward result(problem.outer * volume * problem.inner);
  size_t output = 0;
  for (int64_t outer = 0; outer < problem.outer; ++outer) {
    for (const Window& window : windows) {
      for (int64_t inner = 0; inner < problem.inner; ++inner, ++output) {
        const double divisor = double(window.divisor);
        const auto value_of = [&](int64_t cell) { return x[(outer * volume + cell) * problem.inner + inner]; };
        double top = 0, weights = 0, mean = 0;
        if (method == "soft") {
          top = value_of(window.cells[0]);
          for (const int64_t cell : window.cells) top = std::max(top, value_of(cell));
          for (const int64_t cell : window.cells) weights += soft_weight(value_of(cell), top, parameter);
          for (const int64_t cell : window.cells) {
            const double share = soft_weight(value_of(cell), top, parameter);
            if (share != 0) mean += share / weights * value_of(cell);
          }
        }
        Whole all;
        if (is_whole(method)) {
          std::vector<double> values;
          for (const int64_t cell : window.cells) values.push_back(value_of(cell));
          all = whole(method, problem.param, values);
        }
        size_t tap = 0;
        for (const int64_t cell : window.cells) {
          const size_t input = (outer * volume + cell) * problem.inner + inner;
          const bool won = cell == winner[output];
          double slope = 0, rough = 0;
          if (is_whole(method)) slope = all.slope[tap], rough = all.rough[tap];
          ++tap;
          if (method == "max" || method == "min" || method == "quantile" || method == "stochastic") {
            slope = won;
          } else if (method == "sum") {
            slope = 1;
          } else if (method == "avg") {
            slope = 1 / divisor;
          } else if (method == "avg_max") {
            slope = parameter / divisor + problem.param[1] * won;
            rough = std::fabs(parameter / divisor) + std::fabs(problem.param[1] * won);
          } else if (method == "soft") {
            const double share = soft_weight(x[input], top, parameter);
            if (share == 0) continue;
            const double weight = share / weights, arm = (x[input] - mean) / parameter;
            slope = weight * (problem.param[1] == 0 ? 1 + arm : 1);
            // Of the exponent, of the mean, and of its sums of chunks of 128.
            const double cells = double(window.cells.size()), additions = std::min(cells, 128.0) + cells / 128;
            rough = (1 + additions) * weight * (1 + std::fabs(arm) + (std::fabs(top) + std::fabs(mean)) / parameter) *
                    (1 + (top - x[input]) / parameter);
          } else if (method == "stochastic_mean") {
            if (!(x[input] > 0)) continue;
            slope = 2 * x[input] - y[output];
            rough = 2 * x[input] + y[output];
          } else if (method == "gem" && x[input] <= problem.param[1]) {
            continue;
          } else if (!is_whole(method) && x[input] != 0 && y[output] != 0) {
            slope = std::pow(std::fabs(x[input]) / y[output], parameter - 1) / (method == "lp" ? 1 : divisor);
            slope = std::copysign(slope, x[input]);
          }
          // A cell that did not win takes nothing, not even from a gradient that is infinite.
          if (slope == 0 && rough == 0) continue;
          result.grad_x[input] += slope * grad_y[output];
          result.size[input] += std::max(std::fabs(slope), rough) * std::fabs(grad_y[output]);
          ++result.terms[input];
        }
      }
    }
  }
  return result;
}

Backward weighted_backward(const Problem& problem, const std::vector<Window>& windows,
                           const std::vector<double>& grad_y, const std::vector<double>& x,
                           const std::vector<double>& logits, bool of_logits) {
  const int64_t volume = problem.axis[0].in * problem.axis[1].in * problem.axis[2].in;
  Backward result(problem.outer * volume * problem.inner);
  size_t output = 0;
  for (int64_t outer = 0; outer < problem.outer; ++outer) {
    for (const Window& window : windows) {
      for (int64_t inner = 0; inner < problem.inner; ++inner, ++output) {
        std::vector<size_t> inputs;
        std::vector<double> scores;
        for (const int64_t cell : window.cells) {
          inputs.push_back((outer * volume + cell) * problem.inner + inner);
          scores.push_back(logits[inputs.back()]);
        }
        const SoftWeights weights(scores, problem.param[0]);
        double mean = 0, size = 0;
        for (size_t i = 0; i < inputs.size(); ++i) {
          const bool none = weights.share[i] == 0 && !std::isnan(x[inputs[i]]);
          if (!none) mean += weights.share[i] * x[inputs[i]];
          if (weights.share[i] != 0) size += weights.share[i] * std::fabs(x[inputs[i]]) * (2 + weights.below[i]);
        }
        const double cells = double(inputs.size()), additions = 1 + std::min(cells, 128.0) + cells / 128;
        for (size_t i = 0; i < inputs.size(); ++i) {
          if (weights.share[i] == 0) continue;
          const double arm = of_logits ? (x[inputs[i]] - mean) / problem.param[0] : 1;
          const double rough = of_logits ? (std::fabs(x[inputs[i]]) + std::fabs(mean) + size) / problem.param[0] : 1;
          const double slope = weights.share[i] * arm * grad_y[output];
          result.grad_x[inputs[i]] += slope;
          result.size[inputs[i]] +=
              additions * weights.share[i] * rough * (1 + weights.below[i]) * std::fabs(grad_y[output]);
          ++result.terms[inputs[i]];
        }
      }
    }
  }
  return result;
}

}  // namespace poolkit::reference
