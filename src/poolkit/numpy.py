"""Pooling of NumPy arrays: the functions of :mod:`poolkit.functional` without torch.

The same names, arguments and results, forward only, plus two keywords: `data_format` ("channels_first", the default,
for (N, C, *spatial) or (C, *spatial); "channels_last" for (N, *spatial, C) or (*spatial, C)) and `out`, an array for
the result. `dtype` is a NumPy dtype. Type stubs are in numpy.pyi.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from poolkit import geometry
from poolkit._signatures import RANKS, Form, Function, functions, numpy_source
from poolkit.errors import ArgumentError
from poolkit.geometry import Windows
from poolkit.methods import METHODS, Method, Step

try:
    from poolkit import _numpy  # type: ignore[attr-defined]
except ImportError as error:
    raise ImportError(
        "poolkit's compiled part is missing; build it with `pip install .` in the project's folder"
    ) from error

Array = np.ndarray[Any, Any]

_FLOATS = ("float32", "float64", "float16", "bfloat16")
_INTEGERS = {
    "all": ("bool", "uint8", "int8", "int16", "int32", "int64"),
    "int64": ("int64",),
    "none": (),
}
DATA_FORMATS = ("channels_first", "channels_last")


class _Layout:
    """Where batch, channels and spatial dimensions stand in an array."""

    def __init__(self, name: str, rank: int, input: Any, data_format: str) -> None:
        if data_format not in DATA_FORMATS:
            raise ArgumentError(f"data_format must be one of {DATA_FORMATS}, but got {data_format!r}")
        if not isinstance(input, np.ndarray) or isinstance(input, np.ma.MaskedArray):
            raise TypeError(f"{name}(): input must be a numpy.ndarray, but got {type(input).__name__}")
        dims = f"{rank + 1}D or {rank + 2}D"
        shape = input.shape
        batched = len(shape) == rank + 2
        if len(shape) not in (rank + 1, rank + 2) or 0 in shape[1 if batched else 0 :]:
            raise ArgumentError(
                f"{name}(): Expected {dims} (batch mode) array with optional 0 dim batch size for input, "
                f"but got: {list(shape)}"
            )
        self.rank, self.last = rank, data_format == "channels_last"
        self.batch = shape[:1] if batched else ()
        self.channels = shape[-1] if self.last else shape[len(self.batch)]
        start = len(self.batch) + (0 if self.last else 1)
        self.spatial = shape[start : start + rank]

    def shape(self, spatial: Sequence[int], channels: int | None = None) -> tuple[int, ...]:
        inside = (self.channels if channels is None else channels,)
        return (*self.batch, *spatial, *inside) if self.last else (*self.batch, *inside, *spatial)

    @property
    def outer(self) -> int:
        return math.prod(self.batch) * (1 if self.last else self.channels)

    @property
    def inner(self) -> int:
        return self.channels if self.last else 1

    @property
    def channel_axis(self) -> int:
        return -1 if self.last else -self.rank - 1


def _dense(array: Array) -> Array:
    """C-contiguous, in this machine's byte order."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _bits(array: Array) -> Array:
    """What the binding can take: bfloat16 has no buffer of its own."""
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


class _Out:
    """The result: a fresh array, or the caller's, or a fresh one to be copied there once it is whole."""

    def __init__(self, name: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], input: Array) -> None:
        self.given = out
        if out is None:
            self.array = np.empty(shape, dtype)
            return
        if not isinstance(out, np.ndarray):
            raise TypeError(f"{name}(): out must be a numpy.ndarray, but got {type(out).__name__}")
        if out.shape != shape or out.dtype != dtype:
            raise ArgumentError(
                f"{name}(): out must have shape {shape} and dtype {dtype}, "
                f"but has shape {out.shape} and dtype {out.dtype}"
            )
        if not out.flags.writeable:
            raise ArgumentError(f"{name}(): out must be writable, but is read-only")
        direct = out.flags.c_contiguous and out.dtype.isnative and not np.may_share_memory(out, input)
        self.array = out if direct else np.empty(shape, dtype.newbyteorder("="))

    def done(self) -> Array:
        if self.given is None:
            return self.array
        if self.given is not self.array:
            self.given[...] = self.array
        return self.given  # type: ignore[no-any-return]


def _sliding(
    method: Method,
    rank: int,
    name: str,
    input: Array,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    values: tuple[Any, ...],
    data_format: str,
    out: Array | None,
    return_indices: bool = False,
) -> Any:
    geometry.check_sliding(rank, kernel_size, stride, padding, dilation, ceil_mode)
    layout = _Layout(name, rank, input, data_format)
    windows = geometry.sliding(rank, layout.spatial, kernel_size, stride, padding, dilation, ceil_mode)
    named = isinstance(padding, str)
    return _run(method, name, input, layout, windows, named, values, out, return_indices)


def _adaptive(
    method: Method,
    rank: int,
    name: str,
    input: Array,
    output_size: Any,
    values: tuple[Any, ...],
    data_format: str,
    out: Array | None,
    return_indices: bool = False,
) -> Any:
    geometry.check_output_size(rank, output_size)
    layout = _Layout(name, rank, input, data_format)
    windows = geometry.adaptive(rank, layout.spatial, output_size)
    return _run(method, name, input, layout, windows, False, values, out, return_indices)


def _global(
    method: Method,
    rank: int,
    name: str,
    input: Array,
    keepdim: bool,
    values: tuple[Any, ...],
    data_format: str,
    out: Array | None,
) -> Any:
    layout = _Layout(name, rank, input, data_format)
    if out is not None and not keepdim:
        if not isinstance(out, np.ndarray):
            raise TypeError(f"{name}(): out must be a numpy.ndarray, but got {type(out).__name__}")
        channels = out.shape[-1] if out.ndim else 0
        y = _adaptive(method, rank, name, input, 1, values, data_format, None)
        flat = y.reshape(*layout.batch, -1)
        if out.shape != flat.shape or out.dtype != flat.dtype:
            raise ArgumentError(
                f"{name}(): out must have shape {flat.shape} and dtype {flat.dtype}, but has shape {out.shape} "
                f"({channels} channels) and dtype {out.dtype}"
            )
        out[...] = flat
        return out
    y = _adaptive(method, rank, name, input, 1, values, data_format, out)
    return y if keepdim else y.reshape(*layout.batch, -1)


def _run(
    method: Method,
    name: str,
    input: Array,
    layout: _Layout,
    windows: Windows,
    named_padding: bool,
    values: tuple[Any, ...],
    out: Any,
    return_indices: bool,
) -> Any:
    steps = method.plan(named_padding, *values)
    target = None
    if method.params and method.params[-1].name == "dtype" and values[-1] is not None:
        target = np.dtype(values[-1])
        if target.kind not in "iuf" and target.name != "bfloat16":
            raise NotImplementedError(f"{name}(): dtype must be a floating or integer type, but got {target}")
        input = input.astype(np.int64 if target.kind in "iu" else target, copy=False)
    step = steps[0]
    allowed = _FLOATS if step.magnitude or len(steps) > 1 else _FLOATS + _INTEGERS[METHODS[step.kernel].integers]
    if input.dtype.name not in allowed:
        hint = "; give dtype=, for example dtype=numpy.float32" if any(p.name == "dtype" for p in method.params) else ""
        raise NotImplementedError(
            f"{name}(): input must have one of the dtypes {', '.join(allowed)}, but got {input.dtype}{hint}"
        )
    x = _dense(np.abs(input) if step.magnitude else input)
    dtype = x.dtype if target is None else target
    result = _Out(name, out, layout.shape(windows.output_size, layout.channels * len(steps)), dtype, input)
    if len(steps) == 1 and result.array.dtype == x.dtype:
        indices = _step(x, result.array, layout, windows, step, return_indices)
    else:
        parts = [np.empty(layout.shape(windows.output_size), x.dtype) for _ in steps]
        for part, each in zip(parts, steps, strict=True):
            _step(x, part, layout, windows, each, False)
        np.concatenate(parts, axis=layout.channel_axis, out=result.array, casting="unsafe")
        indices = None
    return (result.done(), indices) if return_indices else result.done()


def _step(x: Array, y: Array, layout: _Layout, windows: Windows, step: Step, return_indices: bool) -> Array | None:
    packed = geometry.pack(windows, step.counting, step.divisor)
    winners = None
    if return_indices:
        extent = windows.extent
        winners = np.empty(y.shape, np.uint8 if extent <= 256 else np.uint16 if extent <= 65536 else np.uint32)
    outer, inner = layout.outer, layout.inner
    _numpy.pool(_bits(x), _bits(y), winners, x.dtype.name, step.kernel, outer, inner, packed, step.floats)
    if winners is None:
        return None
    indices = np.empty(y.shape, np.int64)
    _numpy.winner_indices(winners, indices, outer, inner, packed)
    return indices


def _max_unpool(
    rank: int,
    input: Array,
    indices: Array,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
    data_format: str,
    out: Any,
) -> Array:
    name = f"max_unpool{rank}d"
    layout = _Layout(name, rank, input, data_format)
    if not isinstance(indices, np.ndarray):
        raise TypeError(f"{name}(): indices must be a numpy.ndarray, but got {type(indices).__name__}")
    if indices.dtype != np.int64:
        raise ArgumentError(f"{name}(): elements in indices should be type int64 but got: {indices.dtype}")
    if indices.shape != input.shape:
        raise ArgumentError(
            f"{name}(): Expected shape of indices to be: {list(input.shape)} but got: {list(indices.shape)}"
        )
    if input.dtype.name not in _FLOATS + _INTEGERS["all"]:
        raise NotImplementedError(f"{name}(): max unpooling is not implemented for {input.dtype}")
    size = geometry.unpooled_size(rank, layout.spatial, kernel_size, stride, padding, output_size)
    x = _dense(input)
    result = _Out(name, out, layout.shape(size), x.dtype, input)
    y = result.array if result.given is None else np.empty_like(result.array)
    cells, volume = math.prod(layout.spatial), math.prod(size)
    bad = _numpy.unpool(_bits(x), _dense(indices), _bits(y), x.dtype.name, layout.outer, cells, volume, layout.inner)
    if bad is not None:
        sizes = "x".join(map(str, size))
        raise ArgumentError(f"Found an invalid max index: {bad} (output volumes are of size {sizes})")
    if y is not result.array:
        result.array[...] = y
    return result.done()


_UNPOOL = """def max_unpool{rank}d(
    input, indices, kernel_size, stride=None, padding=0, output_size=None, *, data_format="channels_first", out=None
):
    return _max_unpool({rank}, input, indices, kernel_size, stride, padding, output_size, data_format, out)
"""

_RUNNERS: dict[Form, Callable[..., Any]] = {"sliding": _sliding, "adaptive": _adaptive, "global": _global}


def _write(function: Function) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"_method": METHODS[function.method], "_run": _RUNNERS[function.form]}
    exec(numpy_source(function), namespace)  # the source is our own template, see _signatures.py
    written: Callable[..., Any] = namespace[function.name]
    written.__module__ = __name__
    written.__doc__ = function.doc
    return written


__all__ = []
for _function in functions():
    globals()[_function.name] = _write(_function)
    __all__ += [_function.name]
for _rank in RANKS:
    exec(_UNPOOL.format(rank=_rank), globals())
    __all__ += [f"max_unpool{_rank}d"]
del _function, _rank
