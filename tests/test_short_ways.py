"""A call seen before goes a short way to its kernel, and gives the same bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from problems import FORMS, awkward, in_layout, settings, values
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from poolkit import functional, geometry, nn, ops
from poolkit.methods import METHODS

CASES = [(name, form) for name in METHODS for form in FORMS]


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functional, "_READY", {})


@pytest.mark.parametrize(("name", "form"), CASES)
def test_the_second_call_gives_what_the_first_gave(name: str, form: Any) -> None:
    problem = awkward(form, 2)
    function = problem.function(name)
    layout = ("contiguous", "channels_last")[CASES.index((name, form)) % 2]
    x = in_layout(torch.tensor(values("normal", (2, 3, *problem.size))).float(), layout)
    for params in settings(name, form):

        def results(params: Any = params) -> list[Tensor]:
            torch.manual_seed(0)
            x_with_grad = x.clone().requires_grad_()
            y = function(x_with_grad, **problem.arguments, **params)
            return [function(x, **problem.arguments, **params), y, *torch.autograd.grad(y.square().sum(), x_with_grad)]

        for first, again in zip(results(), results(), strict=True):
            assert torch.equal(first, again)
            assert first.stride() == again.stride()


@pytest.mark.parametrize("form", FORMS)
def test_the_second_call_is_a_short_one(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 3, 8, 8)
    calls = {"windowed": nn.MaxPool2d(2), "adaptive": nn.AdaptiveAvgPool2d((3, 2)), "global": nn.GlobalMinPool2d()}
    call = calls[form]
    expected = call(x)

    def refuse(*arguments: Any) -> None:
        raise AssertionError("the geometry was computed again")

    monkeypatch.setattr(geometry, "sliding", refuse)
    monkeypatch.setattr(geometry, "adaptive", refuse)
    assert torch.equal(call(x), expected)
    assert torch.equal(call(x.clone().requires_grad_()), expected)


def test_a_call_is_known_by_all_its_arguments() -> None:
    x = torch.rand(1, 2, 9, 9)
    functional.max_pool2d(x, 2)
    assert functional.max_pool2d(x, 3).shape[-1] == 3
    assert functional.max_pool2d(x, 2, ceil_mode=True).shape[-1] == 5
    assert functional.max_pool2d(x.double(), 2).dtype == torch.float64
    assert functional.min_pool2d(x, 2).le(functional.max_pool2d(x, 2)).all()
    functional.avg_pool2d(x, 2, padding=1, count_include_pad=True)
    left_out = functional.avg_pool2d(x, 2, padding=1, count_include_pad=False)
    assert torch.allclose(left_out[..., 0, 0], x[..., 0, 0])
    functional.max_pool2d(x, 1)
    with pytest.raises(TypeError, match="kernel_size"):
        functional.max_pool2d(x, True)
    functional.adaptive_max_pool2d(x, 3)
    with pytest.raises(ValueError, match="output_size"):
        functional.adaptive_max_pool2d(x, (3,))
    functional.avg_pool2d(x, 2)
    with pytest.raises(NotImplementedError, match="int32"):
        functional.avg_pool2d(x.int(), 2)


def test_modes_and_compilers_see_the_operator_that_they_know() -> None:
    x = torch.rand(1, 2, 8, 8)
    expected = functional.max_pool2d(x, 2)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert functional.max_pool2d(x, 2).shape == expected.shape
    traced = torch.fx.experimental.proxy_tensor.make_fx(lambda x: functional.max_pool2d(x, 2))(x)
    assert torch.ops.poolkit.pool.default in [node.target for node in traced.graph.nodes]


def prepared() -> Tensor:
    windows = geometry.sliding(2, (8, 8), 2, None, 0, 1, False)
    return torch.ops.poolkit.prepare("max", geometry.pack(windows, 0, 0), [])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda call: call[:-1],
        lambda call: call.double(),
        lambda call: call.index_fill(0, torch.tensor([0]), len(ops.KERNEL_DTYPES) + 99),
        lambda call: call.index_fill(0, torch.tensor([0]), -1),
        lambda call: call.index_fill(0, torch.tensor([1]), 5),
        lambda call: call.index_fill(0, torch.tensor([6]), 4),
        lambda call: torch.stack([call, call], 1)[:, 0],
    ],
    ids=["short", "dtype", "method", "negative", "parameters", "rank", "strided"],
)
def test_a_malformed_call_is_refused(spoil: Any) -> None:
    x = torch.rand(1, 2, 8, 8)
    assert torch.equal(torch.ops.poolkit.pool_prepared(x, prepared()), functional.max_pool2d(x, 2))
    with pytest.raises(RuntimeError, match=r"call|malformed"):
        torch.ops.poolkit.pool_prepared(x, spoil(prepared()))
    with pytest.raises(RuntimeError, match="do not fit"):
        torch.ops.poolkit.pool_prepared(torch.rand(1, 2, 7, 8), prepared())
