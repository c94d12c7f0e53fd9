"""What the package offers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import torch

import poolkit
from poolkit import functional, methods, nn
from poolkit import numpy as pooling_of_arrays

PUBLIC = [
    "LAYERS",
    "METHODS",
    "ArgumentError",
    "ReceptiveField",
    "accelerate",
    "cite",
    "drift",
    "explain",
    "functional",
    "nn",
    "numpy",
    "onnx",
    "output_size",
    "receptive_field",
    "samples",
    "summary",
    "swap",
    "use",
    "use_everywhere",
    "window_table",
]


def test_public_list() -> None:
    assert poolkit.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(poolkit, name) is not None
    assert dir(poolkit) == sorted(PUBLIC)


def test_every_method_in_every_form_rank_and_front() -> None:
    for name, method in methods.METHODS.items():
        for prefix, class_prefix in (("", ""), ("adaptive_", "Adaptive"), ("global_", "Global")):
            for rank in (1, 2, 3):
                function = f"{prefix}{name}_pool{rank}d"
                assert function in functional.__all__
                assert function in pooling_of_arrays.__all__
                assert f"{class_prefix}{method.class_name}Pool{rank}d" in nn.__all__
    unpools = {f"max_unpool{rank}d" for rank in (1, 2, 3)}
    assert len(pooling_of_arrays.__all__) >= 9 * len(methods.METHODS) + 3
    assert unpools < set(functional.__all__)


def test_the_fronts_hold_the_tables_and_nothing_else() -> None:
    windows, layers = 9 * len(methods.METHODS), methods.LAYERS.values()
    assert len(functional.__all__) == windows + 3 + sum(len(layer.functions) for layer in layers)
    assert len(nn.__all__) == windows + 4 + sum(len(layer.modules) for layer in layers)  # Pool and unpooling
    for front in (functional, nn):
        assert len(set(front.__all__)) == len(front.__all__)


def test_modules_are_imported_in_any_order() -> None:
    run = """import importlib, os, torch
for first in ["functional", "nn", "layers", "layers.pyramid", "layers.channel"]:
    child = os.fork()
    if child == 0:
        importlib.import_module(f"poolkit.{first}")
        import poolkit.nn
        print(first, poolkit.functional.temporal_pool, poolkit.nn.TemporalPool, flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, first"""
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("TemporalPool") == 5


def test_kernels_and_table_agree() -> None:
    kernels = torch.ops.poolkit.kernels().split(",")
    assert kernels == pooling_of_arrays._numpy.kernels()
    used = {kernel for method in methods.METHODS.values() for kernel in method.runs}
    assert used == set(kernels) == set(methods.KERNELS)


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


def test_import_is_light() -> None:
    heavy = {"torch", "numpy", "matplotlib", "librosa", "PIL", "typer", "rich"}
    assert not loaded_by("import poolkit; poolkit.output_size(4, 2)") & heavy
    assert "torch" not in loaded_by("import numpy, poolkit.numpy as p; p.max_pool1d(numpy.ones((1, 4)), 2)")


def test_explain_names_the_kernel_or_the_reason() -> None:
    x = torch.zeros(1, 2, 8, 8)
    told = poolkit.explain(x, "max", kernel_size=2)
    assert told.startswith("max: kernel; isa ")
    assert torch.ops.poolkit.isa() in told
    assert "winners 0 bytes" in told
    assert "winners 1 bytes" in poolkit.explain(x, "max", kernel_size=2, backward=True)
    assert poolkit.explain(x, "avg", output_size=1).endswith("; backward a view")
    assert not poolkit.explain(x, "avg", output_size=2).endswith("a view")
    assert poolkit.explain(x.to("meta"), "max", kernel_size=2).startswith("max: ")
    assert "complex64" in poolkit.explain(x.to(torch.complex64), "avg", output_size=1)
    assert len(poolkit.explain(x, "avg_max", kernel_size=2, mode="cat").splitlines()) == 2
