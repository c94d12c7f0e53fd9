"""RoI align and RoI pool against an oracle of plain loops over exact fractions, and where boxes are hostile."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from problems import FLOATS, LAYOUTS, ROUNDING, assert_near, distinct, in_layout, values

from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.layers import region_ops, region_reference

pytestmark = pytest.mark.usefixtures("poisoned_memory")  # a cell that is not written shows

Array = NDArray[np.float64]
roi_align, roi_pool = functional.roi_align, functional.roi_pool


# --------------------------------------------------------------------------------------- the oracle


def align_weights(begin: Fraction, end: Fraction, bins: int, cells: int, ratio: int, aligned: bool) -> Array:
    """What each cell of an axis gives to each bin: (bins, cells)."""
    size = end - begin if aligned else max(end - begin, Fraction(1))
    origin = begin - Fraction(1, 2) if aligned else begin
    length = size / bins
    samples = ratio or math.ceil(length)
    weights = np.zeros((bins, cells))
    for q in range(bins):
        for i in range(samples):
            at = origin + q * length + (i + Fraction(1, 2)) * length / samples
            if not -1 <= at <= cells:
                continue
            at = min(max(at, Fraction(0)), Fraction(cells - 1))
            low = math.floor(at)
            weights[q, low] += float(1 - (at - low)) / samples
            if at > low:
                weights[q, low + 1] += float(at - low) / samples
    return weights


def align_oracle(
    x: Array, boxes: Array, size: tuple[int, int], scale: float, ratio: int, aligned: bool
) -> tuple[Array, Callable[[Array], Array]]:
    """The values, and a function from their gradient to that of x."""
    height, width = x.shape[2:]
    y = np.zeros((len(boxes), x.shape[1], *size))
    taps: list[tuple[int, int, int, int, Any, Array]] = []
    for k, (sample, *corners) in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (Fraction(c) * Fraction(scale) for c in corners)
        rows = align_weights(y1, y2, size[0], height, ratio, aligned)
        columns = align_weights(x1, x2, size[1], width, ratio, aligned)
        for p in range(size[0]):
            for q in range(size[1]):
                cells = np.ix_(np.flatnonzero(rows[p]), np.flatnonzero(columns[q]))
                weights = np.outer(rows[p], columns[q])[cells]
                for channel in range(x.shape[1]):
                    y[k, channel, p, q] = (x[int(sample), channel][cells] * weights).sum()
                taps.append((k, int(sample), p, q, cells, weights))

    def backward(gradient: Array) -> Array:
        result = np.zeros_like(x)
        for k, sample, p, q, cells, weights in taps:
            for channel in range(x.shape[1]):
                result[sample, channel][cells] += gradient[k, channel, p, q] * weights
        return result

    return y, backward


def away_from_zero(value: Fraction) -> int:
    whole = math.floor(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def pool_spans(begin: Fraction, end: Fraction, bins: int, cells: int) -> list[range]:
    first, last = away_from_zero(begin), away_from_zero(end)
    size = max(last - first + 1, 1)
    edges = (
        (first + math.floor(Fraction(i * size, bins)), first + math.ceil(Fraction((i + 1) * size, bins)))
        for i in range(bins)
    )
    return [range(max(low, 0), min(high, cells)) for low, high in edges]


def pool_oracle(
    x: Array, boxes: Array, size: tuple[int, int], scale: float
) -> tuple[Array, NDArray[np.int64], Callable[[Array], Array]]:
    height, width = x.shape[2:]
    y = np.zeros((len(boxes), x.shape[1], *size))
    winners = np.full(y.shape, -1, dtype=np.int64)
    for k, (sample, *corners) in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (Fraction(c) * Fraction(scale) for c in corners)
        for p, rows in enumerate(pool_spans(y1, y2, size[0], height)):
            for q, columns in enumerate(pool_spans(x1, x2, size[1], width)):
                for channel in range(x.shape[1]):
                    for row in rows:
                        for column in columns:
                            value = x[int(sample), channel, row, column]
                            best = y[k, channel, p, q]
                            if winners[k, channel, p, q] < 0 or value > best or np.isnan(value):
                                y[k, channel, p, q] = value
                                winners[k, channel, p, q] = row * width + column

    def backward(gradient: Array) -> Array:
        result = np.zeros_like(x).reshape(*x.shape[:2], -1)
        for k, channel, p, q in np.argwhere(winners >= 0):
            result[int(boxes[k, 0]), channel, winners[k, channel, p, q]] += gradient[k, channel, p, q]
        return result.reshape(x.shape)

    return y, winners, backward


# ---------------------------------------------------------------------------------- random problems


@st.composite
def maps(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Sizes of a map: some rows shorter, some longer than a vector, channels that fill a group and that do not."""
    channels = draw(st.sampled_from((1, 2, 3, 8, 17)))
    return draw(st.integers(1, 3)), channels, draw(st.integers(1, 12)), draw(st.integers(1, 21))


@st.composite
def boxes_on(draw: st.DrawFn, shape: tuple[int, ...], scale: float) -> Array:
    """Boxes inside, across and outside the map, some of them reversed; corners are multiples of 1/8."""
    samples, _, height, width = shape
    rows = []
    for _ in range(draw(st.integers(0, 5))):
        corners = [
            draw(st.integers(-int(8 * size / scale), int(16 * size / scale))) / 8
            for size in (width, height, width, height)
        ]
        if draw(st.integers(0, 4)):
            corners = [min(corners[0], corners[2]), min(corners[1], corners[3]), *np.maximum(corners[:2], corners[2:])]
        rows.append([draw(st.integers(0, samples - 1)), *map(float, corners)])
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def draw_map(data: st.DataObject, flavours: tuple[str, ...]) -> tuple[torch.Tensor, Array, float]:
    shape, scale = data.draw(maps()), data.draw(st.sampled_from((1.0, 0.5, 0.25)))
    boxes = data.draw(boxes_on(shape, scale))
    dtype = data.draw(st.sampled_from(FLOATS))
    x = torch.tensor(values(data.draw(st.sampled_from(flavours)), shape)).to(dtype)
    return in_layout(x, data.draw(st.sampled_from(LAYOUTS))).detach().requires_grad_(), boxes, scale


def check_layout(y: torch.Tensor, x: torch.Tensor) -> None:
    assert y.dtype == x.dtype
    formats = (torch.channels_last, torch.contiguous_format)
    chosen = torch._prims_common.suggest_memory_format(x)
    assert y.is_contiguous(memory_format=chosen if chosen in formats else torch.contiguous_format)


@given(data=st.data())
def test_align_value_and_gradient(data: st.DataObject) -> None:
    x, boxes, scale = draw_map(data, ("normal", "ties"))
    size = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    ratio, aligned = data.draw(st.sampled_from((0, 0, 1, 2, 3))), data.draw(st.booleans())
    expected, backward = align_oracle(x.detach().double().numpy(), boxes, size, scale, ratio, aligned)
    y = roi_align(x, torch.tensor(boxes), size, scale, ratio, aligned)
    assert_near(y, expected, ROUNDING[x.dtype])
    check_layout(y, x)
    gradient = torch.tensor(values("normal", expected.shape, seed=1)).to(x.dtype)
    y.backward(gradient)
    assert x.grad is not None
    assert_near(x.grad, backward(gradient.double().numpy()), 3 * ROUNDING[x.dtype])
    again = region_reference.align(x.detach().double(), torch.tensor(boxes), list(size), scale, ratio, aligned)
    assert_near(again, expected, 1e-11)


@given(data=st.data())
def test_align_reads_no_cell_without_weight(data: st.DataObject) -> None:
    """NaN and infinities stay where they have a weight; all numbers here are binary fractions, so weights are exact."""
    x, boxes, scale = draw_map(data, ("nan", "inf"))
    size = (data.draw(st.sampled_from((1, 2, 4))), data.draw(st.sampled_from((1, 2, 4))))
    ratio, aligned = data.draw(st.sampled_from((1, 2, 4))), data.draw(st.booleans())
    with np.errstate(invalid="ignore"):
        expected, _ = align_oracle(x.detach().double().numpy(), boxes, size, scale, ratio, aligned)
    packed = torch.tensor(boxes)
    assert_near(roi_align(x, packed, size, scale, ratio, aligned), expected, ROUNDING[x.dtype])
    again = region_reference.align(x.detach(), packed, list(size), scale, ratio, aligned)
    assert_near(again, expected, ROUNDING[x.dtype])


@given(data=st.data())
def test_pool_value_winner_and_gradient(data: st.DataObject) -> None:
    x, boxes, scale = draw_map(data, ("normal", "ties", "nan", "inf"))
    size = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    expected, winners, backward = pool_oracle(x.detach().double().numpy(), boxes, size, scale)
    packed = torch.tensor(boxes)
    y, indices = roi_pool(x, packed, size, scale, return_indices=True)
    assert_near(y, expected, 0.0)
    check_layout(y, x)
    assert indices.dtype == torch.int64
    np.testing.assert_array_equal(indices.numpy(), winners)
    gradient = torch.tensor(values("normal", expected.shape, seed=1)).to(x.dtype)
    y.backward(gradient)
    assert x.grad is not None
    assert_near(x.grad, backward(gradient.double().numpy()), 3 * ROUNDING[x.dtype])
    with torch.no_grad():
        assert_near(roi_pool(x, packed, size, scale), expected, 0.0)  # type: ignore[arg-type]
        without, places = roi_pool(x, packed, size, scale, return_indices=True)
        assert_near(without, expected, 0.0)
        np.testing.assert_array_equal(places.numpy(), winners)
    again, places = region_reference.pool(x.detach(), packed, list(size), scale)
    assert_near(again, expected, 0.0)
    np.testing.assert_array_equal(places.numpy(), winners)


# -------------------------------------------------------------------------------- fixed problems

#: Inside, across a corner, of another sample, thin, reversed, outside, on the border.
SOME_BOXES = torch.tensor(
    [
        [0, 1.0, 1.5, 6.25, 4.0],
        [0, -2.0, -3.0, 3.5, 2.0],
        [1, 2.0, 0.5, 8.5, 6.0],
        [0, 3.0, 1.0, 3.0, 5.0],
        [1, 6.0, 5.0, 2.0, 1.0],
        [1, 40.0, 40.0, 50.0, 60.0],
        [0, 0.0, 0.0, 9.0, 7.0],
    ]
)

Op = Callable[[torch.Tensor], torch.Tensor]
OPERATORS: dict[str, Op] = {
    "align": lambda x: roi_align(x, SOME_BOXES, (3, 2), 1.0, 2),
    "align, adaptive": lambda x: roi_align(x, SOME_BOXES, (2, 3)),
    "align, not aligned": lambda x: roi_align(x, SOME_BOXES, (3, 2), 0.75, 0, False),
    "pool": lambda x: roi_pool(x, SOME_BOXES, (3, 2)),  # type: ignore[dict-item,return-value]
}
every_operator = pytest.mark.parametrize("name", OPERATORS)


@every_operator
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_derivatives_by_finite_differences(name: str, layout: str) -> None:
    x = in_layout(distinct((2, 3, 7, 9)), layout).requires_grad_()
    assert torch.autograd.gradcheck(OPERATORS[name], (x,), fast_mode=True)
    assert torch.autograd.gradgradcheck(OPERATORS[name], (x,), fast_mode=True)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own, for forward AD
@every_operator
def test_function_transforms(name: str) -> None:
    x = distinct((4, 2, 3, 7, 9))
    expected = torch.stack([OPERATORS[name](each) for each in x])
    torch.testing.assert_close(torch.func.vmap(OPERATORS[name])(x), expected)
    leaf = x[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(OPERATORS[name](leaf).square().sum(), leaf)
    torch.testing.assert_close(torch.func.grad(lambda t: OPERATORS[name](t).square().sum())(x[0]), gradient)
    tangent = torch.randn_like(x[0])
    _, pushed = torch.func.jvp(OPERATORS[name], (x[0],), (tangent,))
    (pulled,) = torch.autograd.grad(OPERATORS[name](leaf), leaf, cotangent := torch.randn_like(pushed))
    torch.testing.assert_close((pushed * cotangent).sum(), (pulled * tangent).sum())


@every_operator
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_same_bits_for_any_threads_and_instruction_set(name: str, layout: str, dtype: torch.dtype) -> None:
    shape = (3, 70, 21, 37)  # more than a block of channels, and planes left over
    x = in_layout(torch.tensor(values("normal", shape)).to(dtype), layout).detach().requires_grad_()
    boxes = torch.rand(60, 4, generator=torch.Generator().manual_seed(1)) * 50 - 8
    boxes = torch.cat([torch.arange(60)[:, None] % 3, boxes], 1)
    operator = {
        "align": lambda: roi_align(x, boxes, 5, 0.9, 2),
        "align, adaptive": lambda: roi_align(x, boxes, 5, 0.9),
        "align, not aligned": lambda: roi_align(x, boxes, 5, 0.9, 0, False),
        "pool": lambda: roi_pool(x, boxes, 5, 0.9),
    }[name]
    results = []
    best = torch.ops.poolkit.isa()
    try:
        for isa in torch.ops.poolkit.isas().split(","):
            assert torch.ops.poolkit.set_isa(isa)
            for threads in (1, 2, 3) if isa == best else (2,):
                torch.set_num_threads(threads)
                y = operator()
                assert isinstance(y, torch.Tensor)
                results.append((y.detach(), torch.autograd.grad(y, x, torch.ones_like(y) / 3)[0]))
    finally:
        torch.ops.poolkit.set_isa(best)
    assert len(results) >= 3
    for y, gradient in results[1:]:
        assert torch.equal(y, results[0][0])
        assert torch.equal(gradient, results[0][1])


@every_operator
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_compiles_whole(name: str, layout: str) -> None:
    compiled = torch.compile(lambda x: OPERATORS[name](x) * 2, fullgraph=True, backend="aot_eager")
    results = []
    for function in (compiled, lambda x: OPERATORS[name](x) * 2):
        x = in_layout(torch.tensor(values("normal", (2, 3, 7, 9))).float(), layout).detach().requires_grad_()
        y = function(x)
        y.backward(torch.linspace(-1, 1, y.numel()).reshape(y.shape))
        assert x.grad is not None
        results.append((y.detach(), x.grad, x.grad.stride()))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    torch.compiler.reset()


def test_compiles_for_any_number_of_boxes() -> None:
    """Boxes are what changes from call to call: two graphs serve every number of them, also given as a list."""
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")

    def both(x: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        y, indices = roi_pool(x, [boxes, boxes + 1], 2, return_indices=True)
        return roi_align(x, [boxes, boxes + 1], 2), y, indices

    compiled = torch.compile(both, fullgraph=True, backend=counter)
    x = torch.randn(2, 3, 7, 9)
    for count in (5, 3, 8, 21):
        boxes = torch.rand(count, 4) * 8
        for actual, expected in zip(compiled(x, boxes), both(x, boxes), strict=True):
            assert torch.equal(actual, expected)
    assert counter.frame_count <= 2
    with pytest.raises(RuntimeError, match="box 0 is not finite"):
        compiled(x, torch.full((4, 4), torch.nan))
    torch.compiler.reset()


@pytest.mark.parametrize("module", [nn.RoIAlign(3, 0.5), nn.RoIPool((2, 3), return_indices=True)], ids=type)
def test_exports(module: torch.nn.Module) -> None:
    example = torch.randn(2, 3, 7, 9), SOME_BOXES
    exported = torch.export.export(module, example).module()
    expected = module(*example)
    torch.testing.assert_close(exported(*example), expected, rtol=0, atol=0)


def test_exports_for_any_number_of_boxes() -> None:
    module, x = nn.RoIAlign(3), torch.randn(2, 3, 7, 9)
    shapes = {"input": None, "boxes": {0: torch.export.Dim("boxes")}}
    exported = torch.export.export(module, (x, SOME_BOXES), dynamic_shapes=shapes).module()
    for boxes in (SOME_BOXES[:3], SOME_BOXES.repeat(2, 1)):
        assert torch.equal(exported(x, boxes), module(x, boxes))


def test_meta_tensors_give_shapes() -> None:
    x, boxes = torch.empty(2, 3, 7, 9, device="meta"), SOME_BOXES.to("meta")
    assert roi_align(x, boxes, 2).shape == (7, 3, 2, 2)
    y, indices = roi_pool(x, boxes, 2, return_indices=True)
    assert y.is_meta
    assert indices.dtype == torch.int64


# ------------------------------------------------------------------------------------ the mathematics


def test_pool_of_a_whole_map_is_adaptive_max_pooling() -> None:
    x = torch.randn(2, 3, 11, 13)
    boxes = torch.tensor([[0.0, 0, 0, 12, 10], [1, 0, 0, 12, 10]])
    for size in ((1, 1), (3, 4), (11, 13), (15, 20)):
        y, indices = roi_pool(x, boxes, size, return_indices=True)
        expected, positions = functional.adaptive_max_pool2d(x, size, return_indices=True)
        assert torch.equal(y, expected)
        assert torch.equal(indices, positions)


def test_pool_of_a_box_is_adaptive_max_pooling_of_its_cells() -> None:
    x = torch.randn(1, 3, 11, 13)
    for x1, y1, x2, y2 in ((2, 3, 8, 9), (0, 0, 0, 0), (5, 1, 12, 4)):
        y = roi_pool(x, torch.tensor([[0.0, 16 * x1, 16 * y1, 16 * x2, 16 * y2]]), (4, 3), 1 / 16)
        assert torch.equal(y, functional.adaptive_max_pool2d(x[..., y1 : y2 + 1, x1 : x2 + 1], (4, 3)))


@pytest.mark.parametrize("ratio", [0, 1, 2, 5])
def test_align_of_a_plane_is_its_value_at_the_centres_of_the_bins(ratio: int) -> None:
    """Interpolation is exact for a linear function, and samples lie evenly around the centre of their bin."""
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    x = (2 * rows - 3 * columns + 1)[None, None].double()
    x1, y1, x2, y2 = 3.3, 2.2, 26.7, 17.9
    y = roi_align(x, torch.tensor([[0, x1, y1, x2, y2]], dtype=torch.float64), (4, 5), 1.0, ratio)
    down = y1 + (torch.arange(4, dtype=torch.float64) + 0.5) * (y2 - y1) / 4 - 0.5
    across = x1 + (torch.arange(5, dtype=torch.float64) + 0.5) * (x2 - x1) / 5 - 0.5
    torch.testing.assert_close(y[0, 0], 2 * down[:, None] - 3 * across + 1)


def test_align_of_whole_cells_is_the_map() -> None:
    x = torch.randn(1, 3, 6, 8)
    assert torch.equal(roi_align(x, torch.tensor([[0.0, 2, 1, 7, 5]]), (4, 5)), x[..., 1:5, 2:7])
    half = roi_align(x, torch.tensor([[0.0, 1.5, 0.5, 6.5, 4.5]]), (4, 5), aligned=False)
    assert torch.equal(half, x[..., 1:5, 2:7])


def test_a_reversed_box_mirrors() -> None:
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    box, reversed_box = torch.tensor([[0, 1, 2, 7, 8.0]]), torch.tensor([[0, 7, 2, 1, 8.0]])
    torch.testing.assert_close(roi_align(x, reversed_box, 3, 1.0, 2), roi_align(x, box, 3, 1.0, 2).flip(-1))
    assert roi_align(x, reversed_box, 3).eq(0).all()


def test_winners_take_the_fewest_bytes() -> None:
    for (height, width), dtype in (
        ((2, 127), torch.uint8),
        ((5, 51), torch.uint16),
        ((2, 32767), torch.uint16),
        ((5, 13107), torch.int32),
    ):
        x = torch.zeros(1, 1, height, width).requires_grad_()
        with torch.no_grad():
            x[..., -1, -1] = 1
        boxes = torch.tensor([[0, 0, 0, width - 1, height - 1.0], [0, -9, -9, -5, -5]])
        saved: list[torch.dtype] = []

        def keep(tensor: torch.Tensor, saved: list[torch.dtype] = saved) -> torch.Tensor:
            saved.append(tensor.dtype)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            y = roi_pool(x, boxes, 1)
        assert isinstance(y, torch.Tensor)
        assert saved == [torch.float64, dtype]
        assert region_ops.winner_dtype(height * width) == dtype
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.flatten().nonzero().tolist() == [[height * width - 1]]
        _, indices = roi_pool(x, boxes, 1, return_indices=True)
        assert indices.flatten().tolist() == [height * width - 1, -1]


# ------------------------------------------------------------------------------------- hostile boxes


@pytest.fixture(params=["kernel", "reference"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "reference":
        monkeypatch.setattr("poolkit.ops.why_no_kernel", lambda x, kernel: "asked for")
    return str(request.param)


def each_pooling(x: torch.Tensor, boxes: Any) -> Iterator[torch.Tensor]:
    for ratio in (0, 2):
        for aligned in (True, False):
            yield roi_align(x, boxes, (2, 3), 0.5, ratio, aligned)
    y = roi_pool(x, boxes, (2, 3), 0.5)
    assert isinstance(y, torch.Tensor)
    yield y


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", range(5))
def test_a_box_that_is_not_finite_is_refused_by_its_number(path: str, column: int, value: float) -> None:
    boxes = SOME_BOXES.clone()
    boxes[4, column] = value
    x = torch.randn(2, 3, 7, 9)
    with pytest.raises(ArgumentError, match=r"roi_align\(\): coordinates of boxes must be finite .* but box 4 is"):
        roi_align(x, boxes, 2)
    with pytest.raises(ArgumentError, match=r"roi_pool\(\): coordinates of boxes must be finite .* but box 4 is"):
        roi_pool(x, boxes, 2)


@pytest.mark.parametrize("index", [-1.0, 2.0, 0.5, 1e30])
def test_a_batch_index_outside_the_batch_is_refused(path: str, index: float) -> None:
    boxes = SOME_BOXES.clone()
    boxes[1, 0] = index
    for pooling in (roi_align, roi_pool):
        with pytest.raises(ArgumentError, match=r"batch index an integer in \[0, 2\), but box 1 is"):
            pooling(torch.randn(2, 3, 7, 9), boxes, 2)
    with pytest.raises(ArgumentError, match=r"in \[0, 0\), but box 0 is"):
        roi_align(torch.randn(0, 3, 7, 9), SOME_BOXES, 2)


@pytest.mark.parametrize(
    "box",
    [
        (1e30, 1e30, 2e30, 2e30),
        (-1e30, -1e30, 1e30, 1e30),
        (1e30, 1e30, -1e30, -1e30),
        (-1e300, 0, 1e300, 7),
        (0, 0, 1e-300, 1e-320),
        (-5, -5, -5, -5),
        (4e9, 0, 4e9, 7),
        (-(2.0**31), -(2.0**31), 2.0**31, 2.0**31),
    ],
)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_far_and_thin_boxes_are_finite_and_both_paths_agree(
    box: tuple[float, ...], layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = torch.tensor([[0.0, *box], [1.0, 2, 2, 12, 10]], dtype=torch.float64)
    x = in_layout(torch.randn(2, 3, 7, 9, dtype=torch.float64), layout).requires_grad_()
    results = [(y, torch.autograd.grad(y.sum(), x)[0]) for y in each_pooling(x, boxes)]
    monkeypatch.setattr("poolkit.ops.why_no_kernel", lambda x, kernel: "asked for")
    for (y, gradient), other in zip(results, each_pooling(x, boxes), strict=True):
        assert y.isfinite().all()
        torch.testing.assert_close(other, y)
        torch.testing.assert_close(torch.autograd.grad(other.sum(), x)[0], gradient)


def test_far_boxes_count_as_2_to_the_31() -> None:
    x = torch.randn(1, 2, 7, 9)
    near = torch.tensor([[0, -(2.0**31), -(2.0**31), 2.0**31, 2.0**31]], dtype=torch.float64)
    far = torch.tensor([[0, -1e200, -1e30, 1e40, 1e308]], dtype=torch.float64)
    for a, b in zip(each_pooling(x, near * torch.tensor([1, 2, 2, 2, 2])), each_pooling(x, far), strict=True):
        assert torch.equal(a, b)


def test_boxes_outside_the_map_are_zero(path: str) -> None:
    x = torch.randn(1, 3, 7, 9).requires_grad_()
    outside = torch.tensor([[0.0, 40, 4, 60, 8], [0, -60, 0, -40, 8], [0, 4, 30, 8, 60], [0, 4, -60, 8, -30]])
    for y in each_pooling(x, outside):
        assert y.eq(0).all()
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert gradient.eq(0).all()
    y, indices = roi_pool(x, outside, 2, return_indices=True)
    assert indices.eq(-1).all()


# -------------------------------------------------------------------------------------- arguments


def test_boxes_as_tensor_as_list_and_of_a_single_sample() -> None:
    x = torch.randn(2, 3, 7, 9)
    lists = [SOME_BOXES[SOME_BOXES[:, 0] == i, 1:] for i in range(2)]
    tensor = torch.cat([torch.nn.functional.pad(boxes, (1, 0), value=float(i)) for i, boxes in enumerate(lists)])
    for pooling in (roi_align, roi_pool):
        expected = pooling(x, tensor, (2, 3))
        assert isinstance(expected, torch.Tensor)
        assert torch.equal(pooling(x, lists, (2, 3)), expected)
        assert torch.equal(pooling(x, tuple(lists), [2, 3]), expected)
        assert torch.equal(pooling(x[0], lists[0], (2, 3)), expected[: len(lists[0])])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
def test_boxes_of_any_dtype(dtype: torch.dtype) -> None:
    boxes = torch.tensor([[0, 1, 2, 6, 5], [1, -3, 0, 4, 9]])
    x = torch.randn(2, 3, 7, 9)
    assert torch.equal(roi_align(x, boxes.to(dtype), 2), roi_align(x, boxes.double(), 2))
    assert torch.equal(roi_pool(x, boxes.to(dtype), 2), roi_pool(x, boxes.double(), 2))  # type: ignore[arg-type]


def test_boxes_get_no_gradient() -> None:
    x, boxes = torch.randn(2, 3, 7, 9, requires_grad=True), SOME_BOXES.clone().requires_grad_()
    for y in each_pooling(x, boxes):
        (gradient,) = torch.autograd.grad(y.sum(), boxes, allow_unused=True)
        assert gradient is None
    for y in each_pooling(x.detach(), boxes):
        assert not y.requires_grad


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_no_boxes_and_no_samples(path: str, layout: str) -> None:
    for shape, boxes in (
        ((2, 3, 7, 9), torch.zeros(0, 5)),
        ((2, 3, 7, 9), [torch.zeros(0, 4)] * 2),
        ((0, 3, 7, 9), torch.zeros(0, 5)),
        ((0, 3, 7, 9), []),
    ):
        x = in_layout(torch.randn(shape), layout).requires_grad_()
        for y in each_pooling(x, boxes):
            assert y.shape == (0, 3, 2, 3)
            (gradient,) = torch.autograd.grad(y.sum(), x)
            assert torch.equal(gradient, torch.zeros(shape))
        _, indices = roi_pool(x, boxes, 2, return_indices=True)
        assert indices.shape == (0, 3, 2, 2)


def test_autocast_keeps_the_dtype() -> None:
    x = torch.randn(2, 3, 7, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for y in each_pooling(x, SOME_BOXES):
            assert y.dtype == torch.float32
        for y in each_pooling(x.bfloat16(), SOME_BOXES):
            assert y.dtype == torch.bfloat16


GOOD: dict[str, Any] = {"input": torch.zeros(2, 3, 7, 9), "boxes": SOME_BOXES, "output_size": 2}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input": [[1.0]]}, TypeError, "input must be a torch.Tensor, but got list"),
        ({"input": torch.zeros(2, 3, 7, 9).int()}, NotImplementedError, "input must be float32.* got torch.int32"),
        ({"input": torch.zeros(2, 3, 7, 9).cfloat()}, NotImplementedError, "got torch.complex64"),
        ({"input": torch.zeros(7, 9)}, ArgumentError, r"input must be \(N, C, H, W\).* got \[7, 9\]"),
        ({"input": torch.zeros(2, 0, 7, 9)}, ArgumentError, r"at least one channel and cell, but got \[2, 0, 7, 9\]"),
        ({"input": torch.zeros(2, 3, 7, 0)}, ArgumentError, r"at least one channel and cell, but got \[2, 3, 7, 0\]"),
        ({"boxes": SOME_BOXES[:, 1:]}, ArgumentError, r"boxes must have shape \(K, 5\).* got \[7, 4\]"),
        ({"boxes": SOME_BOXES[0]}, ArgumentError, r"boxes must have shape \(K, 5\).* got \[5\]"),
        ({"boxes": SOME_BOXES > 0}, NotImplementedError, "boxes must be floating point or integers.* torch.bool"),
        ({"boxes": SOME_BOXES.cfloat()}, NotImplementedError, "torch.complex64"),
        ({"boxes": 3}, TypeError, r"boxes must be a tensor \(K, 5\) or a sequence .* got int"),
        ({"boxes": [SOME_BOXES[:, 1:]]}, ArgumentError, "one tensor for each of the 2 samples, but got 1"),
        ({"boxes": [SOME_BOXES[:, 1:], SOME_BOXES]}, ArgumentError, r"boxes\[1\] must have shape \(K, 4\)"),
        ({"boxes": [SOME_BOXES[:, 1:], 3]}, TypeError, r"boxes\[1\] must be a torch.Tensor, but got int"),
        ({"input": torch.zeros(3, 7, 9)}, ArgumentError, r"boxes must have shape \(K, 4\) .* got \[7, 5\]"),
        (
            {"input": torch.zeros(3, 7, 9), "boxes": [SOME_BOXES]},
            TypeError,
            r"boxes must be a tensor \(K, 4\), but got list",
        ),
        ({"output_size": 0}, ArgumentError, "output_size must be greater than zero, but got 0"),
        ({"output_size": (2, -1)}, ArgumentError, "output_size must be greater than zero, but got -1"),
        ({"output_size": (2, 2, 2)}, ArgumentError, "output_size must either be a single int, or a tuple of 2"),
        ({"output_size": 2.0}, TypeError, "output_size must be an int, but got 2.0"),
        ({"output_size": None}, TypeError, "output_size must be an int, but got None"),
        ({"spatial_scale": 0}, ArgumentError, "spatial_scale must be finite and > 0, but got 0"),
        ({"spatial_scale": -0.5}, ArgumentError, "spatial_scale must be finite and > 0, but got -0.5"),
        ({"spatial_scale": math.nan}, ArgumentError, "spatial_scale must be finite and > 0, but got nan"),
        ({"spatial_scale": math.inf}, ArgumentError, "spatial_scale must be finite and > 0, but got inf"),
        ({"spatial_scale": "1"}, TypeError, "spatial_scale must be a float, but got '1'"),
        ({"spatial_scale": True}, TypeError, "spatial_scale must be a float, but got True"),
    ],
)
def test_bad_arguments_of_both(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    for pooling in (roi_align, roi_pool):
        with pytest.raises(error, match=message):
            pooling(**{**GOOD, **arguments})
    if not {"input", "boxes"} & set(arguments):
        for module in (nn.RoIAlign, nn.RoIPool):
            with pytest.raises(error, match=message):
                module(**{"output_size": 2, **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sampling_ratio": -2}, ArgumentError, "sampling_ratio must lie between -1 and 65536, but got -2"),
        ({"sampling_ratio": 65537}, ArgumentError, "sampling_ratio must lie between -1 and 65536, but got 65537"),
        ({"sampling_ratio": 2.0}, TypeError, "sampling_ratio must be an int, but got 2.0"),
        ({"aligned": "yes"}, TypeError, "aligned must be a bool, but got 'yes'"),
    ],
)
def test_bad_arguments_of_align(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        roi_align(**{**GOOD, **arguments})
    with pytest.raises(error, match=message):
        nn.RoIAlign(2, **arguments)


def test_bad_arguments_of_pool() -> None:
    with pytest.raises(TypeError, match="return_indices must be a bool, but got 1"):
        roi_pool(**GOOD, return_indices=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="return_indices must be a bool, but got 1"):
        nn.RoIPool(2, return_indices=1)  # type: ignore[arg-type]
    huge = torch.zeros(1).expand(1, 1, 2**16, 2**15)
    with pytest.raises(ArgumentError, match=r"fewer than 2\^31 cells a plane, but got \[1, 1, 65536, 32768\]"):
        roi_pool(huge, torch.zeros(0, 5), 2)


def test_sampling_ratio_of_minus_one_is_adaptive() -> None:
    x = torch.randn(2, 3, 7, 9)
    assert torch.equal(roi_align(x, SOME_BOXES, 2, 1.0, -1), roi_align(x, SOME_BOXES, 2, 1.0, 0))


def test_the_largest_sampling_ratio_is_an_integral() -> None:
    x = torch.randn(1, 1, 7, 9, dtype=torch.float64)
    box = torch.tensor([[0, 1.0, 2.0, 6.0, 5.0]])
    torch.testing.assert_close(roi_align(x, box, 2, 1.0, 2**16), roi_align(x, box, 2, 1.0, 2**10), rtol=0, atol=1e-5)


def test_operators_refuse_what_they_cannot_run() -> None:
    """Called directly, past the checks of the functions."""
    operators = torch.ops.poolkit
    x, boxes = torch.randn(2, 3, 7, 9), SOME_BOXES.double()
    y, winners = operators.roi_pool_winners(x, boxes, [2, 2], 1.0)
    for arguments in (
        (x, boxes.float(), [2, 2], 1.0),
        (x, boxes[:, 1:], [2, 2], 1.0),
        (x, boxes.T.contiguous().T, [2, 2], 1.0),
        (x[0], boxes, [2, 2], 1.0),
        (x.int(), boxes, [2, 2], 1.0),
        (x, boxes, [2], 1.0),
        (x, boxes, [2, 0], 1.0),
        (x, boxes, [2, 2], math.inf),
        (x[:1], boxes, [2, 2], 1.0),
    ):
        with pytest.raises(RuntimeError):
            operators.roi_pool(*arguments)
        with pytest.raises(RuntimeError):
            operators.roi_align(*arguments, 2, True)
    with pytest.raises(RuntimeError):
        operators.roi_align(x, boxes, [2, 2], 1.0, -1, True)
    for arguments in (
        (y, boxes, winners.long(), [2, 3, 7, 9], False),
        (y, boxes, winners[1:], [2, 3, 7, 9], False),
        (y, boxes, winners, [2, 4, 7, 9], False),
        (y, boxes[1:], winners, [2, 3, 7, 9], False),
        (y, boxes, winners, [1, 3, 7, 9], False),
        (y, boxes, winners, [2, 3, 70, 90], False),
    ):
        with pytest.raises(RuntimeError):
            operators.roi_pool_backward(*arguments)
    stray = operators.roi_pool_backward(y, boxes, torch.full_like(winners, 63), [2, 3, 7, 9], False)
    assert stray.eq(0).all()  # one beyond the last cell: no cell's gradient


# ---------------------------------------------------------------------------------------- modules


def test_modules_do_what_the_functions_do() -> None:
    x = torch.randn(2, 3, 7, 9)
    align = nn.RoIAlign((3, 2), 0.5, sampling_ratio=2, aligned=False)
    assert repr(align) == "RoIAlign(output_size=(3, 2), spatial_scale=0.5, sampling_ratio=2, aligned=False)"
    assert torch.equal(copy.deepcopy(align)(x, SOME_BOXES), roi_align(x, SOME_BOXES, (3, 2), 0.5, 2, False))
    pool = nn.RoIPool(2)
    assert repr(pool) == "RoIPool(output_size=2, spatial_scale=1.0, return_indices=False)"
    assert torch.equal(copy.deepcopy(pool)(x, SOME_BOXES), roi_pool(x, SOME_BOXES, 2))  # type: ignore[arg-type]
    with_indices = nn.RoIPool(2, return_indices=True)(x, SOME_BOXES)
    assert torch.equal(with_indices[1], roi_pool(x, SOME_BOXES, 2, return_indices=True)[1])
    for module in (align, pool):
        assert not module.state_dict()
        assert torch.equal(module.eval()(x, SOME_BOXES), module.train()(x, SOME_BOXES))
