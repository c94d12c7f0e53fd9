"""Pooling in plain PyTorch: gather every window, apply the method's formula.

Slow, k^d times the memory, and right on any device, for any floating dtype and to any order of derivative: the
fallback where no kernel runs, the route of double backward, and an oracle for the kernels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from poolkit.geometry import Axis, Windows
from poolkit.methods import COUNT_FIXED, COUNT_PADDED, KERNELS, Step
from poolkit.methods.ranks import RULES
from poolkit.philox import uniform


class _Table(NamedTuple):
    """The windows along one axis: where their cells are and which of them exist, (outputs, taps), and their count."""

    positions: Tensor
    exists: Tensor
    padded: Tensor  #: how many cells the padded input has, (outputs,)


def _table(axis: Axis, device: torch.device) -> _Table:
    # Arithmetic on tensors, so that exporters see operations and sizes may be symbolic.
    tap: Any = axis.tap(torch.arange(axis.out, device=device))
    number = torch.arange(axis.extent, device=device)
    exists = number < tap.cells[:, None]
    positions = tap.first[:, None] + number * (axis.dilation if axis.kernel else 1)
    return _Table(positions.masked_fill(~exists, 0), exists, tap.padded)


class Cells:
    """The cells of every window, along the last axis: `values` (0 where there is none), `mask`, and the `count`."""

    def __init__(
        self, x: Tensor, windows: Windows, count: int = 0, divisor: int = 0, seed: Tensor | None = None
    ) -> None:
        rank = windows.rank
        self.seed = seed
        tables = [_table(axis, x.device) for axis in windows.axes]
        mask = torch.ones((), dtype=torch.bool, device=x.device)
        position = torch.zeros((), dtype=torch.int64, device=x.device)
        padded = torch.ones((), dtype=torch.int64, device=x.device)
        gathered = x
        for i, (axis, table) in enumerate(zip(windows.axes, tables, strict=True)):
            # Outputs of this axis stand at dimension i, its taps at dimension rank + i.
            view = [1] * (2 * rank)
            view[i], view[rank + i] = axis.out, axis.extent
            mask = mask & table.exists.view(view)
            position = position * axis.size + table.positions.view(view)
            padded = padded * table.padded.view(view[:rank])
            if not axis.side_by_side:
                gathered = gathered.index_select(i - rank, table.positions.flatten())
        shape = (*windows.output_size, windows.extent)
        self.mask = mask.reshape(shape)
        self.position = position.reshape(shape)
        # Of each axis its outputs and then its taps, until all taps stand behind all outputs.
        apart = [size for axis in windows.axes for size in (axis.out, axis.extent)]
        leading = x.dim() - rank
        order = (*range(leading), *(leading + j for i in (0, 1) for j in range(i, 2 * rank, 2)))
        gathered = gathered.reshape(*x.shape[:-rank], *apart).permute(order).flatten(-rank)
        self.values = gathered & self.mask if x.dtype == torch.bool else gathered.masked_fill(~self.mask, 0)
        if count == COUNT_FIXED:
            counts = torch.full(windows.output_size, float(divisor), dtype=torch.float64, device=x.device)
        elif count == COUNT_PADDED:
            counts = padded.expand(windows.output_size)
        else:
            counts = self.mask.sum(-1)
        self.count = counts.to(x.dtype)

    def inside(self, parts: Tensor, rest: float = 0) -> Tensor:
        """A number for each cell, with `rest` where there is none."""
        return parts.masked_fill(~self.mask, rest)

    def total(self) -> Tensor:
        return self.values.sum(-1)

    def average(self) -> Tensor:
        if self.values.is_floating_point():
            return self.total() / self.count
        return torch.div(self.total(), self.count, rounding_mode="trunc")

    def at(self, tap: Tensor) -> Tensor:
        """The value of one cell of each window."""
        return self.values.gather(-1, tap.unsqueeze(-1)).squeeze(-1)

    def _ordered(self) -> Tensor:
        """The values in a type that has extremes."""
        values = self.values.detach()
        return values.to(torch.uint8) if values.dtype == torch.bool else values

    def _nan(self) -> Tensor:
        if not self.values.is_floating_point():
            return torch.zeros_like(self.values, dtype=torch.bool)
        return torch.isnan(self.values.detach()) & self.mask

    def winner(self, largest: bool) -> Tensor:
        """The tap that wins: the last NaN, else the first of the extreme values."""
        values, nan = self._ordered(), self._nan()
        if values.is_floating_point():
            worst: float | int = float("-inf") if largest else float("inf")
        else:
            worst = torch.iinfo(values.dtype).min if largest else torch.iinfo(values.dtype).max
        filled = values.masked_fill(~self.mask | nan, worst)
        best = filled.amax(-1, keepdim=True) if largest else filled.amin(-1, keepdim=True)
        return self._last_nan_or(self._first((filled == best) & self.mask))

    def _first(self, cells: Tensor) -> Tensor:
        """The first tap of these cells of each window."""
        taps = torch.arange(cells.shape[-1], device=cells.device)
        return torch.where(cells, taps, len(taps) - 1).amin(-1)

    def _last_nan_or(self, tap: Tensor) -> Tensor:
        nan = self._nan()
        taps = torch.arange(nan.shape[-1], device=nan.device)
        last_nan = torch.where(nan, taps, -1).amax(-1)
        return torch.where(last_nan >= 0, last_nan, tap)

    def extreme(self, largest: bool) -> Tensor:
        return self.at(self.winner(largest))

    def _order(self, descending: bool = False) -> Tensor:
        """The taps in order of value, the padding last."""
        values = self._ordered()
        if values.is_floating_point():
            last: float | int = float("-inf") if descending else float("inf")
        else:
            last = torch.iinfo(values.dtype).min if descending else torch.iinfo(values.dtype).max
        order = values.masked_fill(~self.mask, last).sort(dim=-1, descending=descending, stable=True).indices
        # Padding may stand among cells that are as large as it: moved behind them.
        outside = ~self.mask.expand_as(values).gather(-1, order)
        return order.gather(-1, outside.to(torch.uint8).sort(dim=-1, stable=True).indices)

    def ordered(self) -> tuple[Tensor, Tensor]:
        """The values from the smallest to the largest, equals as they stand, the padding last; and their ranks."""
        values = self.values.gather(-1, self._order())
        return values, torch.arange(values.shape[-1], device=values.device)

    def _place(self, q: float) -> tuple[Tensor, Tensor]:
        """How far from the smallest to the largest, as a rank and the rest."""
        place = q * (self.mask.sum(-1) - 1).double()
        return place.floor().long(), place - place.floor()

    def ranked(self, q: float, rule: float) -> Tensor:
        """The tap of the cell at q between the smallest and the largest: the first of its value, or the last NaN."""
        rank, rest = self._place(q)
        if rule == RULES["higher"]:
            rank = rank + (rest > 0)
        elif rule == RULES["nearest"]:
            rank = rank + (rest > 0.5) + ((rest == 0.5) & (rank % 2 == 1))
        order = self._order()
        tap = order.gather(-1, rank.expand(order.shape[:-1]).unsqueeze(-1)).squeeze(-1)
        chosen = self.at(tap).detach().unsqueeze(-1)
        return self._last_nan_or(self._first((self.values.detach() == chosen) & self.mask))

    def between(self, q: float) -> Tensor:
        """The mix of the two cells beside q."""
        _, rest = self._place(q)
        share = torch.where(rest > 0, rest, 0.5).to(self.values.dtype)  # both are one cell where rest is 0
        low, high = (self.at(self.ranked(q, RULES[rule])) for rule in ("lower", "higher"))
        return low * (1 - share) + high * share

    def largest_mean(self, k: float) -> Tensor:
        count = self.mask.sum(-1, keepdim=True).clamp(max=int(k))
        ranks = torch.arange(self.values.shape[-1], device=self.values.device)
        largest = self.values.gather(-1, self._order(descending=True)).masked_fill(ranks >= count, 0)
        return largest.sum(-1) / count.squeeze(-1).to(largest.dtype)

    def drawn(self) -> Tensor:
        """The tap drawn with a probability in proportion to its positive part; any, where no cell is positive."""
        weights = self.values.detach().clamp(min=0)
        largest = weights.amax(-1, keepdim=True)
        shares = torch.where(weights == largest, 1, weights / largest)
        weights = torch.where(weights.sum(-1, keepdim=True).isinf(), shares, weights)
        weights = torch.where(largest == 0, 1, weights).masked_fill(~self.mask, 0)
        before = weights.cumsum(-1) - weights
        assert self.seed is not None
        shape = self.values.shape[:-1]
        target = uniform(self.seed, shape, self.values.device).to(weights.dtype) * weights.sum(-1)
        taken = (weights > 0) & (before <= target.unsqueeze(-1))
        taps = torch.arange(weights.shape[-1], device=weights.device)
        return self._last_nan_or(torch.where(taken, taps, 0).amax(-1))

    def drawn_value(self) -> Tensor:
        value = self.at(self.drawn())
        positive = (self.values.detach() > 0).any(-1) | value.isnan()
        return torch.where(positive, value, value - value.detach())

    def positive_mean(self) -> Tensor:
        parts = self.values.relu()
        largest = parts.detach().amax(-1, keepdim=True)
        # Dividing the largest out first keeps the squares in range; it cancels in every derivative.
        settled = (largest == 0) | ~torch.isfinite(largest)
        shares = parts / torch.where(settled, 1, largest)
        total = shares.sum(-1, keepdim=True)
        mean = largest * (shares * shares).sum(-1, keepdim=True) / torch.where(settled, 1, total)
        return torch.where(settled, parts.amax(-1, keepdim=True), mean).squeeze(-1)

    def soft_mean(self, temperature: float, constant_weights: bool, scores: Tensor | None = None) -> Tensor:
        """The mean weighted by the softmax of scores, one a cell; of the cells themselves if there are none."""
        if scores is None:
            scores = self.values
        largest = scores.detach().masked_fill(~self.mask, float("-inf")).amax(-1, keepdim=True)
        # The largest stands for itself: infinity less infinity is no number. Their derivatives stay.
        top = scores.detach() == largest
        relative = torch.where(top, scores - scores.detach(), scores - largest)
        relative = relative.masked_fill(top & ~largest.isfinite(), 0) / temperature
        weights = relative.exp() * self.mask
        if constant_weights:
            weights = weights.detach()
        parts = torch.where((weights == 0) & ~self.values.isnan(), 0, weights * self.values)
        return parts.sum(-1) / weights.sum(-1)

    def log_of_exponentials(self, r: float | Tensor, mean: bool) -> Tensor:
        """ln(sum of exp(r x)) / r, or of their mean."""
        scores = self.inside(self.values * r, float("-inf"))
        top = scores.detach().amax(-1, keepdim=True)
        endless = ~top.isfinite()
        below = torch.where(endless, scores - scores.detach(), scores - top).masked_fill(~self.mask, float("-inf"))
        below = below.masked_fill(endless & (scores != top) & ~scores.isnan(), float("-inf"))
        if mean:
            count = self.mask.sum(-1).to(scores.dtype)
            # Where all cells are near the top, the logarithm of their mean is that of nearly 1.
            less = below.expm1().masked_fill(~self.mask, 0).sum(-1) / count
            near = less > -0.5
            part = torch.where(near, torch.where(near, less, 0).log1p(), (below.exp().sum(-1) / count).log())
        else:
            part = below.exp().sum(-1).log()
        value = (top.squeeze(-1) + part) / r
        return torch.where(endless.squeeze(-1), top.squeeze(-1) / r + part - part.detach(), value)

    def variance(self, unbiased: bool, eps: float | None = None) -> Tensor:
        """The mean square of the deviations from the mean; with eps, the root of that and eps."""
        count = self.mask.sum(-1).to(self.values.dtype)
        # In units of the largest where squares would leave the range of the type; these cancel in every derivative.
        largest = self.values.detach().abs().amax(-1, keepdim=True)
        limit = torch.finfo(self.values.dtype).max ** 0.25
        unit = torch.where((largest > limit) & largest.isfinite(), largest, 1)
        parts = self.values / unit
        mean = self.inside(parts).sum(-1, keepdim=True) / count.unsqueeze(-1)
        squares = self.inside(parts - mean).square().sum(-1)
        part = squares / ((count - 1).clamp(min=1) if unbiased else count)
        unit = unit.squeeze(-1)
        return part * unit * unit if eps is None else (part + eps / unit / unit).sqrt() * unit

    def norm(self, p: float | Tensor, mean: bool, least: float | None = None) -> Tensor:
        """The norm of the magnitudes or, if there is a least, of the values, none of which counts as less."""
        magnitude = self.values.abs()
        if least is not None:
            magnitude = self.inside(torch.where(self.values <= least, least, self.values))
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


def widened(x: Tensor) -> Tensor:
    """The tensor in the type to compute in."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def pool(x: Tensor, windows: Windows, step: Step, seed: Tensor | None = None) -> Tensor:
    """The pooled tensor by the kernel's formula."""
    kernel = KERNELS[step.kernel]
    cells = Cells(widened(x), windows, step.counting, step.divisor, seed)
    if kernel.reference is not None:
        result: Tensor = kernel.reference(cells, *step.floats)
    else:
        assert kernel.winner is not None
        result = cells.at(kernel.winner(cells, *step.floats))
    return result.to(x.dtype)


def winner_positions(x: Tensor, windows: Windows, step: Step, seed: Tensor | None = None) -> Tensor:
    """Where in its plane each output came from, as torch counts; for kernels that pick one cell of a window."""
    cells = Cells(widened(x), windows, seed=seed)
    winner_of = KERNELS[step.kernel].winner
    assert winner_of is not None
    winner = winner_of(cells, *step.floats)
    return cells.position.expand_as(cells.values).gather(-1, winner.unsqueeze(-1)).squeeze(-1)


def scatter(grad: Tensor, positions: Tensor, windows: Windows) -> Tensor:
    """The gradient of taking the cells at `positions`; itself differentiable in `grad`."""
    rank = windows.rank
    volume = functools.reduce(lambda a, b: a * b, windows.input_size, 1)
    flat = torch.zeros((*grad.shape[:-rank], volume), dtype=grad.dtype, device=grad.device)
    return flat.scatter_add(-1, positions.flatten(-rank), grad.flatten(-rank)).unflatten(-1, windows.input_size)


def last_writers(indices: Tensor, volume: int) -> Tensor:
    """Which cells of the flattened planes write last to the position that they name."""
    order = torch.arange(indices.shape[-1], device=indices.device).expand_as(indices)
    last = torch.full((*indices.shape[:-1], volume), -1, dtype=torch.int64, device=indices.device)
    last = last.scatter_reduce(-1, indices, order, "amax")
    return last.gather(-1, indices) == order


def unpool(x: Tensor, indices: Tensor, output_size: list[int]) -> Tensor:
    """Puts each value at its index of a zero volume, none of which may lie outside; of duplicates the last stays."""
    rank, volume = len(output_size), math.prod(output_size)
    flat = indices.flatten(-rank)
    values = x.flatten(-rank).masked_fill(~last_writers(flat, volume), 0)
    zeros = torch.zeros((*values.shape[:-1], volume), dtype=x.dtype, device=x.device)
    return zeros.scatter_add(-1, flat, values).unflatten(-1, output_size)


def by_logits(x: Tensor, logits: Tensor, windows: Windows) -> Tensor:
    """The mean of each window, weighted by the exponentials of logits."""
    wide = torch.promote_types(x.dtype, torch.float32)
    scores = Cells(logits.to(wide), windows).values
    return Cells(x.to(wide), windows).soft_mean(1.0, False, scores).to(x.dtype)


def adjoint(grad: Tensor, x: Tensor, windows: Windows, step: Step) -> Tensor:
    """The gradient with respect to x by differentiating the formula; itself differentiable in grad and x."""
    with torch.enable_grad():
        source = x if x.requires_grad else x.detach().requires_grad_()
        y = pool(source, windows, step)
        (result,) = torch.autograd.grad(y, source, grad, create_graph=True)
    return result


def differentiated(
    formula: Callable[..., Tensor], tensors: Sequence[Tensor | None], grad: Tensor, *settings: object
) -> list[Tensor | None]:
    """The gradients of those tensors that need one, by operations that autograd can differentiate again."""
    with torch.enable_grad():
        wanted = [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]
        results = iter(torch.autograd.grad(formula(*tensors, *settings), wanted, grad, create_graph=True))
    return [next(results) if tensor is not None and tensor.requires_grad else None for tensor in tensors]
