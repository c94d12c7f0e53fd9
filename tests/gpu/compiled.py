"""Compiles kernels of every kind for a GPU that need not be there; run by tests/test_triton.py."""

from __future__ import annotations

import tempfile

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from poolkit.triton import filters, gather, planes, regions, segments, sequences, unpool, windows
from poolkit.triton.methods import REDUCERS

TARGET = GPUTarget("cuda", 90, 32)
SIZES = ("i32", "i32", "i32")
TYPES = {
    **dict.fromkeys(("x", "scores", "grad", "grad_x", "grad_scores", "first_result"), "*bf16"),
    **dict.fromkeys(("second_result", "first_kept"), "*u8"),
    **dict.fromkeys(("third_result", "second_kept", "third_kept"), "*fp32"),
    **dict.fromkeys(("total", "planes", "cells", "inner"), "i32"),
    **dict.fromkeys(("sizes", "outs", "lows", "highs", "extents", "limits", "results", "befores", "parts"), SIZES),
    **dict.fromkeys(("divisor", "p", "q"), "fp64"),
    "strides": (*SIZES, "i32"),
    "valid_strides": ("i32", "i32"),
    "valid": "*u8",
    **dict.fromkeys(("rows", "batch", "steps", "pitch"), "i32"),
    "seed": "i64",
    "winners": "*u8",
    **dict.fromkeys(("indices",), "*i64"),
    "boxes": "*fp64",
    **dict.fromkeys(("scale", "ratio"), "fp64"),
    **dict.fromkeys(
        (
            "order",
            "offsets",
            "owners",
            "writers",
            "bad",
            "counts",
            "found",
            "starts",
            "begins",
            "ends",
            "tops",
            "bottoms",
            "lefts",
            "rights",
        ),
        "*i32",
    ),
    **{f"{axis}_{name}": "*i32" for axis in ("row", "column") for name in ("cells", "counts", "begins", "ends")},
    **dict.fromkeys(("weights", "row_weights", "column_weights"), "*fp32"),
    **dict.fromkeys(("bins", "size", "room", "row_room", "column_room"), "i32"),
    **dict.fromkeys(("channels", "height", "width", "out_height", "out_width", "volume"), "i32"),
    "y": "*fp32",
}
COMMON = {"KIND": 0, "ACC": tl.float32, "COUNTING": 1, "WIDE": False}


def compile(kernel, aligned: tuple[str, ...] = (), options: dict[str, object] | None = None, **constants) -> str:
    """The PTX of a kernel, some of whose arguments are multiples of 16."""
    constants = {**{n: v for n, v in COMMON.items() if n in kernel.arg_names}, **constants}
    types = {name: "constexpr" if name in constants else TYPES[name] for name in kernel.arg_names}
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    where = [(kernel.arg_names.index(name),) for name in aligned if name != "strides"]
    where += [(kernel.arg_names.index("strides"), i) for i in range(4) if "strides" in aligned]
    source = ASTSource(kernel, types, places, {path: [["tt.divisibility", 16]] for path in where})
    ptx: str = triton.compile(source, target=TARGET, options=options).asm["ptx"]
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
    exact = {"enable_fp_fusion": False}  # as it is launched
    assert "fma" not in compile(regions.sample, options=exact, starts=None, ALIGNED=True, AXIS=0, BLOCK=128)
    compile(regions.sample, found=None, counts=None, ALIGNED=False, AXIS=1, BLOCK=128)
    compile(regions.divide, AXIS=0, BLOCK=128)
    compile(regions.align, CHANNELS_LAST=True, BLOCK=512)
    compile(regions.pool, CHANNELS_LAST=False, BLOCK=512)
    compile(regions.bounds, AXIS=1, CHANNELS_LAST=False, BLOCK=512)
    tile = {"CHANNELS": 32, "ROWS": 4, "COLUMNS": 8, "BOXES": 64}
    compile(regions.gather, winners=None, CHANNELS_LAST=False, **tile)
    compile(regions.gather, row_weights=None, column_weights=None, CHANNELS_LAST=True, **tile)
    for method, kind in ((sequences.total, 0), (sequences.statistics, 1)):
        rows = {"METHOD": method, "KIND": kind, "ROWS": 8, "STEPS": 256}
        compile(sequences.pool, **rows, **({"second_result": None} if kind == 0 else {}))
    compile(sequences.pool, METHOD=sequences.maximum, valid=None, second_result=None, ROWS=64, STEPS=32)
    compile(sequences.gather, winners=None, FIRST=0, LAST=2, BLOCK=512)
    compile(sequences.gather_statistics, KIND=1, FIRST=2, LAST=1, BLOCK=512)
    for method, order in ((sequences.total, {}), (sequences.maximum, {"order": None})):
        compile(segments.pool, METHOD=method, second_result=None, CHANNELS=64, STEPS=32, **order)
    compile(segments.spread, BLOCK=512)
    compile(segments.spread, winners=None, order=None, BLOCK=512)
    filter = {"WEIGHTS": (1.0, 0.125, 0.375, 0.375, 0.125, 0.5, 0.5), "TAPS": (1, 4, 2), "STRIDE": (1, 2, 2)}
    for adjoint in (False, True):
        beyond = (0, 1, 2) if adjoint else (3, 1, 0)
        compile(filters.filter, **filter, BEYOND=beyond, ADJOINT=adjoint, BLOCK=512)
    for kernel in (unpool.mark, unpool.put, unpool.take):
        compile(kernel, BLOCK=512)
    # Channels-last maps of 16 channels or a multiple of it are read and written 16 bytes at a time.
    aligned = ("x", "first_result", "total", "inner", "strides")
    ptx = compile(windows.pool, aligned, METHOD=REDUCERS["max"].value, **one, **{**sliding, "BLOCK": 1024})
    assert "ld.global.v4" in ptx
    assert "st.global.v4" in ptx


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, triton.knobs.cache.scope():
        triton.knobs.cache.dir = folder
        main()
