"""A policy, pages and a small site for the tests of what the visitor sees."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Browser, sync_playwright

from cookiegate.assets import Assets
from cookiegate.lawful import Ruling, Verdict
from cookiegate.policy import (
    Basis,
    Controller,
    CookieRule,
    HostPattern,
    Period,
    Policy,
    Purpose,
    Service,
    Site,
    StorageRule,
    Usage,
)

OPTIONS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

VIDEO = Service(
    id="youtube",
    name="YouTube",
    provider="Google Ireland Ltd",
    country="IE",
    purpose="marketing",
    hosts=(HostPattern("youtube.com"),),
    cookies=(
        CookieRule("VISITOR_INFO1_LIVE", "persistent", "marketing", Period("P6M"), "Knows the browser.", "", "youtube"),
        CookieRule("YSC", "session", "marketing", None, "Counts views.", "", "youtube"),
    ),
    description="Plays videos.",
    docs="https://policies.google.com/technologies/cookies",
    privacy="https://policies.google.com/privacy",
)
ANALYTICS = Service(
    id="google-analytics",
    name="Google Analytics",
    provider="Google LLC",
    country="US",
    purpose="analytics",
    hosts=(HostPattern("google-analytics.com"),),
    cookies=(CookieRule("_ga", "persistent", "analytics", Period("P2Y"), "A number.", "", "google-analytics"),),
    storage=(StorageRule("_hj*", "local", "analytics", "State of a recording.", "google-analytics"),),
    description="Counts visits.",
)
OWN = (
    CookieRule("sessionid", "session", "necessary", reason="authentication"),
    CookieRule("theme", "persistent", "preferences", Period("P1Y"), "Light or dark."),
)
PURPOSES = (
    Purpose("necessary", Basis.CONTRACT, necessary=True),
    Purpose("preferences", Basis.CONSENT),
    Purpose("analytics", Basis.CONSENT),
    Purpose("marketing", Basis.CONSENT),
)


def sample_policy(**changes: Any) -> Policy:
    """Four purposes, two services, four cookies, one storage key; any field replaced."""
    services: tuple[Service, ...] = changes.pop("services", (ANALYTICS, VIDEO))
    fields: dict[str, Any] = {
        "site": Site(name="Morrow Light", policy_version="2026-11-21", hosts=("site.test",)),
        "controller": Controller(name="Morrow Light AB", email="privacy@site.test", address="Hamngatan 3\nStockholm"),
        "purposes": PURPOSES,
        "services": services,
        "cookies": (*OWN, *(rule for service in services for rule in service.cookies)),
        "storage": tuple(rule for service in services for rule in service.storage),
        "usage": Usage(Period("P14M")),
    }
    return Policy(**{**fields, **changes})


def sample_verdict(policy: Policy, *allowed: str, reason: str = "refused", consent_id: str = "") -> Verdict:
    """These purposes granted, the necessary ones on, the others off for one reason."""
    rulings = {}
    for purpose in policy.purposes:
        on = purpose.necessary or purpose.id in allowed
        why = "necessary" if purpose.necessary else "granted" if on else reason
        rulings[purpose.id] = Ruling(purpose.id, on, purpose.basis if on else None, why)
    return Verdict(rulings, undecided=False, policy_version="1", consent_id=consent_id)


def document(body: str | bytes, *, head: str = "", lang: str = "en") -> str:
    """A small page around some markup."""
    text = body if isinstance(body, str) else body.decode()
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Page</title>'
        f'<meta name="viewport" content="width=device-width">{head}</head><body>{text}</body></html>'
    )


Pairs = list[tuple[str, str]]


@dataclass
class FakeSite:
    """A site that says what a test tells it to, and remembers what it was asked.

    Attributes:
        pages: path to HTML.
        headers: sent with every page.
        answer: what a choice sent by script is answered with; None for an HTTP error.
        now: what a question for the present choices is answered with.
        sent: the forms received: how ("script" or "form") and their fields.
        asked: paths requested, in order.
        held: paths that are answered only once the event is set.
    """

    assets: Assets
    origin: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    answer: dict[str, Any] | None = None
    now: dict[str, Any] = field(default_factory=lambda: {"allowed": [], "undecided": True})
    sent: list[tuple[str, Pairs]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    held: dict[str, threading.Event] = field(default_factory=dict)

    def get(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        self.asked.append(path)
        if path in self.held:
            self.held[path].wait(10)
        if path == "/_privacy/choices":
            return 200, "application/json", json.dumps(self.now).encode()
        file = self.assets.file(path.rpartition("/")[2])
        if file is not None:
            return 200, file.content_type, file.body
        if path in self.pages:
            kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
            return 200, kind, self.pages[path].encode()
        return 404, "text/plain", b""

    def post(self, how: str, body: str) -> tuple[int, str, bytes]:
        """Status, content type and body of the answer to a form."""
        self.sent.append((how, parse_qsl(body)))
        if how == "form":
            return 200, "text/html", b"<!doctype html><title>Saved</title><p>Saved</p>"
        if self.answer is None:
            return 500, "application/json", b'{"allowed": ["analytics"], "reload": false, "clear": []}'
        return 200, "application/json", json.dumps(self.answer).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: FakeSite


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(*self.server.site.get(self.path.partition("?")[0]))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        how = "script" if "application/json" in self.headers["Accept"] else "form"
        self._answer(*self.server.site.post(how, body))

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.server.site.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


@contextmanager
def serving(assets: Assets) -> Iterator[FakeSite]:
    """A site on a port of its own."""
    site = FakeSite(assets)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = site
    site.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed: `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()
