// What the parts of the sweep share: reports, random numbers, ways to run in parallel.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "poolkit/run.h"

namespace poolkit::test {

extern std::string current;  // what is being tested, for the line of a failure or a crash
void check(bool ok, const std::string& what);

// A process may take one part of all problems, with random numbers of its own.
struct Share {
  int part = 0, parts = 1;
  bool has(int number) const { return number % parts == part; }
};
extern Share share;

inline std::mt19937_64 random_bits(2);
inline int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random_bits);
}
inline double pick_real(double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(random_bits);
}

extern const Parallel kSerial;  // in one piece
extern const Parallel kPieces;  // in as many pieces as allowed, the last one first

void sweep_pools(int random_geometries);
void sweep_unpools(int random_shapes);
void sweep_regions(int random_shapes);
void sweep_segments(int random_shapes);
void sweep_sequences(int random_shapes);
void sweep_filters(int random_shapes);
void sweep_fractional(int random_shapes);

}  // namespace poolkit::test
