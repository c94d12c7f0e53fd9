"""Average and maximum together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from poolkit.methods.means import counted
from poolkit.methods.method import COUNT_INCLUDE_PAD, Method, Param, Step

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
    lambda v: math.isfinite(float(v)),
    "a finite number",
)


def _steps(params: Mapping[str, Any], named_padding: bool) -> tuple[Step, ...]:
    count = counted(params, named_padding)
    if params["mode"] == "cat":
        return Step("avg", (), count), Step("max")
    return (Step("avg_max", (float(params["scale"]),), count),)


AVG_MAX = Method(
    name="avg_max",
    class_name="AvgMax",
    title="Average and max pooling combined",
    formula="add: y = scale * (average + max); cat: y = [average, max] along the channels",
    summary="Mode 'add' gives scale times the sum of average and maximum, in one pass over the input. Mode 'cat' gives "
    "both, averages first, and so doubles the number of channels: the only method here that changes it.",
    reference=lambda cells, scale: scale * (cells.average() + cells.extreme(largest=True)),
    gradient="linear+winner",
    steps=_steps,
    params=(MODE, SCALE, COUNT_INCLUDE_PAD),
    cite="Practice of timm (SelectAdaptivePool2d 'avgmax' and 'catavgmax') and fastai (AdaptiveConcatPool2d)",
    see=("avg", "max"),
    samples=({}, {"mode": "cat"}, {"scale": 1.0, "count_include_pad": False}),
    invalid=({"mode": "sum"}, {"scale": math.nan}, {"scale": "half"}),
)
