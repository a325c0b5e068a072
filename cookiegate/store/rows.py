"""Records to rows and back, and how a batch of them is written inside an open transaction.

Rollups are counted in the same transaction as the rows they sum up, so neither can be there without the
other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC
from operator import attrgetter
from typing import Any, Literal

import sqlalchemy as sa

from ..policy import Basis
from ..record import ConsentRecord, Count, UsageRecord
from . import schema
from .inbox import Sightings
from .sqlite import SQLite
from .values import UsageRow
from .visits import Place, place_all

Row = dict[str, Any]
Outcome = Literal["accepted", "partly", "rejected"]

_CONSENT_FIELDS = tuple(field.name for field in fields(ConsentRecord))
_USAGE_FIELDS = tuple(field.name for field in fields(UsageRow))
_KEPT_FIELDS = tuple(name for name in _USAGE_FIELDS if name not in {"visit_id", "position"})
CONSENT_COLUMNS = tuple(schema.consents.c[name] for name in _CONSENT_FIELDS)
USAGE_COLUMNS = tuple(schema.usage.c[name] for name in _USAGE_FIELDS)


def outcome(choices: Mapping[str, bool], method: str) -> Outcome:
    """What the choices come to. Nothing asked is nothing granted; to allow one embed is not to accept all."""
    if not any(choices.values()):
        return "rejected"
    return "accepted" if all(choices.values()) and method != "allow" else "partly"


def consent_row(record: ConsentRecord) -> Row:
    """The row of a choice, less its sequence number."""
    row = {name: getattr(record, name) for name in _CONSENT_FIELDS}
    choices = dict(record.choices)
    text = json.dumps(choices, ensure_ascii=False, separators=(",", ":"))
    return row | {"choices": text, "outcome": outcome(choices, record.method)}


def consent_record(row: sa.Row[Any]) -> ConsentRecord:
    """The choice in a row of `CONSENT_COLUMNS`."""
    values = row._asdict()
    return ConsentRecord(**values | {"choices": json.loads(values["choices"])})


def usage_row(record: UsageRecord, place: Place) -> Row:
    """The row of a page view, less its sequence number. The keys are not in it."""
    row = {name: getattr(record, name) for name in _KEPT_FIELDS}
    return row | {"basis": str(record.basis), "visit_id": place.visit_id, "position": place.position}


def usage_value(row: sa.Row[Any]) -> UsageRow:
    """The page view in a row of `USAGE_COLUMNS`."""
    values = row._asdict()
    return UsageRow(**values | {"basis": Basis(values["basis"])})


def save(
    connection: sa.Connection,
    database: SQLite,
    *,
    choices: Sequence[ConsentRecord],
    views: Sequence[UsageRecord],
    counts: Sequence[Count],
    sightings: Sequence[Sightings] = (),
) -> None:
    """Write a batch. The caller holds the write lock and commits.

    A choice that is already there, by its ``record_id``, is left as it is: to save it again is no error.
    """
    if choices:
        insert = database.insert(schema.consents).on_conflict_do_nothing(index_elements=["record_id"])
        connection.execute(insert, [consent_row(record) for record in choices])
    if views:
        places = place_all(connection, views)
        rows = [usage_row(record, place) for record, place in zip(views, places, strict=True)]
        connection.execute(sa.insert(schema.usage), rows)
        _roll_up(connection, database, schema.browsers, Counter(_browser_keys(views)))
    _roll_up(connection, database, schema.counters, Counter(_counter_key(count) for count in counts))
    seen = Counter[tuple[object, ...]]()
    for several in sightings:
        seen[_withheld_key(several.sighting)] += several.times
    _roll_up(connection, database, schema.withheld, seen)


def _key_of(table: sa.Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key)


_counter_key = attrgetter(*_key_of(schema.counters))
_withheld_key = attrgetter(*_key_of(schema.withheld))


def _browser_keys(views: Iterable[UsageRecord]) -> Iterable[tuple[object, ...]]:
    for record in views:
        if record.browser is not None:
            hour = record.at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            yield hour, record.host, record.browser


def _roll_up(
    connection: sa.Connection, database: SQLite, table: sa.Table, numbers: Mapping[tuple[object, ...], int]
) -> None:
    """Add numbers to a table of counters: its primary key says of what, the one column beside it how many."""
    names = _key_of(table)
    (total,) = set(table.columns) - set(table.primary_key)
    rows = [dict(zip((*names, total.name), (*key, number), strict=True)) for key, number in numbers.items()]
    if rows:
        insert = database.insert(table)
        added = total + insert.excluded[total.name]
        connection.execute(insert.on_conflict_do_update(index_elements=list(names), set_={total.name: added}), rows)
