"""Writes the type stubs of the functions and modules that are generated from the table.

python tools/stubs.py           write src/poolkit/functional.pyi, nn.pyi and numpy.pyi
python tools/stubs.py --check   exit with 1 if they are not up to date
"""

from __future__ import annotations

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from poolkit._signatures import NUMPY_ARGUMENTS, RANKS, Function, arguments_of, functions, signature  # noqa: E402
from poolkit.methods import METHODS  # noqa: E402

HEADER = "# Written by tools/stubs.py from the table of methods: do not edit.\n"

TORCH_IMPORTS = """from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from poolkit.geometry import Padding, Size
from poolkit.layers.regions import {regions}

"""

FUNCTIONS_OF_REGIONS = "roi_align as roi_align, roi_pool as roi_pool"
MODULES_OF_REGIONS = "RoIAlign as RoIAlign, RoIPool as RoIPool"

UNPOOL = """def max_unpool{rank}d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor: ...
"""

UNPOOL_CLASS = """class MaxUnpool{rank}d(torch.nn.Module):
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None: ...
    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor: ...
"""

POOL_CLASS = """class Pool(torch.nn.Module):
    def __init__(self, method: str, *, rank: int | None = None, **arguments: Any) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...
"""


def functional_stub() -> str:
    parts = [HEADER, TORCH_IMPORTS.format(regions=FUNCTIONS_OF_REGIONS).replace("from typing import Any\n", "")]
    for f in functions():
        parts.append(f"def {f.name}(input: Tensor, {signature(f.arguments, stub=True)}) -> {f.returns}: ...\n")
    parts += [UNPOOL.format(rank=rank) for rank in RANKS]
    return "".join(parts)


def class_stub(f: Function) -> str:
    arguments = arguments_of(METHODS[f.method], f.form, module=True)
    lines = [f"class {f.class_name}(torch.nn.Module):"]
    lines += [f"    {a.name}: {a.annotation}" for a in arguments]
    lines.append(f"    def __init__(self, {signature(arguments, stub=True)}) -> None: ...")
    lines.append(f"    def forward(self, input: Tensor) -> {f.returns}: ...")
    return "\n".join(lines) + "\n\n"


def nn_stub() -> str:
    parts = [HEADER, TORCH_IMPORTS.format(regions=MODULES_OF_REGIONS), POOL_CLASS, "\n"]
    parts += [class_stub(f) for f in functions()]
    parts += [UNPOOL_CLASS.format(rank=rank) + "\n" for rank in RANKS]
    return "".join(parts).rstrip("\n") + "\n"


NUMPY_IMPORTS = """from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from poolkit.geometry import Padding, Size

Array = np.ndarray[Any, Any]

"""

NUMPY_UNPOOL = """def max_unpool{rank}d(
    input: Array,
    indices: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
    *,
    data_format: str = "channels_first",
    out: Array | None = None,
) -> Array: ...
"""


NUMPY_REST = """def explain(
    input: Array,
    method: str,
    *,
    data_format: str = "channels_first",
    return_indices: bool = False,
    **arguments: Any,
) -> str: ...
def get_num_threads() -> int: ...
def set_num_threads(num_threads: int) -> None: ...
"""


def numpy_stub() -> str:
    parts = [HEADER, NUMPY_IMPORTS]
    for f in functions():
        arguments = signature(f.arguments + NUMPY_ARGUMENTS, stub=True).replace("torch.dtype", "npt.DTypeLike")
        parts.append(f"def {f.name}(input: Array, {arguments}) -> {f.returns.replace('Tensor', 'Array')}: ...\n")
    parts += [NUMPY_UNPOOL.format(rank=rank) for rank in RANKS]
    parts.append(NUMPY_REST)
    return "".join(parts)


def main() -> int:
    stubs = {"functional.pyi": functional_stub(), "nn.pyi": nn_stub(), "numpy.pyi": numpy_stub()}
    stale = [name for name, text in stubs.items() if _read(name) != text]
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"stale: {', '.join(stale)}; run python tools/stubs.py")
        return 1 if stale else 0
    for name in stale:
        (ROOT / "src" / "poolkit" / name).write_text(stubs[name])
        print(f"wrote {name}")
    return 0


def _read(name: str) -> str | None:
    path = ROOT / "src" / "poolkit" / name
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
