"""Geometries that real models use and that others get wrong, with the numbers they must give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from problems import RANKS

from poolkit import functional, nn
from poolkit.errors import ArgumentError


def line(*numbers: float) -> torch.Tensor:
    return torch.tensor([[numbers]], dtype=torch.float64)


def count(last: int) -> torch.Tensor:
    return line(*range(1, last + 1))


def near(y: torch.Tensor, *numbers: float) -> None:
    torch.testing.assert_close(y, line(*numbers), rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------- real models


def test_efficientnet_window_far_larger_than_its_map() -> None:
    """AvgPool2d(2560, ceil_mode=True) on 18 x 18 is the mean: what hangs over never counts."""
    x = torch.randn(1, 4, 18, 18, dtype=torch.float64, requires_grad=True)
    y = nn.AvgPool2d(2560, ceil_mode=True)(x)
    torch.testing.assert_close(y, x.mean((2, 3), keepdim=True))
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.full_like(x, 1 / 324))
    assert torch.equal(nn.MaxPool2d(2560, ceil_mode=True)(x), x.amax((2, 3), keepdim=True))


def test_hgnet_one_sided_padding() -> None:
    """MaxPool2d(2, stride=1, ceil_mode=True) after a pad of one at the right and the bottom (RT-DETR too)."""
    x = torch.rand(1, 24, 13, 13)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
    y = nn.MaxPool2d(2, stride=1, ceil_mode=True)(padded)
    assert y.shape == x.shape
    assert torch.equal(y, torch.nn.functional.max_pool2d(padded, 2, 1, ceil_mode=True))
    assert torch.equal(nn.MaxPool2d(2, stride=1, padding=((0, 1), (0, 1)))(x), y)


@pytest.mark.parametrize("name", ["max", "avg", "min", "sum"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_kernel_of_one_is_striding(name: str, layout: torch.memory_format) -> None:
    """LeViT: AvgPool2d(1, stride=2); Faster R-CNN: max_pool2d(kernel 1, stride 2)."""
    x = torch.randn(2, 5, 14, 15).contiguous(memory_format=layout).requires_grad_()
    y = getattr(functional, f"{name}_pool2d")(x, 1, 2)
    assert torch.equal(y, x[..., ::2, ::2])
    y.sum().backward()
    expected = torch.zeros(14, 15)
    expected[::2, ::2] = 1
    assert x.grad is not None
    assert torch.equal(x.grad, expected.expand(x.shape))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_mvit_pools_space_and_not_time(layout: torch.memory_format) -> None:
    x = torch.randn(2, 4, 5, 14, 14).contiguous(memory_format=layout)
    arguments = ((1, 3, 3), (1, 2, 2), (0, 1, 1))
    y = nn.MaxPool3d(*arguments)(x)
    assert torch.equal(y, torch.nn.functional.max_pool3d(x, *arguments))
    assert y.is_contiguous(memory_format=layout)


def test_bat_adaptive_strip() -> None:
    x = torch.randn(2, 3, 30, 21)
    for output_size in ((8, 1), (1, 8)):
        y = functional.adaptive_max_pool2d(x, output_size)
        assert torch.equal(y, torch.nn.functional.adaptive_max_pool2d(x, output_size))


def test_pp_ocr_and_crepe_rectangles() -> None:
    x = torch.randn(1, 8, 12, 25)
    for kernel, stride in (((3, 2), None), ((3, 2), (3, 2)), ((2, 1), (2, 1)), ((2, 1), (2, 2))):
        for name in ("max", "avg"):
            actual, expected = (
                getattr(home, f"{name}_pool2d")(x, kernel, stride) for home in (functional, torch.nn.functional)
            )
            torch.testing.assert_close(actual, expected)


def test_open_nsfw_pads_the_end_only() -> None:
    """ONNX pads (0, 0, 1, 1): one more row at the bottom, one more column at the right."""
    x = torch.randn(1, 3, 112, 112)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1), value=-math.inf)
    y = functional.max_pool2d(x, 3, 2, ((0, 1), (0, 1)))
    assert torch.equal(y, torch.nn.functional.max_pool2d(padded, 3, 2))


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (2, 2), (3, 1), (3, 2), (5, 3), (1, 2)])
def test_nasnet_same_depends_on_the_size(size: int, kernel: int, stride: int) -> None:
    """A layer pads differently at 5 and at 6; the odd cell goes to the end, or by same_lower to the start."""
    x = torch.randn(1, 2, size, dtype=torch.float64)
    for padding, lower in (("same", False), ("same_lower", True)):
        low, high = oracle.same_padding(size, kernel, stride, 1, lower)
        padded = torch.nn.functional.pad(x, (low, high), value=-math.inf)
        expected = torch.nn.functional.max_pool1d(padded, kernel, stride)
        assert expected.shape[-1] == math.ceil(size / stride)
        module = nn.MaxPool1d(kernel, stride, padding=padding)
        assert torch.equal(module(x), expected)
        assert torch.equal(module(x[..., :1]), x[..., :1])


def test_yolov9_and_volo_positional_calls() -> None:
    x = torch.randn(1, 4, 13, 15)
    for arguments in (
        (2, 1, 0, False, True),
        (2, 2, 0, True),
        (2, 2, 0, True, False),
        (3, 2, 1, False, False),
    ):
        actual, expected = (home.avg_pool2d(x, *arguments) for home in (functional, torch.nn.functional))
        torch.testing.assert_close(actual, expected)


def test_poolformer_mixes_tokens() -> None:
    """avg(x) - x of a constant is zero also at the border."""
    x = torch.full((1, 8, 14, 14), 3.25)
    assert torch.equal(nn.AvgPool2d(3, 1, 1, count_include_pad=False)(x) - x, torch.zeros_like(x))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_sppf_chain_equals_spp(layout: torch.memory_format) -> None:
    """Three maxima of 5 x 5 in a row are those of 5, 9 and 13, bit for bit; the gradient is the chain's."""
    x = torch.randn(1, 6, 20, 20).contiguous(memory_format=layout).requires_grad_()
    pool = nn.MaxPool2d(5, 1, 2)
    chain = [pool(x)]
    for _ in range(2):
        chain.append(pool(chain[-1]))
    for y, kernel in zip(chain, (5, 9, 13), strict=True):
        assert torch.equal(y, functional.max_pool2d(x, kernel, 1, kernel // 2))
    torch.cat((x, *chain), 1).sum().backward()
    reference = x.detach().clone().requires_grad_()
    theirs = [reference]
    for _ in range(3):
        theirs.append(torch.nn.functional.max_pool2d(theirs[-1], 5, 1, 2))
    torch.cat(theirs, 1).sum().backward()
    assert x.grad is not None
    assert reference.grad is not None
    torch.testing.assert_close(x.grad, reference.grad)


@pytest.mark.parametrize("size", [224, 112, 56, 7])
def test_resnet_stem_at_even_and_odd_sizes(size: int) -> None:
    x = torch.randn(1, 2, size, size + 1)
    assert torch.equal(nn.MaxPool2d(3, 2, 1)(x), torch.nn.functional.max_pool2d(x, 3, 2, 1))
    for ceil_mode in (False, True):
        arguments: dict[str, Any] = {"kernel_size": 3, "stride": 2, "ceil_mode": ceil_mode}
        assert torch.equal(nn.MaxPool2d(**arguments)(x), torch.nn.functional.max_pool2d(x, **arguments))


# -------------------------------------------------------------------------- ceil mode and divisors


def test_divisors_of_the_average() -> None:
    """Padding counts, what hangs over in ceil mode never does."""
    near(functional.avg_pool1d(line(*[1] * 6), 3, 2, 1, True), 2 / 3, 1, 1, 1 / 2)
    near(functional.avg_pool1d(line(*[1] * 6), 3, 2, 1, True, False), 1, 1, 1, 1)
    near(functional.avg_pool1d(count(6), 3, 2, 1, True), 1, 3, 5, 3)
    near(functional.avg_pool1d(count(6), 3, 2, 1, True, False), 1.5, 3, 5, 6)
    near(functional.avg_pool1d(count(5), 2, 2, 0, True), 1.5, 3.5, 5)
    x = torch.arange(16.0, dtype=torch.float64).reshape(1, 1, 4, 4)
    y = functional.avg_pool2d(x, 3, 2, 1, True)
    torch.testing.assert_close(y, torch.nn.functional.avg_pool2d(x, 3, 2, 1, True))


def test_divisors_of_the_dilated_average() -> None:
    """Taps in the padding count, the cells between the taps never do."""
    near(functional.avg_pool1d(line(*[1] * 5), 3, 1, 2, dilation=2), 2 / 3, 2 / 3, 1, 2 / 3, 2 / 3)
    near(functional.avg_pool1d(line(*[1] * 5), 3, 1, 2, False, False, dilation=2), 1, 1, 1, 1, 1)
    near(functional.avg_pool1d(line(*[6] * 5), 2, 3, 0, True, dilation=3), 6, 6)
    near(functional.power_avg_pool1d(line(*[1] * 6), 1, 3, 2, 1, 1, True), 2 / 3, 1, 1, 1 / 2)


def test_no_window_starts_beyond_the_input() -> None:
    near(functional.max_pool1d(count(4), 1, 2, ceil_mode=True), 1, 3)
    for size, kernel, stride, padding in ((5, 2, 2, 1), (5, 3, 3, 1), (7, 3, 4, 1)):
        actual, expected = (
            home.max_pool1d(count(size), kernel, stride, padding, ceil_mode=True)
            for home in (functional, torch.nn.functional)
        )
        assert torch.equal(actual, expected)


def test_same_and_same_lower() -> None:
    near(functional.max_pool1d(count(5), 2, 2, "same"), 2, 4, 5)
    near(functional.max_pool1d(count(5), 2, 2, "same_lower"), 1, 3, 5)
    near(functional.avg_pool1d(count(6), 3, 2, "same"), 2, 4, 5.5)
    near(functional.avg_pool1d(count(6), 3, 2, "same_lower"), 1.5, 3, 5)
    near(functional.avg_pool1d(line(*[1] * 5), 3, 2, "same"), 1, 1, 1)
    near(functional.avg_pool1d(count(6), 3, 2, "same", count_include_pad=False), 2, 4, 5.5)
    near(functional.power_avg_pool1d(count(6), 1, 3, 2, "same"), 2, 4, 5.5)
    near(functional.avg_max_pool1d(count(6), 3, 2, "same"), 2.5, 4.5, 5.75)
    near(functional.sum_pool1d(count(6), 3, 2, "same"), 6, 12, 11)


def test_same_never_counts_its_padding_but_pairs_do() -> None:
    """Spelled out as pairs, the padding counts as torch's does: then the numbers are those of timm's AvgPool2dSame."""
    near(functional.avg_pool1d(line(*[1] * 5), 3, 2, "same", False, True), 1, 1, 1)
    near(functional.avg_pool1d(line(*[1] * 5), 3, 2, ((1, 1),)), 2 / 3, 1, 2 / 3)
    near(functional.avg_pool1d(count(6), 3, 2, ((0, 1),)), 2, 4, 11 / 3)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("padding", ["same", "same_lower"])
def test_same_in_every_rank_with_dilation(rank: int, padding: str) -> None:
    size, kernel, stride, dilation = (7, 6, 5)[:rank], (3, 2, 4)[:rank], (2, 1, 2)[:rank], (1, 3, 1)[:rank]
    sides = tuple(
        oracle.same_padding(n, k, s, d, padding == "same_lower")
        for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
    )
    x = torch.randn(2, 3, *size)
    for name in ("max", "min", "sum"):
        pool = getattr(functional, f"{name}_pool{rank}d")
        y = pool(x, kernel, stride, padding, dilation)
        assert y.shape[2:] == tuple(math.ceil(n / s) for n, s in zip(size, stride, strict=True))
        assert torch.equal(y, pool(x, kernel, stride, sides, dilation))


# ----------------------------------------------------------------------- windows wholly in padding


@pytest.mark.parametrize("name", ["max", "min", "avg", "sum", "avg_max"])
@pytest.mark.parametrize("rank", RANKS)
def test_windows_wholly_in_padding_are_refused(name: str, rank: int) -> None:
    """The text names the axis, the position of the output, and how the window misses the input."""
    pool = getattr(functional, f"{name}_pool{rank}d")
    for axis in range(rank):
        size = [8] * rank
        size[axis] = 3
        kernel, dilation = [1] * rank, [1] * rank
        kernel[axis], dilation[axis] = 2, 4
        padding = [(0, 0)] * rank
        padding[axis] = (1, 1)
        with pytest.raises(ArgumentError, match="lies wholly in the padding") as refusal:
            pool(torch.zeros(1, 1, *size), kernel, 1, padding=tuple(padding), dilation=tuple(dilation))
        names = ("depth", "height", "width")[-rank:]
        assert names[axis] in str(refusal.value) or f"axis {axis}" in str(refusal.value), refusal.value
    x = torch.zeros(1, 1, *(1,) * rank)
    with pytest.raises(ArgumentError, match="lies wholly in the padding"):
        pool(x, kernel_size=2, padding=1, dilation=2)


def test_windows_that_straddle_the_input_in_the_middle() -> None:
    """Only some outputs miss it: all are judged, not the first and last alone."""
    for size in range(1, 8):
        for dilation in (2, 3, 4, 5):
            for low in range(dilation + 1):
                for high in range(dilation + 1):
                    axis = oracle.slide(size, 2, 1, low, high, dilation, False)
                    if not axis:
                        continue
                    arguments: Any = (torch.ones(1, size), 2, 1, ((low, high),), dilation)
                    if oracle.empty_window([axis]):
                        with pytest.raises(ArgumentError, match="wholly in the padding"):
                            functional.max_pool1d(*arguments)
                    else:
                        assert functional.max_pool1d(*arguments).shape == (1, len(axis))


# ---------------------------------------------------------------------------------------------- Lp


def test_lp_in_ceil_mode() -> None:
    """A partial window is the norm of what is there: torch scales it up to a full one and gives 7.07."""
    near(functional.lp_pool1d(count(5), 2, 2, 2, True), math.sqrt(5), 5, 5)
    near(functional.lp_pool1d(line(1, 1, 1), 2, 2, 2, True), math.sqrt(2), 1)


def test_lp_of_negative_numbers() -> None:
    x = line(-1, -2, -3)
    near(functional.lp_pool1d(x, 1, 3), 6)
    near(functional.lp_pool1d(x, 3, 3), 36 ** (1 / 3))
    near(functional.lp_pool1d(x, 1.5, 3), (1 + 2**1.5 + 3**1.5) ** (2 / 3))
    near(functional.lp_pool1d(x, math.inf, 3), 3)
    x.requires_grad_()
    functional.lp_pool1d(x, 3, 3).sum().backward()
    assert x.grad is not None
    near(x.grad, *(-((n / 36 ** (1 / 3)) ** 2) for n in (1, 2, 3)))


@pytest.mark.parametrize("norm_type", [0.5, 1, 1.5, 2, 3, 4, math.inf])
def test_lp_of_zeros(norm_type: float) -> None:
    """Value and gradient are zero, not NaN; a zero beside other numbers has no gradient either."""
    for pool in (functional.lp_pool1d, functional.power_avg_pool1d):
        x = torch.zeros(1, 1, 4, requires_grad=True)
        y = pool(x, norm_type, 2)
        assert torch.equal(y, torch.zeros(1, 1, 2))
        y.sum().backward()
        assert x.grad is not None
        assert torch.equal(x.grad, torch.zeros(1, 1, 4))
        x = torch.tensor([[[0.0, 3.0]]], requires_grad=True)
        pool(x, norm_type, 2).sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert x.grad[0, 0, 0] == 0


@pytest.mark.parametrize("largest", [1e30, 1e-30])
@pytest.mark.parametrize("norm_type", [2, 3, 2.5])
def test_lp_of_large_and_small_numbers(norm_type: float, largest: float) -> None:
    """The squares leave the range of a float32, the norm does not."""
    x = torch.tensor([[[3 * largest, -4 * largest]]], requires_grad=True)
    y = functional.lp_pool1d(x, norm_type, 2)
    norm = (3**norm_type + 4**norm_type) ** (1 / norm_type)
    torch.testing.assert_close(y / largest, torch.tensor([[[norm]]]), rtol=1e-5, atol=0)
    y.sum().backward()
    slopes = [[[(3 / norm) ** (norm_type - 1), -((4 / norm) ** (norm_type - 1))]]]
    torch.testing.assert_close(x.grad, torch.tensor(slopes), rtol=1e-4, atol=0)


def test_lp_has_padding_and_dilation() -> None:
    near(functional.lp_pool1d(line(3, 4, 12), 2, 3, 1, False, 1), 5, 13, math.sqrt(160))
    near(functional.lp_pool1d(line(3, 7, 4), 2, 2, 1, False, 0, 2), 5)
    near(functional.power_avg_pool1d(line(3, 4), 2, 2, 2, 1), math.sqrt(4.5), math.sqrt(8))
    near(functional.power_avg_pool1d(line(3, 4), 2, 2, 2, 1, count_include_pad=False), 3, 4)


def test_power_average_of_a_constant() -> None:
    """Wherever the window lies, unlike the norm, which grows with the number of cells."""
    x = torch.full((1, 1, 7), 2.0, dtype=torch.float64)
    near(functional.adaptive_power_avg_pool1d(x, 3, 4), 2, 2, 2, 2)
    near(functional.adaptive_lp_pool1d(x, 1, 4), 4, 6, 6, 4)


# ---------------------------------------------------------------------------------------- adaptive


def test_adaptive_windows() -> None:
    """They overlap where the sizes do not divide, and repeat cells where the result is the larger."""
    near(functional.adaptive_avg_pool1d(count(10), 4), 2, 4, 7, 9)
    near(functional.adaptive_avg_pool1d(count(3), 5), 1, 1.5, 2, 2.5, 3)
    near(functional.adaptive_max_pool1d(count(7), 3), 3, 5, 7)
    near(functional.adaptive_min_pool1d(count(7), 3), 1, 3, 5)
    near(functional.adaptive_sum_pool1d(count(7), 3), 6, 12, 18)


@pytest.mark.parametrize("rank", RANKS)
def test_adaptive_to_a_divisor_is_windowed(rank: int) -> None:
    x = torch.randn(2, 3, *(12,) * rank)
    for output in (1, 2, 3, 4, 6, 12):
        for name in ("max", "avg", "min", "sum"):
            actual = getattr(functional, f"adaptive_{name}_pool{rank}d")(x, output)
            expected = getattr(functional, f"{name}_pool{rank}d")(x, 12 // output)
            torch.testing.assert_close(actual, expected)


def test_pspnet_bins() -> None:
    x = torch.randn(1, 8, 60, 59)
    for bins in (1, 2, 3, 6, 7):
        actual, expected = (home.adaptive_avg_pool2d(x, bins) for home in (functional, torch.nn.functional))
        torch.testing.assert_close(actual, expected)


def test_adaptive_starts_are_exact_at_any_size() -> None:
    """(o * L) // O in float32 is wrong from 2**24 on."""
    length, outputs = 2**24 + 3, 7
    x = torch.zeros(1, length, dtype=torch.uint8)
    x[0, [(o * length) // outputs for o in range(outputs)]] = 1
    _, indices = functional.adaptive_max_pool1d(x, outputs, return_indices=True)
    assert indices[0].tolist() == [(o * length) // outputs for o in range(outputs)]


def test_numbers_of_torch_on_a_hundred_random_layers() -> None:
    random = np.random.default_rng(7)
    for _ in range(100):
        kernel, stride = int(random.integers(1, 6)), int(random.integers(1, 5))
        size, padding = random.integers(kernel, 24, size=2).tolist(), int(random.integers(0, kernel // 2 + 1))
        x = torch.randn(2, 3, *size)
        ceil_mode, include = bool(random.integers(2)), bool(random.integers(2))
        assert torch.equal(
            functional.max_pool2d(x, kernel, stride, padding, 1, ceil_mode),
            torch.nn.functional.max_pool2d(x, kernel, stride, padding, 1, ceil_mode),
        )
        arguments = (kernel, stride, padding, ceil_mode, include)
        torch.testing.assert_close(functional.avg_pool2d(x, *arguments), torch.nn.functional.avg_pool2d(x, *arguments))
