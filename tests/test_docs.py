"""The documentation says what the code does."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import refused, run

import poolkit
from poolkit import _cite, _use, geometry, nn, samples
from poolkit.cli.arguments import calls

ROOT = Path(__file__).resolve().parent.parent


def told(page: Path) -> list[str]:
    """Runs the page's example; what it says that it prints, which is checked."""
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    said = re.findall(r"print\(.*# (.+)$", code, re.MULTILINE)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert printed.getvalue().splitlines() == [line.strip() for line in said]
    return said


def test_readme_example_prints_what_it_says() -> None:
    assert len(told(ROOT / "README.md")) == 5


@pytest.mark.parametrize(("name", "printed"), [("summary", 4), ("swap", 3), ("use", 3)])
def test_examples_of_pages_print_what_they_say(name: str, printed: int) -> None:
    assert len(told(ROOT / "docs" / f"{name}.md")) == printed


STORIES_WITH_CODE = [page for page in sorted(ROOT.glob("docs/stories/*.md")) if "```python" in page.read_text()]


@pytest.mark.parametrize("story", STORIES_WITH_CODE, ids=lambda page: page.stem)
def test_examples_of_stories_print_what_they_say(story: Path) -> None:
    assert told(story)


@pytest.mark.parametrize("tool", ["stubs", "docs"])
def test_generated_files_are_current(tool: str) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_links_between_documents_lead_somewhere() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("benchmarks/*.md"),
    ]
    assert len(pages) > 8
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("module", [_cite, _use, geometry, nn], ids=lambda m: m.__name__)
def test_doctests(module: object) -> None:
    result = doctest.testmod(module, extraglobs={"torch": __import__("torch")})  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


def test_every_method_and_layer_has_a_page_and_a_story() -> None:
    titles = {name: row.title for table in (poolkit.METHODS, poolkit.LAYERS) for name, row in table.items()}
    for name, title in titles.items():
        assert (ROOT / "docs" / "stories" / f"{name}.md").stat().st_size > 100
        assert title in (ROOT / "docs" / "methods" / f"{name}.md").read_text()
    for folder in ("stories", "methods"):
        assert {page.stem for page in (ROOT / "docs" / folder).glob("*.md")} == set(titles)


COMMANDS = re.findall(
    r"^\$ poolkit (.+)\n((?:(?!\$|```).*\n)*)", (ROOT / "docs" / "command-line.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
@pytest.mark.usefixtures("folder")
def test_commands_of_the_documentation_say_what_they_say(command: str, output: str) -> None:
    if output.startswith("poolkit: "):
        assert refused(*shlex.split(command)) == output.strip()
    else:
        assert output in ("", run(*shlex.split(command)))


GALLERY = re.findall(
    r"^!\[.+\]\(images/(\w+)\.png\)\n\n```console\n\$ poolkit (show .+) -o \1\.png\n```$",
    (ROOT / "docs" / "gallery.md").read_text(),
    re.MULTILINE,
)


@pytest.mark.parametrize(("name", "command"), GALLERY, ids=[name for name, _ in GALLERY])
@pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")  # of what librosa imports
@pytest.mark.usefixtures("folder")
def test_commands_of_the_gallery_run(name: str, command: str) -> None:
    """Their numbers: drawing takes longer, and `make pictures` does it."""
    sample = samples.get(shlex.split(command)[1])
    if sample.kind == "video":
        pytest.importorskip("av", reason="PyAV, which reads videos, is not installed: pip install av")
    if sample.path is None:
        pytest.skip(f"a sample is not installed: {sample.install}")
    assert f"numbers: {name}.json" in run(*shlex.split(command), "-o", f"{name}.json")


def test_every_picture_of_the_gallery_has_a_command() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text()
    assert len(GALLERY) == page.count("![") == page.count("$ poolkit") > 5


@pytest.mark.usefixtures("folder")
def test_the_example_of_the_command_line_page_prints_what_it_says() -> None:
    assert told(ROOT / "docs" / "command-line.md")
    assert Path("terrain.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("name", poolkit.METHODS)
def test_pages_of_methods_show_a_picture_and_the_command_that_draws_it(name: str) -> None:
    page = (ROOT / "docs" / "methods" / f"{name}.md").read_text()
    assert f"../images/{name}.png" in page
    (command,) = re.findall(r"^Drawn by `poolkit show (.+)`\.$", page, re.MULTILINE)
    methods = re.findall(r"--method (\S+)", command)
    assert name in [call.method for call in calls(methods, None)]


def test_pictures_of_pages_are_small() -> None:
    shown = re.findall(r"\.\./images/(\w+)\.png", "".join(page.read_text() for page in ROOT.glob("docs/methods/*.md")))
    assert len(set(shown)) == len(shown) > len(poolkit.METHODS)
    gallery = {name for name, _ in GALLERY}
    assert {path.stem for path in (ROOT / "docs" / "images").glob("*.png")} == {"birds", *gallery, *shown}
    assert all((ROOT / "docs" / "images" / f"{name}.png").stat().st_size <= 150_000 for name in gallery)
    for name in shown:
        content = (ROOT / "docs" / "images" / f"{name}.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert 5_000 < len(content) <= 60_000
