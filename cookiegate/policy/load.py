"""From ``cookiegate.toml`` to a `Policy`: every mistake is named, with its key and the nearest valid name.

What one value must look like is said in `values`, which keys there are in `tables`; here stands what holds
between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ..errors import PolicyError, Problem
from .catalogue import load_catalogue, necessary_cookies, unknown_service
from .model import (
    Basis,
    ConsentRules,
    Controller,
    CookieRule,
    GateRules,
    Policy,
    Purpose,
    Service,
    Site,
    Usage,
)
from .schema import Location, Row, is_missing, read_document, unknown
from .tables import (
    BUILT_IN,
    COOKIE,
    POLICY,
    PURPOSE,
    SERVICE,
    build_cookie,
    build_service,
    build_storage,
    report_repeats,
    report_shared_hosts,
    repurposed,
)

CONSENT_COOKIES = ("__Host-cg_consent", "cg_consent")
"""The gate's own cookie, on HTTPS and on plain HTTP."""

LONGEST_COOKIE = timedelta(days=400)
"""Browsers keep no cookie longer (rfc6265bis 5.5), so no choice can hold longer either."""

MOST_PURPOSES = 64
"""As many as one consent cookie can answer for."""

Claims = list[tuple[Service, Location]]
"""The declared services, each with the place in the file where it claims its hosts."""


def load_policy(path: str | Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: with every problem found, or because the file cannot be read.
    """
    file = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _unreadable(file, "no such file: `cookiegate init` writes a starter") from None
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise _unreadable(file, f"cannot be read: {error.strerror}") from None
    return parse_policy(text, file=file)


def _unreadable(file: str, message: str) -> PolicyError:
    return PolicyError((Problem(file, "", message),))


def parse_policy(text: str, *, file: str = "cookiegate.toml") -> Policy:
    """Build the policy that a TOML text declares.

    Args:
        text: the whole file.
        file: what error messages call it.

    Raises:
        PolicyError: with every problem found.
    """
    problems: list[Problem] = []
    root = read_document(text, POLICY, Location(file, problems, top=frozenset({"services"})))
    purposes = _purposes(root["purpose"])
    claims = [*_known_services(root["services"]), *_own_services(root["service"])]
    policy = _build(root, purposes, tuple(service for service, _ in claims), text)
    _check_repeats(root)
    _check_purposes(root, purposes)
    _check_reasons(root, purposes)
    _check_hosts(claims, (*policy.site.hosts, *policy.gate.first_party))
    _check_values(root)
    if problems:
        raise PolicyError(tuple(problems))
    return policy


def _build(root: Row, purposes: Mapping[str, Purpose], services: tuple[Service, ...], text: str) -> Policy:
    """The policy of a file as read. Unusable where any problem was reported."""
    cookies = tuple(build_cookie(row, purpose=row["purpose"], reason=row["reason"]) for row in root["cookie"])
    storage = tuple(build_storage(row, purpose=row["purpose"]) for row in root["storage"])
    consent = ConsentRules(**root["consent"].values)
    declared = _cookies(cookies, services, consent)
    return Policy(
        site=Site(**root["site"].values),
        controller=Controller(**root["controller"].values),
        purposes=_used(purposes, root, services),
        services=services,
        known=_known(services),
        cookies=declared,
        frameworks=tuple(_unlike(declared, necessary_cookies())),
        storage=(*storage, *(rule for service in services for rule in service.storage)),
        usage=Usage(**root["usage"].values) if root["usage"] else None,
        consent=consent,
        gate=GateRules(**root["gate"].values),
        source=text,
    )


def _purposes(rows: Iterable[Row]) -> dict[str, Purpose]:
    """The built-in purposes, as the site changes them, and then its own."""
    found = dict(BUILT_IN)
    for row in rows:
        if row["id"]:
            found[row["id"]] = _purpose(row, found.get(row["id"]))
    return found


def _purpose(row: Row, base: Purpose | None) -> Purpose:
    if base is None and not row.has("basis"):
        row.location.at("basis").problem(is_missing(PURPOSE["basis"]))
    basis = Basis(row["basis"]) if row["basis"] else base.basis if base else Basis.CONSENT
    necessary = row["necessary"] if row["necessary"] is not None else base is not None and base.necessary
    if row["id"] == "necessary" and not necessary:
        row.location.at("necessary").problem("cannot be false here: give what visitors may refuse another purpose")
    if necessary and basis is Basis.CONSENT and row["id"]:
        row.location.at("basis" if row.has("basis") else "necessary").problem(
            "what is necessary is not asked about, so it cannot rest on consent: give another basis"
        )
    return Purpose(row["id"], basis, necessary, row["title"], row["text"])


def _known_services(rows: Iterable[Row]) -> Iterator[tuple[Service, Location]]:
    """Entries of ``services``, looked up in the catalogue."""
    catalogue = {service.id: service for service in load_catalogue()}
    for row in rows:
        service = catalogue.get(row["id"])
        if service is not None:
            purpose = row["purpose"]
            yield (repurposed(service, purpose, row["reason"]) if purpose else service), row.location
        elif row["id"]:
            row.location.problem(unknown_service(row["id"]))


def _own_services(rows: Iterable[Row]) -> Iterator[tuple[Service, Location]]:
    return ((build_service(row), row.location.at("hosts")) for row in rows)


def _known(declared: Iterable[Service]) -> tuple[Service, ...]:
    """The rest of the catalogue, less what declared services claim of it: what a site says goes first."""
    declared = tuple(declared)
    ids = {service.id for service in declared}
    hosts = {pattern for service in declared for pattern in service.hosts}
    signatures = {signature for service in declared for signature in service.signatures}
    return tuple(
        replace(
            service,
            hosts=tuple(pattern for pattern in service.hosts if pattern not in hosts),
            signatures=tuple(signature for signature in service.signatures if signature not in signatures),
        )
        for service in load_catalogue()
        if service.id not in ids
    )


def _cookies(own: tuple[CookieRule, ...], services: Iterable[Service], consent: ConsentRules) -> tuple[CookieRule, ...]:
    """Every declared cookie. For a name declared more than once the site's word goes before a service's."""
    of_services = _unlike(own, [rule for service in services for rule in service.cookies])
    return (*own, *_consent_cookies(consent), *of_services)


def _unlike(known: Iterable[CookieRule], rules: Iterable[CookieRule]) -> list[CookieRule]:
    names = {rule.name for rule in known}
    return [rule for rule in rules if rule.name not in names]


def _consent_cookies(consent: ConsentRules) -> list[CookieRule]:
    return [
        CookieRule(
            name,
            "persistent",
            "necessary",
            lifetime=consent.lifetime,
            description="Keeps your privacy choices.",
            reason="choice",
        )
        for name in CONSENT_COOKIES
    ]


def _used(purposes: Mapping[str, Purpose], root: Row, services: Iterable[Service]) -> tuple[Purpose, ...]:
    """Necessary purposes and those that anything is declared for: a visitor is not asked about nothing."""
    used = {service.purpose for service in services}
    used |= {row["purpose"] for row in (*root["cookie"], *root["storage"])}
    used |= {row["id"] for row in root["purpose"]}
    if root["usage"]:
        used.add(root["usage"]["purpose"])
    return tuple(purpose for purpose in purposes.values() if purpose.necessary or purpose.id in used)


def _check_repeats(root: Row) -> None:
    report_repeats((*root["services"], *root["service"]), "id")
    report_repeats(root["purpose"], "id")
    report_repeats(root["cookie"], "name")
    report_repeats(root["storage"], "name", "area")
    for row in (*root["cookie"], *(inner for service in root["service"] for inner in service["cookie"])):
        if row["name"] in CONSENT_COOKIES:
            row.location.at("name").problem(f'"{row["name"]}" is the gate\'s own cookie: choose another name')


def _check_purposes(root: Row, purposes: Mapping[str, Purpose]) -> None:
    """Every purpose that is named is declared."""
    usage = [root["usage"]] if root["usage"] else []
    for row in (*root["services"], *root["service"], *root["cookie"], *root["storage"], *usage):
        if row["purpose"] and row["purpose"] not in purposes:
            message = unknown("purpose", row["purpose"], purposes)
            row.location.at("purpose").problem(f"{message} (a [[purpose]] table declares one of your own)")
    for row in usage:
        if row["purpose"] in purposes and purposes[row["purpose"]].necessary:
            row.location.at("purpose").problem("is necessary, so nobody is asked: name one that visitors may allow")
    asked = sum(not purpose.necessary for purpose in purposes.values())
    if asked > MOST_PURPOSES:
        root.location.at("purpose").problem(f"{asked} purposes are more than the {MOST_PURPOSES} a choice can hold")


def _check_reasons(root: Row, purposes: Mapping[str, Purpose]) -> None:
    """Whatever a site calls necessary says why (ePrivacy Directive Art 5(3): it is for the site to show)."""
    necessary = {purpose.id for purpose in purposes.values() if purpose.necessary}
    services = [(row, SERVICE["reason"]) for row in (*root["services"], *root["service"])]
    for row, key in (*services, *((row, COOKIE["reason"]) for row in root["cookie"])):
        if row["purpose"] in necessary and not row.has("reason"):
            row.location.at("reason").problem(is_missing(key))


def _check_hosts(claims: Claims, own: Iterable[str]) -> None:
    """No two services claim one host, and none claims the whole site: all of it would wait for a choice."""
    report_shared_hosts(claims)
    own = tuple(own)
    for service, location in claims:
        for pattern in service.hosts:
            if not pattern.path and any(f".{host}".endswith(f".{pattern.host}") for host in own):
                location.problem(
                    f'"{pattern}" is the site itself: add the path that belongs to "{service.id}", '
                    f'such as "{pattern}/stats"'
                )


def _check_values(root: Row) -> None:
    consent, site = root["consent"], root["site"]
    if consent["lifetime"].approximate() > LONGEST_COOKIE:
        consent.location.at("lifetime").problem(
            'is more than 400 days, and browsers keep no cookie longer: write "P13M" or less'
        )
    if site["country_header"] and not site.has("trusted_proxies"):
        site.location.at("country_header").problem(
            "is believed only from a trusted proxy: name the proxy's address in trusted_proxies"
        )
