"""Pooling over the channels: all of them, or groups of neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from poolkit import functional, geometry
from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer, check_floating

_POOLS = {
    "mean": functional.global_avg_pool1d,
    "max": functional.global_max_pool1d,
    "min": functional.global_min_pool1d,
}

_WINDOWS: dict[str, Callable[..., Any]] = {
    "mean": functional.avg_pool1d,
    "max": functional.max_pool1d,
    "min": functional.min_pool1d,
}


def _checked_kinds(kind: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(kind, Sequence):
        raise TypeError(f"kind must be a name or several of them, but got {kind!r} ({type(kind).__name__})")
    kinds = (kind,) if isinstance(kind, str) else tuple(kind)
    if not kinds or not all(each in tuple(_POOLS) for each in kinds):
        allowed = ", ".join(map(repr, _POOLS))
        raise ArgumentError(f"kind must be one of {allowed}, or several of them, but got {kind!r}")
    return kinds


def _check_dim(dim: int) -> None:
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"dim must be an int, but got {dim!r} ({type(dim).__name__})")


def _checked_input(name: str, input: Tensor, dim: int) -> int:
    """The dimension of the channels, counted from the first."""
    _check_dim(dim)
    check_floating(name, input=input)
    if not -input.dim() <= dim < input.dim():
        raise ArgumentError(f"{name}(): dim must be a dimension of the input {list(input.shape)}, but got {dim}")
    dim %= input.dim()
    if 0 in input.shape[dim:]:
        raise ArgumentError(f"{name}(): input must have at least one channel and cell, but got {list(input.shape)}")
    return dim


def channel_pool(input: Tensor, kind: str | Sequence[str] = ("mean", "max"), dim: int = 1) -> Tensor:
    """Mean, maximum or minimum over the channels of every cell.

    Args:
        input: (N, C, *spatial) with any number of spatial dimensions, none too; or without a batch, with `dim=0`.
        kind: 'mean', 'max' or 'min', or several of them, which become the channels of the result.
        dim: the dimension of the channels.

    Returns:
        The input's shape with one channel for each kind. Maxima and minima give their gradient to one channel, the
        first of equals; NaN wins.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    kinds = _checked_kinds(kind)
    dim = _checked_input("channel_pool", input, dim)
    before, after = input.shape[:dim], input.shape[dim + 1 :]
    # The cells stand where channels do, and the channels are what is pooled: no copy in either memory format.
    cells = input.reshape(math.prod(before), input.shape[dim], math.prod(after)).transpose(1, 2)
    pooled = [_POOLS[each](cells).reshape(*before, 1, *after) for each in kinds]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim)


class ChannelPool(Layer):
    """Pooling over the channels, :func:`poolkit.functional.channel_pool` as a layer.

    Args:
        kind: 'mean', 'max' or 'min', or several of them, which become the channels of the result.
        dim: the dimension of the channels: 1, or 0 for inputs without a batch.
    """

    _shown = ("kind", "dim")

    def __init__(self, kind: str | Sequence[str] = ("mean", "max"), dim: int = 1) -> None:
        super().__init__()
        _check_dim(dim)
        self.kind, self.dim = _checked_kinds(kind), dim

    def forward(self, input: Tensor) -> Tensor:
        return channel_pool(input, self.kind, self.dim)


def channel_group_pool(input: Tensor, group_size: int, kind: str = "max", dim: int = 1) -> Tensor:
    """Maximum, minimum or mean of each group of neighbouring channels; the maximum is maxout.

    Args:
        input: (N, C, *spatial) with any number of spatial dimensions, none too; or without a batch, with `dim=0`.
        group_size: how many channels a group has; it divides C. The first group are the first `group_size` channels.
        kind: 'max', 'min' or 'mean'.
        dim: the dimension of the channels.

    Returns:
        The input's shape with C / group_size channels. Maxima and minima give their gradient to one channel, the first
        of equals; NaN wins.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.

    >>> channel_group_pool(torch.tensor([[1.0, 4.0, 3.0, 2.0]]), 2)
    tensor([[4., 3.]])
    """
    name = "channel_group_pool"
    _check_group(group_size, kind)
    dim = _checked_input(name, input, dim)
    if input.shape[dim] % group_size:
        raise ArgumentError(
            f"{name}(): group_size must divide the channels of the input {list(input.shape)}, but got {group_size}"
        )
    if input.stride(dim) == 1:  # groups are windows along memory
        rows = input.movedim(dim, -1)
        pooled: Tensor = _WINDOWS[kind](rows.reshape(-1, 1, rows.shape[-1]), group_size)
        return pooled.reshape(*rows.shape[:-1], rows.shape[-1] // group_size).movedim(-1, dim)
    return channel_pool(input.unflatten(dim, (-1, group_size)), kind, dim + 1).squeeze(dim + 1)


def _check_group(group_size: int, kind: str) -> None:
    geometry.integer("group_size", group_size, positive=True)
    if kind not in tuple(_POOLS):
        raise ArgumentError(f"kind must be one of {', '.join(map(repr, _POOLS))}, but got {kind!r}")


class ChannelGroupPool(Layer):
    """Pooling over groups of channels, :func:`poolkit.functional.channel_group_pool` as a layer.

    Args:
        group_size: how many neighbouring channels a group has; it divides those of the input.
        kind: 'max' (maxout), 'min' or 'mean'.
        dim: the dimension of the channels: 1, or 0 for inputs without a batch.
    """

    _shown = ("group_size", "kind", "dim")

    def __init__(self, group_size: int, kind: str = "max", dim: int = 1) -> None:
        super().__init__()
        _check_group(group_size, kind)
        _check_dim(dim)
        self.group_size, self.kind, self.dim = group_size, kind, dim

    def forward(self, input: Tensor) -> Tensor:
        return channel_group_pool(input, self.group_size, self.kind, self.dim)
