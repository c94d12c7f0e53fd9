// Filters: what every result is the sum of, for the filter and for its adjoint; the kernels know no difference.
#include "filter.h"

#include <algorithm>

#include "pieces.h"
#include "scratch.h"

namespace poolkit {
namespace {

// The cell at a position of an axis, or beyond it; -1 for none.
int64_t cell_at(const FilterAxis& a, int64_t position) {
  if (position >= 0 && position < a.in) return position;
  switch (a.beyond) {
    case Beyond::reflect: return position < 0 ? -position : 2 * (a.in - 1) - position;
    case Beyond::replicate: return position < 0 ? 0 : a.in - 1;
    case Beyond::circular: return (position % a.in + a.in) % a.in;
    default: return -1;
  }
}

// Whether the results of a group are those of another one, moved.
bool alike(const Sums& sums, int64_t group, int64_t other) {
  for (int64_t i = 0; i < sums.each; ++i) {
    const int64_t a = group * sums.each + i, b = other * sums.each + i;
    const int64_t begin = sums.begin[a], count = sums.begin[a + 1] - begin, from = sums.begin[b];
    if (sums.begin[b + 1] - from != count) return false;
    for (int64_t k = 0; k < count; ++k) {
      if (sums.weight[begin + k] != sums.weight[from + k] ||
          sums.source[begin + k] - sums.source[from + k] != (group - other) * sums.step) {
        return false;
      }
    }
  }
  return true;
}

// The groups that are like the middle one.
void find_alike(Sums& sums, int64_t each, int64_t step) {
  const int64_t groups = sums.out / each, middle = groups / 2;
  sums.each = each;
  sums.step = step;
  if (groups == 0) return;
  for (sums.first = middle; sums.first > 0 && alike(sums, sums.first - 1, middle);) --sums.first;
  for (sums.last = middle + 1; sums.last < groups && alike(sums, sums.last, middle);) ++sums.last;
}

Sums sums_of(const FilterAxis& a) {
  Sums sums;
  sums.in = a.in;
  sums.out = a.out;
  sums.begin.push_back(0);
  for (int64_t o = 0; o < a.out; ++o) {
    for (int64_t t = 0; t < a.taps; ++t) {
      const int64_t cell = cell_at(a, o * a.stride - a.low + t);
      if (cell < 0) continue;
      sums.source.push_back(cell);
      sums.weight.push_back(a.weight[t]);
    }
    sums.begin.push_back(int64_t(sums.source.size()));
  }
  find_alike(sums, 1, a.stride);
  return sums;
}

// The same sums seen from their sources.
Sums adjoint(const Sums& sums, int64_t stride) {
  Sums result;
  result.in = sums.out;
  result.out = sums.in;
  result.begin.assign(size_t(sums.in + 1), 0);
  result.source.resize(sums.source.size());
  result.weight.resize(sums.weight.size());
  for (const int64_t source : sums.source) ++result.begin[source + 1];
  for (int64_t i = 0; i < sums.in; ++i) result.begin[i + 1] += result.begin[i];
  std::vector<int64_t> next(result.begin.begin(), result.begin.end() - 1);
  for (int64_t o = 0; o < sums.out; ++o) {
    for (int64_t k = sums.begin[o]; k < sums.begin[o + 1]; ++k) {
      const int64_t place = next[sums.source[k]]++;
      result.source[place] = o;
      result.weight[place] = sums.weight[k];
    }
  }
  find_alike(result, stride, 1);
  return result;
}

void run(const Filter& f, const Sums (&axis)[3], const void* x, void* y, Parallel parallel) {
  if (f.outer * f.inner * axis[0].out * axis[1].out * axis[2].out == 0) return;
  const FilterCall call{{&axis[0], &axis[1], &axis[2]}, f.inner, x, y};
  const FilterKernels* const kernels = filter_kernels(f.dtype);
  const int64_t row = axis[2].in * f.inner, width = std::max<int64_t>(float_size(f.dtype), sizeof(float));
  const int64_t rows = std::max<int64_t>(1, axis[1].begin.back() / axis[1].out);  // of sources, for one of results
  in_parallel(parallel, f.outer * axis[0].out * axis[1].out, row * rows, [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    kernels->run(call, begin, end, scratch.at_least((row + kRowSlack) * width));
  });
}

}  // namespace

void filter(const Filter& f, const void* x, void* y, Parallel parallel) {
  run(f, {sums_of(f.axis[0]), sums_of(f.axis[1]), sums_of(f.axis[2])}, x, y, parallel);
}

void filter_adjoint(const Filter& f, const void* grad_y, void* grad_x, Parallel parallel) {
  const auto seen = [&](int i) { return adjoint(sums_of(f.axis[i]), f.axis[i].stride); };
  run(f, {seen(0), seen(1), seen(2)}, grad_y, grad_x, parallel);
}

}  // namespace poolkit
