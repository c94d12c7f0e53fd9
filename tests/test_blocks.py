"""Channel pooling, spatial pyramids, SPPF, and the blocks that weigh maps by pooling, against plain loops."""

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
from problems import FLAVOURS, FLOATS, LAYOUTS, ROUNDING, assert_near, function_of, in_layout, settings, values

from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.methods import METHODS

Array = NDArray[np.float64]
RANKS = (1, 2, 3)
SIZES = {1: (7,), 2: (5, 7), 3: (3, 5, 4)}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


# ----------------------------------------------------------------------------------------------- channels

RULES = {"mean": "avg", "max": "max", "min": "min"}


@pytest.mark.parametrize("kind", [*RULES, ("max", "mean"), ("mean", "max", "min")], ids=str)
@given(data=st.data())
def test_channel_pool(kind: str | tuple[str, ...], data: st.DataObject) -> None:
    """Every cell's channels are one window of the oracle."""
    size = tuple(data.draw(st.integers(1, 5)) for _ in range(data.draw(st.integers(0, 3))))
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 20)), *size)
    dtype = data.draw(st.sampled_from(FLOATS))
    flavour = data.draw(st.sampled_from(FLAVOURS))
    layout = data.draw(st.sampled_from(LAYOUTS))
    dim = data.draw(st.integers(0, len(shape) - 1))  # any dimension may hold the channels
    x = in_layout(torch.tensor(values(flavour, shape)).to(dtype), layout).requires_grad_()
    y = functional.channel_pool(x, kind, data.draw(st.sampled_from((dim, dim - len(shape)))))
    assert y.dtype == dtype
    gradient = torch.tensor(values("normal", tuple(y.shape), 1)).to(dtype)
    y.backward(gradient)
    assert x.grad is not None
    last = np.moveaxis(x.detach().double().numpy(), dim, -1)
    cells = last.reshape(-1, 1, last.shape[-1])
    results, back = [], np.zeros(cells.shape)
    kinds = (kind,) if isinstance(kind, str) else kind
    for number, each in enumerate(kinds):
        with np.errstate(invalid="ignore"):
            expected = oracle.pool(RULES[each], cells, [oracle.adapt(cells.shape[-1], 1)])
        results.append(expected.values.reshape(last.shape[:-1]))
        part = gradient.double().select(dim, number).reshape(expected.values.shape)
        back += expected.backward(part.numpy())
    assert_near(y, np.stack(results, dim), ROUNDING[dtype])
    assert_near(x.grad, np.moveaxis(back.reshape(last.shape), -1, dim), 3 * ROUNDING[dtype])


def test_channel_pool_of_one_kind_or_a_list_of_it() -> None:
    x = numbers(2, 3, 4)
    assert torch.equal(functional.channel_pool(x, "max"), functional.channel_pool(x, ["max"]))
    torch.testing.assert_close(functional.channel_pool(x), torch.cat([x.mean(1, True), x.amax(1, True)], 1))


def test_channel_pool_refusals() -> None:
    x = torch.zeros(2, 3, 4)
    with pytest.raises(ArgumentError, match=r"kind must be one of 'mean', 'max', 'min'.*'median'"):
        functional.channel_pool(x, ("max", "median"))
    with pytest.raises(ArgumentError, match=r"dim must be a dimension of the input \[2, 3, 4\], but got 3"):
        functional.channel_pool(x, dim=3)
    with pytest.raises(TypeError, match=r"dim must be an int, but got 1.0"):
        functional.channel_pool(x, dim=1.0)  # type: ignore[arg-type]
    for empty in (x[:, :0], x[..., :0]):
        with pytest.raises(ArgumentError, match="at least one channel and cell"):
            functional.channel_pool(empty)


@pytest.mark.parametrize("kind", RULES)
@given(data=st.data())
def test_channel_group_pool(kind: str, data: st.DataObject) -> None:
    """Every group is one window of the oracle."""
    groups, size = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    shape = [data.draw(st.integers(1, 4)) for _ in range(data.draw(st.integers(1, 4)))]
    dim = data.draw(st.integers(0, len(shape) - 1))
    shape[dim] = groups * size
    dtype = data.draw(st.sampled_from(FLOATS))
    x = torch.tensor(values(data.draw(st.sampled_from(FLAVOURS)), tuple(shape))).to(dtype)
    x = in_layout(x, data.draw(st.sampled_from(LAYOUTS))).requires_grad_()
    y = functional.channel_group_pool(x, size, kind, data.draw(st.sampled_from((dim, dim - len(shape)))))
    assert y.dtype == dtype
    gradient = torch.tensor(values("normal", tuple(y.shape), 1)).to(dtype)
    y.backward(gradient)
    last = np.moveaxis(x.detach().double().numpy(), dim, -1)
    with np.errstate(invalid="ignore"):
        axis = oracle.slide(groups * size, size, size, 0, 0, 1, False)
        expected = oracle.pool(RULES[kind], last.reshape(-1, 1, groups * size), [axis])
    assert_near(y, np.moveaxis(expected.values.reshape(*last.shape[:-1], groups), -1, dim), ROUNDING[dtype])
    back = expected.backward(np.moveaxis(gradient.double().numpy(), dim, -1).reshape(expected.values.shape))
    assert x.grad is not None
    assert_near(x.grad, np.moveaxis(back.reshape(last.shape), -1, dim), 3 * ROUNDING[dtype])


def test_channel_group_pool_keeps_the_memory_format() -> None:
    x = torch.randn(2, 8, 5, 6).contiguous(memory_format=torch.channels_last)
    assert functional.channel_group_pool(x, 2).is_contiguous(memory_format=torch.channels_last)


def test_channel_group_pool_refusals() -> None:
    x = torch.zeros(2, 6, 4)
    with pytest.raises(ArgumentError, match=r"group_size must divide the channels of the input \[2, 6, 4\], but got 4"):
        functional.channel_group_pool(x, 4)
    with pytest.raises(ArgumentError, match=r"kind must be one of 'mean', 'max', 'min', but got \('max',\)"):
        functional.channel_group_pool(x, 2, ("max",))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"dim must be a dimension of the input \[2, 6, 4\], but got 3"):
        functional.channel_group_pool(x, 2, dim=3)
    with pytest.raises(ArgumentError, match="at least one channel and cell"):
        functional.channel_group_pool(x[..., :0], 2)


# ------------------------------------------------------------------------------------------------- blocks


def plane(x: Array, what: Any, rank: int) -> Array:
    """A mean or maximum of whole planes, their axes kept."""
    return what(x, axis=tuple(range(2, rank + 2)), keepdims=True)  # type: ignore[no-any-return]


def bottleneck(module: Any, pooled: Array, rank: int) -> Array:
    """Two matrices with a ReLU between."""
    cells = pooled.reshape(pooled.shape[:2])
    for layer, last in ((module.fc1, False), (module.fc2, True)):
        weight = layer.weight.detach().numpy()
        cells = cells @ weight.reshape(weight.shape[:2]).T + layer.bias.detach().numpy()
        cells = cells if last else np.maximum(cells, 0)
    return cells.reshape(*cells.shape, *(1,) * rank)


@pytest.mark.parametrize("rank", RANKS)
def test_squeeze_excitation(rank: int) -> None:
    torch.manual_seed(0)
    module = getattr(nn, f"SqueezeExcitation{rank}d")(6, 2).double()
    assert module.fc1.weight.shape == (3, 6, *(1,) * rank)
    x = numbers(2, 6, *SIZES[rank])
    expected = x.numpy() * sigmoid(bottleneck(module, plane(x.numpy(), np.mean, rank), rank))
    assert_near(module(x), expected, 1e-11)


@pytest.mark.parametrize("rank", RANKS)
def test_cbam(rank: int) -> None:
    torch.manual_seed(0)
    module = getattr(nn, f"CBAM{rank}d")(6, 2, (3, 5, 1)[:rank]).double()
    x = numbers(2, 6, *SIZES[rank])
    channels = sum(bottleneck(module, plane(x.numpy(), what, rank), rank) for what in (np.mean, np.max))
    y = x.numpy() * sigmoid(channels)
    maps = np.stack([y.mean(1), y.max(1)], 1)
    kernel = module.cells.weight.detach().numpy()[0]
    scores = np.zeros((2, 1, *SIZES[rank]))
    middle = [size // 2 for size in kernel.shape[1:]]
    for where in itertools.product(*map(range, SIZES[rank])):
        for tap in itertools.product(*map(range, kernel.shape[1:])):
            cell = tuple(w + t - m for w, t, m in zip(where, tap, middle, strict=True))
            if all(0 <= c < length for c, length in zip(cell, SIZES[rank], strict=True)):
                for kind in (0, 1):
                    scores[(slice(None), 0, *where)] += kernel[(kind, *tap)] * maps[(slice(None), kind, *cell)]
    assert_near(module(x), y * sigmoid(scores), 1e-11)


def test_reduction_leaves_one_hidden_unit() -> None:
    assert nn.SqueezeExcitation2d(4, 16).fc1.out_channels == 1
    assert nn.CBAM2d(64).fc1.out_channels == 4


@pytest.mark.parametrize("name", ["SqueezeExcitation2d", "CBAM2d"])
def test_blocks_refuse_other_maps(name: str) -> None:
    module = getattr(nn, name)(4)
    for wrong in (torch.zeros(2, 3, 5, 5), torch.zeros(5, 5), torch.zeros(2, 4, 0, 5), torch.zeros(2, 4, 5, 5, 5)):
        with pytest.raises(ArgumentError, match=rf"{name}\(\): input must be \(N, 4, H, W\) or \(4, H, W\)"):
            module(wrong)


def test_one_compiled_block_serves_maps_of_any_size() -> None:
    block = nn.SqueezeExcitation2d(4)
    compiled = torch.compile(block, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in ((6, 8), (10, 12)):
        x = torch.randn(2, 4, *size)
        torch.testing.assert_close(compiled(x), block(x))
    torch.compiler.reset()


# ------------------------------------------------------------------------------------------------ pyramids


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("name", METHODS)
def test_spatial_pyramid(name: str, rank: int) -> None:
    levels: tuple[Any, ...] = (1, (2, 3, 4)[:rank], 6)
    for params in settings(name, "adaptive"):
        if params.get("training"):
            continue  # draws, which the loops do not know
        x = numbers(2, 3, *SIZES[rank]).requires_grad_()
        y = getattr(functional, f"spatial_pyramid_pool{rank}d")(x, levels, name, **params)
        parts = []
        for level in levels:
            bins = (level,) * rank if isinstance(level, int) else level
            axes = [oracle.adapt(length, count) for length, count in zip(SIZES[rank], bins, strict=True)]
            parts.append(oracle.pool(name, x.detach().numpy(), axes, **params))
        expected = [part.values.reshape(2, -1) for part in parts]
        assert_near(y, np.concatenate(expected, 1), 1e-11)
        gradient = numbers(*y.shape, seed=1)
        y.backward(gradient)
        pieces = np.split(gradient.numpy(), np.cumsum([part.shape[1] for part in expected])[:-1], 1)
        back = sum(part.backward(piece) for part, piece in zip(parts, pieces, strict=True))
        assert x.grad is not None
        assert_near(x.grad, np.asarray(back), 1e-9)


@pytest.mark.parametrize("rank", RANKS)
def test_length_of_a_pyramid_does_not_depend_on_the_map(rank: int) -> None:
    module = getattr(nn, f"SpatialPyramidPool{rank}d")((1, 2, 4))
    lengths = {module(torch.randn(1, 5, *size)).shape for size in itertools.product((1, 3, 4, 9), repeat=rank)}
    assert lengths == {(1, 5 * (1 + 2**rank + 4**rank))}


def test_seven_cells_have_four_bins() -> None:
    """Windows of ceil(7 / 4) = 2 at steps of floor(7 / 4) = 1 would be six."""
    y = functional.spatial_pyramid_pool1d(torch.arange(7.0)[None, None], (4,), "sum")
    assert y.tolist() == [[0 + 1, 1 + 2 + 3, 3 + 4 + 5, 5 + 6]]
    y = functional.spatial_pyramid_pool1d(torch.arange(10.0)[None, None], (4,))
    assert y.tolist() == [[2, 4, 7, 9]]


def test_pyramid_refusals() -> None:
    x = torch.zeros(2, 3, 5, 5)
    with pytest.raises(ArgumentError, match=r"method must be one of 'max'.*'mean'"):
        functional.spatial_pyramid_pool2d(x, method="mean")
    with pytest.raises(TypeError, match="norm_type is no argument of spatial_pyramid_pool2d"):
        functional.spatial_pyramid_pool2d(x, norm_type=2)
    with pytest.raises(TypeError, match="needs norm_type"):
        functional.spatial_pyramid_pool2d(x, method="lp")
    with pytest.raises(ArgumentError, match=r"input must be \(N, C, H, W\) or \(C, H, W\).*\[5, 5\]"):
        functional.spatial_pyramid_pool2d(x[0, 0])


# ---------------------------------------------------------------------------------------------------- SPPF


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_sppf_has_the_values_of_large_windows(rank: int, flavour: str, dtype: torch.dtype) -> None:
    """Bit for bit those of 5, 9 and 13 cells."""
    size = {1: (23,), 2: (13, 15), 3: (6, 7, 8)}[rank]
    x = torch.tensor(values(flavour, (2, 3, *size))).to(dtype)
    y = getattr(functional, f"sppf_pool{rank}d")(x)
    parts = [x, *(function_of("max", "windowed", rank)(x, k, 1, k // 2) for k in (5, 9, 13))]
    torch.testing.assert_close(y, torch.cat(parts, 1), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("flavour", ["normal", "ties"])
def test_sppf_gradient_goes_down_the_chain(rank: int, flavour: str) -> None:
    kernel, repeats = (3, 5, 1)[:rank], 2
    x = torch.tensor(values(flavour, (1, 2, *SIZES[rank]))).requires_grad_()
    y = getattr(functional, f"sppf_pool{rank}d")(x, kernel, repeats)
    axes = [oracle.slide(length, k, 1, k // 2, k // 2, 1, False) for length, k in zip(SIZES[rank], kernel, strict=True)]
    steps = [x.detach().numpy()]
    chain = []
    for _ in range(repeats):
        chain.append(oracle.pool("max", steps[-1], axes))
        steps.append(chain[-1].values)
    assert_near(y, np.concatenate(steps, 1), 0)
    gradient = numbers(*y.shape, seed=1)
    y.backward(gradient)
    pieces = np.split(gradient.numpy(), repeats + 1, 1)
    back = pieces[-1]
    for step, piece in zip(reversed(chain), reversed(pieces[:-1]), strict=True):
        back = step.backward(back) + piece
    assert x.grad is not None
    assert_near(x.grad, back, 1e-11)


@pytest.mark.parametrize("training", [False, True])
def test_sppf_block(training: bool) -> None:
    torch.manual_seed(0)
    block = nn.SPPF2d(6, 5).double().train(training)
    x = numbers(2, 6, 7, 8)

    def mixed(x: Array, part: Any) -> Array:
        weight = part.conv.weight.detach().numpy()[:, :, 0, 0]
        y = np.einsum("oc,nchw->nohw", weight, x)
        if training:
            y = (y - y.mean((0, 2, 3), keepdims=True)) / np.sqrt(y.var((0, 2, 3), keepdims=True) + 1e-3)
        else:
            y = y / math.sqrt(1 + 1e-3)
        return y * sigmoid(y)

    hidden = torch.tensor(mixed(x.numpy(), block.cv1))
    assert hidden.shape[1] == 3
    assert_near(block(x), mixed(functional.sppf_pool2d(hidden).numpy(), block.cv2), 1e-11)
    names = {
        f"{part}.bn.{name}" for part in ("cv1", "cv2") for name in ("weight", "bias", "running_mean", "running_var")
    }
    assert names | {"cv1.conv.weight", "cv2.conv.weight"} < set(block.state_dict())


def test_sppf_refusals() -> None:
    x = torch.zeros(2, 3, 5, 5)
    with pytest.raises(ArgumentError, match="kernel_size must be odd, but got 4"):
        functional.sppf_pool2d(x, 4)
    with pytest.raises(ArgumentError, match="repeats must be greater than zero, but got 0"):
        functional.sppf_pool2d(x, repeats=0)
    with pytest.raises(ArgumentError, match=r"SPPF2d\(\): input must be \(N, 4, H, W\).*\[2, 3, 5, 5\]"):
        nn.SPPF2d(4, 4)(x)
