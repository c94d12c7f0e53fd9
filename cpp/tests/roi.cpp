// RoI align and RoI pool against loops over samples and cells, in both layouts; the same bits for every instruction
// set and way to run in parallel; nothing read or written out of bounds, wherever the boxes lie.
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

constexpr DType kFloats[] = {DType::f32, DType::f64, DType::f16, DType::bf16};
constexpr double kFarthest = 2147483648.0;

using Reals = std::vector<double>;

class RoiTest {
 public:
  RoiTest(DType dtype, bool hostile) : hostile_(hostile) {
    const int64_t few[] = {1, 2, 3, 5, 9, 21}, many[] = {34, 70};
    regions_ = {dtype,
                pick(0, 1) == 1,
                pick(0, 9) ? pick(1, 3) : 0,
                pick(0, 5) ? few[pick(0, 5)] : many[pick(0, 1)],
                pick(1, 13),
                pick(0, 9) ? pick(1, 40) : pick(41, 300),
                0,
                pick(1, 5),
                pick(1, 5),
                nullptr,
                std::ldexp(1.0, int(pick(-2, 1)))};
    regions_.boxes = regions_.samples ? pick(0, 4) : 0;
    sampling_ = {pick(0, 3), pick(0, 1) == 1};
    for (int64_t i = 0; i < regions_.boxes; ++i) add_box();
    x_ = rounded(noise(map_count()));
    grad_y_ = rounded(noise(bin_count()));
    for (double& value : x_) {
      if (pick(0, 15) == 0) value = double(pick(-1, 1));  // ties
    }
  }

  void run() {
    current = std::string("roi ") + name(regions_.dtype) + (regions_.channels_last ? " channels last" : "") +
              " samples=" + std::to_string(regions_.samples) + " channels=" + std::to_string(regions_.channels) +
              " map=" + std::to_string(regions_.height) + "x" + std::to_string(regions_.width) +
              " boxes=" + std::to_string(regions_.boxes) + " bins=" + std::to_string(regions_.out_height) + "x" +
              std::to_string(regions_.out_width) + " ratio=" + std::to_string(sampling_.ratio) +
              (sampling_.aligned ? " aligned" : "") + (hostile_ ? " hostile" : "");
    Reals y = zeros(bin_count()), grad_x = zeros(map_count());
    if (!hostile_) align_by_samples(y, grad_x);
    compare("align", y, grad_x, false);

    Reals best = zeros(bin_count()), best_grad_x = zeros(map_count());
    winners_.assign(size_t(bin_count()), -1);
    pool_by_cells(best, best_grad_x);
    compare("pool", best, best_grad_x, true);
  }

 private:
  int64_t map_count() const { return regions_.samples * regions_.channels * regions_.height * regions_.width; }
  int64_t bin_count() const { return regions_.boxes * regions_.channels * regions_.out_height * regions_.out_width; }

  static Reals zeros(int64_t count) { return Reals(size_t(count), 0.0); }
  static Reals noise(int64_t count) {
    Reals result;
    for (int64_t i = 0; i < count; ++i) result.push_back(pick_real(-2, 2));
    return result;
  }

  // As the dtype holds them.
  Reals rounded(const Reals& values) const {
    std::vector<char> stored(values.size() * bytes(regions_.dtype));
    store_real(regions_.dtype, values, stored.data());
    return load_real(regions_.dtype, stored.data(), values.size());
  }

  void add_box() {
    const double edges[] = {double(regions_.width), double(regions_.height)};
    double box[5] = {double(pick(0, regions_.samples - 1))};
    for (int i = 0; i < 4; ++i) {
      const double edge = edges[i % 2] / regions_.scale;
      const double far[] = {1e30, -1e30, 1e308, -1e308, 4e9, -4e9, 1e-310, 0, edge, -edge};
      box[1 + i] = hostile_ ? far[pick(0, 9)] : double(pick(int64_t(-8 * edge), int64_t(16 * edge))) / 8;
    }
    if (pick(0, 3)) {
      for (int i = 1; i < 3; ++i) {
        if (box[i] > box[i + 2]) std::swap(box[i], box[i + 2]);
      }
    }
    boxes_.insert(boxes_.end(), box, box + 5);
  }

  double corner(int64_t box, int which) const {
    return std::clamp(boxes_[size_t(box * 5 + which)] * regions_.scale, -kFarthest, kFarthest);
  }

  size_t map_at(int64_t sample, int64_t channel, int64_t row, int64_t column) const {
    const auto& r = regions_;
    return size_t(r.channels_last ? ((sample * r.height + row) * r.width + column) * r.channels + channel
                                  : ((sample * r.channels + channel) * r.height + row) * r.width + column);
  }
  size_t bin_at(int64_t box, int64_t channel, int64_t p, int64_t q) const {
    const auto& r = regions_;
    return size_t(r.channels_last ? ((box * r.out_height + p) * r.out_width + q) * r.channels + channel
                                  : ((box * r.channels + channel) * r.out_height + p) * r.out_width + q);
  }

  template <class F>
  void for_bins(F f) const {
    for (int64_t k = 0; k < regions_.boxes; ++k) {
      for (int64_t p = 0; p < regions_.out_height; ++p) {
        for (int64_t q = 0; q < regions_.out_width; ++q) f(k, int64_t(boxes_[size_t(k * 5)]), p, q);
      }
    }
  }

  // One sample after the other, between its four cells.
  void align_by_samples(Reals& y, Reals& grad_x) const {
    const auto& r = regions_;
    const auto side = [&](double begin, double end) {
      return sampling_.aligned ? end - begin : std::max(end - begin, 1.0);
    };
    for_bins([&](int64_t k, int64_t sample, int64_t p, int64_t q) {
      const double x1 = corner(k, 1), y1 = corner(k, 2);
      const double bin_height = side(y1, corner(k, 4)) / double(r.out_height);
      const double bin_width = side(x1, corner(k, 3)) / double(r.out_width);
      const double offset = sampling_.aligned ? 0.5 : 0;
      const int64_t down = sampling_.ratio ? sampling_.ratio : int64_t(std::ceil(bin_height));
      const int64_t across = sampling_.ratio ? sampling_.ratio : int64_t(std::ceil(bin_width));
      for (int64_t i = 0; i < down; ++i) {
        for (int64_t j = 0; j < across; ++j) {
          double v = y1 - offset + double(p) * bin_height + (double(i) + 0.5) * bin_height / double(down);
          double h = x1 - offset + double(q) * bin_width + (double(j) + 0.5) * bin_width / double(across);
          if (v < -1 || v > double(r.height) || h < -1 || h > double(r.width)) continue;
          v = std::clamp(v, 0.0, double(r.height - 1));
          h = std::clamp(h, 0.0, double(r.width - 1));
          const auto top = int64_t(v), left = int64_t(h);
          for (int corner = 0; corner < 4; ++corner) {
            const int64_t row = top + corner / 2, column = left + corner % 2;
            const double weight = (corner / 2 ? v - double(top) : 1 - (v - double(top))) *
                                  (corner % 2 ? h - double(left) : 1 - (h - double(left))) / double(down * across);
            if (weight == 0) continue;
            for (int64_t c = 0; c < r.channels; ++c) {
              y[bin_at(k, c, p, q)] += weight * x_[map_at(sample, c, row, column)];
              grad_x[map_at(sample, c, row, column)] += weight * grad_y_[bin_at(k, c, p, q)];
            }
          }
        }
      }
    });
  }

  void pool_by_cells(Reals& y, Reals& grad_x) {
    const auto& r = regions_;
    const auto span = [](double begin, double end, int64_t bin, int64_t bins, int64_t cells) {
      const auto first = int64_t(std::round(begin));
      const int64_t size = std::max<int64_t>(int64_t(std::round(end)) - first + 1, 1);
      const int64_t low = first + bin * size / bins, high = first + ((bin + 1) * size + bins - 1) / bins;
      return std::pair{std::clamp<int64_t>(low, 0, cells), std::clamp<int64_t>(high, 0, cells)};
    };
    for_bins([&](int64_t k, int64_t sample, int64_t p, int64_t q) {
      const auto [top, bottom] = span(corner(k, 2), corner(k, 4), p, r.out_height, r.height);
      const auto [left, right] = span(corner(k, 1), corner(k, 3), q, r.out_width, r.width);
      for (int64_t c = 0; c < r.channels; ++c) {
        const size_t bin = bin_at(k, c, p, q);
        for (int64_t row = top; row < bottom; ++row) {
          for (int64_t column = left; column < right; ++column) {
            const double value = x_[map_at(sample, c, row, column)];
            if (winners_[bin] >= 0 && !(value > y[bin])) continue;
            y[bin] = value;
            winners_[bin] = row * r.width + column;
          }
        }
        if (winners_[bin] < 0) continue;
        grad_x[map_at(sample, c, winners_[bin] / r.width, winners_[bin] % r.width)] += grad_y_[bin];
      }
    });
  }

  void compare(const std::string& what, const Reals& y, const Reals& grad_x, bool pools) const {
    const size_t element = bytes(regions_.dtype), winner = size_t(roi_winner_bytes(regions_));
    std::vector<std::vector<char>> first;
    for (int i = 0; i < isa_count(); ++i) {
      set_isa(isa_name(i));
      for (const Flush flush : {Flush::begin, Flush::end}) {
        for (const Parallel& parallel : {kSerial, kPieces, kPoolThreads}) {
          Guarded x(x_.size() * element, flush), grad_y(grad_y_.size() * element, flush);
          Guarded boxes(boxes_.size() * sizeof(double), flush), winners(y.size() * winner, flush);
          Guarded got_y(y.size() * element, flush), plain(y.size() * element, flush);
          Guarded got_grad_x(grad_x.size() * element, flush);
          store_real(regions_.dtype, x_, x.data());
          store_real(regions_.dtype, grad_y_, grad_y.data());
          std::copy(boxes_.begin(), boxes_.end(), static_cast<double*>(boxes.data()));
          for (Guarded* memory : {&x, &grad_y, &boxes}) memory->seal();
          Regions regions = regions_;
          regions.box = static_cast<const double*>(boxes.data());
          check(bad_box(regions) == -1, what + ": a good box is refused");
          if (pools) {
            roi_pool(regions, x.data(), plain.data(), nullptr, parallel);
            roi_pool(regions, x.data(), got_y.data(), winners.data(), parallel);
            winners.seal();
            roi_pool_backward(regions, grad_y.data(), winners.data(), got_grad_x.data(), parallel);
            check(same_bytes(plain, got_y.data()), what + ": values differ without winners");
            check(winners_are_right(winners, int(winner)), what + ": a wrong winner");
          } else {
            roi_align(regions, sampling_, x.data(), got_y.data(), parallel);
            roi_align_backward(regions, sampling_, grad_y.data(), got_grad_x.data(), parallel);
          }
          for (const Guarded* memory : {&got_y, &plain, &winners, &got_grad_x}) {
            check(memory->intact(), what + ": written out of bounds");
          }
          if (first.empty()) {
            check(near(got_y, y, pools ? 0 : 1), what + ": y is wrong");
            check(near(got_grad_x, grad_x, double(4 * regions_.boxes)), what + ": grad_x is wrong");
            for (const Guarded* memory : {&got_y, &got_grad_x}) {
              const char* data = static_cast<const char*>(memory->data());
              first.emplace_back(data, data + memory->bytes());
            }
          }
          check(same_bytes(got_y, first[0].data()), what + ": y has other bits");
          check(same_bytes(got_grad_x, first[1].data()), what + ": grad_x has other bits");
        }
      }
    }
  }

  static bool same_bytes(const Guarded& a, const void* b) {
    return a.bytes() == 0 || std::memcmp(a.data(), b, a.bytes()) == 0;
  }

  bool winners_are_right(const Guarded& winners, int width) const {
    const uint64_t none = width == 4 ? 0xffffffff : (uint64_t{1} << 8 * width) - 1;
    for (size_t i = 0; i < winners_.size(); ++i) {
      uint64_t got = 0;
      std::memcpy(&got, static_cast<const char*>(winners.data()) + i * size_t(width), size_t(width));
      if (got != (winners_[i] < 0 ? none : uint64_t(winners_[i]))) return false;
    }
    return true;
  }

  // Within some roundings of the largest value; of hostile boxes only that the values are finite.
  bool near(const Guarded& got, const Reals& expected, double magnitude) const {
    const Reals values = load_real(regions_.dtype, got.data(), expected.size());
    const double bound = 2 * magnitude * (2 * format(regions_.dtype).eps() + 64 * accumulator(regions_.dtype).eps()) +
                         (magnitude > 0 ? format(regions_.dtype).tiny() : 0);
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) return false;
      if (!hostile_ && std::fabs(values[i] - expected[i]) > bound) return false;
    }
    return true;
  }

  bool hostile_;
  Regions regions_{};
  Sampling sampling_{};
  Reals boxes_, x_, grad_y_;
  std::vector<int64_t> winners_;
};

void check_bad_boxes() {
  current = "roi bad boxes";
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();
  const double bad[][5] = {{-1, 0, 0, 1, 1},   {2, 0, 0, 1, 1},     {0.5, 0, 0, 1, 1},
                           {kNan, 0, 0, 1, 1}, {1e30, 0, 0, 1, 1},  {0, kNan, 0, 1, 1},
                           {0, 0, kInf, 1, 1}, {0, 0, 0, -kInf, 1}, {0, 0, 0, 1, kNan}};
  for (const auto& box : bad) {
    std::vector<double> boxes = {0, 1, 2, 3, 4, 1, -1e30, 0, 1e30, 5};
    boxes.insert(boxes.end(), box, box + 5);
    Regions regions{DType::f32, false, 2, 1, 4, 4, 3, 2, 2, boxes.data(), 1.0};
    check(bad_box(regions) == 2, "a bad box goes unseen");
    regions.boxes = 2;
    check(bad_box(regions) == -1, "a good box is refused");
  }
}

}  // namespace

void sweep_regions(int random_shapes) {
  check_bad_boxes();
  const std::string best = isa();
  for (int i = 0; i < random_shapes; ++i) {
    if (!share.has(i)) continue;
    for (const DType dtype : kFloats) RoiTest(dtype, i / 2 % 4 == 3).run();
  }
  set_isa(best.c_str());
}

}  // namespace poolkit::test
