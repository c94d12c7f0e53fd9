"""Windows: every output has a lane, which goes over the cells of its window.

Arrays are [outer][depth][height][width][inner] as in the C++ core: inner is 1 for channels-first arrays and the
number of channels for channels-last ones. Lanes run over the output as it lies in memory, so that neighbours write
side by side, and read side by side: along the width, or along the channels.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def span(o, size, out, low, KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr):
    """A window along one axis: its first cell, how many it has, and its offset's number of the first of them.

    Offsets count from the window's start, or, where the kernel is larger than the input, from the first cell inside.
    """
    if KERNEL == 0:
        wide = o.to(tl.int64)
        first = wide * size // out
        cells = ((wide + 1) * size + out - 1) // out - first
        return first.to(o.dtype), cells.to(o.dtype), o * 0
    else:
        start = o * STRIDE - low
        skipped = tl.where(start < 0, (DILATION - 1 - start) // DILATION, 0)
        inside = tl.minimum((size - 1 - start) // DILATION + 1, KERNEL)
        return start + skipped * DILATION, inside - skipped, tl.where(size >= KERNEL, skipped, 0)


@triton.jit
def padded_cells(o, cells, size, low, high, KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr):
    """How many cells of a window lie inside the padded input."""
    if KERNEL == 0:
        return cells
    else:
        return tl.minimum((size + high - 1 - (o * STRIDE - low)) // DILATION + 1, KERNEL)


@triton.jit
def divisor_of(
    place,
    cells,
    sizes,
    lows,
    highs,
    divisor,
    ACC: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    DILATION: tl.constexpr,
    COUNTING: tl.constexpr,
):
    """What an average divides by: the cells inside the input, those inside the padded input, or a number given."""
    if COUNTING == 0:
        return cells[0].to(ACC) * cells[1].to(ACC) * cells[2].to(ACC)
    elif COUNTING == 1:
        z = padded_cells(place[0], cells[0], sizes[0], lows[0], highs[0], KERNEL[0], STRIDE[0], DILATION[0])
        y = padded_cells(place[1], cells[1], sizes[1], lows[1], highs[1], KERNEL[1], STRIDE[1], DILATION[1])
        x = padded_cells(place[2], cells[2], sizes[2], lows[2], highs[2], KERNEL[2], STRIDE[2], DILATION[2])
        return z.to(ACC) * y.to(ACC) * x.to(ACC)
    else:
        return tl.full(place[2].shape, divisor, tl.float64).to(ACC)


@triton.jit
def steps(extent, KERNEL: tl.constexpr):
    """How many cells of a window to go over: a number the compiler knows, but for adaptive windows."""
    if KERNEL == 0:
        return extent
    else:
        return KERNEL


@triton.jit
def lanes(total, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    """The cells of the array that this program is for, and which of them exist."""
    start = tl.program_id(0)
    if WIDE:
        start = start.to(tl.int64)
    lane = start * BLOCK + tl.arange(0, BLOCK)
    return lane, lane < total


@triton.jit
def place_of(lane, inner, sizes):
    """Where a cell lies: in which part of outer, at which depth, height, width, and in which part of inner."""
    channel = lane % inner
    rest = lane // inner
    x = rest % sizes[2]
    rest = rest // sizes[2]
    y = rest % sizes[1]
    rest = rest // sizes[1]
    return rest // sizes[0], rest % sizes[0], y, x, channel


@triton.jit
def fold(walk, LIFT: tl.constexpr, COMBINE: tl.constexpr, context):
    """The partial results of all cells of a window combined, in row-major order."""
    x, scores, base, counts, first, cells, shifts, extents, strides, dilation, zero = walk
    nothing = cells[2] < 0
    state = LIFT(zero, zero, shifts[2], nothing, context)
    for z in range(counts[0]):
        at_z = base + (first[0] + z * dilation[0]) * strides[0]
        offset_z = (z + shifts[0]) * extents[1]
        for y in range(counts[1]):
            at_y = at_z + (first[1] + y * dilation[1]) * strides[1]
            offset_y = (offset_z + y + shifts[1]) * extents[2]
            inside = (z < cells[0]) & (y < cells[1])
            for i in range(counts[2]):
                at = at_y + (first[2] + i * dilation[2]) * strides[2]
                valid = inside & (i < cells[2])
                value = tl.load(x + at, mask=valid, other=0).to(zero.dtype)
                score = value
                if scores is not None:
                    score = tl.load(scores + at, mask=valid, other=0).to(zero.dtype)
                state = COMBINE(*state, *LIFT(value, score, offset_y + i + shifts[2], valid, context))
    return state


@triton.jit(do_not_specialize=["seed"])
def pool(
    x,
    scores,
    first_result,
    second_result,
    third_result,
    total,
    inner,
    sizes,
    outs,
    lows,
    highs,
    extents,
    strides,
    divisor: tl.float64,
    p: tl.float64,
    q: tl.float64,
    seed: tl.int64,
    METHOD: tl.constexpr,
    KIND: tl.constexpr,
    ACC: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    DILATION: tl.constexpr,
    COUNTING: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The results of a method, one to three, for every window."""
    lane, exists = lanes(total, WIDE, BLOCK)
    outer, oz, oy, ox, channel = place_of(lane, inner, outs)
    first_z, cells_z, shift_z = span(oz, sizes[0], outs[0], lows[0], KERNEL[0], STRIDE[0], DILATION[0])
    first_y, cells_y, shift_y = span(oy, sizes[1], outs[1], lows[1], KERNEL[1], STRIDE[1], DILATION[1])
    first_x, cells_x, shift_x = span(ox, sizes[2], outs[2], lows[2], KERNEL[2], STRIDE[2], DILATION[2])
    cells_x = tl.where(exists, cells_x, 0)
    cells = (cells_z, cells_y, cells_x)
    count = divisor_of((oz, oy, ox), cells, sizes, lows, highs, divisor, ACC, KERNEL, STRIDE, DILATION, COUNTING)
    base = outer * strides[3] + channel
    walk = (
        x,
        scores,
        base,
        (steps(extents[0], KERNEL[0]), steps(extents[1], KERNEL[1]), steps(extents[2], KERNEL[2])),
        (first_z, first_y, first_x),
        cells,
        (shift_z, shift_y, shift_x),
        extents,
        strides,
        (DILATION[0], DILATION[1], DILATION[2]),
        tl.zeros((BLOCK,), ACC),
    )
    # Draws are numbered as in an array with channels first.
    plane = outer.to(tl.int64) * inner + channel
    number = ((plane * outs[0] + oz) * outs[1] + oy) * outs[2] + ox
    window = (count, cells_z * cells_y * cells_x, p, q, seed, number)
    results = METHOD(fold, walk, window, KIND)
    tl.store(first_result + lane, results[0].to(first_result.dtype.element_ty), mask=exists)
    if second_result is not None:
        tl.store(second_result + lane, results[1].to(second_result.dtype.element_ty), mask=exists)
    if third_result is not None:
        tl.store(third_result + lane, results[2].to(third_result.dtype.element_ty), mask=exists)


@triton.jit
def positions(
    winners,
    indices,
    total,
    inner,
    sizes,
    outs,
    lows,
    extents,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    DILATION: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The winners' positions in their planes, as torch counts."""
    lane, exists = lanes(total, WIDE, BLOCK)
    _, oz, oy, ox, _ = place_of(lane, inner, outs)
    first_z, _, shift_z = span(oz, sizes[0], outs[0], lows[0], KERNEL[0], STRIDE[0], DILATION[0])
    first_y, _, shift_y = span(oy, sizes[1], outs[1], lows[1], KERNEL[1], STRIDE[1], DILATION[1])
    first_x, _, shift_x = span(ox, sizes[2], outs[2], lows[2], KERNEL[2], STRIDE[2], DILATION[2])
    offset = tl.load(winners + lane, mask=exists, other=0).to(tl.int64)
    z = first_z + (offset // (extents[1] * extents[2]) - shift_z) * DILATION[0]
    y = first_y + (offset // extents[2] % extents[1] - shift_y) * DILATION[1]
    x = first_x + (offset % extents[2] - shift_x) * DILATION[2]
    tl.store(indices + lane, (z * sizes[1] + y) * sizes[2] + x, mask=exists)
