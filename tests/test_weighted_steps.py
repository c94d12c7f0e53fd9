"""The kernels of means over time that weigh the steps, against the formulas that stand beside them, in float64: long
rows, sizes beside those of vectors, awkward memory, infinities; and what they keep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from problems import FLOATS, ROUNDING
from torch import Tensor

from poolkit import functional, ops
from poolkit.layers import weighted_ops, weighted_reference
from poolkit.layers.base import wide
from poolkit.layers.steps import Sequences

nan, inf = math.nan, math.inf
Run = Callable[[Any, Sequences, Tensor], Tensor]
#: By the module of the kernels or of the formulas, the input, and what weighs it: scores (N, C, L) or slopes (C,).
POOLINGS: dict[str, Run] = {
    "auto": lambda module, x, scores: module.auto(x, wide(scores[0, :, 0])),
    "attentive": lambda module, x, scores: module.moments(x, scores),
    "attentive, shared": lambda module, x, scores: module.moments(x, scores[:, :1]),
    "linear softmax": lambda module, x, scores: module.linear_softmax(x._replace(values=x.values.abs())),
}
every_pooling = pytest.mark.parametrize("run", POOLINGS.values(), ids=POOLINGS.keys())
#: How (N, C, L) lies in memory: the order of the dimensions there, and the cells between neighbours in the last.
MEMORY = {"channels first": ((0, 1, 2), 1), "batch first": ((0, 2, 1), 1), "time first": ((2, 0, 1), 1)}
MEMORY |= {"channels first, apart": ((0, 1, 2), 2), "batch first, apart": ((0, 2, 1), 2)}


def lying(x: Tensor, memory: str) -> Tensor:
    order, apart = MEMORY[memory]
    spread = x.permute(order).contiguous().repeat_interleave(apart, -1)[..., ::apart]
    return spread.permute([order.index(dim) for dim in range(3)])


def with_gradients(module: Any, run: Run, x: Sequences, scores: Tensor) -> list[Tensor]:
    leaves = [x.values.detach().requires_grad_(), scores.detach().requires_grad_()]
    y = run(module, x._replace(values=leaves[0]), leaves[1])
    gradient = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, leaves, gradient, materialize_grads=True)]


def agree(run: Run, x: Sequences, scores: Tensor, rounding: float) -> None:
    assert ops.why_no_kernel(x.values, "weighted_steps") is None
    actual = with_gradients(weighted_ops, run, x, scores)
    exact = x._replace(values=x.values.double().contiguous())
    expected = with_gradients(weighted_reference, run, exact, scores.double().contiguous())
    for got, right in zip(actual, expected, strict=True):
        torch.testing.assert_close(got.double(), right, rtol=rounding, atol=4 * rounding * right.abs().max().item())


@every_pooling
@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_sizes_beside_those_of_vectors(run: Run, memory: str, dtype: torch.dtype) -> None:
    for channels, length in ((1, 9), (2, 1), (7, 16), (8, 33), (15, 17), (16, 40), (21, 15), (70, 5), (530, 3)):
        x, scores = torch.randn(2, 2, channels, length, dtype=torch.float64)
        x, scores = lying(x.to(dtype), memory), lying(scores.to(dtype), memory)
        agree(run, Sequences(x, None, True), scores, ROUNDING[dtype])
        valid = torch.rand(2, length) < 0.7
        valid[:, 0] = True
        agree(run, Sequences(torch.where(valid[:, None], x, 0), valid, True), scores, ROUNDING[dtype])


@every_pooling
@pytest.mark.parametrize("memory", ["channels first", "batch first"])
def test_long_sequences(run: Run, memory: str) -> None:
    """Of more than one part: 128 vectors of one channel, or steps of many."""
    x, scores = lying(torch.randn(2, 3, 5000), memory), lying(torch.randn(2, 3, 5000), memory)
    lengths = torch.tensor([[5000], [4099]])
    agree(run, Sequences(x, torch.arange(5000) < lengths, True), scores, 2e-5)


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("of_scores", MEMORY)
def test_scores_may_lie_in_another_order_and_be_of_another_type(memory: str, of_scores: str) -> None:
    x, scores = torch.randn(2, 2, 5, 6, dtype=torch.float64)
    results = []
    for dtype in (torch.float64, torch.float32):
        leaves = [lying(x, memory).requires_grad_(), lying(scores.float().to(dtype), of_scores).requires_grad_()]
        y = functional.attentive_statistics_pool(*leaves)
        results.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
        assert [tensor.dtype for tensor in results[-1]] == [torch.float64, torch.float64, dtype]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other.to(one.dtype), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("memory", ["channels first", "batch first"])
def test_infinities_and_nan_of_auto_pool(dtype: torch.dtype, memory: str) -> None:
    """As the formula has it; alone, too, NaN of alpha is seen."""
    rows = [[0, 1, -inf], [0, 1, inf], [-inf, -inf, inf], [-inf] * 3, [inf] * 3, [0, nan, 1], [2, 2, 2]]
    x = lying(torch.tensor([rows], dtype=dtype), memory)
    for slope in (1.0, -1.0, 0.0, 1e30, -1e30, inf, -inf, nan):
        alpha = torch.full((len(rows),), slope, dtype=torch.promote_types(dtype, torch.float32))
        limit = torch.finfo(alpha.dtype).max
        expected = weighted_reference.auto(Sequences(x, None, True), alpha.clamp(-limit, limit))
        actual = weighted_ops.auto(Sequences(x, None, True), alpha)
        torch.testing.assert_close(actual, expected, equal_nan=True)
    assert functional.auto_pool(x[..., :1], nan).isnan().all()


@pytest.mark.parametrize("memory", ["channels first", "batch first"])
def test_infinite_scores(memory: str) -> None:
    """Where one is inf, no other counts; -inf counts nothing, whatever stands there, unless there is nothing else."""
    scores = torch.tensor([[[0, 1, -inf], [0, 1, inf], [-inf] * 3, [inf, 0, inf], [0, nan, 1], [0, -inf, 0]]])
    steps = torch.tensor([[[1.0, 2, inf], [1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3], [1, -inf, 3]]])
    x, scores = lying(steps, memory).requires_grad_(), lying(scores, memory).requires_grad_()
    y = weighted_ops.moments(Sequences(x, None, True), scores)
    expected = weighted_reference.moments(Sequences(x, None, True), scores)
    torch.testing.assert_close(y, expected, equal_nan=True)
    assert y[0, 1:4].tolist() == [3, 2, 2]
    grad_x, grad_scores = torch.autograd.grad(y.sum(), (x, scores))
    usual = [0, 1, 2, 3, 5]
    assert grad_x[0, usual].isfinite().all()
    assert grad_scores[0, usual].isfinite().all()
    for gradient in (grad_x, grad_scores):
        assert gradient[0, 0, 2] == gradient[0, 1, 0] == gradient[0, 5, 1] == 0


@pytest.mark.parametrize("memory", ["channels first", "batch first", "time first"])
def test_the_gradient_lies_in_memory_as_the_input(memory: str) -> None:
    order, _ = MEMORY[memory]
    x, scores = (lying(torch.randn(2, 3, 4), memory).detach().requires_grad_() for _ in range(2))
    [of_auto] = torch.autograd.grad(functional.auto_pool(x, 1.0).sum(), x)
    [of_linear] = torch.autograd.grad(functional.linear_softmax_pool(x).sum(), x)
    of_both = torch.autograd.grad(functional.attentive_statistics_pool(x, scores).sum(), (x, scores))
    for gradient in (of_auto, of_linear, *of_both):
        assert gradient.permute(order).is_contiguous()


@every_pooling
def test_nothing_of_the_size_of_the_input_is_kept(run: Run) -> None:
    x, scores = torch.rand(2, 9, 500).requires_grad_(), torch.rand(2, 9, 500).requires_grad_()
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    valid = torch.arange(500) < torch.tensor([[400], [500]])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if run is POOLINGS["linear softmax"]:  # whose magnitudes the test takes
            weighted_ops.linear_softmax(Sequences(x, valid, True))
        else:
            run(weighted_ops, Sequences(x, valid, True), scores)
    given = [leaf.data_ptr() for leaf in (x, scores)]
    assert all(tensor.data_ptr() in given or tensor.numel() <= 1000 for tensor in kept)


def test_only_what_is_asked_for_has_a_gradient() -> None:
    x, alpha = torch.randn(2, 3, 4, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    both = [leaf.clone().requires_grad_() for leaf in (x, alpha)]
    expected = torch.autograd.grad(functional.auto_pool(*both).sum(), both)
    for leaf, other, right in ((x, alpha, expected[0]), (alpha, x, expected[1])):
        wanted = leaf.clone().requires_grad_()
        y = functional.auto_pool(wanted, other) if leaf is x else functional.auto_pool(other, wanted)
        assert torch.equal(torch.autograd.grad(y.sum(), wanted)[0], right)
