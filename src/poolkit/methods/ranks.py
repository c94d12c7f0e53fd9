"""Methods that order the cells of a window: median, quantile, mean of the largest, mean of the middle."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from poolkit.methods.method import REQUIRED, Kernel, Method, Param, Step, is_fraction
from poolkit.methods.row import Paper

if TYPE_CHECKING:
    from torch import Tensor

    from poolkit.reference import Cells

#: The cell that stands for a place between two, as the kernels number the rules.
RULES = {"lower": 0.0, "higher": 1.0, "nearest": 2.0}


def _is_count(value: Any) -> bool:
    if isinstance(value, bool):
        raise TypeError
    return 1 <= operator.index(value) < 2**31


EVEN = Param(
    "even",
    "str",
    "lower",
    "which of the two middle cells of an even number is taken, or their mean",
    lambda v: v in ("lower", "higher", "mean"),
    "'lower', 'higher' or 'mean'",
)
Q = Param(
    "q",
    "float",
    REQUIRED,
    "how far from the smallest cell to the largest",
    is_fraction,
    "a number from 0 to 1",
    leading=True,
)
INTERPOLATION = Param(
    "interpolation",
    "str",
    "linear",
    "what is taken between two cells: the 'lower', the 'higher', the 'nearest', or their 'linear' mix",
    lambda v: v in (*RULES, "linear"),
    "'linear', 'lower', 'higher' or 'nearest'",
)
K = Param("k", "int", REQUIRED, "how many of the largest cells", _is_count, "an int > 0", leading=True)
TRIM = Param(
    "trim",
    "float",
    0.25,
    "which share of the cells is dropped at either end",
    lambda v: is_fraction(v) and float(v) <= 0.5,
    "a number from 0 to 0.5",
)


def _quantile(q: float, rule: str) -> tuple[Step, ...]:
    if rule == "linear":
        return (Step("quantile_linear", (q,)),)
    return (Step("quantile", (q, RULES[rule])),)


def _median(params: Mapping[str, Any], named_padding: bool) -> tuple[Step, ...]:
    return _quantile(0.5, "linear" if params["even"] == "mean" else params["even"])


def _middle_mean(cells: Cells, trim: float) -> Tensor:
    """Each cell in order weighs as much as it fills of what lies between the dropped ends."""
    values, rank = cells.ordered()
    n = cells.mask.sum(-1, keepdim=True).double()
    # From there on the middle one or two cells are left alone, with the same shares.
    dropped = (trim * n).minimum(n / 2 - 0.25)
    shares = (rank + 1).minimum(n - dropped) - rank.maximum(dropped)
    shares = shares.masked_fill(shares < 1e-9, 0)  # 0.29 of 100 cells are 29, though their product is less
    weights = (shares / (n - 2 * dropped)).to(values.dtype)
    mean = (values.masked_fill(shares == 0, 0) * weights).sum(-1)
    return mean.where(~cells.values.isnan().any(-1), cells.average())


MEDIAN = Method(
    name="median",
    class_name="Median",
    title="Median pooling",
    formula="y = the middle one of the window's cells in order of size",
    summary="Padding is left out. Of an even number of cells the lower middle one is taken unless `even` says "
    "otherwise. NaN wins; of equals the first in row-major order.",
    steps=_median,
    params=(EVEN,),
    returns_indices=True,
    integers="all",
    papers=(
        Paper(
            kind="book",
            authors="Tukey, John W.",
            title="Exploratory Data Analysis",
            venue="Addison-Wesley",
            year=1977,
        ),
        Paper(
            kind="article",
            authors="Huang, Thomas S. and Yang, George J. and Tang, Gregory Y.",
            title="A fast two-dimensional median filtering algorithm",
            venue="IEEE Transactions on Acoustics, Speech, and Signal Processing",
            year=1979,
            doi="10.1109/TASSP.1979.1163188",
        ),
    ),
    see=("quantile", "top_k_mean", "avg"),
    samples=({}, {"even": "higher"}, {"even": "mean"}),
    invalid=({"even": "middle"}, {"even": 2}),
)

QUANTILE = Method(
    name="quantile",
    class_name="Quantile",
    title="Quantile pooling",
    formula="y = the cell at q of the way from the smallest to the largest of the window",
    summary="Padding is left out. q=0 is min pooling, 0.5 median pooling, 1 max pooling; between two cells "
    "`interpolation` decides, as in torch.quantile. NaN wins; of equals the first in row-major order.",
    winner=lambda cells, q, rule: cells.ranked(q, rule),
    gradient="winner",
    kernels=(Kernel("quantile_linear", lambda cells, q: cells.between(q), "cells"),),
    steps=lambda params, named: _quantile(float(params["q"]), params["interpolation"]),
    params=(Q, INTERPOLATION),
    returns_indices=True,
    integers="all",
    papers=(
        Paper(
            kind="article",
            authors="Hyndman, Rob J. and Fan, Yanan",
            title="Sample quantiles in statistical packages",
            venue="The American Statistician",
            year=1996,
            doi="10.1080/00031305.1996.10473566",
        ),
    ),
    remark="the linear mix is their type 7",
    see=("median", "max", "min"),
    samples=(
        {"q": 0.25, "interpolation": "nearest"},
        {"q": 0.9, "interpolation": "lower"},
        {"q": 0.3, "interpolation": "higher"},
        {"q": 0.7},
    ),
    invalid=({"q": 1.5}, {"q": -0.1}, {"q": math.nan}, {"q": "0.5"}, {"q": 0.5, "interpolation": "midpoint"}),
)

TOP_K_MEAN = Method(
    name="top_k_mean",
    class_name="TopKMean",
    title="Top-k mean pooling",
    formula="y = (sum of the k largest cells of the window) / k",
    summary="Padding is left out; a window of fewer than k cells gives the mean of all. k=1 is max pooling. NaN wins.",
    reference=lambda cells, k: cells.largest_mean(k),
    gradient="shares",
    steps=lambda params, named: (Step("top_k_mean", (float(params["k"]),)),),
    params=(K,),
    papers=(
        Paper(
            kind="article",
            authors="Shi, Zenglin and Ye, Yangdong and Wu, Yunpeng",
            title="Rank-based pooling for deep convolutional neural networks",
            venue="Neural Networks",
            year=2016,
            doi="10.1016/j.neunet.2016.07.003",
        ),
        Paper(
            authors="Durand, Thibaut and Thome, Nicolas and Cord, Matthieu",
            title="WELDON: weakly supervised learning of deep convolutional neural networks",
            venue="CVPR",
            year=2016,
            doi="10.1109/CVPR.2016.513",
        ),
    ),
    remark="as rank-based average pooling",
    see=("max", "avg", "quantile"),
    samples=({"k": 2}, {"k": 1}, {"k": 5}),
    invalid=({"k": 0}, {"k": -1}, {"k": 1.5}, {"k": "2"}),
)

TRIMMED_MEAN = Method(
    name="trimmed_mean",
    class_name="TrimmedMean",
    title="Trimmed mean pooling",
    formula="y = mean of the window's n cells without the trim n smallest and the trim n largest",
    summary="Padding is left out. Where trim n is no whole number, the next cells are dropped in part: the mean is "
    "continuous in trim. 0 is average pooling, 0.5 median pooling with the mean of two middle cells. NaN wins.",
    reference=_middle_mean,
    gradient="shares",
    steps=lambda params, named: (Step("trimmed_mean", (float(params["trim"]),)),),
    params=(TRIM,),
    papers=(
        Paper(
            kind="article",
            authors="Bednar, J. Bee and Watt, Terry L.",
            title="Alpha-trimmed means and their relationship to median filters",
            venue="IEEE Transactions on Acoustics, Speech, and Signal Processing",
            year=1984,
            doi="10.1109/TASSP.1984.1164279",
        ),
    ),
    see=("avg", "median", "top_k_mean"),
    samples=({}, {"trim": 0.1}, {"trim": 0.4}, {"trim": 0.5}, {"trim": 0.0}),
    invalid=({"trim": 0.6}, {"trim": -0.1}, {"trim": math.nan}, {"trim": "0.2"}),
)
