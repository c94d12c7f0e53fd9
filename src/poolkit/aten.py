"""Pooling by operations of torch's own, for exporters that know no others.

Maxima and averages become torch's pooling where that gives the same numbers, which every exporter knows; everything
else becomes its formula on gathered windows. Sizes may be symbolic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from poolkit import reference
from poolkit.errors import ArgumentError
from poolkit.geometry import Axis, Windows
from poolkit.methods import COUNT_FIXED, COUNT_PADDED, KERNELS, Step

_MAX_POOL: list[Callable[..., Any]] = [functional.max_pool1d, functional.max_pool2d, functional.max_pool3d]
_AVG_POOL: list[Callable[..., Any]] = [functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d]


def pool(x: Tensor, windows: Windows, step: Step) -> Tensor:
    """One step of a method on x by operations of torch's own; sizes may be symbolic.

    Raises:
        ArgumentError: the step draws random numbers, or adaptive windows meet a symbolic size.
    """
    kernel, floats = step.kernel, step.floats
    if KERNELS[kernel].draws:
        raise ArgumentError(f"{kernel}: a method that draws cannot be exported; export it in evaluation, after .eval()")
    if any(_is_adaptive(axis) and isinstance(axis.size, torch.SymInt) for axis in windows.axes):
        raise ArgumentError(f"{kernel}: adaptive windows need an input of fixed size unless output_size is 1")
    if kernel in _COMPOSED and _has_pooling(x, windows, kernel):
        wide = x if kernel in _SELECTING and x.dtype != torch.bfloat16 else reference.widened(x)
        return _COMPOSED[kernel](wide, windows, step, *floats).to(x.dtype)
    return reference.pool(x, windows, step)


def _has_pooling(x: Tensor, windows: Windows, kernel: str) -> bool:
    """Whether torch's pooling, and ONNX's behind it, takes these windows and cells."""
    if not x.is_floating_point() or any(axis.kernel == 0 for axis in windows.axes):
        return False
    if kernel in _SELECTING:
        return True
    # ONNX Runtime averages no doubles, torch at no dilation.
    return x.dtype != torch.float64 and all(axis.dilation == 1 for axis in windows.axes)


def _is_adaptive(axis: Axis) -> bool:
    """Whether there are several windows whose size depends on the input's."""
    return axis.out != 1 and (isinstance(axis.kernel, torch.SymInt) or axis.kernel == 0)


def _is_whole(windows: Windows) -> bool:
    return all(axis.out == 1 and axis.side_by_side for axis in windows.axes)


def _spatial(windows: Windows) -> list[int]:
    return list(range(-windows.rank, 0))


def _surely(condition: bool | torch.SymBool) -> bool:
    """Whether it is true of every size."""
    if not isinstance(condition, torch.SymBool):  # a number, or a tensor where torch.jit.trace is at work
        return bool(condition)
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # takes long to import

    return statically_known_true(condition)


def _overhang(axis: Axis) -> int | None:
    """The cells between the input's end and that of the last window, if that ends behind the padding, as it may in
    ceil mode."""
    end = axis.dilation * (axis.kernel - 1) + 1
    if _surely(axis.out == (axis.size + axis.pad_low + axis.pad_high - end) // axis.stride + 1):
        return None
    beyond = (axis.out - 1) * axis.stride + end - axis.size - axis.pad_low
    return cast(int, torch.sym_max(beyond, 0))


def _padded(x: Tensor, windows: Windows, value: float) -> tuple[Tensor, list[int]]:
    """The map with the padding that torch's pooling does not know, and the padding that it does."""
    overhangs = [_overhang(axis) for axis in windows.axes]
    even = (_surely(a.pad_low == a.pad_high) and _surely(a.pad_low <= a.kernel // 2) for a in windows.axes)
    if all(overhang is None for overhang in overhangs) and all(even):
        return x, [axis.pad_low for axis in windows.axes]
    sides = []
    for axis, overhang in zip(reversed(windows.axes), reversed(overhangs), strict=True):
        sides += [axis.pad_low, axis.pad_high if overhang is None else overhang]
    return functional.pad(x, sides, value=value), [0] * windows.rank


def _largest(x: Tensor, windows: Windows) -> Tensor:
    if _is_whole(windows):
        return x.amax(_spatial(windows), keepdim=True)
    padded, padding = _padded(x, windows, -math.inf)
    kernel, stride, dilation = zip(*((a.kernel, a.stride, a.dilation) for a in windows.axes), strict=True)
    return cast(Tensor, _MAX_POOL[windows.rank - 1](padded, kernel, stride, padding, dilation))


def _smallest(x: Tensor, windows: Windows) -> Tensor:
    return -_largest(-x, windows)


def _mean(x: Tensor, windows: Windows) -> Tensor:
    """The sum of each window over the size of its kernel."""
    if _is_whole(windows):
        return x.mean(_spatial(windows), keepdim=True)
    padded, padding = _padded(x, windows, 0)
    kernel, stride = zip(*((axis.kernel, axis.stride) for axis in windows.axes), strict=True)
    return cast(Tensor, _AVG_POOL[windows.rank - 1](padded, kernel, stride, padding))


def _total(x: Tensor, windows: Windows) -> Tensor:
    return _mean(x, windows) * math.prod(axis.kernel for axis in windows.axes)


def _average(x: Tensor, windows: Windows, step: Step) -> Tensor:
    if step.counting == COUNT_FIXED:
        # Exporters are known to drop a divisor that torch is given.
        return _mean(x, windows) * (math.prod(axis.kernel for axis in windows.axes) / step.divisor)
    y = _mean(x, windows)
    for dim, axis in zip(_spatial(windows), windows.axes, strict=True):
        counts_padding = step.counting == COUNT_PADDED
        if _overhang(axis) is None and (counts_padding or _surely(axis.pad_low + axis.pad_high == 0)):
            continue
        tap: Any = axis.tap(torch.arange(axis.out, device=x.device))
        share = axis.kernel / (tap.padded if counts_padding else tap.cells).to(x.dtype)
        y = y * share.view(-1, *(1,) * (-dim - 1))
    return y


#: What is composed of maxima and averages, from the map, its windows, the step and its floats.
_COMPOSED: dict[str, Callable[..., Tensor]] = {
    "max": lambda x, windows, step: _largest(x, windows),
    "min": lambda x, windows, step: _smallest(x, windows),
    "range": lambda x, windows, step: _largest(x, windows) - _smallest(x, windows),
    "sum": lambda x, windows, step: _total(x, windows),
    "avg": _average,
    "avg_max": lambda x, windows, step, a, b: a * _average(x, windows, step) + b * _largest(x, windows),
}
_SELECTING = ("max", "min")
