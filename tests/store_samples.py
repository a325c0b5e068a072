"""Records, clocks and a second process, for the tests of the store, its reports and its exports.

Run as a program, it is that second process: ``python store_samples.py write|acknowledge|open PATH NUMBER``.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import cookiegate
from cookiegate.policy import Basis
from cookiegate.record import ConsentRecord, Count, Sighting, UsageRecord
from cookiegate.store import Store, open_store

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def choice(number: int = 0, **changes: Any) -> ConsentRecord:
    """A choice; ``number`` tells one from another."""
    at = NOON + timedelta(seconds=number)
    values: dict[str, Any] = {
        "record_id": str(uuid.uuid4()),
        "consent_id": f"visitor-{number}",
        "at": at,
        "valid_until": at + timedelta(days=180),
        "method": "save",
        "source": "banner",
        "choices": {"analytics": True, "marketing": False},
        "policy_version": "2026-11-21",
        "banner_hash": "0" * 64,
        "locale": "en",
        "host": "example.com",
        "path": "/news",
        "gpc": False,
        "dnt": False,
        "country": "DE",
        "profile": "strict-eu",
    }
    return ConsentRecord(**values | changes)


def view(number: int = 0, **changes: Any) -> UsageRecord:
    """A page view; ``number`` seconds after noon."""
    values: dict[str, Any] = {
        "at": NOON + timedelta(seconds=number),
        "host": "example.com",
        "path": f"/page/{number}",
        "purpose": "analytics",
        "basis": Basis.CONSENT,
        "policy_version": "2026-11-21",
        "consent_id": "visitor-0",
        "status": 200,
        "duration_ms": 12,
        "visit_key": "key",
        "browser": "Firefox",
        "device": "desktop",
    }
    return UsageRecord(**values | changes)


def tally(**changes: Any) -> Count:
    """A counted page view."""
    values: dict[str, Any] = {
        "hour": NOON,
        "host": "example.com",
        "page": "/news",
        "country": "DE",
        "consented": False,
        "undecided": True,
    }
    return Count(**values | changes)


def sighting(**changes: Any) -> Sighting:
    """A script of a third party that the policy does not declare."""
    values: dict[str, Any] = {
        "hour": NOON,
        "layer": "markup",
        "what": "script",
        "host": "cdn.example.net",
        "service": "",
        "purpose": "",
    }
    return Sighting(**values | changes)


text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
moments = st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def choices(draw: st.DrawFn) -> ConsentRecord:
    """Any choice that the types allow and the store takes."""
    at = draw(moments)
    return ConsentRecord(
        record_id=str(draw(st.uuids())),
        consent_id=str(draw(st.uuids())),
        at=at,
        valid_until=at + draw(st.timedeltas(timedelta(), timedelta(days=300))),
        method=draw(st.sampled_from(["accept", "reject", "save", "allow"])),
        source=draw(text),
        choices=draw(st.dictionaries(st.from_regex("[a-z][a-z-]{0,10}", fullmatch=True), st.booleans(), max_size=5)),
        policy_version=draw(text),
        banner_hash=draw(st.from_regex("[0-9a-f]{64}", fullmatch=True)),
        locale=draw(st.sampled_from(["en", "de", "pt-BR"])),
        host=draw(text),
        path=draw(text),
        gpc=draw(st.booleans()),
        dnt=draw(st.booleans()),
        country=draw(st.sampled_from(["", "DE", "GB"])),
        profile=draw(text),
    )


@st.composite
def views(draw: st.DrawFn) -> UsageRecord:
    """Any page view that the types allow and the store takes, without a key."""
    optional = st.none() | text
    return UsageRecord(
        at=draw(moments),
        host=draw(text),
        path=draw(text),
        purpose=draw(st.sampled_from(["analytics", "statistics"])),
        basis=draw(st.sampled_from(Basis)),
        policy_version=draw(text),
        consent_id=draw(st.just("") | st.uuids().map(str)),
        status=draw(st.integers(100, 599)),
        duration_ms=draw(st.integers(0, 2**31 - 1)),
        referrer=draw(optional),
        ip=draw(st.none() | st.ip_addresses().map(str)),
        country=draw(st.sampled_from([None, "", "FR"])),
        browser=draw(optional),
        browser_version=draw(optional),
        os=draw(optional),
        os_version=draw(optional),
        device=draw(st.sampled_from([None, "desktop", "mobile", "tablet", "other"])),
    )


def opened(path: Path, clock: Callable[[], datetime] | None = None, **options: Any) -> Store:
    """A store at a path, on a clock that stands at noon unless another is given."""
    return open_store(path, clock=clock or Clock(), **options)


def query(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What the database really holds, read past the store. Also commits, for tests that tamper."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def all_bytes(path: Path) -> bytes:
    """Every byte of the database and of its companions. Only when no connection of this process is open."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def second_process(command: str, path: Path, number: int = 0) -> subprocess.Popen[str]:
    """Another interpreter that uses the store, as a server's other workers do."""
    root = str(Path(cookiegate.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-W", "error", __file__, command, str(path), str(number)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )


def _write(store: Store, number: int) -> None:
    """Choices, page views and counts, as many of each; one visit."""

    async def everything() -> None:
        for index in range(number):
            assert store.put_usage(view(index, visit_key="shared"))
            assert store.put_count(tally())
            if index % 10 == 0:
                await asyncio.gather(*(store.put_consent(choice(index + more)) for more in range(10)))

    asyncio.run(everything())
    print(store.keys()[0].hex(), store.salts(NOON).current.hex(), flush=True)


def _acknowledge(store: Store) -> None:
    """Save choices for ever from many coroutines, and say which are saved."""

    async def visitor() -> None:
        while True:
            record = choice()
            await store.put_consent(record)
            sys.stdout.write(record.record_id + "\n")
            sys.stdout.flush()
            store.put_usage(view())

    async def everybody() -> None:
        await asyncio.gather(*(visitor() for _ in range(16)))

    asyncio.run(everybody())


def _main(command: str, path: str, number: str) -> None:
    store = opened(Path(path))
    if command == "write":
        _write(store, int(number))
    elif command == "acknowledge":
        _acknowledge(store)
    elif command == "open":
        print(store.keys()[0].hex(), store.salts(NOON).current.hex(), flush=True)
    else:
        raise SystemExit(f"no such command: {command}")
    store.close()


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """The complete lines a process wrote: one that was cut off in the middle is not there."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):
            yield line.strip()


if __name__ == "__main__":
    _main(*sys.argv[1:])
