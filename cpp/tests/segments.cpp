// Pooling of segments against loops over their rows, in order and in any; the same bits for every instruction set and
// way to run in parallel; nothing read or written out of bounds.
#include "poolkit/segments.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
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

class SegmentTest {
 public:
  SegmentTest(DType dtype, bool is_long) : dtype_(dtype), ordered_(pick(0, 1)) {
    const int64_t many[] = {33, 64, 70, 520}, blocks[] = {1023, 1024, 1025, 2048, 2049, 3500};
    channels_ = is_long || pick(0, 3) ? pick(1, 20) : many[pick(0, 3)];
    for (int64_t i = pick(0, 9) ? pick(1, 6) : 0; i > 0; --i)
      lengths_.push_back(pick(0, 2) ? pick(0, 9) : pick(0, 140));
    if (is_long) {
      channels_ = pick(1, 9);
      for (int64_t i = pick(1, 2); i > 0; --i) lengths_.push_back(blocks[pick(0, 5)]);
      std::shuffle(lengths_.begin(), lengths_.end(), random_bits);
    }
    offsets_.push_back(0);
    for (const int64_t length : lengths_) offsets_.push_back(offsets_.back() + length);
    rows_ = offsets_.back();
    for (size_t s = 0; s < lengths_.size(); ++s) index_.insert(index_.end(), size_t(lengths_[s]), int64_t(s));
    if (ordered_) std::shuffle(index_.begin(), index_.end(), random_bits);
    order_.resize(size_t(rows_));
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](int64_t a, int64_t b) { return index_[size_t(a)] < index_[size_t(b)]; });
    for (int64_t i = 0; i < rows_ * channels_; ++i) {
      x_.push_back(pick(0, 7) ? pick_real(-2, 2) : double(pick(-1, 1)));  // ties
    }
    for (int64_t i = 0; i < count() * channels_; ++i) y_.push_back(pick_real(-2, 2));
    x_ = rounded(x_), y_ = rounded(y_);
    special_ = x_;
    for (double& value : special_) {
      if (pick(0, 60) == 0) value = kNan;
    }
  }

  void run() {
    current = std::string("segments ") + name(dtype_) + (ordered_ ? " in any order" : "") +
              " C=" + std::to_string(channels_) + " of";
    for (const int64_t length : lengths_) current += " " + std::to_string(length);
    const std::string best = isa();
    check_order();
    check_sums();
    check_spread();
    for (const bool largest : {true, false}) check_extremes(largest);
    set_isa(best.c_str());
  }

 private:
  int64_t count() const { return int64_t(lengths_.size()); }
  DType wide() const { return dtype_ == DType::f64 ? DType::f64 : DType::f32; }
  int64_t pitch() const { return channels_ + kGap; }

  Reals rounded(const Reals& values) const {
    std::vector<char> stored(values.size() * bytes(dtype_));
    store_real(dtype_, values, stored.data());
    return load_real(dtype_, stored.data(), values.size());
  }

  // Calls f(result, row, channel) for all rows of all segments in order; the result is that of segment and channel.
  template <class F>
  void for_cells(F f) const {
    for (const int64_t row : order_) {
      for (int64_t c = 0; c < channels_; ++c) f(size_t(index_[size_t(row)] * channels_ + c), row, c);
    }
  }
  size_t cell(int64_t row, int64_t c) const { return size_t(row * channels_ + c); }

  struct Run {
    const Segments& segments;
    const Guarded &x, &y;
    const Parallel& parallel;
  };

  // Calls body(run) for every instruction set, end of memory and way to run in parallel.
  template <class Body>
  void everywhere(const Reals& x, Body body) {
    bits_.clear();
    for (int i = 0; i < isa_count(); ++i) {
      set_isa(isa_name(i));
      for (const Flush flush : {Flush::begin, Flush::end}) {
        for (const Parallel& parallel : {kSerial, kPieces, kPoolThreads}) {
          Reals spaced(rows_ == 0 ? 0 : size_t(rows_ * pitch() - kGap), kNan);
          for (int64_t at = 0; at < int64_t(x.size()); ++at) {
            spaced[size_t(at / channels_ * pitch() + at % channels_)] = x[size_t(at)];
          }
          Guarded input(spaced.size() * bytes(dtype_), flush), result(y_.size() * bytes(dtype_), flush);
          Guarded offsets(offsets_.size() * sizeof(int64_t), flush), order(order_.size() * sizeof(int64_t), flush);
          store_real(dtype_, spaced, input.data());
          store_real(dtype_, y_, result.data());
          std::copy(offsets_.begin(), offsets_.end(), static_cast<int64_t*>(offsets.data()));
          std::copy(order_.begin(), order_.end(), static_cast<int64_t*>(order.data()));
          for (Guarded* memory : {&input, &result, &offsets, &order}) memory->seal();
          flush_ = flush;
          const Segments segments{dtype_, count(), channels_, static_cast<const int64_t*>(offsets.data()),
                                  ordered_ ? static_cast<const int64_t*>(order.data()) : nullptr};
          body(Run{segments, input, result, parallel});
        }
      }
    }
  }

  Guarded results(DType dtype) const { return Guarded(y_.size() * bytes(dtype), flush_); }
  Guarded rows() const { return Guarded(x_.size() * bytes(dtype_), flush_); }

  // Nothing around was written, and the bits are those of the first run.
  void settle(const std::string& what, const Guarded& memory) {
    check(memory.intact(), what + ": written out of bounds");
    const char* const data = static_cast<const char*>(memory.data());
    const auto [first, fresh] = bits_.try_emplace(what, data, data + memory.bytes());
    check(fresh || memory.bytes() == 0 || std::memcmp(first->second.data(), data, memory.bytes()) == 0,
          what + ": other bits");
  }

  static bool same(const Reals& got, const Reals& expected) {
    return std::equal(got.begin(), got.end(), expected.begin(), expected.end(),
                      [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); });
  }

  void check_order() const {
    std::vector<int64_t> offsets(offsets_.size(), -1), order(order_.size(), -1);
    check(segment_order(index_.data(), rows_, count(), offsets.data(), order.data()), "a good index is refused");
    check(offsets == offsets_ && order == order_, "offsets or order are wrong");
    if (rows_ == 0) return;
    for (const int64_t bad : {int64_t{-1}, count()}) {
      std::vector<int64_t> index = index_;
      index[size_t(pick(0, rows_ - 1))] = bad;
      check(!segment_order(index.data(), rows_, count(), offsets.data(), order.data()), "a bad index is taken");
    }
  }

  void check_sums() {
    Reals expected(y_.size(), 0.0), size = expected;
    for_cells([&](size_t at, int64_t row, int64_t c) {
      expected[at] += x_[cell(row, c)];
      size[at] += std::fabs(x_[cell(row, c)]);
    });
    everywhere(x_, [&](const Run& run) {
      const Guarded y = results(wide());
      segment_sum(run.segments, pitch(), run.x.data(), y.data(), run.parallel);
      settle("sum", y);
      const Reals got = load_real(wide(), y.data(), expected.size());
      bool right = true;
      for (size_t i = 0; i < got.size(); ++i) {
        right = right && std::fabs(got[i] - expected[i]) <= size[i] * 16 * accumulator(dtype_).eps();
      }
      check(right, "sum: y is wrong");
    });
  }

  void check_spread() {
    Reals expected(x_.size(), 0.0);
    for_cells([&](size_t at, int64_t row, int64_t c) { expected[cell(row, c)] = y_[at]; });
    everywhere(x_, [&](const Run& run) {
      const Guarded x = rows();
      segment_spread(run.segments, run.y.data(), x.data(), run.parallel);
      settle("spread", x);
      check(same(load_real(dtype_, x.data(), expected.size()), expected), "spread: x is wrong");
    });
  }

  void check_extremes(bool largest) {
    Reals expected(y_.size(), 0.0), back(x_.size(), 0.0);
    std::vector<int32_t> winner(y_.size(), 0), number(y_.size(), 0);
    std::vector<int64_t> winning_row(y_.size(), -1);
    for_cells([&](size_t at, int64_t row, int64_t c) {
      const double value = special_[cell(row, c)];
      const bool better = largest ? value > expected[at] : value < expected[at];
      if (winning_row[at] < 0 || better || std::isnan(value)) {
        expected[at] = value, winner[at] = number[at], winning_row[at] = row;
      }
      ++number[at];
    });
    for (size_t at = 0; at < y_.size(); ++at) {
      if (winning_row[at] >= 0) back[cell(winning_row[at], int64_t(at) % channels_)] = y_[at];
    }
    everywhere(special_, [&](const Run& run) {
      const Guarded y = results(dtype_), plain = results(dtype_), winners = results(DType::i32), grad_x = rows();
      auto* const places = static_cast<int32_t*>(winners.data());
      segment_extreme(run.segments, pitch(), largest, run.x.data(), plain.data(), nullptr, run.parallel);
      segment_extreme(run.segments, pitch(), largest, run.x.data(), y.data(), places, run.parallel);
      segment_extreme_backward(run.segments, run.y.data(), places, grad_x.data(), run.parallel);
      settle("extreme", y), settle("extreme", plain), settle("winners", winners), settle("grad of extreme", grad_x);
      check(same(load_real(dtype_, y.data(), expected.size()), expected), "extreme: y is wrong");
      check(std::equal(winner.begin(), winner.end(), places), "extreme: a winner is wrong");
      check(load_real(dtype_, grad_x.data(), back.size()) == back, "extreme: grad_x is wrong");
    });
  }

  DType dtype_;
  bool ordered_;
  int64_t channels_, rows_ = 0;
  std::vector<int64_t> lengths_, offsets_, index_, order_;
  Reals x_, special_, y_;
  Flush flush_ = Flush::begin;
  std::map<std::string, std::vector<char>> bits_;
};

}  // namespace

void sweep_segments(int random_shapes) {
  for (int i = 0; i < random_shapes; ++i) {
    if (!share.has(i)) continue;
    for (const DType dtype : kFloats) SegmentTest(dtype, i % 4 == 1).run();
  }
}

}  // namespace poolkit::test
