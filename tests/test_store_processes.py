"""Several processes on one store, and processes that are killed."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from store_samples import lines_of, opened, query, second_process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookiegate.db"


def test_processes_that_start_at_once_share_keys_and_salts(path: Path) -> None:
    processes = [second_process("open", path) for _ in range(4)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [errors for _, errors in results] == [""] * 4
    assert len({output for output, _ in results}) == 1
    assert query(path, "SELECT count(*) FROM keys") == [(1,)]
    assert query(path, "SELECT count(*) FROM salts") == [(1,)]


def test_writers_at_once_lose_nothing_and_are_never_locked_out(path: Path) -> None:
    number = 400
    processes = [second_process("write", path, number) for _ in range(4)]
    results = [process.communicate(timeout=120) for process in processes]
    assert [errors for _, errors in results] == [""] * 4
    assert [process.returncode for process in processes] == [0] * 4
    store = opened(path)
    assert store.count_consents() == store.count_usage() == store.sums().views == 4 * number
    rows = list(store.usage())
    assert len({row.visit_id for row in rows}) == 1, "one visitor, whichever worker answered"
    assert sorted(row.position or 0 for row in rows) == list(range(1, 4 * number + 1))
    assert query(path, "SELECT views FROM visits") == [(4 * number,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_loses_nothing_it_acknowledged(path: Path, seed: int) -> None:
    process = second_process("acknowledge", path)
    lines = lines_of(process)
    acknowledged = [next(lines)]
    time.sleep(random.Random(seed).uniform(0.05, 0.5))
    process.kill()
    acknowledged += lines
    _, errors = process.communicate(timeout=60)
    assert errors == ""
    store = opened(path)
    saved = [record.record_id for record in store.consents()]
    assert set(acknowledged) <= set(saved)
    assert len(saved) == len(set(saved))
    assert len(saved) - len(acknowledged) <= 16, "beyond those, only choices whose answer was still on its way"
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    views = {len(list(store.usage())), *(row[0] for row in query(path, "SELECT sum(views) FROM visits") if row[0])}
    assert len(views) == 1 or views == {0}, "rows and what sums them up go together"
