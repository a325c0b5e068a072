"""The sites behind the fixtures, and the layers they are served through."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Literal

import brotli
import zstandard
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cookiegate import CookieGate
from cookiegate.gate import Wall
from cookiegate.policy import Policy, parse_policy
from cookiegate.policy.starter import starter
from cookiegate.preview import verdict_for

from .fixtures import Answer, Fixture, filled

Layer = Literal["none", "wall", "markup", "all"]
LAYERS: dict[Layer, str] = {
    "none": "no protection",
    "wall": "Content-Security-Policy only",
    "markup": "markup, headers and cookies only",
    "all": "every layer",
}
"""What a fixture is served through, and what that is called."""
SITE = "site.test"
SERVICES = ("google-analytics", "google-tag-manager", "youtube")

_CODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw-deflate": lambda data: zlib.compress(data, wbits=-zlib.MAX_WBITS),
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
_BOMS = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


def policy() -> Policy:
    """What `cookiegate init` writes, for a site that declares three services and has chosen nothing else."""
    today = date(2026, 11, 22)
    text = starter(name="A site", hosts=(SITE,), email=f"privacy@{SITE}", services=SERVICES, today=today)
    return parse_policy(text)


def layered(fixtures: Sequence[Fixture], folder: Path) -> Fixtures:
    """All fixtures in all layers; the first label of the host, such as ``f17-wall``, says which of them is wanted."""
    by_number = {fixture.number: fixture for fixture in fixtures}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _serve(by_number[_number(label_of(scope))], scope, send)

    declared = policy()
    unwalled = replace(declared, gate=replace(declared.gate, wall="off"))
    apps: dict[str, ASGIApp] = {
        "none": serve,
        "wall": walled(serve, declared),
        "markup": CookieGate(serve, policy=unwalled, store=folder / "markup.db", clock=_now),
        "all": CookieGate(serve, policy=declared, store=folder / "all.db", clock=_now),
    }

    return Fixtures(apps)


class Fixtures:
    """All fixtures in all layers, told apart by the host that is asked for.

    Attributes:
        asked: how often each visit asked its site for something.
        headers: what the document of each visit was sent with.
    """

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, list[tuple[str, str]]] = {}
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        visit = label_of(scope)
        document = scope["path"] == "/"

        async def noting_send(message: Message) -> None:
            if document and message["type"] == "http.response.start":
                pairs = ((key.decode("latin-1").lower(), value.decode("latin-1")) for key, value in message["headers"])
                self.headers[visit] = list(pairs)
            await send(message)

        await self._apps[visit.partition("-")[2]](scope, receive, noting_send)
        self.asked[visit] += 1


def walled(app: ASGIApp, declared: Policy) -> ASGIApp:
    """An app whose every answer carries the policy of a visitor who has not chosen, and that is all."""
    wall, verdict = Wall(declared), verdict_for(declared, (), _now())

    async def with_wall(scope: Scope, receive: Receive, send: Send) -> None:
        value = wall.header(verdict, SITE)
        assert value is not None

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"content-security-policy", value)]}
            await send(message)

        await app(scope, receive, add)

    return with_wall


def label(fixture: Fixture, layer: Layer) -> str:
    """What one visit goes by, in host names here and outside."""
    return f"f{fixture.number}-{layer}"


def label_of(scope: Scope) -> str:
    """The label of the visit a request belongs to."""
    host: bytes = dict(scope["headers"]).get(b"host", b"")
    return host.decode("latin-1").partition(".")[0]


def _number(label: str) -> int:
    return int(label.partition("-")[0][1:])


def _now() -> datetime:
    return datetime.now(UTC)


async def _serve(fixture: Fixture, scope: Scope, send: Send) -> None:
    label = label_of(scope)
    name = scope["path"].lstrip("/")
    answer = fixture.files.get(name) if name else fixture.document
    if answer is None:
        answer = Answer("Not found", type="text/plain", status=404)
    raw = [(key.lower().encode(), filled(value, label).encode("latin-1")) for key, value in answer.headers]
    if answer.type:
        raw.append((b"content-type", answer.type.encode()))
    coding = ", ".join(answer.coding).replace("raw-deflate", "deflate")
    if coding:
        raw.append((b"content-encoding", coding.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    silent = scope["method"] == "HEAD" or answer.status == HTTPStatus.NO_CONTENT
    body = b"" if silent else _body(answer, label)
    size = answer.pieces or len(body) or 1
    for at in range(0, len(body), size):
        await send({"type": "http.response.body", "body": body[at : at + size], "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _body(answer: Answer, label: str) -> bytes:
    body = filled(answer.body, label).encode(answer.encoding, "surrogateescape")
    if answer.bom:
        body = _BOMS[answer.encoding] + body
    for coding in answer.coding:
        body = _CODERS[coding](body)
    return body
