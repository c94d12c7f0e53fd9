# What cpp/bind/numpy.cpp offers. Arrays are C-contiguous, aligned and in native byte order; bfloat16 comes as uint16.
# `outer` and `inner` count the cells before and after the spatial axes; `windows` is what geometry.pack() gives.
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

def pool(
    x: Array,
    y: Array,
    winners: Array | None,
    dtype: str,
    method: str,
    outer: int,
    inner: int,
    windows: Sequence[int],
    params: Sequence[float],
    /,
) -> None: ...
def winner_indices(winners: Array, indices: Array, outer: int, inner: int, windows: Sequence[int], /) -> None: ...
def unpool(
    x: Array, indices: Array, y: Array, dtype: str, outer: int, cells: int, volume: int, inner: int, /
) -> int | None: ...
def explain(
    dtype: str,
    method: str,
    outer: int,
    inner: int,
    windows: Sequence[int],
    params: Sequence[float],
    winners: bool,
    /,
) -> str: ...
def kernels() -> list[str]: ...
def isa() -> str: ...
def isas() -> list[str]: ...
def set_isa(name: str, /) -> bool: ...
def num_threads() -> int: ...
def set_num_threads(threads: int, /) -> None: ...
