"""Pooling problems: one geometry, said to poolkit in keywords and to the oracle in windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import oracle
import pytest
import torch
from numpy.typing import NDArray

from poolkit import functional, nn
from poolkit.methods import KERNELS, METHODS

FORMS = ("windowed", "adaptive", "global")
RANKS = (1, 2, 3)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

# Largest relative error allowed: a few roundings of the dtype (power functions in double: of our own pow).
ROUNDING = {torch.float64: 1e-11, torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}


@dataclass(frozen=True)
class Problem:
    """A form, the spatial size of the input, the arguments, and the windows they mean."""

    form: str
    size: tuple[int, ...]
    arguments: dict[str, Any]
    axes: tuple[oracle.Axis, ...]

    @property
    def rank(self) -> int:
        return len(self.size)

    def function(self, name: str) -> Callable[..., Any]:
        """The function of poolkit that solves this problem by the method of this name."""
        return function_of(name, self.form, self.rank)


def sliding(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...] | None = None,
    padding: tuple[tuple[int, int], ...] | None = None,
    dilation: tuple[int, ...] | None = None,
    ceil_mode: bool = False,
) -> Problem:
    """A windowed problem, every argument given per axis and padding per side."""
    stride = stride or kernel
    dilation = dilation or (1,) * len(size)
    padding = padding or ((0, 0),) * len(size)
    axes = tuple(
        oracle.slide(length, k, s, low, high, d, ceil_mode)
        for length, k, s, (low, high), d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    arguments = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }
    return Problem("windowed", size, arguments, axes)


def adaptive(size: tuple[int, ...], output_size: tuple[int, ...]) -> Problem:
    axes = tuple(map(oracle.adapt, size, output_size))
    return Problem("adaptive", size, {"output_size": output_size}, axes)


def whole(size: tuple[int, ...]) -> Problem:
    return Problem("global", size, {}, tuple(oracle.adapt(length, 1) for length in size))


LONGEST = {1: 17, 2: 17, 3: 7}
LARGEST_KERNEL = {1: 13, 2: 7, 3: 3}


@st.composite
def problems(draw: st.DrawFn, form: str, rank: int) -> Problem:
    """Any small problem, also such as have no output or a window wholly in the padding."""
    lengths = st.integers(1, LONGEST[rank])
    size = tuple(draw(lengths) for _ in range(rank))
    if form == "global":
        return whole(size)
    if form == "adaptive":
        return adaptive(size, tuple(draw(st.integers(0, LONGEST[rank])) for _ in range(rank)))
    kernel = tuple(draw(st.integers(1, LARGEST_KERNEL[rank])) for _ in range(rank))
    stride = tuple(draw(st.integers(1, 4)) for _ in range(rank))
    dilation = tuple(draw(st.sampled_from((1, 1, 2, 3))) for _ in range(rank))
    padding = []
    for k, d in zip(kernel, dilation, strict=True):
        sides = st.integers(0, d * (k - 1)) if draw(st.booleans()) else st.just(0)
        padding.append((draw(sides), draw(sides)))
    return sliding(size, kernel, stride, tuple(padding), dilation, draw(st.booleans()))


def awkward(form: str, rank: int) -> Problem:
    """One fixed problem: no two axes agree; windows overlap, leave gaps, hang over and meet the padding."""
    size = (7, 5, 6)[:rank]
    if form == "global":
        return whole(size)
    if form == "adaptive":
        return adaptive(size, (3, 5, 4)[:rank])
    return sliding(
        size,
        (3, 2, 3)[:rank],
        (2, 3, 2)[:rank],
        ((1, 2), (1, 0), (0, 2))[:rank],
        (2, 1, 1)[:rank],
        ceil_mode=True,
    )


FLAVOURS = ("normal", "ties", "nan", "inf")


def values(flavour: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float64]:
    """Numbers of one kind: normal, few and often equal, some NaN, some infinite."""
    random = np.random.default_rng(seed)
    if flavour == "normal":
        return random.normal(size=shape)
    result = random.integers(-2, 3, size=shape).astype(np.float64)
    if flavour == "nan":
        result[random.random(shape) < 0.2] = np.nan
    elif flavour == "inf":
        result[random.random(shape) < 0.2] = np.inf
        result[random.random(shape) < 0.2] = -np.inf
    return result


def distinct(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Doubles far from each other and from zero, so that finite differences meet no kink."""
    count = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(count)
    sizes = 0.5 + order / max(count, 1)
    return torch.tensor(np.where(order % 2, sizes, -sizes).reshape(shape))


def in_layout(x: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values in another arrangement of memory; batched input only."""
    if layout == "channels_last":
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        return x.contiguous(memory_format=formats[x.dim()]) if x.dim() in formats else x
    if layout == "transposed":
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "strided":
        wide = x.new_full((*x.shape[:-1], 2 * x.shape[-1] + 1), 77)
        wide[..., 1::2] = x
        return wide[..., 1::2]
    if layout == "expanded":
        return x[:1].expand(x.shape)
    return x.contiguous()


LAYOUTS = ("contiguous", "channels_last", "transposed", "strided", "expanded")


def assert_second_derivative(function: Callable[..., torch.Tensor], tensors: list[torch.Tensor]) -> None:
    """What the graph of the gradient says of a step in a random direction, of all tensors and of the gradient that
    came in at once, against two gradients on either side of it: twice. float64; gradgradcheck takes ten times as long.
    """
    random = torch.Generator().manual_seed(3)

    def directions(like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [torch.randn(t.shape, dtype=t.dtype, generator=random) for t in like]

    points = [*(t.detach() for t in tensors), *directions([function(*tensors)])]
    for _ in range(2):
        shares, step = directions(points[:-1]), directions(points)

        def slope(moved: list[torch.Tensor], shares: list[torch.Tensor] = shares) -> torch.Tensor:
            y = function(*moved[:-1])
            gradients = torch.autograd.grad(y, moved[:-1], moved[-1], create_graph=True, materialize_grads=True)
            return sum(((g * share).sum() for g, share in zip(gradients, shares, strict=True)), torch.zeros(()))

        leaves = [t.clone().requires_grad_() for t in points]
        said = torch.autograd.grad(slope(leaves), leaves, materialize_grads=True)
        expected = sum((s * by).sum().item() for s, by in zip(said, step, strict=True))
        low, high = (
            slope([(t + sign * 1e-7 * by).requires_grad_() for t, by in zip(points, step, strict=True)]).item()
            for sign in (-1, 1)
        )
        assert (high - low) / 2e-7 == pytest.approx(expected, rel=1e-5, abs=1e-5)


def assert_near(actual: torch.Tensor, expected: NDArray[np.float64], rounding: float) -> None:
    """Equal shape, NaN and infinities in the same places, the rest within ``rounding`` of the largest.

    Of numbers too small to keep all their digits, the last may differ.
    """
    assert actual.shape == expected.shape
    result = actual.detach().double().numpy()
    finite = expected[np.isfinite(expected)]
    scale = float(np.max(np.abs(finite))) if finite.size else 0.0
    least = 0.0
    if rounding > 0 and actual.is_floating_point():
        limits = torch.finfo(actual.dtype)
        least = limits.tiny * limits.eps
    np.testing.assert_allclose(result, expected, rtol=rounding, atol=rounding * scale + least, equal_nan=True)


# Parameters worth trying beside the samples of the table: limits and special cases of the formula.
MORE_SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "lp": ({"norm_type": np.inf}, {"norm_type": 0.5}, {"norm_type": 4}),
    "power_avg": ({"norm_type": np.inf}, {"norm_type": 3.5}),
    "log_sum_exp": ({"r": 1e-4}, {"r": -300.0}),
    "avg_max": ({"count_include_pad": False}, {"mode": "cat", "count_include_pad": False}),
}
OF_PADDING = ("count_include_pad", "divisor_override")  # parameters of the windowed form alone


def settings(name: str, form: str) -> list[dict[str, Any]]:
    """The parameter sets to try, those that the form does not take left out."""
    rows = [*map(dict, METHODS[name].samples), *MORE_SETTINGS.get(name, ())]
    return [row for row in rows if form == "windowed" or not any(key in row for key in OF_PADDING)]


def picks(name: str, params: dict[str, Any]) -> bool:
    """Whether these settings give the value of one cell of each window, so that it has an index."""
    method = METHODS[name]
    steps = method.plan(False, *(params.get(p.name, p.default) for p in method.params))
    return method.returns_indices and len(steps) == 1 and KERNELS[steps[0].kernel].winner is not None


def randomness(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """The generator for settings that draw, always in the same state."""
    return {"generator": torch.Generator().manual_seed(7)} if params.get("training") else {}


def draws(name: str, params: dict[str, Any], leading: tuple[int, ...], outputs: int) -> oracle.Array | None:
    """The random numbers that a call with that generator reads: for each plane, one for each output."""
    if not params.get("training"):
        return None
    generator = torch.Generator().manual_seed(7)
    planes = int(np.prod(leading))
    if name == "stochastic":
        seed = torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64, generator=generator)
        return oracle.uniform(int(seed) % 2**64, planes * outputs).reshape(planes, outputs)
    shape = {"channel": leading, "sample": (*leading[:-1], 1), "batch": (1,) * len(leading)}
    numbers = torch.rand(shape[params.get("granularity", "channel")], generator=generator).expand(leading)
    return np.repeat(numbers.double().numpy().reshape(planes, 1), outputs, axis=1)


def function_of(name: str, form: str, rank: int) -> Callable[..., Any]:
    """For example ("avg_max", "adaptive", 2) -> functional.adaptive_avg_max_pool2d."""
    prefix = "" if form == "windowed" else f"{form}_"
    return getattr(functional, f"{prefix}{name}_pool{rank}d")  # type: ignore[no-any-return]


def module_of(name: str, form: str, rank: int) -> Callable[..., torch.nn.Module]:
    """For example ("avg_max", "adaptive", 2) -> nn.AdaptiveAvgMaxPool2d."""
    prefix = "" if form == "windowed" else form.title()
    return getattr(nn, f"{prefix}{METHODS[name].class_name}Pool{rank}d")  # type: ignore[no-any-return]
