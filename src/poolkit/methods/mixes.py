"""Average and maximum together, or one of the two by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from poolkit.methods.draws import TRAINING
from poolkit.methods.means import counted
from poolkit.methods.method import COUNT_INCLUDE_PAD, Method, Param, Step, is_finite, is_fraction
from poolkit.methods.row import Paper

MODE = Param(
    "mode",
    "str",
    "add",
    "'add' mixes the two; 'cat' keeps both",
    lambda v: v in ("add", "cat"),
    "'add' or 'cat'",
)
SCALE = Param(
    "scale",
    "float",
    0.5,
    "factor of the sum in mode 'add'",
    is_finite,
    "a finite number",
)


def _steps(params: Mapping[str, Any], named_padding: bool) -> tuple[Step, ...]:
    count = counted(params, named_padding)
    if params["mode"] == "cat":
        return Step("avg", (), count), Step("max")
    return (Step("avg_max", (float(params["scale"]),) * 2, count),)


AVG_MAX = Method(
    name="avg_max",
    class_name="AvgMax",
    title="Average and max pooling combined",
    formula="add: y = scale * (average + max); cat: y = [average, max] along the channels",
    summary="Mode 'add' gives scale times the sum of average and maximum, in one pass over the input. Mode 'cat' gives "
    "both, averages first, and so doubles the number of channels: the only method here that changes it.",
    reference=lambda cells, a, b: a * cells.average() + b * cells.extreme(largest=True),
    gradient="linear+winner",
    steps=_steps,
    params=(MODE, SCALE, COUNT_INCLUDE_PAD),
    remark="practice of timm (SelectAdaptivePool2d 'avgmax' and 'catavgmax') and fastai (AdaptiveConcatPool2d)",
    see=("avg", "max"),
    samples=({}, {"mode": "cat"}, {"scale": 1.0, "count_include_pad": False}),
    invalid=({"mode": "sum"}, {"scale": math.nan}, {"scale": "half"}),
)


PROBABILITY = Param(
    "p",
    "float",
    0.5,
    "how likely the maximum is",
    is_fraction,
    "a number from 0 to 1",
)
GRANULARITY = Param(
    "granularity",
    "str",
    "channel",
    "what shares a draw: 'channel' draws for each channel of each sample, 'sample' for each sample, 'batch' once",
    lambda v: v in ("channel", "sample", "batch"),
    "'channel', 'sample' or 'batch'",
)


def _mixed(params: Mapping[str, Any], named_padding: bool) -> tuple[Step, ...]:
    count, p = counted(params, named_padding), float(params["p"])
    if params["training"]:
        return Step("max"), Step("avg", (), count)
    if p in (0, 1):
        return (Step("max") if p else Step("avg", (), count),)
    return (Step("avg_max", (1 - p, p), count),)


def _choice(params: Mapping[str, Any], leading: tuple[int, ...]) -> tuple[tuple[int, ...], float]:
    shape = {"channel": leading, "sample": (*leading[:-1], 1), "batch": (1,) * len(leading)}
    return shape[params["granularity"]], float(params["p"])


MIXED = Method(
    name="mixed",
    class_name="Mixed",
    title="Mixed pooling",
    formula="training: y = max with probability p, else the average; evaluation: y = p * max + (1 - p) * average",
    summary="Training takes the maximum or the average of whole planes by chance; evaluation gives the expectation.",
    steps=_mixed,
    choice=_choice,
    params=(PROBABILITY, GRANULARITY, COUNT_INCLUDE_PAD, TRAINING),
    papers=(
        Paper(
            authors="Yu, Dingjun and Wang, Hanli and Chen, Peiqiu and Wei, Zhihua",
            title="Mixed pooling for convolutional neural networks",
            venue="RSKT",
            year=2014,
            doi="10.1007/978-3-319-11740-9_34",
        ),
    ),
    see=("avg_max", "stochastic", "max", "avg"),
    samples=(
        {},
        {"p": 0.25, "count_include_pad": False},
        {"p": 1.0},
        {"p": 0},
        {"training": True},
        {"training": True, "granularity": "sample", "p": 0.75},
        {"training": True, "granularity": "batch", "count_include_pad": False},
    ),
    invalid=({"p": 1.5}, {"p": math.nan}, {"p": "half"}, {"granularity": "cell"}, {"training": "yes"}),
)
