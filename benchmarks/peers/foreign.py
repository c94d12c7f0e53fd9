"""What the adapters of libraries with arrays of their own share.

Tensors cross without a copy. A contiguous tensor is shown to a library that puts channels last as planes of one
channel each, which is the same memory.
"""

from __future__ import annotations

import functools
import importlib.metadata
import math
from collections.abc import Callable
from typing import Any

import torch
from layers import LAYOUTS, Case, Layer
from torch import Tensor

from peers.peer import Function, Peer
from poolkit import geometry
from poolkit.geometry import Axis, Windows

ABSENT = "not installed"

Pull = Callable[[Tensor], Tensor]
"""The gradient of the input, from that of the output."""


class NotOffered(RuntimeError):
    """The library has nothing that does the same; the message says what it lacks."""


def library(
    name: str, package: str, build: Callable[[Case], Function], layouts: tuple[str, ...] = LAYOUTS, trains: bool = False
) -> Peer:
    """The peer of a package that may be absent. What the library refuses is raised by the function it gives."""

    def version() -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return ABSENT

    def function(case: Case) -> Function | None:
        if version() == ABSENT:
            return None
        try:
            return functools.partial(reporting, build(case))
        except Exception as error:  # of whatever kind the library raises
            return functools.partial(refuse, f"{type(error).__name__}: {error}")

    return Peer(name, function, version, layouts, trains)


def reporting(function: Function, x: Tensor) -> Tensor:
    try:
        return function(x)
    except RuntimeError:
        raise
    except Exception as error:  # of whatever kind the library raises
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def refuse(reason: str, x: Tensor) -> Tensor:
    raise NotOffered(reason)


def windows_of(layer: Layer) -> Windows:
    size = layer.shape[2:]
    if layer.form == "windowed":
        return geometry.sliding(layer.rank, size, **layer.geometry)
    return geometry.adaptive(layer.rank, size, layer.geometry.get("output_size", 1))


def axes_of(case: Case) -> tuple[Axis, ...]:
    """The windows along each axis, where all windows of an axis are alike."""
    axes = windows_of(case.layer).axes
    if any(axis.kernel == 0 for axis in axes):
        raise NotOffered("no windows of different sizes")
    return axes


def pad_high(axis: Axis) -> int:
    """The padding at the end that the windows reach, a ceil-mode overhang with it: nothing is left to round."""
    return max((axis.out - 1) * axis.stride + axis.dilation * (axis.kernel - 1) + 1 - axis.size - axis.pad_low, 0)


def undilated(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    if any(axis.dilation > 1 for axis in axes):
        raise NotOffered("no dilation")
    return axes


def counts_padding(case: Case, axes: tuple[Axis, ...]) -> bool:
    """Whether a mean divides by all cells of its window; if not, by those inside the input."""
    if not any(axis.pad_low or pad_high(axis) for axis in axes):
        return True
    if not case.params.get("count_include_pad", True):
        return False
    if all(pad_high(axis) <= axis.pad_high for axis in axes):
        return True
    if any(axis.pad_low or axis.pad_high for axis in axes):
        raise NotOffered("no mean that counts the padding, but not a ceil-mode overhang")
    return False


def lowest(case: Case) -> float:
    """What no value of a maximum is below."""
    return -math.inf if case.trains else torch.iinfo(getattr(torch, case.dtype)).min


def only(case: Case, *methods: str) -> None:
    if case.method not in methods:
        raise NotOffered(f"only {' and '.join(methods)}")


def every_position(axes: tuple[Axis, ...]) -> tuple[slice, ...]:
    """What pooling keeps of a filter that gives a result for every cell, its window starting `pad_low` before it."""
    undilated(axes)
    if any((axis.out - 1) * axis.stride >= axis.size for axis in axes):
        raise NotOffered("no window that starts beyond the last cell")
    return tuple(slice(0, (axis.out - 1) * axis.stride + 1, axis.stride) for axis in axes)


def is_channels_last(x: Tensor) -> bool:
    return not x.is_contiguous()


def stored(x: Tensor, channels_last: bool) -> Tensor:
    """The same memory as a contiguous (outer, *spatial, channels)."""
    if channels_last:
        return x.detach().movedim(1, -1).contiguous()
    return x.detach().reshape(-1, *x.shape[2:], 1)


def restored(y: Tensor, x: Tensor, channels_last: bool) -> Tensor:
    """The other way: a result of stored(x) in the shape of (N, C, *spatial)."""
    if channels_last:
        return y.movedim(-1, 1)
    return y.reshape(*x.shape[:2], *y.shape[1:-1])


def through(forward: Function, record: Callable[[Tensor], tuple[Tensor, Pull]] | None = None) -> Function:
    """A function of tensors from functions of stored ones; `record` gives what autograd needs."""

    def function(x: Tensor) -> Tensor:
        if x.requires_grad:
            return Recorded.apply(x, record)
        channels_last = is_channels_last(x)
        return restored(forward(stored(x, channels_last)), x, channels_last)

    return function


class Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, record: Callable[[Tensor], tuple[Tensor, Pull]]) -> Tensor:
        ctx.channels_last = is_channels_last(x)
        ctx.x = x.detach()
        y, ctx.pull = record(stored(x, ctx.channels_last))
        return restored(y, x, ctx.channels_last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        gradient = reporting(ctx.pull, stored(grads[0], ctx.channels_last))
        return restored(gradient, ctx.x, ctx.channels_last), None
