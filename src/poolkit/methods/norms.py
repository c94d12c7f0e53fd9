"""Lp, power-average and generalised-mean pooling."""

from __future__ import annotations

import math
from typing import Any

from poolkit.methods.means import counted
from poolkit.methods.method import COUNT_INCLUDE_PAD, REQUIRED, Method, Param, Step, is_finite
from poolkit.methods.row import Paper


def _is_norm(value: Any) -> bool:
    if isinstance(value, str | bytes | bool):
        raise TypeError
    return float(value) > 0  # not for NaN


NORM_TYPE = Param(
    "norm_type",
    "float",
    REQUIRED,
    "the exponent p; inf gives the largest magnitude",
    _is_norm,
    "a number > 0",
    leading=True,
)

_SAMPLES = ({"norm_type": 2.0}, {"norm_type": 1.0}, {"norm_type": 3.0}, {"norm_type": 1.5})
_INVALID = ({"norm_type": 0}, {"norm_type": -1.0}, {"norm_type": math.nan}, {"norm_type": "2"})


def _step(kernel: str, norm_type: float, count: int = 0) -> tuple[Step, ...]:
    if norm_type == math.inf:
        return (Step("max", magnitude=True),)
    return (Step(kernel, (float(norm_type),), count),)


LP = Method(
    name="lp",
    class_name="LP",
    title="Lp pooling",
    formula="y = (sum over the window of |x|^p)^(1/p)",
    summary="The p-norm of each window, computed without overflow; padding adds nothing. norm_type=1 gives the sum of "
    "magnitudes, 2 the Euclidean norm, inf the largest magnitude. The gradient at 0 is 0.",
    reference=lambda cells, norm_type: cells.norm(norm_type, mean=False),
    gradient="input",
    steps=lambda params, named: _step("lp", params["norm_type"]),
    params=(NORM_TYPE,),
    order=("norm_type", "kernel_size", "stride", "ceil_mode", "padding", "dilation"),
    shown=("norm_type", "kernel_size", "stride", "ceil_mode"),
    resolves_stride=False,
    papers=(
        Paper(
            authors="Sermanet, Pierre and Chintala, Soumith and LeCun, Yann",
            title="Convolutional neural networks applied to house numbers digit classification",
            venue="ICPR",
            year=2012,
            arxiv="1204.3968",
        ),
    ),
    see=("power_avg",),
    samples=_SAMPLES,
    invalid=_INVALID,
)

POWER_AVG = Method(
    name="power_avg",
    class_name="PowerAvg",
    title="Power-average pooling",
    formula="y = ((sum over the window of |x|^p) / count)^(1/p)",
    summary="The generalised mean of the magnitudes of each window: norm_type=1 gives their average, inf their "
    "maximum. Windows of different sizes are comparable, unlike those of Lp pooling.",
    reference=lambda cells, norm_type: cells.norm(norm_type, mean=True),
    gradient="input",
    steps=lambda params, named: _step("power_avg", params["norm_type"], counted(params, named)),
    params=(NORM_TYPE, COUNT_INCLUDE_PAD),
    papers=(
        Paper(
            authors="Bruna, Joan and Szlam, Arthur and LeCun, Yann",
            title="Signal recovery from pooling representations",
            venue="ICML",
            year=2014,
            arxiv="1311.4025",
        ),
    ),
    see=("lp", "avg"),
    samples=(*_SAMPLES, {"norm_type": 2.0, "count_include_pad": False}),
    invalid=_INVALID,
)


def _is_exponent(value: Any) -> bool:
    return _is_norm(value) and is_finite(value)


EXPONENT = Param(
    "p",
    "float",
    3.0,
    "the exponent: 1 gives the average, large ones come near the maximum",
    _is_exponent,
    "a finite number > 0",
)
LEAST = Param(
    "eps",
    "float",
    1e-6,
    "what smaller cells count as",
    _is_exponent,
    "a finite number > 0",
)

GEM = Method(
    name="gem",
    class_name="GeM",
    title="Generalised-mean pooling",
    formula="y = (mean over the window of max(x, eps)^p)^(1/p)",
    summary="GeM: between average and maximum of positive activations, as image retrieval uses it over whole maps. "
    "Padding is left out. Cells up to eps count as eps and have no gradient.",
    reference=lambda cells, p, eps: cells.norm(p, mean=True, least=eps),
    gradient="input",
    steps=lambda params, named: (Step("gem", (float(params["p"]), float(params["eps"]))),),
    params=(EXPONENT, LEAST),
    papers=(
        Paper(
            kind="article",
            authors="Radenović, Filip and Tolias, Giorgos and Chum, Ondřej",
            title="Fine-tuning CNN image retrieval with no human annotation",
            venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
            year=2019,
            doi="10.1109/TPAMI.2018.2846566",
            arxiv="1711.02512",
        ),
    ),
    see=("power_avg", "lp", "log_sum_exp", "avg", "max"),
    samples=({}, {"p": 1.0}, {"p": 2.5, "eps": 1e-3}),
    invalid=({"p": 0}, {"p": math.inf}, {"p": "3"}, {"eps": 0.0}, {"eps": -1e-6}, {"eps": math.nan}),
)
