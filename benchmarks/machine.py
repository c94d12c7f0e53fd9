"""What a result depends on besides the code."""

from __future__ import annotations

import datetime
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch
from peers import PEERS

from poolkit import ops


def introduce(threads: int) -> dict[str, Any]:
    """Give torch, and so poolkit, this many threads, and print the facts."""
    torch.set_num_threads(threads)
    known = facts()
    print(said(known))
    return known


def facts() -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "isa": isa(),
        "threads": torch.get_num_threads(),
        "load": load(),
        "huge_pages": huge_pages(),
        "system": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "versions": {peer.name: peer.version() for peer in PEERS.values()},
    }


def load(seconds: float = 1.0) -> float:
    """How many cores others keep busy now, while this process sleeps; the load average remembers what has ended."""

    def times() -> tuple[int, int]:
        """Of all cores since the start, in the system's ticks: all time, and idle time."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    before = times()
    time.sleep(seconds)
    total, idle = (after - start for after, start in zip(times(), before, strict=True))
    return (os.cpu_count() or 1) * (1 - idle / total) if total else 0.0


def isa() -> str | None:
    """The instruction set that poolkit's kernels use here; None if there are no kernels."""
    return str(torch.ops.poolkit.isa()) if ops.HAS_KERNELS else None


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def huge_pages() -> str:
    """When the system gives huge pages: always, madvise or never."""
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return path.read_text().partition("[")[2].partition("]")[0] if path.exists() else "never"


def said(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    busy = " (BUSY: trust no figure)" if facts["load"] > facts["cores"] / 2 else ""
    kernels = facts["isa"] or "NO KERNELS: the slow reference in plain torch"
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['threads']} threads, load {facts['load']:.1f}{busy}; "
        f"poolkit runs {kernels}\n"
        f"{versions}, Python {facts['python']}, {facts['libc']}, "
        f"huge pages: {facts['huge_pages']}, {facts['date']}"
    )
