"""Position-sensitive pooling of regions of interest: every bin reads channels of its own.

A bin of one box is a box of one bin, on a map of that bin's channels: RoI align pools all of them in one call.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from poolkit.errors import ArgumentError
from poolkit.layers import region_ops, region_reference
from poolkit.layers.base import Layer
from poolkit.layers.regions import Boxes, _checked, _checked_sampling, _regions

#: Boxes shorter than this many cells count as this long.
_SHORTEST = 0.1


def ps_roi_align(
    input: Tensor,
    boxes: Boxes,
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
) -> Tensor:
    """Position-sensitive RoI align: RoI align in which every bin has channels of its own.

    A box is cut into output_size = P x Q bins. Output channel c of bin (p, q) is the mean of samples of input channel
    (c * P + p) * Q + q in that bin, as :func:`poolkit.functional.roi_align` takes them with `aligned=True`.

    Args:
        input: (N, C * P * Q, H, W), or (C * P * Q, H, W) for a single sample.
        boxes: (K, 5) with rows (index of the sample in the batch, x1, y1, x2, y2), or a sequence of N tensors (L, 4)
            with rows (x1, y1, x2, y2), one tensor a sample; for a single sample (K, 4). Of any dtype but bool and
            complex; everything about boxes is computed in float64. They get no gradient.
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes: 1/16 for boxes in pixels and a map of stride 16.
        sampling_ratio: samples in a bin along each axis, at most 65536; 0 (or -1) takes as many as the bin is cells
            long, rounded up.

    Returns:
        (K, C, P, Q), with the input's dtype, device and memory format; the boxes of a sequence follow one another.

    Boxes that are reversed, empty, or off the map are those of roi_align. A cell counts, NaN or not, if its weight is
    not 0. The gradient of the input is exact, and the same for any number of threads.

    dtypes: float32, float64, float16, bfloat16 (half precision is computed in float32). Raises ArgumentError (a
    ValueError) for a bad argument, among them a box that is not finite or on no sample (compiled code: RuntimeError),
    TypeError for one of a wrong type, NotImplementedError for a dtype that is not taken.
    """
    name = "ps_roi_align"
    size, scale = _checked(output_size, spatial_scale)
    ratio = _checked_sampling(sampling_ratio, True)
    x, packed = _regions(name, input, boxes)
    rows, columns = (_parts(packed, axis, scale, size[1 - axis], ratio) for axis in (1, 0))
    return _by_bins(name, x, packed[:, 0], rows, columns, ratio)


def ps_roi_pool(input: Tensor, boxes: Boxes, output_size: int | Sequence[int], spatial_scale: float = 1.0) -> Tensor:
    """Position-sensitive RoI pool: the average of each bin of a box, every bin in channels of its own.

    A box is cut into output_size = P x Q bins. Output channel c of bin (p, q) is the average of input channel
    (c * P + p) * Q + q over the cells that the bin touches, as far as they lie on the map.

    Args:
        input: (N, C * P * Q, H, W), or (C * P * Q, H, W) for a single sample.
        boxes: (K, 5) with rows (index of the sample in the batch, x1, y1, x2, y2), or a sequence of N tensors (L, 4)
            with rows (x1, y1, x2, y2), one tensor a sample; for a single sample (K, 4). Of any dtype but bool and
            complex; everything about boxes is computed in float64. They get no gradient.
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes: 1/16 for boxes in pixels and a map of stride 16.

    Returns:
        (K, C, P, Q), with the input's dtype, device and memory format; the boxes of a sequence follow one another. A
        bin that lies wholly outside the map is 0 and gives no gradient.

    As in R-FCN, corners are rounded to whole units of the boxes, halves away from 0, and belong to the box: it reaches
    from round(x1) * spatial_scale to (round(x2) + 1) * spatial_scale, and is at least 0.1 cells long. Coordinates
    beyond 2^31 cells count as 2^31. The gradient of the input is exact, and the same for any number of threads.

    dtypes: float32, float64, float16, bfloat16 (half precision is computed in float32). Raises ArgumentError (a
    ValueError) for a bad argument, among them a box that is not finite or on no sample (compiled code: RuntimeError),
    TypeError for one of a wrong type, NotImplementedError for a dtype that is not taken.
    """
    name = "ps_roi_pool"
    size, scale = _checked(output_size, spatial_scale)
    x, packed = _regions(name, input, boxes)
    rows, columns = (_touched(packed, axis, scale, size[1 - axis], x.shape[3 - axis]) for axis in (1, 0))
    # A bin of n whole cells has n samples, each in the middle of a cell.
    return _by_bins(name, x, packed[:, 0], rows, columns, 0)


def _parts(boxes: Tensor, axis: int, scale: float, bins: int, ratio: int) -> Tensor:
    """Where each bin begins and ends along an axis (0 for x, 1 for y), in cells: (K, bins, 2)."""
    begin, end = (at[:, None] for at in region_reference.corners(boxes, axis, scale))
    length = (end - begin) / bins
    first = begin + torch.arange(bins, dtype=boxes.dtype, device=boxes.device) * length
    last = first + length
    if ratio == 0:
        # Each bin is to take as many samples as the box has a bin: one more or less by rounding is undone.
        more = (last - first).ceil() - length.ceil()
        last = torch.where(more == 0, last, torch.nextafter(last, -more * torch.inf))
    return torch.stack((first, last), -1)


def _touched(boxes: Tensor, axis: int, scale: float, bins: int, cells: int) -> Tensor:
    """The cells that each bin touches along an axis, as far as they lie on the map: from begin to end, (K, bins, 2)."""
    whole = region_reference.rounded(boxes[:, 1:])
    begin, end = (
        region_reference.clamped(whole[:, axis] * scale),
        region_reference.clamped((whole[:, axis + 2] + 1) * scale),
    )
    size = (end - begin).clamp(min=_SHORTEST)[:, None]
    edges = begin[:, None] + torch.arange(bins + 1, dtype=boxes.dtype, device=boxes.device) * size / bins
    return torch.stack((edges[:, :-1].floor(), edges[:, 1:].ceil()), -1).clamp(0, cells)


def _by_bins(name: str, x: Tensor, sample: Tensor, rows: Tensor, columns: Tensor, ratio: int) -> Tensor:
    """The mean of the samples of every bin, each in its own channels."""
    (count, height, _), width = rows.shape, columns.shape[1]
    bins = height * width
    channels = x.shape[1] // bins
    if x.shape[1] % bins:
        raise ArgumentError(
            f"{name}(): input must have a multiple of {bins} channels, the number of bins, but got {x.shape[1]}"
        )
    places = torch.arange(bins, dtype=sample.dtype, device=sample.device).view(1, height, width)
    number = sample[:, None, None] * bins + places
    down, across = rows[:, :, None].expand(-1, -1, width, -1), columns[:, None].expand(-1, height, -1, -1)
    every = torch.stack((number, across[..., 0], down[..., 0], across[..., 1], down[..., 1]), -1).view(-1, 5)
    maps = x.unflatten(1, (channels, bins)).transpose(1, 2).flatten(0, 1)
    y = region_ops.align(maps, every, [1, 1], 1.0, ratio, True)
    return region_reference.channels_second(y.reshape(count, height, width, channels), x)


class PSRoIAlign(Layer):
    """Position-sensitive RoI align as a layer: :func:`poolkit.functional.ps_roi_align` says what its arguments mean.

    Args:
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes.
        sampling_ratio: samples in a bin along each axis; 0 (or -1) takes as many as the bin is cells long.
    """

    _shown = ("output_size", "spatial_scale", "sampling_ratio")

    def __init__(self, output_size: int | Sequence[int], spatial_scale: float = 1.0, sampling_ratio: int = 0) -> None:
        super().__init__()
        _checked(output_size, spatial_scale)
        _checked_sampling(sampling_ratio, True)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio

    def forward(self, input: Tensor, boxes: Boxes) -> Tensor:
        return ps_roi_align(input, boxes, self.output_size, self.spatial_scale, self.sampling_ratio)


class PSRoIPool(Layer):
    """Position-sensitive RoI pool as a layer: :func:`poolkit.functional.ps_roi_pool` says what its arguments mean.

    Args:
        output_size: bins along height and width, one int or two.
        spatial_scale: cells of the map to a unit of the boxes.
    """

    _shown = ("output_size", "spatial_scale")

    def __init__(self, output_size: int | Sequence[int], spatial_scale: float = 1.0) -> None:
        super().__init__()
        _checked(output_size, spatial_scale)
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def forward(self, input: Tensor, boxes: Boxes) -> Tensor:
        return ps_roi_pool(input, boxes, self.output_size, self.spatial_scale)
