// poolkit._numpy: the core on NumPy arrays. numpy.py checks arguments in the user's words; the checks here only
// keep a direct call from reading or writing out of bounds.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "poolkit/run.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Input = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::c_contig, nb::device::cpu>;

struct Type {
  const char* name;
  poolkit::DType dtype;
  int64_t bytes;
};

// By name, because bfloat16 arrays come as their bits.
Type type_of(const std::string& name) {
  using poolkit::DType;
  static const Type types[] = {{"float32", DType::f32, 4}, {"float64", DType::f64, 8}, {"float16", DType::f16, 2},
                               {"bfloat16", DType::bf16, 2}, {"uint8", DType::u8, 1}, {"int8", DType::i8, 1},
                               {"int16", DType::i16, 2}, {"int32", DType::i32, 4}, {"int64", DType::i64, 8},
                               {"bool", DType::boolean, 1}};
  for (const Type& type : types) {
    if (name == type.name) return type;
  }
  throw nb::value_error(("no kernel for dtype " + name).c_str());
}

template <class Array>
void check_bytes(const Array& array, int64_t cells, int64_t bytes, const char* name) {
  if (cells < 0 || int64_t(array.nbytes()) != cells * bytes) {
    throw nb::value_error((std::string(name) + " has the wrong size for these windows").c_str());
  }
}

// A product of sizes, or an error where it is no possible size of an array.
int64_t product(std::initializer_list<int64_t> sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) {
    if (size < 0 || __builtin_mul_overflow(result, size, &result)) throw nb::value_error("impossible sizes");
  }
  return result;
}

poolkit::Problem problem_of(const Type& type, const std::string& method, int64_t outer, int64_t inner,
                            const std::vector<int64_t>& windows, const std::vector<double>& params) {
  const int index = poolkit::find_method(method.c_str());
  if (index < 0) throw nb::value_error(("no kernel for method " + method).c_str());
  if (windows.size() != poolkit::kWindowInts) throw nb::value_error("malformed windows");
  const poolkit::Problem problem =
      poolkit::make_problem(index, type.dtype, outer, inner, windows.data(), params.data(), int(params.size()));
  if (const char* why = poolkit::refusal(problem)) throw nb::value_error(why);
  return problem;
}

int64_t cells_in(const poolkit::Problem& p) {
  return product({p.outer, p.inner, p.axis[0].in, p.axis[1].in, p.axis[2].in});
}

int64_t cells_out(const poolkit::Problem& p) {
  return product({p.outer, p.inner, p.axis[0].out, p.axis[1].out, p.axis[2].out});
}

void pool(const Input& x, const Output& y, const std::optional<Output>& winners, const std::string& dtype,
          const std::string& method, int64_t outer, int64_t inner, const std::vector<int64_t>& windows,
          const std::vector<double>& params) {
  const Type type = type_of(dtype);
  const poolkit::Problem problem = problem_of(type, method, outer, inner, windows, params);
  check_bytes(x, cells_in(problem), type.bytes, "x");
  check_bytes(y, cells_out(problem), type.bytes, "y");
  if (winners) {
    if (!poolkit::has_winners(problem.method)) throw nb::value_error("this method has no winners");
    check_bytes(*winners, cells_out(problem), poolkit::winner_bytes(problem), "winners");
  }
  nb::gil_scoped_release released;
  poolkit::forward(problem, x.data(), y.data(), winners ? winners->data() : nullptr, poolkit::kPoolThreads);
}

void winner_indices(const Input& winners, const Output& indices, int64_t outer, int64_t inner,
                    const std::vector<int64_t>& windows) {
  const poolkit::Problem problem = problem_of(type_of("float32"), "max", outer, inner, windows, {});
  check_bytes(winners, cells_out(problem), poolkit::winner_bytes(problem), "winners");
  check_bytes(indices, cells_out(problem), 8, "indices");
  nb::gil_scoped_release released;
  poolkit::indices(problem, winners.data(), static_cast<int64_t*>(indices.data()), poolkit::kPoolThreads);
}

// The first index found outside the volume, or None.
std::optional<int64_t> unpool(const Input& x, const Input& indices, const Output& y, const std::string& dtype,
                              int64_t outer, int64_t cells, int64_t volume, int64_t inner) {
  const Type type = type_of(dtype);
  check_bytes(x, product({outer, cells, inner}), type.bytes, "x");
  check_bytes(indices, product({outer, cells, inner}), 8, "indices");
  check_bytes(y, product({outer, volume, inner}), type.bytes, "y");
  const poolkit::Unpool problem{outer, cells, volume, inner, type.dtype};
  nb::gil_scoped_release released;
  const poolkit::BadIndex bad = poolkit::unpool(problem, x.data(), static_cast<const int64_t*>(indices.data()),
                                                y.data(), poolkit::kPoolThreads);
  return bad.found ? std::optional<int64_t>(bad.value) : std::nullopt;
}

std::string explain(const std::string& dtype, const std::string& method, int64_t outer, int64_t inner,
                    const std::vector<int64_t>& windows, const std::vector<double>& params) {
  char text[640];
  poolkit::explain(problem_of(type_of(dtype), method, outer, inner, windows, params), false, text, sizeof(text));
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
  if (threads < 1) throw nb::value_error(("threads must be at least 1, but got " + std::to_string(threads)).c_str());
  poolkit::set_num_threads(threads);
}

}  // namespace

NB_MODULE(_numpy, m) {
  m.def("pool", &pool, "x"_a, "y"_a, "winners"_a.none(), "dtype"_a, "method"_a, "outer"_a, "inner"_a, "windows"_a,
        "params"_a);
  m.def("winner_indices", &winner_indices);
  m.def("unpool", &unpool);
  m.def("explain", &explain);
  m.def("kernels", &kernels);
  m.def("isa", &poolkit::isa);
  m.def("isas", &isas);
  m.def("set_isa", [](const std::string& name) { return poolkit::set_isa(name.c_str()); });
  m.def("num_threads", &poolkit::num_threads);
  m.def("set_num_threads", &set_threads);
}
