"""Runs the kernels of regions.py: the operators of RoI align and RoI pool, with the same arguments, for maps of a GPU.

Boxes are on the CPU, as for maps of a CPU: their values are checked there, and tables are sized by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from poolkit.layers.region_ops import winner_dtype
from poolkit.layout import format_of, is_channels_last
from poolkit.triton import DTYPES, device
from poolkit.triton import regions as _regions

#: Cells times channels of a block of gradients.
_AREA = 1024
#: Cells of such a block, at most.
_CELLS = 256
#: Boxes that a block looks at together, to find those that touch it.
_BOXES = 64
#: Coordinates that are further from the map count as this far.
_FARTHEST = 2.0**31


class Regions(NamedTuple):
    """A map, its boxes, and the bins of each; sizes are (height, width)."""

    samples: int
    channels: int
    size: tuple[int, int]
    bins: tuple[int, int]
    boxes: Tensor
    scale: float
    channels_last: bool


def _regions_of(
    kernel: str, like: Tensor, sizes: Sequence[int], boxes: Tensor, bins: Sequence[int], scale: float, last: bool
) -> Regions:
    if like.dtype not in DTYPES[kernel]:
        raise RuntimeError("poolkit: regions are pooled from floating point maps")
    if not (boxes.is_cpu and boxes.dtype == torch.float64 and boxes.dim() == 2 and boxes.shape[1] == 5):
        raise RuntimeError("poolkit: boxes must be a float64 tensor of shape (K, 5) on the CPU")
    fits = len(sizes) == 4 and len(bins) == 2 and all(n >= 1 for n in (*sizes[1:], *bins))
    if not fits or math.prod(sizes[2:]) >= 2**31:
        raise RuntimeError("poolkit: malformed sizes of a map or of its regions")
    samples, channels, height, width = sizes
    index = boxes[:, 0]
    bad = ~(boxes.isfinite().all(1) & (index >= 0) & (index < samples) & (index == index.floor()))
    if bool(bad.any()):
        raise RuntimeError(
            f"box {int(bad.nonzero()[0])} is not finite, or its batch index is not an integer in [0, {samples})"
        )
    p, q = bins
    return Regions(samples, channels, (height, width), (p, q), boxes.contiguous(), float(scale), last)


def _of_map(kernel: str, x: Tensor, boxes: Tensor, bins: Sequence[int], scale: float) -> tuple[Tensor, Regions]:
    last = is_channels_last(x, 2)
    regions = _regions_of(kernel, x, x.shape, boxes, bins, scale, last)
    return x.contiguous(memory_format=format_of(last, 2)), regions


def _of_gradient(
    kernel: str, grad: Tensor, boxes: Tensor, sizes: Sequence[int], scale: float, last: bool
) -> tuple[Tensor, Regions]:
    if grad.dim() != 4 or len(sizes) != 4 or tuple(grad.shape[:2]) != (boxes.shape[0], sizes[1]):
        raise RuntimeError("poolkit: grad must have a row for each box and the channels of the input")
    regions = _regions_of(kernel, grad, sizes, boxes, grad.shape[2:], scale, last)
    return grad.contiguous(memory_format=format_of(last, 2)), regions


def _empty(like: Tensor, sizes: Sequence[int], dtype: torch.dtype, regions: Regions) -> Tensor:
    memory_format = format_of(regions.channels_last, 2)
    return torch.empty(*sizes, dtype=dtype, device=like.device, memory_format=memory_format)


def _bins_of(like: Tensor, regions: Regions, dtype: torch.dtype) -> Tensor:
    return _empty(like, (len(regions.boxes), regions.channels, *regions.bins), dtype, regions)


class Sampled(NamedTuple):
    """The cells of the bins of RoI align along one axis with their weights, `room` for each bin: those listed in
    `cells`, `places` of them, or, without a list, neighbours from the cell in `places` on."""

    cells: Tensor | None
    places: Tensor
    weights: Tensor
    room: int


def _sampled(x: Tensor, boxes: Tensor, regions: Regions, axis: int, ratio: int, aligned: bool, listed: bool) -> Sampled:
    """The table of an axis (0 for x, 1 for y) on x's device."""
    size, bins = regions.size[1 - axis], regions.bins[1 - axis]
    on_cpu = (regions.boxes[:, 1:] * regions.scale).clamp(-_FARTHEST, _FARTHEST)
    extents = (on_cpu[:, axis + 2] - on_cpu[:, axis]).abs()
    longest = math.ceil(max(float(extents.max()) if len(extents) else 0.0, 1.0) / bins)
    room = min(2 * (ratio or longest) if listed else longest + 3, size)
    total = len(regions.boxes) * bins
    weights = torch.zeros(total, room, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    places = torch.empty(total, dtype=torch.int32, device=x.device)
    cells = torch.empty(total, room, dtype=torch.int32, device=x.device) if listed else None
    if total:
        block = min(128, triton.next_power_of_2(total))
        _regions.sample[(triton.cdiv(total, block),)](
            boxes,
            cells,
            places if listed else None,
            None if listed else places,
            weights,
            total,
            bins,
            size,
            room,
            regions.scale,
            float(ratio),
            ALIGNED=aligned,
            AXIS=axis,
            WIDE=device.is_wide(weights),
            BLOCK=block,
            num_warps=device.WARPS,
            enable_fp_fusion=False,  # the samples of the C++ core, to the bit: the border decides whether one counts
        )
    return Sampled(cells, places, weights, room)


def _divided(boxes: Tensor, regions: Regions, axis: int) -> tuple[Tensor, Tensor]:
    """Where the bins of RoI pool begin and end along an axis, on the device of these boxes."""
    size, bins = regions.size[1 - axis], regions.bins[1 - axis]
    total = len(regions.boxes) * bins
    begins, ends = (torch.empty(total, dtype=torch.int32, device=boxes.device) for _ in range(2))
    if total:
        block = min(128, triton.next_power_of_2(total))
        _regions.divide[(triton.cdiv(total, block),)](
            boxes,
            begins,
            ends,
            total,
            bins,
            size,
            regions.scale,
            AXIS=axis,
            WIDE=total >= device.LARGEST,
            BLOCK=block,
            num_warps=device.WARPS,
        )
    return begins, ends


def _checked_ratio(ratio: int) -> int:
    if not 0 <= ratio <= 2**16:
        raise RuntimeError("poolkit: sampling_ratio must lie in [0, 65536]")
    return ratio


def roi_align(
    x: Tensor, boxes: Tensor, output_size: Sequence[int], spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Tensor:
    dense, regions = _of_map("roi_align", x, boxes, output_size, spatial_scale)
    ratio = _checked_ratio(sampling_ratio)
    y = _bins_of(x, regions, x.dtype)
    total = y.numel()
    if total == 0:
        return y
    with device.on(x):
        there = regions.boxes.to(x.device)
        rows, columns = (_sampled(x, there, regions, axis, ratio, aligned, True) for axis in (1, 0))
        block = device.block_of(y, total)
        _regions.align[(triton.cdiv(total, block),)](
            dense,
            there,
            rows.cells,
            rows.places,
            rows.weights,
            columns.cells,
            columns.places,
            columns.weights,
            y,
            total,
            regions.channels,
            *regions.size,
            *regions.bins,
            rows.room,
            columns.room,
            ACC=device.accumulator(x.dtype),
            CHANNELS_LAST=regions.channels_last,
            WIDE=device.is_wide(dense, y, rows.weights, columns.weights),
            BLOCK=block,
            num_warps=device.WARPS,
        )
    return y


def _pool(
    x: Tensor, boxes: Tensor, output_size: Sequence[int], spatial_scale: float, with_winners: bool
) -> tuple[Tensor, Tensor | None]:
    dense, regions = _of_map("roi_pool", x, boxes, output_size, spatial_scale)
    y = _bins_of(x, regions, x.dtype)
    winners = _bins_of(x, regions, winner_dtype(math.prod(regions.size))) if with_winners else None
    total = y.numel()
    if total == 0:
        return y, winners
    with device.on(x):
        there = regions.boxes.to(x.device)
        block = device.block_of(y, total)
        _regions.pool[(triton.cdiv(total, block),)](
            dense,
            there,
            *_divided(there, regions, 1),
            *_divided(there, regions, 0),
            y,
            winners,
            total,
            regions.channels,
            *regions.size,
            *regions.bins,
            ACC=device.accumulator(x.dtype),
            CHANNELS_LAST=regions.channels_last,
            WIDE=device.is_wide(dense, y),
            BLOCK=block,
            num_warps=device.WARPS,
        )
    return y, winners


def roi_pool(x: Tensor, boxes: Tensor, output_size: Sequence[int], spatial_scale: float) -> Tensor:
    return _pool(x, boxes, output_size, spatial_scale, False)[0]


def roi_pool_winners(
    x: Tensor, boxes: Tensor, output_size: Sequence[int], spatial_scale: float
) -> tuple[Tensor, Tensor]:
    y, winners = _pool(x, boxes, output_size, spatial_scale, True)
    assert winners is not None
    return y, winners


class Axis(NamedTuple):
    """What the gradient reads along one axis, for each bin of each box: from which cell to which one it reaches, and
    what its cells weigh, `room` of them."""

    begins: Tensor
    ends: Tensor
    weights: Tensor | None
    room: int

    def of_boxes(self, boxes: int) -> tuple[Tensor, Tensor]:
        """From which cell to which one boxes reach."""
        return self.begins.view(boxes, -1).amin(1), self.ends.view(boxes, -1).amax(1)


def _gather(
    grad: Tensor, winners: Tensor | None, regions: Regions, rows: Axis, columns: Axis, sizes: Sequence[int]
) -> Tensor:
    """The gradient of the map."""
    grad_x = _empty(grad, sizes, grad.dtype, regions)
    boxes = len(regions.boxes)
    if boxes == 0 or grad_x.numel() == 0:
        return grad_x.zero_()
    # The boxes of each sample, in their order, and where each sample's begin.
    numbers = regions.boxes[:, 0].long()
    order = numbers.argsort(stable=True).int()
    offsets = torch.nn.functional.pad(numbers.bincount(minlength=regions.samples).cumsum(0), (1, 0)).int()
    height, width = regions.size
    channels = min(triton.next_power_of_2(regions.channels), 32)
    cells = min(_AREA // channels, _CELLS)
    across = min(triton.next_power_of_2(width), 16 if cells > 128 else 8, cells)
    down = min(triton.next_power_of_2(height), cells // across)
    programs = math.prod(
        (
            regions.samples,
            triton.cdiv(regions.channels, channels),
            triton.cdiv(height, down),
            triton.cdiv(width, across),
        )
    )
    tables = [table for table in (rows.weights, columns.weights) if table is not None]
    with device.on(grad):
        _regions.gather[(programs,)](
            grad,
            winners,
            grad_x,
            order.to(grad.device),
            offsets.to(grad.device),
            *rows.of_boxes(boxes),
            *columns.of_boxes(boxes),
            *rows[:3],
            *columns[:3],
            regions.channels,
            *regions.size,
            *regions.bins,
            rows.room,
            columns.room,
            ACC=device.accumulator(grad.dtype),
            CHANNELS_LAST=regions.channels_last,
            WIDE=device.is_wide(grad, grad_x, *tables),
            CHANNELS=channels,
            ROWS=down,
            COLUMNS=across,
            BOXES=_BOXES,
            num_warps=device.WARPS,
        )
    return grad_x


def roi_align_backward(
    grad: Tensor,
    boxes: Tensor,
    input_size: Sequence[int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    channels_last: bool,
) -> Tensor:
    dense, regions = _of_gradient("roi_align", grad, boxes, input_size, spatial_scale, channels_last)
    ratio = _checked_ratio(sampling_ratio)
    with device.on(grad):
        there = regions.boxes.to(grad.device)
        tables = [_sampled(grad, there, regions, axis, ratio, aligned, False) for axis in (1, 0)]
    rows, columns = (Axis(table.places, table.places + table.room, table.weights, table.room) for table in tables)
    return _gather(dense, None, regions, rows, columns, input_size)


def _bounds(winners: Tensor, regions: Regions, axis: int) -> Axis:
    """The cells between the winners of each bin along an axis."""
    total = len(regions.boxes) * regions.bins[1 - axis]
    begins, ends = (torch.empty(total, dtype=torch.int32, device=winners.device) for _ in range(2))
    if total:
        with device.on(winners):
            _regions.bounds[(total,)](
                winners,
                begins,
                ends,
                regions.channels,
                *regions.size,
                *regions.bins,
                AXIS=axis,
                CHANNELS_LAST=regions.channels_last,
                WIDE=device.is_wide(winners),
                BLOCK=device.BLOCK,
                num_warps=device.WARPS,
            )
    return Axis(begins, ends, None, 0)


def roi_pool_backward(
    grad: Tensor, boxes: Tensor, winners: Tensor, input_size: Sequence[int], channels_last: bool
) -> Tensor:
    dense, regions = _of_gradient("roi_pool", grad, boxes, input_size, 1.0, channels_last)
    fits = winners.shape == grad.shape and winners.device == grad.device
    if not fits or winners.dtype != winner_dtype(math.prod(regions.size)):
        raise RuntimeError("poolkit: these winners do not belong to this grad and input")
    places = winners.contiguous(memory_format=format_of(channels_last, 2))
    rows, columns = (_bounds(places, regions, axis) for axis in (1, 0))
    return _gather(dense, places, regions, rows, columns, input_size)
