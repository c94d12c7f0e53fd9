"""The operators behind every function: which code runs, and its gradient.

CPU tensors of the usual dtypes go to the compiled kernels (torch.ops.poolkit), those of a GPU by the same operators to
the kernels in Triton, everything else to reference.py.
"""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from poolkit import aten, fakes, geometry, layout, reference, sharding, transforms
from poolkit import triton as gpu
from poolkit.geometry import Axis, Windows
from poolkit.methods import COUNT_FIXED, COUNT_VALID, KERNELS, Step
from poolkit.methods.ranks import RULES

_LIBRARY = pathlib.Path(__file__).with_name("_torch.so")
_FLOATS = frozenset((torch.float32, torch.float64, torch.float16, torch.bfloat16))
_INTEGERS = {
    "all": frozenset((torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)),
    "int64": frozenset((torch.int64,)),
    "none": frozenset[torch.dtype](),
}
#: The dtypes that each kernel takes.
KERNEL_DTYPES = {name: _FLOATS | _INTEGERS[kernel.integers] for name, kernel in KERNELS.items()}
KERNEL_DTYPES |= dict.fromkeys(
    (
        "roi_align",
        "roi_pool",
        "sequences",
        "largest_steps",
        "weighted_steps",
        "segments",
        "fractional",
        "filter",
        "max_filter",
    ),
    _FLOATS,
)

HAS_KERNELS = _LIBRARY.exists()
if HAS_KERNELS:
    torch.ops.load_library(_LIBRARY)
    _pool = torch.ops.poolkit.pool.default
    _pool_winners = torch.ops.poolkit.pool_winners.default
    _pool_backward = torch.ops.poolkit.pool_backward.default
    _prepare = torch.ops.poolkit.prepare.default
    _pool_prepared = torch.ops.poolkit.pool_prepared.default
    _pool_winners_prepared = torch.ops.poolkit.pool_winners_prepared.default
    _pool_backward_prepared = torch.ops.poolkit.pool_backward_prepared.default
    _pool_by_logits = torch.ops.poolkit.pool_by_logits.default
    _pool_by_logits_backward = torch.ops.poolkit.pool_by_logits_backward.default
    _winner_indices = torch.ops.poolkit.winner_indices.default
    _max_unpool = torch.ops.poolkit.max_unpool.default
    _max_unpool_backward = torch.ops.poolkit.max_unpool_backward.default


def why_formula(x: Tensor) -> str | None:
    """Why only operations that torch can take apart may see this tensor; None if an operator of poolkit's may."""
    if transforms.active():
        return "a torch.func or forward-mode transform is active"
    if transforms.recorded():
        return "torch.jit.trace writes torch's operators"
    return _why_not_plain(x)


def _why_not_plain(x: Tensor) -> str | None:
    plain = type(x) in (Tensor, torch.nn.Parameter) or isinstance(x, torch._subclasses.FakeTensor)
    if not plain and not torch.compiler.is_compiling():
        return f"the input is a {type(x).__name__}"
    return None


def why_no_kernel(x: Tensor, kernel: str, backward: bool = False) -> str | None:
    """Why this call goes to the reference; None if a kernel runs."""
    if backward and KERNELS[kernel].gradient == "formula":
        return "no kernel computes the gradient of this method"
    if not HAS_KERNELS:
        return "the compiled kernels are not installed (poolkit was built without torch)"
    return why_formula(x) or _why_not_taken(x, kernel)


def _why_not_taken(x: Tensor, kernel: str) -> str | None:
    dtypes = KERNEL_DTYPES
    if x.device.type in gpu.DEVICES:
        if not gpu.is_installed():
            return f"the kernels for device {x.device.type!r} need triton, which is not installed"
        dtypes = gpu.DTYPES
    elif x.device.type not in ("cpu", "meta"):
        return f"there are no kernels for device {x.device.type!r}"
    if x.layout is not torch.strided:
        return f"the input's layout is {x.layout}"
    if kernel not in dtypes:
        return f"{kernel!r} has no kernel for device {x.device.type!r}"
    if x.dtype not in dtypes[kernel]:
        return f"there is no kernel for {x.dtype}" + (f" on device {x.device.type!r}" if dtypes is gpu.DTYPES else "")
    return None


def check_dense(name: str, argument: str, x: Tensor) -> None:
    """The tensor has its values in strided memory."""
    if x.layout is not torch.strided:
        if x.is_nested:
            hint = "; temporal_pool and its like take it, segment_pool its values() and offsets()"
        else:
            hint = "; give to_dense() of it"
        raise NotImplementedError(f"{name}(): {argument} must be dense (torch.strided), but got {x.layout}{hint}")


def _runs_transformed(x: Tensor, kernel: str) -> bool:
    """Whether a kernel runs although a transform is active."""
    if not (HAS_KERNELS and transforms.active() and transforms.runs_kernel(x, kernel)):
        return False
    return _why_not_plain(x) is None and _why_not_taken(x, kernel) is None


def _runs_sharded(x: Tensor, kernel: str) -> bool:
    """Whether a kernel runs on the parts of a DTensor."""
    return HAS_KERNELS and sharding.is_distributed(x) and _why_not_taken(x, kernel) is None


def _runs_kernel(x: Tensor, kernel: str, backward: bool) -> bool:
    # The common case first; `why_no_kernel` covers the others.
    if backward and KERNELS[kernel].gradient == "formula":
        return False
    if HAS_KERNELS and type(x) is Tensor and x.dtype in KERNEL_DTYPES[kernel] and is_plain(x):
        return True
    return why_no_kernel(x, kernel) is None or _runs_sharded(x, kernel)


class Call(NamedTuple):
    """One run of a kernel, as far as it is known without its tensors."""

    windows: Windows
    step: Step
    packed: list[int]
    #: All that for the operators that take it as one tensor, of calls made before; a list of numbers takes them longer.
    prepared: Tensor | None = None

    def forward(self, x: Tensor, seed: Tensor | None = None) -> Tensor:
        if self.prepared is not None:
            return cast(Tensor, _pool_prepared(x, self.prepared))
        return cast(Tensor, _pool(x, self.step.kernel, self.packed, self.step.floats, seed))

    def forward_with_winners(self, x: Tensor, seed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.prepared is not None:
            return cast(tuple[Tensor, Tensor], _pool_winners_prepared(x, self.prepared))
        return cast(tuple[Tensor, Tensor], _pool_winners(x, self.step.kernel, self.packed, self.step.floats, seed))

    def backward(
        self, grad: Tensor, x: Tensor | None, y: Tensor | None, winners: Tensor | None, channels_last: bool
    ) -> Tensor:
        if self.prepared is not None:
            return cast(Tensor, _pool_backward_prepared(grad, x, y, winners, self.prepared, channels_last))
        step = self.step
        return cast(Tensor, _pool_backward(grad, x, y, winners, step.kernel, self.packed, step.floats, channels_last))


def _keep(ctx: Any, call: Call, x: Tensor, y: Tensor, winners: Tensor | None) -> None:
    """Keeps for the gradient the winners, or input and output, or nothing, as the method needs."""
    gradient = KERNELS[call.step.kernel].gradient
    ctx.call, ctx.channels_last = call, layout.is_channels_last(x, call.windows.rank)
    if winners is not None:
        ctx.save_for_backward(winners)
    elif gradient in ("input", "weights"):
        ctx.save_for_backward(x, y)
    elif gradient == "shares":
        ctx.save_for_backward(x)


def _gradient(ctx: Any, grad: Tensor | None) -> Tensor | None:
    """The gradient of the input, from what was kept."""
    if grad is None:
        return None
    if torch.is_grad_enabled():
        return _differentiable_backward(ctx, grad)
    x = y = winners = None
    gradient = KERNELS[ctx.call.step.kernel].gradient
    if gradient_is_view(ctx.call.windows, ctx.call.step):
        return _spread(ctx.call, grad)
    if gradient == "weights":
        return _weighted_backward(ctx, grad, *ctx.saved_tensors)
    if gradient == "input":
        x, y = ctx.saved_tensors
    elif gradient == "shares":
        (x,) = ctx.saved_tensors
    elif gradient != "linear":
        (winners,) = ctx.saved_tensors
    return cast(Tensor, ctx.call.backward(grad, x, y, winners, ctx.channels_last))


def gradient_is_view(windows: Windows, step: Step) -> bool:
    """Whether all cells get the same: that of one sum or average over all of them, as torch.sum has it."""
    if KERNELS[step.kernel].gradient != "linear":
        return False
    return all(a.out == 1 and a.kernel in (0, a.size) and a.pad_low == a.pad_high == 0 for a in windows.axes)


def _spread(call: Call, grad: Tensor) -> Tensor:
    windows, step = call.windows, call.step
    if step.kernel == "avg":
        grad = grad / (step.divisor if step.counting == COUNT_FIXED else math.prod(windows.input_size))
    return grad.expand(*grad.shape[: -windows.rank], *windows.input_size)


def _has_winners(step: Step) -> bool:
    return KERNELS[step.kernel].gradient in ("winner", "linear+winner")


class _Pool(torch.autograd.Function):
    """One kernel with its gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, call: Call, seed: Tensor | None = None, return_winners: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        if not _has_winners(call.step):
            y = call.forward(x)
            _keep(ctx, call, x, y, None)
            return y
        y, winners = call.forward_with_winners(x, seed)
        _keep(ctx, call, x, y, winners)
        if not return_winners:
            return y
        ctx.mark_non_differentiable(winners)
        return y, winners

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        return _gradient(ctx, grads[0]), None, None, None


#: For calls of which it is known that no transform is active, which `_Pool.apply` would look for.
_apply_plain = super(torch.autograd.Function, _Pool).apply


def _differentiable_backward(ctx: Any, grad: Tensor) -> Tensor:
    """The same gradient by operations that autograd can differentiate again."""
    windows, step, packed, _ = ctx.call
    gradient = KERNELS[step.kernel].gradient
    if gradient in ("input", "weights", "shares"):
        return reference.adjoint(grad, ctx.saved_tensors[0], windows, step)
    of_average, of_winner = step.floats if gradient == "linear+winner" else (1, 1)
    result = torch.zeros((), dtype=grad.dtype, device=grad.device)
    if gradient != "linear":
        (winners,) = ctx.saved_tensors
        result = result + of_winner * reference.scatter(grad, _winner_indices(winners, packed), windows)
    if gradient != "winner":
        kernel = step.kernel if gradient == "linear" else "avg"
        zeros = torch.zeros((*grad.shape[: -windows.rank], *windows.input_size), dtype=grad.dtype, device=grad.device)
        adjoint = reference.adjoint(grad, zeros, windows, step._replace(kernel=kernel, floats=()))
        result = result + of_average * adjoint
    return result


def _weighted_backward(ctx: Any, grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of a mean weighted by the cells: the kernel wants it divided by the sum of the weights."""
    call, dtype = ctx.call, grad.dtype
    if dtype in (torch.float16, torch.bfloat16):  # the quotient may leave their range
        grad, x, y = grad.float(), x.float(), y.float()
    share = grad / _pool(x.relu(), "sum", call.packed, ())
    return cast(Tensor, call.backward(share, x, y, None, ctx.channels_last).to(dtype))


@functools.lru_cache(maxsize=256)
def _cells_of(axis: Axis) -> tuple[int, ...]:
    """How many cells each window has along an axis."""
    return tuple(axis.tap(o).cells for o in range(axis.out))


def _shares(windows: Windows, q: float) -> Tensor:
    """How much the higher of the two cells beside q counts, for each window; a half where both are the same cell."""
    counts = torch.ones((), dtype=torch.float64)
    for axis in windows.axes:
        counts = counts.unsqueeze(-1) * torch.tensor(_cells_of(axis), dtype=torch.float64)
    rest = (q * (counts - 1)).frac()
    return torch.where(rest > 0, rest, 0.5)


def runs(step: Step, backward: bool) -> tuple[Step, ...]:
    """The runs of kernels that a step takes: a mix of two cells gets its gradient from two runs that pick one each."""
    if not backward or KERNELS[step.kernel].gradient != "cells":
        return (step,)
    return tuple(Step("quantile", (*step.floats, RULES[rule])) for rule in ("lower", "higher"))


def _between(x: Tensor, windows: Windows, step: Step) -> Tensor:
    [q] = step.floats
    wide = torch.promote_types(x.dtype, torch.float32)
    low, high = (cast(Tensor, pool(x, windows, run)).to(wide) for run in runs(step, True))
    share = _shares(windows, q).to(low)
    return (low * (1 - share) + high * share).to(x.dtype)


def sliding(rank: int, input_size: tuple[int, ...], *arguments: Any) -> Windows:
    """The windows of `geometry.sliding`; the compiler, which would warn of what is remembered, finds them anew."""
    return (geometry.sliding if torch.compiler.is_compiling() else geometry.slid_before)(rank, input_size, *arguments)


def _packed(windows: Windows, step: Step) -> list[int]:
    if not torch.compiler.is_compiling():
        try:
            return geometry.packed_before(windows, step.counting, step.divisor)
        except TypeError:  # symbolic sizes
            pass
    return geometry.pack(windows, step.counting, step.divisor)


def _tokens(x: Tensor, windows: Windows) -> bool:
    """Whether x is a transposed (N, L, C) pooled over all of L, as transformers average their tokens."""
    axes = windows.axes
    return (
        len(axes) == 1
        and axes[0].out == 1
        and x.dim() == 3
        and x.stride(1) == 1
        and x.shape[1] > 1
        and x.stride(2) == x.shape[1]
    )


def pool(
    x: Tensor, windows: Windows, step: Step, return_indices: bool = False, seed: Tensor | None = None
) -> Tensor | tuple[Tensor, Tensor]:
    """One step of a method on x, whose last dimensions are the windows' input; drawing methods need a seed."""
    if _tokens(x, windows):
        # As an image of height 1 its channels are last, and need not be copied together.
        results = pool(x.unsqueeze(2), Windows((geometry.UNIT, *windows.axes)), step, return_indices, seed)
        return results.squeeze(2) if isinstance(results, Tensor) else (results[0].squeeze(2), results[1].squeeze(2))
    backward = x.requires_grad and torch.is_grad_enabled()
    if not _runs_kernel(x, step.kernel, backward):
        if _runs_transformed(x, step.kernel):
            packed = geometry.pack(windows, step.counting, step.divisor)
            return (transforms.pool_indices if return_indices else transforms.pool)(x, windows, step, packed)
        if KERNELS[step.kernel].gradient == "cells" and backward and transforms.active():
            return _between(x, windows, step)
        if transforms.recorded() and not KERNELS[step.kernel].draws:
            y = aten.pool(x, windows, step)
        else:
            y = reference.pool(x, windows, step, seed)
        if x.is_cpu and not transforms.active() and layout.is_channels_last(x, windows.rank):
            y = y.contiguous(memory_format=layout.format_of(True, windows.rank))
        return (y, reference.winner_positions(x, windows, step, seed)) if return_indices else y
    if backward and KERNELS[step.kernel].gradient == "cells":
        return _between(x, windows, step)
    call = Call(windows, step, _packed(windows, step))
    # The compiler takes the operators' own gradients; it loses track of symbolic sizes inside an autograd.Function.
    apart = backward and not torch.compiler.is_compiling()
    if not return_indices:
        if apart:
            return cast(Tensor, _Pool.apply(x, call, seed))
        return call.forward_with_winners(x, seed)[0] if backward and _has_winners(step) else call.forward(x, seed)
    y, winners = _Pool.apply(x, call, seed, True) if apart else call.forward_with_winners(x, seed)
    return y, _winner_indices(winners, call.packed)


def ready(x: Tensor, windows: Windows, steps: tuple[Step, ...]) -> Call | None:
    """The call, if one run of a kernel on x itself is all there is to it, forward and backward."""
    if len(steps) != 1 or not HAS_KERNELS or x.dtype not in KERNEL_DTYPES[steps[0].kernel]:
        return None
    [step] = steps
    kernel = KERNELS[step.kernel]
    one_window = windows.rank == 1 and windows.axes[0].out == 1  # what `_tokens` looks at, strides and all
    if step.magnitude or kernel.draws or kernel.gradient in ("cells", "formula") or one_window:
        return None
    packed = geometry.pack(windows, step.counting, step.divisor)
    return Call(windows, step, packed, _prepare(step.kernel, packed, step.floats))


def is_plain(x: Tensor) -> bool:
    """Whether kernels take a torch.Tensor as it is."""
    if not x.is_cpu or x.layout is not torch.strided:
        return False
    return not (transforms.active() or transforms.recorded() or transforms.observed())


def pool_ready(x: Tensor, call: Call) -> Tensor:
    """The same as `pool`, for a call that is known to be no more than one run of a kernel."""
    if x.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, _apply_plain(x, call))
    return call.forward(x)


class _ByLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, logits: Tensor, windows: Windows, packed: list[int]) -> Tensor:
        ctx.save_for_backward(x, logits)
        ctx.windows, ctx.packed, ctx.channels_last = windows, packed, layout.is_channels_last(x, windows.rank)
        return cast(Tensor, _pool_by_logits(x, logits, packed))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, logits = ctx.saved_tensors
        if not torch.is_grad_enabled():
            grad_x, grad_logits = _pool_by_logits_backward(grads[0], x, logits, ctx.packed, ctx.channels_last)
            return grad_x, grad_logits, None, None
        grad_x, grad_logits = reference.differentiated(reference.by_logits, (x, logits), grads[0], ctx.windows)
        return grad_x, grad_logits, None, None


def pool_by_logits(x: Tensor, logits: Tensor, windows: Windows) -> Tensor:
    """The mean of each window, weighted by the exponentials of logits, which have x's shape; in x's dtype."""
    kernel = "soft"
    if not (_runs_kernel(x, kernel, False) and _runs_kernel(logits, kernel, False)):
        return reference.by_logits(x, logits, windows)
    common = torch.promote_types(x.dtype, logits.dtype)
    packed = geometry.pack(windows, COUNT_VALID, 0)
    values, scores = x.to(common), logits.to(common)
    if torch.is_grad_enabled() and (x.requires_grad or logits.requires_grad):
        y = cast(Tensor, _ByLogits.apply(values, scores, windows, packed))
    else:
        y = cast(Tensor, _pool_by_logits(values, scores, packed))
    return y.to(x.dtype)


class _Unpool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, indices: Tensor, output_size: list[int]) -> Tensor:
        ctx.save_for_backward(indices)
        ctx.rank = len(output_size)
        return cast(Tensor, _max_unpool(x, indices, output_size))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (indices,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _unpool_adjoint(grads[0], indices, ctx.rank), None, None
        return _max_unpool_backward(grads[0], indices, ctx.rank), None, None


def _unpool_adjoint(grad: Tensor, indices: Tensor, rank: int) -> Tensor:
    flat, planes = indices.flatten(-rank), grad.flatten(-rank)
    wrote = reference.last_writers(flat, planes.shape[-1])
    return planes.gather(-1, flat).masked_fill(~wrote, 0).view(indices.shape)


def max_unpool(x: Tensor, indices: Tensor, output_size: list[int]) -> Tensor:
    """Puts each value at its index of a zero volume; of duplicates the last in row-major order stays."""
    transformed = transforms.active()
    taken = x.is_cpu or (x.device.type in gpu.DEVICES and _why_not_taken(x, "max_unpool") is None)
    native = HAS_KERNELS and taken and indices.device == x.device
    native = native and (_why_not_plain(x) is None or sharding.is_distributed(x))
    if native and not (transformed and transforms.differentiates(x)):
        if x.requires_grad and torch.is_grad_enabled():
            return cast(Tensor, _Unpool.apply(x, indices, output_size))
        return cast(Tensor, _max_unpool(x, indices, output_size))
    rank = len(output_size)
    volume = math.prod(output_size)
    flat = indices.flatten(-rank)
    outside = (flat < 0) | (flat >= volume)
    if not transformed and bool(outside.any()):  # which scatter refuses otherwise
        sizes = "x".join(map(str, output_size))
        raise RuntimeError(f"Found an invalid max index: {int(flat[outside][0])} (output volumes are of size {sizes})")
    return reference.unpool(x, indices, output_size)


def _register_gradients() -> None:
    """The gradients of operators that a compiler sees; eager calls have them from `_Pool`."""

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor | tuple[Tensor, Tensor]) -> None:
        x, kernel, packed, floats, _ = inputs
        call = Call(geometry.unpack(packed), Step(kernel, tuple(floats), packed[1], packed[2]), packed)
        y, winners = (output, None) if isinstance(output, Tensor) else output
        _keep(ctx, call, x, y, winners)

    def gradient(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None, None, None]:
        return _gradient(ctx, grads[0]), None, None, None, None

    for name in ("pool", "pool_winners"):
        torch.library.register_autograd(f"poolkit::{name}", gradient, setup_context=keep)


def _register_gpu() -> None:
    """The same operators for tensors of a GPU. Triton is imported when one first runs."""

    def launched(name: str) -> Callable[..., Any]:
        return lambda *arguments: gpu.operator(name)(*arguments)

    for name in gpu.OPERATORS:
        torch.library.impl(f"poolkit::{name}", tuple(sorted(gpu.DEVICES)), launched(name))


if HAS_KERNELS:
    fakes.register()
    _register_gradients()
    transforms.register()
    _register_gpu()
