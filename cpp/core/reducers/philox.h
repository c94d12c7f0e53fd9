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

// The counter's index and 0 as the block, the output's place in the block as the word: one number for each lane.
template <class W>
POOLKIT_INLINE W philox(uint64_t key, W index) {
  constexpr uint64_t low = 0xffffffff;
  const W block = index >> 2;
  W a = block & low, b = block >> 32, c{}, d{};
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
  const W even = (index & 2) == 0 ? a : c, odd = (index & 2) == 0 ? b : d;
  return (index & 1) == 0 ? even : odd;
}

// A number in [0, 1) for each lane's index: the word's upper 24 bits.
template <class L>
POOLKIT_INLINE typename L::Value uniform_at(uint64_t key, const int64_t* index) {
  using A = typename L::Scalar;
  constexpr int step = L::lanes == 1 ? 1 : kVectorBytes / 8;
  using W = typename WordsOf<step>::type;
  A numbers[L::lanes];
  for (int i = 0; i < L::lanes; i += step) {
    const W words = philox<W>(key, load_bits<W>(index + i)) >> 8;
    uint64_t word[step];
    store_bits(word, words);
    for (int j = 0; j < step; ++j) numbers[i + j] = A(int64_t(word[j])) * A(0x1p-24);
  }
  return load_bits<typename L::Value>(numbers);
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
