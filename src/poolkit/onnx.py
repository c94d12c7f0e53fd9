"""Export to ONNX: poolkit's operators as standard operators of ONNX, the same numbers in any runtime.

    program = poolkit.onnx.export(model, (x,), "model.onnx")

This is ``torch.onnx.export(..., dynamo=True)`` with two tables: operators that torch can express are decomposed
(:mod:`poolkit.decompositions`), and :func:`translations` says the others in ONNX. Padding is always explicit:
no node has ``ceil_mode=1`` or an ``auto_pad``, on which runtimes disagree. Needs the packages onnx and onnxscript.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from poolkit import ops
from poolkit.decompositions import decompositions
from poolkit.errors import ArgumentError

_INT64 = 7  # onnx.TensorProto.INT64


def export(
    model: torch.nn.Module | torch.export.ExportedProgram,
    args: tuple[Any, ...] = (),
    f: str | PathLike[str] | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    custom_translation_table: Mapping[Any, Callable[..., Any]] | None = None,
    **options: Any,
) -> torch.onnx.ONNXProgram:
    """Exports a model that may hold any poolkit function or layer to ONNX.

    Args:
        model: a module, in evaluation, or a program that :func:`torch.export.export` made of one.
        args, kwargs: example inputs of a module; their dtypes and sizes, but for dynamic ones, are those of the result.
        f: the file to write, whole or not at all; None writes none.
        dynamic_shapes: which sizes stay open, as :func:`torch.export.export` takes it: ``({0: Dim("batch")},)``.
        custom_translation_table: translations of your own, which come before poolkit's.
        **options: of :func:`torch.onnx.export`, such as ``opset_version`` and ``input_names``.

    Returns:
        The ONNX program.

    Raises:
        ArgumentError: the model draws random numbers in a poolkit method, or calls an operator of poolkit that no
            operators of ONNX express; the message names it.
        ModuleNotFoundError: onnx or onnxscript is not installed.
    """
    if not isinstance(model, torch.export.ExportedProgram):
        model = torch.export.export(model, args, dict(kwargs or {}), dynamic_shapes=dynamic_shapes)
    table = {**translations(), **(custom_translation_table or {})}
    program = model.run_decompositions(decompositions())
    for node in program.graph.nodes:
        if getattr(node.target, "namespace", None) == "poolkit" and node.target not in table:
            raise ArgumentError(f"{node.target}: no operators of ONNX express this operator of poolkit")
    options = {"verbose": False, "dynamo": True, "custom_translation_table": table, **options}
    if f is None:
        result = torch.onnx.export(program, **options)
    else:
        target = Path(f).resolve()
        with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
            result = torch.onnx.export(program, f=Path(folder, target.name), **options)
            # Large weights are a second file, which has its place before the one that names it.
            for part in sorted(Path(folder).iterdir(), key=lambda part: part.name == target.name):
                os.replace(part, target.with_name(part.name))
    assert result is not None
    return result


def translations() -> dict[Any, Callable[..., Any]]:
    """A table for the argument `custom_translation_table` of :func:`torch.onnx.export`: what torch does not know.

    It belongs to programs that are decomposed:

    ``torch.onnx.export(program.run_decompositions(decompositions()), dynamo=True,
    custom_translation_table=translations())``
    """
    from onnxscript import opset18

    op: Any = opset18  # whose annotations know constants of no type

    def sort(x: Any, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
        # Of equals ONNX puts the one with the lower index first.
        size = op.Gather(op.Shape(x), op.Constant(value_ints=[dim]))
        return op.TopK(x, size, axis=dim, largest=int(descending), sorted=1)

    def boxes_of(x: Any, boxes: Any) -> tuple[Any, Any]:
        """The corners in the map's type, and the samples that they belong to."""
        one = op.Constant(value_ints=[1])
        sample = op.Gather(boxes, op.Constant(value_int=0), axis=1)
        return op.CastLike(op.Slice(boxes, one, op.Constant(value_ints=[5]), one), x), op.Cast(sample, to=_INT64)

    def roi_align(
        x: Any, boxes: Any, output_size: Sequence[int], spatial_scale: float, sampling_ratio: int, aligned: bool
    ) -> Any:
        corners, sample = boxes_of(x, boxes)
        return op.RoiAlign(
            x,
            corners,
            sample,
            coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
            output_height=output_size[0],
            output_width=output_size[1],
            sampling_ratio=sampling_ratio,
            spatial_scale=spatial_scale,
        )

    def roi_pool(x: Any, boxes: Any, output_size: Sequence[int], spatial_scale: float) -> Any:
        return op.MaxRoiPool(x, op.CastLike(boxes, x), pooled_shape=output_size, spatial_scale=spatial_scale)

    table: dict[Any, Callable[..., Any]] = {torch.ops.aten.sort.stable: sort}
    if ops.HAS_KERNELS:
        table |= {torch.ops.poolkit.roi_align.default: roi_align, torch.ops.poolkit.roi_pool.default: roi_pool}
    return table


__all__ = ["decompositions", "export", "translations"]
