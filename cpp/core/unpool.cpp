// Positions: winners decoded for the caller, and max-unpooling by them. Plane by plane, in order, so that
// of duplicate positions the last one wins whatever the number of threads.
#include <atomic>
#include <cstring>
#include <vector>

#include "kernels.h"

namespace poolkit {
namespace {

constexpr int64_t kGrain = 1 << 14;

template <class Body>
void for_planes(int64_t planes, int64_t work, Parallel parallel, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, work));
  const auto call = [](const void* context, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) (*static_cast<const Body*>(context))(i);
  };
  if (planes <= grain) {
    call(&body, 0, planes);
  } else {
    parallel.run(planes, grain, call, &body);
  }
}

template <class F>
auto with_width(DType dtype, F f) {
  switch (dtype) {
    case DType::f64:
    case DType::i64: return f(uint64_t());
    case DType::f32:
    case DType::i32: return f(uint32_t());
    case DType::f16:
    case DType::bf16:
    case DType::i16: return f(uint16_t());
    default: return f(uint8_t());
  }
}

// Notes one offending index; which one, if there are several, is left open.
struct Offence {
  std::atomic<bool> found{false};
  std::atomic<int64_t> value{0};
  void note(int64_t index) {
    value.store(index, std::memory_order_relaxed);
    found.store(true, std::memory_order_release);
  }
  BadIndex result() const { return {found.load(), value.load()}; }
};

}  // namespace

void indices(const Problem& p, const void* winners, int64_t* out, Parallel parallel) {
  if (p.outer == 0 || p.inner == 0) return;
  // Offsets are row-major over the original axes and over the simplified ones alike.
  const Plan& plan = plan_for(p);
  const AxisPlan &d = plan.depth, &h = plan.height, &w = plan.width;
  const int64_t inner = plan.problem.inner;
  const int64_t lanes = inner / p.inner;  // width positions that became lanes
  const int64_t outer_cells = plan.problem.outer / p.outer;
  const int64_t volume_in = d.in * h.in * w.in * lanes;
  const int bytes = plan.winner_bytes;
  const int64_t rows = plan.problem.outer * d.out * h.out;
  for_planes(rows, w.out * inner, parallel, [&](int64_t row) {
    const int64_t oh = row % h.out, od = row / h.out % d.out, outer = row / h.out / d.out;
    const int64_t plane_start = outer % outer_cells * volume_in;
    for (int64_t ow = 0; ow < w.out; ++ow) {
      const int64_t cell = (row * w.out + ow) * inner;
      for (int64_t lane = 0; lane < inner; ++lane) {
        uint32_t offset = 0;
        std::memcpy(&offset, static_cast<const char*>(winners) + (cell + lane) * bytes, bytes);
        const int64_t tw = offset % w.kernel, th = offset / w.kernel % h.kernel, td = offset / w.kernel / h.kernel;
        const int64_t id = d.base[od] + td * d.dilation, ih = h.base[oh] + th * h.dilation,
                      iw = w.base[ow] + tw * w.dilation;
        out[cell + lane] = plane_start + ((id * h.in + ih) * w.in + iw) * lanes + lane / p.inner;
      }
    }
  });
}

BadIndex unpool(const Unpool& p, const void* x, const int64_t* index, void* y, Parallel parallel) {
  Offence offence;
  with_width(p.dtype, [&](auto value) {
    using T = decltype(value);
    for_planes(p.outer, (p.cells + p.volume) * p.inner, parallel, [&](int64_t outer) {
      const T* from = static_cast<const T*>(x) + outer * p.cells * p.inner;
      const int64_t* at = index + outer * p.cells * p.inner;
      T* to = static_cast<T*>(y) + outer * p.volume * p.inner;
      std::memset(to, 0, sizeof(T) * static_cast<size_t>(p.volume * p.inner));
      for (int64_t i = 0; i < p.cells; ++i) {
        for (int64_t lane = 0; lane < p.inner; ++lane) {
          const int64_t position = at[i * p.inner + lane];
          if (position < 0 || position >= p.volume) return offence.note(position);
          to[position * p.inner + lane] = from[i * p.inner + lane];
        }
      }
    });
  });
  return offence.result();
}

BadIndex unpool_backward(const Unpool& p, const void* grad_y, const int64_t* index, void* grad_x, Parallel parallel) {
  Offence offence;
  with_width(p.dtype, [&](auto value) {
    using T = decltype(value);
    for_planes(p.outer, (2 * p.cells + p.volume) * p.inner, parallel, [&](int64_t outer) {
      thread_local std::vector<int64_t> writer;  // the cell that wrote last, by position
      writer.assign(static_cast<size_t>(p.volume * p.inner), -1);
      const T* from = static_cast<const T*>(grad_y) + outer * p.volume * p.inner;
      const int64_t* at = index + outer * p.cells * p.inner;
      T* to = static_cast<T*>(grad_x) + outer * p.cells * p.inner;
      for (int64_t i = 0; i < p.cells * p.inner; ++i) {
        if (at[i] < 0 || at[i] >= p.volume) return offence.note(at[i]);
        writer[static_cast<size_t>(at[i] * p.inner + i % p.inner)] = i;
      }
      for (int64_t i = 0; i < p.cells * p.inner; ++i) {
        const int64_t position = at[i] * p.inner + i % p.inner;
        to[i] = writer[static_cast<size_t>(position)] == i ? from[position] : T(0);
      }
    });
  });
  return offence.result();
}

}  // namespace poolkit
