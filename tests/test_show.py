"""poolkit show and poolkit explain, on small files made here and on the recording of the client's case."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import soundfile
from commands import contents, refused, run
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import poolkit
from poolkit import ArgumentError, samples
from poolkit.cli import errors
from poolkit.cli.app import app
from poolkit.methods import METHODS
from poolkit.show import Selection, WindowArguments, draw, load, pool

Array = NDArray[Any]

# librosa imports a reader of sounds that imports modules which Python 3.13 has no more.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning"),
    pytest.mark.usefixtures("folder"),
]

RANDOM = np.random.default_rng(20)


def blocks(values: Array, kernel: int) -> Array:
    """The cells of each whole kernel x kernel block, along the last axis."""
    rows, columns = (length // kernel for length in values.shape[-2:])
    cut = values[..., : rows * kernel, : columns * kernel]
    split = cut.reshape(*values.shape[:-2], rows, kernel, columns, kernel)
    return np.moveaxis(split, -3, -2).reshape(*values.shape[:-2], rows, columns, kernel * kernel)


def sound(path: str = "sound.wav", seconds: float = 1.0, rate: int = 16000, channels: int = 1) -> Path:
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, np.stack([np.sin(2 * np.pi * 1000 * (c + 1) * time) / 2 for c in range(channels)], 1), rate)
    return Path(path)


def image(path: str = "image.png", mode: str = "RGB") -> Path:
    picture = Image.fromarray(RANDOM.integers(0, 256, (24, 36, 3), dtype=np.uint8))
    picture.convert(mode).save(path)
    return Path(path)


def array(values: Array, path: str = "array.npy") -> Path:
    np.save(path, values)
    return Path(path)


def test_the_clients_recording_u1() -> None:
    """Seconds 1.5-4.5 at 16 kHz, n_fft 512 and hop 256, are 257 x 188; pooled 2 x 2 they are 128 x 94."""
    wanted = ["--start", 1.5, "--end", 4.5, "--sample-rate", 16000, "--n-fft", 512, "--hop-length", 256]
    text = run(
        "show",
        "birds_10s",
        "--method",
        "max",
        "--method",
        "avg",
        "--kernel-size",
        2,
        *wanted,
        "-o",
        "birds.png",
    )
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines() if line.strip()}
    assert rows["recording"].startswith("48000 float32 192,000")
    assert rows["spectrogram"].startswith("257 × 188 float32 193,264 -80 … 0 dB")
    assert rows["max"].startswith("128 × 94 float32 48,128 4.02× 4.02× -80 … 0 dB")
    assert rows["avg"].startswith("128 × 94 float32 48,128 4.02× 4.02×")
    assert rows["picture:"] == "birds.png"
    with Image.open("birds.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * picture.height > 800
    assert set(contents()) == {"birds.png"}

    subject = load("birds_10s", Selection(start=1.5, end=4.5))
    decibels = subject.field.values
    for name, reduce in (("max", np.max), ("avg", np.mean)):
        pooled = pool(subject.field, name, WindowArguments(kernel_size=2))
        np.testing.assert_allclose(pooled.values, reduce(blocks(decibels, 2), axis=-1), rtol=1e-5)


def test_a_tone_is_where_the_axes_say() -> None:
    """1000 Hz from second 1 to 2: there the loudest row of every map lies, whatever the pooling."""
    subject = load(sound(seconds=2), Selection(start=1))
    pooled = pool(subject.field, "max", WindowArguments(kernel_size=4, stride=3, padding=2, dilation=1))
    for field in (subject.field, pooled):
        frequency, time = field.axes
        low, high = frequency.edges(1)
        row = int(field.values[0].mean(axis=1).argmax())
        assert abs(frequency.first + row * frequency.step - 1000) <= (high - low)
        assert time.edges(field.values.shape[2])[0] == pytest.approx(1, abs=0.04)
        assert time.edges(field.values.shape[2])[1] == pytest.approx(2, abs=0.04)
    # 4 rows from 2 before the start: the first pooled row lies half a bin below 0 Hz.
    assert pooled.axes[0].first == pytest.approx(-0.5 * 16000 / 512)
    assert pooled.axes[0].step == pytest.approx(3 * 16000 / 512)


def test_same_padding_places_the_axes_too() -> None:
    subject = load(array(np.zeros((7, 7))))
    [before, _] = pool(subject.field, "max", WindowArguments(3, 2, "same")).axes
    [after, _] = pool(subject.field, "max", WindowArguments(3, 2, ((1, 1), (1, 1)))).axes
    assert before == after
    assert before.first == 0
    assert before.step == 2


def test_stereo_is_mixed_and_resampled() -> None:
    text = run("show", sound(rate=8000, channels=2))
    assert "2 channels mixed to one" in text
    assert "resampled from 8000 to 16000 Hz" in text
    assert "64,000" in text
    assert Path("sound-pooled.png").is_file()


def test_silence_is_drawn() -> None:
    soundfile.write("silence.wav", np.zeros(16000), 16000)
    assert "0 … 0 dB" in run("show", "silence.wav")


def test_channels_of_an_image_are_pooled_apart() -> None:
    subject = load(image())
    values = subject.field.values
    assert values.shape == (3, 24, 36)
    largest = pool(subject.field, "max", WindowArguments(3)).values
    assert largest.dtype == np.uint8
    np.testing.assert_array_equal(largest, blocks(values, 3).max(-1))
    mean = pool(subject.field, "avg", WindowArguments(3)).values
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, blocks(values, 3).mean(-1), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "mode", "shape", "note"),
    [
        ("x.png", "RGB", (3, 24, 36), None),
        ("x.png", "L", (1, 24, 36), None),
        ("x.png", "1", (1, 24, 36), None),
        ("x.png", "P", (3, 24, 36), "converted from mode P to RGB"),
        ("x.jpg", "CMYK", (3, 24, 36), "converted from mode CMYK to RGB"),
        ("x.tif", "I", (1, 24, 36), None),
        ("x.tif", "F", (1, 24, 36), None),
        ("x.png", "I;16", (1, 24, 36), None),
        ("x.bmp", "RGB", (3, 24, 36), None),
    ],
)
def test_modes_of_images(name: str, mode: str, shape: tuple[int, ...], note: str | None) -> None:
    if mode == "I;16":
        Image.fromarray(RANDOM.integers(0, 2**16, (24, 36), dtype=np.uint16)).save(name)
    else:
        image(name, mode)
    subject = load(name)
    assert subject.field.values.shape == shape
    assert subject.notes == (() if note is None else (note,))
    pooled = pool(subject.field, "avg", WindowArguments(2))
    assert pooled.values.shape == (shape[0], 12, 18)
    assert len(panels(draw(subject, [pooled], ""))) == 2


def test_transparency_is_seen_over_white() -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:2, :, 3] = 255
    Image.fromarray(clear).save("clear.png")
    subject = load("clear.png")
    assert subject.notes == ("transparent parts over white",)
    np.testing.assert_array_equal(subject.field.values[:, :2], 0)
    np.testing.assert_array_equal(subject.field.values[:, 2:], 255)
    Image.fromarray(clear).convert("LA").save("grey.png")
    assert load("grey.png").field.values.shape == (1, 4, 4)


def test_an_image_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.new("RGB", (36, 24)).save("turned.jpg", exif=exif)
    assert load("turned.jpg").field.values.shape == (3, 36, 24)


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:])
    subject = load("moving.gif")
    assert subject.notes[0] == "the first of 2 frames"
    np.testing.assert_array_equal(subject.field.values[0], 255)
    np.testing.assert_array_equal(subject.field.values[2], 0)


TYPES = ["?", "b", "B", "h", "H", "i", "I", "l", "L", "e", "f", "d", "g", ">f4", ">i2"]


@pytest.mark.parametrize("method", poolkit.METHODS)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_method_pools_every_type_of_number(method: str, dtype: str) -> None:
    values = np.abs(RANDOM.normal(size=(6, 8)) * 20).astype(dtype)
    subject = load(array(values))
    parameters = dict(METHODS[method].samples[0])
    pooled = pool(subject.field, method, WindowArguments(2), parameters).values
    cells = blocks(values.astype(np.float64), 2)
    expected = np.apply_along_axis(lambda window: oracle.RULES[method](window, 4, **parameters)[0].value, -1, cells)
    np.testing.assert_allclose(pooled[0].astype(np.float64), expected, rtol=2e-3 if dtype == "e" else 1e-5)


def test_rank_and_channels_of_arrays() -> None:
    assert "6 × 4" in run("show", array(RANDOM.normal(size=(6, 8))), "--rank", 1, "--channel", 5)
    shapes = {
        ((9,), None): (4,),
        ((6, 8), None): (3, 4),
        ((4, 6, 8), None): (4, 3, 4),  # the first axis holds channels
        ((4, 6, 8), 3): (2, 3, 4),
        ((4, 8), 1): (4, 4),
    }
    for (shape, rank), expected in shapes.items():
        subject = load(array(RANDOM.normal(size=shape)), Selection(rank=rank))
        pooled = pool(subject.field, "max", WindowArguments(2))
        assert pooled.shape == expected
        assert len(panels(draw(subject, [pooled], "", len(pooled.values) - 1))) == 2


def test_archives() -> None:
    np.savez("one.npz", only=np.eye(4))
    assert load("one.npz").title == "one.npz[only]"
    np.savez("two.npz", first=np.eye(4), second=np.eye(6))
    assert load("two.npz", Selection(key="second")).field.shape == (6, 6)
    assert "172 × 201" in run("show", "terrain")  # an archive of seven arrays: the sample knows which


def test_nan_and_infinity_are_counted_and_drawn() -> None:
    values = np.zeros((6, 6))
    values[0, 0], values[5, 5] = np.nan, np.inf
    text = run("show", array(values), "--method", "max")
    assert "2 NaN or ±inf" in text
    values[:] = np.nan
    assert "36 NaN" in run("show", array(values))


def test_cat_has_a_panel_for_each_half() -> None:
    subject = load(image())
    pooled = pool(subject.field, "avg_max", WindowArguments(2), {"mode": "cat"})
    assert pooled.values.shape == (6, 12, 18)
    titles = [panel.get_title("left") for panel in panels(draw(subject, [pooled], ""))]
    assert titles[1:] == ["avg_max (mode=cat) 1/2   6 × 12 × 18", "avg_max (mode=cat) 2/2   6 × 12 × 18"]


def panels(figure: Figure) -> list[Any]:
    return [place for place in figure.axes if place.get_title("left")]


def test_every_map_has_axes_and_a_colour_bar() -> None:
    subject = load(sound())
    figure = draw(subject, [pool(subject.field, name, WindowArguments(2)) for name in ("max", "avg")], "kernel 2")
    assert [place.get_xlabel() for place in panels(figure)] == ["time (s)"] * 3
    assert [place.get_ylabel() for place in panels(figure)] == ["frequency (Hz)"] * 3
    for place in panels(figure):
        [bar] = place.child_axes
        assert bar.get_ylabel() == "dB"
        assert bar.get_ylim() == (-80, 0)  # one scale, so that colours compare
        assert place.get_ylim()[0] < place.get_ylim()[1]  # low frequencies are at the bottom


def test_maps_of_another_range_have_their_own_scale() -> None:
    subject = load(array(RANDOM.uniform(1, 2, (8, 8))))
    figure = draw(subject, [pool(subject.field, "sum", WindowArguments(4))], "")
    original, total = (place.child_axes[0].get_ylim() for place in panels(figure))
    assert original[1] < 2
    assert total[0] > 16


def test_long_arrays_are_drawn_with_their_peaks() -> None:
    values = np.zeros(100_003)
    values[77_777], values[11_111] = 50, -50
    subject = load(array(values))
    [place] = panels(draw(subject, [], ""))
    [line] = place.lines
    assert len(line.get_ydata()) < 5000
    assert line.get_ydata().max() == 50
    assert line.get_ydata().min() == -50
    assert line.get_xdata()[line.get_ydata().argmax()] == pytest.approx(77_777, abs=50)


def test_large_maps_are_thinned_but_keep_their_extent() -> None:
    subject = load(array(np.zeros((3, 10_000), np.uint8)))
    [place] = panels(draw(subject, [], ""))
    assert place.images[0].get_array().shape == (3, 2000)
    assert place.get_xlim() == (-0.5, 9999.5)


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".jpg", b"\xff\xd8"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_formats_of_pictures(suffix: str, start: bytes) -> None:
    picture = Path("picture" + suffix)
    run("show", array(np.eye(4)), "-o", picture)
    assert picture.read_bytes().startswith(start)


def test_windows_reach_the_kernels() -> None:
    text = run(
        *(
            "show",
            array(RANDOM.normal(size=(9, 12))),
            "--method",
            "max",
            "--method",
            "lp",
            "--param",
            "norm_type=3",
        ),
        *("--kernel-size", "3,2", "--stride", "2,1", "--padding", "1:0,0:1", "--ceil-mode", "--dilation", 1),
    )
    assert "kernel 3 × 2, stride 2 × 1, padding 1:0 × 0:1, dilation 1, ceil mode".replace(", dilation 1", "") in text
    shape = poolkit.output_size((9, 12), (3, 2), (2, 1), ((1, 0), (0, 1)), 1, True)
    assert f"{shape[0]} × {shape[1]}" in text
    assert "lp (norm_type=3)" in text


def write(name: str, content: bytes) -> Path:
    Path(name).write_bytes(content)
    return Path(name)


def half_an_image() -> Path:
    whole = image().read_bytes()
    return write("half.png", whole[: len(whole) // 2])


def objects() -> Path:
    np.save("objects.npy", np.array([[1, None]], dtype=object), allow_pickle=True)
    return Path("objects.npy")


def short_sound() -> Path:
    return sound("short.wav", seconds=0.01)


def sound_of_nan() -> Path:
    soundfile.write("nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    return Path("nan.wav")


def sound_of_nothing() -> Path:
    soundfile.write("nothing.wav", np.zeros(0), 16000)
    return Path("nothing.wav")


def claims_to_be_huge() -> Path:
    content = array(np.zeros((50, 70))).read_bytes()
    return write("huge.npy", content[:300].replace(b"(50, 70), }         ", b"(5000000000000, 70)}"))


def two_arrays() -> Path:
    np.savez("two.npz", a=np.eye(4), b=np.eye(4))
    return Path("two.npz")


def a_folder() -> Path:
    Path("folder.png").mkdir()
    return Path("folder.png")


UNUSABLE: list[tuple[Callable[[], Path], str]] = [
    (
        lambda: Path("absent.wav"),
        "'absent.wav' is neither a file nor a sample; the samples are birds_10s, china",
    ),
    (lambda: write("empty.wav", b""), "empty.wav is empty (0 bytes)"),
    (lambda: write("empty.png", b""), "empty.png is empty (0 bytes)"),
    (lambda: write("empty.npy", b""), "empty.npy is empty (0 bytes)"),
    (lambda: write("text.wav", b"hello" * 99), "text.wav cannot be read as a sound: Format not recognised"),
    (lambda: write("text.png", b"hello" * 99), "text.png cannot be read as an image"),
    (lambda: write("text.npy", b"hello" * 99), "text.npy cannot be read as an array"),
    (lambda: write("text.npz", b"hello" * 99), "text.npz cannot be read as an array"),
    (lambda: write("text.txt", b"hello" * 99), "'.txt' are not read, but sounds .wav"),
    (half_an_image, "half.png cannot be read as an image: image file is truncated"),
    (a_folder, "folder.png is a folder, not a file"),
    (short_sound, "short.wav is too short: seconds 0-0.01 are 160 samples at 16000 Hz"),
    (sound_of_nothing, "nothing.wav is too short: it holds no samples"),
    (sound_of_nan, "Audio buffer is not finite everywhere"),
    (objects, "objects.npy cannot be read as an array"),
    (claims_to_be_huge, "huge.npy cannot be read as an array"),
    (two_arrays, "choose one by its key, which can be a, b"),
    (lambda: array(np.ones((4, 4), complex)), "holds complex128: only real numbers"),
    (lambda: array(np.array(["a", "b"])), "holds <U1: only real numbers"),
    (lambda: array(np.array(3.0)), "has 0 axes: 1, 2 or 3 are allowed"),
    (lambda: array(np.ones((2, 2, 4, 4))), "has 4 axes: 1, 2 or 3 are allowed"),
    (lambda: array(np.ones((0, 4))), "is empty: its shape is (0, 4)"),
    (lambda: array(np.ones((1, 1))), "Output size is too small"),
    (lambda: array(np.array([[1e308, -1e308]] * 2)), "lie too far apart to be drawn"),
]


@pytest.mark.parametrize(("make", "reason"), UNUSABLE, ids=[reason[:40] for _, reason in UNUSABLE])
def test_unusable_files_are_refused_in_one_line(make: Callable[[], Path], reason: str) -> None:
    assert reason in refused("show", make())


BAD_ARGUMENTS: list[tuple[str, str]] = [
    ("--method median_of_means", "'max', 'min', 'avg'"),
    (
        "--kernel-size 2.5",
        "--kernel-size should be an integer such as 2, or one an axis such as 2,3, but got '2.5'",
    ),
    ("--kernel-size 0", "kernel_size must be greater than zero, but got 0"),
    ("--kernel-size 2,2,2", "a tuple of 2 ints"),
    ("--kernel-size 99999999999999999999", "but got '99999999999999999999'"),
    ("--kernel-size 9999999999", "at most 2147483647"),
    ("--stride -1", "stride must be greater than zero, but got -1"),
    ("--stride 9,", "--stride should be an integer"),
    ("--dilation x", "--dilation should be an integer"),
    ("--padding 2", "pad should be at most half of effective kernel size"),
    ("--padding wide", "'valid', 'same', 'same_lower', but got 'wide'"),
    ("--padding 1:2:3,4", "but got"),
    ("--padding 1;2", "pairs before:after such as 0:1,2:3, or a word such as same, but got '1;2'"),
    (
        "--param norm_type=3",
        "'norm_type' is no parameter of max, avg; allowed: count_include_pad, divisor_override",
    ),
    ("--param norm_type", "--param should be NAME=VALUE such as norm_type=3, but got 'norm_type'"),
    ("--method lp", "lp needs the parameter norm_type: a number > 0"),
    ("--method lp --param norm_type=-1", "norm_type must be a number > 0, but got -1"),
    ("--method lp --param norm_type=two", "norm_type must be a number > 0, but got 'two'"),
    ("--method avg_max --param mode=mix", "mode must be 'add' or 'cat', but got 'mix'"),
    ("--start 1", "--start 1.0 is not for arrays, and array.npy is one"),
    ("--n-fft 512", "--n-fft 512 is not for arrays"),
    ("--start early", "--start should be a number, but got 'early'"),
    ("--channel 1.5", "--channel should be an integer, but got '1.5'"),
    ("--key a", "key='a' is for .npz archives"),
    ("--rank 3", "rank should be 1 or 2 for array.npy of shape (8, 8), but got 3"),
    ("--channel 1", "channel should be from 0 to 0, but got 1"),
    ("--no-such-option", "No such option: --no-such-option"),
    ("-o picture.xyz", "picture.xyz should end in .png, .jpg, .pdf, .svg, .json, .html, but got '.xyz'"),
    ("-o absent/picture.png", "absent is not a folder"),
    ("-o folder.png", "folder.png cannot be written: it exists and is not a regular file"),
]


@pytest.mark.parametrize(("options", "reason"), BAD_ARGUMENTS, ids=[options for options, _ in BAD_ARGUMENTS])
def test_bad_arguments_are_refused_in_one_line(options: str, reason: str) -> None:
    a_folder()
    assert reason in refused("show", array(np.ones((8, 8))), *options.split())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--start 2", "start should be from 0 to less than 1 s, the length of sound.wav, but got 2"),
        ("--start -1", "but got -1"),
        ("--start nan", "but got nan"),
        ("--end 1.5", "end should be at most 1 s, the length of sound.wav, but got 1.5"),
        ("--end nan", "end should be later than start=0, but got nan"),
        ("--start 0.5 --end 0.5", "end should be later than start=0.5, but got 0.5"),
        ("--start 0.5 --end 0.501", "is too short: seconds 0.5-0.501 are 16 samples"),
        ("--sample-rate 0", "sample_rate should be from 1 to 768000 Hz, but got 0"),
        ("--n-fft 1", "n_fft should be at least 2, but got 1"),
        ("--n-fft 20000", "n_fft=20000 needs at least 20000"),
        ("--hop-length 0", "hop_length should be at least 1, but got 0"),
        ("--key a", "--key a is not for sounds"),
        ("--rank 2", "--rank 2 is not for sounds"),
    ],
)
def test_what_a_sound_cannot_give_is_refused_in_one_line(options: str, reason: str) -> None:
    assert reason in refused("show", sound(), *options.split())


def test_the_channels_of_an_image_are_not_chosen() -> None:
    assert "channel=1 is for arrays" in refused("show", image(), "--channel", 1)


def test_a_missing_sample_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = samples.Sample("owl", "sound", "an owl", "no-such-package", "1.2", "owl/owl.wav", "CC0")
    monkeypatch.setitem(samples.SAMPLES, "owl", absent)
    assert refused("show", "owl").endswith("pip install --no-deps no-such-package==1.2")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_picture_is_written_whole_or_not_at_all(failure: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_a_picture(figure: Figure, stream: Any, **options: Any) -> None:
        stream.write(b"half")
        raise failure

    monkeypatch.setattr(Figure, "savefig", half_a_picture)
    path = array(np.eye(4))
    write("picture.png", b"the old picture")
    before = contents()
    result = CliRunner().invoke(app, ["show", str(path), "-o", "picture.png"])
    assert result.exit_code == (2 if isinstance(failure, OSError) else 130)
    assert contents() == before
    assert "Traceback" not in result.output
    if isinstance(failure, OSError):
        assert result.stderr == "poolkit: picture.png cannot be written: No space left on device\n"


def test_the_input_is_never_overwritten() -> None:
    path = image("picture.png")
    assert "it is the input" in refused("show", path, "-o", path)
    os.link(path, "other.png")
    assert "it is the input" in refused("show", path, "-o", "other.png")


def test_a_link_stays_a_link() -> None:
    write("target.png", b"old")
    Path("link.png").symlink_to("target.png")
    run("show", array(np.eye(4)), "-o", "link.png")
    assert Path("link.png").is_symlink()
    assert Path("target.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_comes_before_a_sample_of_the_same_name() -> None:
    write("china", b"hello")
    assert "files with the ending '' are not read" in refused("show", "china")


def test_names_with_odd_letters() -> None:
    run("show", array(np.eye(4), "[bold]$x_1$ 鳥.npy"))
    assert Path("[bold]$x_1$ 鳥-pooled.png").is_file()


@pytest.mark.parametrize("package", ["librosa", "matplotlib", "PIL", "rich", "soundfile"])
def test_a_missing_package_is_one_line(package: str) -> None:
    path = image() if package == "PIL" else sound()
    result = python(
        f"import sys; sys.modules[{package!r}] = None; sys.argv = ['poolkit', 'show', {str(path)!r}]\n"
        "from poolkit.cli import main; main()"
    )
    assert result.returncode == 2
    assert result.stderr == f'poolkit: this needs {package}: pip install "poolkit[show]"\n'
    assert set(contents()) == {path.name}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_typer_the_command_says_what_to_install() -> None:
    result = python("import sys; sys.modules['typer'] = None; from poolkit.cli import main; main()")
    assert result.returncode == 2
    assert result.stderr == 'poolkit: this needs typer: pip install "poolkit[show]"\n'


def test_help_imports_nothing_heavy() -> None:
    heavy = ("numpy", "torch", "librosa", "matplotlib", "PIL", "soundfile")
    result = python(
        f"import sys; sys.argv = ['poolkit', 'show', '--help']; from poolkit.cli.app import app\n"
        f"try: app()\nfinally: assert not set({heavy}) & set(sys.modules)"
    )
    assert result.returncode == 0, result.stderr
    assert "--kernel-size" in result.stdout


def test_show_never_imports_torch() -> None:
    array(np.eye(4))
    result = python(
        "import sys; sys.argv = ['poolkit', 'show', 'array.npy']; from poolkit.cli.app import app\n"
        "try: app()\nfinally: assert 'torch' not in sys.modules"
    )
    assert result.returncode == 0, result.stderr
    assert Path("array-pooled.png").is_file()


def test_mistakes_of_poolkit_keep_their_traceback() -> None:
    assert errors.line(KeyError("x")) is None
    assert errors.line(ModuleNotFoundError("x", name="poolkit.absent")) is None
    assert errors.line(ArgumentError("two\n  lines")) == "poolkit: two lines"
    assert errors.line(MemoryError()) == "poolkit: there is not enough memory for this"


def test_version_and_bare_command() -> None:
    assert run("--version") == f"poolkit {poolkit.__version__}\n"
    assert "show" in run()


def test_samples_are_listed() -> None:
    text = run("samples")
    for name, sample in samples.SAMPLES.items():
        [row] = [line for line in text.splitlines() if line.split()[:1] == [name]]
        assert sample.kind in row
        assert sample.licence in row
        assert sample.package in row


def test_explain_names_the_instruction_set() -> None:
    text = run("explain", "max", "--input-shape", "32,64,112,112", "--kernel-size", 3, "--stride", 2, "--padding", 1)
    assert text.startswith("max: kernel; isa ")
    assert "112x112 -> 1x56x56" in text
    adaptive = run("explain", "avg", "--input-shape", "2,3,7,7", "--output-size", 1, "--channels-last")
    assert adaptive.startswith("avg: kernel; isa ")
    both = run(
        "explain",
        "avg_max",
        "--input-shape",
        "1,2,8",
        "--kernel-size",
        2,
        "--param",
        "mode=cat",
        "--backward",
    )
    assert [line.split(":")[0] for line in both.splitlines()] == ["avg", "max"]
    assert "reference" in run("explain", "avg", "--input-shape", "1,2,8", "--kernel-size", 2, "--dtype", "int8")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("max --kernel-size 2", "Missing option '--input-shape'"),
        ("max --input-shape 2,3,8", "--kernel-size is missing, or --output-size"),
        (
            "max --input-shape 8 --kernel-size 2",
            "--input-shape should be batch, channels and 1 to 3 spatial sizes",
        ),
        ("max --input-shape 2,-3,8 --kernel-size 2", "but got '2,-3,8'"),
        ("max --input-shape 2,x --kernel-size 2", "--input-shape should be integers such as 32,64,112,112"),
        ("max --input-shape 9999999,99999999,99999999 --kernel-size 2", "does not fit into memory"),
        ("max --input-shape 2,3,8 --output-size 2 --stride 2", "--output-size 2 allows no stride beside it"),
        ("max --input-shape 2,3,8 --output-size -2", "greater than or equal to 0"),
        ("max --input-shape 2,3,8 --kernel-size 9", "Output size is too small"),
        (
            "max --input-shape 2,3,8 --kernel-size 2 --channels-last",
            "--channels-last is for 2 or 3 spatial sizes",
        ),
        ("max --input-shape 2,3,8 --kernel-size 2 --dtype f32", "--dtype should be one of float32, float64"),
        ("best --input-shape 2,3,8 --kernel-size 2", "but got 'best'"),
        ("lp --input-shape 2,3,8 --kernel-size 2", "lp needs the parameter norm_type"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(options: str, reason: str) -> None:
    assert reason in refused("explain", *options.split())
