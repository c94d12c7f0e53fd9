"""What every test shares: two threads, reproducible examples, memory that never holds a lucky value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

# `pytest --hypothesis-profile thorough` tries many more.
hypothesis.settings.register_profile(
    "poolkit",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=12,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.differing_executors,
    ],
)
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("poolkit"), max_examples=200)
hypothesis.settings.load_profile("poolkit")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """What docs/features.md rests on may not be skipped."""
    report = yield
    if report.skipped and item.get_closest_marker("feature") is not None:
        report.outcome, report.longrepr = "failed", "a test that shows a feature was skipped"
    return report


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Threads are on, as for users, however a test before left them."""
    torch.manual_seed(0)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(2)


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """torch.empty gives NaN (integers: the largest), so that a cell that no kernel wrote shows."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
