"""Other libraries doing the gate's job as well as they can: parse, find what fetches, drop what is denied, serialise.

All are given the same two questions to ask, about a URL and about an inline script, with answers cached. What they are
spared: `style`, `srcset`, event handlers, `meta refresh`, `srcdoc`, `base`, encodings, streaming, keeping every other
byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from html.parser import HTMLParser
from importlib import import_module
from typing import Any

from cookiegate.gate.resources import Decider

Peer = Callable[[bytes], object]

SOURCES = {
    "script": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "embed": "src",
    "object": "data",
    "source": "src",
    "video": "src",
    "audio": "src",
}
"""The elements that peers look at, and the attribute that fetches."""
_SELECTOR = ",".join(SOURCES)


class Denied:
    """What is denied to a visitor: for a URL, for the text of a script, and for an element of any tree."""

    def __init__(self, decider: Decider) -> None:
        self.url = lru_cache(maxsize=65536)(lambda value: decider.url("", value) is not None)
        self.code = lru_cache(maxsize=4096)(lambda text: decider.code("", text) is not None)

    def element(self, tag: str, source: str | None, text: str | None) -> bool:
        """Whether an element is to be dropped."""
        return (source is not None and self.url(source)) or (tag == "script" and bool(text) and self.code(text))


def memcpy(page: bytes) -> object:
    """The floor: every byte touched once."""
    return bytearray(page)


def html_parser(denied: Denied) -> Peer:
    """The standard library's tokenizer; everything it reports is written out again."""
    return lambda page: _Rewriter(denied).run(page.decode("utf-8", "surrogateescape"))


class _Rewriter(HTMLParser):
    def __init__(self, denied: Denied) -> None:
        super().__init__(convert_charrefs=False)
        self._denied = denied
        self._out: list[str] = []
        self._script: str | None = None

    def run(self, text: str) -> bytes:
        self.feed(text)
        self.close()
        return "".join(self._out).encode("utf-8", "surrogateescape")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = SOURCES.get(tag)
        source = dict(attrs).get(wanted) if wanted is not None else None
        if source is not None and self._denied.url(source):
            return
        if tag == "script":
            self._script = self.get_starttag_text()
        else:
            self._out.append(self.get_starttag_text() or "")

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        if self._script is not None:
            self._out.append(self._script)
            self._script = None
        self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            if self._denied.code(data):
                return
            self._out.append(self._script)
            self._script = None
        self._out.append(data)

    def handle_entityref(self, name: str) -> None:
        self._out.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._out.append(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        self._out.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self._out.append(f"<!{decl}>")


def beautiful_soup(denied: Denied, features: str) -> Peer:
    """A tree of Python objects, built by html.parser or lxml."""
    bs4 = import_module("bs4")

    def gate(page: bytes) -> object:
        soup = bs4.BeautifulSoup(page, features)
        for element in soup.find_all(list(SOURCES)):
            source = element.get(SOURCES[element.name])
            if not element.decomposed and denied.element(element.name, source, element.string):
                element.decompose()
        return soup.encode()

    return gate


def lxml(denied: Denied) -> Peer:
    """libxml2's tree, which knows HTML 4."""
    html = import_module("lxml.html")

    def gate(page: bytes) -> object:
        root = html.document_fromstring(page)
        for element in list(root.iter(*SOURCES)):
            if denied.element(element.tag, element.get(SOURCES[element.tag]), element.text):
                element.drop_tree()
        return html.tostring(root, encoding="utf-8")

    return gate


def selectolax(denied: Denied) -> Peer:
    """lexbor's tree, to the HTML standard."""
    lexbor = import_module("selectolax.lexbor")

    def gate(page: bytes) -> object:
        tree = lexbor.LexborHTMLParser(page)
        for node in tree.css(_SELECTOR):
            source = node.attributes.get(SOURCES[node.tag])
            text = node.text() if node.tag == "script" else None
            if denied.element(node.tag, source, text):
                node.decompose()
        return tree.html.encode("utf-8", "surrogateescape")

    return gate


def html5lib(denied: Denied) -> Peer:
    """A tree to the HTML standard, in Python throughout."""
    module = import_module("html5lib")

    def gate(page: bytes) -> object:
        tree = module.parse(page, treebuilder="etree", namespaceHTMLElements=False)
        for parent in list(tree.iter()):
            for child in list(parent):
                wanted = SOURCES.get(child.tag) if isinstance(child.tag, str) else None
                if wanted is not None and denied.element(child.tag, child.get(wanted), child.text):
                    parent.remove(child)
        return module.serialize(tree, tree="etree", omit_optional_tags=False).encode("utf-8", "replace")

    return gate


def turbohtml(denied: Denied) -> Peer:
    """A native streaming rewriter over text. It reads the content of `noscript` as text."""
    rewrite = import_module("turbohtml.rewrite").rewrite

    def gate(page: bytes) -> object:
        in_script = False

        def on_element(element: Any) -> None:
            nonlocal in_script
            source = dict(element.attrs).get(SOURCES[element.tag])
            in_script = element.tag == "script"
            if source is not None and denied.url(source):
                element.remove()

        def on_text(text: Any) -> None:
            nonlocal in_script
            if in_script and denied.code(text.text):
                text.remove()
            in_script = False

        html = page.decode("utf-8", "replace")
        return rewrite(html, elements=[(_SELECTOR, on_element)], text=on_text).encode()

    return gate


def lol_html(denied: Denied) -> Peer:
    """A native streaming rewriter over bytes. It reads the content of `noscript` as text.

    It tells of a script before it shows its text, so the text is held back, and put back where it may stay.
    """
    module = import_module("lolhtml")
    sources, scripts = _Sources(denied), _Scripts(denied, module.ContentType.HTML)
    return partial(_rewritten, module.HTMLRewriter, ((_SELECTOR, sources), ("script", scripts)))


def lol_html_urls(denied: Denied) -> Peer:
    """The same without a look at inline scripts."""
    return partial(_rewritten, import_module("lolhtml").HTMLRewriter, ((_SELECTOR, _Sources(denied)),))


def _rewritten(rewriter_class: Any, handlers: Iterable[tuple[str, object]], page: bytes) -> object:
    out = bytearray()
    rewriter = rewriter_class(out.extend)
    for selector, handler in handlers:
        rewriter.on(selector, handler)
    rewriter.write(page)
    rewriter.end()
    return out


class _Sources:
    def __init__(self, denied: Denied) -> None:
        self._denied = denied

    def element(self, element: Any) -> None:
        source = element.get_attribute(SOURCES[element.tag_name])
        if source is not None and self._denied.url(source):
            element.remove()


class _Scripts:
    def __init__(self, denied: Denied, as_html: object) -> None:
        self._denied = denied
        self._as_html = as_html
        self._held = ""

    def text(self, chunk: Any) -> None:
        self._held += chunk.text
        text, last = self._held, chunk.last_in_text_node
        if last:
            self._held = ""
        if last and not self._denied.code(text):
            chunk.replace(text, self._as_html)
        else:
            chunk.remove()


PEERS: dict[str, tuple[tuple[str, ...], Callable[[Denied], Peer]]] = {
    "lol_html": (("lolhtml",), lol_html),
    "lol_html, URLs only": (("lolhtml",), lol_html_urls),
    "turbohtml": (("turbohtml",), turbohtml),
    "selectolax (lexbor)": (("selectolax",), selectolax),
    "lxml": (("lxml",), lxml),
    "html.parser": ((), html_parser),
    "BeautifulSoup, lxml": (("bs4", "lxml"), partial(beautiful_soup, features="lxml")),
    "BeautifulSoup, html.parser": (("bs4",), partial(beautiful_soup, features="html.parser")),
    "html5lib": (("html5lib",), html5lib),
}
"""Name to the modules it needs and what makes it."""
