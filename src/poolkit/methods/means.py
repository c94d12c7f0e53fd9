"""Average and sum."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from poolkit.errors import ArgumentError
from poolkit.methods.method import (
    COUNT_FIXED,
    COUNT_INCLUDE_PAD,
    COUNT_PADDED,
    COUNT_VALID,
    Method,
    Param,
    Step,
)
from poolkit.methods.row import Paper


def _is_divisor(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, bool):
        raise TypeError
    divisor = operator.index(value)
    if divisor == 0:
        raise ArgumentError("divisor must be not zero: divisor_override must be a nonzero int or None, but got 0")
    return -(2**63) <= divisor < 2**63


DIVISOR_OVERRIDE = Param(
    "divisor_override",
    "int | None",
    None,
    "divides by this instead of the number of cells",
    _is_divisor,
    "a nonzero 64-bit int or None",
)

DTYPE = Param(
    "dtype",
    "torch.dtype | None",
    None,
    "converts the input first; integer inputs other than int64 need it",
    lambda value: True,
    "a torch dtype or None",
    keyword_only=True,
)


def counted(params: Mapping[str, Any], named_padding: bool) -> int:
    return COUNT_PADDED if params["count_include_pad"] and not named_padding else COUNT_VALID


def _average(params: Mapping[str, Any], named_padding: bool) -> tuple[Step, ...]:
    divisor = params["divisor_override"]
    if divisor is not None:
        return (Step("avg", (), COUNT_FIXED, operator.index(divisor)),)
    return (Step("avg", (), counted(params, named_padding)),)


AVG = Method(
    name="avg",
    class_name="Avg",
    title="Average pooling",
    formula="y = (sum over the window of x) / count",
    summary="The mean of each window. Zero padding takes part in the count unless count_include_pad is False; a "
    "ceil-mode overhang never does. Averages of int64 are truncated towards zero, as torch's are.",
    reference=lambda cells: cells.average(),
    gradient="linear",
    steps=_average,
    params=(COUNT_INCLUDE_PAD, DIVISOR_OVERRIDE, DTYPE),
    integers="int64",
    order=(
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
        "divisor_override",
        "dilation",
    ),
    shown=("kernel_size", "stride", "padding"),
    papers=(
        Paper(
            kind="article",
            authors="LeCun, Yann and Bottou, Léon and Bengio, Yoshua and Haffner, Patrick",
            title="Gradient-based learning applied to document recognition",
            venue="Proceedings of the IEEE",
            year=1998,
            doi="10.1109/5.726791",
        ),
    ),
    see=("sum", "power_avg", "avg_max"),
    samples=({}, {"count_include_pad": False}, {"divisor_override": 3}),
    invalid=({"divisor_override": 0}, {"count_include_pad": "yes"}),
)

SPOC_PAPER = Paper(
    authors="Babenko, Artem and Lempitsky, Victor",
    title="Aggregating local deep features for image retrieval",
    venue="ICCV",
    year=2015,
    arxiv="1510.07493",
)

SUM = Method(
    name="sum",
    class_name="Sum",
    title="Sum pooling",
    formula="y = sum over the window of x",
    summary="The sum of each window: average pooling without the division.",
    reference=lambda cells: cells.total(),
    gradient="linear",
    steps=lambda params, named: (Step("sum"),),
    params=(DTYPE,),
    integers="int64",
    papers=(SPOC_PAPER,),
    remark="as SPoC",
    see=("avg",),
)
