"""How far the outputs of a changed model are from those of the original."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from poolkit.errors import ArgumentError
from poolkit.surgery.summary import check_model
from poolkit.surgery.tensors import tensors
from poolkit.surgery.text import columns
from poolkit.surgery.trace import evaluating


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far one output is from the original.

    `cosine` is the mean over the samples of the cosine of both outputs, `relative_error` the norm of the difference
    over the norm of the original, `top1` the share of places where the largest channel is the same one, for the model's
    output alone.
    """

    name: str
    cosine: float
    relative_error: float
    top1: float | None = None


@dataclasses.dataclass(frozen=True)
class Drift:
    """The layers in the order in which they ran, and the output; `str` gives a table, `to_dict` plain data."""

    layers: tuple[Distance, ...]
    output: Distance

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        lines = [["layer", "cosine", "relative error", "top-1"]]
        for row in (*self.layers, self.output):
            top = "" if row.top1 is None else f"{row.top1:.1%}"
            lines.append([row.name, f"{row.cosine:.6f}", f"{row.relative_error:.3g}", top])
        return columns(lines)


def drift(model: Module, swapped: Module, inputs: Any) -> Drift:
    """Compares every layer that both models have under one name, and their outputs.

    Args:
        model: the original.
        swapped: the changed one, usually a copy: ``copy.deepcopy(model)``, then :func:`poolkit.swap`.
        inputs: what both take, a tensor or a tuple.

    Layers are modules without children in one of the two; their first output is compared. Both models run in evaluation
    mode.

    Raises TypeError for a model that is no module, ArgumentError where both are one, or where shapes differ.
    """
    check_model("drift", model)
    check_model("drift", swapped, "swapped")
    if model is swapped:
        raise ArgumentError(
            "swapped must be another model, such as a swapped copy.deepcopy(model), but got the same one"
        )
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    before = dict(_outputs(model, swapped, given))
    layers: list[Distance] = []
    output: Distance | None = None
    for key, value in _outputs(swapped, model, given):
        if key in before:
            output = _distance(key[0], before.pop(key), value, top1=not key[0])
            layers.append(output)
    if output is None or output.name:
        raise ArgumentError("the models' outputs hold no tensor of floating numbers that could be compared")
    return Drift(tuple(layers[:-1]), dataclasses.replace(output, name="output"))


def _outputs(model: Module, other: Module, inputs: tuple[Any, ...]) -> list[tuple[tuple[str, int], Tensor]]:
    """The outputs of a run by the name of the layer and the number of its call; the model's own has no name."""
    names = {name for name, _ in other.named_modules()}
    found: list[tuple[tuple[str, int], Tensor]] = []
    calls: dict[str, int] = {}

    def note(name: str, output: Any) -> None:
        y = next((y for y in tensors(output) if y.is_floating_point()), None)
        if y is not None:
            calls[name] = calls.get(name, -1) + 1
            found.append(((name, calls[name]), y.detach().clone()))

    with contextlib.ExitStack() as stack:
        stack.enter_context(evaluating(model))
        stack.enter_context(torch.no_grad())
        for name, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            if name and name in names and not (_has_children(module) and _has_children(other.get_submodule(name))):
                handle = module.register_forward_hook(lambda m, i, output, name=name: note(name, output))
                stack.callback(handle.remove)
        note("", model(*inputs))
    return found


def _has_children(module: Module) -> bool:
    return next(module.children(), None) is not None


def _distance(name: str, before: Tensor, after: Tensor, top1: bool) -> Distance:
    if before.shape != after.shape:
        where = name or "the output"
        raise ArgumentError(f"{where} has the shape {list(after.shape)} instead of {list(before.shape)}")
    old, new = (x.double().reshape(x.shape[0] if x.dim() else 1, -1) for x in (before, after))
    norms = old.norm(dim=1) * new.norm(dim=1)
    products = (old * new).sum(1)
    # Of two zeros the cosine is 1: nothing has changed.
    cosine = torch.where(norms > 0, products / norms.clamp_min(1e-300), (old == new).all(1).double())
    size = old.norm().item()
    difference = (old - new).norm().item()
    error = difference / size if size else (0.0 if difference == 0 else float("inf"))
    agreement = None
    if top1 and before.dim() >= 2 and before.shape[1] > 1:
        agreement = (before.argmax(1) == after.argmax(1)).double().mean().item()
    return Distance(name, cosine.mean().item(), error, agreement)
