"""The Triton kernels of segments, interpreted on the CPU, beside the operators of the C++ core in float64.

Run by tests/test_triton.py in a process of its own, in which TRITON_INTERPRET is set.
"""

from __future__ import annotations

import math

import pytest
import torch
from compare import CORE, ROUNDING, near, surrounded
from torch import Tensor

from poolkit.triton import device, launch_segments

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of lanes that hold nothing

#: Seven rows; the second segment and the last have none.
OFFSETS = torch.tensor([0, 3, 3, 4, 7, 7])
ORDER = torch.tensor([6, 0, 3, 2, 5, 1, 4])


def check(x: Tensor, order: Tensor | None = None, offsets: Tensor = OFFSETS) -> None:
    """Every operator, forward and backward."""
    rows, channels = x.shape
    rounding, wide = ROUNDING[x.dtype], torch.promote_types(x.dtype, torch.float32)
    y = launch_segments.segment_sum(x, offsets, order)
    assert y.dtype == wide
    near(y, CORE.segment_sum(x.double(), offsets, order), min(rounding, 2e-5))
    grad = torch.randn(offsets.shape[0] - 1, channels).to(x.dtype)
    got = launch_segments.segment_spread(grad, offsets, order, rows)
    assert torch.equal(got, CORE.segment_spread(grad, offsets, order, rows))
    for largest in (True, False):
        y, winners = launch_segments.segment_extreme_winners(x, offsets, order, largest)
        true, true_winners = CORE.segment_extreme_winners(x, offsets, order, largest)
        torch.testing.assert_close(y, true, rtol=0, atol=0, equal_nan=True)
        some = offsets.diff()[:, None].expand_as(winners) > 0
        assert torch.equal(winners[some], true_winners[some])
        y = launch_segments.segment_extreme(x, offsets, order, largest)
        torch.testing.assert_close(y, true, rtol=0, atol=0, equal_nan=True)
    got = launch_segments.segment_extreme_backward(grad, winners, offsets, order, rows)
    assert torch.equal(got, CORE.segment_extreme_backward(grad, true_winners, offsets, order, rows))


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_dtypes_and_orders(dtype: torch.dtype) -> None:
    x = surrounded(torch.randn(7, 5), dtype)
    check(x, None)
    check(x, ORDER)


def test_ties_and_special_values() -> None:
    """Of equals the first, of NaN the last; infinities alone and together."""
    x = torch.randn(7, 4).round_()
    x[:3, 0] = torch.tensor([math.nan, 1.0, math.nan])
    x[3:, 1], x[4, 2], x[5, 2] = -math.inf, math.inf, -math.inf
    check(x, None)
    check(x, ORDER)


def test_strides() -> None:
    check(torch.randn(5, 7).t(), ORDER)
    check(torch.randn(14, 10)[::2, ::2], None)
    check(torch.randn(1, 3).expand(7, 3), ORDER)


def test_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and channels that fill no block, and are too many for one; offsets of 64 bits."""
    for name, number in (("BLOCK", 4), ("TILE", 8), ("LONGEST", 2), ("LARGEST", 0)):
        monkeypatch.setattr(device, name, number)
    check(torch.randn(7, 3), ORDER)
    check(torch.randn(7, 1), None)


def test_nothing() -> None:
    check(torch.randn(0, 3), None, torch.tensor([0, 0]))
    check(torch.randn(0, 3), None, torch.tensor([0]))


def test_order() -> None:
    index = torch.tensor([3, 0, 0, 2, 3, 0])
    for got, true in zip(launch_segments.segment_order(index, 5), CORE.segment_order(index, 5), strict=True):
        assert torch.equal(got, true)


def test_refusals() -> None:
    x = torch.zeros(7, 2)
    with pytest.raises(RuntimeError, match="rows are floating point"):
        launch_segments.segment_sum(x.long(), OFFSETS, None)
    with pytest.raises(RuntimeError, match=r"must be \(total, C\)"):
        launch_segments.segment_sum(x[0], OFFSETS, None)
    with pytest.raises(RuntimeError, match="offsets must be a row of int64"):
        launch_segments.segment_sum(x, OFFSETS.int(), None)
    with pytest.raises(RuntimeError, match="order must have 7 numbers or more, but got 3"):
        launch_segments.segment_sum(x, OFFSETS, ORDER[:3])
    with pytest.raises(RuntimeError, match="a row for each segment"):
        launch_segments.segment_spread(x, OFFSETS, None, 7)
    with pytest.raises(RuntimeError, match="winners must be int32"):
        launch_segments.segment_extreme_backward(x[:5], x[:5], OFFSETS, None, 7)
