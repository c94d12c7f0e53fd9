"""Maxima of drawn regions as formulas: what runs where no kernel does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Regions(NamedTuple):
    """The regions along one axis, of each sample and channel or of all: their first and last cells, (N, C, regions)."""

    first: Tensor
    last: Tensor
    longest: int


def _beside(cells: Tensor, dim: int, rank: int) -> Tensor:
    """Cells of an axis, (N, C, regions), as they broadcast with maps."""
    return cells.reshape(*cells.shape[:2], *(1,) * (rank + dim), cells.shape[2], *(1,) * (-dim - 1))


def _pick(x: Tensor, dim: int, cells: Tensor, rank: int) -> Tensor:
    """These cells of an axis."""
    if cells.shape[:2] == (1, 1):
        return x.index_select(dim, cells.flatten())
    sizes = [*x.shape]
    sizes[dim] = cells.shape[2]
    return x.gather(dim, _beside(cells, dim, rank).expand(sizes))


def _winners(x: Tensor, regions: Sequence[Regions]) -> Tensor:
    """Where in its plane the largest cell of each region stands: the first of equals, the last NaN."""
    rank, values = len(regions), x
    places: list[Tensor] = []  # the winner's cell on the axes that are done, the last axis first
    for dim in range(-1, -rank - 1, -1):
        first, last, longest = regions[dim]
        best = _pick(values, dim, first, rank)
        place = _beside(first, dim, rank).expand(best.shape)
        for tap in range(1, longest):
            cells = torch.minimum(first + tap, last)
            others = _pick(values, dim, cells, rank)
            wins = (others > best) | others.isnan()
            best = torch.where(wins, others, best)
            place = torch.where(wins, _beside(cells, dim, rank), place)
        places = [*(done.gather(dim, place) for done in places), place]
        values = best
    position = places.pop()
    for size, place in zip(x.shape[3:], reversed(places), strict=True):
        position = position * size + place
    return position


def pool(x: Tensor, regions: Sequence[Regions]) -> tuple[Tensor, Tensor]:
    """The largest cell of each region, and where in its plane it stands."""
    with torch.no_grad():
        positions = _winners(x.detach(), regions)
    return x.flatten(2).gather(2, positions.flatten(2)).view(positions.shape), positions
