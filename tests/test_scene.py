"""The pyramid pooling module and image pooling, against plain loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from numpy.typing import NDArray
from problems import assert_near

from poolkit import nn
from poolkit.errors import ArgumentError

Array = NDArray[np.float64]
SIZES = {1: (7,), 2: (5, 7), 3: (3, 5, 4)}


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def mixed(x: Array, convolution: Any, training: bool) -> Array:
    """A 1x1 convolution, batch normalisation with fresh weights, ReLU."""
    weight = convolution.weight.detach().numpy()
    y = np.moveaxis(np.moveaxis(x, 1, -1) @ weight.reshape(weight.shape[:2]).T, -1, 1)
    axes = (0, *range(2, y.ndim))
    if training:
        y = (y - y.mean(axes, keepdims=True)) / np.sqrt(y.var(axes, keepdims=True) + 1e-5)
    else:
        y = y / math.sqrt(1 + 1e-5)
    return np.maximum(y, 0)


def shares(length: int, bins: int, align_corners: bool) -> Array:
    """How much each bin counts in each cell, along one axis."""
    result = np.zeros((length, bins))
    for cell in range(length):
        if align_corners:
            place = cell * (bins - 1) / (length - 1) if length > 1 else 0.0
        else:
            place = min(max((cell + 0.5) * bins / length - 0.5, 0.0), bins - 1.0)
        low = min(int(place), bins - 1)
        result[cell, low] += 1 - (place - low)
        result[cell, min(low + 1, bins - 1)] += place - low
    return result


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("rank", SIZES)
def test_pyramid_pooling(rank: int, align_corners: bool, training: bool) -> None:
    torch.manual_seed(0)
    bins: tuple[Any, ...] = (1, (2, 3, 1)[:rank], 6)
    module = getattr(nn, f"PyramidPooling{rank}d")(4, bins, 3, align_corners).double().train(training)
    x = numbers(2, 4, *SIZES[rank])
    parts = [x.numpy()]
    for number, grid in enumerate(bins):
        counts = (grid,) * rank if isinstance(grid, int) else grid
        axes = [oracle.adapt(length, count) for length, count in zip(SIZES[rank], counts, strict=True)]
        y = mixed(oracle.pool("avg", x.numpy(), axes).values, module.features[number][0], training)
        for axis, (length, count) in enumerate(zip(SIZES[rank], counts, strict=True)):
            y = np.moveaxis(np.moveaxis(y, 2 + axis, -1) @ shares(length, count, align_corners).T, -1, 2 + axis)
        parts.append(y)
    assert_near(module(x), np.concatenate(parts, 1), 1e-11)


@pytest.mark.parametrize("size", list(itertools.product((1, 2, 5), repeat=2)), ids=str)
def test_maps_of_any_size(size: tuple[int, int]) -> None:
    """Smaller than a grid, too."""
    assert nn.PyramidPooling2d(8).eval()(torch.randn(2, 8, *size)).shape == (2, 16, *size)


def test_channels_of_the_pyramid() -> None:
    assert nn.PyramidPooling2d(2048).out_channels == 512
    assert nn.PyramidPooling2d(2).out_channels == 1
    module = nn.PyramidPooling2d(8)
    names = {f"features.{i}.1.weight" for i in range(4)} | {
        f"features.{i}.2.{name}" for i in range(4) for name in ("weight", "bias", "running_mean", "running_var")
    }
    assert {name for name in module.state_dict() if "num_batches" not in name} == names


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rank", SIZES)
def test_image_pooling(rank: int, training: bool) -> None:
    torch.manual_seed(0)
    module = getattr(nn, f"ImagePooling{rank}d")(4, 3).double().train(training)
    x = numbers(2, 4, *SIZES[rank])
    mean = x.numpy().mean(tuple(range(2, rank + 2)), keepdims=True)
    y = module(x)
    assert_near(y, np.broadcast_to(mixed(mean, module[0], training), (2, 3, *SIZES[rank])), 1e-11)
    assert not any(y.stride()[2:])
    names = {"1.weight", "2.weight", "2.bias", "2.running_mean", "2.running_var", "2.num_batches_tracked"}
    assert set(module.state_dict()) == names


@pytest.mark.parametrize("module", [nn.PyramidPooling2d(4), nn.ImagePooling2d(4, 3)])
def test_one_sample_has_no_statistics_in_training(module: torch.nn.Module) -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        module.train()(torch.randn(1, 4, 5, 5))
    assert module.eval()(torch.randn(1, 4, 5, 5)).isfinite().all()


def test_memory_format_stays() -> None:
    x = torch.randn(2, 16, 5, 6).contiguous(memory_format=torch.channels_last)
    module = nn.PyramidPooling2d(16).to(memory_format=torch.channels_last)
    assert module(x).is_contiguous(memory_format=torch.channels_last)


def test_refusals() -> None:
    x = torch.zeros(2, 3, 5, 5)
    with pytest.raises(TypeError, match="bins must be a sequence of ints or tuples, but got 3"):
        nn.PyramidPooling2d(4, 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="align_corners must be a bool, but got 1"):
        nn.PyramidPooling2d(4, align_corners=1)  # type: ignore[arg-type]
    for module in (nn.PyramidPooling2d(4), nn.ImagePooling2d(4, 3)):
        with pytest.raises(ArgumentError, match=r"2d\(\): input must be \(N, 4, H, W\).*\[2, 3, 5, 5\]"):
            module(x)
