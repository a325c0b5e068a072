"""Reading a visitor's form: every way it can be wrong has its own answer, and none of them grants anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

from .. import headers
from ..errors import FormError
from ..policy import Policy
from ..record import Method

MAX_FORM = 16 * 1024
_MAX_DRAINED = 64 * 1024 * 1024
_MAX_FIELDS = 200
_METHODS = ("accept", "reject", "save", "allow")

Source = Literal["form", "script"]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class ChoiceForm:
    """What the visitor sent: which button, which purposes, and the page to come back to."""

    method: Method
    purposes: frozenset[str]
    return_to: str


def check_same_origin(raw: headers.RawHeaders, host: str) -> None:
    """Refuse a POST that another site made the browser send.

    ``Sec-Fetch-Site`` says so itself; an older browser's ``Origin`` has to name this host. A request with neither
    comes from no browser, so that nobody's cookies ride on it.

    Raises:
        FormError: 403.
    """
    site = headers.get(raw, b"sec-fetch-site")
    if site is not None:
        allowed = site in {b"same-origin", b"none"}
    else:
        origin = headers.get(raw, b"origin")
        allowed = origin is None or _authority(origin.decode("latin-1")) == host.lower()
    if not allowed:
        raise FormError(
            403, "This choice was sent from another site, so it was not counted. Choose on this site's own page."
        )


def _authority(origin: str) -> str | None:
    """Host and port of a serialized origin (RFC 6454 6.1); None for ``null`` and for what is none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


async def read_choice(raw: headers.RawHeaders, receive: Receive, policy: Policy) -> ChoiceForm:
    """The choice in a request's body.

    Raises:
        FormError: 400, 413 or 415, with what is wrong.
    """
    kind = (headers.get(raw, b"content-type") or b"").partition(b";")[0].strip().lower()
    body = await read_body(receive, limit=MAX_FORM)
    if kind != b"application/x-www-form-urlencoded":
        raise FormError(415, "Send the form as application/x-www-form-urlencoded.")
    return parse_choice(body, policy)


def parse_choice(body: bytes, policy: Policy) -> ChoiceForm:
    """The choice in a form's bytes; `read_choice` without the reading."""
    fields = _fields(body)
    methods = [value for key, value in fields if key == "choice"]
    if len(methods) != 1 or methods[0] not in _METHODS:
        raise FormError(400, f"Send exactly one choice: {', '.join(_METHODS)}.")
    purposes = frozenset(value for key, value in fields if key == "purpose")
    known = [purpose.id for purpose in policy.choosable]
    if not purposes.issubset(known):
        raise FormError(
            400, f"Nothing was saved: a purpose is not one this site asks about ({', '.join(known) or 'none'})."
        )
    targets = [value for key, value in fields if key == "return_to"]
    return ChoiceForm(cast("Method", methods[0]), purposes, local_target(targets[-1] if targets else "/"))


def local_target(target: str) -> str:
    """A path of this site to go back to.

    Raises:
        FormError: 400, for anything a browser could read as another site's address, or as a second header.
    """
    plain = bool(target) and all(" " < character < "\x7f" for character in target)
    if not plain or not target.startswith("/") or target[1:2] in {"/", "\\"} or "\\" in target:
        raise FormError(
            400, "Nothing was saved: the page to return to is not one of this site. It must be a path such as /about."
        )
    return target


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:  # UnicodeError is one
        raise FormError(400, "Nothing was saved: the form cannot be read.") from error


async def read_body(receive: Receive, *, limit: int) -> bytes:
    """The body, if it has no more than ``limit`` bytes. A larger one is read and dropped, so that the answer arrives.

    Raises:
        FormError: 400 where the connection ended first, 413 where it is larger.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise FormError(400, "Nothing was saved: the connection ended before the form did.")
        piece = message.get("body", b"")
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        if size > _MAX_DRAINED or not message.get("more_body", False):
            break
    if size > limit:
        raise FormError(413, f"Nothing was saved: a choice takes less than {limit} bytes.")
    return b"".join(pieces)
