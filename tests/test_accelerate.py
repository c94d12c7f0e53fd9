"""poolkit.accelerate: the same outputs by poolkit's modules."""

from __future__ import annotations

import copy

import nets
import pytest
import torch
from torch import nn as torch_nn

import poolkit
from poolkit import ArgumentError, nn

IMAGE = torch.rand(2, 1, 28, 28)

MODULES: list[tuple[torch_nn.Module, tuple[int, ...]]] = [
    (torch_nn.MaxPool1d(3, 2, 1, ceil_mode=True), (2, 3, 14)),
    (torch_nn.MaxPool2d((3, 2), (2, 1), (1, 0), dilation=(2, 1)), (2, 3, 14, 13)),
    (torch_nn.MaxPool3d(2), (2, 3, 6, 7, 8)),
    (torch_nn.AvgPool1d(3, 2, 1), (2, 3, 14)),
    (torch_nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 3, 14, 13)),
    (torch_nn.AvgPool2d(3, 2, 1, divisor_override=5), (2, 3, 14, 13)),
    (torch_nn.AvgPool3d(2), (2, 3, 6, 7, 8)),
    (torch_nn.LPPool2d(2, 3, 2), (2, 3, 14, 13)),
    (torch_nn.AdaptiveMaxPool2d((3, None)), (2, 3, 14, 13)),
    (torch_nn.AdaptiveAvgPool1d(5), (2, 3, 14)),
    (torch_nn.AdaptiveAvgPool3d(2), (2, 3, 5, 6, 7)),
    (nets.MaxPool2dSame((3, 3), (2, 2)), (2, 3, 14, 13)),
    (nets.AvgPool2dSame((3, 3), (2, 2)), (2, 3, 14, 13)),
    (nets.BlurPool2d(3), (2, 3, 14, 13)),
    (nets.BlurPool2d(3, 4, 2, "constant"), (2, 3, 14, 13)),
    (nets.SelectAdaptivePool2d("avg"), (2, 3, 14, 13)),
    (nets.SelectAdaptivePool2d("fast"), (2, 3, 14, 13)),
    (nets.SelectAdaptivePool2d("fast", False, "NHWC"), (2, 14, 13, 3)),
    (nets.SelectAdaptivePool2d("catavgmax"), (2, 3, 14, 13)),
]


@pytest.mark.parametrize(("module", "shape"), MODULES, ids=lambda value: str(value).split("\n")[0][:40])
def test_the_same_outputs_and_gradients(module: torch_nn.Module, shape: tuple[int, ...]) -> None:
    model = torch_nn.Sequential(copy.deepcopy(module))
    changes = poolkit.accelerate(model)
    assert len(changes) == 1
    assert "torch." not in changes[0].after
    values = torch.rand(shape)
    results = []
    for net in (module, model):
        x = values.clone().requires_grad_()
        y = net(x)
        y.backward(torch.linspace(0, 1, y.numel()).reshape(y.shape))
        results.append((y, x.grad))
    torch.testing.assert_close(results[1], results[0])
    assert len(poolkit.accelerate(model)) == 0  # poolkit's are left alone
    changes.undo()
    assert type(model[0]) is type(module)


def test_indices_serve_unpooling() -> None:
    class Pair(torch_nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.unpool = torch_nn.MaxPool2d(2, return_indices=True), torch_nn.MaxUnpool2d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.unpool(*self.pool(x))
            return result

    model = Pair()
    y = model(IMAGE)
    assert [change.name for change in poolkit.accelerate(model)] == ["pool"]
    assert torch.equal(model(IMAGE), y)


def test_what_draws_or_runs_code_of_its_own_is_left_alone() -> None:
    class Own(torch_nn.MaxPool2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) * 2

    class Renamed(torch_nn.MaxPool2d):
        pass

    model = torch_nn.Sequential(torch_nn.FractionalMaxPool2d(2, output_size=3), Own(2), nn.MaxPool2d(2), Renamed(2))
    assert [change.name for change in poolkit.accelerate(model)] == ["3"]


def test_drift_checks_it() -> None:
    model = nets.lenet()
    fast = copy.deepcopy(model)
    changes = poolkit.accelerate(fast)
    assert poolkit.drift(model, fast, IMAGE).output.relative_error < 1e-6
    assert [change.before for change in changes] == ["torch MaxPool2d k2 s2"] * 2
    assert [change.after for change in changes] == ["poolkit MaxPool2d k2 s2"] * 2
    assert changes.times is None


def test_times_with_inputs() -> None:
    model = torch_nn.Sequential(torch_nn.MaxPool2d(2), nets.SelectAdaptivePool2d("avg"))
    changes = poolkit.accelerate(model, IMAGE)
    assert changes.times is not None
    assert set(changes.times.layers) == {"0", "1.pool"}
    assert all(before > 0 and after > 0 for before, after in changes.times.layers.values())
    assert "times as fast" in str(changes)
    assert str(changes).splitlines()[-1].startswith("model")


def test_a_model_that_fails_is_left_as_it_was() -> None:
    model = nets.lenet()
    with pytest.raises(RuntimeError):
        poolkit.accelerate(model, torch.zeros(1, 3, 28, 28))
    assert isinstance(model[2], torch_nn.MaxPool2d)


def test_errors() -> None:
    assert str(poolkit.accelerate(nets.Functional())) == "no changes"
    with pytest.raises(TypeError, match=r"accelerate\(\): model must be a torch\.nn\.Module"):
        poolkit.accelerate("resnet50")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="is itself a pooling"):
        poolkit.accelerate(torch_nn.MaxPool2d(2))
