"""``cookiegate init`` and ``cookiegate check``: write a starter policy; name every mistake in a policy."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ..errors import PolicyError
from ..policy import (
    CookieRule,
    Policy,
    Purpose,
    StorageRule,
    load_catalogue,
    load_policy,
    parse_policy,
)
from ..policy.catalogue import unknown_service
from ..policy.schema import Invalid, Location, Reader
from ..policy.starter import starter
from ..policy.tables import BUILT_IN
from ..policy.values import EMAIL, HOST, TEXT

DEFAULT_FILE = "cookiegate.toml"


def _as_in_policy(reader: Reader) -> Callable[[str], Any]:
    """A click type whose value is read, and refused, as it would be in a policy file."""

    def convert(value: str) -> Any:
        try:
            return reader.read(value, Location("", []))
        except Invalid as error:
            raise click.BadParameter(str(error)) from None

    return convert


def _list(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the catalogue by purpose."""
    if not wanted or ctx.resilient_parsing:
        return
    for purpose in BUILT_IN:
        services = [service for service in load_catalogue() if service.purpose == purpose]
        click.echo(f"{purpose}:")
        for service in sorted(services, key=lambda it: it.id):
            click.echo(f"  {service.id:<28}{service.name}, {service.provider} ({service.country})")
    ctx.exit()


def _known_id(value: str, _: Location) -> str:
    if all(service.id != value for service in load_catalogue()):
        raise Invalid(unknown_service(value))
    return value


SERVICE_ID = Reader("id", _known_id)


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_FILE,
    show_default=True,
    help="File to write.",
)
@click.option(
    "--service",
    "services",
    type=_as_in_policy(SERVICE_ID),
    multiple=True,
    metavar="ID",
    help="Known service that the site embeds; may be repeated.",
)
@click.option("--name", type=_as_in_policy(TEXT), metavar="TEXT", help="Name of the site and its controller.")
@click.option(
    "--host",
    "hosts",
    type=_as_in_policy(HOST),
    multiple=True,
    metavar="HOST",
    help="Host of the site; may be repeated.",
)
@click.option("--email", type=_as_in_policy(EMAIL), metavar="ADDRESS", help="Where visitors reach the controller.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="List known services and exit.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.pass_context
def init(
    ctx: click.Context,
    *,
    output: Path,
    services: tuple[str, ...],
    name: str | None,
    hosts: tuple[str, ...],
    email: str | None,
    force: bool,
) -> None:
    """Write a commented starter policy."""
    clock: Callable[[], datetime] = ctx.obj or _utc_now  # a caller may bring a clock as the context's object
    text = starter(
        name=name or next(iter(hosts), "Example Ltd"),
        email=email or f"privacy@{next(iter(hosts), 'example.com')}",
        today=clock().date(),
        hosts=tuple(dict.fromkeys(hosts)),
        services=services,
    )
    parse_policy(text, file=str(output))
    try:
        with output.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{output} exists: --force replaces it, -o writes elsewhere") from None
    click.echo(f"Wrote {output}. Read through it, then run: cookiegate check {output}")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=DEFAULT_FILE)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the answer.",
)
@click.pass_context
def check(ctx: click.Context, *, file: Path, form: str) -> None:
    """Check the policy FILE and sum up what it declares."""
    try:
        policy = load_policy(file)
    except PolicyError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        if form == "json":
            problems = [asdict(problem) for problem in error.problems]
            click.echo(json.dumps({"file": str(file), "valid": False, "problems": problems}, indent=2))
        ctx.exit(1)
    summary = {"file": str(file), "valid": True, **summarise(policy)}
    click.echo(json.dumps(summary, indent=2, ensure_ascii=False) if form == "json" else as_text(summary))


def summarise(policy: Policy) -> dict[str, Any]:
    """What a policy declares, as JSON values. Cookies known of frameworks are only counted."""
    return {
        "site": policy.site.name,
        "policy_version": policy.site.policy_version,
        "profile": policy.site.profile,
        "purposes": [_purpose(policy, purpose) for purpose in policy.purposes],
        "cookies": [_cookie(rule) for rule in policy.cookies],
        "framework_cookies": len(policy.frameworks),
        "storage": [_storage(rule) for rule in policy.storage],
        "usage": {"purpose": policy.usage.purpose, "retention": policy.usage.retention.text} if policy.usage else None,
        "consent": {"lifetime": policy.consent.lifetime.text, "retention": policy.consent.retention.text},
        "gate": {
            "mode": policy.gate.mode,
            "wall": policy.gate.wall,
            "wall_mode": policy.gate.wall_mode,
            "prefix": policy.gate.prefix,
        },
    }


def _purpose(policy: Policy, purpose: Purpose) -> dict[str, Any]:
    services = [service.id for service in policy.services_of(purpose.id)]
    return {
        "id": purpose.id,
        "basis": str(purpose.basis),
        "necessary": purpose.necessary,
        "services": services,
    }


def _cookie(rule: CookieRule) -> dict[str, Any]:
    lifetime = rule.lifetime.text if rule.lifetime else None
    return {
        "name": rule.name,
        "kind": rule.kind,
        "lifetime": lifetime,
        "purpose": rule.purpose,
        "service": rule.service or None,
        "reason": rule.reason or None,
    }


def _storage(rule: StorageRule) -> dict[str, Any]:
    return {"name": rule.name, "area": rule.area, "purpose": rule.purpose, "service": rule.service or None}


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary for people."""
    cookies = summary["cookies"]
    sections = {
        "Purposes": _purpose_lines(summary["purposes"]),
        "Session cookies": _grouped(it for it in cookies if it["kind"] == "session"),
        "Persistent cookies": _grouped(it for it in cookies if it["kind"] == "persistent"),
        "Local storage": _grouped(it for it in summary["storage"] if it["area"] == "local"),
        "Session storage": _grouped(it for it in summary["storage"] if it["area"] == "session"),
        "Rules": list(_rule_lines(summary)),
    }
    head = f"{summary['file']} is valid: {summary['site']}, policy version {summary['policy_version']}"
    return "\n".join([head, *(_section(title, lines) for title, lines in sections.items() if lines)])


def _section(title: str, lines: Iterable[str]) -> str:
    wrap = textwrap.TextWrapper(
        width=100,
        initial_indent="  ",
        subsequent_indent="      ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    return "\n".join(["", title, *(wrap.fill(line) for line in lines)])


def _purpose_lines(purposes: Iterable[Mapping[str, Any]]) -> list[str]:
    lines = []
    for it in purposes:
        asked = "not asked about" if it["necessary"] else "asked about"
        services = f": {', '.join(it['services'])}" if it["services"] else ""
        lines.append(f"{it['id']} ({asked}, on {it['basis'].replace('_', ' ')}){services}")
    return lines


def _grouped(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Cookies or storage keys, one line for each purpose and service."""
    groups: dict[str, list[str]] = {}
    for it in items:
        owner = f"{it['purpose']}, {it['service'] or 'own'}"
        groups.setdefault(owner, []).append(f"{it['name']} {it.get('lifetime') or ''}".strip())
    return [f"{owner}: {', '.join(names)}" for owner, names in groups.items()]


def _rule_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    usage, consent, gate = summary["usage"], summary["consent"], summary["gate"]
    yield (f"usage: recorded for {usage['purpose']}, kept {usage['retention']}" if usage else "usage: not recorded")
    yield f"choices: hold {consent['lifetime']}, evidence kept {consent['retention']} after that"
    effect = "undeclared and refused content is withheld" if gate["mode"] == "enforce" else "reports, blocks NOTHING"
    wall = f"{gate['wall']}{' (reports only)' if gate['wall_mode'] == 'report' else ''}"
    yield f"gate: {gate['mode']} ({effect}), wall {wall}, pages under {gate['prefix']}"
    yield f"region profile: {summary['profile']}"
    yield f"known as necessary besides: {summary['framework_cookies']} session and CSRF cookies of frameworks"
