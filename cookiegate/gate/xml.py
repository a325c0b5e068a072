"""The streaming scanner for pages that are XML: XHTML, SVG documents and the rest that browsers show and run.

XML is read by stricter rules than HTML: there is no raw text, a slash closes any element, names may carry a prefix. A
document can redefine what its text means (entities and attribute defaults in a DTD, XLink under another prefix); one
that does is withheld, for then its bytes no longer say what a browser will fetch.
"""

from __future__ import annotations

import html
import re
from typing import Protocol

from ..errors import UnreadableBody
from .markup import Tag

MAX_HELD = 16 * 1024 * 1024

_TOKEN = re.compile(
    rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<![A-Za-z][^>\[]*>|</[^>]*>"
    rb"|<(?P<name>[^\s/>!?<][^\s/>]*)(?:[^>\"']|\"[^\"]*\"|'[^']*')*>",
    re.DOTALL,
)
_INTERNAL_SUBSET = re.compile(rb"<![A-Za-z][^>\[]*\[")
_XLINK_PREFIX = re.compile(rb"xmlns:(?!xlink[\s=])[^\s=]+\s*=\s*[\"']\s*http://www\.w3\.org/1999/xlink", re.IGNORECASE)
_TEXT_END = {name: re.compile(rb"</(?:[^\s/>:]+:)?" + name.encode() + rb"\s*>") for name in ("script", "style")}
_STYLESHEET = re.compile(rb"<\?xml-stylesheet\s(.*)\?>\Z", re.DOTALL)
_CDATA = re.compile(rb"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)


class XmlHandler(Protocol):
    """What this scanner needs of `Elements`."""

    def start(self, tag: Tag, *, foreign: bool) -> bytes: ...
    def script(self, tag: Tag, text: bytes) -> bytes: ...
    def style(self, tag: Tag, text: bytes) -> tuple[bytes, bytes]: ...


class XmlScanner:
    """Gates one XML document. The same interface as `Scanner`; nothing is inserted."""

    def __init__(self, handler: XmlHandler) -> None:
        self._handler = handler
        self._buffer = b""
        self._retry_at = 0

    def feed(self, data: bytes) -> bytes:
        """Take more of the body; return what may go out now.

        Raises:
            UnreadableBody: the document redefines its own meaning.
        """
        self._buffer += data
        if len(self._buffer) < self._retry_at:
            return b""
        out = self._run(closing=False)
        if len(self._buffer) > MAX_HELD:
            raise UnreadableBody(f"one part of the page is longer than {MAX_HELD} bytes")
        self._retry_at = len(self._buffer) + len(self._buffer) // 4
        return out

    def close(self) -> bytes:
        """The body is complete: return what is left. What is unfinished is no element to an XML parser."""
        return self._run(closing=True) + self._buffer

    def _run(self, *, closing: bool) -> bytes:
        buffer, at = self._buffer, 0
        out: list[bytes] = []
        while (start := buffer.find(b"<", at)) >= 0:
            match = _TOKEN.match(buffer, start)
            if match is None:
                self._refuse_redefinition(buffer, start)
                break
            end = match.end()
            out.append(buffer[at:start])
            piece, end = self._token(match, buffer, end, closing=closing)
            if piece is None:
                out.pop()
                break
            out.append(piece)
            at = end
        else:
            out.append(buffer[at:])
            at = len(buffer)
        self._buffer = buffer[at:]
        return b"".join(out)

    def _token(self, match: re.Match[bytes], buffer: bytes, end: int, *, closing: bool) -> tuple[bytes | None, int]:
        """A token as it may go out and where the next begins; None where its text is not complete yet."""
        name = match["name"]
        if name is None:
            return self._instruction(match.group()), end
        if _XLINK_PREFIX.search(match.group()):
            raise UnreadableBody("it gives XLink another prefix, so that its links cannot be told")
        tag = Tag(match.group(), name, local=True)
        if tag.name not in _TEXT_END or tag.self_closing:
            edited = self._handler.script(tag, b"") if tag.name == "script" else None
            return edited or self._handler.start(tag, foreign=True), end
        closed = _TEXT_END[tag.name].search(buffer, end)
        if closed is None and not closing:
            return None, end
        text_end = closed.start() if closed else len(buffer)
        return self._text_element(tag, buffer[end:text_end]), text_end

    def _instruction(self, piece: bytes) -> bytes:
        """A comment, a section or an instruction; without the style sheet that is withheld (xml-stylesheet 1.0)."""
        sheet = _STYLESHEET.match(piece)
        if sheet is None:
            return piece
        link = Tag(b'<link rel="stylesheet" ' + sheet[1] + b">", b"link")
        return piece if self._handler.start(link, foreign=False) == link.raw else b""

    def _text_element(self, tag: Tag, text: bytes) -> bytes:
        if tag.name == "script":
            return self._handler.script(tag, _plain(text)) + text
        start, sheet = self._handler.style(tag, _plain(text))
        return start + (text if sheet == _plain(text) else b"")

    def _refuse_redefinition(self, buffer: bytes, start: int) -> None:
        if _INTERNAL_SUBSET.match(buffer, start):
            raise UnreadableBody("its document type declares entities or attributes of its own")


def _plain(text: bytes) -> bytes:
    """The characters of an element's text: CDATA brackets taken off, references elsewhere resolved."""
    pieces: list[bytes] = []
    at = 0
    for match in _CDATA.finditer(text):
        pieces += (_resolved(text[at : match.start()]), match.group(1))
        at = match.end()
    return b"".join([*pieces, _resolved(text[at:])])


def _resolved(text: bytes) -> bytes:
    return html.unescape(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
