"""Haar downsampling: sums and differences of neighbours, all of them kept, and the way back."""

from __future__ import annotations

import torch
from torch import Tensor

from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer, check_map, memory_format, wide

#: Where the bands stand before they and the channels become one dimension, counted from that dimension.
_PLACES = {"bands": -1, "channels": 0}


def _check_order(order: str) -> None:
    if order not in tuple(_PLACES):
        raise ArgumentError(f"order must be one of {', '.join(map(repr, _PLACES))}, but got {order!r}")


def _dims(input: Tensor, rank: int) -> tuple[int, range]:
    """Where the channels stand and where the cells, so that the result lies in memory as the input does."""
    if memory_format(input, rank) == torch.contiguous_format:
        return -rank - 1, range(-rank, 0)
    return -1, range(-rank - 1, -1)


def _analyse(rank: int, input: Tensor, order: str) -> Tensor:
    name = f"haar_pool{rank}d"
    _check_order(order)
    check_map(name, input, rank)
    if any(size % 2 for size in input.shape[-rank:]):
        raise ArgumentError(f"{name}(): the spatial size must be even, but got {list(input.shape)}; pad or crop it")
    channel, axes = _dims(input, rank)
    bands = [wide(input).movedim(-rank - 1, channel)]
    for axis in axes:
        pairs = [band.unflatten(axis, (-1, 2)).unbind(axis) for band in bands]
        bands = [band for first, second in pairs for band in (first + second, first - second)]
    y = torch.stack(bands, channel + _PLACES[order]).flatten(channel - 1, channel)
    return (y * 2 ** (-rank / 2)).to(input.dtype).movedim(channel, -rank - 1)


def _synthesise(rank: int, input: Tensor, order: str) -> Tensor:
    name = f"haar_unpool{rank}d"
    _check_order(order)
    check_map(name, input, rank)
    count, depth = 2**rank, input.shape[-rank - 1]
    if depth % count:
        raise ArgumentError(f"{name}(): the channels must be a multiple of {count}, but got {list(input.shape)}")
    sizes = (count, depth // count) if order == "bands" else (depth // count, count)
    channel, axes = _dims(input, rank)
    bands = list(wide(input).movedim(-rank - 1, channel).unflatten(channel, sizes).unbind(channel + _PLACES[order]))
    for axis in reversed(axes):
        pairs = zip(bands[::2], bands[1::2], strict=True)
        bands = [torch.stack((low + high, low - high), axis).flatten(axis - 1, axis) for low, high in pairs]
    return (bands[0] * 2 ** (-rank / 2)).to(input.dtype).movedim(channel, -rank - 1)


_ANALYSE = """The orthonormal Haar transform of one level: a map of half the size for each band, and nothing lost.

Args:
    input: (N, C, *spatial) or (C, *spatial), of even sizes.
    order: of the result's channels. 'bands': the channels of one band stand together, so that the first C are the
        smooth map; 'channels': the bands of one channel stand together.

Returns:
    (N, 2C, L / 2) in 1-D, (N, 4C, H / 2, W / 2) in 2-D, (N, 8C, D / 2, H / 2, W / 2) in 3-D, or without N. Along each
    axis two neighbours a, b become (a + b) / sqrt 2 and (a - b) / sqrt 2. The bands count in binary, a digit an axis,
    0 for the sum and 1 for the difference: in 2-D the sum of all, the difference along the width, that along the
    height, that along both. haar_unpool is the inverse, up to rounding. Half precision is computed in float32.

A map of odd size is refused: whatever completes the last cell would not be in the input.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""

_SYNTHESISE = """The inverse of the orthonormal Haar transform of one level.

Args:
    input: (N, C, *spatial) or (C, *spatial), whose channels are bands as haar_pool gives them: C is a multiple of 2 in
        1-D, of 4 in 2-D, of 8 in 3-D.
    order: of these channels, 'bands' or 'channels'.

Returns:
    The map of twice the size, (N, C / 4, 2H, 2W) in 2-D. Half precision is computed in float32.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""


def haar_pool1d(input: Tensor, order: str = "bands") -> Tensor:
    return _analyse(1, input, order)


def haar_pool2d(input: Tensor, order: str = "bands") -> Tensor:
    return _analyse(2, input, order)


def haar_pool3d(input: Tensor, order: str = "bands") -> Tensor:
    return _analyse(3, input, order)


def haar_unpool1d(input: Tensor, order: str = "bands") -> Tensor:
    return _synthesise(1, input, order)


def haar_unpool2d(input: Tensor, order: str = "bands") -> Tensor:
    return _synthesise(2, input, order)


def haar_unpool3d(input: Tensor, order: str = "bands") -> Tensor:
    return _synthesise(3, input, order)


for _function in (haar_pool1d, haar_pool2d, haar_pool3d):
    _function.__doc__ = _ANALYSE
for _function in (haar_unpool1d, haar_unpool2d, haar_unpool3d):
    _function.__doc__ = _SYNTHESISE


class _Haar(Layer):
    _shown = ("order",)
    _rank: int

    def __init__(self, order: str = "bands") -> None:
        super().__init__()
        _check_order(order)
        self.order = order


class _HaarPool(_Haar):
    """The Haar transform of one level, :func:`poolkit.functional.haar_pool2d` as a layer.

    Args:
        order: 'bands': the channels of one band stand together; 'channels': the bands of one channel.

    forward takes (N, C, *spatial) or (C, *spatial), of even sizes, and gives (N, 4C, H / 2, W / 2) in 2-D.
    """

    def forward(self, input: Tensor) -> Tensor:
        return _analyse(self._rank, input, self.order)


class _HaarUnpool(_Haar):
    """The inverse of the Haar transform, :func:`poolkit.functional.haar_unpool2d` as a layer.

    Args:
        order: 'bands': the channels of one band stand together; 'channels': the bands of one channel.

    forward takes (N, C, *spatial) or (C, *spatial) and gives (N, C / 4, 2H, 2W) in 2-D.
    """

    def forward(self, input: Tensor) -> Tensor:
        return _synthesise(self._rank, input, self.order)


class HaarPool1d(_HaarPool):
    __doc__ = _HaarPool.__doc__
    _rank = 1


class HaarPool2d(_HaarPool):
    __doc__ = _HaarPool.__doc__
    _rank = 2


class HaarPool3d(_HaarPool):
    __doc__ = _HaarPool.__doc__
    _rank = 3


class HaarUnpool1d(_HaarUnpool):
    __doc__ = _HaarUnpool.__doc__
    _rank = 1


class HaarUnpool2d(_HaarUnpool):
    __doc__ = _HaarUnpool.__doc__
    _rank = 2


class HaarUnpool3d(_HaarUnpool):
    __doc__ = _HaarUnpool.__doc__
    _rank = 3
