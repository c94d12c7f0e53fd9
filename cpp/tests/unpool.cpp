// unpool() and unpool_backward(), which move bytes: no tolerance.
#include <algorithm>
#include <cstring>
#include <limits>
#include <set>
#include <vector>

#include "core/parallel.h"
#include "guarded.h"
#include "numbers.h"
#include "sweep.h"

namespace poolkit::test {
namespace {

using Bytes = std::vector<char>;

Bytes noise(DType dtype, int64_t count) {
  Bytes result(count * bytes(dtype));
  for (char& byte : result) byte = char(pick(0, dtype == DType::boolean ? 1 : 255));
  return result;
}

bool equal(const Guarded& got, const Bytes& expected) {
  return expected.empty() || std::memcmp(got.data(), expected.data(), expected.size()) == 0;
}

class UnpoolTest {
 public:
  UnpoolTest(DType dtype, int64_t outer, int64_t cells, int64_t volume, int64_t inner, bool distinct)
      : problem_{outer, cells, volume, inner, dtype},
        count_(outer * cells * inner),
        index_(count_),
        x_(noise(dtype, count_)),
        grad_y_(noise(dtype, outer * volume * inner)) {
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t c = 0; c < inner; ++c) {
        std::vector<int64_t> places(std::max(volume, cells));
        for (size_t i = 0; i < places.size(); ++i) places[i] = volume ? int64_t(i) % volume : 0;
        std::shuffle(places.begin(), places.end(), random_bits);
        for (int64_t i = 0; i < cells; ++i) {
          index_[(o * cells + i) * inner + c] = distinct || volume == 0 ? places[i] : pick(0, volume - 1);
        }
      }
    }
  }

  void run() {
    describe("");
    if (problem_.volume > 0) {
      check_good();
    }
    if (count_ > 0) check_bad(1 + (count_ > 1));
  }

 private:
  void describe(const std::string& what) {
    current = std::string("unpool ") + name(problem_.dtype) + " outer=" + std::to_string(problem_.outer) +
              " cells=" + std::to_string(problem_.cells) + " volume=" + std::to_string(problem_.volume) +
              " inner=" + std::to_string(problem_.inner) + what;
  }

  void check_good() {
    const auto& [outer, cells, volume, inner, dtype] = problem_;
    const size_t size = bytes(dtype);
    Bytes y(outer * volume * inner * size, 0), grad_x(count_ * size, 0);
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t c = 0; c < inner; ++c) {
        std::vector<int64_t> writer(volume, -1);
        for (int64_t i = 0; i < cells; ++i) writer[index_[(o * cells + i) * inner + c]] = i;
        for (int64_t v = 0; v < volume; ++v) {
          if (writer[v] < 0) continue;
          const size_t from = ((o * cells + writer[v]) * inner + c) * size, to = ((o * volume + v) * inner + c) * size;
          std::copy_n(&x_[from], size, &y[to]);
          std::copy_n(&grad_y_[to], size, &grad_x[from]);
        }
      }
    }
    for (const Flush flush : {Flush::begin, Flush::end}) {
      const Inputs inputs(*this, flush);
      for (const Parallel& parallel : {kSerial, kPieces, kPoolThreads}) {
        Guarded got_y(y.size(), flush), got_grad_x(grad_x.size(), flush);
        check(!inputs.forward(got_y, parallel).found, "a good index is refused");
        check(equal(got_y, y), "y is wrong");
        check(got_y.intact(), "y: written out of bounds");
        check(!inputs.backward(got_grad_x, parallel).found, "backward: a good index is refused");
        check(equal(got_grad_x, grad_x), "grad_x is wrong");
        check(got_grad_x.intact(), "grad_x: written out of bounds");
      }
    }
  }

  void check_bad(int how_many) {
    const int64_t far[] = {-1,
                           problem_.volume,
                           std::numeric_limits<int64_t>::min(),
                           std::numeric_limits<int64_t>::max(),
                           problem_.volume + pick(1, 1000),
                           -pick(2, 1000)};
    std::set<int64_t> bad;
    for (int i = 0; i < how_many; ++i) {
      const int64_t value = far[pick(0, 5)];
      const size_t where = pick(0, count_ - 1);
      bad.erase(index_[where]);
      bad.insert(value);
      index_[where] = value;
    }
    describe(" with an index of " + std::to_string(*bad.begin()));
    const Inputs inputs(*this, Flush::end);
    for (const Parallel& parallel : {kSerial, kPieces, kPoolThreads}) {
      Guarded y(grad_y_.size(), Flush::end), grad_x(x_.size(), Flush::end);
      const BadIndex forward = inputs.forward(y, parallel), backward = inputs.backward(grad_x, parallel);
      const bool impossible = problem_.volume == 0;  // then every index is bad
      check(forward.found && (impossible || bad.count(forward.value)), "a bad index goes unseen");
      check(y.intact(), "y: written out of bounds");
      check(backward.found && (impossible || bad.count(backward.value)), "backward: a bad index goes unseen");
      check(grad_x.intact(), "grad_x: written out of bounds");
    }
  }

  // The arrays that the core only reads, where a write or a stray read crashes.
  struct Inputs {
    const Unpool& problem;
    Guarded x, index, grad_y;
    Inputs(const UnpoolTest& test, Flush flush)
        : problem(test.problem_),
          x(test.x_.size(), flush),
          index(test.index_.size() * sizeof(int64_t), flush),
          grad_y(test.grad_y_.size(), flush) {
      std::copy(test.x_.begin(), test.x_.end(), static_cast<char*>(x.data()));
      std::copy(test.index_.begin(), test.index_.end(), static_cast<int64_t*>(index.data()));
      std::copy(test.grad_y_.begin(), test.grad_y_.end(), static_cast<char*>(grad_y.data()));
      for (Guarded* memory : {&x, &index, &grad_y}) memory->seal();
    }
    BadIndex forward(const Guarded& y, const Parallel& parallel) const {
      return unpool(problem, x.data(), static_cast<const int64_t*>(index.data()), y.data(), parallel);
    }
    BadIndex backward(const Guarded& grad_x, const Parallel& parallel) const {
      return unpool_backward(problem, grad_y.data(), static_cast<const int64_t*>(index.data()), grad_x.data(),
                             parallel);
    }
  };

  Unpool problem_;
  int64_t count_;
  std::vector<int64_t> index_;
  Bytes x_, grad_y_;
};

}  // namespace

void sweep_unpools(int random_shapes) {
  for (int i = 0; i < random_shapes; ++i) {
    if (!share.has(i)) continue;
    for (const DType dtype : kDTypes) {
      const int64_t inner = pick(0, 1) ? 1 : pick(2, 20);
      UnpoolTest(dtype, pick(0, 9) ? pick(1, 4) : 0, pick(0, 40), pick(0, 80), inner, pick(0, 1)).run();
    }
  }
}

}  // namespace poolkit::test
