"""Gradients: every input cell has a lane, which sums what the windows that cover it hand back. Nothing is added to
memory that others add to, so that the result is the same every time."""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.windows import divisor_of, lanes, place_of, span


@triton.jit
def covers(limit, KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr):
    """How many windows may cover a cell along one axis."""
    if KERNEL == 0:
        return limit
    else:
        return (KERNEL - 1) * DILATION // STRIDE + 1


@triton.jit
def covering(at, j, size, out, low, KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr):
    """The j-th window over a cell along one axis, the cell's number in its offsets, its cells, whether it exists."""
    if KERNEL == 0:
        wide = at.to(tl.int64)
        o = (wide * out // size + j).to(at.dtype)
        exists = o < ((wide + 1) * out + size - 1) // size
        first, cells, _ = span(o, size, out, low, KERNEL, STRIDE, DILATION)
        return o, at - first, cells, exists
    else:
        o = (at + low) // STRIDE - j
        before = at + low - o * STRIDE
        tap = before // DILATION
        exists = (o >= 0) & (o < out) & (tap * DILATION == before) & (tap < KERNEL)
        first, cells, shift = span(o, size, out, low, KERNEL, STRIDE, DILATION)
        return o, (at - first) // DILATION + shift, cells, exists


@triton.jit
def saved(pointer, at, exists, ACC: tl.constexpr):
    """What the forward pass or a survey of the windows kept."""
    if pointer is None:
        return at * 0
    else:
        value = tl.load(pointer + at, mask=exists, other=0)
        if value.dtype.is_floating():
            return value.to(ACC)
        elif value.dtype.primitive_bitwidth < 32:
            return value.to(tl.int32)
        else:
            return value


@triton.jit
def pull(
    grad,
    x,
    scores,
    first_kept,
    second_kept,
    third_kept,
    grad_x,
    grad_scores,
    total,
    inner,
    sizes,
    outs,
    lows,
    highs,
    extents,
    limits,
    divisor: tl.float64,
    p: tl.float64,
    q: tl.float64,
    PULL: tl.constexpr,
    KIND: tl.constexpr,
    ACC: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    DILATION: tl.constexpr,
    COUNTING: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The gradient of the input, and of the scores if there are any."""
    lane, here = lanes(total, WIDE, BLOCK)
    outer, z, y, x_at, channel = place_of(lane, inner, sizes)
    value = tl.zeros((BLOCK,), ACC)
    if x is not None:
        value = tl.load(x + lane, mask=here, other=0).to(ACC)
    score = value
    if scores is not None:
        score = tl.load(scores + lane, mask=here, other=0).to(ACC)
    result = tl.zeros((BLOCK,), ACC)
    score_result = tl.zeros((BLOCK,), ACC)
    for k in range(covers(limits[0], KERNEL[0], STRIDE[0], DILATION[0])):
        oz, tz, cells_z, in_z = covering(z, k, sizes[0], outs[0], lows[0], KERNEL[0], STRIDE[0], DILATION[0])
        for j in range(covers(limits[1], KERNEL[1], STRIDE[1], DILATION[1])):
            oy, ty, cells_y, in_y = covering(y, j, sizes[1], outs[1], lows[1], KERNEL[1], STRIDE[1], DILATION[1])
            for i in range(covers(limits[2], KERNEL[2], STRIDE[2], DILATION[2])):
                ox, tx, cells_x, in_x = covering(x_at, i, sizes[2], outs[2], lows[2], KERNEL[2], STRIDE[2], DILATION[2])
                exists = here & in_z & in_y & in_x
                at = (((outer * outs[0] + oz) * outs[1] + oy) * outs[2] + ox) * inner + channel
                gradient = tl.load(grad + at, mask=exists, other=0).to(ACC)
                count = divisor_of(
                    (oz, oy, ox),
                    (cells_z, cells_y, cells_x),
                    sizes,
                    lows,
                    highs,
                    divisor,
                    ACC,
                    KERNEL,
                    STRIDE,
                    DILATION,
                    COUNTING,
                )
                kept = (
                    saved(first_kept, at, exists, ACC),
                    saved(second_kept, at, exists, ACC),
                    saved(third_kept, at, exists, ACC),
                )
                offset = (tz * extents[1] + ty) * extents[2] + tx
                share = PULL(value, score, offset, gradient, count, kept, p, q, KIND)
                result += tl.where(exists, share[0], 0)
                if grad_scores is not None:
                    score_result += tl.where(exists, share[1], 0)
    tl.store(grad_x + lane, result.to(grad_x.dtype.element_ty), mask=here)
    if grad_scores is not None:
        tl.store(grad_scores + lane, score_result.to(grad_scores.dtype.element_ty), mask=here)
