"""The writer: what it promises about choices, page views, failures and the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from store_samples import choice, opened, query, tally, view

from cookiegate.errors import StoreError
from cookiegate.store import Store, writer
from cookiegate.store.inbox import Batch, Choice, Inbox
from cookiegate.store.sqlite import SQLite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookiegate.db"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for locks takes a twentieth of the time."""
    monkeypatch.setattr(SQLite, "busy_seconds", 0.1)
    monkeypatch.setattr(writer, "PATIENCE", 0.5)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def writer_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "cookiegate-store"]


# -- queueing ----------------------------------------------------------------------------------------------------------


def test_nothing_runs_before_the_first_put(path: Path) -> None:
    before = len(writer_threads())
    store = opened(path)
    store.keys()
    assert len(writer_threads()) == before
    store.put_count(tally())
    store.put_usage(view())
    assert len(writer_threads()) == before + 1
    store.close()
    assert len(writer_threads()) == before


def test_a_full_queue_drops_and_counts(path: Path) -> None:
    store = opened(path, queue_limit=5)
    with locked(path):
        taken = [store.put_usage(view(number)) for number in range(8)]
        assert taken.count(True) == 5
        assert taken[-1] is False
        assert store.put_count(tally()) is False
        assert store.stats().queued == 5
        assert store.stats().dropped == 4
    assert store.flush()
    assert len(list(store.usage())) == 5
    assert (store.stats().queued, store.stats().written) == (0, 5)
    store.close()


async def test_a_queue_full_of_page_views_keeps_no_choice_out(path: Path) -> None:
    store = opened(path, queue_limit=1)
    with locked(path):
        store.put_usage(view(0))
        assert not store.put_usage(view(1))
        saving = asyncio.create_task(store.put_consent(choice()))
        await asyncio.sleep(0.05)
        assert not saving.done()
    await saving
    assert store.count_consents() == 1
    store.close()


async def test_waiting_for_a_lock_does_not_hold_the_event_loop(path: Path) -> None:
    store = opened(path)
    with locked(path):
        saving = asyncio.create_task(store.put_consent(choice()))
        longest, last = 0.0, time.monotonic()
        for number in range(100):
            store.put_usage(view(number))
            await asyncio.sleep(0.002)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert not saving.done()
    await saving
    store.close()
    assert longest < 2, "SQLite itself would wait for five seconds"
    assert len(list(store.usage())) == 100


async def test_choices_of_many_coroutines_share_transactions(path: Path) -> None:
    store = opened(path)
    records = [choice(number) for number in range(500)]
    with locked(path):
        saving = asyncio.gather(*(store.put_consent(record) for record in records))
        await asyncio.sleep(0.05)
    await saving
    assert list(store.consents()) == records
    store.close()


async def test_a_choice_whose_request_was_cancelled_is_saved_all_the_same(path: Path) -> None:
    store = opened(path)
    with locked(path):
        saving = asyncio.create_task(store.put_consent(choice()))
        await asyncio.sleep(0.05)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
    store.close()
    assert store.count_consents() == 1


def test_an_event_loop_that_ended_does_not_end_the_writer(path: Path) -> None:
    store = opened(path)

    async def leave() -> None:
        task = asyncio.ensure_future(store.put_consent(choice()))
        await asyncio.sleep(0.05)
        task.cancel()

    with locked(path):
        asyncio.run(leave())
    store.put_usage(view())
    store.close()
    assert (store.count_consents(), store.count_usage()) == (1, 1)


# -- the inbox ---------------------------------------------------------------------------------------------------------


def waiting(number: int = 0) -> Choice:
    return Choice(choice(number), lambda _: None)


def test_page_views_that_rest_do_not_hold_up_choices_nor_come_with_them() -> None:
    inbox = Inbox(limit=10, batch=10)
    events = (view(0), view(1))
    assert all(inbox.add_event(event) for event in events)
    assert inbox.take(wait=0) == Batch(events=events)
    assert inbox.put_back(events, pause=60)
    inbox.done()
    assert inbox.take(wait=0) == Batch()
    chosen = waiting()
    assert inbox.add_choice(chosen)
    assert inbox.take(wait=5) == Batch(choices=(chosen,))
    inbox.done()
    assert inbox.queued == 2
    inbox.close(5)
    assert inbox.take(wait=5) == Batch(events=events), "at the end there is no time to rest"
    inbox.done()
    assert inbox.take(wait=5) is None


def test_what_is_in_hand_counts_as_queued() -> None:
    inbox = Inbox(limit=3, batch=2)
    assert [inbox.add_event(view(number)) for number in range(4)] == [True, True, True, False]
    batch = inbox.take(wait=0)
    assert batch is not None
    assert len(batch) == 2
    assert not inbox.add_event(view(5))
    inbox.done()
    assert inbox.add_event(view(6))
    assert inbox.refused == 2


def test_a_batch_parts_into_choices_and_the_rest_and_then_into_halves() -> None:
    choices, events = (waiting(0), waiting(1), waiting(2)), (view(0), view(1), view(2))
    assert Batch(choices, events).parts() == (Batch(choices=choices), Batch(events=events))
    assert Batch(events=events).parts() == (Batch(events=events[:1]), Batch(events=events[1:]))
    assert Batch(choices=choices).parts() == (Batch(choices=choices[:1]), Batch(choices=choices[1:]))


# -- failures ----------------------------------------------------------------------------------------------------------


async def test_a_bad_page_view_takes_nothing_with_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(path)
    good, bad = [view(number) for number in range(50)], view(status=7, path="/secret", consent_id="who")
    with locked(path):
        for record in (*good[:20], bad, *good[20:]):
            store.put_usage(record)
        saving = asyncio.create_task(store.put_consent(choice()))
        await asyncio.sleep(0.05)
    await saving
    store.close()
    assert [row.path for row in store.usage()] == [record.path for record in good]
    assert store.stats().dropped == 1
    assert store.stats().failed_batches > 0
    (line,) = caplog.records
    assert (line.name, line.levelno) == ("cookiegate.store", logging.ERROR)
    assert "usage_status" in line.getMessage()
    assert "secret" not in line.getMessage()
    assert "who" not in line.getMessage()
    assert "usage_status" in store.stats().last_error


@pytest.mark.parametrize("changes", [{"at": "yesterday"}, {"path": object()}, {"status": 2**70}, {"browser": 7}])
def test_a_page_view_of_wrong_types_is_dropped_alone(path: Path, changes: dict[str, Any]) -> None:
    store = opened(path)
    with locked(path):
        for record in (view(1), view(2, **changes), view(3)):
            store.put_usage(record)
    store.close()
    assert [row.path for row in store.usage()] == ["/page/1", "/page/3"]
    assert store.stats().dropped == 1


async def test_bad_choices_fail_alone(path: Path) -> None:
    store = opened(path)
    bad = range(3, 30, 7)
    records = [choice(number, method="guess" if number in bad else "save") for number in range(30)]
    with locked(path):
        saving = asyncio.gather(*(store.put_consent(record) for record in records), return_exceptions=True)
        await asyncio.sleep(0.05)
    results = await saving
    assert [number for number, result in enumerate(results) if isinstance(result, StoreError)] == list(bad)
    assert store.count_consents() == 30 - len(bad)
    store.close()


@pytest.mark.usefixtures("hasty")
async def test_a_lock_that_stays_is_told_to_the_visitor_and_page_views_wait(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(path)
    with locked(path):
        for number in range(10):
            store.put_usage(view(number))
        for _ in range(3):
            with pytest.raises(StoreError, match="another process has kept it locked"):
                await store.put_consent(choice(0))
        assert (store.stats().queued, store.stats().written) == (10, 0)
    await store.put_consent(choice(1))
    assert store.flush()
    store.close()
    assert [record.consent_id for record in store.consents()] == ["visitor-1"]
    assert [row.path for row in store.usage()] == [f"/page/{number}" for number in range(10)]
    assert store.stats().dropped == 0
    lines = [record.getMessage() for record in caplog.records]
    assert sum("page view(s) or count(s) wait" in line for line in lines) == 1, "a failure that goes on is logged once"
    assert sum("choice(s) not saved" in line for line in lines) == 1


@pytest.mark.usefixtures("hasty")
async def test_a_choice_is_tried_again_while_the_lock_lasts(path: Path) -> None:
    store = opened(path)
    with locked(path):
        saving = asyncio.create_task(store.put_consent(choice()))
        await asyncio.sleep(0.25)
    await saving
    assert store.stats().failed_batches > 0, "SQLite itself had given up"
    store.close()


def test_a_choice_is_saved_where_there_is_no_room_for_the_page_views_beside_it(path: Path) -> None:
    store = opened(path)
    asyncio.run(store.put_consent(choice(0)))
    room = path.with_name(f"{path.name}-wal").stat().st_size + 65_536
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def choose() -> None:
        with locked(path):
            for number in range(1000):
                store.put_usage(view(number, path="/" + "x" * 500))
            saving = asyncio.create_task(store.put_consent(choice(1)))
            await asyncio.sleep(0.1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        await saving

    try:
        asyncio.run(choose())
        assert (store.count_consents(), store.count_usage()) == (2, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.flush()
    assert store.count_usage() == 1000
    store.close()


@pytest.mark.usefixtures("hasty")
def test_page_views_survive_the_database_being_away(path: Path) -> None:
    store = opened(path)
    aside = path.with_name("aside.db")
    path.rename(aside)
    for number in range(20):
        store.put_usage(view(number))
        time.sleep(0.005)
    assert not store.flush(0.1)
    assert store.stats().queued == 20
    aside.rename(path)
    assert store.flush()
    assert [row.path for row in store.usage()] == [f"/page/{number}" for number in range(20)]
    store.close()


# -- the end -----------------------------------------------------------------------------------------------------------


def test_close_writes_what_waits(path: Path) -> None:
    store = opened(path)
    for number in range(5000):
        assert store.put_usage(view(number))
        assert store.put_count(tally())
    store.close()
    assert store.count_usage() == store.sums().views == 5000
    assert [file.name for file in path.parent.iterdir()] == [path.name], "no companion is left"


async def test_a_closed_store_takes_nothing_and_says_so(path: Path) -> None:
    store = opened(path)
    store.put_usage(view())
    store.close()
    store.close()
    assert not store.put_usage(view())
    assert store.stats().dropped == 1
    with pytest.raises(StoreError, match="closed"):
        await store.put_consent(choice())
    assert len(list(store.usage())) == 1, "it can still be read"


@pytest.mark.usefixtures("hasty")
async def test_close_gives_up_in_time_and_counts_what_is_lost(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(path)
    with locked(path):
        for number in range(7):
            store.put_usage(view(number))
        saving = asyncio.create_task(store.put_consent(choice()))
        await asyncio.sleep(0)
        started = time.monotonic()
        await asyncio.to_thread(store.close, 0.3)
        assert time.monotonic() - started < 3
        with pytest.raises(StoreError):
            await saving
    for thread in writer_threads():
        thread.join(5)
    assert store.stats().dropped == 7
    assert "page view(s) or count(s) not saved" in caplog.text
    assert store.count_consents() == store.count_usage() == 0


def test_a_store_that_nobody_closed_drains_when_it_is_forgotten(path: Path) -> None:
    store = opened(path)
    store.put_usage(view())
    del store
    gc.collect()
    assert opened(path).count_usage() == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_for_itself(path: Path) -> None:
    """As in servers that load the application first and fork their workers then."""
    store = opened(path)
    keys = store.keys()
    assert store.put_usage(view(0))
    assert store.flush()
    child = os.fork()
    if child == 0:
        os._exit(_as_child(store, keys))
    assert store.put_usage(view(1))
    _, status = os.waitpid(child, 0)
    store.close()
    assert os.waitstatus_to_exitcode(status) == 0
    assert sorted(row.path for row in store.usage()) == ["/page/0", "/page/1", "/page/2", "/page/3"]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def _as_child(store: Store, keys: tuple[bytes, ...]) -> int:
    """Exit status 0 where all is well."""
    try:
        taken = store.put_usage(view(2)) and store.put_usage(view(3))
        same = store.keys() == keys and store.stats().written <= 2
        store.close()
    except BaseException:  # noqa: BLE001 - the parent's test must not go on in here
        return 2
    return 0 if taken and same else 1
