"""SQLite: how to connect, begin and insert, and what its errors mean. The only module that knows the dialect.

Write-ahead log, so that readers and the writer never wait for each other; ``synchronous=FULL``, so that a
committed choice survives a power cut; ``secure_delete``, so that a destroyed salt's bytes are overwritten,
not just unlinked.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.pool import NullPool

from ..errors import StoreError

CHECKPOINT_SECONDS = 0.25
"""How long a checkpoint waits for readers; it keeps every writer waiting meanwhile."""

_LOCKED = "another process has kept it locked: find it (`fuser {path}`) and end its transaction"
_CURES = MappingProxyType(
    {
        sqlite3.SQLITE_BUSY: _LOCKED,
        sqlite3.SQLITE_LOCKED: _LOCKED,
        sqlite3.SQLITE_READONLY: "it may only be read: let this user write to the file and its directory",
        sqlite3.SQLITE_PERM: "access is denied: let this user write to the file and its directory",
        sqlite3.SQLITE_FULL: "the disk (or a limit on its size) is full: free some space on it",
        sqlite3.SQLITE_IOERR: "the disk failed: look at its free space, its quota and the system log",
        sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a backup, or save what is left with "
        "`sqlite3 {path} .recover`",
        sqlite3.SQLITE_NOTADB: "it is not an SQLite database: name another file, or move this one away",
        sqlite3.SQLITE_CONSTRAINT: "the record breaks this rule of docs/store.md and was refused",
        sqlite3.SQLITE_ERROR: "its tables are not what they were: if it was replaced, restart the program",
        sqlite3.SQLITE_CANTOPEN: "check that it was not moved or deleted and that this user may write in its "
        "directory (SQLite keeps two more files beside it)",
    }
)
_ON_CONNECT = (
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",  # a sort must not leave personal data in a temporary file
)


class SQLite:
    """One database file. It keeps no connection: a thread that wants one longer than for a transaction asks
    `connect`.

    Args:
        path: the file. `create` makes it; nothing else ever does.
    """

    words: Mapping[str, str] = MappingProxyType(
        {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "bytes": "BLOB", "clustered": " WITHOUT ROWID"}
    )
    """The words of this dialect in `migrations`."""

    busy_seconds = 5.0
    """How long one statement waits for another process's lock before it is an error."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self.location = str(path)
        # NullPool: a connection must not be carried through a fork. hide_parameters: an error must not carry
        # a visitor's data into a log.
        self._engine = sa.create_engine("sqlite://", creator=self._open, poolclass=NullPool, hide_parameters=True)
        sa.event.listen(self._engine, "begin", _begin)

    def exists(self) -> bool:
        """Whether there is anything at the path."""
        return self._path.exists()

    def file(self) -> tuple[int, int] | None:
        """Which file is at the path now, or None: one that was moved or replaced is another."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def create(self) -> None:
        """Make the file if there is none, for its owner alone. SQLite gives its companions the same mode."""
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            return
        except OSError as error:
            raise StoreError(
                f"cannot make {self.location} ({error.strerror}): check that its directory exists and that "
                "this user may write to it"
            ) from error

    def prepare(self) -> None:
        """Switch to the write-ahead log, which the file remembers.

        The switch needs the file for itself and SQLite does not wait for that, so processes that start
        together take turns here.
        """
        deadline = time.monotonic() + self.busy_seconds
        while True:
            try:
                (mode,) = self._pragma("journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() > deadline:
                    raise self.explain(error) from error
                time.sleep(0.01)
            except sqlite3.DatabaseError as error:
                raise self.explain(error) from error
            else:
                break
        if mode != "wal":
            raise StoreError(
                f"{self.location}: its file system cannot hold a database that several processes share: "
                "put the store on a local disk"
            )

    def connect(self, *, patience: float | None = None) -> sa.Connection:
        """A connection whose transactions hold the write lock from their beginning."""
        return self._engine.connect().execution_options(patience=self.busy_seconds if patience is None else patience)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that reads: one snapshot, whatever is written meanwhile."""
        with self._explaining(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, patience: float | None = None) -> Iterator[sa.Connection]:
        """A transaction that holds the write lock from its beginning, so that what it reads cannot change.

        Args:
            patience: how many seconds to wait for the lock, if not ``busy_seconds``.
        """
        with self._explaining(), self.connect(patience=patience) as connection, connection.begin():
            yield connection

    def checkpoint(self) -> bool:
        """Empty the write-ahead log, and so old versions of pages. False while a reader needs them."""
        try:
            busy, *_ = self._pragma("wal_checkpoint(TRUNCATE)", patience=CHECKPOINT_SECONDS)
        except sqlite3.DatabaseError as error:
            raise self.explain(error) from error
        return not busy

    def insert(self, table: sa.Table) -> Insert:
        """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
        return insert(table)

    def explain(self, error: BaseException) -> StoreError:
        """The failure in words, with its cure and without any value of a row."""
        cause, code = _cause(error), _code(error)
        if code is None:
            return StoreError(f"{self.location}: a value cannot be stored as it is ({type(cause).__name__})")
        cure = _CURES.get(code & 0xFF, "see https://www.sqlite.org/rescode.html")
        # SQLite's own words name tables and constraints, never values.
        return StoreError(f"{self.location}: {cause}: {cure.format(path=self.location)}")

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self.explain(error) from error

    def _open(self) -> sqlite3.Connection:
        # mode=rw: a file that was moved away must be missed, not made again empty.
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw",
            uri=True,
            timeout=self.busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            for pragma in _ON_CONNECT:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    def _pragma(self, pragma: str, *, patience: float | None = None) -> tuple[Any, ...]:
        with closing(self._open()) as connection:
            if patience is not None:
                connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            row: tuple[Any, ...] = connection.execute(f"PRAGMA {pragma}").fetchone()
            return row


def is_locked(error: BaseException | None) -> bool:
    """Whether another process held the lock for too long, so that trying again may help."""
    code = _code(error)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_about_a_row(error: BaseException) -> bool:
    """Whether a row is to blame, not the database: it breaks a constraint, or a value is not storable."""
    cause = _cause(error)
    away = isinstance(cause, sqlite3.OperationalError | sqlite3.InternalError | OSError)
    return not (away or type(cause) is sqlite3.DatabaseError)


def _begin(connection: sa.Connection) -> None:
    patience = connection.get_execution_options().get("patience")
    if patience is None:
        connection.exec_driver_sql("BEGIN")
    else:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(patience * 1000)}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _cause(error: BaseException | None) -> BaseException | None:
    """What SQLAlchemy wrapped, if it did."""
    return error.orig if isinstance(error, sa.exc.StatementError) else error


def _code(error: BaseException | None) -> int | None:
    """The (extended) result code of SQLite, or None where the error is not SQLite's."""
    return getattr(_cause(error), "sqlite_errorcode", None)
