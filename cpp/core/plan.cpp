#include "plan.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

namespace poolkit {
namespace {

constexpr Axis kUnitAxis = {1, 1, 1, 1, 1, 0, 0};

// Each window is one cell and no cell is left out.
bool is_identity(const Axis& a) {
  return a.in == a.out && a.kernel == 1 && a.stride == 1 && a.pad_low == 0 && a.pad_high == 0;
}

bool is_unit(const Axis& a) { return is_identity(a) && a.in == 1; }

// One window holds the whole axis, nothing else.
bool is_full(const Axis& a) {
  if (a.out != 1) return false;
  return a.kernel == 0 || (a.kernel == a.in && a.dilation == 1 && a.pad_low == 0 && a.pad_high == 0);
}

// The same pooling on as few axes as it takes.
Problem simplified(Problem p) {
  for (Axis& a : p.axis) {  // an even split has windows like any other
    if (a.kernel == 0 && a.out > 1 && a.in % a.out == 0) a = {a.in, a.out, a.in / a.out, a.in / a.out, 1, 0, 0};
  }
  Axis &depth = p.axis[0], &height = p.axis[1], &width = p.axis[2];
  for (int i = 0; i < 3 && is_identity(width); ++i) {  // such a width is more lanes
    p.inner *= width.in;
    width = height;
    height = depth;
    depth = kUnitAxis;
  }
  if (is_identity(depth)) {
    p.outer *= depth.in;
    depth = kUnitAxis;
    if (is_identity(height)) {
      p.outer *= height.in;
      height = kUnitAxis;
    }
  }
  while (is_full(width) && is_full(height) && !is_unit(height)) {
    const int64_t cells = width.in * height.in;
    width = {cells, 1, cells, 1, 1, 0, 0};
    height = depth;
    depth = kUnitAxis;
  }
  if (p.inner > 1 && is_unit(depth) && is_unit(height)) std::swap(height, width);
  return p;
}

// Room for the tables of a plan; kept between calls of a thread.
struct Tables {
  std::vector<int64_t> integers;
  std::vector<int32_t> picks;
  std::vector<double> divisors;
  std::vector<int64_t> followers;
  std::vector<Follow> follow;
};

int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

int64_t axis_integers(const Axis& a) { return 4 * a.out + 2 * a.in; }

AxisPlan plan_axis(const Axis& a, Count count, bool lanes_along, int64_t* integers, double* divisors) {
  AxisPlan plan{};
  plan.in = a.in;
  plan.out = a.out;
  plan.dilation = a.dilation;
  plan.stride = a.stride;
  plan.pad_low = a.pad_low;
  plan.trivial = is_unit(a);
  plan.kernel = window_extent(a);

  int64_t* base = integers;
  int64_t* first = base + a.out;
  int64_t* last = first + a.out;
  int64_t* cover_begin = last + a.out;
  int64_t* cover_end = cover_begin + a.in;
  int64_t* alike = cover_end + a.in;
  for (int64_t o = 0; o < a.out; ++o) {
    if (a.kernel == 0) {
      // start + whole + fraction keeps every product below in * out's own size.
      base[o] = static_cast<int64_t>(static_cast<__int128>(o) * a.in / a.out);
      const int64_t end = static_cast<int64_t>((static_cast<__int128>(o + 1) * a.in + a.out - 1) / a.out);
      first[o] = 0;
      last[o] = end - base[o];
      divisors[o] = count == Count::fixed ? 1.0 : double(last[o]);
      continue;
    }
    base[o] = o * a.stride - a.pad_low;
    first[o] = base[o] < 0 ? ceil_div(-base[o], a.dilation) : 0;
    last[o] = std::min(a.kernel, (a.in - 1 - base[o]) / a.dilation + 1);
    const int64_t padded = std::min(a.kernel, (a.in + a.pad_high - 1 - base[o]) / a.dilation + 1);
    divisors[o] = count == Count::fixed ? 1.0 : double(count == Count::padded ? padded : last[o] - first[o]);
    if (a.kernel > a.in) {  // offsets would not fit: count from the first cell inside
      base[o] += first[o] * a.dilation;
      last[o] -= first[o];
      first[o] = 0;
    }
    plan.hollow |= last[o] <= first[o];
  }
  // Both ends of whole windows never move back from one output to the next (of clipped ones they may).
  const auto start = [&](int64_t o) { return a.kernel == 0 ? base[o] : o * a.stride - a.pad_low; };
  const auto stop = [&](int64_t o) {
    return a.kernel == 0 ? base[o] + last[o] : start(o) + (a.kernel - 1) * a.dilation + 1;
  };
  int64_t begin = 0, end = 0;
  for (int64_t i = 0; i < a.in; ++i) {
    while (end < a.out && start(end) <= i) ++end;
    while (begin < a.out && stop(begin) <= i) ++begin;
    cover_begin[i] = std::min(begin, end);
    cover_end[i] = end;
    plan.cover = std::max(plan.cover, end - cover_begin[i]);
  }
  for (int64_t o = a.out - 1; o >= 0; --o) {
    const bool same = o + 1 < a.out && a.kernel != 0 && base[o + 1] - base[o] == a.stride && first[o] == first[o + 1] &&
                      last[o] == last[o + 1] && divisors[o] == divisors[o + 1];
    alike[o] = same ? alike[o + 1] + 1 : 1;
  }
  const int64_t effective = (plan.kernel - 1) * a.dilation + 1;
  const bool long_apart = a.kernel >= 8 && a.stride >= 4 && a.dilation == 1;
  plan.regular = a.kernel != 0 && a.kernel <= a.in && effective <= 2 * a.in + 64 && a.stride <= 2 * a.in + 64 &&
                 a.out > 1 && !(lanes_along && long_apart);
  plan.base = base;
  plan.first = first;
  plan.last = last;
  plan.cover_begin = cover_begin;
  plan.cover_end = cover_end;
  plan.alike = alike;
  plan.divisor = divisors;
  return plan;
}

constexpr int64_t kWork = 1 << 15;  // below this a thread costs more than it brings

// `length` cut into tiles, for each of outer planes of `height` rows.
Tiling tiling(int64_t length, int64_t tile, int64_t outer, int64_t height, int64_t work_per_item, int64_t rows = 1) {
  Tiling t;
  t.tile = std::max<int64_t>(1, std::min(length, tile));
  t.tiles = (length + t.tile - 1) / t.tile;
  t.rows = std::clamp<int64_t>(rows, 1, std::max<int64_t>(1, height));
  t.blocks = (height + t.rows - 1) / t.rows;
  t.units = outer * t.blocks * t.tiles;
  t.grain = std::max<int64_t>(1, kWork / std::max<int64_t>(1, work_per_item * t.tile * t.rows));
  return t;
}

constexpr int64_t kPickTaps = 12;   // longer windows are reduced one by one
constexpr int64_t kPickSlack = 64;  // lanes that a vector may run over the last output

int64_t pick_integers(const Plan& plan) {
  const AxisPlan& w = plan.width;
  const bool picked =
      plan.uneven && w.kernel <= kPickTaps && w.in < INT32_MAX && plan.depth.kernel * plan.height.kernel * w.out > 1;
  return picked ? w.kernel * (w.out + kPickSlack) : 0;
}

// Where the taps of uneven windows stand in a scratch row, after whose last column stands an identity.
void plan_picks(Plan& plan, int32_t* picks) {
  const AxisPlan& w = plan.width;
  const int64_t pitch = w.out + kPickSlack;
  for (int64_t t = 0; t < w.kernel; ++t) {
    for (int64_t o = 0; o < pitch; ++o) {
      const bool there = o < w.out && t >= w.first[o] && t < w.last[o];
      picks[t * pitch + o] = static_cast<int32_t>(there ? w.base[o] + t * w.dilation : w.in);
    }
  }
  plan.picks = picks;
  plan.pick_pitch = pitch;
}

constexpr int64_t kShareRows = 8, kShareTaps = 5;  // from here on, sharing the parts of windows pays

constexpr int64_t kShortRow = 24;        // longer rows fill vectors well enough,
constexpr int64_t kSharedRow = 56;       // or still do better where windows share their parts
constexpr int64_t kAbreastTaps = 13;     // of windows that share nothing
constexpr int64_t kChannelStates = 640;  // of a channel: those of some channels fit the second cache
constexpr int64_t kFewUnits = 16;
constexpr int64_t kSharedWork = 8;       // operations an output
constexpr int64_t kAbreastMaps = 8;      // fewer leave lanes idle
constexpr int64_t kAbreastCells = 1024;  // a plane's cells in each lane of 64 bytes still fit the nearest caches

constexpr int64_t kGatherCovers = 32;  // up to here, gathering winners is faster than scattering

constexpr int64_t kMostQuotients = 1 << 20;  // more would be no small part of the input

// Lanes, so that what follows them in scratch stands on whole words.
int64_t rounded(int64_t lanes) { return (lanes + 15) / 16 * 16; }

void plan_forward(Plan& plan) {
  const Problem& p = plan.problem;
  const AxisPlan &d = plan.depth, &h = plan.height, &w = plan.width;
  const int64_t planes = p.outer * d.out, taps = d.kernel * h.kernel;
  const int64_t effective = (w.kernel - 1) * w.dilation + 1;
  plan.runs = p.inner == 1 && d.trivial && h.trivial && w.out == 1 && w.base[0] == 0 && w.first[0] == 0 &&
              w.last[0] == w.in && w.dilation == 1;
  plan.abreast = plan.runs && w.in <= kAbreastCells;
  plan.slides = d.kernel == 1 && h.regular && h.stride == 1 && h.dilation == 1 && h.kernel >= kShareRows &&
                (w.trivial || w.regular);
  plan.doubles = w.regular && !w.trivial && w.kernel >= kShareTaps && 2 * w.stride <= w.kernel;
  plan.single = p.inner == 1 && taps == 1 && w.regular && !w.trivial && !plan.doubles;
  plan.count_lanes = p.inner == 1 ? rounded(w.out + kSlack) : 0;
  const int64_t work = plan.slides ? 4 : taps;
  // Rows of one unit: enough lanes to forget what starting costs, and windows enough to share.
  const auto rows = [&](int64_t lanes) {
    return std::max(kTileLanes / 2 / std::max<int64_t>(1, lanes), plan.slides ? 4 * h.kernel : 1);
  };
  const int64_t most = plan.slides ? kTileLanes / 4 : kTileLanes;
  if (w.trivial) {
    plan.forward = tiling(p.inner, most, planes, h.out, work, rows(p.inner * h.stride));
    plan.line = plan.slides || taps > kManyRows ? plan.forward.tile : 0;
  } else if (w.regular) {
    const int64_t tile = std::max(most / p.inner - effective, 2 * effective) / w.stride + 1;
    const int64_t row_work = (work * w.stride + std::min<int64_t>(w.kernel, 8)) * p.inner;
    plan.forward = tiling(w.out, tile, planes, h.out, row_work, rows(w.in * p.inner * h.stride));
    plan.line = ((plan.forward.tile - 1) * w.stride + effective + w.stride) * p.inner;
  } else if (plan.picks != nullptr) {
    plan.forward = tiling(w.out, w.out, planes, h.out, taps * w.in + w.kernel * w.out, rows(w.in));
    plan.line = w.in + 1;
  } else {
    const bool direct = taps == 1 && p.inner == 1;
    const int64_t tile = direct ? std::max<int64_t>(1, kTileLanes / w.kernel) : w.out;
    plan.forward = tiling(w.out, tile, planes, h.out, taps * w.kernel * p.inner);
    plan.line = direct ? 0 : w.in * p.inner;
  }
  plan.lines = std::clamp<int64_t>(kTileLanes / std::max<int64_t>(1, plan.line), 1, plan.forward.rows);
}

// Whether, and how, the window of output o + 1 follows from that of o.
std::optional<Follow> follows(const AxisPlan& a, int64_t o) {
  const int64_t taps = a.last[o] - a.first[o], more = a.last[o + 1] - a.first[o + 1] - taps;
  const int64_t begins = a.base[o + 1] + a.first[o + 1] * a.dilation - (a.base[o] + a.first[o] * a.dilation);
  if (more == 0 && a.first[o + 1] == a.first[o]) {
    return begins == 1 && a.dilation == 1 ? Follow::slide : Follow::apart;
  }
  if (a.dilation == 1 && more == 1 && begins == 0) return Follow::grow;
  if (a.dilation == 1 && more == -1 && begins == 1) return Follow::shrink;
  return std::nullopt;
}

void find_followers(AxisPlan& a, Follow* follow, int64_t* followers) {
  for (int64_t o = a.out - 1; o >= 0; --o) {
    const std::optional<Follow> next = o + 1 < a.out ? follows(a, o) : std::nullopt;
    follow[o] = next.value_or(Follow::apart);
    followers[o] = next ? 2 : 1;
    if (!next || followers[o + 1] == 1 || follow[o + 1] != *next) continue;
    if (a.base[o + 2] - a.base[o + 1] == a.base[o + 1] - a.base[o]) followers[o] = followers[o + 1] + 1;
  }
  a.follow = follow;
  a.followers = followers;
}

// Windows of one size, each a cell further, and not so long that what four of them share is itself better shared.
bool slides_by_one(const Axis& a) {
  constexpr int64_t kMostShared = 64;
  return a.kernel != 0 && a.kernel <= kMostShared && a.stride == 1 && a.dilation == 1;
}

void plan_followers(Plan& plan, Tables& tables) {
  AxisPlan &h = plan.height, &w = plan.width;
  tables.follow.resize(size_t(h.out + w.out));
  tables.followers.resize(size_t(h.out + w.out));
  find_followers(h, tables.follow.data(), tables.followers.data());
  find_followers(w, tables.follow.data() + h.out, tables.followers.data() + h.out);
}

// Small maps side by side: windows whose every step reads few cells, and rows too short for lanes along the width.
void plan_abreast(Plan& plan, Tables& tables) {
  const Problem& p = plan.problem;
  const AxisPlan &d = plan.depth, &h = plan.height, &w = plan.width;
  const bool shared = d.kernel == 1 && slides_by_one(p.axis[1]) && slides_by_one(p.axis[2]);
  const bool wide_lanes = p.dtype != DType::f16 && p.dtype != DType::bf16;  // others compare twice as many at a time
  const bool much = h.kernel >= kShareTaps && w.kernel >= kShareTaps && p.outer >= 2 * kMostLanes && wide_lanes;
  const bool few_taps = w.kernel <= kAbreastTaps && d.kernel * h.kernel <= 2 * kAbreastTaps;
  plan.maps_abreast = p.inner == 1 && !w.trivial && w.out > 1 && w.in <= (shared && much ? kSharedRow : kShortRow) &&
                      (shared || few_taps) && p.outer >= kAbreastMaps && plan.forward.tiles == 1 &&
                      (plan.forward.blocks == 1 || (shared && much));
  if (!plan.maps_abreast) return;
  // Bands of much the same height, that keep less of the rows before them than they read.
  const int64_t cells_of_row = w.in * d.kernel * h.stride + 2 * w.out;
  const int64_t most = std::clamp<int64_t>(std::max(kAbreastCells / 2 / cells_of_row, 3 * h.kernel), 1, h.out);
  plan.abreast_rows = ceil_div(h.out, ceil_div(h.out, most));
  const auto top = [&](int64_t o) { return h.base[o] + h.first[o] * h.dilation; };
  const auto bottom = [&](int64_t o) { return h.base[o] + (h.last[o] - 1) * h.dilation + 1; };
  for (int64_t begin = 0; begin < h.out; begin += plan.abreast_rows) {
    // The input rows between the first window's top and the last one's bottom hold a band, unless dilated windows are
    // cut; and both it and its outputs fill a vector.
    const int64_t last = std::min(begin + plan.abreast_rows, h.out) - 1, rows = bottom(last) - top(begin);
    for (int64_t o = begin; o <= last; ++o) {
      plan.maps_abreast &= top(o) >= top(begin) && bottom(o) <= bottom(last);
    }
    plan.maps_abreast &= rows * w.in >= kMostLanes && (last + 1 - begin) * w.out >= kMostLanes;
    plan.abreast_cells = std::max(plan.abreast_cells, rows * w.in);
  }
  if (!plan.maps_abreast) return;
  plan.forward = tiling(w.out, w.out, p.outer * d.out, h.out, kSharedWork, h.out);  // a unit is a map
  plan_followers(plan, tables);
}

// Channels-last planes whose windows share their parts. A vector of any instruction set has to be filled.
void plan_channels(Plan& plan, Tables& tables) {
  const Problem& p = plan.problem;
  const AxisPlan &d = plan.depth, &h = plan.height, &w = plan.width;
  plan.shares_channels = p.inner * size_of(p.dtype) >= 64 && d.trivial && slides_by_one(p.axis[1]) &&
                         slides_by_one(p.axis[2]) && h.kernel >= kShareTaps && w.kernel >= kShareTaps;
  if (!plan.shares_channels) return;
  const int64_t most = std::max(kChannelStates / w.out - (h.kernel - 1), h.kernel);
  plan.channel_rows = ceil_div(h.out, ceil_div(h.out, most));
  plan.channel_states = (plan.channel_rows + h.kernel - 1) * w.out;
  const int64_t tile = kChannelBytes / size_of(p.dtype), tiles = std::max<int64_t>(1, p.inner / tile);
  // Blocks of rows reduce some rows of the input twice: only where there is little else to share among threads.
  const int64_t rows = p.outer * tiles >= kFewUnits ? h.out : plan.channel_rows;
  plan.channels = tiling(tiles, 1, p.outer, h.out, kSharedWork * w.out * std::min(tile, p.inner), rows);
  plan.channels.tile = tile;
  plan_followers(plan, tables);
}

// Small maps side by side, whatever their windows, as long as a group's cells stay in the second cache.
void plan_back_abreast(Plan& plan) {
  const Problem& p = plan.problem;
  const AxisPlan &d = plan.depth, &h = plan.height, &w = plan.width;
  const int64_t volume = d.in * h.in * w.in, outputs = d.out * h.out * w.out;
  plan.back_abreast = p.inner == 1 && !plan.runs && !w.trivial && w.in <= kShortRow && p.outer >= kAbreastMaps &&
                      volume >= kMostLanes && volume <= kAbreastCells && outputs <= kAbreastCells &&
                      d.cover * h.cover * w.cover <= kGatherCovers;
}

// Square windows of a few rows: outputs along the width that share sorted columns, as many as stay in the nearest
// cache.
void plan_squares(Plan& plan) {
  const AxisPlan &h = plan.height, &w = plan.width;
  const int64_t inner = plan.problem.inner;
  if (plan.depth.kernel != 1 || !w.regular || w.kernel != h.kernel || (w.kernel != 3 && w.kernel != 5)) return;
  const int64_t effective = (w.kernel - 1) * w.dilation + 1;
  plan.square = w.kernel;
  plan.square_tile = std::clamp<int64_t>((kTileLanes / 4 / inner - effective) / w.stride + 1, 1, w.out);
  plan.square_pitch = rounded(((plan.square_tile - 1) * w.stride + effective) * inner + kSlack);
}

void plan_backward(Plan& plan) {
  const Problem& p = plan.problem;
  const AxisPlan &d = plan.depth, &h = plan.height, &w = plan.width;
  const int64_t planes = p.outer * d.in, covers = d.cover * h.cover;
  if (w.trivial) {
    plan.backward = tiling(p.inner, kTileLanes, planes, h.in, covers);
  } else {
    plan.backward = tiling(w.in, std::max<int64_t>(1, kTileLanes / p.inner), planes, h.in, covers * w.cover * p.inner);
  }
  // A scattering unit accumulates a whole plane of some lanes: all of them, if that leaves work to share.
  int64_t lanes = p.inner;
  while (lanes > 64 && p.outer * (p.inner / lanes) < 8) lanes /= 2;
  plan.scatter = tiling(p.inner, lanes, p.outer, 1, d.in * h.in * w.in);
  plan.cover_picks = plan.uneven && w.dilation == 1 && w.cover <= kPickTaps && w.out < INT32_MAX;
  plan.gathers = p.inner > 1 && covers * w.cover <= kGatherCovers;
  plan.apart = true;
  for (const AxisPlan* a : {&d, &h, &w}) plan.apart &= a->cover <= 1 && a->dilation == 1;
  const int64_t out_planes = p.outer * d.out, rows = d.kernel * h.kernel;
  if (w.trivial) {
    plan.expand = tiling(p.inner, kTileLanes, out_planes, h.out, rows);
  } else {
    const int64_t length = w.kernel * p.inner;
    plan.expand = tiling(w.out, std::max<int64_t>(1, kTileLanes / length), out_planes, h.out, rows * length,
                         kTileLanes / (w.in * p.inner * rows));
  }
}

void plan_scratch(Plan& plan) {
  const Problem& p = plan.problem;
  const AxisPlan &d = plan.depth, &h = plan.height, &w = plan.width;
  const int64_t taps = d.kernel * h.kernel, covers = d.cover * h.cover;
  constexpr int64_t kWord = 8, kCover = 56, kPhaseTap = 16;
  const int64_t lines =
      2 * (plan.lines * plan.line + kSlack) + (plan.slides ? (h.kernel + 3) * (plan.line + kSlack) : 0);
  const int64_t forward = taps * 2 * kWord + (plan.count_lanes + kMaxFields * lines) * kWord;
  constexpr int64_t kWinnersAhead = 64;  // that are read, not used, behind the last ones
  const int64_t abreast_states = abreast_row_states(plan) + abreast_slice_states(plan);
  const int64_t abreast_lanes = kMostLanes + d.kernel * plan.abreast_cells + kMaxFields * abreast_states +
                                plan.abreast_rows * 2 * w.out + kWinnersAhead;
  const int64_t abreast =
      plan.maps_abreast ? (h.in + h.out + w.out + plan.abreast_rows) * kWord + 64 + 64 * abreast_lanes : 0;
  const int64_t back_cells = d.in * h.in * w.in + kMaxFields * d.out * h.out * w.out + w.out;
  const int64_t back_abreast =
      plan.back_abreast
          ? 64 * (back_cells + 1) + (2 * (covers + w.in * w.cover) + w.in + 1 + d.out * h.out * w.out) * kWord
          : 0;
  constexpr int64_t kMostCovers = 3;
  const int64_t neighbours =
      has_neighbours_back(plan) ? (plan.count_lanes + kMostCovers * 2 * (w.out + kMostLanes)) * kWord : 0;
  const int64_t phases = w.regular ? w.stride : 1;
  const int64_t reach = w.regular ? (plan.backward.tile + (w.kernel - 1) * w.dilation) / w.stride + 2 : w.out + 1;
  const int64_t sums = plan.backward.tile + phases * (kSlack + 2);
  const int64_t pulls = kMaxFields * (reach + kSlack) * std::max<int64_t>(1, covers);
  const int64_t backward = covers * (1 + w.cover) * kCover + (phases + 2) * kWord + w.kernel * kPhaseTap +
                           (plan.count_lanes + sums + pulls + (plan.cover_picks ? w.cover * w.in + 2 : 0)) * kWord;
  const int64_t offsets = plan.winner_bytes <= 2 ? taps * w.kernel : 0;
  const bool narrow = p.dtype == DType::f16 || p.dtype == DType::bf16;  // accumulated in float, aside
  const int64_t volume = d.in * h.in * w.in;
  const int64_t sums_aside = narrow ? volume * (p.inner == 1 ? 4 : plan.scatter.tile) : 0;
  const int64_t scatter = offsets * kWord + sums_aside * kWord / 2;
  // A block of rows and those around it that reach into it, or whole planes.
  const int64_t rows_around = std::min(h.in, plan.forward.rows + (h.kernel - 1) * h.dilation);
  const int64_t row = w.in * p.inner, plane = h.in * row;
  const bool whole = plan.forward.blocks == 1 && plan.forward.tiles == 1;
  int64_t planes = std::max<int64_t>(1, kTileLanes / plane);
  if (planes > kAbreastMaps) planes -= planes % kAbreastMaps;
  plan.spread_lanes = rounded(whole ? planes * plane : rows_around * row);
  const int64_t spread = std::max(forward, abreast) + (plan.spread_lanes + kSlack + plan.count_lanes) * kWord;
  const int64_t channels =
      plan.shares_channels ? plan.channel_rows * kWord + 64 + kMaxFields * kChannelBytes * plan.channel_states : 0;
  const int64_t most = std::max({forward, channels, abreast, back_abreast, neighbours, d.trivial ? spread : 0, backward,
                                 scatter, plan.count_lanes * kWord});
  plan.scratch_bytes = (most + 127) / 64 * 64;
  const int64_t outputs = d.out * h.out * w.out * p.inner;
  const bool divides = !narrow && plan.scatter.tiles == 1 && outputs <= kMostQuotients;
  plan.quotient_bytes = divides ? rounded(outputs + kSlack) * kWord : 0;
}

constexpr int kRecentPlans = 4;  // forward and backward of a layer, and those of its neighbour

bool same(const Problem& a, const Problem& b) {
  if (a.method != b.method || a.dtype != b.dtype || a.outer != b.outer || a.inner != b.inner || a.count != b.count ||
      a.divisor != b.divisor) {
    return false;
  }
  return std::memcmp(a.axis, b.axis, sizeof(a.axis)) == 0 && std::memcmp(a.param, b.param, sizeof(a.param)) == 0;
}

struct Planned {
  bool valid = false;
  Problem problem;
  Plan plan;
  Tables tables;
};

}  // namespace

int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::f16:
    case DType::bf16:
    case DType::i16: return 2;
    default: return 1;
  }
}

Adjoint find_adjoint(const Plan& plan, const Problem& problem, int sum, Problem* adjoint) {
  double divisor = 1;
  bool uniform = true;  // a sum is, whatever its windows count
  for (const AxisPlan* a : {&plan.depth, &plan.height, &plan.width}) {
    for (int64_t o = 0; o < a->out; ++o) uniform &= problem.method == sum || a->divisor[o] == a->divisor[0];
    divisor *= a->divisor[0];
  }
  const bool wide = problem.dtype == DType::f32 || problem.dtype == DType::f64;  // quotients are not rounded twice
  if (!uniform && !(wide && plan.depth.trivial)) return Adjoint::none;
  *adjoint = problem;
  for (int i = 0; i < 3; ++i) {
    const Axis& a = problem.axis[i];
    if (a.kernel == 0 || a.stride != 1 || a.kernel > a.out) return Adjoint::none;
    const int64_t reach = (a.kernel - 1) * a.dilation;
    adjoint->axis[i] = {
        a.out, a.in, a.kernel, 1, a.dilation, reach - a.pad_low, std::max<int64_t>(0, reach - a.pad_high)};
    if (reach < a.pad_low) return Adjoint::none;
  }
  adjoint->count = Count::fixed;
  adjoint->divisor = problem.method == sum || !uniform ? 1 : int64_t(divisor);
  if (!uniform) adjoint->method = sum;
  const Plan& found = plan_for(*adjoint);
  if (found.depth.hollow || found.height.hollow || found.width.hollow) return Adjoint::none;
  return uniform ? Adjoint::sum : Adjoint::sum_of_quotients;
}

int64_t abreast_row_states(const Plan& plan) {
  return plan.depth.kernel * plan.abreast_cells / plan.width.in * plan.width.out;
}

int64_t abreast_slice_states(const Plan& plan) {
  return plan.depth.kernel == 1 ? 0 : plan.depth.kernel * plan.abreast_rows * plan.width.out;
}

bool has_neighbours(const Plan& plan) {
  const AxisPlan& w = plan.width;
  return plan.problem.inner == 1 && w.regular && !w.trivial && w.dilation == 1 && w.kernel >= 2 && w.kernel <= 3 &&
         w.stride <= 2 && w.pad_low <= w.kernel - 2 && plan.forward.tiles == 1 && !plan.slides && !plan.single;
}

bool has_neighbours_back(const Plan& plan) {
  const AxisPlan &h = plan.height, &w = plan.width;
  const bool pairs = w.kernel == 2 && w.stride == 2 && w.pad_low == 0;
  const bool triples = w.kernel == 3 && (w.stride == 2 ? w.pad_low <= 1 : w.stride == 1 && w.pad_low == 1);
  return plan.problem.inner == 1 && plan.depth.trivial && w.regular && !w.trivial && w.dilation == 1 &&
         (pairs || triples) && h.cover <= 3 && plan.winner_bytes == 1 && plan.backward.tiles == 1;
}

int64_t window_scratch(const Plan& plan, bool logits) {
  const int64_t rows = plan.depth.kernel * plan.height.kernel, cells = rows * plan.width.kernel;
  // One window at a time, or one in each lane.
  const bool alone = plan.runs && !plan.abreast;
  constexpr int64_t kPointer = 8, kLargestVector = 64;
  const int64_t vector = alone ? 8 : kLargestVector;
  return rounded(rows * 2 * kPointer + cells * (kPointer + (logits ? 4 : 2) * vector) + 4 * kLargestVector) +
         column_scratch(plan);
}

int64_t column_scratch(const Plan& plan) { return plan.square == 0 ? 0 : (plan.square + 1) * plan.square_pitch * 8; }

int64_t share_scratch(const Plan& plan, bool logits) {
  const bool narrow = plan.problem.dtype == DType::f16 || plan.problem.dtype == DType::bf16;
  return narrow ? plan.depth.in * plan.height.in * plan.width.in * plan.problem.inner * (logits ? 8 : 4) : 0;
}

int64_t window_extent(const Axis& a) {
  if (a.kernel != 0) return std::min(a.kernel, a.in);
  // Windows of an uneven split are floor(in / out) + 1 or + 2 cells long at most.
  if (a.out == 0 || a.in % a.out == 0) return a.out == 0 ? 1 : a.in / a.out;
  const int64_t rest = a.in % a.out, common = std::gcd(a.in, a.out);
  return a.in / a.out + (rest == common ? 1 : 2);
}

const Plan& plan_for(const Problem& problem) {
  thread_local Planned recent[kRecentPlans];
  thread_local int next = 0;
  for (Planned& planned : recent) {
    if (planned.valid && same(planned.problem, problem)) return planned.plan;
  }
  Planned& planned = recent[next];
  next = (next + 1) % kRecentPlans;
  Plan& plan = planned.plan;
  Tables& tables = planned.tables;
  planned.valid = false;

  plan = Plan{};
  plan.problem = simplified(problem);
  const Axis* axis = plan.problem.axis;
  size_t integers = 0, divisors = 0;
  for (int i = 0; i < 3; ++i) {
    integers += axis_integers(axis[i]);
    divisors += axis[i].out;
  }
  tables.integers.resize(integers);
  tables.divisors.resize(divisors);
  int64_t* next_integers = tables.integers.data();
  double* next_divisors = tables.divisors.data();
  AxisPlan* axes[3] = {&plan.depth, &plan.height, &plan.width};
  for (int i = 0; i < 3; ++i) {
    const bool lanes_along = i == 2 && plan.problem.inner == 1;
    *axes[i] = plan_axis(axis[i], plan.problem.count, lanes_along, next_integers, next_divisors);
    next_integers += axis_integers(axis[i]);
    next_divisors += axis[i].out;
  }
  if (problem.count == Count::fixed) {
    for (int64_t o = 0; o < axis[2].out; ++o) tables.divisors[divisors - axis[2].out + o] = double(problem.divisor);
  }
  plan.uneven = plan.problem.inner == 1 && !plan.width.trivial && !plan.width.regular;
  if (const int64_t picks = pick_integers(plan)) {
    tables.picks.resize(size_t(picks));
    plan_picks(plan, tables.picks.data());
  }
  int64_t cells = 1;
  for (const Axis& a : problem.axis) {
    const int64_t extent = window_extent(a);
    cells = extent > (int64_t{1} << 32) / cells ? int64_t{1} << 33 : cells * extent;
  }
  plan.winner_bytes = cells <= 256 ? 1 : cells <= 65536 ? 2 : 4;
  plan_forward(plan);
  plan_abreast(plan, tables);
  plan_channels(plan, tables);
  plan_squares(plan);
  plan_backward(plan);
  plan_back_abreast(plan);
  plan_scratch(plan);
  planned.problem = problem;
  planned.valid = true;
  return plan;
}

}  // namespace poolkit
