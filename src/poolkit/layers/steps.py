"""Padded sequences: their layouts, and which of their steps are valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.layers.base import check_floating, has_values, wide_dtype

#: The dimensions of a batch, and the order that makes them (N, C, L).
LAYOUTS = {
    "channels_first": ("N, C, L", (0, 1, 2)),
    "batch_first": ("N, L, C", (0, 2, 1)),
    "time_first": ("L, N, C", (1, 2, 0)),
}
#: Without a batch.
_SINGLE = {"channels_first": ("C, L", (0, 1)), "batch_first": ("L, C", (1, 0)), "time_first": ("L, C", (1, 0))}

Lengths = Tensor | Sequence[int] | int


class Sequences(NamedTuple):
    """A batch of sequences (N, C, L) and its valid steps (N, L); None where all are."""

    values: Tensor
    valid: Tensor | None
    batched: bool

    def unbatch(self, result: Tensor) -> Tensor:
        """The result as the input came, without a batch if it had none."""
        return result if self.batched else result[0]

    def filled(self, value: float) -> Tensor:
        """The values, padded steps replaced: whatever stood there reaches neither result nor gradient."""
        if self.valid is None:
            return self.values
        return torch.where(self.valid[:, None], self.values, value)  # keeps the layout, unlike masked_fill

    def valid_count(self) -> Tensor | int:
        """How many steps are valid: (N, 1), or one number for all; 1 for an empty sequence."""
        if self.valid is None:
            return self.values.shape[2]
        return self.valid.sum(1, keepdim=True).clamp(min=1)

    def first_step(self) -> Tensor:
        """The first valid step, (N, 1)."""
        if self.valid is None:
            return torch.zeros(self.values.shape[0], 1, dtype=torch.int64, device=self.values.device)
        return self.valid.to(torch.uint8).argmax(1, keepdim=True)

    def pick(self, step: Tensor) -> Tensor:
        """The values at a step for every channel, (N, C); only they receive a gradient."""
        batch, channels, _ = self.values.shape
        return self.values.gather(2, step.expand(batch, channels)[..., None])[..., 0]

    def without_empty(self, result: Tensor) -> Tensor:
        """The result (N, ...) with zeros, and no gradient, for sequences without a valid step."""
        if self.valid is None:
            return result
        return torch.where(self.valid.any(1, keepdim=True), result, 0)


def check_layout(layout: str) -> None:
    if layout not in tuple(LAYOUTS):
        allowed = ", ".join(f"{key!r} ({dims})" for key, (dims, _) in LAYOUTS.items())
        raise ArgumentError(f"layout must be one of {allowed}, but got {layout!r}")


def read(
    name: str,
    input: Tensor | PackedSequence,
    lengths: Lengths | None,
    mask: Tensor | None,
    layout: str,
    argument: str = "input",
    channels: int | None = None,
) -> Sequences:
    """The sequences of a call, checked; of that many channels if they are given."""
    check_layout(layout)
    if isinstance(input, PackedSequence):
        if lengths is not None or mask is not None:
            raise ArgumentError(f"{name}(): a PackedSequence has its own lengths: lengths and mask must be None")
        input, lengths = pad_packed_sequence(input, batch_first=True)
        layout = "batch_first"
    elif isinstance(input, Tensor) and input.is_nested:
        input, lengths = _padded(name, input, lengths, mask, layout, argument)
    check_floating(name, **{argument: input})
    batched = input.dim() == 3
    _, order = (LAYOUTS if batched else _SINGLE)[layout]
    values = input.permute(order) if input.dim() in (2, 3) else input
    good = input.dim() in (2, 3) and 0 not in values.shape[-2:]
    if not good or (channels is not None and channels != values.shape[-2]):
        allowed = f"({LAYOUTS[layout][0]}) or ({_SINGLE[layout][0]})"
        allowed = allowed if channels is None else allowed.replace("C", str(channels))
        raise ArgumentError(
            f"{name}(): {argument} in layout {layout!r} must be {allowed} with at least one channel and step, "
            f"but got {list(input.shape)}"
        )
    if not batched:
        values = values[None]
        lengths, mask = with_batch(name, lengths, mask)
    return Sequences(values, read_valid(name, lengths, mask, values.shape[0], values.shape[2], values.device), batched)


def _padded(
    name: str, input: Tensor, lengths: Lengths | None, mask: Tensor | None, layout: str, argument: str
) -> tuple[Tensor, Tensor]:
    """The padded batch of a jagged tensor, in the same layout, and its lengths."""
    if lengths is not None or mask is not None:
        raise ArgumentError(f"{name}(): a nested tensor has its own lengths: lengths and mask must be None")
    dims, _ = LAYOUTS[layout]
    ragged = dims.split(", ").index("L")
    is_jagged = input.layout is torch.jagged and input.dim() == 3
    if not is_jagged or layout == "time_first" or input._ragged_idx != ragged:  # type: ignore[attr-defined]
        got = f"layout {input.layout}" if not is_jagged else f"sizes {list(input.shape)}"
        raise ArgumentError(
            f"{name}(): a nested {argument} in layout {layout!r} must be ({dims}) of layout torch.jagged with only L "
            f"ragged, batch first, but got {got}"
        )
    steps = input if ragged == 1 else input.transpose(1, 2)
    padded = torch.nested.to_padded_tensor(steps, 0.0)
    return padded if ragged == 1 else padded.transpose(1, 2), input.offsets().diff()  # type: ignore[attr-defined]


def for_channels(name: str, argument: str, value: Tensor | float, sequences: Sequences) -> Tensor:
    """A number, or one for each channel, in the type to compute in; (C,), (1,) or ()."""
    if isinstance(value, Tensor):
        check_floating(name, **{argument: value})
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}(): {argument} must be a number or a tensor, but got {value!r}")
    values = sequences.values
    channels = values.shape[1]
    numbers = torch.as_tensor(value, device=values.device).to(wide_dtype(values.dtype))
    if numbers.dim() > 1 or (numbers.numel() != 1 and numbers.numel() != channels):
        raise ArgumentError(
            f"{name}(): {argument} must be one number or have the shape {[channels]}, one for each channel, "
            f"but got {list(numbers.shape)}"
        )
    return numbers


def with_batch(name: str, lengths: Lengths | None, mask: Tensor | None) -> tuple[Lengths | None, Tensor | None]:
    """The length and mask of one sequence as those of a batch of one."""
    if isinstance(lengths, Tensor):
        if lengths.dim() != 0:
            raise ArgumentError(f"{name}(): lengths of an unbatched input must be one int, but got {lengths!r}")
        lengths = lengths[None]
    elif lengths is not None:
        lengths = [geometry.integer("lengths", lengths)]
    return lengths, mask[None] if isinstance(mask, Tensor) else mask


def read_valid(
    name: str, lengths: Lengths | None, mask: Tensor | None, batch: int, steps: int, device: torch.device
) -> Tensor | None:
    """The valid steps (batch, steps) that lengths or a mask name; None if neither is given."""
    if lengths is not None and mask is not None:
        raise ArgumentError(f"{name}(): give lengths or mask, not both")
    if mask is not None:
        return _checked_mask(name, mask, batch, steps)
    if lengths is not None:
        counts = checked_lengths(name, lengths, batch, steps).to(device)
        return torch.arange(steps, device=device) < counts[:, None]
    return None


def _checked_mask(name: str, mask: Tensor, batch: int, steps: int) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"{name}(): mask must be a bool tensor, True at the valid steps, but got {got}")
    if mask.shape != (batch, steps):
        raise ArgumentError(f"{name}(): mask must have the shape {[batch, steps]}, but got {list(mask.shape)}")
    return mask


def checked_lengths(name: str, lengths: Lengths, batch: int, steps: int) -> Tensor:
    """The lengths as int64, one for each sequence of the batch."""
    if not isinstance(lengths, Tensor):
        if not isinstance(lengths, Sequence) or isinstance(lengths, str | bytes):
            raise TypeError(f"{name}(): lengths must be a tensor or a list of ints, but got {lengths!r}")
        numbers = [geometry.integer("lengths", length) for length in lengths]
        if len(numbers) == batch and not all(0 <= number <= steps for number in numbers):
            _refuse_lengths(name, numbers, steps)
        lengths = torch.tensor(numbers, dtype=torch.int64)
        known = True
    else:
        known = not has_values(lengths)
    if lengths.dtype.is_floating_point or lengths.dtype.is_complex or lengths.dtype == torch.bool:
        raise TypeError(f"{name}(): lengths must have an integer dtype, but got {lengths.dtype}")
    if lengths.shape != (batch,):
        raise ArgumentError(f"{name}(): lengths must have the shape {[batch]}, but got {list(lengths.shape)}")
    lengths = lengths.to(torch.int64)
    if not known:
        fits = ((lengths >= 0) & (lengths <= steps)).all()
        if torch.compiler.is_compiling():
            # A compiled graph cannot branch on values, but it can stop; text would fix the number of steps.
            torch._assert_async(fits, f"{name}(): lengths must be from 0 to the number of steps")
        elif not bool(fits):
            _refuse_lengths(name, cast("list[int]", lengths.tolist()), steps)
    return lengths


def _refuse_lengths(name: str, lengths: list[int], steps: int) -> None:
    wrong = next(length for length in lengths if not 0 <= length <= steps)
    raise ArgumentError(f"{name}(): lengths must be from 0 to {steps}, the number of steps, but got {wrong}")
