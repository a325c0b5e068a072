"""The third parties of the demonstration, played on this machine under their own host names.

A browser is sent here by ``--host-resolver-rules``. Each answer does to a page what its original is
documented to do (cookies, storage, a hit to the collecting host): what is seen is what the gate has to stop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from ..assets import asset_root

Kind = Literal["script", "style", "image", "page", "font", "other"]

PLAYED = (
    ("www.googletagmanager.com", "/gtag/js", "gtag.js"),
    ("www.googletagmanager.com", "/gtm.js", "gtm.js"),
    ("www.googletagmanager.com", "/ns.html", "empty.html"),
    ("connect.facebook.net", "/", "fbevents.js"),
    ("fonts.googleapis.com", "/", "fonts.css"),
    ("www.youtube.com", "/embed/", "player.html"),
    ("www.google.com", "/maps", "map.html"),
)
"""Host, beginning of the path, and the file of ``templates/demo/parties`` that answers."""

COOKIES = {
    "www.youtube.com": ("VISITOR_INFO1_LIVE", 15_552_000),
    "www.facebook.com": ("fr", 7_776_000),
    "www.google.com": ("NID", 15_811_200),
}
"""What some of them set on their own domain with every answer: a name and its lifetime in seconds."""

PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b")
"""A transparent GIF of one pixel."""

_DESTINATIONS: dict[str, Kind] = {
    **dict.fromkeys(("script", "worker", "sharedworker", "serviceworker"), "script"),
    **dict.fromkeys(("document", "iframe", "frame", "embed", "object"), "page"),
    "style": "style",
    "image": "image",
    "font": "font",
}
_SUFFIXES: dict[str, Kind] = {
    **dict.fromkeys((".js", ".mjs"), "script"),
    **dict.fromkeys((".gif", ".png", ".jpg", ".jpeg", ".webp", ".svg", ".ico"), "image"),
    **dict.fromkeys((".woff", ".woff2", ".ttf"), "font"),
    ".css": "style",
    ".html": "page",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that reached a third party. ``path`` has no query."""

    host: str
    path: str
    at: datetime


class ThirdParties:
    """An ASGI app that answers for any host and keeps the last thousand requests of pages in ``asked``.

    A browser marks what a page asks for with ``Sec-Fetch-Site``; what it asks for by itself is not counted.
    """

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.asked: deque[Asked] = deque(maxlen=1000)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if headers.get("sec-fetch-site", "none") != "none":
            self.asked.append(Asked(host, scope["path"], self._clock()))
        response = answer(host, scope["path"], kind_of(headers.get("sec-fetch-dest"), scope["path"]))
        await response(scope, receive, send)


def kind_of(destination: str | None, path: str) -> Kind:
    """What a browser wants: by ``Sec-Fetch-Dest``, sent over HTTPS only, else by the path's suffix."""
    by_destination = _DESTINATIONS.get(destination or "")
    return by_destination or _SUFFIXES.get(Path(path).suffix.lower(), "other")


def answer(host: str, path: str, kind: Kind) -> Response:
    """The response of a host to a path. Hosts that are not known answer by the kind of resource wanted."""
    file = next((name for at, prefix, name in PLAYED if at == host and path.startswith(prefix)), None)
    response = _file(file) if file else _generic(kind)
    response.headers["access-control-allow-origin"] = "*"
    response.headers["cache-control"] = "no-store"
    if host in COOKIES:
        name, seconds = COOKIES[host]
        response.set_cookie(name, "demo", max_age=seconds, secure=True, httponly=True, samesite="none")
    return response


def _generic(kind: Kind) -> Response:
    match kind:
        case "script":
            return _file("any.js")
        case "page":
            return _file("any.html")
        case "style":
            return Response("/* A style of a third party. */\n", media_type="text/css")
        case "image":
            return Response(PIXEL, media_type="image/gif")
        case "font":
            return Response(status_code=404)
        case "other":
            return Response(status_code=204)


def _file(name: str) -> Response:
    return FileResponse(asset_root("templates") / "demo" / "parties" / name)
