"""Means weighted by the softmax of the cells, and the logarithm of their exponentials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from poolkit.errors import ArgumentError
from poolkit.methods.method import Method, Param, Step, is_finite, is_flag
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
    gradient="input",
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


def _is_sharpness(value: Any) -> bool:
    if isinstance(value, str | bytes | bool):
        raise TypeError
    return is_finite(value)


SHARPNESS = Param(
    "r",
    "float",
    10.0,
    "how sharp: 0 gives the average, large numbers come near the maximum, negative ones near the minimum",
    _is_sharpness,
    "a finite number",
)
OF_MEAN = Param(
    "mean",
    "bool",
    True,
    "whether the exponentials are averaged, or added: then a window of n equal cells gives ln(n) / r more",
    is_flag,
    "a bool",
)


def _log_sum_exp(params: Mapping[str, Any], named_padding: bool) -> tuple[Step, ...]:
    r, mean = float(params["r"]), bool(params["mean"])
    if r == 0:
        if not mean:
            raise ArgumentError("r must not be 0 where the exponentials are added (mean=False), but got 0")
        return (Step("avg"),)
    return (Step("log_sum_exp", (r, float(mean))),)


LOG_SUM_EXP = Method(
    name="log_sum_exp",
    class_name="LogSumExp",
    title="Log-sum-exp pooling",
    formula="y = ln(mean over the window of exp(r x)) / r",
    summary="A smooth maximum: between average and maximum for every r > 0, never beyond them, and growing with every "
    "cell, as SoftPool's does not. Its gradient is the softmax of the cells. Padding is left out.",
    reference=lambda cells, r, mean: cells.log_of_exponentials(r, bool(mean)),
    gradient="shares",
    steps=_log_sum_exp,
    params=(SHARPNESS, OF_MEAN),
    papers=(
        Paper(
            authors="Pinheiro, Pedro O. and Collobert, Ronan",
            title="From image-level to pixel-level labeling with convolutional networks",
            venue="CVPR",
            year=2015,
            arxiv="1411.6228",
        ),
        Paper(
            authors="Asadi, Kavosh and Littman, Michael L.",
            title="An alternative softmax operator for reinforcement learning",
            venue="ICML",
            year=2017,
            arxiv="1612.05628",
        ),
    ),
    remark="there called mellowmax",
    see=("soft", "gem", "max", "avg"),
    samples=({}, {"r": 1.5}, {"r": -2.0}, {"r": 3.0, "mean": False}, {"r": 0.0}),
    invalid=({"r": math.inf}, {"r": math.nan}, {"r": "1"}, {"mean": "yes"}, {"r": 0, "mean": False}),
)
