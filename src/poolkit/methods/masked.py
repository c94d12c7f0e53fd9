"""Average and maximum of the cells that a mask lets count."""

from __future__ import annotations

from typing import Any

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_RANKS = (1, 2, 3)
_FORMS = ("", "Adaptive", "Global")
_MAPS = {1: (2, 3, 7), 2: (2, 3, 5, 6), 3: (2, 2, 3, 4, 5)}
_STRIDED = {1: (2, 3, 4), 2: (2, 3, 3, 3), 3: (2, 2, 2, 2, 3)}
_CEILED = {1: (2, 3, 4), 2: (2, 3, 3, 4), 3: (2, 2, 2, 3, 3)}


def _mask(*shape: int) -> Any:
    """A mask of this shape that lets about every second cell count, and none of the first row of the first sample."""

    def part(rest: tuple[int, ...], at: tuple[int, ...]) -> Any:
        if rest:
            return [part(rest[1:], (*at, i)) for i in range(rest[0])]
        return sum((j + 2) * i for j, i in enumerate(at)) % 5 > 1 and (at[0] > 0 or at[2] > 1)

    return part(shape, ())


_ONE = {rank: {"mask": _mask(2, 1, *_MAPS[rank][2:])} for rank in _RANKS}
_EACH = {rank: {"mask": _mask(*_MAPS[rank])} for rank in _RANKS}


def _samples(kind: str) -> tuple[Sample, ...]:
    def of(form: str, rank: int) -> str:
        return f"{form}Masked{kind}Pool{rank}d"

    wide = {"kernel_size": 3, "stride": 2, "padding": 1}
    dilated = {**wide, "dilation": 2, "padding": 2, "ceil_mode": True}
    return (
        *(Sample(of("", rank), wide, (_MAPS[rank],), _STRIDED[rank], _ONE[rank]) for rank in _RANKS),
        *(Sample(of("", rank), dilated, (_MAPS[rank],), _CEILED[rank], _EACH[rank]) for rank in _RANKS),
        *(
            Sample(
                of("Adaptive", rank), {"output_size": 2}, (_MAPS[rank],), (*_MAPS[rank][:2], *(2,) * rank), _EACH[rank]
            )
            for rank in _RANKS
        ),
        *(
            Sample(of("Global", rank), {}, (_MAPS[rank],), (*_MAPS[rank][:2], *(1,) * rank), _EACH[rank])
            for rank in _RANKS
        ),
        Sample(of("Global", 2), {"keepdim": False}, (_MAPS[2],), _MAPS[2][:2], _ONE[2]),
    )


def _invalid(kind: str) -> tuple[tuple[str, dict[str, Any], str], ...]:
    return (
        (f"Masked{kind}Pool2d", {"kernel_size": 0}, "kernel_size"),
        (f"Masked{kind}Pool2d", {"kernel_size": 2, "padding": 2}, "padding"),
        (f"Masked{kind}Pool2d", {"kernel_size": 2, "return_mask": 1}, "return_mask"),
        (f"AdaptiveMasked{kind}Pool2d", {"output_size": -1}, "output_size"),
        (f"GlobalMasked{kind}Pool2d", {"keepdim": "no"}, "keepdim"),
    )


def _functions(kind: str) -> tuple[str, ...]:
    return tuple(f"{form}masked_{kind}_pool{rank}d" for form in ("", "adaptive_", "global_") for rank in _RANKS)


def _modules(kind: str) -> tuple[str, ...]:
    return tuple(f"{form}Masked{kind}Pool{rank}d" for form in _FORMS for rank in _RANKS)


MASKED_AVG = Layer(
    name="masked_avg",
    title="Masked average pooling",
    formula="y = (sum over the window of m x) / (sum over the window of m), m the mask",
    summary="The mean of those cells of each window that a mask lets count. A window without one is 0.",
    file="masked",
    native=True,
    functions=_functions("avg"),
    modules=_modules("Avg"),
    papers=(
        Paper(
            authors="Liu, Guilin and Reda, Fitsum A. and Shih, Kevin J. and Wang, Ting-Chun and Tao, Andrew and "
            "Catanzaro, Bryan",
            title="Image inpainting for irregular holes using partial convolutions",
            venue="ECCV",
            year=2018,
            arxiv="1804.07723",
        ),
    ),
    remark="whose partial convolution it is with equal weights",
    samples=_samples("Avg"),
    invalid=_invalid("Avg"),
    see=("masked_max", "avg", "temporal"),
)

MASKED_MAX = Layer(
    name="masked_max",
    title="Masked max pooling",
    formula="y = max over the cells of the window with m = 1 of x, m the mask",
    summary="The largest of those cells of each window that a mask lets count. A window without one is 0.",
    file="masked",
    native=True,
    functions=_functions("max"),
    modules=_modules("Max"),
    remark="practice wherever images are padded to one size",
    samples=_samples("Max"),
    invalid=_invalid("Max"),
    see=("masked_avg", "max", "temporal"),
)
