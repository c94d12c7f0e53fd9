"""Models of the user's, by name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolkit.cli import arguments
from poolkit.errors import ArgumentError, nearest

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def load(text: str) -> Module:
    """What MODULE:CALLABLE names, in the folder of the command or installed: a model, or what returns one."""
    import torch

    module, colon, path = text.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *path.split("."))):
        raise ArgumentError(f"MODEL should be MODULE:CALLABLE such as torchvision.models:resnet18, but got {text!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        raise ArgumentError(f"{module} cannot be imported: {_told(error)}") from None
    finally:
        sys.path.pop(0)
    for name in path.split("."):
        if not hasattr(found, name):
            raise ArgumentError(f"{module} has no {name!r}{nearest(name, dir(found))}")
        found = getattr(found, name)
    if not isinstance(found, torch.nn.Module):
        if not callable(found):
            raise ArgumentError(f"{text} should be a model or return one, but is a {type(found).__name__}")
        try:
            found = found()
        except Exception as error:
            raise ArgumentError(f"{text}() failed: {_told(error)}") from None
    if not isinstance(found, torch.nn.Module):
        raise ArgumentError(f"{text}() should return a torch.nn.Module, but gave a {type(found).__name__}")
    return found


def tensor(text: str) -> Tensor:
    """ "1,3,224,224" is zeros of that shape, "1,128:int64" of that type."""
    import torch

    shape, _, kind = text.partition(":")
    dtype = getattr(torch, kind or "float32", None)
    if not isinstance(dtype, torch.dtype):
        raise ArgumentError(f"--input should end with a type such as int64 behind its colon, but got {text!r}")
    sizes = arguments.integers("--input", shape)
    if min(sizes) < 0:
        raise ArgumentError(f"--input should have sizes >= 0, but got {text!r}")
    return torch.zeros(sizes, dtype=dtype)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
