// Regions of interest: turns each box into tables of the cells that its bins read along either axis, and hands them to
// the kernels with some of the channels. A bin's cells are those of a row times those of a column, so two short tables
// serve all channels. Sums of gradients take the boxes in order, whatever the number of threads.
#include "roi.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "pieces.h"

namespace poolkit {
namespace {

// Channels of a unit of work, which share the tables of a box: few enough that a row of the map stays in the cache and
// that there are units for all threads, and enough that neighbouring lines of memory are read together.
constexpr int64_t kChannels = 64;

// Corners further than this many cells from the map count as this far: bins are integers.
constexpr double kFarthest = 0x1p31;

// The two corners of a box along one axis, in cells.
struct Extent {
  double begin, end;

  Extent(const double* box, int axis, double scale)
      : begin(cells(box[1 + axis], scale)), end(cells(box[3 + axis], scale)) {}
  static double cells(double coordinate, double scale) { return std::clamp(coordinate * scale, -kFarthest, kFarthest); }
};

// The samples of RoI align along one axis, as weights of the cells beside them.
class SampledAxis {
 public:
  void build(Extent box, Sampling sampling, int64_t bins, int64_t cells) {
    const double offset = sampling.aligned ? 0.5 : 0;
    const double size = sampling.aligned ? box.end - box.begin : std::max(box.end - box.begin, 1.0);
    const double bin = size / double(bins);
    const double samples = sampling.ratio > 0 ? double(sampling.ratio) : std::ceil(bin);
    first_.assign(1, 0);
    taps_.clear();
    for (int64_t i = 0; i < bins; ++i) {
      if (samples > 0) take(box.begin - offset + double(i) * bin, bin, samples, double(cells));
      first_.push_back(int32_t(taps_.size()));
    }
    low_ = cells, high_ = 0;
    for (Tap& tap : taps_) {
      tap.single = float(tap.weight);
      low_ = std::min<int64_t>(low_, tap.at);
      high_ = std::max<int64_t>(high_, tap.at + 1);
    }
    if (taps_.empty()) low_ = 0;
    touched_.assign(size_t(high_ - low_), 0);
    for (const Tap& tap : taps_) touched_[size_t(tap.at - low_)] = 1;
  }

  Taps taps() const { return {first_.data(), taps_.data(), touched_.data(), low_, high_}; }

 private:
  // Those samples of a bin that lie in [-1, cells], the others being 0. There may be 2^31 of the others.
  void take(double begin, double bin, double samples, double cells) {
    const double step = bin / samples;
    double first = 0, last = samples - 1;
    if (step != 0) {
      const double a = (-1 - begin) / step, b = (cells - begin) / step;
      first = std::max(first, std::floor(std::min(a, b)) - 1);
      last = std::min(last, std::ceil(std::max(a, b)));
    }
    bin_starts_ = taps_.size();
    for (double i = first; i <= last; ++i) {
      const double at = begin + (i + 0.5) * bin / samples;
      if (at < -1 || at > cells) continue;
      const double inside = std::max(at, 0.0);
      const double low = std::min(std::floor(inside), cells - 1);
      const double beyond = low == cells - 1 ? 0 : inside - low;
      add(int32_t(low), (1 - beyond) / samples);
      if (beyond > 0) add(int32_t(low) + 1, beyond / samples);
    }
  }

  // Neighbouring samples share their cells: these are among the last two.
  void add(int32_t at, double weight) {
    for (size_t back = 1; back <= 2 && back <= taps_.size() - bin_starts_; ++back) {
      Tap& tap = taps_[taps_.size() - back];
      if (tap.at == at) {
        tap.weight += weight;
        return;
      }
    }
    taps_.push_back({at, 0, weight});
  }

  std::vector<int32_t> first_;
  std::vector<Tap> taps_;
  std::vector<uint8_t> touched_;
  size_t bin_starts_ = 0;
  int64_t low_ = 0, high_ = 0;
};

// The bins of RoI pool along one axis: the adaptive windows of the rounded box, as far as they lie on the map.
class BinnedAxis {
 public:
  void build(Extent box, int64_t bins, int64_t cells) {
    const int64_t begin = std::llround(box.begin), end = std::llround(box.end);
    const int64_t size = std::max<int64_t>(end - begin + 1, 1);
    const auto clipped = [&](int64_t at) { return int32_t(std::clamp<int64_t>(begin + at, 0, cells)); };
    spans_.clear();
    for (int64_t i = 0; i < bins; ++i) {
      spans_.push_back({clipped(i * size / bins), clipped(((i + 1) * size + bins - 1) / bins)});
    }
    low_ = spans_.front().begin;
    high_ = spans_.back().end;
  }

  Spans spans() const { return {spans_.data(), low_, high_}; }

 private:
  std::vector<Span> spans_;
  int64_t low_ = 0, high_ = 0;
};

struct AlignTables {
  Sampling sampling;
  SampledAxis rows, columns;
  void build(const Regions& r, const double* box) {
    rows.build(Extent(box, 1, r.scale), sampling, r.out_height, r.height);
    columns.build(Extent(box, 0, r.scale), sampling, r.out_width, r.width);
  }
};

struct PoolTables {
  BinnedAxis rows, columns;
  void build(const Regions& r, const double* box) {
    rows.build(Extent(box, 1, r.scale), r.out_height, r.height);
    columns.build(Extent(box, 0, r.scale), r.out_width, r.width);
  }
};

int64_t sample_of(const double* box) { return int64_t(box[0]); }

// Blocks of channels, where they stand in maps and bins, and the call that takes one of them.
struct Blocks {
  const Regions& regions;
  int64_t channels;  // in a block

  int64_t count() const { return (regions.channels + channels - 1) / channels; }
  int64_t first(int64_t block) const { return block * channels; }
  int64_t size(int64_t block) const { return std::min(channels, regions.channels - first(block)); }
  int64_t map_cells() const { return regions.height * regions.width; }
  int64_t bins() const { return regions.out_height * regions.out_width; }

  // The element of an array of `planes` cells or bins a channel where sample (or box) i has this block.
  int64_t start(int64_t i, int64_t block, int64_t plane) const {
    return i * regions.channels * plane + first(block) * (regions.channels_last ? 1 : plane);
  }

  RoiCall call(int64_t block, int winner_bytes, std::vector<char>& scratch) const {
    const Regions& r = regions;
    const int64_t lanes = r.channels_last ? size(block) : 1, planes = r.channels_last ? 1 : size(block);
    const int64_t cell = r.channels_last ? r.channels : 1;
    scratch.resize(std::max(scratch.size(), size_t(scratch_bytes(r.width, r.out_width, lanes))));
    return {planes,         lanes,        r.width,       map_cells(), r.out_height, r.out_width, {map_cells(), cell},
            {bins(), cell}, winner_bytes, scratch.data()};
  }
};

// Calls f(box, block, call, tables) for every box and block of channels, with the tables of the box.
template <class Tables, class F>
void for_boxes(const Regions& r, const Blocks& blocks, const Tables& empty, int winner_bytes, Parallel parallel, F f) {
  const int64_t work = std::min(blocks.channels, r.channels) * blocks.bins() * 8;
  in_parallel(parallel, r.boxes * blocks.count(), work, [&](int64_t begin, int64_t end) {
    Tables tables = empty;
    std::vector<char> scratch;
    int64_t built = -1;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t box = unit / blocks.count(), block = unit % blocks.count();
      if (box != built) tables.build(r, r.box + 5 * box);
      built = box;
      f(box, block, blocks.call(block, winner_bytes, scratch), tables);
    }
  });
}

// Clears the blocks of grad_x and calls add(box, block, call, sums) for each box of their sample, in order.
template <class MakeAdd>
void sum_over_boxes(const Regions& r, int winner_bytes, void* grad_x, Parallel parallel, MakeAdd make_add) {
  const Blocks blocks{r, kChannels};
  const RoiKernels& kernels = *roi_kernels(r.dtype);
  const int64_t element = float_size(r.dtype), cells = blocks.map_cells();
  const int64_t work = std::min(kChannels, r.channels) * (cells + r.boxes * blocks.bins() * 8);
  in_parallel(parallel, r.samples * blocks.count(), work, [&](int64_t begin, int64_t end) {
    auto add = make_add(blocks);
    std::vector<char> scratch;
    std::vector<char> apart;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t sample = unit / blocks.count(), block = unit % blocks.count();
      RoiCall call = blocks.call(block, winner_bytes, scratch);
      char* const to = static_cast<char*>(grad_x) + blocks.start(sample, block, cells) * element;
      // A block of planes is one run of memory; channels side by side are one for each cell.
      const int64_t runs = r.channels_last ? cells : 1, step = r.channels * element;
      const int64_t length = blocks.size(block) * cells / runs;
      // Half precision is summed in float32 and rounded once; cells far apart would share few lines of the cache.
      const bool sums_apart = element == 2 || r.channels_last;
      const int64_t sum_bytes = std::max<int64_t>(element, sizeof(float));
      if (sums_apart) {
        apart.assign(size_t(runs * length * sum_bytes), 0);
        call.map.cell = call.lanes;
      } else {
        std::memset(to, 0, size_t(length * element));
      }
      void* const sums = sums_apart ? apart.data() : to;
      for (int64_t box = 0; box < r.boxes; ++box) {
        if (sample_of(r.box + 5 * box) == sample) add(box, block, call, sums);
      }
      for (int64_t run = 0; run < runs && sums_apart; ++run) {
        kernels.round(apart.data() + run * length * sum_bytes, length, to + run * step);
      }
    }
  });
}

}  // namespace

int64_t bad_box(const Regions& r) {
  for (int64_t i = 0; i < r.boxes; ++i) {
    const double* box = r.box + 5 * i;
    if (!(box[0] >= 0 && box[0] < double(r.samples) && box[0] == std::floor(box[0]))) return i;
    if (!std::all_of(box + 1, box + 5, [](double coordinate) { return std::isfinite(coordinate); })) return i;
  }
  return -1;
}

void roi_align(const Regions& r, Sampling sampling, const void* x, void* y, Parallel parallel) {
  const int64_t element = float_size(r.dtype);
  const Blocks blocks{r, kChannels};
  for_boxes(r, blocks, AlignTables{sampling, {}, {}}, 0, parallel,
            [&](int64_t box, int64_t block, const RoiCall& call, const AlignTables& tables) {
              const int64_t from = blocks.start(sample_of(r.box + 5 * box), block, blocks.map_cells());
              const int64_t to = blocks.start(box, block, blocks.bins());
              roi_kernels(r.dtype)->align(call, tables.rows.taps(), tables.columns.taps(),
                                          static_cast<const char*>(x) + from * element,
                                          static_cast<char*>(y) + to * element);
            });
}

void roi_align_backward(const Regions& r, Sampling sampling, const void* grad_y, void* grad_x, Parallel parallel) {
  const int64_t element = float_size(r.dtype);
  sum_over_boxes(r, 0, grad_x, parallel, [&](const Blocks& blocks) {
    return [&, tables = AlignTables{sampling, {}, {}}](int64_t box, int64_t block, const RoiCall& call,
                                                       void* sums) mutable {
      tables.build(r, r.box + 5 * box);
      roi_kernels(r.dtype)->align_backward(
          call, tables.rows.taps(), tables.columns.taps(),
          static_cast<const char*>(grad_y) + blocks.start(box, block, blocks.bins()) * element, sums);
    };
  });
}

int roi_winner_bytes(const Regions& r) {
  const int64_t cells = r.height * r.width;
  return cells < 0xff ? 1 : cells < 0xffff ? 2 : 4;
}

void roi_pool(const Regions& r, const void* x, void* y, void* winners, Parallel parallel) {
  const int64_t element = float_size(r.dtype);
  const int bytes = roi_winner_bytes(r);
  const Blocks blocks{r, kChannels};
  for_boxes(r, blocks, PoolTables(), bytes, parallel,
            [&](int64_t box, int64_t block, const RoiCall& call, const PoolTables& tables) {
              const int64_t from = blocks.start(sample_of(r.box + 5 * box), block, blocks.map_cells());
              const int64_t to = blocks.start(box, block, blocks.bins());
              roi_kernels(r.dtype)->pool(
                  call, tables.rows.spans(), tables.columns.spans(), static_cast<const char*>(x) + from * element,
                  static_cast<char*>(y) + to * element, winners ? static_cast<char*>(winners) + to * bytes : nullptr);
            });
}

void roi_pool_backward(const Regions& r, const void* grad_y, const void* winners, void* grad_x, Parallel parallel) {
  const int64_t element = float_size(r.dtype);
  const int bytes = roi_winner_bytes(r);
  sum_over_boxes(r, bytes, grad_x, parallel, [&](const Blocks& blocks) {
    return [&](int64_t box, int64_t block, const RoiCall& call, void* sums) {
      const int64_t from = blocks.start(box, block, blocks.bins());
      roi_kernels(r.dtype)->pool_backward(call, static_cast<const char*>(grad_y) + from * element,
                                          static_cast<const char*>(winners) + from * bytes, sums);
    };
  });
}

}  // namespace poolkit
