"""Under the NumPy functions: imports, threads and forks, and a binding that stays inside its arrays."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings

import poolkit.numpy as pooling
from poolkit import _numpy as binding
from poolkit import functional
from poolkit.methods import METHODS

Array = np.ndarray[Any, Any]


def run(script: str, **environment: str) -> str:
    """What the script prints, in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ------------------------------------------------------------------------------ imports


def test_torch_is_never_imported() -> None:
    script = """
import sys
sys.modules["torch"] = None  # importing it raises ImportError
import numpy as np
import poolkit.numpy as pooling
from poolkit.methods import METHODS

x = np.arange(32.0).reshape(1, 2, 4, 4)
sizes = {"": {"kernel_size": 2}, "adaptive_": {"output_size": 2}, "global_": {}}
for name, method in METHODS.items():
    for form, size in sizes.items():
        assert getattr(pooling, f"{form}{name}_pool2d")(x, **size, **method.samples[0]).dtype == x.dtype
pooling.explain(x, "max", kernel_size=2)
print(sum(name.partition(".")[0] == "torch" for name in sys.modules))
"""
    assert run(script) == "1"  # the barrier itself


def test_a_missing_library_is_named() -> None:
    script = """
import sys
sys.modules["poolkit._numpy"] = None
try:
    import poolkit.numpy
except ImportError as error:
    print(error)
"""
    assert "poolkit._numpy" in (said := run(script))
    assert "pip install ." in said


# ------------------------------------------------------------------------------ threads


@pytest.fixture
def threads() -> Any:
    before = pooling.get_num_threads()
    yield pooling.set_num_threads
    pooling.set_num_threads(before)


def large() -> Array:
    return np.random.default_rng(0).standard_normal((4, 16, 65, 63)).astype(np.float32)


def test_the_number_of_threads_changes_no_bit(threads: Any) -> None:
    x = large()
    for name, params in (("sum", {}), ("avg_max", {}), ("lp", {"norm_type": 3.0}), ("max", {"return_indices": True})):
        results = []
        for count in (1, 2, 3, 7):
            threads(count)
            assert pooling.get_num_threads() == count
            y = getattr(pooling, f"{name}_pool2d")(x, kernel_size=3, stride=1, padding=1, **params)
            results.append(b"".join(a.tobytes() for a in (y if isinstance(y, tuple) else (y,))))
        assert len(set(results)) == 1


def test_wrong_number_of_threads(threads: Any) -> None:
    for wrong in (0, -1, 1025, 2**40):
        with pytest.raises(ValueError, match="num_threads"):
            threads(wrong)
    for wrong in (1.5, True, "2", None):
        with pytest.raises(TypeError, match="num_threads must be an int"):
            threads(wrong)


def test_several_python_threads_at_once(threads: Any) -> None:
    threads(4)
    x = large()
    calls = {
        "max": lambda: pooling.max_pool2d(x, 3, 2, 1),
        "avg": lambda: pooling.avg_pool2d(x, 5, 1, 2),
        "lp": lambda: pooling.adaptive_lp_pool2d(x, 2.0, 7),
        "unpool": lambda: pooling.max_unpool2d(*pooling.max_pool2d(x, 3, return_indices=True), 3),
    }
    expected = {name: call().tobytes() for name, call in calls.items()}
    start = threading.Barrier(2 * len(calls))
    wrong: list[str] = []

    def work(name: str) -> None:
        start.wait()
        for _ in range(10):
            if calls[name]().tobytes() != expected[name]:
                wrong.append(name)

    workers = [threading.Thread(target=work, args=(name,)) for name in (*calls, *calls)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


FORKS = """
import os, threading
import numpy as np
import poolkit.numpy as pooling

x = np.random.default_rng(0).standard_normal((4, 16, 65, 63)).astype(np.float32)
pool = lambda: pooling.avg_pool2d(x, 3, 1, 1).tobytes()
expected = pool()
over = threading.Event()

def work():
    while not over.is_set():
        assert pool() == expected

busy = [threading.Thread(target=work) for _ in range(2)]
for thread in busy:
    thread.start()
codes = []
for _ in range(10):
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        good = pool() == expected
        if grandchild:
            good = good and os.waitpid(grandchild, 0)[1] == 0
        os._exit(0 if good else 1)
    codes.append(os.waitpid(child, 0)[1])
over.set()
for thread in busy:
    thread.join()
print(codes, pool() == expected)
"""


def test_after_a_fork_in_the_midst_of_work() -> None:
    assert run(FORKS, POOLKIT_NUM_THREADS="3") == f"{[0] * 10} True"


def test_the_environment_sets_the_number_of_threads() -> None:
    script = "import poolkit.numpy as pooling; print(pooling.get_num_threads())"
    assert run(script, POOLKIT_NUM_THREADS="5") == "5"
    usable = str(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else str(os.cpu_count())
    for meaningless in ("", "0", "-2", "many"):
        assert run(script, POOLKIT_NUM_THREADS=meaningless) == usable


def test_python_threads_may_be_at_work_when_the_program_ends() -> None:
    script = """
import threading
import numpy as np
import poolkit.numpy as pooling

x = np.ones((4, 16, 65, 63), np.float32)
def work():
    while True:
        pooling.max_pool2d(x, 3)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
pooling.avg_pool2d(x, 3)
print("done")
"""
    assert run(script, POOLKIT_NUM_THREADS="3") == "done"


# ------------------------------------------------------------------------------ direct calls

UNIT = [1, 1, 1, 1, 1, 0, 0]
HALVES = [4, 2, 2, 2, 1, 0, 0]
WINDOWS = [2, 0, 0, *UNIT, *HALVES, *HALVES]
GUARD = 64


def inside(array: Array) -> Array:
    """A copy in the midst of memory that nobody may touch."""
    memory = np.full(array.size + 2 * GUARD, 77, array.dtype)
    middle = memory[GUARD:-GUARD]
    middle[...] = array.reshape(-1)
    return middle


def untouched(array: Array) -> bool:
    memory = array.base
    assert memory is not None
    return bool((memory[:GUARD] == 77).all() and (memory[-GUARD:] == 77).all())


def test_a_direct_call() -> None:
    x, y, winners = (inside(np.zeros(n, t)) for n, t in ((16, np.float32), (4, np.float32), (4, np.uint8)))
    x[5] = 1
    binding.pool(x, y, winners, "float32", "max", 1, 1, WINDOWS, [])
    assert y.tolist() == [1, 0, 0, 0]
    indices = np.empty(4, np.int64)
    binding.winner_indices(winners, indices, 1, 1, WINDOWS)
    assert indices.tolist() == [5, 2, 8, 10]
    assert untouched(x)
    assert untouched(y)
    assert untouched(winners)


def frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


X, Y = np.zeros(16, np.float32), np.zeros(4, np.float32)


@pytest.mark.parametrize(
    "change",
    [
        {"x": X[:15]},
        {"x": np.zeros(32, np.float32)[::2]},
        {"x": X.astype(">f4")},
        {"x": np.zeros(65, np.uint8)[1:].view(np.float32)},
        {"x": X.tolist()},
        {"x": None},
        {"y": Y[:3]},
        {"y": np.zeros(8, np.float32)[::2]},
        {"y": frozen(np.zeros(4, np.float32))},
        {"y": np.zeros(17, np.uint8)[1:].view(np.float32)},
        {"winners": np.zeros(4, np.uint16)},
        {"winners": np.zeros(3, np.uint8)},
        {"winners": frozen(np.zeros(4, np.uint8))},
        {"winners": np.zeros(4, np.uint8), "method": "avg"},
        {"dtype": "float64"},
        {"dtype": "complex64"},
        {"method": "median"},
        {"method": "lp", "dtype": "int32"},
        {"outer": 2**40, "inner": 2**40},
        {"outer": 2**62},
        {"outer": -1, "inner": -1},
        {"outer": 0},
        {"windows": WINDOWS[:-1]},
        {"windows": [2**70, *WINDOWS[1:]]},
        {"windows": [2, 3, 0, *WINDOWS[3:]]},
        {"windows": [2, 2, 0, *WINDOWS[3:]]},
        {"windows": [2, 0, 0, *UNIT, 16, 4, 2, 6, 1, 0, 0, *UNIT]},  # the last window begins outside
        {"windows": [*WINDOWS[:-7], 4, 2, 2, 2**62, 1, 0, 0]},
        {"windows": [*WINDOWS[:-7], 4, 2, 2**62, 2, 2, 0, 0]},
        {"windows": [*WINDOWS[:-7], 4, 2, 2, 2, 1, -1, 0]},
        {"windows": [*WINDOWS[:-7], 4, 2, 2, 2, 1, 2**63 - 1, 0]},
        {"windows": [*WINDOWS[:-7], 4, 2, 2, 2, 2**63 - 1, 0, 0]},
        {"windows": [*WINDOWS[:-7], 4, 2, 0, 2, 1, 0, 0]},
        {"windows": [*WINDOWS[:-7], 4, 2, -1, 2, 1, 0, 0]},
        {"windows": [*WINDOWS[:-7], 4, 2, 2, 0, 1, 0, 0]},
        {"windows": [*WINDOWS[:-7], 4, 2, 2, 4, 9, 5, 0]},  # a window wholly in the padding
    ],
    ids="-".join,
)
def test_a_direct_call_with_a_wrong_argument(change: dict[str, Any]) -> None:
    call = {"x": X, "y": Y, "winners": None, "dtype": "float32", "method": "max", "outer": 1, "inner": 1}
    call |= {"windows": WINDOWS, "params": []} | change
    with pytest.raises((ValueError, TypeError), match=r"\w"):
        binding.pool(*call.values())


NUMBERS = st.one_of(st.integers(-1, 9), st.sampled_from([2**31 - 1, 2**31, 2**60, 2**61, 2**62, 2**63 - 1, -(2**63)]))


@hypothesis_settings(max_examples=400)
@given(
    st.tuples(st.sampled_from((1, 3, 4, 16, 0, 2**62)), st.sampled_from((1, 2, 4, 8, 0, 2**62)), *[NUMBERS] * 5),
    st.integers(0, 2),
    NUMBERS,
    st.sampled_from(sorted(METHODS)),
    st.sampled_from((1, 2, 4, 16, 0, 2**61)),
    st.booleans(),
)
@example((4, 2, 2**31 - 1, 2, 2**31 - 1, 2**61, 2**61), 1, 1, "avg", 4, False)
def test_no_direct_call_leaves_its_arrays(
    axis: tuple[int, ...], count: int, divisor: int, method: str, lanes: int, last: bool
) -> None:
    x, y, winners = (inside(np.ones(n, t)) for n, t in ((16, np.float32), (8, np.float32), (8, np.uint8)))
    cells = axis[1] * lanes
    y = y[: min(cells, 8)] if cells >= 0 else y
    outer, inner = (1, lanes) if last else (lanes, 1)
    windows = [1, count, divisor, *UNIT, *UNIT, *axis]
    memory = winners[: len(y)] if METHODS[method].returns_indices else None
    try:
        binding.pool(x, y, memory, "float32", method, outer, inner, windows, [2.0])
        refused = False
    except (ValueError, TypeError):
        refused = True
    for array, used in ((x, 16), (y, len(y)), (winners, len(y) if memory is not None else 0)):
        around = array.base
        assert around is not None
        assert (around[:GUARD] == 77).all()
        assert (around[-GUARD:] == 77).all()
        assert (around[GUARD + used : -GUARD] == 1).all()
    assert refused or axis[0] * lanes == 16 or cells == 0


@pytest.mark.parametrize(
    ("outer", "cells", "volume", "inner"),
    [
        (2, 2, 4, 1),
        (1, 2, 4, 2),
        (1, 4, 2**62, 1),
        (1, 2**61, 4, 1),
        (-1, -4, 4, 1),
        (2**63 - 1, 4, 4, 1),
        (0, 4, 4, 1),
    ],
)
def test_no_direct_unpooling_leaves_its_arrays(outer: int, cells: int, volume: int, inner: int) -> None:
    x, indices, y = inside(np.ones(4)), inside(np.array([0, 1, 2, 3])), inside(np.zeros(4))
    with pytest.raises(ValueError, match=r"wrong size|impossible sizes"):
        binding.unpool(x, indices, y, "float64", outer, cells, volume, inner)
    assert untouched(y)


def test_direct_unpooling() -> None:
    y = inside(np.full(4, 5.0))
    at = inside(np.array([3, 1, 0, 3]))
    assert binding.unpool(np.arange(1.0, 5.0), at, y, "float64", 1, 4, 4, 1) is None
    assert y.tolist() == [3, 2, 0, 4]
    for wrong in (4, -1, 2**63 - 1, -(2**63)):
        at[2] = wrong
        assert binding.unpool(np.arange(1.0, 5.0), at, y, "float64", 1, 4, 4, 1) == wrong
        assert untouched(y)


@pytest.mark.parametrize("extent", [16, 17, 256, 257])
def test_winners_of_every_width(extent: int) -> None:
    """One, two and four bytes: windows of 256, 289, 65536 and 66049 cells."""
    x = np.random.default_rng(extent).standard_normal((1, extent, extent)).astype(np.float32)
    y, indices = pooling.max_pool2d(x, extent, return_indices=True)
    assert indices.item() == x.argmax()
    assert y.item() == x.max()


def test_bfloat16_by_its_bits() -> None:
    x = torch.randn(2, 3, 4, 4).to(torch.bfloat16)
    expected = functional.avg_pool2d(x, 2)
    y = np.empty((2, 3, 2, 2), np.uint16)
    bits = x.view(torch.int16).numpy().view(np.uint16)
    binding.pool(bits, y, None, "bfloat16", "avg", 6, 1, WINDOWS, [])
    np.testing.assert_array_equal(y.view(np.int16), expected.view(torch.int16).numpy())


def test_instruction_sets() -> None:
    assert binding.isa() in binding.isas()
    x, before = large(), binding.isa()
    try:
        results = set()
        for isa in binding.isas():
            assert binding.set_isa(isa)
            results.add(pooling.avg_max_pool2d(x, 3, 2, 1).tobytes())
        assert len(results) == 1
        assert not binding.set_isa("mmx")
    finally:
        binding.set_isa(before)
