"""Every table and key of a policy file and of the catalogue, and how rows become values of the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from .model import (
    Basis,
    ConsentRules,
    CookieRule,
    GateRules,
    HostPattern,
    Purpose,
    Service,
    StorageRule,
    StoredKind,
)
from .schema import (
    Invalid,
    Key,
    Location,
    Reader,
    Row,
    Table,
    expected,
    list_of,
    one_of,
    read_items,
    read_table,
    table_of,
    tables_of,
)
from .values import (
    ADDRESS_RANGE,
    COOKIE_NAME,
    COUNTRY,
    EMAIL,
    FLAG,
    HEADER_NAME,
    HOST,
    HOST_PATTERN,
    LANGUAGE,
    LINK,
    LINK_OR_PATH,
    PATH_PREFIX,
    PERIOD,
    PROSE,
    SIGNATURE,
    SLUG,
    STORAGE_NAME,
    TEXT,
)

BUILT_IN = MappingProxyType(
    {
        "necessary": Purpose("necessary", Basis.LEGITIMATE_INTERESTS, necessary=True),
        "preferences": Purpose("preferences", Basis.CONSENT),
        "analytics": Purpose("analytics", Basis.CONSENT),
        "marketing": Purpose("marketing", Basis.CONSENT),
    }
)
"""The purposes that exist without being declared, in the order in which visitors see them."""

PROFILES = ("auto", "eu-default")
"""``auto`` lets the visitor's region decide; the others are region packs by name."""

NECESSARY_REASONS = (
    "authentication",
    "csrf",
    "session",
    "load-balancing",
    "security",
    "user-input",
    "media-player",
    "customisation",
    "choice",
)
"""Why a cookie may be stored without consent: the exemptions of Art 29 Working Party Opinion 04/2012.

``csrf`` is told apart from other security; ``session`` is a server's session as a whole; ``choice`` is the
cookie that keeps the visitor's privacy choices.
"""

_KIND = one_of("session", "persistent")
_REASON = one_of(*NECESSARY_REASONS)
_BASIS = one_of(*Basis)
_NO_BASIS = f"a purpose needs a lawful basis, one of: {', '.join(Basis)}"
_NO_RETENTION = 'usage data without a retention period; say how long it is kept, such as retention = "P14M"'
_NO_VERSION = 'every choice is stored with it; write any text that changes with the policy, such as "2026-11-21"'
_NO_REASON = f"what is stored without consent says why, one of: {', '.join(NECESSARY_REASONS)}"
_NO_NEED = "a necessary service says in one line what the visitor asked for that fails without it"
_NO_CONTROLLER = "visitors must be told who decides about their data (GDPR Art 13(1)(a))"
_NO_PURPOSE = f"say what it is for: {', '.join(BUILT_IN)} or a [[purpose]] of the site's own"

SERVICE_COOKIE: Table = {
    "name": Key(COOKIE_NAME, required=True),
    "kind": Key(_KIND, default="session"),
    "lifetime": Key(PERIOD, default=None),
    "description": Key(PROSE),
}

SERVICE_STORAGE: Table = {
    "name": Key(STORAGE_NAME, required=True),
    "area": Key(one_of("local", "session"), default="local"),
    "description": Key(PROSE),
}

SERVICE: Table = {
    "id": Key(SLUG, required=True),
    "name": Key(TEXT, required=True, hint="visitors choose services by it"),
    "purpose": Key(SLUG, required=True, hint=_NO_PURPOSE),
    "reason": Key(TEXT, hint=_NO_NEED),
    "provider": Key(TEXT),
    "country": Key(COUNTRY),
    "hosts": Key(list_of(HOST_PATTERN, "hosts, each may have a path"), default=()),
    "signatures": Key(list_of(SIGNATURE, "pieces of script"), default=()),
    "description": Key(PROSE),
    "docs": Key(LINK),
    "privacy": Key(LINK),
    "cookie": Key(tables_of(SERVICE_COOKIE), default=()),
    "storage": Key(tables_of(SERVICE_STORAGE), default=()),
}

KNOWN_SERVICE: Table = {
    "id": Key(TEXT, required=True),
    "purpose": Key(SLUG),
    "reason": Key(TEXT, hint=_NO_NEED),
}
"""An entry of ``services`` that says more than the id."""

SITE: Table = {
    "name": Key(TEXT, required=True, hint="visitors see it"),
    "hosts": Key(list_of(HOST, "hosts"), default=()),
    "policy_version": Key(TEXT, required=True, hint=_NO_VERSION),
    "profile": Key(one_of(*PROFILES), default="auto"),
    "language": Key(LANGUAGE, default="en"),
    "trusted_proxies": Key(list_of(ADDRESS_RANGE, "IP addresses or networks"), default=()),
    "country_header": Key(HEADER_NAME),
}

CONTROLLER: Table = {
    "name": Key(TEXT, required=True, hint=_NO_CONTROLLER),
    "email": Key(EMAIL, required=True, hint="visitors must be able to reach the controller (GDPR Art 13(1)(a))"),
    "address": Key(PROSE),
    "phone": Key(TEXT),
    "registration": Key(TEXT),
    "notice_url": Key(LINK_OR_PATH),
}

PURPOSE: Table = {
    "id": Key(SLUG, required=True),
    "basis": Key(_BASIS, default=None, hint=_NO_BASIS),
    "title": Key(TEXT),
    "text": Key(PROSE),
    "necessary": Key(FLAG, default=None),
}

COOKIE: Table = {
    "name": Key(COOKIE_NAME, required=True),
    "purpose": Key(SLUG, required=True, hint=_NO_PURPOSE),
    "kind": Key(_KIND, default="session"),
    "lifetime": Key(PERIOD, default=None),
    "description": Key(PROSE),
    "reason": Key(_REASON, hint=_NO_REASON),
}

STORAGE: Table = {
    "name": Key(STORAGE_NAME, required=True),
    "area": Key(one_of("local", "session"), default="local"),
    "purpose": Key(SLUG, required=True, hint=_NO_PURPOSE),
    "description": Key(PROSE),
}

USAGE: Table = {
    "purpose": Key(SLUG, default="analytics"),
    "retention": Key(PERIOD, required=True, default=None, hint=_NO_RETENTION),
}

CONSENT: Table = {
    "lifetime": Key(PERIOD, default=ConsentRules().lifetime),
    "retention": Key(PERIOD, default=ConsentRules().retention),
}

GATE: Table = {
    "mode": Key(one_of("enforce", "observe"), default=GateRules().mode),
    "wall": Key(one_of("verdict", "declared", "off"), default=GateRules().wall),
    "wall_mode": Key(one_of("enforce", "report"), default=GateRules().wall_mode),
    "prefix": Key(PATH_PREFIX, default=GateRules().prefix),
    "first_party": Key(list_of(HOST, "hosts"), default=()),
}


def _known_service(value: Any, location: Location) -> Row:
    """An entry of ``services``: an id, or a table with an id."""
    if not isinstance(value, str | dict):
        raise Invalid(expected("a service id, or a table with one", value))
    return read_table({"id": value} if isinstance(value, str) else value, KNOWN_SERVICE, location)


def _known_services(value: Any, location: Location) -> tuple[Row, ...]:
    entry = Reader("service id, or table", _known_service, KNOWN_SERVICE)
    return read_items(entry, value, location)


POLICY: Table = {
    "services": Key(Reader("list of service ids, or tables", _known_services, KNOWN_SERVICE), default=()),
    "site": Key(table_of(SITE), implied=True),
    "controller": Key(table_of(CONTROLLER), implied=True),
    "purpose": Key(tables_of(PURPOSE), default=()),
    "service": Key(tables_of(SERVICE), default=()),
    "cookie": Key(tables_of(COOKIE), default=()),
    "storage": Key(tables_of(STORAGE), default=()),
    "usage": Key(table_of(USAGE), default=None),
    "consent": Key(table_of(CONSENT), implied=True),
    "gate": Key(table_of(GATE), implied=True),
}
"""The whole policy file."""

CATALOGUE: Table = {
    "service": Key(
        tables_of(
            {
                **SERVICE,
                "purpose": Key(one_of(*BUILT_IN), required=True),
                "provider": Key(TEXT, required=True),
                "country": Key(COUNTRY, required=True),
                "docs": Key(LINK, required=True),
            }
        ),
        default=(),
    ),
}
"""A file of the catalogue: services as in a policy file, with nothing about them left open."""

NECESSARY_COOKIES: Table = {
    "cookie": Key(tables_of({**SERVICE_COOKIE, "reason": Key(_REASON, required=True)}), default=()),
}
"""The catalogue's file of session and CSRF cookies of common frameworks."""


def build_cookie(row: Row, *, purpose: str, reason: str = "", service: str = "") -> CookieRule:
    """The cookie a row declares. ``lifetime`` alone says that it is persistent."""
    return CookieRule(
        name=row["name"],
        kind=_kind(row),
        purpose=purpose,
        lifetime=row["lifetime"],
        description=row["description"],
        reason=reason,
        service=service,
    )


def _kind(row: Row) -> StoredKind:
    here = row.location.at("kind")
    if row["kind"] == "persistent" and not row.has("lifetime"):
        here.problem('a persistent cookie needs a lifetime, such as lifetime = "P1Y"')
    if row.has("kind") and row["kind"] == "session" and row.has("lifetime"):
        here.problem("a session cookie has no lifetime: leave one of them out")
    return "persistent" if row["lifetime"] is not None else "session"


def build_storage(row: Row, *, purpose: str, service: str = "") -> StorageRule:
    """The storage key a row declares."""
    return StorageRule(row["name"], row["area"], purpose, row["description"], service)


def build_service(row: Row) -> Service:
    """The service a row declares. What it claims is not yet compared with other services."""
    if not any(row.has(name) for name in ("hosts", "cookie", "signatures")):
        row.location.problem("a service without hosts, cookies and signatures cannot be recognised: add one of them")
    report_repeats(row["cookie"], "name")
    report_repeats(row["storage"], "name", "area")
    identity, purpose = row["id"], row["purpose"]
    return Service(
        id=identity,
        name=row["name"],
        provider=row["provider"] or row["name"],
        country=row["country"],
        purpose=purpose,
        hosts=row["hosts"],
        cookies=tuple(
            build_cookie(inner, purpose=purpose, reason=row["reason"], service=identity) for inner in row["cookie"]
        ),
        storage=tuple(build_storage(inner, purpose=purpose, service=identity) for inner in row["storage"]),
        signatures=row["signatures"],
        description=row["description"],
        docs=row["docs"],
        privacy=row["privacy"],
        reason=row["reason"],
    )


def repurposed(service: Service, purpose: str, reason: str) -> Service:
    """The service used for another purpose than the catalogue says: its cookies and storage follow."""
    return replace(
        service,
        purpose=purpose,
        reason=reason,
        cookies=tuple(replace(rule, purpose=purpose, reason=reason) for rule in service.cookies),
        storage=tuple(replace(rule, purpose=purpose) for rule in service.storage),
    )


def report_repeats(rows: Iterable[Row], *keys: str) -> None:
    """Report each row that has the same values under these keys as an earlier one."""
    first: dict[tuple[object, ...], Row] = {}
    for row in rows:
        earlier = first.setdefault(tuple(row[key] for key in keys), row)
        name = row[keys[0]]
        if earlier is not row and name:
            row.location.problem(f'"{name}" is declared twice, first as {earlier.location.key}: leave one of them out')


def report_shared_hosts(claims: Iterable[tuple[Service, Location]]) -> None:
    """Report every host and path that two services claim: a URL must have one answer."""
    owners: dict[HostPattern, Service] = {}
    for service, location in claims:
        for pattern in service.hosts:
            owner = owners.setdefault(pattern, service)
            if owner.id != service.id:
                location.problem(
                    f'"{owner.id}" and "{service.id}" both claim {pattern}: '
                    "leave it to one of them, or tell them apart by a path"
                )
