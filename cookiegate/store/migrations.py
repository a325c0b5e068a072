"""How the tables came to be: numbered steps, each applied together with its record in one transaction.

A step that has been released is never edited; what changes comes as a new one. The SQL is the same for every
database but for the words in braces, which the database supplies. Its constraints refuse malformed rows
whoever writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ..errors import SchemaError, StoreError
from . import schema
from .sqlite import SQLite

_MOMENT = "BETWEEN 0 AND 253402300799999999"
"""1970 to 9999: what a `datetime` can hold."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. ``apply`` runs inside the transaction that also records it."""

    number: int
    name: str
    apply: Callable[[sa.Connection, Mapping[str, str]], None]


def _first(connection: sa.Connection, words: Mapping[str, str]) -> None:
    for statement in _FIRST:
        connection.execute(sa.text(statement.format(moment=_MOMENT, **words)))


def _second(connection: sa.Connection, words: Mapping[str, str]) -> None:
    connection.execute(sa.text(_SECOND.format(moment=_MOMENT, **words)))


_FIRST = (
    """
    CREATE TABLE keys (
        seq {serial},
        key {bytes} NOT NULL CONSTRAINT keys_key UNIQUE CONSTRAINT keys_length CHECK (length(key) = 32),
        created_at BIGINT NOT NULL CONSTRAINT keys_created_at CHECK (created_at {moment})
    )
    """,
    """
    CREATE TABLE salts (
        day VARCHAR(10) NOT NULL PRIMARY KEY CONSTRAINT salts_day CHECK (day LIKE '____-__-__'),
        salt {bytes} NOT NULL CONSTRAINT salts_length CHECK (length(salt) = 32)
    )
    """,
    """
    CREATE TABLE consents (
        seq {serial},
        record_id VARCHAR(64) NOT NULL CONSTRAINT consents_record_id UNIQUE
            CONSTRAINT consents_record_id_length CHECK (length(record_id) BETWEEN 1 AND 64),
        consent_id VARCHAR(64) NOT NULL
            CONSTRAINT consents_consent_id CHECK (length(consent_id) BETWEEN 1 AND 64),
        at BIGINT NOT NULL CONSTRAINT consents_at CHECK (at {moment}),
        valid_until BIGINT NOT NULL
            CONSTRAINT consents_valid_until CHECK (valid_until {moment} AND valid_until >= at),
        method VARCHAR(10) NOT NULL
            CONSTRAINT consents_method CHECK (method IN ('accept', 'reject', 'save', 'allow')),
        source VARCHAR(100) NOT NULL CONSTRAINT consents_source CHECK (length(source) <= 100),
        choices TEXT NOT NULL CONSTRAINT consents_choices CHECK (length(choices) BETWEEN 2 AND 65536),
        outcome VARCHAR(10) NOT NULL
            CONSTRAINT consents_outcome CHECK (outcome IN ('accepted', 'partly', 'rejected')),
        policy_version VARCHAR(200) NOT NULL
            CONSTRAINT consents_policy_version CHECK (length(policy_version) <= 200),
        banner_hash VARCHAR(128) NOT NULL CONSTRAINT consents_banner_hash CHECK (length(banner_hash) <= 128),
        locale VARCHAR(35) NOT NULL CONSTRAINT consents_locale CHECK (length(locale) <= 35),
        host VARCHAR(255) NOT NULL CONSTRAINT consents_host CHECK (length(host) <= 255),
        path VARCHAR(2048) NOT NULL CONSTRAINT consents_path CHECK (length(path) <= 2048),
        gpc BOOLEAN NOT NULL CONSTRAINT consents_gpc CHECK (gpc IN (false, true)),
        dnt BOOLEAN NOT NULL CONSTRAINT consents_dnt CHECK (dnt IN (false, true)),
        country VARCHAR(2) NOT NULL CONSTRAINT consents_country CHECK (length(country) IN (0, 2)),
        profile VARCHAR(100) NOT NULL CONSTRAINT consents_profile CHECK (length(profile) <= 100)
    )
    """,
    "CREATE INDEX consents_by_moment ON consents (at)",
    "CREATE INDEX consents_by_visitor ON consents (consent_id, seq)",
    """
    CREATE TABLE visits (
        id VARCHAR(32) NOT NULL PRIMARY KEY CONSTRAINT visits_id CHECK (length(id) BETWEEN 1 AND 32),
        key VARCHAR(128) CONSTRAINT visits_key UNIQUE
            CONSTRAINT visits_key_length CHECK (length(key) BETWEEN 1 AND 128),
        host VARCHAR(255) NOT NULL CONSTRAINT visits_host CHECK (length(host) <= 255),
        started_at BIGINT NOT NULL CONSTRAINT visits_started_at CHECK (started_at {moment}),
        last_at BIGINT NOT NULL CONSTRAINT visits_last_at CHECK (last_at {moment} AND last_at >= started_at),
        views INTEGER NOT NULL CONSTRAINT visits_views CHECK (views >= 1),
        entry_path VARCHAR(2048) NOT NULL CONSTRAINT visits_entry_path CHECK (length(entry_path) <= 2048),
        exit_path VARCHAR(2048) NOT NULL CONSTRAINT visits_exit_path CHECK (length(exit_path) <= 2048)
    )
    """,
    "CREATE INDEX visits_by_moment ON visits (started_at)",
    """
    CREATE TABLE usage (
        seq {serial},
        at BIGINT NOT NULL CONSTRAINT usage_at CHECK (at {moment}),
        visit_id VARCHAR(32) CONSTRAINT usage_visit_id REFERENCES visits (id) ON DELETE SET NULL,
        position INTEGER CONSTRAINT usage_position CHECK (position >= 1),
        host VARCHAR(255) NOT NULL CONSTRAINT usage_host CHECK (length(host) <= 255),
        path VARCHAR(2048) NOT NULL CONSTRAINT usage_path CHECK (length(path) <= 2048),
        purpose VARCHAR(100) NOT NULL CONSTRAINT usage_purpose CHECK (length(purpose) BETWEEN 1 AND 100),
        basis VARCHAR(20) NOT NULL CONSTRAINT usage_basis CHECK (basis IN (
            'consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task',
            'legitimate_interests'
        )),
        policy_version VARCHAR(200) NOT NULL
            CONSTRAINT usage_policy_version CHECK (length(policy_version) <= 200),
        consent_id VARCHAR(64) NOT NULL CONSTRAINT usage_consent_id CHECK (length(consent_id) <= 64),
        status INTEGER NOT NULL CONSTRAINT usage_status CHECK (status BETWEEN 100 AND 599),
        duration_ms INTEGER NOT NULL CONSTRAINT usage_duration_ms CHECK (duration_ms >= 0),
        referrer VARCHAR(2048) CONSTRAINT usage_referrer CHECK (length(referrer) <= 2048),
        ip VARCHAR(45) CONSTRAINT usage_ip CHECK (length(ip) <= 45),
        country VARCHAR(2) CONSTRAINT usage_country CHECK (length(country) IN (0, 2)),
        browser VARCHAR(100) CONSTRAINT usage_browser CHECK (length(browser) <= 100),
        browser_version VARCHAR(100) CONSTRAINT usage_browser_version CHECK (length(browser_version) <= 100),
        os VARCHAR(100) CONSTRAINT usage_os CHECK (length(os) <= 100),
        os_version VARCHAR(100) CONSTRAINT usage_os_version CHECK (length(os_version) <= 100),
        device VARCHAR(10)
            CONSTRAINT usage_device CHECK (device IN ('desktop', 'mobile', 'tablet', 'other')),
        CONSTRAINT usage_place CHECK ((visit_id IS NULL) OR (position IS NOT NULL))
    )
    """,
    "CREATE INDEX usage_by_moment ON usage (at)",
    "CREATE INDEX usage_by_visit ON usage (visit_id)",
    "CREATE INDEX usage_by_visitor ON usage (consent_id)",
    """
    CREATE TABLE counters (
        hour BIGINT NOT NULL CONSTRAINT counters_hour CHECK (hour {moment} AND hour % 3600000000 = 0),
        host VARCHAR(255) NOT NULL CONSTRAINT counters_host CHECK (length(host) <= 255),
        page VARCHAR(2048) NOT NULL CONSTRAINT counters_page CHECK (length(page) <= 2048),
        country VARCHAR(2) NOT NULL CONSTRAINT counters_country CHECK (length(country) IN (0, 2)),
        consented BOOLEAN NOT NULL CONSTRAINT counters_consented CHECK (consented IN (false, true)),
        undecided BOOLEAN NOT NULL CONSTRAINT counters_undecided CHECK (undecided IN (false, true)),
        views BIGINT NOT NULL CONSTRAINT counters_views CHECK (views >= 1),
        PRIMARY KEY (hour, host, page, country, consented, undecided)
    ){clustered}
    """,
    """
    CREATE TABLE browsers (
        hour BIGINT NOT NULL CONSTRAINT browsers_hour CHECK (hour {moment} AND hour % 3600000000 = 0),
        host VARCHAR(255) NOT NULL CONSTRAINT browsers_host CHECK (length(host) <= 255),
        browser VARCHAR(100) NOT NULL CONSTRAINT browsers_browser CHECK (length(browser) <= 100),
        views BIGINT NOT NULL CONSTRAINT browsers_views CHECK (views >= 1),
        PRIMARY KEY (hour, host, browser)
    ){clustered}
    """,
)

_SECOND = """
    CREATE TABLE withheld (
        hour BIGINT NOT NULL CONSTRAINT withheld_hour CHECK (hour {moment} AND hour % 3600000000 = 0),
        layer VARCHAR(10) NOT NULL CONSTRAINT withheld_layer CHECK (layer IN ('markup', 'headers', 'wall')),
        what VARCHAR(100) NOT NULL CONSTRAINT withheld_what CHECK (length(what) <= 100),
        host VARCHAR(255) NOT NULL CONSTRAINT withheld_host CHECK (length(host) <= 255),
        cookie VARCHAR(255) NOT NULL CONSTRAINT withheld_cookie CHECK (length(cookie) <= 255),
        service VARCHAR(100) NOT NULL CONSTRAINT withheld_service CHECK (length(service) <= 100),
        purpose VARCHAR(100) NOT NULL CONSTRAINT withheld_purpose CHECK (length(purpose) <= 100),
        times BIGINT NOT NULL CONSTRAINT withheld_times CHECK (times >= 1),
        PRIMARY KEY (hour, layer, what, host, cookie, service, purpose)
    ){clustered}
    """

MIGRATIONS = (
    Migration(1, "consents, usage, visits, counters, keys and salts", _first),
    Migration(2, "what was withheld", _second),
)
"""Every step, in order. A store's schema is the number of the last one it holds."""

_RECORDS = """
    CREATE TABLE cookiegate_migrations (
        number INTEGER NOT NULL PRIMARY KEY,
        name VARCHAR(200) NOT NULL,
        applied_at BIGINT NOT NULL
    )
"""


def pending(database: SQLite, *, steps: tuple[Migration, ...] = MIGRATIONS) -> tuple[Migration, ...]:
    """The steps that the store still lacks, in order. Reads only.

    Raises:
        SchemaError: the store is newer than this code, or its steps are not the ones this code knows.
        StoreError: the database holds something else, or cannot be read.
    """
    with database.reading() as connection:
        return _missing(connection, database, steps)


def migrate(database: SQLite, *, now: datetime, steps: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Bring the store to the newest schema, one transaction per step.

    Safe between processes: each step is chosen again once the database's write lock is held.
    """
    while pending(database, steps=steps):
        with database.writing() as connection:
            missing = _missing(connection, database, steps)
            if missing:
                _apply(connection, missing[0], words=database.words, now=now)


def _apply(connection: sa.Connection, step: Migration, *, words: Mapping[str, str], now: datetime) -> None:
    if step.number == 1:
        connection.execute(sa.text(_RECORDS))
    step.apply(connection, words)
    row = {"number": step.number, "name": step.name, "applied_at": now}
    connection.execute(sa.insert(schema.migrations).values(row))


def _missing(connection: sa.Connection, database: SQLite, steps: tuple[Migration, ...]) -> tuple[Migration, ...]:
    applied = _applied(connection, database)
    known = {step.number: step.name for step in steps}
    if applied and max(applied) > max(known):
        raise SchemaError(
            f"{database.location} was written by a newer cookiegate (schema {max(applied)}; this one knows "
            f"{max(known)}): upgrade cookiegate, or restore the copy made before the upgrade"
        )
    if applied != dict(list(known.items())[: len(applied)]):
        raise SchemaError(
            f"{database.location} records migrations this cookiegate does not know "
            f"({', '.join(f'{number} {name!r}' for number, name in applied.items())}): use the cookiegate "
            "that made it, or restore a backup"
        )
    return steps[len(applied) :]


def _applied(connection: sa.Connection, database: SQLite) -> dict[int, str]:
    """Number and name of every step recorded, in order; none for an empty database."""
    tables = set(sa.inspect(connection).get_table_names())
    if schema.migrations.name in tables:
        recorded = sa.select(schema.migrations.c.number, schema.migrations.c.name)
        return dict(connection.execute(recorded.order_by("number")).all())
    if tables:
        raise StoreError(
            f"{database.location} is another program's database (it has the table {min(tables)!r}): give "
            "cookiegate a file of its own"
        )
    return {}
