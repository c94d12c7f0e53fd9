"""Writes docs/features.md from the tests that are marked as showing a feature of a method or layer.

python tools/features.py           write the page
python tools/features.py --check   exit with 1 if it is not up to date

The tests are collected, not run: a marked test that fails or is skipped fails the suite, so that what a page
says is what a green suite has shown.
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from poolkit.methods import ROWS  # noqa: E402

PAGE = ROOT / "docs" / "features.md"

#: What the columns are called in tests, and what they mean.
FEATURES = {
    "float types": "float32, float64, float16 and bfloat16, as near to float64 as their roundings allow",
    "backward": "gradients of inputs and parameters agree with finite differences",
    "double backward": "so do gradients of gradients",
    "forward mode": "torch.func.jvp agrees with backward",
    "vmap": "torch.func.vmap gives what a loop gives",
    "per-sample gradients": "vmap(grad) does, and autograd passes through vmap",
    "compile": "torch.compile makes one graph, forward and backward",
    "export": "torch.export makes a program; for a batch of any size, where the first dimension is one",
    "autocast": "runs under torch.autocast in float16 and bfloat16, and its gradients are finite",
    "fake tensors": "shape and dtype are known without values",
    "checkpoint, hooks": "torch.utils.checkpoint changes no gradient; module hooks see each pass once",
    "inference mode": "torch.inference_mode gives the same values",
    "subclasses": "a subclass of torch.Tensor stays one",
}

_HEAD = """# Methods and features

Written by tools/features.py from the tests: a ✓ stands where the suite has a test of the feature for the method or
layer, all of which must pass and none of which may be skipped. Labels (mode pooling) have no derivatives. What the
features mean in detail, and what is refused, is on [the page about PyTorch](pytorch.md).

"""


class Collector:
    """What marked tests show of each row, found while pytest collects them."""

    def __init__(self) -> None:
        self.shown: dict[str, set[str]] = {name: set() for name in ROWS}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for mark in item.iter_markers("feature"):
                [feature] = mark.args
                for name in mark.kwargs.get("rows") or [row_of(item)]:
                    self.shown[name].add(feature)


def row_of(item: pytest.Item) -> str:
    """The name of the row that a test is parametrised over."""
    params = item.callspec.params  # type: ignore[attr-defined]
    found = params.get("name") or params.get("layer") or params["subject"]
    return found if isinstance(found, str) else str(found.name)


def page(shown: dict[str, set[str]]) -> str:
    unknown = set().union(*shown.values()) - set(FEATURES)
    if unknown:
        raise SystemExit(f"tests are marked with features that tools/features.py does not know: {sorted(unknown)}")
    lines = [f"- **{name}**: {meaning}." for name, meaning in FEATURES.items()]
    lines += ["", f"| | {' | '.join(FEATURES)} |", f"|---|{'---|' * len(FEATURES)}"]
    for name, features in shown.items():
        cells = ("✓" if feature in features else "" for feature in FEATURES)
        lines.append(f"| [{ROWS[name].title}](methods/{name}.md) | {' | '.join(cells)} |")
    return _HEAD + "\n".join(lines) + "\n"


def collected() -> dict[str, set[str]]:
    collector, said = Collector(), io.StringIO()
    with contextlib.redirect_stdout(said):
        given = ["--collect-only", "-q", "-m", "feature", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
        files = [str(path) for path in (ROOT / "tests").glob("test_*.py") if "mark.feature(" in path.read_text()]
        code = pytest.main([*given, *files], plugins=[collector])
    if code != 0:
        raise SystemExit(said.getvalue())
    return collector.shown


def main() -> int:
    text = page(collected())
    stale = not PAGE.exists() or PAGE.read_text() != text
    if "--check" in sys.argv[1:]:
        if stale:
            print("stale: docs/features.md; run python tools/features.py")
        return int(stale)
    if stale:
        PAGE.write_text(text)
        print("wrote docs/features.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
