"""Mode pooling of label maps: the most frequent label of each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from poolkit import geometry, ops
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size, Windows
from poolkit.layers import blocks
from poolkit.layers.base import Layer, check_map_shape
from poolkit.layers.blocks import Block, Part

TIES = ("smallest", "first", "centre")
_LABELS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def _distance(taps: Sequence[int], windows: Windows) -> int:
    """How far a window's tap lies from its centre: twice the distance, squared."""
    return sum((a.dilation * (2 * tap - a.kernel + 1)) ** 2 for tap, a in zip(taps, windows.axes, strict=True))


def _most_frequent(block: Block, windows: Windows, ignore_index: int | None, ties: str) -> Tensor:
    """Counts every cell among those that come after it: the first of a label meets all of them."""
    cells, counted = block.values, None
    if ignore_index is not None or not block.whole:
        counted = block.mask if ignore_index is None else block.mask & (cells != ignore_index)
        counted = counted.expand(cells.shape).movedim(-1, 0)
    cells = cells.movedim(-1, 0)
    if ties == "centre":
        distances = [_distance(taps, windows) for taps, _, _ in block.taps]
        order = sorted(range(len(cells)), key=distances.__getitem__)
        cells, counted = cells[order], None if counted is None else counted[order]
    mode = torch.full_like(cells[0], ignore_index or 0)
    most = torch.zeros(mode.shape, dtype=torch.int32, device=mode.device)
    for number, label in enumerate(cells):
        same = cells[number:] == label
        if counted is not None:
            same &= counted[number:] & counted[number]
        count = same.sum(0, dtype=torch.int32)
        better = count > most
        if ties == "smallest":
            better |= (count == most) & (most > 0) & (label < mode)
        mode = torch.where(better, label, mode)
        most = torch.maximum(most, count)
    return mode


def _forward(x: Tensor, packed: Sequence[int], ignore_index: int | None, ties: str) -> Tensor:
    windows = geometry.unpack(packed)

    def formula(block: Block, part: Part) -> Tensor:
        return _most_frequent(block, windows, ignore_index, ties)

    return blocks.pool(x, windows, formula)


_pool = torch.library.custom_op("poolkit::mode_pool", _forward, mutates_args=())


@_pool.register_fake
def _(x: Tensor, packed: Sequence[int], ignore_index: int | None, ties: str) -> Tensor:
    return blocks.like_output(x, packed)


@_pool.register_vmap
def _(info: Any, in_dims: Sequence[int | None], x: Tensor, *settings: Any) -> tuple[Tensor, int]:
    [dim, *_] = in_dims
    assert dim is not None
    maps = x.movedim(dim, 0)
    return _pool(maps.flatten(0, 1), *settings).unflatten(0, maps.shape[:2]), 0


def _check(ignore_index: int | None, ties: str) -> None:
    if ignore_index is not None and (isinstance(ignore_index, bool) or not isinstance(ignore_index, int)):
        raise TypeError(
            f"ignore_index must be an int or None, but got {ignore_index!r} ({type(ignore_index).__name__})"
        )
    if ties not in TIES:
        raise ArgumentError(f"ties must be one of {', '.join(map(repr, TIES))}, but got {ties!r}")


def _holds(dtype: torch.dtype, label: int) -> bool:
    """Whether a label of this type can be that number; comparing them would wrap the number instead."""
    if dtype == torch.bool:
        return label in (0, 1)
    return torch.iinfo(dtype).min <= label <= torch.iinfo(dtype).max


def _mode_pool(
    rank: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
    ignore_index: int | None,
    ties: str,
) -> Tensor:
    name = f"mode_pool{rank}d"
    _check(ignore_index, ties)
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): input must be a torch.Tensor, but got {type(input).__name__}")
    ops.check_dense(name, "input", input)
    if input.dtype not in _LABELS:
        allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in _LABELS)
        raise NotImplementedError(f"{name}(): input must be labels, {allowed}, but got {input.dtype}")
    check_map_shape(name, input, rank)
    size = tuple(input.shape[-rank:])
    windows = ops.sliding(rank, size, kernel_size, stride, padding, dilation, ceil_mode)
    if ignore_index is not None and not _holds(input.dtype, ignore_index):
        ignore_index = None
    batched = input.dim() == rank + 2
    x = input if batched else input.unsqueeze(0)
    y = cast(Tensor, _pool(x, geometry.pack(windows, 0, 0), ignore_index, ties))
    return y if batched else y.squeeze(0)


_DOC = """The most frequent label of each window.

Args:
    input: labels, (N, C, *spatial) or (C, *spatial). Label maps without channels, (N, *spatial), can be given as they
        are: each is pooled alone.
    kernel_size, stride, padding, dilation, ceil_mode: as for :func:`poolkit.functional.max_pool2d`; padding is never
        counted.
    ignore_index: a label that is not counted; a window of nothing else gives it. None counts all.
    ties: which of equally frequent labels is taken: the 'smallest' number; the one whose 'first' cell comes first in
        row-major order; or the one with the cell nearest to the window's 'centre', of equally near cells the first.

Returns:
    (N, C, *output) or (C, *output), of the input's dtype. Labels have no gradient.

dtypes: bool, uint8, int8, int16, int32, int64. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
one of a wrong type, NotImplementedError for another dtype.

>>> mode_pool1d(torch.tensor([[3, 1, 1, 3, 2]]), 5)
tensor([[1]])
"""


def mode_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    ignore_index: int | None = None,
    ties: str = "smallest",
) -> Tensor:
    return _mode_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, ignore_index, ties)


def mode_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    ignore_index: int | None = None,
    ties: str = "smallest",
) -> Tensor:
    return _mode_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, ignore_index, ties)


def mode_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    ignore_index: int | None = None,
    ties: str = "smallest",
) -> Tensor:
    return _mode_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, ignore_index, ties)


for _function in (mode_pool1d, mode_pool2d, mode_pool3d):
    _function.__doc__ = _DOC


class _ModePool(Layer):
    """The most frequent label of each window, :func:`poolkit.functional.mode_pool2d` as a layer.

    Args:
        kernel_size, stride, padding, dilation, ceil_mode: of the windows; padding is never counted.
        ignore_index: a label that is not counted; a window of nothing else gives it. None counts all.
        ties: which of equally frequent labels is taken: the 'smallest', the 'first', or the nearest to the 'centre'.

    forward takes labels, (N, C, *spatial) or (C, *spatial), of an integer type or bool, and gives the same with the
    output's size. Labels have no gradient.
    """

    _shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "ignore_index", "ties")
    _rank: int

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
        ignore_index: int | None = None,
        ties: str = "smallest",
    ) -> None:
        super().__init__()
        geometry.check_sliding(self._rank, kernel_size, stride, padding, dilation, ceil_mode)
        _check(ignore_index, ties)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode
        self.ignore_index, self.ties = ignore_index, ties

    def forward(self, input: Tensor) -> Tensor:
        windows = self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        return _mode_pool(self._rank, input, *windows, self.ignore_index, self.ties)


class ModePool1d(_ModePool):
    __doc__ = _ModePool.__doc__
    _rank = 1


class ModePool2d(_ModePool):
    __doc__ = _ModePool.__doc__
    _rank = 2


class ModePool3d(_ModePool):
    __doc__ = _ModePool.__doc__
    _rank = 3
