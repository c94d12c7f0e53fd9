"""Blocks that weigh a map by what pooling says of it: squeeze-and-excitation, CBAM."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from poolkit import functional, geometry
from poolkit.layers.base import Layer, check_map
from poolkit.layers.channel import channel_pool
from poolkit.layers.convolution import CONVOLUTIONS, odd_sizes


def _global(method: str, x: Tensor, rank: int) -> Tensor:
    pooled: Tensor = getattr(functional, f"global_{method}_pool{rank}d")(x)
    return pooled


class _Bottleneck(Layer):
    """Two 1x1 convolutions with a ReLU between, on one cell of C channels: reduce, expand."""

    _shown: tuple[str, ...] = ("in_channels", "reduction")
    _rank: int

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        self.reduction = geometry.integer("reduction", reduction, positive=True)
        hidden = max(in_channels // reduction, 1)
        convolution = CONVOLUTIONS[self._rank]
        self.fc1 = convolution(in_channels, hidden, 1, device=device, dtype=dtype)
        self.fc2 = convolution(hidden, in_channels, 1, device=device, dtype=dtype)

    def _excite(self, pooled: Tensor) -> Tensor:
        return self.fc2(self.fc1(pooled).relu())


class _SqueezeExcitation(_Bottleneck):
    """Weighs every channel by a small network of all channels' means.

    Args:
        in_channels: C, of the input and of the result.
        reduction: the network has C // reduction hidden units, at least one.

    forward takes (N, C, *spatial) or (C, *spatial) and gives the same shape.
    """

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.in_channels)
        return input * self._excite(_global("avg", input, self._rank)).sigmoid()


class _CBAM(_Bottleneck):
    """Weighs every channel by the plane's mean and maximum, then every cell by the channels' mean and maximum.

    Args:
        in_channels: C, of the input and of the result.
        reduction: the network shared by mean and maximum has C // reduction hidden units, at least one.
        kernel_size: of the convolution over the cells, an odd number, one int or one an axis.

    forward takes (N, C, *spatial) or (C, *spatial) and gives the same shape.
    """

    _shown = ("in_channels", "reduction", "kernel_size")

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        kernel_size: int | tuple[int, ...] = 7,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, reduction, device, dtype)
        self.kernel_size = odd_sizes("kernel_size", kernel_size, self._rank)
        padding: Any = tuple(size // 2 for size in self.kernel_size)
        convolution: Any = CONVOLUTIONS[self._rank]
        self.cells = convolution(2, 1, self.kernel_size, padding=padding, bias=False, device=device, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        rank = self._rank
        check_map(type(self).__name__, input, rank, self.in_channels)
        channels = self._excite(_global("avg", input, rank)) + self._excite(_global("max", input, rank))
        x = input * channels.sigmoid()
        weights: Tensor = self.cells(channel_pool(x, ("mean", "max"), dim=-rank - 1))
        return x * weights.sigmoid()


class SqueezeExcitation1d(_SqueezeExcitation):
    __doc__ = _SqueezeExcitation.__doc__
    _rank = 1


class SqueezeExcitation2d(_SqueezeExcitation):
    __doc__ = _SqueezeExcitation.__doc__
    _rank = 2


class SqueezeExcitation3d(_SqueezeExcitation):
    __doc__ = _SqueezeExcitation.__doc__
    _rank = 3


class CBAM1d(_CBAM):
    __doc__ = _CBAM.__doc__
    _rank = 1


class CBAM2d(_CBAM):
    __doc__ = _CBAM.__doc__
    _rank = 2


class CBAM3d(_CBAM):
    __doc__ = _CBAM.__doc__
    _rank = 3
