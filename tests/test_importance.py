"""The kernel of local importance pooling: both gradients, layouts, dtypes, numbers that are not finite, memory."""

from __future__ import annotations

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import poolkit.functional as pf
from poolkit import geometry, ops, reference

DTYPES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 1, 2), (7, 7, 0)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_and_gradients(kernel: int, stride: int, padding: int, dtype: torch.dtype, channels_last: bool) -> None:
    """Held against the formula in float64, of the same rounded numbers."""
    x, t = numbers(3, 9, 7, 7).to(dtype), (3 * numbers(3, 9, 7, 7, seed=1)).to(dtype)
    if channels_last:
        x, t = (tensor.to(memory_format=torch.channels_last) for tensor in (x, t))
    x.requires_grad_()
    t.requires_grad_()
    y = pf.local_importance_pool2d(x, t, kernel, stride, padding)
    wide = [tensor.detach().double().requires_grad_() for tensor in (x, t)]
    windows = geometry.sliding(2, (7, 7), kernel, stride, padding, 1, False)
    expected = reference.by_logits(wide[0], wide[1], windows)
    g = numbers(*y.shape, seed=2).to(dtype)
    got = [y, *torch.autograd.grad(y, (x, t), g)]
    want = [expected, *torch.autograd.grad(expected, wide, g.double())]
    for mine, other in zip(got, want, strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine.double(), other, rtol=DTYPES[dtype], atol=DTYPES[dtype])
    if channels_last and y.shape[2] > 1:
        assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in got)


def test_only_what_is_asked_for() -> None:
    x, t = numbers(1, 2, 6, 6), numbers(1, 2, 6, 6, seed=1).requires_grad_()
    pf.local_importance_pool2d(x, t, 2).sum().backward()
    assert x.grad is None
    assert t.grad is not None
    y = pf.local_importance_pool2d(x.requires_grad_(), t.detach(), 2)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0].sum(), torch.tensor(float(y.numel())).double())


def test_logits_of_another_dtype() -> None:
    """As under autocast: the result has the input's dtype, the logits' gradient theirs."""
    x, t = numbers(1, 2, 6, 6).float(), numbers(1, 2, 6, 6, seed=1).bfloat16().requires_grad_()
    y = pf.local_importance_pool2d(x, t, 2)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, pf.local_importance_pool2d(x, t.float(), 2))
    assert torch.autograd.grad(y.sum(), t)[0].dtype == torch.bfloat16


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "formula"])
def test_numbers_that_are_not_finite(kernel: bool) -> None:
    inf, nan = math.inf, math.nan
    rows = [
        ([1, 2, 3, 4], [inf, 0, 0, 0], 1),  # an infinite logit takes all,
        ([1, 2, 3, 4], [inf, inf, 0, 0], 1.5),  # or shares it
        ([1, 2, 3, 4], [-inf, 0, 0, -inf], 2.5),
        ([1, 2, 3, 4], [-inf, -inf, -inf, -inf], 2.5),
        ([inf, 2, 3, 4], [-1e5, 0, 0, 0], 3),  # what has no weight does not count,
        ([nan, 2, 3, 4], [-1e5, 0, 0, 0], nan),  # but NaN does
        ([1, 2, 3, 4], [0, 0, nan, 0], nan),
        ([inf, 2, 3, 4], [0, 0, 0, 0], inf),
    ]
    x, t = (torch.tensor([row[i] for row in rows], dtype=torch.float32)[None] for i in (0, 1))
    windows = geometry.sliding(1, (4,), 4, None, 0, 1, False)
    y = ops.pool_by_logits(x, t, windows) if kernel else reference.by_logits(x, t, windows)
    torch.testing.assert_close(y.flatten(), torch.tensor([float(row[2]) for row in rows]), equal_nan=True)


def test_nothing_is_gathered() -> None:
    """No tensor is larger than the input, forward and backward."""

    class Largest(TorchDispatchMode):
        most = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple) else (result,):
                if isinstance(tensor, torch.Tensor):
                    self.most = max(self.most, tensor.numel())
            return result

    x, t = (numbers(2, 4, 16, 16, seed=seed).float().requires_grad_() for seed in (0, 1))
    with Largest() as largest:
        pf.local_importance_pool2d(x, t, 5, 1, 2).square().sum().backward()
    assert largest.most == x.numel()
