"""Means weighted by the softmax of the cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from poolkit.methods.method import Method, Param, Step
from poolkit.methods.row import Paper


def _is_temperature(value: Any) -> bool:
    if isinstance(value, str | bytes | bool):
        raise TypeError
    return 0 < float(value) < math.inf


TEMPERATURE = Param(
    "temperature",
    "float",
    1.0,
    "divides the cells before the softmax: near 0 the result is the maximum, large the average",
    _is_temperature,
    "a finite number > 0",
)
GRAD = Param(
    "grad",
    "str",
    "exact",
    "'exact', or 'weights' for that of the paper's code, which takes the weights as constants",
    lambda value: value in ("exact", "weights"),
    "'exact' or 'weights'",
)


def _soft(params: Mapping[str, Any], named_padding: bool) -> tuple[Step, ...]:
    return (Step("soft", (float(params["temperature"]), float(params["grad"] == "weights"))),)


SOFT = Method(
    name="soft",
    class_name="Soft",
    title="SoftPool",
    formula="y = sum over the window of w x, where w = exp(x / temperature) / sum of exp(x / temperature)",
    summary="The mean of each window, weighted by the softmax of its cells: between average and maximum, and every "
    "cell gets a gradient. Padding has no weight. The largest cell is taken out of the exponents, so that no input "
    "overflows.",
    reference=lambda cells, temperature, weights: cells.soft_mean(temperature, bool(weights)),
    gradient="shares",
    steps=_soft,
    params=(TEMPERATURE, GRAD),
    papers=(
        Paper(
            authors="Stergiou, Alexandros and Poppe, Ronald and Kalliatakis, Grigorios",
            title="Refining activation downsampling with SoftPool",
            venue="ICCV",
            year=2021,
            arxiv="2101.00440",
        ),
    ),
    see=("avg", "max", "power_avg", "stochastic"),
    samples=({}, {"temperature": 0.25}),
    invalid=(
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": math.inf},
        {"temperature": math.nan},
        {"temperature": "1"},
        {"grad": "paper"},
    ),
)
