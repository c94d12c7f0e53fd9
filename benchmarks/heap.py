"""The two states of memory in which outputs are made.

default  As a process of some age has it with glibc: a block of 32 MiB or more is mapped anew in every call,
         and each of its pages costs a fault at the first touch; smaller blocks come from the heap, whose free
         end is given back to the system when it exceeds 64 MiB.
reused   glibc maps no block and gives nothing back (mallopt), so an output lies in memory touched before. An
         output passed by the caller, a memory pool, or another allocator has the same effect.
"""

from __future__ import annotations

import ctypes
import resource

STATES = {
    "default": "outputs as glibc allocates them: from 32 MiB on, new pages in every call",
    "reused": "outputs in memory touched before: the heap keeps its pages",
}

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_MMAP_MAX = -4

LARGEST_MMAP_THRESHOLD = 32 << 20


def enter(state: str) -> None:
    """Put this process into a state; there is no way back from "reused" to "default"."""
    if state == "default":
        # Freeing a mapped block raises glibc's threshold for mapping to its size, as any training does soon.
        # Done at once, the order of the rows does not matter.
        libc = _libc()
        libc.malloc.restype = ctypes.c_void_p
        libc.free.argtypes = (ctypes.c_void_p,)
        libc.free(libc.malloc(ctypes.c_size_t(LARGEST_MMAP_THRESHOLD - (64 << 10))))
    else:
        _set(M_MMAP_MAX, 0)
        _set(M_TRIM_THRESHOLD, -1)


def give_back_at_once() -> None:
    """What is freed leaves the process, so that its resident size is what it uses."""
    _set(M_MMAP_THRESHOLD, 4 << 10)  # what is freed between others in the heap would stay
    _set(M_TRIM_THRESHOLD, 0)


def give_back_holes() -> None:
    """The pages of what was freed between other blocks leave the process too; they would be used again unseen."""
    _libc().malloc_trim(ctypes.c_size_t(0))


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _set(parameter: int, value: int) -> None:
    if not _libc().mallopt(parameter, value):
        raise OSError(f"mallopt({parameter}, {value}) was refused")


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        raise OSError("the states of memory are those of glibc, and this process has another C library")
    return libc
