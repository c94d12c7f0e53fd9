// Random numbers by counting: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as
// 1, 2, 3, SC 2011). The number of an output depends on the key and the output's index alone, so that neither
// threads nor layouts nor instruction sets change a draw.
#pragma once

#include "../simd.h"

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

// Words of 32 bits, each in a lane of 64.
template <int lanes>
struct WordsOf {
  using type = typename VectorOf<uint64_t, lanes * 8>::type;
};
template <>
struct WordsOf<1> {
  using type = uint64_t;
};

// The four words of each block, whose counter is the block's number.
template <class W>
struct Block {
  W word[4];

  POOLKIT_INLINE Block(uint64_t key, W number) {
    constexpr uint64_t low = 0xffffffff;
    W a = number & low, b = number >> 32, c{}, d{};
    uint64_t key_a = key & low, key_b = key >> 32;
    for (int round = 0; round < 10; ++round) {
      const W x = low_product(a, 0xD2511F53), y = low_product(c, 0xCD9E8D57);
      a = (y >> 32) ^ b ^ key_a;
      b = y & low;
      c = (x >> 32) ^ d ^ key_b;
      d = x & low;
      key_a = (key_a + 0x9E3779B9) & low;
      key_b = (key_b + 0xBB67AE85) & low;
    }
    word[0] = a, word[1] = b, word[2] = c, word[3] = d;
  }
};

// A number in [0, 1) of a word: its upper 24 bits.
template <class A>
POOLKIT_INLINE A number_of(uint64_t word) {
  return A(int64_t(word >> 8)) * A(0x1p-24);
}

// A number for each lane's index.
template <class L>
POOLKIT_INLINE typename L::Value uniform_at(uint64_t key, const int64_t* index) {
  using A = typename L::Scalar;
  constexpr int step = L::lanes == 1 ? 1 : kVectorBytes / 8;
  using W = typename WordsOf<step>::type;
  A numbers[L::lanes];
  for (int i = 0; i < L::lanes; i += step) {
    const W at = load_bits<W>(index + i);
    const Block<W> block(key, at >> 2);
    const W even = (at & 2) == 0 ? block.word[0] : block.word[2], odd = (at & 2) == 0 ? block.word[1] : block.word[3];
    uint64_t word[step];
    store_bits(word, (at & 1) == 0 ? even : odd);
    for (int j = 0; j < step; ++j) numbers[i + j] = number_of<A>(word[j]);
  }
  return load_bits<typename L::Value>(numbers);
}

// The same of indices that follow one another: every word of a block is used, some blocks are found at a time.
template <class A>
class UniformRun {
 public:
  template <class L>
  POOLKIT_INLINE typename L::Value at(uint64_t key, int64_t index) {
    static_assert(L::lanes + 3 <= kNumbers);
    if (index < begin_ || index + L::lanes > begin_ + kNumbers) find(key, index / 4 * 4);
    return load<L>(numbers_ + (index - begin_));
  }

 private:
  static constexpr int kBlocks = kVectorBytes / 8, kNumbers = 4 * kBlocks;
  using W = typename WordsOf<kBlocks>::type;

  __attribute__((noinline)) void find(uint64_t key, int64_t begin) {
    begin_ = begin;
    int64_t number[kBlocks];
    for (int i = 0; i < kBlocks; ++i) number[i] = begin / 4 + i;
    const Block<W> block(key, load_bits<W>(number));
    if constexpr (sizeof(A) == 4) {
      using L = Wide<A>;
      using List = typename FirstLanes<kBlocks>::type;
      const W first = block.word[0] >> 8 | block.word[1] >> 8 << 32;
      const W second = block.word[2] >> 8 | block.word[3] >> 8 << 32;
      const W halves[2] = {zipped<0>(first, second, List{}), zipped<kBlocks / 2>(first, second, List{})};
      for (int half = 0; half < 2; ++half) {
        const auto whole = __builtin_convertvector(bit_cast<typename L::Index>(halves[half]), typename L::Value);
        store<L>(numbers_ + half * L::lanes, whole * L::splat(A(0x1p-24)));
      }
      return;
    }
    for (int w = 0; w < 4; ++w) {
      for (int i = 0; i < kBlocks; ++i) numbers_[4 * i + w] = number_of<A>(block.word[w][i]);
    }
  }

  int64_t begin_ = -kNumbers;
  A numbers_[kNumbers];
};

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
