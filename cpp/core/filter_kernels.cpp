// Separable filters, of arrays and of maxima, compiled as kernels.cpp is: once for each instruction set and storage
// type.
#include "filter.h"

#include "filter_rows.h"
#include "max_filter_rows.h"
#include "storage.h"

#define POOLKIT_JOIN(a, b) a##b
#define POOLKIT_FILTER_KERNELS(dtype) POOLKIT_JOIN(filter_kernels_, dtype)

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

using T = StorageOf<DType::POOLKIT_DTYPE>::type;
using A = Storage<T>::Accumulator;

void filter(const FilterCall& call, int64_t begin, int64_t end, void* scratch) {
  FilterRow<T, T, A> results(call, static_cast<A*>(scratch));
  // Short rows end before the processor has seen where they lead: to those of the row of results after the next.
  const int64_t length = call.axis[2]->in * call.inner, ahead = call.axis[1]->step * length;
  for_results(call, begin, end, [&](int64_t outer, int64_t d, int64_t h, int64_t at) POOLKIT_INLINED {
    for_sources<A>(call, d, h, [&](int64_t z, int64_t y, A weight) POOLKIT_INLINED {
      results.add(row_of<T>(call, outer, z, y), weight);
    });
    if (ahead <= kFetchedCells && results.last_row() != nullptr) {
      fetch_lines<false>(results.last_row() + length + ahead, ahead);
    }
    results.write(static_cast<T*>(call.y) + at);
  });
}

void max_filter(const MaxFilterCall& call, int64_t begin, int64_t end, void* scratch) {
  FilterRow<A, T, A> results(call.filter, static_cast<A*>(scratch));
  Maxima<T, A> maxima(call, static_cast<A*>(scratch) + call.filter.rows() * call.filter.pitch);
  for_results(call.filter, begin, end, [&](int64_t outer, int64_t d, int64_t h, int64_t at) POOLKIT_INLINED {
    for_sources<A>(call.filter, d, h, [&](int64_t z, int64_t y, A weight) POOLKIT_INLINED {
      results.add(maxima.at(outer, z, y), weight);
    });
    results.write(static_cast<T*>(call.filter.y) + at);
  });
}

void max_filter_backward(const MaxFilterCall& call, int64_t begin, int64_t end, void* scratch) {
  MaxGradient<T, A> gradient(call, static_cast<A*>(scratch));
  const int64_t planes = call.window[0].in, rows = call.window[1].in;
  for (int64_t row = begin; row < end;) {
    const int64_t first = row % rows, last = first + end - row < rows ? first + end - row : rows;
    gradient.run(row / rows / planes, row / rows % planes, first, last);
    row += last - first;
  }
}

}  // namespace

extern const FilterKernels POOLKIT_FILTER_KERNELS(POOLKIT_DTYPE);
const FilterKernels POOLKIT_FILTER_KERNELS(POOLKIT_DTYPE) = {filter, max_filter, max_filter_backward};

}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
