"""Blocks that tell every cell about the scene: the pyramid pooling module, and the mean of the whole image."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from poolkit import functional, geometry
from poolkit.layers.base import Layer, check_map, memory_format
from poolkit.layers.convolution import BATCH_NORMS, CONVOLUTIONS
from poolkit.layers.pyramid import Levels, checked_levels

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _mixing(rank: int, in_channels: int, out_channels: int, **factory: Any) -> OrderedDict[str, torch.nn.Module]:
    """A 1x1 convolution, batch normalisation and ReLU, numbered behind the pooling that others have among them."""
    return OrderedDict(
        [
            ("1", CONVOLUTIONS[rank](in_channels, out_channels, 1, bias=False, **factory)),
            ("2", BATCH_NORMS[rank](out_channels, **factory)),
            ("3", torch.nn.ReLU()),
        ]
    )


class _PyramidPooling(Layer):
    """The pyramid pooling module: the map, and its means in grids of several sizes, mixed and as large as the map.

    Args:
        in_channels: C, of the input.
        bins: how many bins each grid has, one int or one an axis.
        out_channels: what the 1x1 convolution of each grid gives; by default C divided by the number of grids, at
            least 1.
        align_corners: whether the middles of the outermost bins lie on those of the outermost cells of the map when
            a grid is interpolated, as torch.nn.functional.interpolate has it.

    forward takes (N, C, *spatial) or (C, *spatial), of any size, and gives (N, C + grids * out_channels, *spatial): the
    input's channels first. Every grid passes a 1x1 convolution, batch normalisation and ReLU, and is interpolated
    linearly. In training a grid of one bin needs more than one sample. The state has the names of the authors' PPM
    (features.0.1, features.0.2, ...).
    """

    _shown = ("in_channels", "bins", "out_channels", "align_corners")
    _rank: int

    def __init__(
        self,
        in_channels: int,
        bins: Levels = (1, 2, 3, 6),
        out_channels: int | None = None,
        align_corners: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        rank = self._rank
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        self._sizes = checked_levels("bins", bins, rank)
        self.bins = tuple(bins)
        if out_channels is None:
            out_channels = max(in_channels // len(self.bins), 1)
        self.out_channels = geometry.integer("out_channels", out_channels, positive=True)
        if not isinstance(align_corners, bool):
            raise TypeError(f"align_corners must be a bool, but got {align_corners!r} ({type(align_corners).__name__})")
        self.align_corners = align_corners
        self.features = torch.nn.ModuleList(
            torch.nn.Sequential(_mixing(rank, in_channels, out_channels, device=device, dtype=dtype)) for _ in self.bins
        )

    def forward(self, input: Tensor) -> Tensor:
        rank = self._rank
        check_map(type(self).__name__, input, rank, self.in_channels)
        batched = input.dim() == rank + 2
        x = input if batched else input[None]  # batch normalisation needs the dimension
        pool = getattr(functional, f"adaptive_avg_pool{rank}d")
        grids = (mix(pool(x, sizes)) for mix, sizes in zip(self.features, self._sizes, strict=True))
        large: dict[str, Any] = {"size": x.shape[-rank:], "mode": _LINEAR[rank], "align_corners": self.align_corners}
        maps = (F.interpolate(grid, **large).contiguous(memory_format=memory_format(x, rank)) for grid in grids)
        y = torch.cat((x, *maps), 1)
        return y if batched else y[0]


class _ImagePooling(Layer, torch.nn.Sequential):
    """The mean of the map, mixed by a 1x1 convolution, batch normalisation and ReLU, in every cell.

    Args:
        in_channels: C, of the input.
        out_channels: of the result.

    forward takes (N, C, *spatial) or (C, *spatial) and gives (N, out_channels, *spatial), a view of one cell that
    takes no memory of the map's size. In training it needs more than one sample. The state has the names of
    torchvision's ASPPPooling (1, 2).
    """

    _shown = ("in_channels", "out_channels")
    _rank: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        geometry.integer("in_channels", in_channels, positive=True)
        geometry.integer("out_channels", out_channels, positive=True)
        super().__init__(_mixing(self._rank, in_channels, out_channels, device=device, dtype=dtype))
        self.in_channels, self.out_channels = in_channels, out_channels

    def forward(self, input: Tensor) -> Tensor:
        rank = self._rank
        check_map(type(self).__name__, input, rank, self.in_channels)
        batched = input.dim() == rank + 2
        pool = getattr(functional, f"global_avg_pool{rank}d")
        mixed = super().forward(pool(input if batched else input[None]))  # batch normalisation needs the dimension
        y: Tensor = mixed.expand(-1, -1, *input.shape[-rank:])
        return y if batched else y[0]


class PyramidPooling1d(_PyramidPooling):
    __doc__ = _PyramidPooling.__doc__
    _rank = 1


class PyramidPooling2d(_PyramidPooling):
    __doc__ = _PyramidPooling.__doc__
    _rank = 2


class PyramidPooling3d(_PyramidPooling):
    __doc__ = _PyramidPooling.__doc__
    _rank = 3


class ImagePooling1d(_ImagePooling):
    __doc__ = _ImagePooling.__doc__
    _rank = 1


class ImagePooling2d(_ImagePooling):
    __doc__ = _ImagePooling.__doc__
    _rank = 2


class ImagePooling3d(_ImagePooling):
    __doc__ = _ImagePooling.__doc__
    _rank = 3
