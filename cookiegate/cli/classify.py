"""``cookiegate classify``: what a browser makes of a Set-Cookie header, and what the cookie is for."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ..cookies import Kind, Refused, SetCookie, canonical_host, read_set_cookie
from ..policy import CookieRule, load_catalogue, load_policy, necessary_cookies

_FIELD = re.compile(rb"^\s*(?:<\s*)?set-cookie\s*:[ \t]*", re.IGNORECASE)
"""The name of the field, also as ``curl -v`` prints it."""

_COLOURS: dict[Kind, str] = {"session": "green", "persistent": "yellow", "deletion": "cyan"}
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Declarations:
    """Where purposes are looked up, and how that place is called."""

    place: str
    rule: Callable[[str], CookieRule | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """One header, judged, with the declaration of its cookie if there is one."""

    result: SetCookie | Refused
    rule: CookieRule | None
    place: str
    host: str
    site: str


def _read_moment(_: click.Context, __: click.Parameter, text: str | None) -> datetime:
    """An ISO 8601 time, taken as UTC where it names no zone; the clock where there is none."""
    try:
        moment = datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-11-22T12:00:00Z") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


@click.command()
@click.argument("headers", metavar="[HEADER]...", nargs=-1)
@click.option("--host", help="Host that answers: adds what depends on it, and drops what a browser drops.")
@click.option("--site", help="Host of the page in the address bar, if the answer is not the page itself.")
@click.option("--secure/--insecure", default=None, help="Whether the answer comes over a secure connection.")
@click.option(
    "--now",
    metavar="TIME",
    callback=_read_moment,
    help="The moment to judge at, in ISO 8601.  [default: the clock]",
)
@click.option("--policy", type=click.Path(path_type=Path), help="Policy file to look the cookies up in.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the answer.",
)
@click.pass_context
def classify(
    ctx: click.Context,
    *,
    headers: tuple[str, ...],
    host: str | None,
    site: str | None,
    secure: bool | None,
    now: datetime,
    policy: Path | None,
    form: str,
) -> None:
    """Classify Set-Cookie headers as session, persistent or deletion, the way a browser does.

    Give headers as arguments, or pipe them in: one to a line, or whole responses, as from `curl -i`.
    """
    if site and not host:
        raise click.UsageError("--site says where the answer of a host is embedded: give that --host too")
    fields = [_FIELD.sub(b"", os.fsencode(header)) for header in headers] or _piped()
    declarations = _of_policy(policy) if policy else _of_catalogue()
    results = [read_set_cookie(field, now=now, host=host, site=site, secure=secure) for field in fields]
    answers = [
        Answer(result, declarations.rule(result.name), declarations.place, canonical_host(host or ""), site or "")
        for result in results
    ]
    click.echo(as_json(answers) if form == "json" else as_text(answers))
    if all(isinstance(result, Refused) for result in results):
        click.echo("error: no cookie here: a browser ignores all that was given", err=True)
        ctx.exit(1)


def _piped() -> list[bytes]:
    """The headers on standard input."""
    fields = [] if sys.stdin.isatty() else fields_of(sys.stdin.buffer.read())
    if not fields:
        raise click.ClickException(
            "no Set-Cookie header: give one as an argument, or pipe in a response, as from `curl -si URL`"
        )
    return fields


def fields_of(text: bytes) -> list[bytes]:
    """The Set-Cookie values in a text: of the fields so named, or else its lines, if it is no response."""
    lines = [line for line in text.splitlines() if line.strip()]
    named = [_FIELD.sub(b"", line) for line in lines if _FIELD.match(line)]
    is_response = any(line.startswith(b"HTTP/") for line in lines[:1])
    return named or ([] if is_response else lines)


def _of_policy(file: Path) -> Declarations:
    return Declarations(str(file), load_policy(file).cookie_rule)


def _of_catalogue() -> Declarations:
    rules = [*necessary_cookies(), *(rule for service in load_catalogue() for rule in service.cookies)]

    def find(name: str) -> CookieRule | None:
        """An exact name before a pattern, a longer pattern before a shorter one."""
        matching = [rule for rule in rules if rule.matches(name)]
        return max(matching, key=lambda rule: ("*" not in rule.name, len(rule.name)), default=None)

    return Declarations("the catalogue", find)


# JSON


def as_json(answers: Iterable[Answer]) -> str:
    """A list with one object for each header, in their order."""
    return json.dumps([_object(answer) for answer in answers], indent=2, ensure_ascii=False)


def _object(answer: Answer) -> dict[str, Any]:
    result, rule = answer.result, answer.rule
    declared = {"purpose": rule and rule.purpose, "service": rule and (rule.service or None)}
    if isinstance(result, Refused):
        return {"name": readable(result.name), "kind": None, "refused": result.reason, **declared}
    return {
        "name": readable(result.name),
        "value": readable(result.value),
        "kind": result.kind,
        "expires_at": result.expires_at and result.expires_at.isoformat(),
        "lifetime_s": _whole_seconds(result.lifetime),
        "declared_lifetime_s": _whole_seconds(result.declared_lifetime),
        "capped": result.capped,
        "domain": result.domain,
        "host_only": result.host_only,
        "path": result.path,
        "secure": result.secure,
        "http_only": result.http_only,
        "same_site": result.same_site,
        "partitioned": result.partitioned,
        "prefix": result.prefix,
        "prefix_ok": result.prefix_ok,
        "third_party": result.third_party,
        **declared,
        "warnings": list(_warnings(answer, result)),
    }


def _whole_seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())


# Text


def as_text(answers: Iterable[Answer]) -> str:
    """A block of aligned lines for each header."""
    return "\n\n".join(_block(answer) for answer in answers)


def _block(answer: Answer) -> str:
    result = answer.result
    name = click.style(_printable(result.name) or "(nameless)", bold=True)
    if isinstance(result, Refused):
        return f"{name}  {click.style('refused', fg='red')}\n{_row('because', result.reason)}"
    rows = [_row(label, text) for label, text in _rows(answer, result)]
    return "\n".join([f"{name}  {click.style(result.kind, fg=_COLOURS[result.kind])}", *rows])


def _row(label: str, text: str) -> str:
    return f"  {label:<9} {click.style(_printable(text), fg='red' if label == 'warning' else None)}"


def _rows(answer: Answer, cookie: SetCookie) -> Iterator[tuple[str, str]]:
    yield "lifetime", _lifetime(cookie)
    if cookie.kind != "session" and cookie.expires_at and cookie.expires_at.year > 1:
        yield "expires", f"{cookie.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "sent to", _scope(cookie, answer.host)
    yield "flags", ", ".join(_flags(cookie)) or "none"
    yield "party", _party(cookie, answer.site)
    yield "purpose", _purpose(answer)
    for warning in _warnings(answer, cookie):
        yield "warning", warning


def _lifetime(cookie: SetCookie) -> str:
    if cookie.lifetime is None:
        return "until the browser's session ends"
    if cookie.kind == "deletion":
        return "none: deletes the cookie"
    if not cookie.capped or cookie.declared_lifetime is None:
        return in_words(cookie.lifetime)
    return f"{in_words(cookie.lifetime)}; asked for: {in_words(cookie.declared_lifetime)}"


def in_words(span: timedelta) -> str:
    """A duration in its largest units; from two months on also in the months or years of privacy notices."""
    rest = round(span.total_seconds())
    counts = []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, rest = divmod(rest, size)
        counts.append(_count(count, unit) if count else "")
    exact = " ".join([text for text in counts if text][:2]) or "0 seconds"
    if span.days < 60:
        return exact
    months = round(span.days / 30.44)
    return f"{exact}, about {_count(months, 'month') if months < 24 else _count(round(months / 12), 'year')}"


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _scope(cookie: SetCookie, host: str) -> str:
    hosts = f"{cookie.domain} and its subdomains" if cookie.domain else f"only {host or 'the host that sets it'}"
    return f"{hosts}, path {cookie.path or 'of the request'}"


def _flags(cookie: SetCookie) -> Iterator[str]:
    if cookie.secure:
        yield "Secure"
    if cookie.http_only:
        yield "HttpOnly"
    if cookie.same_site != "default":
        yield f"SameSite={cookie.same_site.capitalize()}"
    if cookie.partitioned:
        yield "Partitioned"


def _party(cookie: SetCookie, site: str) -> str:
    if cookie.third_party is None:
        return "not known: give --host"
    return f"third party in a page of {site}" if cookie.third_party else "first party"


def _purpose(answer: Answer) -> str:
    rule = answer.rule
    if rule is None:
        return f"not in {answer.place}"
    return f"{rule.purpose} ({rule.service or rule.reason})" if rule.service or rule.reason else rule.purpose


def _warnings(answer: Answer, cookie: SetCookie) -> Iterator[str]:
    """What a browser will do, then where the cookie is not what was declared."""
    yield from cookie.warnings
    rule = answer.rule
    if rule is None or cookie.lifetime is None:
        return
    if rule.kind == "session" and cookie.kind == "persistent":
        yield f"In {answer.place} it is a session cookie"
    if rule.lifetime and cookie.lifetime > rule.lifetime.approximate() + _DAY:
        yield f"In {answer.place} it lives {in_words(rule.lifetime.approximate())} ({rule.lifetime.text})"


def readable(text: str) -> str:
    """Octets that came as latin-1 as people read them: as UTF-8 where they are that."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _printable(text: str) -> str:
    """Fit for a terminal: a header cannot move its cursor."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in readable(text))
