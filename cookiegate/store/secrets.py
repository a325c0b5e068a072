"""The two secrets every worker shares: the keys that sign consent cookies, and the salts of visit keys.

Each is made once by whichever process holds the write lock first. A salt is destroyed, with the visit keys
made from it, `LINGER` after its day: a visit that crosses midnight takes the new day's key at its next view,
half an hour later at the latest; the rest is room for a writer that has to catch up.
"""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, date, datetime, time, timedelta

import sqlalchemy as sa

from ..errors import StoreError
from ..record import Salts
from . import schema
from .sqlite import SQLite

LINGER = timedelta(hours=4)
"""How long after midnight UTC the day before's salt is kept."""
RETRY = timedelta(seconds=30)
"""How long a process keeps to its own salt before it asks an unreachable store again."""

LOOP_PATIENCE = 0.25
"""Seconds that the first page view of a day may wait for the write lock: it waits on the event loop."""

_LENGTH = 32
_log = logging.getLogger("cookiegate.store")


def signing_keys(database: SQLite, *, now: datetime) -> tuple[bytes, ...]:
    """The 32-byte signing keys, oldest first. The first is made here if there is none."""
    with database.reading() as connection:
        keys = _signing_keys(connection)
    if keys:
        return keys
    with database.writing() as connection:
        if not _signing_keys(connection):
            row = {"key": secrets.token_bytes(_LENGTH), "created_at": now}
            connection.execute(sa.insert(schema.keys).values(row))
        return _signing_keys(connection)


def _signing_keys(connection: sa.Connection) -> tuple[bytes, ...]:
    return tuple(connection.scalars(sa.select(schema.keys.c.key).order_by(schema.keys.c.seq)))


class DailySalts:
    """The visit salts of the present day, kept in memory between the moments at which they change."""

    def __init__(self, database: SQLite) -> None:
        self._database = database
        self._salts: Salts | None = None
        self._own: dict[str, bytes] = {}
        self._since = self._until = datetime.min.replace(tzinfo=UTC)

    def at(self, now: datetime) -> Salts:
        """The salts for this moment.

        A page must not fail because the store is away: until it is back, this process uses a salt of its own,
        and visits are told apart per process.
        """
        if self._salts is None or not self._since <= now < self._until:
            try:
                self._salts = _load_salts(self._database, now=now)
                self._since, self._until = _span(now)
            except StoreError as error:
                _log.warning("visits of several processes are not joined for now: %s", error)
                self._salts = self._own_salts(_day(now))
                self._since, self._until = now, now + RETRY
        return self._salts

    def _own_salts(self, today: date) -> Salts:
        day = today.isoformat()
        current = self._own.get(day) or secrets.token_bytes(_LENGTH)
        self._own = {day: current}
        return Salts(day=day, current=current)


def _load_salts(database: SQLite, *, now: datetime) -> Salts:
    today = _day(now)
    with database.reading() as connection:
        salts = _salts(connection)
    if today.isoformat() not in salts:
        with database.writing(patience=LOOP_PATIENCE) as connection:
            row = {"day": today.isoformat(), "salt": secrets.token_bytes(_LENGTH)}
            connection.execute(database.insert(schema.salts).values(row).on_conflict_do_nothing())
            salts = _salts(connection)
    before = _oldest_day(now)
    previous = salts.get(before.isoformat()) if before < today else None
    return Salts(day=today.isoformat(), current=salts[today.isoformat()], previous=previous)


def _salts(connection: sa.Connection) -> dict[str, bytes]:
    return dict(connection.execute(sa.select(schema.salts.c.day, schema.salts.c.salt)).all())


def destroy_salts(database: SQLite, *, now: datetime) -> None:
    """Delete every salt that no visit needs any more, and the visit keys made from it.

    The bytes are gone once a checkpoint has emptied the write-ahead log as well.
    """
    oldest = _oldest_day(now)
    salts, visits = schema.salts, schema.visits
    spent = visits.c.key.is_not(None), visits.c.last_at < _midnight(oldest)
    with database.writing() as connection:
        connection.execute(sa.delete(salts).where(salts.c.day < oldest.isoformat()))
        connection.execute(sa.update(visits).where(*spent).values(key=None))


def next_destruction(now: datetime) -> datetime:
    """When the next salt is due to be destroyed."""
    due = _midnight(_day(now)) + LINGER
    return due if now < due else due + timedelta(days=1)


def _span(now: datetime) -> tuple[datetime, datetime]:
    """From when until when the salts of this moment hold."""
    midnight = _midnight(_day(now))
    if now < midnight + LINGER:
        return midnight, midnight + LINGER
    return midnight + LINGER, midnight + timedelta(days=1)


def _oldest_day(now: datetime) -> date:
    """The oldest day whose salt a visit may still need."""
    return _day(now - LINGER)


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
