"""Pooling of segments as formulas: what runs where no kernel does, and what derivatives of gradients are taken of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poolkit import transforms
from poolkit.layers.packed import Segments

#: Rows that are summed one after another; sums of blocks are summed in turn, so that errors stay small.
_BLOCK = 64


def spread(segments: Segments, values: Tensor) -> Tensor:
    return values.index_select(0, segments.owners())


def total(segments: Segments, x: Tensor) -> Tensor:
    owner, number = segments.owners(), segments.number
    place = segments.inverse()
    blocks = number + x.shape[0] // _BLOCK
    while 2 * blocks <= x.shape[0]:
        # No two segments share a number: it grows wherever the segment or the block of rows changes.
        block = owner + place // _BLOCK
        x = _summed(x, block, blocks)
        owner = owner.new_zeros(blocks).scatter(0, block, owner).cummax(0).values
        place = torch.arange(blocks, device=x.device)
        blocks = number + blocks // _BLOCK
    return _summed(x, owner, number)


def _summed(x: Tensor, index: Tensor, number: int) -> Tensor:
    return x.new_zeros(number, x.shape[1]).scatter_add(0, index[:, None].expand(x.shape), x)


def extreme(segments: Segments, x: Tensor, largest: bool) -> Tensor:
    zeros = x.new_zeros(segments.number, x.shape[1])
    index = segments.owners()[:, None].expand(x.shape)
    found = zeros.scatter_reduce(0, index, x.detach(), "amax" if largest else "amin", include_self=False)
    return pick(segments, x, found)


def median(segments: Segments, x: Tensor) -> Tensor:
    """The lower middle value of each segment, NaN if it has one; 0 of none."""
    columns = x.detach().T.contiguous()  # sorting runs along memory
    by_value = columns.argsort(stable=True)  # NaN is last
    by_segment = segments.owners()[by_value].argsort(stable=True)
    ordered = columns.gather(1, by_value.gather(1, by_segment))
    counts, last = segments.counts(), segments.offsets[1:] - 1
    middle = last - counts // 2  # of n rows the one at (n - 1) // 2
    low, high = (ordered.index_select(1, row.clamp(min=0)).T for row in (middle, last))
    return pick(segments, x, torch.where(high.isnan(), high, low))


def pick(segments: Segments, x: Tensor, values: Tensor) -> Tensor:
    """The rows of x that have these values, (segments, C): the first of equals, the last NaN; 0 of none."""
    if not (torch.is_grad_enabled() and x.requires_grad) and not transforms.active():
        return segments.without_empty(values)
    found = spread(segments, values)
    # Rows are counted in floats, which scatter_reduce takes many times faster than integers, as long as they can.
    dtype = torch.float32 if x.shape[0] <= 2**24 else torch.float64
    row = torch.arange(x.shape[0], device=x.device).to(dtype)[:, None]
    # Of NaN the later row gets the smaller number, below those of all others.
    number = torch.where(x == found, row, torch.where(x.isnan() & found.isnan(), -1 - row, math.inf))
    first = number.new_zeros(values.shape).scatter_reduce(
        0, segments.owners()[:, None].expand(number.shape), number, "amin", include_self=False
    )
    return segments.without_empty(x.gather(0, torch.where(first < 0, -1 - first, first).to(torch.int64)))
