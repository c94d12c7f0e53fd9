"""Programs exported to ONNX give poolkit's numbers in ONNX Runtime, and hold nothing on which runtimes disagree."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from problems import ROUNDING, assert_near, awkward, distinct, function_of, settings
from test_docs import told
from test_every_layer import build, given_to, inputs_of
from torch.export import Dim

import poolkit.onnx
from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.methods import LAYERS, METHODS

#: Rows that do not export, and what the page says of them.
NOT_EXPORTED = {
    "mode": "no operator counts equal cells",
    "segment": "no operator finds the bounds of segments",
}

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)  # of the exporter's own parts


class Calls(torch.nn.Module):
    """Many calls in one program, as exporting takes long: by name a function of the inputs."""

    def __init__(self, calls: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__()
        self.calls = calls

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: call(*inputs) for name, call in self.calls.items()}


def session(program: torch.onnx.ONNXProgram) -> onnxruntime.InferenceSession:
    for node in program.model.graph:
        attributes = {name: attribute.value for name, attribute in node.attributes.items()}
        assert not attributes.get("ceil_mode")
        assert attributes.get("auto_pad", "NOTSET") == "NOTSET"
        assert node.domain in ("", "ai.onnx")
    assert not program.model.functions
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString())


def results(program: onnxruntime.InferenceSession, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray[Any, Any]]:
    return program.run(None, {node.name: x.numpy() for node, x in zip(program.get_inputs(), inputs, strict=True)})


def compare(
    calls: Mapping[str, Callable[..., Any]], *inputs: torch.Tensor, rounding: float = ROUNDING[torch.float32]
) -> torch.onnx.ONNXProgram:
    module = Calls(calls)
    program = poolkit.onnx.export(module, inputs)
    for actual, (name, expected) in zip(results(session(program), inputs), module(*inputs).items(), strict=True):
        assert torch.from_numpy(actual).dtype == expected.dtype, name
        assert_near(torch.from_numpy(actual), expected.detach().double().numpy(), rounding)
    return program


def operators(program: torch.onnx.ONNXProgram) -> list[str]:
    return [node.op_type for node in program.model.graph]


# ------------------------------------------------------------------------------------------ methods


def every_method(form: str, names: Iterable[str] = METHODS) -> tuple[Calls, torch.Tensor]:
    """One row of settings each, in a geometry where no two axes agree, and an input."""
    problem = awkward(form, 2)
    calls = {}
    for name in names:
        params = next(row for row in settings(name, form) if not row.get("training"))
        calls[name] = functools.partial(problem.function(name), **problem.arguments, **params)
    return Calls(calls), distinct((2, 3, *problem.size)).float()


@pytest.mark.parametrize("form", ["windowed", "adaptive"])
@pytest.mark.slow
def test_every_method(form: str) -> None:
    module, x = every_method(form)
    compare(module.calls, x)


def test_some_methods() -> None:
    """Weights, ranks and roots of windows."""
    module, x = every_method("windowed", ("soft", "median", "lp"))
    assert {"Exp", "TopK", "Gather"} <= set(operators(compare(module.calls, x)))


@pytest.mark.slow
def test_openvino_agrees() -> None:
    openvino = pytest.importorskip("openvino")
    module, x = every_method("windowed")
    program = poolkit.onnx.export(module, (x,))
    core = openvino.Core()
    model = core.read_model(program.model_proto.SerializeToString(), b"")
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for actual, expected in zip(compiled([x.numpy()]).values(), module(x).values(), strict=True):
        assert_near(torch.from_numpy(actual), expected.double().numpy(), ROUNDING[torch.float32])


def of_rank(rank: int, call: Callable[..., Any], arguments: Mapping[str, Any]) -> Callable[..., Any]:
    """The call on the input of this rank."""
    return lambda *inputs: call(inputs[rank - 1], **arguments)


def test_maxima_and_averages_become_pooling() -> None:
    """Every rank, padding on either side, ceil mode and every divisor."""
    ways: tuple[dict[str, Any], ...] = (
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel_size": 2, "padding": ((0, 1), (1, 0)), "ceil_mode": True},
    )
    calls: dict[str, Callable[..., Any]] = {}
    for rank in (1, 2, 3):
        for name in ("max", "avg"):
            calls[f"{name}{rank}"] = of_rank(rank, function_of(name, "global", rank), {})
            for params in settings(name, "windowed"):
                for way in ways if rank == 2 else ways[:1]:
                    call = function_of(name, "windowed", rank)
                    calls[f"{name}{rank} {way} {params}"] = of_rank(rank, call, {**way, **params})
    program = compare(calls, *(distinct((2, 3, *size)).float() for size in ((11,), (9, 11), (7, 9, 6))))
    found = set(operators(program))
    assert {"MaxPool", "AveragePool", "Pad", "ReduceMax", "ReduceMean"} <= found
    assert not found & {"Gather", "GatherND", "GatherElements", "Where"}


def test_indices_integers_and_unpooling() -> None:
    x = distinct((2, 3, 7, 5)).float()

    def unpooled(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        y, indices = functional.max_pool2d(x, 3, 2, 1, return_indices=True)
        return functional.max_unpool2d(y, indices, 3, 2, 1)

    calls: dict[str, Callable[..., Any]] = {
        "indices": lambda x, _: functional.max_pool2d(x, (3, 2), 2, ((1, 2), (1, 0)), return_indices=True)[1],
        "median": lambda x, _: functional.adaptive_median_pool2d(x, 3, return_indices=True)[1],
        "unpooled": unpooled,
        "largest": lambda _, n: functional.max_pool2d(n, 3, 2, 1),
        "average": lambda _, n: functional.avg_pool2d(n, 3, 2, 1, count_include_pad=False),
    }
    assert "ScatterElements" in operators(compare(calls, x, (100 * x).long()))


def test_half_precision_rounds_once() -> None:
    calls: dict[str, Callable[..., Any]] = {
        "average": nn.AvgPool2d(3, 2, 1),
        "sum": nn.GlobalSumPool2d(),
        "largest": nn.MaxPool2d(3, 2, 1),
        "soft": nn.SoftPool2d(2),
    }
    x = distinct((2, 3, 7, 5)).half()
    program = poolkit.onnx.export(Calls(calls), (x,))
    for actual, (name, expected) in zip(results(session(program), (x,)), Calls(calls)(x.double()).items(), strict=True):
        assert actual.dtype == np.float16, name
        # Only where single precision falls on the other side of a tie may the last digit differ.
        assert np.mean(actual == expected.detach().half().numpy()) > 0.95, name


OPEN: tuple[dict[str, Callable[..., Any]], ...] = (
    {
        "same": nn.MaxPool2d(3, 2, padding="same"),
        "ceil": nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        "gaps": nn.MaxPool2d(1, 3, ceil_mode=True),
        "average": nn.AvgPool2d(3, 2, 1),
        "global": nn.GlobalSumPool2d(),
    },
    {
        "same": nn.AvgPool2d(3, 2, padding="same"),
        "ceil": nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        "soft": nn.SoftPool2d(3, 2, 1),
        "global": nn.GlobalGeMPool2d(),
    },
)


@pytest.mark.parametrize("calls", [OPEN[0], pytest.param(OPEN[1], marks=pytest.mark.slow)], ids=["simple", "counted"])
def test_open_sizes(calls: dict[str, Callable[..., Any]]) -> None:
    """One program for batches and maps of any size, also where padding depends on the size."""
    module = Calls(calls)
    x = distinct((2, 3, 11, 14)).float()
    shapes = {"inputs": ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)}
    program = session(poolkit.onnx.export(module, (x,), dynamic_shapes=shapes))
    for shape in ((2, 3, 11, 14), (3, 3, 9, 8), (2, 3, 20, 13), (5, 3, 10, 15)):
        x = distinct(shape).float()
        for actual, (name, expected) in zip(results(program, (x,)), module(x).items(), strict=True):
            assert actual.shape == tuple(expected.shape), (name, shape)
            assert_near(torch.from_numpy(actual), expected.numpy(), ROUNDING[torch.float32])


def test_adaptive_windows_need_a_fixed_size() -> None:
    with pytest.raises(ArgumentError, match="avg: adaptive windows need an input of fixed size"):
        poolkit.onnx.export(nn.AdaptiveAvgPool2d(2), (torch.rand(2, 3, 8, 8),), dynamic_shapes=({2: Dim.DYNAMIC},))


def test_what_draws_is_refused_by_name() -> None:
    module = nn.Pool("stochastic", kernel_size=2, training=True)
    with pytest.raises(ArgumentError, match="stochastic"):
        poolkit.onnx.export(module, (torch.rand(1, 2, 4, 4),))


def test_a_program_with_weights_and_a_file(folder: Path) -> None:
    """Weights that want gradients change nothing; options and files are those of torch.onnx.export."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.GlobalAvgPool2d()).eval()
    x = torch.randn(2, 3, 8, 8)
    program = torch.export.export(model, (x,))
    poolkit.onnx.export(program, f="model.onnx", input_names=["image"], opset_version=18)
    [y] = onnxruntime.InferenceSession("model.onnx").run(None, {"image": x.numpy()})
    assert_near(torch.from_numpy(y), model(x).detach().double().numpy(), ROUNDING[torch.float32])
    assert {path.name for path in folder.iterdir()} <= {"model.onnx", "model.onnx.data"}


def test_a_file_is_written_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(program: torch.onnx.ONNXProgram, f: Path, **options: Any) -> None:
        f.write_bytes(b"half")
        raise OSError("no space left")

    Path("model.onnx").write_bytes(b"old")
    monkeypatch.setattr(torch.onnx.ONNXProgram, "save", broken)
    with pytest.raises(OSError, match="no space left"):
        poolkit.onnx.export(nn.MaxPool2d(2), (torch.rand(1, 2, 4, 4),), "model.onnx")
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("model.onnx", b"old")]


# ------------------------------------------------------------------------------------------- layers


def quick_or_slow(name: str) -> Any:
    return name if name in ("blur", "roi_align") else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [quick_or_slow(name) for name in LAYERS])
def test_every_layer(name: str) -> None:
    sample = LAYERS[name].samples[0]
    module = build(sample, torch.float32)
    inputs, given = inputs_of(sample, torch.float32), given_to(sample, torch.float32)
    if name in NOT_EXPORTED:
        with pytest.raises((ArgumentError, torch.onnx.OnnxExporterError)):
            poolkit.onnx.export(module, tuple(inputs), kwargs=given)
        return

    def call(*tensors: torch.Tensor) -> Any:
        return module(*tensors[: len(inputs)], **dict(zip(given, tensors[len(inputs) :], strict=True)))

    compare({name: call}, *inputs, *given.values(), rounding=4 * ROUNDING[torch.float32])


PAGE = Path(__file__).resolve().parent.parent / "docs" / "onnx.md"


def test_the_example_of_the_page_prints_what_it_says() -> None:
    assert told(PAGE) == ["['']"]


def test_the_page_names_what_does_not_export() -> None:
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE) == list(NOT_EXPORTED.items())
