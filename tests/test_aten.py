"""Pooling by operations of torch's own gives the kernels' numbers, whatever the windows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from problems import FORMS, RANKS, ROUNDING, assert_near, awkward, function_of, settings, values

from poolkit import aten, geometry
from poolkit.errors import ArgumentError
from poolkit.geometry import Windows
from poolkit.methods import METHODS, Step

SIZE = (9, 7, 6)
SLIDING: tuple[dict[str, Any], ...] = (
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": "same"},
    {"kernel_size": 3, "stride": 2, "padding": "same_lower", "dilation": 2},
    {"kernel_size": 1, "stride": 4, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
)


def windows_of(form: str, size: tuple[int, ...], arguments: dict[str, Any]) -> Windows:
    if form == "windowed":
        return geometry.sliding(len(size), size, **arguments)
    return geometry.adaptive(len(size), size, arguments.get("output_size", 1))


def problems_of(form: str, rank: int) -> list[tuple[tuple[int, ...], dict[str, Any]]]:
    """Sizes and arguments: one where no two axes agree, and such as torch's pooling knows some of."""
    special = awkward(form, rank)
    more: dict[str, tuple[dict[str, Any], ...]] = {
        "windowed": SLIDING,
        "adaptive": ({"output_size": (3, 7, 2)[:rank]}, {"output_size": 1}),
        "global": (),
    }
    return [(special.size, special.arguments), *((SIZE[:rank], arguments) for arguments in more[form])]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("rank", "dtype"), [*((rank, torch.float32) for rank in RANKS), (1, torch.float16)])
def test_every_method_in_every_geometry(rank: int, form: str, dtype: torch.dtype) -> None:
    for size, arguments in problems_of(form, rank):
        x = torch.tensor(values("normal", (1, 2, *size))).to(dtype)
        windows, named = windows_of(form, size, arguments), isinstance(arguments.get("padding"), str)
        for name, method in METHODS.items():
            params = next(row for row in settings(name, form) if not row.get("training"))
            steps = method.plan(named, *(params.get(p.name, p.default) for p in method.params))
            y = torch.cat([aten.pool(x.abs() if step.magnitude else x, windows, step) for step in steps], 1)
            assert y.dtype == dtype
            expected = function_of(name, form, rank)(x, **arguments, **params)
            assert_near(y, expected.double().numpy(), ROUNDING[dtype])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.uint8], ids=str)
def test_every_kind_of_divisor_and_number(dtype: torch.dtype) -> None:
    problem = awkward("windowed", 2)
    x = torch.arange(2 * 35).reshape(1, 2, 7, 5).to(dtype)
    windows = windows_of("windowed", problem.size, problem.arguments)
    for name in ("max", "min") if dtype == torch.uint8 else ("max", "min", "avg", "sum"):
        for params in settings(name, "windowed"):
            [step] = METHODS[name].steps_with(params)
            y = aten.pool(x, windows, step)
            assert y.dtype == dtype
            expected = problem.function(name)(x, **problem.arguments, **params)
            assert_near(y, expected.double().numpy(), ROUNDING.get(dtype, 0.0))


def test_what_draws_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="stochastic"):
        aten.pool(torch.rand(1, 1, 4), geometry.adaptive(1, (4,), 2), Step("stochastic"))
