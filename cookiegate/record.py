"""What may be written down: `minimise()` is the only reader of the IP address and the User-Agent.

Values in, values out. What `minimise` does not return exists nowhere: not in a queue, a log, a file or an error.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from user_agents import parse as parse_user_agent

from .lawful import Verdict
from .policy import Basis, Policy
from .signals import Signals

Method = Literal["accept", "reject", "save", "allow"]
"""Which control the visitor used: accept all, reject all (also: withdraw), save the toggles, allow one embed."""

Device = Literal["desktop", "mobile", "tablet", "other"]


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """One act of choosing, as evidence (GDPR Art 7(1)).

    Who: ``consent_id``. What: ``choices`` per purpose. Shown: ``policy_version``, ``banner_hash`` (SHA-256 of exactly
    the text shown), ``locale``. When: ``at`` (UTC) and ``valid_until``. How: ``method`` and ``source``. Where:
    ``host`` and ``path`` (no query). Signals: ``gpc``, ``dnt``, ``country``, ``profile``.
    """

    record_id: str
    consent_id: str
    at: datetime
    valid_until: datetime
    method: Method
    source: str
    choices: Mapping[str, bool]
    policy_version: str
    banner_hash: str
    locale: str
    host: str
    path: str
    gpc: bool
    dnt: bool
    country: str
    profile: str


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One page view of a visitor for whom a lawful basis applies, in exactly the fields it covers.

    ``None`` means: not covered, so not kept. ``visit_key`` is a keyed hash that cannot be recomputed once its salt is
    destroyed; ``previous_key`` is the same visitor's key under the day before's salt, so that a visit may cross
    midnight: it finds the visit and is not stored.
    """

    at: datetime
    host: str
    path: str
    purpose: str
    basis: Basis
    policy_version: str
    consent_id: str
    status: int
    duration_ms: int
    visit_key: str | None = None
    previous_key: str | None = None
    referrer: str | None = None
    ip: str | None = None
    country: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    os_version: str | None = None
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """One page view as a number in a counter: no field of it belongs to a person.

    ``page`` is the route's template, or the path with every segment that could identify someone masked.
    ``hour`` is the start of the UTC hour. ``consented`` says whether a `UsageRecord` went with it.
    """

    hour: datetime
    host: str
    page: str
    country: str
    consented: bool
    undecided: bool


@dataclass(frozen=True, slots=True)
class Salts:
    """The visit salts of one day: random, never derived from a setting. ``previous`` is None once destroyed."""

    day: str
    current: bytes
    previous: bytes | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """The raw facts of one answered request: what `minimise` reduces. Lives as long as the request, no longer.

    ``client`` is the visitor's IP address, ``path`` the path without query, ``template`` the route's template where
    the framework tells it.
    """

    at: datetime
    host: str
    path: str
    client: str
    user_agent: str
    referrer: str
    status: int
    duration_ms: int
    template: str = ""


_MASKS = (
    (re.compile(r"[^/]*(?:@|%40)[^/]*", re.IGNORECASE), ":email"),
    (re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?![0-9A-Za-z])", re.IGNORECASE), ":id"),
    (re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_=.~-]{24,}"), ":token"),
    (re.compile(r"\+?[0-9][0-9 ()._-]{5,}[0-9]"), ":number"),
)
"""What in a path could name a person, and what stands for it: e-mail addresses, UUIDs, tokens, long numbers."""


def scrub_path(path: str) -> str:
    """A path without query in which nothing names a person (law of data minimisation, GDPR Art 5(1)(c))."""
    path = re.split(r"[?#;]", path, maxsplit=1)[0]
    for pattern, mask in _MASKS:
        path = pattern.sub(mask, path)
    return path[:512]


def truncate_ip(address: str) -> str | None:
    """An IPv4 address without its last octet (/24), an IPv6 address without its last ten (/48); None if neither."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    ip = mapped or ip
    prefix = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network((ip, prefix), strict=False).network_address)


def referrer_origin(referrer: str, host: str) -> str | None:
    """The origin of the referring page; with its path where that page is the site's own."""
    parts = urlsplit(referrer)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    origin = f"{parts.scheme}://{parts.hostname}"
    return origin + scrub_path(parts.path) if parts.hostname == host else origin


def visit_key(salt: bytes, request: Request) -> str:
    """A key that two page views share when site, IP address and User-Agent are the same, while the salt lives."""
    material = b"\n".join(
        part.encode("utf-8", "surrogateescape") for part in (request.host, request.client, request.user_agent)
    )
    return hashlib.blake2b(material, key=salt, digest_size=12).hexdigest()


@lru_cache(maxsize=4096)
def _agent(user_agent: str) -> tuple[str, str, str, Device, bool]:
    """Browser family and major version, system family, device class, and whether it is a declared bot."""
    agent = parse_user_agent(user_agent)
    device: Device = (
        "mobile" if agent.is_mobile else "tablet" if agent.is_tablet else "desktop" if agent.is_pc else "other"
    )
    major = str(agent.browser.version[0]) if agent.browser.version else ""
    return agent.browser.family, major, agent.os.family, device, agent.is_bot


def minimise(policy: Policy, signals: Signals, verdict: Verdict, request: Request, salts: Salts) -> UsageRecord | None:
    """One page view in exactly the fields its lawful basis covers, or None where none applies.

    With consent, in the strict profile: IP address /24, country, browser family and major version, system family,
    device class, referrer origin, path without query (docs/usage.md has the table). Without, no field at all.
    """
    usage = policy.usage
    if usage is None:
        return None
    basis = verdict.basis(usage.purpose)
    if basis is None:
        return None
    browser, major, system, device, bot = _agent(request.user_agent)
    if bot:
        return None
    return UsageRecord(
        at=request.at,
        host=request.host,
        path=scrub_path(request.path),
        purpose=usage.purpose,
        basis=basis,
        policy_version=policy.site.policy_version,
        consent_id=verdict.consent_id,
        status=request.status,
        duration_ms=request.duration_ms,
        visit_key=visit_key(salts.current, request),
        previous_key=visit_key(salts.previous, request) if salts.previous else None,
        referrer=referrer_origin(request.referrer, request.host),
        ip=truncate_ip(request.client),
        country=signals.country or None,
        browser=browser,
        browser_version=major or None,
        os=system,
        device=device,
    )


def count(signals: Signals, verdict: Verdict, request: Request, *, consented: bool) -> Count | None:
    """The page view as a number, or None where the visitor's browser objects to that too (GPC, DNT).

    Nothing of the visitor is read for it but the country that a trusted proxy told.
    """
    if (signals.gpc or signals.dnt) and not consented:
        return None
    return Count(
        hour=request.at.replace(minute=0, second=0, microsecond=0),
        host=request.host,
        page=request.template or scrub_path(request.path),
        country=signals.country,
        consented=consented,
        undecided=verdict.undecided,
    )
