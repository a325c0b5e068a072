"""One page's body on its way through: out of its coding, to ASCII markup, through the scanner, encoded again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from .codings import Charset, Decoder, GzipEncoder

_SNIFF = 1445
"""Bytes of an unlabelled body that browsers look at (MIME Sniffing Standard 5.2)."""

_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_PAGE = re.compile(
    rb"[\t\n\x0c\r ]*+(?:<(?:!DOCTYPE HTML|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY|BR|P|!--)"
    rb"(?:[\t\n\x0c\r />]|(?<=--))|<\?xml)",
    re.IGNORECASE,
)


class PageScanner(Protocol):
    """What gates a page piece by piece: `Scanner` or `XmlScanner`."""

    def feed(self, data: bytes) -> bytes: ...
    def close(self) -> bytes: ...


class Body:
    """Reads one body.

    Args:
        certain: the response says it is HTML; else the first bytes decide, as they do in a browser.
        open_scanner: called once, when it is sure that the body is a page.

    Attributes:
        undecided: nothing can be said about the body yet, so the response's head has to wait.
        is_html: the body is a page.
    """

    def __init__(
        self,
        *,
        decoder: Decoder | None,
        encoder: GzipEncoder | None,
        charset: Charset,
        open_scanner: Callable[[], PageScanner],
        certain: bool,
    ) -> None:
        self.decoder = decoder
        self.encoder = encoder
        self.undecided = True
        self.is_html = True
        self._charset = charset
        self._open_scanner = open_scanner
        self._certain = certain
        self._scanner: PageScanner | None = None
        self._first = b""
        self._plain_type = b""

    def read(self, data: bytes, *, last: bool) -> bytes:
        """The next bytes of the gated body, still to be encoded."""
        plain = self.decoder.feed(data) if self.decoder is not None else data
        if self._scanner is None and self.is_html:
            self._first += plain
            if len(self._first) < (1 if self._certain else _SNIFF) and not last:
                return b""
            plain, self._first = self._first, b""
            self._decide(plain)
        if self._scanner is None:
            return plain
        text = self._charset.feed(plain, last=last)
        self.undecided = self.undecided and not text
        out = self._scanner.feed(text)
        return out + self._scanner.close() if last else out

    def content_type(self, present: bytes) -> bytes | None:
        """The Content-Type to send where the present one does not say what the body now is."""
        if not self.is_html:
            return self._plain_type or None
        essence = present.partition(b";")[0].strip() if self._certain else b"text/html"
        if self._charset.transcoded:
            return essence + b"; charset=utf-8"
        return None if self._certain else essence

    def _decide(self, text: bytes) -> None:
        if self._certain or looks_like_html(text):
            self._scanner = self._open_scanner()
            return
        self.is_html = self.undecided = False
        if text:
            self._plain_type = b"application/octet-stream" if _BINARY.search(text) else b"text/plain"


def looks_like_html(text: bytes) -> bool:
    """Whether browsers show an unlabelled body as a page (MIME Sniffing Standard 7.1)."""
    return _PAGE.match(text) is not None
