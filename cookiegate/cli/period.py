"""The options that say which store and which period a command reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from ..store import Store, open_store

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Moment(click.ParamType[datetime]):
    """An ISO 8601 date, or date and time; UTC where it names no zone. A date is its first moment."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no date or time: write 2026-11-21, 2026-11-21T09:30 (UTC) or 2026-11-21T09:30+01:00",
                param,
                ctx,
            )


def period_options(command: _Command) -> _Command:
    """Add ``--since``, ``--until`` and ``--store``."""
    for option in (
        click.option(
            "--store",
            "location",
            default="cookiegate.db",
            show_default=True,
            metavar="URL",
            help="The store: a file, or sqlite:///FILE.",
        ),
        click.option(
            "--until", type=Moment(), metavar="DATE", help="Only what happened before this date or time (UTC)."
        ),
        click.option(
            "--since", type=Moment(), metavar="DATE", help="Only what happened at or after this date or time (UTC)."
        ),
    ):
        command = option(command)
    return command


def check_period(since: datetime | None, until: datetime | None) -> None:
    """Refuse a period that cannot hold anything."""
    if since is not None and until is not None and since >= until:
        raise click.UsageError(
            f"--since {since.isoformat()} is not before --until {until.isoformat()}: the period is empty"
        )


def existing_store(location: str) -> Store:
    """Open a store for reading; one that is not there is an error, never made."""
    return open_store(location, clock=lambda: datetime.now(UTC), create=False)
