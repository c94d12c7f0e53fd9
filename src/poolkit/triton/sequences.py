"""Sequences: the lanes of a block share the steps of its rows, and combine what they found in the valid ones; a row is
one channel of one sequence. Gradients have a lane for each cell of the input.

Rows that are neighbours in memory are read side by side where channels lie so, otherwise steps are. The programs are
those of reducers/, and fold over the cells of a row as over those of a window.
"""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.elementary import number
from poolkit.triton.reducers import extrema, means, spreads
from poolkit.triton.windows import lanes


@triton.jit
def fold(walk, LIFT: tl.constexpr, COMBINE: tl.constexpr, context):
    """The partial results of the valid steps of each row combined, by a fixed tree."""
    x, valid, base, of_valid, exists, steps, pitch, valid_pitch, lane, zero = walk
    state = LIFT(zero, zero, lane, exists & (lane < 0), context)
    for start in range(0, steps, lane.shape[1]):
        at = start + lane
        counts = exists & (at < steps)
        if valid is not None:
            counts = counts & (tl.load(valid + (of_valid + at * valid_pitch), mask=counts, other=0) != 0)
        value = tl.load(x + (base + at * pitch), mask=counts, other=0).to(zero.dtype)
        state = COMBINE(*state, *LIFT(value, value, at, counts, context))
    return tl.reduce(state, 1, COMBINE.itself, keep_dims=True)


@triton.jit
def lift_one(value, score, offset, valid, context):
    return (tl.where(valid, value * 0 + 1, 0),)


@triton.jit
def lift_square(value, score, offset, valid, context):
    from_mean = value - context[0]
    return (tl.where(valid, from_mean * from_mean, 0),)


@triton.jit
def lift_count(value, score, offset, valid, context):
    return (valid.to(tl.int32),)


@triton.jit
def total(FOLD: tl.constexpr, walk, p, KIND: tl.constexpr):
    return FOLD(walk, means.lift, means.add, ())


@triton.jit
def maximum(FOLD: tl.constexpr, walk, p, KIND: tl.constexpr):
    best, at = FOLD(walk, extrema.lift_first_largest, extrema.first_larger, ())
    return of_any(best, at)


@triton.jit
def minimum(FOLD: tl.constexpr, walk, p, KIND: tl.constexpr):
    best, at = FOLD(walk, extrema.lift_first_smallest, extrema.first_smaller, ())
    return of_any(best, at)


@triton.jit
def of_any(best, at):
    """0 where no step is valid."""
    return tl.where(at == extrema.NONE, 0, best), tl.where(at == extrema.NONE, 0, at)


@triton.jit
def statistics(FOLD: tl.constexpr, walk, p, KIND: tl.constexpr):
    """The mean and, in a second pass, the deviation: KIND is 1 where the divisor is one less, p is added to the
    variance. 0 where no step is valid."""
    (count,) = FOLD(walk, lift_count, means.add, ())
    some = tl.maximum(count, 1)
    (sum,) = FOLD(walk, means.lift, means.add, ())
    mean = sum / some.to(sum.dtype)
    (squares,) = FOLD(walk, lift_square, means.add, (mean,))
    variance = squares / spreads.freedom(some, KIND).to(sum.dtype) + number(p, sum.dtype)
    return mean, tl.where(count > 0, tl.sqrt(variance), 0)


@triton.jit(do_not_specialize=["rows"])
def pool(
    x,
    valid,
    first_result,
    second_result,
    rows,
    channels,
    steps,
    strides,
    valid_strides,
    pitch,
    p: tl.float64,
    METHOD: tl.constexpr,
    KIND: tl.constexpr,
    ACC: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    STEPS: tl.constexpr,
):
    """The results of a method, one or two, for every row; those of a sequence are `pitch` apart from the next one's."""
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    row = (program * ROWS + tl.arange(0, ROWS))[:, None]
    exists = row < rows
    sample, channel = row // channels, row % channels
    lane = tl.arange(0, STEPS)[None, :]
    if WIDE:
        lane = lane.to(tl.int64)
    walk = (
        x,
        valid,
        sample * strides[0] + channel * strides[1],
        sample * valid_strides[0],
        exists,
        steps,
        strides[2],
        valid_strides[1],
        lane,
        tl.zeros((ROWS, STEPS), ACC),
    )
    results = METHOD(fold, walk, p, KIND)
    at = sample * pitch + channel
    tl.store(first_result + at, results[0].to(first_result.dtype.element_ty), mask=exists)
    if second_result is not None:
        tl.store(second_result + at, results[1].to(second_result.dtype.element_ty), mask=exists)


@triton.jit
def place_of(lane, batch, channels, steps, FIRST: tl.constexpr, LAST: tl.constexpr):
    """The sample, channel and step of a cell of an array whose outermost dimension is FIRST and innermost LAST."""
    if LAST == 2:
        step, rest = lane % steps, lane // steps
        return rest // channels, rest % channels, step
    else:
        channel, rest = lane % channels, lane // channels
        if FIRST == 0:
            return rest // steps, channel, rest % steps
        else:
            return rest % batch, channel, rest // batch


@triton.jit
def is_valid(valid, sample, step, strides, exists):
    if valid is None:
        return exists
    else:
        return exists & (tl.load(valid + (sample * strides[0] + step * strides[1]), mask=exists, other=0) != 0)


@triton.jit
def gather(
    grad,
    winners,
    valid,
    grad_x,
    total,
    batch,
    channels,
    steps,
    valid_strides,
    FIRST: tl.constexpr,
    LAST: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradient of a row for its winner, or, if winners are None, for every valid step."""
    lane, exists = lanes(total, WIDE, BLOCK)
    sample, channel, step = place_of(lane, batch, channels, steps, FIRST, LAST)
    counts = is_valid(valid, sample, step, valid_strides, exists)
    row = sample * channels + channel
    if winners is not None:
        counts = counts & (tl.load(winners + row, mask=counts, other=-1) == step)
    tl.store(grad_x + lane, tl.load(grad + row, mask=counts, other=0), mask=exists)


@triton.jit
def gather_statistics(
    grad,
    x,
    y,
    counts,
    valid,
    grad_x,
    total,
    batch,
    channels,
    steps,
    strides,
    valid_strides,
    KIND: tl.constexpr,
    FIRST: tl.constexpr,
    LAST: tl.constexpr,
    ACC: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradient of mean and deviation, of which a sequence has `channels` each in y; of so many steps are valid."""
    lane, exists = lanes(total, WIDE, BLOCK)
    sample, channel, step = place_of(lane, batch, channels, steps, FIRST, LAST)
    taken = is_valid(valid, sample, step, valid_strides, exists)
    mean_at = sample * (2 * channels) + channel
    deviation_at = mean_at + channels
    at = sample * strides[0] + channel * strides[1] + step * strides[2]
    value = tl.load(x + at, mask=taken, other=0).to(ACC)
    count = step * 0 + steps
    if counts is not None:
        count = tl.load(counts + sample, mask=taken, other=1)
    divisor = spreads.freedom(count, KIND).to(ACC)
    from_mean = value - tl.load(y + mean_at, mask=taken, other=0)
    deviation = tl.load(y + deviation_at, mask=taken, other=1)
    share = tl.load(grad + mean_at, mask=taken, other=0) / count.to(ACC)
    share += tl.load(grad + deviation_at, mask=taken, other=0) / (divisor * deviation) * from_mean
    tl.store(grad_x + lane, tl.where(taken, share, 0).to(grad_x.dtype.element_ty), mask=exists)
