"""docs/requirements.md: what was asked for, row by row, and the tests, examples and pages that show it."""

from __future__ import annotations

import ast
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent

#: A test shows a row by its name: test_R1_..., test_G3_....
ROWS = {
    "R1": "max pooling, average pooling",
    "R2": "K-max pooling, order kept, and Kalchbrenner's dynamic k",
    "R3": "global average and global max pooling, for any input size",
    "R4": "stochastic pooling: training draws in proportion to the activations, evaluation averages with these weights",
    "R5": "mixed pooling: training picks max or average at random, evaluation takes the expectation",
    "R6": "median pooling, forward and backward",
    "R7": "combined pooling: add = (avg + max) / 2, cat = channels of both; adaptive and windowed",
    "R8": "Lp, L2-norm and power-average pooling",
    "R9": "detail-preserving pooling: full and lite, symmetric and asymmetric",
    "R10": "local importance pooling, its weights learnt",
    "R11": "SoftPool, with its exact gradient",
    "R12": "pooling that works together with attention",
    "R13": "1-D, 2-D and 3-D: the same method, the same arguments, in each rank",
    "R14": "pooling over time with sequence lengths: padded steps never leak",
    "R15": "region pooling, SPPF, unpooling with indices",
    "G1": "kernel size: int or tuple",
    "G2": "stride: int or tuple, the kernel by default, different per axis",
    "G3": "padding: int, tuple, asymmetric, 'valid', 'same'",
    "G4": "dilation",
    "G5": "exact shapes of known layers",
    "G6": "channels are pooled independently and their number never changes, but for cat",
    "B1": "average: each output's gradient is shared equally by its window",
    "B2": "max: the whole gradient goes to the recorded winner, recorded as small as can be",
    "U1": "audio: a recording's spectrogram, pooled 2 x 2, every shape printed and drawn",
    "U2": "image classification: LeNet-5 and AlexNet style nets",
    "U3": "detection: pooling blocks of Faster R-CNN and YOLO in detectors",
    "U4": "segmentation: encoder and decoder with indices",
    "U5": "text classification with 1-D and K-max pooling",
    "U6": "recurrent nets over time; GANs",
    "U7": "the same layers in Keras style and in PyTorch style",
    "Q1": "which pooling to choose, with which kernel and stride",
    "Q2": "how robust each method is to small shifts",
    "Q3": "what pooling saves: activations, memory, compute, parameters",
    "Q4": "whether pooling can be more efficient and more general",
    "Q5": "pooling combined with attention",
    "Q6": "what pooling kept and what it threw away",
}

#: Each of these has a floor that tests/test_examples.py holds it to.
EXAMPLES = {
    "U1": ("audio",),
    "U2": ("images",),
    "U3": ("detection_roi", "detection_mtcnn", "sppf"),
    "U4": ("segmentation_nuclei", "segmentation_brain"),
    "U5": ("text",),
    "U6": ("sequences", "gan"),
    "Q5": ("attention",),
}
#: Pages whose commands and programs the tests run, or that say with which command their figures were measured.
PAGES = {
    "Q1": ("choose",),
    "Q4": ("performance", "features"),
    "Q2": ("gallery", "choose"),
    "Q3": ("summary",),
    "Q6": ("gallery",),
}


def shown_by() -> dict[str, list[str]]:
    """The tests of each row, as file and name, then its examples and pages."""
    found: dict[str, list[str]] = {row: [] for row in ROWS}
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                row = node.name.split("_")[1]
                if row in found:
                    found[row].append(f"[{node.name}](../tests/{path.name})")
    for row, names in EXAMPLES.items():
        found[row] += [f"[examples/{name}.py](../examples/{name}.py)" for name in names]
    for row, names in PAGES.items():
        found[row] += [f"[docs/{name}.md]({name}.md)" for name in names]
    return found


def page() -> str:
    """The page; a row that no test shows is an error."""
    found = shown_by()
    empty = [row for row, tests in found.items() if not tests]
    if empty:
        raise SystemExit(f"no test shows {', '.join(empty)}: name one test_{empty[0]}_...")
    lines = [
        "# What was asked for",
        "",
        "Each row with the tests, examples and pages that show it; `tools/docs.py` writes this page and fails where a",
        "row has none.",
        "",
        "| row | asked for | shown by |",
        "|---|---|---|",
        *(f"| {row} | {text} | {', '.join(found[row])} |" for row, text in ROWS.items()),
    ]
    return "\n".join(lines) + "\n"
