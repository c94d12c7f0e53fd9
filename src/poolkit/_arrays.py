"""NumPy arrays as the kernels take and give them: shape, dtype, memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from poolkit.errors import ArgumentError

Array = np.ndarray[Any, Any]

DATA_FORMATS = ("channels_first", "channels_last")

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")
# bfloat16 comes from packages that NumPy does not know, and is recognised by its name.
_NAMES = {np.dtype(name): name for name in (*FLOATS, *INTEGERS) if name != "bfloat16"}


class Layout(NamedTuple):
    """What stands where in an array."""

    batch: tuple[int, ...]  #: empty for a single sample
    channels: int
    spatial: tuple[int, ...]
    channels_last: bool

    def shape(self, spatial: Sequence[int], channels: int) -> tuple[int, ...]:
        """The shape of an array in this layout; without spatial sizes, (N, C) or (C,)."""
        inside = (*spatial, channels) if self.channels_last else (channels, *spatial)
        return (*self.batch, *inside)

    def over_planes(self, numbers: Array, spatial_axes: int) -> Array:
        """Numbers for each sample and channel, (N, C) or (C,), shaped so that they spread over the planes."""
        ones = (1,) * spatial_axes
        *batch, channels = numbers.shape
        inside = (*ones, channels) if self.channels_last else (channels, *ones)
        return numbers.reshape((*batch, *inside))

    @property
    def leading(self) -> tuple[int, ...]:
        return (*self.batch, self.channels)

    @property
    def outer(self) -> int:
        return math.prod(self.batch) * (1 if self.channels_last else self.channels)

    @property
    def inner(self) -> int:
        return self.channels if self.channels_last else 1


def checked(name: str, argument: str, value: Any) -> Array:
    """The value, which has to be an array. A mask would be lost, so masked arrays are refused."""
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}(): {argument} must be a numpy.ndarray, but got {type(value).__name__}")
    return value


def layout(name: str, rank: int, input: Any, data_format: str) -> Layout:
    if type(input) is not np.ndarray:
        checked(name, "input", input)
    if data_format not in DATA_FORMATS:
        raise ArgumentError(f"{name}(): data_format must be one of {DATA_FORMATS}, but got {data_format!r}")
    return _layout(name, rank, input.shape, data_format == "channels_last")


@functools.lru_cache(maxsize=4096)
def _layout(name: str, rank: int, shape: tuple[int, ...], channels_last: bool) -> Layout:
    batched = len(shape) == rank + 2
    if len(shape) not in (rank + 1, rank + 2) or 0 in shape[batched:]:
        raise ArgumentError(
            f"{name}(): Expected {rank + 1}D or {rank + 2}D (batch mode) array with optional 0 dim batch size for "
            f"input, but got: {list(shape)}"
        )
    batch, sample = shape[:batched], shape[batched:]
    if channels_last:
        return Layout(batch, sample[-1], sample[:-1], True)
    return Layout(batch, sample[0], sample[1:], False)


def dtype_name(array: Array) -> str:
    """The dtype's name, whatever the byte order."""
    return _NAMES.get(array.dtype) or array.dtype.name


def dense(array: Array) -> Array:
    """The same values C-contiguous, aligned and in this machine's byte order: the array itself if it is so."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return array
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def bits(array: Array, name: str) -> Array:
    """What the binding takes: bfloat16 as its bits, because buffers know no such type."""
    return array.view(np.uint16) if name == "bfloat16" else array


def check_out(name: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    checked(name, "out", out)
    if out.shape != shape or out.dtype != dtype:
        raise ArgumentError(
            f"{name}(): out must have shape {shape} and dtype {dtype}, but has shape {out.shape} and dtype {out.dtype}"
        )
    if not out.flags.writeable:
        raise ArgumentError(f"{name}(): out must be writable, but is read-only")


def takes_results(out: Array | None, dtype: np.dtype[Any], input: Array) -> bool:
    """Whether a kernel may write its results of this dtype there, while it reads the input."""
    if out is None or out.dtype != dtype:
        return False
    return out.flags.c_contiguous and out.flags.aligned and not np.may_share_memory(out, input)
