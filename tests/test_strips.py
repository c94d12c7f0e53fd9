"""Strip pooling and the blocks built on it, against plain loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from problems import FLAVOURS, FLOATS, LAYOUTS, ROUNDING, assert_near, in_layout, values

from poolkit import functional, nn
from poolkit.errors import ArgumentError

Array = NDArray[np.float64]
SIZES = {2: (4, 6), 3: (3, 5, 4)}
RULES = {"mean": "avg", "max": "max", "min": "min"}


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def normalised(x: Array, training: bool) -> Array:
    """Batch normalisation with fresh weights."""
    if not training:
        return x / math.sqrt(1 + 1e-5)
    axes = (0, *range(2, x.ndim))
    result: Array = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    return result


@pytest.mark.parametrize("rank", SIZES)
@pytest.mark.parametrize("kind", RULES)
@given(data=st.data())
def test_strip_pool(kind: str, rank: int, data: st.DataObject) -> None:
    """Every slice is one window of the oracle."""
    size = tuple(data.draw(st.integers(1, 9 if rank == 2 else 5)) for _ in range(rank))
    dtype, flavour = data.draw(st.sampled_from(FLOATS)), data.draw(st.sampled_from(FLAVOURS))
    x = torch.tensor(values(flavour, (2, 3, *size))).to(dtype)
    x = in_layout(x, data.draw(st.sampled_from(LAYOUTS))).requires_grad_()
    y = getattr(functional, f"strip_pool{rank}d")(x, kind)
    assert y.dtype == dtype
    gradient = torch.tensor(values("normal", tuple(y.shape), 1)).to(dtype)
    y.backward(gradient)
    array, pieces = x.detach().double().numpy(), gradient.double().split(size, -1)
    results, back = [], np.zeros(array.shape)
    for kept, piece in enumerate(pieces):
        axes = [oracle.adapt(length, length if axis == kept else 1) for axis, length in enumerate(size)]
        with np.errstate(invalid="ignore"):
            expected = oracle.pool(RULES[kind], array, axes)
        results.append(expected.values.reshape(2, 3, -1))
        back += expected.backward(piece.numpy().reshape(expected.values.shape))
    assert_near(y, np.concatenate(results, 2), ROUNDING[dtype])
    assert x.grad is not None
    assert_near(x.grad, back, 3 * ROUNDING[dtype])


def test_rows_come_before_columns() -> None:
    x = torch.tensor([[[1.0, 2.0, 6.0], [5.0, 4.0, 0.0]]])
    assert functional.strip_pool2d(x).tolist() == [[3, 3, 3, 3, 3]]
    rows, columns = functional.strip_pool2d(x, "max").split((2, 3), -1)
    assert rows.tolist() == [[6, 5]]
    assert columns.tolist() == [[5, 4, 6]]


def test_large_values_of_half_precision_do_not_overflow() -> None:
    x = torch.full((1, 1, 64, 64), 6e4, dtype=torch.float16)
    assert functional.strip_pool2d(x).eq(x[0, 0, 0, 0]).all()


def test_a_nan_reaches_its_row_and_its_column_alone() -> None:
    x = torch.ones(1, 1, 3, 4)
    x[0, 0, 1, 2] = math.nan
    for kind in RULES:
        reached = functional.strip_pool2d(x, kind)[0, 0].isnan().nonzero()
        assert reached.flatten().tolist() == [1, 3 + 2]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rank", SIZES)
def test_strip_pooling_module(rank: int, training: bool) -> None:
    torch.manual_seed(0)
    kernel = (3, 5, 1)[:rank]
    module = getattr(nn, f"SPM{rank}d")(3, kernel).double().train(training)
    x = numbers(2, 3, *SIZES[rank])
    array = x.numpy()
    total = np.zeros(array.shape)
    for axis, taps in enumerate(kernel):
        strip = np.moveaxis(array, 2 + axis, 2).reshape(2, 3, SIZES[rank][axis], -1).mean(3)
        weight = getattr(module, f"conv{axis + 1}").weight.detach().numpy().reshape(3, 3, taps)
        mixed = np.zeros(strip.shape)
        for i, tap in itertools.product(range(strip.shape[2]), range(taps)):
            if 0 <= i + tap - taps // 2 < strip.shape[2]:
                mixed[:, :, i] += strip[:, :, i + tap - taps // 2] @ weight[:, :, tap].T
        shape = [2, 3] + [1] * rank
        shape[2 + axis] = -1
        total += normalised(mixed, training).reshape(shape)
    last = getattr(module, f"conv{rank + 1}")
    cells = np.moveaxis(np.maximum(total, 0), 1, -1) @ last.weight.detach().numpy().reshape(3, 3).T
    scores = np.moveaxis(cells + last.bias.detach().numpy(), -1, 1)
    assert_near(module(x), array * sigmoid(scores), 1e-11)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rank", SIZES)
def test_coordinate_attention(rank: int, training: bool) -> None:
    torch.manual_seed(0)
    module = getattr(nn, f"CoordinateAttention{rank}d")(4, 2).double().train(training)
    x = numbers(2, 4, *SIZES[rank])
    y = x.numpy()
    means = [np.moveaxis(y, 2 + a, 2).reshape(2, 4, length, -1).mean(3) for a, length in enumerate(SIZES[rank])]

    def mixed(layer: Any, strip: Array) -> Array:
        weight = layer.weight.detach().numpy()
        result: Array = np.einsum("oc,ncl->nol", weight.reshape(weight.shape[:2]), strip)
        return result + layer.bias.detach().numpy()[:, None]

    hidden = normalised(mixed(module.conv1, np.concatenate(means, 2)), training)
    assert hidden.shape[1] == 8
    hidden = hidden * np.clip(hidden + 3, 0, 6) / 6
    parts = np.split(hidden, np.cumsum(SIZES[rank])[:-1], 2)
    for axis, (name, part) in enumerate(zip("dhw"[-rank:], parts, strict=True)):
        shape = [2, 4] + [1] * rank
        shape[2 + axis] = -1
        y = y * sigmoid(mixed(getattr(module, f"conv_{name}"), part)).reshape(shape)
    assert_near(module(x), y, 1e-11)


def test_hidden_channels_of_coordinate_attention() -> None:
    assert nn.CoordinateAttention2d(64).conv1.out_channels == 8
    assert nn.CoordinateAttention2d(512).conv1.out_channels == 16


def test_states_have_the_names_of_the_authors() -> None:
    norm = {f"bn{i}.{name}" for i in (1, 2) for name in ("weight", "bias", "running_mean", "running_var")}
    weights = {"conv1.weight", "conv2.weight", "conv3.weight", "conv3.bias"}
    assert {name for name in nn.SPM2d(4).state_dict() if "num_batches" not in name} == norm | weights
    assert nn.SPM2d(4).conv1.weight.shape == (4, 4, 3, 1)
    assert nn.SPM2d(4).conv2.weight.shape == (4, 4, 1, 3)
    convolutions = {f"{name}.{part}" for name in ("conv1", "conv_h", "conv_w") for part in ("weight", "bias")}
    norm = {name for name in norm if name.startswith("bn1")}
    state = {name for name in nn.CoordinateAttention2d(4).state_dict() if "num_batches" not in name}
    assert state == norm | convolutions


@pytest.mark.parametrize("name", ["SPM", "CoordinateAttention"])
@pytest.mark.parametrize("rank", SIZES)
def test_blocks_keep_the_memory_format(name: str, rank: int) -> None:
    memory_format = {2: torch.channels_last, 3: torch.channels_last_3d}[rank]
    x = numbers(2, 4, *SIZES[rank]).contiguous(memory_format=memory_format)
    assert getattr(nn, f"{name}{rank}d")(4).double()(x).is_contiguous(memory_format=memory_format)


def test_refusals() -> None:
    x = torch.zeros(2, 3, 5, 5)
    with pytest.raises(ArgumentError, match=r"kind must be one of 'mean', 'max', 'min', but got 'avg'"):
        functional.strip_pool2d(x, "avg")
    with pytest.raises(ArgumentError, match=r"strip_pool3d\(\): input must be \(N, C, D, H, W\).*\[5, 5\]"):
        functional.strip_pool3d(x[0, 0])
    for block in (nn.SPM2d(4), nn.CoordinateAttention2d(4)):
        with pytest.raises(ArgumentError, match=r"2d\(\): input must be \(N, 4, H, W\).*\[2, 3, 5, 5\]"):
            block(x)
