"""Pooling by brute force: float64, plain loops over cells, nothing shared with the package it judges.

An axis is a list of windows; a window names the cells it covers and how many taps the divisor counts.
A rule turns the values of one window into the result and the derivative of the result by each value.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Window(NamedTuple):
    """One window of one axis."""

    cells: tuple[int, ...]  # taps inside the input, ascending
    padded: int  # taps inside the input or its padding


Axis = list[Window]


def slide(length: int, kernel: int, stride: int, low: int, high: int, dilation: int, ceil_mode: bool) -> Axis:
    """The windows of a sliding axis, found by walking; empty if not even one fits."""
    effective = dilation * (kernel - 1) + 1
    axis: Axis = []
    for start in itertools.count(-low, stride):
        if ceil_mode:
            # A further window is opened while the last one left cells over, but never beyond the input.
            wanted = start - stride + effective < length + high and start < length
        else:
            wanted = start + effective <= length + high
        if not wanted:
            return axis
        taps = [start + step * dilation for step in range(kernel)]
        inside = tuple(tap for tap in taps if 0 <= tap < length)
        axis.append(Window(inside, sum(tap < length + high for tap in taps)))
    raise AssertionError("unreachable")


def adapt(length: int, outputs: int) -> Axis:
    """Output o covers every cell that meets the real interval [o * length / outputs, (o + 1) * ...)."""
    axis = []
    for output in range(outputs):
        cells = tuple(
            cell
            for cell in range(length)
            if (cell + 1) * outputs > output * length and cell * outputs < (output + 1) * length
        )
        axis.append(Window(cells, len(cells)))
    return axis


def same_padding(length: int, kernel: int, stride: int, dilation: int, lower: bool = False) -> tuple[int, int]:
    """TensorFlow's rule: as many outputs as ceil(length / stride), the odd cell at the end (or the start)."""
    effective = dilation * (kernel - 1) + 1
    total = max((math.ceil(length / stride) - 1) * stride + effective - length, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


class Part(NamedTuple):
    """What one window gives: its value, and the derivative by each of its cells."""

    value: float
    slope: Array


def winner(values: Array) -> int:
    """The first of the largest, or the last NaN."""
    best = 0
    for place, value in enumerate(values):
        if (value > values[best] and not math.isnan(values[best])) or math.isnan(value):
            best = place
    return best


def _only(place: int, size: int, slope: float = 1.0) -> Array:
    slopes = np.zeros(size)
    slopes[place] = slope
    return slopes


def _max(values: Array, padded: int) -> list[Part]:
    place = winner(values)
    return [Part(values[place], _only(place, len(values)))]


def _min(values: Array, padded: int) -> list[Part]:
    place = winner(-values)
    return [Part(values[place], _only(place, len(values)))]


def _sum(values: Array, padded: int) -> list[Part]:
    return [Part(float(np.sum(values)), np.ones(len(values)))]


def _avg(values: Array, padded: int, count_include_pad: bool = True, divisor_override: int | None = None) -> list[Part]:
    divisor = divisor_override or (padded if count_include_pad else len(values))
    return [Part(float(np.sum(values)) / divisor, np.full(len(values), 1 / divisor))]


def _power(values: Array, norm_type: float, divisor: int) -> list[Part]:
    sizes = np.abs(values)
    if math.isinf(norm_type):
        place = winner(sizes)
        return [Part(sizes[place], _only(place, len(values), float(np.sign(values[place]))))]
    largest = float(np.max(sizes))
    if largest == 0:
        return [Part(0.0, np.zeros(len(values)))]
    if math.isinf(largest):
        return [Part(math.inf, np.full(len(values), math.nan))]
    value = largest * (sum((size / largest) ** norm_type for size in sizes) / divisor) ** (1 / norm_type)
    slopes = [0.0 if x == 0 else math.copysign(1, x) * (abs(x) / value) ** (norm_type - 1) / divisor for x in values]
    return [Part(value, np.array(slopes))]


def _lp(values: Array, padded: int, norm_type: float) -> list[Part]:
    return _power(values, norm_type, 1)


def _power_avg(values: Array, padded: int, norm_type: float, count_include_pad: bool = True) -> list[Part]:
    return _power(values, norm_type, padded if count_include_pad else len(values))


def _avg_max(
    values: Array, padded: int, mode: str = "add", scale: float = 0.5, count_include_pad: bool = True
) -> list[Part]:
    [avg] = _avg(values, padded, count_include_pad)
    [largest] = _max(values, padded)
    if mode == "cat":
        return [avg, largest]
    return [Part(scale * (avg.value + largest.value), scale * (avg.slope + largest.slope))]


def _soft(values: Array, padded: int, temperature: float = 1.0, grad: str = "exact") -> list[Part]:
    size, top = len(values), np.max(values)
    if np.isnan(values).any():
        return [Part(math.nan, np.full(size, math.nan))]
    weights = np.array([1.0 if value == top else math.exp((value - top) / temperature) for value in values])
    weights /= weights.sum()
    value = sum(weight * value for weight, value in zip(weights, values, strict=True) if weight > 0)
    if math.isinf(value):
        return [Part(value, np.where(weights > 0, math.nan, 0))]
    tilt = (values - value) / temperature if grad == "exact" else np.zeros(size)
    return [Part(value, np.where(weights > 0, weights * (1 + tilt), 0))]


def _mixed(
    values: Array,
    padded: int,
    p: float = 0.5,
    granularity: str = "channel",
    count_include_pad: bool = True,
    training: bool = False,
    uniform: float = math.nan,
) -> list[Part]:
    [avg] = _avg(values, padded, count_include_pad)
    [largest] = _max(values, padded)
    if training:
        p = uniform < p
    if p in (0, 1):
        return [largest if p else avg]
    return [Part(p * largest.value + (1 - p) * avg.value, p * largest.slope + (1 - p) * avg.slope)]


def _stochastic(
    values: Array, padded: int, strict: bool = False, training: bool = False, uniform: float = math.nan
) -> list[Part]:
    size = len(values)
    if np.isnan(values).any():
        place = int(np.flatnonzero(np.isnan(values))[-1])
        return [Part(math.nan, _only(place, size) if training else np.full(size, math.nan))]
    weights = np.maximum(values, 0)
    if not training:
        if np.isinf(weights).any():
            return [Part(math.inf, np.full(size, math.nan))]
        total = np.sum(weights)
        if total == 0:
            return [Part(0.0, np.zeros(size))]
        value = float(np.sum(weights * weights) / total)
        return [Part(value, np.where(values > 0, (2 * values - value) / total, 0))]
    empty = not weights.any()
    if empty:
        weights = np.ones(size)
    elif np.isinf(weights).any():
        weights = np.isinf(weights).astype(np.float64)
    place = int(np.argmax(np.cumsum(weights) > uniform * np.sum(weights)))
    return [Part(0.0 if empty else values[place], _only(place, size))]


def _quantile(values: Array, padded: int, q: float, interpolation: str = "linear") -> list[Part]:
    size = len(values)
    if np.isnan(values).any():
        place = int(np.flatnonzero(np.isnan(values))[-1])
        return [Part(math.nan, _only(place, size))]
    order = sorted(range(size), key=lambda place: values[place])
    position = q * (size - 1)
    low, high = math.floor(position), math.ceil(position)
    # Of equals the first.
    places = [int(np.flatnonzero(values == values[place])[0]) for place in order]
    if interpolation == "linear" and low != high:
        share = position - low
        slope = (1 - share) * _only(places[low], size) + share * _only(places[high], size)
        return [Part((1 - share) * values[places[low]] + share * values[places[high]], slope)]
    place = places[{"lower": low, "higher": high, "nearest": round(position), "linear": low}[interpolation]]
    return [Part(values[place], _only(place, size))]


def _median(values: Array, padded: int, even: str = "lower") -> list[Part]:
    return _quantile(values, padded, 0.5, "linear" if even == "mean" else even)


def _top_k_mean(values: Array, padded: int, k: int) -> list[Part]:
    rank = [math.inf if math.isnan(value) else value for value in values]
    order = sorted(range(len(values)), key=lambda place: (not math.isnan(values[place]), -rank[place], place))
    chosen = order[:k]
    slope = np.zeros(len(values))
    slope[chosen] = 1 / len(chosen)
    return [Part(float(np.sum(values[chosen])) / len(chosen), slope)]


def _trimmed_mean(values: Array, padded: int, trim: float = 0.25) -> list[Part]:
    size = len(values)
    if np.isnan(values).any():
        return [Part(math.nan, np.full(size, 1 / size))]
    # In order the cells are as many intervals of length 1; each counts as far as it lies between the dropped ends.
    low = Fraction(str(trim)) * size
    high = size - low
    parts = [max(min(rank + 1, high) - max(rank, low), Fraction(0)) for rank in range(size)]
    if low == high:  # the middle cell, or the two that meet in the middle
        parts = [Fraction(rank <= low <= rank + 1) for rank in range(size)]
    slope = np.zeros(size)
    for place, part in zip(sorted(range(size), key=lambda place: values[place]), parts, strict=True):
        slope[place] = part / sum(parts)
    kept = slope > 0
    return [Part(float(np.sum(values[kept] * slope[kept])), slope)]


def _gem(values: Array, padded: int, p: float = 3.0, eps: float = 1e-6) -> list[Part]:
    if np.isnan(values).any():
        return [Part(math.nan, np.full(len(values), math.nan))]
    [part] = _power(np.maximum(values, eps), p, len(values))
    return [Part(part.value, np.where(values > eps, part.slope, 0))]


def _log_sum_exp(values: Array, padded: int, r: float = 10.0, mean: bool = True) -> list[Part]:
    size = len(values)
    if r == 0:
        return [Part(float(np.mean(values)), np.full(size, 1 / size))]
    if np.isnan(values).any():
        return [Part(math.nan, np.full(size, math.nan))]
    top = float(np.max(values) if r > 0 else np.min(values))
    exponents = [0.0 if value == top else r * (value - top) for value in values]
    weights = np.exp(exponents)
    # Of numbers near 1 the mean is taken of what they are less.
    part = math.log1p(math.fsum(math.expm1(e) for e in exponents) / size)
    if not mean:
        part = math.log(weights.sum())
    return [Part(top if math.isinf(top) else top + part / r, weights / weights.sum())]


def _range(values: Array, padded: int) -> list[Part]:
    [high], [low] = _max(values, padded), _min(values, padded)
    return [Part(high.value - low.value, high.slope - low.slope)]


def _var(values: Array, padded: int, unbiased: bool = False) -> list[Part]:
    size, divisor = len(values), max(len(values) - unbiased, 1)
    if not np.isfinite(values).all():
        return [Part(math.nan, np.full(size, math.nan))]
    mean = math.fsum(values) / size
    value = math.fsum((x - mean) ** 2 for x in values) / divisor
    return [Part(value, 2 * (values - mean) / divisor)]


def _std(values: Array, padded: int, unbiased: bool = False, eps: float = 1e-5) -> list[Part]:
    [part] = _var(values, padded, unbiased)
    value = math.sqrt(part.value + eps)
    return [Part(value, part.slope / (2 * value))]


RULES: dict[str, Callable[..., list[Part]]] = {
    "max": _max,
    "min": _min,
    "avg": _avg,
    "sum": _sum,
    "lp": _lp,
    "power_avg": _power_avg,
    "soft": _soft,
    "avg_max": _avg_max,
    "mixed": _mixed,
    "stochastic": _stochastic,
    "median": _median,
    "quantile": _quantile,
    "top_k_mean": _top_k_mean,
    "trimmed_mean": _trimmed_mean,
    "gem": _gem,
    "log_sum_exp": _log_sum_exp,
    "range": _range,
    "std": _std,
    "var": _var,
}


def philox(key: int, index: int) -> int:
    """Word `index % 4` of what Philox4x32-10 makes of the counter `index // 4` (Salmon et al., 2011, section 3.3)."""
    word = 2**32
    counter = [index // 4 % word, index // 4 // word, 0, 0]
    keys = [key % word, key // word % word]
    for _ in range(10):
        high_0, low_0 = divmod(0xD2511F53 * counter[0], word)
        high_1, low_1 = divmod(0xCD9E8D57 * counter[2], word)
        counter = [high_1 ^ counter[1] ^ keys[0], low_1, high_0 ^ counter[3] ^ keys[1], low_0]
        keys = [(keys[0] + 0x9E3779B9) % word, (keys[1] + 0xBB67AE85) % word]
    return counter[index % 4]


def uniform(key: int, count: int) -> Array:
    """The random numbers of the outputs, by their place in a contiguous array."""
    return np.array([philox(key, index) // 256 / 2**24 for index in range(count)], dtype=np.float64)


def windows(axes: Sequence[Axis], size: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Flat cells in row-major order and counted taps, window after window in row-major order."""
    for combination in itertools.product(*axes):
        cells = [0]
        for window, length in zip(combination, size, strict=True):
            cells = [cell * length + step for cell in cells for step in window.cells]
        yield cells, math.prod(window.padded for window in combination)


def empty_window(axes: Sequence[Axis]) -> tuple[int, int] | None:
    """The first (axis, output) whose window meets no cell of the input, if there is one."""
    for number, axis in enumerate(axes):
        for output, window in enumerate(axis):
            if not window.cells:
                return number, output
    return None


class Term(NamedTuple):
    """The share of one output in the input gradient: flat output, plane, cells of the plane, slopes."""

    output: int
    plane: int
    cells: list[int]
    slopes: Array


@dataclass(frozen=True)
class Pooled:
    """What pooling gives: values, winners (flat cell of the spatial volume), and the way back."""

    values: Array
    winners: NDArray[np.int64]
    terms: list[Term]
    planes: tuple[int, int]
    shape: tuple[int, ...]

    def backward(self, gradient: Array) -> Array:
        """The gradient of the input, given that of the output."""
        result = np.zeros(self.planes)
        flat = gradient.reshape(-1)
        for term in self.terms:
            result[term.plane, term.cells] += flat[term.output] * term.slopes
        return result.reshape(self.shape)


def pool(name: str, x: Array, axes: Sequence[Axis], draws: Array | None = None, **params: object) -> Pooled:
    """Pool the last len(axes) dimensions of ``x``, whose dimension before them holds the channels.

    A rule with two parts doubles the channels: first every channel's first part, then every second. ``draws`` holds a
    random number for each output, for rules that draw.
    """
    rank = len(axes)
    lead, size = x.shape[:-rank], x.shape[-rank:]
    outer, channels = math.prod(lead[:-1]), lead[-1]
    planes = x.reshape(outer * channels, math.prod(size)).astype(np.float64)
    spans = list(windows(axes, size))
    kinds = 2 if params.get("mode") == "cat" else 1

    values = np.zeros((outer, kinds, channels, len(spans)))
    winners = np.full(values.shape, -1, dtype=np.int64)
    terms = []
    for batch, channel, (number, (cells, padded)) in itertools.product(range(outer), range(channels), enumerate(spans)):
        plane = batch * channels + channel
        if draws is not None:
            params["uniform"] = draws[plane, number]
        for kind, part in enumerate(RULES[name](planes[plane, cells], padded, **params)):
            where = (batch, kind, channel, number)
            values[where] = part.value
            winners[where] = cells[int(np.argmax(np.abs(part.slope)))]
            terms.append(Term(int(np.ravel_multi_index(where, values.shape)), plane, cells, part.slope))

    shape = (*lead[:-1], kinds * channels, *(len(axis) for axis in axes))
    return Pooled(values.reshape(shape), winners.reshape(shape), terms, planes.shape, x.shape)
