// Separable filters, compiled as kernels.cpp is: once for each instruction set and storage type. The rows that a row of
// results is made from are added up first, into scratch that stays in the cache; then sums are taken along that row.
#include "filter.h"

#include "storage.h"
#include "walkers/lanes.h"

#define POOLKIT_JOIN(a, b) a##b
#define POOLKIT_FILTER_KERNELS(dtype) POOLKIT_JOIN(filter_kernels_, dtype)

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

using T = StorageOf<DType::POOLKIT_DTYPE>::type;
using A = Storage<T>::Accumulator;
using One = Single<A>;
using Many = Wide<A>;

class Rows {
 public:
  Rows(const FilterCall& call, void* scratch)
      : depth_(*call.axis[0]),
        height_(*call.axis[1]),
        width_(*call.axis[2]),
        inner_(call.inner),
        x_(static_cast<const T*>(call.x)),
        y_(static_cast<T*>(call.y)),
        row_(static_cast<A*>(scratch)) {}

  void run(int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t h = unit % height_.out, d = unit / height_.out % depth_.out,
                    outer = unit / height_.out / depth_.out;
      add_rows(outer, d, h);
      T* const y = y_ + unit * width_.out * inner_;
      if (inner_ > 1) {
        for (int64_t o = 0; o < width_.out; ++o) across(y + o * inner_, o);
        continue;
      }
      const int64_t first = width_.first * width_.each, last = width_.last * width_.each;
      for (int64_t o = 0; o < first; ++o) y[o] = single(o);
      along(y);
      for (int64_t o = last; o < width_.out; ++o) y[o] = single(o);
    }
  }

 private:
  // The weighted sum of the rows that this one is made from.
  void add_rows(int64_t outer, int64_t d, int64_t h) {
    const int64_t length = width_.in * inner_;
    for_lanes<A>(length, length, [&](int64_t i, auto family) {
      using L = decltype(family);
      typename L::Value sum{};
      for (int64_t z = depth_.begin[d]; z < depth_.begin[d + 1]; ++z) {
        const T* const plane = x_ + (outer * depth_.in + depth_.source[z]) * height_.in * length + i;
        for (int64_t y = height_.begin[h]; y < height_.begin[h + 1]; ++y) {
          const auto weight = L::splat(A(depth_.weight[z] * height_.weight[y]));
          sum = sum + weight * load<L>(plane + height_.source[y] * length);
        }
      }
      store<L>(row_ + i, sum);
    });
  }

  // The channels of one result.
  POOLKIT_INLINE void across(T* y, int64_t o) const {
    for_lanes<A>(inner_, inner_, [&](int64_t i, auto family) {
      using L = decltype(family);
      typename L::Value sum{};
      for (int64_t k = width_.begin[o]; k < width_.begin[o + 1]; ++k) {
        sum = sum + L::splat(A(width_.weight[k])) * load<L>(row_ + width_.source[k] * inner_ + i);
      }
      store<L>(y + i, sum);
    });
  }

  POOLKIT_INLINE T single(int64_t o) const {
    A sum{};
    for (int64_t k = width_.begin[o]; k < width_.begin[o + 1]; ++k) {
      sum = sum + A(width_.weight[k]) * row_[width_.source[k]];
    }
    T result;
    store<One>(&result, sum);
    return result;
  }

  // The groups that are alike, lanes running over groups.
  POOLKIT_INLINE void along(T* y) const {
    const int64_t each = width_.each, groups = width_.last - width_.first;
    if (groups < Many::lanes || each > kMostEach) {
      for (int64_t o = width_.first * each; o < width_.last * each; ++o) y[o] = single(o);
      return;
    }
    for (int64_t done = 0; done < groups; done += Many::lanes) {
      const int64_t from = done + Many::lanes <= groups ? done : groups - Many::lanes;
      T* const to = y + (width_.first + from) * each;
      if (each == 1) {
        store<Many>(to, lanes_of(from, 0));
      } else if (each == 2) {
        const auto a = lanes_of(from, 0), b = lanes_of(from, 1);
        store<Many>(to, zipped_low<Many>(a, b));
        store<Many>(to + Many::lanes, zipped_high<Many>(a, b));
      } else {
        for (int64_t i = 0; i < each; ++i) {
          T values[Many::lanes];
          store<Many>(values, lanes_of(from, i));
          for (int lane = 0; lane < Many::lanes; ++lane) to[lane * each + i] = values[lane];
        }
      }
    }
  }

  // Result i of as many groups as there are lanes, counted from the first that are alike.
  POOLKIT_INLINE typename Many::Value lanes_of(int64_t from, int64_t i) const {
    const int64_t o = width_.first * width_.each + i, step = width_.step;
    typename Many::Value sum{};
    for (int64_t k = width_.begin[o]; k < width_.begin[o + 1]; ++k) {
      const A* const p = row_ + width_.source[k] + from * step;
      const auto cells = step == 1   ? load<Many>(p)
                         : step == 2 ? load_apart<Many, 2>(p, 2)
                                     : load_strided<Many>(p, step);
      sum = sum + Many::splat(A(width_.weight[k])) * cells;
    }
    return sum;
  }

  static constexpr int64_t kMostEach = 8;

  const Sums &depth_, &height_, &width_;
  const int64_t inner_;
  const T* const x_;
  T* const y_;
  A* const row_;
};

void run(const FilterCall& call, int64_t begin, int64_t end, void* scratch) { Rows(call, scratch).run(begin, end); }

}  // namespace

extern const FilterKernels POOLKIT_FILTER_KERNELS(POOLKIT_DTYPE);
const FilterKernels POOLKIT_FILTER_KERNELS(POOLKIT_DTYPE) = {run};

}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
