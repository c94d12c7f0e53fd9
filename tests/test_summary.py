"""poolkit.summary: what it finds, and whether its figures are right."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import nets
import pytest
import torch
from commands import refused, run
from torch import Tensor
from torch import nn as torch_nn
from torch.nn import functional as F

import poolkit
from poolkit import ArgumentError, functional, nn
from poolkit.surgery.summary import Row


def rows(model: torch_nn.Module, *inputs: Any) -> tuple[Row, ...]:
    return poolkit.summary(model, *inputs).rows


# ------------------------------------------------------------------------------------------------ what is found


def test_modules_with_their_shapes_bytes_and_operations() -> None:
    first, second = rows(nets.lenet(), torch.zeros(2, 1, 28, 28))
    assert (first.name, first.kind, first.method, first.form, first.windows) == (
        "2",
        "module",
        "max",
        "sliding",
        "k2 s2",
    )
    assert (first.input_shape, first.output_shape) == ((2, 4, 28, 28), (2, 4, 14, 14))
    assert (first.read, first.written) == (4 * 2 * 4 * 28 * 28, 4 * 2 * 4 * 14 * 14)
    assert first.operations == 2 * 4 * 28 * 28  # no window overlaps another
    assert (second.name, second.output_shape) == ("5", (2, 8, 5, 5))


def test_operations_count_the_cells_of_windows_and_not_their_padding() -> None:
    [row] = rows(torch_nn.Sequential(torch_nn.AvgPool1d(3, 2, 1)), torch.zeros(1, 1, 5))
    assert row.operations == 2 + 3 + 2
    [row] = rows(torch_nn.Sequential(torch_nn.AdaptiveMaxPool2d(2)), torch.zeros(1, 3, 5, 4))
    assert row.operations == 3 * (3 + 3) * (2 + 2)


def test_functions_and_reductions_with_the_module_that_calls() -> None:
    found = [
        (row.name, row.kind, row.method, row.windows) for row in rows(nets.Functional(), torch.zeros(1, 3, 17, 17))
    ]
    assert found == [
        ("", "function", "max", "k3 s2 p1"),
        ("block", "mean", "avg", "whole map"),
        ("", "function", "avg", "k2 s2 ceil"),
        ("", "mean", "avg", "whole map"),
    ]


class Calls(torch_nn.Module):
    def __init__(self, call: Any) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> Any:
        return self.call(x)


@pytest.mark.parametrize(
    ("call", "kind", "method"),
    [
        (lambda x: F.lp_pool2d(x, 2, 2), "function", "lp"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], "function", "max"),
        (lambda x: F.adaptive_max_pool2d(x, 3), "function", "max"),
        (lambda x: F.max_pool1d(x[0], kernel_size=2), "function", "max"),
        (lambda x: torch.mean(x, dim=(-1, -2)), "mean", "avg"),
        (lambda x: x.amax((2, 3), keepdim=True), "amax", "max"),
        (lambda x: x.permute(0, 2, 3, 1).mean((1, 2)), "mean", "avg"),
        (lambda x: x.flatten(2).transpose(1, 2).mean(1), "mean", "avg"),
        (lambda x: x.flatten(2).mean(-1), "mean", "avg"),
        (lambda x: x.flatten(2).max(dim=2).values, "max", "max"),
        (lambda x: functional.soft_pool2d(x, 2), "function", "soft"),
        (lambda x: functional.max_pool2d(x, 2), "function", "max"),
        (lambda x: functional.blur_pool2d(x), "function", "blur"),
        (lambda x: functional.max_blur_pool2d(x), "function", "max_blur"),
        (lambda x: functional.adaptive_avg_pool2d(x, 1), "function", "avg"),
    ],
)
def test_calls_that_pool(call: Any, kind: str, method: str) -> None:
    [row] = rows(Calls(call), torch.zeros(1, 4, 8, 8))
    assert (row.kind, row.method) == (kind, method)
    assert row.saved >= 0


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.mean(1, keepdim=True),
        lambda x: x.mean((1, 2, 3)),
        lambda x: x.mean(),
        lambda x: x.flatten(2).mean(-1, keepdim=True),
        lambda x: x.mean(3),
        lambda x: torch.max(x, x),
        lambda x: x.relu(),
    ],
)
def test_calls_that_do_not(call: Any) -> None:
    assert not rows(Calls(call), torch.zeros(1, 4, 8, 8))


def test_modules_of_poolkit_and_timm_are_one_row_each() -> None:
    model = torch_nn.Sequential(
        nn.MaxBlurPool2d(),
        nn.Pool("lp", norm_type=2, kernel_size=2),
        nets.MaxPool2dSame((3, 3), (2, 2)),
        nets.AvgPool2dSame((2, 2), (1, 1)),
        nets.BlurPool2d(4),
        nets.SelectAdaptivePool2d("catavgmax", flatten=False),
        nets.SelectAdaptivePool2d(""),
    )
    found = [(row.name, row.method, row.windows) for row in rows(model, torch.zeros(1, 4, 40, 40))]
    assert found == [
        ("0", "max_blur", "-"),
        ("1", "lp", "k2 s2"),
        ("2", "max", "k3 s2 same"),
        ("3", "avg", "k2 s1 same"),
        ("4", "blur", "-"),
        ("5", "avg_max", "to 1"),
    ]


def test_layers_over_sequences() -> None:
    [row] = rows(torch_nn.Sequential(nn.TemporalPool("mean")), torch.zeros(2, 12, 5))
    assert (row.method, row.output_shape, row.shrinks) == ("temporal", (2, 12), 5)


# ------------------------------------------------------------------------------------------- receptive fields


def positive(model: torch_nn.Module) -> torch_nn.Module:
    for weight in model.parameters():
        torch_nn.init.ones_(weight)
    return model.double()


def test_receptive_fields_are_where_gradients_arrive() -> None:
    model = positive(
        torch_nn.Sequential(
            torch_nn.Conv2d(1, 2, 3, padding=1),
            torch_nn.AvgPool2d((3, 2), (2, 1), padding=(1, 0)),
            torch_nn.Conv2d(2, 1, (1, 3), padding="same", dilation=2),
            nets.AvgPool2dSame((3, 3), (2, 2)),
        )
    )
    x = torch.rand(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    for end, row in zip((2, 4), rows(model, x), strict=True):
        y = model[:end](x)  # type: ignore[index]
        a, b = y.shape[2] // 2, y.shape[3] // 2
        spans = []
        for place in ((a, b), (a + 1, b + 1)):
            (gradient,) = torch.autograd.grad(y[(0, 0, *place)], x, retain_graph=True)
            seen = gradient[0, 0].nonzero()
            spans.append((seen.amin(0), seen.amax(0)))
        sizes = spans[0][1] - spans[0][0] + 1
        assert row.receptive_field == tuple(sizes.tolist())
        assert row.stride == tuple((spans[1][0] - spans[0][0]).tolist())


def test_fields_follow_shortcuts_shuffles_and_transpositions() -> None:
    def mixed(x: Tensor) -> Tensor:
        short = F.conv2d(x, torch.ones(4, 4, 1, 1))
        long = F.conv2d(x, torch.ones(4, 4, 5, 5), padding=2)
        y = torch.cat((short, short + long), 1)
        y = y.view(1, 2, 4, *y.shape[2:]).transpose(1, 2).reshape(1, 8, *y.shape[2:])  # channels are shuffled
        y = F.layer_norm(y.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)
        return F.max_pool2d(y, 2)

    [row] = rows(Calls(mixed), torch.zeros(1, 4, 16, 16))
    assert (row.receptive_field, row.stride) == ((6, 6), (2, 2))


def test_fields_are_unknown_behind_what_mixes_places() -> None:
    [row] = rows(Calls(lambda x: F.max_pool2d(x @ x, 2)), torch.zeros(1, 4, 16, 16))
    assert row.receptive_field is None


def test_gates_do_not_widen_fields() -> None:
    *_, gate, _, last = rows(nets.Functional(), torch.zeros(1, 3, 17, 17))
    # Convolution, 3x3 windows at stride 2, convolution, 2x2 windows at stride 2.
    convolution = {"kernel_size": 3, "stride": 1, "padding": 1}
    layers = [convolution, {"kernel_size": 3, "stride": 2, "padding": 1}, convolution]
    expected = poolkit.receptive_field([*layers, {"kernel_size": 2}, {"kernel_size": 5}])
    assert last.receptive_field == tuple(field.size for field in expected)
    expected = poolkit.receptive_field([*layers, {"kernel_size": 9}])
    assert gate.receptive_field == tuple(field.size for field in expected)


# ------------------------------------------------------------------------------------------- costs and savings


def test_what_autograd_keeps() -> None:
    x = torch.zeros(1, 2, 8, 8)
    cells = 2 * 4 * 4
    for module, kept in (
        (torch_nn.MaxPool2d(2), 4 * 2 * 64 + 8 * cells),  # the input, and an index of 8 bytes an output
        (nn.MaxPool2d(2), cells),  # an offset of a byte
        (nn.AvgPool2d(2), 0),
        (nn.SoftPool2d(2), 4 * (2 * 64 + cells)),  # the input and the output
    ):
        [row] = rows(torch_nn.Sequential(module), x)
        assert row.saved == kept


def test_without_a_pooling_what_follows_is_as_much_larger_as_it_says() -> None:
    x = torch.zeros(1, 1, 28, 28)
    first, second = rows(nets.lenet(), x)
    assert (first.shrinks, second.shrinks) == (4, 4)
    assert second.parameters_after == 8 * 5 * 5 * 10  # and without it 8 * 10 * 10 * 10
    assert second.activations_after == 0
    assert second.operations_after == 8 * 5 * 5 * 10
    convolution, linear = 8 * 10 * 10 * 4 * 5 * 5, 8 * 5 * 5 * 10
    assert first.operations_after == convolution + linear
    assert first.activations_after == 4 * (8 * 10 * 10 + 8 * 5 * 5)
    assert first.parameters_after == linear
    text = str(poolkit.summary(nets.lenet(), x))
    assert "2 k, else 8 k" in text
    assert "4x smaller" in text


def test_poolings_to_a_fixed_size_end_what_those_before_save() -> None:
    model = torch_nn.Sequential(
        torch_nn.MaxPool2d(2),
        torch_nn.Conv2d(1, 2, 1),
        torch_nn.AdaptiveAvgPool2d(3),
        torch_nn.Flatten(),
        torch_nn.Linear(18, 7),
    )
    first, fixed = rows(model, torch.zeros(1, 1, 12, 12))
    assert (first.parameters_after, first.operations_after) == (0, 2 * 36)
    assert (fixed.parameters_after, fixed.shrinks) == (18 * 7, 4)


def test_gates_do_not_carry_what_follows() -> None:
    _, gate, _, last = rows(nets.Functional(), torch.zeros(1, 3, 16, 16))
    assert (gate.operations_after, gate.parameters_after) == (8 * 8, 0)
    assert last.parameters_after == 8 * 5


def test_time() -> None:
    told = poolkit.summary(nets.lenet(), torch.zeros(1, 1, 28, 28), time=True)
    assert told.seconds is not None
    assert told.seconds > 0
    assert all(row.seconds is not None and row.seconds > 0 and row.share for row in told)
    assert sum(row.share or 0 for row in told) < 1
    assert "of which pooling" in str(told)
    assert "of which pooling" not in str(poolkit.summary(nets.lenet(), torch.zeros(1, 1, 28, 28)))


# ------------------------------------------------------------------------------------------------- manners


def test_the_model_is_left_as_it_was() -> None:
    model = torch_nn.Sequential(
        torch_nn.Conv2d(3, 4, 3), torch_nn.BatchNorm2d(4), torch_nn.MaxPool2d(2), torch_nn.Dropout()
    )
    model[3].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    poolkit.summary(model, torch.randn(2, 3, 8, 8))
    assert [module.training for module in model] == [True, True, True, False]
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_model_that_raises_is_left_as_it_was_and_its_error_seen() -> None:
    model = torch_nn.Sequential(torch_nn.MaxPool2d(2), torch_nn.Linear(3, 3))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        poolkit.summary(model, torch.zeros(1, 1, 8, 8))
    with pytest.raises(RuntimeError):
        poolkit.summary(torch_nn.Sequential(torch_nn.MaxPool2d(9)), torch.zeros(1, 1, 8, 8))
    assert not any(module._forward_hooks for module in model.modules())


def test_torchscript_hides_its_poolings_and_does_no_harm() -> None:
    hidden = torch.jit.script(torch_nn.Sequential(torch_nn.MaxPool2d(2)))
    [row] = rows(torch_nn.Sequential(hidden, torch_nn.AvgPool2d(2)), torch.zeros(1, 1, 8, 8))
    assert (row.name, row.receptive_field) == ("1", None)


def test_the_meta_device_gives_the_same_rows() -> None:
    def plain(device: str) -> list[tuple[Any, ...]]:
        with torch.device(device):
            told = rows(nets.Functional(), torch.zeros(2, 3, 20, 20))
        return [(row.name, row.output_shape, row.receptive_field, row.operations, row.saved) for row in told]

    assert plain("meta") == plain("cpu")


def test_inputs_that_are_written_in_place() -> None:
    [row] = rows(Calls(lambda x: F.max_pool2d(x.mul_(2), 2)), torch.zeros(1, 1, 4, 4))
    assert row.output_shape == (1, 1, 2, 2)


def test_json() -> None:
    told = poolkit.summary(nets.Functional(), torch.zeros(1, 3, 16, 16))
    data = json.loads(told.to_json())
    assert data["parameters"] == sum(weight.numel() for weight in nets.Functional().parameters())
    assert data["rows"][0]["geometry"] == {
        "kernel_size": 3,
        "stride": 2,
        "padding": 1,
        "dilation": 1,
        "ceil_mode": False,
    }
    assert [row["method"] for row in data["rows"]] == [row.method for row in told]


def test_a_model_without_pooling_has_no_rows() -> None:
    told = poolkit.summary(torch_nn.Linear(3, 3), torch.zeros(1, 3))
    assert len(told) == 0
    assert str(told) == "no pooling"


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, but got int"):
        poolkit.summary(3, torch.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="inputs must be what the model takes"):
        poolkit.summary(nets.lenet())


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def model_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop("own_nets", None)
    (folder / "own_nets.py").write_text(
        "import torch\n\n\n"
        "def small():\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.MaxPool2d(2))\n\n\n"
        "def failing():\n"
        "    return 1 / 0\n\n\n"
        "ready, number, line = small(), 3, torch.nn.Linear(2, 2)\n"
    )
    return "own_nets"


def test_command(model_file: str) -> None:
    for target in (f"{model_file}:small", f"{model_file}:ready"):
        told = run("summary", target, "--input", "1,1,8,8", "--time")
        assert re.search(r"^ *1 +max +module +k2 s2 +1x2x6x6 +1x2x3x3 +4x4 +2x2 ", told, re.MULTILINE)
        assert "of which pooling" in told
    data = json.loads(run("summary", f"{model_file}:small", "--input", "1,1,8,8", "--json"))
    assert data["rows"][0]["method"] == "max"
    assert data["seconds"] is None
    assert run("summary", f"{model_file}:line", "--input", "1,2") == "own_nets:line has no pooling\n"


@pytest.mark.parametrize(
    ("target", "shape", "message"),
    [
        (
            "own_nets",
            "1,1,8,8",
            "MODEL should be MODULE:CALLABLE such as torchvision.models:resnet18, but got 'own_nets'",
        ),
        ("own_netz:small", "1,1,8,8", "own_netz cannot be imported: ModuleNotFoundError: No module named 'own_netz'"),
        ("own_nets:smal", "1,1,8,8", "own_nets has no 'smal'; did you mean 'small'?"),
        ("own_nets:number", "1,1,8,8", "own_nets:number should be a model or return one, but is a int"),
        ("own_nets:failing", "1,1,8,8", "own_nets:failing() failed: ZeroDivisionError: division by zero"),
        ("builtins:dict", "1,1,8,8", "builtins:dict() should return a torch.nn.Module, but gave a dict"),
        ("own_nets:small", "1,8", "own_nets:small fails on this input: RuntimeError: "),
        ("own_nets:small", "1,x", "--input should be integers such as 32,64,112,112, but got '1,x'"),
        ("own_nets:small", "1,1,8,-8", "--input should have sizes >= 0"),
        ("own_nets:small", "1,1,8,8:in64", "--input should end with a type such as int64"),
    ],
)
def test_mistakes_are_told_in_one_line(model_file: str, target: str, shape: str, message: str) -> None:
    assert message in refused("summary", target, "--input", shape)
