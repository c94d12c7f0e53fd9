// The core's front door: picks the instruction set once, then plans and runs.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "filter.h"
#include "fractional.h"
#include "jobs.h"
#include "kernels.h"
#include "roi.h"
#include "segments.h"
#include "sequences.h"

#if defined(POOLKIT_X86_LEVEL)
#define POOLKIT_V2(ISA) ISA(x86_64_v2, "x86-64-v2", __builtin_cpu_supports("x86-64-v2"))
#define POOLKIT_V3(ISA) ISA(x86_64_v3, "x86-64-v3", __builtin_cpu_supports("x86-64-v3"))
#define POOLKIT_V4(ISA) ISA(x86_64_v4, "x86-64-v4", __builtin_cpu_supports("x86-64-v4"))
#if POOLKIT_X86_LEVEL == 2
#define POOLKIT_ISAS(ISA) POOLKIT_V2(ISA)
#elif POOLKIT_X86_LEVEL == 3
#define POOLKIT_ISAS(ISA) POOLKIT_V2(ISA) POOLKIT_V3(ISA)
#else
#define POOLKIT_ISAS(ISA) POOLKIT_V2(ISA) POOLKIT_V3(ISA) POOLKIT_V4(ISA)
#endif
#elif defined(POOLKIT_ISA_AARCH64)
#define POOLKIT_ISAS(ISA) ISA(aarch64, "aarch64", true)
#else
#define POOLKIT_ISAS(ISA) ISA(generic, "generic", true)
#endif

namespace poolkit {

#define POOLKIT_TABLE(dtype) extern const Kernels kernels_##dtype;
#define POOLKIT_FLOAT_TABLES(dtype)                      \
  extern const RoiKernels roi_kernels_##dtype;           \
  extern const SequenceKernels sequence_kernels_##dtype; \
  extern const FilterKernels filter_kernels_##dtype;     \
  extern const SegmentKernels segment_kernels_##dtype;   \
  extern const FractionalKernels fractional_kernels_##dtype;
#define POOLKIT_DECLARE(space, name, available) \
  namespace space {                             \
  POOLKIT_DTYPES(POOLKIT_TABLE)                 \
  POOLKIT_FLOATS(POOLKIT_FLOAT_TABLES)          \
  }
POOLKIT_ISAS(POOLKIT_DECLARE)
#undef POOLKIT_DECLARE
#undef POOLKIT_FLOAT_TABLES
#undef POOLKIT_TABLE

namespace {

struct Isa {
  const char* name;
  const Kernels* (*kernels)(DType);
  const RoiKernels* (*roi)(DType);
  const SequenceKernels* (*sequences)(DType);
  const FilterKernels* (*filters)(DType);
  const SegmentKernels* (*segments)(DType);
  const FractionalKernels* (*fractionals)(DType);
};

// What this build has and this machine runs, lowest first.
struct Isas {
  Isa list[4];
  int count = 0;

  Isas() {
#define POOLKIT_CASE(dtype) \
  case DType::dtype: return &kernels_##dtype;
#define POOLKIT_ROI_CASE(dtype) \
  case DType::dtype: return &roi_kernels_##dtype;
#define POOLKIT_SEQUENCE_CASE(dtype) \
  case DType::dtype: return &sequence_kernels_##dtype;
#define POOLKIT_FILTER_CASE(dtype) \
  case DType::dtype: return &filter_kernels_##dtype;
#define POOLKIT_SEGMENT_CASE(dtype) \
  case DType::dtype: return &segment_kernels_##dtype;
#define POOLKIT_FRACTIONAL_CASE(dtype) \
  case DType::dtype: return &fractional_kernels_##dtype;
#define POOLKIT_LIST(space, name, available)                                             \
  if (available) {                                                                       \
    list[count++] = {name,                                                               \
                     [](DType dtype) {                                                   \
                       using namespace space;                                            \
                       switch (dtype) {                                                  \
                         POOLKIT_DTYPES(POOLKIT_CASE)                                    \
                         default: return &kernels_u8;                                    \
                       }                                                                 \
                     },                                                                  \
                     [](DType dtype) {                                                   \
                       using namespace space;                                            \
                       switch (dtype) {                                                  \
                         POOLKIT_FLOATS(POOLKIT_ROI_CASE)                                \
                         default: return static_cast<const RoiKernels*>(nullptr);        \
                       }                                                                 \
                     },                                                                  \
                     [](DType dtype) {                                                   \
                       using namespace space;                                            \
                       switch (dtype) {                                                  \
                         POOLKIT_FLOATS(POOLKIT_SEQUENCE_CASE)                           \
                         default: return static_cast<const SequenceKernels*>(nullptr);   \
                       }                                                                 \
                     },                                                                  \
                     [](DType dtype) {                                                   \
                       using namespace space;                                            \
                       switch (dtype) {                                                  \
                         POOLKIT_FLOATS(POOLKIT_FILTER_CASE)                             \
                         default: return static_cast<const FilterKernels*>(nullptr);     \
                       }                                                                 \
                     },                                                                  \
                     [](DType dtype) {                                                   \
                       using namespace space;                                            \
                       switch (dtype) {                                                  \
                         POOLKIT_FLOATS(POOLKIT_SEGMENT_CASE)                            \
                         default: return static_cast<const SegmentKernels*>(nullptr);    \
                       }                                                                 \
                     },                                                                  \
                     [](DType dtype) {                                                   \
                       using namespace space;                                            \
                       switch (dtype) {                                                  \
                         POOLKIT_FLOATS(POOLKIT_FRACTIONAL_CASE)                         \
                         default: return static_cast<const FractionalKernels*>(nullptr); \
                       }                                                                 \
                     }};                                                                 \
  }
    POOLKIT_ISAS(POOLKIT_LIST)
#undef POOLKIT_LIST
#undef POOLKIT_FRACTIONAL_CASE
#undef POOLKIT_SEGMENT_CASE
#undef POOLKIT_FILTER_CASE
#undef POOLKIT_SEQUENCE_CASE
#undef POOLKIT_ROI_CASE
#undef POOLKIT_CASE
  }
};

const Isas& isas() {
  static const Isas all;
  return all;
}

int find_isa(const char* name) {
  for (int i = 0; i < isas().count; ++i) {
    if (std::strcmp(isas().list[i].name, name) == 0) return i;
  }
  return -1;
}

std::atomic<int>& chosen() {
  static std::atomic<int> index = [] {
    const char* wanted = std::getenv("POOLKIT_ISA");
    const int found = wanted ? find_isa(wanted) : -1;
    return found >= 0 ? found : isas().count - 1;
  }();
  return index;
}

const Isa& active() { return isas().list[chosen().load(std::memory_order_relaxed)]; }
const Kernels& kernels_for(DType dtype) { return *active().kernels(dtype); }

// The kernel of channels-last windows that share their parts, if this pooling takes it.
ForwardKernel shared_channels(const Plan& plan, const Problem& p, Extra extra) {
  return plan.shares_channels ? kernels_for(p.dtype).channels(p.method, extra) : nullptr;
}

// In rows of so many outputs, asking all that cover a cell who won costs less than adding to winners.
constexpr int64_t kAskedOutputs = 48;

BackwardWalker backward_walker(const Problem& p, Problem* adjoint) {
  static const int sum = find_method("sum");
  if (methods[p.method].shares) return BackwardWalker::shares;
  const Plan& plan = plan_for(p);
  const Adjoint found = methods[p.method].linear ? find_adjoint(plan, p, sum, adjoint) : Adjoint::none;
  if (found == Adjoint::sum) return BackwardWalker::sum;
  // Where windows overlap, adding to winners costs less than asking every output that covers a cell, in small maps.
  const bool abreast = plan.back_abreast && (plan.apart || !methods[p.method].scatters);
  if (abreast && kernels_for(p.dtype).backward(p.method, BackwardWalker::abreast) != nullptr) {
    return BackwardWalker::abreast;
  }
  if (found == Adjoint::sum_of_quotients) return BackwardWalker::spread;
  const bool scatters = methods[p.method].scatters && !plan.gathers;
  const bool asks = plan.apart || !scatters || plan.width.out >= kAskedOutputs;
  if (asks && has_neighbours_back(plan) &&
      kernels_for(p.dtype).backward(p.method, BackwardWalker::neighbours) != nullptr) {
    return BackwardWalker::neighbours;
  }
  if (plan.apart) return BackwardWalker::expand;
  return scatters ? BackwardWalker::scatter : BackwardWalker::gather;
}

const char* walker_name(BackwardWalker walker) {
  switch (walker) {
    case BackwardWalker::sum: return "forward of the gradients";
    case BackwardWalker::spread: return "forward of the divided gradients";
    case BackwardWalker::shares:
    case BackwardWalker::weighted_shares: return "whole windows";
    case BackwardWalker::expand: return "expand";
    case BackwardWalker::abreast: return "maps abreast";
    case BackwardWalker::neighbours: return "neighbouring lanes";
    case BackwardWalker::scatter: return "scatter";
    default: return "gather";
  }
}

bool is_empty(const Problem& p) {
  int64_t outputs = p.outer * p.inner;
  for (const Axis& a : p.axis) outputs *= a.out != 0;
  return outputs == 0;
}

}  // namespace

const RoiKernels* roi_kernels(DType dtype) { return active().roi(dtype); }
const SequenceKernels* sequence_kernels(DType dtype) { return active().sequences(dtype); }
const FilterKernels* filter_kernels(DType dtype) { return active().filters(dtype); }
const SegmentKernels* segment_kernels(DType dtype) { return active().segments(dtype); }
const FractionalKernels* fractional_kernels(DType dtype) { return active().fractionals(dtype); }

int find_method(const char* name) {
  for (int i = 0; i < method_count(); ++i) {
    if (std::strcmp(method_name(i), name) == 0) return i;
  }
  return -1;
}

int method_count() { return kMethods; }
const char* method_name(int method) { return methods[method].name; }
int needs(int method) { return methods[method].needs; }
bool has_winners(int method) { return (needs(method) & kNeedsWinners) != 0; }
bool takes_logits(int method) { return methods[method].logits; }
bool has_gradient(int method) { return !methods[method].selects || methods[method].shares || has_winners(method); }

Problem make_problem(int method, DType dtype, int64_t outer, int64_t inner, const int64_t* windows,
                     const double* params, int n_params) {
  Problem p{};
  p.method = method;
  p.dtype = dtype;
  p.outer = outer;
  p.inner = inner;
  p.count = static_cast<Count>(windows[1]);
  p.divisor = windows[2];
  for (int i = 0; i < 3; ++i) {
    const int64_t* w = windows + 3 + 7 * i;
    p.axis[i] = {w[0], w[1], w[2], w[3], w[4], w[5], w[6]};
  }
  for (int i = 0; i < n_params && i < kMaxParams; ++i) p.param[i] = params[i];
  return p;
}

const char* refusal(const Problem& p) {
  if (kernels_for(p.dtype).forward(p.method, Extra::none) == nullptr) return "no kernel for this method and dtype";
  for (const Axis& a : p.axis) {
    if (a.in < 0 || a.out < 0 || a.kernel < 0 || a.stride < 1 || a.dilation < 1) return "malformed windows";
    if (a.in == 0 && a.out > 0) return "windows over an empty axis";
  }
  const Plan& plan = plan_for(p);
  if (plan.depth.hollow || plan.height.hollow || plan.width.hollow) return "a window wholly in the padding";
  if (plan.winner_bytes == 4) {
    int64_t cells = 1;
    for (const Axis& a : p.axis) {
      const int64_t extent = window_extent(a);
      if (extent > (int64_t{1} << 30) / cells) return "a window of more than 2^30 cells";
      cells *= extent;
    }
  }
  return nullptr;
}

int winner_bytes(const Problem& p) { return plan_for(p).winner_bytes; }

void forward(const Problem& p, const void* x, void* y, void* winners, Parallel parallel, uint64_t seed,
             const void* logits) {
  if (is_empty(p)) return;
  const Plan& plan = plan_for(p);
  int64_t cells = p.outer * p.inner, outputs = 1;
  for (const Axis& a : p.axis) cells *= a.in, outputs *= a.out;
  const char* x_end = static_cast<const char*>(x) + cells * size_of(p.dtype);
  const ForwardCall call{&plan, x, y, winners, x_end, seed, p.inner, outputs, logits};
  const Extra extra = logits != nullptr ? Extra::logits : winners != nullptr ? Extra::winners : Extra::none;
  const Kernels& kernels = kernels_for(p.dtype);
  const ForwardKernel shared = shared_channels(plan, p, extra);
  const Tiling& tiling = shared != nullptr ? plan.channels : plan.forward;
  const Job<ForwardCall> job = {call, shared != nullptr ? shared : kernels.forward(p.method, extra), tiling, parallel};
  run(job, {&ForwardCall::y, size_of(p.dtype), rows_of_outputs(plan, tiling)});
}

void backward(const Problem& p, const void* grad_y, const void* x, const void* y, const void* winners, void* grad_x,
              Parallel parallel, const void* logits, void* grad_logits) {
  int64_t cells = p.outer * p.inner;
  for (const Axis& a : p.axis) cells *= a.in;
  if (cells == 0) return;
  if (is_empty(p)) {
    std::memset(grad_x, 0, static_cast<size_t>(cells * size_of(p.dtype)));
    if (grad_logits != nullptr) std::memset(grad_logits, 0, static_cast<size_t>(cells * size_of(p.dtype)));
    return;
  }
  Problem adjoint;
  BackwardWalker walker = backward_walker(p, &adjoint);
  if (logits != nullptr) walker = BackwardWalker::weighted_shares;
  if (walker == BackwardWalker::sum) return forward(adjoint, grad_y, grad_x, nullptr, parallel);
  const Plan& plan = plan_for(p);
  const void* x_end = x == nullptr ? nullptr : static_cast<const char*>(x) + cells * size_of(p.dtype);
  BackwardCall call{&plan, grad_y, x, y, winners, grad_x, x_end, nullptr, logits, grad_logits};
  if (walker == BackwardWalker::spread) call.adjoint = &plan_for(adjoint);
  Results<BackwardCall> results = {&BackwardCall::grad_x, size_of(p.dtype), rows_of_inputs(plan)};
  const Tiling* tiling = &plan.backward;
  switch (walker) {
    case BackwardWalker::expand:
      tiling = &plan.expand;
      results.places = owned_inputs(plan);
      break;
    case BackwardWalker::spread:
      tiling = &call.adjoint->forward;
      results.places = rows_of_outputs(*call.adjoint, *tiling);
      break;
    case BackwardWalker::scatter:
    case BackwardWalker::abreast:
    case BackwardWalker::shares:
    case BackwardWalker::weighted_shares:
      tiling = &plan.scatter;
      results.places = planes_of_inputs(plan);
      break;
    default: break;
  }
  if (grad_logits != nullptr) results.places.contiguous = false;  // two results
  run(Job<BackwardCall>{call, kernels_for(p.dtype).backward(p.method, walker), *tiling, parallel}, results);
}

const char* isa() { return active().name; }
int isa_count() { return isas().count; }
const char* isa_name(int i) { return isas().list[i].name; }

bool set_isa(const char* name) {
  const int found = find_isa(name);
  if (found >= 0) chosen().store(found);
  return found >= 0;
}

void explain(const Problem& p, bool with_winners, char* text, size_t size) {
  const char* why = refusal(p);
  if (why != nullptr) {
    std::snprintf(text, size, "no kernel: %s", why);
    return;
  }
  const Plan& plan = plan_for(p);
  const AxisPlan& w = plan.width;
  const bool selects = methods[p.method].selects;
  const ShortRows short_rows = kernels_for(p.dtype).short_rows(plan, with_winners);
  const Extra extra = with_winners ? Extra::winners : Extra::none;
  const bool planes = selects && plan.abreast;
  const char* vertical = selects ? "whole windows" : plan.runs ? "none" : plan.slides ? "shared rows" : "rows";
  const bool exponentials = methods[p.method].sums_exponentials;
  const char* horizontal = exponentials                          ? "exponentials, or whole windows"
                           : planes                              ? "whole planes abreast"
                           : selects                             ? "whole windows"
                           : plan.runs                           ? "whole planes"
                           : w.trivial                           ? "none"
                           : short_rows == ShortRows::abreast    ? "maps abreast"
                           : short_rows == ShortRows::neighbours ? "neighbouring lanes"
                           : shared_channels(plan, p, extra)     ? "shared taps of some channels"
                           : plan.doubles                        ? "shared taps"
                           : plan.problem.inner > 1              ? "taps across channels"
                           : plan.single                         ? "taps along the input's rows"
                           : w.regular                           ? "taps along width"
                           : plan.picks != nullptr               ? "picked taps"
                                                                 : "runs along width";
  Problem adjoint;
  const char* backward = has_gradient(p.method) ? walker_name(backward_walker(p, &adjoint)) : "not here";
  const Plan& found = plan_for(p);
  std::snprintf(text, size,
                "isa %s; axes %lldx%lldx%lld -> %lldx%lldx%lld, outer %lld, inner %lld; vertical %s (up to %lld), "
                "horizontal %s (up to %lld); %lld units, tile %lld, grain %lld; winners %d bytes; backward %s",
                active().name, (long long)found.depth.in, (long long)found.height.in, (long long)found.width.in,
                (long long)found.depth.out, (long long)found.height.out, (long long)found.width.out,
                (long long)found.problem.outer, (long long)found.problem.inner, vertical,
                (long long)(found.depth.kernel * found.height.kernel), horizontal, (long long)found.width.kernel,
                (long long)found.forward.units, (long long)found.forward.tile, (long long)found.forward.grain,
                with_winners ? found.winner_bytes : 0, backward);
}

}  // namespace poolkit
