// Fractional max pooling: looks up the regions of each plane and hands it to the kernels. No plane takes part in
// another, so threads change no bits.
#include "fractional.h"

#include "pieces.h"
#include "scratch.h"

namespace poolkit {
namespace {

int64_t accumulator_size(DType dtype) { return std::max<int64_t>(float_size(dtype), sizeof(float)); }

void* at(void* base, int64_t bytes) { return static_cast<char*>(base) + bytes; }
const void* at(const void* base, int64_t bytes) { return static_cast<const char*>(base) + bytes; }

int64_t volume(const RegionAxis* axis, int64_t RegionAxis::* size) {
  return axis[0].*size * axis[1].*size * axis[2].*size;
}

// Which of the drawn regions a plane has.
int64_t drawn_for(const PlaneRegions& r, int64_t plane) {
  const int64_t sample = r.drawn_samples == 1 ? 0 : plane / r.channels;
  return sample * r.drawn_channels + (r.drawn_channels == 1 ? 0 : plane % r.channels);
}

void look_up_taps(const RegionAxis& axis, const int64_t* first, const int64_t* last, int32_t* taps) {
  for (int64_t t = 0; t < axis.longest; ++t) {
    for (int64_t o = 0; o < axis.out; ++o) *taps++ = int32_t(first[o] + t <= last[o] ? first[o] + t : axis.in);
  }
}

}  // namespace

int region_winner_bytes(int64_t cells) { return cells <= 1 << 8 ? 1 : cells <= 1 << 16 ? 2 : 4; }

void fractional_max(const PlaneRegions& r, const void* x, void* y, void* winners, Parallel parallel) {
  const int64_t element = float_size(r.dtype), cells = volume(r.axis, &RegionAxis::in);
  const int64_t outputs = volume(r.axis, &RegionAxis::out), planes = r.samples * r.channels;
  const int64_t each = r.axis[0].out + r.axis[1].out + r.axis[2].out;
  const int bytes = region_winner_bytes(cells);
  const RegionRoom room(r.axis);
  // Every field of a state takes an accumulator for each cell of a row; there are two of them.
  const int64_t states = 2 * room.pitch * accumulator_size(r.dtype), pointers = room.rows * int64_t(sizeof(void*));
  const auto whole_lines = [](int64_t size) { return (size + 63) / 64 * 64; };
  in_parallel(parallel, planes, cells + outputs, [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    void* memory = scratch.at_least(whole_lines(states) + 2 * whole_lines(pointers) +
                                    r.axis[2].longest * r.axis[2].out * int64_t(sizeof(int32_t)));
    const auto take = [&](int64_t size) {
      void* const taken = memory;
      memory = at(memory, whole_lines(size));
      return taken;
    };
    RegionCall call{{r.axis[0], r.axis[1], r.axis[2]}, {}, {}, nullptr, bytes, nullptr, nullptr, nullptr};
    call.states = take(states);
    call.rows = static_cast<const void**>(take(pointers));
    call.offsets = static_cast<int64_t*>(take(room.rows * int64_t(sizeof(int64_t))));
    auto* const taps = static_cast<int32_t*>(memory);
    call.taps = taps;
    int64_t drawn = -1;
    for (int64_t plane = begin; plane < end; ++plane) {
      if (drawn != drawn_for(r, plane)) {
        drawn = drawn_for(r, plane);
        const int64_t *first = r.first + drawn * each, *last = r.last + drawn * each;
        for (int i = 0; i < 2; ++i) {
          call.first[i] = first, call.last[i] = last;
          first += r.axis[i].out, last += r.axis[i].out;
        }
        look_up_taps(r.axis[2], first, last, taps);
      }
      fractional_kernels(r.dtype)->max(call, at(x, plane * cells * element), at(y, plane * outputs * element),
                                       winners == nullptr ? nullptr : at(winners, plane * outputs * bytes));
    }
  });
}

void fractional_max_backward(const Winners& shape, const void* grad_y, const void* winners, void* grad_x,
                             Parallel parallel) {
  const int64_t element = float_size(shape.dtype), wide = accumulator_size(shape.dtype);
  const int bytes = region_winner_bytes(shape.cells);
  in_parallel(parallel, shape.planes, shape.cells + shape.outputs, [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    void* const sums = element == wide ? nullptr : scratch.at_least(shape.cells * wide);
    for (int64_t plane = begin; plane < end; ++plane) {
      fractional_kernels(shape.dtype)
          ->scatter(shape, at(grad_y, plane * shape.outputs * element), at(winners, plane * shape.outputs * bytes),
                    at(grad_x, plane * shape.cells * element), sums);
    }
  });
}

}  // namespace poolkit
