"""The visit salts: made once a day for all, kept over midnight, then gone for good."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_samples import Clock, all_bytes, opened, query, tally, view

from cookiegate.store import writer

DAY = timedelta(days=1)
EVENING = datetime(2026, 11, 21, 23, 50, tzinfo=UTC)
NIGHT = datetime(2026, 11, 22, 0, 10, tzinfo=UTC)
MORNING = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookiegate.db"


def test_a_day_has_one_salt_for_every_worker(path: Path) -> None:
    first, second = opened(path).salts(EVENING), opened(path).salts(EVENING - 5 * timedelta(hours=1))
    assert first == second
    assert (first.day, len(first.current), first.previous) == ("2026-11-21", 32, None)


def test_the_day_before_is_known_until_four(path: Path) -> None:
    store = opened(path)
    evening, night = store.salts(EVENING), store.salts(NIGHT)
    assert night.day == "2026-11-22"
    assert night.previous == evening.current != night.current
    assert store.salts(MORNING - timedelta(microseconds=1)) == night
    assert store.salts(MORNING).previous is None
    assert store.salts(MORNING).current == night.current
    store.close()


def test_the_day_is_that_of_utc(path: Path) -> None:
    tokyo = datetime.fromisoformat("2026-11-22T08:30+09:00")
    assert opened(path).salts(tokyo).day == "2026-11-21"


def test_asking_again_touches_no_disk(path: Path) -> None:
    store = opened(path)
    salts = store.salts(EVENING)
    path.unlink()
    assert store.salts(EVENING + timedelta(minutes=9)) is salts
    store.close()


def test_destroyed_salts_leave_no_byte(path: Path) -> None:
    clock = Clock(EVENING)
    store = opened(path, clock)
    old = store.salts(EVENING).current
    key = "visit-key-of-the-evening"
    store.put_usage(view(at=EVENING, visit_key=key))
    assert store.flush()
    for number in range(200):  # so that the salt lies in the log as well as in the file
        store.put_usage(view(at=EVENING, visit_key=f"other-{number}"))
    assert store.flush()
    assert query(path, "SELECT count(*) FROM salts") == [(1,)]

    clock.now = NIGHT
    store.salts(NIGHT)
    store.put_count(tally())
    assert store.flush()
    assert query(path, "SELECT day FROM salts ORDER BY day") == [("2026-11-21",), ("2026-11-22",)]

    clock.now = MORNING
    store.put_count(tally())
    assert store.flush()
    assert query(path, "SELECT day FROM salts") == [("2026-11-22",)]
    assert query(path, "SELECT count(*), count(key) FROM visits") == [(201, 0)]
    content = _bytes_in_use(path)
    store.close()
    assert old not in content
    assert key.encode() not in content
    assert old not in all_bytes(path)
    assert key.encode() not in all_bytes(path)


def _bytes_in_use(path: Path) -> bytes:
    """Database and log as another program sees them, while this process has them open.

    By a child: a file that this process opens and closes would lose its locks (POSIX).
    """
    files = [str(file) for file in path.parent.iterdir()]
    return subprocess.run(["cat", *files], capture_output=True, check=True).stdout


def test_a_visit_that_goes_on_keeps_its_key(path: Path) -> None:
    clock = Clock(EVENING)
    store = opened(path, clock)
    store.put_usage(view(at=EVENING, visit_key="evening"))
    assert store.flush()
    clock.now = NIGHT
    store.put_usage(view(at=NIGHT, visit_key="night", previous_key="evening"))
    assert store.flush()
    clock.now = MORNING
    store.put_count(tally())
    store.close()
    assert query(path, "SELECT key, views FROM visits") == [("night", 2)]


def test_an_idle_process_destroys_them_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "TICK", 0.02)
    clock = Clock(EVENING)
    store = opened(path, clock)
    old = store.salts(EVENING).current
    clock.now = MORNING + DAY
    deadline = time.monotonic() + 10
    while query(path, "SELECT * FROM salts") and time.monotonic() < deadline:
        time.sleep(0.02)
    store.close()
    assert old not in all_bytes(path)


def test_what_a_killed_process_left_is_cleared_by_the_next(path: Path) -> None:
    """The salt is deleted but the log, which still has it, was never emptied."""
    old = opened(path, Clock(EVENING)).salts(EVENING).current
    left = path.with_name("left")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("UPDATE salts SET salt = salt")
        connection.commit()
        connection.execute("DELETE FROM salts")
        connection.commit()
        left.mkdir()
        for file in path.parent.glob("cookiegate.db*"):
            (left / file.name).write_bytes(_bytes_of(file))
    assert old in all_bytes(left / path.name)
    with closing(sqlite3.connect(left / path.name)) as another:  # without it SQLite would empty the log by itself
        assert another.execute("SELECT count(*) FROM salts").fetchall() == [(0,)]
        assert old in _bytes_in_use(left / path.name)
        store = opened(left / path.name, Clock(MORNING + DAY))
        store.put_count(tally())
        assert store.flush()
        assert old not in _bytes_in_use(left / path.name)
        store.close()


def _bytes_of(file: Path) -> bytes:
    return subprocess.run(["cat", str(file)], capture_output=True, check=True).stdout


def test_without_the_store_a_page_still_gets_salts(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        own = store.salts(EVENING)
        assert len(own.current) == 32
        assert store.salts(EVENING + timedelta(seconds=1)) is own
        assert store.salts(EVENING + timedelta(seconds=31)).current == own.current
    shared = store.salts(EVENING + timedelta(seconds=62))
    assert shared.current != own.current
    assert shared == opened(path).salts(EVENING)
    assert "not joined for now" in caplog.text
    store.close()
