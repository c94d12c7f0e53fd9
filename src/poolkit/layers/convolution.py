"""What the layers with convolutions share."""

from __future__ import annotations

import torch
from torch import Tensor

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.geometry import Windows

CONVOLUTIONS: dict[int, type[torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d]] = {
    1: torch.nn.Conv1d,
    2: torch.nn.Conv2d,
    3: torch.nn.Conv3d,
}
BATCH_NORMS: dict[int, type[torch.nn.BatchNorm1d | torch.nn.BatchNorm2d | torch.nn.BatchNorm3d]] = {
    1: torch.nn.BatchNorm1d,
    2: torch.nn.BatchNorm2d,
    3: torch.nn.BatchNorm3d,
}


def odd_sizes(name: str, value: int | tuple[int, ...], rank: int) -> tuple[int, ...]:
    """A kernel size that has a middle on every axis."""
    sizes = geometry.per_axis(name, value, rank)
    if not all(size % 2 for size in sizes):
        raise ArgumentError(f"{name} must be odd, but got {value!r}")
    return sizes


def filtered(x: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows) -> Tensor:
    """Sums over sliding windows of cells times weights, a channel at a time; zeros beyond the input.

    The weights are (C * F, *kernel): the F filters of a channel of the input (N, C, *spatial), or without N, side by
    side, as their sums are in the result.
    """
    axes = windows.axes
    spans = [axis.dilation * (axis.kernel - 1) + 1 for axis in axes]
    # A convolution pads both ends alike, and leaves out the cells behind its last window itself.
    alike = all(
        a.pad_low >= 0 and (a.size + 2 * a.pad_low - span) // a.stride + 1 == a.out
        for a, span in zip(axes, spans, strict=True)
    )
    if not alike:
        ends = [
            (a.pad_low, (a.out - 1) * a.stride + span - a.size - a.pad_low) for a, span in zip(axes, spans, strict=True)
        ]
        x = torch.nn.functional.pad(x, [pad for pair in reversed(ends) for pad in pair])
    convolve = (torch.nn.functional.conv1d, torch.nn.functional.conv2d, torch.nn.functional.conv3d)[windows.rank - 1]
    batched = x.dim() == windows.rank + 2
    result = convolve(
        x if batched else x[None],
        weight.unsqueeze(1),
        bias,
        tuple(axis.stride for axis in axes),
        tuple(axis.pad_low for axis in axes) if alike else 0,
        tuple(axis.dilation for axis in axes),
        x.shape[-windows.rank - 1],
    )
    return result if batched else result[0]
