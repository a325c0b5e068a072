"""The one writer of a process: one thread, one transaction for whatever is waiting.

No time window: the thread takes what is there, commits, and looks again, so that a lone choice is durable as
soon as the disk is, and under load the batches grow by themselves. A choice is acknowledged after its commit
and never before. Page views wait in memory while the database is away and are written when it is back, up to
the inbox's limit.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from ..errors import StoreError
from ..record import Count, UsageRecord
from . import rows
from .inbox import Batch, Choice, Event, Inbox, Sightings
from .secrets import destroy_salts, next_destruction
from .sqlite import SQLite, is_about_a_row, is_locked
from .values import Stats

BATCH = 2000
"""Most page views and counts in one transaction, so that a choice behind them waits for milliseconds only."""
PATIENCE = 10.0
"""Seconds for which a choice is tried again while another process holds the database locked."""
TICK = 60.0
"""Seconds after which an idle writer looks whether a salt is due to be destroyed."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds before page views are tried again; doubled each time."""

_log = logging.getLogger("cookiegate.store")


class Writer:
    """Writes what is put, in a thread that starts with the first put. Belongs to the process that made it."""

    def __init__(self, database: SQLite, *, clock: Callable[[], datetime], limit: int) -> None:
        self._database = database
        self._clock = clock
        self._inbox = Inbox(limit=limit, batch=BATCH)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connection: sa.Connection | None = None
        self._file: object = None
        self._pause = FIRST_PAUSE
        self._said: set[tuple[str, str]] = set()
        self._away = False
        self._tidy_at = datetime.min.replace(tzinfo=UTC)
        self._written = self._lost = self._failed = 0
        self._last_error = ""
        self.pid = os.getpid()

    def put_choice(self, choice: Choice) -> None:
        """Queue a choice.

        Raises:
            StoreError: the store is closed, or too many choices wait already.
        """
        if not self._inbox.add_choice(choice):
            raise _refusal(closed=self._inbox.closed)
        self.start()

    def put_event(self, event: Event) -> bool:
        """Queue a page view or a count; False, and counted as dropped: the queue is full or closed."""
        queued = self._inbox.add_event(event)
        if queued:
            self.start()
        return queued

    def start(self) -> None:
        """Start the thread, once."""
        if self._thread is None and not self._inbox.closed:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="cookiegate-store", daemon=True)
                    self._thread.start()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was put is written or given up; False after ``timeout`` seconds."""
        return self._inbox.wait_until_empty(timeout)

    def close(self, timeout: float) -> None:
        """Write what waits, for ``timeout`` seconds at most, then stop. Nothing in a forked child."""
        if self.pid != os.getpid():
            return
        self._inbox.close(timeout)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout + 0.1)
        left = self._inbox.clear()
        for choice in left.choices:
            choice.settle(_refusal(closed=True))
        if len(left):
            _log.error("closed with %s unwritten: %s", _words(left), self._last_error or "the time was too short")

    def stats(self) -> Stats:
        """What was done so far."""
        return Stats(
            queued=self._inbox.queued,
            written=self._written,
            dropped=self._inbox.refused + self._lost,
            failed_batches=self._failed,
            last_error=self._last_error,
        )

    def _run(self) -> None:
        while (batch := self._inbox.take(wait=TICK)) is not None:
            if len(batch):
                self._write(batch)
            self._tidy()
            self._inbox.done()
        self._disconnect()

    def _write(self, batch: Batch) -> None:
        error = self._attempt(batch)
        if error is None:
            self._succeeded(batch)
        elif is_about_a_row(error):
            self._isolate(batch, error)
        else:
            self._postpone(batch, error)

    def _attempt(self, batch: Batch) -> Exception | None:
        """Commit the batch; one with choices again and again while another process holds the lock."""
        while True:
            error = self._commit(batch)
            if error is None:
                return None
            self._failed += 1
            self._last_error = str(self._database.explain(error))
            waited = max((time.monotonic() - choice.since for choice in batch.choices), default=PATIENCE)
            if not is_locked(error) or waited >= PATIENCE or self._inbox.expired:
                return error
            time.sleep(FIRST_PAUSE)

    def _commit(self, batch: Batch) -> Exception | None:
        try:
            with self._connected().begin() as transaction:
                rows.save(
                    transaction.connection,
                    self._database,
                    choices=[choice.record for choice in batch.choices],
                    views=[event for event in batch.events if isinstance(event, UsageRecord)],
                    counts=[event for event in batch.events if isinstance(event, Count)],
                    sightings=[event for event in batch.events if isinstance(event, Sightings)],
                )
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a row, the thread outlives it
            self._disconnect()
            return error
        return None

    def _succeeded(self, batch: Batch) -> None:
        self._written += len(batch)
        self._pause = FIRST_PAUSE
        if self._away:
            self._away = False
            self._said.clear()  # the database is back: its next failure is news again
        for choice in batch.choices:
            choice.settle(None)

    def _isolate(self, batch: Batch, error: Exception) -> None:
        """Find the row that is to blame by halving, so that all the others are written."""
        if len(batch) == 1:
            self._give_up(batch, error)
        else:
            for part in batch.parts():
                self._write(part)

    def _postpone(self, batch: Batch, error: Exception) -> None:
        """The database is away: page views wait until it is back, the visitor who chose is told at once."""
        self._away = True
        choices, events = Batch(choices=batch.choices), Batch(events=batch.events)
        if batch.events:
            self._rest(events, error)
        if batch.events and batch.choices and not is_locked(error):
            self._write(choices)  # a full disk may have room for these
        elif batch.choices:
            self._give_up(choices, error)

    def _rest(self, batch: Batch, error: Exception) -> None:
        """Let page views wait for another try, if there is time for one."""
        if self._inbox.put_back(batch.events, pause=self._pause):
            self._say(batch, "wait", error)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        else:
            self._give_up(batch, error)

    def _give_up(self, batch: Batch, error: Exception) -> None:
        self._say(batch, "not saved", error)
        self._lost += len(batch.events)
        for choice in batch.choices:
            choice.settle(self._database.explain(error))

    def _say(self, batch: Batch, fate: str, error: Exception) -> None:
        """Log what became of a batch and why, but not again and again while it is the same."""
        said = (fate, str(self._database.explain(error)))
        if said not in self._said:
            _log.error("%s %s: %s", _words(batch), *said)
        self._said.add(said)

    def _connected(self) -> sa.Connection:
        """The thread's connection: opened again after a failure, and where the file is not the one it was."""
        file = self._database.file()
        if self._connection is None or file != self._file:
            self._disconnect()
            self._connection, self._file = self._database.connect(), file
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tidy(self) -> None:
        """Destroy the salts that are due, then empty the log, which holds what the pages held before.

        Each process does so when it starts and once a day: another one may have been killed half-way.
        """
        now = self._clock()
        if now < self._tidy_at:
            return
        try:
            destroy_salts(self._database, now=now)
            done = self._database.checkpoint()
        except StoreError as error:
            done = False
            _log.error("could not look for old visit salts, trying again: %s", error)
        self._tidy_at = next_destruction(now) if done else now + timedelta(seconds=TICK)


def _refusal(*, closed: bool) -> StoreError:
    if closed:
        return StoreError("the store is closed, so the choice was not saved: ask the visitor to try again")
    return StoreError("too many choices wait for the database: look at its disk, and ask the visitor to try again")


def _words(batch: Batch) -> str:
    """The size of a batch: ``1 choice(s), 3 page view(s)``; never what is in it."""
    parts = [(len(batch.choices), "choice(s)"), (len(batch.events), "page view(s) or count(s)")]
    return ", ".join(f"{number} {name}" for number, name in parts if number)
