"""``cookiegate report``: page views, visits, top pages and the consent rate; or what was withheld."""

from __future__ import annotations

import json
from datetime import datetime

import click

from ..reports import as_json, as_text, blocked_as_json, blocked_as_text, summary
from .period import check_period, existing_store, period_options


@click.command()
@period_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or for programs.",
)
@click.option("--blocked", is_flag=True, help="Show what was withheld, and the lines that would declare it.")
def report(form: str, since: datetime | None, until: datetime | None, location: str, blocked: bool) -> None:
    """Page views, visits, most viewed pages and the consent rate of a period.

    All is counted per hour: an hour belongs to the period in which it starts.
    """
    check_period(since, until)
    store = existing_store(location)
    if blocked:
        found = store.blocked(since, until)
        shown = blocked_as_json(found, since, until) if form == "json" else blocked_as_text(found, since, until)
    else:
        figures = summary(store, since, until)
        shown = as_json(figures) if form == "json" else as_text(figures)
    click.echo(shown if isinstance(shown, str) else json.dumps(shown, indent=2))
