"""Whole planes: the lanes of a block share the cells of its planes and combine what they found.

The planes of a block are neighbours: its lanes read along the cells where channels are first, along the channels where
these are last.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def fold(walk, LIFT: tl.constexpr, COMBINE: tl.constexpr, context):
    """The partial results of all cells of each plane combined, by a fixed tree."""
    x, scores, base, exists, cells, lanes, inner, zero = walk
    state = LIFT(zero, zero, lanes, exists & (lanes < 0), context)
    for start in range(0, cells, lanes.shape[1]):
        at = start + lanes
        valid = exists & (at < cells)
        value = tl.load(x + (base + at * inner), mask=valid, other=0).to(zero.dtype)
        score = value
        if scores is not None:
            score = tl.load(scores + (base + at * inner), mask=valid, other=0).to(zero.dtype)
        state = COMBINE(*state, *LIFT(value, score, at, valid, context))
    return tl.reduce(state, 1, COMBINE.itself, keep_dims=True)


@triton.jit(do_not_specialize=["planes"])
def pool(
    x,
    scores,
    first_result,
    second_result,
    third_result,
    planes,
    cells,
    inner,
    divisor: tl.float64,
    p: tl.float64,
    q: tl.float64,
    METHOD: tl.constexpr,
    KIND: tl.constexpr,
    ACC: tl.constexpr,
    COUNTING: tl.constexpr,
    CHANNELS_LAST: tl.constexpr,
    WIDE: tl.constexpr,
    PLANES: tl.constexpr,
    CELLS: tl.constexpr,
):
    """The results of a method, one to three, for every plane."""
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    if not CHANNELS_LAST:
        plane = program * PLANES + tl.arange(0, PLANES)
        base = plane * cells
        exists = plane < planes
    else:
        blocks = tl.cdiv(inner, PLANES)
        channel = program % blocks * PLANES + tl.arange(0, PLANES)
        plane = program // blocks * inner + channel
        base = program // blocks * (cells * inner) + channel
        exists = channel < inner
    plane, base, exists = plane[:, None], base[:, None], exists[:, None]
    if COUNTING == 2:
        count = tl.full((PLANES, 1), divisor, tl.float64).to(ACC)
    else:
        count = tl.full((PLANES, 1), cells, ACC)
    lanes = tl.arange(0, CELLS)[None, :]
    if WIDE:
        lanes = lanes.to(tl.int64)
    walk = (x, scores, base, exists, cells, lanes, inner, tl.zeros((PLANES, CELLS), ACC))
    window = (count, tl.full((PLANES, 1), cells, tl.int32), p, q)
    results = METHOD(fold, walk, window, KIND)
    tl.store(first_result + plane, results[0].to(first_result.dtype.element_ty), mask=exists)
    if second_result is not None:
        tl.store(second_result + plane, results[1].to(second_result.dtype.element_ty), mask=exists)
    if third_result is not None:
        tl.store(third_result + plane, results[2].to(third_result.dtype.element_ty), mask=exists)
