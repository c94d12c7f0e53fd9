"""Layers in `poolkit show`: their maps against plain NumPy, where these lie, and what cannot be drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import contents, refused, run
from numpy.typing import NDArray
from PIL import Image

from poolkit import ArgumentError, functional
from poolkit.methods import LAYERS, METHODS
from poolkit.show import (
    AdaptiveArguments,
    Axis,
    Field,
    WindowArguments,
    draw,
    kept,
    load,
    pool,
    pool_layer,
    report,
    shift,
)
from poolkit.show.layers import SHOWN

Array = NDArray[Any]

pytestmark = pytest.mark.usefixtures("folder")

RANDOM = np.random.default_rng(11)
NEEDED = {"k_max": {"k": 2}}


def field_of(values: Array) -> Field:
    return Field("original", values, tuple(Axis(name) for name in "zyx"[-values.ndim + 1 :]))


def maps(values: Array, name: str, windows: Any = None, **parameters: Any) -> list[Array]:
    return [y.values for y in pool_layer(field_of(values), name, windows or WindowArguments(2), parameters)]


MAP = RANDOM.normal(size=(3, 8, 12)).astype(np.float32)
BLOCKS = MAP.reshape(3, 4, 2, 6, 2)


def test_maps_of_layers_are_what_their_formulas_say() -> None:
    expected = {
        ("masked_avg",): [BLOCKS.mean((2, 4))],
        ("masked_max",): [BLOCKS.max((2, 4))],
        ("learnt_mixed",): [(BLOCKS.max((2, 4)) + BLOCKS.mean((2, 4))) / 2],
        ("gated",): [(BLOCKS.max((2, 4)) + BLOCKS.mean((2, 4))) / 2],
        ("learnt_power", ("norm_type", 1)): [np.abs(BLOCKS).mean((2, 4))],
        ("learnt_log_sum_exp", ("r", 1)): [np.log(np.exp(BLOCKS).mean((2, 4)))],
        ("blur", ("filter_size", 1)): [MAP[:, ::2, ::2]],
        ("space_to_depth",): [np.concatenate([MAP[:, y::2, x::2] for y in (0, 1) for x in (0, 1)])],
        ("haar",): [
            np.concatenate(
                [
                    (BLOCKS * np.array([[1, dx], [dy, dx * dy]])[:, None]).sum((2, 4)) / 2
                    for dy in (1, -1)
                    for dx in (1, -1)
                ]
            )
        ],
        ("strip", ("kind", "max")): [MAP.max(2, keepdims=True), MAP.max(1, keepdims=True)],
        ("corner", ("side", "left")): [np.maximum.accumulate(MAP[..., ::-1], 2)[..., ::-1]],
        ("center",): [MAP.max(2, keepdims=True) + MAP.max(1, keepdims=True)],
        ("channel",): [MAP.mean(0, keepdims=True), MAP.max(0, keepdims=True)],
        ("k_max", ("k", 2), ("order", "value")): [np.sort(MAP)[..., :-3:-1]],
        ("spatial_pyramid", ("levels", (1, (2, 3)))): [
            MAP.max((1, 2), keepdims=True),
            MAP.reshape(3, 2, 4, 3, 4).max((2, 4)),
        ],
    }
    for (name, *parameters), wanted in expected.items():
        found = maps(MAP, name, **dict(parameters))
        assert len(found) == len(wanted), name
        for mine, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5, err_msg=name)


def test_layers_take_what_they_have_of_the_windows() -> None:
    x, wide = torch.from_numpy(MAP), WindowArguments(3, (2, 1), 1)
    np.testing.assert_array_equal(
        maps(MAP, "blur", WindowArguments(3, (2, 1)))[0], functional.blur_pool2d(x, 4, (2, 1)).numpy()
    )
    np.testing.assert_array_equal(
        maps(MAP, "max_blur", wide, filter_size=3)[0], functional.max_blur_pool2d(x, 3, 3, (2, 1), padding=1).numpy()
    )
    np.testing.assert_array_equal(
        maps(MAP, "detail_preserving", wide, alpha=-4, lam=1.5)[0],
        functional.detail_preserving_pool2d(x, torch.full((3,), -4.0), torch.full((3,), 1.5), 3, (2, 1), 1).numpy(),
    )
    assert maps(MAP, "fractional_max")[0].shape == (3, 4, 6)
    assert maps(MAP, "fractional_max", output_ratio=0.7)[0].shape == (3, 5, 8)
    assert maps(MAP, "fractional_max", AdaptiveArguments((3, 5)))[0].shape == (3, 3, 5)
    np.testing.assert_allclose(
        maps(MAP, "masked_avg", AdaptiveArguments(1))[0], MAP.mean((1, 2), keepdims=True), rtol=1e-5, atol=1e-6
    )
    [mixed] = maps(MAP, "pool_mixer", WindowArguments(4))  # whose window is its own
    np.testing.assert_array_equal(mixed, functional.pool_mixer2d(x).numpy())
    assert len(maps(MAP, "sppf", kernel_size=3, repeats=2)) == 2


@pytest.mark.parametrize("name", SHOWN)
def test_every_layer_is_shown_in_each_of_its_ranks(name: str) -> None:
    for rank in SHOWN[name].ranks:
        field = field_of(RANDOM.integers(0, 9, (2, 6, 8, 10)[: rank + 1]))
        results = pool_layer(field, name, WindowArguments(2), NEEDED.get(name))
        assert results
        for result in results:
            assert result.values.ndim == rank + 1
            assert len(result.axes) == rank
            assert np.isfinite(result.values).all()


def saved(values: Array) -> Path:
    np.save("x.npy", values)
    return Path("x.npy")


def test_layers_are_where_their_cells_are() -> None:
    field = field_of(MAP)
    place = {name: pool_layer(field, name, WindowArguments(2))[0].axes[1] for name in ("blur", "haar", "masked_avg")}
    assert {(axis.first, axis.step) for axis in place.values()} == {(0.5, 2)}
    rows, columns = pool_layer(field, "strip", WindowArguments(2))
    assert rows.axes[1].edges(1) == columns.axes[1].edges(12) == (-0.5, 11.5)
    assert pool_layer(field, "center", WindowArguments(2))[0].axes == field.axes


def test_cells_without_a_number_do_not_count_under_a_mask() -> None:
    values = MAP.copy()
    values[:, 0, 0] = np.nan
    averages, maxima = maps(values, "masked_avg")[0], maps(values, "masked_max")[0]
    cells = values[:, :2, :2].reshape(3, 4)[:, 1:]
    np.testing.assert_allclose(averages[:, 0, 0], cells.mean(1), rtol=1e-5)
    np.testing.assert_array_equal(maxima[:, 0, 0], cells.max(1))
    assert np.isfinite(averages).all()


def test_weights_and_draws_come_from_the_seed() -> None:
    field = field_of(MAP)
    before = torch.random.get_rng_state()
    for name, parameters in (("tree", {}), ("fractional_max", {"training": True, "output_ratio": 0.7})):
        [first], [again], [other] = (
            pool_layer(field, name, WindowArguments(2), parameters, seed) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first.values, again.values)
        assert (first.values != other.values).any()
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_map_of_all_channels_stands_beside_a_picture_in_colour() -> None:
    Image.fromarray(RANDOM.integers(0, 256, (8, 10, 3), dtype=np.uint8)).save("x.png")
    subject = load("x.png")
    figure = draw(subject, pool_layer(subject.field, "channel", WindowArguments(2)), "")
    titles = [place.get_title("left") for place in figure.axes if place.get_title("left")]
    assert titles == ["original   3 × 8 × 10", "channel mean   1 × 8 × 10", "channel max   1 × 8 × 10"]


def test_layers_under_shifts() -> None:
    """A shift by the stride moves the map, and blurring takes the others better than taking every fourth cell."""
    field, windows = field_of(RANDOM.normal(size=(1, 8, 24))), WindowArguments(4)
    for name in ("blur", "max_blur", "local_importance", "space_to_depth", "haar", "sppf"):
        result = shift(field, name, windows, {}, 4)
        assert result.change[0] == 0
        assert result.moved[4] == pytest.approx(0, abs=1e-5), name
        assert result.moved[1] > 0.01 or isinstance(SHOWN[name].windows, WindowArguments), name
    sampled, steady = shift(field, None, windows, {}, 2), shift(field, "blur", windows, {"filter_size": 7}, 2)
    assert steady.moved[1] < sampled.moved[1]
    with pytest.raises(ArgumentError, match="shift is for maps that move with the input, which those of corner do not"):
        shift(field, "corner", windows, {}, 2)


def test_where_the_maps_of_layers_come_from() -> None:
    field, windows = field_of(MAP.astype(np.float64)), WindowArguments(3, 2, 1)
    masked, plain = (kept(field, name, windows) for name in ("masked_max", "max"))
    np.testing.assert_allclose(masked.shares.values, plain.shares.values)
    assert masked.repeated == pytest.approx(plain.repeated)
    importance = kept(field, "local_importance", windows)
    assert 1 < importance.contributors < 9
    assert importance.used == 1
    mixed = kept(field, "learnt_mixed", windows)
    average = kept(field, "avg", windows)
    np.testing.assert_allclose(mixed.shares.values.sum(), average.shares.values.sum())
    with pytest.raises(ArgumentError, match=r"follows all methods and the layers masked_avg, .*, but not blur"):
        kept(field, "blur", windows)


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in SHOWN])
def test_what_makes_no_map_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{name} makes no map .* 'blur', ") as caught:
        report("x.npy", [name])
    assert all(repr(drawn) in str(caught.value) for drawn in (*METHODS, *SHOWN))


def test_several_beside_methods_on_the_command_line() -> None:
    text = run(
        *("show", saved(MAP), "--kernel-size", 4, "--method", "max", "--method", "blur:filter_size=3,sizes=timm"),
        *("--method", "strip", "--method", "haar", "--param", "kind=min", "-o", "x.json"),
    )
    names = ["original", "max", "blur (filter_size=3, sizes=timm)", "strip (kind=min) along the height", "haar"]
    for name in names:
        assert name in text
    assert json.loads(Path("x.json").read_text())["methods"][1] == {
        "name": "blur",
        "parameters": {"filter_size": 3, "sizes": "timm"},
    }
    assert set(contents()) == {"x.npy", "x.json"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--method attention", "attention makes no map that could be drawn beside its input; show draws the methods"),
        ("--method blurr", "'spatial_pyramid', but got 'blurr'; did you mean 'blur'"),
        ("--method blur:sigma=2", "'sigma' is no parameter of blur; allowed: filter_size, padding_mode, sizes"),
        ("--method masked_max:stride=1", "'stride' is no parameter of masked_max; none is allowed"),
        ("--method blur:filter_size=0", "filter_size must be greater than zero, but got 0"),
        ("--method blur:filter_size=wide", "blur: filter_size must be an int, but got 'wide' (str)"),
        ("--method blur --padding 1", "blur has no padding, but got padding=1"),
        ("--method local_importance --dilation 2", "local_importance has no dilation, but got dilation=2"),
        ("--method haar --output-size 2", "haar has no output_size, but got output_size=2"),
        ("--method space_to_depth --stride 1", "stride must be the kernel size for the blocks of space_to_depth"),
        ("--method k_max", "k_max needs the parameter k"),
        ("--method corner --rank 1", "corner is for 2 spatial axes, but here are 1"),
        ("--method mode", "mode: mode_pool2d(): input must be"),
        ("--method blur --what kept", "but not blur"),
    ],
)
def test_what_layers_cannot_do_is_refused_in_one_line(options: str, reason: str) -> None:
    values = RANDOM.normal(size=(8, 8))
    assert reason in refused("show", saved(values), *options.split())


def test_windows_are_named_where_something_follows_from_them() -> None:
    for names, words in ((["haar"], "windows of their own"), (["haar", "blur"], "kernel 2, stride 2")):
        assert report(saved(MAP), names).windows == words


def test_layers_agree_with_methods_side_by_side() -> None:
    result = report(saved(MAP[0]), ["avg", "masked_avg"], WindowArguments(3, 1))
    average, masked = result.results
    assert isinstance(average, Field)
    assert isinstance(masked, Field)
    np.testing.assert_allclose(masked.values, average.values, rtol=1e-5, atol=1e-6)
    assert masked.axes == average.axes == pool(load("x.npy").field, "avg", WindowArguments(3, 1)).axes
