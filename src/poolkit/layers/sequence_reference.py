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
