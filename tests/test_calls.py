"""Many calls, many threads, forked processes, tensors of more than 2^31 numbers."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.utils.data import DataLoader

from poolkit import functional, nn


def resident() -> int:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def test_a_hundred_thousand_calls_leave_nothing_behind() -> None:
    """Forward, with indices, and backward, of many geometries, more than any table keeps."""
    inputs = [torch.randn(1, 2, 6 + number % 25, 7, requires_grad=True) for number in range(50)]

    def calls(number: int) -> None:
        for call in range(number):
            x = inputs[call % len(inputs)]
            if call % 10:
                functional.max_pool2d(x.detach(), 1 + call % 3, return_indices=call % 2 == 0)
            else:
                torch.autograd.grad(functional.soft_pool2d(x, 2).sum(), x)

    calls(5_000)
    before = resident()
    calls(100_000)
    assert resident() - before < 4e6


def test_threads_call_at_once() -> None:
    """Each gets its own results, whatever the others do and however many threads a call may use."""
    pools = [nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.MedianPool2d(3), nn.SoftPool2d(2), nn.GlobalGeMPool2d()]
    inputs = [torch.randn(4, 8, 40 + seed, 40, requires_grad=True) for seed in range(8)]

    def results(seed: int) -> list[torch.Tensor]:
        outputs = []
        for pool in pools:
            y = pool(inputs[seed])
            outputs += [y.detach(), *torch.autograd.grad(y.square().sum(), inputs[seed])]
        return outputs

    expected = [results(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(lambda turn: (turn % 8, results(turn % 8)), range(40)):
            seed, outputs = found
            assert all(map(torch.equal, outputs, expected[seed]))


def test_set_num_threads_is_respected() -> None:
    """One thread works where torch is told to use one."""
    x = torch.randn(64, 64, 56, 56)
    spent = []
    for number in (1, 2):
        torch.set_num_threads(number)
        functional.max_pool2d(x, 3, 2, 1)
        own, process = resource.getrusage(resource.RUSAGE_THREAD), resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(20):
            functional.max_pool2d(x, 3, 2, 1)
        mine = resource.getrusage(resource.RUSAGE_THREAD).ru_utime - own.ru_utime
        spent.append((resource.getrusage(resource.RUSAGE_SELF).ru_utime - process.ru_utime) / mine)
    assert spent[0] < 1.2 < spent[1]


class Pooled(torch.utils.data.Dataset[torch.Tensor]):
    """Maps that are pooled where they are loaded."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        return functional.avg_pool2d(torch.full((64, 64, 64), float(index)), 2)


def test_forked_workers_pool() -> None:
    """Of a process whose threads have pooled already."""
    functional.avg_pool2d(torch.randn(64, 64, 64, 64), 2)
    for index, y in enumerate(DataLoader(Pooled(), batch_size=None, num_workers=2)):
        assert y.shape == (64, 32, 32)
        assert bool((y == index).all())


def test_more_numbers_than_a_32_bit_integer_counts() -> None:
    """Zeros that were never touched take no memory."""
    rows, width = 2**16 + 1, 2**15
    x = torch.zeros(1, 1, rows, width, dtype=torch.uint8)
    x[0, 0, -1, -3] = 9
    y, index = functional.max_pool2d(x, (1, width), return_indices=True)
    assert (y.flatten()[-1].item(), index.flatten()[-1].item()) == (9, rows * width - 3)
    assert int(y.sum()) == 9
    assert functional.max_pool2d(x, 3, 2, 1)[0, 0, -1, -2:].tolist() == [9, 9]
