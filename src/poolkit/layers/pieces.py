"""Layers that treat every sample alone, worked through piece by piece.

A piece is a few samples, or a few channels of one. What is made of it on the way to its result is used up and
forgotten before the next: nothing much larger than input and output is held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from poolkit import layout, ops

#: Cells of a piece for each thread: smaller ones would spend their time between operations.
LARGEST_PIECE = 2**19


class _Part(NamedTuple):
    """Some samples, and, where these are treated alone, too, some of their channels."""

    samples: slice
    channels: slice | None

    def of(self, map: Tensor) -> Tensor:
        """This part of a map (N, C, ...), or of one (N, 1, ...) for all channels."""
        if self.channels is None or map.shape[1] == 1:
            return map[self.samples]
        return map[self.samples, self.channels]

    def of_parameter(self, parameter: Tensor) -> Tensor:
        """This part of a parameter (C, ...), or of one (1, ...) for all channels."""
        return parameter if self.channels is None or parameter.shape[0] == 1 else parameter[self.channels]


def _slices(count: int, most: int) -> list[slice]:
    """As many in all, or nearly, and never more than these."""
    step = -(-count // -(-count // max(1, most)))
    return [slice(first, first + step) for first in range(0, count, step)]


def _most() -> int:
    return LARGEST_PIECE * torch.get_num_threads()


def _parts(x: Tensor, rank: int, channels: bool, weight: int) -> list[_Part]:
    """The parts of maps (N, C, *spatial); channels stay together where they lie together."""
    count, depth = x.shape[:2]
    cells = max(1, weight * math.prod(x.shape[2:]))
    alone: Sequence[slice | None] = [None]
    if channels:
        alone = _slices(depth, depth if layout.is_channels_last(x, rank) else _most() // cells)
    return [_Part(samples, each) for samples in _slices(count, _most() // (cells * depth)) for each in alone]


def is_large(x: Tensor, weight: int = 1) -> bool:
    """Whether this is a plain tensor of the processor, of more cells than a piece has."""
    return not torch.compiler.is_compiling() and x.numel() * weight > _most() and is_plain(x)


def is_plain(x: Tensor) -> bool:
    """Whether code that torch cannot take apart may see this tensor, and kernels take it."""
    if torch.compiler.is_compiling() or not ops.HAS_KERNELS:
        return False
    return type(x) in (Tensor, torch.nn.Parameter) and ops.is_plain(x)


def worked(
    formula: Callable[..., Any],
    rank: int,
    maps: Sequence[Tensor],
    parameters: Sequence[Tensor] = (),
    channels: bool = True,
    weight: int = 1,
) -> Any:
    """The formula's result for each part of maps (N, C, *spatial), or a tuple of results, put together.

    Args:
        formula: of as many maps and parameters.
        channels: whether every channel is treated alone, too: parameters are (C, ...) or (1, ...), and maps but for the
            first may have a single channel.
        weight: how many numbers are made of a cell, if not about one.
    """
    x, results, single = maps[0], list[Tensor](), False
    for part in _parts(x, rank, channels, weight):
        given = formula(*map(part.of, maps), *map(part.of_parameter, parameters))
        single = isinstance(given, Tensor)
        pieces = (given,) if single else given
        if not results:
            last = layout.is_channels_last(x, rank)
            for piece in pieces:
                size = [x.shape[0], x.shape[1] if channels else piece.shape[1], *piece.shape[2:]]
                results.append(layout.empty(piece, size, piece.dtype, last and piece.dim() == x.dim(), rank))
        for result, piece in zip(results, pieces, strict=True):
            part.of(result).copy_(piece)
    return results[0] if single else results


def run(
    formula: Callable[..., Tensor],
    rank: int,
    maps: Sequence[Tensor],
    parameters: Sequence[Tensor] = (),
    channels: bool = True,
    weight: int = 1,
) -> Tensor:
    """The formula's result for maps (N, C, *spatial), or without N; by pieces if they are large and need no gradient.

    What a gradient needs would be kept anyway, or take longer to make again than it is worth.
    """
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*maps, *parameters))
    if wanted or not is_large(maps[0], weight):
        return formula(*maps, *parameters)
    batched = maps[0].dim() == rank + 2
    y = cast(Tensor, worked(formula, rank, maps if batched else [m[None] for m in maps], parameters, channels, weight))
    return y if batched else y[0]
