"""Kernels under torch.func and in forward mode: what vmap, grad, vjp and jvp do with the operators of pooling.

vmap makes its dimension part of the batch. Methods that are linear once it is known which cells won keep their
kernels under every transform, the others under vmap alone. Methods that draw run the formula.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack, get_unwrapped, is_functorch_wrapped_tensor
from torch.autograd import forward_ad

from poolkit.geometry import Windows
from poolkit.methods import KERNELS, Step


def active() -> bool:
    """Whether a transform of torch.func or forward mode is at work."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def recorded() -> bool:
    """Whether torch.jit.trace, which knows no operators that take symbolic sizes, is at work."""
    return torch._C._is_tracing()


def observed() -> bool:
    """Whether a mode sees the operators that run, as that of fake tensors does."""
    return torch._C._len_torch_dispatch_stack() > 0


def _only_maps() -> bool:
    """Whether none of the active transforms takes a derivative."""
    stack = get_interpreter_stack() or ()
    return forward_ad._current_level < 0 and all(layer.key() == TransformType.Vmap for layer in stack)


# What torch.compiler.assume_constant_result does, which loads the compiler: that asks while the transforms are active.
for _question in (active, recorded, observed, _only_maps):
    _question._dynamo_marked_constant = True  # type: ignore[attr-defined]


def differentiates(x: Tensor) -> bool:
    """Whether a derivative of what becomes of x may be asked for."""
    if not _only_maps():
        return True
    if not torch.is_grad_enabled():
        return False
    if torch.compiler.is_compiling():  # it cannot look below vmap
        return True
    while is_functorch_wrapped_tensor(x):
        x = get_unwrapped(x)
    return x.requires_grad


def runs_kernel(x: Tensor, kernel: str) -> bool:
    """Whether the active transforms leave a tensor to the kernel, which takes its dtype."""
    if KERNELS[kernel].draws:
        return False
    if not differentiates(x):
        return True
    linear = KERNELS[kernel].gradient in ("linear", "winner", "linear+winner")
    # Compiled, a transform takes no gradient from an autograd.Function, and does not say so.
    return linear and x.is_floating_point() and not torch.compiler.is_compiling()


def pool(x: Tensor, windows: Windows, step: Step, packed: list[int]) -> Tensor:
    """The pooled tensor."""
    if differentiates(x):
        return cast(Tensor, _Pool.apply(x, _Call(windows, step, packed))[0])
    return cast(Tensor, torch.ops.poolkit.pool(x, step.kernel, packed, step.floats))


def pool_indices(x: Tensor, windows: Windows, step: Step, packed: list[int]) -> tuple[Tensor, Tensor]:
    """The pooled tensor and where in its plane each value stands."""
    if differentiates(x):
        y, winners = _Pool.apply(x, _Call(windows, step, packed))
    else:
        y, winners = torch.ops.poolkit.pool_winners(x, step.kernel, packed, step.floats)
    return y, torch.ops.poolkit.winner_indices(winners, packed)


@dataclasses.dataclass(frozen=True)
class _Call:
    """What a kernel needs beside its tensor; one thing to torch.func, which looks into tuples."""

    windows: Windows
    step: Step
    packed: list[int]

    @property
    def gradient(self) -> str:
        return KERNELS[self.step.kernel].gradient


class _Pool(torch.autograd.Function):
    """A kernel that is linear once its winners are known; gives them too, or something empty."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, call: _Call) -> tuple[Tensor, Tensor]:
        given = (x, call.step.kernel, call.packed, call.step.floats)
        if call.gradient == "linear":
            return torch.ops.poolkit.pool(*given), x.new_empty(0)
        return cast("tuple[Tensor, Tensor]", torch.ops.poolkit.pool_winners(*given))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, ctx.call = inputs
        _, winners = output
        ctx.mark_non_differentiable(winners)
        ctx.save_for_backward(winners)
        ctx.save_for_forward(winners)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return _Backward.apply(grads[0], *ctx.saved_tensors, ctx.call), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        [winners] = ctx.saved_tensors
        return _along(tangents[0], winners, ctx.call), None


class _Backward(torch.autograd.Function):
    """The gradient, which is linear."""

    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, winners: Tensor, call: _Call) -> Tensor:
        kept = None if call.gradient == "linear" else winners
        given = (call.step.kernel, call.packed, call.step.floats, False)
        return cast(Tensor, torch.ops.poolkit.pool_backward(grad, None, None, kept, *given))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, winners, ctx.call = inputs
        ctx.save_for_backward(winners)
        ctx.save_for_forward(winners)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        [winners] = ctx.saved_tensors
        return _along(grads[0], winners, ctx.call), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return _Backward.apply(tangents[0], *ctx.saved_tensors, ctx.call)


def _along(x: Tensor, winners: Tensor, call: _Call) -> Tensor:
    """The derivative along x: pools the same cells of x."""
    windows, step, packed = call.windows, call.step, call.packed
    if call.gradient == "linear":
        return cast(Tensor, _Pool.apply(x, call)[0])
    rank = windows.rank
    positions = torch.ops.poolkit.winner_indices(winners, packed)
    picked = x.flatten(-rank).gather(-1, positions.flatten(-rank)).unflatten(-1, windows.output_size)
    if call.gradient == "winner":
        return picked
    of_average, of_winner = step.floats
    average, _ = _Pool.apply(x, _Call(windows, step._replace(kernel="avg", floats=()), packed))
    return cast(Tensor, of_average * average + of_winner * picked)


def _folded(operator: Callable[..., Any], rank_of: Callable[..., int]) -> Callable[..., Any]:
    """How vmap runs an operator on (C, *spatial) or (N, C, *spatial): with its dimension as batch, or as part of it."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *given: Any) -> Any:
        rank = rank_of(*given)
        size: tuple[int, ...] = (info.batch_size,)

        def fold(value: Any, dim: Any) -> Any:
            nonlocal size
            if not isinstance(value, Tensor):
                return value
            value = value.expand(info.batch_size, *value.shape) if dim is None else value.movedim(dim, 0)
            size = tuple(value.shape[: -rank - 1])
            return value.flatten(0, -rank - 2)

        results = operator(*map(fold, given, in_dims))
        if isinstance(results, Tensor):
            return results.unflatten(0, size), 0
        return tuple(y.unflatten(0, size) for y in results), (0,) * len(results)

    return rule


def _rank_of_windows(*given: Any) -> int:
    """The first list among an operator's arguments is the packed windows, which begin with their rank."""
    return int(next(value for value in given if isinstance(value, list))[0])


def _rank_of_size(x: Tensor, indices: Tensor, output_size: list[int]) -> int:
    return len(output_size)


def _rank_given(grad: Tensor, indices: Tensor, rank: int) -> int:
    return rank


#: How many dimensions of a call's tensors are pooled, for each operator on planes that are independent of each other.
RANKS: dict[str, Callable[..., int]] = {
    "pool": _rank_of_windows,
    "pool_winners": _rank_of_windows,
    "pool_backward": _rank_of_windows,
    "pool_by_logits": _rank_of_windows,
    "pool_by_logits_backward": _rank_of_windows,
    "winner_indices": _rank_of_windows,
    "max_unpool": _rank_of_size,
    "max_unpool_backward": _rank_given,
}


def register() -> None:
    """Tells vmap the operators."""
    for name, rank_of in RANKS.items():
        operator = getattr(torch.ops.poolkit, name).default
        torch.library.register_vmap(f"poolkit::{name}", _folded(operator, rank_of))
