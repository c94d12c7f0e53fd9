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

// How many sources a result has at most.
int64_t most(const Sums& sums) {
  int64_t most = 1;
  for (int64_t r = 0; r < sums.out; ++r) most = std::max(most, sums.begin[r + 1] - sums.begin[r]);
  return most;
}

int64_t pitch_of(int64_t row) {
  constexpr int64_t kAligned = 16;
  return (row + kAligned - 1) / kAligned * kAligned + 2 * kRowMargin;
}

// A filter, or its adjoint, ready for the kernels.
class Prepared {
 public:
  Prepared(const Filter& f, bool seen_from_sources, const void* x, void* y) : filter_(f) {
    for (int i = 0; i < 3; ++i) {
      axis_[i] = sums_of(f.axis[i]);
      if (seen_from_sources) axis_[i] = adjoint(axis_[i], f.axis[i].stride);
    }
    const Sums& width = axis_[2];
    const int64_t pitch = pitch_of(width.in * f.inner);
    const bool splits = f.inner == 1 && width.step == 2 && width.each == 1;
    for (const int64_t cell : width.source) place_.push_back(splits ? cell % 2 * pitch + cell / 2 : cell * f.inner);
    weight_.assign(width.weight.begin(), width.weight.end());
    const void* const weight = f.dtype == DType::f64 ? static_cast<const void*>(width.weight.data()) : weight_.data();
    call = {{&axis_[0], &axis_[1], &axis_[2]}, f.inner, x, y, pitch, splits, place_.data(), weight};
  }
  Prepared(const Prepared&) = delete;

  bool is_empty() const { return filter_.outer * filter_.inner * axis_[0].out * axis_[1].out * axis_[2].out == 0; }
  int64_t number_size() const { return std::max<int64_t>(float_size(filter_.dtype), sizeof(float)); }
  // Rows of sources that a row of results is made from, on the average and at most.
  int64_t rows() const { return std::max<int64_t>(1, axis_[1].begin.back() / axis_[1].out); }
  int64_t most_rows() const { return most(axis_[0]) * most(axis_[1]); }

  FilterCall call;

 private:
  const Filter& filter_;
  Sums axis_[3];
  std::vector<int64_t> place_;
  std::vector<float> weight_;
};

// Calls body(begin, end, scratch) for pieces of the rows.
template <class Body>
void in_pieces(Parallel parallel, int64_t rows, int64_t work, int64_t bytes, const Body& body) {
  in_parallel(parallel, rows, work, [&](int64_t begin, int64_t end) {
    thread_local Scratch scratch;
    body(begin, end, scratch.at_least(bytes));
  });
}

void run(const Filter& f, bool seen_from_sources, const void* x, void* y, Parallel parallel) {
  const Prepared p(f, seen_from_sources, x, y);
  if (p.is_empty()) return;
  const FilterKernels* const kernels = filter_kernels(f.dtype);
  const int64_t rows = f.outer * p.call.axis[0]->out * p.call.axis[1]->out, work = p.call.axis[2]->in * f.inner;
  in_pieces(parallel, rows, work * p.rows(), p.number_size() * p.call.rows() * p.call.pitch,
            [&](int64_t begin, int64_t end, void* scratch) { kernels->filter(p.call, begin, end, scratch); });
}

MaxFilterCall with_windows(const Prepared& p, const MaxAxis (&window)[3], const void* x) {
  const int64_t row = (window[2].windows + 2 * (window[2].kernel - 1)) * p.call.inner;
  return {p.call, {window[0], window[1], window[2]}, x, pitch_of(row), p.most_rows()};
}

}  // namespace

void filter(const Filter& f, const void* x, void* y, Parallel parallel) { run(f, false, x, y, parallel); }

void filter_adjoint(const Filter& f, const void* grad_y, void* grad_x, Parallel parallel) {
  run(f, true, grad_y, grad_x, parallel);
}

void max_filter(const Filter& f, const MaxAxis (&window)[3], const void* x, void* y, Parallel parallel) {
  const Prepared p(f, false, nullptr, y);
  if (p.is_empty()) return;
  const FilterKernels* const kernels = filter_kernels(f.dtype);
  const MaxFilterCall call = with_windows(p, window, x);
  const int64_t rows = f.outer * p.call.axis[0]->out * p.call.axis[1]->out;
  const int64_t rows_of_window = window[0].kernel * window[1].kernel;
  const int64_t work = window[2].in * f.inner * p.rows() * rows_of_window;
  const int64_t numbers = p.call.rows() * p.call.pitch + call.kept * call.pitch;
  in_pieces(parallel, rows, work, p.number_size() * numbers + 16 * (call.kept + rows_of_window),
            [&](int64_t begin, int64_t end, void* scratch) { kernels->max_filter(call, begin, end, scratch); });
}

void max_filter_backward(const Filter& f, const MaxAxis (&window)[3], const void* grad_y, const void* x, void* grad_x,
                         Parallel parallel) {
  const Prepared p(f, true, grad_y, grad_x);
  if (p.is_empty()) return;
  const FilterKernels* const kernels = filter_kernels(f.dtype);
  const MaxFilterCall call = with_windows(p, window, x);
  const int64_t rows = f.outer * window[0].in * window[1].in, rows_of_window = window[0].kernel * window[1].kernel;
  const int64_t work = window[2].in * f.inner * rows_of_window * window[2].kernel;
  const int64_t numbers = p.call.rows() * p.call.pitch + 2 * rows_of_window * call.pitch;
  in_pieces(
      parallel, rows, work, p.number_size() * numbers + 32 * rows_of_window,
      [&](int64_t begin, int64_t end, void* scratch) { kernels->max_filter_backward(call, begin, end, scratch); });
}

}  // namespace poolkit
