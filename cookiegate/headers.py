"""Raw ASGI header lists and what travels in them: no cookiegate word in here.

ASGI headers are lists of ``(name, value)`` byte pairs; request and response names are lower-case by the ASGI
specification, but responses of real apps are not always, so every comparison folds case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

RawHeaders = Iterable[tuple[bytes, bytes]]
HeaderList = list[tuple[bytes, bytes]]

_USUAL_PAIR = re.compile(rb"(?:\A|; )([!#$%&'*+.^_`|~0-9A-Za-z-]++)=([^;]*+)")


def get_all(raw: RawHeaders, name: bytes) -> Iterator[bytes]:
    """Every value of a header, in order."""
    return (value for key, value in raw if key.lower() == name)


def get(raw: RawHeaders, name: bytes) -> bytes | None:
    """The first value of a header, or None."""
    for key, value in raw:  # plainly, because a page asks for a dozen headers
        if key == name or key.lower() == name:
            return value
    return None


def without(raw: RawHeaders, *names: bytes) -> HeaderList:
    """The list less every header of these (lower-case) names."""
    return [(key, value) for key, value in raw if key.lower() not in names]


def replaced(raw: RawHeaders, name: bytes, value: bytes) -> HeaderList:
    """The list with exactly one header of this name."""
    return [*without(raw, name), (name, value)]


def list_members(raw: RawHeaders, name: bytes) -> list[bytes]:
    """The comma-separated members of a list header that holds no quoted commas, lower-cased and trimmed."""
    joined = b",".join(get_all(raw, name))
    return [member.strip().lower() for member in joined.split(b",") if member.strip()]


def with_vary(raw: RawHeaders, *fields: bytes) -> HeaderList:
    """The list with these fields added to ``Vary`` (RFC 9110 12.5.5); ``*`` stays ``*``."""
    present = list_members(raw, b"vary")
    if b"*" in present:
        return list(raw)
    missing = [item for item in fields if item.lower() not in present]
    if not missing:
        return list(raw)
    value = b", ".join([*get_all(raw, b"vary"), *missing])
    return replaced(raw, b"vary", value)


def quality_list(value: bytes) -> list[bytes]:
    """The members of an Accept-style header by descending quality, those with ``q=0`` left out (RFC 9110 12.4.2)."""
    weighted: list[tuple[float, int, bytes]] = []
    for index, member in enumerate(value.split(b",")):
        item, _, parameters = member.partition(b";")
        quality = _quality(parameters)
        if item.strip() and quality > 0:
            weighted.append((-quality, index, item.strip()))
    return [item for _, _, item in sorted(weighted)]


def _quality(parameters: bytes) -> float:
    for parameter in parameters.split(b";"):
        key, _, value = parameter.partition(b"=")
        if key.strip().lower() == b"q":
            try:
                return min(max(float(value.strip()), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def cookie_pairs(raw: RawHeaders) -> list[tuple[str, bytes]]:
    """The cookies a request carries as ``(name, whole pair)``, in order, duplicates kept (RFC 6265 4.2.1).

    HTTP/2 may split the header; each is read. A pair without ``=`` is a nameless cookie (rfc6265bis 5.8.3).
    """
    pairs: list[tuple[str, bytes]] = []
    for header in get_all(raw, b"cookie"):
        for piece in header.split(b";"):
            pair = piece.strip(b" \t")
            if pair:
                name, equals, _ = pair.partition(b"=")
                pairs.append((name.strip(b" \t").decode("latin-1") if equals else "", pair))
    return pairs


def usual_cookies(header: bytes) -> dict[bytes, bytes] | None:
    """The cookies of a header as browsers mostly write it, name to value, found fast; None for any other.

    None does not mean that it is wrong: `cookie_pairs` reads every header, and names that are there twice.
    """
    cookies = dict(_USUAL_PAIR.findall(header))
    # Each pair that was found begins the header or stands behind a semicolon: so these are all there are.
    return cookies if len(cookies) == header.count(b";") + 1 or not header else None


def cookie_values(raw: RawHeaders, name: str) -> list[str]:
    """Every value of the cookie of this name, in the order sent."""
    return [pair.partition(b"=")[2].strip(b" \t").decode("latin-1") for key, pair in cookie_pairs(raw) if key == name]
