"""The store: consents as evidence, page views in the fields a basis covers, counters that belong to nobody.

`open_store` is the way in. A choice that `Store.put_consent` returned from is on the disk; a page view is
queued and written soon after by the process's one writer thread. Any number of processes may share one store.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from ..errors import StoreError
from ..record import ConsentRecord, Count, Salts, Sighting, UsageRecord
from . import read, schema
from .inbox import Choice, Sightings
from .migrations import migrate
from .read import Blocked, Named, Sums
from .secrets import DailySalts, signing_keys
from .sqlite import SQLite
from .values import Stats, UsageRow
from .writer import Writer

__all__ = ["Blocked", "Named", "Stats", "Store", "Sums", "UsageRow", "open_store"]

SCHEMES = ("sqlite",)
CLOSE_SECONDS = 5.0
"""How long the end of the program waits for a store that nobody closed."""


def open_store(
    url_or_path: str | Path, *, clock: Callable[[], datetime], queue_limit: int = 50_000, create: bool = True
) -> Store:
    """Open a store, making it or bringing it to the present schema where needed.

    Args:
        url_or_path: ``cookiegate.db``, ``/var/lib/site/cookiegate.db`` or ``sqlite:///cookiegate.db``.
        clock: the present moment, timezone-aware.
        queue_limit: most page views and counts that wait in memory before further ones are dropped.
        create: whether a store that is not there is made; if not, it is an error.

    Raises:
        StoreError: the place cannot be a store, with what to do about it.
        SchemaError: the store was written by a newer version.
    """
    database = SQLite(_path(url_or_path))
    if create:
        database.create()
    elif not database.exists():
        raise StoreError(f"there is no store at {database.location}: name the one your site writes with --store")
    database.prepare()
    migrate(database, now=clock())
    return Store(database, clock=clock, queue_limit=queue_limit)


class Store:
    """One store as one process sees it. Made by `open_store`; may be carried through a fork."""

    def __init__(self, database: SQLite, *, clock: Callable[[], datetime], queue_limit: int) -> None:
        self._database = database
        self._clock = clock
        self._salts = DailySalts(database)
        self._keys: tuple[bytes, ...] = ()
        self._inherited: tuple[Writer, ...] = ()
        self._new_writer = partial(Writer, database, clock=clock, limit=queue_limit)
        self._current = self._own_writer()

    @property
    def location(self) -> str:
        """The store's place, for messages."""
        return self._database.location

    def keys(self) -> tuple[bytes, ...]:
        """The 32-byte signing keys, oldest first: made once for all workers.

        Raises:
            StoreError: they cannot be read or made.
        """
        if not self._keys:
            self._keys = signing_keys(self._database, now=self._clock())
        return self._keys

    def salts(self, now: datetime) -> Salts:
        """The visit salts for this moment, the same in every worker. Never fails; cheap but once a day."""
        self._writer.start()  # it destroys them when they are due
        return self._salts.at(now)

    async def put_consent(self, record: ConsentRecord) -> None:
        """Save a choice; return once it would survive a power cut. To save one twice is harmless.

        Raises:
            StoreError: it could not be saved; the message says what to do.
        """
        loop = asyncio.get_running_loop()
        saved: asyncio.Future[None] = loop.create_future()
        self._writer.put_choice(Choice(record, partial(_settle, loop, saved)))
        await saved

    def put_usage(self, record: UsageRecord) -> bool:
        """Queue a page view, without waiting. False, and counted as dropped: the queue is full or closed."""
        return self._writer.put_event(record)

    def put_count(self, count: Count) -> bool:
        """Queue a count, on the terms of `put_usage`."""
        return self._writer.put_event(count)

    def put_sighting(self, sighting: Sighting, times: int = 1) -> bool:
        """Queue a number of sightings of one thing that was withheld, on the terms of `put_usage`."""
        return self._writer.put_event(Sightings(sighting, times))

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait until everything queued so far is written; False after ``timeout`` seconds."""
        return self._writer.flush(timeout)

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what is queued, for ``timeout`` seconds at most, and take nothing more in."""
        self._writer.close(timeout)

    def stats(self) -> Stats:
        """What this process has queued, written and dropped."""
        return self._writer.stats()

    def consents(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[ConsentRecord]:
        """The choices made in [since, until), in the order of their saving, in constant memory."""
        return read.consents(self._database, since=since, until=until)

    def usage(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[UsageRow]:
        """The page views of [since, until), in the order of their saving, in constant memory."""
        return read.usage(self._database, since=since, until=until)

    def count_consents(self, since: datetime | None = None, until: datetime | None = None) -> int:
        """How many records `consents` would give."""
        return read.total(self._database, schema.consents, since=since, until=until)

    def count_usage(self, since: datetime | None = None, until: datetime | None = None) -> int:
        """How many rows `usage` would give."""
        return read.total(self._database, schema.usage, since=since, until=until)

    def latest_consent(self, consent_id: str) -> ConsentRecord | None:
        """The last choice saved under this id, or None."""
        return read.latest_consent(self._database, consent_id)

    def sums(self, since: datetime | None = None, until: datetime | None = None, *, top: int = 10) -> Sums:
        """The sums of [since, until) that reports are made of, from one snapshot."""
        return read.sums(self._database, since=since, until=until, top=top)

    def blocked(self, since: datetime | None = None, until: datetime | None = None) -> list[Blocked]:
        """What was withheld in the hours that start in [since, until), the most frequent first."""
        return read.blocked(self._database, since=since, until=until)

    @property
    def _writer(self) -> Writer:
        """The writer of this process. A forked child gets its own: its parent's thread did not come along.

        The parent's writer is kept, untouched: closing a connection made before the fork could harm the file.
        """
        if self._current.pid != os.getpid():
            self._inherited += (self._current,)
            self._current = self._own_writer()
        return self._current

    def _own_writer(self) -> Writer:
        writer = self._new_writer()
        weakref.finalize(self, writer.close, CLOSE_SECONDS)
        return writer


def _settle(loop: asyncio.AbstractEventLoop, saved: asyncio.Future[None], error: StoreError | None) -> None:
    """Tell the waiting coroutine, from the writer's thread."""

    def tell() -> None:
        if not saved.done():
            saved.set_result(None) if error is None else saved.set_exception(error)

    with suppress(RuntimeError):  # the loop was closed, so nobody waits any more
        loop.call_soon_threadsafe(tell)


def _path(url_or_path: str | Path) -> Path:
    """The file that a URL or path names."""
    text = str(url_or_path)
    scheme, separator, _ = text.partition("://")
    if not separator:
        path: str | None = text
    elif scheme not in SCHEMES:
        raise StoreError(f"{scheme}:// is no store this version knows: use sqlite:///cookiegate.db or a file's path")
    else:
        path = _database_of(text)
    if not path or path == ":memory:" or "\x00" in path:
        raise StoreError(f"{text!r} names no file: use a path such as cookiegate.db, or sqlite:///cookiegate.db")
    return Path(path).expanduser()


def _database_of(url: str) -> str | None:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise StoreError(f"{url!r} is no database URL: use sqlite:///cookiegate.db") from error
    if parsed.query or parsed.host:
        raise StoreError(f"{url!r} has more than a path: use sqlite:///cookiegate.db, three slashes and no options")
    return parsed.database
