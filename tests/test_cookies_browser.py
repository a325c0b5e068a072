"""Chromium as the judge: of every vector it must store what `cookiegate.cookies` says a browser stores."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from playwright.async_api import Page, async_playwright

from cookiegate.cookies import SetCookie, canonical_host, parse_set_cookie, rewrite

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "set-cookie.json").read_text("utf-8"))[
    "cases"
]
CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--ignore-certificate-errors",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
    "--host-resolver-rules=MAP * 127.0.0.1",
]

CHROMIUM_DIFFERS = {
    "only the first = after an empty name counts": "refuses a nameless cookie whose value holds =",
    "a tab is white space, not refused": "refuses a tab inside the value",
    "a plus sign is ignored": "reads Max-Age=+60 as 60",
    "the last valid Max-Age counts": "takes the last one, valid or not",
    "a deletion, whatever invalid Max-Age follows": "takes the last one: stores a session cookie",
    "a deletion, whatever follows the time": "reads no time: stores a session cookie",
    "the last valid Expires counts": "takes the last one, valid or not",
    "no three-digit seconds": "reads 12:00:000 as a time",
    "what follows the time in its token is not looked at": "reads 12:00:00Z as no time",
    "no date before 1601": "reads the year 1600 as a date that has passed",
    "a Domain of one dot is empty": "refuses Domain=.",
    "an address covers itself": "stores it host-only, which is the same in effect",
    "two names below a public suffix are two sites": "blocks it, in private windows, without Partitioned",
}
"""Notes of the vectors in which Chromium departs from the specification, and how. Seen with Chromium 156."""

Stored = dict[str, object] | None


def _header(parts: str | list[Any]) -> bytes:
    pieces = [parts] if isinstance(parts, str) else parts
    texts = (piece if isinstance(piece, str) else piece[0] * piece[1] for piece in pieces)
    return "".join(texts).encode("latin-1")


def _transportable(case: dict[str, Any]) -> bool:
    """Not NUL, CR or LF, which end an HTTP header; and not the rules of 2011, which no browser follows."""
    return "spec" not in case and not re.search(rb"[\x00\r\n]", _header(case["header"]))


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer ``?N`` with the header of case N, ``?N-gone`` with its deletion, ``?page=URL`` with a page around it."""
    try:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode("ascii")
        query = target.partition("?")[2]
        extra, body = b"", b"<!doctype html>"
        if query.startswith("page="):
            body += f'<img src="{query[5:]}">'.encode()
        elif query[:1].isdecimal():
            extra = b"Set-Cookie: " + _served(query) + b"\r\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store\r\nConnection: close\r\n"
        writer.write(head + b"Content-Length: %d\r\n" % len(body) + extra + b"\r\n" + body)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _served(query: str) -> bytes:
    index, _, gone = query.partition("-")
    header = _header(CASES[int(index)]["header"])
    return rewrite(header, max_age=0) if gone else header


@asynccontextmanager
async def _serving(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("www.example.com").configure_cert(context)
    return context


async def _stored(page: Page, index: int, ports: tuple[int, int], *, ending: str = "") -> Stored:
    """What Chromium keeps of a case, as `_described` writes it."""
    case = CASES[index]
    scheme, port = ("http", ports[0]) if case.get("secure") is False else ("https", ports[1])
    host = canonical_host(case.get("host", "www.example.com"))
    url = f"{scheme}://{host}:{port}{case.get('path', '/')}?{index}{ending}"
    if "site" in case:
        url = f"https://{case['site']}:{ports[1]}/?page={url}"
    await page.goto(url)
    cookies = await page.context.cookies()
    await page.context.clear_cookies()
    assert len(cookies) <= 1
    return _plain(dict(cookies[0])) if cookies else None


def _plain(cookie: dict[str, Any]) -> dict[str, object]:
    kept = {key: cookie[key] for key in ("name", "value", "domain", "path", "secure", "httpOnly")}
    return kept | {
        "expires": None if cookie["expires"] == -1 else round(cookie["expires"]),
        "partitioned": bool(cookie.get("partitionKey")),
        "sameSite": cookie["sameSite"].lower(),
    }


def _described(cookie: SetCookie, host: str) -> dict[str, object]:
    """A cookie as Chromium's protocol describes it; no SameSite shows as Lax there."""
    return {
        "name": _utf8(cookie.name),
        "value": _utf8(cookie.value),
        "domain": host if cookie.host_only else f".{cookie.domain}",
        "path": cookie.path,
        "secure": cookie.secure,
        "httpOnly": cookie.http_only,
        "expires": cookie.expires_at and round(cookie.expires_at.timestamp()),
        "partitioned": cookie.partitioned,
        "sameSite": "lax" if cookie.same_site == "default" else cookie.same_site,
    }


def _utf8(text: str) -> str:
    """The protocol is UTF-8 and leaves out octets that are not."""
    return text.encode("latin-1").decode("utf-8", "ignore")


def _predicted(case: dict[str, Any], now: datetime) -> Stored:
    request: dict[str, Any] = {"host": "www.example.com", "secure": True} | {
        key: case[key] for key in ("host", "secure", "path", "site") if key in case
    }
    cookie = parse_set_cookie(_header(case["header"]), now=now, **request)
    if cookie is None or cookie.kind == "deletion":
        return None
    return _described(cookie, canonical_host(request["host"]))


def _agree(seen: Stored, predicted: Stored) -> bool:
    """Equal, but for the seconds the browser took."""
    if seen is None or predicted is None:
        return seen is predicted
    ends = seen["expires"], predicted["expires"]
    if isinstance(ends[0], int) and isinstance(ends[1], int) and abs(ends[0] - ends[1]) <= 5:
        seen = seen | {"expires": predicted["expires"]}
    return seen == predicted


@asynccontextmanager
async def _browsing() -> AsyncIterator[tuple[Page, tuple[int, int]]]:
    """A page of a fresh Chromium, and the ports of the plain and the secure server it reaches under any name."""
    async with _serving(None) as plain, _serving(_tls()) as secure, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        try:
            yield await browser.new_page(), (plain, secure)
        finally:
            await browser.close()


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: install the package chromium")


@pytest.mark.browser
@needs_chromium
async def test_chromium_stores_what_is_predicted() -> None:
    surprises: dict[str, tuple[Stored, Stored]] = {}
    async with _browsing() as (page, ports):
        for index, case in enumerate(CASES):
            if _transportable(case):
                predicted = _predicted(case, datetime.now(UTC))
                seen = await _stored(page, index, ports)
                if not _agree(seen, predicted):
                    surprises[case["note"]] = (seen, predicted)
    assert set(surprises) == set(CHROMIUM_DIFFERS), surprises


@pytest.mark.browser
@needs_chromium
async def test_chromium_stores_nothing_that_was_rewritten_to_a_deletion() -> None:
    """The gate rests on this: however odd the header, with Max-Age=0 it sets nothing."""
    async with _browsing() as (page, ports):
        stored = {
            case["note"]: await _stored(page, index, ports, ending="-gone")
            for index, case in enumerate(CASES)
            if _transportable(case)
        }
    assert {note: cookie for note, cookie in stored.items() if cookie} == {}
