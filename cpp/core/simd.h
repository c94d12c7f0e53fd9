// Lanes: the vector type of this instruction set, with loads and stores that convert between
// storage and accumulator types. The only file with #ifdef on the instruction set.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// For what stands in innermost loops: a call there would pass vectors through memory.
#define POOLKIT_INLINE inline __attribute__((always_inline))

namespace poolkit::POOLKIT_ISA_NAMESPACE {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

struct half {
  uint16_t bits;
};
struct bfloat {
  uint16_t bits;
};

template <class A, class B>
constexpr bool kSame = false;
template <class A>
constexpr bool kSame<A, A> = true;

template <class T, int bytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(bytes)));
};

template <int bytes>
struct SignedOf;
template <>
struct SignedOf<1> {
  using type = int8_t;
};
template <>
struct SignedOf<2> {
  using type = int16_t;
};
template <>
struct SignedOf<4> {
  using type = int32_t;
};
template <>
struct SignedOf<8> {
  using type = int64_t;
};

template <int bytes>
struct UnsignedOf;
template <>
struct UnsignedOf<1> {
  using type = uint8_t;
};
template <>
struct UnsignedOf<2> {
  using type = uint16_t;
};
template <>
struct UnsignedOf<4> {
  using type = uint32_t;
};
template <>
struct UnsignedOf<8> {
  using type = uint64_t;
};

// A family of lanes over the accumulator type A: a whole vector, or a single value for what is left over.
template <class A>
struct Wide {
  using Scalar = A;
  using Int = typename SignedOf<sizeof(A)>::type;
  using Value = typename VectorOf<A, kVectorBytes>::type;
  using Index = typename VectorOf<Int, kVectorBytes>::type;
  static constexpr int lanes = kVectorBytes / sizeof(A);
  static Value splat(A a) { return a - Value{}; }
  static Index splat_index(Int a) { return a - Index{}; }
};

template <class A>
struct Single {
  using Scalar = A;
  using Int = typename SignedOf<sizeof(A)>::type;
  using Value = A;
  using Index = Int;
  static constexpr int lanes = 1;
  static Value splat(A a) { return a; }
  static Index splat_index(Int a) { return a; }
};

// Unsigned words in the place of a family's values.
template <class L>
struct UnsignedLanes {
  using Word = typename UnsignedOf<sizeof(typename L::Scalar)>::type;
  using type = typename VectorOf<Word, sizeof(typename L::Value)>::type;
};
template <class A>
struct UnsignedLanes<Single<A>> {
  using type = typename UnsignedOf<sizeof(A)>::type;
};

// By the compiler's own means: of a copy of 192 bytes, as a state of three vectors is, GCC 12 loses a part.
template <class To, class From>
POOLKIT_INLINE To bit_cast(const From& from) {
  return __builtin_bit_cast(To, from);
}

template <class V>
POOLKIT_INLINE V load_bits(const void* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}

template <class V>
POOLKIT_INLINE void store_bits(void* p, const V& v) {
  __builtin_memcpy(p, &v, sizeof(V));
}

// Half precision without hardware: exact, round to nearest even, NaN stays a quiet NaN (as F16C does).
POOLKIT_INLINE float float_from_half(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000u) << 16;
  const uint32_t magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    const uint32_t quiet = magnitude > 0x7c00u ? 0x00400000u : 0u;
    return bit_cast<float>(sign | 0x7f800000u | quiet | ((magnitude & 0x3ffu) << 13));
  }
  if (magnitude < 0x400u) {
    const float small = float(magnitude) * 0x1p-24f;
    return bit_cast<float>(sign | bit_cast<uint32_t>(small));
  }
  return bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));
}

POOLKIT_INLINE uint16_t half_from_float(float f) {
  const uint32_t bits = bit_cast<uint32_t>(f);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Adding 0.5 puts the subnormal's units in the last place of the sum, rounded to nearest even.
    const float shifted = bit_cast<float>(magnitude) + 0.5f;
    return uint16_t(sign | (bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return uint16_t(sign | ((rounded - (112u << 23)) >> 13));
}

template <class L>
POOLKIT_INLINE typename L::Value load_bfloat(const bfloat* p) {
  if constexpr (L::lanes == 1) {
    return bit_cast<float>(uint32_t(p->bits) << 16);
  } else {
    using Narrow = typename VectorOf<uint16_t, L::lanes * 2>::type;
    using Bits = typename VectorOf<uint32_t, L::lanes * 4>::type;
    return bit_cast<typename L::Value>(__builtin_convertvector(load_bits<Narrow>(p), Bits) << 16);
  }
}

template <class L>
POOLKIT_INLINE typename L::Value load_half(const half* p) {
  if constexpr (L::lanes == 1) {
    return float_from_half(p->bits);
  } else {
#if defined(__AVX512F__)
    return bit_cast<typename L::Value>(_mm512_cvtph_ps(load_bits<__m256i>(p)));
#elif defined(__F16C__)
    return bit_cast<typename L::Value>(_mm256_cvtph_ps(load_bits<__m128i>(p)));
#else
    typename L::Value v{};
    for (int i = 0; i < L::lanes; ++i) v[i] = float_from_half(p[i].bits);
    return v;
#endif
  }
}

template <class L>
POOLKIT_INLINE void store_bfloat(bfloat* p, typename L::Value v) {
  using Bits = typename VectorOf<uint32_t, L::lanes * 4>::type;
  if constexpr (L::lanes == 1) {
    const uint32_t bits = bit_cast<uint32_t>(v);
    p->bits = v != v ? uint16_t(0x7fc0) : uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  } else {
    using Narrow = typename VectorOf<uint16_t, L::lanes * 2>::type;
    const Bits bits = bit_cast<Bits>(v);
    const Bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const Bits kept = v != v ? Bits{} + 0x7fc0u : rounded;
    store_bits(p, __builtin_convertvector(kept, Narrow));
  }
}

template <class L>
POOLKIT_INLINE void store_half(half* p, typename L::Value v) {
  if constexpr (L::lanes == 1) {
    p->bits = half_from_float(v);
  } else {
#if defined(__AVX512F__)
    store_bits(p, _mm512_cvtps_ph(bit_cast<__m512>(v), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    store_bits(p, _mm256_cvtps_ph(bit_cast<__m256>(v), _MM_FROUND_TO_NEAREST_INT));
#else
    for (int i = 0; i < L::lanes; ++i) p[i].bits = half_from_float(v[i]);
#endif
  }
}

// Numbers of half precision as integers of the same order, so that they can be compared without being converted: what
// is negative has all bits but its sign turned over. Beyond both infinities stands NaN.
template <class T>
constexpr bool kHasKeys = kSame<T, half> || kSame<T, bfloat>;
template <class T>
constexpr int16_t kInfinityKey = kSame<T, bfloat> ? 0x7f80 : 0x7c00;

template <class V>
POOLKIT_INLINE V turned_over(V bits) {
  return V(bits ^ ((bits >> 15) & int16_t(0x7fff)));
}

// load<L>(p): L::lanes values from storage type T, as accumulators.
template <class L, class T>
POOLKIT_INLINE typename L::Value load(const T* p) {
  using A = typename L::Scalar;
  if constexpr (kHasKeys<T> && kSame<A, int16_t>) {
    return turned_over(load_bits<typename L::Value>(p));
  } else if constexpr (kSame<T, bfloat>) {
    return load_bfloat<L>(p);
  } else if constexpr (kSame<T, half>) {
    return load_half<L>(p);
  } else if constexpr (L::lanes == 1) {
    return A(*p);
  } else if constexpr (sizeof(T) == sizeof(A)) {
    return load_bits<typename L::Value>(p);
  } else {
    using Narrow = typename VectorOf<T, L::lanes * sizeof(T)>::type;
    return __builtin_convertvector(load_bits<Narrow>(p), typename L::Value);
  }
}

// store<L>(p, v): rounds to nearest even.
template <class L, class T>
POOLKIT_INLINE void store(T* p, typename L::Value v) {
  if constexpr (kHasKeys<T> && kSame<typename L::Scalar, int16_t>) {
    store_bits(p, turned_over(v));
  } else if constexpr (kSame<T, bfloat>) {
    store_bfloat<L>(p, v);
  } else if constexpr (kSame<T, half>) {
    store_half<L>(p, v);
  } else if constexpr (L::lanes == 1) {
    *p = T(v);
  } else if constexpr (sizeof(T) == sizeof(typename L::Scalar)) {
    store_bits(p, v);
  } else {
    using Narrow = typename VectorOf<T, L::lanes * sizeof(T)>::type;
    store_bits(p, __builtin_convertvector(v, Narrow));
  }
}

// Whether bytes go to and from the lanes by instructions of their own: gcc 12 takes the conversion apart lane by lane.
#if defined(__SSE4_1__)
template <class L, class U>
constexpr bool kByteLanes = L::lanes > 1 && sizeof(U) == 1 && sizeof(typename L::Int) == 4;
#else
template <class L, class U>
constexpr bool kByteLanes = false;
#endif

template <class L>
POOLKIT_INLINE typename L::Index widened(const void* p) {
#if defined(__AVX512F__)
  return typename L::Index(_mm512_cvtepu8_epi32(load_bits<__m128i>(p)));
#elif defined(__AVX2__)
  return typename L::Index(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(load_bits<int64_t>(p))));
#elif defined(__SSE4_1__)
  return typename L::Index(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(load_bits<int32_t>(p))));
#endif
}

template <class L>
POOLKIT_INLINE void store_narrowed(void* p, typename L::Index v) {
#if defined(__AVX512F__)
  store_bits(p, _mm512_cvtepi32_epi8(__m512i(v)));
#elif defined(__AVX2__)
  const __m256i low_bytes = _mm256_set1_epi32(0x0c080400);
  const __m256i packed = _mm256_shuffle_epi8(__m256i(v), low_bytes);
  store_bits(p, _mm_cvtsi128_si32(_mm256_castsi256_si128(packed)));
  store_bits(static_cast<char*>(p) + 4, _mm_cvtsi128_si32(_mm256_extracti128_si256(packed, 1)));
#elif defined(__SSE4_1__)
  store_bits(p, _mm_cvtsi128_si32(_mm_shuffle_epi8(__m128i(v), _mm_set1_epi32(0x0c080400))));
#endif
}

// Winner offsets, kept in 1, 2 or 4 bytes.
template <class L, class U>
POOLKIT_INLINE typename L::Index load_index_as(const void* p) {
  if constexpr (L::lanes == 1) {
    return typename L::Int(load_bits<U>(p));
  } else if constexpr (kByteLanes<L, U>) {
    return widened<L>(p);
  } else {
    using Narrow = typename VectorOf<U, L::lanes * sizeof(U)>::type;
    return __builtin_convertvector(load_bits<Narrow>(p), typename L::Index);
  }
}

template <class L>
POOLKIT_INLINE typename L::Index load_index(const void* p, int bytes) {
  if constexpr (sizeof(typename L::Int) < 4) {
    return typename L::Index{};  // narrow accumulators carry no winners
  } else {
    if (bytes == 1) return load_index_as<L, uint8_t>(p);
    if (bytes == 2) return load_index_as<L, uint16_t>(p);
    return load_index_as<L, uint32_t>(p);
  }
}

template <class L, class U>
POOLKIT_INLINE void store_index_as(void* p, typename L::Index v) {
  if constexpr (L::lanes == 1) {
    store_bits(p, U(v));
  } else if constexpr (kByteLanes<L, U>) {
    store_narrowed<L>(p, v);
  } else {
    using Narrow = typename VectorOf<U, L::lanes * sizeof(U)>::type;
    store_bits(p, __builtin_convertvector(v, Narrow));
  }
}

template <class L>
POOLKIT_INLINE void store_index(void* p, int bytes, typename L::Index v) {
  if constexpr (sizeof(typename L::Int) >= 4) {
    if (bytes == 1) return store_index_as<L, uint8_t>(p, v);
    if (bytes == 2) return store_index_as<L, uint16_t>(p, v);
    store_index_as<L, uint32_t>(p, v);
  }
}

// The first place from p on where a vector of any width may stand.
inline void* whole_vectors(void* p) { return static_cast<char*>(p) + (64 - reinterpret_cast<uintptr_t>(p) % 64) % 64; }

constexpr int64_t kFetchedCells = 512;

// Brings n cells near that are soon read, or written, where these are too scattered for the processor to foresee.
template <bool writes, class T>
POOLKIT_INLINE void fetch_lines(const T* p, int64_t n) {
  constexpr int64_t cells_of_line = 64 / sizeof(T);
  for (int64_t i = 0; i < n; i += cells_of_line) __builtin_prefetch(p + i, writes, 3);
}

// Brings near, but not nearest, what is used after all that the nearest cache holds now.
template <class T>
POOLKIT_INLINE void fetch_later(const T* p) {
  __builtin_prefetch(p, 0, 2);
}

template <int... lane>
struct LaneList {};
template <int n, int... lane>
struct FirstLanes : FirstLanes<n - 1, n - 1, lane...> {};
template <int... lane>
struct FirstLanes<0, lane...> {
  using type = LaneList<lane...>;
};

template <class L, int... lane>
POOLKIT_INLINE typename L::Index lane_numbers(LaneList<lane...>) {
  return typename L::Index{typename L::Int(lane)...};
}

// 0, 1, 2, ...: written out, as vectors put together lane by lane go through memory.
template <class L>
POOLKIT_INLINE typename L::Index lane_numbers() {
  if constexpr (L::lanes == 1) {
    return 0;
  } else {
    return lane_numbers<L>(typename FirstLanes<L::lanes>::type{});
  }
}

// Every stride-th word at p.
template <class L>
POOLKIT_INLINE typename L::Index load_words_apart(const typename L::Scalar* p, int64_t stride) {
  if constexpr (L::lanes == 1) {
    return load_bits<typename L::Int>(p);
  } else {
#if defined(__AVX512F__)
    if constexpr (sizeof(typename L::Scalar) == 4) {
      if (stride < (int64_t{1} << 26)) {
        const auto places = lane_numbers<L>() * typename L::Int(stride);
        return typename L::Index(_mm512_i32gather_epi32(__m512i(places), p, 4));
      }
    }
#endif
    typename L::Index words{};
#pragma GCC unroll 64
    for (int i = 0; i < L::lanes; ++i) words[i] = load_bits<typename L::Int>(p + i * stride);
    return words;
  }
}

// Every stride-th number at p.
template <class L, class T>
POOLKIT_INLINE typename L::Value load_strided(const T* p, int64_t stride) {
  if constexpr (kSame<T, typename L::Scalar>) {
    return bit_cast<typename L::Value>(load_words_apart<L>(p, stride));
  } else if constexpr (L::lanes == 1) {
    return load<L>(p);
  } else {
    T side_by_side[L::lanes];
#pragma GCC unroll 64
    for (int i = 0; i < L::lanes; ++i) side_by_side[i] = p[i * stride];
    return load<L>(side_by_side);
  }
}

template <class V, int... lane>
POOLKIT_INLINE V even_lanes(V a, V b, LaneList<lane...>) {
  return __builtin_shufflevector(a, b, (2 * lane)...);
}

template <class L, class V>
POOLKIT_INLINE V evens(V a, V b) {
  return even_lanes(a, b, typename FirstLanes<L::lanes>::type{});
}

template <class V, int... lane>
POOLKIT_INLINE V odd_lanes(V a, V b, LaneList<lane...>) {
  return __builtin_shufflevector(a, b, (2 * lane + 1)...);
}

template <class L, class V>
POOLKIT_INLINE V odds(V a, V b) {
  return odd_lanes(a, b, typename FirstLanes<L::lanes>::type{});
}

// Every stride-th value at p; kStride is the stride where it is 1, 2 or 4, else 0.
template <class L, int kStride, class T>
POOLKIT_INLINE typename L::Value load_apart(const T* p, int64_t stride) {
  using V [[maybe_unused]] = typename L::Value;
  constexpr int n = L::lanes;
  if constexpr (n == 1 || kStride == 1) {
    return load<L>(p);
  } else if constexpr (kStride == 2) {
    return evens<L>(load<L>(p), load<L>(p + n));
  } else if constexpr (kStride == 4) {
    const V low = evens<L>(load<L>(p), load<L>(p + n)), high = evens<L>(load<L>(p + 2 * n), load<L>(p + 3 * n));
    return evens<L>(low, high);
  } else {
    return load_strided<L>(p, stride);
  }
}

// The words at p[index[0]], p[index[1]], ...
template <class L>
POOLKIT_INLINE typename L::Index load_picked(const typename L::Scalar* p, const int32_t* index) {
  using Index = typename L::Index;
  if constexpr (L::lanes == 1) {
    return load_bits<Index>(p + *index);
#if defined(__AVX512F__)
  } else if constexpr (L::lanes == 16 && sizeof(Index) == 64) {
    return Index(_mm512_i32gather_epi32(load_bits<__m512i>(index), p, 4));
  } else if constexpr (L::lanes == 8 && sizeof(Index) == 64) {
    return Index(_mm512_i32gather_epi64(load_bits<__m256i>(index), p, 8));
#elif defined(__AVX2__)
  } else if constexpr (L::lanes == 8) {
    return Index(_mm256_i32gather_epi32(reinterpret_cast<const int*>(p), load_bits<__m256i>(index), 4));
  } else if constexpr (L::lanes == 4) {
    return Index(_mm256_i32gather_epi64(reinterpret_cast<const long long*>(p), load_bits<__m128i>(index), 8));
#endif
  } else {
    Index words{};
#pragma GCC unroll 64
    for (int i = 0; i < L::lanes; ++i) words[i] = load_bits<typename L::Int>(p + index[i]);
    return words;
  }
}

template <int by, class V, int... lane>
POOLKIT_INLINE V lanes_from(V a, V b, LaneList<lane...>) {
  return __builtin_shufflevector(a, b, (by + lane)...);
}

// As many lanes of a, then b, as fit, from the one numbered `by` on.
template <class L, int by, class V>
POOLKIT_INLINE V shifted(V a, V b) {
  return lanes_from<by>(a, b, typename FirstLanes<L::lanes>::type{});
}

// The lanes of a and b in turn: a[0], b[0], a[1], ... ; the first and the second vector of them.
template <int from, class V, int... lane>
POOLKIT_INLINE V zipped(V a, V b, LaneList<lane...>) {
  constexpr int lanes = sizeof...(lane);
  return __builtin_shufflevector(a, b, (from + lane / 2 + lane % 2 * lanes)...);
}

template <class L>
POOLKIT_INLINE typename L::Value zipped_low(typename L::Value a, typename L::Value b) {
  return zipped<0>(a, b, typename FirstLanes<L::lanes>::type{});
}

template <class L>
POOLKIT_INLINE typename L::Value zipped_high(typename L::Value a, typename L::Value b) {
  return zipped<L::lanes / 2>(a, b, typename FirstLanes<L::lanes>::type{});
}

// Rows become columns: log2(lanes) rounds, each of which interleaves the two halves.
template <class L>
POOLKIT_INLINE void transpose(typename L::Value (&v)[L::lanes]) {
#pragma GCC unroll 4
  for (int round = 1; round < L::lanes; round *= 2) {
    typename L::Value w[L::lanes];
#pragma GCC unroll 8
    for (int i = 0; i < L::lanes / 2; ++i) {
      w[2 * i] = zipped_low<L>(v[i], v[i + L::lanes / 2]);
      w[2 * i + 1] = zipped_high<L>(v[i], v[i + L::lanes / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L::lanes; ++i) v[i] = w[i];
  }
}

// As many rows as there are lanes, row i from at(i) on, as columns.
template <class L, class At>
POOLKIT_INLINE void load_transposed(typename L::Value (&v)[L::lanes], const At& at) {
  if constexpr (sizeof(*at(0)) == 4 && L::lanes == 8) {
    // Two rows of four in each vector, so that nothing crosses the middle of one.
    using V = typename L::Value;
    using Four = typename VectorOf<typename L::Scalar, 16>::type;
#pragma GCC unroll 2
    for (int half = 0; half < 8; half += 4) {
      V rows[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        rows[i] = __builtin_shufflevector(load_bits<Four>(at(i) + half), load_bits<Four>(at(i + 4) + half), 0, 1, 2, 3,
                                          4, 5, 6, 7);
      }
      const V a = __builtin_shufflevector(rows[0], rows[1], 0, 8, 1, 9, 4, 12, 5, 13);
      const V b = __builtin_shufflevector(rows[0], rows[1], 2, 10, 3, 11, 6, 14, 7, 15);
      const V c = __builtin_shufflevector(rows[2], rows[3], 0, 8, 1, 9, 4, 12, 5, 13);
      const V d = __builtin_shufflevector(rows[2], rows[3], 2, 10, 3, 11, 6, 14, 7, 15);
      v[half] = __builtin_shufflevector(a, c, 0, 1, 8, 9, 4, 5, 12, 13);
      v[half + 1] = __builtin_shufflevector(a, c, 2, 3, 10, 11, 6, 7, 14, 15);
      v[half + 2] = __builtin_shufflevector(b, d, 0, 1, 8, 9, 4, 5, 12, 13);
      v[half + 3] = __builtin_shufflevector(b, d, 2, 3, 10, 11, 6, 7, 14, 15);
    }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < L::lanes; ++i) v[i] = load<L>(at(i));
    transpose<L>(v);
  }
}

// A value-wise function where the compiler knows the vector form only as a loop.
template <class L, class F>
POOLKIT_INLINE typename L::Value each_lane(typename L::Value v, F f) {
  if constexpr (L::lanes == 1) {
    return f(v);
  } else {
    typename L::Value r{};
    for (int i = 0; i < L::lanes; ++i) r[i] = f(v[i]);
    return r;
  }
}

// The product of a 32-bit word, in a lane of 64 bits, and a constant.
template <class W>
POOLKIT_INLINE W low_product(W a, uint32_t b) {
  if constexpr (kSame<W, uint64_t>) {
    return a * b;
#if defined(__AVX512F__)
  } else {
    return W(_mm512_mul_epu32(__m512i(a), _mm512_set1_epi64(b)));
#elif defined(__AVX2__)
  } else {
    return W(_mm256_mul_epu32(__m256i(a), _mm256_set1_epi64x(b)));
#elif defined(__SSE2__)
  } else {
    return W(_mm_mul_epu32(__m128i(a), _mm_set1_epi64x(b)));
#else
  } else {
    return a * uint64_t(b);
#endif
  }
}

template <class L>
using Mask = decltype(typename L::Value{} == typename L::Value{});

template <class L>
POOLKIT_INLINE bool any(const Mask<L>& mask) {
  if constexpr (L::lanes == 1) {
    return mask;
  } else {
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask(__m512i(mask), __m512i(mask)) != 0;
#elif defined(__AVX__)
    return _mm256_testz_si256(__m256i(mask), __m256i(mask)) == 0;
#elif defined(__SSE4_1__)
    return _mm_testz_si128(__m128i(mask), __m128i(mask)) == 0;
#else
    const auto words = bit_cast<typename VectorOf<uint64_t, sizeof(mask)>::type>(mask);
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof(mask) / 8; ++i) all |= words[i];
    return all != 0;
#endif
  }
}

// Whether any lane of a or b is NaN.
template <class L>
POOLKIT_INLINE bool any_nan(typename L::Value a, typename L::Value b) {
#if defined(__AVX512F__)
  if constexpr (kSame<typename L::Scalar, float>) {
    return _mm512_cmp_ps_mask(__m512(a), __m512(b), _CMP_UNORD_Q) != 0;
  } else {
    return _mm512_cmp_pd_mask(__m512d(a), __m512d(b), _CMP_UNORD_Q) != 0;
  }
#elif defined(__AVX__)
  if constexpr (kSame<typename L::Scalar, float>) {
    return _mm256_movemask_ps(_mm256_cmp_ps(__m256(a), __m256(b), _CMP_UNORD_Q)) != 0;
  } else {
    return _mm256_movemask_pd(_mm256_cmp_pd(__m256d(a), __m256d(b), _CMP_UNORD_Q)) != 0;
  }
#else
  return any<L>((a != a) | (b != b));
#endif
}

// b > a ? b : a and b < a ? b : a: single instructions, which GCC 12 does not find for itself.
template <class L>
POOLKIT_INLINE typename L::Value larger(typename L::Value b, typename L::Value a) {
  using V [[maybe_unused]] = typename L::Value;
  if constexpr (L::lanes == 1) {
    return b > a ? b : a;
#if defined(__AVX512F__)
  } else if constexpr (kSame<typename L::Scalar, float>) {
    return V(_mm512_max_ps(__m512(b), __m512(a)));
  } else if constexpr (kSame<typename L::Scalar, double>) {
    return V(_mm512_max_pd(__m512d(b), __m512d(a)));
#elif defined(__AVX__)
  } else if constexpr (kSame<typename L::Scalar, float>) {
    return V(_mm256_max_ps(__m256(b), __m256(a)));
  } else if constexpr (kSame<typename L::Scalar, double>) {
    return V(_mm256_max_pd(__m256d(b), __m256d(a)));
#elif defined(__x86_64__)
  } else if constexpr (kSame<typename L::Scalar, float>) {
    return V(_mm_max_ps(__m128(b), __m128(a)));
  } else if constexpr (kSame<typename L::Scalar, double>) {
    return V(_mm_max_pd(__m128d(b), __m128d(a)));
#endif
  } else {
    return b > a ? b : a;
  }
}

template <class L>
POOLKIT_INLINE typename L::Value smaller(typename L::Value b, typename L::Value a) {
  using V [[maybe_unused]] = typename L::Value;
  if constexpr (L::lanes == 1) {
    return b < a ? b : a;
#if defined(__AVX512F__)
  } else if constexpr (kSame<typename L::Scalar, float>) {
    return V(_mm512_min_ps(__m512(b), __m512(a)));
  } else if constexpr (kSame<typename L::Scalar, double>) {
    return V(_mm512_min_pd(__m512d(b), __m512d(a)));
#elif defined(__AVX__)
  } else if constexpr (kSame<typename L::Scalar, float>) {
    return V(_mm256_min_ps(__m256(b), __m256(a)));
  } else if constexpr (kSame<typename L::Scalar, double>) {
    return V(_mm256_min_pd(__m256d(b), __m256d(a)));
#elif defined(__x86_64__)
  } else if constexpr (kSame<typename L::Scalar, float>) {
    return V(_mm_min_ps(__m128(b), __m128(a)));
  } else if constexpr (kSame<typename L::Scalar, double>) {
    return V(_mm_min_pd(__m128d(b), __m128d(a)));
#endif
  } else {
    return b < a ? b : a;
  }
}

template <class L>
POOLKIT_INLINE typename L::Value square_root(typename L::Value v) {
  if constexpr (L::lanes == 1) {
    return sizeof(v) == 4 ? typename L::Value(__builtin_sqrtf(float(v))) : typename L::Value(__builtin_sqrt(double(v)));
#if defined(__AVX512F__)
  } else if constexpr (sizeof(typename L::Scalar) == 4) {
    return typename L::Value(_mm512_sqrt_ps(__m512(v)));
  } else {
    return typename L::Value(_mm512_sqrt_pd(__m512d(v)));
#elif defined(__AVX__)
  } else if constexpr (sizeof(typename L::Scalar) == 4) {
    return typename L::Value(_mm256_sqrt_ps(__m256(v)));
  } else {
    return typename L::Value(_mm256_sqrt_pd(__m256d(v)));
#elif defined(__x86_64__)
  } else if constexpr (sizeof(typename L::Scalar) == 4) {
    return typename L::Value(_mm_sqrt_ps(__m128(v)));
  } else {
    return typename L::Value(_mm_sqrt_pd(__m128d(v)));
#else
  } else {
    return each_lane<L>(v, [](typename L::Scalar x) { return square_root<Single<typename L::Scalar>>(x); });
#endif
  }
}

}  // namespace
}  // namespace poolkit::POOLKIT_ISA_NAMESPACE
