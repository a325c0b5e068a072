"""What is read from the store: single records, streams of them, and the sums that reports need.

Streams come in the order of writing, from one snapshot, a chunk at a time: their memory does not grow with
the store. Sums read the rollups, one row per visit and the choices; never the page views.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ..gate import Layer
from ..record import ConsentRecord
from . import rows, schema
from .sqlite import SQLite
from .values import UsageRow

CHUNK = 1000
"""Rows fetched at once by a stream."""


@dataclass(frozen=True, slots=True)
class Named:
    """How many page views something has. ``host`` is the site's host it was seen on."""

    host: str
    name: str
    views: int


@dataclass(frozen=True, slots=True)
class Blocked:
    """How many times something was withheld. The other fields are those of a `record.Sighting`."""

    times: int
    layer: Layer
    what: str
    host: str
    cookie: str
    service: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of one period, from one snapshot.

    Attributes:
        views, detailed, undecided: page views; those with a usage record; those before any choice.
        visits, single: visits; those of one view, whose length nobody knows.
        lengths: ``(whole seconds, visits)`` of the other visits, shortest first.
        pages, browsers: most viewed first.
        outcomes: visitors by what the last choice they made in the period came to.
    """

    views: int
    detailed: int
    undecided: int
    visits: int
    single: int
    lengths: Sequence[tuple[int, int]]
    pages: Sequence[Named]
    browsers: Sequence[Named]
    outcomes: dict[str, int]


def consents(database: SQLite, *, since: datetime | None, until: datetime | None) -> Iterator[ConsentRecord]:
    """Choices made in [since, until)."""
    for row in _stream(database, schema.consents, rows.CONSENT_COLUMNS, since=since, until=until):
        yield rows.consent_record(row)


def usage(database: SQLite, *, since: datetime | None, until: datetime | None) -> Iterator[UsageRow]:
    """Page views of [since, until)."""
    for row in _stream(database, schema.usage, rows.USAGE_COLUMNS, since=since, until=until):
        yield rows.usage_value(row)


def total(database: SQLite, table: sa.Table, *, since: datetime | None, until: datetime | None) -> int:
    """How many rows of `consents` or `usage` lie in [since, until)."""
    with database.reading() as connection:
        number = sa.select(sa.func.count()).select_from(table).where(*_within(table.c.at, since, until))
        return connection.execute(number).scalar_one()


def latest_consent(database: SQLite, consent_id: str) -> ConsentRecord | None:
    """The last choice made under this id."""
    consents = schema.consents
    wanted = sa.select(*rows.CONSENT_COLUMNS).where(consents.c.consent_id == consent_id)
    with database.reading() as connection:
        row = connection.execute(wanted.order_by(consents.c.seq.desc()).limit(1)).first()
    return None if row is None else rows.consent_record(row)


def sums(database: SQLite, *, since: datetime | None, until: datetime | None, top: int) -> Sums:
    """The sums of [since, until); of pages and browsers the ``top`` most viewed.

    Rollups know whole hours: an hour counts when it starts in the period.
    """
    counters, browsers = schema.counters.c, schema.browsers.c
    with database.reading() as connection:
        views, detailed, undecided = _views(connection, since, until)
        visits, single = _visits(connection, since, until)
        return Sums(
            views=views,
            detailed=detailed,
            undecided=undecided,
            visits=visits,
            single=single,
            lengths=_lengths(connection, since, until),
            pages=_top(connection, counters.page, _within(counters.hour, since, until), top),
            browsers=_top(connection, browsers.browser, _within(browsers.hour, since, until), top),
            outcomes=_outcomes(connection, since, until),
        )


def blocked(database: SQLite, *, since: datetime | None, until: datetime | None) -> list[Blocked]:
    """What was withheld in [since, until), summed over its hours. An hour counts when it starts in the period."""
    table = schema.withheld
    fields = [column for column in table.primary_key if column is not table.c.hour]
    times = sa.func.sum(table.c.times)
    query = sa.select(times, *fields).where(*_within(table.c.hour, since, until)).group_by(*fields)
    with database.reading() as connection:
        found = connection.execute(query.order_by(times.desc(), *fields))
        return [Blocked(int(number), *rest) for number, *rest in found]


def _stream(
    database: SQLite,
    table: sa.Table,
    columns: Sequence[sa.Column[Any]],
    *,
    since: datetime | None,
    until: datetime | None,
) -> Iterator[sa.Row[Any]]:
    at, seq = table.c.at, table.c.seq
    with database.reading() as connection:
        wanted = sa.select(*columns).order_by(seq)
        if since is not None or until is not None:
            # Bounds on the number keep the database on it: by the index of moments it would have to sort, and so
            # to hold, the whole answer.
            within = _within(at, since, until)
            first, last = connection.execute(sa.select(sa.func.min(seq), sa.func.max(seq)).where(*within)).one()
            wanted = wanted.where(seq.between(first, last), *within)
        yield from connection.execution_options(yield_per=CHUNK).execute(wanted)


def _within(
    moment: sa.ColumnElement[datetime], since: datetime | None, until: datetime | None
) -> list[sa.ColumnElement[bool]]:
    """The conditions of [since, until)."""
    after = [] if since is None else [moment >= since]
    return after if until is None else [*after, moment < until]


def _views(connection: sa.Connection, since: datetime | None, until: datetime | None) -> tuple[int, int, int]:
    """Page views, those with a usage record, those before any choice."""
    counters = schema.counters.c
    query = sa.select(counters.consented, counters.undecided, sa.func.sum(counters.views))
    groups = connection.execute(
        query.where(*_within(counters.hour, since, until)).group_by(counters.consented, counters.undecided)
    ).all()
    return (
        sum(int(views) for _, _, views in groups),
        sum(int(views) for consented, _, views in groups if consented),
        sum(int(views) for _, undecided, views in groups if undecided),
    )


def _visits(connection: sa.Connection, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Visits begun in the period, and those of one view."""
    visits = schema.visits.c
    single = sa.func.coalesce(sa.func.sum(sa.case((visits.views == 1, 1), else_=0)), 0)
    query = sa.select(sa.func.count(), single).select_from(schema.visits)
    number, ones = connection.execute(query.where(*_within(visits.started_at, since, until))).one()
    return int(number), int(ones)


def _lengths(connection: sa.Connection, since: datetime | None, until: datetime | None) -> list[tuple[int, int]]:
    """How many visits of several views lasted how many seconds: a histogram, so that few rows are sorted."""
    visits = schema.visits.c
    micros = sa.type_coerce(visits.last_at, sa.BigInteger) - sa.type_coerce(visits.started_at, sa.BigInteger)
    seconds = (micros // 1_000_000).label("seconds")
    query = sa.select(seconds, sa.func.count()).where(visits.views > 1, *_within(visits.started_at, since, until))
    return [(int(length), number) for length, number in connection.execute(query.group_by(seconds).order_by(seconds))]


def _top(
    connection: sa.Connection, name: sa.Column[str], conditions: Sequence[sa.ColumnElement[bool]], top: int
) -> list[Named]:
    table = name.table
    views = sa.func.sum(table.c.views)
    query = sa.select(table.c.host, name, views).where(*conditions).group_by(table.c.host, name)
    ordered = query.order_by(views.desc(), name, table.c.host).limit(top)
    return [Named(host, value, int(number)) for host, value, number in connection.execute(ordered)]


def _outcomes(connection: sa.Connection, since: datetime | None, until: datetime | None) -> dict[str, int]:
    """Visitors by the outcome of the last choice each made in the period."""
    consents = schema.consents.c
    last = sa.select(sa.func.max(consents.seq)).where(*_within(consents.at, since, until))
    query = sa.select(consents.outcome, sa.func.count())
    chosen = query.where(consents.seq.in_(last.group_by(consents.consent_id))).group_by(consents.outcome)
    return dict(connection.execute(chosen).all())
