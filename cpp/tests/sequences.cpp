// Pooling over time against loops over the valid steps, in every order of memory; the same bits for every instruction
// set and way to run in parallel; nothing read or written out of bounds, and nothing made of what is not valid.
#include "poolkit/sequences.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "guarded.h"
#include "numbers.h"
#include "sweep.h"

namespace poolkit::test {
namespace {

constexpr DType kFloats[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kGap = 3;  // elements between rows of the input that belong to nobody

using Reals = std::vector<double>;

class SequenceTest {
 public:
  explicit SequenceTest(DType dtype) : dtype_(dtype), unbiased_(pick(0, 1)) {
    const int64_t long_steps[] = {127, 128, 129, 300, 1100}, many[] = {33, 64, 70, 520};
    batch_ = pick(0, 9) ? pick(1, 3) : 0;
    channels_ = pick(0, 3) ? pick(1, 20) : many[pick(0, 3)];
    steps_ = pick(0, 3) ? pick(1, 40) : long_steps[pick(0, 4)];
    if (channels_ * steps_ > 20000) steps_ = 20;
    lanes_ = pick(0, 1);
    time_first_ = lanes_ && pick(0, 1);
    masked_ = pick(0, 3);
    for (int64_t n = 0; n < batch_; ++n) add_valid();
    for (int64_t i = 0; i < batch_ * channels_ * steps_; ++i) {
      x_.push_back(pick(0, 7) ? pick_real(-2, 2) : double(pick(-1, 1)));  // ties
    }
    const auto results = size_t(2 * batch_ * channels_);
    for (size_t i = 0; i < results; ++i) grad_y_.push_back(pick_real(-2, 2));
    x_ = rounded(x_, dtype_);
    // A NaN in a few channels; the extremes must find the last.
    special_ = x_;
    for (double& value : special_) {
      if (pick(0, 60) == 0) value = kNan;
    }
  }

  void run() {
    current = std::string("sequences ") + name(dtype_) + " " + std::to_string(batch_) + "x" +
              std::to_string(channels_) + "x" + std::to_string(steps_) +
              (time_first_ ? " time first"
               : lanes_    ? " batch first"
                           : " channels first") +
              (masked_ ? " masked" : " whole") + (unbiased_ ? " unbiased" : "");
    const std::string best = isa();
    check_sums();
    check_extremes();
    check_statistics();
    check_auto();
    for (const bool shared : {false, true}) check_attentive(shared);
    check_linear_softmax();
    if (!lanes_) {
      for (const bool by_value : {false, true}) check_largest(by_value);
    }
    set_isa(best.c_str());
  }

 private:
  // --- What is expected, by loops.

  void add_valid() {
    const int64_t kind = pick(0, 3), begin = pick(0, steps_ / 2), end = kind == 0 ? 0 : pick(begin, steps_);
    for (int64_t t = 0; t < steps_; ++t) {
      valid_.push_back(uint8_t(kind == 1 ? t < end : kind == 2 ? t >= begin && t < end : kind == 3 && pick(0, 2) > 0));
    }
  }

  static Reals rounded(const Reals& values, DType dtype) {
    std::vector<char> stored(values.size() * bytes(dtype));
    store_real(dtype, values, stored.data());
    return load_real(dtype, stored.data(), values.size());
  }

  DType wide() const { return dtype_ == DType::f64 ? DType::f64 : DType::f32; }
  bool is_valid(int64_t n, int64_t t) const { return !masked_ || valid_[size_t(n * steps_ + t)]; }
  size_t cell(int64_t n, int64_t c, int64_t t) const { return size_t((n * channels_ + c) * steps_ + t); }

  std::vector<int64_t> valid_steps(int64_t n) const {
    std::vector<int64_t> steps;
    for (int64_t t = 0; t < steps_; ++t) {
      if (is_valid(n, t)) steps.push_back(t);
    }
    return steps;
  }

  template <class F>
  void for_channels(F f) const {
    for (int64_t n = 0; n < batch_; ++n) {
      const auto steps = valid_steps(n);
      for (int64_t c = 0; c < channels_; ++c) f(n, c, size_t(n * channels_ + c), steps);
    }
  }

  // --- Memory.

  // The strides of the input, whose rows have gaps, or of its gradient, which has none.
  SequenceStrides strides(int64_t gap) const {
    if (time_first_) return {channels_ + gap, 1, batch_ * (channels_ + gap)};
    if (lanes_) return {steps_ * (channels_ + gap), 1, channels_ + gap};
    return {channels_ * (steps_ + gap), steps_ + gap, 1};
  }
  static size_t place(const SequenceStrides& s, int64_t n, int64_t c, int64_t t) {
    return size_t(n * s.sample + c * s.channel + t * s.step);
  }
  // Of an array with these strides, without the gap behind its last row.
  size_t extent(const SequenceStrides& s) const {
    return batch_ == 0 ? 0 : place(s, batch_ - 1, channels_ - 1, steps_ - 1) + 1;
  }

  // Steps that are not valid, and gaps, are NaN.
  void store_input(const Reals& x, const SequenceStrides& s, void* to) const {
    Reals values(extent(s), kNan);
    for_channels([&](int64_t n, int64_t c, size_t, const auto& steps) {
      for (const int64_t t : steps) values[place(s, n, c, t)] = x[cell(n, c, t)];
    });
    store_real(dtype_, values, to);
  }

  struct Run {
    const Sequences& sequences;
    SequenceStrides x_strides, grad_strides;
    const Guarded &x, &grad_y, &grad_wide;
    const Parallel& parallel;
  };

  // Calls body(run) for every instruction set, end of memory and way to run in parallel.
  template <class Body>
  void everywhere(const Reals& x, Body body) {
    bits_.clear();
    const SequenceStrides x_strides = strides(kGap), grad_strides = strides(0);
    for (int i = 0; i < isa_count(); ++i) {
      set_isa(isa_name(i));
      for (const Flush flush : {Flush::begin, Flush::end}) {
        for (const Parallel& parallel : {kSerial, kPieces, kPoolThreads}) {
          Guarded input(extent(x_strides) * bytes(dtype_), flush), valid(valid_.size(), flush);
          Guarded grad_y(grad_y_.size() * bytes(dtype_), flush), grad_wide(grad_y_.size() * bytes(wide()), flush);
          store_input(x, x_strides, input.data());
          std::copy(valid_.begin(), valid_.end(), static_cast<uint8_t*>(valid.data()));
          store_real(dtype_, grad_y_, grad_y.data());
          store_real(wide(), grad_y_, grad_wide.data());
          for (Guarded* memory : {&input, &valid, &grad_y, &grad_wide}) memory->seal();
          const auto* const rows = masked_ ? static_cast<const uint8_t*>(valid.data()) : nullptr;
          const Sequences sequences{dtype_, batch_, channels_, steps_, rows};
          flush_ = flush;
          body(Run{sequences, x_strides, grad_strides, input, grad_y, grad_wide, parallel});
        }
      }
    }
  }

  Guarded results(DType dtype, int64_t each = 1) const {
    return Guarded(size_t(each * batch_ * channels_) * bytes(dtype), flush_);
  }
  Guarded input_gradient() const { return Guarded(x_.size() * bytes(dtype_), flush_); }

  // Nothing around was written, and the bits are those of the first run.
  void settle(const std::string& what, const Guarded& memory) {
    check(memory.intact(), what + ": written out of bounds");
    const char* const data = static_cast<const char*>(memory.data());
    const auto [first, fresh] = bits_.try_emplace(what, data, data + memory.bytes());
    check(fresh || memory.bytes() == 0 || std::memcmp(first->second.data(), data, memory.bytes()) == 0,
          what + ": other bits");
  }

  static bool close(double got, double expected, double bound) {
    return std::isnan(expected) ? std::isnan(got) : std::fabs(got - expected) <= bound;
  }

  // Within so many roundings of values of that magnitude.
  double bound(DType stored, double magnitude) const {
    const double small = stored == DType::f16 ? format(stored).tiny() : 0;
    return magnitude * (2 * format(stored).eps() + 64 * accumulator(dtype_).eps()) + small;
  }

  // grad_x as expected(n, c, t) has it, and exactly 0 at steps that are not valid.
  template <class F>
  void check_gradient(const std::string& what, const Guarded& grad_x, const SequenceStrides& s, double magnitude,
                      F expected) const {
    const Reals got = load_real(dtype_, grad_x.data(), x_.size());
    bool right = true, clear = true;
    for (int64_t n = 0; n < batch_; ++n) {
      for (int64_t c = 0; c < channels_; ++c) {
        for (int64_t t = 0; t < steps_; ++t) {
          const double value = got[place(s, n, c, t)];
          if (!is_valid(n, t)) {
            clear = clear && value == 0;
          } else {
            right = right && close(value, expected(n, c, t), bound(dtype_, magnitude));
          }
        }
      }
    }
    check(right, what + ": grad_x is wrong");
    check(clear, what + ": a step that is not valid has a gradient");
  }

  // --- The operations.

  void check_sums() {
    Reals expected(size_t(batch_ * channels_), 0.0);
    for_channels([&](int64_t n, int64_t c, size_t at, const auto& steps) {
      for (const int64_t t : steps) expected[at] += x_[cell(n, c, t)];
    });
    const Reals grad = rounded(grad_y_, dtype_);
    everywhere(x_, [&](const Run& run) {
      const Guarded y = results(wide()), grad_x = input_gradient();
      sequence_sum(run.sequences, run.x_strides, run.x.data(), y.data(), run.parallel);
      sequence_sum_backward(run.sequences, run.grad_strides, run.grad_y.data(), grad_x.data(), run.parallel);
      settle("sum", y), settle("grad of sum", grad_x);
      const Reals got = load_real(wide(), y.data(), expected.size());
      bool right = true;
      for (size_t i = 0; i < got.size(); ++i)
        right = right && close(got[i], expected[i], bound(wide(), 2.0 * double(steps_)));
      check(right, "sum: y is wrong");
      check_gradient("sum", grad_x, run.grad_strides, 0,
                     [&](int64_t n, int64_t c, int64_t) { return grad[size_t(n * channels_ + c)]; });
    });
  }

  void check_extremes() {
    const Reals grad = rounded(grad_y_, dtype_);
    for (const bool largest : {true, false}) {
      Reals expected(size_t(batch_ * channels_), 0.0);
      std::vector<int64_t> winner(expected.size(), 0);
      for_channels([&](int64_t n, int64_t c, size_t at, const auto& steps) {
        bool first = true;
        for (const int64_t t : steps) {
          const double value = special_[cell(n, c, t)];
          const bool better = largest ? value > expected[at] : value < expected[at];
          if (first || better || std::isnan(value)) expected[at] = value, winner[at] = t;
          first = false;
        }
      });
      everywhere(special_, [&](const Run& run) {
        const Guarded y = results(dtype_), plain = results(dtype_), winners = results(DType::i64);
        const Guarded grad_x = input_gradient();
        auto* const steps = static_cast<int64_t*>(winners.data());
        sequence_extreme(run.sequences, run.x_strides, largest, run.x.data(), plain.data(), nullptr, run.parallel);
        sequence_extreme(run.sequences, run.x_strides, largest, run.x.data(), y.data(), steps, run.parallel);
        sequence_extreme_backward(run.sequences, run.grad_strides, run.grad_y.data(), steps, grad_x.data(),
                                  run.parallel);
        settle("extreme", y), settle("extreme", plain), settle("winners", winners), settle("grad of extreme", grad_x);
        const Reals got = load_real(dtype_, y.data(), expected.size());
        bool right = true;
        for (size_t i = 0; i < got.size(); ++i) right = right && close(got[i], expected[i], 0) && steps[i] == winner[i];
        check(right, "extreme: y or a winner is wrong");
        check_gradient("extreme", grad_x, run.grad_strides, 0, [&](int64_t n, int64_t c, int64_t t) {
          const auto at = size_t(n * channels_ + c);
          return winner[at] == t ? grad[at] : 0.0;
        });
      });
    }
  }

  void check_statistics() {
    constexpr double kEps = 1e-3;
    const size_t half = size_t(channels_);
    Reals means(size_t(batch_ * channels_), 0.0), deviations = means, divisors(means.size(), 1.0), counts = divisors;
    for_channels([&](int64_t n, int64_t c, size_t at, const auto& steps) {
      if (steps.empty()) return;
      counts[at] = double(steps.size());
      divisors[at] = unbiased_ ? std::max(counts[at] - 1, 1.0) : counts[at];
      for (const int64_t t : steps) means[at] += x_[cell(n, c, t)] / counts[at];
      double squares = 0;
      for (const int64_t t : steps) squares += std::pow(x_[cell(n, c, t)] - means[at], 2);
      deviations[at] = std::sqrt(squares / divisors[at] + kEps);
    });
    const Reals grad = rounded(grad_y_, wide());
    everywhere(x_, [&](const Run& run) {
      const Guarded y = results(wide(), 2), grad_x = input_gradient();
      sequence_statistics(run.sequences, run.x_strides, unbiased_, kEps, run.x.data(), y.data(), run.parallel);
      sequence_statistics_backward(run.sequences, run.x_strides, run.grad_strides, unbiased_, run.grad_wide.data(),
                                   run.x.data(), y.data(), grad_x.data(), run.parallel);
      settle("statistics", y), settle("grad of statistics", grad_x);
      const Reals got = load_real(wide(), y.data(), 2 * means.size());
      bool right = true;
      for (size_t i = 0; i < means.size(); ++i) {
        const size_t at = i + i / half * half;
        right = right && close(got[at], means[i], bound(wide(), 4)) &&
                close(got[at + half], deviations[i], bound(wide(), 4 / std::sqrt(kEps)));
      }
      check(right, "statistics: y is wrong");
      check_gradient("statistics", grad_x, run.grad_strides, 8 / std::sqrt(kEps), [&](int64_t n, int64_t c, int64_t t) {
        const auto i = size_t(n * channels_ + c), at = size_t(2 * n * channels_ + c);
        return grad[at] / counts[i] + grad[at + half] * (x_[cell(n, c, t)] - means[i]) / (divisors[i] * deviations[i]);
      });
    });
  }

  // The softmax of the scores of these steps.
  static Reals softmax(Reals scores) {
    if (scores.empty()) return scores;
    const double top = *std::max_element(scores.begin(), scores.end());
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - top);
    for (double& score : scores) score /= total;
    return scores;
  }

  // Mean and variance of a channel's steps under these weights.
  std::pair<double, double> moments(int64_t n, int64_t c, const std::vector<int64_t>& steps, const Reals& w) const {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < steps.size(); ++i) mean += w[i] * x_[cell(n, c, steps[i])];
    for (size_t i = 0; i < steps.size(); ++i) variance += w[i] * std::pow(x_[cell(n, c, steps[i])] - mean, 2);
    return {mean, variance};
  }

  void check_auto() {
    Reals slopes(size_t(channels_), 0.0);
    for (double& slope : slopes) slope = pick(0, 5) ? pick_real(-2, 2) : 0;
    slopes = rounded(slopes, wide());
    const Reals grad = rounded(grad_y_, wide());
    const size_t count = size_t(batch_ * channels_);
    Reals means(count, 0.0), variances = means, slope_at(x_.size(), 0.0);
    for_channels([&](int64_t n, int64_t c, size_t at, const auto& steps) {
      const double slope = slopes[size_t(c)];
      Reals scores;
      for (const int64_t t : steps) scores.push_back(slope * x_[cell(n, c, t)]);
      const Reals w = softmax(scores);
      std::tie(means[at], variances[at]) = moments(n, c, steps, w);
      for (size_t i = 0; i < steps.size(); ++i) {
        const size_t place = cell(n, c, steps[i]);
        slope_at[place] = grad[at] * w[i] * (1 + slope * (x_[place] - means[at]));
      }
    });
    everywhere(x_, [&](const Run& run) {
      Guarded by(slopes.size() * bytes(wide()), flush_);
      store_real(wide(), slopes, by.data());
      by.seal();
      const Guarded y = results(wide()), plain = results(wide()), kept = results(wide(), 4), none = results(wide(), 4);
      const Guarded grad_x = input_gradient();
      sequence_auto(run.sequences, run.x_strides, false, run.x.data(), by.data(), plain.data(), none.data(),
                    run.parallel);
      sequence_auto(run.sequences, run.x_strides, true, run.x.data(), by.data(), y.data(), kept.data(), run.parallel);
      sequence_auto_backward(run.sequences, run.x_strides, run.grad_strides, run.grad_wide.data(), run.x.data(),
                             by.data(), kept.data(), grad_x.data(), run.parallel);
      settle("auto", y), settle("auto", plain), settle("kept of auto", kept), settle("grad of auto", grad_x);
      check(none.intact(), "auto: written out of bounds");
      const Reals got = load_real(wide(), y.data(), count), all = load_real(wide(), kept.data(), 4 * count);
      bool right = true;
      for (size_t i = 0; i < count; ++i) {
        const size_t n = i / size_t(channels_), last = i + (3 * n + 3) * size_t(channels_);
        right =
            right && close(got[i], means[i], bound(wide(), 32)) && close(all[last], variances[i], bound(wide(), 64));
      }
      check(right, "auto: y or a variance is wrong");
      check_gradient("auto", grad_x, run.grad_strides, 64,
                     [&](int64_t n, int64_t c, int64_t t) { return slope_at[cell(n, c, t)]; });
    });
  }

  void check_attentive(bool shared) {
    const std::string name = shared ? "attentive, shared" : "attentive";
    const size_t half = size_t(channels_);
    const Reals grad = rounded(grad_y_, wide());
    shared = shared && channels_ > 1;
    // Some -inf, which leave a step no weight.
    Reals scores(size_t(batch_ * (shared ? 1 : channels_) * steps_), 0.0);
    for (double& score : scores) score = pick(0, 9) ? pick_real(-4, 4) : -std::numeric_limits<double>::infinity();
    scores = rounded(scores, dtype_);
    const auto score_at = [&](int64_t n, int64_t c, int64_t t) {
      return scores[shared ? size_t(n * steps_ + t) : cell(n, c, t)];
    };
    const auto usable = [&](int64_t n, int64_t c, const auto& steps) {
      return std::any_of(steps.begin(), steps.end(), [&](int64_t t) { return std::isfinite(score_at(n, c, t)); });
    };
    Reals expected(grad.size(), 0.0), of_x(x_.size(), 0.0), of_scores(x_.size(), 0.0);
    Reals of_shared(size_t(batch_ * steps_), 0.0);
    for_channels([&](int64_t n, int64_t c, size_t, const auto& steps) {
      Reals own;
      for (const int64_t t : steps) own.push_back(usable(n, c, steps) ? score_at(n, c, t) : 0);
      const Reals w = softmax(own);
      const auto [mean, variance] = moments(n, c, steps, w);
      const size_t at = size_t(2 * n * channels_ + c);
      expected[at] = mean, expected[at + half] = variance;
      for (size_t i = 0; i < steps.size(); ++i) {
        const size_t place = cell(n, c, steps[i]);
        const double distance = x_[place] - mean;
        of_x[place] = w[i] * (grad[at] + 2 * grad[at + half] * distance);
        of_scores[place] = w[i] * (grad[at] * distance + grad[at + half] * (distance * distance - variance));
        of_shared[size_t(n * steps_ + steps[i])] += of_scores[place];
      }
    });
    everywhere(x_, [&](const Run& run) {
      const SequenceStrides strides = shared ? SequenceStrides{steps_, 0, 1} : run.x_strides;
      const size_t size = shared ? scores.size() : extent(strides);
      Guarded input(size * bytes(dtype_), flush_);
      if (shared) {
        Reals values = scores;
        for (size_t i = 0; i < values.size(); ++i) {
          if (!is_valid(int64_t(i) / steps_, int64_t(i) % steps_)) values[i] = kNan;
        }
        store_real(dtype_, values, input.data());
      } else {
        store_input(scores, strides, input.data());
      }
      input.seal();
      const Scores by{input.data(), strides};
      const Guarded y = results(wide(), 2), kept = results(wide(), 2), grad_x = input_gradient();
      const Guarded grad_scores = shared ? Guarded(of_shared.size() * bytes(wide()), flush_) : input_gradient();
      sequence_attentive(run.sequences, run.x_strides, run.x.data(), by, y.data(), kept.data(), run.parallel);
      sequence_attentive_backward(run.sequences, run.x_strides, run.grad_strides, run.grad_wide.data(), run.x.data(),
                                  by, y.data(), kept.data(), grad_x.data(), grad_scores.data(), run.parallel);
      settle(name, y), settle("kept of " + name, kept), settle("grad of " + name, grad_x);
      settle("grad of scores, " + name, grad_scores);
      const Reals got = load_real(wide(), y.data(), expected.size());
      bool right = true;
      for (size_t i = 0; i < got.size(); ++i) right = right && close(got[i], expected[i], bound(wide(), 64));
      check(right, name + ": y is wrong");
      check_gradient(name, grad_x, run.grad_strides, 64,
                     [&](int64_t n, int64_t c, int64_t t) { return of_x[cell(n, c, t)]; });
      if (!shared) {
        return check_gradient("scores, " + name, grad_scores, run.grad_strides, 128,
                              [&](int64_t n, int64_t c, int64_t t) { return of_scores[cell(n, c, t)]; });
      }
      const Reals sums = load_real(wide(), grad_scores.data(), of_shared.size());
      for (size_t i = 0; i < sums.size(); ++i) {
        const bool valid = is_valid(int64_t(i) / steps_, int64_t(i) % steps_);
        right = right && close(sums[i], of_shared[i], valid ? bound(wide(), 128.0 * double(channels_)) : 0);
      }
      check(right, name + ": a gradient of scores is wrong");
    });
  }

  void check_linear_softmax() {
    Reals x = x_;
    for (double& value : x) value = std::fabs(value);
    const Reals grad = rounded(grad_y_, wide());
    Reals totals(size_t(batch_ * channels_), 0.0), expected = totals;
    for_channels([&](int64_t n, int64_t c, size_t at, const auto& steps) {
      for (const int64_t t : steps) totals[at] += x[cell(n, c, t)];
      if (totals[at] == 0) return;
      for (const int64_t t : steps) expected[at] += std::pow(x[cell(n, c, t)], 2) / totals[at];
    });
    everywhere(x, [&](const Run& run) {
      const Guarded y = results(wide()), sums = results(wide()), grad_x = input_gradient();
      sequence_linear_softmax(run.sequences, run.x_strides, run.x.data(), y.data(), sums.data(), run.parallel);
      sequence_linear_softmax_backward(run.sequences, run.x_strides, run.grad_strides, run.grad_wide.data(),
                                       run.x.data(), y.data(), sums.data(), grad_x.data(), run.parallel);
      settle("linear softmax", y), settle("sums of linear softmax", sums), settle("grad of linear softmax", grad_x);
      const Reals got = load_real(wide(), y.data(), expected.size());
      bool right = true;
      for (size_t i = 0; i < got.size(); ++i) right = right && close(got[i], expected[i], bound(wide(), 4));
      check(right, "linear softmax: y is wrong");
      check_gradient("linear softmax", grad_x, run.grad_strides, 16, [&](int64_t n, int64_t c, int64_t t) {
        const auto at = size_t(n * channels_ + c);
        return totals[at] == 0 ? 0 : grad[at] * (2 * x[cell(n, c, t)] - expected[at]) / totals[at];
      });
    });
  }

  // Steps that are not valid count as NaN.
  void check_largest(bool by_value) {
    const int64_t kept = pick(0, 1) ? pick(1, 8) : pick(1, steps_ + 3);
    std::vector<int64_t> lengths, counts;
    for (int64_t n = 0; n < batch_; ++n) {
      lengths.push_back(pick(0, 2) ? steps_ : pick(0, steps_));
      counts.push_back(std::min({kept, lengths.back(), pick(0, 3) ? kept : pick(0, kept)}));
    }
    const auto value = [&](int64_t n, int64_t c, int64_t t) { return is_valid(n, t) ? special_[cell(n, c, t)] : kNan; };
    const size_t size = size_t(batch_ * channels_ * kept);
    Reals expected(size, 0.0), gradient = expected, back(x_.size(), 0.0);
    std::vector<int32_t> places(size, 0);
    for (double& number : gradient) number = pick_real(-2, 2);
    gradient = rounded(gradient, dtype_);
    for_channels([&](int64_t n, int64_t c, size_t row, const auto&) {
      std::vector<int32_t> order;
      for (int64_t t = 0; t < lengths[size_t(n)]; ++t) order.push_back(int32_t(t));
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        const double left = value(n, c, a), right = value(n, c, b);
        return std::isnan(left) ? !std::isnan(right) : left > right;
      });
      order.resize(size_t(counts[size_t(n)]));
      if (!by_value) std::sort(order.begin(), order.end());
      for (size_t i = 0; i < order.size(); ++i) {
        const size_t at = row * size_t(kept) + i;
        expected[at] = value(n, c, order[i]);
        places[at] = order[i];
        back[cell(n, c, order[i])] = gradient[at];
      }
    });
    everywhere(special_, [&](const Run& run) {
      const Guarded y(size * bytes(dtype_), flush_), plain(size * bytes(dtype_), flush_);
      const Guarded steps(size * sizeof(int32_t), flush_), grad_x = input_gradient();
      Guarded grad_y(size * bytes(dtype_), flush_);
      store_real(dtype_, gradient, grad_y.data());
      grad_y.seal();
      auto* const place = static_cast<int32_t*>(steps.data());
      const Largest largest{lengths.data(), counts.data(), kept, by_value};
      sequence_largest(run.sequences, run.x_strides, largest, run.x.data(), plain.data(), nullptr, run.parallel);
      sequence_largest(run.sequences, run.x_strides, largest, run.x.data(), y.data(), place, run.parallel);
      sequence_largest_backward(run.sequences, largest, grad_y.data(), place, grad_x.data(), run.parallel);
      const std::string name = by_value ? "largest by value" : "largest";
      settle(name, y), settle(name, plain), settle("grad of " + name, grad_x);
      check(steps.intact(), name + ": places written out of bounds");
      const Reals got = load_real(dtype_, y.data(), size), got_back = load_real(dtype_, grad_x.data(), back.size());
      bool right = true;
      for (int64_t row = 0; row < batch_ * channels_; ++row) {
        for (int64_t i = 0; i < kept; ++i) {
          const auto at = size_t(row * kept + i);
          right = right && close(got[at], expected[at], 0);
          if (i < counts[size_t(row / channels_)]) right = right && place[at] == places[at];
        }
      }
      check(right, name + ": y or a place is wrong");
      check(got_back == back, name + ": grad_x is wrong");
    });
  }

  DType dtype_;
  bool unbiased_, lanes_, time_first_, masked_;
  int64_t batch_, channels_, steps_;
  std::vector<uint8_t> valid_;
  Reals x_, special_, grad_y_;
  Flush flush_ = Flush::begin;
  std::map<std::string, std::vector<char>> bits_;
};

}  // namespace

void sweep_sequences(int random_shapes) {
  for (int i = 0; i < random_shapes; ++i) {
    if (!share.has(i)) continue;
    for (const DType dtype : kFloats) SequenceTest(dtype).run();
  }
}

}  // namespace poolkit::test
