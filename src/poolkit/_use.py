"""torch's pooling calls, served by poolkit: in a block of code, or in the whole program."""

from __future__ import annotations

import collections
import contextlib
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any

from torch.compiler import is_compiling
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode

from poolkit._routes import METHODS, POOLING, Route
from poolkit.errors import ArgumentError, nearest

#: A call on fewer cells takes torch less time than the way to poolkit.
LEAST = 16384


class use(contextlib.ContextDecorator):
    """Inside, poolkit serves the pooling calls of torch whose result is the same; torch serves the others.

    Args:
        enabled: whether to route calls; ``use(False)`` inside another block leaves them to torch.
        only: the methods whose calls are routed, of "max", "avg" and "lp"; by default all.
        least: inputs of fewer cells are left to torch, which pools them sooner.

    Blocks may be nested, the innermost decides. A block concerns the thread that it runs in, like one of
    ``torch.no_grad()``, and may decorate a function. It counts the calls, but for those in compiled code: `served` by
    function, `left` by function and reason.

    Raises ArgumentError (a ValueError) for a bad argument, TypeError for one of a wrong type.

    >>> with use() as routed:
    ...     y = torch.nn.MaxPool2d(2)(torch.zeros(1, 16, 32, 32))
    >>> print(routed)
    max_pool2d: 1 by poolkit
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        only: str | Iterable[str] | None = None,
        least: int = LEAST,
    ) -> None:
        if not isinstance(enabled, bool):
            raise TypeError(f"enabled must be a bool, but got {enabled!r} ({type(enabled).__name__})")
        if isinstance(least, bool) or not isinstance(least, int):
            raise TypeError(f"least must be an int, but got {least!r} ({type(least).__name__})")
        methods = METHODS if only is None else (only,) if isinstance(only, str) else tuple(only)
        for method in methods:
            if method not in METHODS:
                allowed = ", ".join(map(repr, METHODS))
                raise ArgumentError(
                    f"only must name methods of {allowed}, but got {method!r}{nearest(method, METHODS)}"
                )
        self.least = least
        self.routes = {function: route for function, route in POOLING.items() if enabled and route.method in methods}
        self.served: collections.Counter[str] = collections.Counter()
        self.left: collections.Counter[tuple[str, str]] = collections.Counter()

    def __enter__(self) -> use:
        router = _router()
        if router is None:
            router = _Router()
            _push_mode(router)
        router.blocks.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        router = _router()
        if router is None or self not in router.blocks:  # a generator that another thread ends
            return
        # Neither is a generator's block always the last that began.
        del router.blocks[len(router.blocks) - 1 - router.blocks[::-1].index(self)]
        _drop_unused(router)

    def __str__(self) -> str:
        lines = [f"{name}: {count} by poolkit" for name, count in sorted(self.served.items())]
        lines += [f"{name}: {count} by torch; {reason}" for (name, reason), count in sorted(self.left.items())]
        return "\n".join(lines) or "no calls"

    def _call(
        self, route: Route, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        given = route.arguments(args, kwargs, self.least)
        if isinstance(given, str):
            reason = given
        else:
            try:
                result = route.serve(**given)
            except (RuntimeError, TypeError) as error:  # of poolkit; torch has its own words for it, or does it
                reason = f"poolkit refuses it: {error}"
            else:
                if not is_compiling():
                    self.served[route.name] += 1
                return result
        if not is_compiling():
            self.left[route.name, reason] += 1
        return function(*args, **kwargs)


class _Router(TorchFunctionMode):
    """Sees the torch calls of one thread; torch puts it aside while it serves one."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[use] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        block = self.blocks[-1] if self.blocks else _program
        route = None if block is None else block.routes.get(func)
        if block is None or route is None:
            return func(*args, **(kwargs or {}))
        return block._call(route, func, args, kwargs or {})


def _router() -> _Router | None:
    """This thread's."""
    return next((mode for mode in _get_current_function_mode_stack() if isinstance(mode, _Router)), None)


def _drop_unused(router: _Router) -> None:
    """Takes a router away that has nothing to do, from wherever it is among the modes."""
    if router.blocks or _program is not None:
        return
    above = []
    while (mode := _pop_mode()) is not router:
        above.append(mode)
    for mode in reversed(above):
        _push_mode(mode)


#: What holds outside all blocks, in all threads.
_program: use | None = None
_profile_before: Any = None


def use_everywhere(
    enabled: bool = True,
    *,
    only: str | Iterable[str] | None = None,
    least: int = LEAST,
) -> use:
    """Routes torch's pooling calls from here on, in this thread and in threads started later, outside of blocks.

    Args and what is returned: as for :class:`use`. ``use_everywhere(False)`` ends it; a second call replaces the first.
    Forked processes, such as the workers of a DataLoader, start as their parent was.
    """
    global _program, _profile_before
    block = use(enabled, only=only, least=least)
    _program = block if enabled else None
    router = _router()
    if router is None and enabled:
        _push_mode(_Router())
    elif router is not None:
        _drop_unused(router)
    # The one way into a thread that begins: its first event is seen, and then no more.
    hook = threading.getprofile()
    if enabled and hook is not _begin_thread:
        _profile_before = hook
        threading.setprofile(_begin_thread)
    elif not enabled and hook is _begin_thread:
        threading.setprofile(_profile_before)
    return block


def _begin_thread(frame: FrameType, event: str, arg: Any) -> None:
    sys.setprofile(_profile_before)
    if _program is not None and _router() is None:
        _push_mode(_Router())
