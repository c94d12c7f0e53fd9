"""Global descriptors: NetVLAD, SPoC and R-MAC against loops, and where other implementations go wrong."""

from __future__ import annotations

import math
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from problems import FLOATS, ROUNDING, assert_near, values

from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.layers.retrieval import rmac_regions

Array = NDArray[np.float64]
nan, inf = math.nan, math.inf


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(values("normal", shape, seed))


def made_unit(x: Array) -> Array:
    length = math.sqrt(float((x**2).sum()))
    return x / length if length else x


# -------------------------------------------------------------------------------------------------------- NetVLAD


def vlad(x: Array, weight: Array, bias: Array, centers: Array, normalize: bool, valid: list[bool] | None) -> Array:
    """One set (L, C), difference by difference."""
    sums = np.zeros(centers.shape)
    for t, raw in enumerate(x):
        if valid is not None and not valid[t]:
            continue
        descriptor = made_unit(raw) if normalize else raw
        scores = [float(weight[k] @ descriptor + bias[k]) for k in range(len(bias))]
        powers = [math.exp(score - max(scores)) for score in scores]
        for k, center in enumerate(centers):
            sums[k] += powers[k] / sum(powers) * (descriptor - center)
    return made_unit(np.concatenate([made_unit(row) for row in sums]))


MASK = torch.tensor([[True, False, True, True, False], [False, False, False, True, False], [False] * 5])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("ghosts", [0, 2])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
def test_netvlad(mask: torch.Tensor | None, ghosts: int, normalize: bool, dtype: torch.dtype) -> None:
    x, weight = numbers(3, 5, 4).to(dtype), numbers(3 + ghosts, 4, seed=1).to(dtype)
    bias, centers = numbers(3 + ghosts, seed=2).to(dtype), numbers(3, 4, seed=3).to(dtype)
    parts = [tensor.double().numpy() for tensor in (weight, bias, centers)]
    expected = np.stack(
        [vlad(x[n].double().numpy(), *parts, normalize, None if mask is None else mask[n].tolist()) for n in range(3)]
    )
    y = functional.netvlad_pool(x, weight, bias, centers, normalize, mask)
    assert y.dtype == dtype
    assert_near(y, expected, ROUNDING[dtype])


def test_netvlad_differentiates_twice() -> None:
    tensors = [numbers(3, 5, 4), numbers(4, 4, seed=1), numbers(4, seed=2), numbers(3, 4, seed=3)]
    tensors = [tensor.requires_grad_() for tensor in tensors]

    def pool(*xs: torch.Tensor) -> torch.Tensor:
        return functional.netvlad_pool(*xs, mask=MASK)

    assert torch.autograd.gradcheck(pool, tensors)
    assert torch.autograd.gradgradcheck(pool, tensors, fast_mode=True)


def test_masked_descriptors_leave_no_trace() -> None:
    pool = nn.NetVLADPool(4, 3, 1).double()
    results = []
    for poison in (0.0, nan, inf):
        pool.zero_grad()
        x = numbers(3, 5, 4).masked_fill(~MASK[..., None], poison).requires_grad_()
        y = pool(x, MASK)
        assert (y[2] == 0).all()
        y.square().sum().backward()
        assert x.grad is not None
        assert (x.grad[~MASK] == 0).all()
        results.append([y, x.grad, *(parameter.grad for parameter in pool.parameters())])
    for others in results[1:]:
        for actual, expected in zip(others, results[0], strict=True):
            torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(pool(numbers(3, 5, 4)[0][MASK[0]]), pool(numbers(3, 5, 4), MASK)[0])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_netvlad_of_maps_is_that_of_their_cells(rank: int) -> None:
    sets, maps = nn.NetVLADPool(3, 2).double(), getattr(nn, f"NetVLADPool{rank}d")(3, 2).double()
    maps.load_state_dict(sets.state_dict())
    x = numbers(2, 3, *(4, 5, 2)[:rank])
    torch.testing.assert_close(maps(x), sets(x.flatten(2).transpose(1, 2)))
    mask = numbers(2, *x.shape[2:]) > 0
    torch.testing.assert_close(maps(x, mask), sets(x.flatten(2).transpose(1, 2), mask.flatten(1)))
    torch.testing.assert_close(maps(x[0], mask[0]), maps(x, mask)[0])


def test_vectors_of_zeros_stay_and_have_no_steep_gradient() -> None:
    """Divided by 1e-12 instead of 0 they would have gradients of 1e12."""
    pool = nn.NetVLADPool(2, 2).double()
    x = torch.zeros(1, 3, 2, dtype=torch.float64)
    x[0, 0] = torch.tensor([1e-3, 2.0])
    x.requires_grad_()
    pool(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() < 10
    lone = functional.netvlad_pool(torch.ones(1, 1, 2), torch.zeros(1, 2), torch.zeros(1), torch.ones(1, 2), False)
    assert lone.tolist() == [[0.0, 0.0]]


def test_start_from_centres_shares_by_distance() -> None:
    """The softmax of -alpha |x - c|^2, also where centres have different lengths."""
    pool = nn.NetVLADPool(2, 2, normalize_input=False).double()
    centers = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert pool.start_from(centers, alpha=1.5) == 1.5
    x = torch.tensor([[0.6, 0.7]], dtype=torch.float64)
    expected = (-1.5 * (x[:, None] - centers).square().sum(2)).softmax(1)
    torch.testing.assert_close((x @ pool.weight.T + pool.bias).softmax(1), expected)
    assert expected.argmax() == 0
    # Others subtract the length of the centre where its square belongs, and take the farther one.
    assert (x @ (2 * centers).T - centers.norm(dim=1)).argmax() == 1


@pytest.mark.parametrize("normalize", [False, True])
def test_alpha_of_descriptors(normalize: bool) -> None:
    """The second nearest centre gets a hundredth of the nearest's share, on the average of the logarithms."""
    pool = nn.NetVLADPool(3, 4, 1, normalize_input=normalize).double()
    centers, x = numbers(5, 3, seed=4), numbers(50, 3, seed=5)
    alpha = pool.start_from(centers, x)
    points = torch.nn.functional.normalize(x) if normalize else x
    shares = (points @ pool.weight.T + pool.bias).softmax(1).topk(2).values
    torch.testing.assert_close((shares[:, 1] / shares[:, 0]).log().mean().exp().item(), 0.01)
    torch.testing.assert_close(pool.centers.detach(), centers[:4])
    torch.testing.assert_close(pool.weight.detach(), 2 * alpha * centers)


def test_refusals_of_netvlad() -> None:
    pool, x = nn.NetVLADPool(3, 2), torch.zeros(2, 5, 3)
    with pytest.raises(ArgumentError, match=r"weight, bias and centers must be .*\[2, 3\], \[2\] and \[3, 3\]"):
        functional.netvlad_pool(x, torch.zeros(2, 3), torch.zeros(2), torch.zeros(3, 3))
    with pytest.raises(ArgumentError, match=r"input must be \(N, L, C\) or \(L, C\).*\[2, 0, 3\]"):
        pool(x[:, :0])
    with pytest.raises(ArgumentError, match=r"mask must have the shape \[2, 5\], but got \[5, 2\]"):
        pool(x, torch.ones(5, 2, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"mask must have the shape \[2, 5\], but got \[2, 1, 5\]"):
        nn.NetVLADPool1d(3, 2)(x.transpose(1, 2), torch.ones(2, 1, 5, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"centers must have the shape \[2, 3\], but got \[3, 3\]"):
        pool.start_from(torch.zeros(3, 3), alpha=1.0)
    for given_both in ({}, {"alpha": 1.0, "descriptors": x[0]}):
        with pytest.raises(ArgumentError, match="either descriptors or alpha must be given"):
            pool.start_from(torch.zeros(2, 3), **given_both)
    with pytest.raises(ArgumentError, match="alpha must be a finite number > 0, but got 0"):
        pool.start_from(torch.zeros(2, 3), alpha=0)
    with pytest.raises(ArgumentError, match=r"descriptors must be \(M, 3\).*\[5, 2\]"):
        pool.start_from(torch.zeros(2, 3), torch.zeros(5, 2))
    with pytest.raises(ArgumentError, match="descriptors must be finite and nearer to one centre"):
        pool.start_from(torch.ones(2, 3), x[0])
    with pytest.raises(ArgumentError, match="alpha must be given for a single cluster"):
        nn.NetVLADPool(3, 1).start_from(torch.ones(1, 3), x[0])


# ----------------------------------------------------------------------------------------------------------- SPoC


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("sigma", [None, 1 / 3, 2.0])
@pytest.mark.parametrize("size", [(7,), (4, 5), (1, 6), (2, 3, 4)])
def test_spoc(size: tuple[int, ...], sigma: float | None, dtype: torch.dtype) -> None:
    rank = len(size)
    x = numbers(2, 3, *size).to(dtype)
    expected = np.zeros((2, 3))
    for cell in np.ndindex(*size):
        squared = sum((place - (length - 1) / 2) ** 2 for place, length in zip(cell, size, strict=True))
        weight = 1.0 if sigma is None else math.exp(-squared / (2 * (sigma * min(size) / 2) ** 2))
        expected += weight * x[(..., *cell)].double().numpy()
    y = getattr(functional, f"spoc_pool{rank}d")(x, sigma)
    assert y.dtype == dtype
    assert_near(y, expected, 2 * ROUNDING[dtype])
    assert torch.equal(getattr(nn, f"SPoCPool{rank}d")(sigma)(x), y)


def test_the_centre_of_spoc_is_the_middle() -> None:
    """Turned maps have the same descriptor."""
    x = numbers(2, 3, 6, 9)
    torch.testing.assert_close(functional.spoc_pool2d(x.flip(2, 3), 1 / 3), functional.spoc_pool2d(x, 1 / 3))


# ---------------------------------------------------------------------------------------------------------- R-MAC


def regions_of(height: int, width: int, levels: int) -> list[tuple[slice, slice]]:
    """Top to bottom, left to right, of every level, in exact fractions."""
    short, long = min(height, width), max(height, width)
    more = 0
    if short < long:
        off = {t: abs(1 - Fraction(long - short, t - 1) / short - Fraction(2, 5)) for t in range(2, 8)}
        more = next(t for t in off if off[t] == min(off.values())) - 1
    found = []
    for level in range(1, levels + 1):
        size = 2 * short // (level + 1)
        if size == 0:
            continue
        starts = []
        for length in (height, width):
            count = level + (more if length > short else 0)
            step = Fraction(length - size, count - 1) if count > 1 else Fraction(0)
            starts.append([math.floor(place * step) for place in range(count)])
        found += [(slice(i, i + size), slice(j, j + size)) for i in starts[0] for j in starts[1]]
    return found


@given(st.integers(1, 14), st.integers(1, 14), st.integers(1, 4), st.sampled_from(FLOATS), st.booleans())
def test_rmac(height: int, width: int, levels: int, dtype: torch.dtype, ties: bool) -> None:
    """Value and gradient; of equals the first, row by row."""
    x = torch.tensor(values("ties" if ties else "normal", (2, 3, height, width), height)).to(dtype)
    leaf = x.clone().requires_grad_()
    y = functional.rmac_pool2d(leaf, levels, 0.1)
    gradient = numbers(2, 3, seed=1).to(dtype)
    exact, grad = x.double().numpy(), gradient.double().numpy()
    expected, back = np.zeros((2, 3)), np.zeros(exact.shape)
    for n in range(2):
        for rows, columns in [(slice(0, height), slice(0, width)), *regions_of(height, width, levels)]:
            part = exact[n, :, rows, columns].reshape(3, -1)
            v, length = part.max(1), math.sqrt(float((part.max(1) ** 2).sum()))
            expected[n] += v / (length + 0.1)
            slope = grad[n] / (length + 0.1)
            if length:
                slope = slope - v * float(grad[n] @ v) / (length * (length + 0.1) ** 2)
            for c in range(3):
                i, j = divmod(int(part[c].argmax()), columns.stop - columns.start)
                back[n, c, rows.start + i, columns.start + j] += slope[c]
    assert y.dtype == dtype
    assert_near(y, expected, 2 * ROUNDING[dtype])
    y.backward(gradient)
    assert leaf.grad is not None
    assert_near(leaf.grad, back, 8 * ROUNDING[dtype])


def test_regions_reach_both_borders() -> None:
    """Where starts are multiples of a rounded step, some of the last regions fall short by a cell."""
    for height in range(1, 40):
        for width in range(1, 40):
            for size, rows, columns in rmac_regions(height, width, 3):
                for starts, length in ((rows, height), (columns, width)):
                    assert starts[0] == 0
                    assert len(starts) == 1 or starts[-1] == length - size
    steps = torch.arange(8.0) * (31 / 7)  # of a map of 4 x 33
    assert steps.floor()[-1] == 30
    assert rmac_regions(4, 33, 2)[1] == (2, [0, 2], [0, 4, 8, 13, 17, 22, 26, 31])


def test_known_grids() -> None:
    assert rmac_regions(9, 9, 3) == [(9, [0], [0]), (6, [0, 3], [0, 3]), (4, [0, 2, 5], [0, 2, 5])]
    assert rmac_regions(30, 40, 1) == [(30, [0], [0, 10])]
    assert rmac_regions(1, 1, 3) == [(1, [0], [0])]


def test_rmac_of_zeros_and_nan() -> None:
    x = torch.zeros(1, 2, 4, 6, requires_grad=True)
    y = functional.rmac_pool2d(x)
    assert y.tolist() == [[0.0, 0.0]]
    (grad,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert grad.isfinite().all()
    spoilt = torch.ones(2, 2, 4, 6)
    spoilt[0, 0, 1, 1] = nan
    y = functional.rmac_pool2d(spoilt)
    assert y[0].isnan().all()
    assert y[1].isfinite().all()


def test_half_precision_does_not_overflow() -> None:
    x = torch.full((1, 2, 5, 7), 1e4, dtype=torch.float16)
    regions = 1 + len(regions_of(5, 7, 3))
    torch.testing.assert_close(
        functional.rmac_pool2d(x), torch.full((1, 2), regions / math.sqrt(2), dtype=torch.float16)
    )
    y = nn.NetVLADPool2d(2, 2).half()(x)
    assert y.isfinite().all()
