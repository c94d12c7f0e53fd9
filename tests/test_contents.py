"""Local importance and detail-preserving pooling against plain loops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

import poolkit.functional as pf
from poolkit import ArgumentError, nn

RANKS = (1, 2, 3)
every_rank = pytest.mark.parametrize("rank", RANKS)


def windows_of(
    size: Sequence[int], kernel: int, stride: int, padding: int
) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]], tuple[int, ...]]]:
    """Each output's place, the cells of its window that exist, and where the window starts."""
    outputs = [(length + 2 * padding - kernel) // stride + 1 for length in size]
    for place in itertools.product(*map(range, outputs)):
        start = tuple(o * stride - padding for o in place)
        cells = itertools.product(*(range(max(s, 0), min(s + kernel, n)) for s, n in zip(start, size, strict=True)))
        yield place, list(cells), start


def maps(rank: int, seed: int = 0) -> torch.Tensor:
    size = {1: (9,), 2: (5, 8), 3: (3, 5, 4)}[rank]
    return torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def importance(x: torch.Tensor, t: torch.Tensor, kernel: int, stride: int, padding: int) -> np.ndarray:
    outputs = [(n + 2 * padding - kernel) // stride + 1 for n in x.shape[2:]]
    y = np.zeros((*x.shape[:2], *outputs))
    for n, c in np.ndindex(*x.shape[:2]):
        for place, cells, _ in windows_of(x.shape[2:], kernel, stride, padding):
            top = max(float(t[n, c][cell]) for cell in cells)
            weights = [math.exp(float(t[n, c][cell]) - top) for cell in cells]
            parts = [w * float(x[n, c][cell]) for w, cell in zip(weights, cells, strict=True)]
            y[n, c][place] = sum(parts) / sum(weights)
    return y


@every_rank
@settings(max_examples=8)
@given(kernel=st.integers(1, 3), stride=st.integers(1, 3), padding=st.integers(0, 1), scale=st.sampled_from([1.0, 1e4]))
def test_local_importance(rank: int, kernel: int, stride: int, padding: int, scale: float) -> None:
    padding = min(padding, kernel // 2)
    x, t = maps(rank), scale * maps(rank, 1)
    y = getattr(pf, f"local_importance_pool{rank}d")(x, t, kernel, stride, padding)
    np.testing.assert_allclose(y, importance(x, t, kernel, stride, padding), rtol=1e-9, atol=1e-12)


@every_rank
def test_local_importance_between_its_limits(rank: int) -> None:
    """Equal logits are the average without padding; the logits x / T are SoftPool."""
    x = maps(rank)
    pool = getattr(pf, f"local_importance_pool{rank}d")
    average = getattr(pf, f"avg_pool{rank}d")(x, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(pool(x, torch.full_like(x, -7.0)), average)
    soft = getattr(pf, f"soft_pool{rank}d")(x, 2, temperature=0.5)
    torch.testing.assert_close(pool(x, 2 * x, 2, None, 0), soft)


@every_rank
def test_gradient_of_logits(rank: int) -> None:
    """dy/dt = w (x - y): logits of cells above the mean rise."""
    x, t = maps(rank).requires_grad_(), maps(rank, 1).requires_grad_()
    pool = getattr(pf, f"local_importance_pool{rank}d")
    assert torch.autograd.gradcheck(lambda x, t: pool(x, t, 2, 2, 0), (x, t), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x, t: pool(x, t, 2, 2, 0), (x, t), fast_mode=True)


@every_rank
@pytest.mark.parametrize("logit", ["simplified", "bottleneck"])
def test_local_importance_starts_as_the_average(rank: int, logit: str) -> None:
    x = maps(rank).float()
    layer = getattr(nn, f"LocalImportancePool{rank}d")(3, logit=logit)
    average = getattr(pf, f"avg_pool{rank}d")(x, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(layer(x), average)
    layer(x).square().sum().backward()
    weights = [p for name, p in layer.named_parameters() if name.endswith("weight") and p.dim() > 1]
    assert all(p.grad is not None for p in weights)
    assert float(weights[-1].grad.abs().max()) > 0


def test_half_precision_of_large_logits() -> None:
    """exp(12) is beyond float16: the sums are taken in float32."""
    x = maps(2).half()
    y = pf.local_importance_pool2d(x, torch.full_like(x, 12.0), 3, 2, 1)
    assert y.dtype == torch.float16
    expected = pf.avg_pool2d(x.float(), 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(y.float(), expected, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def preserved(
    x: torch.Tensor,
    alpha: torch.Tensor,
    lam: torch.Tensor,
    kernel: int,
    stride: int,
    padding: int,
    symmetric: bool,
    norm: str,
    eps: float = 1e-3,
    guide: torch.nn.Module | None = None,
) -> np.ndarray:
    size = x.shape[2:]
    y = np.zeros((*x.shape[:2], *((n + 2 * padding - kernel) // stride + 1 for n in size)))
    for n, c in np.ndindex(*x.shape[:2]):
        plane = x[n, c]
        for place, cells, start in windows_of(size, kernel, stride, padding):
            values = [float(plane[cell]) for cell in cells]
            centre = sum(values) / len(values)
            if guide is not None:
                weight, centre = guide.weight[c, 0], float(guide.bias[c])  # type: ignore[index]
                middle = [s + (kernel - 1) // 2 for s in start]
                for tap in itertools.product(range(3), repeat=len(size)):
                    at = tuple(m + t - 1 for m, t in zip(middle, tap, strict=True))
                    if all(0 <= a < length for a, length in zip(at, size, strict=True)):
                        centre += float(weight[tap]) * float(plane[at])
            distances = [v - centre if symmetric else max(v - centre, 0.0) for v in values]
            squares = [d * d + eps for d in distances]
            divisor = {"mean": sum(squares) / len(squares), "sum": sum(squares), "none": 1.0}[norm]
            gamma = math.exp(float(lam[c])) / 2
            weights = [math.exp(float(alpha[c])) + (q / divisor) ** gamma for q in squares]
            y[n, c][place] = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    return y


@every_rank
@pytest.mark.parametrize("norm", ["mean", "sum", "none"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 0)])
def test_detail_preserving(rank: int, norm: str, symmetric: bool, kernel: int, stride: int, padding: int) -> None:
    x = maps(rank)
    alpha, lam = torch.tensor([0.3, -1.0, 0.0]).double(), torch.tensor([0.5, 1.2, -0.7]).double()
    pool = getattr(pf, f"detail_preserving_pool{rank}d")
    y = pool(x, alpha, lam, kernel, stride, padding, symmetric=symmetric, norm=norm)
    expected = preserved(x, alpha, lam, kernel, stride, padding, symmetric, norm)
    np.testing.assert_allclose(y, expected, rtol=1e-9)
    arguments = tuple(tensor.clone().requires_grad_() for tensor in (x, alpha, lam))
    assert torch.autograd.gradcheck(
        lambda *a: pool(*a, kernel, stride, padding, symmetric=symmetric, norm=norm), arguments, fast_mode=True
    )


@every_rank
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (4, 3, 2), (5, 1, 0)])
def test_the_learnt_filter_stands_on_the_centre(rank: int, kernel: int, stride: int, padding: int) -> None:
    x = torch.nn.functional.pad(maps(rank), (2, 2) * rank)
    layer = getattr(nn, f"DetailPreservingPool{rank}d")(3, kernel, stride, padding, "full", dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0.2)
    expected = preserved(x, layer.alpha, layer.lam, kernel, stride, padding, True, "mean", guide=layer.guide)
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-9)


@every_rank
@pytest.mark.parametrize(("kind", "fixed"), [("LP", "lp"), ("PowerAvg", "power_avg")])
def test_a_learnt_exponent_is_that_of_the_fixed_pooling(rank: int, kind: str, fixed: str) -> None:
    x = maps(rank)
    layer = getattr(nn, f"Learnt{kind}Pool{rank}d")(3, 2, 1, norm_type=2.5, dtype=torch.float64)
    further = {"count_include_pad": False} if kind == "PowerAvg" else {}
    expected = getattr(pf, f"{fixed}_pool{rank}d")(x, 2.5, 3, 2, padding=1, **further)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer.norm_type, torch.tensor([2.5], dtype=torch.float64))


def test_exponents_of_the_channels_are_their_own() -> None:
    x = maps(2)
    layer = nn.LearntLPPool2d(2, channels=3, dtype=torch.float64)
    with torch.no_grad():
        layer.log_norm_type.copy_(torch.tensor([1.0, 2.0, 5.0]).log())
    for channel, p in enumerate((1.0, 2.0, 5.0)):
        torch.testing.assert_close(layer(x)[:, channel], pf.lp_pool2d(x, p, 2)[:, channel])


def test_limits_of_detail_preserving_pooling() -> None:
    x, zero = maps(2), torch.zeros(3, dtype=torch.float64)
    average = pf.avg_pool2d(x, 2)
    torch.testing.assert_close(pf.detail_preserving_pool2d(x, zero + 30, zero), average)
    torch.testing.assert_close(pf.detail_preserving_pool2d(x, zero, zero - 40), average)
    constant = torch.full_like(x, 5.0)
    torch.testing.assert_close(pf.detail_preserving_pool2d(constant, zero, zero), torch.full_like(average, 5.0))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: pf.local_importance_pool2d(x, x[:, :1]), "logits must have the input's shape"),
        (lambda x: pf.local_importance_pool2d(x, x.long()), "logits must be float32"),
        (lambda x: pf.detail_preserving_pool2d(x, x.new_zeros(2), x.new_zeros(3)), r"alpha must have the shape \[3\]"),
        (lambda x: pf.detail_preserving_pool2d(x, x.new_zeros(3), x.new_zeros(1)), r"lam must have the shape \[3\]"),
        (lambda x: pf.detail_preserving_pool2d(x, x.new_zeros(3), x.new_zeros(3), norm="max"), "norm must be 'mean'"),
        (lambda x: pf.detail_preserving_pool2d(x, x.new_zeros(3), x.new_zeros(3), eps=0.0), "eps must be a finite"),
    ],
)
def test_refusals(call: object, text: str) -> None:
    with pytest.raises((ArgumentError, NotImplementedError), match=text):
        call(maps(2))  # type: ignore[operator]
