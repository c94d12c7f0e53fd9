"""Pooling of steps, instances and tokens under one label, against plain loops: values, gradients, limits, padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

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
Slopes = tuple[float, list[float]]
LAYOUTS = {"channels_first": (0, 1, 2), "batch_first": (0, 2, 1), "time_first": (2, 0, 1)}  # of (N, C, L)
ALPHAS, THRESHOLDS, STEEPNESS = (-2.5, 0.0, 1.0), (0.25, 0.5, 0.875), 6.0  # of three channels
nan, inf = math.nan, math.inf


# ---------------------------------------------------- the oracle: one channel's valid steps, at least one of them


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def auto(x: list[float], channel: int) -> Slopes:
    alpha = ALPHAS[channel]
    powers = [math.exp(alpha * step) for step in x]
    shares = [power / sum(powers) for power in powers]
    y = sum(share * step for share, step in zip(shares, x, strict=True))
    return y, [share * (1 + alpha * (step - y)) for share, step in zip(shares, x, strict=True)]


def linear_softmax(x: list[float], channel: int) -> Slopes:
    if sum(x) == 0:
        return 0.0, [0.0] * len(x)
    y = sum(step * step for step in x) / sum(x)
    return y, [(2 * step - y) / sum(x) for step in x]


def noisy_or(p: list[float], channel: int) -> Slopes:
    others = [math.prod(1 - q for place, q in enumerate(p) if place != own) for own in range(len(p))]
    return 1 - (1 - p[0]) * others[0], others


def noisy_and(p: list[float], channel: int) -> Slopes:
    a, b, mean = STEEPNESS, THRESHOLDS[channel], sum(p) / len(p)
    low, high, here = sigmoid(-a * b), sigmoid(a * (1 - b)), sigmoid(a * (mean - b))
    return (here - low) / (high - low), [a * here * (1 - here) / (high - low) / len(p)] * len(p)


def isr(p: list[float], channel: int) -> Slopes:
    if 1.0 in p:
        return 1.0, [float(place == p.index(1.0)) / p.count(1.0) for place in range(len(p))]
    odds = sum(q / (1 - q) for q in p)
    return odds / (1 + odds), [1 / ((1 + odds) * (1 - q)) ** 2 for q in p]


def of_logits(rule: Callable[[list[float], int], Slopes]) -> Callable[[list[float], int], Slopes]:
    def called(x: list[float], channel: int) -> Slopes:
        p = [sigmoid(step) for step in x]
        y, slopes = rule(p, channel)
        return y, [slope * q * (1 - q) for slope, q in zip(slopes, p, strict=True)]

    return called


def splade(kind: str, twice: bool) -> Callable[[list[float], int], Slopes]:
    def term(x: float) -> tuple[float, float]:
        if x <= 0:
            return 0.0, 0.0
        once = math.log(1 + x)
        return (math.log(1 + once), 1 / ((1 + once) * (1 + x))) if twice else (once, 1 / (1 + x))

    def called(x: list[float], channel: int) -> Slopes:
        values, slopes = zip(*map(term, x), strict=True)
        if kind == "sum":
            return sum(values), list(slopes)
        best = max(range(len(x)), key=lambda place: x[place])
        return values[best], [slopes[best] * (place == best) for place in range(len(x))]

    return called


class Pooling(NamedTuple):
    call: Callable[..., torch.Tensor]
    rule: Callable[[list[float], int], Slopes]
    probabilities: bool


def _auto(x: Any, **said: Any) -> torch.Tensor:
    return functional.auto_pool(x, torch.tensor(ALPHAS, dtype=torch.float64), **said)


def _noisy_and(x: Any, **said: Any) -> torch.Tensor:
    return functional.noisy_and_pool(x, torch.tensor(THRESHOLDS, dtype=torch.float64), STEEPNESS, **said)


def _with(function: Callable[..., torch.Tensor], **fixed: Any) -> Callable[..., torch.Tensor]:
    return lambda x, **said: function(x, **fixed, **said)


POOLINGS = {
    "auto": Pooling(_auto, auto, False),
    "linear softmax": Pooling(functional.linear_softmax_pool, linear_softmax, True),
    "noisy-or": Pooling(functional.noisy_or_pool, noisy_or, True),
    "noisy-or, logits": Pooling(_with(functional.noisy_or_pool, logits=True), of_logits(noisy_or), False),
    "noisy-and": Pooling(_noisy_and, noisy_and, True),
    "noisy-and, logits": Pooling(_with(_noisy_and, logits=True), of_logits(noisy_and), False),
    "isr": Pooling(functional.isr_pool, isr, True),
    "isr, logits": Pooling(_with(functional.isr_pool, logits=True), of_logits(isr), False),
    **{
        f"splade, {kind} of {activation}": Pooling(
            _with(functional.splade_pool, kind=kind, activation=activation),
            splade(kind, activation != "relu"),
            False,
        )
        for kind in ("max", "sum")
        for activation in ("relu", "log1p_relu")
    },
}
every_pooling = pytest.mark.parametrize("pooling", POOLINGS.values(), ids=POOLINGS.keys())


def numbers(shape: tuple[int, ...], probabilities: bool, seed: int) -> Array:
    """Normal numbers apart from each other, or probabilities, some exactly 0 or 1."""
    random = np.random.default_rng(seed)
    if not probabilities:
        return random.normal(size=shape)
    p = random.random(shape)
    return np.where(p < 0.1, 0, np.where(p > 0.9, 1, p))


# ------------------------------------------------------------------------------------------ values and gradients


@every_pooling
@given(data=st.data())
def test_value_and_gradient(pooling: Pooling, data: st.DataObject) -> None:
    """In any layout, however the valid steps are said, whatever stands in the others."""
    batch, length, seed = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 8)), data.draw(st.integers(0, 99))
    dtype, layout = data.draw(st.sampled_from(FLOATS)), data.draw(st.sampled_from(list(LAYOUTS)))
    how, poison = data.draw(st.sampled_from(("all", "lengths", "mask"))), data.draw(st.sampled_from((nan, inf, -1e4)))
    valid, said = np.ones((batch, length), dtype=bool), {}
    if how == "lengths":
        lengths = [data.draw(st.integers(0, length)) for _ in range(batch)]
        valid, said = np.arange(length) < np.array(lengths)[:, None], {"lengths": lengths}
    elif how == "mask":
        valid = np.random.default_rng(seed).random((batch, length)) < 0.6
        said = {"mask": torch.tensor(valid)}
    x = torch.tensor(numbers((batch, 3, length), pooling.probabilities, seed)).to(dtype)
    dirty = torch.where(torch.tensor(valid)[:, None], x, poison)
    leaf = dirty.permute(LAYOUTS[layout]).contiguous().requires_grad_()
    y = pooling.call(leaf, **said, layout=layout)
    gradient = torch.tensor(np.random.default_rng(5).normal(size=(batch, 3))).to(dtype)
    y.backward(gradient)
    expected, back = np.zeros((batch, 3)), np.zeros(x.shape)
    for n in range(batch):
        steps = [t for t in range(length) if valid[n, t]]
        for c in range(3 if steps else 0):
            expected[n, c], slopes = pooling.rule([x[n, c, t].item() for t in steps], c)
            back[n, c, steps] = np.array(slopes) * float(gradient[n, c])
    assert y.dtype == dtype
    assert_near(y, expected, ROUNDING[dtype])
    assert leaf.grad is not None
    grad = leaf.grad.permute([LAYOUTS[layout].index(axis) for axis in range(3)])
    assert_near(grad, back, 2 * ROUNDING[dtype])
    assert (grad[torch.tensor(~valid)[:, None].expand(grad.shape)] == 0).all()


@every_pooling
def test_differentiates_twice(pooling: Pooling) -> None:
    """Also where probabilities are exactly 1, if one alone is for isr, whose limit is then unique."""
    mask = torch.tensor([[True, True, False, True], [False] * 4])
    x = torch.tensor(numbers((2, 3, 4), False, 3))
    if pooling.probabilities:
        x = x.sigmoid()
        x[0, 0, 1] = x[0, 1, 0] = 1
        if pooling.rule is noisy_or:
            x[0, 1, :2] = x[0, 2] = 1
    leaf = x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pooling.call(x, mask=mask), leaf)
    assert torch.autograd.gradgradcheck(lambda x: pooling.call(x, mask=mask), leaf)


@every_pooling
@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_sequences(pooling: Pooling, batch_first: bool) -> None:
    lengths = [3, 5, 1]
    x = torch.tensor(numbers((3, 5, 3), pooling.probabilities, 1)).requires_grad_()
    order = x if batch_first else x.transpose(0, 1)
    packed = pack_padded_sequence(order, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=False)
    y, expected = pooling.call(packed), pooling.call(x, lengths=lengths, layout="batch_first")
    torch.testing.assert_close(y, expected)
    gradient = torch.linspace(-1, 1, 9, dtype=y.dtype).reshape(3, 3)
    (actual,) = torch.autograd.grad(y, x, gradient)
    torch.testing.assert_close(actual, torch.autograd.grad(expected, x, gradient)[0])


@every_pooling
def test_nan_among_the_valid_steps_is_seen(pooling: Pooling) -> None:
    x = torch.tensor([[[0.25, nan, 0.5, 0.75], [0.25, 0.125, 0.5, nan], [0.5, 0.25, 0.75, nan]]])
    assert pooling.call(x, lengths=[3]).isnan().tolist() == [[True, False, False]]


@every_pooling
def test_nothing_valid_gives_zero_and_no_gradient(pooling: Pooling) -> None:
    x = torch.full((2, 3, 2), nan)
    x[1] = 0.5
    leaf = x.requires_grad_()
    y = pooling.call(leaf, lengths=[0, 2])
    assert (y[0] == 0).all()
    assert (y[1] > 0).all()
    y.sum().backward()
    assert leaf.grad is not None
    assert (leaf.grad[0] == 0).all()
    assert leaf.grad.isfinite().all()


@every_pooling
def test_refusals_and_unbatched_inputs(pooling: Pooling) -> None:
    x = torch.rand(2, 3, 4)
    with pytest.raises(ArgumentError, match=r"input in layout 'channels_first' must be \(N, C, L\) or \(C, L\)"):
        pooling.call(x[..., :0])
    with pytest.raises(ArgumentError, match="give lengths or mask, not both"):
        pooling.call(x, lengths=[1, 2], mask=torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"lengths must be from 0 to 4.*got 5"):
        pooling.call(x, lengths=[1, 5])
    with pytest.raises(ArgumentError, match="layout must be one of"):
        pooling.call(x, layout="NCL")
    with pytest.raises(NotImplementedError, match=r"input must be float32.*int64"):
        pooling.call(x.long())
    torch.testing.assert_close(pooling.call(x[1], lengths=3), pooling.call(x, lengths=[4, 3])[1])


# ------------------------------------------------------------------------------------------------------ auto-pool


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_limits_of_auto_pool_are_exact(dtype: torch.dtype) -> None:
    x = torch.tensor(numbers((4, 3, 7), False, 0)).to(dtype)
    lengths = [7, 3, 1, 0]
    for alpha, kind in ((inf, "max"), (-inf, "min"), (1e30, "max"), (-1e30, "min")):
        y = functional.auto_pool(x, alpha, lengths)
        assert torch.equal(y, functional.temporal_pool(x, kind, lengths))
    mean = functional.temporal_pool(x.double(), "mean", lengths)
    assert_near(functional.auto_pool(x, 0.0, lengths), mean.numpy(), ROUNDING[dtype])


@pytest.mark.parametrize("alpha", [inf, -inf, 1e30, 0.0])
def test_steps_that_tie_share_the_gradient_of_auto_pool(alpha: float) -> None:
    """Numbers that no mean of three hits exactly: a rounding times alpha would be the whole gradient."""
    x = torch.tensor([[1.1, 3.3, 3.3, 3.3], [-7.7] * 4], requires_grad=True)
    slope = torch.tensor(alpha, requires_grad=True)
    y = functional.auto_pool(x, slope)
    of_x, of_alpha = torch.autograd.grad(y.sum(), (x, slope))
    first = {inf: [0, 1 / 3, 1 / 3, 1 / 3], 1e30: [0, 1 / 3, 1 / 3, 1 / 3], -inf: [1, 0, 0, 0], 0.0: [0.25] * 4}[alpha]
    torch.testing.assert_close(of_x, torch.tensor([first, [0.25] * 4]))
    variance = x[0].var(correction=0).item() if alpha == 0 else 0.0
    assert of_alpha.item() == pytest.approx(variance)


def test_the_gradient_of_alpha_is_the_variance_under_the_weights() -> None:
    x = torch.tensor(numbers((2, 3, 5), False, 2))
    alpha = torch.tensor(ALPHAS, dtype=torch.float64, requires_grad=True)
    functional.auto_pool(x, alpha).sum().backward()
    expected = []
    for channel, value in enumerate(ALPHAS):
        total = 0.0
        for row in x[:, channel].tolist():
            powers = [math.exp(value * step) for step in row]
            mean = sum(p * s for p, s in zip(powers, row, strict=True)) / sum(powers)
            total += sum(p * (s - mean) ** 2 for p, s in zip(powers, row, strict=True)) / sum(powers)
        expected.append(total)
    assert alpha.grad is not None
    assert alpha.grad.tolist() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda alpha: functional.auto_pool(x, alpha), alpha)
    assert torch.autograd.gradgradcheck(lambda alpha: functional.auto_pool(x, alpha), alpha)


def test_padding_changes_no_gradient_of_alpha() -> None:
    clean = torch.tensor(numbers((3, 3, 5), False, 2))
    mask = torch.tensor([[True, False, True, True, False], [False] * 5, [True] * 5])
    results = []
    for poison in (0.0, nan, inf):
        alpha = torch.tensor(ALPHAS, dtype=torch.float64, requires_grad=True)
        functional.auto_pool(torch.where(mask[:, None], clean, poison), alpha, mask=mask).sum().backward()
        assert alpha.grad is not None
        results.append(alpha.grad)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_a_level_costs_auto_pool_no_digits() -> None:
    """The gradient of alpha is a variance: it must not be a difference of large numbers."""
    steps = torch.tensor([[0.0, 1.0, 0.5, 0.25]])
    slopes = []
    for level in (0.0, 4096.0):
        alpha = torch.tensor([1.0], requires_grad=True)
        y = functional.auto_pool(steps + level, alpha)
        y.backward()
        slopes.append(alpha.grad)
        assert y.item() - level == pytest.approx(functional.auto_pool(steps, 1.0).item(), abs=5e-4)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-6, atol=0)


def test_auto_pool_does_not_overflow() -> None:
    x = torch.tensor([[1e4, -1e4, 5e3]], dtype=torch.float16)
    for alpha, expected in ((1.0, 1e4), (100.0, 1e4), (-1.0, -1e4), (0.0, 5e3 / 3)):
        assert functional.auto_pool(x, alpha).item() == pytest.approx(expected, rel=1e-3)


def test_infinite_steps_of_auto_pool() -> None:
    x = torch.tensor([[0.0, 1.0, -inf], [0.0, 1.0, inf], [-inf, -inf, inf]])
    expected = math.e / (1 + math.e)
    assert functional.auto_pool(x, 1.0).tolist() == [pytest.approx(expected), inf, inf]
    assert functional.auto_pool(x, -1.0).tolist() == [-inf, pytest.approx(1 - expected), -inf]


def test_alphas_that_auto_pool_refuses() -> None:
    x = torch.zeros(2, 3, 4)
    with pytest.raises(ArgumentError, match=r"alpha must be one number or have the shape \[3\].*\[2\]"):
        functional.auto_pool(x, torch.ones(2))
    with pytest.raises(TypeError, match="alpha must be a number or a tensor, but got '1'"):
        functional.auto_pool(x, "1")  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match=r"alpha must be float32.*int64"):
        functional.auto_pool(x, torch.ones(3, dtype=torch.int64))
    with pytest.raises(ArgumentError, match=r"alpha.*\[5\]"):
        nn.AutoPool(5)(x)
    for shape in ((), (1,)):
        assert functional.auto_pool(x, torch.ones(shape)).shape == (2, 3)


def test_auto_pool_learns_where_the_event_is() -> None:
    """One step in a hundred says what the label says: alpha rises."""
    x = torch.rand(64, 1, 100) * 0.5
    label = torch.arange(64) % 2
    x[:, 0, 7] += label * 0.5
    pool = nn.AutoPool(1, init=0.0)
    optimizer = torch.optim.SGD(pool.parameters(), lr=50.0)
    for _ in range(20):
        optimizer.zero_grad()
        (pool(x)[:, 0] - label).square().mean().backward()
        optimizer.step()
    assert pool.alpha.item() > 1


# ---------------------------------------------------------------------------------------------- linear softmax


def test_linear_softmax_of_no_sum_is_zero() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, -1.0], [0.5, 0.5]], requires_grad=True)
    y = functional.linear_softmax_pool(x)
    assert y.tolist() == [0, 0, 0.5]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0], [0, 0], [0.5, 0.5]]


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e30])
def test_linear_softmax_forms_no_squares(scale: float) -> None:
    x = (torch.tensor([[0.25, 0.5, 0.25]]) * scale).requires_grad_()
    y = functional.linear_softmax_pool(x)
    assert y.item() == pytest.approx(0.375 * scale, rel=1e-6)
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [pytest.approx([0.125, 0.625, 0.125], rel=1e-5)]


def test_linear_softmax_of_positive_steps_is_the_expectation_of_stochastic_pooling() -> None:
    x = torch.rand(2, 3, 9)
    torch.testing.assert_close(functional.linear_softmax_pool(x), functional.global_stochastic_pool1d(x, keepdim=False))


# ----------------------------------------------------------------------------------- noisy-or, noisy-and and isr


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_certain_instances_have_the_gradient_of_the_others(dtype: torch.dtype) -> None:
    p = torch.tensor([[0.5, 1.0, 0.75], [1.0, 0.5, 1.0], [0.0, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    y = functional.noisy_or_pool(p)
    assert y.tolist() == [1, 1, 0]
    y.sum().backward()
    assert p.grad is not None
    assert p.grad.tolist() == [[0, 0.125, 0], [0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("pool", [functional.noisy_or_pool, functional.isr_pool])
@pytest.mark.parametrize("p", [1e-9, 1e-30])
def test_small_probabilities_keep_their_digits(pool: Any, p: float) -> None:
    x = torch.full((1, 5), p)
    assert pool(x).item() == pytest.approx(5 * p, rel=1e-6)
    assert pool(x.log(), logits=True).item() == pytest.approx(5 * p, rel=1e-5)
    # Beside a larger one, too.
    x[0, 0] = 1e-4
    assert pool(x).item() == pytest.approx(1e-4 + 4 * p, rel=1e-6)


def test_gradients_of_nearly_certain_bags_keep_their_digits() -> None:
    """The product of 1 - p is small beside 1, but it is the gradient."""
    p = np.random.default_rng(0).uniform(0.5, 1, 30).astype(np.float32)
    x = torch.tensor(p[None]).requires_grad_()
    functional.noisy_or_pool(x).backward()
    _, expected = noisy_or(p.astype(np.float64).tolist(), 0)
    assert max(expected) < 1e-10
    assert x.grad is not None
    assert x.grad[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_numbers_that_rounding_pushed_over_the_edge() -> None:
    p = torch.tensor([[0.5, 1 + 1e-6, 0.25, -1e-7]])
    assert functional.noisy_or_pool(p).item() == pytest.approx(1, abs=1e-5)
    p = torch.tensor([[0.5, -1e-7]])
    assert functional.noisy_or_pool(p).item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("pool", [functional.noisy_or_pool, functional.isr_pool])
def test_infinite_logits_are_certain(pool: Any) -> None:
    x = torch.tensor([[inf, 0.0, -inf], [-inf, -inf, -inf], [-inf, 0.0, -inf]], requires_grad=True)
    y = pool(x, logits=True)
    assert y.tolist() == [1, 0, 0.5]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0.25, 0]]
    half = torch.tensor([[-1e4, 1e4]], dtype=torch.float16)
    assert pool(half, logits=True).item() == 1


def test_isr_of_certain_instances() -> None:
    p = torch.tensor([[0.5, 1.0, 0.75], [1.0, 0.5, 1.0], [0.0, 0.0, 0.0]], requires_grad=True)
    y = functional.isr_pool(p)
    assert y.tolist() == [1, 1, 0]
    y.sum().backward()
    assert p.grad is not None
    assert p.grad.tolist() == [[0, 1, 0], [0.5, 0, 0], [1, 1, 1]]
    # Nearly certain instances say the same.
    near = torch.tensor([[0.5, 1 - 1e-9, 0.75]], dtype=torch.float64, requires_grad=True)
    functional.isr_pool(near).sum().backward()
    assert near.grad is not None
    assert near.grad[0].tolist() == pytest.approx([0, 1, 0], abs=1e-7)


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("a", [1e-6, 0.1, 10.0, 1e4])
def test_noisy_and_leads_from_nothing_to_certainty(a: float, threshold: float) -> None:
    """0 and 1 are kept, the result rises, whatever the slope and the threshold."""
    mean = torch.linspace(0, 1, 11)[:, None]
    y = functional.noisy_and_pool(mean, threshold, a)
    assert y[0] == 0
    assert y[-1] == pytest.approx(1, rel=1e-6)
    assert (y.diff() >= -1e-6).all()
    if a == 1e-6:
        torch.testing.assert_close(y, mean[:, 0], rtol=1e-4, atol=0)


def test_noisy_and_of_small_means_keeps_its_digits() -> None:
    """The formula as it stands loses them in a difference of sigmoids."""
    a, b, p = 10.0, 0.5, 1e-6
    slope = a * sigmoid(-a * b) * (1 - sigmoid(-a * b)) / (sigmoid(a * (1 - b)) - sigmoid(-a * b))
    y = functional.noisy_and_pool(torch.full((1, 4), p), b, a)
    assert y.item() == pytest.approx(slope * p, rel=1e-5)


def test_the_threshold_of_noisy_and_learns() -> None:
    x = torch.tensor(numbers((2, 3, 5), True, 4))
    threshold = torch.tensor(THRESHOLDS, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b: functional.noisy_and_pool(x, b), threshold)
    assert torch.autograd.gradgradcheck(lambda b: functional.noisy_and_pool(x, b), threshold)
    pool = nn.NoisyAndPool(3, init=0.25)
    assert pool.threshold.tolist() == [0.25] * 3
    torch.testing.assert_close(pool(x.float()), functional.noisy_and_pool(x.float(), 0.25))


def test_what_noisy_and_refuses() -> None:
    x = torch.rand(2, 3, 4)
    for a in (0, -1.0, nan, inf):
        with pytest.raises(ArgumentError, match="a must be"):
            functional.noisy_and_pool(x, 0.5, a)
    with pytest.raises(TypeError, match="a must be a number, but got '1'"):
        functional.noisy_and_pool(x, 0.5, "1")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"threshold must be one number or have the shape \[3\]"):
        functional.noisy_and_pool(x, torch.ones(4))
    for pool in (functional.noisy_or_pool, functional.isr_pool, _noisy_and):
        with pytest.raises(TypeError, match="logits must be a bool, but got 1"):
            pool(x, logits=1)


# --------------------------------------------------------------------------------------------------------- splade


def test_splade_takes_the_logarithm_of_the_maximum_alone() -> None:
    """The same value and gradient as the recipe, which takes it everywhere; ties go to the same token."""
    x = torch.tensor(np.random.default_rng(0).integers(-3, 4, (2, 6, 5)).astype(np.float64)).requires_grad_()
    mask = torch.tensor([[True, True, True, False, False, False], [True] * 6])
    recipe = (torch.log1p(x.relu()) * mask[..., None]).max(1).values
    y = functional.splade_pool(x, mask=mask, layout="batch_first")
    torch.testing.assert_close(y, recipe)
    gradient = torch.linspace(-1, 1, 10, dtype=torch.float64).reshape(2, 5)
    (actual,) = torch.autograd.grad(y, x, gradient)
    torch.testing.assert_close(actual, torch.autograd.grad(recipe, x, gradient)[0])


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_splade_of_extreme_logits(kind: str) -> None:
    x = torch.tensor([[-inf, -1e4], [inf, 1.0], [60000.0, -1.0]], dtype=torch.float16)
    y = functional.splade_pool(x, kind)
    assert y.tolist() == [0, inf, pytest.approx(math.log(60001), rel=1e-3)]


def test_splade_does_not_change_its_input() -> None:
    x = torch.randn(2, 3, 5)
    before = x.clone()
    functional.splade_pool(x, "max", lengths=[2, 5])
    functional.splade_pool(x, "sum", lengths=[2, 5])
    assert torch.equal(x, before)


def test_what_splade_refuses() -> None:
    x = torch.rand(2, 3, 4)
    with pytest.raises(ArgumentError, match="kind must be one of 'max', 'sum', but got 'mean'"):
        functional.splade_pool(x, "mean")
    with pytest.raises(ArgumentError, match="activation must be one of 'relu', 'log1p_relu', but got 'gelu'"):
        functional.splade_pool(x, activation="gelu")
