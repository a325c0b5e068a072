"""The tables as statements see them: names and types. Their constraints are in `migrations`, the only place
that makes them.

Moments are whole microseconds since 1970 UTC in a 64-bit integer: exact (a `datetime` comes back equal), the
same on every database, small in an index, and compared without parsing. Text that a visitor can shape is cut
to its column's length and cleaned of what UTF-8 or PostgreSQL refuse, so that no request can make a choice
unstorable.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Dialect, Integer, LargeBinary, MetaData, String, Table
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PATH_LENGTH = 2048
_REFUSED = re.compile("[\x00\ud800-\udfff]")


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC. A moment without a time zone is a ValueError: it could be any of many."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone: use datetime.now(UTC)")
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """The moment, in UTC."""
    return EPOCH + timedelta(microseconds=micros)


class Moment(TypeDecorator[datetime]):
    """An aware `datetime` as microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else from_micros(value)


class VisitorText(TypeDecorator[str]):
    """Text that a visitor can shape, such as a path: never too long for its column, never unencodable."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else _REFUSED.sub("\ufffd", value[: self.length])


metadata = MetaData()

migrations = Table(
    "cookiegate_migrations",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("applied_at", Moment, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("key", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
)

salts = Table(
    "salts",
    metadata,
    Column("day", String, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
)

consents = Table(
    "consents",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("record_id", String, nullable=False),
    Column("consent_id", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("valid_until", Moment, nullable=False),
    Column("method", String, nullable=False),
    Column("source", String, nullable=False),
    Column("choices", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("policy_version", String, nullable=False),
    Column("banner_hash", String, nullable=False),
    Column("locale", String, nullable=False),
    Column("host", VisitorText(255), nullable=False),
    Column("path", VisitorText(PATH_LENGTH), nullable=False),
    Column("gpc", Boolean, nullable=False),
    Column("dnt", Boolean, nullable=False),
    Column("country", String, nullable=False),
    Column("profile", String, nullable=False),
)

visits = Table(
    "visits",
    metadata,
    Column("id", String, primary_key=True),
    Column("key", String),
    Column("host", VisitorText(255), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("views", Integer, nullable=False),
    Column("entry_path", VisitorText(PATH_LENGTH), nullable=False),
    Column("exit_path", VisitorText(PATH_LENGTH), nullable=False),
)

usage = Table(
    "usage",
    metadata,
    Column("seq", BigInteger, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("visit_id", String),
    Column("position", Integer),
    Column("host", VisitorText(255), nullable=False),
    Column("path", VisitorText(PATH_LENGTH), nullable=False),
    Column("purpose", String, nullable=False),
    Column("basis", String, nullable=False),
    Column("policy_version", String, nullable=False),
    Column("consent_id", String, nullable=False),
    Column("status", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("referrer", VisitorText(PATH_LENGTH)),
    Column("ip", String),
    Column("country", String),
    Column("browser", VisitorText(100)),
    Column("browser_version", VisitorText(100)),
    Column("os", VisitorText(100)),
    Column("os_version", VisitorText(100)),
    Column("device", String),
)

counters = Table(
    "counters",
    metadata,
    Column("hour", Moment, primary_key=True),
    Column("host", VisitorText(255), primary_key=True),
    Column("page", VisitorText(PATH_LENGTH), primary_key=True),
    Column("country", String, primary_key=True),
    Column("consented", Boolean, primary_key=True),
    Column("undecided", Boolean, primary_key=True),
    Column("views", BigInteger, nullable=False),
)

browsers = Table(
    "browsers",
    metadata,
    Column("hour", Moment, primary_key=True),
    Column("host", VisitorText(255), primary_key=True),
    Column("browser", VisitorText(100), primary_key=True),
    Column("views", BigInteger, nullable=False),
)

withheld = Table(
    "withheld",
    metadata,
    Column("hour", Moment, primary_key=True),
    Column("layer", String, primary_key=True),
    Column("what", VisitorText(100), primary_key=True),
    Column("host", VisitorText(255), primary_key=True),
    Column("cookie", VisitorText(255), primary_key=True),
    Column("service", VisitorText(100), primary_key=True),
    Column("purpose", VisitorText(100), primary_key=True),
    Column("times", BigInteger, nullable=False),
)
