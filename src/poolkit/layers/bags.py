"""Pooling of a bag's instances as probabilities: noisy-or, noisy-and and the rule of segmentation and recognition."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.layers import sequence_ops
from poolkit.layers.base import Layer, check_flag, check_number, wide
from poolkit.layers.steps import Lengths, Sequences, check_layout, for_channels, read


def _or_of_logits(sequences: Sequences) -> Tensor:
    # -log(1 - p); beyond the threshold it is the logit itself in every dtype.
    excluded = F.softplus(wide(sequences.filled(-math.inf)), threshold=40)
    return 0 - torch.expm1(
        -sequence_ops.total(sequences._replace(values=excluded, valid=None))
    )  # 0, not -0, of nothing


def _or_of_probabilities(sequences: Sequences) -> Tensor:
    probabilities = wide(sequences.filled(0))
    none = (1 - probabilities).prod(2)
    # The product has the gradient, exact where a probability is 1, too; the sum of logarithms has the digits that are
    # lost beside 1.
    with torch.no_grad():
        uncertain = probabilities < 1
        logarithms = torch.log1p(torch.where(uncertain, -probabilities, 0))
        some = torch.where(uncertain.all(2), 0 - torch.expm1(logarithms.sum(2)), 1 - none)
    return some.detach() - (none - none.detach())


def noisy_or_pool(
    input: Tensor | PackedSequence,
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    logits: bool = False,
    layout: str = "channels_first",
) -> Tensor:
    """The probability that at least one instance of a bag is positive, if they are independent: y = 1 - prod (1 - p).

    Args:
        input: probabilities, (N, C, L) with L instances to a bag, or as `layout` says; without a batch, (C, L) or
            (L, C); or a PackedSequence.
        lengths, mask, layout: as :func:`poolkit.functional.temporal_pool` takes them.
        logits: the input holds logits, p = sigmoid(x).

    Returns:
        (N, C), or (C,) without a batch, of the input's dtype: probabilities. Half precision is computed in float32.

    Small probabilities keep all their digits: nothing is subtracted from 1. The gradient of an instance is the product
    of the others' 1 - p, also where probabilities are exactly 1. Padded instances may hold anything, NaN too: they
    change neither the result nor a gradient, and theirs is 0. A bag without a valid instance gives 0. NaN among the
    valid instances gives NaN. Numbers out of [0, 1], such as rounding makes, are taken as they are.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    check_flag("logits", logits)
    sequences = read("noisy_or_pool", input, lengths, mask, layout)
    result = (_or_of_logits if logits else _or_of_probabilities)(sequences)
    return sequences.unbatch(result.to(sequences.values.dtype))


class NoisyOrPool(Layer):
    """The probability that at least one instance is positive, :func:`poolkit.functional.noisy_or_pool` as a layer.

    Args:
        logits: the input holds logits, not probabilities.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask and gives probabilities (N, C).
    """

    _shown = ("logits", "layout")

    def __init__(self, logits: bool = False, layout: str = "channels_first") -> None:
        super().__init__()
        check_flag("logits", logits)
        check_layout(layout)
        self.logits, self.layout = logits, layout

    def forward(
        self, input: Tensor | PackedSequence, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return noisy_or_pool(input, lengths, mask, self.logits, self.layout)


def _check_slope(a: float) -> None:
    check_number("a", a)
    if a <= 0:
        raise ArgumentError(f"a must be a finite number > 0, but got {a!r}")


def noisy_and_pool(
    input: Tensor | PackedSequence,
    threshold: Tensor | float,
    a: float = 10.0,
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    logits: bool = False,
    layout: str = "channels_first",
) -> Tensor:
    """A soft step of the mean probability m: y = (s(a (m - b)) - s(-a b)) / (s(a (1 - b)) - s(-a b)), s the sigmoid.

    Args:
        input: probabilities, (N, C, L) with L instances to a bag, or as `layout` says; without a batch, (C, L) or
            (L, C); or a PackedSequence.
        threshold: b, the mean at which the step stands, a number or a tensor (C,), which receives a gradient.
        a: how steep the step is, > 0; near 0 the result is the mean.
        lengths, mask, layout: as :func:`poolkit.functional.temporal_pool` takes them.
        logits: the input holds logits, p = sigmoid(x).

    Returns:
        (N, C), or (C,) without a batch, of the input's dtype: from 0 where the mean is 0 to 1 where it is 1. Half
        precision is computed in float32.

    The formula is computed as s(a (m - b)) (1 - exp(-a m)) / (s(a (1 - b)) (1 - exp(-a))), which is the same and
    subtracts no near numbers. Padded instances may hold anything, NaN too: they change neither the result nor a
    gradient, and theirs is 0. A bag without a valid instance gives 0 and has no gradient. NaN among the valid instances
    gives NaN.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    name = "noisy_and_pool"
    _check_slope(a)
    check_flag("logits", logits)
    sequences = read(name, input, lengths, mask, layout)
    threshold = for_channels(name, "threshold", threshold, sequences)
    dtype = sequences.values.dtype
    if logits:
        sequences = sequences._replace(values=wide(sequences.filled(0)).sigmoid())
    mean = sequence_ops.total(sequences) / sequences.valid_count()
    step = (F.logsigmoid(a * (mean - threshold)) - F.logsigmoid(a * (1 - threshold))).exp()
    result = step * (torch.expm1(-a * mean) / math.expm1(-a))
    return sequences.unbatch(sequences.without_empty(result).to(dtype))


class NoisyAndPool(Layer):
    """A soft step of the mean probability at a threshold that each channel learns.

    :func:`poolkit.functional.noisy_and_pool` with a parameter threshold.

    Args:
        channels: C, of the input.
        a: how steep the step is, > 0; 10 in the paper.
        init: what the thresholds start from.
        logits: the input holds logits, not probabilities.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask and gives (N, C).
    """

    _shown = ("channels", "a", "init", "logits", "layout")

    def __init__(
        self,
        channels: int,
        a: float = 10.0,
        init: float = 0.5,
        logits: bool = False,
        layout: str = "channels_first",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels = geometry.integer("channels", channels, positive=True)
        _check_slope(a)
        check_number("init", init)
        check_flag("logits", logits)
        check_layout(layout)
        self.a, self.init, self.logits, self.layout = a, init, logits, layout
        self.threshold = torch.nn.Parameter(torch.full((channels,), float(init), device=device, dtype=dtype))

    def forward(
        self, input: Tensor | PackedSequence, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return noisy_and_pool(input, self.threshold, self.a, lengths, mask, self.logits, self.layout)


def _odds_of_probabilities(sequences: Sequences) -> Tensor:
    """S / (1 + S), S = sum of p / (1 - p), with numerator and denominator times the least 1 - p."""
    probabilities = wide(sequences.filled(0))
    complements = 1 - probabilities
    certain = complements == 0
    # A certain instance has the least complement, 0, and ties with others like it: its quotient is 1.
    least = sequence_ops.extreme(sequences._replace(values=complements, valid=None), largest=False)
    quotients = torch.where(certain, 1, least[..., None] / torch.where(certain, 1, complements))
    odds = sequence_ops.total(sequences._replace(values=probabilities * quotients, valid=None))
    return odds / (least + odds)


def _odds_of_logits(sequences: Sequences) -> Tensor:
    """The sigmoid of the logarithm of the sum of exp(x)."""
    logits = wide(sequences.filled(-math.inf))
    limit = torch.finfo(logits.dtype).max
    return logits.clamp(-limit, limit).logsumexp(2).sigmoid()  # infinity less infinity is no number


def isr_pool(
    input: Tensor | PackedSequence,
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    logits: bool = False,
    layout: str = "channels_first",
) -> Tensor:
    """The odds of the instances added up, as a probability: y = S / (1 + S), S = sum of p / (1 - p).

    Args:
        input: probabilities, (N, C, L) with L instances to a bag, or as `layout` says; without a batch, (C, L) or
            (L, C); or a PackedSequence.
        lengths, mask, layout: as :func:`poolkit.functional.temporal_pool` takes them.
        logits: the input holds logits, p = sigmoid(x); the result is then sigmoid(log sum exp(x)).

    Returns:
        (N, C), or (C,) without a batch, of the input's dtype: probabilities. Half precision is computed in float32.

    The odds are taken relative to the largest: an instance whose probability is exactly 1 gives 1, with the gradient 1,
    and the others' is 0. Of several such the first has the gradient. Padded instances may hold anything, NaN too: they
    change neither the result nor a gradient, and theirs is 0. A bag without a valid instance gives 0 and has no
    gradient. NaN among the valid instances gives NaN; so may numbers out of [0, 1].

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    check_flag("logits", logits)
    sequences = read("isr_pool", input, lengths, mask, layout)
    result = (_odds_of_logits if logits else _odds_of_probabilities)(sequences)
    return sequences.unbatch(result.to(sequences.values.dtype))


class ISRPool(Layer):
    """The odds of the instances added up, as a probability, :func:`poolkit.functional.isr_pool` as a layer.

    Args:
        logits: the input holds logits, not probabilities.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask and gives probabilities (N, C).
    """

    _shown = ("logits", "layout")

    def __init__(self, logits: bool = False, layout: str = "channels_first") -> None:
        super().__init__()
        check_flag("logits", logits)
        check_layout(layout)
        self.logits, self.layout = logits, layout

    def forward(
        self, input: Tensor | PackedSequence, lengths: Lengths | None = None, mask: Tensor | None = None
    ) -> Tensor:
        return isr_pool(input, lengths, mask, self.logits, self.layout)
