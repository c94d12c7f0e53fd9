"""K-max pooling of sequences against plain loops."""

from __future__ import annotations

import copy
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from problems import FLOATS, INTEGERS

from poolkit import nn
from poolkit.errors import ArgumentError
from poolkit.functional import dynamic_k_max_pool1d, k_max_pool1d
from poolkit.layers.k_max import dynamic_k

ORDERS = ("position", "value")


def picked(row: list[float], k: int, order: str) -> list[int]:
    """The places of the k largest: NaN before all numbers, of equals the earliest."""
    places = sorted(range(len(row)), key=lambda place: (not math.isnan(row[place]), -row[place], place))[:k]
    return sorted(places) if order == "position" else places


def expect(x: torch.Tensor, counts: list[int], lengths: list[int], width: int, order: str) -> torch.Tensor:
    result = torch.zeros((*x.shape[:2], width), dtype=x.dtype)
    for sample, (count, length) in enumerate(zip(counts, lengths, strict=True)):
        for channel in range(x.shape[1]):
            row = x[sample, channel, :length]
            places = picked(row.tolist(), count, order)
            result[sample, channel, : len(places)] = row[places]
    return result


@given(data=st.data())
def test_values_and_gradient(data: st.DataObject) -> None:
    samples, channels, length = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    k, order = data.draw(st.integers(1, 11)), data.draw(st.sampled_from(ORDERS))
    lengths = data.draw(st.lists(st.integers(0, length), min_size=samples, max_size=samples))
    numbers = st.sampled_from((-2.0, -1.0, 0.0, 1.0, 2.0, math.inf, -math.inf, math.nan))
    rows = st.lists(numbers, min_size=samples * channels * length, max_size=samples * channels * length)
    dtype = data.draw(st.sampled_from(FLOATS))
    x = torch.tensor(data.draw(rows)).to(dtype).reshape(samples, channels, length).requires_grad_()
    counts = [min(k, n) for n in lengths]

    y, kept = k_max_pool1d(x, k, order, torch.tensor(lengths, dtype=torch.int32), return_lengths=True)
    expected = expect(x.detach(), counts, lengths, k, order)
    assert torch.equal(y.isnan(), expected.isnan())
    assert torch.equal(y.nan_to_num(9), expected.nan_to_num(9))
    assert kept.tolist() == counts
    assert kept.dtype == torch.int64

    y.sum().backward()
    chosen = torch.zeros_like(x)
    for sample, (count, n) in enumerate(zip(counts, lengths, strict=True)):
        for channel in range(channels):
            chosen[sample, channel, picked(x[sample, channel, :n].tolist(), count, order)] = 1
    assert x.grad is not None
    assert torch.equal(x.grad, chosen)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers(dtype: torch.dtype, order: str) -> None:
    low = torch.iinfo(dtype).min
    x = torch.tensor([[[low, 5, low, 3, 5, 1]]], dtype=dtype)
    assert k_max_pool1d(x, 3, order).tolist() == [[[5, 3, 5] if order == "position" else [5, 5, 3]]]
    assert k_max_pool1d(x, 4, order, [3]).tolist() == [[[low, 5, low, 0] if order == "position" else [5, low, low, 0]]]


def test_matrix_of_two_columns_of_four_rows() -> None:
    """Two of each column, in the order that they had."""
    columns = torch.tensor([[1.0, 9, 3, 7], [8, 2, 6, 4]])
    assert k_max_pool1d(columns, 2).tolist() == [[9, 7], [8, 6]]
    assert k_max_pool1d(columns, 1, lengths=1).tolist() == [[1], [8]]


def test_padding_is_never_picked() -> None:
    x = torch.full((2, 1, 6), math.nan)
    x[0, 0, :3] = torch.tensor([-math.inf, -1, -math.inf])
    x[1, 0, :5] = torch.tensor([-5.0, -4, -3, -2, -1])
    y = k_max_pool1d(x, 4, lengths=torch.tensor([3, 5]))
    assert y.tolist() == [[[-math.inf, -1, -math.inf, 0]], [[-4, -3, -2, -1]]]


@given(
    length=st.integers(1, 12),
    layers=st.integers(1, 5),
    k_top=st.integers(1, 6),
    order=st.sampled_from(ORDERS),
    data=st.data(),
)
def test_dynamic_k(length: int, layers: int, k_top: int, order: str, data: st.DataObject) -> None:
    layer = data.draw(st.integers(1, layers))
    lengths = data.draw(st.lists(st.integers(0, length), min_size=2, max_size=2))
    x = torch.randn(2, 3, length, dtype=torch.float64)

    def k_of(steps: int) -> int:
        return max(k_top, math.ceil((layers - layer) * steps / layers))

    counts = [min(k_of(steps), steps) for steps in lengths]
    y, kept = dynamic_k_max_pool1d(x, layer, layers, k_top, order, lengths, return_lengths=True)
    assert dynamic_k(length, layer, layers, k_top) == k_of(length)
    assert kept.tolist() == counts
    assert torch.equal(y, expect(x, counts, lengths, k_of(length), order))


def test_first_and_second_derivative() -> None:
    x = torch.randperm(12).double().reshape(1, 2, 6).requires_grad_()
    for order in ORDERS:
        assert torch.autograd.gradcheck(lambda x, order=order: k_max_pool1d(x, 3, order, [5]), (x,))
        assert torch.autograd.gradgradcheck(lambda x, order=order: k_max_pool1d(x, 3, order, [5]) ** 2, (x,))


def test_any_arrangement_and_no_batch() -> None:
    x = torch.randn(4, 9, 3).transpose(1, 2)
    expected = k_max_pool1d(x.contiguous(), 4)
    assert torch.equal(k_max_pool1d(x, 4), expected)
    assert torch.equal(k_max_pool1d(x[0], 4), expected[0])
    assert k_max_pool1d(x[:0], 4).shape == (0, 3, 4)


def test_layers() -> None:
    x = torch.randn(2, 3, 8)
    layer = nn.KMaxPool1d(3, order="value")
    assert torch.equal(layer(x, [8, 2]), k_max_pool1d(x, 3, "value", [8, 2]))
    assert repr(layer) == "KMaxPool1d(k=3, order=value)"
    dynamic = nn.DynamicKMaxPool1d(1, 3, 2, return_lengths=True)
    for actual, expected in zip(
        copy.deepcopy(dynamic)(x, [8, 5]),
        dynamic_k_max_pool1d(x, 1, 3, 2, lengths=[8, 5], return_lengths=True),
        strict=True,
    ):
        assert torch.equal(actual, expected)
    assert repr(dynamic) == "DynamicKMaxPool1d(layer=1, layers=3, k_top=2, order=position)"


def test_compiles_whole() -> None:
    x, lengths = torch.randn(2, 3, 8), torch.tensor([8, 2])
    compiled = torch.compile(lambda x, n: k_max_pool1d(x, 3, "position", n), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, lengths), k_max_pool1d(x, 3, "position", lengths))
    torch.compiler.reset()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", ["random", "rising", "falling", "equal", "nan first"])
def test_long_rows(shape: str, order: str) -> None:
    """More steps than are looked at together, and rows that keep the least of what they hold until the end."""
    rows = torch.randn(1, 3, 1000, generator=torch.Generator().manual_seed(3))
    if shape in ("rising", "falling"):
        rows = rows.sort(descending=shape == "falling").values
    elif shape == "equal":
        rows = rows.round()
    elif shape == "nan first":
        rows[..., :100] = math.nan
    for k in (1, 7, 70, 600, 999, 1000, 1003):
        for dtype in FLOATS:
            x = rows.to(dtype)
            y = k_max_pool1d(x, k, order)
            torch.testing.assert_close(y, expect(x, [k], [1000], k, order), rtol=0, atol=0, equal_nan=True)


def test_operators_check_what_they_are_given() -> None:
    x, three = torch.randn(2, 3, 5), torch.tensor([3, 3])
    places = torch.zeros(2, 3, 4, dtype=torch.int32)
    places[1, 2, 2] = 5
    run = torch.ops.poolkit
    with pytest.raises(RuntimeError, match="places must be steps from 0 to 4"):
        run.sequence_largest_backward(torch.zeros(2, 3, 4), places, three, 5)
    with pytest.raises(RuntimeError, match="counts must be from 0 to k and to lengths"):
        run.sequence_largest(x, torch.tensor([5, 2]), three, 4, False)
    with pytest.raises(RuntimeError, match="counts must be from 0 to k and to lengths"):
        run.sequence_largest(x, torch.tensor([5, 5]), three, 2, False)
    with pytest.raises(RuntimeError, match="and these to 5"):
        run.sequence_largest(x, torch.tensor([5, 6]), three, 4, False)
    with pytest.raises(RuntimeError, match="int64 CPU tensors"):
        run.sequence_largest(x, three.int(), three, 4, False)


def test_bad_arguments() -> None:
    x = torch.zeros(2, 3, 4)
    for k in (0, -1):
        with pytest.raises(ArgumentError, match=f"k must be greater than zero, but got {k}"):
            k_max_pool1d(x, k)
        with pytest.raises(ArgumentError, match="k must be greater"):
            nn.KMaxPool1d(k)
    for wrong in (1.0, True, "2", None):
        with pytest.raises(TypeError, match="k must be an int, but got"):
            k_max_pool1d(x, wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="order must be 'position' or 'value', but got 'size'"):
        k_max_pool1d(x, 2, "size")
    with pytest.raises(ArgumentError, match=r"lengths must be from 0 to 4, the number of steps, but got 5"):
        k_max_pool1d(x, 2, lengths=[1, 5])
    with pytest.raises(ArgumentError, match=r"lengths must be from 0 to 4, the number of steps, but got -1"):
        k_max_pool1d(x, 2, lengths=[-1, 4])
    with pytest.raises(ArgumentError, match=r"lengths must have the shape \[2\], but got \[3\]"):
        k_max_pool1d(x, 2, lengths=[1, 2, 3])
    with pytest.raises(TypeError, match=r"lengths must be an int, but got 1.0"):
        k_max_pool1d(x, 2, lengths=[1.0, 2.0])
    with pytest.raises(ArgumentError, match=r"at least one channel and step, but got \[4\]"):
        k_max_pool1d(x[0, 0], 2)
    with pytest.raises(ArgumentError, match=r"at least one channel and step, but got \[2, 3, 0\]"):
        k_max_pool1d(x[..., :0], 2)
    with pytest.raises(TypeError, match=r"input must be a torch\.Tensor, but got list"):
        k_max_pool1d([1.0], 2)  # type: ignore[arg-type]
    for dtype in (torch.bool, torch.complex64):
        with pytest.raises(NotImplementedError, match=str(dtype)):
            k_max_pool1d(x.to(dtype), 2)
    with pytest.raises(ArgumentError, match="layer must be at most layers, but got layer=3, layers=2"):
        dynamic_k_max_pool1d(x, 3, 2, 1)
    with pytest.raises(ArgumentError, match="k_top must be greater than zero, but got 0"):
        nn.DynamicKMaxPool1d(1, 2, 0)
