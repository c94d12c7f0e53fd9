"""The Triton kernels of max-unpooling, interpreted on the CPU, beside the operators of the C++ core: the same bits.

Run by tests/test_triton.py in a process of its own, in which TRITON_INTERPRET is set.
"""

from __future__ import annotations

import pytest
import torch
from compare import CORE

from poolkit.triton import device, launch_unpool


def check(dtype: torch.dtype, sizes: tuple[int, ...], volume: tuple[int, ...], last: bool = False) -> None:
    """Indices are drawn, so that some positions have several writers and some have none."""
    count = int(torch.tensor(volume).prod())
    x, indices = (torch.randn(sizes) * 9).to(dtype), torch.randint(count, sizes)
    memory_format = torch.channels_last if last else torch.contiguous_format
    x, indices = x.contiguous(memory_format=memory_format), indices.contiguous(memory_format=memory_format)
    y, true = launch_unpool.max_unpool(x, indices, volume), CORE.max_unpool(x, indices, volume)
    assert y.stride() == true.stride()
    assert torch.equal(y, true)
    grad = (torch.randn(y.shape) * 9).to(dtype)
    got = launch_unpool.max_unpool_backward(grad, indices, len(volume))
    true = CORE.max_unpool_backward(grad, indices, len(volume))
    assert got.stride() == true.stride()
    assert torch.equal(got, true)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.bool, torch.int16], ids=str)
def test_dtypes(dtype: torch.dtype) -> None:
    check(dtype, (2, 3, 2, 4), (3, 5), last=dtype == torch.float32)


def test_ranks_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several programs that write to the same positions; offsets of 64 bits; no cell, no position."""
    monkeypatch.setattr(device, "BLOCK", 8)
    monkeypatch.setattr(device, "LARGEST", 0)
    check(torch.float32, (2, 40), (7,))
    check(torch.float16, (1, 2, 2, 2, 2), (2, 3, 2))
    check(torch.float32, (0, 2, 2, 2), (3, 3))


def test_refusals() -> None:
    x, indices = torch.zeros(1, 2, 3), torch.tensor([[[0, 1, 2], [3, 4, 5]]])
    with pytest.raises(RuntimeError, match=r"Found an invalid max index: 5 \(output volumes are of size 5\)"):
        launch_unpool.max_unpool(x, indices, [5])
    with pytest.raises(RuntimeError, match="should be type int64"):
        launch_unpool.max_unpool(x, indices.int(), [6])
    with pytest.raises(RuntimeError, match="Expected shape of indices"):
        launch_unpool.max_unpool(x[..., :2], indices, [6])
    with pytest.raises(RuntimeError, match="do not fit an output of rank 3"):
        launch_unpool.max_unpool(x, indices, [6, 1, 1])
    with pytest.raises(RuntimeError, match="differ in shape"):
        launch_unpool.max_unpool_backward(x[:, :1], indices, 1)
