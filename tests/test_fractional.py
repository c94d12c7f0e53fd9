"""Fractional max pooling against plain loops, fractions and torch."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch.nn import functional as F

from poolkit import functional, nn, ops
from poolkit.errors import ArgumentError
from poolkit.functional import fractional_max_pool1d, fractional_max_pool2d, fractional_max_pool3d
from poolkit.layers import fractional_ops

TORCH = {2: F.fractional_max_pool2d, 3: F.fractional_max_pool3d}


def regions(size: int, out: int, u: float, kernel: int | None, overlapping: bool) -> list[range]:
    """By the definition, in fractions."""
    if kernel is not None:
        ratio = Fraction(size - kernel, max(out - 1, 1))
        starts = [math.floor((i + Fraction(u)) * ratio) - math.floor(Fraction(u) * ratio) for i in range(out - 1)]
        return [range(start, start + kernel) for start in (*starts, size - kernel)]
    ratio = Fraction(size - overlapping, out)
    ends = [math.ceil((i + Fraction(u)) * ratio) - math.ceil(Fraction(u) * ratio) for i in range(out + 1)]
    return [range(low, high + overlapping) for low, high in itertools.pairwise(ends)]


def maxima(plane: torch.Tensor, axes: list[list[range]]) -> tuple[list[float], list[int]]:
    """The largest cell of every region: the last NaN, else the first of equals."""
    flat = plane.flatten().tolist()
    values, places = [], []
    for region in itertools.product(*axes):
        best = None
        for cell in itertools.product(*region):
            place = 0
            for n, c in zip(plane.shape, cell, strict=True):
                place = place * n + c
            if best is None or flat[place] > flat[best] or math.isnan(flat[place]):
                best = place
        assert best is not None
        values.append(flat[best])
        places.append(best)
    return values, places


@given(data=st.data())
def test_values_indices_and_gradient(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    kernel = data.draw(st.one_of(st.none(), st.integers(1, 3)))
    overlapping = data.draw(st.booleans())
    size = [data.draw(st.integers(kernel or 1, 12 if rank == 1 else 6)) for _ in range(rank)]
    outs = [data.draw(st.integers(1, n - (kernel or 1) + 1)) for n in size]
    count = math.prod(size) * 4
    numbers = st.sampled_from((-1.0, 0.0, 1.0, 2.0, math.inf, -math.inf, math.nan))
    x = torch.tensor(data.draw(st.lists(numbers, min_size=count, max_size=count)), dtype=torch.float64)
    x = x.reshape(2, 2, *size).requires_grad_()
    samples = torch.rand(2, 2, rank, dtype=torch.float64)
    pool = getattr(functional, f"fractional_max_pool{rank}d")
    y, indices = pool(x, kernel, outs, return_indices=True, _random_samples=samples, overlapping=overlapping)
    (grad,) = torch.autograd.grad(y.sum(), x)
    for n, c in itertools.product(range(2), range(2)):
        numbers_of = samples[n, c].tolist()
        if rank == 2:
            numbers_of.reverse()
        of_axes = zip(size, outs, numbers_of, strict=True)
        axes = [regions(length, out, u, kernel, overlapping) for length, out, u in of_axes]
        values, places = maxima(x[n, c].detach(), axes)
        assert indices[n, c].flatten().tolist() == places
        torch.testing.assert_close(y[n, c].flatten().detach(), torch.tensor(values).double(), equal_nan=True)
        counts = Counter(places)
        assert grad[n, c].flatten().tolist() == [counts[place] for place in range(math.prod(size))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("rank", "size"), [(2, (15, 18)), (3, (9, 11, 8))])
def test_windows_of_one_size_are_torchs(rank: int, size: tuple[int, ...], dtype: torch.dtype) -> None:
    """With given numbers, and from the same seed; ties and NaN as well."""
    x = torch.randint(-3, 4, (3, 4, *size)).to(dtype)
    x[x == 3] = math.nan
    outs = tuple(n // 2 for n in size)
    samples = torch.rand(3, 4, rank, dtype=dtype)
    pool = getattr(functional, f"fractional_max_pool{rank}d")
    for kernel, given_samples in itertools.product((1, 2, 3), (samples, None)):
        results = []
        for function in (pool, TORCH[rank]):
            torch.manual_seed(5)
            leaf = x.clone().requires_grad_()
            y, indices = function(leaf, kernel, outs, return_indices=True, _random_samples=given_samples)
            (grad,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
            results.append((y, indices, grad))
        for actual, expected in zip(*results, strict=True):
            torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)
    by_ratio = pool(x, 2, output_ratio=0.6, _random_samples=samples)
    expected = TORCH[rank](x, 2, output_ratio=(0.6,) * rank, _random_samples=samples)
    torch.testing.assert_close(by_ratio, expected, equal_nan=True)


def test_starts_are_exact_where_a_product_of_floats_is_not() -> None:
    """(23 / 2) * (26 / 23) is 13, but less in floating point: torch starts the window a cell too early."""
    x = torch.arange(27, dtype=torch.float64).reshape(1, 1, 1, 27).expand(1, 1, 2, 27)
    samples = torch.full((1, 1, 2), 0.5, dtype=torch.float64)
    ours = fractional_max_pool2d(x, 1, (2, 24), _random_samples=samples)[0, 0, 0].tolist()
    assert ours == [float(r.start) for r in regions(27, 24, 0.5, 1, False)]
    assert ours != F.fractional_max_pool2d(x, 1, (2, 24), _random_samples=samples)[0, 0, 0].tolist()


def ends(size: int, out: int, overlapping: bool, seed: int, channels: int = 1, **given: Any) -> list[list[range]]:
    """The regions that were drawn, from the maxima of a ramp up and a ramp down."""
    ramp = torch.arange(size, dtype=torch.float64).expand(1, channels, size)
    last, first = (
        fractional_max_pool1d(
            x, None, out, overlapping=overlapping, generator=torch.Generator().manual_seed(seed), **given
        )
        for x in (ramp, -ramp)
    )
    pairs = zip((-first[0]).int().tolist(), last[0].int().tolist(), strict=True)
    return [[range(low, high + 1) for low, high in zip(*pair, strict=True)] for pair in pairs]


@given(
    size=st.integers(1, 40),
    sequence=st.sampled_from(("pseudorandom", "random")),
    overlapping=st.booleans(),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_drawn_regions_cover_the_axis(
    size: int, sequence: str, overlapping: bool, seed: int, data: st.DataObject
) -> None:
    """One after the other, of two neighbouring sizes, with as many of each as the sum asks for."""
    out = data.draw(st.integers(1, size))
    for row in ends(size, out, overlapping, seed, 3, sequence=sequence):
        assert row[0].start == 0
        assert row[-1].stop == size
        assert all(b.start == a.stop - overlapping for a, b in itertools.pairwise(row))
        steps = Counter(len(region) - overlapping for region in row)
        least, rest = divmod(size - overlapping, out)
        assert steps == Counter({least: out - rest, least + 1: rest})


def test_random_sequences_take_every_order() -> None:
    orders = Counter(tuple(map(len, row)) for row in ends(6, 4, False, 0, 3000, sequence="random"))
    assert set(orders) == set(itertools.permutations((1, 1, 2, 2)))
    assert all(400 < count < 600 for count in orders.values())


@pytest.mark.parametrize("sequence", ["pseudorandom", "random"])
def test_what_shares_a_draw(sequence: str) -> None:
    x = torch.arange(9973.0).expand(3, 4, 9973)
    for granularity, rows in (("channel", 12), ("sample", 3), ("batch", 1)):
        y = fractional_max_pool1d(x, None, 6007, sequence=sequence, granularity=granularity)
        assert len(set(map(tuple, y.flatten(0, 1).tolist()))) == rows
        if rows == 3:
            assert torch.equal(y[:, :1].expand_as(y), y)


def test_evaluation_is_the_same_each_time() -> None:
    x = torch.randn(2, 3, 11, 14, dtype=torch.float64)
    half = torch.full((2, 3, 2), 0.5)
    for kernel, sequence in ((2, "pseudorandom"), (None, "pseudorandom"), (None, "random")):
        module = nn.FractionalMaxPool2d(kernel, (7, 9), sequence=sequence).eval()
        state = torch.get_rng_state()
        y = module(x)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(y, fractional_max_pool2d(x, kernel, (7, 9), _random_samples=half))
        assert not torch.equal(y, module.train()(x))
        still_random = nn.FractionalMaxPool2d(kernel, (7, 9), sequence=sequence, random_in_eval=True).eval()
        assert not torch.equal(still_random(x), still_random(x))


def test_the_callers_generator_draws() -> None:
    x = torch.randn(2, 3, 11, 14)
    state = torch.get_rng_state()
    for sequence in ("pseudorandom", "random"):
        once, again, other = (
            fractional_max_pool2d(x, None, 6, sequence=sequence, generator=torch.Generator().manual_seed(seed))
            for seed in (1, 1, 2)
        )
        assert torch.equal(once, again)
        assert not torch.equal(once, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_compiles_whole() -> None:
    x = torch.randn(2, 3, 9, 10)
    for arguments in ({"kernel_size": 2}, {"kernel_size": None, "sequence": "random"}):
        module = nn.FractionalMaxPool2d(output_size=6, return_indices=True, **arguments)  # type: ignore[arg-type]
        y, indices = torch.compile(module, fullgraph=True, backend="aot_eager")(x)
        assert torch.equal(x.flatten(2).gather(2, indices.flatten(2)), y.flatten(2))
        torch.compiler.reset()


@pytest.mark.skipif(not ops.HAS_KERNELS, reason="the compiled kernels are not installed")
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_kernels_and_formulas_agree(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (7, 12, 35)[-rank:]
    x = torch.randint(-9, 9, (2, 3, *size)).double()
    x[x == 8] = math.nan
    pool = getattr(functional, f"fractional_max_pool{rank}d")
    modes: list[dict[str, Any]] = [
        {"kernel_size": 3},
        {"kernel_size": None, "granularity": "sample"},
        {"kernel_size": None, "sequence": "random", "overlapping": False},
        {"kernel_size": None, "granularity": "batch", "output_size": 1},
    ]
    for mode, dtype in itertools.product(modes, (torch.float64, torch.bfloat16)):
        given = {"output_size": tuple(n // 2 for n in size), **mode}
        results = []
        for formula in (False, True):
            with monkeypatch.context() as patch:
                if formula:
                    patch.setattr(fractional_ops, "_runs_kernel", lambda x: False)
                leaf = x.to(dtype).requires_grad_()
                generators = [torch.Generator().manual_seed(3) for _ in range(2)]
                y, indices = pool(leaf, **given, return_indices=True, generator=generators[0])
                (grad,) = torch.autograd.grad(y.nansum(), leaf)
                with torch.no_grad():
                    alone = pool(leaf, **given, generator=generators[1])
                results.append((y.detach(), indices, grad, alone))
        for actual, expected in zip(*results, strict=True):
            torch.testing.assert_close(actual, expected, equal_nan=True)


@pytest.mark.skipif(not ops.HAS_KERNELS, reason="the compiled kernels are not installed")
def test_operators_refuse_what_does_not_fit() -> None:
    kernels, x = torch.ops.poolkit, torch.zeros(2, 3, 6)
    first = torch.tensor([0, 4]).expand(2, 3, 2)
    y, winners = kernels.fractional_max_winners(x, first, first + 1, [2], [2])
    refused: list[tuple[Any, str]] = [
        (lambda: kernels.fractional_max(x[0], first, first, [2], [1]), r"\(N, C, \*spatial\)"),
        (lambda: kernels.fractional_max(x, first, first, [2], []), "a length for each axis"),
        (lambda: kernels.fractional_max(x.long(), first, first, [2], [1]), "floating point"),
        (lambda: kernels.fractional_max(x, first.int(), first, [2], [1]), "int64"),
        (lambda: kernels.fractional_max(x, first[:, :2], first, [2], [1]), "first and last must be"),
        (lambda: kernels.fractional_max(x, first, first, [3], [1]), "first and last must be"),
        (lambda: kernels.fractional_max(x, first, first + 1, [2], [1]), "no longer than said"),
        (lambda: kernels.fractional_max(x, first, first + 2, [2], [3]), "lie in the plane"),
        (lambda: kernels.fractional_max(x, first - 1, first, [2], [2]), "lie in the plane"),
        (lambda: kernels.fractional_max(x, first, first - 1, [2], [2]), "lie in the plane"),
        (lambda: kernels.fractional_max(x, first, first, [2], [7]), "regions from one cell to all"),
        (lambda: kernels.fractional_max_backward(y, winners[:1], [6]), "winners must be"),
        (lambda: kernels.fractional_max_backward(y, winners, [600]), "winners must be"),
        (lambda: kernels.fractional_max_backward(y[0], winners[0], [6]), r"\(N, C, \*spatial\)"),
    ]
    for call, words in refused:
        with pytest.raises(RuntimeError, match=words):
            call()


def test_long_axes() -> None:
    """Products of lengths go beyond what float32 counts."""
    size, out = 2**22 + 3, 2**21 + 1
    y = fractional_max_pool1d(torch.arange(size, dtype=torch.float64)[None], None, out, overlapping=False)
    assert y[0, -1] == size - 1
    assert set(y[0].diff().tolist()) == {2.0, 3.0}


def test_layers() -> None:
    x = torch.randn(2, 3, 9, 8)
    samples = torch.rand(2, 3, 2)
    y, indices = fractional_max_pool2d(x[0], 2, 4, return_indices=True, _random_samples=samples[:1])
    for actual, wanted in zip((y, indices), F.fractional_max_pool2d(x[0], 2, 4, None, True, samples[:1]), strict=True):
        assert torch.equal(actual, wanted)
    layer = nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0.7), return_indices=True, _random_samples=samples)
    expected = F.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.7), return_indices=True, _random_samples=samples)
    for actual, wanted in zip(layer(x), expected, strict=True):
        assert torch.equal(actual, wanted)
    assert repr(nn.FractionalMaxPool1d(None, 3)).startswith("FractionalMaxPool1d(kernel_size=None, output_size=3, ")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ArgumentError, "give output_size or output_ratio, one of them, but got output_size=None"),
        ({"output_size": 2, "output_ratio": 0.5}, ArgumentError, "one of them, but got output_size=2"),
        ({"output_size": 2.0}, TypeError, "output_size must be an int, but got 2.0"),
        ({"output_ratio": 1.5}, ArgumentError, "output_ratio must be between 0 and 1, but got 1.5"),
        ({"output_ratio": True}, TypeError, "output_ratio must be a number, but got True"),
        ({"output_ratio": (0.5,) * 3}, ArgumentError, "output_ratio must be a number or 2 of them"),
        ({"output_size": 2, "sequence": "fixed"}, ArgumentError, "sequence must be one of 'pseudorandom', 'random'"),
        ({"output_size": 2, "kernel_size": 2, "sequence": "random"}, ArgumentError, "sequence must be 'pseudorandom'"),
        ({"output_size": 2, "granularity": "map"}, ArgumentError, "granularity must be one of 'channel', .* 'map'"),
        ({"output_size": 2, "overlapping": "no"}, TypeError, "overlapping must be a bool, but got 'no'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    for call in (nn.FractionalMaxPool2d, lambda **given: fractional_max_pool2d(torch.zeros(1, 4, 4), **given)):
        with pytest.raises(error, match=message):
            call(**{"kernel_size": None, **arguments})


def test_bad_inputs() -> None:
    x = torch.zeros(2, 3, 6, 5)
    with pytest.raises(
        ArgumentError, match=r"an axis of 5 cells must have from 1 to 3 cells for kernel_size 3, but .* 4"
    ):
        fractional_max_pool2d(x, 3, 4)
    with pytest.raises(ArgumentError, match=r"an axis of 5 cells must have from 1 to 5 cells, but would have 6"):
        fractional_max_pool2d(x, None, 6)
    with pytest.raises(ArgumentError, match="but would have 0"):
        fractional_max_pool2d(x, None, output_ratio=0.1)
    with pytest.raises(ArgumentError, match=r"_random_samples must have the shape \[2, 3, 2\], but got \[2, 3, 3\]"):
        fractional_max_pool2d(x, 2, 3, _random_samples=torch.zeros(2, 3, 3))
    with pytest.raises(ArgumentError, match="_random_samples must be None with sequence='random'"):
        fractional_max_pool2d(x, None, 3, _random_samples=torch.zeros(2, 3, 2), sequence="random")
    with pytest.raises(TypeError, match=r"_random_samples must be a torch\.Tensor, but got list"):
        fractional_max_pool2d(x, 2, 3, _random_samples=[0.5])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"generator must be a torch\.Generator or None, but got int"):
        fractional_max_pool2d(x, 2, 3, generator=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="training must be a bool, but got 1"):
        fractional_max_pool2d(x, 2, 3, training=1)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="int64"):
        fractional_max_pool3d(x.long(), 2, 2)
    with pytest.raises(ArgumentError, match=r"must be \(N, C, D, H, W\)"):
        fractional_max_pool3d(x[0, 0], 2, 2)
