// poolkit._numpy: the core on NumPy arrays. numpy.py checks arguments in the user's words; the checks here only
// keep a direct call from reading or writing out of bounds.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "poolkit/run.h"

namespace nb = nanobind;

namespace {

using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;
using Ints = std::vector<int64_t>;
using Floats = std::vector<double>;

// Lets other Python threads run. If the interpreter ends meanwhile, Python before 3.14 unwinds the thread that asks for
// the lock again, which no C++ frame above would survive: here it sleeps until the process is gone, as it does later.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) pause();
    }
  }
  WithoutGil(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

struct Type {
  const char* name;
  poolkit::DType dtype;
  int64_t bytes;
};

// By name, because bfloat16 arrays come as their bits.
const Type& type_of(const std::string& name) {
  using poolkit::DType;
  static const Type types[] = {{"float32", DType::f32, 4},   {"float64", DType::f64, 8}, {"float16", DType::f16, 2},
                               {"bfloat16", DType::bf16, 2}, {"uint8", DType::u8, 1},    {"int8", DType::i8, 1},
                               {"int16", DType::i16, 2},     {"int32", DType::i32, 4},   {"int64", DType::i64, 8},
                               {"bool", DType::boolean, 1}};
  for (const Type& type : types) {
    if (name == type.name) return type;
  }
  throw nb::value_error(("no kernel for dtype " + name).c_str());
}

// A product of sizes, or an error where no array can be so large.
int64_t product(std::initializer_list<int64_t> sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) {
    if (size < 0 || __builtin_mul_overflow(result, size, &result)) throw nb::value_error("impossible sizes");
  }
  return result;
}

template <class Array>
void check(const Array& array, int64_t cells, int64_t bytes, const char* name) {
  if (int64_t(array.nbytes()) != product({cells, bytes})) {
    throw nb::value_error((std::string(name) + " has the wrong size").c_str());
  }
  if (reinterpret_cast<uintptr_t>(array.data()) % uintptr_t(bytes) != 0) {
    throw nb::value_error((std::string(name) + " is not aligned").c_str());
  }
}

// Whether every number that the core derives from this axis fits, and its last window begins inside.
bool is_sound(const poolkit::Axis& a) {
  constexpr int64_t kLongest = int64_t{1} << 60;
  const auto within = [](int64_t value, int64_t low, int64_t high) { return low <= value && value <= high; };
  if (!within(a.in, 0, kLongest) || !within(a.out, 0, kLongest) || a.kernel < 0) return false;
  if (a.kernel == 0) return a.stride == 1 && a.dilation == 1 && a.pad_low == 0 && a.pad_high == 0;
  if (!within(a.stride, 1, kLongest) || !within(a.dilation, 1, kLongest)) return false;
  if (!within(a.pad_low, 0, 2 * kLongest) || !within(a.pad_high, 0, 2 * kLongest)) return false;
  int64_t reach, start;
  if (__builtin_mul_overflow(a.kernel - 1, a.dilation, &reach) || reach > 4 * kLongest) return false;
  if (__builtin_mul_overflow(a.out - 1, a.stride, &start)) return false;
  return a.out == 0 || start - a.pad_low < a.in;
}

poolkit::Problem problem_of(const Type& type, const std::string& method, int64_t outer, int64_t inner,
                            const Ints& windows, const Floats& params) {
  const int index = poolkit::find_method(method.c_str());
  if (index < 0) throw nb::value_error(("no kernel for method " + method).c_str());
  if (windows.size() != poolkit::kWindowInts) throw nb::value_error("malformed windows");
  const poolkit::Problem problem =
      poolkit::make_problem(index, type.dtype, outer, inner, windows.data(), params.data(), int(params.size()));
  const int count = int(problem.count);
  bool sound = count >= 0 && count <= 2 && (problem.count != poolkit::Count::fixed || problem.divisor != 0);
  for (const poolkit::Axis& axis : problem.axis) sound = sound && is_sound(axis);
  if (!sound) throw nb::value_error("malformed windows");
  return problem;
}

// Only once the arrays are known to match: a plan takes memory in proportion to them.
void refuse(const poolkit::Problem& problem) {
  if (const char* why = poolkit::refusal(problem)) throw nb::value_error(why);
}

int64_t cells_in(const poolkit::Problem& p) {
  return product({p.outer, p.inner, p.axis[0].in, p.axis[1].in, p.axis[2].in});
}

int64_t cells_out(const poolkit::Problem& p) {
  return product({p.outer, p.inner, p.axis[0].out, p.axis[1].out, p.axis[2].out});
}

void pool(const Input& x, const Output& y, const std::optional<Output>& winners, const std::string& dtype,
          const std::string& method, int64_t outer, int64_t inner, const Ints& windows, const Floats& params,
          uint64_t seed) {
  const Type& type = type_of(dtype);
  const poolkit::Problem problem = problem_of(type, method, outer, inner, windows, params);
  check(x, cells_in(problem), type.bytes, "x");
  check(y, cells_out(problem), type.bytes, "y");
  if (y.size() == 0) return;
  refuse(problem);
  if (winners) {
    if (!poolkit::has_winners(problem.method)) throw nb::value_error("this method has no winners");
    check(*winners, cells_out(problem), poolkit::winner_bytes(problem), "winners");
  }
  const WithoutGil released;
  poolkit::forward(problem, x.data(), y.data(), winners ? winners->data() : nullptr, poolkit::kPoolThreads, seed);
}

void winner_indices(const Input& winners, const Output& indices, int64_t outer, int64_t inner, const Ints& windows) {
  const poolkit::Problem problem = problem_of(type_of("float32"), "max", outer, inner, windows, {});
  check(indices, cells_out(problem), 8, "indices");
  if (indices.size() == 0) return;
  cells_in(problem);
  refuse(problem);
  check(winners, cells_out(problem), poolkit::winner_bytes(problem), "winners");
  const WithoutGil released;
  poolkit::indices(problem, winners.data(), static_cast<int64_t*>(indices.data()), poolkit::kPoolThreads);
}

// The first index found outside the volume, or None.
std::optional<int64_t> unpool(const Input& x, const Input& indices, const Output& y, const std::string& dtype,
                              int64_t outer, int64_t cells, int64_t volume, int64_t inner) {
  const Type& type = type_of(dtype);
  const int64_t count = product({outer, inner, cells});
  check(x, count, type.bytes, "x");
  check(indices, count, 8, "indices");
  check(y, product({outer, inner, volume}), type.bytes, "y");
  if (outer == 0 || inner == 0) return std::nullopt;
  const poolkit::Unpool problem{outer, cells, volume, inner, type.dtype};
  const WithoutGil released;
  const poolkit::BadIndex bad =
      poolkit::unpool(problem, x.data(), static_cast<const int64_t*>(indices.data()), y.data(), poolkit::kPoolThreads);
  return bad.found ? std::optional<int64_t>(bad.value) : std::nullopt;
}

std::string explain(const std::string& dtype, const std::string& method, int64_t outer, int64_t inner,
                    const Ints& windows, const Floats& params, bool winners) {
  const poolkit::Problem problem = problem_of(type_of(dtype), method, outer, inner, windows, params);
  cells_in(problem);
  cells_out(problem);
  refuse(problem);
  char text[640];
  poolkit::explain(problem, winners, text, sizeof(text));
  return text;
}

std::vector<std::string> kernels() {
  std::vector<std::string> names;
  for (int i = 0; i < poolkit::method_count(); ++i) names.push_back(poolkit::method_name(i));
  return names;
}

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (int i = 0; i < poolkit::isa_count(); ++i) names.push_back(poolkit::isa_name(i));
  return names;
}

void set_threads(int threads) {
  if (threads < 1 || threads > poolkit::kMostThreads) {
    const std::string most = std::to_string(poolkit::kMostThreads);
    throw nb::value_error(("num_threads must be 1 to " + most + ", but got " + std::to_string(threads)).c_str());
  }
  poolkit::set_num_threads(threads);
}

}  // namespace

// Without implicit conversion: a converted copy would take the result, and nobody would see it.
NB_MODULE(_numpy, m) {
  m.def("pool", &pool, nb::arg().noconvert(), nb::arg().noconvert(), nb::arg().noconvert().none(), nb::arg(), nb::arg(),
        nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg("seed") = 0);
  m.def("winner_indices", &winner_indices, nb::arg().noconvert(), nb::arg().noconvert(), nb::arg(), nb::arg(),
        nb::arg());
  m.def("unpool", &unpool, nb::arg().noconvert(), nb::arg().noconvert(), nb::arg().noconvert(), nb::arg(), nb::arg(),
        nb::arg(), nb::arg(), nb::arg());
  m.def("explain", &explain);
  m.def("kernels", &kernels);
  m.def("isa", &poolkit::isa);
  m.def("isas", &isas);
  m.def("set_isa", [](const std::string& name) { return poolkit::set_isa(name.c_str()); });
  m.def("num_threads", &poolkit::num_threads);
  m.def("set_num_threads", &set_threads);
}
