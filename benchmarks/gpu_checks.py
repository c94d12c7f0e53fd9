"""Are the kernels for GPUs right? Values and gradients of fresh random numbers beside the formulas in float64."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import tasks
import torch
import verify
from torch import Tensor

from poolkit import functional, geometry, reference
from poolkit.geometry import Windows
from poolkit.layers import region_reference, sequence_reference
from poolkit.layers.steps import Sequences
from poolkit.methods import METHODS, Method

#: The largest difference allowed, in parts of the largest value.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}

Pooling = Callable[[Tensor], Tensor]


@dataclass
class Clock:
    """What is left of the time for everything."""

    seconds: float
    start: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        return self.seconds - (time.perf_counter() - self.start)


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@dataclass(frozen=True)
class WindowCheck:
    """One call to check: a method with its parameters on windows, in a dtype and a layout."""

    method: Method
    params: Mapping[str, Any]
    form: str
    windows: Windows
    arguments: Mapping[str, Any]
    dtype: torch.dtype
    layout: str

    def __str__(self) -> str:
        params = "".join(f" {name}={value}" for name, value in self.params.items())
        return f"{self.method.name}{params} {self.form} {short(self.dtype)} {self.layout}"

    def fault(self, device: torch.device, generator: torch.Generator, channels: int) -> str | None:
        x = torch.randn((2, channels, *self.windows.input_size), generator=generator).to(self.dtype)
        state = int(torch.randint(2**31, (), generator=generator))
        seed = torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64, generator=torch.Generator().manual_seed(state))
        steps = self.method.plan(False, *(self.params.get(p.name, p.default) for p in self.method.params))

        def exact(x: Tensor) -> Tensor:
            return torch.cat([reference.pool(x.abs() if s.magnitude else x, self.windows, s, seed) for s in steps], 1)

        prefix = "adaptive_" if "output_size" in self.arguments else ""
        function = getattr(functional, f"{prefix}{self.method.name}_pool2d")

        def pooled(x: Tensor) -> Tensor:
            drawn = {"generator": torch.Generator().manual_seed(state)} if self.params.get("training") else {}
            return cast(Tensor, function(x, **self.arguments, **self.params, **drawn))

        return compared(x, self.layout, pooled, exact, device, generator)


def compared(
    x: Tensor, layout: str, pooled: Pooling, exact: Pooling, device: torch.device, generator: torch.Generator
) -> str | None:
    """What is wrong with values or gradients of these numbers, or with doing it twice."""
    wide = x.double().requires_grad_()
    values = exact(wide)
    grad = torch.randn(values.shape, generator=generator).to(x.dtype)
    (gradient,) = torch.autograd.grad(values, wide, grad.double())
    on_device = verify.in_layout(x.to(device), layout)
    grad_on_device = verify.in_layout(grad.to(device), layout) if grad.dim() > 2 else grad.to(device)

    def step() -> tuple[Tensor, Tensor]:
        leaf = on_device.detach().requires_grad_()
        y = pooled(leaf)
        return y.detach(), torch.autograd.grad(y, leaf, grad_on_device)[0]

    once, twice = step(), step()
    if any(not torch.equal(one, other) for one, other in zip(once, twice, strict=True)):
        return "two runs differ"
    tolerance = TOLERANCE[x.dtype]
    return far("values", once[0], values.detach(), tolerance) or far("gradients", once[1], gradient, 3 * tolerance)


def far(what: str, actual: Tensor, expected: Tensor, tolerance: float) -> str | None:
    if actual.shape != expected.shape:
        return f"{what} of shape {tuple(actual.shape)} instead of {tuple(expected.shape)}"
    largest = float((actual.cpu().double() - expected).abs().max())
    allowed = tolerance * float(expected.abs().max())
    # Not the other way round: NaN, which fills outputs before they are written, is no small difference.
    return None if largest <= allowed else f"{what} differ by {largest:.3g}, allowed is {allowed:.3g}"


def windows_to_check(height: int, width: int) -> dict[str, tuple[Windows, dict[str, Any]]]:
    size = (height, width)
    strange: dict[str, Any] = {
        "kernel_size": (3, 2),
        "stride": (2, 3),
        "padding": ((1, 2), (1, 0)),
        "dilation": (2, 1),
        "ceil_mode": True,
    }
    plain: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1}
    return {
        "strange": (geometry.sliding(2, size, **strange), strange),
        "sliding": (geometry.sliding(2, size, **plain), plain),
        "adaptive": (geometry.adaptive(2, size, (3, 4)), {"output_size": (3, 4)}),
        "global": (geometry.adaptive(2, size, 1), {"output_size": 1}),
    }


def window_checks(smoke: bool) -> Iterator[WindowCheck]:
    """Every method with every sample in float32; its first one in the other dtypes and layouts."""
    geometries = windows_to_check(*((5, 4) if smoke else (13, 22)))
    single, half = torch.float32, torch.bfloat16
    variants = [
        ("sliding", single, "channels_last"),
        ("adaptive", single, "contiguous"),
        ("global", single, "contiguous"),
        ("global", single, "channels_last"),
        ("sliding", half, "channels_last"),
        ("global", half, "contiguous"),
        ("sliding", torch.float16, "contiguous"),
        ("sliding", torch.float64, "contiguous"),
    ]
    for method in METHODS.values():
        if smoke and method.name not in ("max", "soft"):
            continue
        samples = [dict(sample) for sample in method.samples]
        of_form = {form: [s for s in samples if form in ("strange", "sliding") or fits_any(s)] for form in geometries}
        drawn_choice = [s for s in samples if not (method.choice and s.get("training"))]
        for sample in drawn_choice[: 1 if smoke else None]:
            windows, arguments = geometries["strange"]
            yield WindowCheck(method, sample, "strange", windows, arguments, single, "contiguous")
        for form, dtype, layout in variants[:: 4 if smoke else 1]:
            windows, arguments = geometries[form]
            sample = next(s for s in of_form[form] if s in drawn_choice)
            yield WindowCheck(method, sample, form, windows, arguments, dtype, layout)


def fits_any(sample: Mapping[str, Any]) -> bool:
    """Whether windows without padding take these parameters, too."""
    return not {"count_include_pad", "divisor_override"} & set(sample)


@dataclass(frozen=True)
class Layer:
    """A layer, its formula, and random numbers for what both take beside the map, whose sizes are (N, C, *spatial)."""

    name: str
    spatial: tuple[int, ...]
    beside: Callable[[Sequence[int], torch.Generator], Tensor]
    pooled: Callable[[Tensor, Tensor], Tensor]
    exact: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class LayerCheck:
    layer: Layer
    dtype: torch.dtype
    layout: str

    def __str__(self) -> str:
        return f"{self.layer.name} {short(self.dtype)} {self.layout}"

    def fault(self, device: torch.device, generator: torch.Generator, channels: int) -> str | None:
        x = torch.randn((3, channels, *self.layer.spatial), generator=generator).to(self.dtype)
        beside = self.layer.beside(x.shape, generator)
        there = beside.to(device)
        return compared(
            x,
            self.layout,
            lambda x: self.layer.pooled(x, there),
            lambda x: self.layer.exact(x, beside),
            device,
            generator,
        )


def boxes_on(sizes: Sequence[int], generator: torch.Generator) -> Tensor:
    """Boxes in and around maps at half their scale, some of them reversed."""
    samples, _, height, width = sizes
    limits = torch.tensor([0, *(4 * size for size in (width, height, width, height))])
    offsets = torch.tensor([0, *(size for size in (width, height, width, height))])
    boxes = torch.rand((100, 5), generator=generator, dtype=torch.float64) * limits - offsets
    boxes[:, 0] = torch.randint(samples, (100,), generator=generator)
    return boxes


def steps_of(sizes: Sequence[int], generator: torch.Generator) -> Tensor:
    """A mask of steps, none of the last sequence's."""
    valid = torch.rand((sizes[0], sizes[2]), generator=generator) < 0.7
    valid[-1] = False
    return valid


def align(ratio: int) -> Layer:
    return Layer(
        f"roi_align {ratio or 'adaptive'}",
        (13, 22),
        boxes_on,
        lambda x, boxes: functional.roi_align(x, boxes, (3, 4), 0.5, ratio),
        lambda x, boxes: region_reference.align(x, boxes, [3, 4], 0.5, ratio, True),
    )


def over_time(kind: str, exact: Callable[[Sequences], Tensor]) -> Layer:
    return Layer(
        f"{kind} over time",
        (300,),
        steps_of,
        lambda x, valid: functional.temporal_pool(x, kind, mask=valid),
        lambda x, valid: of_any(x, valid, exact),
    )


def of_any(x: Tensor, valid: Tensor, exact: Callable[[Sequences], Tensor]) -> Tensor:
    """The exact result, 0 of no step."""
    sequences = Sequences(x, valid, True)
    return sequences.without_empty(exact(sequences))


def segments_of(sizes: Sequence[int], generator: torch.Generator) -> Tensor:
    """To which of eight segments each position belongs."""
    return torch.randint(8, (sizes[0] * sizes[2],), generator=generator)


def rows(x: Tensor) -> Tensor:
    """Every position of (N, C, L) as a row."""
    return x.movedim(1, 2).flatten(0, 1)


def of_segments(kind: str, exact: Callable[[Tensor], Tensor]) -> Layer:
    return Layer(
        f"segment {kind}",
        (300,),
        segments_of,
        lambda x, index: functional.segment_pool(rows(x), kind, index=index, num_segments=8),
        lambda x, index: torch.stack([exact(rows(x)[index == segment]) for segment in range(8)]),
    )


LAYERS = (
    align(0),
    align(2),
    Layer(
        "roi_pool",
        (13, 22),
        boxes_on,
        lambda x, boxes: cast(Tensor, functional.roi_pool(x, boxes, (3, 4), 0.5)),
        lambda x, boxes: region_reference.pool(x, boxes, [3, 4], 0.5)[0],
    ),
    over_time("sum", sequence_reference.total),
    over_time("mean", lambda sequences: sequence_reference.total(sequences) / sequences.valid_count()),
    over_time("max", lambda sequences: sequence_reference.extreme(sequences, True)),
    Layer(
        "statistics",
        (300,),
        steps_of,
        lambda x, valid: functional.statistics_pool(x, mask=valid),
        lambda x, valid: of_any(x, valid, lambda s: sequence_reference.statistics(s, False, 1e-5)),
    ),
    of_segments("sum", lambda rows: rows.sum(0)),
    of_segments("max", lambda rows: rows.max(0).values if len(rows) else rows.sum(0)),
    Layer(
        "blur_pool",
        (14, 22),
        lambda sizes, generator: torch.empty(0),
        lambda x, _: functional.blur_pool2d(x),
        lambda x, _: tasks.blur(x),
    ),
    Layer(
        "max_unpool",
        (13, 22),
        lambda sizes, generator: torch.randint(26 * 44, tuple(sizes), generator=generator),
        lambda x, indices: functional.max_unpool2d(x, indices, 2),
        lambda x, indices: reference.unpool(x, indices, [26, 44]),
    ),
)


def layer_checks(smoke: bool) -> Iterator[LayerCheck]:
    """Every layer in both layouts, and in fewer bits."""
    single, half = torch.float32, torch.bfloat16
    for layer in LAYERS:
        if not smoke:
            for dtype, layout in ((single, "contiguous"), (single, "channels_last"), (half, "channels_last")):
                yield LayerCheck(layer, dtype, layout)
        elif layer.name in ("roi_pool", "statistics", "segment max"):
            beside = layer.beside if layer.beside is segments_of else few(layer.beside)
            small = replace(layer, spatial=tuple(min(size, 4) for size in layer.spatial), beside=beside)
            yield LayerCheck(small, single, "channels_last")


def few(beside: Callable[[Sequence[int], torch.Generator], Tensor]) -> Callable[..., Tensor]:
    """The first of them."""
    return lambda sizes, generator: beside(sizes, generator)[: sizes[0]]


def check_all(device: torch.device, clock: Clock, smoke: bool) -> dict[str, Any]:
    wanted: list[WindowCheck | LayerCheck] = [*layer_checks(smoke), *window_checks(smoke)]
    generator = torch.Generator()
    generator.seed()
    faults: dict[str, str] = {}
    done = 0
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills new memory with NaN
    for check in wanted:
        if clock.left <= 0:
            break
        try:
            wrong = check.fault(device, generator, 2 if smoke else 35)
        except Exception as error:
            wrong = f"{type(error).__name__}: {str(error)[:300]}"
        if wrong:
            faults[str(check)] = wrong
            print(f"  WRONG  {check}: {wrong}", flush=True)
        done += 1
    torch.use_deterministic_algorithms(False)
    print(f"correct: {done - len(faults)} of {done} checks; {len(wanted) - done} left out for lack of time", flush=True)
    return {"checks": done, "left_out": len(wanted) - done, "faults": faults}
