"""``cookiegate gate``: the HTML a visitor would get."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--policy", "policy_file", default="cookiegate.toml", show_default=True, help="The policy file.")
@click.option(
    "--grant",
    "grants",
    multiple=True,
    metavar="PURPOSE",
    help="Gate for a visitor who allowed PURPOSE, or `all`. Repeatable.",
)
@click.option("--url", default="", help="The page's URL; by default the first host of the policy.")
@click.option("--locale", default="", help="The visitor's language.")
@click.option("--no-banner", is_flag=True, help="Gate as a fragment: insert nothing.")
@click.option("--log", "show_log", is_flag=True, help="Say on standard error what was withheld.")
def gate(
    file: Path, policy_file: str, grants: tuple[str, ...], url: str, locale: str, no_banner: bool, show_log: bool
) -> None:
    """Print the HTML that a visitor would get for FILE (`-` for standard input)."""
    from ..policy import load_policy
    from ..preview import preview

    policy = load_policy(policy_file)
    body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    result = preview(policy, body, grants=grants, url=url, locale=locale, fragment=no_banner, now=datetime.now(UTC))
    sys.stdout.buffer.write(result.html)
    if show_log:
        for withheld, times in result.withheld.items():
            purpose = withheld.purpose or "undeclared"
            click.echo(f"{purpose:12} {times:4} × {withheld.what} {withheld.host or withheld.name}", err=True)
