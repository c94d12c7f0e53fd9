"""Compiles kernels of every kind for a GPU that need not be there; run by tests/test_triton.py."""

from __future__ import annotations

import tempfile

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from poolkit.triton import gather, planes, windows
from poolkit.triton.methods import REDUCERS

TARGET = GPUTarget("cuda", 90, 32)
SIZES = ("i32", "i32", "i32")
TYPES = {
    **dict.fromkeys(("x", "scores", "grad", "grad_x", "grad_scores", "first_result"), "*bf16"),
    **dict.fromkeys(("second_result", "first_kept"), "*u8"),
    **dict.fromkeys(("third_result", "second_kept", "third_kept"), "*fp32"),
    **dict.fromkeys(("total", "planes", "cells", "inner"), "i32"),
    **dict.fromkeys(("sizes", "outs", "lows", "highs", "extents", "limits"), SIZES),
    **dict.fromkeys(("divisor", "p", "q"), "fp64"),
    "strides": (*SIZES, "i32"),
    "seed": "i64",
    "winners": "*u8",
    "indices": "*i64",
}
COMMON = {"KIND": 0, "ACC": tl.float32, "COUNTING": 1, "WIDE": False}


def compile(kernel, aligned: tuple[str, ...] = (), **constants) -> str:
    """The PTX of a kernel, some of whose arguments are multiples of 16."""
    constants = {**{n: v for n, v in COMMON.items() if n in kernel.arg_names}, **constants}
    types = {name: "constexpr" if name in constants else TYPES[name] for name in kernel.arg_names}
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    where = [(kernel.arg_names.index(name),) for name in aligned if name != "strides"]
    where += [(kernel.arg_names.index("strides"), i) for i in range(4) if "strides" in aligned]
    source = ASTSource(kernel, types, places, {path: [["tt.divisibility", 16]] for path in where})
    ptx: str = triton.compile(source, target=TARGET).asm["ptx"]
    assert "sm_90" in ptx
    return ptx


def main() -> None:
    sliding = {"KERNEL": (1, 3, 3), "STRIDE": (1, 2, 2), "DILATION": (1, 1, 1), "BLOCK": 512}
    uneven = {**sliding, "KERNEL": (0, 0, 0)}
    one = {"scores": None, "second_result": None, "third_result": None}
    for name, geometry in (("soft", sliding), ("quantile_linear", uneven)):
        compile(windows.pool, METHOD=REDUCERS[name].value, **one, **geometry)
    for name in ("max", "stochastic"):
        compile(windows.pool, METHOD=REDUCERS[name].winner, scores=None, third_result=None, **sliding)
    for name in ("avg", "var"):
        compile(planes.pool, METHOD=REDUCERS[name].value, **one, CHANNELS_LAST=name == "avg", PLANES=8, CELLS=64)
    kept = {"scores": None, "grad_scores": None, "second_kept": None, "third_kept": None}
    compile(gather.pull, PULL=REDUCERS["max"].pull, x=None, **kept, **sliding)
    compile(gather.pull, PULL=REDUCERS["lp"].pull, **kept, **uneven)
    compile(windows.positions, **sliding)
    # Channels-last maps of 16 channels or a multiple of it are read and written 16 bytes at a time.
    aligned = ("x", "first_result", "total", "inner", "strides")
    ptx = compile(windows.pool, aligned, METHOD=REDUCERS["max"].value, **one, **{**sliding, "BLOCK": 1024})
    assert "ld.global.v4" in ptx
    assert "st.global.v4" in ptx


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, triton.knobs.cache.scope():
        triton.knobs.cache.dir = folder
        main()
