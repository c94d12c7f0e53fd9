"""What the blocks with convolutions share."""

from __future__ import annotations

import torch

from poolkit import geometry
from poolkit.errors import ArgumentError

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
