"""Precise RoI pooling: the mean of the interpolated map over each bin of a box, with gradients for the box too.

The map between the cells is a sum of hats, products of one along each axis, so its integral over a bin is a product
too: weights of rows times the cells times weights of columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from poolkit import layout, ops, reference
from poolkit.layers import region_reference
from poolkit.layers.base import Layer, check_flag, wide, wide_dtype
from poolkit.layers.regions import Boxes, _checked, _good, _regions

#: Bins no longer than this many cells are empty: derivatives of what is divided by less would overflow.
_SHORTEST = 1e-100


def prroi_pool(
    input: Tensor,
    boxes: Boxes,
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    aligned: bool = False,
) -> Tensor:
    """Precise RoI pool: the mean of the interpolated map over each bin of a box, differentiable in the box too.

    A box is cut into output_size bins of equal size, without rounding. The map is interpolated bilinearly between its
    cells, and beyond the outer ones falls to 0 within one cell. The value of a bin is the integral of this surface over
    the bin, divided by the bin's area: exact, without samples.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single sample.
        boxes: (K, 5) with rows (index of the sample in the batch, x1, y1, x2, y2), or a sequence of N tensors (L, 4)
            with rows (x1, y1, x2, y2), one tensor a sample; for a single sample (K, 4). Of any dtype but bool and
            complex; everything about boxes is computed in float64. Floating ones get a gradient.
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes: 1/16 for boxes in pixels and a map of stride 16.
        aligned: cells lie at index + 1/2 in the coordinates of the boxes, as for
            :func:`poolkit.functional.roi_align`. By default they lie at their index, as in the paper.

    Returns:
        (K, C, *output_size), with the input's dtype, device and memory format; the boxes of a sequence follow one
        another. A bin without area is 0 and gives no gradient; so is a box with x2 <= x1 or y2 <= y1.

    Boxes may lie anywhere; coordinates beyond 2^31 cells count as 2^31. What lies outside the map counts as 0 in the
    mean. A cell counts, NaN or not, if its weight is not 0; boxes get no gradient through cells that are not finite.

    dtypes: float32, float64, float16, bfloat16 (half precision is computed in float32). Raises ArgumentError (a
    ValueError) for a bad argument, among them a box that is not finite or on no sample (compiled code: RuntimeError),
    TypeError for one of a wrong type, NotImplementedError for a dtype that is not taken.
    """
    size, scale = _checked(output_size, spatial_scale)
    check_flag("aligned", aligned)
    name = "prroi_pool"
    x, packed = _regions(name, input, boxes, differentiable=True)
    if torch.compiler.is_compiling():  # a compiled graph cannot branch on values, but it can stop
        good = _good(packed.detach(), len(x)).all()
        torch._assert_async(good, f"{name}(): coordinates of boxes must be finite and their batch index of a sample")
    rows, columns = (
        _weights(packed, axis, scale, size[1 - axis], x.shape[3 - axis], aligned).to(x.device, wide_dtype(x.dtype))
        for axis in (1, 0)
    )
    call = _formula if ops.why_formula(x) else _Pool.apply
    result: Tensor = call(x, rows, columns, packed.detach()[:, 0].to(x.device, torch.int64))
    return result


def _weights(boxes: Tensor, axis: int, scale: float, bins: int, cells: int, aligned: bool) -> Tensor:
    """The mean of the hat of each cell over each bin, along an axis (0 for x, 1 for y): (K, bins, cells)."""
    begin, end = (at[:, None] - (0.5 if aligned else 0) for at in region_reference.corners(boxes, axis, scale))
    edges = begin + torch.arange(bins + 1, dtype=boxes.dtype, device=boxes.device) / bins * (end - begin)
    places = torch.arange(cells, dtype=boxes.dtype, device=boxes.device)
    # A hat falls from 1 at its cell to 0 at the next ones: from low to high its integral is
    # (high - low) - (high |high| - low |low|) / 2.
    low, high = ((at[..., None] - places).clamp(-1, 1) for at in (edges[:, :-1], edges[:, 1:]))
    across = high - low
    # On one side of the cell the difference of the squares is a product, and loses no digits.
    squares = torch.where(low * high > 0, across * (low.abs() + high.abs()), low.square() + high.square())
    length = edges.diff()[..., None]
    some = length > _SHORTEST
    return torch.where(some, (across - squares / 2) / torch.where(some, length, 1), 0)


def _places(rows: Tensor, columns: Tensor, sample: Tensor) -> Iterator[tuple[int, tuple[int, slice, slice]]]:
    """The number of each box, and where its cells lie that have a weight: sample, rows, columns; no box off the map."""

    def spans(weights: Tensor) -> Iterator[slice]:
        touched = weights.ne(0).any(1)
        some, order = touched.any(1), touched.to(torch.uint8)
        last = torch.where(some, touched.shape[1] - order.flip(1).argmax(1), 0)
        return map(slice, order.argmax(1).tolist(), last.tolist())

    for k, place in enumerate(zip(sample.tolist(), spans(rows), spans(columns), strict=True)):
        if place[1].stop and place[2].stop:
            yield k, place


def _contracted(rows: Tensor, cells: Tensor, columns: Tensor) -> Tensor:
    """Weighted sums (K, P, Q, C) of cells (H, W, C), by rows (K, P, H) and columns (K, Q, W)."""
    return torch.einsum("kph,khqc->kpqc", rows, torch.einsum("kqw,hwc->khqc", columns, cells))


def _unbounded(rows: Tensor, cells: Tensor, columns: Tensor) -> Tensor:
    """What NaN and infinities add to the sums: all that have a weight, and no others."""
    down, across = rows.ne(0).to(cells.dtype), columns.ne(0).to(cells.dtype)

    def where(some: Tensor, value: float) -> Tensor:
        return torch.where(_contracted(down, some.to(cells.dtype), across) > 0, value, 0.0).to(cells.dtype)

    return (
        where(cells == torch.inf, torch.inf) + where(cells == -torch.inf, -torch.inf) + where(cells.isnan(), torch.nan)
    )


def _channels_last(x: Tensor) -> Tensor:
    """Maps (N, C, H, W) as (N, H, W, C), in the type to compute in: all channels of a cell have its weights."""
    return wide(x).permute(0, 2, 3, 1)


def _finite(cells: Tensor) -> Tensor:
    return torch.where(cells.isfinite(), cells, 0)


def _formula(x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor) -> Tensor:
    """The same by operations that torch can take apart; each sample of the batch is seen by the boxes of all."""
    y = rows.new_zeros(len(rows), rows.shape[1], columns.shape[1], x.shape[1])
    with torch.autocast(x.device.type, enabled=False):
        for n, cells in enumerate(_channels_last(x)):
            own = torch.where((sample == n)[:, None, None], rows, 0)
            y = y + _contracted(own, _finite(cells), columns) + _unbounded(own, cells.detach(), columns)
    return y.permute(0, 3, 1, 2).to(x.dtype)


def _along(weights: Tensor, cells: Tensor) -> Tensor:
    """Weighted sums (H, Q, C) of the columns of cells (H, W, C), which need not lie together."""
    return torch.bmm(weights.expand(len(cells), -1, -1), cells)


def _forward(x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor) -> Tensor:
    y = _like_output(x, rows, columns).zero_()
    every = _channels_last(x).contiguous()
    all_finite = bool(every.isfinite().all())
    finite = every if all_finite else _finite(every)
    with torch.autocast(x.device.type, enabled=False):  # which would do the products in half precision
        for k, place in _places(rows, columns, sample):
            down, across = rows[k, :, place[1]], columns[k, :, place[2]]
            total = (down @ _along(across, finite[place]).flatten(1)).unflatten(1, (len(across), -1))
            if not all_finite:
                total += _unbounded(down[None], every[place], across[None])[0]
            y[k] = total.permute(2, 0, 1)
    return y


def _backward(grad: Tensor, x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor, of_boxes: bool) -> list[Tensor]:
    """The gradients of x, and, if boxes want one, of rows and columns."""
    grads = [torch.zeros_like(rows), torch.zeros_like(columns)] if of_boxes else []
    grad_x = torch.zeros_like(x, dtype=wide_dtype(x.dtype), memory_format=torch.channels_last)
    of_cells, of_bins = _channels_last(grad_x), _channels_last(grad).contiguous()
    finite = _finite(_channels_last(x)).contiguous() if of_boxes else of_cells
    for k, place in _places(rows, columns, sample):
        down, across = rows[k, :, place[1]], columns[k, :, place[2]]
        of_rows = (down.T @ of_bins[k].flatten(1)).unflatten(1, (len(across), -1))
        of_cells[place] += _along(across.T, of_rows)
        if of_boxes:
            cells = finite[place]
            grads[0][k, :, place[1]] = of_bins[k].flatten(1) @ _along(across, cells).flatten(1).T
            grads[1][k, :, place[2]] = torch.bmm(of_rows, cells.transpose(1, 2)).sum(0)
    return [torch.empty_like(x).copy_(grad_x), *grads]


def _like_output(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    size = [rows.shape[0], x.shape[1], rows.shape[1], columns.shape[1]]
    return layout.empty(x, size, x.dtype, layout.is_channels_last(x, 2), 2)


_pool = torch.library.custom_op("poolkit::prroi_pool", _forward, mutates_args=())
_pool_backward = torch.library.custom_op("poolkit::prroi_pool_backward", _backward, mutates_args=())


@_pool.register_fake
def _(x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor) -> Tensor:
    return _like_output(x, rows, columns)


@_pool_backward.register_fake
def _(grad: Tensor, x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor, of_boxes: bool) -> list[Tensor]:
    return [torch.empty_like(x), *([torch.empty_like(rows), torch.empty_like(columns)] if of_boxes else [])]


class _Pool(torch.autograd.Function):
    """Keeps its inputs, which backward reads again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, columns: Tensor, sample: Tensor) -> Tensor:
        ctx.save_for_backward(x, rows, columns, sample)
        return _pool(x, rows, columns, sample)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, sample = ctx.saved_tensors
        if torch.is_grad_enabled():
            results = reference.differentiated(_formula, tensors, grads[0], sample)
        else:
            results = [*_pool_backward(grads[0], *tensors, sample, ctx.needs_input_grad[1]), None, None][:3]
        return *results, None


class PrRoIPool(Layer):
    """Precise RoI pool as a layer: :func:`poolkit.functional.prroi_pool` says what its arguments mean.

    Args:
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes.
        aligned: cells lie at index + 1/2 in the coordinates of the boxes; by default at their index, as in the paper.
    """

    _shown = ("output_size", "spatial_scale", "aligned")

    def __init__(self, output_size: int | Sequence[int], spatial_scale: float = 1.0, aligned: bool = False) -> None:
        super().__init__()
        _checked(output_size, spatial_scale)
        check_flag("aligned", aligned)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.aligned = aligned

    def forward(self, input: Tensor, boxes: Boxes) -> Tensor:
        return prroi_pool(input, boxes, self.output_size, self.spatial_scale, self.aligned)
