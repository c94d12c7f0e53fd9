"""Methods that draw: how often, when, and that nothing but the seed decides."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import oracle
import pytest
import torch

import poolkit.numpy as pooling
from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.philox import uniform

DRAWS = 20000


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_philox_is_that_of_its_authors() -> None:
    """The known answers published with the generator: words of the counter and the key 0, and of all ones."""
    zeros = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert [oracle.philox(0, index) for index in range(4)] == zeros
    numbers = uniform(torch.tensor(0), torch.Size((4,)), torch.device("cpu"))
    assert numbers.tolist() == [word // 256 / 2**24 for word in zeros]
    for key in (1, -1, 2**63 - 1, -(2**63), 0x0123456789ABCDEF):
        shape = torch.Size((9,))
        assert (
            uniform(torch.tensor(key), shape, torch.device("cpu")).tolist() == oracle.uniform(key % 2**64, 9).tolist()
        )


def test_cells_are_drawn_in_proportion() -> None:
    cells = torch.tensor([1.0, 0.0, 3.0, -2.0, 4.0])
    y = functional.stochastic_pool1d(cells.expand(1, DRAWS, 5), 5, training=True, generator=seeded())
    for value, share in ((1.0, 1 / 8), (3.0, 3 / 8), (4.0, 4 / 8)):
        assert abs((y == value).double().mean().item() - share) < 5 * math.sqrt(share * (1 - share) / DRAWS)
    assert set(y.unique().tolist()) == {1.0, 3.0, 4.0}
    assert abs(y.double().mean().item() - functional.stochastic_pool1d(cells[None], 5).item()) < 0.05


def test_a_window_without_a_positive_cell_is_zero_and_draws_evenly() -> None:
    x = torch.tensor([-1.0, 0.0, -0.0, -math.inf]).repeat(1, DRAWS, 1).requires_grad_()
    y, places = functional.stochastic_pool1d(x, 4, return_indices=True, training=True, generator=seeded())
    assert (y == 0).all()
    assert (torch.bincount(places.flatten()) - DRAWS / 4).abs().max() < 5 * math.sqrt(DRAWS * 3 / 16)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad.argmax(-1), places[..., 0])
    assert x.grad.sum() == DRAWS
    assert functional.stochastic_pool1d(x.detach(), 4).abs().max() == 0


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_same_seed_draws_the_same_cells(rank: int) -> None:
    """Whatever the memory format, the number of threads, with or without a gradient, and by the formula."""
    x = torch.rand(3, 17, *(29, 21, 8)[:rank])
    pool = getattr(functional, f"stochastic_pool{rank}d")

    def run(x: torch.Tensor) -> Any:
        return pool(x, 3, 2, 1, training=True, generator=seeded())

    expected = run(x)
    assert not torch.equal(expected, pool(x, 3, 2, 1, training=True, generator=seeded(4)))
    for threads in (1, 2):
        torch.set_num_threads(threads)
        assert torch.equal(run(x), expected)
        if rank > 1:
            last = x.contiguous(memory_format=torch.channels_last if rank == 2 else torch.channels_last_3d)
            assert torch.equal(run(last), expected)
    assert torch.equal(run(x.clone().requires_grad_()).detach(), expected)
    assert torch.equal(torch.func.vmap(run, randomness="same")(x[None])[0], expected)
    assert torch.equal(run(x.transpose(0, 1).contiguous().transpose(0, 1)), expected)


def test_sums_beyond_the_range_and_infinite_cells() -> None:
    large = torch.full((1, 500, 4), 3e38)
    y, places = functional.stochastic_pool1d(large, 4, return_indices=True, training=True, generator=seeded())
    assert torch.equal(y, large[..., :1])
    assert len(places.unique()) == 4
    infinite = torch.tensor([1.0, math.inf, 2.0, math.inf]).expand(1, 500, 4)
    y, places = functional.stochastic_pool1d(infinite, 4, return_indices=True, training=True, generator=seeded())
    assert y.isinf().all()
    assert places.unique().tolist() == [1, 3]
    assert functional.stochastic_pool1d(large, 4)[0, 0].item() == pytest.approx(3e38)
    assert functional.stochastic_pool1d(torch.full((1, 1, 4), 1e-30), 4).item() == pytest.approx(1e-30)


def test_strict_refuses_negative_cells() -> None:
    x = torch.tensor([[1.0, -0.25, 2.0, 0.0]])
    for given in (x, x.numpy()):
        pool = functional.stochastic_pool1d if given is x else pooling.stochastic_pool1d
        with pytest.raises(ArgumentError, match=r"no negative cell with strict=True, but the smallest is -0\.25"):
            pool(given, 2, strict=True)
        assert pool(abs(given), 2, strict=True).shape == (1, 2)


@pytest.mark.parametrize("name", ["Stochastic", "Mixed"])
def test_layers_follow_their_mode(name: str) -> None:
    x = torch.rand(4, 6, 9, 9)
    for layer in (
        getattr(nn, f"{name}Pool2d")(3),
        getattr(nn, f"Adaptive{name}Pool2d")(2),
        getattr(nn, f"Global{name}Pool2d")(),
        nn.Pool(name.lower(), kernel_size=3),
    ):
        layer = copy.deepcopy(layer)
        if isinstance(layer, nn.Pool):
            assert torch.equal(layer(x), layer(x))  # says what its arguments say
            continue
        torch.manual_seed(1)
        first, second = layer(x), layer(x)
        assert not torch.equal(first, second)
        torch.manual_seed(1)
        assert torch.equal(layer(x), first)
        layer.eval()
        assert torch.equal(layer(x), layer(x))


def test_layers_compile_whole() -> None:
    layers = torch.nn.Sequential(nn.MaxPool2d(2), nn.StochasticPool2d(2), nn.MixedPool2d(2))
    compiled = torch.compile(layers, fullgraph=True, backend="aot_eager")
    x = torch.rand(2, 3, 16, 16)
    for training in (True, False):
        layers.train(training)
        torch.manual_seed(2)
        expected = layers(x)
        torch.manual_seed(2)
        assert torch.equal(compiled(x), expected)
    torch.compiler.reset()


@pytest.mark.parametrize("granularity", ["channel", "sample", "batch"])
def test_mixed_draws_whole_planes(granularity: str) -> None:
    x = torch.randn(60, 50, 4, 4)
    y = functional.mixed_pool2d(x, 2, p=0.25, granularity=granularity, training=True, generator=seeded())
    largest = (y == functional.max_pool2d(x, 2)).flatten(2).all(-1)
    average = (y == functional.avg_pool2d(x, 2)).flatten(2).all(-1)
    assert torch.equal(largest, ~average)
    if granularity == "channel":
        assert abs(largest.double().mean().item() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 3000)
    elif granularity == "sample":
        assert torch.equal(largest, largest[:, :1].expand_as(largest))
        assert 0 < largest[:, 0].sum() < 60
    else:
        assert largest.all() or average.all()
    assert torch.equal(functional.mixed_pool2d(x, 2), functional.avg_max_pool2d(x, 2))


def test_arrays_draw_from_numpys_generator() -> None:
    x = np.random.default_rng(0).random((2, 3, 8, 8))
    for pool in (pooling.stochastic_pool2d, pooling.mixed_pool2d):
        first = pool(x, 2, training=True, generator=np.random.default_rng(5))
        np.testing.assert_array_equal(first, pool(x, 2, training=True, generator=np.random.default_rng(5)))
        assert not np.array_equal(first, pool(x, 2, training=True))
        last = pool(
            np.moveaxis(x, 1, -1), 2, training=True, generator=np.random.default_rng(5), data_format="channels_last"
        )
        np.testing.assert_array_equal(np.moveaxis(last, -1, 1), first)
        with pytest.raises(TypeError, match=r"generator must be a numpy\.random\.Generator or None, but got int"):
            pool(x, 2, training=True, generator=5)


def test_bad_arguments() -> None:
    x = torch.zeros(1, 2, 4, 4)
    with pytest.raises(TypeError, match=r"generator must be a torch\.Generator or None, but got int"):
        functional.stochastic_pool2d(x, 2, training=True, generator=3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="return_indices must be False where the value is not that of one cell"):
        functional.stochastic_pool2d(x, 2, return_indices=True)
    with pytest.raises(ArgumentError, match="return_indices must be False where the value is not that of one cell"):
        functional.median_pool2d(x, 2, even="mean", return_indices=True)
    with pytest.raises(ArgumentError, match="return_indices must be False where the value is not that of one cell"):
        pooling.quantile_pool2d(x.numpy(), 0.5, 2, return_indices=True)
    with pytest.raises(RuntimeError, match="this method draws"):
        torch.ops.poolkit.pool(torch.zeros(1, 1, 1), "stochastic", [1, 0, 0, *[1, 1, 1, 1, 1, 0, 0] * 3], [])
    with pytest.raises(RuntimeError, match="no kernel for the gradient"):
        torch.ops.poolkit.pool_backward(
            torch.zeros(1, 1, 1),
            None,
            None,
            None,
            "quantile_linear",
            [1, 0, 0, *[1, 1, 1, 1, 1, 0, 0] * 3],
            [0.5],
            False,
        )
