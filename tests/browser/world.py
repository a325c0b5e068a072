"""A real browser in a world without a network, where everything it does outside the site is seen.

Chromium resolves every host but the site's own to a server of ours that plays all third parties (`Outside`), over
TLS and in plain HTTP, and writes down every request and every connection, bare ones included. That record, not a
parser of ours, says whether a page leaked.

Every visitor is a browser process with a profile of its own on disk: in the off-the-record profiles that Playwright
makes by default, Chromium opens no connection for ``rel=preconnect`` and keeps no third-party cookie, so that real
leaks would go unseen.

The synchronous API of Playwright keeps an event loop running in its thread for as long as it is open. So it is open
only while the tests of this package run, and none of them may be asynchronous.
"""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from cookiegate.demo.parties import ThirdParties
from cookiegate.demo.serve import listen, make_certificate, serving

SITE = "site.test"
"""A name the site can have; it and all names below it lead to the mounted app."""

QUIET = 0.25
"""Seconds without anything happening after which a page counts as settled."""

PATIENCE = 8.0
"""Seconds after which a page that never rests counts as settled all the same."""

FLAGS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--ignore-certificate-errors",
    "--short-reporting-delay",  # what browsers report by the Reporting API would else wait for up to a minute
    # What Chromium asks of its maker by itself goes where nobody listens, and is not taken for a leak of the page.
    "--gaia-url=https://localhost:1",
    "--component-updater=url-source=https://localhost:1",
    "--autofill-server-url=https://localhost:1",
)
PREFERENCES = {"profile": {"cookie_controls_mode": 0}}
"""Third-party cookies are kept, as in the browsers that keep them: the strictest case for the gate."""

At = Literal["http", "https", "loopback"]
Doors = dict[At, socket.socket]


@dataclass(frozen=True, slots=True)
class Contact:
    """Something that reached a third party.

    Attributes:
        host: from the Host header or the TLS handshake; "" for a connection in plain HTTP.
        path: without the query; None for a connection that was opened, whether or not a request followed.
        at: `time.monotonic` seconds.
    """

    host: str
    path: str | None
    tls: bool
    at: float


class Outside:
    """Every third party there is. Thread-safe: the servers write, the test reads."""

    def __init__(self) -> None:
        self._contacts: list[Contact] = []
        self._lock = threading.Lock()
        self._play = ThirdParties()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        self.note(host.partition(":")[0], scope["path"], tls=scope["scheme"] == "https")
        await self._play(scope, receive, send)

    def note(self, host: str, path: str | None, *, tls: bool) -> None:
        with self._lock:
            self._contacts.append(Contact(host, path, tls, time.monotonic()))

    def contacts(self) -> list[Contact]:
        """Everything since the last `forget`, oldest first."""
        with self._lock:
            return list(self._contacts)

    def forget(self) -> None:
        """Start the record anew."""
        with self._lock:
            self._contacts.clear()

    def requests(self) -> list[str]:
        """What was asked for, sorted: ``www.youtube.com/embed/x``."""
        return sorted(contact.host + contact.path for contact in self.contacts() if contact.path is not None)

    def hosts(self) -> set[str]:
        """Whom the browser contacted at all. A bare connection in plain HTTP names nobody: it is ``?``."""
        contacts = self.contacts()
        plain = {contact.host for contact in contacts if not contact.tls and contact.path is not None}
        unnamed = any(not contact.tls and contact.path is None for contact in contacts) and not plain
        return {contact.host for contact in contacts if contact.host} | ({"?"} if unnamed else set())

    @contextmanager
    def open(self) -> Iterator[tuple[int, int]]:
        """Serve until the block ends. Gives the ports for TLS and for plain HTTP."""
        tls, plain = listen("127.0.0.1", 0), listen("127.0.0.1", 0)
        context = certificate()
        context.sni_callback = self._on_hello
        outside = self

        class Door(H11Protocol):
            def connection_made(self, transport: Any) -> None:
                outside.note("", None, tls=False)
                super().connection_made(transport)

        with (
            serving(self, tls, tls=context, lifespan="off"),
            serving(self, plain, lifespan="off", http=Door),
        ):
            yield tls.getsockname()[1], plain.getsockname()[1]

    def _on_hello(self, _: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        self.note(name or "?", None, tls=True)


class Visitor:
    """One visitor: a browser with a fresh profile and one open page."""

    def __init__(self, context: BrowserContext, outside: Outside) -> None:
        self.context = context
        self.outside = outside
        self.page: Page = context.pages[0]
        context.set_default_timeout(PATIENCE * 1000)
        self._moves = 0
        self._open = 0
        context.on("request", lambda _: self._count(+1))
        context.on("requestfinished", lambda _: self._count(-1))
        context.on("requestfailed", lambda _: self._count(-1))

    def visit(self, url: str) -> Page:
        """Go to a page and wait until nothing more happens."""
        self.page.goto(url, wait_until="load")
        return self.settle()

    def click(self, selector: str) -> Page:
        """Click, follow where it leads, and wait until nothing more happens."""
        self.page.locator(selector).click()
        return self.settle()

    def settle(self) -> Page:
        """Wait until neither the page nor the third parties have seen anything new for `QUIET` seconds."""
        deadline = time.monotonic() + PATIENCE
        seen, since = self._activity(), time.monotonic()
        while time.monotonic() < deadline:
            self.page.wait_for_timeout(40)
            if self._activity() != seen:
                seen, since = self._activity(), time.monotonic()
            elif time.monotonic() - since > QUIET and self._open <= 0:
                break
        return self.page

    def cookies(self) -> set[str]:
        """Names of all cookies in the profile; those of other hosts than the page's as ``name@domain``."""
        own = urlsplit(self.page.url).hostname or ""
        return {
            cookie["name"] if own.endswith(cookie["domain"].lstrip(".")) else f"{cookie['name']}@{cookie['domain']}"
            for cookie in self.context.cookies()
        }

    def storage(self) -> dict[str, list[str]]:
        """Keys of what the page's origin stores, by kind; kinds that are empty are left out."""
        found: dict[str, list[str]] = self.page.evaluate(_STORAGE)
        return {kind: sorted(keys) for kind, keys in found.items() if keys}

    def screenshot(self, path: Path, *, full: bool = False) -> None:
        """Keep a picture of the page."""
        self.page.screenshot(path=path, full_page=full)

    def _count(self, change: int) -> None:
        self._moves += 1
        self._open += change

    def _activity(self) -> tuple[int, int]:
        return self._moves, len(self.outside.contacts())


_STORAGE = """async () => ({
    local: Object.keys(localStorage),
    session: Object.keys(sessionStorage),
    databases: (await indexedDB.databases()).map((database) => database.name),
    caches: self.caches ? await caches.keys() : [],
})"""


class Stage:
    """What all tests share: Playwright, the outside, and the sockets behind the site's name."""

    def __init__(self, playwright: Playwright, outside: Outside, doors: Doors, rules: str) -> None:
        self.outside = outside
        self.doors = doors
        self._playwright = playwright
        self._rules = rules

    def launch(self, profile: Path, **options: Any) -> BrowserContext:
        """Start a browser on a profile that is still empty."""
        (profile / "Default").mkdir()
        (profile / "Default" / "Preferences").write_text(json.dumps(PREFERENCES), "utf-8")
        return self._playwright.chromium.launch_persistent_context(
            profile, executable_path=find_chromium(), args=[*FLAGS, self._rules], **options
        )

    @contextmanager
    def world(self) -> Iterator[World]:
        """A world for one test, in which nothing has happened yet."""
        self.outside.forget()
        with ExitStack() as until:
            yield World(self, until)


class World:
    """What a browser test is given: sites to mount, visitors to send, and the record of the outside."""

    def __init__(self, stage: Stage, until: ExitStack) -> None:
        self.outside = stage.outside
        self._stage = stage
        self._until = until

    def mount(self, app: ASGIApp, *, at: At = "loopback") -> str:
        """Serve an app until the test ends, lifespan included. Returns its origin.

        ``loopback`` is a port of its own on 127.0.0.1, which browsers trust like HTTPS; ``https`` and ``http`` are
        the site's name, one app at a time.
        """
        if at == "loopback":
            sock = listen("127.0.0.1", 0)
            origin = f"http://127.0.0.1:{sock.getsockname()[1]}"
        else:
            sock = self._stage.doors[at].dup()
            origin = f"{at}://{SITE}"
        self._until.enter_context(serving(app, sock, tls=certificate() if at == "https" else None))
        return origin

    def visitor(self, *, scripting: bool = True, **options: Any) -> Visitor:
        """A new visitor. ``options`` are those of Playwright's ``launch_persistent_context``."""
        profile = TemporaryDirectory(prefix="visitor-", ignore_cleanup_errors=True)
        context = self._stage.launch(Path(self._until.enter_context(profile)), java_script_enabled=scripting, **options)
        self._until.callback(context.close)
        return Visitor(context, self.outside)


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Start the servers that all tests share."""
    outside = Outside()
    doors: Doors = {"https": listen("127.0.0.1", 0), "http": listen("127.0.0.1", 0)}
    with pytest.MonkeyPatch.context() as patch, outside.open() as (tls, plain), sync_playwright() as playwright:
        # A browser that is killed never answers a TLS goodbye, and asyncio would wait for it beyond the server's end.
        patch.setattr("asyncio.constants.SSL_SHUTDOWN_TIMEOUT", 0.02)
        yield Stage(playwright, outside, doors, _resolver_rules(doors, tls=tls, plain=plain))
    for door in doors.values():
        door.close()


def _resolver_rules(doors: Doors, *, tls: int, plain: int) -> str:
    """The first rule that matches counts; loopback is never mapped."""
    own = [
        f"MAP {name}:{443 if at == 'https' else 80} 127.0.0.1:{door.getsockname()[1]}"
        for at, door in doors.items()
        for name in (SITE, f"*.{SITE}")
    ]
    others = [f"MAP *:443 127.0.0.1:{tls}", f"MAP *:80 127.0.0.1:{plain}", "MAP * ~NOTFOUND"]
    spared = ["EXCLUDE 127.0.0.1", "EXCLUDE localhost"]
    return "--host-resolver-rules=" + ", ".join([*own, *others, *spared])


def certificate() -> ssl.SSLContext:
    """A server's TLS context with a certificate of our own."""
    made = make_certificate()
    assert made is not None, "the test extra brings trustme"
    return made.context


def find_chromium() -> str:
    """The Chromium of this machine. Without one these tests fail rather than pass unseen."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("no Chromium on the PATH: scripts/test installs one where it may, or: apt-get install chromium")
    return found
