"""SPLADE pooling: the weights of a vocabulary from the logits of a text's tokens."""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from poolkit.errors import ArgumentError
from poolkit.layers import sequence_ops
from poolkit.layers.base import Layer, wide
from poolkit.layers.steps import Lengths, check_layout, read

KINDS = ("max", "sum")
ACTIVATIONS = ("relu", "log1p_relu")


def _check(kind: str, activation: str) -> None:
    if kind not in KINDS:
        raise ArgumentError(f"kind must be one of {', '.join(map(repr, KINDS))}, but got {kind!r}")
    if activation not in ACTIVATIONS:
        raise ArgumentError(f"activation must be one of {', '.join(map(repr, ACTIVATIONS))}, but got {activation!r}")


def _saturated(x: Tensor, activation: str) -> Tensor:
    weight = wide(x).relu().log1p()
    return weight.log1p() if activation == "log1p_relu" else weight


def splade_pool(
    input: Tensor | PackedSequence,
    kind: str = "max",
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    activation: str = "relu",
    layout: str = "channels_first",
) -> Tensor:
    """The maximum or the sum of log(1 + relu(x)) over the valid tokens of a text: a sparse vector of terms.

    Args:
        input: logits, (N, C, L) with C the size of the vocabulary, or as `layout` says, mostly 'batch_first'; without a
            batch, (C, L) or (L, C); or a PackedSequence.
        kind: 'max' or 'sum'.
        lengths, mask, layout: as :func:`poolkit.functional.temporal_pool` takes them.
        activation: 'relu', or 'log1p_relu' for log(1 + log(1 + relu(x))).

    Returns:
        (N, C), or (C,) without a batch, of the input's dtype; half precision is computed in float32.

    The logarithm grows with its argument: the maximum is taken first, and the logarithm of that alone. Maxima give
    their gradient to one token, the first of equals; a maximum of 0 or less gives 0 and has none. Padded tokens may
    hold anything, NaN too: they change neither the result nor a gradient, and theirs is 0. A text without a valid token
    gives 0. A NaN among the valid tokens wins.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    _check(kind, activation)
    sequences = read("splade_pool", input, lengths, mask, layout)
    if kind == "max":
        largest = sequences.without_empty(sequence_ops.extreme(sequences, largest=True))
        result = _saturated(largest, activation)
    else:
        weights = _saturated(sequences.filled(0), activation)
        result = sequence_ops.total(sequences._replace(values=weights, valid=None))
    return sequences.unbatch(result.to(sequences.values.dtype))


class SpladePool(Layer):
    """A sparse vector of terms from the logits of a text's tokens, :func:`poolkit.functional.splade_pool` as a layer.

    Args:
        kind: 'max' or 'sum'.
        activation: 'relu', or 'log1p_relu' for log(1 + log(1 + relu(x))).
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask and gives (N, C).
    """

    _shown = ("kind", "activation", "layout")

    def __init__(self, kind: str = "max", activation: str = "relu", layout: str = "channels_first") -> None:
        super().__init__()
        _check(kind, activation)
        check_layout(layout)
        self.kind, self.activation, self.layout = kind, activation, layout

    def forward(
        self, input: Tensor | PackedSequence, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return splade_pool(input, self.kind, lengths, mask, self.activation, self.layout)
