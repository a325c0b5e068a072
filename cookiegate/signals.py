"""What a request says unasked: opt-out signals, language, country, and what kind of request it is.

Derived values only. The IP address and the User-Agent are read in `record` and nowhere else.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from . import headers
from .policy import Policy

Raw = headers.RawHeaders
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST_TAG = 35
"""A language tag that identifies a language is no longer than this (RFC 5646 4.4.1)."""
_MOST_LANGUAGES = 32
"""Languages of one header that are looked at. Browsers send a handful; a header of 60 kB is no wish but an attack."""


@dataclass(frozen=True, slots=True)
class Signals:
    """A request's derived signals.

    Attributes:
        gpc: ``Sec-GPC`` is exactly ``1`` (W3C Global Privacy Control, 3.3).
        dnt: ``DNT`` is exactly ``1``.
        locale: the visitor's language among those offered.
        country: ISO 3166-1 alpha-2 from a trusted proxy's header, or "" where unknown.
        document: the request is a top-level page view, so that a banner makes sense in its answer.
        shown: the browser says that it will show the answer as a page, at the top or in a frame.
        prefetch: a speculative load: no visitor has seen the page yet.
        secure: the visitor's connection is HTTPS.
    """

    gpc: bool = False
    dnt: bool = False
    locale: str = "en"
    country: str = ""
    document: bool = True
    shown: bool = False
    prefetch: bool = False
    secure: bool = False


def read(raw: Raw, policy: Policy, *, locales: tuple[str, ...], secure: bool, peer: str) -> Signals:
    """Derive the signals of one request.

    Args:
        raw: the request's raw ASGI headers.
        locales: the languages the banner exists in, default first.
        secure: whether the request came over HTTPS.
        peer: address of the connected peer: only a trusted proxy's headers are believed.
    """
    trusted = is_trusted(peer, policy.site.trusted_proxies)
    return Signals(
        gpc=is_on(headers.get_all(raw, b"sec-gpc")),
        dnt=is_on(headers.get_all(raw, b"dnt")),
        locale=negotiate(headers.get(raw, b"accept-language"), locales),
        country=_country(raw, policy.site.country_header) if trusted else "",
        document=_is_document(raw),
        shown=headers.get(raw, b"sec-fetch-dest") in {b"document", b"iframe", b"frame", b"embed", b"object"},
        prefetch=_is_prefetch(raw),
        secure=secure or (trusted and _forwarded_secure(raw)),
    )


def is_on(values: Iterable[bytes]) -> bool:
    """Whether an opt-out signal is on: some value of its header is exactly ``1``."""
    return any(value.strip() == b"1" for value in values)


def is_secure(raw: Raw, policy: Policy, *, secure: bool, peer: str) -> bool:
    """Whether the visitor's connection is HTTPS, as the server or a trusted proxy says: `Signals.secure` alone."""
    ranges = policy.site.trusted_proxies
    return secure or (bool(ranges) and is_trusted(peer, ranges) and _forwarded_secure(raw))


def is_trusted(peer: str, ranges: tuple[str, ...]) -> bool:
    """Whether an address is one of the proxies whose headers are believed.

    Args:
        peer: an IP address as the server tells it, or "".
        ranges: addresses and networks, such as ``10.0.0.0/8``.
    """
    if not ranges or not peer:
        return False
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # how a socket for both versions shows an IPv4 peer
    return any(address in network for network in _networks(ranges))


@lru_cache(maxsize=8)
def _networks(ranges: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(item) for item in ranges)


def _forwarded_secure(raw: Raw) -> bool:
    """Whether the proxy nearest to us says that the visitor's connection is HTTPS."""
    values = headers.list_members(raw, b"x-forwarded-proto")
    return bool(values) and values[-1] in {b"https", b"wss"}


def negotiate(accept_language: bytes | None, locales: tuple[str, ...]) -> str:
    """The best of ``locales`` for an Accept-Language header (RFC 9110 12.5.4, lookup of RFC 4647 3.4)."""
    for wanted in headers.quality_list(accept_language or b"")[:_MOST_LANGUAGES]:
        tag = wanted[:_LONGEST_TAG].decode("latin-1").lower()
        while tag:
            for locale in locales:
                if locale.lower() == tag:
                    return locale
            tag = tag.rpartition("-")[0]
    return locales[0]


def _country(raw: Raw, name: str) -> str:
    """The country in the header of this name; "" where it is none, or where two headers disagree."""
    values = {value.strip().upper() for value in headers.get_all(raw, name.lower().encode())} if name else set()
    value = values.pop().decode("latin-1") if len(values) == 1 else ""
    return value if re.fullmatch("[A-Z]{2}", value) and value not in {"XX", "T1"} else ""


def _is_document(raw: Raw) -> bool:
    """Fetched fragments and framed pages carry no banner of their own."""
    dest = headers.get(raw, b"sec-fetch-dest")
    if dest is not None:
        return dest == b"document"
    fragments = (b"hx-request", b"turbo-frame", b"x-requested-with", b"x-pjax", b"x-up-version")
    return not any(headers.get(raw, name) is not None for name in fragments)


def _is_prefetch(raw: Raw) -> bool:
    hints = (headers.get(raw, b"sec-purpose"), headers.get(raw, b"purpose"), headers.get(raw, b"x-moz"))
    return any(hint is not None and b"prefetch" in hint.lower() for hint in hints)
