"""Attentive statistics pooling against plain loops: with scores given, and with the network that makes them."""

from __future__ import annotations

import copy
import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from problems import FLOATS, ROUNDING, assert_near
from torch.nn.utils.rnn import pack_padded_sequence

from poolkit import functional, nn
from poolkit.errors import ArgumentError

Array = NDArray[np.float64]
LAYOUTS = {"channels_first": (0, 1, 2), "batch_first": (0, 2, 1), "time_first": (2, 0, 1)}  # of (N, C, L)
MASK = torch.tensor([[True, False, True, True, False], [False, False, False, True, False], [False] * 5])
nan, inf = math.nan, math.inf


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def weights_of(scores: list[float]) -> list[float]:
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def pooled(
    x: Array, scores: Array, valid: NDArray[np.bool_], eps: float, gradient: Array
) -> tuple[Array, Array, Array]:
    """Result (N, 2C), and the gradients of x and of the scores, all (N, C, L)."""
    batch, channels, length = x.shape
    result, of_x, of_scores = np.zeros((batch, 2 * channels)), np.zeros(x.shape), np.zeros(x.shape)
    for n in range(batch):
        steps = [t for t in range(length) if valid[n, t]]
        for c in range(channels if steps else 0):
            w = dict(zip(steps, weights_of([scores[n, c, t] for t in steps]), strict=True))
            mean = sum(w[t] * x[n, c, t] for t in steps)
            variance = sum(w[t] * (x[n, c, t] - mean) ** 2 for t in steps)
            deviation = math.sqrt(max(variance, eps))
            result[n, c], result[n, channels + c] = mean, deviation
            g_mean = gradient[n, c]
            g_variance = gradient[n, channels + c] / (2 * deviation) if variance >= eps else 0.0
            for t in steps:
                centred = x[n, c, t] - mean
                of_x[n, c, t] = w[t] * (g_mean + 2 * g_variance * centred)
                of_scores[n, c, t] = w[t] * (g_mean * centred + g_variance * (centred**2 - variance))
    return result, of_x, of_scores


@given(data=st.data())
def test_value_and_gradients(data: st.DataObject) -> None:
    batch, length, seed = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 7)), data.draw(st.integers(0, 99))
    dtype, layout = data.draw(st.sampled_from(FLOATS)), data.draw(st.sampled_from(list(LAYOUTS)))
    shared, poison = data.draw(st.booleans()), data.draw(st.sampled_from((nan, inf, -1e4)))
    eps = data.draw(st.sampled_from((1e-7, 0.3)))
    valid, said = np.ones((batch, length), dtype=bool), {}
    if data.draw(st.booleans()):
        valid = np.random.default_rng(seed).random((batch, length)) < 0.6
        said = {"mask": torch.tensor(valid)}
    x = numbers(batch, 3, length, seed=seed).to(dtype)
    scores = (2 * numbers(batch, 1 if shared else 3, length, seed=seed + 1)).to(dtype)
    leaves = [
        torch.where(torch.tensor(valid)[:, None], t, poison).permute(LAYOUTS[layout]).contiguous().requires_grad_()
        for t in (x, scores)
    ]
    y = functional.attentive_statistics_pool(*leaves, **said, eps=eps, layout=layout)
    gradient = numbers(batch, 6, seed=5).to(dtype)
    y.backward(gradient)
    expected, *backs = pooled(
        x.double().numpy(), scores.double().expand(x.shape).numpy(), valid, eps, gradient.double().numpy()
    )
    if shared:
        backs[1] = backs[1].sum(1, keepdims=True)
    assert y.dtype == dtype
    assert_near(y, expected, ROUNDING[dtype])
    for leaf, back in zip(leaves, backs, strict=True):
        assert leaf.grad is not None
        grad = leaf.grad.permute([LAYOUTS[layout].index(axis) for axis in range(3)])
        assert_near(grad, back, 4 * ROUNDING[dtype])
        assert (grad[torch.tensor(~valid)[:, None].expand(grad.shape)] == 0).all()


def test_differentiates_twice() -> None:
    for channels in (2, 1):
        leaves = [numbers(3, 2, 5).requires_grad_(), numbers(3, channels, 5, seed=1).requires_grad_()]

        def pool(*xs: torch.Tensor) -> torch.Tensor:
            return functional.attentive_statistics_pool(*xs, mask=MASK)

        assert torch.autograd.gradcheck(pool, leaves)
        assert torch.autograd.gradgradcheck(pool, leaves)


def test_equal_scores_give_plain_statistics() -> None:
    x = numbers(3, 2, 5)
    plain = functional.statistics_pool(x, mask=MASK, eps=1e-12)
    y = functional.attentive_statistics_pool(x, torch.full((3, 1, 5), 7.0).double(), mask=MASK, eps=1e-12)
    torch.testing.assert_close(y, plain, rtol=1e-6, atol=1e-6)


def test_a_large_mean_costs_the_deviation_no_digits() -> None:
    """The mean of squares less the square of the mean has none left."""
    x = torch.tensor([[4000.0, 4001.0]]).repeat(1, 50)
    shares = torch.full((100,), 0.01)
    shortcut = (shares * x.square()).sum() - (shares * x).sum().square()
    assert shortcut.item() == 0
    y = functional.attentive_statistics_pool(x, torch.zeros(1, 100))
    assert y.tolist() == [4000.5, 0.5]


def test_scores_do_not_overflow() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float16)
    y = functional.attentive_statistics_pool(x, torch.tensor([[-1e4, 1e4, 1e4]], dtype=torch.float16))
    assert y.tolist() == [2.5, 0.5]


def test_one_step_has_the_least_deviation_and_no_gradient_for_it() -> None:
    x = torch.tensor([[[3.0, nan]]], requires_grad=True)
    y = functional.attentive_statistics_pool(x, torch.zeros(1, 1, 2), [1], eps=1e-4)
    assert y.tolist() == [[3.0, pytest.approx(0.01)]]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[1.0, 0.0]]]


# ------------------------------------------------------------------------------------------- the network


def scored(pool: nn.AttentiveStatisticsPool, x: Array, valid: NDArray[np.bool_]) -> Array:
    """The network's scores (N, C or 1, L), step by step, its input three times as wide as x; 0 at padded steps."""
    first, second = (layer.weight.detach().numpy()[..., 0] for layer in (pool.linear1, pool.linear2))
    biases = [layer.bias.detach().numpy() for layer in (pool.linear1, pool.linear2)]
    result = np.zeros((len(x), len(second), x.shape[2]))
    for n in range(len(x)):
        steps = [t for t in range(x.shape[2]) if valid[n, t]]
        for t in steps:
            seen = x[n, :, t]
            if pool.global_context:
                mean = x[n][:, steps].mean(1)
                deviation = np.sqrt(((x[n][:, steps] - mean[:, None]) ** 2).mean(1) + pool.eps)
                seen = np.concatenate((seen, mean, deviation))
            result[n, :, t] = second @ np.tanh(first @ seen + biases[0]) + biases[1]
    return result


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("global_context", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_network(per_channel: bool, global_context: bool, layout: str) -> None:
    torch.manual_seed(0)
    pool = nn.AttentiveStatisticsPool(4, 3, per_channel, global_context, layout=layout).double()
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter)
    x = numbers(3, 4, 5)
    scores = scored(pool, x.numpy(), MASK.numpy())
    expected, _, _ = pooled(x.numpy(), np.broadcast_to(scores, x.shape), MASK.numpy(), pool.eps, np.zeros((3, 8)))
    dirty = torch.where(MASK[:, None], x, nan).permute(LAYOUTS[layout]).contiguous()
    assert_near(pool(dirty, mask=MASK), expected, 1e-11)


@pytest.mark.parametrize("global_context", [False, True])
def test_padding_leaves_no_trace(global_context: bool) -> None:
    """Nor in the gradients of the weights."""
    pool = nn.AttentiveStatisticsPool(4, 3, global_context=global_context).double()
    clean, results = numbers(3, 4, 5), []
    for poison in (0.0, nan, inf):
        pool.zero_grad()
        x = torch.where(MASK[:, None], clean, poison).requires_grad_()
        y = pool(x, mask=MASK)
        assert (y[2] == 0).all()
        y.square().sum().backward()
        assert x.grad is not None
        assert (x.grad[~MASK[:, None].expand(x.shape)] == 0).all()
        results.append([y, x.grad, *(parameter.grad for parameter in pool.parameters())])
    for others in results[1:]:
        for actual, expected in zip(others, results[0], strict=True):
            torch.testing.assert_close(actual, expected)
    alone = pool(clean[0][:, MASK[0]])
    torch.testing.assert_close(alone, pool(clean, mask=MASK)[0])


def test_packed_sequences() -> None:
    pool, x, lengths = nn.AttentiveStatisticsPool(2, 3).double(), numbers(3, 5, 2), [3, 5, 1]
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    other = copy.deepcopy(pool)
    other.layout = "batch_first"
    torch.testing.assert_close(pool(packed), other(x, lengths=lengths))
    scores = pack_padded_sequence(x[..., :1], torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    torch.testing.assert_close(
        functional.attentive_statistics_pool(packed, scores),
        functional.attentive_statistics_pool(x, x[..., :1], lengths, layout="batch_first"),
    )


def test_state_has_the_names_of_wespeaker() -> None:
    state = nn.AttentiveStatisticsPool(4, 3).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "linear1.weight": (3, 12, 1),
        "linear1.bias": (3,),
        "linear2.weight": (4, 3, 1),
        "linear2.bias": (4,),
    }
    assert nn.AttentiveStatisticsPool(4, 3, False, False).linear2.weight.shape == (1, 3, 1)


X = torch.zeros(2, 3, 4)
REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ((X, X[:, :2]), {}, ArgumentError, r"scores must have the shape \[2, 3, 4\] or \[2, 1, 4\].*\[2, 2, 4\]"),
    ((X, X[..., :3]), {}, ArgumentError, r"scores must have the shape.*\[2, 3, 3\]"),
    ((X, X[0]), {}, ArgumentError, r"scores must have the shape.*\[1, 3, 4\]"),
    ((X, X[..., :0]), {}, ArgumentError, r"scores in layout 'channels_first' must be"),
    ((X, X.long()), {}, NotImplementedError, r"scores must be float32.*int64"),
    ((X, None), {}, TypeError, r"scores must be a torch.Tensor, but got NoneType"),
    ((X, X), {"eps": 0.0}, ArgumentError, "eps must be"),
    ((X, X), {"lengths": [4, 5]}, ArgumentError, r"lengths must be from 0 to 4.*got 5"),
]


@pytest.mark.parametrize(("tensors", "said", "error", "words"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_refusals(tensors: Any, said: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        functional.attentive_statistics_pool(*tensors, **said)


def test_the_module_refuses_other_channels() -> None:
    with pytest.raises(
        ArgumentError, match=r"input in layout 'batch_first' must be \(N, L, 3\) or \(L, 3\).*\[2, 3, 4\]"
    ):
        nn.AttentiveStatisticsPool(3, layout="batch_first")(torch.zeros(2, 3, 4))
