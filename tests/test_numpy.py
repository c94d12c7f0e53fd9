"""The functions on NumPy arrays: against an oracle of plain loops, in every layout, memory order and dtype."""

from __future__ import annotations

import inspect
import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from problems import FLAVOURS, FORMS, RANKS, Problem, awkward, picks, problems, settings, sliding, values

import poolkit.numpy as pooling
from poolkit import _numpy, functional
from poolkit.errors import ArgumentError
from poolkit.methods import LAYERS, METHODS

Array = np.ndarray[Any, Any]

every_method = pytest.mark.parametrize("name", METHODS)
every_rank = pytest.mark.parametrize("rank", RANKS)
every_form = pytest.mark.parametrize("form", FORMS)

ROUNDING = {"float64": 1e-11, "float32": 2e-5, "float16": 2e-3}
INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")


def pool(name: str, form: str, x: Array, rank: int, **arguments: Any) -> Any:
    prefix = "" if form == "windowed" else f"{form}_"
    generator = {"generator": np.random.default_rng(7)} if arguments.get("training") else {}
    return getattr(pooling, f"{prefix}{name}_pool{rank}d")(x, **arguments, **generator)


def draws(name: str, params: dict[str, Any], leading: tuple[int, int], outputs: int) -> Array | None:
    """The random numbers that a call with that generator reads: for each plane, one for each output."""
    if not params.get("training"):
        return None
    generator = np.random.default_rng(7)
    planes = math.prod(leading)
    if name == "stochastic":
        key = int(generator.integers(2**64, dtype=np.uint64))
        return oracle.uniform(key, planes * outputs).reshape(planes, outputs)
    shape = {"channel": leading, "sample": (leading[0], 1), "batch": (1, 1)}[params.get("granularity", "channel")]
    numbers = np.broadcast_to(generator.random(shape), leading).reshape(planes, 1)
    return np.repeat(numbers, outputs, axis=1)


def unaligned(x: Array) -> Array:
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
    result = memory.view(x.dtype).reshape(x.shape)
    result[...] = x
    return result


def frozen(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


def gaps(x: Array) -> Array:
    return np.repeat(x, 2, axis=-1)[..., ::2]


#: The same values in other memory.
MEMORY = {
    "plain": np.array,
    "fortran": np.asfortranarray,
    "gaps": gaps,
    "backwards": lambda x: np.flip(np.flip(x).copy()),
    "swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "frozen": frozen,
    "unaligned": unaligned,
}


def in_format(x: Array, rank: int, data_format: str) -> Array:
    return np.moveaxis(x, -rank - 1, -1) if data_format == "channels_last" else x


def channels_first(y: Array, rank: int, data_format: str) -> Array:
    return np.moveaxis(y, -1, -rank - 1) if data_format == "channels_last" and y.ndim > rank else y


def assert_near(actual: Array, expected: Array, rounding: float) -> None:
    finite = expected[np.isfinite(expected)]
    scale = float(np.max(np.abs(finite))) if finite.size else 0.0
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=rounding, atol=rounding * scale)


@every_form
@every_rank
@every_method
@hypothesis_settings(max_examples=15)
@given(data=st.data())
def test_value_and_winner(name: str, rank: int, form: str, data: st.DataObject) -> None:
    problem: Problem = data.draw(problems(form, rank))
    params = data.draw(st.sampled_from(settings(name, form)))
    dtype = data.draw(st.sampled_from(sorted(ROUNDING)))
    data_format = data.draw(st.sampled_from(("channels_first", "channels_last")))
    memory = MEMORY[data.draw(st.sampled_from(sorted(MEMORY)))]
    lead = data.draw(st.sampled_from(((2,), (1, 2), (2, 3))))
    x = values(data.draw(st.sampled_from(FLAVOURS)), (*lead, *problem.size)).astype(dtype)
    given_x = memory(in_format(x, rank, data_format))
    before = given_x.tobytes()

    if form == "windowed" and not all(problem.axes):
        with pytest.raises(ArgumentError, match="Output size is too small"):
            pool(name, form, given_x, rank, **problem.arguments, **params, data_format=data_format)
        return
    if form == "windowed" and oracle.empty_window(problem.axes):
        with pytest.raises(ArgumentError, match="lies wholly in the padding"):
            pool(name, form, given_x, rank, **problem.arguments, **params, data_format=data_format)
        return

    with np.errstate(invalid="ignore", over="ignore"):
        batch = x if len(lead) == 2 else x[None]
        numbers = draws(name, params, batch.shape[:2], math.prod(map(len, problem.axes)))
        expected = oracle.pool(name, batch.astype(np.float64), problem.axes, numbers, **params)
    values_expected, winners = (a if len(lead) == 2 else a[0] for a in (expected.values, expected.winners))
    out = None
    if data.draw(st.booleans()):
        shape = in_format(values_expected, rank, data_format).shape
        out = memory(np.full(shape, 77, dtype)) if memory is not frozen else np.full(shape, 77, dtype)
        out = out if out.dtype == dtype else None
    y = pool(name, form, given_x, rank, **problem.arguments, **params, data_format=data_format, out=out)
    assert out is None or y is out
    assert y.dtype == dtype
    assert given_x.tobytes() == before
    rounding = 0.0 if picks(name, params) else ROUNDING[dtype]
    assert_near(channels_first(y, rank, data_format), values_expected, rounding)

    if picks(name, params) and form != "global":
        again, indices = pool(
            name, form, given_x, rank, **problem.arguments, **params, data_format=data_format, return_indices=True
        )
        np.testing.assert_array_equal(again, y)
        assert indices.dtype == np.int64
        np.testing.assert_array_equal(channels_first(indices, rank, data_format), winners)


@every_form
@every_rank
@every_method
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_same_bits_as_on_tensors(name: str, rank: int, form: str, dtype: str) -> None:
    problem = awkward(form, rank)
    x = values("normal", (2, 9, *problem.size)).astype(dtype)
    for params in settings(name, form):
        if params.get("training"):
            continue  # the seed comes from another generator
        expected = problem.function(name)(torch.from_numpy(x), **problem.arguments, **params).numpy()
        y = pool(name, form, x, rank, **problem.arguments, **params)
        np.testing.assert_array_equal(y, expected)


def test_the_clients_example() -> None:
    x = np.arange(1.0, 17.0).reshape(1, 4, 4)
    assert pooling.max_pool2d(x, kernel_size=2, stride=2).tolist() == [[[6, 8], [14, 16]]]
    assert pooling.avg_pool2d(x, kernel_size=2, stride=2).tolist() == [[[3.5, 5.5], [11.5, 13.5]]]
    images = np.zeros((4, 28, 28, 32), np.float32)
    assert pooling.max_pool2d(images, 2, data_format="channels_last").shape == (4, 14, 14, 32)
    assert pooling.avg_pool2d(images, 3, 1, "same", data_format="channels_last").shape == images.shape


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_integers(dtype: str, data_format: str) -> None:
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x = np.random.default_rng(0).integers(low, high, (2, 3, 6, 6), dtype="int64", endpoint=True).astype(dtype)
    blocks = x.reshape(2, 3, 3, 2, 3, 2)
    given_x = in_format(x, 2, data_format)
    for name, best in (("max", blocks.max((3, 5))), ("min", blocks.min((3, 5)))):
        y, indices = pool(name, "windowed", given_x, 2, kernel_size=2, return_indices=True, data_format=data_format)
        assert y.dtype == dtype
        np.testing.assert_array_equal(channels_first(y, 2, data_format), best)
        flat = channels_first(indices, 2, data_format).reshape(2, 3, 9)
        np.testing.assert_array_equal(np.take_along_axis(x.reshape(2, 3, 36), flat, 2).reshape(best.shape), best)
    for name in ("avg", "sum", "lp", "power_avg", "avg_max"):
        if dtype == "int64" and name in ("avg", "sum"):
            continue
        with pytest.raises(NotImplementedError, match=rf"input must have one of the dtypes .*, but got {dtype}"):
            pool(name, "windowed", given_x, 2, kernel_size=2, **METHODS[name].samples[0], data_format=data_format)


def test_averages_of_integers() -> None:
    x = np.array([[-7, 2, 2**53, 2**53 + 1]])
    assert pooling.avg_pool1d(x, 2).tolist() == [[-2, 2**53]]  # towards zero
    assert pooling.sum_pool1d(x, 2).tolist() == [[-5, 2**54 + 1]]
    small = np.array([[100, 101, 100, 101]], np.int8)
    assert pooling.sum_pool1d(small, 4, dtype=np.int32).tolist() == [[402]]
    assert pooling.sum_pool1d(small, 4, dtype="int32").dtype == np.int32
    average = pooling.avg_pool1d(small, 4, dtype=np.float64)
    assert average.dtype == np.float64
    assert average.tolist() == [[100.5]]
    assert pooling.avg_pool1d(small, 4, dtype=">f4").dtype == np.float32
    out = np.zeros((1, 1), np.int16)
    assert pooling.sum_pool1d(small, 4, dtype=np.int16, out=out) is out
    assert out.tolist() == [[402]]
    assert pooling.avg_pool1d(np.array([[True, False]]), 2, dtype=np.float32).tolist() == [[0.5]]
    with pytest.raises(NotImplementedError, match="give dtype=, for example dtype=numpy"):
        pooling.avg_pool1d(small, 2)


def test_bad_dtype_argument() -> None:
    x = np.ones((1, 4), np.int8)
    for wrong in (torch.float32, "float33", 3):
        with pytest.raises(TypeError, match="dtype must be a NumPy dtype or None"):
            pooling.avg_pool1d(x, 2, dtype=wrong)
    for unusable in (bool, complex, object, "M8[s]"):
        with pytest.raises(NotImplementedError, match="dtype must be a floating or integer type"):
            pooling.avg_pool1d(x, 2, dtype=unusable)
    for kind in (complex, object, "U3"):
        with pytest.raises(NotImplementedError, match="input must be bool, integer or floating"):
            pooling.avg_pool1d(x.astype(kind), 2, dtype=np.float32)
    with pytest.raises(NotImplementedError, match="int64, which does not hold uint64"):
        pooling.sum_pool1d(x.astype(np.uint64), 2, dtype=np.int64)


def test_bfloat16() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = values("normal", (2, 9, 7, 6)).astype(bfloat16)
    bits = torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    for name in METHODS:
        expected = getattr(functional, f"{name}_pool2d")(bits, **METHODS[name].samples[0], kernel_size=3, stride=2)
        out = np.zeros(tuple(expected.shape), bfloat16)
        y = pool(name, "windowed", x, 2, kernel_size=3, stride=2, **METHODS[name].samples[0], out=out)
        assert y is out
        np.testing.assert_array_equal(y.view(np.int16), expected.view(torch.int16).numpy())
    assert pooling.avg_pool2d(np.ones((1, 2, 2), np.int8), 2, dtype=bfloat16).dtype == bfloat16


# ------------------------------------------------------------------------------ empty and huge


@every_form
@every_method
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_empty_batch(name: str, form: str, data_format: str) -> None:
    problem = awkward(form, 2)
    x = np.zeros((0, 3, *problem.size), np.float32)
    y = pool(
        name,
        form,
        in_format(x, 2, data_format),
        2,
        **problem.arguments,
        **METHODS[name].samples[0],
        data_format=data_format,
    )
    size = tuple(len(axis) for axis in problem.axes)
    assert y.shape == in_format(np.zeros((0, 3, *size)), 2, data_format).shape
    assert y.dtype == np.float32


def test_sizes_that_no_memory_holds() -> None:
    x = np.ones((1, 1, 3, 3), np.float32)
    assert pooling.adaptive_max_pool2d(x, (0, 2**31 - 1)).shape == (1, 1, 0, 2**31 - 1)
    assert pooling.max_pool2d(x, 3, stride=2**31 - 1).shape == (1, 1, 1, 1)
    far = pooling.max_pool2d(x, 2**31 - 1, 1, "same", 2**31 - 1)
    np.testing.assert_array_equal(far, x)
    with pytest.raises(ArgumentError, match="kernel_size must be at most"):
        pooling.max_pool2d(x, 2**62)
    with pytest.raises((MemoryError, ArgumentError), match=r"allocate|memory"):
        pooling.adaptive_max_pool2d(x, 2**31 - 1)
    empty = np.zeros((0, 1, 2**40), np.float32)
    assert pooling.max_pool1d(empty, 2).shape == (0, 1, 2**39)


# ------------------------------------------------------------------------------ out


def test_out_is_filled_and_returned() -> None:
    x = values("normal", (2, 3, 8, 8)).astype(np.float32)
    for name, params in (
        ("max", {}),
        ("avg", {"dtype": np.float64}),
        ("lp", {"norm_type": np.inf}),
        ("avg_max", {"mode": "cat"}),
    ):
        expected = pool(name, "windowed", x, 2, kernel_size=2, **params)
        for memory in (np.array, np.asfortranarray, gaps, unaligned):
            out = memory(np.full(expected.shape, 77, expected.dtype))
            assert pool(name, "windowed", x, 2, kernel_size=2, **params, out=out) is out
            np.testing.assert_array_equal(out, expected)
    for data_format in ("channels_first", "channels_last"):
        out = np.empty((2, 6), np.float32)
        given_x = in_format(x, 2, data_format)
        flat = pooling.global_avg_max_pool2d(given_x, mode="cat", keepdim=False, data_format=data_format, out=out)
        assert flat is out
        np.testing.assert_array_equal(out[:, 3:], x.max((2, 3)))
    single = np.empty(3, np.float32)
    assert pooling.global_max_pool2d(x[0], keepdim=False, out=single) is single


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("name", ["max", "avg"])
def test_large_results_are_the_same_in_memory_in_use(name: str, data_format: str) -> None:
    # From 48 MiB on these go past the caches, but not into pages that were never touched.
    x = in_format(np.tile(values("normal", (2, 17, 61, 59)), (1, 2, 9, 9)).astype(np.float32), 2, data_format)
    arguments: dict[str, Any] = {"kernel_size": 3, "stride": 1, "padding": 1, "data_format": data_format}
    untouched = pool(name, "windowed", x, 2, **arguments)
    assert untouched.nbytes > 48 << 20
    touched = np.full(untouched.size + 1, 77, np.float32)
    out = touched[1:].reshape(untouched.shape)  # lines of memory do not begin where it does
    assert pool(name, "windowed", x, 2, **arguments, out=out) is out
    np.testing.assert_array_equal(out, untouched)
    assert touched[0] == 77


def test_out_may_overlap_the_input() -> None:
    rng = np.random.default_rng(0)
    for shift in (0, 1, 5, 16):
        memory = rng.standard_normal(4 * 64 + 16).astype(np.float32)
        x = memory[: 4 * 64].reshape(1, 4, 8, 8)
        out = memory[shift : shift + 4 * 64].reshape(1, 4, 8, 8)
        expected = pooling.max_pool2d(x.copy(), 3, 1, 1)
        pooling.max_pool2d(x, 3, 1, 1, out=out)
        np.testing.assert_array_equal(out, expected)
    indices = np.array([[1, 0]])
    assert pooling.max_unpool1d(np.array([[5, 6]]), indices, 1, out=indices).tolist() == [[6, 5]]


def test_wrong_out() -> None:
    x = np.zeros((2, 3, 8, 8), np.float32)
    needed = r"out must have shape \(2, 3, 4, 4\) and dtype float32, but has shape "
    for out in (
        np.zeros((2, 3, 4, 5), "f4"),
        np.zeros((2, 3, 4, 4)),
        np.zeros((96,), "f4"),
        np.zeros((2, 3, 4, 4), ">f4"),
    ):
        with pytest.raises(ArgumentError, match=needed):
            pooling.max_pool2d(x, 2, out=out)
    with pytest.raises(ArgumentError, match=r"out must have shape \(2, 4, 4, 3\)"):
        pooling.max_pool2d(
            in_format(x, 2, "channels_last"), 2, data_format="channels_last", out=np.zeros((2, 3, 4, 4), "f4")
        )
    with pytest.raises(ArgumentError, match=r"out must have shape \(2, 3\)"):
        pooling.global_max_pool2d(x, keepdim=False, out=np.zeros((2, 3, 1, 1), np.float32))
    with pytest.raises(ArgumentError, match="out must be writable, but is read-only"):
        pooling.max_pool2d(x, 2, out=frozen(np.zeros((2, 3, 4, 4), np.float32)))
    for other in ([], np.ma.zeros((2, 3, 4, 4)), torch.zeros(2, 3, 4, 4)):
        with pytest.raises(TypeError, match=r"out must be a numpy\.ndarray, but got"):
            pooling.max_pool2d(x, 2, out=other)


# ------------------------------------------------------------------------------ unpooling


@every_rank
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("memory", sorted(MEMORY))
def test_unpooling_restores_positions(rank: int, data_format: str, memory: str) -> None:
    size = (7, 5, 6)[:rank]
    x = np.random.default_rng(rank).permutation(2 * 3 * int(np.prod(size))).reshape(2, 3, *size).astype(np.float32)
    given_x = in_format(x, rank, data_format)
    y, indices = pool("max", "windowed", given_x, rank, kernel_size=2, return_indices=True, data_format=data_format)
    unpool = getattr(pooling, f"max_unpool{rank}d")
    for output_size in (size, given_x.shape):
        change = MEMORY[memory]
        back = unpool(change(y), change(indices), 2, output_size=output_size, data_format=data_format)
        kept = np.isin(x, y)
        np.testing.assert_array_equal(channels_first(back, rank, data_format), np.where(kept, x, 0))


def test_of_equal_indices_the_last_is_kept() -> None:
    x, indices = np.array([[5.0, 6.0, 7.0]]), np.array([[2, 2, 0]])
    assert pooling.max_unpool1d(x, indices, 1).tolist() == [[7, 0, 6]]


@pytest.mark.parametrize("wrong", [-1, 8, 2**62, -(2**63)])
def test_an_index_outside_the_plane_leaves_out_as_it_was(wrong: int) -> None:
    x, indices = np.ones((3, 4)), np.array([[0, 2, 4, 6]] * 3)
    indices[1, 2] = wrong
    out = np.full((3, 8), 77.0)
    with pytest.raises(RuntimeError, match=rf"Found an invalid max index: {wrong} \(output volumes are of size 8\)"):
        pooling.max_unpool1d(x, indices, 2, out=out)
    assert (out == 77).all()


def test_wrong_unpooling() -> None:
    x, indices = np.ones((1, 4)), np.zeros((1, 4), np.int64)
    with pytest.raises(ArgumentError, match="elements in indices should be type int64 but got: int32"):
        pooling.max_unpool1d(x, indices.astype(np.int32), 2)
    with pytest.raises(ArgumentError, match=r"Expected shape of indices to be: \[1, 4\] but got: \[4\]"):
        pooling.max_unpool1d(x, indices[0], 2)
    with pytest.raises(TypeError, match=r"indices must be a numpy\.ndarray, but got list"):
        pooling.max_unpool1d(x, [[0, 1, 2, 3]], 2)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="not implemented for complex128"):
        pooling.max_unpool1d(x.astype(complex), indices, 2)
    for output_size in ((20,), 8, "8"):
        with pytest.raises(ArgumentError, match="output_size"):
            pooling.max_unpool1d(x, indices, 2, output_size=output_size)  # type: ignore[arg-type]
    assert pooling.max_unpool1d(np.ones((0, 1, 4)), np.zeros((0, 1, 4), np.int64), 2).shape == (0, 1, 8)


# ------------------------------------------------------------------------------ wrong arguments


def test_wrong_input() -> None:
    for wrong in ([[1.0, 2.0]], np.float32(1), np.ma.ones((1, 4)), torch.zeros(1, 4), None):
        with pytest.raises(TypeError, match=r"max_pool1d\(\): input must be a numpy\.ndarray, but got"):
            pooling.max_pool1d(wrong, 2)  # type: ignore[arg-type]
    for shape in ((), (4, 4), (1, 1, 1, 4, 4), (1, 0, 4, 4), (1, 1, 0, 4)):
        with pytest.raises(ArgumentError, match=r"max_pool2d\(\): Expected 3D or 4D"):
            pooling.max_pool2d(np.zeros(shape), 2)
    for dtype in (complex, object, "M8[s]", "U3", np.uint16, np.uint64, np.longdouble):
        with pytest.raises(NotImplementedError, match="input must have one of the dtypes"):
            pooling.max_pool2d(np.zeros((1, 4, 4)).astype(dtype), 2)


@pytest.mark.parametrize("data_format", ["NCHW", None, 1, ["channels_last"]])
def test_wrong_data_format(data_format: Any) -> None:
    with pytest.raises(ArgumentError, match="data_format must be one of"):
        pooling.max_pool2d(np.zeros((1, 4, 4)), 2, data_format=data_format)


@every_method
def test_wrong_parameters(name: str) -> None:
    x = np.zeros((1, 4, 4), np.float32)
    for wrong in METHODS[name].invalid:
        for _ in range(2):  # a remembered answer must not hide the error
            with pytest.raises((ArgumentError, TypeError), match=list(wrong)[-1]):
                pool(name, "windowed", x, 2, kernel_size=2, **wrong)
    good = METHODS[name].samples[0]
    for argument, value in (("kernel_size", 2), ("stride", 1), ("dilation", 1), ("output_size", 2)):
        form, rest = ("adaptive", {}) if argument == "output_size" else ("windowed", {"kernel_size": 2})
        pool(name, form, x, 2, **{**rest, argument: value}, **good)
        for wrong in (float(value), (float(value), value), True, -1, "2", (1, 2, 3)):
            with pytest.raises((ArgumentError, TypeError), match=argument):
                pool(name, form, x, 2, **{**rest, argument: wrong}, **good)


def test_explain() -> None:
    x = np.zeros((1, 3, 8, 8), np.float32)
    told = pooling.explain(x, "max", kernel_size=2, return_indices=True)
    assert told.startswith(f"max: isa {_numpy.isa()}; ")
    assert "8x8 -> 1x4x4, outer 3, inner 1" in told
    assert "winners 1 bytes" in told
    told = pooling.explain(x, "avg_max", mode="cat", output_size=3, data_format="channels_last")
    assert [line.split(":")[0] for line in told.splitlines()] == ["avg", "max"]
    with pytest.raises(ArgumentError, match="method must be one of"):
        pooling.explain(x, "mean", kernel_size=2)
    with pytest.raises(ArgumentError, match="input must be 3D, 4D or 5D"):
        pooling.explain(x[0, 0], "max", kernel_size=2)


def test_signatures_are_those_of_the_torch_front() -> None:
    of_layers = {name for layer in LAYERS.values() for name in layer.functions}
    for name in set(functional.__all__) - of_layers:
        ours = list(inspect.signature(getattr(pooling, name)).parameters.values())
        assert ours[:-2] == list(inspect.signature(getattr(functional, name)).parameters.values())
        assert [p.name for p in ours[-2:]] == ["data_format", "out"]
        assert all(p.name in getattr(pooling, name).__doc__ for p in ours)


def test_sliding_arguments_in_any_form() -> None:
    x = values("normal", (1, 2, 9, 8)).astype(np.float32)
    expected = pooling.max_pool2d(x, (3, 2), (2, 1), (1, 1), (1, 2))
    problem = sliding((9, 8), (3, 2), (2, 1), ((1, 1), (1, 1)), (1, 2))
    np.testing.assert_array_equal(oracle.pool("max", x.astype(np.float64), problem.axes).values, expected)
    for kernel in ([3, 2], (np.int64(3), np.int8(2)), np.array([3, 2]).tolist()):
        np.testing.assert_array_equal(pooling.max_pool2d(x, kernel, [2, 1], [[1, 1], [1, 1]], [1, 2]), expected)
