"""Real recordings, photographs and arrays that other installed packages carry, found by name.

poolkit ships none of them: a sample is read where its package keeps it, and that package is never imported.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from poolkit.errors import ArgumentError

__all__ = ["SAMPLES", "Sample", "find", "get"]


@dataclass(frozen=True)
class Sample:
    """A file inside a package: what it holds, where it lies, what its use is bound to."""

    name: str
    kind: Literal["sound", "image", "array"]
    title: str
    package: str
    version: str
    file: str
    licence: str
    key: str | None = None  # which array of an .npz archive

    @property
    def install(self) -> str:
        """The command that brings the file, without the other packages that its package would want."""
        return f"pip install --no-deps {self.package}=={self.version}"

    @property
    def path(self) -> Path | None:
        """Where the file is, or None if its package, or this file of it, is not installed."""
        try:
            path = Path(str(importlib.metadata.distribution(self.package).locate_file(self.file)))
        except importlib.metadata.PackageNotFoundError:
            return None
        return path if path.is_file() else None


def _scikit_image(name: str, title: str, licence: str, suffix: str = ".png") -> Sample:
    file = f"skimage/data/{name}{suffix}"
    return Sample(name, "image", title, "scikit-image", "0.26.0", file, licence)


def _scikit_learn(name: str, title: str) -> Sample:
    file = f"sklearn/datasets/images/{name}.jpg"
    return Sample(name, "image", title, "scikit-learn", "1.9.1", file, "CC BY 2.0")


def _matplotlib(name: str, kind: Literal["image", "array"], title: str, file: str, key: str | None) -> Sample:
    path = f"matplotlib/mpl-data/sample_data/{file}"
    return Sample(name, kind, title, "matplotlib", "3.11.2", path, "Matplotlib licence", key)


SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample(
            name="birds_10s",
            kind="sound",
            title="ten seconds of bird song, 32 kHz",
            package="opensoundscape",
            version="0.13.2",
            file="opensoundscape/sample_data/birds_10s.wav",
            licence="MIT",
        ),
        _scikit_learn("china", "a temple in China"),
        _scikit_learn("flower", "a dahlia"),
        _scikit_image("astronaut", "Eileen Collins", "public domain (NASA)"),
        _scikit_image("brick", "a brick wall, grey", "CC0"),
        _scikit_image("chelsea", "a cat", "CC0"),
        _scikit_image("coffee", "a cup of coffee", "CC0"),
        _scikit_image("retina", "the back of an eye", "CC0", ".jpg"),
        _matplotlib("grace_hopper", "image", "Grace Hopper", "grace_hopper.jpg", None),
        _matplotlib("terrain", "array", "heights around a fault", "jacksboro_fault_dem.npz", "elevation"),
    )
}


def get(name: str) -> Sample:
    """The sample of this name, installed or not."""
    if name not in SAMPLES:
        raise ArgumentError(f"no sample is named {name!r}: known are {', '.join(SAMPLES)}")
    return SAMPLES[name]


def find(name: str) -> Path:
    """Where the file of the sample of this name lies; if it is not installed, the error says what to install.

    >>> find("birds_10s").name
    'birds_10s.wav'
    """
    sample = get(name)
    if sample.path is None:
        raise FileNotFoundError(
            f"the sample {name!r} is a file of {sample.package}, which is not installed or no longer"
            f" carries it: {sample.install}"
        )
    return sample.path
