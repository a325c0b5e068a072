"""The declared policy as frozen values: what a site says it does, and so what it may do.

Nothing here reads a file, a clock or a request; `load` builds these values and checks them.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal

import isodate

Mode = Literal["enforce", "observe"]
Wall = Literal["verdict", "declared", "off"]
WallMode = Literal["enforce", "report"]
StoredKind = Literal["session", "persistent"]
StorageArea = Literal["local", "session"]


class Basis(StrEnum):
    """The lawful bases of GDPR Art 6(1)(a) to (f)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


@dataclass(frozen=True, slots=True)
class Period:
    """An ISO 8601 duration, kept as written: months and years depend on the date they start from."""

    text: str

    def after(self, moment: datetime) -> datetime:
        """The moment this period ends when it starts at ``moment``."""
        end: datetime = moment + isodate.parse_duration(self.text)
        return end

    def before(self, moment: datetime) -> datetime:
        """The moment this period started when it ends at ``moment``."""
        start: datetime = moment - isodate.parse_duration(self.text)
        return start

    def approximate(self) -> timedelta:
        """Its length counted from a fixed date: for cookie lifetimes and comparisons, not for retention."""
        start = datetime(2025, 1, 1)  # noqa: DTZ001 - only the difference is used
        return self.after(start) - start


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host and everything below it, optionally only under a path: ``google.com/maps``.

    ``path`` is "" for the whole host, else begins with "/" and matches as a prefix.
    """

    host: str
    path: str = ""

    def __str__(self) -> str:
        return self.host + self.path


@dataclass(frozen=True, slots=True)
class CookieRule:
    """A cookie that is declared, by name or by a pattern with ``*``.

    ``lifetime`` is None for a session cookie. ``purpose`` is always filled: a service's cookie has its service's.
    """

    name: str
    kind: StoredKind
    purpose: str
    lifetime: Period | None = None
    description: str = ""
    reason: str = ""
    service: str = ""

    def matches(self, name: str) -> bool:
        """Whether a cookie of this name is the declared one. Cookie names are case-sensitive (RFC 6265 4.1.1)."""
        return name == self.name or ("*" in self.name and fnmatch.fnmatchcase(name, self.name))


@dataclass(frozen=True, slots=True)
class StorageRule:
    """A declared key of localStorage or sessionStorage, by name or by a pattern with ``*``."""

    name: str
    area: StorageArea
    purpose: str
    description: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A third party or product: its hosts, cookies, scripts, and who provides it.

    ``signatures`` are literal, case-sensitive pieces of text; an inline script that holds one belongs to the service.
    ``country`` is the ISO 3166-1 alpha-2 code of the provider's seat. ``docs`` documents its cookies.
    ``reason`` says why it is necessary, where the site declares that it is.
    """

    id: str
    name: str
    provider: str
    country: str
    purpose: str
    hosts: tuple[HostPattern, ...] = ()
    cookies: tuple[CookieRule, ...] = ()
    storage: tuple[StorageRule, ...] = ()
    signatures: tuple[str, ...] = ()
    description: str = ""
    docs: str = ""
    privacy: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why something is stored or read.

    ``necessary`` purposes need no choice (ePrivacy Directive Art 5(3), second sentence). ``title`` and ``text`` are
    empty where the built-in wording of the visitor's language is to be used.
    """

    id: str
    basis: Basis
    necessary: bool = False
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Controller:
    """Who decides (GDPR Art 4(7)): shown on the banner's second layer, in notices and in exports."""

    name: str
    email: str
    address: str = ""
    phone: str = ""
    registration: str = ""
    notice_url: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """The site that is gated. ``hosts`` are its own; empty means the host of each request."""

    name: str
    policy_version: str
    hosts: tuple[str, ...] = ()
    profile: str = "auto"
    language: str = "en"
    trusted_proxies: tuple[str, ...] = ()
    country_header: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Web-usage data: which purpose it serves and how long a row is kept."""

    retention: Period
    purpose: str = "analytics"


@dataclass(frozen=True, slots=True)
class ConsentRules:
    """How long a choice holds, and how long its evidence is kept after that."""

    lifetime: Period = field(default_factory=lambda: Period("P6M"))
    retention: Period = field(default_factory=lambda: Period("P3Y"))


@dataclass(frozen=True, slots=True)
class GateRules:
    """How the gate behaves. ``first_party`` are further hosts of the site's own, such as its CDN."""

    mode: Mode = "enforce"
    wall: Wall = "verdict"
    wall_mode: WallMode = "enforce"
    prefix: str = "/_privacy"
    first_party: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """One site's whole policy. Built and checked by `cookiegate.policy.load_policy`.

    ``services`` are those declared; ``known`` are all services of the catalogue that are *not* declared, kept so that
    what is withheld can be named. ``cookies`` are the site's own and those of services; ``frameworks`` are the session
    and CSRF cookies that common frameworks set: allowed as necessary, but shown to visitors only once declared.
    """

    site: Site
    controller: Controller
    purposes: tuple[Purpose, ...]
    services: tuple[Service, ...] = ()
    known: tuple[Service, ...] = ()
    cookies: tuple[CookieRule, ...] = ()
    frameworks: tuple[CookieRule, ...] = ()
    storage: tuple[StorageRule, ...] = ()
    usage: Usage | None = None
    consent: ConsentRules = field(default_factory=ConsentRules)
    gate: GateRules = field(default_factory=GateRules)
    source: str = ""

    @cached_property
    def purpose_by_id(self) -> dict[str, Purpose]:
        """Purposes by id, in declared order."""
        return {purpose.id: purpose for purpose in self.purposes}

    @cached_property
    def choosable(self) -> tuple[Purpose, ...]:
        """The purposes a visitor is asked about, in declared order."""
        return tuple(purpose for purpose in self.purposes if not purpose.necessary)

    @cached_property
    def service_by_id(self) -> dict[str, Service]:
        """Declared services by id."""
        return {service.id: service for service in self.services}

    def services_of(self, purpose: str) -> tuple[Service, ...]:
        """Declared services that serve a purpose."""
        return tuple(service for service in self.services if service.purpose == purpose)

    def cookie_rule(self, name: str) -> CookieRule | None:
        """The declaration of a cookie: an exact name before a pattern, a longer pattern before a shorter one.

        A framework's pattern does not cover the cookie of a service that the catalogue knows and the site did not
        declare: Rails' ``_*_session`` is not to let a tracker's ``_gd_session`` through.
        """
        exact = self._exact_cookies.get(name)
        if exact is not None:
            return exact
        declared = _first_match(self._cookie_patterns, name)
        if declared is not None or name in self._undeclared_names:
            return declared
        return _first_match(self._framework_patterns, name)

    @cached_property
    def _exact_cookies(self) -> dict[str, CookieRule]:
        return {rule.name: rule for rule in reversed((*self.cookies, *self.frameworks)) if "*" not in rule.name}

    @cached_property
    def _cookie_patterns(self) -> Patterns:
        return _patterns(self.cookies)

    @cached_property
    def _framework_patterns(self) -> Patterns:
        return _patterns(self.frameworks)

    @cached_property
    def _undeclared_names(self) -> frozenset[str]:
        unknown = (service for service in self.known if service.purpose != "necessary")
        return frozenset(rule.name for service in unknown for rule in service.cookies)

    @cached_property
    def scopes(self) -> dict[str, int]:
        """What a choice about each choosable purpose covers, as a 31-bit number.

        It changes when the purpose's basis or the set of its services changes, so that an old choice no longer
        answers the new question (GDPR Art 4(11), "specific"); wording alone does not change it.
        """
        return {purpose.id: self._scope(purpose) for purpose in self.choosable}

    def _scope(self, purpose: Purpose) -> int:
        services = sorted(service.id for service in self.services_of(purpose.id))
        material = "\n".join([purpose.id, purpose.basis, *services])
        return int.from_bytes(hashlib.sha256(material.encode()).digest()[:4]) >> 1


Patterns = tuple[tuple[CookieRule, re.Pattern[str]], ...]


def _patterns(rules: tuple[CookieRule, ...]) -> Patterns:
    """The rules with a wildcard, longest first, with what their names match."""
    wild = sorted((rule for rule in rules if "*" in rule.name), key=lambda rule: -len(rule.name))
    return tuple((rule, re.compile(fnmatch.translate(rule.name))) for rule in wild)


def _first_match(patterns: Patterns, name: str) -> CookieRule | None:
    return next((rule for rule, pattern in patterns if pattern.fullmatch(name)), None)
