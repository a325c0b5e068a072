"""What may be written down: `minimise()` is the only reader of the IP address and the User-Agent.

Values in, values out. What `minimise` does not return exists nowhere: not in a queue, a log, a file or an error.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote, urlsplit

from user_agents import parse as parse_user_agent

from . import headers
from .cookies import registrable_domain
from .gate import Layer, Withheld, layer_of
from .lawful import Verdict
from .policy import Basis, Policy
from .signals import Signals, is_trusted

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
class Sighting:
    """Something that was withheld, as a key of a counter: no field of it belongs to a person.

    Attributes:
        hour: the start of the UTC hour in which it was counted.
        layer: what withheld it: "markup", "headers" or "wall".
        what: the kind of thing: an element, a header, or a directive of the Content-Security-Policy.
        host: whom it would have asked, less labels that could be ids; "" for a cookie.
        cookie: the name, or pattern, of a cookie; else "".
        service: the id of the service it belongs to, declared or not; "" where none is known.
        purpose: the purpose that was not allowed; "" for what the policy does not declare.
    """

    hour: datetime
    layer: Layer
    what: str
    host: str
    service: str
    purpose: str
    cookie: str = ""


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


_LONGEST_PATH = 512
_LONGEST_SEGMENT = 200
_MOST_SEGMENTS = 64
_LONGEST_AGENT = 512
"""Longer inputs come from no visitor. What is read for every page view is bounded, so that its cost is, too."""

_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?![0-9A-Za-z])", re.IGNORECASE)
_RUN = re.compile(r"[0-9A-Za-z_=~+.-]{16,}")
_WORD = re.compile(r"[0-9A-Za-z]{20,}")
_MIXES = re.compile(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])|[a-z](?=[A-Z])")
_NUMBER = re.compile(r"\+?[0-9](?:[ ()._-]{0,3}[0-9]){6,}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}([-_.])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])(?![0-9])")


def scrub_path(path: str) -> str:
    """A path without query in which nothing that looks like a person's is left (GDPR Art 5(1)(c)).

    E-mail addresses become ``:email``, UUIDs ``:id``, random-looking tokens ``:token``, numbers of seven digits or
    more, such as those of phones and customers, ``:number``. Words, dates and short ids stay.
    """
    plain = re.split(r"[?#;]", path, maxsplit=1)[0]
    segments = plain.split("/", _MOST_SEGMENTS)[:_MOST_SEGMENTS]
    return "/".join(map(_scrub_segment, segments))[:_LONGEST_PATH]


def _scrub_segment(segment: str) -> str:
    if len(segment) > _LONGEST_SEGMENT:
        return ":long"
    if "@" in segment or "%40" in segment:
        return ":email"
    segment = _UUID.sub(":id", segment)
    segment = _RUN.sub(lambda run: ":token" if _looks_random(run[0]) else run[0], segment)
    return _mask_numbers(segment)


def _looks_random(run: str) -> bool:
    """Whether letters, digits and cases are mixed as no words are: in one long word, or all over."""
    if any(_MIXES.search(word) for word in _WORD.findall(run)):
        return True
    return run.startswith("eyJ") or len(_MIXES.findall(run)) >= max(4, len(run) // 4)


def _mask_numbers(segment: str) -> str:
    """Long numbers masked, written in groups or not; dates such as ``2026-11-22`` left as they are."""
    pieces, end = [], 0
    for date in _DATE.finditer(segment):
        if date.start() == 0 or not segment[date.start() - 1].isdigit():
            pieces += [_NUMBER.sub(":number", segment[end : date.start()]), date[0]]
            end = date.end()
    return "".join([*pieces, _NUMBER.sub(":number", segment[end:])])


_COOKIE_ID = re.compile(rf"{_UUID.pattern}|(?=[A-Za-z]*[0-9])[0-9A-Za-z]{{16,}}|[0-9]{{5,}}", re.IGNORECASE)


def scrub_host(host: str) -> str:
    """A third party's host without the labels that look like somebody's id, and all before them.

    The registrable domain stays whatever it looks like: it names the third party.
    """
    site = registrable_domain(host)
    if site is None:
        return host
    labels = host.removesuffix(site).rstrip(".").split(".")
    ids = [place for place, label in enumerate(labels) if _scrub_segment(label) != label]
    return ".".join(filter(None, (*labels[ids[-1] + 1 if ids else 0 :], site)))


def scrub_cookie(name: str) -> str:
    """A cookie's name with every part that looks like an id replaced by ``*``: a pattern that would declare it."""
    return _COOKIE_ID.sub("*", name[:_LONGEST_SEGMENT])


def truncate_ip(address: str) -> str | None:
    """An IPv4 address without its last octet (/24), an IPv6 address without its last ten (/48); None if neither.

    An IPv6 address that holds the visitor's IPv4 address in its first 48 bits (6to4, RFC 3056) is that one.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    prefix = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network((ip, prefix), strict=False).network_address)


def client_address(raw: headers.RawHeaders, *, peer: str, proxies: tuple[str, ...]) -> str:
    """The visitor's IP address: the peer's, or what trusted proxies say it is, or "" where they do not know.

    ``X-Forwarded-For`` grows to the right, and only what trusted proxies added is believed: the answer is the last
    address that is not one of theirs.
    """
    if not is_trusted(peer, proxies):
        return peer
    for member in reversed(headers.list_members(raw, b"x-forwarded-for")):
        peer = _address(member.decode("latin-1"))
        if not is_trusted(peer, proxies):
            break
    return peer


def _address(text: str) -> str:
    """The address in ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``, else ""."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def referrer_origin(referrer: str, host: str) -> str | None:
    """The origin of the referring page, without port; with its path where that page is the site's own."""
    try:
        parts = urlsplit(referrer)
    except ValueError:
        return None
    name = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not re.fullmatch(r"[0-9a-z._-]{1,253}|[0-9a-f:.]{2,45}", name):
        return None
    origin = f"{parts.scheme}://[{name}]" if ":" in name else f"{parts.scheme}://{name}"
    return origin + scrub_path(unquote(parts.path)) if name == host else origin


def visit_key(salt: bytes, request: Request) -> str:
    """A key that two page views share when site, IP address and User-Agent are the same, while the salt lives."""
    material = b"\n".join(
        part.encode("utf-8", "surrogatepass") for part in (request.host, request.client, request.user_agent)
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
    device class, referrer origin, path without query, time to the second (docs/usage.md has the table). Without, no
    field at all, whatever else the purpose might rest on.
    """
    usage = policy.usage
    if usage is None:
        return None
    basis = verdict.basis(usage.purpose)
    if basis is not Basis.CONSENT:
        return None
    browser, major, system, device, bot = _agent(request.user_agent[:_LONGEST_AGENT])
    if bot:
        return None
    return UsageRecord(
        at=request.at.replace(microsecond=0),
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


def sighting(policy: Policy, withheld: Withheld, at: datetime) -> Sighting | None:
    """Something withheld, as a key of a counter; None for a cookie that only the request named.

    Whatever a browser sends as a cookie's name is the visitor's text. Names of cookies that the app set are the app's.
    """
    layer = layer_of(withheld)
    if layer == "request":
        return None
    rule = policy.cookie_rule(withheld.name) if withheld.what == "cookie" else None
    return Sighting(
        hour=at.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
        layer=layer,
        what=withheld.what.removeprefix("wall: "),
        host=scrub_host(withheld.host),
        service=withheld.service,
        purpose=withheld.purpose,
        cookie=(rule.name if rule else scrub_cookie(withheld.name)) if withheld.what == "cookie" else "",
    )
