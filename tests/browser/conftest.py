"""The fixtures of browser tests: `world`, and the `stage` behind it that all tests of this package share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .world import Stage, World, open_stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder is a browser test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def stage() -> Iterator[Stage]:
    """One Playwright and one set of servers for all browser tests."""
    with open_stage() as opened:
        yield opened


@pytest.fixture
def world(stage: Stage) -> Iterator[World]:
    """A world in which nothing has happened yet."""
    with stage.world() as fresh:
        yield fresh
