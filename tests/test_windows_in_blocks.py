"""Detail-preserving pooling and learnt exponents: windows taken block by block are those gathered at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch.profiler import ProfilerActivity, profile

from poolkit import functional as pf
from poolkit import geometry, nn
from poolkit.geometry import Windows
from poolkit.layers import blocks, detail, powers

Function = Callable[..., torch.Tensor]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Windows, torch.Tensor]:
    """Windows of one to three axes at the edges of a map, each axis its own."""
    rank = draw(st.integers(1, 3))
    size = tuple(draw(st.integers(1, 7)) for _ in range(rank))
    kernel = tuple(draw(st.integers(1, n)) for n in size)
    stride = tuple(draw(st.integers(1, 4)) for _ in size)
    padding = [[draw(st.integers(0, k - 1)) for _ in range(2)] for k in kernel]
    windows = geometry.sliding(rank, size, kernel, stride, padding, 1, draw(st.booleans()))
    x = torch.randn((2, 3, *size), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return windows, x


def results(function: Function, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    y = function(*leaves)
    y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape))
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@settings(max_examples=40)
@given(problems(), st.sampled_from([1, 16, 100, 2**17]), st.booleans(), st.booleans(), st.data())
def test_blocks_are_the_gathered_formula(
    problem: tuple[Windows, torch.Tensor], largest: int, guided: bool, flag: bool, data: st.DataObject
) -> None:
    """Values and all gradients, in blocks from one row of one plane to everything."""
    windows, x = problem
    generator = torch.Generator().manual_seed(1)
    parameters = [torch.randn(3, dtype=torch.float64, generator=generator) for _ in range(2)]
    guide = torch.randn((2, 3, *windows.output_size), dtype=torch.float64, generator=generator)
    given = detail._Settings(flag, 1e-3, data.draw(st.sampled_from(detail.NORMS)))
    exponents = parameters[0].exp()[: data.draw(st.sampled_from([1, 3]))]
    cases = [(detail, [x, *parameters, guide] if guided else [x, *parameters], given), (powers, [x, exponents], flag)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "LARGEST_BLOCK", largest)
        for module, tensors, setting in cases:
            rest = [None] if module is detail and not guided else []
            pair = [
                results(lambda *t, f=function, r=rest, s=setting: f(*t, *r, windows, s), tensors)  # type: ignore[misc]
                for function in (module._Pool.apply, module._gathered)
            ]
            for actual, expected in zip(*pair, strict=True):
                torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@given(problems(), st.data())
def test_taps_reach_the_cells_of_the_windows(problem: tuple[Windows, torch.Tensor], data: st.DataObject) -> None:
    for axis in problem[0].axes:
        dilated = axis._replace(dilation=data.draw(st.integers(1, 3)))
        first = data.draw(st.integers(0, axis.out - 1))
        last = data.draw(st.integers(first + 1, axis.out))
        reached: dict[int, list[int]] = {output: [] for output in range(first, last)}
        for tap, outputs, cells in dilated.reaches(first, last):
            pairs = zip(range(last - first)[outputs], range(axis.size)[cells], strict=True)
            for output, cell in pairs:
                reached[first + output].append(cell)
                assert cell == (first + output) * axis.stride - axis.pad_low + tap * dilated.dilation
        for output, cells in reached.items():
            places = (output * axis.stride - axis.pad_low + tap * dilated.dilation for tap in range(axis.kernel))
            assert cells == [place for place in places if 0 <= place < axis.size]
    windows = problem[0]
    assert geometry.unpack(geometry.pack(windows, 0, 0)) == windows


FULL = nn.DetailPreservingPool2d(2, 3, 2, 1, "full", dtype=torch.float64)
LEARNT = nn.LearntPowerAvgPool2d(3, 2, 1, norm_type=2.5, channels=2, dtype=torch.float64)
LAYERS = pytest.mark.parametrize("layer", [FULL, LEARNT], ids=["detail_preserving", "learnt_power"])


@LAYERS
def test_first_and_second_derivatives_of_all_inputs(layer: torch.nn.Module) -> None:
    names = [name for name, _ in layer.named_parameters()]
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=generator)]
    tensors += [p.detach() + 0.1 * torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in layer.parameters()]

    def function(x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), x)
        return result

    leaves = [tensor.requires_grad_() for tensor in tensors]
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


@LAYERS
def test_compiles_whole_with_overlapping_blocks(layer: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGEST_BLOCK", 50)
    x = torch.randn(2, 2, 9, 8, dtype=torch.float64)
    parameters = list(layer.parameters())
    pair = []
    for function in (torch.compile(layer, fullgraph=True, backend="aot_eager"), layer):
        leaf = x.clone().requires_grad_()
        y = function(leaf)
        pair.append([y, *torch.autograd.grad(y.square().sum(), [leaf, *parameters])])
    for actual, expected in zip(*pair, strict=True):
        torch.testing.assert_close(actual, expected)
    torch.compiler.reset()


def test_windows_at_infinity_and_of_zeros() -> None:
    """An infinity takes the whole gradient, cells that share it equal parts; zeros get none, nor does the exponent."""
    layer = nn.LearntLPPool1d(3, norm_type=3.0)
    x = torch.tensor([[math.inf, 1, 2, -math.inf, 5, math.inf, 0, 0, 0]], requires_grad=True)
    y = layer(x)
    y.backward(torch.ones_like(y))
    assert y.tolist() == [[math.inf, math.inf, 0]]
    assert x.grad is not None
    assert x.grad.tolist() == [[1, 0, 0, -0.5, 0, 0.5, 0, 0, 0]]
    assert layer.log_norm_type.grad.tolist() == [0]


def peak(function: Callable[[], object]) -> int:
    """The most bytes that tensors took at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        function()
    assert recorded.profiler is not None
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    taken = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        taken += event.nbytes()
        most = max(most, taken)
    return most


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(2, 16, 128, 128), (1, 1, 700, 700)], ids=["maps", "image"])
@pytest.mark.parametrize("layer", [nn.DetailPreservingPool2d, nn.LearntLPPool2d], ids=["detail", "exponent"])
def test_peak_memory(layer: type[torch.nn.Module], shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Little more than input, output and gradients, where all windows have nine times the input's cells."""
    torch.set_num_threads(1)  # steps are many and small
    arguments = (shape[1], 3, 1) if layer is nn.DetailPreservingPool2d else (3, 1)
    module = layer(*arguments)
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    y = module(x)
    grad = torch.ones_like(y)

    def step() -> None:
        torch.autograd.grad(module(x), [x, *module.parameters()], grad)

    step()
    scratch = 16 * 4 * blocks.LARGEST_BLOCK
    assert peak(step) <= y.nbytes + (2 * x.nbytes if dtype == torch.bfloat16 else 0) + x.nbytes + scratch


def test_a_large_kernel_is_no_loop_over_the_padding() -> None:
    x = torch.randn(1, 1, 6, dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    y = pf.detail_preserving_pool1d(x, zero + 30, zero, 2**30, 1, ((2**30 - 1, 0),))
    torch.testing.assert_close(y, x.cumsum(-1) / torch.arange(1, 7), rtol=1e-6, atol=1e-6)
