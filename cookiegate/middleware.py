"""`CookieGate`: the ASGI middleware. The story of a request in one place; all I/O of the gate stays in here."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import quote

import ada_url

from . import consent as consents
from . import headers, record, signals
from .assets import Assets
from .endpoints import ReportDesk, Visitor, VisitorPages
from .errors import PolicyError, Problem
from .gate import Notices, Page, Readable, Repeats, Resources, ResponseGate, Wall, hide_request_cookies, needs_gate
from .gate.cookies import filter_set_cookies
from .lawful import Standing, Standings
from .policy import Mode, Policy, load_policy
from .store import Store, open_store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Clock = Callable[[], datetime]

_LOG = logging.getLogger("cookiegate")
_URL_CHARACTERS = "%/?:@!$&'()*+,;=[]|^{}`~-._"
_LONGEST_TARGET = 4_000
"""So that the form that holds it stays below `endpoints.forms.MAX_FORM` even where each character takes three."""
_CONSENT_COOKIES = frozenset(consents.cookie_name(secure=secure).encode() for secure in (True, False))
_SECURE = frozenset({"https", "wss"})
_SIGHTINGS_EVERY = timedelta(minutes=1)
_HANDSHAKES = frozenset({"websocket.accept", "websocket.http.response.start"})
_UNGATED = frozenset({"http.response.push", "http.response.zerocopysend"})
"""ASGI extensions by which an app would send what the gate cannot read. Without them it takes the ordinary way."""
_CONDITIONAL = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
_TELLING = _CONDITIONAL | {b"cookie", b"sec-gpc", b"dnt"}
"""Request headers that matter even where the answer turns out to be no page."""


def utc_now() -> datetime:
    """The present moment, timezone-aware."""
    return datetime.now(UTC)


class _Asked(NamedTuple):
    """What must be known about a request before the app is asked: little, so that what is no page stays fast.

    Attributes:
        now: the moment it came.
        cookies: its cookies; None where they are not written as usual, or one is there twice.
        conditional: it asks for a part of the answer, or for none if nothing has changed.
        standing: what holds for who asks.
    """

    now: datetime
    cookies: Mapping[bytes, bytes] | None
    conditional: bool
    standing: Standing


class CookieGate:
    """Gates an ASGI application.

    Args:
        app: the application.
        policy: a loaded policy, or the path of its TOML file.
        store: an open store, or where to keep one: a file name or a database URL.
        secret_keys: keys that sign consent cookies, oldest first, each of 16 bytes or more. Without them the store
            makes one, shared by every worker.
        mode: overrides the policy's ``gate.mode``: "enforce", or "observe" to block nothing and log everything.
        templates: a folder whose templates replace ours file by file.
        clock: tells the time; timezone-aware.

    When the app shuts down, a store that was opened here is closed, and opened again should the app start again in
    the same process, as those of test suites do. One that was given open is written out and stays its owner's.

    Raises:
        PolicyError: the policy or an argument is wrong; every reason is listed.
        StoreError: the store cannot be opened.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: str | Path | Policy = "cookiegate.toml",
        store: str | Path | Store = "cookiegate.db",
        secret_keys: Sequence[str | bytes] | None = None,
        mode: Mode | None = None,
        templates: Path | None = None,
        clock: Clock = utc_now,
    ) -> None:
        loaded = policy if isinstance(policy, Policy) else load_policy(policy)
        self.policy = replace(loaded, gate=replace(loaded.gate, mode=_checked_mode(mode))) if mode else loaded
        self._closed = False
        self._place = None if isinstance(store, Store) else str(store)
        self.store = store if isinstance(store, Store) else open_store(str(store), clock=clock)
        self.notices = Notices()
        self._app = app
        self.clock = clock
        self.keys = _checked_keys(secret_keys) if secret_keys is not None else self.store.keys()
        self._assets = Assets(self.policy, templates=templates)
        self._resources = Resources(self.policy)
        self._wall = Wall(self.policy)
        self._readable = Readable(self.policy)
        self.repeats = Repeats()
        self._standings = Standings(self.policy, self.keys)
        self._desk = ReportDesk(self._resources, self.notices)
        self._sightings_due = datetime.min.replace(tzinfo=UTC)
        self._pages = self._visitor_pages()
        self._prefix = self.policy.gate.prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._ask(scope)
        if self._is_ours(scope["path"]):
            await self._pages(scope, receive, send, self._visitor(scope, asked))
            self._keep_sightings(asked.now)
            return
        started = time.perf_counter()
        inner, denied = self._inner_scope(scope, asked)
        gating: Send | None = None

        async def gated_send(message: Message) -> None:
            nonlocal gating
            if gating is None:
                gated = denied or needs_gate(message)
                gating = self._gating(send, scope, inner, asked, denied=denied, started=started) if gated else send
            await gating(message)

        await self._app(inner, receive, gated_send)
        if gating is not send:
            self._keep_sightings(asked.now)

    def _gating(
        self, send: Send, scope: Scope, inner: Scope, asked: _Asked, *, denied: tuple[str, ...], started: float
    ) -> Send:
        """Gates the messages of one response, and puts down that a page was seen."""
        visitor = self._visitor(scope, asked)
        repeats = self.repeats if _is_anonymous(scope, asked) else None
        gate = ResponseGate(self._page(scope, visitor, denied, repeats))
        seen = scope["method"] == "GET" and visitor.signals.document and not visitor.signals.prefetch

        async def gating_send(message: Message) -> None:
            for out in gate.feed(message):
                await send(out)
                if seen and gate.is_page and out["type"] == "http.response.body" and not out.get("more_body", False):
                    # Here and not after the app: what it does in the background is no part of the page.
                    self._record(scope, inner, visitor, gate.status, time.perf_counter() - started)

        return gating_send

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._ask(scope)
        inner, _ = self._inner_scope(scope, asked)

        async def gated_send(message: Message) -> None:
            if message["type"] in _HANDSHAKES and message.get("headers") and not self._observing:
                message = {**message, "headers": self._without_denied(message["headers"], asked)}
            await send(message)

        await self._app(inner, receive, gated_send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Has all that is queued written once the app has shut down, before the server is told.

        An app that does not know the protocol, as Django's, is spoken for: only this way the gate learns of the end.
        """
        await self._reopen()
        heard: list[str] = []
        said: list[str] = []

        async def noting_receive() -> Message:
            message = await receive()
            heard.append(message["type"])
            return message

        async def writing_send(message: Message) -> None:
            said.append(message["type"])
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await self._settle()
            await send(message)

        try:
            await self._app(scope, noting_receive, writing_send)
        except Exception as error:
            if said:
                raise
            _LOG.info("the app speaks no lifespan protocol (%s)", error)
        if not said:
            if not heard:
                await receive()
            await send({"type": "lifespan.startup.complete"})
            if "lifespan.shutdown" not in heard:
                await receive()
            await writing_send({"type": "lifespan.shutdown.complete"})

    async def _settle(self) -> None:
        """Write out what is queued. The store is closed if it was opened here."""
        self._put_sightings(self.clock())
        self._closed = self._place is not None
        await asyncio.to_thread(self.store.close if self._closed else self.store.flush)

    async def _reopen(self) -> None:
        """Open the store again that was closed when the app shut down before."""
        if self._closed and self._place is not None:
            self.store = await asyncio.to_thread(open_store, self._place, clock=self.clock)
            self._pages, self._closed = self._visitor_pages(), False

    def _keep_sightings(self, now: datetime) -> None:
        """Add what was withheld to the store's counters: at most once a minute, not with every page."""
        if now >= self._sightings_due and self._put_sightings(now):
            self._sightings_due = now + _SIGHTINGS_EVERY

    def _put_sightings(self, now: datetime) -> bool:
        fresh = self.notices.drain()
        for withheld, times in fresh.items():
            sighting = record.sighting(self.policy, withheld, now)
            if sighting is not None:
                self.store.put_sighting(sighting, times)
        return bool(fresh)

    def _visitor_pages(self) -> VisitorPages:
        return VisitorPages(self.policy, self.store, self._assets, self._wall, keys=self.keys, desk=self._desk)

    # -- the request ------------------------------------------------------------------------------------------------

    def _ask(self, scope: Scope) -> _Asked:
        """Who asks, as far as it decides what is allowed: the stored choice, the signals, the verdict that follows."""
        now = self.clock()
        told: dict[bytes, list[bytes]] = {}
        for key, value in scope["headers"]:
            name = key.lower()
            if name in _TELLING:
                told.setdefault(name, []).append(value)
        if not told:
            return _Asked(now, {}, conditional=False, standing=self._standings.of((), gpc=False, dnt=False, now=now))
        sent = b"; ".join(told.get(b"cookie", ()))
        cookies = headers.usual_cookies(sent)
        standing = self._standings.of(
            self._choices(scope, sent, cookies),
            gpc=b"sec-gpc" in told and signals.is_on(told[b"sec-gpc"]),
            dnt=b"dnt" in told and signals.is_on(told[b"dnt"]),
            now=now,
        )
        return _Asked(now, cookies, not _CONDITIONAL.isdisjoint(told), standing)

    def _choices(self, scope: Scope, sent: bytes, cookies: Mapping[bytes, bytes] | None) -> Sequence[str]:
        """The values of the consent cookies among those that were sent, most often none or one."""
        secure = scope.get("scheme") in _SECURE
        if self.policy.site.trusted_proxies:
            secure = signals.is_secure(scope["headers"], self.policy, secure=secure, peer=_peer(scope))
        name = consents.cookie_name(secure=secure)
        if cookies is None:
            return headers.cookie_values([(b"cookie", sent)], name)
        value = cookies.get(name.encode())
        return () if value is None else (value.decode("latin-1").strip(" \t"),)

    def _visitor(self, scope: Scope, asked: _Asked) -> Visitor:
        """All that the gate may know of who asks."""
        said = signals.read(
            scope["headers"],
            self.policy,
            locales=self._assets.locales,
            secure=scope.get("scheme") in _SECURE,
            peer=_peer(scope),
        )
        standing = asked.standing
        return Visitor(said, standing.consent, standing.verdict, host=_host(scope), now=asked.now)

    def _inner_scope(self, scope: Scope, asked: _Asked) -> tuple[Scope, tuple[str, ...]]:
        """The scope the app sees: the verdict in it, and only cookies that may be read."""
        raw: headers.HeaderList = list(scope["headers"])
        denied: tuple[str, ...] = ()
        if not self._observing:
            standing = asked.standing
            if asked.cookies != {} and not self._readable.all(asked.cookies, standing.verdict, standing.allowed):
                raw, denied = hide_request_cookies(raw, self.policy, standing.verdict, note=self.notices)
            if asked.conditional and _wants_page(raw):
                # The app's validators and ranges are those of the ungated page.
                raw = headers.without(raw, *_CONDITIONAL)
        inner = {**scope, "headers": raw, "cookiegate": asked.standing.verdict}
        extensions = inner.get("extensions")
        if extensions and not _UNGATED.isdisjoint(extensions):
            inner["extensions"] = {name: value for name, value in extensions.items() if name not in _UNGATED}
        return inner, denied

    def _page(self, scope: Scope, visitor: Visitor, denied: tuple[str, ...], repeats: Repeats | None) -> Page:
        path = _target(scope)
        raw = scope["headers"]
        return Page(
            policy=self.policy,
            resources=self._resources,
            wall=self._wall,
            verdict=visitor.verdict,
            signals=visitor.signals,
            layer=self._assets.layer(visitor.signals.locale),
            url=f"{'https' if visitor.signals.secure else 'http'}://{_authority(scope, visitor.host)}{path}",
            host=visitor.host,
            path=path.partition("?")[0],
            return_to=path,
            method=scope["method"],
            gzip=b"gzip" in headers.quality_list(headers.get(raw, b"accept-encoding") or b""),
            now=visitor.now,
            denied_cookies=denied,
            note=self.notices,
            withheld_page=lambda why: self._pages.withheld(why, visitor),
            repeats=repeats,
        )

    def _without_denied(self, raw: headers.RawHeaders, asked: _Asked) -> headers.HeaderList:
        return filter_set_cookies(raw, self.policy, asked.standing.verdict, now=asked.now, note=self.notices)

    def _record(self, scope: Scope, inner: Scope, visitor: Visitor, status: int, seconds: float) -> None:
        """Put down the page view in the fields that may be kept, and as a number."""
        request = self._facts(scope, inner, visitor, status, seconds)
        usage = record.minimise(self.policy, visitor.signals, visitor.verdict, request, self.store.salts(visitor.now))
        if usage is not None:
            self.store.put_usage(usage)
        counted = record.count(visitor.signals, visitor.verdict, request, consented=usage is not None)
        if counted is not None:
            self.store.put_count(counted)

    def _facts(self, scope: Scope, inner: Scope, visitor: Visitor, status: int, seconds: float) -> record.Request:
        raw = scope["headers"]
        return record.Request(
            at=visitor.now,
            host=visitor.host,
            path=scope["path"],
            client=record.client_address(raw, peer=_peer(scope), proxies=self.policy.site.trusted_proxies),
            user_agent=(headers.get(raw, b"user-agent") or b"").decode("latin-1"),
            referrer=(headers.get(raw, b"referer") or b"").decode("latin-1"),
            status=status,
            duration_ms=int(seconds * 1000),
            template=_template(scope, inner),
        )

    def _is_ours(self, path: str) -> bool:
        return path.startswith(self._prefix) and path[len(self._prefix) :][:1] in {"", "/"}

    @property
    def _observing(self) -> bool:
        return self.policy.gate.mode == "observe"


def _peer(scope: Scope) -> str:
    """The address of the connected peer, or "" where there is none, as on a Unix socket."""
    return str((scope.get("client") or ("",))[0])


def _is_anonymous(scope: Scope, asked: _Asked) -> bool:
    """Whether nothing in a request tells the app who asks, so that everybody gets the same page."""
    return (
        scope["method"] == "GET"
        and asked.cookies is not None
        and asked.cookies.keys() <= _CONSENT_COOKIES
        and headers.get(scope["headers"], b"authorization") is None
    )


def _template(scope: Scope, inner: Scope) -> str:
    """The template of the route the app matched, so that a counter does not hold what fills its parameters."""
    values = {str(value): f"{{{name}}}" for name, value in (inner.get("path_params") or {}).items()}
    route = inner.get("route") if inner.get("route") is not scope.get("route") else None
    own = getattr(route, "path_format", None) or getattr(route, "path", None)
    if isinstance(own, str):
        # Below a mount the route knows only its part of the path; the route of a mounted app is the mount itself.
        for template in (_filled(inner.get("root_path", ""), values) + own, own):
            if _filled(scope["path"], values).startswith(template.partition("{")[0]):
                return record.scrub_path(template)
    return record.scrub_path(_filled(scope["path"], values))


def _filled(path: str, values: Mapping[str, str]) -> str:
    """The path with every segment that is a parameter's value replaced by the parameter's name."""
    return "/".join(values.get(part, part) if part else part for part in path.split("/"))


def _host(scope: Scope) -> str:
    """The host the visitor asked for, lower-case, without port; ``invalid`` (RFC 6761 6.4) for what is none."""
    value = (headers.get(scope["headers"], b"host") or b"").decode("latin-1").lower()
    if not value:
        return str((scope.get("server") or ("",))[0]).lower() or "localhost"
    name = value[1:].partition("]")[0] if value.startswith("[") else value.partition(":")[0].rstrip(".")
    return name if re.fullmatch(r"[0-9a-z._-]{1,253}|[0-9a-f:.]{2,45}", name) else "invalid"


def _authority(scope: Scope, host: str) -> str:
    """Host and port for the page's URL, falling back to the bare host where the header is no authority."""
    value = (headers.get(scope["headers"], b"host") or b"").decode("latin-1")
    for authority in (value, f"[{host}]" if ":" in host else host):
        if re.fullmatch(r"[0-9A-Za-z._~:\[\]-]+", authority) and ada_url.check_url(f"https://{authority}/"):
            return authority
    return "invalid"


def _target(scope: Scope) -> str:
    """Path and query that name this page, such that they lead back to it and never elsewhere.

    They are the bytes that were sent, but for those that no URL holds or that a browser would read otherwise.
    """
    raw_path = scope.get("raw_path")
    path = raw_path.decode("latin-1").partition("?")[0] if raw_path else quote(scope["path"])
    query = scope.get("query_string", b"").decode("latin-1")
    path, query = (quote(part, safe=_URL_CHARACTERS, encoding="latin-1") for part in (path, query))
    if not path.startswith("/") or len(path) > _LONGEST_TARGET:
        return "/"
    if path.startswith("//"):
        path = f"/.{path}"  # alone, the first segment would be read as a host (WHATWG URL 4.2)
    return f"{path}?{query}" if query and len(path) + len(query) < _LONGEST_TARGET else path


def _wants_page(raw: headers.RawHeaders) -> bool:
    """Whether the answer may be shown as a page, so that it must come whole."""
    dest = headers.get(raw, b"sec-fetch-dest")
    if dest is not None:
        return dest in {b"document", b"iframe", b"frame", b"embed", b"object"}
    return b"text/html" in (headers.get(raw, b"accept") or b"text/html")


def _checked_keys(keys: Sequence[str | bytes]) -> tuple[bytes, ...]:
    given = [keys] if isinstance(keys, str | bytes) else keys
    encoded = tuple(key.encode() if isinstance(key, str) else bytes(key) for key in given)
    if not encoded or any(len(key) < 16 for key in encoded):
        problem = "give at least one key of 16 bytes or more, made by a random generator"
        raise PolicyError((Problem("CookieGate(secret_keys=…)", "", problem),))
    return encoded


def _checked_mode(mode: Mode) -> Mode:
    if mode not in get_args(Mode):
        raise PolicyError((Problem("CookieGate(mode=…)", "", f'{mode!r} is no mode: write "enforce" or "observe"'),))
    return mode
