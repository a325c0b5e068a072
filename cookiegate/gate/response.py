"""`ResponseGate`: one per response. ASGI messages in, ASGI messages out; nothing is shared between two of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

from .. import headers
from ..errors import UnreadableBody
from ..lawful import Verdict
from ..policy import Policy
from ..signals import Signals
from .body import Body, PageScanner
from .codings import Charset, GzipEncoder, decoder
from .content_types import PAGES_OF_XML, SPECULATION_RULES, charset, is_javascript, is_sniffed, is_xml, settled
from .content_types import essence as essence_of
from .cookies import expire_cookies, filter_set_cookies
from .elements import FETCHING_RELS, Elements, Observer, RulesScanner, refresh_url, srcset_urls
from .repeats import Gating, Repeats, WholePage
from .resources import Decider, Resources, Withheld
from .scanner import Scanner
from .wall import Wall, without_reports
from .xml import XmlScanner

Message = MutableMapping[str, Any]

_VALIDATORS = (b"content-length", b"etag", b"last-modified", b"accept-ranges", b"content-md5", b"digest")
_DIGESTS = (b"content-digest", b"repr-digest", b"unencoded-digest")
_REPORTING = frozenset({b"nel", b"report-to", b"reporting-endpoints", b"speculation-rules"})
_POLICIES = frozenset({b"content-security-policy", b"content-security-policy-report-only"})
_WATCHED = _REPORTING | {b"set-cookie", b"link", b"refresh", b"location"}
_TELLING = {
    **dict.fromkeys(_POLICIES, re.compile(rb"report-uri", re.IGNORECASE)),
    b"x-dns-prefetch-control": re.compile(rb"\s*on\s*\Z", re.IGNORECASE),
}
"""Headers that many sites send with everything, and what makes them matter."""
_LINK = re.compile(rb"<([^>]*)>((?:[^,\"]|\"(?:\\.|[^\"\\])*\")*)")
_PARAMETER = re.compile(rb";\s*+([^\s;=]*+)\s*+(?:=\s*+(?:\"((?:\\.|[^\"\\])*+)\"|([^;]*+)))?+[^;]*+")
_ABSOLUTE = re.compile(rb"(?:https?:)?//[^\s\"'<>;,)]+", re.IGNORECASE)
_FILE_PIECE = 1 << 16


class Layers(Protocol):
    """The visitor's part of a page in one language; `assets.Layer` is the real one."""

    def banner(self, *, return_to: str, signal: bool = False, allowed: Iterable[str] = ()) -> bytes: ...
    def way_back(self, *, return_to: str, granted: bool, allowed: Iterable[str] = ()) -> bytes: ...
    def placeholder(self, *, purpose: str, service: str, host: str, kind: str, width: str, height: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Page:
    """All that the gate needs to know about one request and its visitor.

    Attributes:
        url: the page's absolute URL.
        host: its host without port.
        path: its path as sent, without query, for cookie paths.
        return_to: path and query, for the banner's forms.
        gzip: whether the client takes gzip.
        denied_cookies: cookies the request carried although their purpose is denied.
        repeats: where gated pages are kept, if the request is one that everybody gets the same answer to.
    """

    policy: Policy
    resources: Resources
    wall: Wall
    verdict: Verdict
    signals: Signals
    layer: Layers
    url: str
    host: str
    path: str
    return_to: str
    method: str
    gzip: bool
    now: datetime
    denied_cookies: tuple[str, ...]
    note: Callable[[Withheld], None]
    withheld_page: Callable[[str], bytes]
    repeats: Repeats | None = None

    @property
    def observing(self) -> bool:
        """Whether the gate only watches: nothing is taken away."""
        return self.policy.gate.mode == "observe"


class ResponseGate:
    """Gates one response. `feed` takes each message of the app and returns those to send instead.

    Attributes:
        status: the app's status, 0 before it answered.
        is_page: a page a visitor looks at: HTML that was gated, with a status below 300.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._decider = Decider(page.resources, page.verdict, url=page.url)
        self._start: Message | None = None
        self._body: Body | None = None
        self._given_up = False
        self._unsent = b""
        self._repeats: Repeats | None = None
        self.status = 0
        self.is_page = False

    def feed(self, message: Message) -> list[Message]:
        """The messages to send for one message of the app."""
        kind = message["type"]
        if self._given_up:
            return []
        if kind == "http.response.start":
            return self._on_start(message)
        if kind == "http.response.body" and self._body is not None:
            return self._on_body(bytes(message.get("body", b"")), last=not message.get("more_body", False))
        if kind == "http.response.pathsend" and self._body is not None:
            return self._on_file(Path(message["path"]))
        if kind == "http.response.early_hint" and not self._page.observing:
            links = [(b"link", link) for link in message.get("links", ())]
            return [{**message, "links": [value for _, value in self._links(links)]}]
        return [message]

    # -- headers ----------------------------------------------------------------------------------------------------

    def _on_start(self, message: Message) -> list[Message]:
        self.status = int(message["status"])
        raw = settled([(bytes(key), bytes(value)) for key, value in message.get("headers", ())])
        content_type = headers.get(raw, b"content-type") or b""
        essence = essence_of(content_type)
        self._repeats = self._page.repeats if _is_for_all(raw) else None
        raw = self._safe_headers(raw)
        nosniff = (headers.get(raw, b"x-content-type-options") or b"").strip().lower() == b"nosniff"
        if essence == b"text/html" or (is_sniffed(essence) and not nosniff):
            return self._on_page(message, raw, content_type, certain=essence == b"text/html")
        if is_xml(essence):
            return self._on_xml(message, raw, content_type, essence)
        if essence == SPECULATION_RULES and not self._page.observing:
            return self._on_page(message, raw, content_type, certain=True, scanner=self._rules_scanner)
        if is_javascript(essence):
            raw = self._walled_file(raw)
        return [{**message, "headers": raw}]

    def _safe_headers(self, raw: headers.HeaderList) -> headers.HeaderList:
        """Headers that set, fetch or report, less what is withheld; and the end of cookies that were denied."""
        page = self._page
        if page.observing:
            filter_set_cookies(raw, page.policy, page.verdict, now=page.now, note=page.note)
            return raw
        names = {key.lower() for key, _ in raw}
        if b"set-cookie" in names:
            raw = filter_set_cookies(raw, page.policy, page.verdict, now=page.now, note=page.note)
        if b"link" in names:
            raw = self._links(raw)
        if not names.isdisjoint(_REPORTING) or b"refresh" in names or b"x-dns-prefetch-control" in names:
            raw = [(key, value) for key, value in raw if not self._leads_away(key.lower(), value)]
        if b"location" in names and page.signals.prefetch:
            raw = self._unprefetched(raw)
        if not names.isdisjoint(_POLICIES):
            raw = [(key, self._unreported(value) if key.lower() in _POLICIES else value) for key, value in raw]
        if page.denied_cookies:
            turn = int(page.now.timestamp())
            raw += expire_cookies(
                page.denied_cookies, host=page.host, path=page.path, secure=page.signals.secure, turn=turn
            )
        return raw

    def _links(self, raw: headers.HeaderList) -> headers.HeaderList:
        """``Link`` headers without the members that would fetch what is withheld (RFC 8288)."""
        kept: headers.HeaderList = []
        for key, value in raw:
            if key.lower() != b"link":
                kept.append((key, value))
                continue
            links = [match.group().strip() for match in _LINK.finditer(value) if not self._withheld_link(match)]
            if links:
                kept.append((key, b", ".join(links)))
        return kept

    def _withheld_link(self, match: re.Match[bytes]) -> bool:
        """Whether a link fetches anything that is withheld: its target, or a source of ``imagesrcset``."""
        parameters = {"rel": "", "imagesrcset": ""}
        for name, quoted, plain in _PARAMETER.findall(match.group(2)):
            key = name.decode("latin-1").lower()
            if key in parameters:  # which one counts where there are several, browsers do not agree on
                parameters[key] += " " + (_unquoted(quoted) or plain.decode("utf-8", "replace"))
        if FETCHING_RELS.isdisjoint(parameters["rel"].lower().split()):
            return False
        urls = [match.group(1).decode("utf-8", "replace"), *srcset_urls(parameters["imagesrcset"])]
        return self._noted(self._decider.urls("Link header", urls))

    def _leads_away(self, name: bytes, value: bytes) -> bool:
        if name == b"refresh":
            url = refresh_url(value.decode("utf-8", "replace"))
            return bool(url) and self._noted(self._decider.url("Refresh header", url))
        if name == b"x-dns-prefetch-control":  # has every link of the page resolved, whoever it leads to
            return _TELLING[name].match(value) is not None
        if name not in _REPORTING:
            return False
        urls = (url.decode("utf-8", "replace") for url in _ABSOLUTE.findall(value))
        return self._noted(self._decider.urls(f"{name.decode()} header", urls))

    def _unprefetched(self, raw: headers.HeaderList) -> headers.HeaderList:
        """A prefetch must not be redirected to what is withheld: no wall stands there, and no visitor has asked."""
        location = (headers.get(raw, b"location") or b"").decode("utf-8", "replace")
        if not self._noted(self._decider.url("redirect of a prefetch", location)):
            return raw
        return headers.replaced(headers.without(raw, b"location"), b"cache-control", b"no-store")

    def _unreported(self, policy: bytes) -> bytes:
        return without_reports(policy, lambda uri: self._noted(self._decider.url("report-uri header", uri)))

    def _noted(self, withheld: Withheld | None) -> bool:
        if withheld is not None:
            self._page.note(withheld)
        return withheld is not None

    def _walled(self, raw: headers.HeaderList) -> headers.HeaderList:
        page = self._page
        return [*raw, *page.wall.headers(page.verdict, page.host, secure=page.signals.secure)]

    def _walled_file(self, raw: headers.HeaderList) -> headers.HeaderList:
        return [*raw, *self._page.wall.headers_for_files(self._page.host)]

    # -- pages ------------------------------------------------------------------------------------------------------

    def _on_xml(self, message: Message, raw: headers.HeaderList, content_type: bytes, essence: bytes) -> list[Message]:
        """XML is a page when it is XHTML or when a browser says that it will show it; feeds and images are not."""
        if not self._page.observing and (essence in PAGES_OF_XML or self._page.signals.shown):
            return self._on_page(message, raw, content_type, certain=True, scanner=self._xml_scanner)
        return [{**message, "headers": self._walled_file(raw)}]

    def _on_page(
        self,
        message: Message,
        raw: headers.HeaderList,
        content_type: bytes,
        *,
        certain: bool,
        scanner: Callable[[], PageScanner] | None = None,
    ) -> list[Message]:
        if self._page.method == "HEAD" or self.status in {204, 304} or self.status < 200:
            changed = raw if self._page.observing else _uncacheable(headers.without(raw, *_VALIDATORS, *_DIGESTS))
            return [{**message, "headers": changed}]
        self._start = {**message, "headers": raw}
        try:
            self._body = self._reader(raw, content_type, certain=certain, scanner=scanner or self._scanner)
        except UnreadableBody as error:
            if self._page.observing:
                return [self._start]
            return self._withhold(error)
        return []

    def _reader(
        self, raw: headers.HeaderList, content_type: bytes, *, certain: bool, scanner: Callable[[], PageScanner]
    ) -> Body:
        if self.status == 206:
            raise UnreadableBody("it is a part of a page, which cannot be judged without the rest")
        codings = headers.list_members(raw, b"content-encoding")
        return Body(
            decoder=decoder(codings) if codings else None,
            encoder=GzipEncoder() if codings and self._page.gzip else None,
            charset=Charset(charset(content_type)),
            open_scanner=scanner,
            certain=certain,
        )

    def _on_body(self, data: bytes, *, last: bool) -> list[Message]:
        assert self._body is not None
        if self._given_up:
            return []
        if not last:
            self._repeats = None
        if self._page.observing and self._start is not None:
            self._unsent += data
        try:
            return self._pass_on(self._body.read(data, last=last), last=last)
        except UnreadableBody as error:
            if self._page.observing and self._start is not None:
                return self._leave_alone(self._start, last=last)
            return self._withhold(error)

    def _leave_alone(self, start: Message, *, last: bool) -> list[Message]:
        """Pass a body that cannot be read as it came, when the gate only watches."""
        self._start = self._body = None
        return [start, {"type": "http.response.body", "body": self._unsent, "more_body": not last}]

    def _pass_on(self, piece: bytes, *, last: bool) -> list[Message]:
        body = self._body
        assert body is not None
        if body.undecided and not last:
            return []
        messages: list[Message] = []
        payload = body.encoder.feed(piece, last=last) if body.encoder and (piece or last) else piece
        if self._start is not None:
            messages.append(self._page_start(self._start, body, len(payload) if last else None))
            self._start = None
        if payload or last or not messages:
            messages.append({"type": "http.response.body", "body": payload, "more_body": not last})
        return messages

    def _on_file(self, path: Path) -> list[Message]:
        """A file the server would have sent by itself (ASGI ``http.response.pathsend``) is read and gated here."""
        messages: list[Message] = []
        with path.open("rb") as file:
            piece = file.read(_FILE_PIECE)
            while True:
                following = file.read(_FILE_PIECE)
                messages += self._on_body(piece, last=not following)
                if not following:
                    return messages
                piece = following

    def _scanner(self) -> PageScanner:
        self.is_page = 200 <= self.status < 300
        page = self._page
        document = page.signals.document
        scanner = partial(self._new_scanner, placeholders=page.layer if document else None)
        if self._repeats is None or page.observing:
            return scanner(self._insert(), page.note)
        circumstances = (page.verdict.allowed, page.url.partition("?")[0], page.signals.locale if document else "")
        return WholePage(self._repeats, Gating(scanner, circumstances, self._insert(), page.note))

    def _new_scanner(
        self, insert: bytes, note: Callable[[Withheld], None], *, placeholders: Layers | None
    ) -> PageScanner:
        elements = Elements(self._decider, placeholders=placeholders, note=note)
        handler = Observer(elements) if self._page.observing else elements
        return Scanner(handler, insert=insert, keep=self._page.observing)

    def _xml_scanner(self) -> XmlScanner:
        """Nothing of ours is put into XML: it would have to fit its namespaces, and one slip would break the page."""
        self.is_page = 200 <= self.status < 300
        return XmlScanner(Elements(self._decider, placeholders=None, note=self._page.note))

    def _rules_scanner(self) -> RulesScanner:
        return RulesScanner(Elements(self._decider, placeholders=None, note=self._page.note))

    def _insert(self) -> bytes:
        """The banner for who has not chosen, the way back for who has; nothing in fragments and frames."""
        page = self._page
        if not page.signals.document:
            return b""
        allowed = [ruling.purpose for ruling in page.verdict.rulings.values() if ruling.reason == "granted"]
        if page.verdict.undecided:
            signal = page.signals.gpc or page.signals.dnt
            return page.layer.banner(return_to=page.return_to, signal=signal, allowed=allowed)
        return page.layer.way_back(return_to=page.return_to, granted=bool(allowed), allowed=allowed)

    def _page_start(self, start: Message, body: Body, length: int | None) -> Message:
        raw: headers.HeaderList = headers.without(start["headers"], *_VALIDATORS, *_DIGESTS)
        if body.decoder is not None:
            raw = headers.without(raw, b"content-encoding")
            if body.encoder is not None:
                raw.append((b"content-encoding", b"gzip"))
            raw = headers.with_vary(raw, b"Accept-Encoding")
        content_type = body.content_type(headers.get(raw, b"content-type") or b"")
        if content_type is not None:
            raw = headers.replaced(raw, b"content-type", content_type)
        if length is not None:
            raw.append((b"content-length", b"%d" % length))
        return {**start, "headers": _uncacheable(self._walled(raw) if body.is_html else self._walled_file(raw))}

    def _withhold(self, error: UnreadableBody) -> list[Message]:
        """Answer in place of a page that cannot be judged; if it has begun, end it where it is."""
        self._given_up = True
        self._page.note(Withheld(f"page that cannot be read ({error})", "", ""))
        if self._start is None:
            return [{"type": "http.response.body", "body": b"", "more_body": False}]
        self._start = None
        self.status = 502
        body = self._page.withheld_page(str(error))
        raw = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        return [
            {"type": "http.response.start", "status": 502, "headers": raw},
            {"type": "http.response.body", "body": body, "more_body": False},
        ]


def needs_gate(start: Message) -> bool:
    """Whether a response's first message shows anything for the gate to do: a page, or headers that set or fetch.

    False for what most requests are answered with, so that it costs next to nothing. A request that carried denied
    cookies is another reason for the gate, which this does not know.
    """
    raw = start.get("headers")
    if start["type"] != "http.response.start" or not isinstance(raw, list | tuple):
        return True
    content_type = None
    for key, value in raw:
        if type(key) is not bytes:
            return True
        name = key.lower()
        if name in _WATCHED or (name in _TELLING and _TELLING[name].search(value)):
            return True
        if name == b"content-type":
            if content_type is not None:
                return True
            content_type = value
    return type(content_type) is not bytes or _concerns_gate(content_type)


@lru_cache(maxsize=256)
def _concerns_gate(content_type: bytes) -> bool:
    essence = essence_of(content_type)
    page = essence == b"text/html" or is_sniffed(essence) or is_xml(essence)
    return page or is_javascript(essence) or essence == SPECULATION_RULES or b"," in content_type


def _is_for_all(raw: headers.RawHeaders) -> bool:
    """Whether nothing in a response's headers says that it is meant for one visitor."""
    personal = {b"private", b"no-store"}
    return headers.get(raw, b"set-cookie") is None and personal.isdisjoint(headers.list_members(raw, b"cache-control"))


def _unquoted(quoted: bytes) -> str:
    return re.sub(rb"\\(.)", rb"\1", quoted).decode("utf-8", "replace")


def _uncacheable(raw: headers.HeaderList) -> headers.HeaderList:
    """The page is this visitor's: no shared cache may keep it, and the browser asks again (RFC 9111 5.2.2).

    ``no-store`` of the app stays; its ``max-age`` would show a page after the choice it was made for has changed.
    """
    stay = [member for member in headers.list_members(raw, b"cache-control") if member in _KEPT_DIRECTIVES]
    value = b", ".join([b"private", b"no-cache", *stay])
    raw = headers.without(raw, b"expires", b"age", b"cdn-cache-control", b"surrogate-control")
    return headers.with_vary(
        headers.replaced(raw, b"cache-control", value), b"Cookie", b"Sec-GPC", b"DNT", b"Accept-Language"
    )


_KEPT_DIRECTIVES = frozenset({b"no-store", b"no-transform", b"must-revalidate"})
