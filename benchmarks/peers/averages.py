"""What average poolings can be combined to: shorter than gathering, but exp overflows and squares cancel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from layers import Case
from torch import Tensor

from peers.peer import Function, Peer
from peers.torch_eager import average
from peers.windows import TINY


def function(case: Case) -> Function | None:
    mean = average(case)
    if mean is None or case.params.get("training") or case.layer.geometry.get("padding"):
        return None
    if formula := FORMULAS.get(case.method):
        return formula(case, mean)
    weights = WEIGHTS.get(case.method)
    if weights is None:
        return None
    weigh = weights(case)

    def pool(x: Tensor) -> Tensor:
        weight = weigh(x)
        return mean(x * weight) / mean(weight).clamp(min=TINY)

    return pool


def soft(case: Case) -> Function:
    temperature = case.params.get("temperature", 1.0)
    return lambda x: (x / temperature).exp()


def gem(case: Case, mean: Function) -> Function:
    p, eps = case.params.get("p", 3.0), case.params.get("eps", 1e-6)
    return lambda x: mean(x.clamp(min=eps).pow(p)).pow(1 / p)


def log_sum_exp(case: Case, mean: Function) -> Function:
    r = case.params.get("r", 10.0)
    return lambda x: mean((r * x).exp()).log() / r


def variance(case: Case, mean: Function) -> Function:
    return lambda x: mean(x * x) - mean(x).square()


def deviation(case: Case, mean: Function) -> Function:
    of_variance = variance(case, mean)
    return lambda x: (of_variance(x) + 1e-5).sqrt()


FORMULAS: dict[str, Callable[[Case, Function], Function]] = {
    "gem": gem,
    "log_sum_exp": log_sum_exp,
    "var": variance,
    "std": deviation,
}

WEIGHTS: dict[str, Callable[[Case], Function]] = {
    "soft": soft,
    "stochastic": lambda case: torch.relu,
}

AVERAGES = Peer("avg_pool", function, lambda: torch.__version__)
