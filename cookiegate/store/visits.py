"""Which visit a page view belongs to, told inside the transaction that stores the view.

A visit is the views of one key with less than `GAP` between one and the next. Over midnight the key changes
with the salt: a view whose own key finds no visit looks for the key of the day before and takes the visit
over to its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from ..record import UsageRecord
from . import schema

GAP = timedelta(minutes=30)
"""Without a view for this long, a visit is over."""


_UPDATE = sa.update(schema.visits).where(schema.visits.c.id == sa.bindparam("visit"))


@dataclass(slots=True)
class Visit:
    """One visit, as it stands after the views placed so far."""

    id: str
    key: str | None
    host: str
    started_at: datetime
    last_at: datetime
    views: int
    entry_path: str
    exit_path: str
    stored: bool = False
    changed: bool = False

    def takes(self, at: datetime) -> bool:
        """Whether a view at this moment belongs to this visit. Views may arrive somewhat out of order."""
        return self.started_at - GAP < at < self.last_at + GAP

    def add(self, record: UsageRecord) -> int:
        """Count the view in, and return its position in the visit."""
        self.changed = True
        self.views += 1
        if record.at < self.started_at:
            self.started_at, self.entry_path = record.at, record.path
        if record.at >= self.last_at:
            self.last_at, self.exit_path = record.at, record.path
        return self.views


@dataclass(frozen=True, slots=True)
class Place:
    """A view's visit, and its position there from 1; both None for a view without a key."""

    visit_id: str | None = None
    position: int | None = None


class Visits:
    """The visits of one batch of views.

    Args:
        known: the stored visits that hold one of the batch's keys.
    """

    def __init__(self, known: Iterable[Visit]) -> None:
        self._all = list(known)
        self._by_key = {visit.key: visit for visit in self._all}

    def place(self, record: UsageRecord) -> Place:
        """Find or begin the visit of a view."""
        if record.visit_key is None:
            return Place()
        visit = self._find(record, record.visit_key) or self._begin(record, record.visit_key)
        return Place(visit.id, visit.add(record))

    def changes(self) -> tuple[list[Visit], list[Visit]]:
        """The visits to update, and those to insert after that: they may take keys that the others gave up."""
        updated = [visit for visit in self._all if visit.stored and visit.changed]
        return updated, [visit for visit in self._all if not visit.stored]

    def _find(self, record: UsageRecord, key: str) -> Visit | None:
        visit = self._by_key.get(key)
        if visit is not None:
            return visit if visit.takes(record.at) else None
        visit = self._by_key.get(record.previous_key)
        if record.previous_key is None or visit is None or not visit.takes(record.at):
            return None
        del self._by_key[record.previous_key]
        visit.key = key
        self._by_key[key] = visit
        return visit

    def _begin(self, record: UsageRecord, key: str) -> Visit:
        """A new visit. One that is over gives its key up: nothing may find it any more."""
        over = self._by_key.get(key)
        if over is not None:
            over.key, over.changed = None, True
        visit = Visit(
            id=secrets.token_hex(8),
            key=key,
            host=record.host,
            started_at=record.at,
            last_at=record.at,
            views=0,
            entry_path=record.path,
            exit_path=record.path,
        )
        self._all.append(visit)
        self._by_key[key] = visit
        return visit


def place_all(connection: sa.Connection, records: Sequence[UsageRecord]) -> list[Place]:
    """Place each view in its visit and store what changed of the visits. The caller holds the write lock."""
    visits = Visits(_known(connection, records))
    places = [visits.place(record) for record in records]
    updated, inserted = visits.changes()
    if updated:
        connection.execute(_UPDATE, [{"visit": visit.id, **_row(visit)} for visit in updated])
    if inserted:
        connection.execute(sa.insert(schema.visits), [{"id": visit.id, **_row(visit)} for visit in inserted])
    return places


def _known(connection: sa.Connection, records: Sequence[UsageRecord]) -> list[Visit]:
    keys = {record.visit_key for record in records} | {record.previous_key for record in records}
    wanted = sa.select(schema.visits).where(schema.visits.c.key.in_(sorted(filter(None, keys))))
    return [Visit(**row, stored=True) for row in connection.execute(wanted).mappings()]


def _row(visit: Visit) -> dict[str, object]:
    return {
        "key": visit.key,
        "host": visit.host,
        "started_at": visit.started_at,
        "last_at": visit.last_at,
        "views": visit.views,
        "entry_path": visit.entry_path,
        "exit_path": visit.exit_path,
    }
