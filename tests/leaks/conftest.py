"""The suite's own Playwright and servers, open only while it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.world import Stage, open_stage

# Some minutes of Chromium: a campaign of its own, asked for by COOKIEGATE_LEAKS=1.
collect_ignore = [] if os.environ.get("COOKIEGATE_LEAKS") else ["test_leaks.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder is a browser test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def stage() -> Iterator[Stage]:
    """One Playwright and one set of servers for the suite."""
    with open_stage() as opened:
        yield opened
