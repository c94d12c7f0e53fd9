"""The Triton kernels of RoI align and RoI pool, interpreted on the CPU, beside the operators of the C++ core.

Run by tests/test_triton.py in a process of its own, in which TRITON_INTERPRET is set.
"""

from __future__ import annotations

import math

import pytest
import torch
from compare import CORE, ROUNDING, near, surrounded
from torch import Tensor

from poolkit.layout import is_channels_last
from poolkit.triton import device, launch_regions

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of lanes that hold nothing

#: (sample, x1, y1, x2, y2) on two maps of 3 x 5 cells: inside; over the border; the whole map; without area; reversed;
#: beside the map; from far to far.
BOXES = torch.tensor(
    [
        [1, 0.625, 0.5, 3.25, 1.875],
        [0, -2.5, -1.5, 2.375, 5.125],
        [1, 0, 0, 5, 3],
        [1, 2.5, 1.0, 2.5, 1.0],
        [0, 4.5, 2.75, 0.25, 0.5],
        [0, 7.0, 0.0, 9.0, 2.0],
        [1, -1e300, -1e15, 1e300, 1e15],
    ],
    dtype=torch.float64,
)
SIZE, BINS = (3, 5), (2, 2)


def maps(dtype: torch.dtype, channels_last: bool, samples: int = 2, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, channels, *SIZE, generator=generator)
    return surrounded(x.contiguous(memory_format=torch.channels_last) if channels_last else x, dtype)


def check_align(x: Tensor, boxes: Tensor, ratio: int, aligned: bool, scale: float = 1.0) -> None:
    """Value and gradient against the core's in double."""
    given, rounding = (scale, ratio, aligned), ROUNDING[x.dtype]
    y = launch_regions.roi_align(x, boxes, BINS, *given)
    true = CORE.roi_align(x.double(), boxes, BINS, *given)
    assert (y.dtype, y.stride()) == (x.dtype, true.stride())
    near(y, true, rounding)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(x.dtype)
    last = is_channels_last(x, 2)
    got = launch_regions.roi_align_backward(grad, boxes, x.shape, *given, last)
    true = CORE.roi_align_backward(grad.double(), boxes, x.shape, *given, last)
    assert (got.dtype, got.stride()) == (x.dtype, true.stride())
    near(got, true, 3 * rounding)


def check_pool(x: Tensor, boxes: Tensor, scale: float = 1.0) -> None:
    """Value and winners as the core has them, the gradient near to it."""
    y, winners = launch_regions.roi_pool_winners(x, boxes, BINS, scale)
    true, true_winners = CORE.roi_pool_winners(x, boxes, BINS, scale)
    assert (y.stride(), winners.dtype, winners.stride()) == (true.stride(), true_winners.dtype, true_winners.stride())
    torch.testing.assert_close(y, true, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(winners.int(), true_winners.int())
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(x.dtype)
    last = is_channels_last(x, 2)
    got = launch_regions.roi_pool_backward(grad, boxes, winners, x.shape, last)
    true = CORE.roi_pool_backward(grad.double(), boxes, true_winners, x.shape, last)
    assert (got.dtype, got.stride()) == (x.dtype, true.stride())
    near(got, true, 3 * ROUNDING[x.dtype])


@pytest.mark.parametrize(
    ("dtype", "channels_last", "ratio", "aligned"),
    [
        (torch.float32, False, 0, True),
        (torch.bfloat16, True, 2, False),
        (torch.float16, False, 5, False),
        (torch.float64, True, 3, True),
    ],
    ids=str,
)
def test_align(dtype: torch.dtype, channels_last: bool, ratio: int, aligned: bool) -> None:
    """Five samples are nearer to each other than cells; one and two may be further apart."""
    boxes = BOXES if dtype == torch.float32 else BOXES[1:2]
    check_align(maps(dtype, channels_last, 2, 2), boxes, ratio, aligned)


@pytest.mark.parametrize(
    ("dtype", "channels_last"),
    [(torch.float32, True), (torch.bfloat16, False), (torch.float16, True), (torch.float64, False)],
    ids=str,
)
def test_pool(dtype: torch.dtype, channels_last: bool) -> None:
    """Cells are few numbers, so that there are ties, and some are NaN or infinite."""
    x = maps(dtype, channels_last).round_()
    x[0, 0, 1, 2] = x[0, 1, 0, 0] = x[1, 1, 2, 4] = x[0, 1, 2, 1] = math.nan
    x[0, 2, 1], x[1, 0, 1, 1] = -math.inf, math.inf
    check_pool(x, BOXES if dtype == torch.float32 else BOXES[1:2])


def test_random_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strided map; a scale; boxes in no order, looked at two at a time; a sample without one; the same bits twice."""
    monkeypatch.setattr(launch_regions, "_BOXES", 2)
    x = torch.randn(3, 5, 2, 6)[..., ::2].transpose(1, 2)
    boxes = torch.rand(5, 5, dtype=torch.float64) * torch.tensor([0, 8, 12, 8, 12]) - 2
    boxes[:, 0] = torch.tensor([2, 0, 0, 2, 0])
    check_align(x, boxes, 0, True, 0.5)
    check_pool(x, boxes, 0.5)
    grad = torch.randn(5, 2, *BINS)
    once, twice = (launch_regions.roi_align_backward(grad, boxes, x.shape, 0.5, 0, True, False) for _ in range(2))
    assert torch.equal(once, twice)


def test_nan_counts_where_it_has_weight() -> None:
    x = maps(torch.float32, False)
    x[:, :, 1, 2] = math.nan
    check_align(x, BOXES[:2], 1, False)


def test_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of gradients that leave cells and channels over; offsets of 64 bits."""
    monkeypatch.setattr(launch_regions, "_AREA", 16)
    monkeypatch.setattr(launch_regions, "_CELLS", 8)
    monkeypatch.setattr(device, "BLOCK", 64)
    monkeypatch.setattr(device, "LARGEST", 0)
    check_align(maps(torch.float32, True), BOXES[1:2], 2, True)
    check_pool(maps(torch.float32, False), BOXES[1:2])


def test_winners_of_more_bytes() -> None:
    check_pool(torch.randn(1, 1, 16, 17), torch.tensor([[0.0, 1, 1, 15, 14]], dtype=torch.float64))


@pytest.mark.parametrize(("samples", "boxes"), [(2, 0), (0, 0)])
def test_empty(samples: int, boxes: int) -> None:
    check_align(torch.randn(samples, 2, *SIZE), BOXES[:boxes], 0, True)
    check_pool(torch.randn(samples, 2, *SIZE), BOXES[:boxes])


def test_refusals() -> None:
    x, boxes = maps(torch.float32, False), BOXES.clone()
    with pytest.raises(RuntimeError, match="floating point maps"):
        launch_regions.roi_pool(x.long(), boxes, BINS, 1.0)
    with pytest.raises(RuntimeError, match=r"float64 tensor of shape \(K, 5\) on the CPU"):
        launch_regions.roi_pool(x, boxes.float(), BINS, 1.0)
    with pytest.raises(RuntimeError, match="malformed sizes"):
        launch_regions.roi_pool(x, boxes, [0, 3], 1.0)
    with pytest.raises(RuntimeError, match=r"sampling_ratio must lie in \[0, 65536\]"):
        launch_regions.roi_align(x, boxes, BINS, 1.0, 65537, True)
    with pytest.raises(RuntimeError, match="a row for each box"):
        launch_regions.roi_align_backward(x, boxes, x.shape, 1.0, 0, True, False)
    y, winners = launch_regions.roi_pool_winners(x, boxes, BINS, 1.0)
    with pytest.raises(RuntimeError, match="winners do not belong"):
        launch_regions.roi_pool_backward(y, boxes, winners.int(), x.shape, False)
    boxes[3, 0] = 2
    with pytest.raises(RuntimeError, match=r"box 3 is not finite, or its batch index is not an integer in \[0, 2\)"):
        launch_regions.roi_pool(x, boxes, BINS, 1.0)
