"""On torch's own operator samples: equal values, dtypes, shapes, indices, layouts, gradients and errors."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db

from poolkit import functional, nn
from poolkit.errors import ArgumentError

# ---------------------------------------------------- differences from torch, each with its reason

NOT_COVERED = {
    "max_pool2d_with_indices_backward": "the backward operator is reached through max_pool2d's gradient",
}
OTHER_WORDS = {
    "internal error": "output_size must be [23]",  # torch's text when output_size is empty
}
ROUGH_IN_HALF_PRECISION = "nn.functional.adaptive_avg_pool3d"  # torch adds up in the dtype, we in single precision
CHANNELS_LAST_LOST_BY_TORCH = re.compile(r"(avg_pool3d|adaptive_\w+_pool3d)$")  # ours keep the arrangement
STARTS_IN_HALF_PRECISION = "fractional"  # torch computes where windows start in the input's type
WITHOUT_TEXT = "Fractional"  # torch's module shows none of its arguments

# ----------------------------------------------------------------------------------------- harness

ENTRIES = [op for op in op_db if "pool" in op.name and op.name not in NOT_COVERED]
CASES = [
    pytest.param(op, dtype, id=f"{op.name.removeprefix('nn.functional.')}{op.variant_test_name}-{dtype}")
    for op in ENTRIES
    for dtype in sorted(op.dtypes, key=str)
    if not (STARTS_IN_HALF_PRECISION in op.name and dtype.itemsize == 2)
]
EXACT = re.compile(r"max_(un)?pool")


def test_every_entry_of_torch_is_taken_or_named() -> None:
    names = {op.name for op in op_db if "pool" in op.name}
    assert names == {op.name for op in ENTRIES} | set(NOT_COVERED)
    assert len(ENTRIES) == 20
    assert len(CASES) > 60


def ours(op: Any) -> Callable[..., Any]:
    return getattr(functional, op.name.removeprefix("nn.functional."))  # type: ignore[no-any-return]


def outputs(result: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (result,) if isinstance(result, torch.Tensor) else tuple(result)


def arrangement(x: torch.Tensor) -> list[bool]:
    formats = {4: [torch.channels_last], 5: [torch.channels_last_3d]}.get(x.dim(), [])
    return [x.is_contiguous(memory_format=layout) for layout in (torch.contiguous_format, *formats)]


def written_last(indices: torch.Tensor) -> torch.Tensor:
    """Where an index of max_unpool is the last of its kind in its plane: only those are in the result."""
    planes = indices.flatten(2).flatten(0, 1).numpy() if indices.numel() else indices.reshape(0, 1).numpy()
    kept = np.zeros(planes.shape, dtype=bool)
    for row, plane in enumerate(planes):
        _, reverse = np.unique(plane[::-1], return_index=True)
        kept[row, len(plane) - 1 - reverse] = True
    return torch.tensor(kept).reshape(indices.shape)


def gradient_of_torch(op: Any, sample: Any, upstream: torch.Tensor) -> torch.Tensor:
    """By torch, half precision in double: torch rounds once a window there, which would hide errors."""
    exact = {torch.float16: torch.float64, torch.bfloat16: torch.float64}.get(upstream.dtype, upstream.dtype)
    leaf = sample.input.detach().to(exact).requires_grad_()
    [result, *_] = outputs(op(leaf, *sample.args, **sample.kwargs))
    (gradient,) = torch.autograd.grad(result, leaf, upstream.to(exact))
    if "unpool" in op.name:
        # torch gives a gradient also to elements that were overwritten.
        gradient = gradient * written_last(sample.args[0])
    return gradient.to(upstream.dtype)


@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_samples(op: Any, dtype: torch.dtype) -> None:
    torch.set_num_threads(1)  # the samples are tiny
    differentiable = dtype.is_floating_point
    exact = bool(EXACT.search(op.name))
    count = 0
    # All samples in single precision; of an entry with hundreds of them a third in each other type, in turn.
    start, step = (0, 1) if dtype == torch.float32 else (sorted(op.dtypes, key=str).index(dtype) % 3, 3)
    for number, sample in enumerate(op.sample_inputs_func(op, "cpu", dtype, requires_grad=False)):
        if number > 100 and number % step != start:
            continue
        count += 1
        if (numbers := sample.kwargs.get("_random_samples")) is not None:
            sample.kwargs["_random_samples"] = numbers.frac().abs()  # torch's samples are no draws from 0 to 1
        mine = sample.input.detach().clone().requires_grad_(differentiable)
        theirs = sample.input.detach().clone().requires_grad_(differentiable)
        expected = outputs(op(theirs, *sample.args, **sample.kwargs))
        if op.name == ROUGH_IN_HALF_PRECISION and dtype.itemsize == 2:
            expected = (op(theirs.float(), *sample.args, **sample.kwargs).to(dtype),)
        if "adaptive_avg_pool3d" in op.name and dtype in (torch.float16, torch.bfloat16):
            # torch adds up in the half type itself here: hold ours against its exact value.
            expected = [y.to(dtype) for y in outputs(op(theirs.double(), *sample.args, **sample.kwargs))]
        torch.manual_seed(42)  # as torch does before entries that draw
        actual = outputs(ours(op)(mine, *sample.args, **sample.kwargs))
        said = f"{op.name} {tuple(mine.shape)} {mine.stride()} {sample.args} {sample.kwargs}"

        assert len(actual) == len(expected), said
        for one, other in zip(actual, expected, strict=True):
            assert (one.dtype, one.shape) == (other.dtype, other.shape), said
            rounding = {"rtol": 0.0, "atol": 0.0} if exact else {"rtol": None, "atol": None}
            torch.testing.assert_close(
                one, other, **rounding, equal_nan=True, msg=lambda text, said=said: f"{said}\n{text}"
            )
            if mine.is_contiguous() or not CHANNELS_LAST_LOST_BY_TORCH.search(op.name):
                assert arrangement(one) == arrangement(other), said
        assert actual[0].requires_grad == expected[0].requires_grad, said

        if actual[0].requires_grad:
            upstream = torch.randn(expected[0].shape).to(dtype)
            (gradient,) = torch.autograd.grad(actual[0], mine, upstream)
            torch.testing.assert_close(
                gradient,
                gradient_of_torch(op, sample, upstream),
                msg=lambda text, said=said: f"{said}: gradient\n{text}",
            )
    assert count > 0


ERRORS = [
    pytest.param(op, error, id=f"{op.name.removeprefix('nn.functional.')}-{number}")
    for op in ENTRIES
    if op.error_inputs_func is not None
    for number, error in enumerate(op.error_inputs("cpu"))
]


@pytest.mark.parametrize(("op", "error"), ERRORS)
def test_error_inputs(op: Any, error: Any) -> None:
    """Torch's own bad arguments are refused in its own words, by an exception that catches the same."""
    sample = error.sample_input
    with pytest.raises(error.error_type, match=OTHER_WORDS.get(error.error_regex, error.error_regex)) as refusal:
        ours(op)(sample.input, *sample.args, **sample.kwargs)
    assert isinstance(refusal.value, (ArgumentError, TypeError, NotImplementedError))


def test_there_are_as_many_error_inputs_as_torch_has() -> None:
    assert len(ERRORS) >= 70


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_where_torch_has_none(dtype: torch.dtype) -> None:
    """avg_pool3d: the samples of float32, rounded."""
    [op] = [op for op in ENTRIES if op.name == "nn.functional.avg_pool3d"]
    assert dtype not in op.dtypes
    for sample in op.sample_inputs("cpu", torch.float32):
        x = sample.input.to(dtype)
        actual = functional.avg_pool3d(x, *sample.args, **sample.kwargs)
        expected = op(x.float(), *sample.args, **sample.kwargs)
        assert actual.dtype == dtype
        torch.testing.assert_close(actual.float(), expected.to(dtype).float(), rtol=8e-3, atol=1e-2)


# -------------------------------------------------------------------------------------- signatures

BUILTIN = ("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d")
FUNCTIONS = [
    f"{name}_pool{rank}d{suffix}"
    for rank in (1, 2, 3)
    for name, suffix in (
        ("max", ""),
        ("avg", ""),
        ("lp", ""),
        ("adaptive_max", ""),
        ("adaptive_avg", ""),
    )
] + [*(f"max_unpool{rank}d" for rank in (1, 2, 3)), *(f"fractional_max_pool{rank}d" for rank in (2, 3))]


def parameters_of_torch(name: str) -> list[tuple[str, Any]]:
    function = getattr(torch.nn.functional, name)
    if name in BUILTIN:
        # Written in C: the first line of the documentation is the signature.
        [line] = re.findall(rf"^{name}\((.*)\) -> Tensor$", function.__doc__, re.MULTILINE)
        namespace: dict[str, Any] = {}
        exec(f"def signature({line}): pass", namespace)
        function = namespace["signature"]
    elif "max_pool" in name:
        # torch chooses between two functions of one signature by return_indices.
        function = getattr(torch.nn.functional, f"{name}_with_indices")
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_of_functions(name: str) -> None:
    theirs = parameters_of_torch(name)
    mine = [
        (p.name, p.default)
        for p in inspect.signature(getattr(functional, name)).parameters.values()
        if p.kind == p.POSITIONAL_OR_KEYWORD
    ]
    assert len(theirs) >= 2
    assert mine[: len(theirs)] == theirs


MODULES = torch.nn.modules.pooling.__all__


def test_modules_of_torch_are_all_there() -> None:
    assert len(MODULES) == 20
    for name in MODULES:
        assert issubclass(getattr(nn, name), torch.nn.Module)


@pytest.mark.parametrize("name", MODULES)
def test_signature_of_modules(name: str) -> None:
    theirs, mine = (
        [
            (p.name, p.default)
            for p in inspect.signature(getattr(home, name)).parameters.values()
            if p.kind == p.POSITIONAL_OR_KEYWORD
        ]
        for home in (torch.nn, nn)
    )
    assert mine[: len(theirs)] == theirs


# ----------------------------------------------------------------------------------------- modules


def module_arguments(name: str) -> list[dict[str, Any]]:
    """Arguments that torch takes, also as tuples."""
    rank = int(name[-2])
    if name.startswith("Adaptive"):
        rows: list[dict[str, Any]] = [{"output_size": 3}, {"output_size": (2,) * rank}]
        if rank > 1:
            rows += [{"output_size": (None, *(2,) * (rank - 1))}]
        return rows
    if name.startswith("LP"):
        rows = [{}, {"stride": 1}, {"stride": (2,) * rank, "ceil_mode": True}]
        return [{"norm_type": p, "kernel_size": 3, **row} for p in (2, 1.5) for row in rows]
    rows = [{}, {"stride": 1}, {"stride": (2,) * rank, "padding": 1}, {"padding": (1,) * rank}]
    if name.startswith("Max") and "Un" not in name:
        rows += [{"dilation": 2}, {"ceil_mode": True}]
    if name.startswith("Avg"):
        rows += [{"ceil_mode": True}, {"count_include_pad": False}]
    return [{"kernel_size": kernel, **row} for kernel in (2, (3,) * rank) for row in rows]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith(WITHOUT_TEXT)])
def test_modules(name: str) -> None:
    """The text, the state and the numbers of torch's module; and every copy of it works alike."""
    rank = int(name[-2])
    x = torch.rand(2, 3, *(9, 8, 7)[:rank])
    for arguments in module_arguments(name):
        mine, theirs = getattr(nn, name)(**arguments), getattr(torch.nn, name)(**arguments)
        assert repr(mine) == repr(theirs)
        assert mine.extra_repr() == theirs.extra_repr()
        assert mine.state_dict() == theirs.state_dict()
        mine.load_state_dict(theirs.state_dict())
        for attribute, value in vars(theirs).items():
            if not attribute.startswith("_"):
                assert getattr(mine, attribute) == value, (attribute, arguments)
        if name.startswith("LP") and theirs.ceil_mode:
            continue  # torch scales the norm of a partial window up to that of a whole one
        inputs, keywords = (x,), {}
        if "Unpool" in name:
            pool = getattr(torch.nn, name.replace("Unpool", "Pool"))(**arguments, return_indices=True)
            inputs, keywords = pool(x), {"output_size": x.shape}
        expected = theirs(*inputs, **keywords)
        for module in (mine, copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
            assert repr(module) == repr(theirs)
            torch.testing.assert_close(module(*inputs, **keywords), expected)
        if "MaxPool" in name:
            actual = getattr(nn, name)(**arguments, return_indices=True)(x)
            expected = getattr(torch.nn, name)(**arguments, return_indices=True)(x)
            torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_unpool_output_size(rank: int) -> None:
    """Left out, or given with and without the leading dimensions; with a module, and without a batch."""
    unpool, theirs = (getattr(home, f"max_unpool{rank}d") for home in (functional, torch.nn.functional))
    module = getattr(nn, f"MaxUnpool{rank}d")(2)
    for size, choices in ((8, (None, [8] * rank, (8,) * rank)), (9, ([9] * rank, torch.Size((2, 3, *(9,) * rank))))):
        x = torch.rand(2, 3, *(size,) * rank)
        y, indices = getattr(torch.nn.functional, f"max_pool{rank}d")(x, 2, return_indices=True)
        for output_size in choices:
            expected = theirs(y, indices, 2, output_size=output_size)
            assert torch.equal(unpool(y, indices, 2, output_size=output_size), expected)
            assert torch.equal(module(y, indices, output_size=output_size), expected)
            if output_size is None or len(output_size) == rank:
                assert torch.equal(unpool(y[0], indices[0], 2, output_size=output_size), expected[0])


def test_max_unpool_duplicates() -> None:
    """The last element in row-major order is written, and it alone has a gradient."""
    x = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3).requires_grad_()
    indices = torch.tensor([[[[4, 0, 4], [4, 7, 0]]]])
    y = functional.max_unpool2d(x, indices, (2, 1), output_size=(4, 3))
    assert y.flatten().tolist() == [6, 0, 0, 0, 4, 0, 0, 5, 0, 0, 0, 0]
    y.backward(torch.arange(10.0, 22.0).reshape(1, 1, 4, 3))
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0, 0, 0, 14, 17, 10]


# --------------------------------------------------- what torch's samples leave out, against torch


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_non_finite_inputs(rank: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(30):
        x = torch.randint(-2, 3, (2, 2, *(7,) * rank), generator=generator).double()
        x[torch.rand(x.shape, generator=generator) < 0.2] = float("nan")
        x[torch.rand(x.shape, generator=generator) < 0.2] = float("-inf")
        for name, arguments in (
            (f"max_pool{rank}d", {"kernel_size": 3, "stride": 2, "padding": 1, "return_indices": True}),
            (f"max_pool{rank}d", {"kernel_size": 2, "stride": 1, "dilation": 2, "return_indices": True}),
            (f"adaptive_max_pool{rank}d", {"output_size": 4, "return_indices": True}),
            (f"adaptive_max_pool{rank}d", {"output_size": 1, "return_indices": True}),
        ):
            actual, expected = (getattr(home, name)(x, **arguments) for home in (functional, torch.nn.functional))
            torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_average_rounds_like_torch(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 17, 19).to(dtype)
    for arguments in ((2,), (3, 2, 1), (3, 2, 1, True, False), (7, 3, 3)):
        actual = functional.avg_pool2d(x, *arguments)
        torch.testing.assert_close(actual, torch.nn.functional.avg_pool2d(x, *arguments))


def test_autocast_keeps_a_half_precision_input() -> None:
    x = torch.randn(1, 2, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert functional.max_pool2d(x, 2).dtype == torch.nn.functional.max_pool2d(x, 2).dtype
        assert functional.max_pool2d(x.float(), 2).dtype == torch.float32
