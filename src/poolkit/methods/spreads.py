"""How far the cells of a window lie apart: range, variance, standard deviation."""

from __future__ import annotations

import math
from typing import Any

from poolkit.methods.method import Method, Param, Step, is_flag
from poolkit.methods.row import Paper

RANGE = Method(
    name="range",
    class_name="Range",
    title="Range pooling",
    formula="y = max of the window - min of the window",
    summary="How far the cells of each window lie apart: a map of edges and texture, 0 wherever nothing changes. "
    "Padding is left out. NaN wins. The gradient goes to the first of the largest and, negated, of the smallest.",
    reference=lambda cells: cells.extreme(largest=True) - cells.extreme(largest=False),
    gradient="shares",
    steps=lambda params, named: (Step("range"),),
    remark="as morphology's gradient: dilation less erosion with a flat element",
    see=("max", "min", "std"),
)

UNBIASED = Param(
    "unbiased",
    "bool",
    False,
    "divide by one less than the number of cells",
    is_flag,
    "a bool",
)


def _is_eps(value: Any) -> bool:
    if isinstance(value, str | bytes | bool):
        raise TypeError
    return 0 < float(value) < math.inf


EPS = Param(
    "eps",
    "float",
    1e-5,
    "added to the variance, so that the root has a gradient everywhere",
    _is_eps,
    "a finite number > 0",
)

_CHAN = Paper(
    kind="article",
    authors="Chan, Tony F. and Golub, Gene H. and LeVeque, Randall J.",
    title="Algorithms for computing the sample variance: analysis and recommendations",
    venue="The American Statistician",
    year=1983,
    doi="10.1080/00031305.1983.10483115",
)

STD = Method(
    name="std",
    class_name="Std",
    title="Standard-deviation pooling",
    formula="y = sqrt(mean over the window of (x - mean)^2 + eps)",
    summary="The standard deviation of the cells of each window, padding left out: local contrast. Taken from the mean "
    "in a second pass, so that a large mean costs no precision. One cell gives sqrt(eps), unbiased or not.",
    reference=lambda cells, unbiased, eps: cells.variance(bool(unbiased), eps),
    gradient="shares",
    steps=lambda params, named: (Step("std", (float(bool(params["unbiased"])), float(params["eps"]))),),
    params=(UNBIASED, EPS),
    papers=(_CHAN,),
    remark="the two-pass algorithm",
    see=("var", "range", "statistics"),
    samples=({}, {"unbiased": True, "eps": 1e-3}),
    invalid=({"unbiased": "yes"}, {"eps": 0}, {"eps": -1.0}, {"eps": math.nan}, {"eps": "1e-5"}),
)

VAR = Method(
    name="var",
    class_name="Var",
    title="Variance pooling",
    formula="y = mean over the window of (x - mean)^2",
    summary="The variance of the cells of each window, padding left out; taken from the mean in a second pass, so that "
    "a large mean costs no precision. One cell has the variance 0, unbiased or not.",
    reference=lambda cells, unbiased: cells.variance(bool(unbiased)),
    gradient="shares",
    steps=lambda params, named: (Step("var", (float(bool(params["unbiased"])),)),),
    params=(UNBIASED,),
    papers=(_CHAN,),
    remark="the two-pass algorithm",
    see=("std", "range", "statistics"),
    samples=({}, {"unbiased": True}),
    invalid=({"unbiased": "yes"}, {"unbiased": 2}),
)
