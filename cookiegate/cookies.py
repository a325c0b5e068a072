"""Set-Cookie as a browser reads it: session, persistent or deletion, for how long, for whom, if at all.

The rules are those of rfc6265bis (draft-ietf-httpbis-rfc6265bis-22, sections 5.1 to 5.7) and what browsers
have added since: ``Partitioned`` (CHIPS), and the prefixes ``__Http-`` and ``__Host-Http-``
(draft-ietf-httpbis-layered-cookies). RFC 6265 of 2011 is there as a second mode. The standard library's
`http.cookies` is no help here: it loses whole cookies.

All is done on octets, one header field at a time. What comes out as text is latin-1, one character per octet;
nothing is unquoted, percent-decoded or split at commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from ada_url import idna_to_ascii
from publicsuffixlist import PublicSuffixList

Kind = Literal["session", "persistent", "deletion"]
SameSite = Literal["strict", "lax", "none", "default"]
Prefix = Literal["", "__Secure-", "__Host-", "__Http-", "__Host-Http-"]
Spec = Literal["rfc6265bis", "rfc6265"]

LIFETIME_LIMIT = timedelta(days=400)
"""The longest a browser keeps a cookie (rfc6265bis 5.5)."""

_WSP = b" \t"
_PAIR_OCTETS, _VALUE_OCTETS = 4096, 1024
_CTL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_PREFIXES: tuple[Prefix, ...] = ("__Host-Http-", "__Host-", "__Http-", "__Secure-")


@dataclass(frozen=True, slots=True)
class SetCookie:
    """One Set-Cookie header field, read.

    Attributes:
        name: "" for a nameless cookie.
        value: as sent, quotes included.
        kind: ``session`` ends with the browser session; ``persistent`` has an accepted Max-Age or Expires in
            the future; ``deletion`` has one at or before the present moment.
        expires_at: the effective end, in UTC; None for a session cookie, the earliest date there is for a
            Max-Age of 0 or less.
        lifetime: the effective lifetime from now; zero for a deletion, None for a session cookie.
        declared_lifetime: what the server asked for; negative where that moment has passed.
        capped: ``lifetime`` was cut to the 400 days browsers allow.
        domain: the host whose subdomains get the cookie too, lower-case; None where it is host-only.
        host_only: only the very host that set it gets it back.
        path: where it applies; None where that is the default path of a request that is not known.
        same_site: ``default`` where no valid SameSite was given; browsers then mostly apply Lax.
        prefix: the name prefix in its canonical spelling, matched whatever its case.
        prefix_ok: the cookie keeps what its prefix promises.
        third_party: it was set from another site than the page's; None where the host is not known.
        warnings: what a browser will make of it that its author may not expect, as sentences.
    """

    name: str
    value: str
    kind: Kind
    expires_at: datetime | None
    lifetime: timedelta | None
    declared_lifetime: timedelta | None
    capped: bool
    domain: str | None
    host_only: bool
    path: str | None
    secure: bool
    http_only: bool
    same_site: SameSite
    partitioned: bool
    prefix: Prefix
    prefix_ok: bool
    third_party: bool | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A Set-Cookie header field that a browser drops, and why."""

    name: str
    reason: str


def parse_set_cookie(
    header: bytes | str,
    *,
    now: datetime,
    host: str | None = None,
    secure: bool | None = None,
    path: str = "/",
    site: str | None = None,
    spec: Spec = "rfc6265bis",
) -> SetCookie | None:
    """Read one Set-Cookie header field, or None where a browser ignores it. Never raises on any header.

    Without ``host`` the header alone is classified: a cookie that a browser would not store because of its
    attributes is returned with a warning that says so. With ``host`` the answer is a browser's: None for all
    that it would not store.

    Args:
        header: the field's value. Text stands for its latin-1 octets, or for UTF-8 if it has others.
        now: the present moment, timezone-aware.
        host: the host that answered; a port is ignored.
        secure: whether the connection is secure; None where that is not known.
        path: the path of the request, from which a missing Path follows.
        site: the host of the page in the address bar, where the answer is not that page itself.
        spec: the rules to apply.
    """
    result = read_set_cookie(header, now=now, host=host, secure=secure, path=path, site=site, spec=spec)
    return result if isinstance(result, SetCookie) else None


def read_set_cookie(
    header: bytes | str,
    *,
    now: datetime,
    host: str | None = None,
    secure: bool | None = None,
    path: str = "/",
    site: str | None = None,
    spec: Spec = "rfc6265bis",
) -> SetCookie | Refused:
    """As `parse_set_cookie`, but a cookie that a browser ignores comes back with the reason."""
    if now.tzinfo is None:
        raise ValueError("now must be timezone-aware: pass datetime.now(UTC)")
    octets = header if isinstance(header, bytes) else _octets(header)
    pair, _, rest = octets.partition(b";")
    name, value = _name_and_value(pair)
    unreadable = _unreadable(octets, name, value, spec=spec)
    if unreadable:
        return Refused(name.decode("latin-1"), unreadable)
    found = _read_attributes(rest, spec=spec)
    request = _Request(_canonical(host), secure, path, _canonical(site))
    cookie = _cookie(name, value, found, request, now.astimezone(UTC))
    reasons = [*_reasons_to_refuse(cookie, found, request)]
    if reasons and request.host is not None:
        return Refused(cookie.name, reasons[0])
    warnings = (*(f"A browser refuses it: {reason}" for reason in reasons), *found.notes, *_remarks(cookie))
    return replace(cookie, warnings=warnings) if warnings else cookie


class _Request(NamedTuple):
    """What is known of the request that was answered. The hosts are canonical."""

    host: str | None
    secure: bool | None
    path: str
    site: str | None


# The set-cookie-string (rfc6265bis 5.6)


def _canonical(host: str | None) -> str | None:
    return None if host is None else canonical_host(host)


def _octets(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def _name_and_value(pair: bytes) -> tuple[bytes, bytes]:
    name, equals, value = pair.partition(b"=")
    return (name.strip(_WSP), value.strip(_WSP)) if equals else (b"", pair.strip(_WSP))


def _unreadable(octets: bytes, name: bytes, value: bytes, *, spec: Spec) -> str:
    """Why there is no cookie in these octets at all, or ""."""
    if spec == "rfc6265":
        return "" if name else "it has no name"
    if _CTL.search(octets):
        return "it contains a control character"
    if not name and not value:
        return "it has neither a name nor a value"
    if len(name) + len(value) > _PAIR_OCTETS:
        return f"name and value are {len(name) + len(value):,} octets, over the limit of {_PAIR_OCTETS:,}"
    return ""


@dataclass(slots=True)
class _Attributes:
    """The attributes of one header while they are read; of each, the last accepted one counts."""

    spec: Spec
    max_age: int | None = None
    expires: datetime | None = None
    domain: str = ""
    path: str | None = None
    secure: bool = False
    http_only: bool = False
    same_site: SameSite = "default"
    partitioned: bool = False
    notes: list[str] = field(default_factory=list)

    def read_expires(self, value: bytes) -> None:
        moment = parse_cookie_date(value.decode("latin-1"))
        if moment is None:
            self.notes.append(f"Expires is ignored: {_quoted(value)} is not a date")
        self.expires = moment or self.expires

    def read_max_age(self, value: bytes) -> None:
        seconds = _seconds(value)
        if seconds is None:
            self.notes.append(f"Max-Age is ignored: {_quoted(value)} is not a whole number of seconds")
        self.max_age = self.max_age if seconds is None else seconds

    def read_domain(self, value: bytes) -> None:
        # RFC 6265 5.2.3 ignores an empty Domain; since rfc6265bis it takes back an earlier one.
        if value or self.spec == "rfc6265bis":
            self.domain = value.removeprefix(b".").lower().decode("latin-1")

    def read_path(self, value: bytes) -> None:
        absolute = value.startswith(b"/")
        if not absolute:
            self.notes.append(f"Path is ignored: {_quoted(value)} does not begin with /")
        self.path = value.decode("latin-1") if absolute else None

    def read_secure(self, _: bytes) -> None:
        self.secure = True

    def read_http_only(self, _: bytes) -> None:
        self.http_only = True

    def read_same_site(self, value: bytes) -> None:
        self.same_site = _SAME_SITE.get(value.lower(), "default")
        if self.same_site == "default":
            self.notes.append(f"SameSite is ignored: {_quoted(value)} is not Strict, Lax or None")

    def read_partitioned(self, _: bytes) -> None:
        self.partitioned = True

    def read_priority(self, _: bytes) -> None:
        """Chromium's own: it decides only which cookie makes room for another."""


_SAME_SITE: Mapping[bytes, SameSite] = MappingProxyType({b"strict": "strict", b"lax": "lax", b"none": "none"})
_Reader = Callable[[_Attributes, bytes], None]
_RFC6265_READERS: Mapping[bytes, _Reader] = MappingProxyType(
    {
        b"expires": _Attributes.read_expires,
        b"max-age": _Attributes.read_max_age,
        b"domain": _Attributes.read_domain,
        b"path": _Attributes.read_path,
        b"secure": _Attributes.read_secure,
        b"httponly": _Attributes.read_http_only,
    }
)
_READERS: Mapping[bytes, _Reader] = MappingProxyType(
    {
        **_RFC6265_READERS,
        b"samesite": _Attributes.read_same_site,
        b"partitioned": _Attributes.read_partitioned,
        b"priority": _Attributes.read_priority,
    }
)


def _read_attributes(text: bytes, *, spec: Spec) -> _Attributes:
    found = _Attributes(spec)
    readers = _READERS if spec == "rfc6265bis" else _RFC6265_READERS
    for piece in text.split(b";"):
        key, value = _attribute(piece)
        if spec == "rfc6265bis" and len(value) > _VALUE_OCTETS:
            found.notes.append(f"{_quoted(key)} is ignored: its value is over {_VALUE_OCTETS:,} octets")
        elif key in readers:
            readers[key](found, value)
        elif key:
            found.notes.append(f"{_quoted(key)} is ignored: browsers know no such attribute")
    return found


def _attribute(piece: bytes) -> tuple[bytes, bytes]:
    name, _, value = piece.partition(b"=")
    return name.strip(_WSP).lower(), value.strip(_WSP)


def _seconds(value: bytes) -> int | None:
    """A Max-Age, saturated at twelve digits: longer than any cookie may live, and cheap to convert."""
    if not re.fullmatch(rb"-?[0-9]+", value):
        return None
    digits = value.lstrip(b"-").lstrip(b"0") or b"0"
    size = int(digits) if len(digits) <= 12 else 10**12 - 1
    return -size if value.startswith(b"-") else size


def _quoted(value: bytes) -> str:
    text = value.decode("latin-1")
    return f'"{text}"' if len(text) <= 40 else f'"{text[:40]}…"'


# What becomes of it (rfc6265bis 5.7)


def _cookie(name: bytes, value: bytes, found: _Attributes, request: _Request, now: datetime) -> SetCookie:
    """The cookie as it would be stored, were it stored."""
    domain = _stored_domain(found.domain, request.host)
    prefix = _prefix(name or value, spec=found.spec)
    life = _lifetime(found, now)
    return SetCookie(
        name=name.decode("latin-1"),
        value=value.decode("latin-1"),
        kind=life.kind,
        expires_at=life.expires_at,
        lifetime=life.effective,
        declared_lifetime=life.declared,
        capped=life.capped,
        domain=domain,
        host_only=domain is None,
        path=found.path if found.path or request.host is None else default_path(request.path),
        secure=found.secure,
        http_only=found.http_only,
        same_site=found.same_site,
        partitioned=found.partitioned,
        prefix=prefix,
        prefix_ok=not _prefix_problem(prefix, found, named=bool(name), host_only=domain is None),
        third_party=_third_party(request),
    )


class _Lifetime(NamedTuple):
    kind: Kind
    expires_at: datetime | None
    effective: timedelta | None
    declared: timedelta | None
    capped: bool


def _lifetime(found: _Attributes, now: datetime) -> _Lifetime:
    if found.max_age is not None:
        declared, past_end = timedelta(seconds=found.max_age), _EARLIEST
    elif found.expires is not None:
        declared, past_end = found.expires - now, found.expires
    else:
        return _Lifetime("session", None, None, None, capped=False)
    if declared <= timedelta(0):
        return _Lifetime("deletion", past_end, timedelta(0), declared, capped=False)
    limit = LIFETIME_LIMIT if found.spec == "rfc6265bis" else timedelta.max
    effective = min(declared, limit, _LATEST - now)
    return _Lifetime("persistent", now + effective, effective, declared, capped=effective < declared)


def _stored_domain(declared: str, host: str | None) -> str | None:
    # A public suffix that sets a cookie for itself gets a host-only one (5.7 step 9.3).
    return None if not declared or (declared == host and is_public_suffix(host)) else declared


def _prefix(text: bytes, *, spec: Spec) -> Prefix:
    if spec == "rfc6265" or not text.startswith(b"__"):
        return ""
    lowered = text[:12].decode("latin-1").lower()
    return next((prefix for prefix in _PREFIXES if lowered.startswith(prefix.lower())), "")


def _prefix_problem(prefix: Prefix, found: _Attributes, *, named: bool, host_only: bool) -> str:
    """How the cookie breaks what its prefix promises, or ""."""
    if not prefix:
        return ""
    if not named:
        return f"a nameless cookie may not imitate the prefix {prefix}"
    if not found.secure:
        return f"the prefix {prefix} needs Secure"
    if prefix.endswith("Http-") and not found.http_only:
        return f"the prefix {prefix} needs HttpOnly"
    if prefix.startswith("__Host-") and not (host_only and found.path == "/"):
        return f"the prefix {prefix} needs Path=/ and no Domain"
    return ""


def _third_party(request: _Request) -> bool | None:
    if request.host is None:
        return None
    return request.site is not None and not same_site(request.host, request.site)


def _reasons_to_refuse(cookie: SetCookie, found: _Attributes, request: _Request) -> Iterator[str]:
    """Why a browser would not store it, in the order of rfc6265bis 5.7."""
    if found.domain:
        yield from _domain_reasons(found.domain, request.host)
    if cookie.secure and request.secure is False and found.spec == "rfc6265bis":
        yield "a Secure cookie cannot be set over an insecure connection"
    if cookie.third_party and cookie.same_site != "none" and found.spec == "rfc6265bis":
        yield f"in a page of {request.site} it is a third-party cookie, which needs SameSite=None"
    if cookie.same_site == "none" and not cookie.secure:
        yield "SameSite=None needs Secure"
    problem = _prefix_problem(cookie.prefix, found, named=bool(cookie.name), host_only=cookie.host_only)
    if problem:
        yield problem
    if cookie.partitioned and not cookie.secure:
        yield "Partitioned needs Secure"


def _domain_reasons(declared: str, host: str | None) -> Iterator[str]:
    if not declared.isascii():
        yield f"Domain={declared} is not ASCII: write it as an A-label (xn--…)"
    elif host is not None and not domain_match(host, declared):
        yield f"Domain={declared} does not cover {host}"
    elif host is not None and host != declared and is_public_suffix(declared):
        yield f"Domain={declared} is a public suffix, shared by unrelated sites"


def _remarks(cookie: SetCookie) -> Iterator[str]:
    """What is stored otherwise than its author may think."""
    if not cookie.name:
        yield "It has no name: the whole text is its value"
    if cookie.capped and cookie.declared_lifetime is not None and cookie.lifetime is not None:
        yield f"Lifetime is cut from {cookie.declared_lifetime.days:,} to {cookie.lifetime.days} days"
    if cookie.same_site == "none" and cookie.secure and not cookie.partitioned:
        yield "SameSite=None without Partitioned follows the visitor across sites: several browsers block it"


# Dates (rfc6265bis 5.1.1)

_DATE_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_MONTH = re.compile(r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE)
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_cookie_date(text: str) -> datetime | None:
    """The moment an Expires attribute names, in UTC, or None where it is not a date (rfc6265bis 5.1.1)."""
    found: dict[re.Pattern[str], tuple[str, ...]] = {}
    for token in _DATE_DELIMITERS.split(text):
        for pattern in (_TIME, _DAY, _MONTH, _YEAR):
            match = pattern.match(token) if pattern not in found else None
            if match:
                found[pattern] = match.groups()
                break
    if len(found) < 4:
        return None
    month = _MONTHS.index(found[_MONTH][0].lower()) + 1
    year, day, hour, minute, second = map(int, (*found[_YEAR], *found[_DAY], *found[_TIME]))
    try:
        moment = datetime(_full_year(year), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return moment if moment.year >= 1601 else None


def _full_year(year: int) -> int:
    if year >= 100:
        return year
    return year + (1900 if year >= 70 else 2000)


# Hosts and paths (rfc6265bis 5.1.2 to 5.1.4)

_PORT = re.compile(r":[0-9]*$")
_IPV4_TAIL = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$")


def canonical_host(host: str) -> str:
    """A host in lower case, without port or brackets, its U-labels as A-labels."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    bare = _PORT.sub("", host) if host.count(":") == 1 else host
    return bare.lower() if bare.isascii() else idna_to_ascii(bare).decode("ascii")


def is_ip_address(host: str) -> bool:
    """Whether a canonical host is an address: one ending in a number is never a name (URL Standard 3.5)."""
    return ":" in host or _IPV4_TAIL.search(host) is not None


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    """The public suffix list, read when it is first needed."""
    return PublicSuffixList()


@lru_cache(maxsize=4096)
def registrable_domain(host: str) -> str | None:
    """The domain one party registered ("eTLD+1"), or None for addresses, single labels and public suffixes.

    A trailing dot stays, as in the URL Standard: ``example.com.`` is another site than ``example.com``.
    """
    name = canonical_host(host)
    if is_ip_address(name):
        return None
    domain: str | None = _suffixes().privatesuffix(name)
    return f"{domain}." if domain and name.endswith(".") else domain


def is_public_suffix(host: str) -> bool:
    """Whether unrelated parties register names directly below this host."""
    return not is_ip_address(host) and registrable_domain(host) is None


def same_site(one: str, other: str) -> bool:
    """Whether two hosts are one site, whatever their schemes (HTML Standard, "schemelessly same site")."""
    domain = registrable_domain(one)
    if domain is None:
        return canonical_host(one) == canonical_host(other)
    return domain == registrable_domain(other)


def domain_match(host: str, domain: str) -> bool:
    """Whether a cookie of ``domain`` goes to ``host``; both canonical (rfc6265bis 5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not is_ip_address(host))


def default_path(request_path: str) -> str:
    """Where a cookie without a Path applies: the directory of the request's path (rfc6265bis 5.1.4)."""
    return request_path[: request_path.rfind("/")] or "/" if request_path.startswith("/") else "/"


def path_match(request_path: str, cookie_path: str) -> bool:
    """Whether a cookie of ``cookie_path`` goes with a request for ``request_path`` (rfc6265bis 5.1.4)."""
    if not request_path.startswith(cookie_path):
        return False
    return cookie_path.endswith("/") or request_path[len(cookie_path) :][:1] in {"", "/"}


# Writing


def rewrite(header: bytes, *, max_age: int) -> bytes:
    """The same Set-Cookie with another lifetime: Expires is dropped, Max-Age set, every other byte kept.

    Args:
        header: the field's value.
        max_age: the new lifetime in seconds; 0 deletes. The caller makes sure that it is the shorter one.
    """
    if max_age < 0:
        raise ValueError(f"max_age is {max_age}: give 0 to delete the cookie, or a number of seconds")
    pair, *attributes = header.split(b";")
    kept: list[bytes] = []
    replacement = [b" Max-Age=%d" % max_age]
    for piece in attributes:
        if _attribute(piece)[0] not in {b"expires", b"max-age"}:
            kept.append(piece)
        else:
            kept += replacement
            replacement = []
    return b";".join([pair, *kept, *replacement])


def expire(
    name: str,
    *,
    path: str = "/",
    domain: str | None = None,
    secure: bool = False,
    http_only: bool = False,
    same_site: SameSite = "default",
    partitioned: bool = False,
) -> bytes:
    """The Set-Cookie that deletes a cookie.

    A browser deletes only the cookie of the same name, domain and path (rfc6265bis 5.7 step 23), and of the
    same partition. What the name's prefix promises is added: without it a browser would refuse the deletion.

    Raises:
        ValueError: a part cannot be written in a Set-Cookie header, or contradicts the name's prefix.
    """
    prefix = _prefix(_checked("name", name), spec="rfc6265bis")
    if prefix.startswith("__Host-") and (domain is not None or path != "/"):
        raise ValueError(f"{name}: a cookie with the prefix {prefix} has no domain and the path /")
    flags = {
        b"Secure": secure or partitioned or bool(prefix) or same_site == "none",
        b"HttpOnly": http_only or prefix.endswith("Http-"),
        b"SameSite=" + same_site.capitalize().encode(): same_site != "default",
        b"Partitioned": partitioned,
    }
    # A cookie with neither name nor value would be ignored, so a nameless one is deleted with a value.
    parts = [
        _checked("name", name) + (b"=" if name else b"=x"),
        b"Max-Age=0",
        b"Path=" + _checked("path", path),
    ]
    if domain is not None:
        parts.append(b"Domain=" + _checked("domain", domain))
    return b"; ".join([*parts, *(flag for flag, wanted in flags.items() if wanted)])


def _checked(part: str, text: str) -> bytes:
    octets = _octets(text)
    forbidden = b";=" if part == "name" else b";"
    if _CTL.search(octets) or any(octet in forbidden for octet in octets) or octets != octets.strip(_WSP):
        raise ValueError(f"{text!r} cannot be the {part} of a cookie: it has a control character, a separator or space")
    return octets
