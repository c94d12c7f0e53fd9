"""Draws docs/images/<name>.png for the pages of methods and layers and for the gallery, from files of other packages.

python tools/pictures.py              all of them
python tools/pictures.py soft median  these
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import pathlib
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import torch
from PIL import Image

from poolkit import functional as F
from poolkit import nn
from poolkit.cli import errors
from poolkit.cli.app import app
from poolkit.methods import Row
from poolkit.show import Axis, Field, Selection, Subject, draw, load, save
from poolkit.show.writing import whole

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
IMAGES = DOCS / "images"
WIDTH, MOST_BYTES = 960, {"page": 60_000, "gallery": 150_000}

_SONG = "birds_10s --start 1.8 --end 2.8"
_PORTRAIT = "grace_hopper --kernel-size 16"

#: What `poolkit show` is told for the page of a method or a layer.
COMMANDS = {
    "max": f"{_SONG} --kernel-size 4 --method max --method avg",
    "min": "terrain --kernel-size 8 --method min --method max",
    "avg": f"{_PORTRAIT} --method avg --method max",
    "sum": "terrain --kernel-size 8 --method sum --method avg",
    "lp": "terrain --kernel-size 8 --method lp:norm_type=1 --method lp:norm_type=8",
    "power_avg": f"{_PORTRAIT} --method power_avg:norm_type=1 --method power_avg:norm_type=16",
    "avg_max": f"{_PORTRAIT} --method avg_max:mode=cat",
    "soft": f"{_SONG} --kernel-size 4 --method soft:temperature=2 --method soft:temperature=50",
    "mixed": f"{_PORTRAIT} --method mixed --method mixed:training=true --seed 1",
    "stochastic": "grace_hopper --kernel-size 8 --method stochastic --method stochastic:training=true",
    "median": f"{_PORTRAIT} --method median --method avg",
    "quantile": f"{_SONG} --kernel-size 6 --method quantile:q=0.1 --method quantile:q=0.9",
    "top_k_mean": f"{_SONG} --kernel-size 6 --method top_k_mean:k=4 --method avg",
    "trimmed_mean": f"{_SONG} --kernel-size 6 --method trimmed_mean --method avg",
    "gem": f"{_PORTRAIT} --method gem:p=1 --method gem:p=8",
    "log_sum_exp": f"{_SONG} --kernel-size 6 --method log_sum_exp:r=0 --method log_sum_exp:r=0.3",
    "range": "grace_hopper --kernel-size 8 --method range --method std",
    "std": f"{_SONG} --kernel-size 6 --method std --method avg",
    "var": "terrain --kernel-size 8 --method var --method std",
    "blur": "terrain --kernel-size 12 --method blur:filter_size=1 --method blur:filter_size=23",
    "max_blur": "terrain --kernel-size 4 --shift 8 --method max --method max_blur --method max_blur:filter_size=7",
    "fractional_max": "terrain --kernel-size 16 --method max --method fractional_max:output_ratio=0.09",
    "pool_mixer": "birds_10s --start 2 --end 2.3 --method pool_mixer:kernel_size=7",
    "haar": "birds_10s --start 2 --end 2.3 --method haar",
    "strip": f"{_SONG} --method strip --method strip:kind=max",
    "corner": "terrain --method corner:side=left --method corner:side=top",
    "center": "terrain --method center",
}


def gallery() -> dict[str, str]:
    """What `poolkit show` is told for the pictures of the gallery, read from its page."""
    found = re.findall(r"^\$ poolkit show (.+) -o (\w+)\.png$", (DOCS / "gallery.md").read_text(), re.MULTILINE)
    return {name: command for command, name in found}


Drawing = tuple[Subject, list[Field]]


def _pooled(name: str, values: torch.Tensor, axes: Iterable[Axis]) -> Field:
    return Field(name, values.numpy(), tuple(axes), single=True)


def _song() -> tuple[Subject, torch.Tensor]:
    """The spectrogram, and it as a sequence whose channels are the frequencies."""
    subject = load("birds_10s", Selection(start=1.8, end=2.8))
    return subject, torch.from_numpy(subject.field.values)


def _heights() -> tuple[Subject, torch.Tensor]:
    subject = load("terrain")
    return subject, torch.from_numpy(subject.field.values).float()[None]


def temporal() -> Drawing:
    subject, song = _song()
    kinds = ("mean", "max")
    return subject, [_pooled(kind, F.temporal_pool(song, kind), subject.field.axes[:1]) for kind in kinds]


def statistics() -> Drawing:
    subject, song = _song()
    halves = F.statistics_pool(song).chunk(2, dim=1)
    fields = zip(("mean", "standard deviation"), halves, strict=True)
    return subject, [_pooled(name, values, subject.field.axes[:1]) for name, values in fields]


def k_max() -> Drawing:
    subject, song = _song()
    loudest = _pooled("loudest frequency of each step", song.amax(dim=1), subject.field.axes[1:])
    steps = torch.from_numpy(loudest.values)[None]
    orders = [(order, F.k_max_pool1d(steps, 12, order)[0]) for order in ("position", "value")]
    fields = [_pooled(f"order={order}", values, [Axis("place among the largest")]) for order, values in orders]
    return dataclasses.replace(subject, field=loudest), fields


def spatial_pyramid() -> Drawing:
    subject, heights = _heights()
    vector, levels = F.spatial_pyramid_pool2d(heights, (2, 4, 8)), (2, 4, 8)
    parts = zip(levels, vector.split([level**2 for level in levels], dim=1), strict=True)
    return subject, [
        _pooled(
            f"level {level}", part.reshape(1, level, level), _spread(subject.field, (0, 0), heights.shape[2:], level)
        )
        for level, part in parts
    ]


def sppf() -> Drawing:
    subject, heights = _heights()
    part = heights[..., 150:270, 80:220]
    maps = F.sppf_pool2d(part, 9)[0, 1:]
    return dataclasses.replace(subject, field=_pooled("a part", part[0], subject.field.axes)), [
        _pooled(f"windows of {size} x {size}", values[None], subject.field.axes)
        for size, values in zip((9, 17, 25), maps, strict=True)
    ]


#: Left, top, right, bottom in the portrait.
BOXES = {"face": (150, 130, 350, 340), "insignia": (130, 30, 390, 130)}


def _regions(pool: Callable[..., Any]) -> Drawing:
    subject = load("grace_hopper")
    boxes = torch.tensor([(0, *box) for box in BOXES.values()], dtype=torch.float32)
    bins = pool(torch.from_numpy(subject.field.values.copy()).float()[None], boxes, 24)
    return subject, [
        dataclasses.replace(_pooled(name, values, _spread(subject.field, box[1::-1], box[:1:-1], 24)), single=False)
        for (name, box), values in zip(BOXES.items(), bins, strict=True)
    ]


def _spread(field: Field, first: Iterable[int], last: Iterable[int], bins: int) -> list[Axis]:
    """Axes of a grid of bins between two corners."""
    corners = zip(field.axes, first, last, strict=True)
    return [Axis(axis.label, low + (high - low) / bins / 2, (high - low) / bins) for axis, low, high in corners]


def local_importance() -> Drawing:
    subject, heights = _heights()
    logits = {"logits favour the high": heights / 20, "logits favour the low": -heights / 20}
    return subject, [
        _in_blocks(subject, name, F.local_importance_pool2d(heights, t, 12, 12, 0)) for name, t in logits.items()
    ]


def detail_preserving() -> Drawing:
    subject, heights = _heights()
    pooled = F.detail_preserving_pool2d(heights, torch.tensor([-4.0]), torch.tensor([1.5]), 12)
    return subject, [
        _in_blocks(subject, "average", F.avg_pool2d(heights, 12)),
        _in_blocks(subject, "alpha=-4, lam=1.5", pooled),
    ]


def mode() -> Drawing:
    """Labels have no mean."""
    subject, heights = _heights()
    bands = (heights / 200).long() * 7 % 5
    field = dataclasses.replace(subject.field, name="labels", values=bands[0].numpy())
    subject = dataclasses.replace(subject, field=field, unit="label", limits=None)
    return subject, [
        _in_blocks(subject, "mode", F.mode_pool2d(bands, 12)),
        _in_blocks(subject, "average: no label's number", F.avg_pool2d(bands.float(), 12)),
    ]


def masked() -> Drawing:
    """The low ground is not to count."""
    subject, heights = _heights()
    high = heights > 450
    field = dataclasses.replace(subject.field, values=heights.masked_fill(~high, torch.nan)[0].numpy())
    subject = dataclasses.replace(subject, field=field)
    average = F.masked_avg_pool2d(heights, high, 12)
    assert isinstance(average, torch.Tensor)  # the mask was not asked for
    return subject, [
        _in_blocks(subject, "masked", average),
        _in_blocks(subject, "zeros instead", F.avg_pool2d(heights * high, 12)),
    ]


def _in_blocks(subject: Subject, name: str, values: torch.Tensor) -> Field:
    return _pooled(name, values[0], [Axis(axis.label, 5.5, 12) for axis in subject.field.axes])


def _portrait() -> tuple[Subject, torch.Tensor]:
    """In blocks of 8 x 8 pixels."""
    subject = load("grace_hopper")
    blocks = F.avg_pool2d(torch.from_numpy(subject.field.values.copy()).float()[None], 8)
    axes = tuple(Axis(axis.label, 3.5, 8) for axis in subject.field.axes)
    return dataclasses.replace(
        subject, field=dataclasses.replace(subject.field, values=blocks[0].round().byte().numpy(), axes=axes)
    ), blocks


def channel() -> Drawing:
    subject, portrait = _portrait()
    maps = F.channel_pool(portrait, ("mean", "max"))[0]
    names = zip(("mean of red, green and blue", "maximum"), maps, strict=True)
    return subject, [_pooled(name, values[None], subject.field.axes) for name, values in names]


def attention() -> Drawing:
    """Values that name their step give the weights themselves."""
    subject, song = _song()
    steps = song[0].T / 20
    loudest = steps[steps.mean(1).argmax()]
    queries = {"the mean of all steps": steps.mean(0), "the loudest step": loudest}
    weights = F.attention_pool(torch.stack(list(queries.values())), steps, torch.eye(len(steps)))
    parts = zip(queries, weights, strict=True)
    subject = dataclasses.replace(subject, unit="")  # which weights do not have
    return subject, [_pooled(f"weights, asked by {name}", w[None], subject.field.axes[1:]) for name, w in parts]


@torch.no_grad()
def gated_attention() -> Drawing:
    subject, song = _song()
    steps = song[0].T
    pool = nn.GatedAttentionPool(steps.shape[1], hidden_channels=1)
    for parameter in pool.parameters():
        parameter.zero_()
    signal, weigh = pool.content, pool.score
    loudness = steps.mean(1)
    signal.weight.fill_(1 / len(steps[0]) / loudness.std())
    signal.bias.fill_(-float(loudness.mean() / loudness.std()))
    weigh.weight.fill_(8)
    rows = {"mean": steps.mean(0), "loud steps weigh more": pool(steps)}
    return subject, [_pooled(name, values[None], subject.field.axes[:1]) for name, values in rows.items()]


@torch.no_grad()
def squeeze_excitation() -> Drawing:
    """A gate that opens for the channel whose mean is largest."""
    subject, portrait = _portrait()
    block = nn.SqueezeExcitation2d(3, reduction=1)
    _favour_the_largest(block)
    return subject, [_picture(subject, "the strongest channel favoured", block(portrait / 255))]


@torch.no_grad()
def cbam() -> Drawing:
    """The same, then a gate that opens where the channels' mean is large around a cell."""
    subject, portrait = _portrait()
    block = nn.CBAM2d(3, reduction=1, kernel_size=31)
    _favour_the_largest(block)
    block.cells.weight[:, 0] = 12 / 31**2
    block.cells.weight[:, 1] = -6 / 31**2
    return subject, [_picture(subject, "channels, then cells", block(portrait / 255))]


def _favour_the_largest(block: Any) -> None:
    for convolution in (block.fc1, block.fc2):
        convolution.bias.zero_()
        convolution.weight.copy_(torch.eye(3)[..., None, None])
    block.fc2.weight.copy_((40 * (torch.eye(3) - 1 / 3))[..., None, None])


def _picture(subject: Subject, name: str, values: torch.Tensor) -> Field:
    pixels = (255 * values[0] / values.max()).round().byte()
    return dataclasses.replace(_pooled(name, pixels, subject.field.axes), single=False)


def _learnt(layer: Callable[..., torch.nn.Module], name: str, starts: Iterable[float]) -> Drawing:
    subject, heights = _heights()
    pooled = [(f"{name}={start:g}", layer(12, **{name: start})(heights).detach()) for start in starts]
    return subject, [_in_blocks(subject, title, values) for title, values in pooled]


#: What the pictures of layers show, and how.
LAYERS: dict[str, tuple[str, Callable[[], Drawing]]] = {
    "temporal": ("each frequency over all steps", temporal),
    "statistics": ("each frequency over all steps", statistics),
    "k_max": ("the 12 largest of 63 steps", k_max),
    "local_importance": ("kernel 12, stride 12, logits given", local_importance),
    "detail_preserving": ("kernel 12, stride 12", detail_preserving),
    "masked_avg": ("kernel 12, stride 12, heights above 450 alone", masked),
    "mode": ("kernel 12, stride 12, heights in five classes", mode),
    "spatial_pyramid": ("max pooling, levels 2, 4 and 8", spatial_pyramid),
    "sppf": ("max pooling by 9 x 9, once, twice and three times", sppf),
    "learnt_power": (
        "kernel 12, exponents that training may find",
        functools.partial(_learnt, nn.LearntPowerAvgPool2d, "norm_type", (1, 64)),
    ),
    "learnt_log_sum_exp": (
        "kernel 12, sharpness that training may find",
        functools.partial(_learnt, nn.LearntLogSumExpPool2d, "r", (-0.5, 0, 0.5)),
    ),
    "channel": ("the three channels of every cell", channel),
    "attention": ("the steps of the song as tokens", attention),
    "gated_attention": ("each frequency over all steps, weights set by hand", gated_attention),
    "squeeze_excitation": ("weights set by hand", squeeze_excitation),
    "cbam": ("weights set by hand", cbam),
    "roi_align": ("two boxes, each to 24 x 24", functools.partial(_regions, F.roi_align)),
    "roi_pool": ("two boxes, each to 24 x 24", functools.partial(_regions, F.roi_pool)),
}


def page(row: Row) -> list[str]:
    """The lines that show the picture of a page, if it has one."""
    if row.name not in (*COMMANDS, *LAYERS):
        return []
    command = f"poolkit show {COMMANDS[row.name]}" if row.name in COMMANDS else "make pictures"
    return [f"![{row.title}, beside the original](../images/{row.name}.png)", "", f"Drawn by `{command}`.", ""]


def shown(name: str, path: pathlib.Path) -> None:
    """The picture in full."""
    if name in LAYERS:
        caption, drawing = LAYERS[name]
        save(draw(*drawing(), caption), path)
        return
    command = (COMMANDS | gallery())[name]
    with contextlib.redirect_stdout(io.StringIO()):
        app(["show", *shlex.split(command), "--output", str(path)], standalone_mode=False)


def small(path: pathlib.Path, target: pathlib.Path, most: int) -> None:
    """The picture with as many colours as the size of a page's image allows."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    for colours in (256, 192, 128, 96, 64):
        stream = io.BytesIO()
        picture.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE).save(
            stream, "PNG", optimize=True
        )
        if stream.tell() <= most:
            break
    else:
        raise SystemExit(f"{target.name}: {stream.tell()} bytes with {colours} colours; draw less")
    with whole(target) as file:
        file.write(stream.getvalue())
    print(f"{target.name}: {stream.tell()} bytes, {colours} colours")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or (*COMMANDS, *LAYERS, *gallery()):
            drawn = pathlib.Path(folder) / "drawn.png"
            try:
                shown(name, drawn)
            except (FileNotFoundError, ModuleNotFoundError) as error:  # samples of packages that not everybody has
                print(f"{name}.png stays as it is: {errors.line(error)}")
                continue
            small(drawn, IMAGES / f"{name}.png", MOST_BYTES["gallery" if name in gallery() else "page"])
