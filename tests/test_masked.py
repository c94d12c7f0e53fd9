"""Average and maximum of masked windows against plain loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from problems import FLOATS, ROUNDING, Problem, adaptive, assert_near, problems, sliding, whole

import poolkit.functional as pf
from poolkit import ArgumentError, nn

pytestmark = pytest.mark.usefixtures("poisoned_memory")

RANKS = (1, 2, 3)
KINDS = ("avg", "max")
PREFIXES = {"windowed": "", "adaptive": "adaptive_", "global": "global_"}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_rank = pytest.mark.parametrize("rank", RANKS)


def pool(kind: str, problem: Problem, x: torch.Tensor, mask: torch.Tensor, **further: Any) -> Any:
    function = getattr(pf, f"{PREFIXES[problem.form]}masked_{kind}_pool{problem.rank}d")
    return function(x, mask, **problem.arguments, **further)


def looped(kind: str, problem: Problem, x: torch.Tensor, mask: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The values, and which windows have a cell that counts."""
    sizes = [range(len(axis)) for axis in problem.axes]
    y = np.zeros((*x.shape[:2], *map(len, sizes)))
    some = np.zeros(y.shape, dtype=bool)
    mask = mask.expand(x.shape)
    for n, c in np.ndindex(*x.shape[:2]):
        for place in itertools.product(*sizes):
            cells = itertools.product(*(axis[o].cells for axis, o in zip(problem.axes, place, strict=True)))
            counted = [float(x[n, c][cell]) for cell in cells if mask[n, c][cell]]
            if counted:
                value = math.fsum(counted) / len(counted) if kind == "avg" else max(counted)
                y[n, c][place], some[n, c][place] = value, True
    return y, some


def example(problem: Problem, channels: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A map with junk where the mask lets nothing count."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 2, *problem.size, dtype=torch.float64, generator=generator)
    mask = torch.rand(2, channels, *problem.size, generator=generator) < 0.4
    junk = torch.tensor([math.nan, math.inf, -math.inf, 1e300], dtype=torch.float64)
    junk = junk[torch.randint(4, x.shape, generator=generator)]
    return torch.where(mask, x, junk), mask


@every_kind
@pytest.mark.parametrize("form", PREFIXES)
@every_rank
@settings(max_examples=8)
@given(data=st.data())
def test_values_and_output_masks(kind: str, form: str, rank: int, data: st.DataObject) -> None:
    problem, channels = data.draw(problems(form, rank)), data.draw(st.sampled_from((1, 2)))
    x, mask = example(problem, channels)
    if form == "windowed" and not all(axis and all(window.cells for window in axis) for axis in problem.axes):
        with pytest.raises(ArgumentError):
            pool(kind, problem, x, mask)
        return
    y, valid = pool(kind, problem, x, mask, return_mask=True)
    expected, some = looped(kind, problem, x, mask)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    assert valid.dtype == torch.bool
    assert valid.shape[:2] == mask.shape[:2]
    np.testing.assert_array_equal(valid.expand(y.shape), some)
    assert torch.equal(pool(kind, problem, x, mask), y)


HARD = {
    "windowed": sliding((6, 7), (3, 2), (2, 2), ((1, 1), (1, 0)), (1, 2), ceil_mode=True),
    "adaptive": adaptive((5, 7), (2, 3)),
    "global": whole((4, 3)),
}
every_form = pytest.mark.parametrize("form", HARD)


@every_kind
@every_form
def test_gradients(kind: str, form: str) -> None:
    """Exact where cells count, 0 elsewhere, whatever stands there."""
    x, mask = example(HARD[form], 2)
    mask[1, 1] = False  # windows without a cell
    x.requires_grad_()
    y, valid = pool(kind, HARD[form], x, mask, return_mask=True)
    assert not valid.all()
    assert y[~valid].eq(0).all()
    gradient = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
    (actual,) = torch.autograd.grad(y, x, gradient)
    assert actual[~mask].eq(0).all()
    cells = x.detach()[mask]

    def of_cells(values: torch.Tensor) -> torch.Tensor:
        filled = torch.zeros_like(x).masked_scatter(mask, values)
        result: torch.Tensor = pool(kind, HARD[form], filled, mask)
        return result

    (expected,) = torch.autograd.grad(of_cells(cells.requires_grad_()), cells, gradient)
    torch.testing.assert_close(actual[mask], expected)
    assert torch.autograd.gradcheck(of_cells, (cells,), fast_mode=True)
    shares = actual.sum() if kind == "max" or form != "windowed" else None
    if shares is not None:
        torch.testing.assert_close(shares, gradient[valid.expand(y.shape)].sum())  # nothing is lost


@every_kind
@every_form
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_everything_counts(kind: str, form: str, dtype: torch.dtype) -> None:
    """With a mask of ones it is the ordinary pooling, averages without padding."""
    problem = HARD[form]
    x = example(problem, 1)[0].nan_to_num(1, 1, 1).clamp(-9, 9).to(dtype)
    further = {"count_include_pad": False} if kind == "avg" and form == "windowed" else {}
    y = pool(kind, problem, x, torch.ones_like(x[:, :1], dtype=torch.bool))
    ordinary = problem.function(kind)(x, **problem.arguments, **further)
    assert y.dtype == dtype
    assert_near(y, ordinary.double().numpy(), 0.0 if kind == "max" else ROUNDING[dtype])


def test_constants_stay_constant() -> None:
    x, mask = example(HARD["windowed"], 1)
    y, valid = pool("avg", HARD["windowed"], torch.where(mask, 0.1, math.nan).expand(x.shape), mask, return_mask=True)
    torch.testing.assert_close(y, torch.where(valid, 0.1, 0.0).to(y.dtype).expand(y.shape))


def test_named_padding() -> None:
    x, mask = example(HARD["windowed"], 1)
    zeros = torch.where(mask, x, 0)
    count = pf.sum_pool2d(mask.double(), 3, 2, "same")
    expected = pf.sum_pool2d(zeros, 3, 2, "same") / count.clamp(min=1)
    torch.testing.assert_close(pf.masked_avg_pool2d(x, mask, 3, 2, "same"), expected)


@every_kind
def test_half_precision_does_not_overflow(kind: str) -> None:
    x = torch.full((1, 1, 8, 8), 6e4, dtype=torch.float16)
    mask = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    mask[..., ::3] = False
    assert getattr(pf, f"masked_{kind}_pool2d")(x, mask, 8).item() == torch.tensor(6e4).half().item()
    one = torch.full((1, 1, 70, 70), 6e-8, dtype=torch.float16)  # the smallest number, one of 4900 cells
    lone = torch.zeros(1, 1, 70, 70, dtype=torch.bool)
    lone[..., 5, 5] = True
    assert getattr(pf, f"global_masked_{kind}_pool2d")(one, lone).item() == one[0, 0, 0, 0].item()


def test_nan_that_counts_wins_and_ties_go_to_the_first_that_counts() -> None:
    x = torch.tensor([[[3.0, 1.0, 3.0, 3.0], [math.nan, 9.0, 2.0, math.nan]]], requires_grad=True)
    mask = torch.tensor([[[False, True, True, True], [False, True, True, True]]])
    y = pf.masked_max_pool1d(x.view(1, 2, 4), mask.view(1, 2, 4), 4)
    assert y[0, 0].item() == 3
    assert y[0, 1].isnan()
    (gradient,) = torch.autograd.grad(y.nan_to_num(0).sum() + y[0, 1, 0], x)
    assert gradient[0, 0].tolist() == [0, 0, 1, 0]
    assert pf.masked_avg_pool1d(x.view(1, 2, 4), mask.view(1, 2, 4), 4)[0, 1].isnan()


def test_infinities_that_count() -> None:
    low = torch.tensor([[[5.0, -math.inf, -math.inf, 7.0]]], requires_grad=True)
    mask = torch.tensor([[[False, True, True, False]]])
    y, valid = pf.masked_max_pool1d(low, mask, 4, return_mask=True)
    assert y.item() == -math.inf
    assert valid.all()
    assert torch.autograd.grad(y.sum(), low)[0].eq(0).all()
    assert pf.masked_avg_pool1d(low, mask, 4).item() == -math.inf


@every_kind
def test_output_masks_feed_the_next_layer(kind: str) -> None:
    """Pooling twice by halves is pooling once by quarters, for the maximum; and both know the same of empty windows."""
    x, mask = torch.randn(2, 3, 8, 8), torch.rand(2, 1, 8, 8) < 0.1
    first, second = (getattr(nn, f"Masked{kind.title()}Pool2d")(2, return_mask=True) for _ in range(2))
    y, valid = second(*first(x, mask))
    once, known = getattr(pf, f"masked_{kind}_pool2d")(x, mask, 4, return_mask=True)
    assert torch.equal(valid, known)
    if kind == "max":
        assert torch.equal(y, once)


@every_kind
def test_nothing_is_changed_and_masks_may_be_views(kind: str) -> None:
    x, mask = example(HARD["windowed"], 1)
    before = x.clone(), mask.clone()
    wide = mask.expand(x.shape)
    assert torch.equal(pool(kind, HARD["windowed"], x, wide), pool(kind, HARD["windowed"], x, mask))
    assert torch.equal(x.nan_to_num(), before[0].nan_to_num())
    assert torch.equal(mask, before[1])


@every_kind
@pytest.mark.parametrize(
    ("mask", "error", "text"),
    [
        (torch.ones(2, 1, 5, 7), TypeError, "mask must be a bool tensor.* got torch.float32"),
        ([[True]], TypeError, "mask must be a bool tensor.* got list"),
        (None, TypeError, "mask must be a bool tensor.* got NoneType"),
        (
            torch.ones(2, 5, 7).bool(),
            ArgumentError,
            r"mask must have the shape \[2, 1, 5, 7\] or \[2, 3, 5, 7\], but got",
        ),
        (torch.ones(1, 1, 5, 7).bool(), ArgumentError, r"but got \[1, 1, 5, 7\]"),
        (torch.ones(2, 2, 5, 7).bool(), ArgumentError, r"but got \[2, 2, 5, 7\]"),
    ],
)
def test_bad_masks(kind: str, mask: Any, error: type[Exception], text: str) -> None:
    x = torch.zeros(2, 3, 5, 7)
    for call in (
        lambda: getattr(pf, f"masked_{kind}_pool2d")(x, mask, 2),
        lambda: getattr(pf, f"adaptive_masked_{kind}_pool2d")(x, mask, 2),
        lambda: getattr(nn, f"GlobalMasked{kind.title()}Pool2d")()(x, mask),
    ):
        with pytest.raises(error, match=text):
            call()
