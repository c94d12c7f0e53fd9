"""Every instruction set gives the same bits. Run as a program, this file prints a digest of many results."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from problems import FLOATS, FORMS, INTEGERS, RANKS, Problem, awkward, in_layout, randomness, settings, sliding, values

from poolkit import functional
from poolkit.methods import METHODS


def larger(form: str, rank: int) -> Problem:
    """Long enough for whole vectors and tails of every instruction set."""
    size = {1: (611,), 2: (19, 83), 3: (5, 7, 37)}[rank]
    if form == "windowed":
        return sliding(size, (5, 3, 3)[-rank:], (1, 2, 2)[-rank:], ((1, 0), (1, 1), (1, 1))[-rank:])
    return Problem(form, size, {"output_size": tuple(n // 3 + 1 for n in size)} if form == "adaptive" else {}, ())


def digest(name: str, form: str) -> str:
    """One number for values, winners and gradients of a method over ranks, dtypes, layouts, parameters."""
    digest = hashlib.sha256()

    def add(tensor: torch.Tensor) -> None:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())

    for rank in RANKS:
        for problem, flavour, dtypes in (
            (awkward(form, rank), "nan", FLOATS[1:2]),
            (larger(form, rank), "normal", FLOATS),
        ):
            for layout in ("contiguous", "channels_last"):
                numbers = torch.tensor(values(flavour, (1, 9, *problem.size)))
                for dtype in dtypes:
                    for params in settings(name, form)[: None if dtype == torch.float32 else 1]:
                        x = in_layout(numbers.to(dtype), layout).detach().requires_grad_()
                        y = problem.function(name)(x, **problem.arguments, **params, **randomness(name, params))
                        add(y.nan_to_num(99.0))
                        y.backward(torch.tensor(values("normal", tuple(y.shape), 5)).to(dtype))
                        assert x.grad is not None
                        add(x.grad.nan_to_num(99.0))
                if METHODS[name].integers == "all":
                    numbers = torch.tensor(np.random.default_rng(0).integers(0, 120, (2, 9, *problem.size)))
                    [params, *_] = settings(name, form)
                    for dtype in (*INTEGERS, torch.bool):
                        x = in_layout(numbers.to(dtype), layout)
                        add(problem.function(name)(x, **problem.arguments, **params))
                        if form != "global":
                            add(problem.function(name)(x, **problem.arguments, **params, return_indices=True)[1])
    return digest.hexdigest()


def available() -> list[str]:
    functional.max_pool1d(torch.zeros(1, 4), 2)  # loads the library
    return str(torch.ops.poolkit.isas()).split(",")


ISAS = available()


def test_this_process_uses_one_of_them() -> None:
    assert torch.ops.poolkit.isa() in ISAS


def test_same_bits() -> None:
    """A process of its own for each instruction set; every method and form agrees with the first."""
    results: dict[str, dict[str, str]] = {}
    for isa in ISAS:
        done = subprocess.run(
            [sys.executable, __file__],
            env={**os.environ, "POOLKIT_ISA": isa},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{isa}: {done.stderr[-2000:]}"
        results[isa] = json.loads(done.stdout)
        assert results[isa].pop("isa") == isa
        assert len(set(results[isa].values())) == len(METHODS) * len(FORMS), "a digest that misses something"
    for isa in ISAS:
        differing = [call for call, bits in results[isa].items() if bits != results[ISAS[0]][call]]
        assert differing == [], f"{isa} and {ISAS[0]} differ"


@pytest.mark.parametrize("isa", ["", "x86-64-v9", "sse"])
def test_unknown_name_is_refused_or_ignored(isa: str) -> None:
    """A wrong POOLKIT_ISA never selects instructions that the machine lacks."""
    program = "import torch, test_isa; print(torch.ops.poolkit.isa())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "POOLKIT_ISA": isa},
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() in ISAS if done.returncode == 0 else "POOLKIT_ISA" in done.stderr


if __name__ == "__main__":
    found = {f"{name} {form}": digest(name, form) for name in METHODS for form in FORMS}
    print(json.dumps({"isa": str(torch.ops.poolkit.isa()), **found}))
