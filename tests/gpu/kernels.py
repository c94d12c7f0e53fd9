"""The Triton kernels, interpreted on the CPU: each beside the operator of the same name of the C++ core, in float64.

Run by tests/test_triton.py in a process of its own, in which TRITON_INTERPRET is set.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

import pytest
import torch
from compare import CORE, ROUNDING, near, surrounded
from torch import Tensor

from poolkit import geometry
from poolkit import triton as gpu
from poolkit.geometry import Windows
from poolkit.layout import is_channels_last
from poolkit.methods import COUNT_FIXED, COUNT_PADDED, COUNT_VALID, KERNELS, METHODS
from poolkit.triton import device, launch
from poolkit.triton.methods import REDUCERS

SEED = torch.tensor(-123456789012345)

#: Windows of every form: asymmetric padding, dilation, gaps and a ceil-mode overhang; uneven; whole planes.
WINDOWS = {
    "sliding": geometry.sliding(2, (3, 5), (2, 2), (1, 2), ((1, 0), (0, 1)), (2, 1), True),
    "overlapping": geometry.sliding(2, (3, 4), (2, 3), 1, ((0, 1), (2, 0))),
    "adaptive": geometry.adaptive(2, (3, 5), (2, 3)),
    "whole": geometry.adaptive(2, (3, 5), 1),
}
#: Those that go over the bits of the cells, which takes the interpreter long.
BY_BITS = ("quantile", "quantile_linear", "top_k_mean")
every_kernel = pytest.mark.parametrize("kernel", REDUCERS)


pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of lanes that hold nothing


def floats_of(kernel: str) -> list[tuple[float, ...]]:
    """The floats of the steps that run this kernel, in the samples of the table."""
    steps = (step for method in METHODS.values() for sample in method.samples for step in method.steps_with(sample))
    return list(dict.fromkeys(step.floats for step in steps if step.kernel == kernel))


def map_of(windows: Windows, dtype: torch.dtype, channels_last: bool = False, flavour: str = "normal") -> Tensor:
    """Two planes inside memory full of NaN, so that a cell read beside them shows."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, 2, *windows.input_size)
    if flavour == "normal":
        values = torch.randn(shape, generator=generator)
    else:
        values = torch.randint(-2, 3, shape, generator=generator).float()
        places = torch.rand(shape, generator=generator)
        if flavour == "special":
            values[places < 0.15], values[places > 0.7], values[places > 0.85] = math.nan, math.inf, -math.inf
    formats = {2: torch.channels_last, 3: torch.channels_last_3d}
    if channels_last:
        values = values.contiguous(memory_format=formats[windows.rank])
    return surrounded(values, dtype)


def check(
    kernel: str,
    windows: Windows,
    x: Tensor,
    floats: Sequence[float],
    counting: int = COUNT_VALID,
    divisor: int = 0,
    gradient: bool = True,
    twice: bool = False,
) -> None:
    """Value, winners and gradient against the core's in double; twice, to see the same bits again."""
    packed = geometry.pack(windows, counting, divisor)
    kind, rounding = KERNELS[kernel].gradient, ROUNDING.get(x.dtype, 0.0)
    wide = x.double() if x.is_floating_point() else x
    seed = SEED if KERNELS[kernel].draws else None
    expected = CORE.pool(wide, kernel, packed, floats, seed)
    kept = expected_kept = None
    if "winner" in kind:
        y, kept = launch.pool_winners(x, kernel, packed, floats, seed)
        expected_kept = CORE.pool_winners(wide, kernel, packed, floats, seed)[1]
        assert kept.dtype == expected_kept.dtype
        assert torch.equal(kept.int(), expected_kept.int())
    else:
        y = launch.pool(x, kernel, packed, floats, seed)
    assert (y.dtype, y.stride()) == (x.dtype, expected.stride())
    near(y, expected, rounding)
    if twice:
        assert torch.equal(launch.pool(x, kernel, packed, floats, seed), y)
    if not gradient or kind in ("cells", "formula") or not x.is_floating_point():
        return
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(x.dtype)
    last = is_channels_last(x, windows.rank)
    got = launch.pool_backward(grad, x, y, kept, kernel, packed, floats, last)
    true = CORE.pool_backward(grad.double(), wide, expected, expected_kept, kernel, packed, floats, last)
    assert (got.dtype, got.stride()) == (x.dtype, true.stride())
    near(got, true, 3 * rounding)
    if twice:
        assert torch.equal(launch.pool_backward(grad, x, y, kept, kernel, packed, floats, last), got)


def dtype_for(kernel: str) -> torch.dtype:
    """float32, or fewer bits."""
    return torch.bfloat16 if kernel in BY_BITS else torch.float32


@pytest.mark.parametrize(
    ("kernel", "form"),
    [(kernel, "sliding") for kernel in REDUCERS if kernel not in BY_BITS]
    + [(kernel, "overlapping") for kernel in ("max", "avg")]
    + [(kernel, "adaptive") for kernel in ("max", "avg", "lp", "soft")]
    + [(kernel, "whole") for kernel in ("max", "avg", "gem", "soft", "log_sum_exp", "range", "var", "quantile_linear")],
)
def test_value_and_gradient(kernel: str, form: str) -> None:
    windows = WINDOWS[form]
    [floats, *_] = floats_of(kernel)
    counting = COUNT_PADDED if kernel in ("avg", "power_avg", "avg_max") else COUNT_VALID
    x = map_of(windows, dtype_for(kernel), channels_last=form in ("overlapping", "adaptive"))
    check(kernel, windows, x, floats, counting, twice=form == "adaptive")


@pytest.mark.parametrize(
    ("kernel", "floats"),
    [(kernel, floats) for kernel in REDUCERS for floats in floats_of(kernel)[1 : 3 if kernel in BY_BITS else None]]
    + [
        ("lp", (3.0,)),
        ("lp", (2.5,)),
        ("power_avg", (1.0,)),
        ("log_sum_exp", (-30.0, 1.0)),
        ("log_sum_exp", (1e-4, 1.0)),
    ],
)
def test_other_parameters(kernel: str, floats: tuple[float, ...]) -> None:
    windows = geometry.sliding(1, (5,), 3, 1)
    check(kernel, windows, map_of(windows, dtype_for(kernel)), floats)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("kernel", ["max", "avg", "soft", "std"])
def test_dtypes(kernel: str, dtype: torch.dtype) -> None:
    windows = geometry.sliding(1, (5,), 2, 2)
    check(kernel, windows, map_of(windows, dtype), floats_of(kernel)[0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_integers(dtype: torch.dtype) -> None:
    windows = geometry.sliding(1, (5,), 2, 2)
    limits = torch.iinfo(dtype)
    x = torch.tensor([[limits.max, 3, limits.min, limits.min, 0]], dtype=dtype)
    for kernel in ("max", "min"):
        check(kernel, windows, x, ())


def test_booleans() -> None:
    windows = geometry.sliding(1, (5,), 2, 2, 1)
    x = torch.tensor([[True, False, False, False, True]])
    check("max", windows, x, ())
    check("min", windows, x, ())


@pytest.mark.parametrize(("kernel", "channels_last"), [("max", True), ("avg", False)])
def test_volumes(kernel: str, channels_last: bool) -> None:
    windows = geometry.sliding(3, (3, 2, 3), (2, 2, 1), (1, 2, 1), ((1, 0), (0, 1), (0, 0)), (1, 1, 1), True)
    check(
        kernel, windows, map_of(windows, torch.float32, channels_last), floats_of(kernel)[0] if kernel == "soft" else ()
    )


@pytest.mark.parametrize("kernel", ["max", "min", "avg_max", "quantile", "range", "top_k_mean"])
def test_ties(kernel: str) -> None:
    windows = geometry.sliding(1, (7,), 3, 2)
    check(kernel, windows, map_of(windows, dtype_for(kernel), flavour="ties"), floats_of(kernel)[0])


@every_kernel
def test_special_values(kernel: str) -> None:
    """NaN and infinities, alone and together."""
    windows = geometry.sliding(1, (31,), 2, 2)
    x = map_of(windows, dtype_for(kernel), flavour="special")
    smooth = KERNELS[kernel].gradient in ("input", "weights", "shares")
    check(kernel, windows, x, floats_of(kernel)[0], gradient=not smooth)


@pytest.mark.parametrize(
    ("kernel", "size"),
    [("lp", 1e-22), ("lp", 1e25), ("power_avg", 1e25), ("gem", 1e25), ("std", 1e25), ("stochastic_mean", 1e-22)],
)
def test_powers_of_cells_that_leave_the_range(kernel: str, size: float) -> None:
    windows = geometry.sliding(1, (7,), 3, 2)
    floats = {"gem": (3.0, 0.0), "std": (0.0, 0.0)}.get(kernel, floats_of(kernel)[0])
    check(kernel, windows, map_of(windows, torch.float32) * size, floats)


@pytest.mark.parametrize(("counting", "divisor"), [(COUNT_VALID, 0), (COUNT_PADDED, 0), (COUNT_FIXED, -3)])
def test_divisors(counting: int, divisor: int) -> None:
    for form in ("sliding", "whole"):
        check("avg", WINDOWS[form], map_of(WINDOWS[form], torch.float32), (), counting, divisor)


@pytest.mark.parametrize("channels_last", [False, True])
def test_more_lanes_than_a_block(channels_last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several programs, the last one with lanes to spare; channels and planes that fill no block."""
    for name, number in (("BLOCK", 64), ("TILE", 16), ("LONGEST", 8)):
        monkeypatch.setattr(device, name, number)
    for windows in (geometry.sliding(2, (2, 5), (1, 2), 1), geometry.adaptive(2, (2, 5), 1)):
        x = torch.randn(3, 5, 2, 5)
        x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
        check("max", windows, x, ())


def test_wide_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays whose cells 32 bits do not count."""
    monkeypatch.setattr(device, "LARGEST", 0)
    for form in ("sliding", "adaptive", "whole"):
        check("max", WINDOWS[form], map_of(WINDOWS[form], torch.float32, True), ())


def test_large_windows() -> None:
    """Winners of 16 bits, and a kernel that is larger than the map."""
    windows = geometry.adaptive(1, (300,), 1)
    check("max", windows, torch.randn(1, 300), (), gradient=False)
    windows = geometry.sliding(1, (3,), 5, 1, ((4, 2),))
    check("max", windows, torch.randn(1, 3), ())


def test_unbatched_and_empty() -> None:
    windows = WINDOWS["sliding"]
    check("avg", windows, torch.randn(2, 3, 5), ())
    check("max", windows, torch.empty(0, 2, 3, 5), ())
    packed = geometry.pack(geometry.adaptive(2, (3, 5), (0, 2)), 0, 0)
    assert launch.pool(torch.randn(1, 1, 3, 5), "max", packed, ()).shape == (1, 1, 0, 2)
    y, winners = launch.pool_winners(torch.randn(1, 1, 3, 5), "max", packed, ())
    gradient = launch.pool_backward(y, None, None, winners, "max", packed, (), False)
    assert torch.equal(gradient, torch.zeros(1, 1, 3, 5))


@pytest.mark.parametrize("form", ["sliding", "overlapping", "adaptive"])
def test_positions_of_winners(form: str) -> None:
    windows = WINDOWS[form]
    packed = geometry.pack(windows, 0, 0)
    for last in (False, True):
        _, winners = CORE.pool_winners(map_of(windows, torch.float32, last), "max", packed, ())
        assert torch.equal(launch.winner_indices(winners, packed), CORE.winner_indices(winners, packed))


@pytest.mark.parametrize("form", ["sliding", "whole"])
def test_logits(form: str) -> None:
    windows = WINDOWS[form]
    packed = geometry.pack(windows, 0, 0)
    x, logits = map_of(windows, torch.float32, True), map_of(windows, torch.float32, True).flip(1).sin()
    y = launch.pool_by_logits(x, logits, packed)
    near(y, CORE.pool_by_logits(x.double(), logits.double(), packed), 2e-5)
    grad = torch.randn_like(y)
    got = launch.pool_by_logits_backward(grad, x, logits, packed, True)
    true = CORE.pool_by_logits_backward(grad.double(), x.double(), logits.double(), packed, True)
    for one, other in zip(got, true, strict=True):
        assert one.stride() == other.stride()
        near(one, other, 6e-5)


def test_refusals() -> None:
    packed = geometry.pack(WINDOWS["sliding"], 0, 0)
    x = torch.zeros(1, 2, 3, 5)
    with pytest.raises(RuntimeError, match="the windows do not fit"):
        launch.pool(torch.zeros(1, 2, 5, 3), "max", packed, ())
    with pytest.raises(RuntimeError, match="no GPU kernel for method 'mode'"):
        launch.pool(x, "mode", packed, ())
    with pytest.raises(RuntimeError, match="no GPU kernel for method 'avg'"):
        launch.pool(x.long(), "avg", packed, ())
    with pytest.raises(RuntimeError, match="this method draws"):
        launch.pool(x, "stochastic", packed, ())
    with pytest.raises(RuntimeError, match="has no winners"):
        launch.pool_winners(x, "avg", packed, ())
    y = launch.pool(x, "lp", packed, (2.0,))
    with pytest.raises(RuntimeError, match="lacks a tensor"):
        launch.pool_backward(y, None, y, None, "lp", packed, (2.0,), False)
    with pytest.raises(RuntimeError, match="no kernel for the gradient"):
        launch.pool_backward(y, x, None, None, "quantile_linear", packed, (0.5,), False)


def test_lists_agree() -> None:
    """Kernels have the core's names; the page names what lacks."""
    known = CORE.kernels().split(",")
    assert list(REDUCERS) == [kernel for kernel in gpu.DTYPES if kernel in known]
    page = (pathlib.Path(__file__).parents[2] / "docs" / "gpu.md").read_text()
    assert [name for name in known if name not in REDUCERS and f"`{name}`" not in page] == []


@pytest.mark.parametrize("name", gpu.OPERATORS)
def test_operators_have_the_arguments_of_the_core(name: str) -> None:
    code = gpu.operator(name).__code__
    schema = getattr(CORE, name).default._schema
    assert list(code.co_varnames[: code.co_argcount]) == [argument.name for argument in schema.arguments]
