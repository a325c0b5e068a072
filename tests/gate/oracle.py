"""An independent opinion on what a page fetches: real HTML parsers, and tables of their own.

Nothing here uses the gate's grammar, tables or style sheet reader; only URLs are read with the same library. What is
found is what a browser would ask for: an oracle for `test_differential` and `scripts/fuzz`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import ada_url
import html5lib
from html5lib._tokenizer import HTMLTokenizer
from html5lib.constants import tokenTypes
from selectolax.lexbor import LexborHTMLParser, LexborNode

XHTML = "http://www.w3.org/1999/xhtml"
SVG = "http://www.w3.org/2000/svg"
MATHML = "http://www.w3.org/1998/Math/MathML"
_SHORT = {XHTML: "html", SVG: "svg", MATHML: "math"}


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a parsed page; ``text`` is what its own text nodes say."""

    namespace: str
    name: str
    attributes: dict[str, str]
    text: str


Parser = Callable[[bytes], Iterator[Element]]


def by_html5lib(page: bytes, *, scripting: bool) -> Iterator[Element]:
    """html5lib: the specification of 2020, ``select`` and all, without templates."""
    tree = html5lib.HTMLParser().parse(page, transport_encoding="utf-8", scripting=scripting)
    for node in tree.iter():
        if not isinstance(node.tag, str):
            continue
        namespace, _, name = node.tag[1:].rpartition("}")
        attributes = {_plain(key): value for key, value in node.attrib.items()}
        text = (node.text or "") + "".join(child.tail or "" for child in node)
        yield Element(_SHORT.get(namespace, namespace), name.lower(), attributes, text)


def _plain(key: str) -> str:
    """``{namespace}href`` as the markup has it: ``xlink:href``."""
    namespace, _, name = key.rpartition("}")
    return f"xlink:{name}" if namespace.endswith("xlink") else name.lower()


def by_lexbor(page: bytes, *, scripting: bool) -> Iterator[Element]:
    """lexbor: the present specification, content of templates included."""
    tree = LexborHTMLParser(page, scripting=scripting)
    assert tree.root is not None
    yield from _lexbor(tree.root, "html")


def _lexbor(root: LexborNode, namespace: str) -> Iterator[Element]:
    stack = [(root, namespace)]
    while stack:
        node, outer = stack.pop()
        name = (node.tag or "").lower()
        if not node.is_element_node:
            continue
        own = _namespace(outer, name)
        attributes = {key.lower(): value or "" for key, value in node.attributes.items()}
        children = list(node.iter(include_text=True))
        text = "".join(child.text_content or "" for child in children if child.is_text_node)
        yield Element(own, name, attributes, text)
        inner = _inside(own, name, attributes)
        stack += [(child, inner) for child in children if child.is_element_node]
        if name == "template" and own == "html":
            contents = (child for fragment in node.template_fragments() for child in fragment.iter())
            stack += [(child, "html") for child in contents]


def _namespace(context: str, name: str) -> str:
    """The namespace of an element, which lexbor does not tell, from the context its parent makes."""
    if context == "annotation":
        return "svg" if name == "svg" else "math"
    if context == "math text":
        context = "math" if name in {"mglyph", "malignmark"} else "html"
    return name if context == "html" and name in {"svg", "math"} else context


def _inside(namespace: str, name: str, attributes: dict[str, str]) -> str:
    if namespace == "svg" and name in {"foreignobject", "desc", "title"}:
        return "html"
    if namespace == "math" and name in {"mi", "mo", "mn", "ms", "mtext"}:
        return "math text"
    if namespace == "math" and name == "annotation-xml":
        html = attributes.get("encoding", "").lower() in {"text/html", "application/xhtml+xml"}
        return "html" if html else "annotation"
    return namespace


FETCHING = frozenset(
    "script iframe frame embed object img image input video audio source track portal fencedframe link".split()
)
"""Elements that fetch by an attribute of their own."""
_RCDATA = frozenset({"title", "textarea"})
_RAWTEXT = frozenset({"style", "iframe", "xmp", "noembed", "noframes"})
TEXT = _RCDATA | _RAWTEXT | {"script", "noscript", "plaintext"}
"""Elements whose content may be text."""


def by_preload_scanner(page: bytes, *, scripting: bool) -> Iterator[Element]:
    """A tokenizer without a tree, as browsers run one ahead of the parser: text by name alone, no namespaces."""
    tokenizer = HTMLTokenizer(page, override_encoding="utf-8")
    found: list[Element] = []
    texts: list[str] = []
    inside = False
    for token in tokenizer:
        if token["type"] == tokenTypes["StartTag"]:
            name = token["name"]
            tokenizer.state = _text_state(tokenizer, name, scripting=scripting)
            found.append(Element("html", name, dict(reversed(token["data"].items())), ""))
            texts.append("")
            inside = True
        elif token["type"] == tokenTypes["EndTag"]:
            inside = False
        elif inside and token["type"] in {tokenTypes["Characters"], tokenTypes["SpaceCharacters"]}:
            texts[-1] += token["data"]
    yield from (replace(element, text=text) for element, text in zip(found, texts, strict=True))


def _text_state(tokenizer: HTMLTokenizer, name: str, *, scripting: bool) -> Callable[[], bool]:
    if name in _RCDATA:
        state = tokenizer.rcdataState
    elif name in _RAWTEXT or (name == "noscript" and scripting):
        state = tokenizer.rawtextState
    elif name == "script":
        state = tokenizer.scriptDataState
    else:
        state = tokenizer.plaintextState if name == "plaintext" else tokenizer.dataState
    return cast("Callable[[], bool]", state)


# -- what an element asks for --------------------------------------------------------------------------------------

_ASCII_SPACE = "\t\n\x0c\r "
_SRC = frozenset("script iframe frame embed img video audio source track portal fencedframe".split())
_HINTS = frozenset(
    "stylesheet preload prefetch modulepreload preconnect dns-prefetch prerender icon apple-touch-icon manifest".split()
)
_SCRIPT_TYPES = frozenset(
    "text/javascript application/javascript module importmap speculationrules text/jscript".split()
)
_MOVING = frozenset("set animate animatemotion animatetransform".split())


def contacts(elements: Iterator[Element], page: str, third_party: str) -> list[str]:
    """Everything through which the page would reach a host or one below it, each as ``namespace:element attribute``.

    ``third_party`` may be ``not HOST``: then every host but this one counts, and scripts are not looked into.
    """
    found = list(elements)
    base = _base(found, page)

    out = []
    for element in map(_without_marks, found):
        for what, references in _references(element):
            if any(leads(reference, third_party, base) for reference in references):
                out.append(f"{element.namespace}:{element.name} {what}")
        for what, code in _code(element):
            if re.search(rf"(?<![\w-]){re.escape(third_party)}(?![\w-])", code, re.IGNORECASE):
                out.append(f"{element.namespace}:{element.name} {what}")
        if "srcdoc" in element.attributes and element.namespace == "html" and element.name == "iframe":
            inner = by_lexbor(element.attributes["srcdoc"].encode("utf-8", "replace"), scripting=True)
            out += [f"srcdoc {contact}" for contact in contacts(inner, base, third_party)]
    return out


def leads(reference: str, third_party: str, base: str) -> bool:
    """Whether a reference on a page of this base leads to a host or one below it."""
    try:
        url = ada_url.URL(reference, base=base)
    except ValueError:
        return False
    if url.protocol not in {"http:", "https:", "ws:", "wss:", "ftp:"}:
        return False
    host = url.hostname.rstrip(".")
    if third_party.startswith("not "):
        return host != third_party.removeprefix("not ")
    return host == third_party or host.endswith("." + third_party)


def _without_marks(element: Element) -> Element:
    attributes = {name: value for name, value in element.attributes.items() if not name.startswith("data-cg")}
    return replace(element, attributes=attributes)


def _base(elements: list[Element], page: str) -> str:
    for element in elements:
        if element.namespace == "html" and element.name == "base" and "href" in element.attributes:
            try:
                return ada_url.URL(element.attributes["href"], base=page).href
            except ValueError:
                return page
    return page


def _references(element: Element) -> Iterator[tuple[str, list[str]]]:
    attributes = element.attributes
    for name in ("background", "ping", "attributionsrc"):
        if name in attributes:
            yield name, [attributes[name]] if name == "background" else attributes[name].split()
    if "style" in attributes:
        yield "style", css_urls(attributes["style"])
    if element.name == "style":
        yield "text", css_urls(element.text)
    if element.namespace == "html":
        yield from _html_references(element)
    else:
        yield from _foreign_references(element)


def _foreign_references(element: Element) -> Iterator[tuple[str, list[str]]]:
    attributes = element.attributes
    if element.name != "a" and (element.name != "script" or _runs(element)):
        for name in ("href", "xlink:href"):
            if name in attributes:
                yield name, [attributes[name]]
    if element.name in _MOVING:
        names = ("to", "from", "by", "values")
        yield "values", [value for name in names for value in attributes.get(name, "").split(";")]
    if element.namespace == "svg":
        for name, value in attributes.items():
            if name not in {"style", "href", "xlink:href"} and "(" in value and not name.startswith("on"):
                yield name, css_urls(value)


def _html_references(element: Element) -> Iterator[tuple[str, list[str]]]:
    name, attributes = element.name, element.attributes
    if "src" in attributes and name in _SRC and (name != "script" or _runs(element)):
        yield "src", [attributes["src"]]
    if "src" in attributes and name == "input" and attributes.get("type", "").lower() == "image":
        yield "src", [attributes["src"]]
    if "href" in attributes and (name == "base" or (name == "link" and _hints(element))):
        yield "href", [attributes["href"]]
    if "poster" in attributes and name == "video":
        yield "poster", [attributes["poster"]]
    if "data" in attributes and name == "object":
        yield "data", [attributes["data"]]
    if "srcset" in attributes and name in {"img", "source"}:
        yield "srcset", srcset(attributes["srcset"])
    if "imagesrcset" in attributes and name == "link" and _hints(element):
        yield "imagesrcset", srcset(attributes["imagesrcset"])
    if name == "meta" and attributes.get("http-equiv", "").lower() == "refresh":
        yield "content", refresh(attributes.get("content", ""))


def _hints(element: Element) -> bool:
    return not _HINTS.isdisjoint(element.attributes.get("rel", "").lower().split())


def _runs(element: Element) -> bool:
    kind = element.attributes.get("type")
    return not kind or kind.strip(_ASCII_SPACE).lower() in _SCRIPT_TYPES


def _code(element: Element) -> Iterator[tuple[str, str]]:
    for name, value in element.attributes.items():
        if name.startswith("on"):
            yield name, value
    if element.name != "script" or element.namespace == "math" or not _runs(element):
        return
    if element.namespace == "svg" or "src" not in element.attributes:
        yield "code", element.text


def srcset(value: str) -> list[str]:
    """The URLs of a ``srcset``, by the steps of HTML 4.8.4.2.3, one character at a time."""
    urls, at = [], 0
    while at < len(value):
        while at < len(value) and value[at] in _ASCII_SPACE + ",":
            at += 1
        start = at
        while at < len(value) and value[at] not in _ASCII_SPACE:
            at += 1
        url = value[start:at]
        urls += [url.rstrip(",")] if url else []
        if url.endswith(","):
            continue
        deep = False
        while at < len(value) and (deep or value[at] != ","):
            deep = value[at] == "(" or (deep and value[at] != ")")
            at += 1
    return urls


def refresh(content: str) -> list[str]:
    """Where a refresh leads, by HTML 4.6.8.5 and, more loosely, any number before the separator."""
    match = re.match(r"[^;,\t\n\f\r ]+[\t\n\f\r ]*[;,]?[\t\n\f\r ]*(.*)", content.lstrip(_ASCII_SPACE), re.DOTALL)
    if match is None:
        return []
    rest = match.group(1)
    named = re.match(r"url[\t\n\f\r ]*=[\t\n\f\r ]*", rest, re.IGNORECASE)
    rest = rest[named.end() :] if named else rest
    return [rest[1:].partition(rest[0])[0]] if rest[:1] in {"'", '"'} else [rest]


# -- style sheets --------------------------------------------------------------------------------------------------


def css_urls(text: str) -> list[str]:
    """Every URL token, and every string, of a style sheet: CSS Syntax 3, 4.3, one character at a time.

    Strings name resources in ``@import`` and ``image-set()``, directly or through a custom property, so each counts,
    but for the value in an attribute selector.
    """
    return list(_Css(re.sub("\r\n?|\f", "\n", text).replace("\0", "\ufffd")).urls())


class _Css:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        return self.text[self.at + ahead : self.at + ahead + 1]

    def urls(self) -> Iterator[str]:
        while self.at < len(self.text):
            if self.text.startswith("/*", self.at):
                end = self.text.find("*/", self.at + 2)
                self.at = len(self.text) if end < 0 else end + 2
            elif self.text.startswith("<!--", self.at):
                self.at += 4
            elif self.peek() in {'"', "'"}:
                selector = self.text[: self.at].rstrip(" \t\n").endswith("=")
                string = self.string(self.peek())
                if string is not None and not selector:
                    yield string
            elif self.peek().isdigit() or (self.peek() == "." and self.peek(1).isdigit()):
                self.number()
            elif self.peek() in {"#", "@"}:
                self.at += 1
                self.name()
            elif self.starts_name():
                url = self.ident()
                if url is not None:
                    yield url
            else:
                self.at += 1

    def number(self) -> None:
        match = re.compile(r"(?:[0-9]*\.)?[0-9]+(?:[eE][+-]?[0-9]+)?").match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        if self.starts_name():
            self.name()

    def starts_name(self) -> bool:
        first = self.peek()
        if first == "-":
            return self.peek(1) == "-" or self.is_start(1)
        return self.is_start(0)

    def is_start(self, ahead: int) -> bool:
        first = self.peek(ahead)
        if first == "\\":
            return self.peek(ahead + 1) not in {"", "\n"}
        return first.isalpha() or first == "_" or first >= "\x80"

    def name(self) -> str:
        out = ""
        while self.at < len(self.text):
            first = self.peek()
            if first == "\\" and self.peek(1) not in {"", "\n"}:
                out += self.escape()
            elif (first.isascii() and (first.isalnum() or first in "-_")) or first >= "\x80":
                out += first
                self.at += 1
            else:
                break
        return out

    def escape(self) -> str:
        match = re.compile(r"\\([0-9A-Fa-f]{1,6})[ \t\n]?").match(self.text, self.at)
        if match is None:
            self.at += 2
            return self.text[self.at - 1 : self.at]
        self.at = match.end()
        code = int(match.group(1), 16)
        return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"

    def ident(self) -> str | None:
        name = self.name().lower()
        if self.peek() != "(":
            return None
        self.at += 1
        if name != "url":
            return None
        start = self.at
        while self.peek() in {" ", "\t", "\n"}:
            self.at += 1
        if self.peek() in {'"', "'"}:
            self.at = start
            return None
        return self.url()

    def url(self) -> str | None:
        out, bad = "", False
        while self.at < len(self.text) and self.peek() != ")":
            first = self.peek()
            if first == "\\" and self.peek(1) != "\n":
                out += self.escape()
                continue
            rest = self.text[self.at :].lstrip(" \t\n")
            if first in " \t\n" and rest and not rest.startswith(")"):
                bad = True
            bad = bad or first in "\"'(\\" or (first < " " and first not in "\t\n") or first == "\x7f"
            out += first
            self.at += 1
        self.at += 1
        return None if bad else out.strip(" \t\n")

    def string(self, quote: str) -> str | None:
        self.at += 1
        out = ""
        while self.at < len(self.text) and self.peek() != quote:
            if self.peek() == "\n":
                return None
            if self.peek() != "\\":
                out += self.peek()
                self.at += 1
            elif self.peek(1) in {"", "\n"}:
                self.at += 2
            else:
                out += self.escape()
        self.at += 1
        return out
