"""Means over time whose weights come from the steps themselves: auto-pool and linear softmax."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from poolkit import geometry
from poolkit.layers import weighted_ops
from poolkit.layers.base import Layer, check_number
from poolkit.layers.steps import Lengths, check_layout, for_channels, read


def auto_pool(
    input: Tensor | PackedSequence,
    alpha: Tensor | float,
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    layout: str = "channels_first",
) -> Tensor:
    """The mean over the valid steps under the softmax of alpha times the steps: y = sum w x, w = softmax(alpha x).

    Args:
        input: (N, C, L), or as `layout` says; without a batch, (C, L) or (L, C); or a PackedSequence.
        alpha: a number, or a tensor (C,) with one for each channel, which receives a gradient: the variance of the
            steps under their weights. 0 gives the mean, 1 softmax pooling, inf the maximum, -inf the minimum, NaN NaN.
        lengths, mask, layout: as :func:`poolkit.functional.temporal_pool` takes them.

    Returns:
        (N, C), or (C,) without a batch, of the input's dtype; half precision is computed in float32.

    Steps count relative to the largest, or for negative alpha the smallest: nothing overflows, and no digits are lost
    where a large number is added to all. Under an infinite alpha steps that tie share the gradient, and alpha has none.
    The gradient of a step, w (1 + alpha (x - y)), is negative far from the extreme. Padded steps may hold anything, NaN
    too: they change neither the result nor a gradient, and theirs is 0. A sequence without a valid step gives 0 and
    has no gradient. NaN among the valid steps gives NaN. Of infinite steps those of alpha's sign leave the others no
    chance; their gradients are NaN, and so is the result where alpha is 0.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    name = "auto_pool"
    sequences = read(name, input, lengths, mask, layout)
    alpha = for_channels(name, "alpha", alpha, sequences)
    result = weighted_ops.auto(sequences, alpha)
    return sequences.unbatch(sequences.without_empty(result).to(sequences.values.dtype))


class AutoPool(Layer):
    """Pooling over time between minimum, mean and maximum, at a place that each channel learns.

    :func:`poolkit.functional.auto_pool` with a parameter alpha.

    Args:
        channels: C, of the input.
        init: what alpha starts from: 0 is the mean, 1 softmax pooling.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask and gives (N, C).
    """

    _shown = ("channels", "init", "layout")

    def __init__(
        self,
        channels: int,
        init: float = 1.0,
        layout: str = "channels_first",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels = geometry.integer("channels", channels, positive=True)
        check_number("init", init)
        check_layout(layout)
        self.init, self.layout = init, layout
        self.alpha = torch.nn.Parameter(torch.full((channels,), float(init), device=device, dtype=dtype))

    def forward(
        self, input: Tensor | PackedSequence, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return auto_pool(input, self.alpha, lengths, mask, self.layout)


def linear_softmax_pool(
    input: Tensor | PackedSequence,
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    layout: str = "channels_first",
) -> Tensor:
    """The mean over the valid steps, weighted by the steps: y = sum x^2 / sum x.

    Args:
        input: probabilities, or other numbers >= 0, (N, C, L), or as `layout` says; without a batch, (C, L) or (L, C);
            or a PackedSequence.
        lengths, mask, layout: as :func:`poolkit.functional.temporal_pool` takes them.

    Returns:
        (N, C), or (C,) without a batch, of the input's dtype; half precision is computed in float32.

    Steps whose sum is 0, such as zeros, give 0 and have no gradient; so has a sequence without a valid step. The
    gradient of a step is (2 x - y) / sum x: those above half the result are pulled up, those below it down. Negative
    steps are taken as they are, and leave the result without bounds. Padded steps may hold anything, NaN too: they
    change neither the result nor a gradient, and theirs is 0. NaN or infinity among the valid steps gives NaN.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    sequences = read("linear_softmax_pool", input, lengths, mask, layout)
    result = weighted_ops.linear_softmax(sequences)
    return sequences.unbatch(result.to(sequences.values.dtype))


class LinearSoftmaxPool(Layer):
    """The mean over time, weighted by the steps, :func:`poolkit.functional.linear_softmax_pool` as a layer.

    Args:
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask and gives (N, C).
    """

    _shown = ("layout",)

    def __init__(self, layout: str = "channels_first") -> None:
        super().__init__()
        check_layout(layout)
        self.layout = layout

    def forward(
        self, input: Tensor | PackedSequence, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return linear_softmax_pool(input, lengths, mask, self.layout)
