"""Content codings and character encodings: what browsers read, the scanner reads; the rest is refused, not passed."""

from __future__ import annotations

import gzip
import io
import sys
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.errors import UnreadableBody
from cookiegate.gate import codings
from cookiegate.gate.codings import Charset, GzipEncoder, decoder

PAGE = "<!DOCTYPE html><title>ä</title>".encode() + b"<p>some text</p>" * 500


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def zstd_without_size(data: bytes) -> bytes:
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(data)
    return out.getvalue()


CODED = {
    "gzip": ([b"gzip"], gzip.compress(PAGE)),
    "x-gzip": ([b"x-gzip"], gzip.compress(PAGE)),
    "gzip in two members": ([b"gzip"], gzip.compress(PAGE[:100]) + gzip.compress(PAGE[100:])),
    "gzip and padding": ([b"gzip"], gzip.compress(PAGE) + b"\0" * 20),
    "deflate": ([b"deflate"], zlib.compress(PAGE)),
    "raw deflate": ([b"deflate"], raw_deflate(PAGE)),
    "brotli": ([b"br"], brotli.compress(PAGE)),
    "zstandard": ([b"zstd"], zstandard.compress(PAGE)),
    "zstandard without a size": ([b"zstd"], zstd_without_size(PAGE)),
    "gzip in gzip": ([b"gzip", b"gzip"], gzip.compress(gzip.compress(PAGE))),
    "brotli in gzip": ([b"br", b"identity", b"gzip"], gzip.compress(brotli.compress(PAGE))),
    "nothing": ([b"identity"], PAGE),
}


@pytest.mark.parametrize(("names", "body"), CODED.values(), ids=CODED)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_browsers_decode_is_decoded(names: list[bytes], body: bytes, size: int) -> None:
    engine = decoder(names)
    assert b"".join(engine.feed(body[at : at + size]) for at in range(0, len(body), size)) == PAGE


@pytest.mark.parametrize("name", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_body_may_end_early_or_be_empty(name: bytes) -> None:
    body = next(body for names, body in CODED.values() if names == [name])
    engine = decoder([name])
    assert PAGE.startswith(engine.feed(b"") + engine.feed(body[: len(body) // 2]))
    assert decoder([name]).feed(b"") == b""


@pytest.mark.parametrize("name", [b"gzip", b"deflate", b"br", b"zstd"])
def test_what_follows_the_end_is_ignored(name: bytes) -> None:
    body = next(body for names, body in CODED.values() if names == [name])
    engine = decoder([name])
    assert engine.feed(body) + engine.feed(b"more") + engine.feed(b"") == PAGE


@pytest.mark.parametrize("name", [b"gzip", b"deflate", b"br", b"zstd"])
def test_damage_is_refused(name: bytes) -> None:
    with pytest.raises(UnreadableBody, match="damaged"):
        decoder([name]).feed(b"\xff<p>no coding at all</p>" * 50)


@pytest.mark.parametrize("name", [b"compress", b"aes128gcm", b"", b"gzip, br", b"dcb"])
def test_unknown_codings_are_refused(name: bytes) -> None:
    with pytest.raises(UnreadableBody, match="unknown"):
        decoder([b"gzip", name])


@pytest.mark.parametrize(("name", "module"), [(b"br", "brotli"), (b"zstd", "zstandard")])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, name: bytes, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnreadableBody, match=r"install cookiegate\[compression\]"):
        decoder([name])


@pytest.mark.parametrize(
    ("name", "compress"),
    [(b"gzip", gzip.compress), (b"deflate", zlib.compress), (b"br", brotli.compress), (b"zstd", zstandard.compress)],
)
def test_a_bomb_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch, name: bytes, compress: object
) -> None:
    assert callable(compress)
    bomb = compress(b"\0" * 30_000_000)
    assert len(bomb) < 50_000
    monkeypatch.setattr(codings, "_LARGEST", 4_000_000)
    with pytest.raises(UnreadableBody, match="more than 4000000 bytes"):
        decoder([name]).feed(bomb)


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_every_piece_can_be_read_as_soon_as_it_is_sent(pieces: list[bytes]) -> None:
    encoder, engine = GzipEncoder(), decoder([b"gzip"])
    for piece in pieces:
        assert engine.feed(encoder.feed(piece, last=False)) == piece
    assert engine.feed(encoder.feed(b"end", last=True)) == b"end"


# -- character encodings -----------------------------------------------------------------------------------------------

TEXT = "<p title='ä€'>テスト</p>"


def read(body: bytes, label: str, *, size: int = 1 << 20) -> tuple[bytes, bool]:
    """What the scanner gets of a body, and whether it is now UTF-8."""
    charset = Charset(label)
    pieces = [charset.feed(body[at : at + size], last=False) for at in range(0, len(body), size)]
    return b"".join([*pieces, charset.feed(b"", last=True)]), charset.transcoded


TRANSCODED = {
    "a mark for little-endian": (b"\xff\xfe" + TEXT.encode("utf-16-le"), ""),
    "a mark for big-endian": (b"\xfe\xff" + TEXT.encode("utf-16-be"), ""),
    "a mark beats the header": (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-8"),
    "a mark beats the byte order of the header": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16le"),
    "a header": (TEXT.encode("utf-16-le"), "UTF-16"),
    "a header for big-endian": (TEXT.encode("utf-16-be"), " utf-16be "),
    "another name": (TEXT.encode("utf-16-le"), "ucs-2"),
    "a declaration of XML": (f"<?xml version='1.0'?>{TEXT}".encode("utf-16-le"), ""),
    "a declaration of XML, big-endian": (f"<?xml version='1.0'?>{TEXT}".encode("utf-16-be"), "bogus"),
}


@pytest.mark.parametrize(("body", "label"), TRANSCODED.values(), ids=TRANSCODED)
@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_utf16_becomes_utf8(body: bytes, label: str, size: int) -> None:
    text, transcoded = read(body, label, size=size)
    assert (text.decode().removeprefix("<?xml version='1.0'?>"), transcoded) == (TEXT, True)


@pytest.mark.parametrize("label", ["iso-2022-jp", "CSISO2022JP"])
@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_iso_2022_jp_becomes_utf8(label: str, size: int) -> None:
    assert read("<p>テスト</p>".encode("iso2022_jp"), label, size=size) == ("<p>テスト</p>".encode(), True)
    assert read(b"<i\x1b(Bmg>", label, size=size) == (b"<img>", True)


@pytest.mark.parametrize(
    ("encoding", "label"),
    [
        *(("utf-8", "utf-8"), ("utf-8", ""), ("utf-8-sig", ""), ("utf-8-sig", "utf-16"), ("utf-8", "bogus")),
        *(("cp1252", "windows-1252"), ("cp1252", ""), ("cp1251", "windows-1251"), ("koi8-r", "koi8-r")),
        *(("shift_jis", "Shift_JIS"), ("euc-jp", "euc-jp"), ("gbk", "gbk"), ("gb18030", "gb18030"), ("big5", "big5")),
    ],
)
def test_every_other_encoding_passes_byte_for_byte(encoding: str, label: str) -> None:
    body = "<p title='ä€'>テスト Тест 表</p>\x1a".encode(encoding, "ignore")
    assert read(body, label, size=1) == (body, False)


@pytest.mark.parametrize("label", ["", "bogus", "'utf-8'", "utf-7", "x-japanese"])
def test_escapes_are_taken_out_where_browsers_might_guess_what_they_mean(label: str) -> None:
    """``<meta charset=iso-2022-jp>`` counts where the header says nothing that a browser knows."""
    assert read(b"<i\x1b(Bmg src=//t.example>", label, size=3) == (b"<i(Bmg src=//t.example>", False)
    assert read(b"a\x1bb", "utf-8") == (b"a\x1bb", False)


@pytest.mark.parametrize("body", [b"", b"a", b"\xef", b"\xff", b"\xef\xbb\xbf", b"<"])
def test_short_bodies_are_not_lost(body: bytes) -> None:
    assert read(body, "utf-8", size=1) == (body, False)


def test_what_is_no_utf16_is_replaced() -> None:
    assert read(b"\xff\xfea\0\x00\xd8b\0c", "") == ("a\ufffdb\ufffd".encode(), True)
