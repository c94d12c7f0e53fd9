"""Programs of many methods at once: compiled, exported and packaged, for sizes that stay open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from features import SUBJECTS
from problems import FORMS, function_of, randomness, settings
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim
from torch.testing import assert_close

from poolkit import functional, nn
from poolkit.methods import METHODS

OPEN = [
    pytest.param((2, 3, 9, 8), (5, 3, 9, 8), id="batch"),
    pytest.param((2, 3, 9, 8), (5, 3, 12, 17), id="size"),
]


#: Arguments that stand before the geometry.
LEADING = {param.name for row in METHODS.values() for param in row.leading}

#: The code around the kernels is not what is tested.
QUICK = {"aot_inductor.compile_wrapper_opt_level": "O0"}


class Everything(torch.nn.Module):
    """Every method: sliding windows, and those that have one result for any size adaptive or global."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        pools = [subject.make() for subject in SUBJECTS if subject.name in METHODS]
        if whole:
            pools += [getattr(nn, f"Global{row.class_name}Pool2d")() for row in METHODS.values() if not row.leading]
        self.pools = torch.nn.ModuleList(pools)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [pool(x) for pool in self.pools]


@pytest.mark.feature("export", rows=METHODS)
@pytest.mark.parametrize(("first", "second"), OPEN)
def test_exports_for_any_size(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    open_sizes = {dim: Dim.DYNAMIC for dim, (a, b) in enumerate(zip(first, second, strict=True)) if a != b}
    module = Everything(whole=True).eval()
    program = torch.export.export(module, (torch.randn(first),), dynamic_shapes=[open_sizes])
    for shape in (first, second):
        x = torch.randn(shape)
        for actual, expected in zip(program.module()(x), module(x), strict=True):
            assert torch.equal(actual, expected)
    nodes = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert "poolkit.pool.default" in nodes


def compilations(function: Callable[[torch.Tensor], torch.Tensor], shapes: list[tuple[int, ...]]) -> int:
    """How often torch.compile compiles for inputs of these shapes, forward and backward."""
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(function, fullgraph=True, backend=counter)
    for shape in shapes:
        x = torch.randn(shape, requires_grad=True)
        y = compiled(x)
        assert_close(y, function(x))
        (actual,) = torch.autograd.grad(y.sum(), x)
        (expected,) = torch.autograd.grad(function(x).sum(), x)
        assert_close(actual, expected)
    torch.compiler.reset()
    return counter.frame_count


@pytest.mark.parametrize(("first", "second"), OPEN)
def test_compiles_no_more_often_than_torch(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    third = tuple(b + (b - a) for a, b in zip(first, second, strict=True))
    shapes = [first, second, third]

    def several(x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(x, 3, 2, 1) + functional.soft_pool2d(x, 3, 2, 1)

    assert compilations(several, shapes) == compilations(lambda x: torch.nn.functional.max_pool2d(x, 3, 2, 1), shapes)


@pytest.mark.filterwarnings("error::UserWarning")  # such as of what is remembered from call to call
@pytest.mark.parametrize("form", FORMS)
def test_trains_with_nothing_constant(form: str) -> None:
    """The compiler keeps every size and number open: all methods are one graph still, and so are their gradients."""
    given = {"windowed": (3, 2, 1), "adaptive": (3,), "global": ()}[form]
    rows = [(name, settings(name, form)[0]) for name in METHODS]
    calls = [(function_of(name, form, 2), row) for name, row in rows if not randomness(name, row)]

    def total(x: torch.Tensor) -> torch.Tensor:
        results = []
        for function, row in calls:
            leading = [row[key] for key in row if key in LEADING]
            rest = {key: value for key, value in row.items() if key not in LEADING}
            results.append(function(x, *leading, *given, **rest).square().sum())
        return torch.stack(results)

    torch.compiler.reset()
    compiled = torch.compile(total, fullgraph=True, dynamic=True, backend="aot_eager")
    for shape in ((2, 3, 9, 8), (3, 2, 12, 16)):
        x = torch.rand(shape, dtype=torch.float64, requires_grad=True)
        actual, expected = compiled(x), total(x)
        assert_close(actual, expected)
        [actual] = torch.autograd.grad(actual.sum(), x)
        [expected] = torch.autograd.grad(expected.sum(), x)
        assert_close(actual, expected)
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's own
def test_aot_inductor_packages_a_program(tmp_path: Path) -> None:
    """A shared library of native code, which loads and runs without the Python of its model."""
    model = torch.nn.Sequential(
        nn.BlurPool2d(3, stride=1),
        nn.MaxPool2d(2),
        nn.AvgMaxPool2d(3, 1, 1),
        nn.SoftPool2d(2),
        nn.MedianPool2d(2, 1),
        nn.GlobalGeMPool2d(keepdim=False),
    ).eval()
    x = torch.randn(2, 3, 16, 16)
    program = torch.export.export(model, (x,), dynamic_shapes=[{0: Dim("batch", min=1, max=64)}])
    package = torch._inductor.aoti_compile_and_package(
        program, package_path=str(tmp_path / "model.pt2"), inductor_configs=QUICK
    )
    loaded = torch._inductor.aoti_load_package(package)
    for batch in (2, 7):
        x = torch.randn(batch, 3, 16, 16)
        assert_close(loaded(x), model(x))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # sizes become constants
def test_traces() -> None:
    """torch.jit.trace, for those who still deploy it: torch's operators; sizes are those of the example."""
    module = Everything(whole=True).eval()
    x = torch.randn(2, 3, 9, 8)
    traced = torch.jit.trace(lambda x: tuple(module(x)), (x,))
    for actual, expected in zip(traced(-x), module(-x), strict=True):
        assert_close(actual, expected)
