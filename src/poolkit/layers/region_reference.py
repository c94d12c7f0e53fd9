"""RoI align and RoI pool in plain PyTorch: the fallback where no kernel runs, differentiable to any order in the map.

Every output is built up cell by cell, all boxes, bins and channels at once, so memory grows with the output only.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Corners further than this many cells from the map count as this far.
_FARTHEST = 2.0**31


def clamped(at: Tensor) -> Tensor:
    """Coordinates in cells, none too far for whole numbers."""
    return at.clamp(-_FARTHEST, _FARTHEST)


def corners(boxes: Tensor, axis: int, scale: float) -> tuple[Tensor, Tensor]:
    """Where boxes begin and end along an axis (0 for x, 1 for y), in cells: (K,) each."""
    cells = clamped(boxes[:, 1:] * scale)
    return cells[:, axis], cells[:, axis + 2]


def rounded(at: Tensor) -> Tensor:
    """The nearest whole number; halves are rounded away from zero."""
    return at.sign() * (at.abs() + 0.5).floor()


def _taps(
    boxes: Tensor, axis: int, scale: float, bins: int, cells: int, ratio: int, aligned: bool
) -> tuple[Tensor, Tensor]:
    """The cells that the samples of each bin lie between along an axis, and their weights: (K, bins, taps) each."""
    begin, end = corners(boxes, axis, scale)
    size = end - begin if aligned else (end - begin).clamp(min=1)
    length = (size / bins)[:, None]
    samples = torch.full_like(length, float(ratio)) if ratio else length.ceil()
    start = (begin - 0.5 if aligned else begin)[:, None] + torch.arange(bins, dtype=torch.float64) * length
    # Only samples in [-1, cells] count. Their numbers lie between these two, give or take one.
    step = length / samples
    ends = torch.stack([(-1 - start) / step, (cells - start) / step])
    first = torch.where(step == 0, 0, (ends.amin(0).floor() - 1).clamp(min=0))
    last = torch.where(step == 0, samples - 1, torch.minimum(ends.amax(0).ceil(), samples - 1))
    counted = torch.where(samples > 0, last - first + 1, 0).clamp(min=0)
    first = torch.where(counted > 0, first, 0)
    most = max(int(counted.max()), 1) if len(boxes) else 1

    number = first[..., None] + torch.arange(most, dtype=torch.float64)
    at = start[..., None] + (number + 0.5) * length[..., None] / samples[..., None]
    counts = (number < (first + counted)[..., None]) & (at >= -1) & (at <= cells)
    inside = torch.where(counts, at, 0).clamp(min=0)
    low = inside.floor().clamp(max=cells - 1)
    beyond = torch.where(low == cells - 1, 0, inside - low)
    share = torch.where(counts, 1 / samples[..., None], 0)
    positions = torch.cat([low, (low + 1).clamp(max=cells - 1)], -1)
    return positions.long(), torch.cat([(1 - beyond) * share, beyond * share], -1)


def _widened(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def channels_second(y: Tensor, x: Tensor) -> Tensor:
    """(K, P, Q, C) as (K, C, P, Q), in the memory format of x."""
    y = y.permute(0, 3, 1, 2)
    return y if torch._prims_common.suggest_memory_format(x) == torch.channels_last else y.contiguous()


def align(x: Tensor, boxes: Tensor, size: list[int], scale: float, ratio: int, aligned: bool) -> Tensor:
    """RoI align: the weighted cells of each bin."""
    height, width = x.shape[2:]
    cells = _widened(x)
    rows, row_weights = _taps(boxes, 1, scale, size[0], height, ratio, aligned)
    columns, column_weights = _taps(boxes, 0, scale, size[1], width, ratio, aligned)
    rows, columns = rows.to(x.device), columns.to(x.device)
    row_weights, column_weights = row_weights.to(cells), column_weights.to(cells)
    sample = boxes[:, 0].long()[:, None, None].to(x.device)
    y = cells.new_zeros(len(boxes), *size, x.shape[1])
    for row, row_weight in zip(rows.unbind(-1), row_weights.unbind(-1), strict=True):
        for column, column_weight in zip(columns.unbind(-1), column_weights.unbind(-1), strict=True):
            weight = (row_weight[:, :, None] * column_weight[:, None, :])[..., None]
            value = cells[sample, :, row[:, :, None], column[:, None, :]]
            # What has no weight does not count, NaN or not.
            y = y + torch.where(weight == 0, 0, value * weight)
    return channels_second(y.to(x.dtype), x)


def _spans(boxes: Tensor, axis: int, scale: float, bins: int, cells: int) -> tuple[Tensor, Tensor]:
    """The cells from begin to end of each bin along an axis, as far as they lie on the map: (K, bins) each."""
    begin, end = (rounded(at).long() for at in corners(boxes, axis, scale))
    size = (end - begin + 1).clamp(min=1)[:, None]
    number = torch.arange(bins)
    first = torch.div(number * size, bins, rounding_mode="floor")
    last = torch.div((number + 1) * size + bins - 1, bins, rounding_mode="floor")
    return (begin[:, None] + first).clamp(0, cells), (begin[:, None] + last).clamp(0, cells)


def pool(x: Tensor, boxes: Tensor, size: list[int], scale: float) -> tuple[Tensor, Tensor]:
    """RoI pool: the winner of each bin, found cell by cell in row-major order, and where it stands."""
    height, width = x.shape[2:]
    top, bottom = (span[:, :, None].to(x.device) for span in _spans(boxes, 1, scale, size[0], height))
    left, right = (span[:, None, :].to(x.device) for span in _spans(boxes, 0, scale, size[1], width))
    sample = boxes[:, 0].long()[:, None, None].to(x.device)
    values = x.detach()
    best = values.new_zeros(len(boxes), *size, x.shape[1])
    place = torch.zeros_like(best, dtype=torch.int64) - 1
    for down in range(int((bottom - top).max()) if len(boxes) else 0):
        for across in range(int((right - left).max())):
            row, column = top + down, left + across
            exists = ((row < bottom) & (column < right))[..., None]
            value = values[sample, :, row.clamp(max=height - 1), column.clamp(max=width - 1)]
            wins = exists & ((place < 0) | (value > best) | value.isnan())
            best = torch.where(wins, value, best)
            place = torch.where(wins, (row * width + column)[..., None], place)
    channel = torch.arange(x.shape[1], device=x.device)
    taken = x.flatten(2)[sample[..., None], channel, place.clamp(min=0)]
    return channels_second(torch.where(place < 0, 0, taken), x), channels_second(place, x)


def scatter(grad: Tensor, boxes: Tensor, positions: Tensor, input_size: list[int]) -> Tensor:
    """The gradient of taking the cells at `positions`; itself differentiable in `grad`."""
    samples, channels, height, width = input_size
    sample = boxes[:, 0].long()[:, None, None].to(grad.device)
    channel = torch.arange(channels, device=grad.device)[:, None]
    taken = _widened(grad).masked_fill(positions < 0, 0).flatten(2)
    zeros = taken.new_zeros(samples, channels, height * width)
    sums = zeros.index_put((sample, channel, positions.clamp(min=0).flatten(2)), taken, accumulate=True)
    return sums.unflatten(2, (height, width)).to(grad.dtype)
