// forward(), indices() and backward() of every method, dtype, layout and instruction set over many geometries.
#include <cstdio>
#include <string>
#include <string_view>

#include "core/parallel.h"
#include "core/reference.h"
#include "geometries.h"
#include "guarded.h"
#include "numbers.h"
#include "poolkit/run.h"
#include "sweep.h"

namespace poolkit::test {
namespace {

std::string show(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

// --- Data

enum class Data { plain, ties, special, extreme };

std::vector<double> reals(DType dtype, size_t count, Data data) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr double specials[] = {inf, -inf, std::numeric_limits<double>::quiet_NaN(), -0.0, 0.0};
  const bool wide = dtype == DType::f64, narrow = dtype == DType::f16;
  const double huge = wide ? 1e200 : narrow ? 1e4 : 1e30;
  const double scale = data != Data::extreme ? 1 : pick(0, 1) ? huge : narrow ? 1e-6 : 1 / huge;
  const bool bottomless = data == Data::special && pick(0, 3) == 0;
  std::vector<double> values(count);
  for (double& value : values) {
    value = data == Data::ties ? double(pick(-2, 2)) : scale * pick_real(-4, 4);
    if (data == Data::special && pick(0, 29) == 0) value = specials[pick(0, 4)];
    if (bottomless && pick(0, 9) != 0) value = -inf;
  }
  return values;
}

std::vector<int64_t> integers(DType dtype, size_t count, Data data, bool sums) {
  const int bits = dtype == DType::boolean ? 1 : 8 * int(bytes(dtype));
  const bool is_signed = dtype != DType::u8 && dtype != DType::boolean;
  int64_t low = is_signed ? int64_t(-1) << (bits - 1) : 0;
  int64_t high = is_signed ? ~low : (int64_t(1) << bits) - 1;
  if (sums) low = -(int64_t(1) << 40), high = int64_t(1) << 40;
  if (data == Data::ties) low = std::max<int64_t>(low, -2), high = std::min<int64_t>(high, 2);
  std::vector<int64_t> values(count);
  for (int64_t& value : values) {
    value = pick(low, high);
    if (data == Data::extreme && !sums) value = pick(0, 9) ? low : high;
  }
  return values;
}

// --- Comparison

// The first of `count` numbers that differs from what is expected, as text; empty if none does.
std::string difference(DType dtype, const void* got, const std::vector<double>& expected,
                       const std::vector<double>& tolerance) {
  const std::vector<double> values = load_real(dtype, got, expected.size());
  const auto stored = [&](int sign) {
    std::vector<double> bound = expected;
    for (size_t i = 0; i < bound.size(); ++i)
      if (sign != 0) bound[i] += sign * tolerance[i];
    std::vector<char> storage(bound.size() * bytes(dtype));
    store_real(dtype, bound, storage.data());
    return load_real(dtype, storage.data(), bound.size());
  };
  // What rounds to infinity in one of these may do so in the result.
  const std::vector<double> lowest = stored(-1), rounded = stored(0), highest = stored(1);
  for (size_t i = 0; i < values.size(); ++i) {
    const double a = values[i], e = expected[i];
    const bool same = std::isnan(e) ? std::isnan(a) : a == rounded[i] || (lowest[i] <= a && a <= highest[i]);
    if (!same) {
      return "[" + std::to_string(i) + "] is " + show(a) + ", expected " + show(e) + " within " + show(tolerance[i]);
    }
  }
  return {};
}

std::string difference(const std::vector<int64_t>& values, const std::vector<int64_t>& expected) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != expected[i]) {
      return "[" + std::to_string(i) + "] is " + std::to_string(values[i]) + ", expected " +
             std::to_string(expected[i]);
    }
  }
  return {};
}

// The same bits, any NaN being as good as another.
bool same_bits(DType dtype, const void* a, const void* b, size_t count) {
  const size_t size = bytes(dtype);
  if (count == 0 || std::memcmp(a, b, count * size) == 0) return true;
  if (!is_float(dtype)) return false;
  const std::vector<double> left = load_real(dtype, a, count), right = load_real(dtype, b, count);
  for (size_t i = 0; i < count; ++i) {
    const char *l = static_cast<const char*>(a) + i * size, *r = static_cast<const char*>(b) + i * size;
    if (std::memcmp(l, r, size) != 0 && !(std::isnan(left[i]) && std::isnan(right[i]))) return false;
  }
  return true;
}

// --- Pooling

struct Expected {
  std::vector<double> real, tolerance;
  std::vector<int64_t> integer, winner;
  std::string difference(DType dtype, const void* got) const {
    if (is_float(dtype)) return test::difference(dtype, got, real, tolerance);
    return test::difference(load_integer(dtype, got, integer.size()), integer);
  }
};

class PoolTest {
 public:
  PoolTest(const Geometry& geometry, int method, DType dtype, int64_t outer, int64_t inner)
      : geometry_(geometry), name_(method_name(method)) {
    problem_ = {};
    problem_.method = method;
    problem_.dtype = dtype;
    problem_.outer = outer;
    problem_.inner = inner;
    for (int i = 0; i < 3; ++i) problem_.axis[i] = geometry.axis[i];
    problem_.count = Count(pick(0, 2));
    problem_.divisor = pick(0, 1) ? pick(1, 9) : name_ == "avg" ? -3 : 7;
    constexpr double exponents[] = {1, 2, 3, 0.5, 1.5, 4, 7.25};
    if (name_ == "lp" || name_ == "power_avg" || name_ == "gem") problem_.param[0] = exponents[pick(0, 6)];
    if (name_ == "gem") problem_.param[1] = pick(0, 1) ? 0x1p-20 : 0.5;
    constexpr double sharpness[] = {1, 10, -2, 0.0078125};
    if (name_ == "log_sum_exp") problem_.param[0] = sharpness[pick(0, 3)], problem_.param[1] = double(pick(0, 1));
    if (name_ == "std" || name_ == "var") problem_.param[0] = double(pick(0, 1)), problem_.param[1] = 0x1p-10;
    if (name_ == "avg_max") problem_.param[0] = pick(0, 1) ? 0.5 : -1.75, problem_.param[1] = pick(0, 1) ? 0.5 : 0.75;
    constexpr double fractions[] = {0, 0.1, 0.25, 0.5, 0.5, 0.8, 1};
    if (name_ == "quantile" || name_ == "quantile_linear") problem_.param[0] = fractions[pick(0, 6)];
    if (name_ == "quantile") problem_.param[1] = double(pick(0, 2));
    if (name_ == "soft") problem_.param[0] = pick(0, 1) ? 1 : 0.25, problem_.param[1] = double(pick(0, 1));
    if (name_ == "top_k_mean") problem_.param[0] = double(pick(0, 3) ? pick(1, 5) : pick(1, 200));
    constexpr double trims[] = {0, 0.1, 0.25, 1.0 / 9, 0.4, 0.5};
    if (name_ == "trimmed_mean") problem_.param[0] = trims[pick(0, 5)];
    with_logits_ = takes_logits(method) && pick(0, 1);
    if (with_logits_) problem_.param[1] = 0;
    data_ = Data(pick(0, 3));
    flush_ = Flush(pick(0, 1));
    streamed_ = pick(0, 3) ? 0 : pick(1, 4096);
    inputs_ = outer * geometry.volume() * inner;
    outputs_ = outer * geometry.cells() * inner;
  }

  void run() {
    current = title("");
    check_contract();
    if (refusal(problem_)) return;
    prepare();
    const Output* first = nullptr;
    std::vector<Output> outputs(isa_count());
    for (int i = 0; i < isa_count(); ++i) {
      current = title(isa_name(i));
      check(set_isa(isa_name(i)), "set_isa");
      set_streamed(streamed_ != 0 ? 0 : INT64_MAX, streamed_);
      run_isa(outputs[i]);
      if (!first) {
        first = &outputs[i];
        continue;
      }
      check(same(first->y, outputs[i].y), "y has other bits than under " + std::string(isa_name(0)));
      check(same(first->grad_x, outputs[i].grad_x), "grad_x has other bits than under " + std::string(isa_name(0)));
    }
  }

 private:
  using Bytes = std::vector<char>;
  struct Output {
    Bytes y, grad_x;
  };

  std::string title(const char* isa) const {
    constexpr const char* counts[] = {"valid", "padded", "fixed"};
    constexpr const char* data[] = {"plain", "ties", "special", "extreme"};
    return name_ + " " + test::name(problem_.dtype) + " " + isa + " outer=" + std::to_string(problem_.outer) +
           " inner=" + std::to_string(problem_.inner) + " " + describe(geometry_) +
           " count=" + counts[int(problem_.count)] + " divisor=" + std::to_string(problem_.divisor) +
           " param=" + show(problem_.param[0]) + (with_logits_ ? " logits" : "") + " data=" + data[int(data_)] +
           " flush=" + (flush_ == Flush::begin ? "begin" : "end") + " streamed=" + std::to_string(streamed_);
  }

  // What holds before anything runs.
  void check_contract() {
    int64_t packed[kWindowInts] = {geometry_.rank, int64_t(problem_.count), problem_.divisor};
    int64_t* next = packed + 3;
    for (const Axis& a : problem_.axis) {
      for (const int64_t value : {a.in, a.out, a.kernel, a.stride, a.dilation, a.pad_low, a.pad_high}) *next++ = value;
    }
    const Problem made =
        make_problem(problem_.method, problem_.dtype, problem_.outer, problem_.inner, packed, problem_.param, 2);
    bool equal = made.method == problem_.method && made.dtype == problem_.dtype && made.outer == problem_.outer &&
                 made.inner == problem_.inner && made.count == problem_.count && made.divisor == problem_.divisor &&
                 made.param[0] == problem_.param[0] && made.param[1] == problem_.param[1];
    for (int i = 0; i < 3; ++i) {
      equal = equal && std::memcmp(&made.axis[i], &problem_.axis[i], sizeof(Axis)) == 0;
    }
    check(equal, "make_problem does not give back what was packed");

    const bool extreme = name_ == "max" || name_ == "min", sums = name_ == "avg" || name_ == "sum";
    const bool between = name_ == "quantile_linear", powers = name_ == "lp" || name_ == "power_avg" || name_ == "gem";
    const bool supported =
        is_float(problem_.dtype) || extreme || name_ == "quantile" || (sums && problem_.dtype == DType::i64);
    check((refusal(problem_) == nullptr) == supported, supported ? "refused" : "not refused");

    const int needed = name_ == "stochastic"                                     ? kNeedsWinners | kNeedsSeed
                       : extreme || name_ == "avg_max" || name_ == "quantile"    ? kNeedsWinners
                       : sums || between                                         ? kNeedsNothing
                       : powers || name_ == "stochastic_mean" || name_ == "soft" ? kNeedsX | kNeedsY
                                                                                 : kNeedsX;
    check(needs(problem_.method) == needed, "needs");
    check(has_winners(problem_.method) == ((needed & kNeedsWinners) != 0), "has_winners");
    check(has_gradient(problem_.method) == !between, "has_gradient");
    check(takes_logits(problem_.method) == (name_ == "soft"), "takes_logits");

    Guarded text(12, Flush::end);
    explain(problem_, true, static_cast<char*>(text.data()), text.bytes());
    check(text.intact() && std::memchr(text.data(), 0, text.bytes()), "explain overruns its buffer");

    double extent = 1;
    for (const Axis& a : problem_.axis) {
      int64_t longest = std::min(a.kernel, a.in);
      for (int64_t o = 0; a.kernel == 0 && o < a.out; ++o) {
        longest = std::max(longest, ((o + 1) * a.in + a.out - 1) / a.out - o * a.in / a.out);
      }
      extent *= double(std::max<int64_t>(longest, 1));
    }
    check(winner_bytes(problem_) == (extent <= 256 ? 1 : extent <= 65536 ? 2 : 4), "winner_bytes");
  }

  void prepare() {
    const std::vector<reference::Window> windows = reference::windows(problem_);
    const DType dtype = problem_.dtype;
    x_.resize(inputs_ * bytes(dtype));
    if (!is_float(dtype)) {
      const bool sums = name_ == "avg" || name_ == "sum";
      const std::vector<int64_t> x = integers(dtype, inputs_, data_, sums);
      store_integer(dtype, x, x_.data());
      const auto result = reference::forward(problem_, windows, x, seed_);
      forward_.integer = result.y;
      forward_.winner = result.winner;
      return;
    }

    store_real(dtype, reals(dtype, inputs_, data_), x_.data());
    const std::vector<double> x = load_real(dtype, x_.data(), inputs_);
    std::vector<double> logits;
    if (with_logits_) {
      logits_.resize(x_.size());
      store_real(dtype, reals(dtype, inputs_, data_), logits_.data());
      logits = load_real(dtype, logits_.data(), inputs_);
    }
    const auto result = reference::forward(problem_, windows, x, seed_, logits);
    forward_.real = result.y;
    forward_.winner = result.winner;
    forward_.tolerance.resize(outputs_);
    for (size_t i = 0; i < outputs_; ++i) {
      const double terms = double(windows[i / problem_.inner % windows.size()].cells.size());
      forward_.tolerance[i] = tolerance(result.size[i], terms, result.y[i]);
    }

    // Backward starts from y as stored, so that its rounding is not held against the kernel.
    y_.resize(outputs_ * bytes(dtype));
    store_real(dtype, result.y, y_.data());
    grad_y_.resize(outputs_ * bytes(dtype));
    store_real(dtype, reals(dtype, outputs_, Data::plain), grad_y_.data());
    const std::vector<double> grad_y = load_real(dtype, grad_y_.data(), outputs_);
    if (with_logits_) {
      expect(backward_, reference::weighted_backward(problem_, windows, grad_y, x, logits, false));
      expect(logits_backward_, reference::weighted_backward(problem_, windows, grad_y, x, logits, true));
    } else {
      const std::vector<double> y = load_real(dtype, y_.data(), outputs_);
      expect(backward_, reference::backward(problem_, windows, grad_y, x, y, result.winner));
    }
  }

  void expect(Expected& expected, const reference::Backward& gradient) const {
    expected.real = gradient.grad_x;
    expected.tolerance.resize(inputs_);
    for (size_t i = 0; i < inputs_; ++i) {
      expected.tolerance[i] = tolerance(gradient.size[i], double(gradient.terms[i]), gradient.grad_x[i]);
    }
  }

  // `terms` numbers whose sizes add up to `size` were added in the accumulator's type, in any order, and the
  // result was rounded to the storage's; a power costs some more units in the last place, the more the larger
  // it is.
  double tolerance(double size, double terms, double result) const {
    const bool powers = name_ == "lp" || name_ == "power_avg" || name_ == "gem";
    if ((name_ == "max" || name_ == "min") && terms <= 1) return 0;
    const double steps = terms + 4 + (powers ? 64 + 8 * problem_.param[0] : 0);
    const Format kept = format(problem_.dtype);
    // Of a power so small that it lost digits, a multiple.
    const double least = powers ? 8 * kept.tiny() : kept.tiny();
    return accumulator(problem_.dtype).eps() * steps * size + kept.eps() * std::fabs(result) + least;
  }

  void run_isa(Output& output) {
    const DType dtype = problem_.dtype;
    Guarded x(x_.size(), flush_), y(outputs_ * bytes(dtype), flush_);
    std::copy(x_.begin(), x_.end(), static_cast<char*>(x.data()));
    x.seal();
    Guarded logits(logits_.size(), flush_);
    std::copy(logits_.begin(), logits_.end(), static_cast<char*>(logits.data()));
    logits.seal();
    const void* scores = with_logits_ ? logits.data() : nullptr;

    forward(problem_, x.data(), y.data(), nullptr, kSerial, seed_, scores);
    check_output("y", forward_, y);
    output.y = copy(y);
    for (const Parallel& parallel : {kPieces, kPoolThreads}) {
      y.poison();
      forward(problem_, x.data(), y.data(), nullptr, parallel, seed_, scores);
      check(y.intact() && same(output.y, copy(y)), "y depends on how the work is split");
    }

    const bool keeps = has_winners(problem_.method);
    Guarded winners(keeps ? outputs_ * winner_bytes(problem_) : 0, flush_);
    if (keeps) check_winners(x, y, winners);
    if (is_float(dtype) && has_gradient(problem_.method)) check_backward(x, winners, scores, output);
  }

  void check_output(const std::string& what, const Expected& expected, const Guarded& got) {
    const std::string difference = expected.difference(problem_.dtype, got.data());
    check(difference.empty(), what + difference);
    check(got.intact(), what + ": written out of bounds");
  }

  void check_winners(const Guarded& x, Guarded& y, Guarded& winners) {
    Bytes first;
    for (const Parallel& parallel : {kSerial, kPieces}) {
      y.poison();
      winners.poison();
      forward(problem_, x.data(), y.data(), winners.data(), parallel, seed_);
      check_output("with winners, y", forward_, y);
      check(winners.intact(), "winners: written out of bounds");
      if (first.empty()) first = copy(winners);
      check(first == copy(winners), "winners depend on how the work is split");
    }
    Guarded positions(outputs_ * sizeof(int64_t), flush_);
    for (const Parallel& parallel : {kSerial, kPieces}) {
      positions.poison();
      indices(problem_, winners.data(), static_cast<int64_t*>(positions.data()), parallel);
      const std::string difference =
          test::difference(load_integer(DType::i64, positions.data(), outputs_), forward_.winner);
      check(difference.empty(), "indices" + difference);
      check(positions.intact(), "indices: written out of bounds");
    }
    winners.seal();
  }

  void check_backward(const Guarded& x, const Guarded& winners, const void* logits, Output& output) {
    const int needed = needs(problem_.method);
    Guarded grad_y(grad_y_.size(), flush_), y(y_.size(), flush_), grad_x(x_.size(), flush_);
    Guarded grad_logits(logits_.size(), flush_);
    Bytes first_logits;
    std::copy(grad_y_.begin(), grad_y_.end(), static_cast<char*>(grad_y.data()));
    std::copy(y_.begin(), y_.end(), static_cast<char*>(y.data()));
    grad_y.seal();
    y.seal();
    for (const Parallel& parallel : {kSerial, kPieces, kPoolThreads}) {
      grad_x.poison();
      grad_logits.poison();
      backward(problem_, grad_y.data(), needed & kNeedsX ? x.data() : nullptr, needed & kNeedsY ? y.data() : nullptr,
               needed & kNeedsWinners ? winners.data() : nullptr, grad_x.data(), parallel, logits,
               with_logits_ ? grad_logits.data() : nullptr);
      if (output.grad_x.empty()) {
        check_output("grad_x", backward_, grad_x);
        output.grad_x = copy(grad_x);
      }
      check(grad_x.intact() && same(output.grad_x, copy(grad_x)), "grad_x depends on how the work is split");
      if (!with_logits_) continue;
      if (first_logits.empty()) {
        check_output("grad_logits", logits_backward_, grad_logits);
        first_logits = copy(grad_logits);
      }
      check(grad_logits.intact() && same(first_logits, copy(grad_logits)), "grad_logits depends on how work is split");
    }
  }

  static Bytes copy(const Guarded& memory) {
    const char* data = static_cast<const char*>(memory.data());
    return Bytes(data, data + memory.bytes());
  }
  bool same(const Bytes& a, const Bytes& b) const {
    return a.size() == b.size() && same_bits(problem_.dtype, a.data(), b.data(), a.size() / bytes(problem_.dtype));
  }

  Geometry geometry_;
  std::string name_;
  Problem problem_;
  uint64_t seed_ = random_bits();
  Data data_;
  Flush flush_;
  int64_t streamed_;  // bytes of a part, or 0 for none
  size_t inputs_, outputs_;
  bool with_logits_;
  Bytes x_, y_, grad_y_, logits_;
  Expected forward_, backward_, logits_backward_;
};

}  // namespace

void sweep_pools(int random_count) {
  constexpr int64_t inners[] = {2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67, 130, 700, 4100};
  constexpr double kReads = 30000;  // of one problem, unless a single plane needs more
  int number = 0, order = 0, slow_ones = 0;
  for (const Geometry& geometry : geometries(random_count)) {
    const bool slow = geometry.work() * double(std::max<int64_t>(1, geometry.planes)) > kReads;
    int turn = slow ? slow_ones++ : 0;
    if (!share.has(order++)) continue;
    current = describe(geometry);
    for (const Axis& a : geometry.axis) check(a.out > 0 || a.kernel == 0, "a geometry that cannot be");
    const double planes = std::max(1.0, kReads / std::max(geometry.work(), 1.0));
    for (int method = 0; method < method_count(); ++method) {
      for (const DType dtype : kDTypes) {
        ++number;
        // Where one plane takes long, every method meets a quarter of the dtypes: in four such geometries all.
        if (slow && turn++ % 4 != 0) continue;
        const int64_t inner =
            std::min(inners[size_t(number) % std::size(inners)], std::max<int64_t>(int64_t(planes), 2));
        const int64_t few = std::max(geometry.planes, std::min(int64_t(planes), pick(1, 5)));
        const int64_t empty_batch = pick(0, 40) ? 1 : 0;
        for (const auto& [outer, lanes] : {std::pair{few, int64_t(1)}, {pick(1, 2) * empty_batch, inner}}) {
          PoolTest(geometry, method, dtype, outer, lanes).run();
        }
      }
    }
  }
}

}  // namespace poolkit::test
