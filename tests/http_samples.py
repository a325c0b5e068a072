"""A policy, a site and ways to ask it: what the tests of the whole HTTP path stand on.

Run as a module by uvicorn (``http_samples:app``), it is the site behind its gate in another process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

import cookiegate
from cookiegate import CookieGate, Policy
from cookiegate.policy import parse_policy

HOST = "site.test"
ORIGIN = f"https://{HOST}"
POLICY = """
services = ["google-analytics", "youtube"]

[site]
name = "Morrow Light"
hosts = ["site.test"]
policy_version = "2026-11-21"
trusted_proxies = ["127.0.0.0/8", "::1"]
country_header = "X-Country"

[controller]
name = "Morrow Light AB"
email = "privacy@site.test"

[[cookie]]
name = "theme"
purpose = "preferences"
lifetime = "P1Y"

[[cookie]]
name = "sid"
purpose = "necessary"
reason = "session"

[[storage]]
name = "draft-*"
area = "local"
purpose = "preferences"

[usage]
retention = "P14M"
"""
CHOOSABLE = ("preferences", "analytics", "marketing")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
TAG = "https://www.googletagmanager.com/gtag/js?id=G-1"
PAGE = (
    f'<!doctype html><html><head><title>Page</title><script async src="{TAG}"></script></head><body>Hello</body></html>'
)

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]


def sample_policy(*replaced: tuple[str, str]) -> Policy:
    """`POLICY`, with texts in it replaced."""
    text = POLICY
    for old, new in replaced:
        assert old in text, f"{old!r} is not in the policy"
        text = text.replace(old, new)
    return parse_policy(text)


# The site -------------------------------------------------------------------------------------------------------------


async def _page(request: Request) -> Response:
    """A page that sets one cookie of each purpose, whatever the visitor chose."""
    response = HTMLResponse(PAGE)
    response.set_cookie("sid", "s3ss10n")
    response.set_cookie("theme", "night", max_age=3600)
    response.set_cookie("_ga", "GA1.1.1", max_age=3600)
    return response


async def _echo(request: Request) -> Response:
    """What the app sees: the cookies' header as it stands, and the verdict."""
    verdict = request.scope["cookiegate"]
    cookies = [value.decode("latin-1") for key, value in request.scope["headers"] if key == b"cookie"]
    reasons = {purpose: verdict.reason(purpose) for purpose in verdict.rulings}
    return JSONResponse({"cookies": cookies, "allowed": sorted(verdict.allowed), "reasons": reasons})


async def _stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"<!doctype html><html><head><title>Slow</title></head><body><p>first</p>" + b"<p>filling</p>" * 500
        await asyncio.sleep(float(request.query_params.get("sleep", "0")))
        yield b"<p>last</p></body></html>"

    return StreamingResponse(pieces(), media_type="text/html")


async def _events(request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        yield b"data: <script src='https://www.youtube.com/x.js'></script>\n\n"
        yield b"data: 2\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def _background(request: Request) -> Response:
    return HTMLResponse(PAGE, background=BackgroundTask(request.app.state.ran.append, "ran"))


async def _early_failure(request: Request) -> Response:
    raise LookupError("before the response")


async def _late_failure(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"<p>first</p>"
        raise LookupError("in the middle of the response")

    return StreamingResponse(pieces(), media_type="text/html")


def sample_site(folder: Path | None = None) -> Starlette:
    """A site of many kinds of answers. ``folder`` is where ``/file`` finds ``page.html``."""

    async def file(request: Request) -> Response:
        assert folder is not None
        return FileResponse(folder / "page.html")

    site = Starlette(
        routes=[
            Route("/", _page),
            Route("/plain", lambda _: HTMLResponse(PAGE)),
            Route("/echo", _echo),
            Route("/stream", _stream),
            Route("/events", _events),
            Route("/background", _background),
            Route("/early-failure", _early_failure),
            Route("/late-failure", _late_failure),
            Route("/file", file),
            Route("/gone", lambda _: HTMLResponse(PAGE, status_code=410)),
            Route("/people/{name}", lambda _: HTMLResponse(PAGE)),
            Mount("/groups/{group}", routes=[Route("/posts/{post:int}", lambda _: HTMLResponse(PAGE))]),
            Route("/{rest:path}", lambda _: HTMLResponse(PAGE)),
        ]
    )
    site.state.ran = []
    return site


# Asking ---------------------------------------------------------------------------------------------------------------


def client(app: App, *, origin: str = ORIGIN, peer: str = "203.0.113.77", **options: Any) -> httpx.AsyncClient:
    """A browser of sorts: it keeps cookies and follows no redirect."""
    transport = httpx.ASGITransport(app=app, client=(peer, 50_000), **options)
    return httpx.AsyncClient(transport=transport, base_url=origin, headers={"user-agent": FIREFOX})


async def choose(
    browser: httpx.AsyncClient, choice: str, *purposes: str, json: bool = False, **fields: str
) -> httpx.Response:
    """Send the banner's form as a browser does."""
    body = {"choice": choice, "purpose": list(purposes), "return_to": "/", **fields}
    headers = {"origin": str(browser.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    accept = {"accept": "application/json"} if json else {"accept": "text/html"}
    return await browser.post("/_privacy/choices", data=body, headers=headers | accept)


def set_cookies(response: httpx.Response, name: str = "") -> list[str]:
    """The Set-Cookie headers, or those of one cookie."""
    return [value for value in response.headers.get_list("set-cookie") if value.startswith(f"{name}=" if name else "")]


@dataclass
class Spoken:
    """What an app said on one ASGI connection, and whether it raised."""

    messages: list[Message] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    def headers(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.messages[0].get("headers", ()) if key == name]


def http_scope(path: str = "/", *, headers: Iterable[tuple[bytes, bytes]] = (), **changes: Any) -> dict[str, Any]:
    """A request as a server puts it to an app."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", HOST.encode()), *headers],
        "client": ("203.0.113.77", 50_000),
        "server": (HOST, 443),
    }
    return scope | changes


async def speak(app: App, scope: dict[str, Any], *received: Message) -> Spoken:
    """Put a connection to an app and note what it says."""
    spoken = Spoken()
    waiting = list(received) or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not waiting:
            await asyncio.sleep(30)  # the visitor waits for the answer
            return {"type": "http.disconnect"}
        return waiting.pop(0)

    async def send(message: Message) -> None:
        spoken.messages.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - it is what the test asks about
        spoken.error = error
    return spoken


# Another process ------------------------------------------------------------------------------------------------------


@dataclass
class Served:
    """uvicorn in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def browser(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.origin, headers={"user-agent": FIREFOX, **headers}, trust_env=False)

    def stop(self) -> int:
        """End it as an operator does."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        """End it as a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)


@contextmanager
def served(folder: Path, *options: str, under: Sequence[str] = (), **environment: str) -> Iterator[Served]:
    """The site behind its gate, with its store and its log in a folder.

    Args:
        options: uvicorn's.
        under: a command that runs the server's.
        environment: ``ROOM`` limits the size of files, in bytes; ``DEBUG`` logs all there is to log.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    paths = [str(Path(__file__).parent), str(Path(cookiegate.__file__).parents[1])]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*under, sys.executable, "-m", "uvicorn", "http_samples:app", "--port", str(port), *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(port, process)
        yield Served(process, port)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start: see server.log") from None
            time.sleep(0.02)
        else:
            return


def __getattr__(name: str) -> CookieGate:
    """``app``, made when a server asks for it and not when a test imports this module."""
    if name != "app":
        raise AttributeError(name)
    if "DEBUG" in os.environ:
        logging.basicConfig(level=logging.DEBUG)
    gate = CookieGate(sample_site(), policy=sample_policy(), store="cookiegate.db")
    if "ROOM" in os.environ:
        _limit_files(int(os.environ["ROOM"]))
    globals()["app"] = gate
    return gate


def _limit_files(room: int) -> None:
    """From now on, no file of this process may grow beyond ``room`` bytes: as a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
