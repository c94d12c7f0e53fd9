"""Which cells each output of a pooling came from: its gradient, read as routing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poolkit import ops
from poolkit.geometry import Axis, Windows
from poolkit.methods import Step
from poolkit.show.track import Track, unwatched

_SUM = Step("sum")


class Routing(NamedTuple):
    """What a pooling drew on."""

    pooled: NDArray[Any]  #: (channels, *output size)
    shares: NDArray[Any]  #: of the input's shape: how many outputs each cell stands for
    contributors: float  #: effective number of cells behind an output: (sum w)^2 / sum w^2, on average; NaN if none


def routing(
    function: Callable[[Tensor], Tensor], values: NDArray[Any], plan: Windows, track: Track = unwatched
) -> Routing:
    """Backpropagates ones through `function`, which pools (channels, *spatial) by the windows of the plan.

    The magnitudes of an output's derivatives, divided by their sum, are the shares of its cells. Where windows overlap,
    derivatives would add up and could cancel; so only outputs whose windows have no cell in common are sent back
    together. `function` may make several channels of each, and be any differentiable function of its windows' cells.
    An output of which no cell has a derivative, as that of equal cells under `std`, came from no cell.
    """
    x = torch.from_numpy(np.array(values, np.float64)).requires_grad_()
    ones = torch.ones_like(x, requires_grad=True)
    pooled, sums = function(x), cast(Tensor, ops.pool(ones, plan, _SUM))
    channels = len(values)
    shares, effective, windows = torch.zeros_like(x), 0.0, 0
    for first, *offsets in track(apart(pooled.shape[0] // channels, plan), "tracing"):
        chosen = (slice(None), *(slice(offset, None, step) for offset, step in offsets))
        seeds = torch.zeros_like(pooled)
        seeds[first * channels : (first + 1) * channels][chosen] = 1
        weights = torch.autograd.grad(pooled, x, seeds, retain_graph=True)[0].abs().nan_to_num(0, 0, 0)
        totals, back = cast(Tensor, ops.pool(weights, plan, _SUM))[chosen], torch.zeros_like(sums)
        back[chosen] = torch.where(totals > 0, 1 / totals, 0)
        share = weights * torch.autograd.grad(sums, ones, back, retain_graph=True)[0]
        squares = cast(Tensor, ops.pool(share.square(), plan, _SUM))[chosen]
        effective += float((1 / squares[squares > 0]).sum())
        windows += int((squares > 0).sum())
        shares += share
    return Routing(pooled.detach().numpy(), shares.numpy(), effective / windows if windows else float("nan"))


def apart(groups: int, plan: Windows) -> list[tuple[Any, ...]]:
    """Classes of outputs whose windows have no cell in common: a group of channels, (first, step) along each axis."""
    steps = [distance(axis) for axis in plan.axes]
    along = [[(first, step) for first in range(step)] for step in steps]
    return list(itertools.product(range(groups), *along))


def distance(axis: Axis) -> int:
    """From how many outputs on the windows are sure to have no cell in common."""
    taps = [axis.tap(o) for o in range(axis.out)]
    firsts = np.array([tap.first for tap in taps])
    lasts = np.array([tap.first + max(axis.dilation, 1) * (tap.cells - 1) for tap in taps])
    return int((np.searchsorted(firsts, lasts, side="right") - np.arange(axis.out)).max())
