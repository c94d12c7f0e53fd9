"""torch's pooling calls inside `poolkit.use()`: the same results and errors, and nothing left behind."""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from torch.overrides import _get_current_function_mode_stack

import poolkit
from poolkit import functional
from poolkit._routes import POOLING

#: Operators behind the functions, and those of other kinds of tensors.
NOT_ROUTED = re.compile(r"^_|^quantized_|^mkldnn_|^fractional_|^max_unpool")
HOMES = (torch.nn.functional, torch, torch._C._nn)
EVERY = {
    f"{home.__name__}.{name}": getattr(home, name)
    for home in HOMES
    for name in dir(home)
    if "_pool" in name or "_unpool" in name
}


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    yield
    poolkit.use_everywhere(False)
    assert _get_current_function_mode_stack() == []
    assert threading.getprofile() is None
    assert sys.getprofile() is None
    assert {name: getattr(eval(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in EVERY} == EVERY


def maps(*size: int, **options: Any) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(len(size)), **options)


def test_every_pooling_function_of_torch_is_known() -> None:
    known = {name for name, function in EVERY.items() if function in POOLING}
    others = {name.rpartition(".")[2] for name in EVERY.keys() - known}
    assert len(known) >= 40
    assert all(NOT_ROUTED.search(name) for name in others)
    assert set(POOLING) == {EVERY[name] for name in known}


def outputs(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return outputs(function(*args, **kwargs))
    except Exception as error:
        return type(error), str(error)


odd = st.sampled_from([0, 1, 2, 3, -1, 1.5, True, None, "same", (2,), (1, 2), [3, 1], (2, 2, 2), (), ((1, 0), (0, 1))])
small = st.integers(1, 4)


@hypothesis_settings(max_examples=60)
@given(data=st.data())
def test_any_arguments_give_what_torch_gives(data: st.DataObject) -> None:
    """Values or an error, of the same type and in the same words."""
    rank = data.draw(st.sampled_from([1, 2, 3]))
    form = data.draw(st.sampled_from(["max", "avg", "lp", "adaptive_max", "adaptive_avg"]))
    dtype = data.draw(
        st.sampled_from([torch.float32, torch.float16, torch.bool, torch.int32, torch.int64, torch.complex64])
    )
    size = [data.draw(st.sampled_from([5, 7, 1, 0]) if data.draw(st.integers(0, 9)) == 0 else st.just(6))] * rank
    x = (maps(2, 3, *size) * 5).to(dtype)

    def value(usual: st.SearchStrategy[Any]) -> Any:
        return data.draw(odd if data.draw(st.integers(0, 7)) == 0 else usual)

    kwargs: dict[str, Any] = {}
    if form.startswith("adaptive"):
        kwargs["output_size"] = value(small)
    else:
        kwargs["kernel_size"] = value(small)
        options = {"stride": small, "padding": st.integers(0, 2), "ceil_mode": st.booleans()}
        options |= {"max": {"dilation": st.sampled_from([1, 2, 3])}, "lp": {}}.get(
            form, {"count_include_pad": st.booleans(), "divisor_override": st.sampled_from([None, 2])}
        )
        for name, usual in options.items():
            if data.draw(st.booleans()):
                kwargs[name] = value(usual)
    if form.endswith("max") and data.draw(st.booleans()):
        kwargs["return_indices"] = True
    args = (data.draw(st.sampled_from([2, 2.0, 4, 1, 3.5])),) if form == "lp" else ()
    function = getattr(F, f"{form}_pool{rank}d")
    expected = outcome(function, x, *args, **kwargs)
    with poolkit.use(least=0):
        actual = outcome(function, x, *args, **kwargs)
    if isinstance(expected[0], torch.Tensor):
        torch.testing.assert_close(actual, expected, equal_nan=True)
    else:
        assert actual == expected


# ------------------------------------------------------------------------------------- what is routed


def test_calls_by_every_name() -> None:
    x, line = maps(2, 3, 8, 8), maps(2, 3, 8)
    calls = [
        lambda: torch.nn.MaxPool2d(2)(x),
        lambda: F.max_pool2d(x, 2),
        lambda: torch.max_pool2d(x, 2),
        lambda: F.max_pool2d_with_indices(x, 2)[0],
        lambda: torch._C._nn.max_pool2d_with_indices(x, 2)[0],
        lambda: F.avg_pool2d(x, 2),
        lambda: F.lp_pool2d(x, 2.0, 2),
        lambda: torch.max_pool1d(line, 2),
        lambda: torch.max_pool1d_with_indices(line, kernel_size=2)[0],
        lambda: torch.adaptive_max_pool1d(line, 2)[1],
        lambda: torch.adaptive_avg_pool1d(line, 2),
        lambda: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    ]
    expected = [call() for call in calls]
    with poolkit.use(least=0) as routed:
        for call, y in zip(calls, expected, strict=True):
            torch.testing.assert_close(call(), y)
    assert sum(routed.served.values()) == len(calls) + 1
    assert not routed.left


def test_a_report_of_calls() -> None:
    with poolkit.use(least=100) as routed:
        assert str(routed) == "no calls"
        F.max_pool2d(maps(1, 1, 16, 16), 2)
        F.max_pool2d(maps(1, 1, 16, 16), 2)
        F.avg_pool2d(maps(1, 1, 4, 4), 2)
    assert str(routed) == "max_pool2d: 2 by poolkit\navg_pool2d: 1 by torch; fewer than 100 cells"


class Subclass(torch.Tensor):
    pass


def quantised(x: torch.Tensor) -> torch.Tensor:
    return torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)


@pytest.mark.filterwarnings("ignore:.*quantize:UserWarning")
@pytest.mark.parametrize(
    ("reason", "make"),
    [
        ("Subclass", lambda x: x.as_subclass(Subclass)),
        ("meta", lambda x: x.to("meta")),
        ("quint8", quantised),
        ("layout", lambda x: x.to_mkldnn()),
        ("complex64", lambda x: x.to(torch.complex64)),
        ("float8", lambda x: x.to(torch.float8_e4m3fn)),
        ("bool", lambda x: x > 0),
        ("NoneType", lambda x: None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_left_to_torch(reason: str, make: Callable[..., Any]) -> None:
    x = make(maps(1, 2, 6, 6))
    expected = outcome(F.max_pool2d, x, 2)
    with poolkit.use(least=0) as routed:
        actual = outcome(F.max_pool2d, x, 2)
    assert type(actual[0]) is type(expected[0])
    assert str(actual) == str(expected)
    assert not routed.served
    [(_, said)] = routed.left
    assert reason in said


@pytest.mark.parametrize(
    ("reason", "call"),
    [
        ("dilated", lambda x: F.max_pool2d(x, 2, padding=1, dilation=3)),
        ("indices", lambda x: F.max_pool2d(x, 2, return_indices=True)),
        ("indices", lambda x: F.max_pool2d_with_indices(x, 2)),
        ("as fast", lambda x: F.adaptive_avg_pool2d(x, 1)),
        ("nothing", lambda x: F.adaptive_avg_pool2d(x, 0)),
        ("signs", lambda x: F.lp_pool2d(x, 3.0, 2)),
        ("ceil mode", lambda x: F.lp_pool2d(x, 2.0, 5, ceil_mode=True)),
        ("smaller", lambda x: F.avg_pool3d(x.unsqueeze(1), (3, 2, 2), padding=(1, 0, 0))),
        ("windows start", lambda x: F.fractional_max_pool2d(x, 2, output_size=3)),
        ("repeat", lambda x: F.max_unpool2d(x, torch.arange(36).expand(1, 2, 36).view(x.shape), 1)),
        ("both", lambda x: F.max_pool2d(x, 2, padding="same")),
        ("refuses", lambda x: F.max_pool2d(x, 2, padding=2)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_where_torch_and_poolkit_differ_torch_is_asked(reason: str, call: Callable[..., Any]) -> None:
    x = maps(1, 2, 6, 6).requires_grad_()
    torch.manual_seed(1)
    expected = outcome(call, x)
    torch.manual_seed(1)
    with poolkit.use(least=0) as routed:
        actual = outcome(call, x)
    assert str(actual) == str(expected)
    assert not routed.served
    assert reason in "".join(said for _, said in routed.left)


def test_the_choice_of_methods() -> None:
    x = maps(1, 2, 8, 8)
    with poolkit.use(only=["max", "lp"], least=0) as routed:
        F.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.lp_pool2d(x, 2, 2)
    assert routed.served == {"max_pool2d": 1, "lp_pool2d": 1}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"enabled": 1}, TypeError, "enabled must be a bool, but got 1"),
        ({"least": 2.5}, TypeError, "least must be an int, but got 2.5"),
        ({"only": "average"}, poolkit.ArgumentError, "only must name methods of 'avg', .*, but got 'average'"),
        ({"only": ["max", "mx"]}, poolkit.ArgumentError, "but got 'mx'; did you mean 'max'"),
        ({"only": [2]}, poolkit.ArgumentError, "but got 2"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    for function in (poolkit.use, poolkit.use_everywhere):
        with pytest.raises(error, match=words):
            function(**arguments)


# ----------------------------------------------------------------------------- where and how long


def is_routed() -> bool:
    """Whether a call made here and now is served."""
    y = F.max_pool2d(maps(1, 16, 32, 32).requires_grad_(), 2)
    return y.grad_fn is not None and y.grad_fn.name() == "_PoolBackward"


def test_blocks_are_nested() -> None:
    assert not is_routed()
    with poolkit.use():
        assert is_routed()
        with poolkit.use(False):
            assert not is_routed()
            with torch.device("cpu"), poolkit.use(only="max"):
                assert is_routed()
            with poolkit.use(only="avg"):
                assert not is_routed()
            assert not is_routed()
        assert is_routed()
    assert not is_routed()
    with poolkit.use(False):
        assert not is_routed()


def test_one_block_entered_again() -> None:
    block = poolkit.use()
    with block, block:
        assert is_routed()
    with block:
        assert is_routed()
        with poolkit.use(False), block:
            assert is_routed()
        assert is_routed()
    assert not is_routed()


def test_an_exception_ends_a_block() -> None:
    with pytest.raises(ZeroDivisionError), poolkit.use(), poolkit.use(False):
        _ = 1 / 0
    assert not is_routed()
    with poolkit.use():
        with pytest.raises(RuntimeError, match="pad should be at most half"):
            F.max_pool2d(maps(1, 2, 8, 8), 2, padding=3)
        assert is_routed()


def test_a_decorated_function_and_one_that_wraps() -> None:
    @poolkit.use()
    def decorated() -> bool:
        return is_routed()

    @functools.wraps(F.max_pool2d)
    def wrapping(*args: Any, **kwargs: Any) -> Any:
        return F.max_pool2d(*args, **kwargs)

    assert decorated()
    assert decorated()
    assert not is_routed()
    with poolkit.use(least=0) as routed:
        wrapping(maps(1, 2, 8, 8), 2)
    assert routed.served == {"max_pool2d": 1}


def test_generators_may_end_their_blocks_in_any_order() -> None:
    def steps() -> Iterator[bool]:
        with poolkit.use():
            yield is_routed()
            yield is_routed()

    first, second = steps(), steps()
    assert next(first)
    assert next(second)
    with torch.device("cpu"):
        first.close()
        assert is_routed()
        second.close()
        assert not is_routed()
    assert not is_routed()


def in_a_thread(function: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    [result] = results
    return result


def test_a_block_concerns_its_thread() -> None:
    with poolkit.use():
        assert not in_a_thread(is_routed)
        assert is_routed()
    here, there = threading.Event(), threading.Event()

    def other() -> tuple[bool, bool]:
        with poolkit.use():
            here.set()
            there.wait()
            before = is_routed()
        return before, is_routed()

    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(other()))
    thread.start()
    here.wait()
    assert not is_routed()
    there.set()
    thread.join()
    assert results == [(True, False)]


def test_everywhere() -> None:
    waiting = threading.Event()
    results: list[bool] = []
    routed = poolkit.use_everywhere()
    late = threading.Thread(target=lambda: (waiting.wait(), results.append(is_routed())))
    late.start()
    assert is_routed()
    assert in_a_thread(is_routed)
    assert routed.served == {"max_pool2d": 2}
    with poolkit.use(False):
        assert not is_routed()
        assert in_a_thread(is_routed)
    poolkit.use_everywhere(only="avg")
    assert not is_routed()
    with poolkit.use():
        assert is_routed()
        poolkit.use_everywhere(False)
        assert is_routed()
    assert not is_routed()
    assert not in_a_thread(is_routed)
    waiting.set()
    late.join()
    assert results == [False]


def test_threads_keep_their_profiler() -> None:
    seen: list[str] = []

    def profiler(frame: Any, event: str, arg: Any) -> None:
        seen.append(event)

    threading.setprofile(profiler)
    try:
        poolkit.use_everywhere()
        assert in_a_thread(lambda: (is_routed(), sys.getprofile() is profiler)) == (True, True)
        poolkit.use_everywhere(False)
        assert threading.getprofile() is profiler
        assert "call" in seen
    finally:
        threading.setprofile(None)  # type: ignore[arg-type]


class Pooled(torch.utils.data.Dataset[bool]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> bool:
        return is_routed()


def test_workers_of_a_data_loader() -> None:
    for context in (contextlib.nullcontext(), poolkit.use()):
        with context:
            loader = torch.utils.data.DataLoader(Pooled(), num_workers=2, multiprocessing_context="fork")
            expected = is_routed()
            assert [bool(item) for item in loader] == [expected] * 3
    poolkit.use_everywhere()
    loader = torch.utils.data.DataLoader(Pooled(), num_workers=1, multiprocessing_context="fork")
    assert [bool(item) for item in loader] == [True] * 3


# ------------------------------------------------------------------------- beside the rest of torch


def block(inputs: int, outputs: int, stride: int = 1) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), torch.nn.BatchNorm2d(outputs), torch.nn.ReLU()
    )


class SPPF(torch.nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = block(channels, channels // 2), block(channels * 2, channels)
        self.pool = torch.nn.MaxPool2d(5, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Inception(torch.nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = torch.nn.ModuleList([block(channels, 4) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = (x, F.max_pool2d(x, 3, 1, 1), F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([branch(each) for branch, each in zip(self.branches, maps, strict=True)], 1)


class Residual(torch.nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(block(inputs, outputs, 2), block(outputs, outputs))
        self.shortcut = torch.nn.Sequential(
            torch.nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False), torch.nn.Conv2d(inputs, outputs, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def head(channels: int) -> list[torch.nn.Module]:
    return [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, 5)]


NETS: dict[str, tuple[Callable[[], torch.nn.Module], int]] = {
    "ResNet": (
        lambda: torch.nn.Sequential(block(3, 8, 2), torch.nn.MaxPool2d(3, 2, 1), Residual(8, 16), *head(16)),
        2,
    ),
    "VGG": (
        lambda: torch.nn.Sequential(
            block(3, 8), torch.nn.MaxPool2d(2, 2), block(8, 8), torch.nn.MaxPool2d(2), *head(8)
        ),
        2,
    ),
    "SPPF": (lambda: torch.nn.Sequential(block(3, 8, 2), SPPF(8), *head(8)), 3),
    "Inception": (lambda: torch.nn.Sequential(block(3, 8, 2), Inception(8), *head(12)), 2),
}


def step(net: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    net.zero_grad()
    y = net(x)
    y.square().sum().backward()
    return [y.detach(), *(p.grad.clone() for p in net.parameters() if p.grad is not None)]


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", NETS)
def test_nets(name: str, last: bool) -> None:
    make, pools = NETS[name]
    net, x = make(), maps(2, 3, 33, 30)
    if last:
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    expected = step(net, x)
    with poolkit.use(least=0) as routed:
        torch.testing.assert_close(step(net, x), expected, rtol=1e-4, atol=1e-4)
        copies = [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    assert sum(routed.served.values()) == pools + last  # the mean of a contiguous map is torch's
    assert sum(routed.left.values()) == (not last)
    for other in copies:
        torch.testing.assert_close(step(other, x), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def graphs() -> Iterator[list[str]]:
    torch.compiler.reset()
    yield []
    torch.compiler.reset()


def recording(graphs: list[str]) -> Callable[..., Any]:
    """A compiler that keeps what it is given."""
    from torch._dynamo.backends.debugging import aot_eager

    def compiler(graph: Any, inputs: Any) -> Any:
        graphs.append(graph.print_readable(print_output=False))
        return aot_eager(graph, inputs)

    return compiler


def test_a_compiled_net_inside_and_outside(graphs: list[str]) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.MaxPool2d(3, 2, 1), torch.nn.AvgPool2d(2))
    x = maps(2, 3, 16, 16)
    expected = step(net, x)
    compiled = torch.compile(net, backend=recording(graphs), fullgraph=True, dynamic=False)

    def poolkit_in_the_graph() -> bool:
        torch.testing.assert_close(step(compiled, x), expected, rtol=1e-4, atol=1e-4)
        return "ops.poolkit" in graphs[-1]

    assert not poolkit_in_the_graph()
    with poolkit.use(least=0):
        assert poolkit_in_the_graph()
        with poolkit.use(False):
            assert not poolkit_in_the_graph()
        before = len(graphs)
        poolkit_in_the_graph()
    poolkit_in_the_graph()
    assert len(graphs) == before  # both were compiled by then


def test_dynamic_shapes_are_compiled_once(graphs: list[str]) -> None:
    compiled = torch.compile(
        lambda x: F.avg_pool2d(F.max_pool2d(x, 2), 3), backend=recording(graphs), fullgraph=True, dynamic=True
    )
    with poolkit.use(least=0):
        for size in range(12, 30, 3):
            x = maps(1, 2, size, size)
            torch.testing.assert_close(compiled(x), F.avg_pool2d(F.max_pool2d(x, 2), 3))
    assert len(graphs) == 1
    assert "ops.poolkit" not in graphs[0]


def test_a_block_inside_compiled_code(graphs: list[str]) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        with poolkit.use(least=0):
            y = F.max_pool2d(x, 2)
        return y + F.max_pool2d(x, 2)

    x = maps(1, 2, 8, 8)
    compiled = torch.compile(function, backend=recording(graphs))
    assert torch.equal(compiled(x), 2 * F.max_pool2d(x, 2))
    assert "ops.poolkit" in "".join(graphs)


def test_exports_and_traces_hold_operators_of_torch() -> None:
    net, x = torch.nn.Sequential(torch.nn.MaxPool2d(2), torch.nn.AvgPool2d(2)).eval(), maps(1, 2, 8, 8)
    with poolkit.use(least=0):
        texts = [str(torch.export.export(net, (x,), strict=strict)) for strict in (False, True)]
        from torch.fx.experimental.proxy_tensor import make_fx

        texts += [make_fx(net)(x).code, str(torch.fx.symbolic_trace(lambda x: F.max_pool2d(x, 2)).graph)]
        texts += [str(torch.jit.trace(net, x).inlined_graph), str(torch.jit.script(net).inlined_graph)]
    for text in texts:
        assert "pool" in text
        assert not re.search(r"poolkit[.:]", text)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own, for forward AD
def test_transforms_and_modes() -> None:
    x = maps(3, 2, 8, 8)
    ones = torch.ones_like(x)

    def pooled(t: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(F.max_pool2d(t, 3, 1, 1), 2)

    def results() -> list[torch.Tensor]:
        return [
            torch.func.vmap(pooled)(x),
            torch.func.grad(lambda t: pooled(t).sum())(x),
            torch.func.jvp(pooled, (x,), (ones,))[1],
            torch.autograd.functional.hessian(lambda t: pooled(t).square().sum(), x[0, :, :3, :3]),
        ]

    expected = results()
    with poolkit.use(least=0):
        torch.testing.assert_close(results(), expected)
        with torch.inference_mode():
            y = pooled(x)
        assert y.is_inference()
        torch.testing.assert_close(y, pooled(x))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", ["max", "avg", "adaptive_max", "adaptive_avg"])
def test_autocast_gives_the_types_that_it_gives_without(rank: int, name: str) -> None:
    function = getattr(F, f"{name}_pool{rank}d")
    with torch.autocast("cpu", torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            x = maps(1, 2, *(6,) * rank).to(dtype)
            expected = function(x, 2)
            with poolkit.use(least=0):
                torch.testing.assert_close(function(x, 2), expected)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_code_may_be_run_again_outside(reentrant: bool) -> None:
    net, x = NETS["VGG"][0](), maps(2, 3, 32, 32, requires_grad=True)
    expected = step(net, x)
    net.zero_grad()
    with poolkit.use():
        y = torch.utils.checkpoint.checkpoint(net, x, use_reentrant=reentrant)
    y.square().sum().backward()
    torch.testing.assert_close([y.detach(), *(p.grad for p in net.parameters())], expected, rtol=1e-4, atol=1e-4)


def test_poolkit_is_the_same_inside() -> None:
    """Its functions call no pooling of torch's, and so never themselves."""
    x = maps(1, 4, 9, 9)
    calls = [
        lambda: functional.max_pool2d(x, 3, padding="same"),
        lambda: functional.median_pool2d(x, 3),
        lambda: functional.channel_pool(x, "max"),
        lambda: functional.temporal_pool(x[0], "max"),
        lambda: functional.fractional_max_pool2d(x, None, output_size=4, training=False),
        lambda: torch.func.vmap(lambda t: functional.max_pool2d(t, 3))(x[None]),
    ]
    expected = [call() for call in calls]
    with poolkit.use(least=0) as routed:
        for call, y in zip(calls, expected, strict=True):
            assert torch.equal(call(), y)
    assert not routed.served
    assert not routed.left
