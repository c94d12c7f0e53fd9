"""Windows laid side by side, then a reduction of their cells: how poolings that torch lacks are written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from layers import Case
from torch import Tensor
from torch.nn import functional

from peers.foreign import pad_high, windows_of
from peers.peer import Function, Peer
from poolkit.geometry import Axis

Axes = tuple[Axis, ...]
Reduction = Callable[[Tensor, int], Tensor]
"""The value of each window, from the windows and the dimension along which their cells lie."""
Gathering = Callable[[Tensor, Axes, Reduction], Tensor]

#: Keeps windows without a positive cell from 0 / 0, and torch.multinomial from refusing them.
TINY = 1e-12


def unfolded(x: Tensor, axes: Axes, reduce: Reduction) -> Tensor:
    """By torch.nn.functional.unfold, the usual way."""
    kernel, stride = tuple(axis.kernel for axis in axes), tuple(axis.stride for axis in axes)
    windows = functional.unfold(x, kernel, stride=stride).unflatten(1, (x.shape[1], -1))
    return reduce(windows, 2).unflatten(-1, [axis.out for axis in axes])


def viewed(x: Tensor, axes: Axes, reduce: Reduction) -> Tensor:
    """By Tensor.unfold along every axis, the way of timm's MedianPool2d."""
    for dim, axis in enumerate(axes, 2):
        x = x.unfold(dim, axis.kernel, axis.stride)
    return reduce(x.flatten(2 + len(axes)), -1)


def convolved(x: Tensor, axes: Axes, reduce: Reduction) -> Tensor:
    """By a convolution whose filters pick one cell each, the way of kornia's median_blur."""
    kernel, stride = tuple(axis.kernel for axis in axes), tuple(axis.stride for axis in axes)
    filters = torch.eye(math.prod(kernel), dtype=x.dtype).view(-1, 1, *kernel)
    windows = functional.conv2d(x.flatten(0, 1).unsqueeze(1), filters, stride=stride)
    return reduce(windows, 1).unflatten(0, x.shape[:2])


def soft(case: Case) -> Reduction:
    temperature = case.params.get("temperature", 1.0)
    return lambda windows, dim: (windows * (windows / temperature).softmax(dim)).sum(dim)


def stochastic(case: Case) -> Reduction:
    def mean(windows: Tensor, dim: int) -> Tensor:
        parts = windows.relu()
        return parts.square().sum(dim) / parts.sum(dim).clamp(min=TINY)

    def draw(windows: Tensor, dim: int) -> Tensor:
        parts = windows.relu().movedim(dim, -1)
        tap = torch.multinomial((parts.detach() + TINY).flatten(0, -2), 1)
        return parts.gather(-1, tap.view(*parts.shape[:-1], 1)).squeeze(-1)

    return draw if case.params.get("training") else mean


def median(case: Case) -> Reduction:
    return lambda windows, dim: windows.median(dim).values


def middle_of_sorted(case: Case) -> Reduction:
    return lambda windows, dim: windows.sort(dim).values.select(dim, (windows.shape[dim] - 1) // 2)


def quantile(case: Case) -> Reduction:
    q, interpolation = case.params["q"], case.params.get("interpolation", "linear")
    return lambda windows, dim: torch.quantile(windows, q, dim, interpolation=interpolation)


def top_k_mean(case: Case) -> Reduction:
    k = case.params["k"]
    return lambda windows, dim: windows.topk(k, dim).values.mean(dim)


def trimmed_mean(case: Case) -> Reduction:
    trim = case.params.get("trim", 0.25)

    def reduce(windows: Tensor, dim: int) -> Tensor:
        n = windows.shape[dim]
        dropped = min(trim * n, n / 2 - 0.25)
        ranks = torch.arange(n, device=windows.device)
        shares = (ranks + 1).clamp(max=n - dropped) - ranks.clamp(min=dropped)
        return windows.sort(dim).values.movedim(dim, -1) @ (shares.clamp(min=0) / (n - 2 * dropped)).to(windows.dtype)

    return reduce


def log_sum_exp(case: Case) -> Reduction:
    r = case.params.get("r", 10.0)
    return lambda windows, dim: ((r * windows).logsumexp(dim) - math.log(windows.shape[dim])) / r


def spread(case: Case) -> Reduction:
    return lambda windows, dim: windows.amax(dim) - windows.amin(dim)


def variance(case: Case) -> Reduction:
    return lambda windows, dim: windows.var(dim, correction=0)


def deviation(case: Case) -> Reduction:
    return lambda windows, dim: (windows.var(dim, correction=0) + 1e-5).sqrt()


Reductions = Mapping[str, Callable[[Case], Reduction]]
REDUCTIONS: Reductions = {
    "soft": soft,
    "stochastic": stochastic,
    "median": median,
    "quantile": quantile,
    "top_k_mean": top_k_mean,
    "trimmed_mean": trimmed_mean,
    "log_sum_exp": log_sum_exp,
    "range": spread,
    "var": variance,
    "std": deviation,
}


def recipe(name: str, gather: Gathering, reductions: Reductions, ranks: tuple[int, ...] = (2,)) -> Peer:
    def function(case: Case) -> Function | None:
        axes = windows_of(case.layer).axes
        plain = all(axis.kernel and axis.dilation == 1 and not axis.pad_low and not pad_high(axis) for axis in axes)
        if case.method not in reductions or len(axes) not in ranks or not plain:
            return None
        reduce = reductions[case.method](case)
        return lambda x: gather(x, axes, reduce)

    return Peer(name, function, lambda: torch.__version__)


UNFOLD = recipe("F.unfold", unfolded, {**REDUCTIONS, "median": middle_of_sorted})
VIEWS = recipe("x.unfold", viewed, REDUCTIONS, (1, 2, 3))
ONE_HOT = recipe("one-hot conv", convolved, {"median": median})
