"""Weighted means of windows as quotients of two average poolings: shorter than gathering, but exp overflows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from layers import Case
from torch import Tensor

from peers.peer import Function, Peer
from peers.torch_eager import average
from peers.windows import TINY


def function(case: Case) -> Function | None:
    weights, mean = WEIGHTS.get(case.method), average(case)
    if weights is None or mean is None or case.params.get("training") or case.layer.geometry.get("padding"):
        return None
    weigh = weights(case)

    def pool(x: Tensor) -> Tensor:
        weight = weigh(x)
        return mean(x * weight) / mean(weight).clamp(min=TINY)

    return pool


def soft(case: Case) -> Function:
    temperature = case.params.get("temperature", 1.0)
    return lambda x: (x / temperature).exp()


WEIGHTS: dict[str, Callable[[Case], Function]] = {
    "soft": soft,
    "stochastic": lambda case: torch.relu,
}

AVERAGES = Peer("avg_pool", function, lambda: torch.__version__)
