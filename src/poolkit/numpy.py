"""Pooling of NumPy arrays: the functions of :mod:`poolkit.functional` without torch.

The same names, arguments and results, forward only: nothing here computes a gradient. Besides, every function takes

- `data_format`: "channels_first", the default, for arrays (N, C, *spatial) or (C, *spatial); "channels_last" for
  (N, *spatial, C) or (*spatial, C);
- `out`: a writable array of the result's shape and dtype, in any memory order, which is filled and returned. It may
  overlap the input.

Any memory and byte order of the input is right; C-contiguous arrays in either layout are read where they are. `dtype`
is a NumPy dtype, `generator` a numpy.random.Generator. bfloat16 arrays (of the package ml_dtypes) are taken too. Masked
arrays are refused.

Work is shared by the threads that :func:`set_num_threads` or the environment variable POOLKIT_NUM_THREADS allow, by
default as many as the process has processors. The result does not depend on them. Type stubs are in numpy.pyi.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from poolkit import _arrays, geometry, methods
from poolkit._arrays import FLOATS, INTEGERS, Array, Layout
from poolkit._signatures import NUMPY_ARGUMENTS, RANKS, Form, Function, documented, functions, numpy_source
from poolkit.errors import ArgumentError
from poolkit.geometry import Windows
from poolkit.methods import KERNELS, METHODS, Method, Step

try:
    from poolkit import _numpy
except ImportError as error:
    raise ImportError(
        "poolkit's compiled part (poolkit._numpy) is missing or does not load; "
        "build it with `pip install .` in the project's folder"
    ) from error

#: The dtypes that each kernel takes.
KERNEL_DTYPES = {
    name: FLOATS + {"all": INTEGERS, "int64": ("int64",), "none": ()}[kernel.integers]
    for name, kernel in KERNELS.items()
}
_CONVERTS = frozenset(name for name, method in METHODS.items() if any(p.name == "dtype" for p in method.params))


def _sliding(
    method: Method,
    rank: int,
    name: str,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    values: tuple[Any, ...],
    data_format: str,
    out: Any,
    return_indices: bool = False,
    generator: Any = None,
) -> Any:
    layout = _arrays.layout(name, rank, input, data_format)
    windows = geometry.slid_before(rank, layout.spatial, kernel_size, stride, padding, dilation, ceil_mode)
    steps = method.plan(type(padding) is str, *values)
    return _run(method, name, input, _prepared(method, layout, windows, steps), values, out, return_indices, generator)


def _adaptive(
    method: Method,
    rank: int,
    name: str,
    input: Any,
    output_size: Any,
    values: tuple[Any, ...],
    data_format: str,
    out: Any,
    return_indices: bool = False,
    generator: Any = None,
) -> Any:
    layout = _arrays.layout(name, rank, input, data_format)
    windows = _adapted(rank, layout.spatial, output_size)
    steps = method.plan(False, *values)
    return _run(method, name, input, _prepared(method, layout, windows, steps), values, out, return_indices, generator)


def _global(
    method: Method,
    rank: int,
    name: str,
    input: Any,
    keepdim: bool,
    values: tuple[Any, ...],
    data_format: str,
    out: Any,
    generator: Any = None,
) -> Any:
    layout = _arrays.layout(name, rank, input, data_format)
    windows = _adapted(rank, layout.spatial, 1)
    steps = method.plan(False, *values)
    return _run(
        method, name, input, _prepared(method, layout, windows, steps, bool(keepdim)), values, out, False, generator
    )


_adapted_before = functools.lru_cache(maxsize=4096)(geometry.adaptive)


def _adapted(rank: int, spatial: tuple[int, ...], output_size: Any) -> Windows:
    """Remembered where equal keys mean equal arguments: 2.0 and True equal 2 and 1, but are refused."""
    sizes = output_size if type(output_size) is tuple else (output_size,)
    plain = all(type(size) is int or size is None for size in sizes)
    return (_adapted_before if plain else geometry.adaptive)(rank, spatial, output_size)


class _Call(NamedTuple):
    """What a call needs to know, found once for each layout, geometry and choice of parameters."""

    layout: Layout
    outer: int
    inner: int
    steps: tuple[tuple[Step, list[int]], ...]  # with the windows as the kernels read them
    part: tuple[int, ...]  # shape of the result of one step
    shape: tuple[int, ...]  # shape of the result
    channel_axis: int
    winner: type[np.unsignedinteger[Any]]


@functools.lru_cache(maxsize=4096)
def _made_ready(
    layout: Layout, windows: Windows, steps: tuple[Step, ...], results: int = 1, keepdim: bool = True
) -> _Call:
    spatial = windows.output_size if keepdim else ()
    extent = windows.extent
    return _Call(
        layout,
        layout.outer,
        layout.inner,
        tuple((step, geometry.pack(windows, step.counting, step.divisor)) for step in steps),
        layout.shape(spatial, layout.channels),
        layout.shape(spatial, layout.channels * results),
        -1 if layout.channels_last else -1 - len(spatial),
        np.uint8 if extent <= 256 else np.uint16 if extent <= 65536 else np.uint32,
    )


def _prepared(method: Method, layout: Layout, windows: Windows, steps: tuple[Step, ...], keepdim: bool = True) -> _Call:
    return _made_ready(layout, windows, steps, len(steps) if method.choice is None else 1, keepdim)


def _run(
    method: Method,
    name: str,
    input: Array,
    call: _Call,
    values: tuple[Any, ...],
    out: Any,
    return_indices: bool,
    generator: Any,
) -> Any:
    if generator is not None and not isinstance(generator, np.random.Generator):
        given = type(generator).__name__
        raise TypeError(f"{name}(): generator must be a numpy.random.Generator or None, but got {given}")
    if method.refusal is not None and (why := method.refusal(method.named(values), input)) is not None:
        raise ArgumentError(f"{name}(): {why}")
    target = None
    if method.name in _CONVERTS and values[-1] is not None:
        input, target = _converted(name, input, values[-1])
    dtype = _arrays.dtype_name(input)
    step, packed = call.steps[0]
    one = len(call.steps) == 1
    allowed = KERNEL_DTYPES[step.kernel] if one and not step.magnitude else FLOATS
    if dtype not in allowed:
        _refuse_dtype(method, name, input, allowed)
    x = _arrays.dense(np.abs(input) if step.magnitude else input)
    if out is not None:
        _arrays.check_out(name, out, call.shape, target or x.dtype)
    y = out if _arrays.takes_results(out, x.dtype, input) else np.empty(call.shape, x.dtype)
    indices = None
    if one:
        kernel = KERNELS[step.kernel]
        if return_indices and kernel.winner is None:
            raise ArgumentError(method.without_indices(name))
        seed = int(_random(generator).integers(2**64, dtype=np.uint64)) if kernel.draws else 0
        indices = _pool(x, y, dtype, call, step, packed, return_indices, seed)
    else:
        parts = [np.empty(call.part, x.dtype) for _ in call.steps]
        for part, (step, packed) in zip(parts, call.steps, strict=True):
            _pool(x, part, dtype, call, step, packed, False, 0)
        if method.choice is None:
            np.concatenate(parts, axis=call.channel_axis, out=y)
        else:
            shape, probability = method.choice(method.named(values), call.layout.leading)
            drawn = _random(generator).random(shape) < probability
            np.copyto(y, np.where(call.layout.over_planes(drawn, len(call.part) - drawn.ndim), *parts))
    if out is None:
        out = y if target is None else y.astype(target, copy=False)
    elif out is not y:
        out[...] = y
    return (out, indices) if return_indices else out


def _random(generator: np.random.Generator | None) -> np.random.Generator:
    return np.random.default_rng() if generator is None else generator


def _pool(
    x: Array, y: Array, dtype: str, call: _Call, step: Step, packed: list[int], return_indices: bool, seed: int
) -> Array | None:
    winners = np.empty(y.shape, call.winner) if return_indices else None
    bits = _arrays.bits
    _numpy.pool(
        bits(x, dtype), bits(y, dtype), winners, dtype, step.kernel, call.outer, call.inner, packed, step.floats, seed
    )
    if winners is None:
        return None
    indices = np.empty(y.shape, np.int64)
    _numpy.winner_indices(winners, indices, call.outer, call.inner, packed)
    return indices


def _converted(name: str, input: Array, dtype: Any) -> tuple[Array, np.dtype[Any]]:
    """The input in the type to compute in, and the type to return: integers are computed in int64."""
    try:
        target = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise TypeError(f"{name}(): dtype must be a NumPy dtype or None, but got {dtype!r}") from None
    if target.kind not in "iuf" and target.name != "bfloat16":
        raise NotImplementedError(f"{name}(): dtype must be a floating or integer type, but got {target}")
    if input.dtype.kind not in "biuf" and input.dtype.name != "bfloat16":
        raise NotImplementedError(f"{name}(): input must be bool, integer or floating, but got {input.dtype}")
    if target.kind == "f" or target.name == "bfloat16":
        return input.astype(target, copy=False), target
    if input.dtype == np.uint64:
        raise NotImplementedError(f"{name}(): integer results are computed in int64, which does not hold {input.dtype}")
    return input.astype(np.int64, copy=False), target


def _refuse_dtype(method: Method, name: str, input: Array, allowed: tuple[str, ...]) -> None:
    hint = "; give dtype=, for example dtype=numpy.float32" if method.name in _CONVERTS else ""
    raise NotImplementedError(
        f"{name}(): input must have one of the dtypes {', '.join(allowed)}, but got {input.dtype}{hint}"
    )


def _max_unpool(
    rank: int,
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
    data_format: str,
    out: Any,
) -> Array:
    name = f"max_unpool{rank}d"
    layout = _arrays.layout(name, rank, input, data_format)
    _arrays.checked(name, "indices", indices)
    if _arrays.dtype_name(indices) != "int64":
        raise ArgumentError(f"{name}(): elements in indices should be type int64 but got: {indices.dtype}")
    if indices.shape != input.shape:
        raise ArgumentError(
            f"{name}(): Expected shape of indices to be: {list(input.shape)} but got: {list(indices.shape)}"
        )
    dtype = _arrays.dtype_name(input)
    if dtype not in KERNEL_DTYPES["max"]:
        raise NotImplementedError(f"{name}(): max unpooling is not implemented for {input.dtype}")
    if layout.channels_last and isinstance(output_size, tuple | list) and len(output_size) == rank + 2:
        output_size = output_size[1:-1]
    size = geometry.unpooled_size(rank, layout.spatial, kernel_size, stride, padding, output_size)
    x = _arrays.dense(input)
    shape = layout.shape(size, layout.channels)
    if out is not None:
        _arrays.check_out(name, out, shape, x.dtype)
    y = np.empty(shape, x.dtype)  # never `out` itself: it has to stay as it is if an index is wrong
    bits = _arrays.bits
    bad = _numpy.unpool(
        bits(x, dtype),
        _arrays.dense(indices),
        bits(y, dtype),
        dtype,
        layout.outer,
        math.prod(layout.spatial),
        math.prod(size),
        layout.inner,
    )
    if bad is not None:
        sizes = "x".join(map(str, size))
        raise ArgumentError(f"{name}(): Found an invalid max index: {bad} (output volumes are of size {sizes})")
    if out is None:
        return y
    out[...] = y
    return out


_UNPOOL = """def max_unpool{rank}d(
    input, indices, kernel_size, stride=None, padding=0, output_size=None, *, data_format="channels_first", out=None
):
    return _max_unpool({rank}, input, indices, kernel_size, stride, padding, output_size, data_format, out)
"""

_UNPOOL_DOC = """Puts every value of `input` where max pooling took it from, zeros elsewhere.

Args:
    input: the pooled array, of any dtype that max pooling takes.
    indices: int64, of the same shape, as :func:`max_pool{rank}d` returns them with ``return_indices=True``.
    kernel_size, stride, padding: of the pooling.
    output_size: the size before pooling, where several give the same result, or the whole shape.
    data_format: 'channels_first' or 'channels_last'.
    out: an array for the result.

Where an index occurs twice in a plane, the last in row-major order is kept. An index outside the plane raises an error,
and `out` stays as it was.
"""

_RUNNERS: dict[Form, Callable[..., Any]] = {"sliding": _sliding, "adaptive": _adaptive, "global": _global}


def _write(function: Function) -> Callable[..., Any]:
    """The function that the table's row describes."""
    method = METHODS[function.method]
    namespace: dict[str, Any] = {"_method": method, "_run": _RUNNERS[function.form]}
    exec(numpy_source(function), namespace)  # the source is our own template, see _signatures.py
    written: Callable[..., Any] = namespace[function.name]
    written.__module__ = __name__
    written.__doc__ = documented(method, function.form, function.rank, function.arguments + NUMPY_ARGUMENTS)
    return written


def explain(
    input: Array, method: str, *, data_format: str = "channels_first", return_indices: bool = False, **arguments: Any
) -> str:
    """One line for each kernel run of a call: the instruction set and the walkers that serve it.

    Args:
        input: the array that would be pooled, with a batch; its rank decides between 1-D, 2-D and 3-D.
        method: the method's name in the table.
        data_format, return_indices: as the functions take them.
        **arguments: geometry and parameters as the functions take them; `output_size` for adaptive windows.
    """
    row = methods.get(method)
    rank = _arrays.checked("explain", "input", input).ndim - 2
    if rank not in RANKS:
        raise ArgumentError(f"explain(): input must be 3D, 4D or 5D, but got shape {input.shape}")
    layout = _arrays.layout("explain", rank, input, data_format)
    values = [arguments.pop(p.name, p.default) for p in row.params]
    named = isinstance(arguments.get("padding"), str)
    find = geometry.adaptive if "output_size" in arguments else geometry.sliding
    call = _prepared(row, layout, find(rank, layout.spatial, **arguments), row.plan(named, *values))
    dtype = _arrays.dtype_name(input)
    lines = [
        f"{step.kernel}: "
        + _numpy.explain(dtype, step.kernel, call.outer, call.inner, packed, step.floats, return_indices)
        for step, packed in call.steps
    ]
    return "\n".join(lines)


def get_num_threads() -> int:
    """How many threads share the work of a call."""
    return _numpy.num_threads()


def set_num_threads(num_threads: int) -> None:
    """Let this many threads, 1 to 1024, share the work of a call."""
    _numpy.set_num_threads(geometry.integer("num_threads", num_threads, positive=True))


__all__ = ["explain", "get_num_threads", "set_num_threads"]
for _function in functions():
    globals()[_function.name] = _write(_function)
    __all__ += [_function.name]
for _rank in RANKS:
    exec(_UNPOOL.format(rank=_rank), globals())
    globals()[f"max_unpool{_rank}d"].__doc__ = _UNPOOL_DOC.format(rank=_rank)
    __all__ += [f"max_unpool{_rank}d"]
del _function, _rank
