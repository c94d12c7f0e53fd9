"""Space to depth and back: the cells of blocks as channels of one cell."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer, check_map, memory_format

ORDERS = ("channels", "cells")


def _check_order(order: str) -> None:
    if order not in ORDERS:
        raise ArgumentError(f"order must be one of {', '.join(map(repr, ORDERS))}, but got {order!r}")


def _to_depth(rank: int, input: Tensor, block_size: int | tuple[int, ...], order: str) -> Tensor:
    name = f"space_to_depth{rank}d"
    blocks = geometry.per_axis("block_size", block_size, rank)
    _check_order(order)
    check_map(name, input, rank, integers=True)
    sizes = input.shape[-rank:]
    if any(size % block for size, block in zip(sizes, blocks, strict=True)):
        raise ArgumentError(
            f"{name}(): block_size must divide the spatial size, but got {blocks} for {list(input.shape)}"
        )
    channel = input.dim() - rank - 1
    split = [part for size, block in zip(sizes, blocks, strict=True) for part in (size // block, block)]
    cells = input.reshape(*input.shape[:-rank], *split)
    rows, inner = ([channel + first + 2 * axis for axis in range(rank)] for first in (1, 2))
    depth = [channel, *inner] if order == "channels" else [*inner, channel]
    if memory_format(input, rank) != torch.contiguous_format:
        return cells.permute(*range(channel), *rows, *depth).flatten(-rank - 1).movedim(-1, channel)
    return cells.permute(*range(channel), *depth, *rows).flatten(channel, channel + rank)


def _to_space(rank: int, input: Tensor, block_size: int | tuple[int, ...], order: str) -> Tensor:
    name = f"depth_to_space{rank}d"
    blocks = geometry.per_axis("block_size", block_size, rank)
    _check_order(order)
    check_map(name, input, rank, integers=True)
    depth, sizes = input.shape[-rank - 1], input.shape[-rank:]
    if depth % math.prod(blocks):
        raise ArgumentError(
            f"{name}(): the cells of block_size must divide the channels, but got {blocks} for {list(input.shape)}"
        )
    channel = input.dim() - rank - 1
    channels = depth // math.prod(blocks)
    cells = input.unflatten(channel, (channels, *blocks) if order == "channels" else (*blocks, channels))
    first = channel + (order == "channels")
    pairs = [dim for axis in range(rank) for dim in (channel + rank + 1 + axis, first + axis)]
    kept = channel if order == "channels" else channel + rank
    large = [size * block for size, block in zip(sizes, blocks, strict=True)]
    batch = input.shape[:channel]
    if memory_format(input, rank) != torch.contiguous_format:
        return cells.permute(*range(channel), *pairs, kept).reshape(*batch, *large, channels).movedim(-1, channel)
    return cells.permute(*range(channel), kept, *pairs).reshape(*batch, channels, *large)


_TO_DEPTH = """Cuts the map into blocks and makes the cells of each the channels of one cell: smaller, and nothing lost.

Args:
    input: (N, C, *spatial) or (C, *spatial), of a size that the blocks divide.
    block_size: of a block, one int or one an axis.
    order: of the result's channels. 'channels': the cells of one channel stand together, as in torch.pixel_unshuffle;
        'cells': the channels of one cell stand together, as in TensorFlow and ONNX.

Returns:
    (N, C * cells, *smaller) or without N, where a block has that many cells, counted in row-major order. The inverse
    is depth_to_space with the same arguments, exactly.

dtypes: float32, float64, float16, bfloat16 and the integers up to 64 bits. Raises ArgumentError (a ValueError) for a
bad argument, also for a size that the blocks do not divide, TypeError for one of a wrong type, NotImplementedError
for another dtype.
"""

_TO_SPACE = """Makes the channels of each cell the cells of a block: larger, with fewer channels.

Args:
    input: (N, C, *spatial) or (C, *spatial), of channels that the cells of a block divide.
    block_size: of a block, one int or one an axis.
    order: of the input's channels. 'channels': the cells of one channel stand together, as in torch.pixel_shuffle;
        'cells': the channels of one cell stand together, as in TensorFlow and by default in ONNX.

Returns:
    (N, C / cells, *larger) or without N. The inverse is space_to_depth with the same arguments, exactly.

dtypes: float32, float64, float16, bfloat16 and the integers up to 64 bits. Raises ArgumentError (a ValueError) for a
bad argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
"""


def space_to_depth1d(input: Tensor, block_size: int | tuple[int, ...] = 2, order: str = "channels") -> Tensor:
    return _to_depth(1, input, block_size, order)


def space_to_depth2d(input: Tensor, block_size: int | tuple[int, ...] = 2, order: str = "channels") -> Tensor:
    return _to_depth(2, input, block_size, order)


def space_to_depth3d(input: Tensor, block_size: int | tuple[int, ...] = 2, order: str = "channels") -> Tensor:
    return _to_depth(3, input, block_size, order)


def depth_to_space1d(input: Tensor, block_size: int | tuple[int, ...] = 2, order: str = "channels") -> Tensor:
    return _to_space(1, input, block_size, order)


def depth_to_space2d(input: Tensor, block_size: int | tuple[int, ...] = 2, order: str = "channels") -> Tensor:
    return _to_space(2, input, block_size, order)


def depth_to_space3d(input: Tensor, block_size: int | tuple[int, ...] = 2, order: str = "channels") -> Tensor:
    return _to_space(3, input, block_size, order)


for _function in (space_to_depth1d, space_to_depth2d, space_to_depth3d):
    _function.__doc__ = _TO_DEPTH
for _function in (depth_to_space1d, depth_to_space2d, depth_to_space3d):
    _function.__doc__ = _TO_SPACE


class _Blocks(Layer):
    _shown = ("block_size", "order")
    _rank: int

    def __init__(self, block_size: int | tuple[int, ...] = 2, order: str = "channels") -> None:
        super().__init__()
        geometry.per_axis("block_size", block_size, self._rank)
        _check_order(order)
        self.block_size, self.order = block_size, order


class _SpaceToDepth(_Blocks):
    """The cells of blocks as channels, :func:`poolkit.functional.space_to_depth2d` as a layer.

    Args:
        block_size: of a block, one int or one an axis; it must divide the map.
        order: 'channels': the cells of one channel stand together; 'cells': the channels of one cell.

    forward takes (N, C, *spatial) or (C, *spatial) and gives (N, C * cells, *smaller), or without N.
    """

    def forward(self, input: Tensor) -> Tensor:
        return _to_depth(self._rank, input, self.block_size, self.order)


class _DepthToSpace(_Blocks):
    """Channels as the cells of blocks, :func:`poolkit.functional.depth_to_space2d` as a layer.

    Args:
        block_size: of a block, one int or one an axis; its cells must divide the channels.
        order: 'channels': the cells of one channel stand together; 'cells': the channels of one cell.

    forward takes (N, C, *spatial) or (C, *spatial) and gives (N, C / cells, *larger), or without N.
    """

    def forward(self, input: Tensor) -> Tensor:
        return _to_space(self._rank, input, self.block_size, self.order)


class SpaceToDepth1d(_SpaceToDepth):
    __doc__ = _SpaceToDepth.__doc__
    _rank = 1


class SpaceToDepth2d(_SpaceToDepth):
    __doc__ = _SpaceToDepth.__doc__
    _rank = 2


class SpaceToDepth3d(_SpaceToDepth):
    __doc__ = _SpaceToDepth.__doc__
    _rank = 3


class DepthToSpace1d(_DepthToSpace):
    __doc__ = _DepthToSpace.__doc__
    _rank = 1


class DepthToSpace2d(_DepthToSpace):
    __doc__ = _DepthToSpace.__doc__
    _rank = 2


class DepthToSpace3d(_DepthToSpace):
    __doc__ = _DepthToSpace.__doc__
    _rank = 3
