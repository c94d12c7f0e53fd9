"""torch.library.opcheck on every operator, with the calls that functions and layers make."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from problems import FORMS, RANKS, awkward, in_layout, picks, settings, values
from test_every_layer import build, given_to, inputs_of, with_gradients
from torch.library import opcheck
from torch.utils._python_dispatch import TorchDispatchMode

from poolkit import functional
from poolkit.methods import LAYERS, METHODS

Call = tuple[Any, tuple[Any, ...], dict[str, Any]]

#: Operators that answer questions and take no part in a graph.
QUESTIONS = {"explain", "isa", "isas", "kernels", "set_isa"}
#: The short ways of eager calls, never seen by a compiler or a mode (tests/test_short_ways.py).
SHORT_WAYS = {"prepare", "pool_prepared", "pool_winners_prepared", "pool_backward_prepared"}
EVERY_CHECK = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


def operators() -> set[str]:
    names = (name.removeprefix("poolkit::") for name in torch._C._dispatch_get_all_op_names() if "poolkit::" in name)
    return set(names) - QUESTIONS - SHORT_WAYS


class Recorder(TorchDispatchMode):
    """Keeps one call of each operator for each kernel, number of dimensions, arrangement and dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[tuple[Any, ...], Call] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "poolkit":
            x = args[0]
            kernel = next((value for value in args if isinstance(value, str)), None)
            key = (func._schema.name, kernel, x.dim(), x.is_contiguous(), x.dtype)
            args = tuple(value.detach() if isinstance(value, torch.Tensor) else value for value in args)
            self.calls.setdefault(key, (func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def pool_everything(rank: int) -> None:
    """Every method with every kernel that its samples run, forward, backward and with indices, in turns of forms."""
    for number, name in enumerate(METHODS):
        form = FORMS[(number + rank) % len(FORMS)]
        problem = awkward(form, rank)
        function = problem.function(name)
        x = torch.tensor(values("normal", (2, 3, *problem.size)))
        view = [x, x[0].float(), in_layout(x, "channels_last").bfloat16()][number % 3]
        for params in map(dict, METHODS[name].samples):
            if params not in settings(name, form):
                continue
            function(view, **problem.arguments, **params)
            y = function(view.clone().requires_grad_(), **problem.arguments, **params)
            y.sum().backward()
            if picks(name, params) and form != "global":
                function(view, **problem.arguments, **params, return_indices=True)


def run_layers() -> None:
    for layer in LAYERS.values():
        for sample in {sample.module: sample for sample in layer.samples}.values():
            module, given = build(sample, torch.float32), given_to(sample, torch.float32)
            with_gradients(module, inputs_of(sample, torch.float32), given)
            with torch.no_grad():
                module(*inputs_of(sample, torch.float32), **given)
    x = torch.tensor(values("normal", (2, 3, 6, 4)))
    y, indices = functional.max_pool2d(x, 2, return_indices=True)
    functional.max_unpool2d(y.requires_grad_(), indices, 2).sum().backward()
    functional.roi_pool(x, [torch.tensor([[0.0, 0, 3, 3]])] * 2, 2)
    functional.segment_pool(x[0, 0].clone().requires_grad_(), "max", index=[2, 0, 2, 3, 0, 2]).sum().backward()


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    with Recorder() as recorder:
        for rank in RANKS:
            pool_everything(rank)
        run_layers()
    return list(recorder.calls.values())


@pytest.mark.parametrize("name", sorted(operators()))
def test_opcheck(name: str, calls: list[Call]) -> None:
    """One call goes through every check; the others, which differ in layout and kernel, through the quick ones."""
    own = [call for call in calls if call[0]._schema.name == f"poolkit::{name}"]
    assert own
    for number, (operator, args, kwargs) in enumerate(own):
        opcheck(operator, args, kwargs, test_utils=EVERY_CHECK if number == 0 else ("test_schema", "test_faketensor"))
