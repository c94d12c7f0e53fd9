"""Poolings among the calls of functions, as torch.overrides shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poolkit import geometry
from poolkit._signatures import arguments_of, functions
from poolkit.geometry import Windows
from poolkit.methods import METHODS
from poolkit.surgery.pooling import Pooling

_FUNCTIONS = {function.name: function for function in functions() if hasattr(torch.nn.functional, function.name)}
#: Reductions, and the methods that they are where they run over a whole map.
REDUCTIONS = {"mean": "avg", "sum": "sum", "amax": "max", "max": "max", "amin": "min"}
_OPERATORS = ("pool", "pool_winners", "filter", "max_filter", "pool_by_logits")


class Call(NamedTuple):
    """A call that pools."""

    pooling: Pooling
    kind: str  # "function", or the name of the reduction
    input: Tensor
    windows: Windows | None


def call_of(function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any]) -> Call | None:
    """The pooling that a call is; None if it is none."""
    if isinstance(function, torch._ops.OpOverload):
        return _operator(function, given) if function.namespace == "poolkit" else None
    name = getattr(function, "__name__", "")
    if name in REDUCTIONS:
        return _reduction(name, given, named)
    known = _FUNCTIONS.get(name.removesuffix("_with_indices"))
    if known is None:
        return None
    method = METHODS[known.method]
    names = ("input", *(argument.name for argument in arguments_of(method, known.form)))
    arguments = dict(zip(names, given, strict=False)) | dict(named)
    x = arguments.pop("input")
    pooling = Pooling(method=method.name, rank=known.rank, form=known.form, arguments=arguments)
    return Call(pooling, "function", x, pooling.windows(tuple(x.shape[-known.rank :])))


def _reduction(name: str, given: Sequence[Any], named: Mapping[str, Any]) -> Call | None:
    """A reduction over all spatial axes of maps, or over the tokens of sequences."""
    arguments = dict(zip(("input", "dim", "keepdim"), given, strict=False)) | dict(named)
    x, dim, keepdim = arguments.get("input"), arguments.get("dim"), bool(arguments.get("keepdim"))
    if (
        not isinstance(x, Tensor)
        or not isinstance(dim, int | tuple | list)
        or x.dim() not in (3, 4, 5)
        or not x.is_floating_point()
    ):
        return None
    axes = tuple(sorted(d % x.dim() for d in ((dim,) if isinstance(dim, int) else dim)))
    first = tuple(range(2, x.dim()))
    last = tuple(range(1, x.dim() - 1))
    # Over the last axis of three, what keeps its dimension normalises.
    if axes not in (first, last) or (x.dim() == 3 and axes == first and keepdim) or 0 in x.shape:
        return None
    pooling = Pooling(
        method=REDUCTIONS[name],
        rank=x.dim() - 2,
        form="global",
        channels_last=axes == last,
        flat=not keepdim,
    )
    return Call(pooling, name, x, pooling.windows(pooling.spatial(tuple(x.shape))))


def _operator(function: Any, given: Sequence[Any]) -> Call | None:
    """One of poolkit's operators: its windows are packed."""
    name = function.name().removeprefix("poolkit::")
    if name not in _OPERATORS:
        return None
    if name == "filter":
        x, packed = given[0], given[1]
        axes = tuple(geometry.Axis(size, out, k, s, 1, low, 0) for size, out, k, s, low, _ in _rows(packed, 6))
        return Call(Pooling(method="blur", rank=len(axes), form="layer"), "function", x, Windows(axes))
    if name == "max_filter":
        x, windows, packed = given[:3]
        axes = tuple(
            geometry.Axis(cells, out, filter_size + kernel - 1, stride, 1, low + before, 0)
            for cells, (_, out, filter_size, stride, low, _), (kernel, before) in zip(
                x.shape[-len(packed) // 6 :], _rows(packed, 6), _rows(windows, 2), strict=True
            )
        )
        return Call(Pooling(method="max_blur", rank=len(axes), form="layer"), "function", x, Windows(axes))
    by_logits = name == "pool_by_logits"
    method, packed = ("local_importance", given[2]) if by_logits else (given[1], given[2])
    windows = geometry.unpack(packed)
    return Call(_packed(method, windows), "function", given[0], windows)


def _rows(numbers: Sequence[int], length: int) -> list[Sequence[int]]:
    return [numbers[i : i + length] for i in range(0, len(numbers), length)]


def _packed(method: str, windows: Windows) -> Pooling:
    axes = windows.axes
    if all(axis.out == 1 and axis.kernel in (0, axis.size) for axis in axes):
        return Pooling(method=method, rank=windows.rank, form="global")
    if any(axis.kernel == 0 for axis in axes):
        arguments: dict[str, Any] = {"output_size": windows.output_size}
        return Pooling(method=method, rank=windows.rank, form="adaptive", arguments=arguments)
    pads = tuple((axis.pad_low, axis.pad_high) for axis in axes)
    arguments = {
        "kernel_size": tuple(axis.kernel for axis in axes),
        "stride": tuple(axis.stride for axis in axes),
        "padding": tuple(low for low, _ in pads) if all(low == high for low, high in pads) else pads,
        "dilation": tuple(axis.dilation for axis in axes),
    }
    return Pooling(method=method, rank=windows.rank, form="sliding", arguments=arguments)
