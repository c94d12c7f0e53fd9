"""Space to depth and the Haar transform, against plain loops, and back again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from problems import FLOATS, INTEGERS, LAYOUTS, ROUNDING, assert_near, in_layout, values
from torch.nn import functional as F

from poolkit import functional
from poolkit.errors import ArgumentError

RANKS = (1, 2, 3)


def named(name: str, rank: int) -> Callable[..., Any]:
    return getattr(functional, f"{name}{rank}d")  # type: ignore[no-any-return]


def counted(*shape: int) -> torch.Tensor:
    return torch.arange(math.prod(shape)).reshape(shape)


# ------------------------------------------------------------------------------------- space to depth


@pytest.mark.parametrize("order", ["channels", "cells"])
@pytest.mark.parametrize("rank", RANKS)
@given(data=st.data())
def test_space_to_depth_and_back(rank: int, order: str, data: st.DataObject) -> None:
    small = tuple(data.draw(st.integers(1, 4)) for _ in range(rank))
    block = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    size = tuple(s * b for s, b in zip(small, block, strict=True))
    channels, count = 3, math.prod(block)
    x = counted(2, channels, *size).to(data.draw(st.sampled_from((*FLOATS[:2], *INTEGERS))))
    x = in_layout(x, data.draw(st.sampled_from(LAYOUTS)))
    y = named("space_to_depth", rank)(x, block, order)
    assert y.dtype == x.dtype
    assert y.shape == (2, channels * count, *small)
    for c, (number, inner) in itertools.product(range(channels), enumerate(itertools.product(*map(range, block)))):
        depth = c * count + number if order == "channels" else number * channels + c
        for where in itertools.product(*map(range, small)):
            cell = tuple(w * b + i for w, b, i in zip(where, block, inner, strict=True))
            assert torch.equal(y[(slice(None), depth, *where)], x[(slice(None), c, *cell)])
    assert torch.equal(named("depth_to_space", rank)(y, block, order), x)
    assert torch.equal(named("depth_to_space", rank)(in_layout(y, "channels_last"), block, order), x)


def test_torch_and_onnx_order() -> None:
    x = counted(2, 3, 4, 6).double()
    assert torch.equal(functional.space_to_depth2d(x), F.pixel_unshuffle(x, 2))
    y = counted(2, 12, 4, 6).double()
    assert torch.equal(functional.depth_to_space2d(y), F.pixel_shuffle(y, 2))
    slices = torch.cat([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)
    assert torch.equal(functional.space_to_depth2d(x, order="cells"), slices)


@pytest.mark.parametrize(
    ("there", "back", "order"),
    [
        ("space_to_depth", "depth_to_space", "channels"),
        ("space_to_depth", "depth_to_space", "cells"),
        ("haar_pool", "haar_unpool", "channels"),
        ("haar_pool", "haar_unpool", "bands"),
    ],
)
@pytest.mark.parametrize("rank", [2, 3])
def test_memory_format_stays(there: str, back: str, order: str, rank: int) -> None:
    memory_format = {2: torch.channels_last, 3: torch.channels_last_3d}[rank]
    x = counted(2, 3, *(4, 6, 2)[:rank]).double()
    y = named(there, rank)(x, order=order)
    last = named(there, rank)(x.contiguous(memory_format=memory_format), order=order)
    assert last.is_contiguous(memory_format=memory_format)
    assert torch.equal(last, y)
    again = named(back, rank)(last, order=order)
    assert again.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(again, x)


def test_refusals_of_sizes_that_blocks_do_not_divide() -> None:
    with pytest.raises(ArgumentError, match=r"block_size must divide the spatial size, but got \(2, 2\) for.*4, 5"):
        functional.space_to_depth2d(torch.zeros(2, 3, 4, 5))
    with pytest.raises(ArgumentError, match=r"must divide the channels, but got \(2, 3\) for \[2, 8, 4, 5\]"):
        functional.depth_to_space2d(torch.zeros(2, 8, 4, 5), (2, 3))
    with pytest.raises(ArgumentError, match=r"order must be one of 'channels', 'cells', but got 'bands'"):
        functional.space_to_depth1d(torch.zeros(2, 3, 4), order="bands")


# ------------------------------------------------------------------------------------------------ Haar


@pytest.mark.parametrize("order", ["bands", "channels"])
@pytest.mark.parametrize("rank", RANKS)
@given(data=st.data())
def test_haar_pool_and_back(rank: int, order: str, data: st.DataObject) -> None:
    small = tuple(data.draw(st.integers(1, 4)) for _ in range(rank))
    channels, count = data.draw(st.integers(1, 3)), 2**rank
    dtype = data.draw(st.sampled_from(FLOATS))
    x = torch.tensor(values("normal", (2, channels, *(2 * s for s in small)))).to(dtype)
    x = in_layout(x, data.draw(st.sampled_from(LAYOUTS)))
    y = named("haar_pool", rank)(x, order)
    assert y.dtype == dtype
    array, expected = x.double().numpy(), np.zeros((2, channels * count, *small))
    for c, (number, digits) in itertools.product(range(channels), enumerate(itertools.product((0, 1), repeat=rank))):
        depth = number * channels + c if order == "bands" else c * count + number
        for where in itertools.product(*map(range, small)):
            for inner in itertools.product((0, 1), repeat=rank):
                sign = (-1) ** sum(d * i for d, i in zip(digits, inner, strict=True))
                cell = tuple(2 * w + i for w, i in zip(where, inner, strict=True))
                expected[(slice(None), depth, *where)] += sign * array[(slice(None), c, *cell)] / math.sqrt(count)
    assert_near(y, expected, ROUNDING[dtype])
    assert_near(named("haar_unpool", rank)(y, order), array, 4 * ROUNDING[dtype])


@pytest.mark.parametrize("rank", RANKS)
def test_haar_is_orthonormal(rank: int) -> None:
    """Lengths stay, the gradient is the inverse, and the first band is average pooling times a constant."""
    x = torch.tensor(values("normal", (2, 3, *(4, 6, 2)[:rank]))).requires_grad_()
    y = named("haar_pool", rank)(x)
    torch.testing.assert_close(y.square().sum(), x.square().sum())
    gradient = torch.tensor(values("normal", tuple(y.shape), 1))
    y.backward(gradient)
    torch.testing.assert_close(x.grad, named("haar_unpool", rank)(gradient))
    torch.testing.assert_close(y[:, :3], named("avg_pool", rank)(x, 2) * 2 ** (rank / 2))


def test_haar_bands_of_a_plane() -> None:
    across = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert functional.haar_pool2d(across).flatten().tolist() == [1, 1, 0, 0]
    assert functional.haar_pool2d(across.mT).flatten().tolist() == [1, 0, 1, 0]
    assert functional.haar_pool2d(torch.eye(2)[None]).flatten().tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("rank", RANKS)
def test_constants_have_no_detail(rank: int) -> None:
    y = named("haar_pool", rank)(torch.full((1, 2, *(4,) * rank), 3.0))
    assert not y[:, 2:].any()
    torch.testing.assert_close(y[:, :2], torch.full_like(y[:, :2], 3 * 2 ** (rank / 2)))


def test_sums_of_half_precision_do_not_overflow_on_the_way() -> None:
    x = torch.tensor([[[3e4, 3e4], [3e4, -3e4]]], dtype=torch.float16)
    assert_near(functional.haar_pool2d(x), np.array([[[3e4]], [[3e4]], [[3e4]], [[-3e4]]]), 1e-3)


def test_haar_refusals() -> None:
    with pytest.raises(ArgumentError, match=r"haar_pool2d\(\): the spatial size must be even, but got \[2, 3, 4, 5\]"):
        functional.haar_pool2d(torch.zeros(2, 3, 4, 5))
    with pytest.raises(ArgumentError, match=r"the channels must be a multiple of 4, but got \[2, 6, 4, 5\]"):
        functional.haar_unpool2d(torch.zeros(2, 6, 4, 5))
    with pytest.raises(ArgumentError, match=r"order must be one of 'bands', 'channels', but got 'cells'"):
        functional.haar_pool1d(torch.zeros(2, 6, 4), "cells")
