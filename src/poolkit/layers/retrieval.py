"""Global descriptors of maps for image retrieval: SPoC and R-MAC."""

from __future__ import annotations

import math
import operator
from typing import cast

import torch
from torch import Tensor

from poolkit import functional, geometry
from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer, check_eps, check_map, unrounded, wide
from poolkit.methods.method import is_finite

_TOTAL = {1: functional.global_sum_pool1d, 2: functional.global_sum_pool2d, 3: functional.global_sum_pool3d}


def _check_sigma(sigma: float | None) -> None:
    if sigma is not None and (isinstance(sigma, bool) or not isinstance(sigma, int | float)):
        raise TypeError(f"sigma must be a number or None, but got {sigma!r} ({type(sigma).__name__})")
    if sigma is not None and not (sigma > 0 and is_finite(sigma)):
        raise ArgumentError(f"sigma must be a finite number > 0 or None, but got {sigma!r}")


def _spoc(rank: int, input: Tensor, sigma: float | None) -> Tensor:
    _check_sigma(sigma)
    check_map(f"spoc_pool{rank}d", input, rank)
    if sigma is None:
        return _TOTAL[rank](input, keepdim=False)
    result = wide(input)
    width = sigma * min(input.shape[-rank:]) / 2
    with unrounded(result):
        for size in reversed(input.shape[-rank:]):  # a Gaussian is a product of Gaussians of each axis
            place = torch.arange(size, dtype=result.dtype, device=result.device) - (size - 1) / 2
            result = torch.matmul(result, (-0.5 * (place / width).square()).exp())
    return result.to(input.dtype)


_SPOC_DOC = """The sum of each channel, of all cells alike or of those near the centre more than of others.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    sigma: of the Gaussian exp(-d^2 / (2 s^2)) that weighs a cell at distance d from the centre, in half lengths of the
        shortest axis: s = sigma * min(spatial) / 2. The paper has 1/3. None weighs all cells alike.

Returns:
    (N, C) or (C,) of the input's dtype; half precision is computed in float32.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""


def spoc_pool1d(input: Tensor, sigma: float | None = None) -> Tensor:
    return _spoc(1, input, sigma)


def spoc_pool2d(input: Tensor, sigma: float | None = None) -> Tensor:
    return _spoc(2, input, sigma)


def spoc_pool3d(input: Tensor, sigma: float | None = None) -> Tensor:
    return _spoc(3, input, sigma)


for _function in (spoc_pool1d, spoc_pool2d, spoc_pool3d):
    _function.__doc__ = _SPOC_DOC


class _SPoCPool(Layer):
    """Sums of channels with a centre prior, :func:`poolkit.functional.spoc_pool2d` as a layer.

    Args:
        sigma: of the Gaussian that weighs the cells, in half lengths of the shortest axis; the paper has 1/3. None
            weighs all cells alike.

    forward takes (N, C, *spatial) or (C, *spatial) of any size and gives (N, C) or (C,).
    """

    _shown = ("sigma",)
    _rank: int

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        _check_sigma(sigma)
        self.sigma = sigma

    def forward(self, input: Tensor) -> Tensor:
        return _spoc(self._rank, input, self.sigma)


class SPoCPool1d(_SPoCPool):
    __doc__ = _SPoCPool.__doc__
    _rank = 1


class SPoCPool2d(_SPoCPool):
    __doc__ = _SPoCPool.__doc__
    _rank = 2


class SPoCPool3d(_SPoCPool):
    __doc__ = _SPoCPool.__doc__
    _rank = 3


def _more_along(long: int, short: int) -> int:
    """How many regions more the long axis gets: 1 to 6, so that neighbours overlap by 40 % as nearly as can be."""
    if long == short:
        return 0
    # |1 - b / short - 0.4| with b = (long - short) / more, in integers; 60 is a multiple of all of them.
    misses = [abs(3 * short * more - 5 * (long - short)) * (60 // more) for more in range(1, 7)]
    return 1 + misses.index(min(misses))


def rmac_regions(height: int, width: int, levels: int) -> list[tuple[int, list[int], list[int]]]:
    """The size of the square regions of each level, and where they start along height and width."""
    short = min(height, width)
    more = (_more_along(height, short), _more_along(width, short))
    regions = []
    for level in range(1, levels + 1):
        size = 2 * short // (level + 1)
        rows, columns = (
            [place * (length - size) // max(level + extra - 1, 1) for place in range(level + extra)]
            for length, extra in zip((height, width), more, strict=True)
        )
        if size > 0:
            regions.append((size, rows, columns))
    return regions


def _maxima(x: Tensor, size: int, rows: list[int], columns: list[int]) -> Tensor:
    """The maxima of the squares that start at these rows and columns of (N, C, H, W), (N, C, squares)."""
    # They are among the windows whose starts are multiples of the greatest common divisor.
    down, right = (math.gcd(*starts) or 1 for starts in (rows, columns))
    windows = cast(Tensor, functional.max_pool2d(x, size, (down, right)))
    places = [row // down * windows.shape[3] + column // right for row in rows for column in columns]
    return windows.flatten(2).index_select(2, torch.tensor(places, device=x.device))


def _check_rmac(levels: int, eps: float) -> None:
    geometry.integer("levels", levels, positive=True)
    check_eps(eps)


def rmac_pool2d(input: Tensor, levels: int = 3, eps: float = 1e-6) -> Tensor:
    """The maxima of many regions of a map, each made about 1 long, and added up: R-MAC.

    The regions are the whole map and, for l = 1, ..., levels, squares of floor(2 w / (l + 1)) cells a side, w the
    shorter axis: l of them along it and l + m along the other, evenly spread from border to border, their starts
    rounded down. m from 1 to 6 lets neighbours of level 1 overlap by 40 % as nearly as can be; it is 0 for square maps.

    Args:
        input: (N, C, H, W) or (C, H, W).
        levels: L.
        eps: added to each region's length; > 0.

    Returns:
        (N, C) or (C,) of the input's dtype: the sum of v / (|v| + eps) over all regions' maxima v. Half precision is
        computed in float32. A maximum gives its gradient to one cell, the first of equals; NaN wins.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    _check_rmac(levels, eps)
    check_map("rmac_pool2d", input, 2)
    x = input if input.dim() == 4 else input[None]
    maxima = [functional.global_max_pool2d(x).flatten(2)]
    height, width = map(operator.index, x.shape[2:])  # how many regions there are depends on them: no symbols
    maxima += [_maxima(x, *regions) for regions in rmac_regions(height, width, levels)]
    vectors = wide(torch.cat(maxima, 2))
    squares = vectors.square().sum(1, keepdim=True)
    nothing = squares == 0
    lengths = torch.where(nothing, 0, torch.where(nothing, 1, squares).sqrt())
    result = (vectors / (lengths + eps)).sum(2).to(input.dtype)
    return result if input.dim() == 4 else result[0]


class RMACPool2d(Layer):
    """Regional maxima, :func:`poolkit.functional.rmac_pool2d` as a layer.

    Args:
        levels: how many sizes of regions, besides the whole map.
        eps: added to each region's length; > 0.

    forward takes (N, C, H, W) or (C, H, W) of any size and gives (N, C) or (C,).
    """

    _shown = ("levels", "eps")

    def __init__(self, levels: int = 3, eps: float = 1e-6) -> None:
        super().__init__()
        _check_rmac(levels, eps)
        self.levels, self.eps = levels, eps

    def forward(self, input: Tensor) -> Tensor:
        return rmac_pool2d(input, self.levels, self.eps)
