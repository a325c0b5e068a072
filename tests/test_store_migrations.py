"""Migrations: whole or not at all, in order, once, and the tables that the statements expect."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from store_samples import NOON, opened, query, sighting

from cookiegate.errors import SchemaError, StoreError
from cookiegate.store import schema
from cookiegate.store.migrations import MIGRATIONS, Migration, migrate, pending
from cookiegate.store.sqlite import SQLite

FIRST_SCHEMA = Path(__file__).parent / "vectors" / "store-schema-1.sql"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookiegate.db"


@pytest.fixture
def database(path: Path) -> SQLite:
    made = SQLite(path)
    made.create()
    return made


def add_colour(connection: sa.Connection, _: object) -> None:
    connection.execute(sa.text("ALTER TABLE visits ADD COLUMN colour TEXT"))


def fail_half_way(connection: sa.Connection, words: object) -> None:
    add_colour(connection, words)
    connection.execute(sa.text("ALTER TABLE nowhere ADD COLUMN x"))


COLOUR = Migration(len(MIGRATIONS) + 1, "colour", add_colour)
BROKEN = Migration(len(MIGRATIONS) + 1, "colour", fail_half_way)


def test_numbers_run_from_one() -> None:
    assert [step.number for step in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_pending_reads_only(database: SQLite, path: Path) -> None:
    assert pending(database) == MIGRATIONS
    assert path.read_bytes() == b""
    migrate(database, now=NOON)
    assert pending(database) == ()


def test_each_step_is_recorded(database: SQLite, path: Path) -> None:
    migrate(database, now=NOON)
    micros = int(NOON.timestamp()) * 1_000_000
    expected = [(step.number, step.name, micros) for step in MIGRATIONS]
    assert query(path, "SELECT number, name, applied_at FROM cookiegate_migrations") == expected


def test_a_later_step_is_applied_to_a_store_in_use(path: Path, database: SQLite) -> None:
    keys = opened(path).keys()
    migrate(database, now=NOON, steps=(*MIGRATIONS, COLOUR))
    assert "colour" in {name for _, name, *_ in query(path, "PRAGMA table_info(visits)")}
    with pytest.raises(SchemaError, match="upgrade cookiegate"):
        opened(path)
    assert query(path, "SELECT key FROM keys") == [(keys[0],)]


def test_a_step_that_fails_leaves_no_trace(path: Path, database: SQLite) -> None:
    migrate(database, now=NOON)
    with pytest.raises(StoreError, match="no such table: nowhere"):
        migrate(database, now=NOON, steps=(*MIGRATIONS, BROKEN))
    assert "colour" not in {name for _, name, *_ in query(path, "PRAGMA table_info(visits)")}
    assert query(path, "SELECT max(number) FROM cookiegate_migrations") == [(len(MIGRATIONS),)]
    migrate(database, now=NOON, steps=(*MIGRATIONS, COLOUR))


def test_records_of_other_steps_are_refused(path: Path, database: SQLite) -> None:
    migrate(database, now=NOON)
    query(path, "UPDATE cookiegate_migrations SET name = 'something else'")
    with pytest.raises(SchemaError, match=r"something else.*restore a backup"):
        pending(database)


def test_a_store_of_the_first_schema_is_upgraded_in_place(path: Path) -> None:
    """The dump is of a store that was in use, so it also holds the first step to what was released."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_SCHEMA.read_text("utf-8"))
    rows = {
        table: query(path, f"SELECT * FROM {table}") for table in ("consents", "usage", "visits", "counters", "keys")
    }
    assert all(rows.values())

    store = opened(path)
    assert {table: query(path, f"SELECT * FROM {table}") for table in rows} == rows
    assert [(choice.method, choice.choices) for choice in store.consents()] == [
        ("save", {"analytics": True, "marketing": False})
    ]
    assert store.put_sighting(sighting(), 3)
    store.close()
    assert [found.times for found in store.blocked()] == [3]
    assert query(path, "SELECT number FROM cookiegate_migrations") == [(step.number,) for step in MIGRATIONS]


def test_an_upgraded_store_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST_SCHEMA.read_text("utf-8"))
    opened(path)
    opened(tmp_path / "new.db")
    tables = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    assert query(path, tables) == query(tmp_path / "new.db", tables)


def test_two_that_start_at_once_apply_each_step_once(path: Path) -> None:
    failures: list[BaseException] = []
    together = threading.Barrier(8)

    def start() -> None:
        try:
            together.wait()
            opened(path).keys()
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert query(path, "SELECT count(*) FROM cookiegate_migrations") == [(len(MIGRATIONS),)]
    assert query(path, "SELECT count(*) FROM keys") == [(1,)]


def test_the_tables_are_those_the_statements_expect(path: Path, database: SQLite) -> None:
    migrate(database, now=NOON)
    for table in schema.metadata.tables.values():
        live = {
            (name, bool(required) or bool(key))
            for _, name, _, required, _, key in query(path, f"PRAGMA table_info({table.name})")
        }
        assert live == {(column.name, not column.nullable) for column in table.columns}, table.name


def test_every_length_the_code_cuts_to_is_the_tables_own(path: Path, database: SQLite) -> None:
    migrate(database, now=NOON)
    for table in schema.metadata.tables.values():
        ((sql,),) = query(path, "SELECT sql FROM sqlite_master WHERE name = ?", table.name)
        for column in table.columns:
            if isinstance(column.type, schema.VisitorText):
                assert f"length({column.name}) <= {column.type.length})" in sql
                assert f"{column.name} VARCHAR({column.type.length})" in sql


def test_the_sql_is_not_sqlites_alone() -> None:
    """No statement that only SQLite would understand: what differs is in the words a database supplies."""
    words = {"serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "bytes": "BYTEA", "clustered": ""}
    seen: list[str] = []

    class Recorder:
        def execute(self, statement: sa.TextClause) -> None:
            seen.append(str(statement.compile(dialect=postgresql.dialect())))  # type: ignore[no-untyped-call]

    for step in MIGRATIONS:
        step.apply(Recorder(), words)  # type: ignore[arg-type]
    for word in ("AUTOINCREMENT", "WITHOUT ROWID", "BLOB", "PRAGMA", "{", "typeof", "strftime"):
        assert word not in " ".join(seen)


def test_the_database_itself_refuses_a_broken_step(path: Path, database: SQLite) -> None:
    migrate(database, now=NOON)
    with pytest.raises(sqlite3.IntegrityError):
        query(path, "INSERT INTO cookiegate_migrations VALUES (1, 'again', 0)")
