"""Spatial pyramid pooling: grids of bins, one result of a fixed length for maps of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from poolkit import functional, geometry, methods
from poolkit._signatures import completed
from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer, check_map

Levels = Sequence[int | tuple[int, ...]]


def checked_levels(name: str, levels: Levels, rank: int) -> tuple[tuple[int, ...], ...]:
    """How many bins each level has along each axis."""
    if not isinstance(levels, Sequence) or isinstance(levels, str | bytes):
        raise TypeError(f"{name} must be a sequence of ints or tuples, but got {levels!r}")
    if not levels:
        raise ArgumentError(f"{name} must name at least one number of bins, but got {levels!r}")
    return tuple(geometry.per_axis(name, level, rank) for level in levels)


def _check_method(name: str, method: str, arguments: Mapping[str, Any]) -> None:
    row = methods.get(method)
    for argument in ("output_size", "return_indices"):
        if argument in arguments:
            raise TypeError(f"{name}(): {argument} is no argument of a pyramid")
    every = completed(f"{name}(method={method!r})", row, "adaptive", {**arguments, "output_size": 1})
    row.plan(False, *(every.get(p.name, p.default) for p in row.params))


def _pyramid(rank: int, input: Tensor, levels: Levels, method: str, arguments: Mapping[str, Any]) -> Tensor:
    name = f"spatial_pyramid_pool{rank}d"
    sizes = checked_levels("levels", levels, rank)
    _check_method(name, method, arguments)
    check_map(name, input, rank)
    pool = getattr(functional, f"adaptive_{method}_pool{rank}d")
    return torch.cat([pool(input, output_size=size, **arguments).flatten(-rank - 1) for size in sizes], -1)


_DOC = """The bins of a grid at every level, side by side: a vector whose length does not depend on the map's size.

Args:
    input: (N, C, *spatial) or (C, *spatial), of any size, also smaller than a level.
    levels: how many bins each level has, one int or one an axis.
    method: the pooling of a bin, a name of :data:`poolkit.METHODS`.
    **arguments: what that method's adaptive function takes besides, such as norm_type.

Returns:
    (N, C * bins), or (C * bins,) without a batch, where bins counts those of all levels; level by level, and in each
    (C, *bins) flattened. Twice as many with method 'avg_max' and mode 'cat'.

Bin i of n covers the cells from floor(i * L / n) to ceil((i + 1) * L / n), as in adaptive pooling: every cell is in a
bin, and there are always n.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""


def spatial_pyramid_pool1d(input: Tensor, levels: Levels = (1, 2, 4), method: str = "max", **arguments: Any) -> Tensor:
    return _pyramid(1, input, levels, method, arguments)


def spatial_pyramid_pool2d(input: Tensor, levels: Levels = (1, 2, 4), method: str = "max", **arguments: Any) -> Tensor:
    return _pyramid(2, input, levels, method, arguments)


def spatial_pyramid_pool3d(input: Tensor, levels: Levels = (1, 2, 4), method: str = "max", **arguments: Any) -> Tensor:
    return _pyramid(3, input, levels, method, arguments)


for _function in (spatial_pyramid_pool1d, spatial_pyramid_pool2d, spatial_pyramid_pool3d):
    _function.__doc__ = _DOC


class _SpatialPyramidPool(Layer):
    """A spatial pyramid, :func:`poolkit.functional.spatial_pyramid_pool2d` as a layer.

    Args:
        levels: how many bins each level has, one int or one an axis.
        method: the pooling of a bin, a name of :data:`poolkit.METHODS`.
        **arguments: what that method's adaptive function takes besides, such as norm_type.

    forward takes (N, C, *spatial) or (C, *spatial) of any size and gives (N, C * bins) or (C * bins,).
    """

    _rank: int

    def __init__(self, levels: Levels = (1, 2, 4), method: str = "max", **arguments: Any) -> None:
        super().__init__()
        checked_levels("levels", levels, self._rank)
        _check_method(type(self).__name__, method, arguments)
        self.levels, self.method, self.arguments = tuple(levels), method, arguments

    def extra_repr(self) -> str:
        return ", ".join(
            [f"levels={self.levels}", repr(self.method), *(f"{k}={v!r}" for k, v in self.arguments.items())]
        )

    def forward(self, input: Tensor) -> Tensor:
        return _pyramid(self._rank, input, self.levels, self.method, self.arguments)


class SpatialPyramidPool1d(_SpatialPyramidPool):
    __doc__ = _SpatialPyramidPool.__doc__
    _rank = 1


class SpatialPyramidPool2d(_SpatialPyramidPool):
    __doc__ = _SpatialPyramidPool.__doc__
    _rank = 2


class SpatialPyramidPool3d(_SpatialPyramidPool):
    __doc__ = _SpatialPyramidPool.__doc__
    _rank = 3
