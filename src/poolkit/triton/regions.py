"""Regions of interest. A program finds out which cells each bin of a box reads along one axis, as the C++ core does;
forward, every output has a lane, which goes over its cells; backward, every block of cells goes over the boxes that
touch it, in their order. Nothing is added to memory that others add to, so that the result is the same every time.
"""

from __future__ import annotations

import triton
import triton.language as tl

from poolkit.triton.windows import lanes

# Corners further than this many cells from the map count as this far: bins are integers.
FARTHEST = tl.constexpr(2.0**31)


@triton.jit
def corner(boxes, box, column: tl.constexpr, scale, exists):
    """A coordinate of a box in cells."""
    at = tl.load(boxes + box * 5 + column, mask=exists, other=0) * scale
    return tl.minimum(tl.maximum(at, -FARTHEST), FARTHEST)


@triton.jit
def put(found, weights, at, cell, weight, done):
    """Writes a cell with its weight where it is done, and if it has one."""
    done = done & (weight != 0)
    if found is not None:
        tl.store(found + at, cell, mask=done)
    tl.store(weights + at, weight.to(weights.dtype.element_ty), mask=done)
    return done.to(tl.int32)


@triton.jit
def sample(
    boxes,
    found,
    counts,
    starts,
    weights,
    total,
    bins,
    size,
    room,
    scale: tl.float64,
    ratio: tl.float64,
    ALIGNED: tl.constexpr,
    AXIS: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The samples of RoI align along one axis (0 for x, 1 for y), as weights of the cells beside them: `room` for each
    bin of each box.

    They are a list, `found`, and their number, or, where that is None, those of neighbours from the cell in `starts`
    on; what no sample lies beside is left alone.
    """
    lane, exists = lanes(total, WIDE, BLOCK)
    box, number = lane // bins, (lane % bins).to(tl.float64)
    begin = corner(boxes, box, 1 + AXIS, scale, exists)
    extent = corner(boxes, box, 3 + AXIS, scale, exists) - begin
    if ALIGNED:
        begin -= 0.5
    else:
        extent = tl.maximum(extent, 1.0)
    length = extent / bins
    samples = tl.where(ratio > 0, ratio, tl.ceil(length))
    several = tl.maximum(samples, 1.0)
    begin += number * length
    # Only samples in [-1, size] count. Their numbers lie between these two, give or take one.
    step = length / several
    unit = tl.where(step == 0, 1.0, step)
    low, high = (-1 - begin) / unit, (size - begin) / unit
    first = tl.maximum(tl.floor(tl.minimum(low, high)) - 1, 0.0)
    last = tl.minimum(tl.ceil(tl.maximum(low, high)), several - 1)
    first = tl.where(step == 0, 0.0, tl.minimum(first, several))
    last = tl.where(step == 0, several - 1, tl.maximum(last, -1.0))
    many = tl.where(exists & (samples > 0), tl.maximum(last - first + 1, 0.0), 0.0).to(tl.int32)
    base = lane * room
    if starts is not None:
        one, other = begin + (first + 0.5) * length / several, begin + (last + 0.5) * length / several
        start = tl.minimum(tl.maximum(tl.minimum(one, other), 0.0), size - 1.0).to(tl.int32)
        tl.store(starts + lane, start, mask=exists)
        base -= start
    # Neighbouring samples share their cells: `at` and the one behind it are those that the next may share.
    at = many * 0 - 2
    near, far = begin * 0, begin * 0
    count = many * 0
    for i in range(tl.max(many, 0)):
        place = begin + (first + i + 0.5) * length / several
        taken = (i < many) & (place >= -1) & (place <= size)
        inside = tl.maximum(place, 0.0)
        whole = tl.minimum(tl.floor(inside), size - 1.0)
        beyond = tl.where(whole == size - 1.0, 0.0, inside - whole)
        cell = tl.where(taken, whole, 0.0).to(tl.int32)
        moved = taken & (cell != at)
        up, down = cell == at + 1, cell == at - 1
        slot = count if found is not None else at
        count += put(found, weights, base + slot, at, near, moved & ~down)
        slot = count if found is not None else at + 1
        count += put(found, weights, base + slot, at + 1, far, moved & ~up)
        kept_near, kept_far = tl.where(up, far, 0.0), tl.where(down, near, 0.0)
        near, far = tl.where(moved, kept_near, near), tl.where(moved, kept_far, far)
        near += tl.where(taken, (1 - beyond) / several, 0.0)
        far += tl.where(taken, beyond / several, 0.0)
        at = tl.where(moved, cell, at)
    slot = count if found is not None else at
    count += put(found, weights, base + slot, at, near, exists)
    slot = count if found is not None else at + 1
    count += put(found, weights, base + slot, at + 1, far, exists)
    if found is not None:
        tl.store(counts + lane, count, mask=exists)


@triton.jit
def rounded(x):
    """The nearest whole number; halves are rounded away from zero."""
    size = tl.abs(x)
    whole = tl.floor(size)
    whole += (size - whole >= 0.5).to(tl.float64)
    return tl.where(x < 0, -whole, whole).to(tl.int64)


@triton.jit
def divide(
    boxes,
    begins,
    ends,
    total,
    bins,
    size,
    scale: tl.float64,
    AXIS: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The bins of RoI pool along one axis: adaptive windows of the rounded box, as far as they lie on the map."""
    lane, exists = lanes(total, WIDE, BLOCK)
    box, number = lane // bins, (lane % bins).to(tl.int64)
    first = rounded(corner(boxes, box, 1 + AXIS, scale, exists))
    last = rounded(corner(boxes, box, 3 + AXIS, scale, exists))
    extent = tl.maximum(last - first + 1, 1)
    begin = first + number * extent // bins
    end = first + ((number + 1) * extent + bins - 1) // bins
    tl.store(begins + lane, tl.minimum(tl.maximum(begin, 0), size).to(tl.int32), mask=exists)
    tl.store(ends + lane, tl.minimum(tl.maximum(end, 0), size).to(tl.int32), mask=exists)


@triton.jit
def bin_of(lane, channels, height, width, CHANNELS_LAST: tl.constexpr):
    """The box, channel, row and column of bins of an output."""
    if CHANNELS_LAST:
        channel = lane % channels
        rest = lane // channels
        column = rest % width
        rest = rest // width
        return rest // height, channel, rest % height, column
    else:
        column = lane % width
        rest = lane // width
        row = rest % height
        rest = rest // height
        return rest // channels, rest % channels, row, column


@triton.jit
def plane_of(boxes, box, channel, channels, plane, exists, CHANNELS_LAST: tl.constexpr):
    """Where the channel of a box's sample begins, and how far its cells are apart."""
    sample = tl.load(boxes + box * 5, mask=exists, other=0).to(box.dtype)
    if CHANNELS_LAST:
        return sample * plane * channels + channel, channels
    else:
        return (sample * channels + channel) * plane, 1


@triton.jit
def align(
    x,
    boxes,
    row_cells,
    row_counts,
    row_weights,
    column_cells,
    column_counts,
    column_weights,
    y,
    total,
    channels,
    height,
    width,
    out_height,
    out_width,
    row_room,
    column_room,
    ACC: tl.constexpr,
    CHANNELS_LAST: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The weighted sum of the cells of every bin."""
    lane, exists = lanes(total, WIDE, BLOCK)
    box, channel, p, q = bin_of(lane, channels, out_height, out_width, CHANNELS_LAST)
    base, pitch = plane_of(boxes, box, channel, channels, height * width, exists, CHANNELS_LAST)
    row, column = box * out_height + p, box * out_width + q
    rows = tl.load(row_counts + row, mask=exists, other=0)
    columns = tl.load(column_counts + column, mask=exists, other=0)
    most = tl.max(columns, 0)
    result = tl.zeros((BLOCK,), ACC)
    for i in range(tl.max(rows, 0)):
        has_row = i < rows
        top = tl.load(row_cells + (row * row_room + i), mask=has_row, other=0) * width
        of_columns = tl.zeros((BLOCK,), ACC)
        for j in range(most):
            has_cell = has_row & (j < columns)
            left = tl.load(column_cells + (column * column_room + j), mask=has_cell, other=0)
            weight = tl.load(column_weights + (column * column_room + j), mask=has_cell, other=0)
            value = tl.load(x + (base + (top + left) * pitch), mask=has_cell, other=0).to(ACC)
            of_columns += weight * value
        result += tl.load(row_weights + (row * row_room + i), mask=has_row, other=0) * of_columns
    tl.store(y + lane, result.to(y.dtype.element_ty), mask=exists)


@triton.jit
def pool(
    x,
    boxes,
    row_begins,
    row_ends,
    column_begins,
    column_ends,
    y,
    winners,
    total,
    channels,
    height,
    width,
    out_height,
    out_width,
    ACC: tl.constexpr,
    CHANNELS_LAST: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The maximum of every bin, and where in its plane it stands: nowhere is all ones, for a bin without cells."""
    lane, exists = lanes(total, WIDE, BLOCK)
    box, channel, p, q = bin_of(lane, channels, out_height, out_width, CHANNELS_LAST)
    base, pitch = plane_of(boxes, box, channel, channels, height * width, exists, CHANNELS_LAST)
    row, column = box * out_height + p, box * out_width + q
    top = tl.load(row_begins + row, mask=exists, other=0)
    bottom = tl.load(row_ends + row, mask=exists, other=0)
    left = tl.load(column_begins + column, mask=exists, other=0)
    right = tl.load(column_ends + column, mask=exists, other=0)
    most = tl.max(right - left, 0)
    best = tl.zeros((BLOCK,), ACC)
    winner = tl.full((BLOCK,), -1, tl.int32)
    for i in range(tl.max(bottom - top, 0)):
        for j in range(most):
            has_cell = (top + i < bottom) & (left + j < right)
            place = (top + i) * width + left + j
            value = tl.load(x + (base + place * pitch), mask=has_cell, other=0).to(ACC)
            wins = has_cell & ((winner < 0) | (value > best) | (value != value))
            best = tl.where(wins, value, best)
            winner = tl.where(wins, place, winner)
    tl.store(y + lane, best.to(y.dtype.element_ty), mask=exists)
    if winners is not None:
        tl.store(winners + lane, winner.to(winners.dtype.element_ty), mask=exists)


@triton.jit
def bounds(
    winners,
    begins,
    ends,
    channels,
    height,
    width,
    out_height,
    out_width,
    AXIS: tl.constexpr,
    CHANNELS_LAST: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """From which cell to which one the winners of a row (AXIS 1) or column (AXIS 0) of bins stand along the axis."""
    program = tl.program_id(0)
    bins, others = out_width, out_height
    if AXIS == 1:
        bins, others = out_height, out_width
    box, number = program // bins, program % bins
    if WIDE:
        box = box.to(tl.int64)
    least, most = tl.full((BLOCK,), 2**31 - 1, tl.int32), tl.full((BLOCK,), -1, tl.int32)
    for start in range(0, channels * others, BLOCK):
        at = start + tl.arange(0, BLOCK)
        exists = at < channels * others
        if CHANNELS_LAST:
            channel, other = at % channels, at // channels
        else:
            channel, other = at // others, at % others
        if AXIS == 1:
            of_bin = number * out_width + other
        else:
            of_bin = other * out_width + number
        if CHANNELS_LAST:
            of_bin = (box * out_height * out_width + of_bin) * channels + channel
        else:
            of_bin = (box * channels + channel) * (out_height * out_width) + of_bin
        place = tl.load(winners + of_bin, mask=exists, other=0).to(tl.int32)
        exists = exists & (place >= 0) & (place < height * width)
        if AXIS == 1:
            place = place // width
        else:
            place = place % width
        least = tl.where(exists, tl.minimum(least, place), least)
        most = tl.where(exists, tl.maximum(most, place), most)
    tl.store(begins + program, tl.min(least, 0))
    tl.store(ends + program, tl.max(most, 0) + 1)


@triton.jit
def weight_of(weights, at, exists):
    """What a cell weighs in a bin; nothing where no weights are."""
    if weights is None:
        return 0.0
    else:
        return tl.load(weights + at, mask=exists, other=0)


@triton.jit
def gather(
    grad,
    winners,
    grad_x,
    order,
    offsets,
    tops,
    bottoms,
    lefts,
    rights,
    row_begins,
    row_ends,
    row_weights,
    column_begins,
    column_ends,
    column_weights,
    channels,
    height,
    width,
    out_height,
    out_width,
    row_room,
    column_room,
    ACC: tl.constexpr,
    CHANNELS_LAST: tl.constexpr,
    WIDE: tl.constexpr,
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BOXES: tl.constexpr,
):
    """The gradient of a block of cells of some channels: of the winners, or, where they are None, by the weights."""
    program = tl.program_id(0)
    if WIDE:
        program = program.to(tl.int64)
    across, down = tl.cdiv(width, COLUMNS), tl.cdiv(height, ROWS)
    blocks = tl.cdiv(channels, CHANNELS)
    left = (program % across * COLUMNS).to(tl.int32)
    rest = program // across
    top = (rest % down * ROWS).to(tl.int32)
    rest = rest // down
    channel = rest % blocks * CHANNELS + tl.arange(0, CHANNELS)[:, None]
    sample = rest // blocks
    cell = tl.arange(0, ROWS * COLUMNS)[None, :]
    row, column = top + cell // COLUMNS, left + cell % COLUMNS
    place = row * width + column
    has_channel = channel < channels
    plane, pitch = out_height * out_width, 1
    if CHANNELS_LAST:
        plane, pitch = 1, channels
    box_pitch = out_height * out_width * channels
    result = tl.zeros((CHANNELS, ROWS * COLUMNS), ACC)
    last = tl.load(offsets + sample + 1)
    # So many boxes at a time are asked whether they touch the block.
    for start in range(tl.load(offsets + sample), last, BOXES):
        number = start + tl.arange(0, BOXES)
        exists = number < last
        box = tl.load(order + number, mask=exists, other=0)
        touches = exists & (tl.load(tops + box, mask=exists, other=0) < top + ROWS)
        touches = touches & (tl.load(bottoms + box, mask=exists, other=0) > top)
        touches = touches & (tl.load(lefts + box, mask=exists, other=0) < left + COLUMNS)
        touches = touches & (tl.load(rights + box, mask=exists, other=0) > left)
        for _ in range(tl.sum(touches.to(tl.int32), 0)):
            following = tl.min(tl.where(touches, number, 2**31 - 1), 0)
            touches = touches & (number > following)
            one = tl.load(order + following)
            for p in range(out_height):
                of_row = one * out_height + p
                row_begin = tl.load(row_begins + of_row)
                row_end = tl.load(row_ends + of_row)
                if (row_begin < top + ROWS) & (row_end > top):
                    in_row = (row >= row_begin) & (row < row_end)
                    by_row = weight_of(row_weights, of_row * row_room + row - row_begin, in_row)
                    for q in range(out_width):
                        of_column = one * out_width + q
                        column_begin = tl.load(column_begins + of_column)
                        column_end = tl.load(column_ends + of_column)
                        if (column_begin < left + COLUMNS) & (column_end > left):
                            in_bin = in_row & (column >= column_begin) & (column < column_end)
                            at = one * box_pitch + channel * plane + (p * out_width + q) * pitch
                            gradient = tl.load(grad + at, mask=has_channel, other=0).to(ACC)
                            if winners is None:
                                at_column = of_column * column_room + column - column_begin
                                weight = by_row * weight_of(column_weights, at_column, in_bin)
                                result += tl.where(weight != 0, gradient * weight, 0)
                            else:
                                winner = tl.load(winners + at, mask=has_channel, other=0).to(tl.int32)
                                result += tl.where(winner == place, gradient, 0)
    if CHANNELS_LAST:
        to = (sample * height * width + place) * channels + channel
    else:
        to = (sample * channels + channel) * (height * width) + place
    mask = has_channel & (row < height) & (column < width)
    tl.store(grad_x + to, result.to(grad_x.dtype.element_ty), mask=mask)
