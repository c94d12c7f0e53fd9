"""What pooling kept and threw away, and how it takes shifts, against plain loops over every window."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import contents, refused, run
from numpy.typing import NDArray

from poolkit import ArgumentError, functional
from poolkit.geometry import Windows
from poolkit.methods import METHODS
from poolkit.show import AdaptiveArguments, Axis, Field, WindowArguments, changes, kept, pool, report, shift
from poolkit.show.routing import routing

Array = NDArray[Any]

pytestmark = pytest.mark.usefixtures("folder")

RANDOM = np.random.default_rng(7)
GEOMETRIES = {
    "blocks": WindowArguments(2),
    "overlapping": WindowArguments(3, 2, 1),
    "dilated": WindowArguments(2, 1, 0, 2),
    "gaps": WindowArguments((1, 2), (2, 3)),
    "same": WindowArguments(3, 2, "same"),
    "uneven": AdaptiveArguments((3, 4)),
}


def field(values: Array) -> Field:
    return Field("original", values, tuple(Axis(letter) for letter in "zyx"[4 - values.ndim :]))


def cells_of(plan: Windows) -> list[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """Each output and the cells of its window."""
    listed = []
    for output in itertools.product(*map(range, plan.output_size)):
        taps = [axis.tap(o) for axis, o in zip(plan.axes, output, strict=True)]
        steps = [max(axis.dilation, 1) for axis in plan.axes]
        ranges = [range(tap.first, tap.first + step * tap.cells, step) for tap, step in zip(taps, steps, strict=True)]
        listed.append((output, list(itertools.product(*ranges))))
    return listed


WEIGHTS: dict[str, tuple[dict[str, Any], Callable[[Array], Array]]] = {
    "max": ({}, lambda x: np.arange(len(x)) == x.argmax()),
    "min": ({}, lambda x: np.arange(len(x)) == x.argmin()),
    "avg": ({}, np.ones_like),
    "sum": ({}, np.ones_like),
    "soft": ({"temperature": 0.5}, lambda x: np.exp((x - x.max()) / 0.5)),
    "lp": ({"norm_type": 3}, lambda x: x**2),
    "log_sum_exp": ({"r": 2}, lambda x: np.exp(2 * (x - x.max()))),
    "var": ({}, lambda x: np.abs(x - x.mean())),
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("method", WEIGHTS)
def test_shares_are_those_of_plain_loops(method: str, geometry: str) -> None:
    values, windows = RANDOM.uniform(1, 9, (2, 7, 9)), GEOMETRIES[geometry]
    parameters, weigh = WEIGHTS[method]
    plan = windows.plan(values.shape[1:])
    expected, behind = np.zeros_like(values), []
    for channel, (_, cells) in itertools.product(range(2), cells_of(plan)):
        weights = weigh(np.array([values[(channel, *cell)] for cell in cells])).astype(float)
        if weights.sum() == 0:
            continue  # the variance of a single cell is that of no cell
        for cell, weight in zip(cells, weights, strict=True):
            expected[(channel, *cell)] += weight / weights.sum()
        behind.append(weights.sum() ** 2 / (weights**2).sum())
    result = kept(field(values), method, windows, parameters)
    np.testing.assert_allclose(result.shares.values, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.contributors, np.mean(behind), rtol=1e-9)
    assert result.used == np.mean(expected > 0)
    np.testing.assert_allclose(result.pooled.values, pool(field(values), method, windows, parameters).values, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_every_output_of_every_method_is_shared_out(method: str) -> None:
    values = RANDOM.uniform(1, 9, (1, 6, 7))
    for parameters in METHODS[method].samples:
        result = kept(field(values), method, WindowArguments(3, 2), parameters)
        np.testing.assert_allclose(result.shares.values.sum(), result.pooled.values.size, rtol=1e-9)
        assert 1 <= result.contributors <= 9 + 1e-9
        assert result.fitted <= 1 + 1e-9


@pytest.mark.parametrize("shape", [(1, 9), (2, 4, 5, 6)])
def test_one_and_three_axes(shape: tuple[int, ...]) -> None:
    values = RANDOM.normal(size=shape)
    most = kept(field(values), "max", WindowArguments(2))
    assert most.shares.values.sum() == most.pooled.values.size
    assert set(values[most.shares.values > 0]) == set(most.pooled.values.flat)
    mean = kept(field(values), "avg", WindowArguments(2))
    assert set(mean.shares.values.flat) <= {0, 0.5 ** (len(shape) - 1)}


def test_what_was_thrown_away() -> None:
    values = RANDOM.normal(size=(1, 4, 6))
    maxima = values.reshape(1, 2, 2, 3, 2).max((2, 4))
    repeats = maxima.repeat(2, 1).repeat(2, 2)
    repeated, unpooled = (kept(field(values), "max", WindowArguments(2), restore=way) for way in ("repeat", "unpool"))
    np.testing.assert_array_equal(repeated.lost.values, values - repeats)
    np.testing.assert_array_equal(unpooled.lost.values, np.where(values == repeats, 0, values))
    assert (repeated.restored_by, unpooled.restored_by) == ("repeated", "unpooled")
    assert repeated.repeated == pytest.approx(math.sqrt(np.mean((values - repeats) ** 2)) / values.std())
    assert repeated.unpooled == pytest.approx(math.sqrt(np.mean(unpooled.lost.values**2)) / values.std())
    correlation = np.corrcoef(values.flat, repeats.flat)[0, 1]
    assert repeated.fitted == pytest.approx(math.sqrt(1 - correlation**2))
    mean = kept(field(values), "avg", WindowArguments(2), restore="unpool")
    assert (mean.unpooled, mean.restored_by) == (None, "repeated")
    assert mean.repeated == pytest.approx(mean.fitted)  # the mean is the best constant of a block


def test_a_cell_between_two_windows_takes_the_nearest() -> None:
    result = kept(field(np.arange(8.0)[None]), "max", WindowArguments(2, 4))
    np.testing.assert_array_equal(np.arange(8) - result.lost.values[0], [1, 1, 1, 5, 5, 5, 5, 5])


def test_nothing_is_lost_without_pooling() -> None:
    result = kept(field(RANDOM.normal(size=(1, 5, 5))), "avg", WindowArguments(1))
    assert (result.used, result.contributors, result.repeated, result.fitted) == (1, 1, 0, pytest.approx(0, abs=1e-7))


def test_equal_cells_and_nan_give_no_number_but_no_error() -> None:
    flat = kept(field(np.ones((1, 4, 4))), "var", WindowArguments(2))
    assert flat.used == 0
    assert math.isnan(flat.contributors)
    assert math.isnan(flat.repeated)
    values = RANDOM.normal(size=(1, 4, 4))
    values[0, 0, 0] = np.nan
    holed = kept(field(values), "max", WindowArguments(2))
    assert math.isfinite(holed.repeated)
    assert np.isnan(holed.lost.values).sum() == 4


def test_draws_are_followed() -> None:
    values = RANDOM.uniform(size=(1, 8, 8))
    first, again, other = (
        kept(field(values), "stochastic", WindowArguments(2), {"training": True}, seed) for seed in (0, 0, 1)
    )
    assert first.contributors == 1
    assert set(values[first.shares.values > 0]) == set(first.pooled.values.flat)
    np.testing.assert_array_equal(first.shares.values, again.shares.values)
    assert (first.shares.values != other.shares.values).any()


def test_any_function_of_windows_can_be_followed() -> None:
    """Local importance pooling by logits of its own: each window's shares are the softmax of the logits."""
    values = RANDOM.normal(size=(2, 6, 6))
    logits = torch.from_numpy(2 * values)
    plan = WindowArguments(3, 2, 1).plan((6, 6))
    followed = routing(lambda x: functional.local_importance_pool2d(x, logits, 3, 2, 1), values, plan)
    expected = kept(field(values), "log_sum_exp", WindowArguments(3, 2, 1), {"r": 2})
    np.testing.assert_allclose(followed.shares, expected.shares.values, rtol=1e-9)
    assert followed.contributors == pytest.approx(expected.contributors)


# ----------------------------------------------------------------------------------------------- shifts


def circular(values: Array, windows: WindowArguments, reduce: Callable[[Array], float], moved: int) -> Array:
    """1-D pooling of a circle, cell by cell."""
    circle, kernel, stride = np.roll(values, moved), windows.kernel_size, windows.stride
    assert isinstance(kernel, int)
    assert isinstance(stride, int)
    return np.array(
        [reduce(circle[(np.arange(kernel) + start) % len(circle)]) for start in range(0, len(circle), stride)]
    )


@pytest.mark.parametrize(("method", "reduce"), [("max", np.max), ("avg", np.mean), (None, lambda x: x[0])])
@pytest.mark.parametrize("windows", [WindowArguments(2, 2), WindowArguments(5, 3, 2), WindowArguments(1, 2)])
def test_changes_are_those_of_plain_loops(
    method: str | None, reduce: Callable[[Array], float], windows: WindowArguments
) -> None:
    values, stride = RANDOM.normal(size=12), windows.stride
    assert isinstance(stride, int)
    still = circular(values, windows, reduce, 0)
    result = shift(field(values[None]), method, windows, most=7)
    for moved in range(8):
        after = circular(values, windows, reduce, moved)
        assert result.change[moved] == pytest.approx(np.sqrt(np.mean((after - still) ** 2)) / still.std())
        moves = (np.roll(still, places) for places in (moved // stride, math.ceil(moved / stride)))
        nearest = min(np.sqrt(np.mean((after - move) ** 2)) for move in moves)
        assert result.moved[moved] == pytest.approx(nearest / still.std())


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("method", ["max", "avg", "soft", "median", None])
def test_a_shift_by_a_stride_moves_the_map_and_changes_nothing(method: str | None, geometry: str) -> None:
    windows = GEOMETRIES[geometry]
    values = RANDOM.normal(size=(2, 9, 14))
    stride = 14 // 4 if geometry == "uneven" else windows.plan((9, 14)).axes[-1].stride
    result = shift(field(values), method, windows, most=6)
    assert all(result.moved[moved] == 0 for moved in range(0, 7, stride))
    assert all(result.change[moved] > 0.1 for moved in range(1, 7))
    assert stride == 1 or result.moved[1] > 0.1


def test_blurring_before_the_stride_makes_shifts_harmless() -> None:
    """Any function is measured: here max pooling whose dense maxima are blurred before every second is taken."""
    wave = np.sin(np.arange(64) * 2.2)[None] + np.random.default_rng(5).normal(size=64) / 4

    def blurred(values: Array) -> Array:
        around = torch.from_numpy(np.concatenate((values[..., -8:], values, values[..., :8]), -1))
        return functional.max_blur_pool1d(around, 2, 4, 2).numpy()[:, 4:-4]

    anti_aliased = changes("max_blur", blurred, wave, 2, 4)
    usual = shift(field(wave), "max", WindowArguments(2), most=4)
    assert anti_aliased.moved[2] == pytest.approx(0, abs=1e-12)
    assert anti_aliased.moved[1] < 0.6 * usual.moved[1]


def test_shifts_that_cannot_be() -> None:
    values = field(RANDOM.normal(size=(1, 5)))
    for most in (0, -1, 4, 99):
        with pytest.raises(ArgumentError, match=rf"shift should be from 1 to 3, but got {most}"):
            shift(values, "max", WindowArguments(2), most=most)
    with pytest.raises(ArgumentError, match="no larger than the input, but output size 9 is"):
        shift(values, "max", AdaptiveArguments(9))


# ------------------------------------------------------------------------------------------- commands


class Page(HTMLParser):
    """What a page shows, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def array(values: Array, path: str = "array.npy") -> Path:
    np.save(path, values)
    return Path(path)


def test_what_was_kept_as_page_and_numbers() -> None:
    values = RANDOM.normal(size=(8, 8))
    path = array(values, "a<b>&c.npy")
    files = ("kept.html", "kept.json")
    text = run(
        *("show", path, "--what", "kept", "--restore", "unpool", "--method", "max", "--method", "soft:temperature=2"),
        *(word for file in files for word in ("-o", file)),
    )
    assert text.splitlines()[-2:] == ["page: kept.html", "numbers: kept.json"]
    assert set(contents()) == {path.name, *files}
    told = json.loads(Path("kept.json").read_text())
    assert told["methods"] == [
        {"name": "max", "parameters": {}},
        {"name": "soft", "parameters": {"temperature": 2}},
    ]
    [table] = told["tables"]
    expected = kept(field(values[None]), "max", WindowArguments(2))
    assert table["rows"][0] == {
        "map": "max",
        "shape": [4, 4],
        "used": 0.25,
        "contributors": 1,
        "repeated": expected.repeated,
        "fitted": expected.fitted,
        "unpooled": expected.unpooled,
    }
    assert "unpooled" not in table["rows"][1]
    assert "25.0%" in text
    page = Page(Path("kept.html").read_text())
    assert page.tags.count("table") == 1
    assert page.tags.count("tr") == 3
    assert "b" not in page.tags
    assert "a<b>&c.npy" in page.words
    assert "25.0%" in page.words
    [source] = page.sources
    assert source.startswith("data:image/png;base64,iVBOR")


def test_shifts_by_command() -> None:
    values = RANDOM.normal(size=(3, 6, 8)).astype(np.float32)
    text = run("show", array(values), "--shift", 2, "--method", "avg", "-o", "shift.json")
    first, second = json.loads(Path("shift.json").read_text())["tables"]
    result = shift(field(values), "avg", WindowArguments(2), most=2)
    assert [row["map"] for row in first["rows"]] == ["strided subsampling", "avg"]
    assert [first["rows"][1][f"shift_{moved}"] for moved in range(3)] == list(result.change)
    assert [second["rows"][1][f"shift_{moved}"] for moved in range(3)] == list(result.moved)
    assert f"{result.change[1]:.3f}" in text
    assert "circular shifts along the last axis, x (cells)" in " ".join(text.split())


def test_reports_for_notebooks() -> None:
    path = array(RANDOM.normal(size=(2, 6, 6)))
    looked_at = report(path, ["max", ("lp", {"norm_type": 3})], shift=3)
    assert [result.name for result in looked_at.results] == ["strided subsampling", "max", "lp (norm_type=3)"]
    curves, moved = looked_at.figure().axes
    assert [line.get_label() for line in curves.lines] == ["strided subsampling", "max", "lp (norm_type=3)"]
    np.testing.assert_array_equal(moved.lines[1].get_ydata(), looked_at.results[1].moved)
    of_subject = report(looked_at.subject, ["avg_max"], WindowArguments(3), what="kept", channel=1)
    titles = [place.get_title("left") for place in of_subject.figure().axes if place.get_title("left")]
    assert [title.partition("   ")[0] for title in titles] == [
        "original",
        "avg_max",
        "avg_max: where from",
        "avg_max: lost, repeated",
    ]
    assert all("channel 1" in title for title in titles)
    assert dataclasses.is_dataclass(of_subject.results[0])
    seen: list[str] = []

    def track(items: Any, description: str) -> Any:
        for item in items:
            seen.append(description)
            yield item

    report(path, ["max"], WindowArguments(3, 2), what="kept", track=track)
    assert seen == ["tracing"] * 4
    with pytest.raises(ArgumentError, match="at least one method"):
        report(path, [])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--what lost", "what must be one of pooled, kept, but got 'lost'"),
        ("--what kept --shift 2", "what='kept' and shift=2 are two reports"),
        ("--what kept --restore guess", "restore must be one of repeat, unpool, but got 'guess'"),
        ("--restore unpool", "restore='unpool' is for what='kept'"),
        ("--shift 8", "shift should be from 1 to 7, but got 8"),
        ("--shift x", "--shift should be an integer, but got 'x'"),
        ("--what kept --kernel-size 9", "Output size is too small"),
        ("--slice 0", "slice=0 is for volumes and videos, and array.npy has 2 axes"),
        ("--output-size 2 --stride 2", "--output-size 2 allows no stride beside it"),
        ("--output-size 0", "output_size must be greater than zero, but got 0"),
        ("--output-size 2,2,2", "output_size must be 2 ints"),
        ("--output-size 2 --method avg:divisor_override=2", "divisor_override of avg is for windows of a kernel_size"),
        ("-o a.html -o b.xyz", "b.xyz should end in"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(options: str, reason: str) -> None:
    assert reason in refused("show", array(np.ones((8, 8))), *options.split())


def test_without_torch_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    path = array(np.eye(4))
    assert refused("show", path, "--what", "kept") == 'poolkit: this needs torch: pip install "poolkit[torch]"'


def test_adaptive_pooling() -> None:
    values = RANDOM.normal(size=(7, 10))
    text = run("show", array(values), "--output-size", "2,3", "--method", "max", "-o", "x.json")
    assert "output size 2 × 3" in text
    assert json.loads(Path("x.json").read_text())["tables"][0]["rows"][1]["shape"] == [2, 3]
    small = pool(field(values[None]), "max", AdaptiveArguments((2, 3)))
    assert small.values[0, 0, 0] == values[:4, :4].max()
    assert [(axis.first, axis.step) for axis in small.axes] == [(1.25, 3.5), (7 / 6, 10 / 3)]
    assert pool(field(values[None]), "avg", AdaptiveArguments(1)).values.item() == pytest.approx(values.mean())
