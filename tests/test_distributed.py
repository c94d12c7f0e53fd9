"""DTensor, DistributedDataParallel and fully_shard, on two processes of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.testing import assert_close

from poolkit import functional, nn

PROCESSES = 2


def pooled_shards() -> None:
    """Batches and channels are pooled where they are, forward and backward; sharded planes are gathered."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor
    from torch.distributed.tensor.debug import CommDebugMode

    mesh = init_device_mesh("cpu", (PROCESSES,))
    torch.manual_seed(0)
    x = torch.randn(4, 6, 9, 8)
    calls = {
        "max": lambda x: functional.max_pool2d(x, 3, 2, 1),
        "avg": lambda x: functional.avg_pool2d(x, 3, 2, 1),
        "avg_max": lambda x: functional.avg_max_pool2d(x, 2),
        "soft": lambda x: functional.soft_pool2d(x, 2),
        "lp": lambda x: functional.lp_pool2d(x, 3.0, 2),
        "median": lambda x: functional.adaptive_median_pool2d(x, 2),
        "global": lambda x: functional.global_max_pool2d(x),
        "weighted": lambda x: functional.local_importance_pool2d(x, x, 3, 2),
        "unpool": lambda x: functional.max_unpool2d(
            *functional.max_pool2d(x, 2, return_indices=True), 2, output_size=x.shape
        ),
    }
    for name, call in calls.items():
        leaf = x.clone().requires_grad_()
        expected = call(leaf)
        expected.backward(torch.ones_like(expected))
        for placement in (Shard(0), Shard(1), Replicate()):
            part = distribute_tensor(x, mesh, [placement]).requires_grad_()
            with CommDebugMode() as communication:
                y = call(part)
                y.backward(torch.ones_like(y))
            assert communication.get_total_counts() == 0, (name, placement)
            assert y.placements == part.grad.placements == (placement,)
            assert_close(y.full_tensor(), expected)
            assert_close(part.grad.full_tensor(), leaf.grad)
        cut = distribute_tensor(x, mesh, [Shard(2)])
        y = call(cut)
        assert y.placements != (Shard(2),)
        assert_close(y.full_tensor(), expected)


def windows_one_after_another() -> None:
    """Each call has the shape of its own windows, though all else is as in the call before."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor
    from torch.distributed.tensor.experimental import implicit_replication

    mesh = init_device_mesh("cpu", (PROCESSES,))
    x = torch.arange(2.0 * 3 * 8 * 6).reshape(2, 3, 8, 6)
    sharded = distribute_tensor(x, mesh, [Shard(0)])
    for kernel_size in (1, 2, 3, (8, 1), (1, 6)):
        y = functional.max_pool2d(sharded, kernel_size)
        assert y.placements == (Shard(0),)
        assert_close(y.full_tensor(), functional.max_pool2d(x, kernel_size))
    y = functional.strip_pool2d(sharded)
    assert_close(y.full_tensor(), functional.strip_pool2d(x))
    with implicit_replication():  # for the mask
        y = functional.masked_avg_pool2d(sharded, x > 5, 2)
    assert y.placements == (Shard(0),)
    assert_close(y.full_tensor(), functional.masked_avg_pool2d(x, x > 5, 2))


def model() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        nn.GatedPool2d(2),
        torch.nn.Softplus(),
        nn.LearntGeMPool2d(2, channels=8),
        nn.AttentionPool2d(8, 2, 2),
    )


def trained_models() -> None:
    """Gradients of learnt pooling are those of one process that has the whole batch."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    rank = dist.get_rank()
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    alone = model()
    alone(x).square().mean().backward()
    expected = {name: parameter.grad for name, parameter in alone.named_parameters()}
    part = x.chunk(PROCESSES)[rank]

    replicated = DistributedDataParallel(model())
    replicated(part).square().mean().backward()
    for name, parameter in replicated.module.named_parameters():
        assert_close(parameter.grad, expected[name], msg=name)

    sharded = model()
    mesh = init_device_mesh("cpu", (PROCESSES,))
    for layer in sharded:
        fully_shard(layer, mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    sharded(part).square().mean().backward()
    for name, parameter in sharded.named_parameters():
        assert_close(parameter.grad.full_tensor(), expected[name], msg=name)


def work(rank: int, store: str) -> None:
    assert "torch.distributed.tensor" not in sys.modules  # which poolkit loads no sooner than it is used
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=PROCESSES)
    pooled_shards()
    windows_one_after_another()
    trained_models()
    dist.destroy_process_group()


def test_two_processes(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(work, (str(tmp_path / "store"),), nprocs=PROCESSES)
