"""The Triton kernels of pooling over time, interpreted on the CPU, beside the operators of the C++ core in float64.

Run by tests/test_triton.py in a process of its own, in which TRITON_INTERPRET is set.
"""

from __future__ import annotations

import math

import pytest
import torch
from compare import CORE, ROUNDING, near, surrounded
from torch import Tensor

from poolkit.layers import sequence_ops
from poolkit.triton import device, launch_sequences

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of lanes that hold nothing

LAYOUTS = {"channels_first": (0, 1, 2), "batch_first": (0, 2, 1), "time_first": (2, 0, 1)}
#: The last sequence has no valid step.
VALID = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)


def sequences_in(layout: str, dtype: torch.dtype = torch.float32, channels: int = 2) -> Tensor:
    """(3, channels, 5), whose dimensions lie in memory as the layout says."""
    order = LAYOUTS[layout]
    values = torch.randn([(3, channels, 5)[dim] for dim in order]).permute([order.index(dim) for dim in range(3)])
    return surrounded(values, dtype)


def check(x: Tensor, valid: Tensor | None, unbiased: bool = False) -> None:
    """Every operator, forward and backward."""
    batch, channels, steps = x.shape
    rounding, order = ROUNDING[x.dtype], sequence_ops.order_of(x)
    wide = torch.promote_types(x.dtype, torch.float32)
    y = launch_sequences.sequence_sum(x, valid)
    assert y.dtype == wide
    near(y, CORE.sequence_sum(x.double(), valid), min(rounding, 2e-5))
    grad = torch.randn(batch, channels).to(x.dtype)
    got = launch_sequences.sequence_sum_backward(grad, valid, steps, order)
    assert torch.equal(got, CORE.sequence_sum_backward(grad, valid, steps, order))
    for largest in (True, False):
        y, winners = launch_sequences.sequence_extreme_winners(x, valid, largest)
        true, true_winners = CORE.sequence_extreme_winners(x, valid, largest)
        torch.testing.assert_close(y, true, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(winners, true_winners)
        y = launch_sequences.sequence_extreme(x, valid, largest)
        torch.testing.assert_close(y, true, rtol=0, atol=0, equal_nan=True)
    got = launch_sequences.sequence_extreme_backward(grad, winners, valid, steps, order)
    assert torch.equal(got, CORE.sequence_extreme_backward(grad, winners, valid, steps, order))
    y = launch_sequences.sequence_statistics(x, valid, unbiased, 1e-5)
    true = CORE.sequence_statistics(x.double(), valid, unbiased, 1e-5)
    assert y.dtype == wide
    near(y, true, min(rounding, 2e-5))
    grad = torch.randn(batch, 2 * channels, dtype=wide)
    got = launch_sequences.sequence_statistics_backward(grad, x, y, valid, unbiased, order)
    true = CORE.sequence_statistics_backward(grad.double(), x.double(), true, valid, unbiased, order)
    assert (got.dtype, got.shape) == (x.dtype, true.shape)
    near(got, true, 3 * rounding)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    check(sequences_in(layout).masked_fill_(~VALID[:, None], math.nan), VALID, unbiased=True)


def test_all_steps_valid() -> None:
    check(sequences_in("channels_first"), None)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_dtypes(dtype: torch.dtype) -> None:
    check(sequences_in("batch_first", dtype), VALID)


def test_ties_and_special_values() -> None:
    """Of equals the first, of NaN the last; a sequence of nothing but the worst; infinities alone and together."""
    x = sequences_in("channels_first").round_()
    x[0, 0, :] = torch.tensor([math.nan, 1.0, 2.0, math.nan, 3.0])
    x[0, 1, :], x[1, 0, :], x[1, 1, 2] = -math.inf, math.inf, -math.inf
    check(x, VALID)


def test_strides() -> None:
    """Any strides will do, of the mask and the gradient too; and an expanded input."""
    x, valid = torch.randn(3, 4, 10)[:, ::2, ::2], VALID.t().contiguous().t()
    check(x, valid)
    check(x[:1].expand(3, 2, 5), valid[1:2].expand(3, 5))
    grad = torch.randn(2, 3).t()
    got = launch_sequences.sequence_sum_backward(grad, valid, 5, [0, 2, 1])
    assert torch.equal(got, CORE.sequence_sum_backward(grad, valid, 5, [0, 2, 1]))


@pytest.mark.parametrize("layout", ["channels_first", "batch_first"])
def test_many_blocks(layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and steps that fill no block, and are too many for one; offsets of 64 bits."""
    for name, number in (("BLOCK", 16), ("TILE", 4), ("LONGEST", 2), ("LARGEST", 0)):
        monkeypatch.setattr(device, name, number)
    check(sequences_in(layout), VALID)


def test_a_single_step_and_no_sequence() -> None:
    check(torch.randn(2, 1, 1), None, True)
    check(torch.randn(0, 2, 5), VALID[:0])


def test_refusals() -> None:
    x = torch.zeros(3, 2, 5)
    with pytest.raises(RuntimeError, match="sequences are floating point"):
        launch_sequences.sequence_sum(x.long(), None)
    with pytest.raises(RuntimeError, match=r"must be \(N, C, L\)"):
        launch_sequences.sequence_sum(x[0], None)
    with pytest.raises(RuntimeError, match="valid must be a bool tensor"):
        launch_sequences.sequence_sum(x, VALID[:2])
    with pytest.raises(RuntimeError, match="eps must be finite and > 0"):
        launch_sequences.sequence_statistics(x, None, False, 0.0)
    with pytest.raises(RuntimeError, match="order must be one of"):
        launch_sequences.sequence_sum_backward(x[..., 0], None, 5, [1, 0, 2])
    with pytest.raises(RuntimeError, match="has the wrong shape, dtype or device"):
        launch_sequences.sequence_extreme_backward(x[..., 0], VALID[:, :2], None, 5, [0, 1, 2])
