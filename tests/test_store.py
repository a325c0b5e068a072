"""Opening a store, what comes back from it, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import NOON, Clock, choice, choices, opened, query, tally, view, views

import cookiegate
from cookiegate.errors import SchemaError, StoreError
from cookiegate.policy import Basis
from cookiegate.record import ConsentRecord, UsageRecord
from cookiegate.store import Store, UsageRow, open_store
from cookiegate.store.migrations import MIGRATIONS

few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookiegate.db"


# -- opening -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{path}", "sqlite:///{path}"])
def test_opens_a_path_and_a_url(path: Path, form: str) -> None:
    open_store(form.format(path=path), clock=Clock())
    assert path.is_file()


def test_takes_a_path_with_signs_that_mean_something_in_a_url(tmp_path: Path) -> None:
    odd = tmp_path / "a b?mode=memory#%41.db"
    store = opened(odd)
    assert store.put_count(tally())
    store.close()
    assert query(odd, "SELECT views FROM counters") == [(1,)]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://localhost/x", "use sqlite:///cookiegate.db"),
        ("mysql+pymysql://x", "use sqlite:///"),
        (":memory:", "names no file"),
        ("sqlite://", "names no file"),
        ("", "names no file"),
        ("a\x00b", "names no file"),
        ("sqlite://host/x.db", "three slashes"),
        ("sqlite:///x.db?mode=ro", "no options"),
    ],
)
def test_refuses_what_cannot_be_a_store(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        open_store(url, clock=Clock())


def test_a_new_file_is_its_owners_alone(path: Path) -> None:
    previous = os.umask(0)
    try:
        store = opened(path)
        assert store.put_count(tally())
        assert store.flush()
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(previous)
    assert modes == {0o600}
    store.close()


def test_a_file_that_is_there_keeps_its_mode(path: Path) -> None:
    path.touch(0o640)
    opened(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_opening_again_changes_no_byte(path: Path) -> None:
    opened(path).keys()
    before = path.read_bytes()
    opened(path).keys()
    assert path.read_bytes() == before


def test_without_create_a_missing_store_stays_missing(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        opened(path, create=False)
    assert list(path.parent.iterdir()) == []


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="check that its directory exists"):
        opened(tmp_path / "no" / "x.db")


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"unable to open"):
        opened(tmp_path)


def test_another_kind_of_file(path: Path) -> None:
    path.write_bytes(b"these are notes, and no database" * 100)
    with pytest.raises(StoreError, match="not an SQLite database: name another file"):
        opened(path)
    assert path.read_bytes().startswith(b"these are notes")


def test_another_programs_database(path: Path) -> None:
    query(path, "CREATE TABLE accounts (id INTEGER)")
    with pytest.raises(StoreError, match=r"another program's database .*'accounts'.* file of its own"):
        opened(path)
    assert query(path, "SELECT name FROM sqlite_master") == [("accounts",)]


def test_a_damaged_file(path: Path) -> None:
    store = opened(path)
    for number in range(300):
        store.put_usage(view(number, visit_key=f"key-{number}"))
    store.close()
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xa5" * (len(content) - 12288)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged: restore a backup"):
        list(opened(path).usage())


# -- records -------------------------------------------------------------------------------------------------


async def test_a_choice_comes_back_equal(path: Path) -> None:
    store, record = opened(path), choice()
    await store.put_consent(record)
    assert list(store.consents()) == [record]
    store.close()


@few
@given(record=choices())
async def test_every_choice_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, record: ConsentRecord) -> None:
    store = opened(tmp_path_factory.mktemp("store") / "x.db")
    await store.put_consent(record)
    assert list(store.consents()) == [record]
    assert store.latest_consent(record.consent_id) == record
    store.close()


@few
@given(records=st.lists(views(), min_size=1, max_size=20))
def test_every_page_view_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, records: list[UsageRecord]) -> None:
    store = opened(tmp_path_factory.mktemp("store") / "x.db")
    for record in records:
        assert store.put_usage(record)
    store.close()
    assert [_record(row) for row in store.usage()] == records
    assert store.stats().dropped == 0


def _record(row: UsageRow) -> UsageRecord:
    assert row.visit_id is None
    assert row.position is None
    names = set(UsageRecord.__dataclass_fields__) - {"visit_key", "previous_key"}
    return UsageRecord(**{name: getattr(row, name) for name in names})


async def test_moments_keep_their_instant_in_any_zone(path: Path) -> None:
    at = datetime(2026, 3, 29, 1, 30, 0, 123457, timezone(timedelta(hours=5, minutes=45)))
    store = opened(path)
    await store.put_consent(choice(at=at))
    (found,) = store.consents()
    assert found.at == at
    assert found.at.utcoffset() == timedelta(0)
    store.close()


async def test_a_choice_saved_twice_is_there_once(path: Path) -> None:
    store, record = opened(path), choice()
    await store.put_consent(record)
    await store.put_consent(record)
    assert list(store.consents()) == [record]
    store.close()


async def test_latest_consent(path: Path) -> None:
    store = opened(path)
    first, second = choice(1, consent_id="a"), choice(2, consent_id="a", method="reject")
    for record in (first, second, choice(3, consent_id="b")):
        await store.put_consent(record)
    assert store.latest_consent("a") == second
    assert store.latest_consent("nobody") is None
    store.close()


async def test_periods_are_half_open_and_in_the_order_of_saving(path: Path) -> None:
    store = opened(path)
    records = [choice(number) for number in (3, 1, 2, 0, 4)]
    for record in records:
        await store.put_consent(record)
        store.put_usage(view((record.at - NOON).seconds))
    store.close()
    since, until = NOON + timedelta(seconds=1), NOON + timedelta(seconds=3)
    assert list(store.consents()) == records
    assert list(store.consents(since, until)) == [records[1], records[2]]
    assert list(store.consents(since=until)) == [records[0], records[4]]
    assert list(store.consents(until=since)) == [records[3]]
    assert [row.path for row in store.usage(since, until)] == ["/page/1", "/page/2"]
    assert store.count_consents(since, until) == store.count_usage(since, until) == 2
    assert list(store.consents(since=NOON + timedelta(days=1))) == []


def test_streams_see_one_snapshot(path: Path) -> None:
    store = opened(path)
    for number in range(3000):
        store.put_usage(view(number))
    assert store.flush()
    rows = store.usage(since=NOON)
    next(rows)
    store.put_usage(view(5000))
    assert store.flush()
    assert sum(1 for _ in rows) == 2999
    store.close()


def test_no_stream_makes_the_database_sort(path: Path) -> None:
    """A sort would hold the whole answer. As SQLite itself plans the statements that are really sent."""
    store = opened(path)
    store.put_usage(view())
    store.close()
    sent: list[tuple[str, Any]] = []

    def listen(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        list(store.usage())
        list(store.usage(NOON, NOON + timedelta(days=1)))
        list(store.consents(NOON))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)
    streams = [(statement, parameters) for statement, parameters in sent if "ORDER BY" in statement]
    assert len(streams) == 3
    for statement, parameters in streams:
        assert "TEMP B-TREE" not in str(query(path, f"EXPLAIN QUERY PLAN {statement}", *parameters))


@pytest.mark.parametrize("bad", ["\ud800", "\x00", "a\udcffb"])
async def test_text_of_a_visitor_is_cleaned_and_cut_but_never_refused(path: Path, bad: str) -> None:
    store = opened(path)
    await store.put_consent(choice(path=bad + "x" * 5000, host=bad * 300))
    store.put_usage(view(path=bad + "x" * 5000, referrer=bad, browser=bad * 500))
    store.put_count(tally(page=bad + "x" * 5000))
    store.close()
    (record,), (row,) = store.consents(), store.usage()
    assert record.path == row.path
    assert record.path.replace("\ufffd", "").strip("abx") == ""
    assert (len(record.path), len(record.host), len(row.browser or "")) == (2048, 255, 100)
    assert store.stats().dropped == 0


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"method": "guess"}, "consents_method"),
        ({"valid_until": NOON - timedelta(days=1)}, "consents_valid_until"),
        ({"consent_id": ""}, "consents_consent_id"),
        ({"country": "DEU"}, "consents_country"),
        ({"policy_version": "v" * 201}, "consents_policy_version"),
        ({"at": datetime(1969, 12, 31, tzinfo=UTC)}, "consents_at"),
        ({"at": datetime(2026, 1, 1)}, "ValueError"),  # noqa: DTZ001
        ({"locale": object()}, "cannot be stored|not supported"),
    ],
)
async def test_a_choice_that_breaks_a_rule_is_refused_with_the_rules_name(
    path: Path, changes: dict[str, Any], rule: str
) -> None:
    store = opened(path)
    with pytest.raises(StoreError, match=rule):
        await store.put_consent(choice(**changes))
    await store.put_consent(choice(1))
    assert store.count_consents() == 1
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE consents SET gpc = 2",
        "UPDATE consents SET outcome = 'maybe'",
        "UPDATE usage SET status = 99",
        "UPDATE usage SET basis = 'because'",
        "UPDATE usage SET device = 'fridge'",
        "UPDATE usage SET duration_ms = -1",
        "UPDATE usage SET position = NULL",
        "UPDATE counters SET hour = hour + 1",
        "UPDATE counters SET views = 0",
        "UPDATE visits SET last_at = started_at - 1",
        "INSERT INTO keys (key, created_at) VALUES (x'00', 0)",
        "INSERT INTO salts VALUES ('tomorrow', randomblob(32))",
    ],
)
async def test_the_tables_refuse_malformed_rows_whoever_writes_them(path: Path, sql: str) -> None:
    store = opened(path)
    await store.put_consent(choice())
    store.put_usage(view())
    store.put_count(tally())
    store.close()
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        query(path, sql)


# -- secrets: the keys ---------------------------------------------------------------------------------------


def test_keys_are_made_once_and_come_oldest_first(path: Path) -> None:
    first = opened(path).keys()
    assert [len(key) for key in first] == [32]
    query(path, "INSERT INTO keys (key, created_at) VALUES (?, 0)", b"n" * 32)
    assert opened(path).keys() == (*first, b"n" * 32)


def test_two_stores_have_different_keys(tmp_path: Path) -> None:
    assert opened(tmp_path / "a.db").keys() != opened(tmp_path / "b.db").keys()


# -- sums ----------------------------------------------------------------------------------------------------


def test_counts_are_added_up(path: Path) -> None:
    store = opened(path)
    for _ in range(3):
        store.put_count(tally())
        assert store.flush()
    for _ in range(4):
        store.put_count(tally(consented=True, undecided=False, page="/other"))
    store.close()
    assert query(path, "SELECT page, views FROM counters ORDER BY page") == [("/news", 3), ("/other", 4)]
    sums = store.sums()
    assert (sums.views, sums.detailed, sums.undecided) == (7, 4, 3)
    assert [(page.name, page.views) for page in sums.pages] == [("/other", 4), ("/news", 3)]
    assert store.sums(since=NOON + timedelta(hours=1)).views == 0


async def test_allowing_one_embed_is_not_accepting_all(path: Path) -> None:
    store = opened(path)
    await store.put_consent(choice(1, method="allow", choices={"marketing": True}))
    assert store.sums().outcomes == {"partly": 1}
    store.close()


async def test_outcomes_count_each_visitor_once_by_the_last_choice(path: Path) -> None:
    store = opened(path)
    for number, (visitor, chosen) in enumerate(
        [
            ("a", {"x": True, "y": True}),
            ("a", {"x": False, "y": False}),
            ("b", {"x": True, "y": False}),
            ("c", {"x": True, "y": True}),
            ("d", {}),
        ]
    ):
        await store.put_consent(choice(number, consent_id=visitor, choices=chosen))
    assert store.sums().outcomes == {"accepted": 1, "partly": 1, "rejected": 2}
    assert store.sums(until=NOON + timedelta(seconds=1)).outcomes == {"accepted": 1}
    store.close()


# -- what the operating system may do to it ------------------------------------------------------------------


async def test_a_full_database_says_so_and_acknowledges_nothing(path: Path) -> None:
    """A real SQLITE_FULL: the file system's limit on the size of a file does what a full disk does."""
    store = opened(path)
    await store.put_consent(choice(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("cookiegate.db-wal").stat().st_size, hard))
    try:
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"free (some )?space"):
            await store.put_consent(choice(1))
        assert time.monotonic() - started < 5, "the visitor is told at once"
        assert store.put_usage(view())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.put_consent(choice(2))
    store.close()
    assert [record.consent_id for record in store.consents()] == ["visitor-0", "visitor-2"]
    assert len(list(store.usage())) == 1, "a page view waits until there is room again"
    assert store.stats().dropped == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(file: Path) -> None:
    """Take all the space there is."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(b"x" * 4096)


async def save_many(store: Store, number: int) -> None:
    for index in range(number):
        await store.put_consent(choice(index))


async def test_a_full_disk_says_so_and_heals(small_disk: Path) -> None:
    store = opened(small_disk / "x.db")
    await store.put_consent(choice())
    filler = small_disk / "filler"
    fill(filler)
    with pytest.raises(StoreError, match="full: free some space"):
        await save_many(store, 50)
    saved = store.count_consents()
    filler.unlink()
    await store.put_consent(choice())
    assert store.count_consents() == saved + 1
    store.close()


_READ_ONLY = """
import asyncio, os, sys
from store_samples import choice, opened
from pathlib import Path
path = Path(sys.argv[1])
store = opened(path)
store.keys()
if os.getuid() == 0:
    os.setuid(65534)
try:
    asyncio.run(store.put_consent(choice()))
except Exception as error:
    print(type(error).__name__, error)
print(store.put_usage(__import__("store_samples").view()), store.flush(0.2), store.stats().queued)
store.close(0.1)
"""


def test_a_file_that_may_only_be_read(path: Path) -> None:
    """As another user where the tests run as root, to whom no file is read-only."""
    home = Path(tempfile.mkdtemp(prefix="store-"))
    path = home / "x.db"
    try:
        opened(path).keys()
        path.chmod(0o444)
        home.chmod(0o555)
        root = Path(cookiegate.__file__).parents[1]
        done = subprocess.run(
            [sys.executable, "-c", _READ_ONLY, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(Path(__file__).parent)])},
        )
    finally:
        home.chmod(0o755)
        for file in home.iterdir():
            file.unlink()
        home.rmdir()
    assert "StoreError" in done.stdout
    assert "let this user write" in done.stdout
    assert "True False 1" in done.stdout


def test_a_file_that_was_moved_away_is_missed(path: Path) -> None:
    store, aside = opened(path), path.with_name("aside.db")
    asyncio.run(store.put_consent(choice(0)))
    path.rename(aside)
    with pytest.raises(StoreError, match="not moved or deleted"):
        asyncio.run(store.put_consent(choice(1)))
    assert not path.exists(), "an empty store must not take its place"
    aside.rename(path)
    asyncio.run(store.put_consent(choice(2)))
    store.close()
    assert [record.consent_id for record in store.consents()] == ["visitor-0", "visitor-2"]


def test_a_newer_store_is_left_alone(path: Path) -> None:
    opened(path)
    query(path, "INSERT INTO cookiegate_migrations VALUES (99, 'from the future', 0)")
    known = len(MIGRATIONS)
    with pytest.raises(SchemaError, match=rf"newer cookiegate \(schema 99; this one knows {known}\): upgrade"):
        opened(path)


def test_the_basis_of_a_row_is_a_basis(path: Path) -> None:
    store = opened(path)
    store.put_usage(view(basis=Basis.LEGITIMATE_INTERESTS))
    store.close()
    assert next(store.usage()).basis is Basis.LEGITIMATE_INTERESTS


def test_a_store_says_where_it_is(path: Path) -> None:
    store = opened(path)
    assert isinstance(store, Store)
    assert store.location == str(path)
