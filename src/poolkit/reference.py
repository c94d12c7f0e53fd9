"""Pooling in plain PyTorch: gather every window, apply the method's formula.

Slow, k^d times the memory, and right on any device, for any floating dtype and to any order of derivative: the
fallback where no kernel runs, the route of double backward, and an oracle for the kernels.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from poolkit.geometry import Axis, Windows
from poolkit.methods import COUNT_FIXED, COUNT_PADDED, METHODS, Step


def _positions(axis: Axis) -> tuple[list[list[int]], list[list[bool]], list[int]]:
    """For each output: the positions of its cells, which of them exist, and how many the padded input has."""
    taps = [axis.tap(o) for o in range(axis.out)]
    dilation = axis.dilation if axis.kernel else 1
    rows = [[tap.first + t * dilation if t < tap.cells else 0 for t in range(axis.extent)] for tap in taps]
    exists = [[t < tap.cells for t in range(axis.extent)] for tap in taps]
    return rows, exists, [tap.padded for tap in taps]


class Cells:
    """The cells of every window, along the last axis: `values` (0 where there is none), `mask`, and the `count`."""

    def __init__(self, x: Tensor, windows: Windows, count: int = 0, divisor: int = 0) -> None:
        rank = windows.rank
        tables = [_positions(axis) for axis in windows.axes]
        shape = windows.output_size
        mask = torch.ones((), dtype=torch.bool, device=x.device)
        position = torch.zeros((), dtype=torch.int64, device=x.device)
        padded = torch.ones((), dtype=torch.float64)
        for i, (axis, (rows, exists, padded_count)) in enumerate(zip(windows.axes, tables, strict=True)):
            # Outputs of this axis stand at dimension i, its taps at dimension rank + i.
            view = [1] * (2 * rank)
            view[i], view[rank + i] = axis.out, axis.extent
            table = torch.tensor(rows, dtype=torch.int64, device=x.device).view(view)
            mask = mask & torch.tensor(exists, dtype=torch.bool, device=x.device).view(view)
            position = position * axis.size + table
            padded = padded * torch.tensor(padded_count, dtype=torch.float64).view(view[:rank])
        self.mask = mask.reshape(*shape, windows.extent)
        self.position = position.reshape(*shape, windows.extent)
        flat = x.flatten(-rank)
        gathered = flat.index_select(-1, self.position.flatten()).unflatten(-1, self.position.shape)
        self.values = gathered.masked_fill(~self.mask, 0)
        if count == COUNT_FIXED:
            counts = torch.full(shape, float(divisor), dtype=torch.float64)
        elif count == COUNT_PADDED:
            counts = padded.expand(shape)
        else:
            counts = self.mask.sum(-1).double()
        self.count = counts.to(device=x.device, dtype=x.dtype)

    def total(self) -> Tensor:
        return self.values.sum(-1)

    def average(self) -> Tensor:
        if self.values.is_floating_point():
            return self.total() / self.count
        return torch.div(self.total(), self.count, rounding_mode="trunc")

    def winner(self, largest: bool) -> Tensor:
        """The tap that wins: the last NaN, else the first of the extreme values."""
        values = self.values.detach()
        taps = torch.arange(values.shape[-1], device=values.device)
        nan = torch.isnan(values) & self.mask
        if values.is_floating_point():
            worst: float | int | bool = float("-inf") if largest else float("inf")
        elif values.dtype == torch.bool:
            worst = not largest
        else:
            worst = torch.iinfo(values.dtype).min if largest else torch.iinfo(values.dtype).max
        filled = values.masked_fill(~self.mask | nan, worst)
        if values.dtype == torch.bool:
            filled = filled.to(torch.uint8)
        best = filled.amax(-1, keepdim=True) if largest else filled.amin(-1, keepdim=True)
        first = torch.where((filled == best) & self.mask, taps, len(taps)).amin(-1)
        last_nan = torch.where(nan, taps, -1).amax(-1)
        return torch.where(last_nan >= 0, last_nan, first)

    def extreme(self, largest: bool) -> Tensor:
        return self.values.gather(-1, self.winner(largest).unsqueeze(-1)).squeeze(-1)

    def norm(self, p: float, mean: bool) -> Tensor:
        magnitude = self.values.abs()
        largest = magnitude.detach().amax(-1, keepdim=True)
        # Dividing the largest magnitude out first keeps the powers in range; it cancels in every derivative.
        settled = (largest == 0) | ~torch.isfinite(largest)
        unit = torch.where(settled, 1, largest)
        positive = magnitude > 0
        powers = torch.where(positive, magnitude / unit, 1).pow(p).mul(positive)
        total = powers.sum(-1, keepdim=True)
        if mean:
            total = total / self.count.unsqueeze(-1)
        root = torch.where(settled, 1, total).pow(1 / p) * unit
        # At infinity, and at NaN, the norm is the largest magnitude itself.
        return torch.where(settled, magnitude.amax(-1, keepdim=True), root).squeeze(-1)


def _widened(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _formula(x: Tensor, windows: Windows, step: Step) -> Tensor:
    method = METHODS[step.kernel]
    result: Tensor = method.reference(Cells(x, windows, step.counting, step.divisor), *step.floats)
    return result


def pool(x: Tensor, windows: Windows, step: Step) -> Tensor:
    """The pooled tensor by the method's formula."""
    return _formula(_widened(x), windows, step).to(x.dtype)


def winner_positions(x: Tensor, windows: Windows, step: Step) -> Tensor:
    """Where in its plane each output of max or min pooling came from, as torch counts."""
    cells = Cells(x, windows)
    winner = cells.winner(largest=step.kernel != "min")
    return cells.position.expand_as(cells.values).gather(-1, winner.unsqueeze(-1)).squeeze(-1)


def scatter(grad: Tensor, positions: Tensor, windows: Windows) -> Tensor:
    """The gradient of taking the cells at `positions`; itself differentiable in `grad`."""
    rank = windows.rank
    volume = functools.reduce(lambda a, b: a * b, windows.input_size, 1)
    flat = torch.zeros((*grad.shape[:-rank], volume), dtype=grad.dtype, device=grad.device)
    return flat.scatter_add(-1, positions.flatten(-rank), grad.flatten(-rank)).unflatten(-1, windows.input_size)


def adjoint(grad: Tensor, x: Tensor, windows: Windows, step: Step) -> Tensor:
    """The gradient with respect to x by differentiating the formula; itself differentiable in grad and x."""
    with torch.enable_grad():
        source = x if x.requires_grad else x.detach().requires_grad_()
        y = pool(source, windows, step)
        (result,) = torch.autograd.grad(y, source, grad, create_graph=True)
    return result
