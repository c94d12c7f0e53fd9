"""Blur pooling against plain loops."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, cast

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from test_windows_in_blocks import peak
from torch import Tensor

from poolkit import functional, layout, nn
from poolkit.errors import ArgumentError
from poolkit.functional import blur_pool1d, blur_pool2d, max_blur_pool1d, max_blur_pool2d
from poolkit.layers.blur import PADDING_MODES, SIZES

Array = NDArray[np.float64]

OF_NUMPY = {"reflect": "reflect", "replicate": "edge", "zeros": "constant", "circular": "wrap"}


def binomial(size: int) -> Array:
    """(1, 1) / 2, convolved with itself."""
    weights = np.ones(1)
    for _ in range(size - 1):
        weights = np.convolve(weights, (0.5, 0.5))
    return weights


def pads(size: int, filter_size: int, stride: int, sizes: str) -> tuple[int, int]:
    if sizes == "adobe":
        return math.floor((filter_size - 1) / 2), math.ceil((filter_size - 1) / 2)
    side = (filter_size - 1) // 2 if sizes == "kornia" else ((stride - 1) + (filter_size - 1)) // 2
    return side, side


def loops(plane: Array, filter_size: tuple[int, ...], stride: tuple[int, ...], mode: str, sizes: str) -> Array:
    """One plane: pad, then the full filter at every sample."""
    for axis, (f, s) in enumerate(zip(filter_size, stride, strict=True)):
        length = plane.shape[axis]
        around = [(0, 0)] * plane.ndim
        around[axis] = pads(length, f, s, sizes)
        small = mode == "reflect" and length <= max(around[axis])
        plane = np.pad(plane, around, OF_NUMPY["replicate" if small else mode])  # type: ignore[call-overload]
    counts = [(n - f) // s + 1 for n, f, s in zip(plane.shape, filter_size, stride, strict=True)]
    weights = functools.reduce(np.multiply.outer, map(binomial, filter_size))
    result = np.zeros(counts)
    for place in itertools.product(*map(range, counts)):
        for tap in itertools.product(*map(range, filter_size)):
            cell = tuple(o * s + t for o, s, t in zip(place, stride, tap, strict=True))
            result[place] += weights[tap] * plane[cell]
    return result


LONGEST = {1: 12, 2: 7, 3: 4}


@given(data=st.data())
def test_values_and_adjoint(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    size = [data.draw(st.integers(1, LONGEST[rank])) for _ in range(rank)]
    filters = tuple(data.draw(st.integers(1, 7 if rank < 3 else 4)) for _ in range(rank))
    strides = tuple(data.draw(st.integers(1, 4)) for _ in range(rank))
    mode, sizes = data.draw(st.sampled_from(PADDING_MODES)), data.draw(st.sampled_from(SIZES))
    x = torch.randn(2, 2, *size, dtype=torch.float64, requires_grad=True)
    blur = getattr(functional, f"blur_pool{rank}d")
    smallest = [f - sum(pads(n, f, s, sizes)) for n, f, s in zip(size, filters, strides, strict=True)]
    if any(n < least for n, least in zip(size, smallest, strict=True)):
        with pytest.raises(ArgumentError, match="input must have at least"):
            blur(x, filters, strides, mode, sizes)
        return
    y = blur(x, filters, strides, mode, sizes)
    expected = [[loops(plane, filters, strides, mode, sizes) for plane in sample] for sample in x.detach().numpy()]
    torch.testing.assert_close(y.detach(), torch.from_numpy(np.array(expected)), rtol=1e-12, atol=1e-12)
    if sizes == "adobe":
        assert tuple(y.shape[2:]) == tuple(math.ceil(n / s) for n, s in zip(size, strides, strict=True))
    g = torch.randn_like(y)
    (back,) = torch.autograd.grad(y, x, g)
    torch.testing.assert_close((y.detach() * g).sum(), (x.detach() * back).sum())


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_first_and_second_derivative(mode: str) -> None:
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: blur_pool2d(x, (4, 7), (2, 3), mode), (x,))
    assert torch.autograd.gradgradcheck(lambda x: blur_pool2d(x, (4, 7), (2, 3), mode) ** 3, (x,))
    assert torch.autograd.gradgradcheck(lambda x: max_blur_pool2d(x, 2, 3, 1, mode) ** 2, (x,))


@pytest.mark.parametrize(
    ("filter_size", "stride", "lengths"),
    [(4, 2, (16, 17, 16)), (3, 4, (8, 9, 8)), (4, 1, (32, 31, 31)), (3, 2, (16, 16, 16)), (1, 2, (16, 16, 16))],
)
def test_sizes_of_three_libraries(filter_size: int, stride: int, lengths: tuple[int, ...]) -> None:
    """Of 32 cells, as antialiased-cnns, timm and kornia have them."""
    x = torch.zeros(1, 1, 32)
    assert tuple(blur_pool1d(x, filter_size, stride, sizes=sizes).shape[-1] for sizes in SIZES) == lengths


@pytest.mark.parametrize("filter_size", range(1, 8))
def test_constants_stay_constant(filter_size: int) -> None:
    x = torch.full((1, 1, 9, 6), 0.1, dtype=torch.float64)
    for mode, sizes in itertools.product(("reflect", "replicate", "circular"), SIZES):
        y = blur_pool2d(x, filter_size, 2, mode, sizes)
        torch.testing.assert_close(y, torch.full_like(y, 0.1), rtol=1e-15, atol=0)
    dark = blur_pool2d(x, filter_size, 2, "zeros")
    assert (dark[0, 0, 0, 0] < 0.0999) == (filter_size > 2)


def test_filters_of_one_and_two() -> None:
    x = torch.randn(2, 3, 8, 6)
    assert torch.equal(blur_pool2d(x, 1, (3, 2)), x[..., ::3, ::2])
    torch.testing.assert_close(blur_pool2d(x, 2, 2), torch.nn.functional.avg_pool2d(x, 2))


def test_maps_too_small_to_reflect_repeat_their_border() -> None:
    one = torch.tensor([[[3.0]]])
    for mode in ("reflect", "replicate", "circular"):
        assert blur_pool1d(one, 7, 1, mode).tolist() == [[[3.0]]]
    two = torch.tensor([[[0.0, 8.0]]])
    assert blur_pool1d(two, 3, 1).tolist() == [[[4.0, 4.0]]]  # 8 0 8 0
    assert blur_pool1d(two, 4, 1).tolist() == blur_pool1d(two, 4, 1, "replicate").tolist() == [[[4.0, 7.0]]]


def test_half_precision_does_not_overflow() -> None:
    x = torch.full((1, 1, 8, 8), 6e4, dtype=torch.float16, requires_grad=True)
    y = blur_pool2d(x, 7)
    assert torch.equal(y, torch.full_like(y, 6e4))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.float16
    assert x.grad.sum() == y.numel()


def test_nan_reaches_only_the_samples_that_meet_it() -> None:
    x = torch.zeros(1, 1, 12)
    x[..., 5] = math.nan
    assert blur_pool1d(x, 3, 2).isnan().tolist() == [[[False, False, True, True, False, False]]]
    assert max_blur_pool1d(x, 2, 3, 2).isnan().tolist() == [[[False, False, True, True, False, False]]]


def test_gradients_keep_channels_last() -> None:
    x = torch.randn(2, 3, 8, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = blur_pool2d(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    (grad,) = torch.autograd.grad(y, x, torch.randn_like(y))
    assert grad.is_contiguous(memory_format=torch.channels_last)


@given(
    rank=st.integers(1, 3),
    kernel=st.integers(1, 3),
    filter_size=st.integers(1, 5),
    stride=st.integers(1, 3),
    mode=st.sampled_from(PADDING_MODES),
    same=st.booleans(),
)
def test_maxima_are_blurred(rank: int, kernel: int, filter_size: int, stride: int, mode: str, same: bool) -> None:
    x = torch.randn(1, 2, *(6, 5, 4)[:rank], dtype=torch.float64)
    y = getattr(functional, f"max_blur_pool{rank}d")(
        x, kernel, filter_size, stride, mode, padding="same" if same else 0
    )
    expected = []
    for plane in x[0].numpy():
        low = (kernel - 1) // 2 if same else 0
        around = (low, kernel - 1 - low) if same else (0, 0)
        padded = np.pad(plane, around, constant_values=-np.inf)
        maxima = np.zeros([n - kernel + 1 for n in padded.shape])
        for place in np.ndindex(maxima.shape):
            maxima[place] = padded[tuple(slice(o, o + kernel) for o in place)].max()
        expected.append(loops(maxima, (filter_size,) * rank, (stride,) * rank, mode, "adobe"))
    torch.testing.assert_close(y, torch.from_numpy(np.array([expected])), rtol=1e-12, atol=1e-12)


def test_ties_give_their_gradient_to_the_first_maximum() -> None:
    x = torch.ones(1, 1, 5, requires_grad=True)
    y = max_blur_pool1d(x, 2, 3, 2)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert grad.tolist() == [[[0.5, 0.75, 0.5, 0.25, 0.0]]]


def unfused(x: Tensor, kernel: int, *blur: object, padding: object = 0) -> Tensor:
    """The map of maxima first, then its blur: two operators, as where no kernel does both."""
    rank = x.dim() - 2
    maxima = getattr(functional, f"max_pool{rank}d")(x, kernel, 1, padding)
    return cast(Tensor, getattr(functional, f"blur_pool{rank}d")(maxima, *blur))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@given(data=st.data())
def test_both_steps_at_once_are_the_two_steps(dtype: torch.dtype, data: st.DataObject) -> None:
    """Values, and gradients with ties, infinities and NaN, whatever the layout and the type."""
    rank = data.draw(st.integers(1, 3))
    shape = [data.draw(st.integers(0, 3)), data.draw(st.sampled_from((1, 2, 17)))]
    shape += [data.draw(st.integers(3, 40 if rank == 1 else 7)) for _ in range(rank)]
    kernel, filter_size, stride = (data.draw(st.integers(1, most)) for most in (4 - rank // 3, 5, 3))
    padding = data.draw(st.sampled_from((0, kernel // 2, "same")))
    x = torch.randint(-3, 4, shape).to(dtype)
    x[torch.rand(shape) < 0.2] = -math.inf
    if data.draw(st.booleans()):
        x[torch.rand(shape) < 0.05] = math.nan
    if rank > 1 and data.draw(st.booleans()):
        x = x.to(memory_format=(torch.channels_last, torch.channels_last_3d)[rank - 2])
    x.requires_grad_()
    blur = (filter_size, stride, data.draw(st.sampled_from(PADDING_MODES)))
    y = getattr(functional, f"max_blur_pool{rank}d")(x, kernel, *blur, padding=padding)
    expected = unfused(x, kernel, *blur, padding=padding)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]
    torch.testing.assert_close(y, expected, equal_nan=True, rtol=tolerance, atol=tolerance)
    g = torch.randn_like(y)
    ours, theirs = (torch.autograd.grad(result, x, g)[0] for result in (y, expected))
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    assert layout.is_channels_last(ours, rank) == layout.is_channels_last(x, rank)


def test_the_map_of_maxima_is_never_held() -> None:
    x = torch.randn(1, 4, 256, 256, requires_grad=True)
    y = max_blur_pool2d(x, 2)
    assert peak(lambda: max_blur_pool2d(x.detach(), 2)) < 1.1 * y.nbytes
    g = torch.ones_like(y)
    assert peak(lambda: torch.autograd.grad(max_blur_pool2d(x, 2), x, g)) < 1.1 * (y.nbytes + x.nbytes)


def test_malformed_windows_are_refused() -> None:
    x, axis, weights = torch.zeros(1, 1, 5), [4, 2, 3, 2, 1, 1], [0.25, 0.5, 0.25]
    assert torch.ops.poolkit.max_filter(x, [2, 0], axis, weights, False).shape == (1, 1, 2)
    for windows in ([2], [1, 0], [2, 2], [0, 0], [2, -1], [9, 9]):
        with pytest.raises(RuntimeError, match="poolkit: malformed windows"):
            torch.ops.poolkit.max_filter(x, windows, axis, weights, False)
    with pytest.raises(RuntimeError, match="does not fit"):
        torch.ops.poolkit.max_filter_backward(torch.zeros(1, 1, 3), x, [2, 0], axis, weights, False)


def test_as_people_write_it() -> None:
    """Padding by reflection and a convolution for each channel alone."""
    x = torch.randn(2, 3, 9, 10, dtype=torch.float64)
    row = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64)
    weight = (row[:, None] * row / 64).expand(3, 1, 4, 4)
    padded = torch.nn.functional.pad(x, (1, 2, 1, 2), "reflect")
    torch.testing.assert_close(blur_pool2d(x), torch.nn.functional.conv2d(padded, weight, stride=2, groups=3))


def test_layers() -> None:
    x = torch.randn(2, 3, 9, 8)
    assert torch.equal(nn.BlurPool2d()(x), blur_pool2d(x))
    assert torch.equal(nn.MaxBlurPool2d(3, 3, padding=1)(x), max_blur_pool2d(x, 3, 3, padding=1))
    assert not [*nn.BlurPool2d().parameters(), *nn.BlurPool2d().buffers()]
    assert repr(nn.BlurPool1d(3)) == "BlurPool1d(filter_size=3, stride=2, padding_mode=reflect, sizes=adobe)"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"filter_size": 0}, ArgumentError, "filter_size must be greater than zero, but got 0"),
        ({"filter_size": 2.5}, TypeError, "filter_size must be an int, but got 2.5"),
        ({"stride": 0}, ArgumentError, "stride must be greater than zero, but got 0"),
        ({"stride": (1, 2, 3)}, ArgumentError, "stride must either be a single int, or a tuple of 2 ints"),
        ({"padding_mode": "mirror"}, ArgumentError, "padding_mode must be one of 'zeros', .*, but got 'mirror'"),
        ({"padding_mode": None}, ArgumentError, "padding_mode must be one of .* but got None"),
        ({"sizes": "same"}, ArgumentError, "sizes must be one of 'adobe', 'timm', 'kornia', but got 'same'"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    for call in (
        nn.BlurPool2d,
        nn.MaxBlurPool2d,
        lambda **given: blur_pool2d(torch.zeros(1, 4, 4), **given),
        lambda **given: max_blur_pool2d(torch.zeros(1, 4, 4), **given),
    ):
        with pytest.raises(error, match=message):
            call(**arguments)


def test_bad_inputs() -> None:
    with pytest.raises(
        ArgumentError, match=r"blur_pool2d\(\): input must be \(N, C, H, W\) or \(C, H, W\) .* \[4, 4\]"
    ):
        blur_pool2d(torch.zeros(4, 4))
    with pytest.raises(NotImplementedError, match=r"max_blur_pool1d\(\): input must be float32, .*int64"):
        max_blur_pool1d(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(ArgumentError, match="at least 2 cells on every axis for filter_size=4 and sizes='kornia'"):
        blur_pool1d(torch.zeros(1, 1), 4, sizes="kornia")
    with pytest.raises(ArgumentError, match="Output size is too small"):
        max_blur_pool2d(torch.zeros(1, 2, 2), 3)
    with pytest.raises(ArgumentError, match="padding"):
        nn.MaxBlurPool2d(2, padding=2)


@pytest.mark.parametrize(
    ("axis", "weights", "message"),
    [
        ([4, 2, 3, 2, 1, 4], 3, "malformed filter"),  # no such border
        ([4, 2, 3, 0, 1, 1], 3, "malformed filter"),
        ([4, 2, 3, 2, 4, 1], 3, "malformed filter"),  # reflected beyond the other end
        ([4, 9, 3, 2, 1, 1], 3, "malformed filter"),
        ([5, 2, 3, 2, 1, 1], 3, "does not fit the tensor"),
        ([4, 2, 3, 2, 1, 1], 2, "a weight for each tap"),
        ([4, 2, 3, 2, 1, 1], 4, "a weight for each tap"),
    ],
)
def test_the_operator_checks_what_it_is_given(axis: list[int], weights: int, message: str) -> None:
    x = torch.arange(4.0).reshape(1, 1, 4)
    with pytest.raises(RuntimeError, match=message):
        torch.ops.poolkit.filter(x, axis, [1.0] * weights, False, False)
    assert torch.ops.poolkit.filter(x, [4, 2, 3, 2, 1, 1], [1.0] * 3, False, False).tolist() == [[[2, 6]]]
