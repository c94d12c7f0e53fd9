"""Mode pooling of labels against plain loops."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from problems import INTEGERS
from test_windows_in_blocks import peak

from poolkit import functional, geometry, nn
from poolkit.errors import ArgumentError
from poolkit.functional import mode_pool1d, mode_pool2d, mode_pool3d
from poolkit.layers import blocks
from poolkit.layers.mode import TIES

LABELS = (torch.bool, *INTEGERS)


def loops(plane: torch.Tensor, arguments: dict[str, Any], ignore: int | None, ties: str) -> torch.Tensor:
    """One plane, window by window, from the definition of its positions."""
    labels = plane.numpy()
    kernel, stride, padding, dilation = (arguments[n] for n in ("kernel_size", "stride", "padding", "dilation"))
    result = torch.zeros(geometry.output_size(tuple(plane.shape), **arguments), dtype=plane.dtype)
    for place in itertools.product(*map(range, result.shape)):
        cells = []  # label, distance from the centre
        for tap in itertools.product(*map(range, kernel)):
            cell = [o * s - p + t * d for o, s, p, t, d in zip(place, stride, padding, tap, dilation, strict=True)]
            if all(0 <= c < n for c, n in zip(cell, plane.shape, strict=True)):
                offsets = ((t - (k - 1) / 2) * d for t, k, d in zip(tap, kernel, dilation, strict=True))
                cells.append((int(labels[tuple(cell)]), sum(offset**2 for offset in offsets)))
        cells = [cell for cell in cells if cell[0] != ignore]
        counts = Counter(label for label, _ in cells)
        if not counts:
            assert ignore is not None
            result[place] = ignore
            continue
        best = {label for label, count in counts.items() if count == max(counts.values())}
        of_best = [cell for cell in cells if cell[0] in best]
        if ties == "smallest":
            result[place] = min(best)
        elif ties == "first":
            result[place] = of_best[0][0]
        else:
            result[place] = min(of_best, key=lambda cell: cell[1])[0]  # the first of equals
    return result


@given(data=st.data())
def test_values(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(data.draw(st.integers(low, high)) for _ in range(rank))

    arguments: dict[str, Any] = {
        "kernel_size": per_axis(1, 4 if rank < 3 else 3),
        "stride": per_axis(1, 3),
        "dilation": per_axis(1, 2),
        "ceil_mode": data.draw(st.booleans()),
    }
    arguments["padding"] = tuple(
        data.draw(st.integers(0, (d * (k - 1) + 1) // 2))
        for k, d in zip(arguments["kernel_size"], arguments["dilation"], strict=True)
    )
    size = per_axis(3, 7 if rank < 3 else 4)
    dtype = data.draw(st.sampled_from(LABELS))
    highest = 1 if dtype == torch.bool else data.draw(st.integers(1, 4))
    ignore = data.draw(st.sampled_from((None, 0, 1)))
    ties = data.draw(st.sampled_from(TIES))
    x = torch.randint(0, highest + 1, (2, 2, *size)).to(dtype)
    before = x.clone()
    pool = getattr(functional, f"mode_pool{rank}d")
    try:
        sizes = geometry.output_size(size, **arguments)
    except ArgumentError:
        with pytest.raises(ArgumentError):
            pool(x, **arguments)
        return
    y = pool(x, **arguments, ignore_index=ignore, ties=ties)
    assert y.shape == (2, 2, *sizes)
    assert y.dtype == dtype
    assert torch.equal(x, before)
    for n, c in itertools.product(range(2), range(2)):
        assert torch.equal(y[n, c], loops(x[n, c], arguments, ignore, ties))


def test_ties() -> None:
    row = torch.tensor([[5, 2, 7, 7, 2, 5, 9]])
    assert [mode_pool1d(row, 7, ties=ties).item() for ties in TIES] == [2, 5, 7]
    square = torch.tensor([[[4, 1], [1, 4]]])
    assert [mode_pool2d(square, 2, ties=ties).item() for ties in TIES] == [1, 4, 4]
    # The window's centre, not that of its cells inside: the border's windows start in the padding.
    x = torch.tensor([[3, 1, 2]])
    assert mode_pool1d(x, 5, 1, 2, ties="centre").tolist() == [[3, 1, 2]]
    assert mode_pool1d(x, 3, 1, 1, ties="first").tolist() == [[3, 3, 1]]


def test_smallest_is_what_torch_takes() -> None:
    x = torch.randint(-3, 3, (2, 3, 12, 10))
    windows = x.unfold(2, 3, 2).unfold(3, 2, 2).flatten(-2)
    assert torch.equal(mode_pool2d(x, (3, 2), 2), windows.mode(-1).values)


@pytest.mark.parametrize("dtype", LABELS, ids=str)
def test_every_type_to_its_ends(dtype: torch.dtype) -> None:
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    x = torch.tensor([[high, low, high, low, low, high, high, low, high]]).to(dtype)
    assert mode_pool1d(x, 3).int().tolist() == torch.tensor([[high, low, high]]).int().tolist()
    assert mode_pool1d(x, 3, ignore_index=high).to(torch.int64).tolist() == [[low, low, low]]
    assert mode_pool1d(x[:, [0, 2, 5]], 3, ignore_index=high).to(torch.int64).tolist() == [[high]]


def test_numbers_near_each_other_are_apart() -> None:
    """As float32 has it they would be one."""
    x = torch.tensor([[2**62 + 1, 2**62, 2**62 + 1, 2**62 + 2]])
    assert mode_pool1d(x, 4).item() == 2**62 + 1


def test_ignored_labels() -> None:
    x = torch.tensor([[[255, 255, 255, 255], [255, 3, 255, 255]]], dtype=torch.uint8)
    assert mode_pool2d(x, 2, ignore_index=255).tolist() == [[[3, 255]]]
    assert mode_pool2d(x, 2).tolist() == [[[255, 255]]]
    # 156 is what -100 would wrap to.
    wrapped = torch.tensor([[156, 156, 7]], dtype=torch.uint8)
    for absent in (-100, 412, 2**70):
        assert mode_pool1d(wrapped, 3, ignore_index=absent).tolist() == [[156]]
    assert mode_pool1d(torch.tensor([[True, True, False]]), 3, ignore_index=1).tolist() == [[False]]
    assert mode_pool1d(torch.tensor([[True, True, False]]), 3, ignore_index=255).tolist() == [[True]]


def test_more_cells_than_a_byte_counts() -> None:
    x = torch.zeros(1, 40, 20, dtype=torch.uint8)
    x[:, :13] = 1
    assert mode_pool2d(x, (40, 20)).item() == 0
    assert mode_pool2d(1 - x, (40, 20)).item() == 1
    assert mode_pool2d(x, (39, 20), 40, (19, 0)).tolist() == [[[1]]]


@pytest.mark.parametrize("ties", TIES)
def test_blocks_of_any_size(ties: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(0, 4, (3, 2, 11, 9))
    expected = mode_pool2d(x, 3, 2, 1, ignore_index=2, ties=ties)
    for largest in (1, 50, 200):
        monkeypatch.setattr(blocks, "LARGEST_BLOCK", largest)
        assert torch.equal(mode_pool2d(x, 3, 2, 1, ignore_index=2, ties=ties), expected)


def test_windows_are_not_gathered_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """9 cells of 8 bytes for each output would be 1.2 MB."""
    monkeypatch.setattr(blocks, "LARGEST_BLOCK", 2**13)
    x = torch.randint(0, 20, (1, 1, 128, 128))
    assert x.nbytes < peak(lambda: mode_pool2d(x, 3, 1, 1, ignore_index=3, ties="centre")) < 4e5


def test_maps_and_compiles() -> None:
    x = torch.randint(0, 4, (4, 2, 3, 8, 6))
    expected = torch.stack([mode_pool2d(each, 3, 2) for each in x])
    assert torch.equal(torch.func.vmap(lambda x: mode_pool2d(x, 3, 2))(x), expected)
    assert torch.equal(torch.func.vmap(lambda x: mode_pool2d(x, 3, 2), in_dims=1)(x.transpose(0, 1)), expected)
    assert torch.equal(torch.func.vmap(lambda x: mode_pool2d(x, 3, 2))(x[:, 0]), expected[:, 0])
    compiled = torch.compile(nn.ModePool2d(3, 2), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x[0]), expected[0])
    torch.compiler.reset()


def test_maps_without_channels() -> None:
    x = torch.randint(0, 3, (5, 8, 6))
    assert torch.equal(mode_pool2d(x, 2), mode_pool2d(x.unsqueeze(1), 2).squeeze(1))


def test_layers() -> None:
    x = torch.randint(0, 3, (2, 1, 4, 6, 5))
    layer = nn.ModePool3d(2, ignore_index=2, ties="first")
    assert torch.equal(copy.deepcopy(layer)(x), mode_pool3d(x, 2, ignore_index=2, ties="first"))
    shown = "kernel_size=2, stride=None, padding=0, dilation=1, ceil_mode=False, ignore_index=2, ties=first"
    assert repr(layer) == f"ModePool3d({shown})"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel_size": 0}, ArgumentError, "kernel_size must be greater than zero, but got 0"),
        ({"kernel_size": 2, "stride": 1.5}, TypeError, "stride must be an int, but got 1.5"),
        ({"kernel_size": 2, "padding": 2}, ArgumentError, "pad should be at most half"),
        ({"kernel_size": 2, "ignore_index": 1.0}, TypeError, "ignore_index must be an int or None, but got 1.0"),
        ({"kernel_size": 2, "ignore_index": True}, TypeError, "ignore_index must be an int or None, but got True"),
        (
            {"kernel_size": 2, "ties": "last"},
            ArgumentError,
            "ties must be one of 'smallest', 'first', 'centre', .*'last'",
        ),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    for call in (nn.ModePool2d, lambda **given: mode_pool2d(torch.zeros(1, 4, 4, dtype=torch.int64), **given)):
        with pytest.raises(error, match=message):
            call(**arguments)


def test_bad_inputs() -> None:
    x = torch.zeros(2, 4, 4, dtype=torch.int64)
    for dtype in (torch.float32, torch.float16, torch.complex64):
        with pytest.raises(NotImplementedError, match=rf"mode_pool2d\(\): input must be labels, .* but got {dtype}"):
            mode_pool2d(x.to(dtype), 2)
    with pytest.raises(TypeError, match=r"input must be a torch\.Tensor, but got list"):
        mode_pool2d([[[1]]], 2)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"input must be \(N, C, H, W\) or \(C, H, W\) .* but got \[4, 4\]"):
        mode_pool2d(x[0], 2)
    with pytest.raises(ArgumentError, match="Output size is too small"):
        mode_pool2d(x, 5)
