// A kernel's units of work, shared among threads, and where their results go.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "pieces.h"
#include "scratch.h"
#include "stream.h"

namespace poolkit {

// Of this thread, enough for any kernel of the plan's method.
inline void* scratch_for(const Plan& plan) {
  thread_local Scratch scratch;
  const MethodInfo& method = methods[plan.problem.method];
  int64_t bytes = plan.scratch_bytes;
  if (method.selects) {
    const int64_t sums = method.shares ? share_scratch(plan, method.logits) : 0;
    bytes = std::max(bytes, window_scratch(plan, method.logits) + sums);
    if (method.sums_exponentials) bytes += plan.quotient_bytes + plan.scratch_bytes;
  }
  return scratch.at_least(bytes);
}

// Where the results of units begin, in cells. A unit is a block of rows of a plane; or it is a block of rows of
// outputs, and its results are the inputs that these look after.
struct Places {
  bool contiguous;      // no unit's results lie among those of another
  int64_t plane, line;  // cells of a plane of results (with `height`: of a volume), and of a row
  const AxisPlan *depth = nullptr, *height = nullptr;

  int64_t begin(const Tiling& tiling, int64_t unit) const {
    const int64_t planes = unit / tiling.blocks, row = unit % tiling.blocks * tiling.rows;
    if (height == nullptr) return planes * plane + row * line;
    const int64_t slice = owned_by(*depth, planes % depth->out);
    return planes / depth->out * plane + (slice * height->in + owned_by(*height, row)) * line;
  }
};

inline Places rows_of_outputs(const Plan& plan, const Tiling& tiling) {
  const int64_t line = plan.width.out * plan.problem.inner;
  return {tiling.tiles == 1, plan.height.out * line, line};
}

inline Places rows_of_inputs(const Plan& plan) {
  const int64_t line = plan.width.in * plan.problem.inner;
  return {plan.backward.tiles == 1, plan.height.in * line, line};
}

inline Places planes_of_inputs(const Plan& plan) {
  const int64_t line = plan.width.in * plan.problem.inner;
  return {plan.scatter.tiles == 1, plan.depth.in * plan.height.in * line, line};
}

inline Places owned_inputs(const Plan& plan) {
  const int64_t line = plan.width.in * plan.problem.inner;
  const bool contiguous = plan.expand.tiles == 1 && (plan.depth.trivial || plan.expand.blocks == 1);
  return {contiguous, plan.depth.in * plan.height.in * line, line, &plan.depth, &plan.height};
}

template <class Call>
struct Job {
  Call call;
  void (*kernel)(const Call& call, int64_t begin, int64_t end, void* scratch);
  const Tiling& tiling;
  Parallel parallel;
};

template <class Call>
struct Results {
  void* Call::* pointer;
  int64_t cell_bytes;
  Places places;
};

// Runs some units at a time in scratch, and copies their results past the caches.
template <class Call>
void stream_units(const Job<Call>& job, const Results<Call>& results, int64_t together, int64_t begin, int64_t end) {
  thread_local Scratch parts;
  void* const scratch = scratch_for(*job.call.plan);
  char* const all = static_cast<char*>(job.call.*results.pointer);
  const auto place = [&](int64_t unit) { return results.places.begin(job.tiling, unit) * results.cell_bytes; };
  Call call = job.call;
  for (int64_t unit = begin; unit < end; unit += together) {
    const int64_t last = std::min(unit + together, end), from = place(unit), bytes = place(last) - from;
    char* const part = static_cast<char*>(parts.at_least(bytes));
    // Where the kernel will find the place of its first unit.
    call.*results.pointer = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(part) - static_cast<uintptr_t>(from));
    job.kernel(call, unit, last, scratch);
    stream(all + from, part, bytes);
  }
  end_stream();
}

template <class Call>
void run(const Job<Call>& job, const Results<Call>& results) {
  const Tiling& tiling = job.tiling;
  if (tiling.units == 0) return;
  const int64_t bytes = results.places.begin(tiling, tiling.units) * results.cell_bytes, unit = bytes / tiling.units;
  const int64_t part = streamed_part();
  if (results.places.contiguous && unit <= 8 * part && streams(job.call.*results.pointer, bytes)) {
    // Maps side by side come as many as there are lanes.
    const int64_t fit = std::max<int64_t>(1, part / std::max<int64_t>(1, unit));
    const int64_t together = fit * 4 < kMostLanes ? fit : (fit + kMostLanes - 1) / kMostLanes * kMostLanes;
    const auto body = [&](int64_t begin, int64_t end) { stream_units(job, results, together, begin, end); };
    return in_pieces(job.parallel, tiling.units, tiling.grain, body);
  }
  const auto body = [&](int64_t begin, int64_t end) { job.kernel(job.call, begin, end, scratch_for(*job.call.plan)); };
  in_pieces(job.parallel, tiling.units, tiling.grain, body);
}

}  // namespace poolkit
