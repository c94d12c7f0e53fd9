"""The kernels for GPUs: interpreted and compiled where there is none, and when they are chosen."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import poolkit
from poolkit import functional, geometry, ops
from poolkit import triton as gpu
from poolkit.methods import METHODS

FOLDER = Path(__file__).with_name("gpu")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def run(*command: str, **environment: str) -> None:
    """In a process of its own: triton reads how to run when it is imported, and others import it too."""
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_triton
@pytest.mark.parametrize(
    ("files", "part"),
    [
        (["kernels"], "test_value_and_gradient"),
        (["kernels"], "not test_value_and_gradient"),
        (["regions", "sequences", "segments", "filters", "unpool"], ""),
    ],
)
def test_interpreted(files: list[str], part: str) -> None:
    """The tests of tests/gpu."""
    paths = [str(FOLDER / f"{file}.py") for file in files]
    run("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *paths, "-k", part, TRITON_INTERPRET="1")


@needs_triton
def test_compiled() -> None:
    """What the interpreter takes may be no Triton to the compiler, which needs no GPU; both are imported late."""
    script = str(FOLDER / "compiled.py")
    check = "import poolkit.functional, runpy, sys; assert 'triton' not in sys.modules; "
    run("-c", f"{check}runpy.run_path({script!r}, run_name='__main__')")


@needs_triton
def test_benchmark_runs_without_a_gpu(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "benchmarks" / "gpu.py"
    run(str(script), "--smoke", "--json", str(tmp_path / "gpu.json"), TRITON_INTERPRET="1")
    assert (tmp_path / "gpu.json").stat().st_size > 0


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> FakeTensorMode:
    """Tensors of a GPU without memory, and without a GPU."""
    monkeypatch.setattr(gpu, "is_installed", lambda: True)
    return FakeTensorMode(allow_non_fake_inputs=True)


def test_operators_are_registered() -> None:
    for name in gpu.OPERATORS:
        for device in gpu.DEVICES:
            assert torch._C._dispatch_has_kernel_for_dispatch_key(f"poolkit::{name}", device.upper())


def test_kernels_are_chosen(fake_gpu: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu:
        x = torch.empty(1, 2, 4, 4, device="cuda")
        for kernel in gpu.DTYPES:
            assert ops.why_no_kernel(x, kernel) is None
        assert ops.why_no_kernel(x.long(), "avg") == "there is no kernel for torch.int64 on device 'cuda'"
        assert poolkit.explain(x, "max", kernel_size=2) == "max: kernel; Triton, device cuda"
        y, indices = functional.max_pool2d(x, 2, return_indices=True)
        assert (y.shape, y.device.type, indices.dtype) == ((1, 2, 2, 2), "cuda", torch.int64)
        monkeypatch.setattr(gpu, "is_installed", lambda: False)
        assert "need triton" in str(ops.why_no_kernel(x, "max"))


def test_layers_stay_on_their_device(fake_gpu: FakeTensorMode) -> None:
    boxes = torch.tensor([[0.0, 0.0, 0.0, 3.0, 2.0]])
    with fake_gpu:
        x = torch.empty(1, 2, 4, 4, device="cuda", memory_format=torch.channels_last)
        for pool in (functional.roi_align, functional.roi_pool):
            assert ops.why_no_kernel(x, pool.__name__) is None
            y = pool(x, boxes, (2, 3))
            assert isinstance(y, torch.Tensor)
            assert (y.shape, y.device.type) == ((1, 2, 2, 3), "cuda")
            assert y.is_contiguous(memory_format=torch.channels_last)
        y = functional.blur_pool2d(x)
        assert (y.shape, y.device.type) == ((1, 2, 2, 2), "cuda")
        y = functional.max_unpool2d(x, torch.empty(1, 2, 4, 4, dtype=torch.int64, device="cuda"), 2)
        assert (y.shape, y.device.type) == ((1, 2, 8, 8), "cuda")
        sequences = torch.empty(2, 3, 4, device="cuda")
        assert ops.why_no_kernel(sequences, "sequences") is None
        for kind in ("max", "sum"):
            y = functional.temporal_pool(sequences, kind)
            assert (y.shape, y.device.type) == ((2, 3), "cuda")
        y = functional.statistics_pool(sequences)
        assert (y.shape, y.device.type) == ((2, 6), "cuda")
        rows, index = torch.empty(3, 4, device="cuda"), torch.empty(3, dtype=torch.int64, device="cuda")
        for kind in ("max", "sum"):
            y = functional.segment_pool(rows, kind, index=index, num_segments=2)
            assert (y.shape, y.device.type) == ((2, 4), "cuda")
        for kernel in ("largest_steps", "weighted_steps"):
            assert ops.why_no_kernel(sequences, kernel) == f"{kernel!r} has no kernel for device 'cuda'"


@pytest.mark.parametrize("name", METHODS)
def test_every_method_stays_on_its_device(name: str, fake_gpu: FakeTensorMode) -> None:
    """Forward: what autograd keeps needs the device itself."""
    with fake_gpu:
        for sample in METHODS[name].samples:
            if name == "mixed" and sample.get("training"):
                continue  # chooses planes, which needs the device
            if any(step.kernel not in gpu.DTYPES for step in METHODS[name].steps_with(sample)):
                continue  # so does the formula
            x = torch.empty(1, 2, 4, 4, device="cuda")
            y = getattr(functional, f"{name}_pool2d")(x, kernel_size=2, **sample)
            assert y.device.type == "cuda"


def test_mix_of_two_cells_stays_on_its_device(fake_gpu: FakeTensorMode) -> None:
    """What a linear quantile runs in training."""
    [step] = METHODS["quantile"].steps_with({"q": 0.4})
    with fake_gpu:
        y = ops._between(torch.empty(1, 2, 4, 4, device="cuda"), geometry.sliding(2, (4, 4), 2), step)
        assert y.device.type == "cuda"
