"""Layers that work through large maps piece by piece, against the same on whole maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from problems import FLOATS, LAYOUTS, ROUNDING, assert_near, assert_second_derivative, distinct, in_layout

from poolkit import functional as pf
from poolkit.layers import pieces, second_order

pytestmark = pytest.mark.usefixtures("poisoned_memory")

Function = Callable[..., torch.Tensor]
MAP = (5, 3, 6, 7)
MASK = torch.rand(5, 1, 6, 7, generator=torch.Generator().manual_seed(0)) < 0.4


def masked(kind: str, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Without N where the map has none."""
    mask = mask[: len(x)] if x.dim() == 4 else mask[0]
    y: torch.Tensor = getattr(pf, f"masked_{kind}_pool2d")(x, mask, 3, 2, 1)
    return y


def of_each(x: torch.Tensor) -> torch.Tensor:
    """A mask for every channel."""
    return x.detach() > -0.3


#: What is pooled, and the shapes of its tensors: a map, and parameters.
CASES: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "one learnt share": (lambda x, logit: pf.learnt_mixed_pool2d(x, logit, 2), (MAP, (1,))),
    "padded": (lambda x, logit: pf.learnt_mixed_pool2d(x, logit, 3, 2, 1, 1, True), (MAP, ())),
    "padding left out": (
        lambda x, logit: pf.learnt_mixed_pool2d(x, logit, 3, 2, "same", count_include_pad=True),
        (MAP, (1,)),
    ),
    "learnt shares": (lambda x, logit: pf.learnt_mixed_pool2d(x, logit, 2), (MAP, (3,))),
    "gate": (pf.gated_pool2d, (MAP, (1, 2, 2))),
    "gates": (lambda x, gate: pf.gated_pool2d(x, gate, 2, (1, 0)), (MAP, (3, 3, 2))),
    "leaf": (lambda x, leaves: pf.tree_pool2d(x, leaves, leaves[:0]), (MAP, (1, 3, 2, 2))),
    "tree": (pf.tree_pool2d, (MAP, (2, 1, 2, 2), (1, 3, 2, 2))),
    "deep tree": (pf.tree_pool2d, (MAP, (4, 3, 2, 2), (3, 1, 2, 2))),
    "masked average": (lambda x: masked("avg", x, MASK), (MAP,)),
    "masked maximum": (lambda x: masked("max", x, MASK), (MAP,)),
    "average of masked channels": (lambda x: pf.masked_avg_pool2d(x, of_each(x), 2), (MAP,)),
    "maximum of masked channels": (lambda x: pf.masked_max_pool2d(x, of_each(x), 2), (MAP,)),
    "adaptive": (lambda x: pf.adaptive_masked_avg_pool2d(x, of_each(x), 3), (MAP,)),
    "global": (lambda x: pf.global_masked_max_pool2d(x, of_each(x), keepdim=False), (MAP,)),
    "volume": (lambda x: pf.masked_max_pool3d(x, of_each(x), 2), ((5, 3, 4, 4, 5),)),
    "bilinear": (lambda x: pf.bilinear_pool2d(x, eps=1e-2), (MAP,)),
    "covariance": (pf.covariance_pool2d, (MAP,)),
    "iSQRT": (pf.isqrt_covariance_pool2d, (MAP,)),
    "NetVLAD": (pf.netvlad_pool, ((5, 9, 4), (3, 4), (3,), (2, 4))),
    "masked NetVLAD": (
        lambda x, *clusters: pf.netvlad_pool(x, *clusters, mask=x.detach().sum(-1) > 0),
        ((5, 9, 4), (3, 4), (3,), (3, 4)),
    ),
    "rows and columns": (pf.strip_pool2d, (MAP,)),
    "slices": (pf.strip_pool3d, ((5, 3, 4, 4, 5),)),
}
every_case = pytest.mark.parametrize(("function", "shapes"), CASES.values(), ids=CASES.keys())


@pytest.fixture(params=[7, 50, 300], ids="{} cells".format)
def cells(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Pieces of part of a channel, which are one, of some channels, and of some samples; products of few channels."""
    monkeypatch.setattr(pieces, "LARGEST_PIECE", request.param)
    monkeypatch.setattr(second_order, "_ROWS", 2)
    return request.param


def inputs(shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [distinct(shape, seed).to(dtype).requires_grad_() for seed, shape in enumerate(shapes)]


def with_gradients(function: Function, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    y = function(*tensors)
    gradient = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
    return [y.detach(), *torch.autograd.grad(y, tensors, gradient)]


def whole(function: Function, tensors: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """By the plain formulas."""
    with monkeypatch.context() as patch:
        patch.setattr(pieces, "is_plain", lambda x: False)
        return with_gradients(function, tensors)


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize("layout", LAYOUTS)
@every_case
def test_values_and_gradients(function: Function, shapes: Any, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, *parameters = inputs(shapes)
    tensors = [in_layout(x.detach(), layout).requires_grad_(), *parameters]
    expected = whole(function, tensors, monkeypatch)
    for actual, exact in zip(with_gradients(function, tensors), expected, strict=True):
        torch.testing.assert_close(actual, exact, rtol=1e-11, atol=1e-11)
    with torch.no_grad():
        torch.testing.assert_close(function(*tensors), expected[0], rtol=1e-11, atol=1e-11)
    frozen = [tensor.detach() for tensor in tensors]
    torch.testing.assert_close(function(*frozen), expected[0], rtol=1e-11, atol=1e-11)


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize("count", [0, 1, None])
@every_case
def test_batches(function: Function, shapes: Any, count: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """None, one, or an input without a batch."""
    x, *parameters = inputs(shapes)
    tensors = [(x[0] if count is None else x[:count]).detach().requires_grad_(), *parameters]
    expected = whole(function, tensors, monkeypatch)
    for actual, exact in zip(with_gradients(function, tensors), expected, strict=True):
        torch.testing.assert_close(actual, exact, rtol=1e-11, atol=1e-11)
    with torch.no_grad():
        torch.testing.assert_close(function(*tensors), expected[0], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("cells", [50], indirect=True, ids=["pieces"])
@every_case
def test_second_derivatives(function: Function, shapes: Any, cells: int) -> None:
    tensors = inputs(shapes)
    assert torch.autograd.gradcheck(function, tensors, fast_mode=True)
    assert_second_derivative(function, tensors)


@pytest.mark.parametrize("cells", [50], indirect=True, ids=["pieces"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@every_case
def test_half_precision(function: Function, shapes: Any, dtype: torch.dtype, cells: int) -> None:
    tensors = inputs(shapes, dtype)
    y, *gradients = with_gradients(function, tensors)
    assert y.dtype == dtype
    exact = function(*(tensor.detach().double() for tensor in tensors))
    assert_near(y, exact.numpy(), 4 * ROUNDING[dtype])
    assert [gradient.dtype for gradient in gradients] == [dtype] * len(tensors)
    with torch.no_grad():
        assert_near(function(*tensors), exact.numpy(), 4 * ROUNDING[dtype])


@pytest.mark.parametrize("cells", [50], indirect=True, ids=["pieces"])
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_junk_stays_masked(kind: str, cells: int) -> None:
    """Windows without a cell, and without one above minus infinity, give no gradient; masked cells neither."""
    x, mask = distinct(MAP, 0), MASK.expand(MAP).clone()
    mask[1], x[2, :, :3] = False, -torch.inf
    x = torch.where(mask, x, torch.nan).requires_grad_()
    y = getattr(pf, f"masked_{kind}_pool2d")(x, mask, 3, 2, 1)
    assert y[1].eq(0).all()
    assert not y.isnan().any()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient[~mask].eq(0).all()
    if kind == "max":
        assert gradient[2, :, :2].eq(0).all()


def test_own_products_are_symmetric() -> None:
    matrix = pf.covariance_pool1d(torch.randn(2, 2 * second_order._ROWS + 3, 5), form="matrix")
    assert torch.equal(matrix, matrix.mT)


def test_little_is_kept() -> None:
    """Of a masked maximum the winners, of strips nothing: not the input."""
    kept: list[torch.Tensor] = []
    x = torch.randn(2, 64, 96, 96, requires_grad=True)
    mask = torch.rand(2, 1, 96, 96) < 0.5
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        pf.masked_max_pool2d(x, mask, 2)
        pf.masked_avg_pool2d(x, mask, 2)
        pf.strip_pool2d(x)
    assert sum(tensor.nbytes for tensor in kept) < x.nbytes / 4
