"""Max-unpooling: the cells that write to a position agree on the last of them, then every result has a lane.

Arrays are [outer][cells or positions][inner]. Positions keep the largest number of the cells that name them, which is
the same in whatever order these come.
"""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.windows import lanes


@triton.jit
def split(lane, size, inner):
    """Which part of outer a lane belongs to, which cell or position it is, and in which part of inner."""
    rest = lane // inner
    return rest // size, rest % size, lane % inner


@triton.jit
def mark(indices, writers, bad, total, cells, volume, inner, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """The last cell that writes to each position, over the -1 of none; `bad` becomes 1 if one writes to no position."""
    lane, exists = lanes(total, WIDE, BLOCK)
    outer, cell, channel = split(lane, cells, inner)
    position = tl.load(indices + lane, mask=exists, other=0)
    inside = (position >= 0) & (position < volume)
    at = (outer * volume + tl.where(inside, position, 0)) * inner + channel
    tl.atomic_max(writers + at, cell.to(tl.int32), mask=exists & inside)
    if tl.max((exists & (inside == 0)).to(tl.int32), 0) > 0:
        tl.store(bad, 1)


@triton.jit
def put(x, writers, y, total, cells, volume, inner, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """What the last writer of each position has, 0 where there is none."""
    lane, exists = lanes(total, WIDE, BLOCK)
    outer, _, channel = split(lane, volume, inner)
    writer = tl.load(writers + lane, mask=exists, other=-1)
    value = tl.load(x + ((outer * cells + writer) * inner + channel), mask=writer >= 0, other=0)
    tl.store(y + lane, value, mask=exists)


@triton.jit
def take(grad, indices, writers, grad_x, total, cells, volume, inner, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """The gradient of its position for each cell that was the last to write there."""
    lane, exists = lanes(total, WIDE, BLOCK)
    outer, cell, channel = split(lane, cells, inner)
    position = tl.load(indices + lane, mask=exists, other=-1)
    inside = (position >= 0) & (position < volume)
    at = (outer * volume + position) * inner + channel
    wrote = inside & (tl.load(writers + at, mask=inside, other=-1) == cell)
    tl.store(grad_x + lane, tl.load(grad + at, mask=wrote, other=0), mask=exists)
