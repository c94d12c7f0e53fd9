"""Which cells each window covers, by plain integers: output sizes, window tables, receptive fields, refusals.

What is expected comes from walking along a padded list, from torch's modules, from TensorFlow's formula, or from
what it means to be the last window; never from the formulas of the package.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings

import poolkit
from poolkit import ArgumentError, ReceptiveField, geometry, output_size, receptive_field, window_table
from poolkit.geometry import Tap

MOST = 2**31 - 1  # of kernel, stride, dilation and padding
VOLUME = 2**60  # the first number of output cells that is refused

every_rank = pytest.mark.parametrize("rank", [1, 2, 3])


class Line(NamedTuple):
    """One axis: its size and the windows that slide along it."""

    size: int
    kernel: int
    stride: int
    low: int = 0
    high: int = 0
    dilation: int = 1
    ceil_mode: bool = False

    @property
    def effective(self) -> int:
        """From the first tap of a window to its last."""
        return len(range(0, (self.kernel - 1) * self.dilation + 1))

    def arguments(self) -> dict[str, Any]:
        return {
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": ((self.low, self.high),),
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }


def together(lines: tuple[Line, ...]) -> dict[str, Any]:
    """The arguments of several axes at once; ceil mode is that of the first."""
    return {
        "kernel_size": tuple(line.kernel for line in lines),
        "stride": tuple(line.stride for line in lines),
        "padding": tuple((line.low, line.high) for line in lines),
        "dilation": tuple(line.dilation for line in lines),
        "ceil_mode": lines[0].ceil_mode,
    }


Seen = tuple[list[int], int]


def walk(line: Line) -> list[Seen]:
    """Each window's cells, and its taps in the padded input: slices of a list whose padding is None."""
    padded: list[int | None] = [None] * line.low + [*range(line.size)] + [None] * line.high
    windows: list[Seen] = []
    for start in itertools.count(0, line.stride):
        end = start + line.effective
        if line.ceil_mode:
            # One more while the window before ends too early, but it has to start in the input or its left padding.
            fits = end - line.stride < len(padded) and start < line.low + line.size
        else:
            fits = end <= len(padded)
        if not fits:
            break
        taps = padded[start : end : line.dilation]
        windows.append(([cell for cell in taps if cell is not None], len(taps)))
    return windows


def spelled(taps: tuple[Tap, ...], dilation: int) -> list[Seen]:
    """A window table with every cell named."""
    return [([tap.first + step * dilation for step in range(tap.cells)], tap.padded) for tap in taps]


def check_line(line: Line) -> str:
    """The table, the output size or the refusal of one axis are what walking finds; says which it was."""
    expected = walk(line)
    calls: tuple[Callable[..., Any], ...] = (window_table, output_size)
    if not expected:
        for call in calls:
            with pytest.raises(ArgumentError, match="Output size is too small"):
                call(line.size, **line.arguments())
        return "too small"
    empty = [o for o, (cells, _) in enumerate(expected) if not cells]
    if empty:
        for call in calls:
            with pytest.raises(ArgumentError, match=f"the window of output {empty[0]} on spatial axis 0 lies wholly"):
                call(line.size, **line.arguments())
        return "empty"
    (taps,) = window_table(line.size, **line.arguments())
    assert spelled(taps, line.dilation) == expected, line
    assert output_size(line.size, **line.arguments()) == (len(expected),), line
    return "windows"


def small_lines() -> Iterator[Line]:
    """All of them: every padding that is smaller than the window."""
    for size, kernel, stride, dilation in itertools.product(range(1, 7), range(1, 5), range(1, 5), range(1, 4)):
        sides = range(dilation * (kernel - 1) + 1) if kernel > 1 else range(1)
        for low, high, ceil_mode in itertools.product(sides, sides, (False, True)):
            if low + high < 8:
                yield Line(size, kernel, stride, low, high, dilation, ceil_mode)


@st.composite
def lines(
    draw: st.DrawFn, longest: int = 40, largest: int = 9, ceil_mode: bool | None = None, dilated: bool = True
) -> Line:
    """One axis with padding of any kind on either side."""
    kernel, stride = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    dilation = draw(st.integers(1, 4)) if dilated else 1
    sides = st.integers(0, dilation * (kernel - 1))
    ceil = draw(st.booleans()) if ceil_mode is None else ceil_mode
    return Line(draw(st.integers(1, longest)), kernel, stride, draw(sides), draw(sides), dilation, ceil)


# ------------------------------------------------------------------------------------ window tables


def test_every_small_line() -> None:
    """Every size, kernel, stride, dilation, padding and rounding of a few cells."""
    counted = {"windows": 0, "too small": 0, "empty": 0}
    for line in small_lines():
        counted[check_line(line)] += 1
    assert min(counted.values()) > 300, counted


@settings(max_examples=200)
@given(lines())
def test_longer_lines(line: Line) -> None:
    check_line(line)


@every_rank
@settings(max_examples=40)
@given(data=st.data())
def test_axes_do_not_meddle(rank: int, data: st.DataObject) -> None:
    """Each axis of a table is that of its own line; the output size is the lengths of the table."""
    ceil_mode = data.draw(st.booleans())
    axes = tuple(data.draw(lines(12, 4, ceil_mode)) for _ in range(rank))
    walked = [walk(line) for line in axes]
    size = tuple(line.size for line in axes)
    if not all(windows and all(cells for cells, _ in windows) for windows in walked):
        with pytest.raises(ArgumentError):
            window_table(size, **together(axes))
        return
    table = window_table(size, **together(axes))
    assert [spelled(taps, line.dilation) for taps, line in zip(table, axes, strict=True)] == walked
    assert output_size(size, **together(axes)) == tuple(map(len, walked))


@settings(max_examples=80)
@given(line=lines(20, 5, dilated=False))
def test_averages_of_torch_weigh_the_cells_of_the_table(line: Line) -> None:
    """AvgPool1d of the unit vectors is 1 / (taps in the padded input) on the cells of a window, 0 elsewhere."""
    side = min(line.low, line.kernel // 2)
    pool = torch.nn.AvgPool1d(line.kernel, line.stride, side, line.ceil_mode)
    if not walk(line._replace(low=side, high=side)):
        with pytest.raises(ArgumentError, match="too small"):
            window_table(line.size, line.kernel, line.stride, side, 1, line.ceil_mode)
        return
    weights = pool(torch.eye(line.size, dtype=torch.float64).unsqueeze(1)).squeeze(1)
    (taps,) = window_table(line.size, line.kernel, line.stride, side, 1, line.ceil_mode)
    assert len(taps) == weights.shape[1]
    for tap, column in zip(taps, weights.T, strict=True):
        expected = torch.zeros(line.size, dtype=torch.float64)
        expected[tap.first : tap.first + tap.cells] = 1 / tap.padded
        torch.testing.assert_close(column, expected)


@settings(max_examples=80)
@given(line=lines(20, 5))
def test_maxima_of_torch_reach_the_cells_of_the_table(line: Line) -> None:
    """MaxPool1d of the unit vectors is 1 where the window has the cell, with dilation and padding."""
    side = min(line.low, line.kernel // 2)  # torch's limit, also where dilation makes the window wider
    walked = walk(line._replace(low=side, high=side))
    if not walked or not all(cells for cells, _ in walked):
        return  # torch has no numbers to compare with
    pool = torch.nn.MaxPool1d(line.kernel, line.stride, side, line.dilation, ceil_mode=line.ceil_mode)
    reached = pool(torch.eye(line.size).unsqueeze(1)).squeeze(1)
    (taps,) = window_table(line.size, line.kernel, line.stride, side, line.dilation, line.ceil_mode)
    expected = [column.nonzero().flatten().tolist() for column in reached.T]
    assert [cells for cells, _ in spelled(taps, line.dilation)] == expected


def test_table_of_a_known_layer() -> None:
    """The last window of ceil mode has two taps that count and one that hangs over."""
    assert poolkit.window_table((6, 4), (3, 2), (2, 1), ((1, 1), (0, 1)), 1, True) == (
        (Tap(0, 2, 3), Tap(1, 3, 3), Tap(3, 3, 3), Tap(5, 1, 2)),
        (Tap(0, 2, 2), Tap(1, 2, 2), Tap(2, 2, 2), Tap(3, 1, 2)),
    )


# ------------------------------------------------------------------------------------- output sizes


def shape_of(module: torch.nn.Module, size: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape that a module of torch gives on the meta device; None if torch refuses."""
    try:
        return tuple(module(torch.empty(1, 1, *size, device="meta")).shape[2:])
    except RuntimeError:
        return None


def asked(call: Callable[[], tuple[int, ...]]) -> tuple[int, ...] | None:
    """A size, None if it is refused; an empty window is judged elsewhere, as torch does not see it."""
    try:
        return call()
    except ArgumentError as error:
        return None if "lies wholly in the padding" not in str(error) else ()


@every_rank
@settings(max_examples=60)
@given(data=st.data())
def test_output_size_of_torch(rank: int, data: st.DataObject) -> None:
    """MaxPool and AvgPool on the meta device: the same sizes, the same refusals."""

    def several(least: int, most: int) -> tuple[int, ...]:
        return data.draw(st.tuples(*[st.integers(least, most)] * rank))

    size, kernel, dilation = several(1, 30), several(1, 6), several(1, 3)
    stride = data.draw(st.none() | st.just(several(1, 5)))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    if data.draw(st.sampled_from((False, False, False, True))):
        padding = (*padding[1:], (dilation[-1] * (kernel[-1] - 1) + 1) // 2 + 1)  # one more than either allows
    ceil_mode = data.draw(st.booleans())
    # Where a dilated kernel may be padded by half of it, torch stops at half of kernel_size.
    if all(p <= k // 2 or p > (d * (k - 1) + 1) // 2 for p, k, d in zip(padding, kernel, dilation, strict=True)):
        theirs = getattr(torch.nn, f"MaxPool{rank}d")(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
        mine = asked(lambda: output_size(size, kernel, stride, padding, dilation, ceil_mode))
        assert mine == () or mine == shape_of(theirs, size)
    # torch's AvgPool3d refuses an input smaller than the kernel even where the padding makes up for it.
    if rank < 3 or all(n >= k for n, k in zip(size, kernel, strict=True)):
        theirs = getattr(torch.nn, f"AvgPool{rank}d")(kernel, stride, padding, ceil_mode)
        assert asked(lambda: output_size(size, kernel, stride, padding, 1, ceil_mode)) == shape_of(theirs, size)


@settings(max_examples=100)
@given(line=lines(30, 6, ceil_mode=False))
def test_padding_of_each_side_is_padding_by_hand(line: Line) -> None:
    """torch pads the input first, then pools without padding."""
    module = torch.nn.Sequential(
        torch.nn.ConstantPad1d((line.low, line.high), 0.0),
        torch.nn.MaxPool1d(line.kernel, line.stride, 0, line.dilation),
    )
    mine = asked(lambda: output_size(line.size, **line.arguments()))
    assert mine == () or mine == shape_of(module, (line.size,))


def test_last_window_of_ceil_mode_starts_inside() -> None:
    """Numbers of torch: a window that would start in the right padding is dropped, one in the left stays."""
    for size, kernel, stride, padding, expected in (
        (4, 1, 2, 0, 2),
        (5, 2, 2, 1, 3),
        (5, 3, 3, 1, 2),
        (6, 3, 2, 1, 4),
        (3, 2, 4, 1, 1),
        (1, 3, 2, 1, 1),
        (18, 2560, 2560, 0, 1),
    ):
        module = torch.nn.MaxPool1d(kernel, stride, padding, ceil_mode=True)
        assert shape_of(module, (size,)) == (expected,)
        assert output_size(size, kernel, stride, padding, ceil_mode=True) == (expected,)
    # On the high side alone the padding can hold a start; torch has no such argument.
    assert output_size(5, 3, 3, ((0, 2),), ceil_mode=True) == (2,)
    assert output_size(4, 3, 2, ((0, 2),), ceil_mode=True) == (2,)
    assert output_size(4, 3, 2, ((2, 0),), ceil_mode=True) == (3,)


def test_one_number_stands_for_every_axis() -> None:
    for rank in (1, 2, 3):
        size = (9, 8, 7)[:rank]
        once = window_table(size, 3, 2, 1, 1, True)
        assert once == window_table(size, (3,), [2], (1,), [1], True)
        assert once == window_table(list(size), [3] * rank, (2,) * rank, [1] * rank, (1,) * rank, True)
        assert once == window_table(size, 3, 2, [[1, 1]] * rank, 1, True)
        assert once != window_table(size, 3, 2, ((0, 1),) * rank, 1, True)
    assert output_size(9, 3) == output_size(9, 3, 3) == output_size((9,), 3, ()) == (3,)


def test_integers_of_numpy_and_torch_are_exact() -> None:
    """Products of the arguments leave 32 and 63 bits; the result is Python's own int."""
    kinds: tuple[Callable[[int], Any], ...] = (np.int64, np.uint32, torch.tensor)
    for kind in kinds:
        (size,) = output_size(2**62 + 9, kind(MOST), kind(MOST), kind(5), kind(MOST))
        taps = (2**62 + 9 + 5 + 5 - (MOST - 1) * MOST - 1) // MOST + 1
        assert type(size) is int
        assert size == taps == 4
        (size,) = output_size(100, kind(3), [kind(2)], ((kind(1), kind(2)),), kind(2))
        assert type(size) is int
        assert size == len(walk(Line(100, 3, 2, 1, 2, 2)))


def test_earlier_calls_do_not_change_what_is_allowed() -> None:
    """1, True and 1.0 are equal keys of a dictionary, but only one is an int."""
    for argument in ("kernel_size", "stride", "padding", "dilation"):
        good: dict[str, Any] = {"kernel_size": 3, argument: 1}
        for _ in range(2):
            assert output_size((8, 8), **good) == output_size((8, 8), **(good | {argument: (1, 1)}))
            for value in (True, 1.0, (1, True), (1.0, 1)):
                with pytest.raises(TypeError, match=f"{argument} must be an int, but got (True|1.0)"):
                    output_size((8, 8), **(good | {argument: value}))


# ------------------------------------------------------------------------- 'same', 'same_lower', 'valid'


def tensorflow_same(size: int, effective: int, stride: int) -> tuple[int, int]:
    """The padding before and after, as TensorFlow's documentation writes it."""
    total = max(effective - stride, 0) if size % stride == 0 else max(effective - size % stride, 0)
    return total // 2, total - total // 2


@settings(max_examples=200)
@given(line=lines())
def test_same_is_that_of_tensorflow(line: Line) -> None:
    """ceil(size / stride) windows, the odd cell at the end; 'same_lower' has it at the start."""
    before, after = tensorflow_same(line.size, line.effective, line.stride)
    for name, low, high in (("same", before, after), ("same_lower", after, before)):
        expected = walk(line._replace(low=low, high=high, ceil_mode=False))
        assert len(expected) == math.ceil(line.size / line.stride)
        arguments = line.arguments() | {"padding": name}
        if not all(cells for cells, _ in expected):
            with pytest.raises(ArgumentError, match="lies wholly in the padding"):
                window_table(line.size, **arguments)
            continue
        (taps,) = window_table(line.size, **arguments)
        assert spelled(taps, line.dilation) == expected
        assert output_size(line.size, **arguments) == (len(expected),)


@settings(max_examples=150)
@given(line=lines(ceil_mode=False))
def test_same_lower_is_same_in_a_mirror(line: Line) -> None:
    """Wherever the windows and their padding fill the line to its end."""
    if sum(tensorflow_same(line.size, line.effective, line.stride)) == 0 or line.dilation > line.size:
        return
    (upper,), (lower,) = (
        window_table(line.size, line.kernel, line.stride, name, line.dilation) for name in ("same", "same_lower")
    )
    mirrored = [
        [line.size - 1 - cell for cell in reversed(cells)] for cells, _ in reversed(spelled(upper, line.dilation))
    ]
    assert [cells for cells, _ in spelled(lower, line.dilation)] == mirrored


@settings(max_examples=150)
@given(line=lines())
def test_valid_is_no_padding(line: Line) -> None:
    """ceil((size - effective + 1) / stride) windows by TensorFlow, none of which meets the border."""
    arguments = line.arguments() | {"padding": "valid", "ceil_mode": False}
    if line.effective > line.size:
        with pytest.raises(ArgumentError, match="Output size is too small"):
            output_size(line.size, **arguments)
        return
    assert output_size(line.size, **arguments) == (math.ceil((line.size - line.effective + 1) / line.stride),)
    (taps,) = window_table(line.size, **arguments)
    assert {(tap.cells, tap.padded) for tap in taps} == {(line.kernel, line.kernel)}
    rounded = line.arguments() | {"padding": "valid", "ceil_mode": True}
    (taps,) = window_table(line.size, **rounded)
    assert spelled(taps, line.dilation) == walk(line._replace(low=0, high=0, ceil_mode=True))


def test_same_where_the_sizes_of_the_axes_differ() -> None:
    """TensorFlow's own example (13 cells, 6 wide, by 5: one before and two after), beside an even axis."""
    (rows, columns) = window_table((13, 6), (6, 3), (5, 2), "same")
    assert spelled(rows, 1) == [([0, 1, 2, 3, 4], 6), ([4, 5, 6, 7, 8, 9], 6), ([9, 10, 11, 12], 6)]
    assert spelled(columns, 1) == [([0, 1, 2], 3), ([2, 3, 4], 3), ([4, 5], 3)]
    (rows, columns) = window_table((13, 6), (6, 3), (5, 2), "same_lower")
    assert spelled(rows, 1) == [([0, 1, 2, 3], 6), ([3, 4, 5, 6, 7, 8], 6), ([8, 9, 10, 11, 12], 6)]
    assert spelled(columns, 1) == [([0, 1], 3), ([1, 2, 3], 3), ([3, 4, 5], 3)]
    assert output_size((13, 6), (6, 3), (5, 2), "valid") == (2, 2)


# ---------------------------------------------------------------------------------------- adaptive


def adaptive_taps(size: int, out: int) -> list[Tap]:
    (axis,) = geometry.adaptive(1, (size,), out).axes
    return [axis.tap(o) for o in range(axis.out)]


def test_adaptive_windows_of_torch() -> None:
    """AdaptiveAvgPool1d of the unit vectors is 1 / cells on the cells of a window; all sizes up to 17."""
    for size, out in itertools.product(range(1, 18), repeat=2):
        weights = torch.nn.AdaptiveAvgPool1d(out)(torch.eye(size, dtype=torch.float64).unsqueeze(1)).squeeze(1)
        taps = adaptive_taps(size, out)
        assert len(taps) == out
        expected = torch.zeros(size, out, dtype=torch.float64)
        for o, tap in enumerate(taps):
            assert tap.padded == tap.cells
            expected[tap.first : tap.first + tap.cells, o] = 1 / tap.cells
        torch.testing.assert_close(weights, expected)
        (axis,) = geometry.adaptive(1, (size,), out).axes
        assert axis.extent == int((weights > 0).sum(0).max())


@settings(max_examples=200)
@given(size=st.integers(1, 2**62), out=st.integers(1, MOST), data=st.data())
def test_adaptive_windows_are_exact_at_any_size(size: int, out: int, data: st.DataObject) -> None:
    """From the floor of o * L / O to the ceiling of (o + 1) * L / O, as fractions."""
    (axis,) = geometry.adaptive(1, (size,), out).axes
    tap = None
    for o in (0, data.draw(st.integers(0, out - 1)), out - 1):
        tap = axis.tap(o)
        assert tap.first == math.floor(Fraction(o * size, out))
        assert tap.first + tap.cells == math.ceil(Fraction((o + 1) * size, out))
        assert tap.padded == tap.cells <= axis.extent
    assert tap is not None
    assert tap.first + tap.cells == size


@every_rank
@settings(max_examples=40)
@given(data=st.data())
def test_adaptive_sizes_of_torch(rank: int, data: st.DataObject) -> None:
    """Lists, single ints, None for an axis that stays, and no outputs at all."""
    size = data.draw(st.tuples(*[st.integers(1, 20)] * rank))
    targets = st.none() | st.integers(1, 20)
    target: Any = data.draw(st.integers(0, 20) | st.tuples(*[targets] * rank) | st.lists(targets, min_size=rank))
    if isinstance(target, list):
        target = target[:rank]
    if rank == 1 and isinstance(target, tuple | list) and target[0] is None:
        target = size  # torch's one-dimensional pooling has no None
    mine = geometry.adaptive(rank, size, target)
    for name in ("Avg", "Max"):
        theirs = getattr(torch.nn, f"Adaptive{name}Pool{rank}d")(target)
        assert mine.output_size == shape_of(theirs, size)
    assert mine.input_size == size
    assert mine.rank == rank


# --------------------------------------------------------------------------------- receptive fields

Layer = dict[str, Any]


def reach(size: int, layers: list[Layer]) -> list[list[int]]:
    """The cells that each output of a stack of torch's max poolings depends on, found by raising one at a time."""
    y = torch.eye(size).unsqueeze(1)
    for layer in layers:
        kernel, dilation = layer["kernel_size"], layer.get("dilation", 1)
        padding = layer.get("padding", 0)
        sides = (padding, padding) if isinstance(padding, int) else padding[0]
        y = torch.nn.functional.pad(y, sides)  # with what every cell holds, save the one that was raised
        if y.shape[-1] < dilation * (kernel - 1) + 1:
            return []
        y = torch.nn.functional.max_pool1d(y, kernel, layer.get("stride"), 0, dilation)
    return [column.nonzero().flatten().tolist() for column in y.squeeze(1).T]


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    line = draw(lines(1, 4, ceil_mode=False))
    layer: Layer = {"kernel_size": line.kernel}
    if draw(st.booleans()):
        layer["stride"] = min(line.stride, 3)
    if draw(st.booleans()):
        layer["dilation"] = line.dilation
        layer["padding"] = draw(st.sampled_from((((line.low, line.high),), line.effective // 2)))
    elif line.kernel > 1 and draw(st.booleans()):
        layer["padding"] = draw(st.sampled_from((1, ((0, 1),), ((line.kernel - 1, 0),))))
    return layer


@settings(max_examples=50)
@given(st.lists(layers(), max_size=4))
def test_receptive_field_is_what_raising_a_cell_moves(chain: list[Layer]) -> None:
    """Where a field lies inside the input, its ends are reached and nothing beyond them; elsewhere no more."""
    (field,) = receptive_field(chain, rank=1)
    size = max(2 * field.size, field.size + 4 * field.stride) + abs(field.start)
    if size > 3000:
        return
    whole = 0
    for o, cells in enumerate(reach(size, chain)):
        first = field.start + o * field.stride
        last = first + field.size - 1
        assert all(first <= cell <= last for cell in cells), (chain, o)
        if first >= 0 and last < size:
            whole += 1
            assert cells[0] == first, (chain, o)
            assert cells[-1] == last, (chain, o)
    assert whole >= 2, (chain, field)


def test_receptive_field_needs_its_order() -> None:
    """The stride of a layer spreads the windows of those after it, not of those before."""
    strided, wide = {"kernel_size": 2}, {"kernel_size": 5, "stride": 1, "padding": 2}
    for chain in ([strided, wide], [wide, strided], [strided, strided, wide], [strided, wide, strided]):
        (field,) = receptive_field(chain, rank=1)
        reached = reach(64, chain)
        middle = len(reached) // 2
        cells, following = reached[middle], reached[middle + 1]
        assert field.size == cells[-1] - cells[0] + 1
        assert field.stride == following[0] - cells[0]
        assert field.start == cells[0] - middle * field.stride
    assert receptive_field([strided, wide], rank=1) != receptive_field([wide, strided], rank=1)


@settings(max_examples=50)
@given(st.lists(st.tuples(lines(1, 5), lines(1, 5), lines(1, 5)), max_size=4))
def test_receptive_field_of_each_axis_is_its_own(chain: list[tuple[Line, Line, Line]]) -> None:
    for rank in (1, 2, 3):
        fields = receptive_field((together(axes[:rank]) for axes in chain), rank)
        alone = [receptive_field([axes[i].arguments() for axes in chain], 1)[0] for i in range(rank)]
        assert list(fields) == alone
    assert len(receptive_field([])) == 2


def test_receptive_fields_of_published_networks() -> None:
    """Size, stride and padding that Araujo et al. (Distill, 2019) print; a convolution slides like a pooling."""
    same, pool = {"kernel_size": 3, "stride": 1, "padding": 1}, {"kernel_size": 2}
    vgg16: list[Layer] = [*[same, same, pool] * 2, *[same, same, same, pool] * 3]
    assert receptive_field(vgg16) == (ReceptiveField(212, 32, -90),) * 2
    third = {"kernel_size": 3, "stride": 2}
    alexnet: list[Layer] = [
        {"kernel_size": 11, "stride": 4, "padding": "valid"},
        third,
        {"kernel_size": 5, "stride": 1, "padding": 2},
        third,
        *[same] * 3,
        third,
    ]
    assert receptive_field(alexnet) == (ReceptiveField(195, 32, -64),) * 2


def test_receptive_field_of_a_long_chain_is_exact() -> None:
    """Far beyond 2**63: a chain of n halvings sees 2**n cells."""
    for depth in (31, 63, 64, 200):
        assert receptive_field([{"kernel_size": 2}] * depth, 1) == (ReceptiveField(2**depth, 2**depth, 0),)
    one: Layer = {"kernel_size": 3, "stride": MOST, "padding": ((MOST, 0),), "dilation": MOST}
    (field,) = receptive_field([one, one, one], 1)
    # The outermost taps of the three layers, one inside the other.
    first = last = 0
    for _ in range(3):
        first, last = first * MOST - MOST, last * MOST - MOST + 2 * MOST
    assert field == ReceptiveField(last - first + 1, MOST**3, first)


@pytest.mark.parametrize("name", ["same", "same_lower"])
def test_receptive_field_refuses_what_depends_on_the_input(name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"padding='{name}' depends on the input size; give the pairs"):
        receptive_field([{"kernel_size": 2}, {"kernel_size": 3, "padding": name}])


# --------------------------------------------------------------------------------------- unpooling


@every_rank
@settings(max_examples=40)
@given(data=st.data())
def test_unpooled_size_of_torch(rank: int, data: st.DataObject) -> None:
    """MaxUnpool gives the same size, with and without one asked for, and refuses the same."""

    def several(least: int, most: int) -> tuple[int, ...]:
        return data.draw(st.tuples(*[st.integers(least, most)] * rank))

    size, kernel, stride, padding = several(1, 4), several(1, 4), several(1, 4), several(0, 2)
    default = [(n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel, stride, padding, strict=True)]
    wanted = data.draw(st.none() | st.tuples(*[st.integers(max(1, n - 4), max(1, n + 4)) for n in default]))
    pool = getattr(torch.nn, f"MaxUnpool{rank}d")(kernel, stride, padding)
    x = torch.zeros(1, 1, *size)
    expected: list[int] | None
    try:
        expected = list(pool(x, x.long(), None if wanted is None else list(wanted)).shape[2:])
    except (RuntimeError, ValueError):
        expected = None
    if expected is None or min(expected) < 1:
        with pytest.raises(ArgumentError, match="output_size"):
            geometry.unpooled_size(rank, size, kernel, stride, padding, wanted)
    else:
        assert geometry.unpooled_size(rank, size, kernel, stride, padding, wanted) == expected
        if wanted is not None:
            assert geometry.unpooled_size(rank, size, kernel, stride, padding, [7, 9, *wanted]) == expected


@settings(max_examples=200)
@given(line=lines(25, 5, dilated=False))
def test_unpooling_leads_back(line: Line) -> None:
    """Any size that pools to n may be asked for again; the one given unasked is the smallest without ceil mode."""
    side = min(line.low, line.kernel // 2)
    around = line._replace(low=side, high=side)
    n = len(walk(around))
    if n == 0:
        return
    ways = (line.kernel, line.stride, side)
    assert geometry.unpooled_size(1, (n,), *ways, [line.size]) == [line.size]
    pooled = [len(walk(around._replace(size=size, ceil_mode=False))) for size in range(1, 60)]
    if n in pooled and (n > 1 or line.kernel > 2 * side):
        assert geometry.unpooled_size(1, (n,), *ways, None) == [pooled.index(n) + 1]


def test_unpooled_size_of_huge_values() -> None:
    """Sums and products beyond 2**63 are refused with their numbers, those below are exact."""
    assert geometry.unpooled_size(1, (2**28,), MOST, MOST, 0, None) == [2**28 * MOST]
    with pytest.raises(ArgumentError, match=f"an output of size .{2**30 * MOST},. has more cells"):
        geometry.unpooled_size(1, (2**30,), MOST, MOST, 0, None)
    with pytest.raises(ArgumentError, match=str(2**33 * MOST)):
        geometry.unpooled_size(1, (2**33,), MOST, MOST, 0, None)
    cube = (2**31 - 1,) * 3
    with pytest.raises(ArgumentError, match="has more cells than any memory holds"):
        geometry.unpooled_size(3, (1, 1, 1), cube, None, 0, None)
    with pytest.raises(ArgumentError, match="has more cells than any memory holds"):
        geometry.unpooled_size(3, (1, 1, 1), (2**21, 2**21, 2**22), None, 0, None)  # 2**64, which is 0 in 64 bits
    with pytest.raises(ArgumentError, match=f"output_size must be positive, but got .{2 - 2 * MOST},."):
        geometry.unpooled_size(1, (1,), 2, 1, MOST, None)
    with pytest.raises(ArgumentError, match=f"output_size must be at most {MOST}, but got {2**63}"):
        geometry.unpooled_size(1, (4,), 2, 2, 0, [2**63])


# ------------------------------------------------------------------------------------- huge values

EDGES = (1, 2, 3, 2**15, 2**16 - 1, 2**30, 2**31 - 2, 2**31 - 1)
SIZES = (1, 2, 2**16, 2**31 - 1, 2**31, 2**32 + 1, 2**53 + 1, 2**60 - 1, 2**60, 2**62, 2**63 - 1, 2**63, 2**64 + 3)


@st.composite
def huge_lines(draw: st.DrawFn) -> Line:
    """Sizes around the limits of machine integers; dilation is at most the size, so that no window is empty."""
    numbers = st.sampled_from(EDGES) | st.integers(1, MOST)
    size = draw(st.sampled_from(SIZES) | st.integers(1, 2**64))
    kernel, stride, dilation = draw(numbers), draw(numbers), min(draw(numbers), size)
    sides = st.integers(0, min(MOST, dilation * (kernel - 1)))
    most = min(MOST, dilation * (kernel - 1))
    low, high = draw(sides | st.just(most)), draw(sides | st.just(most))
    return Line(size, kernel, stride, low, high, dilation, draw(st.booleans()))


def check_tap(axis: geometry.Axis, line: Line, o: int) -> None:
    """The first cell is the first tap inside, the last is the last; Python's ranges count exactly."""
    start = o * line.stride - line.low
    taps = range(start, start + (line.kernel - 1) * line.dilation + 1, line.dilation)
    tap = axis.tap(o)
    last = tap.first + (tap.cells - 1) * line.dilation
    assert tap.cells >= 1
    for cell, step in ((tap.first, -line.dilation), (last, line.dilation)):
        assert cell in taps
        assert 0 <= cell < line.size
        assert not (cell + step in taps and 0 <= cell + step < line.size)
    end = line.size + line.high
    assert taps[tap.padded - 1] < end
    assert tap.padded == line.kernel or taps[tap.padded] >= end


@settings(max_examples=250)
@given(line=huge_lines(), data=st.data())
def test_huge_lines(line: Line, data: st.DataObject) -> None:
    """No formula: the last window is allowed and one more is not."""
    effective = (line.kernel - 1) * line.dilation + 1
    end = line.size + line.high

    def allowed(o: int) -> bool:
        start = o * line.stride - line.low
        if line.ceil_mode:
            return start - line.stride + effective < end and start < line.size
        return start + effective <= end

    if not allowed(0):
        with pytest.raises(ArgumentError, match="Output size is too small"):
            output_size(line.size, **line.arguments())
    elif allowed(VOLUME - 1):
        with pytest.raises(ArgumentError, match="has more cells than any memory holds"):
            output_size(line.size, **line.arguments())
    else:
        (out,) = output_size(line.size, **line.arguments())
        assert allowed(out - 1)
        assert not allowed(out)
        (axis,) = geometry.sliding(1, (line.size,), **line.arguments()).axes
        for o in (0, data.draw(st.integers(0, out - 1)), out - 1):
            check_tap(axis, line, o)


@settings(max_examples=150)
@given(line=huge_lines(), name=st.sampled_from(("same", "same_lower")), data=st.data())
def test_huge_same(line: Line, name: str, data: st.DataObject) -> None:
    """The named padding may itself be far beyond 2**31: it is worked out, not given."""
    effective = (line.kernel - 1) * line.dilation + 1
    low, high = tensorflow_same(line.size, effective, line.stride)
    if name == "same_lower":
        low, high = high, low
    arguments = line.arguments() | {"padding": name}
    expected = math.ceil(Fraction(line.size, line.stride))
    if expected >= VOLUME:
        with pytest.raises(ArgumentError, match="has more cells than any memory holds"):
            output_size(line.size, **arguments)
        return
    assert output_size(line.size, **arguments) == (expected,)
    (axis,) = geometry.sliding(1, (line.size,), **arguments).axes
    for o in (0, data.draw(st.integers(0, expected - 1)), expected - 1):
        check_tap(axis, line._replace(low=low, high=high), o)


def test_the_most_cells_of_an_output() -> None:
    """2**60 are refused in every form and 2**60 - 1 are not."""
    assert output_size(VOLUME - 1, 1) == (VOLUME - 1,)
    assert output_size((2**30 + 1, 2**30 - 1), 1) == (2**30 + 1, 2**30 - 1)
    assert output_size((2**20 + 1, 2**20 - 1, 2**50), 1, (1, 1, 2**30)) == (2**20 + 1, 2**20 - 1, 2**20)
    assert geometry.adaptive(2, (3, 5), (2**30 + 1, 2**30 - 1)).output_size == (2**30 + 1, 2**30 - 1)
    for refused in (
        lambda: output_size(VOLUME, 1),
        lambda: output_size((2**30, 2**30), 1),
        lambda: output_size((2**20, 2**20, 2**20), 1),
        lambda: output_size((2**32, 2**32), 1),
        lambda: output_size((2**40, 2**40, 2**48), 1),  # 2**128, which is 0 in 64 bits
        lambda: window_table((2**30, 2**31), 2, 1),
        lambda: geometry.adaptive(2, (3, 5), 2**30),
        lambda: geometry.adaptive(3, (1, 1, 1), MOST),
        lambda: geometry.adaptive(2, (2**31, 2**31), None),
    ):
        with pytest.raises(ArgumentError, match="has more cells than any memory holds"):
            refused()


# ---------------------------------------------------------------------------------------- refusals

CALLS: dict[str, Callable[..., Any]] = {
    "output_size": lambda **arguments: output_size((9, 9), **arguments),
    "window_table": lambda **arguments: window_table((9, 9), **arguments),
    "receptive_field": lambda **arguments: receptive_field([{"kernel_size": 2}, arguments]),
}

every_call = pytest.mark.parametrize("call", CALLS)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"stride": 0}, "stride must be greater than zero, but got 0"),
        ({"dilation": (1, -3)}, "dilation must be greater than zero, but got -3"),
        ({"kernel_size": (2, 0)}, "kernel_size must be greater than zero, but got 0"),
        (
            {"kernel_size": (2, 3, 4)},
            "kernel_size must either be a single int, or a tuple of 2 ints, but got (2, 3, 4)",
        ),
        ({"stride": [1, 2, 3]}, "stride must either be a single int, or a tuple of 2 ints, but got (1, 2, 3)"),
        ({"padding": -2}, "padding: pad must be non-negative, but got pad: -2"),
        ({"padding": ((0, 0), (0, -7))}, "padding: pad must be non-negative, but got pad: -7"),
        ({"padding": (1, 2)}, "at most half of effective kernel size, but got pad=2, kernel_size=3 and dilation=1"),
        ({"padding": 4, "dilation": 3}, "at most half of effective kernel size, but got pad=4, kernel_size=3"),
        ({"padding": ((0, 3), (0, 0))}, "smaller than the effective kernel size, but got pad=3, kernel_size=3"),
        ({"padding": ((0, 0), (5, 0)), "dilation": 2}, "but got pad=5, kernel_size=3 and dilation=2"),
        ({"padding": ((1, 1),)}, "padding must be an int, 2 ints, or 2 pairs (low, high), but got ((1, 1),)"),
        ({"padding": ((1, 1), (1,))}, "2 pairs (low, high), but got ((1, 1), (1,))"),
        (
            {"padding": "SAME"},
            "padding must be an int, a tuple or one of 'valid', 'same', 'same_lower', but got 'SAME'",
        ),
    ],
)
@every_call
def test_refusals_name_the_argument_its_value_and_what_is_allowed(call: str, arguments: Layer, text: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(text)):
        CALLS[call](**({"kernel_size": 3} | arguments))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kernel_size": 2.0}, "kernel_size must be an int, but got 2.0 (float)"),
        ({"kernel_size": None}, "kernel_size must be an int, but got None (NoneType)"),
        ({"stride": "2"}, "stride must be an int, but got '2' (str)"),
        ({"dilation": (1, True)}, "dilation must be an int, but got True (bool)"),
        ({"padding": ((0, 1.5), (0, 0))}, "padding must be an int, but got 1.5 (float)"),
        ({"padding": None}, "padding must be an int, but got None (NoneType)"),
        ({"ceil_mode": "yes"}, "ceil_mode must be a bool, but got 'yes' (str)"),
        ({"ceil_mode": None}, "ceil_mode must be a bool, but got None (NoneType)"),
    ],
)
@every_call
def test_wrong_types_are_named(call: str, arguments: Layer, text: str) -> None:
    with pytest.raises(TypeError, match=re.escape(text)):
        CALLS[call](**({"kernel_size": 3} | arguments))


@pytest.mark.parametrize("argument", ["kernel_size", "stride", "padding", "dilation"])
@every_call
def test_limits_of_each_argument(call: str, argument: str) -> None:
    """2**31 - 1 gets past the checks of the argument, 2**31 and all beyond it do not, whatever 64 bits hold."""
    for value in (2**31, 2**32 + 1, 2**63 - 1, 2**63, 2**64 + 1, np.uint64(2**64 - 1)):
        for given_as in (value, (1, value)):
            with pytest.raises(ArgumentError, match=f"{argument} must be at most {MOST}, but got {value}"):
                CALLS[call](**({"kernel_size": 3} | {argument: given_as}))
    allowed: Layer = {"kernel_size": 3, "ceil_mode": True, "stride": MOST}
    if argument == "padding":
        allowed |= {"kernel_size": MOST, "padding": ((0, 0), (MOST - 1, 0))}
    elif argument == "dilation":
        allowed |= {"kernel_size": 1, "dilation": MOST}
    else:
        allowed |= {argument: MOST}
    result = CALLS[call](**allowed)
    # A window moved by all but one cell of the kernel leaves cells to a second one.
    expected = (1, 2) if argument == "padding" else (1, 1)
    if call == "output_size":
        assert result == expected
    elif call == "window_table":
        assert tuple(map(len, result)) == expected
    else:
        assert {field.stride for field in result} == {2 * MOST}


@pytest.mark.parametrize("size", [0, -1, -(2**63), (), (0,), (3, 0), (3, -4, 5), (1, 2, 3, 4), [5, -5]])
def test_input_sizes_that_are_refused(size: Any) -> None:
    text = re.escape(f"input_size must be 1 to 3 positive ints, but got {size!r}")
    for call in (output_size, window_table):
        with pytest.raises(ArgumentError, match=text):
            call(size, 1)


def test_an_output_too_small_names_every_argument() -> None:
    """One axis is enough; ceil mode saves a window that lacks less than a stride."""
    words = (
        "(9x4)",
        "(3x0)",
        "kernel_size=(3, 6)",
        "stride=(3, 2)",
        "padding=((0, 0), (1, 0))",
        "dilation=(1, 1)",
    )
    for call in (output_size, window_table):
        with pytest.raises(ArgumentError, match="Output size is too small") as refusal:
            call((9, 4), (3, 6), (3, 2), ((0, 0), (1, 0)))
        for word in words:
            assert word in str(refusal.value)
    assert output_size((9, 4), (3, 6), (3, 2), ((0, 0), (1, 0)), ceil_mode=True) == (3, 1)


@settings(max_examples=300)
@given(
    size=st.integers(1, 6),
    kernel=st.integers(2, 6),
    stride=st.integers(1, 9),
    dilation=st.integers(2, 14),
    data=st.data(),
)
def test_the_first_empty_window_is_found(
    size: int, kernel: int, stride: int, dilation: int, data: st.DataObject
) -> None:
    """Without visiting every output; here every output is."""
    effective = dilation * (kernel - 1) + 1
    low, high = data.draw(st.tuples(*[st.integers(0, effective - 1)] * 2))
    outputs = (size + low + high - effective) // stride + 1
    assume(outputs > 0)
    windows = [
        [cell for t in range(kernel) if 0 <= (cell := o * stride - low + t * dilation) < size] for o in range(outputs)
    ]
    if [] not in windows:
        assert output_size(size, kernel, stride, ((low, high),), dilation) == (outputs,)
        return
    text = rf"output {windows.index([])} on spatial axis 0 lies wholly in the padding"
    with pytest.raises(ArgumentError, match=text):
        output_size(size, kernel, stride, ((low, high),), dilation)


def test_empty_windows_among_very_many() -> None:
    """Half a thousand million windows begin in the padding; only that with start -1 steps over the input."""
    size, dilation = 2**30 - 1, 2**30
    assert output_size(size, 3, 2, ((dilation, dilation + 1),), dilation) == (size // 2 + 1,)
    with pytest.raises(ArgumentError, match=rf"output {dilation - 1} on spatial axis 0 lies wholly"):
        output_size(size, 3, 1, ((dilation, dilation + 1),), dilation)


def test_tables_are_listed_only_as_far_as_memory_goes() -> None:
    with pytest.raises(ArgumentError, match=r"a table of \(1099511627776,\) windows is too large: at most 16777216"):
        window_table(2**40, 1)


@pytest.mark.parametrize("rank", [0, 4, True, "2", None])
def test_receptive_field_names_the_ranks(rank: Any) -> None:
    with pytest.raises(ArgumentError, match="rank must be 1, 2 or 3, but got"):
        receptive_field([{"kernel_size": 2}], rank)


@pytest.mark.parametrize("layer", [{}, {"stride": 2}, {"kernel_size": 2, "strides": 2}, 3, None])
def test_receptive_field_names_what_a_layer_holds(layer: Any) -> None:
    with pytest.raises(ArgumentError, match="layers must be dicts with kernel_size and any of ceil_mode, dilation"):
        receptive_field([{"kernel_size": 2}, layer])


def test_an_empty_window_is_named_by_axis_and_output() -> None:
    for rank in (1, 2, 3):
        for axis in range(rank):
            size = [9] * rank
            size[axis] = 3
            pairs = [(0, 0)] * rank
            pairs[axis] = (3, 3)
            text = rf"output 1 on spatial axis {axis} lies wholly .*input size 3, kernel_size=2.*padding=\(3, 3\)"
            for call in (output_size, window_table):
                with pytest.raises(ArgumentError, match=text):
                    call(size, 2, 2, pairs, [5 if i == axis else 1 for i in range(rank)])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((2, None, 0, [6, 6]), "output_size should be a sequence containing 1 or 3 elements, but got [6, 6]"),
        ((2, None, 0, 6), "output_size should be a sequence containing 1 or 3 elements, but got 6"),
        ((2, None, 0, "6"), "output_size should be a sequence containing 1 or 3 elements, but got '6'"),
        ((2, None, 0, [4]), 'invalid output_size "(4,)" (dim 0 must be between 4 and 8)'),
        ((2, None, 0, [8]), 'invalid output_size "(8,)" (dim 0 must be between 4 and 8)'),
        ((2, None, -1, None), "padding: pad must be non-negative, but got pad: -1"),
        ((2, 0, 0, None), "stride must be greater than zero, but got 0"),
        ((2**31, 1, 0, None), f"kernel_size must be at most {MOST}, but got {2**31}"),
        ((2, 1, 2, None), "output_size must be positive, but got (0,) from an input of (3,)"),
    ],
)
def test_refusals_of_unpooling(arguments: tuple[Any, ...], text: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(text)):
        geometry.unpooled_size(1, (3,), *arguments)


def test_errors_are_those_that_torch_raises_too() -> None:
    """Code that catches torch's RuntimeError or Python's ValueError catches these."""
    for kind in (RuntimeError, ValueError):
        with pytest.raises(kind, match="kernel_size"):
            output_size(5, 0)


@pytest.mark.parametrize("size", [(7.0,), True, (True,), "5", None, {5, 7}])
def test_input_size_must_be_ints(size: Any) -> None:
    """Anything else is refused by name, and nothing of it is remembered."""
    with pytest.raises(TypeError, match="input_size must be an int"):
        poolkit.output_size(size, 1)
    assert poolkit.output_size((7,), 2) == (3,)


def test_input_size_may_be_integers_of_numpy() -> None:
    """They are counted as Python's ints, which do not wrap."""
    with pytest.raises(ArgumentError, match="Output size is too small"):
        poolkit.output_size((np.uint8(3),), 5, 1)
    assert poolkit.output_size(np.int64(7), 2) == (3,)
