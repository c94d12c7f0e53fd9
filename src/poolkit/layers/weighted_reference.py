"""Means over time that weigh the steps, as formulas: what runs where no kernel does, and what derivatives of gradients
are taken of."""

from __future__ import annotations

import torch
from torch import Tensor

from poolkit.layers import sequence_ops
from poolkit.layers.base import wide
from poolkit.layers.steps import Sequences


def auto(sequences: Sequences, alpha: Tensor) -> Tensor:
    kept = sequences._replace(values=sequences.values.detach())
    largest, smallest = (wide(sequence_ops.extreme(kept, largest)) for largest in (True, False))
    # The result does not depend on the step that the others are relative to: it needs no derivative.
    top = sequences.without_empty(torch.where(alpha < 0, smallest, largest))
    top = torch.where(top.isfinite(), top, 0)
    relative = wide(sequences.filled(0)) - top[..., None]
    return top + sequence_ops.mean_by_logits(sequences._replace(values=relative), alpha[..., None] * relative)


def moments(sequences: Sequences, scores: Tensor) -> Tensor:
    values = wide(sequences.filled(0))
    logits = scores.to(values.dtype).expand_as(values)
    mean = sequence_ops.mean_by_logits(sequences._replace(values=values), logits)
    squares = (values - mean[..., None]).square()
    variance = sequence_ops.mean_by_logits(sequences._replace(values=squares), logits)
    return torch.cat((mean, variance), 1)


def linear_softmax(sequences: Sequences) -> Tensor:
    total = sequence_ops.total(sequences)
    nothing = total == 0
    divisor = torch.where(nothing, 1, total)
    # Squares of shares are neither too small nor too large for their dtype. The scale cancels in every derivative.
    scale = divisor.detach()
    shares = wide(sequences.filled(0)) / scale[..., None]
    squares = sequence_ops.total(sequences._replace(values=shares.square(), valid=None))
    return torch.where(nothing, 0, squares * scale * (scale / divisor))
