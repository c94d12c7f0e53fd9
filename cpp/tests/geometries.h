// The problems of the sweep: hand-picked corners first, then random ones from a fixed seed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "poolkit/problem.h"

namespace poolkit::test {

struct Geometry {
  int rank;
  Axis axis[3];
  int64_t planes = 0;  // at least so many, where not 0
  int64_t volume() const { return axis[0].in * axis[1].in * axis[2].in; }
  int64_t cells() const { return axis[0].out * axis[1].out * axis[2].out; }
  // Reads of one plane.
  double work() const {
    double product = 1;
    for (const Axis& a : axis)
      product *= double(a.out) * double(a.kernel ? a.kernel : a.in / std::max<int64_t>(a.out, 1) + 2);
    return product;
  }
};

constexpr Axis kTrivial = {1, 1, 1, 1, 1, 0, 0};

inline Axis adaptive(int64_t in, int64_t out) { return {in, out, 0, 1, 1, 0, 0}; }

// `out` is 0 where no window fits or one would lie wholly in the padding.
inline Axis sliding(int64_t in, int64_t kernel, int64_t stride, int64_t dilation = 1, int64_t pad_low = 0,
                    int64_t pad_high = 0, bool ceil_mode = false) {
  Axis axis = {in, 0, kernel, stride, dilation, pad_low, pad_high};
  const int64_t room = in + pad_low + pad_high - dilation * (kernel - 1) - 1;
  if (room < 0) return axis;
  axis.out = (ceil_mode ? room + stride - 1 : room) / stride + 1;
  if (ceil_mode && (axis.out - 1) * stride >= in + pad_low) --axis.out;
  for (int64_t output = 0; output < axis.out; ++output) {
    bool holds = false;
    for (int64_t tap = 0; tap < kernel; ++tap) {
      const int64_t position = output * stride - pad_low + tap * dilation;
      holds = holds || (position >= 0 && position < in);
    }
    if (!holds) axis.out = 0;
  }
  return axis;
}

inline std::string describe(const Geometry& geometry) {
  std::string text;
  for (int i = 3 - geometry.rank; i < 3; ++i) {
    const Axis& a = geometry.axis[i];
    const auto field = [&text](const char* label, int64_t value) { text += label + std::to_string(value); };
    field(i == 3 - geometry.rank ? "[" : " [", a.in);
    field("->", a.out);
    if (a.kernel == 0) {
      text += " adaptive";
    } else {
      field(" kernel=", a.kernel);
      field(" stride=", a.stride);
      field(" dilation=", a.dilation);
      field(" pad=", a.pad_low);
      field(",", a.pad_high);
    }
    text += "]";
  }
  return text;
}

inline std::vector<Geometry> picked() {
  std::vector<Geometry> all;
  const auto line = [&all](Axis w) { all.push_back({1, {kTrivial, kTrivial, w}}); };
  const auto plane = [&all](Axis h, Axis w) { all.push_back({2, {kTrivial, h, w}}); };
  const auto solid = [&all](Axis d, Axis h, Axis w) { all.push_back({3, {d, h, w}}); };

  // One cell; one window; widths around every vector length; rows longer than a tile.
  line(sliding(1, 1, 1));
  line(sliding(1, 3, 1, 1, 1, 1));
  for (int64_t width = 2; width <= 18; ++width) line(sliding(width, 2, 1 + width % 2));
  for (const int64_t width : {31, 32, 33, 34, 63, 65, 66, 127, 129}) line(sliding(width, 3, 2, 1, 1, 1));
  line(sliding(5000, 3, 1, 1, 1, 1));
  line(sliding(9001, 2, 2));
  line(sliding(4500, 5, 3, 7, 9, 2));
  // Large windows, up to winners of two and four bytes.
  line(sliding(300, 65, 1, 1, 32, 32));
  line(sliding(700, 300, 7));
  line(sliding(257, 256, 1));
  line(sliding(258, 257, 1));
  line(adaptive(70000, 1));
  plane(adaptive(300, 1), adaptive(301, 1));
  plane(sliding(20, 13, 1, 1, 6, 6), sliding(21, 13, 1, 1, 6, 6));
  plane(sliding(40, 31, 3), sliding(45, 37, 2, 1, 18, 18));
  plane(sliding(24, 11, 1, 1, 5, 5), sliding(1100, 9, 1, 1, 4, 4));
  plane(sliding(130, 12, 1), sliding(33, 6, 3, 2, 5, 4));
  // Strides beyond the kernel; kernels beyond the input; dilation beyond the input.
  line(sliding(100, 2, 31));
  line(sliding(100, 3, 40, 2, 1, 2));
  line(sliding(3, 7, 1, 1, 3, 3));
  plane(sliding(2, 5, 1, 1, 2, 2), sliding(2, 5, 2, 1, 2, 2));
  line(sliding(5, 3, 1, 4, 4, 4));
  line(sliding(5, 2, 1, 5, 3, 2));
  // Where networks pool.
  plane(sliding(28, 2, 2), sliding(28, 2, 2));
  plane(sliding(29, 3, 2, 1, 1, 1), sliding(30, 3, 2, 1, 1, 1));
  plane(sliding(17, 3, 1, 1, 1, 1), sliding(19, 3, 1, 1, 1, 1));
  plane(sliding(13, 5, 1, 1, 2, 2), sliding(13, 5, 1, 1, 2, 2));
  plane(sliding(9, 3, 2, 1, 0, 1, true), sliding(10, 3, 2, 1, 1, 0, true));
  plane(sliding(7, 2, 3, 1, 0, 0, true), sliding(8, 2, 3, 1, 1, 1, true));
  plane(sliding(6, 1, 1), sliding(50, 5, 4));
  plane(sliding(50, 5, 4), sliding(6, 1, 1));
  plane(sliding(11, 3, 2, 2, 2, 1), sliding(23, 4, 3, 3, 5, 4));
  // The same columns, in rows of one to four vectors and longer ones.
  for (const int64_t width : {7, 16, 17, 33, 63, 100}) {
    plane(sliding(4, 2, 2), sliding(width, 2, 2));
    plane(sliding(5, 3, 2, 1, 1, 1), sliding(width, 3, 2, 1, 1, 1));
    plane(sliding(6, 3, 2, 1, 0, 1, true), sliding(width, 3, 2, 1, 0, 1, true));
    plane(sliding(4, 3, 1, 1, 1, 1), sliding(width, 3, 1, 1, 1, 1));
    plane(sliding(4, 4, 2, 1, 1, 1), sliding(width, 3, 1));
    plane(sliding(4, 3, 2, 2, 2, 2), sliding(width, 2, 1));
  }
  // Many small maps, which go side by side: more than a vector, fewer, and a vector and a half; of one band, and of
  // several that keep rows; windows of every way to follow from one another.
  const auto maps = [&all](int64_t planes, Axis h, Axis w, Axis d = kTrivial) {
    all.push_back({d.in == 1 ? 2 : 3, {d, h, w}, planes});
  };
  maps(17, sliding(14, 3, 1, 1, 1, 1), sliding(14, 3, 1, 1, 1, 1));
  maps(8, sliding(15, 2, 2), sliding(14, 2, 2));
  maps(20, sliding(13, 3, 2, 1, 1, 1), sliding(12, 3, 2, 1, 0, 1, true));
  maps(33, sliding(12, 5, 1, 1, 2, 2), sliding(9, 4, 1, 1, 1, 2));
  maps(9, sliding(11, 11, 1, 1, 5, 5), sliding(10, 9, 1, 1, 4, 4));
  maps(18, sliding(6, 11, 1, 1, 5, 5), sliding(7, 9, 1, 1, 5, 3));
  maps(16, sliding(70, 3, 1, 1, 1, 1), sliding(5, 3, 1, 1, 1, 0));
  maps(19, sliding(41, 5, 1), sliding(6, 6, 1, 1, 2, 3));
  maps(12, sliding(75, 3, 1, 2, 2, 2), sliding(6, 3, 1, 2, 1, 2));
  maps(34, sliding(60, 5, 3, 1, 2, 0), sliding(7, 5, 2, 1, 2, 2));
  maps(32, sliding(8, 5, 1, 1, 2, 2), sliding(26, 5, 1, 1, 2, 2));
  maps(35, sliding(12, 7, 1, 1, 3, 2), sliding(40, 6, 1, 1, 1, 3));
  maps(17, adaptive(14, 5), adaptive(11, 4));
  maps(17, sliding(9, 3, 1, 1, 1, 1), sliding(8, 3, 1, 1, 1, 1), sliding(4, 3, 1, 1, 1, 1));
  maps(10, sliding(7, 2, 2), sliding(6, 4, 1, 1, 2, 1), sliding(6, 2, 1, 3, 1, 2));
  // Channels last: windows that share their parts, in several bands of rows and in wide ones.
  plane(sliding(90, 6, 1, 1, 2, 2), sliding(9, 5, 1, 1, 2, 2));
  plane(sliding(14, 5, 1, 1, 2, 2), sliding(130, 6, 1, 1, 3, 2));
  solid(sliding(5, 2, 2), sliding(6, 2, 2), sliding(7, 2, 2));
  solid(sliding(4, 3, 1, 1, 1, 1), sliding(5, 3, 2, 1, 1, 1), sliding(9, 3, 1, 1, 1, 1));
  solid(sliding(7, 3, 3, 1, 0, 1, true), sliding(1, 1, 1), sliding(18, 4, 2, 2, 3, 3));
  // Adaptive: global, the identity, upsampling, mixed, empty.
  plane(adaptive(7, 1), adaptive(7, 1));
  plane(adaptive(7, 3), adaptive(10, 4));
  plane(adaptive(5, 5), adaptive(6, 13));
  plane(adaptive(1, 2), adaptive(2, 1));
  plane(adaptive(1, 3), adaptive(9, 1));
  plane(adaptive(17, 16), adaptive(65, 64));
  plane(sliding(8, 2, 2), adaptive(9, 2));
  solid(adaptive(5, 2), adaptive(6, 1), adaptive(7, 3));
  solid(adaptive(3, 1), adaptive(11, 1), adaptive(13, 1));
  plane(adaptive(4, 0), adaptive(5, 2));
  return all;
}

inline std::vector<Geometry> geometries(int random_count) {
  std::vector<Geometry> all = picked();
  std::mt19937 random(20);
  const auto pick = [&random](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  const auto axis = [&pick](int64_t longest) {
    const int64_t in = pick(1, longest);
    if (pick(0, 5) == 0) return adaptive(in, pick(1, in + 3));
    const int64_t kernel = pick(0, 3) ? pick(1, 5) : pick(1, in + 4);
    const int64_t stride = pick(0, 2) ? pick(1, 4) : pick(1, kernel + 3);
    const int64_t dilation = pick(0, 2) ? 1 : pick(1, 5);
    const int64_t widest_pad = std::min<int64_t>(dilation * (kernel - 1), 12);
    return sliding(in, kernel, stride, dilation, pick(0, widest_pad), pick(0, widest_pad), pick(0, 1));
  };
  while (random_count > 0) {
    Geometry geometry = {int(pick(1, 3)), {kTrivial, kTrivial, kTrivial}};
    constexpr int64_t longest[] = {0, 150, 40, 14};
    for (int i = 3 - geometry.rank; i < 3; ++i) geometry.axis[i] = axis(longest[geometry.rank]);
    if (geometry.cells() == 0 || geometry.work() > 20000) continue;
    all.push_back(geometry);
    --random_count;
  }
  return all;
}

}  // namespace poolkit::test
