"""``cookiegate export``: the consent log or the usage log into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click

from ..exports import Format, Progress, export_consents, export_usage, replacing
from .period import check_period, existing_store, period_options


@click.group()
def export() -> None:
    """Write the consent log or the usage log to a file, as CSV or JSON Lines."""


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    form = click.option(
        "--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True, help="Form."
    )
    output = click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, allow_dash=True),
        default="-",
        show_default=True,
        metavar="FILE",
        help="Where to; - is standard output. An existing FILE is replaced once all is written.",
    )
    return form(output(period_options(command)))


@export.command()
@_options
def consents(form: Format, output: str, since: datetime | None, until: datetime | None, location: str) -> None:
    """Every choice: who, what, when, how, where, and what was shown.

    In CSV, cells that a spreadsheet would execute begin with an apostrophe.
    """
    check_period(since, until)
    store = existing_store(location)
    write = partial(export_consents, store, format=form, since=since, until=until)
    _run(write, output, total=store.count_consents(since, until), what="consents")


@export.command()
@_options
def usage(form: Format, output: str, since: datetime | None, until: datetime | None, location: str) -> None:
    """Every page view with details, in the fields its lawful basis covers.

    In CSV, cells that a spreadsheet would execute begin with an apostrophe.
    """
    check_period(since, until)
    store = existing_store(location)
    write = partial(export_usage, store, format=form, since=since, until=until)
    _run(write, output, total=store.count_usage(since, until), what="page views")


def _run(write: Callable[..., int], output: str, *, total: int, what: str) -> None:
    """Write to a file or standard output, with progress on standard error where somebody watches."""
    to_file = output != "-"
    stdout = nullcontext(sys.stdout.buffer)
    target: AbstractContextManager[BinaryIO] = replacing(Path(output)) if to_file else stdout
    try:
        with target as out, _progress(total, what) as progress:
            number = write(out, progress=progress)
            out.flush()
    except BrokenPipeError:
        _leave_quietly()
    click.echo(f"exported {number:,} {what}" + (f" to {output}" if to_file else ""), err=True)


@contextmanager
def _progress(total: int, what: str) -> Iterator[Progress | None]:
    """A progress bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=total, label=f"exporting {what}", file=sys.stderr) as bar:
        yield bar.update


def _leave_quietly() -> None:
    """The reader of the pipe has seen enough, as in ``| head``. Standard output must not be flushed again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)
