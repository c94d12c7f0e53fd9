"""Separable filters that are sampled, and their adjoints: every result has a lane, which sums its parts.

Along one axis, tap t of output o reads position o * stride - low + t, and a cell stands at its place and, beyond the
ends of the axis, at those of its images.
"""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.windows import lanes, place_of

#: What stands beyond an axis, as the operator counts.
ZEROS, REFLECT, REPLICATE = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def weight_of(tap, WEIGHTS: tl.constexpr, FIRST: tl.constexpr, TAPS: tl.constexpr, ACC: tl.constexpr):
    """The weight of a tap; those of an axis begin with FIRST."""
    weight = tl.full((1,), WEIGHTS[FIRST], ACC)
    for i in tl.static_range(1, TAPS):
        weight = tl.where(tap == i, tl.full((1,), WEIGHTS[FIRST + i], ACC), weight)
    return weight


@triton.jit
def cell_at(position, size, BEYOND: tl.constexpr):
    """The cell at a position, and whether there is one."""
    if BEYOND == ZEROS:
        return position, (position >= 0) & (position < size)
    elif BEYOND == REFLECT:
        return size - 1 - tl.abs(size - 1 - tl.abs(position)), position == position
    elif BEYOND == REPLICATE:
        return tl.minimum(tl.maximum(position, 0), size - 1), position == position
    else:
        return (position % size + size) % size, position == position


@triton.jit
def image_of(cell, number, size, BEYOND: tl.constexpr):
    """Where the image of this number of a cell stands, below 0 before the axis, and whether there is one."""
    if BEYOND == ZEROS:
        return cell, cell >= 0
    elif BEYOND == REFLECT:
        before, behind = (number < 0) & (cell > 0), (number > 0) & (cell < size - 1)
        return tl.where(before, -cell, tl.where(behind, 2 * (size - 1) - cell, cell)), (number == 0) | before | behind
    elif BEYOND == REPLICATE:
        before, behind = (number < 0) & (cell == 0), (number > 0) & (cell == size - 1)
        return cell + number, (number == 0) | before | behind
    else:
        return cell + number * size, cell >= 0


@triton.jit
def part(
    at,
    k,
    size,
    low,
    before,
    WEIGHTS: tl.constexpr,
    FIRST: tl.constexpr,
    TAPS: tl.constexpr,
    STRIDE: tl.constexpr,
    BEYOND: tl.constexpr,
    ADJOINT: tl.constexpr,
    ACC: tl.constexpr,
):
    """The k-th part of a result along one axis: where it stands, what it weighs, whether it may be there.

    `size` counts cells. Of the adjoint, parts are outputs that may reach one of the images, `before` of which stand
    before the axis.
    """
    if not ADJOINT:
        cell, exists = cell_at(at * STRIDE - low + k, size, BEYOND)
        return cell, weight_of(k, WEIGHTS, FIRST, TAPS, ACC), exists
    else:
        outputs: tl.constexpr = (TAPS - 1) // STRIDE + 1
        position, exists = image_of(at, k // outputs - before, size, BEYOND)
        position += low
        output = position // STRIDE - k % outputs
        tap = position - output * STRIDE
        exists = exists & (position >= 0) & (output >= 0) & (tap < TAPS)
        return output, weight_of(tap, WEIGHTS, FIRST, TAPS, ACC), exists


@triton.jit
def filter(
    x,
    y,
    total,
    inner,
    sizes,
    results,
    extents,
    lows,
    befores,
    parts,
    WEIGHTS: tl.constexpr,
    TAPS: tl.constexpr,
    STRIDE: tl.constexpr,
    BEYOND: tl.constexpr,
    ADJOINT: tl.constexpr,
    ACC: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """From x, of these sizes, to y, of the sizes `results`; `extents` are the sizes of what is filtered: x, or y.

    The weights of the three axes are compiled in, one after the other.
    """
    lane, exists = lanes(total, WIDE, BLOCK)
    outer, z, y_at, x_at, channel = place_of(lane, inner, results)
    of_y: tl.constexpr = TAPS[0]
    of_x: tl.constexpr = TAPS[0] + TAPS[1]
    result = tl.zeros((BLOCK,), ACC)
    for k in range(parts[0]):
        in_z, weight_z, has_z = part(
            z, k, extents[0], lows[0], befores[0], WEIGHTS, 0, TAPS[0], STRIDE[0], BEYOND[0], ADJOINT, ACC
        )
        has_z = exists & has_z & (in_z < sizes[0])
        for j in range(parts[1]):
            in_y, weight_y, has_y = part(
                y_at, j, extents[1], lows[1], befores[1], WEIGHTS, of_y, TAPS[1], STRIDE[1], BEYOND[1], ADJOINT, ACC
            )
            has_y = has_z & has_y & (in_y < sizes[1])
            row = (outer * sizes[0] + in_z) * sizes[1] + in_y
            for i in range(parts[2]):
                in_x, weight_x, has_x = part(
                    x_at, i, extents[2], lows[2], befores[2], WEIGHTS, of_x, TAPS[2], STRIDE[2], BEYOND[2], ADJOINT, ACC
                )
                has_x = has_y & has_x & (in_x < sizes[2])
                value = tl.load(x + ((row * sizes[2] + in_x) * inner + channel), mask=has_x, other=0).to(ACC)
                result += tl.where(has_x, weight_z * weight_y * weight_x * value, 0)
    tl.store(y + lane, result.to(y.dtype.element_ty), mask=exists)
