"""Bad arguments are refused in functions and constructors, by argument, value and what is allowed."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import torch
from problems import FORMS, OF_PADDING, RANKS, function_of, module_of, settings

from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.methods import METHODS

every_method = pytest.mark.parametrize("name", METHODS)
every_rank = pytest.mark.parametrize("rank", RANKS)


def required(name: str, form: str) -> dict[str, Any]:
    """The arguments without which a method cannot be called."""
    return dict(settings(name, form)[0])


def refuse(name: str, form: str, rank: int, arguments: dict[str, Any], error: Any, words: tuple[str, ...]) -> None:
    """The function and the constructor raise ``error``, whose text has all of ``words``."""
    arguments = required(name, form) | arguments
    for call in (
        lambda: function_of(name, form, rank)(torch.zeros(1, 2, *(9,) * rank), **arguments),
        lambda: module_of(name, form, rank)(**arguments),
    ):
        with pytest.raises(error) as refusal:
            call()
        for word in words:
            assert word in str(refusal.value), f"{word!r} is not in {refusal.value}"


# ------------------------------------------------------------------- kernel_size, stride, dilation


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("argument", ["kernel_size", "stride", "dilation"])
@every_rank
@every_method
def test_not_positive(name: str, rank: int, argument: str, value: int) -> None:
    words = (argument, "greater than zero", str(value))
    refuse(name, "windowed", rank, {"kernel_size": 2, argument: value}, ArgumentError, words)
    one_axis = (*(2,) * (rank - 1), value)
    refuse(name, "windowed", rank, {"kernel_size": 2, argument: one_axis}, ArgumentError, words)


@pytest.mark.parametrize("value", [2.0, 2.5, True, "2", torch.tensor(2.0), np.float32(2), 1j])
@pytest.mark.parametrize("argument", ["kernel_size", "stride", "padding", "dilation"])
@every_method
def test_not_an_integer(name: str, argument: str, value: object) -> None:
    # A string is a possible padding, so an unknown one is a wrong value rather than a wrong type.
    error = (TypeError, ArgumentError) if argument == "padding" else TypeError
    refuse(name, "windowed", 2, {"kernel_size": 3, argument: value}, error, (argument,))
    if not isinstance(value, str):
        refuse(name, "windowed", 2, {"kernel_size": 3, argument: (1, value)}, TypeError, (argument,))


@every_method
def test_no_kernel_size(name: str) -> None:
    refuse(name, "windowed", 2, {"kernel_size": None}, TypeError, ("kernel_size",))
    with pytest.raises(TypeError, match="kernel_size"):
        getattr(functional, f"{name}_pool2d")(torch.zeros(1, 1, 4, 4), **required(name, "windowed"))


@pytest.mark.parametrize("argument", ["kernel_size", "stride", "padding", "dilation"])
@every_rank
@every_method
def test_wrong_length(name: str, rank: int, argument: str) -> None:
    # An empty stride means the kernel size, as in torch.
    lengths = {0, 1, 2, 3, 4} if argument != "stride" else {1, 2, 3, 4}
    for length in lengths - {rank, 1}:
        value = (1,) * length
        refuse(
            name,
            "windowed",
            rank,
            {"kernel_size": 3, argument: value},
            (ArgumentError, TypeError),
            (argument,),
        )


@every_method
def test_integers_of_other_types_are_taken(name: str) -> None:
    x = torch.randn(1, 2, 9, 9)
    pool = getattr(functional, f"{name}_pool2d")
    expected = pool(x, kernel_size=(3, 2), stride=2, padding=1, dilation=1, **required(name, "windowed"))
    for integer in (np.int64, np.uint8, torch.tensor):
        arguments = {"kernel_size": [integer(3), integer(2)], "stride": integer(2), "padding": integer(1)}
        assert torch.equal(pool(x, **arguments, dilation=(integer(1), 1), **required(name, "windowed")), expected)


# ----------------------------------------------------------------------------------------- padding


@every_rank
@every_method
def test_padding_out_of_range(name: str, rank: int) -> None:
    def check(padding: Any, *words: str, **more: Any) -> None:
        refuse(name, "windowed", rank, {"kernel_size": 2, "padding": padding, **more}, ArgumentError, words)

    check(-1, "pad must be non-negative", "-1")
    check((*(0,) * (rank - 1), -3), "pad must be non-negative", "-3")
    half = "pad should be at most half of effective kernel size, but got pad={}, kernel_size=2 and dilation={}"
    check(2, half.format(2, 1))
    check((*(0,) * (rank - 1), 4), half.format(4, 1))
    check(3, half.format(3, 3), dilation=3)
    still = ((0, 0),) * (rank - 1)
    check((*still, (0, -1)), "padding", "-1")
    check((*still, (2, 0)), "padding", "2")
    check((*still, (0, 4)), "padding", "4", dilation=3)


@every_rank
@every_method
def test_padding_of_each_side_may_be_all_but_one_cell_of_the_kernel(name: str, rank: int) -> None:
    x = torch.ones(1, 1, *(5,) * rank)
    pool = getattr(functional, f"{name}_pool{rank}d")
    y = pool(x, kernel_size=3, stride=1, padding=((2, 2),) * rank, **required(name, "windowed"))
    assert y.shape == (1, 1, *(7,) * rank)


@pytest.mark.parametrize("padding", ["full", "SAME", "", "reflect"])
@every_rank
@every_method
def test_unknown_padding(name: str, rank: int, padding: str) -> None:
    words = ("padding", repr(padding), "same", "same_lower", "valid")
    refuse(name, "windowed", rank, {"kernel_size": 2, "padding": padding}, ArgumentError, words)


@pytest.mark.parametrize(
    "padding",
    [((1, 1),), ((1, 1),) * 3, ((1,), (1,)), ((1, 1, 1), (1, 1, 1)), ((1, 1), 1), ((1.0, 1), (1, 1)), ()],
)
def test_padding_of_wrong_form(padding: Any) -> None:
    refuse("max", "windowed", 2, {"kernel_size": 3, "padding": padding}, (ArgumentError, TypeError), ("padding",))


# ------------------------------------------------------------------------------------------- input


@every_rank
@every_method
def test_output_too_small(name: str, rank: int) -> None:
    pool = getattr(functional, f"{name}_pool{rank}d")
    with pytest.raises(ArgumentError, match=r"Output size is too small|Invalid computed output size") as refusal:
        pool(
            torch.zeros(1, 2, *(4,) * rank),
            kernel_size=(2,) * (rank - 1) + (6,),
            **required(name, "windowed"),
        )
    assert "4" in str(refusal.value)


@every_method
def test_window_wholly_in_the_padding(name: str) -> None:
    """Torch gives -inf and an index outside the plane, and its gradient lands in another channel."""
    pool = getattr(functional, f"{name}_pool2d")
    params = required(name, "windowed")
    with pytest.raises(ArgumentError, match="lies wholly in the padding") as refusal:
        pool(torch.zeros(1, 5, 1, 1), kernel_size=2, padding=1, dilation=2, **params)
    assert "0" in str(refusal.value)
    with pytest.raises(ArgumentError, match="lies wholly in the padding"):
        pool(torch.zeros(1, 2, 8, 3), kernel_size=2, stride=1, padding=((0, 0), (1, 1)), dilation=4, **params)
    # The same geometry is fine where every window meets the input.
    assert pool(torch.zeros(1, 5, 2, 2), kernel_size=2, padding=1, dilation=2, **params).shape == (1, 5, 1, 1)


@pytest.mark.parametrize("form", FORMS)
@every_rank
@every_method
def test_wrong_rank(name: str, rank: int, form: str) -> None:
    pool = function_of(name, form, rank)
    arguments = {"windowed": {"kernel_size": 1}, "adaptive": {"output_size": 1}, "global": {}}[form]
    arguments = required(name, form) | arguments
    for dimensions in {0, 1, rank, rank + 3}:
        with pytest.raises(ArgumentError):
            pool(torch.zeros((2,) * dimensions), **arguments)
    for wrong in ([[1.0, 2.0]], np.zeros((2, 2, 2)), None):
        with pytest.raises(TypeError, match="input"):
            pool(wrong, **arguments)


@pytest.mark.parametrize("form", FORMS)
@every_rank
@every_method
def test_no_cells(name: str, rank: int, form: str) -> None:
    """An empty batch is fine (tested with the methods); an axis of no cells has no window."""
    pool = function_of(name, form, rank)
    arguments = {"windowed": {"kernel_size": 1}, "adaptive": {"output_size": 1}, "global": {}}[form]
    for batch in ((2, 3), (0, 3), (3,)):
        with pytest.raises(ArgumentError):
            pool(torch.zeros(*batch, *(4,) * (rank - 1), 0), **required(name, form), **arguments)


@pytest.mark.parametrize("name", ["max", "avg"])
@every_rank
def test_no_channels(name: str, rank: int) -> None:
    with pytest.raises(ArgumentError):
        getattr(functional, f"{name}_pool{rank}d")(torch.zeros(2, 0, *(4,) * rank), 2)


# ------------------------------------------------------------------------------- method parameters


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [name for name in METHODS if "norm_type" in required(name, "windowed")])
def test_norm_type(name: str, form: str) -> None:
    arguments = {"windowed": {"kernel_size": 2}, "adaptive": {"output_size": 2}, "global": {}}[form]
    for value in (0, 0.0, -1, -2.5, math.nan, -math.inf):
        words = ("norm_type", str(value))
        refuse(name, form, 2, {**arguments, "norm_type": value}, ArgumentError, words)
    for value in ("2", None, [2.0], 2j):
        refuse(name, form, 2, {**arguments, "norm_type": value}, TypeError, ("norm_type",))


@pytest.mark.parametrize("form", FORMS)
def test_avg_max_mode(form: str) -> None:
    arguments = {"windowed": {"kernel_size": 2}, "adaptive": {"output_size": 2}, "global": {}}[form]
    words = ("mode", "'sum'", "add", "cat")
    refuse("avg_max", form, 2, {**arguments, "mode": "sum"}, ArgumentError, words)
    refuse("avg_max", form, 2, {**arguments, "scale": "large"}, TypeError, ("scale",))


INVALID = [
    (name, row, form)
    for name, method in METHODS.items()
    for row in method.invalid
    for form in FORMS
    if form == "windowed" or not any(key in row for key in OF_PADDING)
]


@every_rank
@pytest.mark.parametrize(("name", "row", "form"), INVALID)
def test_parameters_that_the_table_calls_invalid(name: str, row: dict[str, Any], form: str, rank: int) -> None:
    """The last parameter of such a row is what is wrong with it."""
    arguments = {"windowed": {"kernel_size": 2}, "adaptive": {"output_size": 2}, "global": {}}[form]
    refuse(name, form, rank, {**arguments, **row}, (ArgumentError, TypeError), (list(row)[-1],))


def test_divisor_override() -> None:
    refuse(
        "avg",
        "windowed",
        2,
        {"kernel_size": 2, "divisor_override": 0},
        ArgumentError,
        ("divisor must be not zero",),
    )
    refuse("avg", "windowed", 2, {"kernel_size": 2, "divisor_override": 1.5}, TypeError, ("divisor_override",))
    x = torch.randn(1, 2, 4, 4)
    actual, expected = (home.avg_pool2d(x, 2, divisor_override=-3) for home in (functional, torch.nn.functional))
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("name", ["avg", "sum"])
def test_result_dtype(name: str) -> None:
    with pytest.raises(TypeError, match="dtype"):
        getattr(functional, f"{name}_pool2d")(torch.zeros(1, 1, 4, 4), 2, dtype="float32")


@every_rank
@every_method
def test_output_size(name: str, rank: int) -> None:
    rest = (2,) * (rank - 1)
    for value in (-1, (*rest, -1)):
        refuse(name, "adaptive", rank, {"output_size": value}, ArgumentError, ("output_size", "-1"))
    for value in (1.5, True, "2", (*rest, 2.0), (*rest, True)):
        refuse(name, "adaptive", rank, {"output_size": value}, TypeError, ("output_size",))
    refuse(name, "adaptive", rank, {"output_size": (2,) * (rank + 1)}, ArgumentError, ("output_size",))
    refuse(name, "adaptive", rank, {"output_size": ()}, ArgumentError, ("output_size",))


@every_method
def test_empty_and_kept_output_size(name: str) -> None:
    x = torch.randn(2, 3, 5, 7)
    pool = getattr(functional, f"adaptive_{name}_pool2d")
    params = required(name, "adaptive")
    assert pool(x, output_size=(0, 3), **params).shape == (2, 3, 0, 3)
    assert pool(x, output_size=(None, 3), **params).shape == (2, 3, 5, 3)
    assert pool(x, output_size=(2, None), **params).shape == (2, 3, 2, 7)


@pytest.mark.parametrize("name", ["nothing", "", "Max", 3, None])
def test_pool_by_unknown_name(name: Any) -> None:
    with pytest.raises((ArgumentError, TypeError)) as refusal:
        nn.Pool(name, kernel_size=2)
    if isinstance(name, str):
        assert repr(name) in str(refusal.value)
        assert "max" in str(refusal.value)


@every_method
def test_pool_by_name_checks_in_the_constructor(name: str) -> None:
    with pytest.raises(ArgumentError, match="kernel_size"):
        nn.Pool(name, **required(name, "windowed"), kernel_size=0)
    for rank in RANKS:
        x = torch.randn(2, 3, *(8,) * rank)
        module = nn.Pool(name, **required(name, "windowed"), kernel_size=2)
        expected = getattr(functional, f"{name}_pool{rank}d")(x, kernel_size=2, **required(name, "windowed"))
        assert torch.equal(module(x), expected)


# --------------------------------------------------------------------------------------- unpooling


@every_rank
def test_unpool_indices(rank: int) -> None:
    unpool = getattr(functional, f"max_unpool{rank}d")
    x = torch.randn(2, 3, *(3,) * rank)
    good = torch.zeros(x.shape, dtype=torch.int64)
    for dtype in (torch.int32, torch.uint8, torch.float32, torch.bool):
        with pytest.raises(RuntimeError, match="elements in indices should be type int64") as refusal:
            unpool(x, good.to(dtype), 2)
        assert isinstance(refusal.value, (ArgumentError, RuntimeError))
    for shape in ((2, 3, *(3,) * (rank - 1), 2), (1, 3, *(3,) * rank), (3,) * rank):
        with pytest.raises(ArgumentError, match="Expected shape of indices to be"):
            unpool(x, torch.zeros(shape, dtype=torch.int64), 2)
    volume = "x".join(["6"] * rank)
    for value in (6**rank, 10**6, 2**62, -1, -(2**63)):
        for place in (0, x.numel() // 2, x.numel() - 1):
            bad = good.clone()
            bad.view(-1)[place] = value
            with pytest.raises(RuntimeError, match=rf"Found an invalid max index: {value} .*{volume}"):
                unpool(x, bad, 2)
    with pytest.raises(TypeError, match="indices"):
        unpool(x, [0], 2)


@every_rank
def test_unpool_output_size(rank: int) -> None:
    unpool = getattr(functional, f"max_unpool{rank}d")
    x, indices = torch.randn(1, 2, *(3,) * rank), torch.zeros((1, 2, *(3,) * rank), dtype=torch.int64)
    for size in ([4] * rank, [8] * rank, [*[6] * (rank - 1), 9]):
        with pytest.raises(ArgumentError, match="output_size") as refusal:
            unpool(x, indices, 2, output_size=size)
        assert str(size[-1]) in str(refusal.value)
    with pytest.raises(ArgumentError, match="output_size"):
        unpool(x, indices, 2, output_size=[6] * (rank + 1))


@pytest.mark.parametrize(
    ("argument", "value"), [("kernel_size", 0), ("stride", -1), ("padding", -1), ("kernel_size", 2**63)]
)
@every_rank
def test_unpool_geometry(rank: int, argument: str, value: int) -> None:
    arguments = {"kernel_size": 2, argument: value}
    x, indices = torch.randn(1, 2, *(3,) * rank), torch.zeros((1, 2, *(3,) * rank), dtype=torch.int64)
    with pytest.raises(ArgumentError):
        getattr(functional, f"max_unpool{rank}d")(x, indices, **arguments)
    with pytest.raises(ArgumentError):
        getattr(nn, f"MaxUnpool{rank}d")(**arguments)


# ------------------------------------------------------------------------------------- huge values

HUGE = (2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 + 2, 10**40, -(2**31), -(2**63), -(2**63) - 1)


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("argument", ["kernel_size", "stride", "padding", "dilation"])
@every_rank
@every_method
def test_huge_geometry(name: str, rank: int, argument: str, value: int) -> None:
    words = ("pad" if argument == "padding" else argument, str(value))
    refuse(name, "windowed", rank, {"kernel_size": 2, argument: value}, ArgumentError, words)
    if argument == "padding":
        sides = (*((0, 0),) * (rank - 1), (0, value))
        refuse(name, "windowed", rank, {"kernel_size": 2, argument: sides}, ArgumentError, ("pad",))


@pytest.mark.parametrize("value", HUGE)
@every_rank
@every_method
def test_huge_output_size(name: str, rank: int, value: int) -> None:
    refuse(name, "adaptive", rank, {"output_size": value}, ArgumentError, ("output_size", str(value)))


@pytest.mark.parametrize("value", HUGE)
def test_huge_divisor(value: int) -> None:
    """Torch takes any int of 64 bits."""
    if -(2**63) <= value < 2**63:
        x = torch.full((1, 1, 4), 1e6, dtype=torch.float64)
        y = functional.avg_pool1d(x, 4, divisor_override=value)
        torch.testing.assert_close(y, torch.full((1, 1, 1), 4e6 / value, dtype=torch.float64))
    else:
        arguments = {"kernel_size": 2, "divisor_override": value}
        refuse("avg", "windowed", 2, arguments, ArgumentError, ("divisor_override", str(value)))


def in_little_memory(program: str) -> str:
    """Run a program of its own with one more GiB of address space than torch takes; a crash is a failure."""
    limited = textwrap.dedent("""
        import resource, torch
        from poolkit import functional as F
        from poolkit.errors import ArgumentError
        F.max_pool2d(torch.zeros(1, 1, 64, 64), 2)
        with open("/proc/self/statm") as statm:
            taken = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + 2**30, taken + 2**30))
    """)
    done = subprocess.run(
        [sys.executable, "-c", limited + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and address space limits")
def test_the_largest_values_allowed_take_no_memory_and_no_time() -> None:
    """Kernel, stride, dilation and padding at 2**31 - 1 or half of it, forward and backward, every method."""
    output = in_little_memory("""
        most = 2**31 - 1
        x = torch.arange(1.0, 6.0).reshape(1, 1, 5).requires_grad_()
        from poolkit.methods import METHODS
        for name, method in METHODS.items():
            pool = getattr(F, f"{name}_pool1d")
            for arguments in (
                {"kernel_size": 2, "stride": most},
                {"kernel_size": 1, "dilation": most, "stride": most},
                {"kernel_size": most, "stride": most, "ceil_mode": True},
                {"kernel_size": most, "stride": 1, "padding": most // 2},
                {"kernel_size": most, "stride": most, "padding": ((most - 1, most - 1),)},
                {"kernel_size": 2, "stride": 1, "dilation": most, "padding": ((0, most - 4),)},
            ):
                try:
                    y = pool(x, **method.samples[0], **arguments)
                    y.sum().backward()
                except ArgumentError as error:
                    print(name, arguments, error)
                else:
                    print(name, arguments, y.tolist())
        print(F.max_pool1d(x, most, 1, most // 2).tolist())
        print(F.sum_pool1d(x, most, 1, most // 2).tolist())
        average = F.avg_pool1d(x, most, 1, most // 2)
        assert torch.allclose(average * most, torch.full_like(average, 15.0)), average
    """)
    assert "[[[5.0, 5.0, 5.0, 5.0, 5.0]]]\n[[[15.0, 15.0, 15.0, 15.0, 15.0]]]" in output


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and address space limits")
def test_impossible_results_are_refused() -> None:
    """More elements than 2**63, or than there is memory: an exception, never a crash."""
    output = in_little_memory("""
        most = 2**31 - 1
        for rank in (2, 3):
            x = torch.zeros(2, 3, *(4,) * rank)
            for name, params in (("max", {}), ("avg", {}), ("lp", {"norm_type": 2.0}), ("avg_max", {})):
                try:
                    getattr(F, f"adaptive_{name}_pool{rank}d")(x, output_size=most, **params)
                except (ArgumentError, RuntimeError, MemoryError):
                    print("refused")
        indices = torch.zeros(1, 1, 2, 2, 2, dtype=torch.int64)
        try:
            F.max_unpool3d(torch.zeros(1, 1, 2, 2, 2), indices, most, most)
        except (ArgumentError, RuntimeError, MemoryError):
            print("refused")
    """)
    assert output.split() == ["refused"] * 9


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and address space limits")
def test_arguments_that_crash_torch() -> None:
    """Each of these makes a torch 2.13 process end with a signal, or write outside its memory."""
    output = in_little_memory("""
        x = torch.randn(1, 2, 4, 4, 4)
        for call in (
            lambda: F.max_pool3d(x, 9223372036854775807, 9223372036854775807, 0, 9223372036854775807),
            lambda: F.avg_pool2d(x[0], (9223372036854775807, 2), 1, 4611686018427387903),
            lambda: F.adaptive_max_pool2d(x[0], 9223372036854775807),
            lambda: F.max_pool1d(x[0, 0], 2, 1, 0, 4611686018427387904),
            lambda: F.max_pool2d(torch.randn(1, 5, 1, 1), 2, padding=1, dilation=2),
        ):
            try:
                call()
            except ArgumentError:
                print("refused")
    """)
    assert output.split() == ["refused"] * 5
