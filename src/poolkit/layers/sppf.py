"""SPPF: a chain of max poolings at full resolution, and YOLO's block around it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from poolkit import functional, geometry
from poolkit.layers.base import Layer, check_map
from poolkit.layers.convolution import BATCH_NORMS, CONVOLUTIONS, odd_sizes


def _chain(rank: int, input: Tensor, kernel_size: int | tuple[int, ...], repeats: int) -> Tensor:
    sizes = odd_sizes("kernel_size", kernel_size, rank)
    geometry.integer("repeats", repeats, positive=True)
    check_map(f"sppf_pool{rank}d", input, rank)
    pool = getattr(functional, f"max_pool{rank}d")
    maps = [input]
    for _ in range(repeats):
        maps.append(pool(maps[-1], sizes, 1, tuple(size // 2 for size in sizes)))
    return torch.cat(maps, -rank - 1)


_DOC = """The input and the results of max pooling it once, twice, ... at stride 1, along the channels.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    kernel_size: of each pooling, an odd number, one int or one an axis.
    repeats: how many poolings follow each other.

Returns:
    (N, (repeats + 1) * C, *spatial), or without N. The values are those of windows of 5, 9 and 13 cells with the
    defaults, and of 1 + i * (kernel_size - 1) cells in general. Of equal cells the chain may give the gradient to
    another one than the large window would.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""


def sppf_pool1d(input: Tensor, kernel_size: int | tuple[int, ...] = 5, repeats: int = 3) -> Tensor:
    return _chain(1, input, kernel_size, repeats)


def sppf_pool2d(input: Tensor, kernel_size: int | tuple[int, ...] = 5, repeats: int = 3) -> Tensor:
    return _chain(2, input, kernel_size, repeats)


def sppf_pool3d(input: Tensor, kernel_size: int | tuple[int, ...] = 5, repeats: int = 3) -> Tensor:
    return _chain(3, input, kernel_size, repeats)


for _function in (sppf_pool1d, sppf_pool2d, sppf_pool3d):
    _function.__doc__ = _DOC


class _ConvNormAct(torch.nn.Module):
    """A 1x1 convolution, batch normalisation with YOLO's constants, SiLU."""

    def __init__(self, rank: int, in_channels: int, out_channels: int, **factory: Any) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[rank](in_channels, out_channels, 1, bias=False, **factory)
        self.bn = BATCH_NORMS[rank](out_channels, eps=1e-3, momentum=0.03, **factory)
        self.act = torch.nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class _SPPF(Layer):
    """YOLO's block: half the channels, a chain of max poolings, all of it mixed.

    Args:
        in_channels: of the input.
        out_channels: of the result.
        kernel_size: of each pooling, an odd number, one int or one an axis.
        repeats: how many poolings follow each other.

    forward takes (N, in_channels, *spatial), or without N, and gives (N, out_channels, *spatial). Both 1x1
    convolutions are followed by batch normalisation (eps 1e-3, momentum 0.03) and SiLU; the first gives
    in_channels // 2, at least one. The state has the names of ultralytics' SPPF.
    """

    _shown = ("in_channels", "out_channels", "kernel_size", "repeats")
    _rank: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...] = 5,
        repeats: int = 3,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        self.out_channels = geometry.integer("out_channels", out_channels, positive=True)
        self.kernel_size = odd_sizes("kernel_size", kernel_size, self._rank)
        self.repeats = geometry.integer("repeats", repeats, positive=True)
        hidden = max(in_channels // 2, 1)
        self.cv1 = _ConvNormAct(self._rank, in_channels, hidden, device=device, dtype=dtype)
        self.cv2 = _ConvNormAct(self._rank, hidden * (repeats + 1), out_channels, device=device, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        check_map(type(self).__name__, input, self._rank, self.in_channels)
        batched = input.dim() == self._rank + 2
        x = input if batched else input[None]  # batch normalisation needs the dimension
        y: Tensor = self.cv2(_chain(self._rank, self.cv1(x), self.kernel_size, self.repeats))
        return y if batched else y[0]


class SPPF1d(_SPPF):
    __doc__ = _SPPF.__doc__
    _rank = 1


class SPPF2d(_SPPF):
    __doc__ = _SPPF.__doc__
    _rank = 2


class SPPF3d(_SPPF):
    __doc__ = _SPPF.__doc__
    _rank = 3
