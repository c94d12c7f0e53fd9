"""Pooling functions.

For every method of the table (:mod:`poolkit.methods`) and rank 1 to 3: ``<name>_pool2d`` with sliding windows,
``adaptive_<name>_pool2d`` with a target size, ``global_<name>_pool2d`` over the whole plane. Where
``torch.nn.functional`` has the function, names, argument order and defaults are the same and further arguments come
last. Inputs are (N, C, *spatial) or (C, *spatial); the output has the same dtype, device and memory format.

The functions are written from the table when this module is imported, as ``dataclasses`` writes ``__init__``: plain
Python functions with real signatures. Their type stubs are in functional.pyi. The functions of the layers, such as
``temporal_pool``, are written out in :mod:`poolkit.layers`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from poolkit import geometry, ops
from poolkit._signatures import FORMS, RANKS, Form, Function, functions
from poolkit.errors import ArgumentError
from poolkit.geometry import Windows
from poolkit.methods import KERNELS, LAYERS, METHODS, Method, Step
from poolkit.methods.method import Integers


def _refuse_input(name: str, rank: int, input: Tensor) -> None:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): input must be a torch.Tensor, but got {type(input).__name__}")
    ops.check_dense(name, "input", input)
    dims = f"{rank + 1}D or {rank + 2}D"
    problem = "Expected input's non-batch dimensions to have positive length"
    if input.dim() not in (rank + 1, rank + 2):
        problem = f"Input dimension should be at least {rank + 1}" if input.dim() <= rank else f"got {input.dim()}D"
    raise ArgumentError(
        f"{name}(): Expected {dims} (batch mode) tensor with optional 0 dim batch size for input "
        f"(a non-empty {dims} tensor), but got: {list(input.shape)}; {problem}"
    )


def _fits(input: Tensor, rank: int) -> bool:
    if not isinstance(input, Tensor) or input.layout is not torch.strided:
        return False
    shape = input.shape
    dims = len(shape)
    return (dims == rank + 2 and 0 not in shape[1:]) or (dims == rank + 1 and 0 not in shape)


#: Calls seen before that need nothing but a kernel, by everything that tells them apart. A call on a small tensor costs
#: little beside its arguments: what they mean is looked up.
_READY: dict[tuple[Any, ...], ops.Call] = {}
_MOST_READY = 4096
_LOOKED_UP = frozenset((int, bool, float, str, type(None)))


def _key(name: str, input: Tensor, given: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """What tells a call apart from others, if it can be looked up; `given` is its geometry."""
    if type(input) is not Tensor or is_compiling():
        return None
    types = (*map(type, given), *map(type, values))  # True is not 1
    return (name, input.shape, input.dtype, given, values, types) if _LOOKED_UP.issuperset(types) else None


def _ready(key: tuple[Any, ...] | None, input: Tensor) -> ops.Call | None:
    """The call of this key, if it was seen before."""
    return _READY.get(key) if key is not None and ops.is_plain(input) else None


def _remember(key: tuple[Any, ...] | None, method: Method, input: Tensor, windows: Windows, *plan: Any) -> None:
    if key is None or method.refusal is not None or not ops.is_plain(input):
        return
    if (ready := ops.ready(input, windows, method.plan(*plan))) is None:
        return
    if len(_READY) >= _MOST_READY:
        _READY.clear()
    _READY[key] = ready


def _sliding(
    method: Method,
    rank: int,
    name: str,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    values: tuple[Any, ...],
    return_indices: bool = False,
    generator: Any = None,
) -> Any:
    key = None
    if not return_indices and generator is None:
        key = _key(name, input, (kernel_size, stride, padding, dilation, ceil_mode), values)
        if (ready := _ready(key, input)) is not None:
            return ops.pool_ready(input, ready)
    if not _fits(input, rank):
        geometry.check_sliding(rank, kernel_size, stride, padding, dilation, ceil_mode)
        _refuse_input(name, rank, input)
    windows = ops.sliding(rank, input.shape[-rank:], kernel_size, stride, padding, dilation, ceil_mode)
    named_padding = type(padding) is str
    y = _run(method, rank, name, input, windows, named_padding, values, return_indices, generator)
    _remember(key, method, input, windows, named_padding, *values)
    return y


def _adaptive(
    method: Method,
    rank: int,
    name: str,
    input: Tensor,
    output_size: Any,
    values: tuple[Any, ...],
    return_indices: bool = False,
    generator: Any = None,
) -> Any:
    key = None
    if not return_indices and generator is None:
        key = _key(name, input, output_size if type(output_size) is tuple else (output_size,) * rank, values)
        if (ready := _ready(key, input)) is not None:
            return ops.pool_ready(input, ready)
    if not _fits(input, rank):
        geometry.check_output_size(rank, output_size)
        _refuse_input(name, rank, input)
    windows = geometry.adaptive(rank, input.shape[-rank:], output_size)
    y = _run(method, rank, name, input, windows, False, values, return_indices, generator)
    _remember(key, method, input, windows, False, *values)
    return y


def _global(
    method: Method, rank: int, name: str, input: Tensor, keepdim: bool, values: tuple[Any, ...], generator: Any = None
) -> Any:
    y = _adaptive(method, rank, name, input, 1, values, generator=generator)
    return y if keepdim else y.flatten(-rank - 1)


def _run(
    method: Method,
    rank: int,
    name: str,
    input: Tensor,
    windows: Windows,
    named_padding: bool,
    values: tuple[Any, ...],
    return_indices: bool,
    generator: Any,
) -> Any:
    steps = (method.plan_anew if is_compiling() else method.plan)(named_padding, *values)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"{name}(): generator must be a torch.Generator or None, but got {type(generator).__name__}")
    if method.refusal is not None and (why := method.refusal(method.named(values), input)) is not None:
        raise ArgumentError(f"{name}(): {why}")
    target = None
    if method.params and method.params[-1].name == "dtype":
        input, target = _converted(name, input, values[-1])
    if len(steps) == 1:
        step = steps[0]
        if input.dtype not in ops.KERNEL_DTYPES[step.kernel] or (step.magnitude and not input.is_floating_point()):
            _refuse_dtype(method, name, input, "none" if step.magnitude else KERNELS[step.kernel].integers)
        kernel = KERNELS[step.kernel]
        if return_indices and kernel.winner is None:
            raise ArgumentError(method.without_indices(name))
        seed = _seed(generator) if kernel.draws else None
        y = ops.pool(input.abs() if step.magnitude else input, windows, step, return_indices, seed)
    else:
        if not input.is_floating_point():
            _refuse_dtype(method, name, input, "none")
        parts = [_one(input, windows, step) for step in steps]
        if method.choice is None:
            y = torch.cat(parts, dim=-rank - 1)
        else:
            shape, probability = method.choice(method.named(values), tuple(input.shape[:-rank]))
            drawn = torch.rand(shape, generator=generator, device=input.device) < probability
            y = torch.where(drawn[(..., *(None,) * rank)], *parts)
    return y if target is None else y.to(target)  # type: ignore[union-attr]


def _one(input: Tensor, windows: Windows, step: Step) -> Tensor:
    result = ops.pool(input, windows, step)
    assert isinstance(result, Tensor)
    return result


def _seed(generator: torch.Generator | None) -> Tensor:
    """The key of a call's random numbers, drawn as a tensor so that the compiler can trace it."""
    device = "cpu" if generator is None else generator.device
    return torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64, generator=generator, device=device).cpu()


def _converted(name: str, input: Tensor, dtype: Any) -> tuple[Tensor, torch.dtype | None]:
    """The input in the type to compute in, and the type to return if it is another: integers go through int64."""
    if dtype is None:
        return input, None
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"{name}(): dtype must be a torch.dtype or None, but got {dtype!r}")
    if dtype.is_complex or dtype == torch.bool:
        raise NotImplementedError(f"{name}(): dtype must be a floating or integer type, but got {dtype}")
    if dtype.is_floating_point:
        return input.to(dtype), None
    return input.to(torch.int64), dtype


def _refuse_dtype(method: Method, name: str, input: Tensor, integers: Integers) -> None:
    hint = "; give dtype=, for example dtype=torch.float32" if any(p.name == "dtype" for p in method.params) else ""
    allowed = "float32, float64, float16, bfloat16"
    allowed += {"all": ", bool and the integer types up to 64 bits", "int64": ", int64", "none": ""}[integers]
    allowed += "" if integers == method.integers else " with these arguments"
    raise NotImplementedError(f'{name}(): "{name}" not implemented for {input.dtype}: input must be {allowed}{hint}')


def _write(function: Function) -> Callable[..., Any]:
    """The function that the table's row describes."""
    namespace: dict[str, Any] = {"_method": METHODS[function.method], "_run": _RUNNERS[function.form]}
    exec(function.source, namespace)  # the source is our own template, see _signatures.py
    written: Callable[..., Any] = namespace[function.name]
    written.__module__ = __name__
    written.__doc__ = function.doc
    return written


_RUNNERS: dict[Form, Callable[..., Any]] = {"sliding": _sliding, "adaptive": _adaptive, "global": _global}
assert set(_RUNNERS) == set(FORMS)


def _max_unpool(
    rank: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    name = f"max_unpool{rank}d"
    if not isinstance(input, Tensor) or not isinstance(indices, Tensor):
        wrong = "indices" if isinstance(input, Tensor) else "input"
        value = indices if isinstance(input, Tensor) else input
        raise TypeError(f"{name}(): {wrong} must be a torch.Tensor, but got {type(value).__name__}")
    if input.dim() not in (rank + 1, rank + 2) or 0 in input.shape[-rank:]:
        _refuse_input(name, rank, input)
    if indices.dtype != torch.int64:
        raise ArgumentError(f"{name}(): elements in indices should be type int64 but got: {indices.dtype}")
    if indices.shape != input.shape:
        raise ArgumentError(
            f"{name}(): Expected shape of indices to be: {list(input.shape)} but got: {list(indices.shape)}"
        )
    if not input.is_floating_point() and input.dtype not in ops.KERNEL_DTYPES["max"]:
        raise NotImplementedError(f'{name}(): "{name}" not implemented for {input.dtype}')
    return ops.max_unpool(
        input,
        indices,
        geometry.unpooled_size(rank, input.shape[-rank:], kernel_size, stride, padding, output_size),
    )


_UNPOOL = """def max_unpool{rank}d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    return _max_unpool({rank}, input, indices, kernel_size, stride, padding, output_size)
"""

_UNPOOL_DOC = """Puts every value of `input` where max pooling took it from, zeros elsewhere.

Args:
    input: the pooled tensor, (N, C, *spatial) or (C, *spatial), of any dtype that max pooling takes.
    indices: int64, of the same shape, as :func:`max_pool{rank}d` returns them with ``return_indices=True``.
    kernel_size, stride, padding: of the pooling.
    output_size: the size before pooling, where several give the same result; the last dimensions of a shape.

Where an index occurs twice in a plane, the last in row-major order is kept and only it receives a gradient. An index
outside the plane raises an error and nothing is written.
"""

__all__ = []
for _function in functions():
    globals()[_function.name] = _write(_function)
    __all__ += [_function.name]
for _rank in RANKS:
    exec(_UNPOOL.format(rank=_rank), globals())
    globals()[f"max_unpool{_rank}d"].__doc__ = _UNPOOL_DOC.format(rank=_rank)
    __all__ += [f"max_unpool{_rank}d"]
del _function, _rank

# Written by hand in poolkit.layers, which needs the functions above.
for _layer in LAYERS.values():
    for _name in _layer.functions:
        globals()[_name] = getattr(importlib.import_module(f"poolkit.layers.{_layer.file}"), _name)
        __all__ += [_name]
del _layer, _name
