"""``cookiegate report``: page views, visits, top pages and the consent rate."""

from __future__ import annotations

import json
from datetime import datetime

import click

from ..reports import as_json, as_text, summary
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
def report(form: str, since: datetime | None, until: datetime | None, location: str) -> None:
    """Page views, visits, most viewed pages and the consent rate of a period.

    Page views are counted per hour: an hour belongs to the period in which it starts.
    """
    check_period(since, until)
    figures = summary(existing_store(location), since, until)
    click.echo(json.dumps(as_json(figures), indent=2) if form == "json" else as_text(figures))
