"""From a file, or the name of a sample, to a subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from poolkit import samples
from poolkit.errors import ArgumentError, nearest
from poolkit.show import array, dicom, image, sound, video, volume
from poolkit.show.field import Subject


@dataclass(frozen=True)
class Selection:
    """What of a file is wanted, and how; None is the default of the kind of file."""

    start: float | None = None
    end: float | None = None
    sample_rate: int | None = None
    n_fft: int | None = None
    hop_length: int | None = None
    waveform: bool | None = None
    key: str | None = None
    rank: int | None = None

    def given(self) -> dict[str, Any]:
        """What was asked for."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Kind:
    """Files that are read alike: their name, their endings, their reader and the parts of a selection that it knows."""

    name: str
    suffixes: tuple[str, ...]
    read: Callable[..., Subject]
    options: tuple[str, ...] = ()

    def subject(self, path: Path, given: dict[str, Any]) -> Subject:
        """What is in the file; refuses, rather than ignores, an option that means nothing here."""
        for name, value in given.items():
            if name not in self.options:
                option = "--" + name.replace("_", "-") + ("" if value is True else f" {value}")
                raise ArgumentError(f"{option} is not for {self.name}s, and {path.name} is one")
        return self.read(path, **given)


_OF_SOUNDS = ("start", "end", "sample_rate")
WAVEFORM = Kind("waveform", (), sound.waveform, _OF_SOUNDS)
DICOM = Kind("DICOM image", dicom.SUFFIXES, dicom.read)
KINDS = (
    Kind("sound", sound.SUFFIXES, sound.spectrogram, (*_OF_SOUNDS, "n_fft", "hop_length")),
    Kind("image", image.SUFFIXES, image.read),
    Kind("array", array.SUFFIXES, array.read, ("key", "rank")),
    Kind("volume", volume.SUFFIXES, volume.read),
    DICOM,
    Kind("video", video.SUFFIXES, video.read, ("start", "end")),
)


def load(file: str | Path, selection: Selection | None = None) -> Subject:
    """What a file holds, or the sample of this name if there is no such file."""
    path, key = locate(file)
    check_source(path)
    kind, given = kind_of(path), (selection or Selection()).given()
    if kind.name == "sound" and given.get("waveform"):
        kind = WAVEFORM
        del given["waveform"]
    if key is not None:
        given.setdefault("key", key)
    return kind.subject(path, given)


def kind_of(path: Path) -> Kind:
    """What the ending of the path says; DICOM files may have none, and a folder of them is a volume."""
    if path.is_dir():
        return DICOM
    for kind in KINDS:
        if path.name.lower().endswith(kind.suffixes):
            return kind
    if dicom.recognised(path):
        return DICOM
    allowed = "; ".join(f"{kind.name}s {' '.join(kind.suffixes)}" for kind in KINDS)
    raise ArgumentError(f"{path.name}: files with the ending {path.suffix!r} are not read, but {allowed}")


def stem(path: Path) -> str:
    """The name without its ending, both parts of it in x.nii.gz."""
    return path.stem.removesuffix(".nii") if path.suffix.lower() == ".gz" else path.stem


def locate(file: str | Path) -> tuple[Path, str | None]:
    """The path of a file or of a sample, and the array of the archive that the sample means."""
    path = Path(file)
    if path.exists() or path.is_symlink():
        return path, None
    name = str(file)
    if name in samples.SAMPLES:
        return samples.find(name), samples.get(name).key
    raise ArgumentError(
        f"{name!r} is neither a file nor a sample; the samples are {', '.join(samples.SAMPLES)}"
        + nearest(name, samples.SAMPLES)
    )


def check_source(path: Path) -> None:
    """Refuse what no reader could read, in the same words for every kind."""
    if path.is_dir():
        if not dicom.slices(path):
            raise ArgumentError(f"{path} is a folder, not a file, and holds no DICOM slices")
        return
    if not path.is_file():
        raise ArgumentError(f"{path} is not a regular file")
    try:
        with path.open("rb") as stream:
            if not stream.read(1):
                raise ArgumentError(f"{path} is empty (0 bytes)")
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror}") from None
