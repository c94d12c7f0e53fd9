"""PoolFormer's mixer against plain loops."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from problems import FLOATS, LAYOUTS, ROUNDING, assert_near, in_layout, values

from poolkit import functional, nn
from poolkit.errors import ArgumentError

RANKS = (1, 2, 3)


@pytest.mark.parametrize("rank", RANKS)
@given(data=st.data())
def test_pool_mixer(rank: int, data: st.DataObject) -> None:
    size = tuple(data.draw(st.integers(1, (9, 6, 4)[rank - 1])) for _ in range(rank))
    kernel = tuple(data.draw(st.sampled_from((1, 3, 5))) for _ in range(rank))
    dtype = data.draw(st.sampled_from(FLOATS))
    x = torch.tensor(values("normal", (2, 3, *size))).to(dtype)
    x = in_layout(x, data.draw(st.sampled_from(LAYOUTS))).requires_grad_()
    y = getattr(functional, f"pool_mixer{rank}d")(x, kernel)
    assert y.dtype == dtype
    gradient = torch.tensor(values("normal", (2, 3, *size), 1)).to(dtype)
    y.backward(gradient)
    array, given_back = x.detach().double().numpy(), gradient.double().numpy()
    expected, back = -array, -given_back
    for where in itertools.product(*map(range, size)):
        reach = [
            [c for c in range(w - k // 2, w + k // 2 + 1) if 0 <= c < n]
            for w, k, n in zip(where, kernel, size, strict=True)
        ]
        cells = list(itertools.product(*reach))
        for cell in cells:
            expected[(..., *where)] += array[(..., *cell)] / len(cells)
            back[(..., *cell)] += given_back[(..., *where)] / len(cells)
    assert x.grad is not None
    # Relative to the cells: of a window of one cell the difference is 0.
    for actual, wanted, source in ((y, expected, array), (x.grad, back, given_back)):
        assert actual.shape == wanted.shape
        scale = ROUNDING[dtype] * np.abs(source).max()
        np.testing.assert_allclose(actual.detach().double().numpy(), wanted, rtol=ROUNDING[dtype], atol=scale)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("rank", RANKS)
def test_constant_maps_give_zeros_at_the_border_too(rank: int, dtype: torch.dtype) -> None:
    """torch's average counts its padding by default, which leaves -1 / 3, -5 / 9 and -19 / 27 in the corners."""
    x = torch.full((1, 2, *(4,) * rank), 3.0, dtype=dtype)
    y = getattr(functional, f"pool_mixer{rank}d")(x)
    assert_near(y, np.zeros(y.shape), 1e-6)


def test_half_precision_is_rounded_once() -> None:
    """Between 2048 and 2050 there is no half: the differences of rounded means are 0, -2, 0."""
    x = torch.tensor([[[2048.0, 2050.0, 2048.0]]], dtype=torch.float16)
    rounded = functional.avg_pool1d(x, 3, 1, 1, count_include_pad=False) - x
    assert rounded.tolist() == [[[0, -2, 0]]]
    y = functional.pool_mixer1d(x)
    assert_near(y, np.array([[[1.0, -4 / 3, 1.0]]]), 1e-3)


def test_large_values_do_not_overflow() -> None:
    x = torch.tensor([[[6e4, -6e4, 6e4, 6e4]]], dtype=torch.float16)
    assert functional.pool_mixer1d(x).isfinite()[0, 0].tolist() == [True, False, True, True]  # 8e4 is none
    assert functional.pool_mixer1d(x / 6).isfinite().all()


def test_a_nan_reaches_its_neighbours_alone() -> None:
    x = torch.zeros(1, 1, 6)
    x[0, 0, 2] = math.nan
    assert functional.pool_mixer1d(x).isnan()[0, 0].tolist() == [False, True, True, True, False, False]


def test_memory_format_stays() -> None:
    x = torch.randn(2, 4, 5, 6).contiguous(memory_format=torch.channels_last)
    assert nn.PoolMixer2d()(x).is_contiguous(memory_format=torch.channels_last)


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="kernel_size must be odd, but got 4"):
        functional.pool_mixer2d(torch.zeros(2, 3, 5, 5), 4)
    with pytest.raises(ArgumentError, match=r"pool_mixer2d\(\): input must be \(N, C, H, W\).*\[5, 5\]"):
        functional.pool_mixer2d(torch.zeros(5, 5))
