"""Attentive statistics pooling: mean and standard deviation over time, under weights that a small network learns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.layers import sequence_ops, weighted_ops
from poolkit.layers.base import Layer, check_eps, check_flag
from poolkit.layers.steps import Lengths, Sequences, check_layout, read


def _pooled(sequences: Sequences, scores: Tensor, eps: float) -> Tensor:
    """Mean and deviation (N, 2C) under the softmax of scores, (N, C, L) or (N, 1, L)."""
    mean, variance = weighted_ops.moments(sequences, scores).chunk(2, 1)
    result = torch.cat((mean, variance.clamp(min=eps).sqrt()), 1)
    return sequences.without_empty(result).to(sequences.values.dtype)


def attentive_statistics_pool(
    input: Tensor | PackedSequence,
    scores: Tensor | PackedSequence,
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    eps: float = 1e-7,
    layout: str = "channels_first",
) -> Tensor:
    """Mean and standard deviation of every channel, weighted by the softmax of scores over the valid steps.

    Args:
        input: (N, C, L), or as `layout` says; without a batch, (C, L) or (L, C); or a PackedSequence.
        scores: one for each step and channel, of the input's shape, or with one channel that all share.
        lengths, mask, layout: as :func:`poolkit.functional.temporal_pool` takes them, for input and scores.
        eps: the least variance, > 0; below it the deviation is sqrt(eps) and has no gradient.

    Returns:
        (N, 2C), or (2C,) without a batch: the means, then the deviations. Half precision is computed in float32.

    The deviation is taken from the mean in a second pass, so that a large mean costs no precision. Padded steps and
    their scores may hold anything, NaN too: they change neither the result nor a gradient, and theirs is 0. A sequence
    without a valid step gives 0 for both, without a gradient.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    name = "attentive_statistics_pool"
    check_eps(eps)
    sequences = read(name, input, lengths, mask, layout)
    logits = read(name, scores, None, None, layout, "scores").values
    batch, channels, steps = sequences.values.shape
    if tuple(logits.shape) not in ((batch, channels, steps), (batch, 1, steps)):
        raise ArgumentError(
            f"{name}(): scores must have the shape {[batch, channels, steps]} or {[batch, 1, steps]} in the order "
            f"(N, C, L), but got {list(logits.shape)}"
        )
    return sequences.unbatch(_pooled(sequences, logits, eps))


class AttentiveStatisticsPool(Layer):
    """Mean and standard deviation over time, under weights that a small network gives the steps.

    The scores of the steps, V tanh(W [x, mean, deviation] + b) + k, become weights as
    :func:`poolkit.functional.attentive_statistics_pool` has them.

    Args:
        channels: C, of the input.
        hidden_channels: of the network that scores a step.
        per_channel: every channel has weights of its own; otherwise all share them.
        global_context: the network also sees the mean and the deviation of the sequence.
        eps: the least variance, > 0; added to that of the context.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask and gives (N, 2C), the means, then the deviations. The defaults are
    those of ECAPA-TDNN; without `per_channel` and `global_context` it is the pooling of Okabe and others. The state has
    the names of wespeaker's ASTP.
    """

    _shown = ("channels", "hidden_channels", "per_channel", "global_context", "eps", "layout")

    def __init__(
        self,
        channels: int,
        hidden_channels: int = 128,
        per_channel: bool = True,
        global_context: bool = True,
        eps: float = 1e-7,
        layout: str = "channels_first",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels = geometry.integer("channels", channels, positive=True)
        self.hidden_channels = geometry.integer("hidden_channels", hidden_channels, positive=True)
        check_flag("per_channel", per_channel)
        check_flag("global_context", global_context)
        check_eps(eps)
        check_layout(layout)
        self.per_channel, self.global_context, self.eps, self.layout = per_channel, global_context, eps, layout
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.linear1 = torch.nn.Conv1d(3 * channels if global_context else channels, hidden_channels, 1, **factory)
        self.linear2 = torch.nn.Conv1d(hidden_channels, channels if per_channel else 1, 1, **factory)

    def _scores(self, sequences: Sequences) -> Tensor:
        # What is the same at every step is multiplied by its weights once, not at every step.
        of_steps, of_context = self.linear1.weight[..., 0].tensor_split([self.channels], 1)
        constant: Any = self.linear1.bias
        if self.global_context:
            context = sequences.without_empty(sequence_ops.statistics(sequences, False, self.eps))
            constant = F.linear(context.to(sequences.values.dtype), of_context, constant)
        hidden = torch.matmul(of_steps, sequences.filled(0)) + constant[..., None]
        return self.linear2(hidden.tanh())

    def forward(
        self, input: Tensor | PackedSequence, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor:
        sequences = read(type(self).__name__, input, lengths, mask, self.layout, channels=self.channels)
        return sequences.unbatch(_pooled(sequences, self._scores(sequences), self.eps))
