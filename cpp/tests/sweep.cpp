// Every kernel under every instruction set, against the reference.
//   sweep [how many random geometries [part parts]], such as `sweep 150 0 2` and `sweep 150 1 2`
#include "sweep.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/parallel.h"

namespace poolkit::test {
namespace {

int passed = 0, failed = 0;

void crashed(int) {
  const std::string line = "CRASHED " + current + "\n";
  [[maybe_unused]] const ssize_t written = write(STDOUT_FILENO, line.data(), line.size());
  _exit(2);
}

using Body = void (*)(const void*, int64_t, int64_t);

void run_serial(int64_t size, int64_t, Body body, const void* context) {
  if (size > 0) body(context, 0, size);
}

void run_pieces(int64_t size, int64_t grain, Body body, const void* context) {
  const int64_t piece = std::max<int64_t>(grain, 1);
  for (int64_t begin = (size + piece - 1) / piece * piece; begin > 0; begin -= piece) {
    body(context, begin - piece, std::min(begin, size));
  }
}

void check_names() {
  current = "names";
  check(isa_count() > 0, "no instruction set");
  for (int i = 0; i < isa_count(); ++i) {
    check(set_isa(isa_name(i)), "set_isa refuses " + std::string(isa_name(i)));
    check(std::strcmp(isa(), isa_name(i)) == 0, "isa() is not " + std::string(isa_name(i)));
    std::printf("%s%s", i ? ", " : "instruction sets: ", isa_name(i));
  }
  std::printf("\n");
  const std::string last = isa();
  check(!set_isa("unheard-of") && isa() == last, "set_isa takes an unknown name");
  check(find_method("unheard-of") == -1, "find_method takes an unknown name");
  for (int i = 0; i < method_count(); ++i) check(find_method(method_name(i)) == i, "find_method and method_name");
}

}  // namespace

std::string current;
Share share;

void check(bool ok, const std::string& what) {
  ok ? ++passed : ++failed;
  if (!ok) std::printf("FAILED %s: %s\n", current.c_str(), what.c_str());
}

const Parallel kSerial = {run_serial}, kPieces = {run_pieces};

int run(int random_count) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) std::signal(signal, crashed);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  set_num_threads(3);
  random_bits.seed(2 + unsigned(share.part));
  check_names();
  sweep_unpools(random_count);
  sweep_regions(random_count);
  sweep_segments(random_count / 4);
  sweep_sequences(random_count / 4);
  sweep_pools(random_count);
  sweep_filters(random_count);
  sweep_fractional(random_count / 2);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}

}  // namespace poolkit::test

int main(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  poolkit::test::share = {argument(2, 0), argument(3, 1)};
  return poolkit::test::run(argument(1, 150));
}
