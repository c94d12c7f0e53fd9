"""torch as it comes: its own function where it has one, else the recipe that people write."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from layers import Case
from torch import Tensor
from torch.nn import functional

from peers.peer import Function, Peer


def function(case: Case) -> Function | None:
    recipe = RECIPES.get(case.method)
    return recipe(case) if recipe else None


def maximum(case: Case) -> Function:
    layer = case.layer
    if layer.form == "windowed":
        return functools.partial(getattr(functional, f"max_pool{layer.rank}d"), **layer.geometry)
    pool = getattr(functional, f"adaptive_max_pool{layer.rank}d")
    return functools.partial(pool, output_size=layer.geometry.get("output_size", 1))


def minimum(case: Case) -> Function:
    largest = maximum(case)
    return lambda x: -largest(-x)


def spread(case: Case) -> Function:
    largest = maximum(case)
    return lambda x: largest(x) + largest(-x)


def average(case: Case) -> Function | None:
    layer = case.layer
    if layer.form != "windowed":
        pool = getattr(functional, f"adaptive_avg_pool{layer.rank}d")
        return functools.partial(pool, output_size=layer.geometry.get("output_size", 1))
    if "dilation" in layer.geometry:
        return None
    include = case.params.get("count_include_pad", True)
    pool = getattr(functional, f"avg_pool{layer.rank}d")
    return functools.partial(pool, **layer.geometry, count_include_pad=include)


def total(case: Case) -> Function | None:
    layer = case.layer
    if layer.form == "global":
        axes = tuple(range(-layer.rank, 0))
        return lambda x: x.sum(axes, keepdim=True)
    if layer.form == "adaptive" or layer.rank == 1 or "dilation" in layer.geometry:
        return None
    pool = getattr(functional, f"avg_pool{layer.rank}d")
    return functools.partial(pool, **layer.geometry, divisor_override=1)


def norm(case: Case) -> Function | None:
    layer, p = case.layer, case.params["norm_type"]
    # torch's own takes no padding, hangs over in ceil mode, and keeps the sign of odd powers.
    if layer.form == "windowed" and p == 2 and not {"padding", "dilation", "ceil_mode"} & set(layer.geometry):
        return functools.partial(getattr(functional, f"lp_pool{layer.rank}d"), norm_type=p, **layer.geometry)
    return powered(total(case), p)


def power_average(case: Case) -> Function | None:
    return powered(average(case), case.params["norm_type"])


def powered(pool: Function | None, p: float) -> Function | None:
    if pool is None:
        return None
    return lambda x: pool(x.abs().pow(p)).pow(1 / p)


def average_and_maximum(case: Case) -> Function | None:
    mean, largest = average(case), maximum(case)
    if mean is None:
        return None
    if case.params.get("mode") == "cat":
        return lambda x: torch.cat((mean(x), largest(x)), dim=-case.layer.rank - 1)
    scale = case.params.get("scale", 0.5)

    def mixed(x: Tensor) -> Tensor:
        return scale * (mean(x) + largest(x))

    return mixed


def average_or_maximum(case: Case) -> Function | None:
    mean, largest, p = average(case), maximum(case), case.params.get("p", 0.5)
    if mean is None:
        return None

    def drawn(x: Tensor) -> Tensor:
        planes = torch.rand(*x.shape[:2], *(1,) * case.layer.rank)
        return torch.where(planes < p, largest(x), mean(x))

    def expected(x: Tensor) -> Tensor:
        return p * largest(x) + (1 - p) * mean(x)

    return drawn if case.params.get("training") else expected


RECIPES: dict[str, Callable[[Case], Function | None]] = {
    "max": maximum,
    "min": minimum,
    "range": spread,
    "avg": average,
    "sum": total,
    "lp": norm,
    "power_avg": power_average,
    "avg_max": average_and_maximum,
    "mixed": average_or_maximum,
}

TORCH = Peer("torch", function, lambda: torch.__version__)
