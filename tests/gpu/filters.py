"""The Triton kernel of separable filters, interpreted on the CPU, beside the operator of the C++ core in float64.

Run by tests/test_triton.py in a process of its own, in which TRITON_INTERPRET is set.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from compare import CORE, ROUNDING, near, surrounded
from torch import Tensor

from poolkit.layers.blur import PADDING_MODES
from poolkit.triton import device, launch_filters

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of lanes that hold nothing

FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


class Axis(NamedTuple):
    size: int
    out: int
    taps: int
    stride: int
    low: int


def check(
    axes: list[Axis], mode: str, dtype: torch.dtype = torch.float32, channels_last: bool = False, batched: bool = True
) -> None:
    """The filter and its adjoint, with weights of no symmetry."""
    beyond = PADDING_MODES.index(mode)
    packed = [number for axis in axes for number in (*axis, beyond)]
    weights = [0.3 + 0.1 * i for i in range(sum(axis.taps for axis in axes))]
    for adjoint in (False, True):
        sizes = [axis.out if adjoint else axis.size for axis in axes]
        values: Tensor = torch.randn(*(2,) * batched, 2, *sizes)
        if channels_last:
            values = values.contiguous(memory_format=FORMATS[len(axes)])
        x = surrounded(values, dtype)
        y = launch_filters.filter(x, packed, weights, adjoint, channels_last)
        true = CORE.filter(x.double(), packed, weights, adjoint, channels_last)
        assert (y.dtype, y.stride()) == (dtype, true.stride())
        near(y, true, ROUNDING[dtype])


@pytest.mark.parametrize(
    ("mode", "dtype"),
    list(zip(PADDING_MODES, (torch.float64, torch.float32, torch.float16, torch.bfloat16), strict=True)),
    ids=str,
)
def test_borders(mode: str, dtype: torch.dtype) -> None:
    """Both borders read, cells left over, gaps between the samples of one axis."""
    check([Axis(5, 3, 4, 2, 2), Axis(4, 2, 2, 3, 1)], mode, dtype, channels_last=dtype == torch.float16)


def test_ranks() -> None:
    check([Axis(3, 2, 2, 2, 1), Axis(2, 2, 1, 1, 0), Axis(2, 1, 2, 2, 0)], "replicate", channels_last=True)
    check([Axis(2, 5, 3, 2, 4)], "circular", batched=False)


def test_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that leave results over; offsets of 64 bits."""
    monkeypatch.setattr(device, "BLOCK", 16)
    monkeypatch.setattr(device, "LARGEST", 0)
    check([Axis(5, 3, 3, 2, 1)], "reflect")


def test_refusals() -> None:
    x, axis = torch.zeros(1, 2, 5), [5, 3, 4, 2, 2, 1]
    with pytest.raises(RuntimeError, match="filters take floating point maps"):
        launch_filters.filter(x.int(), axis, [1.0] * 4, False, False)
    with pytest.raises(RuntimeError, match="malformed filter"):
        launch_filters.filter(x, [5, 3, 4, 2, 5, 1], [1.0] * 4, False, False)
    with pytest.raises(RuntimeError, match="malformed filter"):
        launch_filters.filter(x, axis, [1.0] * 4, False, True)
    with pytest.raises(RuntimeError, match="a weight for each tap"):
        launch_filters.filter(x, axis, [1.0] * 3, False, False)
    with pytest.raises(RuntimeError, match="does not fit"):
        launch_filters.filter(x, axis, [1.0] * 4, True, False)
    assert launch_filters.filter(x[:0], axis, [1.0] * 4, False, False).shape == (0, 2, 3)
