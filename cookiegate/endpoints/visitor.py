"""Everything below the prefix: the centre, the choices, the cookie table, the notice, and the files they need."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

from .. import consent as consents
from .. import headers
from ..assets import CACHE_CONTROL, Assets
from ..consent import Consent
from ..errors import FormError, StoreError
from ..gate import REPORTS, Wall, expire_cookies
from ..lawful import UNANSWERED, Verdict, decide, is_expired
from ..policy import Policy
from ..record import ConsentRecord, scrub_path
from ..signals import Signals
from ..store import Store
from .forms import ChoiceForm, check_same_origin, local_target, read_choice
from .reports import ReportDesk

_LOG = logging.getLogger("cookiegate.choices")
_COOKIE_CAP = timedelta(days=400)
_PAGE_WALL = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_PAGE_HEADERS: headers.HeaderList = [
    (b"cache-control", b"private, no-store"),
    (b"x-robots-tag", b"noindex"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", _PAGE_WALL),
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as the gate may know. ``now`` is the moment the request came."""

    signals: Signals
    consent: Consent | None
    verdict: Verdict
    host: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """A small response, complete."""

    status: int
    body: bytes
    headers: headers.HeaderList

    async def send(self, send: Send, *, method: str) -> None:
        """Send it; without its body where that was not asked for."""
        raw = list(self.headers)
        if self.status not in {204, 304}:  # they have no body; a 304's length would be the page's (RFC 9110 8.6)
            raw.append((b"content-length", b"%d" % len(self.body)))
        body = b"" if method == "HEAD" else self.body
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class VisitorPages:
    """Answers requests below the prefix. Holds only what never changes while the process runs."""

    def __init__(
        self, policy: Policy, store: Store, assets: Assets, wall: Wall, *, keys: tuple[bytes, ...], desk: ReportDesk
    ) -> None:
        self._policy = policy
        self._store = store
        self._assets = assets
        self._wall = wall
        self._keys = keys
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send, visitor: Visitor) -> None:
        """Answer one request whose path is the prefix or below it."""
        try:
            answer = await self._answer(scope, receive, visitor)
        except FormError as error:
            answer = self._message(visitor, error.status, str(error))
        await answer.send(send, method=scope["method"])

    def withheld(self, why: str, visitor: Visitor) -> bytes:
        """The page shown in place of one that cannot be judged."""
        text = f"This page was withheld because {why}. The site's operator finds the reason in its log."
        return self._message(visitor, 502, text).body

    async def _answer(self, scope: Scope, receive: Receive, visitor: Visitor) -> Answer:
        name = scope["path"].removeprefix(self._policy.gate.prefix).strip("/")
        method = scope["method"]
        if name == "choices" and method == "POST":
            return await self._choose(scope, receive, visitor)
        if name == REPORTS:
            return await self._report(scope, receive, visitor)
        if method not in {"GET", "HEAD"}:
            return self._not_allowed(visitor, b"GET, HEAD, POST" if name == "choices" else b"GET, HEAD")
        if name == "choices":
            return _json({"allowed": _choosable(visitor.verdict, self._policy), "undecided": visitor.verdict.undecided})
        if name.startswith("files/"):
            return self._file(name.removeprefix("files/"), scope, visitor)
        return self._page(name, scope, visitor)

    def _page(self, name: str, scope: Scope, visitor: Visitor) -> Answer:
        locale = visitor.signals.locale
        if name == "":
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            return _html(
                self._assets.page(
                    "centre",
                    locale=locale,
                    verdict=visitor.verdict,
                    signals=visitor.signals,
                    return_to=_target_or_root(query.get("return_to", ["/"])[0]),
                    saved="saved" in query,
                )
            )
        if name in {"details", "notice"}:
            return _html(self._assets.page(name, locale=locale))
        return self._message(visitor, 404, "There is no such page here.")

    def _file(self, name: str, scope: Scope, visitor: Visitor) -> Answer:
        file = self._assets.file(name)
        if file is None:
            return self._message(visitor, 404, "There is no such file here.")
        etag = b"W/" + file.etag.encode()  # weak: the same for the plain file and the compressed one
        raw: headers.HeaderList = [
            (b"cache-control", CACHE_CONTROL.encode()),
            (b"etag", etag),
            (b"x-content-type-options", b"nosniff"),
            (b"vary", b"Accept-Encoding"),
        ]
        known = headers.list_members(scope["headers"], b"if-none-match")
        if file.etag.encode() in {tag.removeprefix(b"w/") for tag in known}:
            return Answer(304, b"", raw)
        raw.append((b"content-type", file.content_type.encode()))
        if b"gzip" in headers.quality_list(headers.get(scope["headers"], b"accept-encoding") or b""):
            return Answer(200, file.gzip, [*raw, (b"content-encoding", b"gzip")])
        return Answer(200, file.body, raw)

    async def _report(self, scope: Scope, receive: Receive, visitor: Visitor) -> Answer:
        if scope["method"] != "POST":
            return self._not_allowed(visitor, b"POST")
        status = await self._desk.take(scope["headers"], receive, host=visitor.host, now=visitor.now)
        return Answer(status, b"", [(b"cache-control", b"no-store")])

    # -- choosing ---------------------------------------------------------------------------------------------------

    async def _choose(self, scope: Scope, receive: Receive, visitor: Visitor) -> Answer:
        """Count one choice: kept durably first, then answered."""
        raw = scope["headers"]
        authority = (headers.get(raw, b"host") or b"").decode("latin-1")
        check_same_origin(raw, authority)
        form = await read_choice(raw, receive, self._policy)
        scripted = b"application/json" in (headers.get(raw, b"accept") or b"")
        consent = self._consent(form, visitor)
        try:
            await self._store.put_consent(self._record(form, consent, visitor, "script" if scripted else "form"))
        except StoreError as error:
            return self._not_kept(error, raw, form, consent, visitor)
        after, cookies = self._taking_effect(raw, form, consent, visitor)
        if scripted:
            return self._scripted(visitor.verdict, after, cookies)
        return Answer(303, b"", [(b"location", self._location(form).encode()), *_PAGE_HEADERS, *cookies])

    def _taking_effect(
        self, raw: headers.RawHeaders, form: ChoiceForm, consent: Consent, visitor: Visitor
    ) -> tuple[Verdict, headers.HeaderList]:
        """What follows from a choice, and the cookies that say so."""
        after = decide(self._policy, visitor.signals, consent, visitor.now)
        return after, [*self._consent_cookie(consent, visitor), *self._expired(raw, form, after, visitor)]

    def _consent(self, form: ChoiceForm, visitor: Visitor) -> Consent:
        """The choice as it now stands, under the visitor's id while the choice before it holds, else a fresh one."""
        before = None if is_expired(self._policy, visitor.consent, visitor.now) else visitor.consent
        return Consent(
            id=before.id if before is not None else consents.new_id(),
            decided_at=visitor.now.replace(microsecond=0),
            choices=self._answers(form, visitor.verdict),
            gpc=visitor.signals.gpc,
            dnt=visitor.signals.dnt,
        )

    def _answers(self, form: ChoiceForm, before: Verdict) -> dict[int, bool]:
        """Scope to answer. ``allow`` answers for the purposes it names and leaves the rest as it stands, unanswered
        included; every other answers all questions.

        What a signal denies stands as refused: the new choice is made with the signal on, and must not lift it.
        """
        scopes = self._policy.scopes
        if form.method != "allow":
            granted = {"accept": frozenset(scopes), "reject": frozenset[str](), "save": form.purposes}[form.method]
            return {scope: purpose in granted for purpose, scope in scopes.items()}
        return {
            scope: purpose in form.purposes or before.allows(purpose)
            for purpose, scope in scopes.items()
            if purpose in form.purposes or before.reason(purpose) not in UNANSWERED
        }

    def _record(self, form: ChoiceForm, consent: Consent, visitor: Visitor, source: str) -> ConsentRecord:
        policy, scopes = self._policy, self._policy.scopes
        return ConsentRecord(
            record_id=str(uuid.uuid4()),
            consent_id=consent.id,
            at=visitor.now,
            valid_until=policy.consent.lifetime.after(consent.decided_at),
            method=form.method,
            source=source,
            choices={purpose: consent.choices[scope] for purpose, scope in scopes.items() if scope in consent.choices},
            policy_version=policy.site.policy_version,
            banner_hash=self._assets.layer(visitor.signals.locale).text_hash,
            locale=visitor.signals.locale,
            host=visitor.host,
            path=scrub_path(unquote(form.return_to.partition("?")[0])),
            gpc=visitor.signals.gpc,
            dnt=visitor.signals.dnt,
            country=visitor.signals.country,
            profile=policy.site.profile,
        )

    def _consent_cookie(self, consent: Consent, visitor: Visitor) -> Iterator[tuple[bytes, bytes]]:
        lifetime = min(self._policy.consent.lifetime.after(visitor.now) - visitor.now, _COOKIE_CAP)
        name = consents.cookie_name(secure=visitor.signals.secure)
        value = consents.write(consent, self._keys)
        flags = "; HttpOnly; SameSite=Lax" + ("; Secure" if visitor.signals.secure else "")
        cookie = f"{name}={value}; Path=/; Max-Age={int(lifetime.total_seconds())}{flags}"
        yield b"set-cookie", cookie.encode("ascii")

    def _expired(
        self, raw: headers.RawHeaders, form: ChoiceForm, after: Verdict, visitor: Visitor
    ) -> Iterator[tuple[bytes, bytes]]:
        """The end of every cookie the browser sent that the choice does not allow."""
        sent = (name for name, _ in headers.cookie_pairs(raw))
        denied = [
            name
            for name in sent
            if (rule := self._policy.cookie_rule(name)) is not None and not after.allows(rule.purpose)
        ]
        path = form.return_to.partition("?")[0]
        turn = int(visitor.now.timestamp())
        return expire_cookies(denied, host=visitor.host, path=path, secure=visitor.signals.secure, turn=turn)

    def _scripted(self, before: Verdict, after: Verdict, cookies: headers.HeaderList) -> Answer:
        denied = {rule for rule in self._policy.storage if not after.allows(rule.purpose)}
        answer = {
            "allowed": _choosable(after, self._policy),
            "reload": self._wall.reload_needed(before.allowed, after.allowed),
            "clear": sorted([rule.area, rule.name] for rule in denied),
        }
        return _json(answer, *cookies)

    def _not_kept(
        self, error: StoreError, raw: headers.RawHeaders, form: ChoiceForm, consent: Consent, visitor: Visitor
    ) -> Answer:
        """The evidence could not be kept. What was refused is refused all the same; what was granted anew is not."""
        _LOG.error("a choice could not be kept: %s", error)
        before = {scope for purpose, scope in self._policy.scopes.items() if visitor.verdict.allows(purpose)}
        held = {scope: granted for scope, granted in consent.choices.items() if not granted or scope in before}
        cookies: headers.HeaderList = []
        if not all(held.values()):
            since = visitor.consent.decided_at if visitor.consent and any(held.values()) else consent.decided_at
            _, cookies = self._taking_effect(raw, form, replace(consent, choices=held, decided_at=since), visitor)
        text = "Your choice could not be saved, so nothing further was allowed. Please try again in a moment."
        answer = self._message(visitor, 503, text)
        return Answer(503, answer.body, [*answer.headers, (b"retry-after", b"30"), *cookies])

    def _location(self, form: ChoiceForm) -> str:
        """Where to go on: the page the visitor came from, the centre with a word that it was saved."""
        prefix = self._policy.gate.prefix
        path, _, query = form.return_to.partition("?")
        if path.rstrip("/") != prefix:
            return form.return_to
        return f"{prefix}?saved=1" + (f"&{query}" if query and "saved=" not in query else "")

    # -- answers ----------------------------------------------------------------------------------------------------

    def _message(self, visitor: Visitor, status: int, text: str) -> Answer:
        title = _TITLES.get(status, "Something went wrong")
        page = self._assets.page(
            "message", locale=visitor.signals.locale, title=title, text=text, status=status, link="/"
        )
        return _html(page, status)

    def _not_allowed(self, visitor: Visitor, allow: bytes) -> Answer:
        answer = self._message(visitor, 405, f"Use {allow.decode()} here.")
        return Answer(405, answer.body, [*answer.headers, (b"allow", allow)])


_TITLES: Mapping[int, str] = {
    400: "This choice could not be read",
    403: "This choice was not counted",
    404: "Not found",
    405: "Not possible here",
    413: "This form is too large",
    415: "This form cannot be read",
    502: "This page is withheld",
    503: "Your choice was not saved",
}


def _choosable(verdict: Verdict, policy: Policy) -> list[str]:
    return [purpose.id for purpose in policy.choosable if verdict.allows(purpose.id)]


def _target_or_root(target: str) -> str:
    try:
        return local_target(target)
    except FormError:
        return "/"


def _html(body: bytes, status: int = 200) -> Answer:
    return Answer(status, body, [(b"content-type", b"text/html; charset=utf-8"), *_PAGE_HEADERS])


def _json(value: object, *more: tuple[bytes, bytes]) -> Answer:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(200, body, [(b"content-type", b"application/json"), *_PAGE_HEADERS, *more])
