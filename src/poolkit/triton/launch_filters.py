"""Runs the kernel of filters.py: the operator of separable filters, with the same arguments, for maps of a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from poolkit.layout import format_of
from poolkit.triton import DTYPES, device
from poolkit.triton import filters as _filters

_INTS = 6  # of an axis: in, out, taps, stride, low, beyond


class Axis(NamedTuple):
    """A filter along one axis, as the operator has it."""

    size: int
    out: int
    taps: int
    stride: int
    low: int
    beyond: int

    @property
    def high(self) -> int:
        """How many positions behind the axis the filter reads."""
        return max((self.out - 1) * self.stride - self.low + self.taps - self.size, 0)

    def is_good(self) -> bool:
        good = all(1 <= n < 2**31 for n in self[:4]) and 0 <= self.low < 2**31 and 0 <= self.beyond <= 3
        return good and (self.beyond != _filters.REFLECT.value or max(self.low, self.high) < self.size)

    def images(self) -> tuple[int, int]:
        """How many images of a cell the filter may read before and behind the axis."""
        sides = (self.low, self.high)
        if self.beyond == _filters.ZEROS.value:
            return 0, 0
        if self.beyond == _filters.REPLICATE.value:
            return sides
        low, high = (-(-side // self.size) for side in sides)
        return low, high

    def parts(self, adjoint: bool) -> int:
        """How many parts a result may have along this axis."""
        return (1 + sum(self.images())) * ((self.taps - 1) // self.stride + 1) if adjoint else self.taps


def filter(x: Tensor, axes: Sequence[int], weights: Sequence[float], adjoint: bool, channels_last: bool) -> Tensor:
    if x.dtype not in DTYPES["filter"]:
        raise RuntimeError(f"poolkit: filters take floating point maps, but got {x.dtype}")
    given = [Axis(*axes[i : i + _INTS]) for i in range(0, len(axes) // _INTS * _INTS, _INTS)]
    rank = len(given)
    fits = 1 <= rank <= 3 and len(axes) == rank * _INTS and x.dim() - rank in (1, 2)
    fits = fits and (not channels_last or (rank > 1 and x.dim() == rank + 2))
    if not fits or not all(axis.is_good() for axis in given):
        raise RuntimeError("poolkit: malformed filter")
    if sum(axis.taps for axis in given) != len(weights):
        raise RuntimeError("poolkit: a filter needs a weight for each tap")
    leading, spatial = x.shape[:-rank], tuple(x.shape[-rank:])
    if spatial != tuple(axis.out if adjoint else axis.size for axis in given):
        raise RuntimeError("poolkit: the filter does not fit the tensor")
    sizes = (*leading, *(axis.size if adjoint else axis.out for axis in given))
    memory_format = format_of(channels_last, rank)
    y = torch.empty(sizes, dtype=x.dtype, device=x.device, memory_format=memory_format)
    total = y.numel()
    if total == 0:
        return y
    padded = [Axis(1, 1, 1, 1, 0, _filters.ZEROS.value)] * (3 - rank) + given
    block = device.block_of(y, total)
    with device.on(x):
        _filters.filter[(triton.cdiv(total, block),)](
            x.contiguous(memory_format=memory_format),
            y,
            total,
            leading[1] if channels_last else 1,
            (*(1,) * (3 - rank), *spatial),
            (*(1,) * (3 - rank), *sizes[-rank:]),
            tuple(axis.size for axis in padded),
            tuple(axis.low for axis in padded),
            tuple(axis.images()[0] for axis in padded),
            tuple(axis.parts(adjoint) for axis in padded),
            WEIGHTS=(*(1.0,) * (3 - rank), *weights),
            TAPS=tuple(axis.taps for axis in padded),
            STRIDE=tuple(axis.stride for axis in padded),
            BEYOND=tuple(axis.beyond for axis in padded),
            ADJOINT=adjoint,
            ACC=device.accumulator(x.dtype),
            WIDE=max(total, x.numel()) > device.LARGEST,
            BLOCK=block,
            num_warps=device.WARPS,
        )
    return y
