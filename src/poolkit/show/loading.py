"""From a file, or the name of a sample, to a subject."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poolkit import samples
from poolkit.errors import ArgumentError
from poolkit.show import array, image, sound
from poolkit.show.field import Subject

SUFFIXES = {"sound": sound.SUFFIXES, "image": image.SUFFIXES, "array": array.SUFFIXES}


@dataclass(frozen=True)
class Selection:
    """What of a file is wanted, and how; None is the default of the kind of file."""

    start: float | None = None
    end: float | None = None
    sample_rate: int | None = None
    n_fft: int | None = None
    hop_length: int | None = None
    key: str | None = None
    rank: int | None = None

    def refuse(self, path: Path, kind: str, *names: str) -> None:
        """These options mean nothing for this kind of file: refuse rather than ignore them."""
        for name in names:
            value = getattr(self, name)
            if value is not None:
                option = "--" + name.replace("_", "-")
                raise ArgumentError(f"{option} {value} is not for {kind}s, and {path.name} is one")


def load(file: str | Path, selection: Selection | None = None) -> Subject:
    """The sound, image or array in a file, or in the sample of this name if there is no such file."""
    selection = selection or Selection()
    path, key = locate(file)
    check_source(path)
    suffix = path.suffix.lower()
    if suffix in sound.SUFFIXES:
        selection.refuse(path, "sound", "key", "rank")
        return sound.read(
            path,
            selection.start,
            selection.end,
            sample_rate=16000 if selection.sample_rate is None else selection.sample_rate,
            n_fft=512 if selection.n_fft is None else selection.n_fft,
            hop_length=256 if selection.hop_length is None else selection.hop_length,
        )
    of_sounds = ("start", "end", "sample_rate", "n_fft", "hop_length")
    if suffix in image.SUFFIXES:
        selection.refuse(path, "image", *of_sounds, "key", "rank")
        return image.read(path)
    if suffix in array.SUFFIXES:
        selection.refuse(path, "array", *of_sounds)
        return array.read(path, selection.key or key, selection.rank)
    allowed = "; ".join(f"{kind}s {' '.join(suffixes)}" for kind, suffixes in SUFFIXES.items())
    raise ArgumentError(f"{path.name}: files with the ending {path.suffix!r} are not read, but {allowed}")


def locate(file: str | Path) -> tuple[Path, str | None]:
    """The path of a file or of a sample, and the array of the archive that the sample means."""
    path = Path(file)
    if path.exists() or path.is_symlink():
        return path, None
    if str(file) in samples.SAMPLES:
        return samples.find(str(file)), samples.get(str(file)).key
    raise ArgumentError(f"{str(file)!r} is neither a file nor a sample; the samples are {', '.join(samples.SAMPLES)}")


def check_source(path: Path) -> None:
    """Refuse what no reader could read, in the same words for every kind."""
    if path.is_dir():
        raise ArgumentError(f"{path} is a folder, not a file")
    if not path.is_file():
        raise ArgumentError(f"{path} is not a regular file")
    try:
        with path.open("rb") as stream:
            if not stream.read(1):
                raise ArgumentError(f"{path} is empty (0 bytes)")
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror}") from None
