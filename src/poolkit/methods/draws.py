"""Stochastic pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poolkit.methods.method import Kernel, Method, Param, Step, is_flag
from poolkit.methods.row import Paper

TRAINING = Param(
    "training",
    "bool",
    False,
    "draw, as in training; otherwise the expectation of the draw. Modules follow their own mode",
    is_flag,
    "a bool",
    keyword_only=True,
)
STRICT = Param(
    "strict",
    "bool",
    False,
    "refuse inputs with negative cells, which otherwise count as 0",
    is_flag,
    "a bool",
)


def _steps(params: Mapping[str, Any], named_padding: bool) -> tuple[Step, ...]:
    return (Step("stochastic" if params["training"] else "stochastic_mean"),)


def _refusal(params: Mapping[str, Any], x: Any) -> str | None:
    if params["strict"] and bool((x < 0).any()):
        return "input must hold no negative cell with strict=True, but the smallest is " + str(x.min().item())
    return None


STOCHASTIC = Method(
    name="stochastic",
    class_name="Stochastic",
    title="Stochastic pooling",
    formula="training: y = x_j with probability r_j / sum r, r = max(x, 0); evaluation: y = sum r_j^2 / sum r_j",
    summary="Training draws a cell of each window with a probability in proportion to its activation; evaluation gives "
    "the expectation of the draw. Negative cells count as 0; a window without a positive cell gives 0, and its "
    "gradient goes to any of its cells.",
    reference=lambda cells: cells.drawn_value(),
    winner=lambda cells: cells.drawn(),
    gradient="winner",
    draws=True,
    kernels=(Kernel("stochastic_mean", lambda cells: cells.positive_mean(), "weights"),),
    steps=_steps,
    params=(STRICT, TRAINING),
    refusal=_refusal,
    returns_indices=True,
    papers=(
        Paper(
            authors="Zeiler, Matthew D. and Fergus, Rob",
            title="Stochastic pooling for regularization of deep convolutional neural networks",
            venue="ICLR",
            year=2013,
            arxiv="1301.3557",
        ),
    ),
    see=("max", "mixed"),
    samples=({}, {"training": True}),
    invalid=({"strict": "yes"}, {"training": "yes"}),
)
