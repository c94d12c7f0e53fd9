"""Strip pooling: what every row and every column of a map says, and the blocks that weigh maps by it."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from poolkit import functional, geometry
from poolkit.errors import ArgumentError
from poolkit.layers import pieces
from poolkit.layers.base import Layer, check_map, memory_format
from poolkit.layers.convolution import BATCH_NORMS, CONVOLUTIONS, odd_sizes

_METHODS = {"mean": "avg", "max": "max", "min": "min"}


def _check_kind(kind: str) -> None:
    if kind not in tuple(_METHODS):
        raise ArgumentError(f"kind must be one of {', '.join(map(repr, _METHODS))}, but got {kind!r}")


def strips(rank: int, input: Tensor, kind: str) -> list[Tensor]:
    """For each axis the map pooled over all others, which keep one cell: (N, C, H, 1) and (N, C, 1, W)."""
    pool = getattr(functional, f"adaptive_{_METHODS[kind]}_pool{rank}d")
    return [pool(input, tuple(None if axis == kept else 1 for axis in range(rank))) for kept in range(rank)]


def _strip_pool(rank: int, input: Tensor, kind: str) -> Tensor:
    _check_kind(kind)
    check_map(f"strip_pool{rank}d", input, rank)
    if kind == "mean" and input.requires_grad and torch.is_grad_enabled() and pieces.is_plain(input):
        return cast(Tensor, _Means.apply(input, rank))
    return _strips(rank, input, kind)


def _strips(rank: int, input: Tensor, kind: str) -> Tensor:
    return torch.cat([strip.flatten(-rank) for strip in strips(rank, input, kind)], -1)


class _Means(torch.autograd.Function):
    """Keeps nothing, and writes the gradient once for all axes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rank: int) -> Tensor:
        ctx.size, ctx.format = x.shape[-rank:], memory_format(x, rank)
        return _strips(rank, x, "mean")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        size, cells = ctx.size, math.prod(ctx.size)
        shares = []
        for axis, grad in enumerate(grads[0].split(size, -1)):
            share = grad / (cells // size[axis])
            places = [1] * len(size)
            places[axis] = size[axis]
            share = share.unflatten(-1, places)
            shares.append(
                share if ctx.format is torch.contiguous_format else share.contiguous(memory_format=ctx.format)
            )
        *others, last = shares
        return sum(others[1:], others[0]) + last, None


_DOC = """The mean, maximum or minimum of every slice across each axis: of a plane its rows, then its columns.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    kind: 'mean', 'max' or 'min'.

Returns:
    (N, C, H + W) in 2-D: one number for each row, then one for each column; (N, C, D + H + W) in 3-D: one for each
    slice across depth, height and width. `.split((H, W), -1)` takes them apart. Maxima and minima give their gradient
    to one cell, the first of equals in row-major order; a NaN reaches the slices that it is in.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""


def strip_pool2d(input: Tensor, kind: str = "mean") -> Tensor:
    return _strip_pool(2, input, kind)


def strip_pool3d(input: Tensor, kind: str = "mean") -> Tensor:
    return _strip_pool(3, input, kind)


for _function in (strip_pool2d, strip_pool3d):
    _function.__doc__ = _DOC


class _StripPool(Layer):
    """Strip pooling, :func:`poolkit.functional.strip_pool2d` as a layer.

    Args:
        kind: 'mean', 'max' or 'min'.

    forward takes (N, C, *spatial) or (C, *spatial) and gives (N, C, H + W), in 3-D (N, C, D + H + W), or without N.
    """

    _shown = ("kind",)
    _rank: int

    def __init__(self, kind: str = "mean") -> None:
        super().__init__()
        _check_kind(kind)
        self.kind = kind

    def forward(self, input: Tensor) -> Tensor:
        return _strip_pool(self._rank, input, self.kind)


class _SPM(Layer):
    """The strip pooling module: weighs every cell by what the strips through it say.

    Args:
        in_channels: C, of the input and of the result.
        kernel_size: of the convolution along each strip, an odd number, one int or one an axis.

    forward takes (N, C, *spatial) or (C, *spatial) and gives the same shape. The means of the strips along each axis
    pass a convolution along it and batch normalisation, and are added cell by cell; ReLU, a 1x1 convolution and the
    sigmoid make the weights. The state of the 2-D module has the names of SPNet's SPBlock (conv1 and bn1 for the
    rows, conv2 and bn2 for the columns, conv3); its weights are multiplied with the input here.
    """

    _shown = ("in_channels", "kernel_size")
    _rank: int

    def __init__(
        self,
        in_channels: int,
        kernel_size: int | tuple[int, ...] = 3,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        rank = self._rank
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        self.kernel_size = odd_sizes("kernel_size", kernel_size, rank)
        convolution: Any = CONVOLUTIONS[rank]
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        for axis, size in enumerate(self.kernel_size):
            sizes = tuple(size if a == axis else 1 for a in range(rank))
            padding = tuple(s // 2 for s in sizes)
            along = convolution(in_channels, in_channels, sizes, padding=padding, bias=False, **factory)
            self.add_module(f"conv{axis + 1}", along)
            self.add_module(f"bn{axis + 1}", BATCH_NORMS[rank](in_channels, **factory))
        self.add_module(f"conv{rank + 1}", convolution(in_channels, in_channels, 1, **factory))

    def forward(self, input: Tensor) -> Tensor:
        rank = self._rank
        check_map(type(self).__name__, input, rank, self.in_channels)
        batched = input.dim() == rank + 2
        means = strips(rank, input if batched else input[None], "mean")  # batch normalisation needs the dimension
        total: Any = 0
        for axis, strip in enumerate(means, 1):
            total = total + self.get_submodule(f"bn{axis}")(self.get_submodule(f"conv{axis}")(strip))
        weights: Tensor = self.get_submodule(f"conv{rank + 1}")(total.relu()).sigmoid()
        return input * (weights if batched else weights[0])


class _CoordinateAttention(Layer):
    """Weighs every cell by its row and by its column.

    Args:
        in_channels: C, of the input and of the result.
        reduction: the network shared by all strips has C // reduction hidden channels, at least 8.

    forward takes (N, C, *spatial) or (C, *spatial) and gives the same shape. The means of the strips along all axes,
    end to end, pass a 1x1 convolution, batch normalisation and hard swish together; then a 1x1 convolution for each
    axis and the sigmoid make the weights of its slices. The state has the names of the authors' CoordAtt (conv1, bn1,
    conv_h, conv_w; in 3-D conv_d, too).
    """

    _shown = ("in_channels", "reduction")
    _rank: int

    def __init__(
        self,
        in_channels: int,
        reduction: int = 32,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        rank = self._rank
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        self.reduction = geometry.integer("reduction", reduction, positive=True)
        hidden = max(in_channels // reduction, 8)
        convolution = CONVOLUTIONS[rank]
        self.conv1 = convolution(in_channels, hidden, 1, device=device, dtype=dtype)
        self.bn1 = BATCH_NORMS[rank](hidden, device=device, dtype=dtype)
        for axis in "dhw"[-rank:]:
            self.add_module(f"conv_{axis}", convolution(hidden, in_channels, 1, device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        rank = self._rank
        check_map(type(self).__name__, input, rank, self.in_channels)
        batched = input.dim() == rank + 2
        y = input if batched else input[None]  # batch normalisation needs the dimension
        sizes = y.shape[-rank:]
        means = _strip_pool(rank, y, "mean")[(..., *(None,) * (rank - 1))]  # as convolutions of this rank want them
        hidden = F.hardswish(self.bn1(self.conv1(means)))
        for number, (axis, part) in enumerate(zip("dhw"[-rank:], hidden.split(sizes, 2), strict=True)):
            weights: Tensor = self.get_submodule(f"conv_{axis}")(part).sigmoid()
            y = y * weights.movedim(2, 2 + number)
        return y if batched else y[0]


class StripPool2d(_StripPool):
    __doc__ = _StripPool.__doc__
    _rank = 2


class StripPool3d(_StripPool):
    __doc__ = _StripPool.__doc__
    _rank = 3


class SPM2d(_SPM):
    __doc__ = _SPM.__doc__
    _rank = 2


class SPM3d(_SPM):
    __doc__ = _SPM.__doc__
    _rank = 3


class CoordinateAttention2d(_CoordinateAttention):
    __doc__ = _CoordinateAttention.__doc__
    _rank = 2


class CoordinateAttention3d(_CoordinateAttention):
    __doc__ = _CoordinateAttention.__doc__
    _rank = 3
