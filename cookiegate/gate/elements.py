"""What each element fetches, and how it is kept from fetching.

A withheld element stays in the page without the attribute that would load it: the attribute is renamed to
``data-cg-…`` and the element is marked ``data-cg="<purpose>"``, so that the visitor's page can give it back in place
once the purpose is allowed. What is undeclared is marked with an empty purpose and never comes back.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import unquote

from ..errors import UnreadableBody
from . import css
from .markup import Tag, dimension, escape_value
from .resources import Decider, Withheld
from .scanner import MAX_HELD, Scanner

Judge = Callable[[Tag], Withheld | None]

JAVASCRIPT_TYPES = frozenset(
    "application/ecmascript application/javascript application/x-ecmascript application/x-javascript text/ecmascript "
    "text/javascript text/javascript1.0 text/javascript1.1 text/javascript1.2 text/javascript1.3 text/javascript1.4 "
    "text/javascript1.5 text/jscript text/livescript text/x-ecmascript text/x-javascript".split()
)
"""The JavaScript MIME type essences (MIME Sniffing Standard 4.6)."""

FETCHING_RELS = frozenset(
    "stylesheet preload prefetch modulepreload preconnect dns-prefetch prerender icon apple-touch-icon "
    "apple-touch-icon-precomposed apple-touch-startup-image mask-icon manifest import pingback "
    "compression-dictionary expect fluid-icon next search monetization".split()
)
"""Link types for which some browser makes a request or opens a connection."""

_CARRYING_RELS = frozenset("stylesheet modulepreload preload prefetch manifest import".split())
"""Link types whose ``data:`` reference is itself read for more to fetch."""
_RULES = frozenset({"importmap", "speculationrules", "webbundle"})
"""Script types whose text is JSON that names URLs."""

_PLAIN_SOURCES = {
    "iframe": ("src",),
    "frame": ("src",),
    "portal": ("src",),
    "fencedframe": ("src",),
    "embed": ("src",),
    "object": ("data", "codebase", "classid", "archive"),
    "applet": ("code", "codebase", "archive", "object"),
    "img": ("src", "lowsrc", "dynsrc"),
    "image": ("src", "href", "xlink:href"),
    "input": ("src",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "source": ("src",),
    "track": ("src",),
    "model": ("src",),
    "param": ("value",),
}
"""HTML elements to their attributes that hold one URL to fetch."""

_SRCSETS = {"img": ("srcset",), "source": ("srcset",), "link": ("imagesrcset",), "image": ("srcset",)}
EMBEDS = frozenset({"iframe", "embed", "object", "video", "audio", "applet", "portal", "fencedframe"})
_FRAMES = frozenset({"iframe", "frame", "embed", "object", "portal", "fencedframe"})
_MOVIES = frozenset({"movie", "src", "url", "code", "data", "filename"})
"""Names of a ``param`` whose value plugins, and some browsers without them, took for the object's URL."""
_ACTIONS = frozenset({"href", "xlink:href", "action", "formaction"})
"""Attributes whose ``javascript:`` URL runs when the visitor follows it."""
_DEEPEST = 6
"""Pages within pages (``srcdoc``, ``data:``) that are read; what is deeper is withheld."""
# Browsers have taken more than digits for the delay, so whatever stands before the separator counts as one.
_REFRESH = re.compile(
    r"\s*[^;,\s]*+\s*(?:[;,]|(?<=\s))\s*(?:url\s*=\s*)?(?P<quote>[\"']?)(?P<url>.*)", re.IGNORECASE | re.DOTALL
)
_SPACE = r"\t\n\f\r "
_CANDIDATE = re.compile(rf"[{_SPACE},]*([^{_SPACE},][^{_SPACE}]*)([^,(]*(?:\([^)]*(?:\)|\Z)[^,(]*)*)")
_ABSOLUTE = re.compile(r"(?:https?:)?//[^\s\"'<>)]+", re.IGNORECASE)
_NAMESPACE = re.compile(r"https?://www\.w3\.org/(?:1999/xhtml|1999/xlink|2000/svg|2000/xmlns/|1998/Math/MathML)")
"""Names that look like addresses and are never fetched."""


class Placeholders(Protocol):
    """Makes what stands in for a withheld embed."""

    def placeholder(self, *, purpose: str, service: str, host: str, kind: str, width: str, height: str) -> bytes: ...


class Elements:
    """Judges start tags, inline scripts and style sheets for one response, and edits them."""

    def __init__(
        self,
        decider: Decider,
        *,
        placeholders: Placeholders | None,
        note: Callable[[Withheld], None],
        depth: int = 0,
    ) -> None:
        self.decider = decider
        self._placeholders = placeholders
        self._note = note
        self._depth = depth

    def start(self, tag: Tag, *, foreign: bool) -> bytes:
        """The tag as the visitor may have it, preceded by a placeholder where an embed was withheld.

        Args:
            foreign: it stands, or may stand, in SVG or MathML. The rules for HTML hold there too: the preload scanners
                of browsers know no namespaces.
        """
        withheld = self._element(tag)
        if foreign:
            withheld = self._foreign_element(tag) or withheld
        own_attributes = self._attributes(tag)
        withheld = withheld or own_attributes
        if withheld is None:
            return tag.edited()
        self._note(withheld)
        tag.lead(mark(withheld))
        if foreign or tag.name not in EMBEDS or self._placeholders is None or _is_invisible(tag):
            return tag.edited()
        tag.neutralise("hidden")
        tag.lead(b"hidden")
        return self._placeholder(tag, withheld) + tag.edited()

    def script(self, tag: Tag, text: bytes) -> bytes:
        """A script's start tag, judged with its text. Data blocks are left alone: a browser never runs them."""
        kind = script_kind(tag)
        withheld = None
        if kind != "data":
            withheld = self._script(tag, kind, text)
        self._attributes(tag)
        if withheld is None:
            return tag.edited()
        self._note(withheld)
        tag.neutralise("src", "href", "xlink:href", "type")
        tag.lead(b'type="text/plain" ' + mark(withheld))
        return tag.edited()

    def style(self, tag: Tag, text: bytes) -> tuple[bytes, bytes]:
        """A style element's start tag and its sheet without what is withheld."""
        self._attributes(tag)
        sheet, withheld = self._css(text.decode("utf-8", "surrogateescape"))
        for found in withheld:
            self._note(found)
        if not withheld:
            return tag.edited(), text
        tag.lead(b'data-cg-css="' + withheld[0].purpose.encode() + b'"')
        return tag.edited(), sheet.encode("utf-8", "surrogateescape")

    def rules(self, text: bytes) -> bytes:
        """A file of speculation rules, or one without any."""
        withheld = self._rules("speculationrules", text)
        if withheld is None:
            return text
        self._note(withheld)
        return b"{}"

    def unclear(self, name: str) -> None:
        """Note that the content of an element was dropped because browsers may read it in two ways."""
        self._note(Withheld(f"ambiguous {name}", "", ""))

    def _script(self, tag: Tag, kind: str, text: bytes) -> Withheld | None:
        if kind in _RULES:
            return self._rules(kind, text)
        for name in ("src", "href", "xlink:href"):
            source = tag.get(name)
            withheld = None if source is None else self.decider.url("script", source) or self._local(source)
            if withheld is not None:
                return withheld
        # Which of these counts depends on the namespace; where none does, the text runs.
        return self.decider.script("inline script", text.decode("utf-8", "replace")) if text else None

    def _rules(self, kind: str, text: bytes) -> Withheld | None:
        """Import maps and speculation rules are JSON that names URLs; what cannot be read is withheld."""
        try:
            rules = json.loads(text)
            strings = list(_strings(rules))
        except (ValueError, RecursionError):
            return Withheld(kind, "", "")
        if kind == "speculationrules" and not _stays_on_site(rules):
            return Withheld("speculation rule for any link", "", "")
        return self.decider.urls(kind, strings)

    def _element(self, tag: Tag) -> Withheld | None:
        name = tag.name
        if name == "link":
            return self._link(tag)
        if name == "meta":
            return self._meta(tag)
        if name == "base":
            return self._base(tag)
        if name == "input" and (tag.get("type") or "").strip().lower() != "image":
            return None
        if name == "param" and (tag.get("name") or "").strip().lower() not in _MOVIES:
            return None
        if name == "iframe":
            self._srcdoc(tag)
        return self._sources(tag, _PLAIN_SOURCES.get(name, ()), _SRCSETS.get(name, ()))

    def _sources(self, tag: Tag, plain: tuple[str, ...], sets: tuple[str, ...]) -> Withheld | None:
        found: Withheld | None = None
        for attribute in plain:
            value = tag.get(attribute)
            if value is not None:
                found = found or self._source(tag, attribute, value)
        for attribute in sets:
            value = tag.get(attribute)
            if value is not None:
                found = found or self.decider.urls(tag.name, srcset_urls(value))
        if found is not None:
            # One withheld source takes the others with it: a fallback would show half of what the author meant.
            tag.neutralise(*plain, *sets)
        return found

    def _source(self, tag: Tag, attribute: str, value: str) -> Withheld | None:
        withheld = self.decider.url(tag.name, value)
        if withheld is None and tag.name in _FRAMES and attribute in {"src", "data"}:
            return self._local(value)
        return withheld

    def _srcdoc(self, tag: Tag) -> None:
        """A frame's ``srcdoc`` is a page inside an attribute: it is gated like the page."""
        document = tag.get("srcdoc")
        if document is None:
            return
        gated = self._page_within(document, note=self._note, placeholders=self._placeholders)
        if gated != document:
            tag.replace_value("srcdoc", gated.encode("ascii", "xmlcharrefreplace"))

    def _page_within(
        self, document: str, *, note: Callable[[Withheld], None], placeholders: Placeholders | None
    ) -> str:
        if self._depth >= _DEEPEST:
            note(Withheld("page within too many pages", "", ""))
            return ""
        inner = Elements(self.decider, placeholders=placeholders, note=note, depth=self._depth + 1)
        scanner = Scanner(inner)
        gated = scanner.feed(document.encode("utf-8", "replace")) + scanner.close()
        return gated.decode("utf-8", "replace")

    def _local(self, reference: str) -> Withheld | None:
        """A ``data:`` or ``javascript:`` reference carries its code or its page with it: judge that."""
        url = self.decider.is_local(reference)
        if url is None:
            return None
        text = local_text(url)
        if text is None:
            return Withheld("data: or javascript: reference that cannot be read", "", "")
        found: list[Withheld] = []
        if "<" in text:
            self._page_within(text, note=found.append, placeholders=None)
        named = (match for match in _ABSOLUTE.findall(text) if not _NAMESPACE.fullmatch(match))
        return (
            next(iter(found), None)
            or self.decider.code("inline document", text)
            or self.decider.urls("inline document", named)
        )

    def _link(self, tag: Tag) -> Withheld | None:
        rels = set((tag.get("rel") or "").lower().split())
        if not rels & FETCHING_RELS:
            return None
        withheld = None
        href = tag.get("href")
        if href is not None:
            withheld = self.decider.url(f"link rel={' '.join(sorted(rels & FETCHING_RELS))}", href)
            if withheld is None and rels & _CARRYING_RELS:
                withheld = self._local(href) or self._local_style(href)
        images = tag.get("imagesrcset")
        if withheld is None and images is not None:
            withheld = self.decider.urls("link", srcset_urls(images))
        if withheld is not None:
            tag.neutralise("href", "imagesrcset")
        return withheld

    def _local_style(self, reference: str) -> Withheld | None:
        """What a style sheet in a ``data:`` reference would fetch."""
        url = self.decider.is_local(reference)
        if url is None or _MEDIA.match(url):
            return None
        if self._depth >= _DEEPEST:
            return Withheld("style within too many styles", "", "")
        inner = Elements(self.decider, placeholders=None, note=self._note, depth=self._depth + 1)
        return next(iter(inner._css(local_text(url) or "")[1]), None)

    def _meta(self, tag: Tag) -> Withheld | None:
        kind = (tag.get("http-equiv") or "").strip().lower()
        if kind == "refresh":
            url = refresh_url(tag.get("content") or "")
            withheld = (self.decider.url("meta refresh", url) or self._local(url)) if url else None
        elif kind == "set-cookie":  # no present browser obeys it; the ones that did stored what it says
            withheld = Withheld("meta set-cookie", "", "")
        elif kind == "x-dns-prefetch-control" and (tag.get("content") or "").strip().lower() == "on":
            withheld = Withheld("meta x-dns-prefetch-control", "", "")  # has every link of the page resolved
        else:
            return None
        if withheld is not None:
            tag.neutralise("http-equiv", "content")
        return withheld

    def _base(self, tag: Tag) -> Withheld | None:
        href = tag.get("href")
        if href is None:
            return None
        withheld = self.decider.set_base(href)
        if withheld is not None:
            tag.neutralise("href")
        return withheld

    def _foreign_element(self, tag: Tag) -> Withheld | None:
        """SVG and MathML: every ``href`` that is not a plain link, and every attribute that may hold ``url()``."""
        found = None
        names = ("href", "xlink:href", "src", "to", "from", "values", "by")
        if tag.name not in {"a", "script"}:
            for name in names:
                value = tag.get(name)
                if value is not None:
                    found = found or self.decider.urls(f"svg {tag.name}", value.split(";"))
        if found is not None:
            tag.neutralise(*names)
        for attribute in tag.attributes:
            raw = attribute.value or b""
            if (b"(" in raw or b"&" in raw) and attribute.name != b"style":
                found = self._presentation(tag, attribute.name.decode("latin-1")) or found
        return found

    def _presentation(self, tag: Tag, name: str) -> Withheld | None:
        if name.startswith("on"):
            return None
        _, withheld = self._css(tag.get(name) or "")
        if withheld:
            tag.neutralise(name)
        return withheld[0] if withheld else None

    def _attributes(self, tag: Tag) -> Withheld | None:
        """Attributes that fetch or run on any element: edited here, and the first that was withheld returned."""
        found: Withheld | None = None
        for name in dict.fromkeys(attribute.name.decode("latin-1") for attribute in tag.attributes):
            if name == "style":
                self._style_attribute(tag)
                continue
            withheld = self._attribute(tag, name)
            if withheld is not None:
                tag.neutralise(name)
                found = found or withheld
        return found

    def _attribute(self, tag: Tag, name: str) -> Withheld | None:
        if name.startswith("on"):
            return self.decider.code(f"{name} handler", tag.get(name) or "")
        if name in {"background", "manifest"}:
            return self.decider.url(name, tag.get(name) or "")
        if name in {"ping", "attributionsrc"}:
            return self.decider.urls(name, (tag.get(name) or "").split())
        if name in _ACTIONS:
            url = self.decider.is_local(tag.get(name) or "")
            return self.decider.code(f"{name} of a link", local_text(url) or "") if url is not None else None
        return None

    def _style_attribute(self, tag: Tag) -> None:
        gated, withheld = self._css(tag.get("style") or "")
        for found in withheld:
            self._note(found)
        if withheld:
            style = escape_value(gated.encode("ascii", "xmlcharrefreplace"))
            tag.neutralise("style")
            tag.lead(b'data-cg-css="%s" style="%s"' % (withheld[0].purpose.encode(), style))

    def _css(self, text: str) -> tuple[str, tuple[Withheld, ...]]:
        return css.gate(
            text,
            lambda url: self.decider.url("style", url) or self._local_style(url),
            own_base=self.decider.base_is_own,
        )

    def _placeholder(self, tag: Tag, withheld: Withheld) -> bytes:
        assert self._placeholders is not None
        return self._placeholders.placeholder(
            purpose=withheld.purpose,
            service=withheld.service,
            host=withheld.host,
            kind=tag.name,
            width=dimension(tag, "width"),
            height=dimension(tag, "height"),
        )


class Observer:
    """Judges and notes like `Elements`, and changes nothing (``mode = "observe"``)."""

    def __init__(self, elements: Elements) -> None:
        self._elements = elements

    def start(self, tag: Tag, *, foreign: bool) -> bytes:
        """The tag as it came."""
        self._elements.start(tag, foreign=foreign)
        return tag.raw

    def script(self, tag: Tag, text: bytes) -> bytes:
        """The script's start tag as it came."""
        self._elements.script(tag, text)
        return tag.raw

    def style(self, tag: Tag, text: bytes) -> tuple[bytes, bytes]:
        """The style element as it came."""
        self._elements.style(tag, text)
        return tag.raw, text

    def unclear(self, name: str) -> None:
        """Nothing is dropped, so there is nothing to note."""


class RulesScanner:
    """Takes a file of speculation rules as scanners take a page. It can only be judged as a whole."""

    def __init__(self, elements: Elements) -> None:
        self._elements = elements
        self._text = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take more of the file."""
        self._text += data
        if len(self._text) > MAX_HELD:
            raise UnreadableBody(f"its rules are longer than {MAX_HELD} bytes")
        return b""

    def close(self) -> bytes:
        """The file is complete: return what is left of it."""
        return self._elements.rules(bytes(self._text))


def mark(withheld: Withheld) -> bytes:
    """The attribute that says which purpose an element waits for."""
    return b'data-cg="' + withheld.purpose.encode() + b'"'


def script_kind(tag: Tag) -> str:
    """``classic``, ``module``, ``importmap``, ``speculationrules`` or ``data`` (HTML 4.12.1.1, prepare a script)."""
    kind, language = tag.get("type"), tag.get("language")
    if kind is None:
        kind = f"text/{language}" if language else ""
    elif not kind:
        return "classic"
    essence = kind.strip("\t\n\x0c\r ").lower()
    if not kind or essence in JAVASCRIPT_TYPES:
        return "classic"
    return essence if essence == "module" or essence in _RULES else "data"


def srcset_urls(value: str) -> Iterator[str]:
    """The URLs of a ``srcset`` (4.8.4.2.3). A candidate's URL may hold commas but neither begins nor ends with one."""
    at = 0
    while (match := _CANDIDATE.match(value, at)) is not None:
        url = match.group(1)
        if url.endswith(","):
            yield url.rstrip(",")
            at = match.end(1)
        else:
            yield url
            at = match.end()


def refresh_url(content: str) -> str:
    """Where ``<meta http-equiv=refresh>`` or a ``Refresh`` header leads, or "" where it stays (7.5.2)."""
    match = _REFRESH.match(content.lstrip())
    if match is None:
        return ""
    url, quote = match["url"], match["quote"]
    return url.split(quote)[0] if quote else url


def local_text(url: str) -> str | None:
    """The text inside a ``javascript:`` or ``data:`` URL, or None where it cannot be read."""
    if url.startswith("javascript:"):
        return unquote(url[len("javascript:") :])
    if not url.startswith("data:"):
        return ""
    head, comma, body = url.partition(",")
    if not comma:
        return ""
    if not head.replace(" ", "").lower().endswith(";base64"):
        return unquote(body)
    try:
        return base64.b64decode(unquote(body) + "===", validate=False).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return None


_MEDIA = re.compile(r"data:(?:image|font|audio|video|application/(?:x-)?font)", re.IGNORECASE)
"""A ``data:`` URL that says it is no style sheet; a browser takes its word."""


def _stays_on_site(rules: object) -> bool:
    """Whether each rule that makes the page's own links speculative is limited to paths of the site."""
    lists = rules.values() if isinstance(rules, dict) else ()
    every = [rule for rule_list in lists if isinstance(rule_list, list) for rule in rule_list if isinstance(rule, dict)]
    return all("urls" in rule or _is_own_path(rule.get("where")) for rule in every)


def _is_own_path(where: object) -> bool:
    if not isinstance(where, dict):
        return False
    conditions = where.get("and")
    if isinstance(conditions, list):
        return any(map(_is_own_path, conditions))
    patterns = where.get("href_matches")
    listed = patterns if isinstance(patterns, list) else [patterns]
    return all(isinstance(pattern, str) and re.match(r"/(?![/\\])", pattern) for pattern in listed)


def _strings(value: object) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _is_invisible(tag: Tag) -> bool:
    """Whether an embed was never meant to be seen: a placeholder for it would be the first thing to show."""
    if dimension(tag, "width") in {"0", "1"} or dimension(tag, "height") in {"0", "1"} or tag.has("hidden"):
        return True
    style = "".join((tag.get("style") or "").lower().split())
    return (
        "display:none" in style
        or "visibility:hidden" in style
        or re.search(r"(width|height):[01](px)?(;|$)", style) is not None
    )
