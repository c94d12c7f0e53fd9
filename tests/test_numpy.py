"""The NumPy front against plain loops and against the torch front."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poolkit import functional, methods
from poolkit import numpy as pooling
from poolkit.errors import ArgumentError
from poolkit.geometry import window_table

Array = np.ndarray[Any, Any]
every_method = pytest.mark.parametrize("name", methods.METHODS)
PARAMS: dict[str, dict[str, Any]] = {"lp": {"norm_type": 3.0}, "power_avg": {"norm_type": 2.0}}


def by_loops(x: Array, kernel: int, stride: int, padding: tuple[int, int], reduce: Any) -> Array:
    """One axis at the end, window by window."""
    (table,) = window_table(x.shape[-1], kernel, stride, (padding,))
    columns = [reduce(x[..., tap.first : tap.first + tap.cells].astype(np.float64), axis=-1) for tap in table]
    return np.stack(columns, axis=-1)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 5), st.data())
def test_values_by_loops(size: int, kernel: int, stride: int, data: st.DataObject) -> None:
    padding = (data.draw(st.integers(0, kernel - 1)), data.draw(st.integers(0, kernel - 1)))
    if size + sum(padding) < kernel:
        return
    x = np.random.default_rng(size).standard_normal((2, 3, size)).astype(np.float32)
    for name, reduce in (("max", np.max), ("min", np.min), ("sum", np.sum)):
        y = getattr(pooling, f"{name}_pool1d")(x, kernel, stride, (padding,))
        np.testing.assert_allclose(y, by_loops(x, kernel, stride, padding, reduce), rtol=1e-5, atol=1e-5)


@every_method
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_equals_the_torch_front(name: str, rank: int, dtype: type) -> None:
    x = np.random.default_rng(rank).standard_normal((2, 3, *(7, 6, 5)[:rank])).astype(dtype)
    for prefix, arguments in (
        ("", {"kernel_size": 3, "stride": 2, "padding": 1}),
        ("", {"kernel_size": 2, "stride": 1, "padding": "same", "ceil_mode": True}),
        ("adaptive_", {"output_size": 3}),
        ("global_", {"keepdim": False}),
    ):
        function = f"{prefix}{name}_pool{rank}d"
        params = PARAMS.get(name, {})
        expected = getattr(functional, function)(torch.from_numpy(x), **params, **arguments).numpy()
        y = getattr(pooling, function)(x, **params, **arguments)
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y, expected)
        last = getattr(pooling, function)(np.moveaxis(x, 1, -1), **params, **arguments, data_format="channels_last")
        np.testing.assert_allclose(last, np.moveaxis(y, 1, -1), rtol=2e-3 if dtype == np.float16 else 1e-5, atol=1e-6)


def test_indices_and_unpooling() -> None:
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, 8, 6)).astype(np.float32)
    y, indices = pooling.max_pool2d(x, 2, return_indices=True)
    theirs, positions = torch.nn.functional.max_pool2d(torch.from_numpy(x), 2, return_indices=True)
    np.testing.assert_array_equal(y, theirs.numpy())
    np.testing.assert_array_equal(indices, positions.numpy())
    back = pooling.max_unpool2d(y, indices, 2)
    np.testing.assert_array_equal(back, torch.nn.functional.max_unpool2d(theirs, positions, 2).numpy())
    y_last, indices_last = pooling.max_pool2d(
        np.moveaxis(x, 1, -1), 2, return_indices=True, data_format="channels_last"
    )
    again = pooling.max_unpool2d(y_last, indices_last, 2, data_format="channels_last")
    np.testing.assert_array_equal(np.moveaxis(again, -1, 1), back)
    with pytest.raises(RuntimeError, match="Found an invalid max index: 48"):
        pooling.max_unpool2d(y, np.full_like(indices, 48), 2)
    with pytest.raises(ArgumentError, match="int64"):
        pooling.max_unpool2d(y, indices.astype(np.int32), 2)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
def test_integers(dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (1, 2, 6, 6)).astype(dtype)
    blocks = x.reshape(1, 2, 3, 2, 3, 2)
    np.testing.assert_array_equal(pooling.max_pool2d(x, 2), blocks.max((3, 5)))
    np.testing.assert_array_equal(pooling.min_pool2d(x, 2), blocks.min((3, 5)))
    total = blocks.astype(np.int64).sum((3, 5))
    np.testing.assert_array_equal(pooling.avg_pool2d(x, 2, dtype=np.float64), total / 4)
    np.testing.assert_array_equal(pooling.sum_pool2d(x, 2, dtype=np.int32), total)
    if dtype != "int64":
        with pytest.raises(NotImplementedError, match="dtype="):
            pooling.avg_pool2d(x, 2)


def test_any_memory_order_and_byte_order() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 8)).astype(np.float32)
    expected = pooling.avg_pool2d(x, 3, 2, 1)
    frozen = x.copy()
    frozen.flags.writeable = False
    for other in (np.asfortranarray(x), x.astype(">f4"), np.repeat(x, 2, axis=3)[..., ::2], frozen):
        np.testing.assert_array_equal(pooling.avg_pool2d(other, 3, 2, 1), expected)
    np.testing.assert_array_equal(pooling.avg_pool2d(x[0], 3, 2, 1), expected[0])
    assert pooling.avg_pool2d(x[:0], 3).shape == (0, 3, 3, 2)


def test_out() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    expected = pooling.max_pool2d(x, 2)
    out = np.full((2, 3, 4, 4), np.nan, np.float32)
    assert pooling.max_pool2d(x, 2, out=out) is out
    np.testing.assert_array_equal(out, expected)
    strided = np.full((2, 3, 4, 8), np.nan, np.float32)[..., ::2]
    pooling.max_pool2d(x, 2, out=strided)
    np.testing.assert_array_equal(strided, expected)
    overlapping = x.copy()
    pooling.max_pool2d(overlapping, 1, out=overlapping)
    np.testing.assert_array_equal(overlapping, x)
    flat = np.empty((2, 3), np.float32)
    assert pooling.global_max_pool2d(x, keepdim=False, out=flat) is flat
    np.testing.assert_array_equal(flat, x.max((2, 3)))
    for wrong in (np.empty((2, 3, 4, 5), np.float32), np.empty((2, 3, 4, 4), np.float64)):
        with pytest.raises(ArgumentError, match=r"out must have shape \(2, 3, 4, 4\) and dtype float32"):
            pooling.max_pool2d(x, 2, out=wrong)
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match="writable"):
        pooling.max_pool2d(x, 2, out=out)


def test_bad_arrays() -> None:
    for wrong in ([1.0, 2.0], np.float32(1), np.ma.ones((1, 1, 4, 4)), torch.zeros(1, 1, 4, 4)):
        with pytest.raises(TypeError, match=r"input must be a numpy\.ndarray"):
            pooling.max_pool2d(wrong, 2)  # type: ignore[arg-type]
    for shape in ((), (4, 4), (1, 0, 4, 4), (1, 1, 0, 4)):
        with pytest.raises(ArgumentError, match="Expected 3D or 4D"):
            pooling.max_pool2d(np.zeros(shape), 2)
    for dtype in (complex, object, "M8[s]", "U3"):
        with pytest.raises(NotImplementedError, match="dtype"):
            pooling.max_pool2d(np.zeros((1, 1, 4, 4)).astype(dtype), 2)
    with pytest.raises(ArgumentError, match="data_format"):
        pooling.max_pool2d(np.zeros((1, 1, 4, 4)), 2, data_format="NCHW")


def test_several_threads_at_once_and_after_a_fork() -> None:
    x = np.random.default_rng(0).standard_normal((8, 32, 64, 64)).astype(np.float32)
    expected = pooling.avg_pool2d(x, 3, 2, 1)
    failures = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(pooling.avg_pool2d(x, 3, 2, 1), expected):
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    script = (
        "import os, sys, numpy as np, poolkit.numpy as p\n"
        "x = np.ones((8, 32, 64, 64), np.float32)\n"
        "p.avg_pool2d(x, 2)\n"
        "child = os.fork()\n"
        "good = bool((p.avg_pool2d(x, 2) == 1).all())\n"
        "if child == 0: os._exit(0 if good else 1)\n"
        "sys.exit(os.waitpid(child, 0)[1] or not good)\n"
    )
    environment = {**os.environ, "POOLKIT_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env=environment)


def test_number_of_threads_does_not_change_a_bit() -> None:
    x = np.random.default_rng(0).standard_normal((4, 16, 33, 31)).astype(np.float32)
    before = pooling._numpy.num_threads()
    results = []
    for threads, name in itertools.product((1, 2, 5), ("sum", "avg_max")):
        pooling._numpy.set_num_threads(threads)
        results.append((name, getattr(pooling, f"{name}_pool2d")(x, 3, 1, 1).tobytes()))
    pooling._numpy.set_num_threads(before)
    assert len(set(results)) == 2
    with pytest.raises(ValueError, match="threads must be at least 1"):
        pooling._numpy.set_num_threads(0)


def test_the_binding_refuses_what_would_leave_the_arrays() -> None:
    x, y = np.zeros(16, np.float32), np.zeros(4, np.float32)
    windows = [2, 0, 0, 1, 1, 1, 1, 1, 0, 0, 4, 2, 2, 2, 1, 0, 0, 4, 2, 2, 2, 1, 0, 0]
    pool = pooling._numpy.pool
    pool(x, y, None, "float32", "max", 1, 1, windows, [])
    for wrong in (
        (x[:15], y, None, "float32", "max", 1, 1, windows, []),
        (x, y[:3], None, "float32", "max", 1, 1, windows, []),
        (x, y, None, "float64", "max", 1, 1, windows, []),
        (x, y, None, "float32", "max", 2**40, 2**40, windows, []),
        (x, y, None, "float32", "max", 1, 1, windows[:-1], []),
        (x, y, None, "float32", "median", 1, 1, windows, []),
        (x, y, np.zeros(4, np.uint16), "float32", "max", 1, 1, windows, []),
        (x, y, None, "float32", "max", 1, 1, [*windows[:-7], 4, 2, 2, 9, 1, 0, 0], []),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            pool(*wrong)
