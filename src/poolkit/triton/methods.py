"""The list: for each kernel's name the programs that compute it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from poolkit.triton.reducers import draws, extrema, means, norms, ranks, softmax, spreads

Program = Any  # a function of Triton's
Kind = Callable[[Sequence[float], torch.dtype], int]


def _none(floats: Sequence[float], dtype: torch.dtype) -> int:
    return 0


def _exponent(floats: Sequence[float], dtype: torch.dtype) -> int:
    """The exponent, where it is one that multiplications compute."""
    return int(floats[0]) if floats[0] in (1, 2, 3) else 0


def _first(floats: Sequence[float], dtype: torch.dtype) -> int:
    return int(floats[0])


def _second(floats: Sequence[float], dtype: torch.dtype) -> int:
    return int(floats[1])


_BITS = {torch.float64: 64, torch.float32: 32, torch.float16: 19, torch.bfloat16: 16}


def _bits(floats: Sequence[float], dtype: torch.dtype) -> int:
    return _BITS[dtype]


class Reducer(NamedTuple):
    """What runs for one kernel."""

    #: The program of the result, and of the result and the winner; the same for both if it keeps winners anyway.
    value: Program
    winner: Program = None
    pull: Program = None
    #: What the gradient reads beside its own: the input, the result, the winners.
    reads: tuple[str, ...] = ()
    #: A program that finds out about each window, before the gradient is gathered, what `kept` names: "number" or
    #: "integer" for each of its results.
    survey: Program = None
    kept: tuple[str, ...] = ()
    #: The variant that the step's floats ask for: in programs, and in the gradient.
    kind: Kind = _none
    pull_kind: Kind | None = None
    #: Whether the program or the survey go over the cells in order, so that no plane can be shared among lanes.
    in_order: bool = False
    survey_in_order: bool = False


_NORM: dict[str, Any] = {"reads": ("x", "y"), "kind": _exponent}
_SHARES: tuple[str, ...] = ("x",)

REDUCERS: dict[str, Reducer] = {
    "max": Reducer(extrema.maximum, extrema.maximum_and_winner, extrema.pull, ("winners",)),
    "min": Reducer(extrema.minimum, extrema.minimum_and_winner, extrema.pull, ("winners",)),
    "avg": Reducer(means.average, pull=means.pull_average),
    "sum": Reducer(means.total, pull=means.pull_total),
    "lp": Reducer(norms.lp, pull=norms.pull_lp, **_NORM),
    "power_avg": Reducer(norms.power_average, pull=norms.pull_power_average, **_NORM),
    "avg_max": Reducer(extrema.average_and_maximum, extrema.average_and_maximum, extrema.pull_mix, ("winners",)),
    "quantile": Reducer(ranks.quantile, ranks.quantile, extrema.pull, ("winners",), kind=_second),
    "quantile_linear": Reducer(ranks.quantile_linear),
    "top_k_mean": Reducer(
        ranks.top_k_mean,
        pull=ranks.pull_top_k_mean,
        reads=_SHARES,
        survey=ranks.edge_of_the_largest,
        kept=("key", "integer", "integer"),
        pull_kind=_bits,
        survey_in_order=True,
    ),
    "stochastic": Reducer(draws.stochastic, draws.stochastic, extrema.pull, ("winners",), in_order=True),
    "stochastic_mean": Reducer(draws.stochastic_mean, pull=draws.pull_stochastic_mean, reads=("x", "y")),
    "soft": Reducer(
        softmax.soft,
        pull=softmax.pull_soft,
        reads=_SHARES,
        survey=softmax.soft_sums,
        kept=("number", "number", "number"),
        kind=_second,
    ),
    "log_sum_exp": Reducer(
        softmax.log_sum_exp,
        pull=softmax.pull_log_sum_exp,
        reads=_SHARES,
        survey=softmax.top_and_weights,
        kept=("number", "number"),
        kind=_second,
    ),
    "gem": Reducer(norms.generalised_mean, pull=norms.pull_generalised_mean, **_NORM),
    "range": Reducer(
        spreads.range_of,
        pull=spreads.pull_range,
        survey=spreads.places,
        kept=("integer", "integer"),
    ),
    "std": Reducer(
        spreads.standard_deviation,
        pull=spreads.pull_standard_deviation,
        reads=_SHARES,
        survey=spreads.mean_and_standard_deviation,
        kept=("number", "number"),
        kind=_first,
    ),
    "var": Reducer(
        spreads.variance,
        pull=spreads.pull_variance,
        reads=_SHARES,
        survey=spreads.mean_and_variance,
        kept=("number", "number"),
        kind=_first,
    ),
}
