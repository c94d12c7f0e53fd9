"""Pooling over time as formulas: what runs where no kernel does, and what derivatives of gradients are taken of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poolkit import functional
from poolkit.layers.base import wide
from poolkit.layers.steps import Sequences


def total(sequences: Sequences) -> Tensor:
    return functional.global_sum_pool1d(wide(sequences.filled(0)), keepdim=False)


def extreme(sequences: Sequences, largest: bool) -> Tensor:
    pool = functional.adaptive_max_pool1d if largest else functional.adaptive_min_pool1d
    worst = -math.inf if largest else math.inf
    _, winner = pool(sequences.filled(worst).detach(), 1, return_indices=True)
    step = winner[..., 0]
    if sequences.valid is not None:
        # A sequence of nothing but the worst value ties with its padding: its first valid step wins.
        inside = sequences.valid.gather(1, step)
        step = torch.where(inside, step, sequences.first_step())
    return sequences.pick(step)


def statistics(sequences: Sequences, unbiased: bool, eps: float) -> Tensor:
    sequences = sequences._replace(values=wide(sequences.values))
    count = sequences.valid_count()
    mean = total(sequences) / count
    centred = sequences._replace(values=sequences.values - mean[..., None])
    squares = functional.global_sum_pool1d(centred.filled(0).square(), keepdim=False)
    divisor = count
    if unbiased:
        divisor = max(count - 1, 1) if isinstance(count, int) else (count - 1).clamp(min=1)
    deviation = (squares / divisor + eps).sqrt()
    return torch.cat((mean, deviation), 1)


def largest(x: Tensor, k: int, lengths: Tensor, counts: Tensor, by_value: bool) -> Tensor:
    length = x.shape[-1]
    steps, kept = lengths[:, None, None], torch.arange(k, device=x.device) < counts[:, None, None]
    time = torch.arange(length, device=x.device)
    # The order of a stable sort is that of positions among equals, so that padding comes behind every valid step: it
    # is the smallest of all and stands last.
    lowest = -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    ranked = x.detach().masked_fill(time >= steps, lowest).sort(dim=-1, descending=True, stable=True).indices
    places = torch.nn.functional.pad(ranked[..., :k], (0, max(0, k - length)))
    if not by_value:
        places = places.masked_fill(~kept, length).sort(dim=-1).values.masked_fill(~kept, 0)
    return x.gather(-1, places).masked_fill(~kept, 0)
