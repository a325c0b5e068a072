"""Content codings (RFC 9110 8.4.1) and character encodings: whatever arrives becomes bytes the scanner can read.

A body that cannot be read is never passed on: `UnreadableBody` is raised and the response is withheld.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from ..errors import UnreadableBody

_PIECE = 1 << 20
_LARGEST = 64 * 1024 * 1024
"""Bytes that one piece of a coded body may become. More is no page but an attempt to fill the memory."""
_WINDOW = 8 * 1024 * 1024
"""The window a zstandard body may ask for (RFC 9659 3)."""


class Decoder(Protocol):
    """Takes a body apart, piece by piece."""

    def feed(self, data: bytes) -> bytes: ...


def _bounded(pieces: Iterator[bytes]) -> bytes:
    """Pieces joined, so long as they stay within what one piece of a body may become."""
    joined: list[bytes] = []
    size = 0
    for piece in pieces:
        joined.append(piece)
        size += len(piece)
        if size > _LARGEST:
            raise UnreadableBody(f"a piece of its compressed body becomes more than {_LARGEST} bytes")
    return b"".join(joined)


class _Zlib:
    """gzip (RFC 1952), zlib (RFC 1950) and, because some servers send it as "deflate", raw deflate (RFC 1951)."""

    _HEADER = 2

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._first = b""
        self._engine: zlib._Decompress | None = zlib.decompressobj(zlib.MAX_WBITS | 16) if gzip else None

    def feed(self, data: bytes) -> bytes:
        if self._engine is None:
            self._first += data
            if len(self._first) < self._HEADER:
                return b""
            data = self._first
            self._engine = zlib.decompressobj(zlib.MAX_WBITS if _is_zlib(data) else -zlib.MAX_WBITS)
        try:
            return _bounded(self._pieces(self._engine, data))
        except zlib.error as error:
            raise UnreadableBody(f"its compressed body is damaged: {error}") from error

    def _pieces(self, engine: zlib._Decompress, data: bytes) -> Iterator[bytes]:
        while data:
            if engine.eof:
                if not self._gzip or not data.startswith(b"\x1f"):
                    return  # what is behind the end is padding, or nothing to a browser
                engine = self._engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
            yield engine.decompress(data, _PIECE)
            data = engine.unconsumed_tail or engine.unused_data


def _is_zlib(header: bytes) -> bool:
    """Whether two bytes are a zlib header: the method, and a check that nothing else is likely to pass (RFC 1950)."""
    return header[0] & 0x0F == 8 and int.from_bytes(header[:2], "big") % 31 == 0


class _Brotli:
    def __init__(self) -> None:
        import brotli  # noqa: PLC0415 - an extra: needed only where the app sends it

        self._engine = brotli.Decompressor()
        self._error = brotli.error

    def feed(self, data: bytes) -> bytes:
        try:
            return _bounded(self._pieces(data))
        except self._error as error:
            raise UnreadableBody(f"its brotli body is damaged: {error}") from error

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if self._engine.is_finished():
            return
        yield self._engine.process(data, output_buffer_limit=_PIECE)
        while not self._engine.can_accept_more_data():
            yield self._engine.process(b"", output_buffer_limit=_PIECE)


class _Zstandard:
    _SLICE = 1024  # a block of a few bytes may become 128 KiB, and the library cannot stop half-way

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - an extra: needed only where the app sends it

        self._engine = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        self._error = zstandard.ZstdError

    def feed(self, data: bytes) -> bytes:
        try:
            return _bounded(self._pieces(data))
        except self._error as error:
            raise UnreadableBody(f"its zstandard body is damaged: {error}") from error

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), self._SLICE):
            if self._engine.eof:
                return
            yield self._engine.decompress(data[start : start + self._SLICE])


class _Stacked:
    """Several codings: the last one applied is taken off first."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> bytes:
        for decoder in self._decoders:
            data = decoder.feed(data)
        return data


_DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"gzip": lambda: _Zlib(gzip=True),
    b"x-gzip": lambda: _Zlib(gzip=True),
    b"deflate": lambda: _Zlib(gzip=False),
    b"br": _Brotli,
    b"zstd": _Zstandard,
}


def decoder(codings: list[bytes]) -> Decoder:
    """A decoder for the codings of a ``Content-Encoding`` header, in the order they were applied.

    Raises:
        UnreadableBody: a coding is unknown, or the library for it is not installed.
    """
    made: list[Decoder] = []
    for coding in reversed(codings):
        if coding == b"identity":
            continue
        name = coding.decode("latin-1")
        try:
            made.append(_DECODERS[coding]())
        except KeyError:
            raise UnreadableBody(f"its content coding {name!r} is unknown") from None
        except ImportError:
            raise UnreadableBody(
                f"its content coding {name!r} needs a library: install cookiegate[compression]"
            ) from None
    return _Stacked(made)


class GzipEncoder:
    """Encodes again what was decoded, so that every piece can leave at once."""

    def __init__(self) -> None:
        self._engine = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """Compressed bytes that can be decoded without waiting for more."""
        head = self._engine.compress(data) if data else b""
        return head + self._engine.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


_UTF16 = {
    "utf-16": "utf-16-le",
    "utf-16le": "utf-16-le",
    "csunicode": "utf-16-le",
    "iso-10646-ucs-2": "utf-16-le",
    "ucs-2": "utf-16-le",
    "unicode": "utf-16-le",
    "unicodefeff": "utf-16-le",
    "utf-16be": "utf-16-be",
    "unicodefffe": "utf-16-be",
}
_ISO_2022_JP = frozenset({"iso-2022-jp", "csiso2022jp"})
_PLAIN = frozenset(
    "utf-8 utf8 us-ascii ascii latin1 shift_jis shift-jis sjis x-sjis windows-31j euc-jp euc-kr gbk gb2312 gb18030 "
    "big5 koi8-r koi8-u macintosh tis-620 windows-874".split()
) | {
    f"{family}-{number}"
    for family, numbers in (("iso-8859", range(1, 17)), ("windows", range(1250, 1259)))
    for number in numbers
}
"""The usual labels of encodings in which markup is ASCII. A label browsers do not know leaves them free to guess."""
_BOMS = ((codecs.BOM_UTF8, ""), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_XML_UTF16 = ((b"<\x00?\x00x\x00", "utf-16-le"), (b"\x00<\x00?\x00x", "utf-16-be"))
_ESC = b"\x1b"


class Charset:
    """Turns a page's bytes into bytes whose markup is ASCII, deciding its encoding as a browser would.

    A byte order mark beats the header, the header beats ``<meta>`` (HTML 13.2.3.2). UTF-16 and ISO-2022-JP, in which
    markup can hide from a byte scanner, become UTF-8 and the header says so; every other encoding of the Encoding
    Standard keeps ASCII where it is and passes unchanged.

    Attributes:
        transcoded: the page leaves as UTF-8 and its ``Content-Type`` must say so. Known once `feed` gave bytes.
    """

    def __init__(self, label: str) -> None:
        self._label = label.strip().lower()
        self._decoder: codecs.IncrementalDecoder | None = None
        self._decided = False
        self._strip_escapes = False
        self._first = b""
        self.transcoded = False

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """The next bytes for the scanner; the first few are kept back until the encoding is certain."""
        if not self._decided:
            self._first += data
            if len(self._first) < len(codecs.BOM_UTF8) * 2 and not last:
                return b""
            data = self._decide()
        if self._decoder is not None:
            return self._decoder.decode(data, last).encode("utf-8", "replace")
        # Where nothing rules ISO-2022-JP out, its escapes must not reach a browser that might guess it.
        return data.replace(_ESC, b"") if self._strip_escapes and _ESC in data else data

    def _decide(self) -> bytes:
        self._decided = True
        data, self._first = self._first, b""
        for bom, codec in _BOMS:
            if data.startswith(bom):
                return self._use(codec, data[len(bom) :]) if codec else data
        codec = self._codec_of_label()
        if codec:
            return self._use(codec, data)
        return data if self._label in _PLAIN else self._undeclared(data)

    def _codec_of_label(self) -> str:
        return "iso2022_jp" if self._label in _ISO_2022_JP else _UTF16.get(self._label, "")

    def _undeclared(self, data: bytes) -> bytes:
        for pattern, codec in _XML_UTF16:
            if data.startswith(pattern):
                return self._use(codec, data)
        self._strip_escapes = True
        return data

    def _use(self, codec: str, data: bytes) -> bytes:
        self._decoder = codecs.getincrementaldecoder(codec)("replace")
        self.transcoded = True
        return data
