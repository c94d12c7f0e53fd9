"""Segments: a block takes some channels of one segment, and its lanes share the rows. Gradients have a lane for each
cell of the rows.

The programs are those of pooling over time (sequences.py), and fold over rows that an order may name.
"""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.windows import lanes


@triton.jit
def fold(walk, LIFT: tl.constexpr, COMBINE: tl.constexpr, context):
    """The partial results of the rows of a segment combined, by a fixed tree."""
    x, order, begin, rows, base, exists, pitch, lane, zero = walk
    state = LIFT(zero, zero, lane, exists & (lane < 0), context)
    for start in range(0, rows, lane.shape[1]):
        at = start + lane
        row = begin + at
        if order is not None:
            row = tl.load(order + row, mask=at < rows, other=0)
        counts = exists & (at < rows)
        value = tl.load(x + (base + row * pitch), mask=counts, other=0).to(zero.dtype)
        state = COMBINE(*state, *LIFT(value, value, at, counts, context))
    return tl.reduce(state, 1, COMBINE.itself, keep_dims=True)


@triton.jit
def pool(
    x,
    offsets,
    order,
    first_result,
    second_result,
    channels,
    strides,
    METHOD: tl.constexpr,
    ACC: tl.constexpr,
    CHANNELS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """The results of a method, one or two, for every channel of a segment; (segments, channels) each."""
    segment = tl.program_id(0).to(tl.int64)
    channel = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS))[:, None]
    exists = channel < channels
    lane = tl.arange(0, STEPS)[None, :]
    begin = tl.load(offsets + segment)
    rows = (tl.load(offsets + segment + 1) - begin).to(tl.int32)
    base = channel.to(tl.int64) * strides[1]
    walk = (x, order, begin, rows, base, exists, strides[0], lane, tl.zeros((CHANNELS, STEPS), ACC))
    results = METHOD(fold, walk, 0, 0)
    at = segment * channels + channel
    tl.store(first_result + at, results[0].to(first_result.dtype.element_ty), mask=exists)
    if second_result is not None:
        tl.store(second_result + at, results[1].to(second_result.dtype.element_ty), mask=exists)


@triton.jit
def spread(
    y,
    winners,
    offsets,
    owners,
    order,
    x,
    total,
    channels,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """For the rows of a segment what it has, or, if there are winners, for these; each row has one segment."""
    lane, exists = lanes(total, WIDE, BLOCK)
    place, channel = lane // channels, lane % channels
    segment = tl.load(owners + place, mask=exists, other=0)
    at = segment * channels + channel
    counts = exists
    if winners is not None:
        first = tl.load(offsets + segment, mask=exists, other=0)
        counts = exists & (tl.load(winners + at, mask=exists, other=-1) == place - first)
    row = place
    if order is not None:
        row = tl.load(order + place, mask=exists, other=0)
    tl.store(x + (row * channels + channel), tl.load(y + at, mask=counts, other=0), mask=exists)
