"""Volumes, DICOM images, videos and waveforms: what poolkit show reads of them, and what it refuses."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import soundfile
from commands import contents, refused, run
from numpy.typing import NDArray

from poolkit import ArgumentError, samples
from poolkit.show import Selection, WindowArguments, draw, load, pool

Array = NDArray[Any]

# librosa imports a reader of sounds that imports modules which Python 3.13 has no more.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning"),
    pytest.mark.usefixtures("folder"),
]

RANDOM = np.random.default_rng(3)


def titles(figure: Any) -> list[str]:
    return [place.get_title("left") for place in figure.axes if place.get_title("left")]


def nifti(values: Array, name: str = "head.nii.gz", affine: Array | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2, 3, 4, 1.0]) if affine is None else affine), name)
    return Path(name)


def pydicom_file(name: str) -> Path:
    """A file that pydicom carries for its own tests, copied here."""
    target = Path(name)
    shutil.copyfile(samples.find("ct").with_name(name), target)
    return target


# ---------------------------------------------------------------------------------------------- volumes


def test_a_volume_is_turned_upright_and_pooled_along_three_axes() -> None:
    values = RANDOM.integers(0, 999, (6, 8, 4)).astype(np.int16)  # x, y, z
    subject = load(nifti(values, affine=np.diag([-2, 3, 4, 1.0])))  # x grows to the left
    np.testing.assert_array_equal(subject.field.values[0], values[::-1].T)
    assert subject.field.values.dtype == np.int16
    assert [(axis.label, axis.step) for axis in subject.field.axes] == [("z (mm)", 4), ("y (mm)", 3), ("x (mm)", 2)]
    largest = pool(subject.field, "max", WindowArguments(2))
    np.testing.assert_array_equal(largest.values[0], values[::-1].T.reshape(2, 2, 4, 2, 3, 2).max((1, 3, 5)))
    assert titles(draw(subject, [largest], "", slice=3)) == [
        "original   4 × 8 × 6   slice 3",
        "max   2 × 4 × 3   slice 1",
    ]
    assert titles(draw(subject, [largest], "")) == ["original   4 × 8 × 6   slice 2", "max   2 × 4 × 3   slice 1"]


def test_several_volumes_are_channels() -> None:
    subject = load(nifti(RANDOM.normal(size=(6, 8, 4, 3)).astype(np.float32), "several.nii"))
    assert subject.field.shape == (3, 4, 8, 6)
    assert subject.notes == ("3 volumes, pooled apart",)
    assert titles(draw(subject, [], "", channel=2)) == ["original   3 × 4 × 8 × 6   channel 2   slice 2"]


def test_a_volume_by_command() -> None:
    text = run("show", nifti(np.ones((6, 8, 4), np.float32)), "--kernel-size", "1,2,2", "--slice", 1)
    assert "4 × 4 × 3" in text
    assert "kernel 1 × 2 × 2" in text
    assert set(contents()) == {"head.nii.gz", "head-pooled.png"}
    assert "slice should be from 0 to 3, but got 4" in refused("show", "head.nii.gz", "--slice", 4)
    assert "channel should be from 0 to 0, but got 1" in refused("show", "head.nii.gz", "--channel", 1)
    assert "--rank 3 is not for volumes, and head.nii.gz is one" in refused("show", "head.nii.gz", "--rank", 3)


def test_a_head_that_nibabel_carries() -> None:
    assert load("head").field.shape == (2, 24, 96, 128)


def test_three_axes_of_an_array() -> None:
    np.save("x.npy", np.arange(60.0).reshape(3, 4, 5))
    subject = load("x.npy", Selection(rank=3))
    assert titles(draw(subject, [], "", slice=0)) == ["original   3 × 4 × 5   slice 0"]
    with pytest.raises(ArgumentError, match="slice=0 is for volumes and videos"):
        draw(load("x.npy"), [], "", slice=0)


# ------------------------------------------------------------------------------------------------ DICOM


def test_a_slice_of_computed_tomography() -> None:
    import pydicom

    path = pydicom_file("CT_small.dcm")
    subject = load(path)
    data = pydicom.dcmread(path)
    expected = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    np.testing.assert_array_equal(subject.field.values, expected[None])
    assert subject.unit == "HU"
    assert [(axis.label, axis.step) for axis in subject.field.axes] == [("y (mm)", 0.661468), ("x (mm)", 0.661468)]
    path.rename("scan")  # as scanners name their files
    assert load("scan").field.shape == (128, 128)


def test_frames_in_colour_are_a_volume() -> None:
    subject = load(pydicom_file("SC_rgb_rle_2frame.dcm"))
    assert subject.field.shape == (3, 2, 100, 100)
    assert subject.rgb
    assert subject.notes == ("2 frames",)
    halved = pool(subject.field, "avg", WindowArguments((1, 2, 2)))
    assert titles(draw(subject, [halved], "", slice=0)) == [
        "original   3 × 2 × 100 × 100   frame 0",
        "avg   3 × 2 × 50 × 50   frame 0",
    ]
    assert "all channels of an image" in refused("show", "SC_rgb_rle_2frame.dcm", "--channel", 1)


def slices_of_a_head() -> Path:
    """Two slices that nibabel carries, the upper one first by name."""
    folder = Path("scan")
    folder.mkdir()
    for source, target in (("1.dcm", "a.dcm"), ("0.dcm", "b.dcm")):
        shutil.copyfile(samples.find("head").with_name(source), folder / target)
    Path("scan/notes.txt").write_text("not a slice")
    return folder


def test_a_folder_of_slices_is_a_volume() -> None:
    import pydicom

    folder = slices_of_a_head()
    subject = load(folder)
    low, high = (pydicom.dcmread(folder / name).pixel_array for name in ("b.dcm", "a.dcm"))
    np.testing.assert_array_equal(subject.field.values[0], [low, high])
    assert subject.field.axes[0].label == "z (mm)"
    assert subject.field.axes[0].step == pytest.approx(3, abs=1e-3)
    assert "1 × 128 × 128" in run("show", folder, "-o", "scan.json")
    shutil.copyfile(samples.find("ct"), folder / "c.dcm")
    assert "c.dcm is no slice of one volume: its shape is (128, 128), not (256, 256)" in refused("show", folder)


# ----------------------------------------------------------------------------------------------- videos


def clip(name: str = "clip.mp4", frames: int = 8) -> Path:
    """Frames that grow lighter, ten a second."""
    av = pytest.importorskip("av", reason="PyAV, which reads videos, is not installed: pip install av")
    with av.open(name, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for index in range(frames):
            picture = np.full((32, 48, 3), 20 * index + 40, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return Path(name)


def test_a_video_is_pooled_in_time_too() -> None:
    subject = load(clip())
    assert subject.field.values.shape == (3, 8, 32, 48)
    np.testing.assert_allclose(subject.field.values.mean((0, 2, 3)), 20 * np.arange(8) + 40, atol=4)
    time = subject.field.axes[0]
    assert (time.label, time.first, time.step) == ("time (s)", 0, pytest.approx(0.1))
    mean = pool(subject.field, "avg", WindowArguments((4, 16, 16)))
    np.testing.assert_allclose(mean.values, np.broadcast_to([[[[70]], [[150]]]], (3, 2, 2, 3)), atol=4)
    part = load("clip.mp4", Selection(start=0.2, end=0.45))
    np.testing.assert_allclose(part.field.values.mean((0, 2, 3)), [80, 100, 120], atol=4)
    assert part.field.axes[0].first == pytest.approx(0.2)
    text = run("show", "clip.mp4", "--kernel-size", "2,8,8", "--slice", 5, "--end", 0.6)
    assert "3 × 3 × 4 × 6" in text
    assert "6 frames from second 0, 10 a second" in text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--start 9", "clip.mp4 is too short: it has no frame from second 9"),
        ("--start -1", "start should be at least 0, but got -1"),
        ("--start 0.5 --end 0.5", "end should be later than start=0.5, but got 0.5"),
        ("--slice 8", "slice should be from 0 to 7, but got 8"),
        ("--n-fft 9", "--n-fft 9 is not for videos, and clip.mp4 is one"),
    ],
)
def test_what_a_video_cannot_give_is_refused_in_one_line(options: str, reason: str) -> None:
    assert reason in refused("show", clip(), *options.split())


def test_broken_videos_are_refused_in_one_line() -> None:
    whole = clip().read_bytes()
    Path("half.mp4").write_bytes(whole[: len(whole) // 2])
    Path("text.mp4").write_bytes(b"hello" * 99)
    soundfile.write("sound.flac", np.zeros(16000), 16000)
    Path("sound.flac").rename("sound.mkv")
    assert "half.mp4 cannot be read as a video" in refused("show", "half.mp4")
    assert "text.mp4 cannot be read as a video" in refused("show", "text.mp4")
    assert "sound.mkv cannot be read as a video: it has no pictures" in refused("show", "sound.mkv")


def test_long_videos_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip()
    monkeypatch.setattr("poolkit.show.video.MOST_BYTES", 10_000)
    assert "clip.mp4 is too long: 3 frames of 48 x 32 pixels take more than" in refused("show", path)


# --------------------------------------------------------------------------------------------- waveforms


def test_samples_are_pooled_in_time() -> None:
    wave = RANDOM.uniform(-1, 1, 16000).astype(np.float32)
    soundfile.write("noise.wav", wave, 16000, subtype="FLOAT")
    subject = load("noise.wav", Selection(waveform=True, start=0.5))
    np.testing.assert_array_equal(subject.field.values[0], wave[8000:])
    loudest = pool(subject.field, "max", WindowArguments(100))
    np.testing.assert_array_equal(loudest.values[0], wave[8000:].reshape(80, 100).max(1))
    [axis] = loudest.axes
    assert axis.first == pytest.approx(0.5 + 49.5 / 16000)
    assert axis.step == pytest.approx(100 / 16000)
    text = run("show", "noise.wav", "--waveform", "--kernel-size", 100, "--method", "max", "-o", "noise.json")
    assert "waveform 16000 float32" in " ".join(text.split())
    assert "--n-fft 9 is not for waveforms" in refused("show", "noise.wav", "--waveform", "--n-fft", 9)
    Path("x.png").write_bytes(b"x")
    assert "--waveform is not for images, and x.png is one" in refused("show", "x.png", "--waveform")


# ------------------------------------------------------------------------------------------------ errors


def cut(make: Callable[[], Path], length: float) -> Path:
    path = make()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * length)])
    return path


def text_file(name: str) -> Path:
    Path(name).write_bytes(b"hello" * 99)
    return Path(name)


def empty(name: str) -> Path:
    Path(name).write_bytes(b"")
    return Path(name)


UNUSABLE: list[tuple[Callable[[], Path], str]] = [
    (lambda: text_file("x.nii"), "x.nii cannot be read as a NIfTI volume"),
    (lambda: text_file("x.nii.gz"), "x.nii.gz cannot be read as a NIfTI volume"),
    (lambda: text_file("x.dcm"), "x.dcm cannot be read as a DICOM image"),
    (lambda: text_file("x"), "files with the ending '' are not read, but sounds .wav"),
    (lambda: empty("x.nii.gz"), "x.nii.gz is empty (0 bytes)"),
    (lambda: empty("x.dcm"), "x.dcm is empty (0 bytes)"),
    (lambda: empty("x.mp4"), "x.mp4 is empty (0 bytes)"),
    (lambda: empty("x"), "x is empty (0 bytes)"),
    (lambda: cut(lambda: nifti(RANDOM.normal(size=(9, 9, 9))), 0.5), "head.nii.gz cannot be read as a NIfTI volume"),
    (lambda: cut(lambda: nifti(np.ones((9, 9, 9)), "x.nii"), 0.5), "x.nii cannot be read as a NIfTI volume"),
    (lambda: nifti(np.ones((4, 4, 4), np.complex64)), "holds complex64: only real numbers can be pooled"),
    (lambda: nifti(np.ones((4, 4, 4, 2, 2))), "has 5 axes: (x, y, z) or (x, y, z, volumes) are allowed"),
    (lambda: pydicom_file("MR_truncated.dcm"), "MR_truncated.dcm cannot be read as a DICOM image: The number of bytes"),
    (lambda: pydicom_file("test-SR.dcm"), "test-SR.dcm cannot be read as a DICOM image"),
    (lambda: cut(lambda: pydicom_file("CT_small.dcm"), 0.01), "CT_small.dcm cannot be read as a DICOM image"),
    (lambda: Path("haed"), "did you mean 'head'?"),
]


@pytest.mark.parametrize(("make", "reason"), UNUSABLE, ids=[reason[:40] for _, reason in UNUSABLE])
def test_unusable_files_are_refused_in_one_line(make: Callable[[], Path], reason: str) -> None:
    assert reason in refused("show", make())


@pytest.mark.parametrize(
    ("package", "name", "extra"),
    [("nibabel", "x.nii", "volumes"), ("pydicom", "x.dcm", "volumes"), ("av", "x.mp4", "video")],
)
def test_a_missing_reader_is_one_line(package: str, name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert refused("show", text_file(name)) == f'poolkit: this needs {package}: pip install "poolkit[{extra}]"'
