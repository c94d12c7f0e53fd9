"""Statistics pooling: mean and standard deviation over time."""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from poolkit.layers import sequence_ops
from poolkit.layers.base import Layer, check_eps, check_flag
from poolkit.layers.steps import Lengths, check_layout, read


def _check(unbiased: bool, eps: float) -> None:
    check_flag("unbiased", unbiased)
    check_eps(eps)


def statistics_pool(
    input: Tensor | PackedSequence,
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    unbiased: bool = False,
    eps: float = 1e-5,
    layout: str = "channels_first",
) -> Tensor:
    """Mean and standard deviation of every channel over the valid steps, side by side.

    Args:
        input: (N, C, L), or as `layout` says; without a batch, (C, L) or (L, C); or a PackedSequence, which brings
            its own lengths and layout.
        lengths: the first `lengths[n]` steps are valid: integers from 0 to L, a tensor (N,) on any device or a list;
            one int without a batch. The values of a tensor are checked, which waits for its device; a compiled graph
            raises RuntimeError for wrong ones.
        mask: bool (N, L), True at valid steps, wherever they are; (L,) without a batch. Not with lengths.
        unbiased: divide the squares by n - 1 instead of n, the number of valid steps.
        eps: added to the variance, so that the root has a gradient everywhere; > 0.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    Returns:
        (N, 2C), or (2C,) without a batch: the means, then the deviations. Half precision is computed in float32.

    The deviation is taken from the mean in a second pass, so that a large mean costs no precision. One valid step
    gives the deviation sqrt(eps), unbiased or not; none gives 0 for both, without a gradient. Padded steps may hold
    anything, NaN too: they change neither the result nor a gradient, and theirs is 0.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    _check(unbiased, eps)
    sequences = read("statistics_pool", input, lengths, mask, layout)
    result = sequence_ops.statistics(sequences, unbiased, eps)
    return sequences.unbatch(sequences.without_empty(result).to(sequences.values.dtype))


class StatisticsPool(Layer):
    """Mean and standard deviation over time, :func:`poolkit.functional.statistics_pool` as a layer.

    Args:
        unbiased: divide the squares by n - 1 instead of n, the number of valid steps.
        eps: added to the variance, so that the root has a gradient everywhere; > 0.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask and gives (N, 2C).
    """

    _shown = ("unbiased", "eps", "layout")

    def __init__(self, unbiased: bool = False, eps: float = 1e-5, layout: str = "channels_first") -> None:
        super().__init__()
        _check(unbiased, eps)
        check_layout(layout)
        self.unbiased, self.eps, self.layout = unbiased, eps, layout

    def forward(
        self, input: Tensor | PackedSequence, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return statistics_pool(input, lengths, mask, self.unbiased, self.eps, self.layout)
