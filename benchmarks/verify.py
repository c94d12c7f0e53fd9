"""Who computes the right thing: values and gradients against torch's or the reference's in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from layers import Case
from peers import TORCH, Function
from torch import Tensor

from poolkit import geometry, reference
from poolkit.methods import METHODS

#: The largest difference allowed, in parts of the largest value.
TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 2e-3,
    torch.bfloat16: 1.6e-2,
}

FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


@dataclass(frozen=True)
class Inputs:
    """The input of a case and the gradient of its output, contiguous, with what must come of them."""

    x: Tensor
    grad: Tensor | None
    values: Tensor
    gradient: Tensor | None

    @property
    def number_of_bytes(self) -> int:
        """What must be read and written once."""
        both = self.x.nbytes + self.values.numel() * self.x.itemsize
        return both if self.grad is None else 2 * both


def prepare(case: Case, train: bool) -> Inputs:
    """Random numbers, always the same, and the expected results."""
    generator = torch.Generator().manual_seed(0)
    dtype = getattr(torch, case.dtype)
    shape = case.layer.shape
    if dtype.is_floating_point:
        x = torch.randn(shape, generator=generator).to(dtype)
    else:
        x = torch.randint(0, 100, shape, generator=generator).to(dtype)
    truth = TORCH.function(case) or by_reference(case)
    if not train:
        return Inputs(x, None, truth(x.double()), None)
    exact = x.double().requires_grad_()
    y = truth(exact)
    grad = torch.randn(y.shape, generator=generator).to(dtype)
    (gradient,) = torch.autograd.grad(y, exact, grad.double())
    return Inputs(x, grad, y.detach(), gradient)


def by_reference(case: Case) -> Function:
    """The method's formula over gathered windows, for methods that torch has no words for."""
    layer = case.layer
    method = METHODS[case.method]
    size = layer.shape[2:]
    if layer.form == "windowed":
        windows = geometry.sliding(layer.rank, size, **layer.geometry)
    else:
        windows = geometry.adaptive(layer.rank, size, layer.geometry.get("output_size", 1))
    steps = method.plan(False, *(case.params.get(p.name, p.default) for p in method.params))
    return lambda x: torch.cat([reference.pool(x, windows, step) for step in steps], dim=-layer.rank - 1)


def in_layout(x: Tensor, layout: str) -> Tensor:
    if layout == "contiguous":
        return x.contiguous()
    rank = x.dim() - 2
    if rank == 1:
        return x.transpose(1, 2).contiguous().transpose(1, 2)
    return x.contiguous(memory_format=FORMATS[rank])


def forward(function: Function, inputs: Inputs, layout: str) -> Callable[[], Tensor]:
    x = in_layout(inputs.x, layout)
    return lambda: function(x)


def train(function: Function, inputs: Inputs, layout: str) -> Callable[[], tuple[Tensor, Tensor]]:
    """Forward and backward: the output and the gradient of the input."""
    assert inputs.grad is not None
    x = in_layout(inputs.x, layout).detach().requires_grad_()
    grad = in_layout(inputs.grad, layout)

    def step() -> tuple[Tensor, Tensor]:
        y = function(x)
        (gradient,) = torch.autograd.grad(y, x, grad)
        return y, gradient

    return step


def fault(result: Tensor | tuple[Tensor, Tensor], inputs: Inputs) -> str | None:
    """What is wrong with a result; None if nothing is."""
    if isinstance(result, Tensor):
        return difference("values", result, inputs.values, inputs.x.dtype)
    assert inputs.gradient is not None
    y, gradient = result
    return difference("values", y.detach(), inputs.values, inputs.x.dtype) or difference(
        "gradients", gradient, inputs.gradient, inputs.x.dtype
    )


def difference(what: str, actual: Tensor, expected: Tensor, dtype: torch.dtype) -> str | None:
    if actual.shape != expected.shape:
        return f"{what} of shape {tuple(actual.shape)} instead of {tuple(expected.shape)}"
    if actual.dtype != dtype:
        return f"{what} of {actual.dtype} instead of {dtype}"
    largest = float((actual.double() - expected).abs().max())
    allowed = TOLERANCE.get(dtype, 0.0) * float(expected.abs().max())
    # Not the other way round: NaN is no small difference.
    return None if largest <= allowed else f"{what} differ by {largest:.3g}, allowed is {allowed:.3g}"
