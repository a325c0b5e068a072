"""`CookieGate`: the ASGI middleware. The story of a request in one place; all I/O of the gate stays in here."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import consent as consents
from . import headers, record, signals
from .assets import Assets
from .consent import Consent
from .endpoints import Visitor, VisitorPages
from .errors import PolicyError, Problem
from .gate import Notices, Page, Resources, ResponseGate, Wall, hide_request_cookies
from .gate.cookies import filter_set_cookies
from .lawful import decide
from .policy import Mode, Policy, load_policy
from .signals import Signals
from .store import Store, open_store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Clock = Callable[[], datetime]

_CONDITIONAL = (b"if-none-match", b"if-modified-since", b"if-range", b"range")


def utc_now() -> datetime:
    """The present moment, timezone-aware."""
    return datetime.now(UTC)


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

    Raises:
        PolicyError: the policy is wrong; every reason is listed.
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
        self.policy = replace(loaded, gate=replace(loaded.gate, mode=mode)) if mode else loaded
        self.store = store if isinstance(store, Store) else open_store(str(store), clock=clock)
        self.notices = Notices()
        self._app = app
        self._clock = clock
        self._keys = _checked_keys(secret_keys) if secret_keys is not None else self.store.keys()
        self._assets = Assets(self.policy, templates=templates)
        self._resources = Resources(self.policy)
        self._wall = Wall(self.policy)
        self._pages = VisitorPages(self.policy, self.store, self._assets, self._wall, self._keys)
        self._prefix = self.policy.gate.prefix
        # A server that speaks no lifespan protocol still drains what is queued when the process ends.
        weakref.finalize(self, self.store.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, self._closing(send) if scope["type"] == "lifespan" else send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = self._visitor(scope)
        if self._is_ours(scope["path"]):
            await self._pages(scope, receive, send, visitor)
            return
        started = time.perf_counter()
        inner, denied = self._inner_scope(scope, visitor)
        gate = ResponseGate(self._page(scope, visitor, denied))

        async def gated_send(message: Message) -> None:
            for out in gate.feed(message):
                await send(out)

        await self._app(inner, receive, gated_send)
        if gate.is_page and visitor.signals.document and not visitor.signals.prefetch and scope["method"] == "GET":
            self._record(inner, visitor, gate.status, time.perf_counter() - started)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = self._visitor(scope)
        inner, _ = self._inner_scope(scope, visitor)

        async def gated_send(message: Message) -> None:
            if message["type"] == "websocket.accept" and message.get("headers") and not self._observing:
                message = {**message, "headers": self._without_denied(message["headers"], visitor)}
            await send(message)

        await self._app(inner, receive, gated_send)

    def _closing(self, send: Send) -> Send:
        """Drains the store once the app has shut down, before the server is told."""

        async def closing_send(message: Message) -> None:
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await asyncio.to_thread(self.store.close)
            await send(message)

        return closing_send

    # -- the request ------------------------------------------------------------------------------------------------

    def _visitor(self, scope: Scope) -> Visitor:
        """Who asks, as far as the gate may know: signals, stored choice, and the verdict that follows."""
        raw = scope["headers"]
        now = self._clock()
        secure = scope.get("scheme") in {"https", "wss"}
        peer = (scope.get("client") or ("",))[0]
        said = signals.read(raw, self.policy, locales=self._assets.locales, secure=secure, peer=peer)
        choice = self._consent(raw, said, now)
        verdict = decide(self.policy, said, choice, now)
        return Visitor(signals=said, consent=choice, verdict=verdict, host=_host(scope), now=now)

    def _consent(self, raw: headers.RawHeaders, said: Signals, now: datetime) -> Consent | None:
        """The newest valid choice among the consent cookies sent; a bad one is simply none."""
        name = consents.cookie_name(secure=said.secure)
        found = (consents.read(value, self._keys, now) for value in headers.cookie_values(raw, name))
        return max(filter(None, found), key=lambda choice: choice.decided_at, default=None)

    def _inner_scope(self, scope: Scope, visitor: Visitor) -> tuple[Scope, tuple[str, ...]]:
        """The scope the app sees: the verdict in it, and only cookies that may be read."""
        raw: headers.HeaderList = list(scope["headers"])
        denied: tuple[str, ...] = ()
        if not self._observing:
            raw, denied = hide_request_cookies(raw, self.policy, visitor.verdict, note=self.notices)
            if _wants_page(raw):
                # The app's validators and ranges are those of the ungated page.
                raw = headers.without(raw, *_CONDITIONAL)
        return {**scope, "headers": raw, "cookiegate": visitor.verdict}, denied

    def _page(self, scope: Scope, visitor: Visitor, denied: tuple[str, ...]) -> Page:
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
        )

    def _without_denied(self, raw: headers.RawHeaders, visitor: Visitor) -> headers.HeaderList:
        return filter_set_cookies(raw, self.policy, visitor.verdict, now=visitor.now, note=self.notices)

    def _record(self, scope: Scope, visitor: Visitor, status: int, seconds: float) -> None:
        """Put down the page view in the fields that may be kept, and as a number."""
        request = self._facts(scope, visitor, status, seconds)
        usage = record.minimise(self.policy, visitor.signals, visitor.verdict, request, self.store.salts(visitor.now))
        if usage is not None:
            self.store.put_usage(usage)
        counted = record.count(visitor.signals, visitor.verdict, request, consented=usage is not None)
        if counted is not None:
            self.store.put_count(counted)

    def _facts(self, scope: Scope, visitor: Visitor, status: int, seconds: float) -> record.Request:
        raw = scope["headers"]
        return record.Request(
            at=visitor.now,
            host=visitor.host,
            path=scope["path"],
            client=self._client(scope),
            user_agent=(headers.get(raw, b"user-agent") or b"").decode("latin-1"),
            referrer=(headers.get(raw, b"referer") or b"").decode("latin-1"),
            status=status,
            duration_ms=int(seconds * 1000),
            template=_template(scope),
        )

    def _client(self, scope: Scope) -> str:
        """The visitor's address: the peer's, or what a trusted proxy says it is."""
        peer: str = (scope.get("client") or ("",))[0]
        trusted = self.policy.site.trusted_proxies
        if peer in trusted:
            for address in reversed(headers.list_members(scope["headers"], b"x-forwarded-for")):
                peer = address.decode("latin-1")
                if peer not in trusted:
                    break
        return peer

    def _is_ours(self, path: str) -> bool:
        return path == self._prefix or path.startswith(self._prefix + "/")

    @property
    def _observing(self) -> bool:
        return self.policy.gate.mode == "observe"


def _template(scope: Scope) -> str:
    """The matched route's template, so that a counter does not hold what stands in the path's parameters."""
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    if isinstance(path, str):
        return str(scope.get("root_path", "")) + path
    parts = scope["path"].split("/")
    names = {str(value): name for name, value in (scope.get("path_params") or {}).items()}
    templated = "/".join(f"{{{names[part]}}}" if part in names else part for part in parts)
    return record.scrub_path(templated)


def _host(scope: Scope) -> str:
    """The host the visitor asked for, lower-case, without port."""
    value = (headers.get(scope["headers"], b"host") or b"").decode("latin-1").lower()
    if not value and scope.get("server"):
        value = str(scope["server"][0])
    if value.startswith("["):
        return value.partition("]")[0].strip("[")
    return value.partition(":")[0].rstrip(".") or "localhost"


def _authority(scope: Scope, host: str) -> str:
    """Host and port for the page's URL, falling back to the bare host where the header is no authority."""
    value = (headers.get(scope["headers"], b"host") or b"").decode("latin-1")
    allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:[]"
    if value and all(character in allowed for character in value):
        return value
    return quote(host) or "localhost"


def _target(scope: Scope) -> str:
    """Path and query as they were sent: the bytes that name this page."""
    raw_path = scope.get("raw_path")
    path = raw_path.decode("latin-1").partition("?")[0] if raw_path else quote(scope["path"])
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def _wants_page(raw: headers.RawHeaders) -> bool:
    """Whether the answer may be shown as a page, so that it must come whole."""
    dest = headers.get(raw, b"sec-fetch-dest")
    if dest is not None:
        return dest in {b"document", b"iframe", b"frame", b"embed", b"object", b"empty"}
    return b"text/html" in (headers.get(raw, b"accept") or b"text/html")


def _checked_keys(keys: Sequence[str | bytes]) -> tuple[bytes, ...]:
    encoded = tuple(key.encode() if isinstance(key, str) else key for key in keys)
    if not encoded or any(len(key) < 16 for key in encoded):
        problem = "give at least one key of 16 bytes or more, made by a random generator"
        raise PolicyError((Problem("CookieGate(secret_keys=…)", "", problem),))
    return encoded
