"""`ResponseGate` by bare ASGI messages: what is a page, what its headers become, and that it streams."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.gate import ResponseGate, Withheld
from cookiegate.gate.response import Message
from cookiegate.signals import Signals

from .support import POLICY, page_of

HTML = (b"content-type", b"text/html; charset=utf-8")
OBSERVING = replace(POLICY, gate=replace(POLICY.gate, mode="observe"))
DENIED = b"<p>a</p><img src=//t.example/1>"
GATED = b'<p>a</p><img data-cg="marketing" data-cg-src=//t.example/1>'
BANNER = b"<aside>/dir/page?q=1 ask </aside>"
WAY_BACK = b"<aside>/dir/page?q=1 granted marketing</aside>"


@dataclass
class Sent:
    """What went out for one response."""

    messages: list[Message]

    @property
    def status(self) -> int:
        return int(self._start["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for key, value in self._start["headers"]:
            found[key] = found[key] + b" | " + value if key in found else value
        return found

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def complete(self) -> bool:
        return not self.messages[-1].get("more_body", False)

    @property
    def _start(self) -> Message:
        (start,) = [message for message in self.messages if message["type"] == "http.response.start"]
        return start


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def respond(
    *headers: tuple[bytes, bytes], pieces: Iterable[bytes] = (DENIED,), status: int = 200, **fields: Any
) -> Sent:
    """Send one response through the gate."""
    gate = ResponseGate(page_of(*fields.pop("grants", ()), **fields))
    pieces = list(pieces)
    messages = gate.feed(start(*headers, status=status))
    for number, piece in enumerate(pieces, 1):
        messages += gate.feed(body(piece, more=number < len(pieces)))
    return Sent(messages)


# -- what is a page ----------------------------------------------------------------------------------------------------

PAGES = [
    "text/html",
    "TEXT/HTML; charset=utf-8",
    "text/html;",
    " text/html ",
    "text/html (comment)",
    "text/html,text/html",
]
SNIFFED = ["", "*/*", "unknown/unknown", "application/unknown", "html", "charset=utf-8"]
OTHERS = ["application/json", "text/plain", "image/png", "text/css", "text/event-stream", "application/octet-stream"]


@pytest.mark.parametrize("content_type", [*PAGES, *SNIFFED])
def test_pages_are_gated(content_type: str) -> None:
    sent = respond((b"content-type", content_type.encode()))
    assert sent.body == BANNER + GATED
    assert sent.headers[b"content-type"].strip().lower().startswith(b"text/html")


def test_a_body_without_a_type_is_gated_if_it_is_a_page() -> None:
    assert respond().body == BANNER + GATED
    assert respond(pieces=[b"<", b"p>a</", b"p><img src=//t.example/1>"]).body == BANNER + GATED


@pytest.mark.parametrize("content_type", OTHERS)
def test_everything_else_passes_untouched(content_type: str) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"1"), (b"etag", b"x")]
    gate = ResponseGate(page_of())
    for message in (start(*headers), body(DENIED)):
        assert gate.feed(message) == [message]
    assert not gate.is_page


FIRST_BYTES = {
    b"<!DOCTYPE html><img src=//t.example/1>": True,
    b"\n\t\x0c\r <HtMl><img src=//t.example/1>": True,
    b"<!--x--><img src=//t.example/1>": True,
    b"<b><img src=//t.example/1>": True,
    b"<a href=x>": True,
    b"<body/>": True,
    b"<?xml version='1.0'?><html/>": True,
    b"<span><img src=//t.example/1>": False,
    b"<img src=//t.example/1>": False,
    b"<bx>": False,
    b"<p": False,
    b"<!x><p>": False,
    b"x<p>": False,
    b"\xef\xbb\xbf<p>": False,
    b'{"a": "<p>"}': False,
}


@pytest.mark.parametrize(("first", "is_page"), FIRST_BYTES.items())
def test_the_first_bytes_decide_as_in_a_browser(first: bytes, *, is_page: bool) -> None:
    sent = respond(pieces=[first, b"<p>and <img src=//t.example/2>"])
    assert (b"data-cg-src=//t.example/2" in sent.body) is is_page
    expected = b"text/html" if is_page else b"text/plain"
    assert sent.headers.get(b"content-type", b"text/plain") == expected
    if not is_page:
        assert sent.body == first + b"<p>and <img src=//t.example/2>"


def test_what_is_no_text_is_not_made_text() -> None:
    assert respond(pieces=[b"\x89PNG\r\n\x1a\n\0\0"]).headers[b"content-type"] == b"application/octet-stream"


def test_a_browser_that_may_not_sniff_makes_no_page_of_it() -> None:
    headers = (b"x-content-type-options", b"NoSniff")
    assert respond(headers).body == DENIED
    assert b"content-type" not in respond(headers).headers


# -- without a body ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_says_nothing_about_the_ungated_one(method: str, status: int) -> None:
    ungated = [(b"content-length", b"9"), (b"etag", b"x"), (b"last-modified", b"y"), (b"set-cookie", b"_t=1")]
    gate = ResponseGate(page_of(method=method))
    (message,) = gate.feed(start(HTML, *ungated, (b"cache-control", b"max-age=60"), status=status))
    names = dict(message["headers"])
    assert not names.keys() & {b"content-length", b"etag", b"last-modified", b"set-cookie"}
    assert names[b"cache-control"] == b"private, no-cache"
    assert gate.feed(body(b"")) == [body(b"")]


def test_a_part_of_a_page_is_withheld() -> None:
    sent = respond(HTML, (b"content-range", b"bytes 10-20/30"), status=206)
    assert (sent.status, DENIED in sent.body) == (502, False)
    assert b"content-range" not in sent.headers
    assert respond((b"content-type", b"video/mp4"), (b"content-range", b"bytes 1-2/3"), status=206).body == DENIED


@pytest.mark.parametrize("status", [200, 301, 404, 500, 503])
def test_pages_of_every_status_are_gated(status: int) -> None:
    sent = respond(HTML, status=status)
    assert (sent.status, sent.body) == (status, BANNER + GATED)


# -- headers -----------------------------------------------------------------------------------------------------------


def test_the_length_is_that_of_what_is_sent_or_left_open() -> None:
    length = (b"Content-Length", b"%d" % len(DENIED))
    assert int(respond(HTML, length).headers[b"content-length"]) == len(BANNER + GATED)
    assert b"content-length" not in respond(HTML, length, pieces=[DENIED[:9], DENIED[9:]]).headers


def test_what_holds_for_the_ungated_page_is_taken_away() -> None:
    names = "ETag Last-Modified Accept-Ranges Content-MD5 Digest Content-Digest Repr-Digest Expires Age".split()
    sent = respond(HTML, *((name.encode(), b"x") for name in names))
    assert not {name.lower().encode() for name in names} & {name.lower() for name in sent.headers}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ([], b"private, no-cache"),
        ([b"public, max-age=600, s-maxage=60"], b"private, no-cache"),
        ([b"no-store"], b"private, no-cache, no-store"),
        ([b"max-age=1", b"No-Transform"], b"private, no-cache, no-transform"),
    ],
)
def test_no_shared_cache_keeps_a_visitors_page(given: list[bytes], sent: bytes) -> None:
    headers = respond(
        HTML, (b"cdn-cache-control", b"max-age=9"), *((b"cache-control", value) for value in given)
    ).headers
    assert headers[b"cache-control"] == sent
    assert b"cdn-cache-control" not in headers


def test_what_the_page_depends_on_is_named() -> None:
    vary = respond(HTML, (b"vary", b"Origin, cookie")).headers[b"vary"]
    assert vary == b"Origin, cookie, Sec-GPC, DNT, Accept-Language"
    assert respond(HTML, (b"vary", b"*")).headers[b"vary"] == b"*"


def test_the_wall_is_added_to_the_sites_own_policy() -> None:
    own = (b"content-security-policy", b"default-src *")
    value = respond(HTML, own).headers[b"content-security-policy"]
    first, second = value.split(b" | ")
    assert first == own[1]
    assert b"t.example" not in second
    assert b"t.example" in respond(HTML, grants=["marketing"]).headers[b"content-security-policy"]


def test_cookies_are_filtered_whatever_the_response() -> None:
    cookies = [(b"set-cookie", b"session=1"), (b"set-cookie", b"_t=1; Max-Age=9"), (b"set-cookie", b"unheard=1")]
    for content_type in (b"text/html", b"image/png"):
        notes: list[Withheld] = []
        sent = respond((b"content-type", content_type), *cookies, notes=notes)
        assert sent.headers[b"set-cookie"] == b"session=1"
        assert [note.name for note in notes if note.what == "cookie"] == ["_t", "unheard"]
    assert respond(HTML, *cookies, grants=["marketing"]).headers[b"set-cookie"] == b"session=1 | _t=1; Max-Age=9"


def test_denied_cookies_of_the_request_are_ended() -> None:
    value = respond((b"content-type", b"image/png"), denied_cookies=("_t",)).headers[b"set-cookie"]
    assert value.startswith(b"_t=;")
    assert b"Max-Age=0" in value


LINKS = {
    b"<//t.example/a>; rel=preload; as=script": b"",
    b'<//t.example/a>; rel="preload"; as=style, </b>; rel=preload': b"</b>; rel=preload",
    b"</a>; rel=preload, <//t.example/b>; rel=preconnect": b"</a>; rel=preload",
    b'<//t.example/a>; title=";rel=next"; rel=prefetch': b"",
    b'<//t.example/a>; title="a\\"; rel=x"; REL=Prefetch': b"",
    b"<//t.example/a> ; rel = modulepreload": b"",
    b"<//t.example/a>; rel=x; rel=preload": b"",
    b'<//t.example/a>; rel="x dns-prefetch"': b"",
    b'</a>; rel=preload; as=image; imagesrcset="/b 1x, //t.example/c 2x"': b"",
    b'</a>; title="b, <//t.example/>; rel=c"; rel=preload': b'</a>; title="b, <//t.example/>; rel=c"; rel=preload',
    b"<//t.example/a>; rel=canonical": b"<//t.example/a>; rel=canonical",
    b"<//t.example/a>": b"<//t.example/a>",
    b"<//n.example/a>; rel=preload": b"<//n.example/a>; rel=preload",
    b'<//t.example/a>; x="; rel=preload': b"<//t.example/a>; x=",
    b"no link at all": b"",
}


@pytest.mark.parametrize(("value", "kept"), LINKS.items())
def test_links_that_fetch_are_withheld_one_by_one(value: bytes, kept: bytes) -> None:
    assert respond((b"content-type", b"application/json"), (b"Link", value)).headers.get(b"Link", b"") == kept
    gate = ResponseGate(page_of())
    (hint,) = gate.feed({"type": "http.response.early_hint", "links": [value]})
    assert hint["links"] == ([kept] if kept else [])


REPORTING = {
    b"refresh": (b"0; url=//t.example/", b"0; url=/a"),
    b"nel": (b'{"report_to": "//t.example"}', b'{"report_to": "default"}'),
    b"report-to": (b'{"endpoints": [{"url": "https://t.example/r"}]}', b'{"endpoints": [{"url": "/r"}]}'),
    b"reporting-endpoints": (b'a="https://t.example/r"', b'a="/r"'),
    b"speculation-rules": (b'"https://t.example/rules"', b'"/rules"'),
}


@pytest.mark.parametrize(("name", "values"), REPORTING.items())
def test_headers_that_report_or_lead_to_third_parties_are_withheld(name: bytes, values: tuple[bytes, bytes]) -> None:
    denied, own = values
    plain = (b"content-type", b"text/plain")
    assert name not in respond(plain, (name, denied)).headers
    assert respond(plain, (name, own)).headers[name] == own
    assert respond(plain, (name, denied), grants=["marketing"]).headers[name] == denied


# -- codings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("coding", "compress"), [(b"gzip", gzip.compress), (b"BR", brotli.compress)])
def test_a_coded_page_is_decoded_gated_and_encoded_again(coding: bytes, compress: Any) -> None:
    encoding = (b"content-encoding", coding)
    sent = respond(HTML, encoding, pieces=[compress(DENIED)])
    assert gzip.decompress(sent.body) == BANNER + GATED
    assert sent.headers[b"content-encoding"] == b"gzip"
    assert int(sent.headers[b"content-length"]) == len(sent.body)
    assert b"Accept-Encoding" in sent.headers[b"vary"]
    plain = respond(HTML, encoding, pieces=[compress(DENIED)], gzip=False)
    assert (plain.body, b"content-encoding" in plain.headers) == (BANNER + GATED, False)


def test_a_coded_answer_that_is_no_page_keeps_its_coding() -> None:
    sent = respond((b"content-type", b"text/css"), (b"content-encoding", b"br"), pieces=[b"\x01\x02"])
    assert (sent.body, sent.headers[b"content-encoding"]) == (b"\x01\x02", b"br")


UNREADABLE = {
    "an unknown coding": ((b"content-encoding", b"xor"), [DENIED]),
    "a damaged body": ((b"content-encoding", b"gzip"), [DENIED]),
}


@pytest.mark.parametrize(("header", "pieces"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_withheld(header: tuple[bytes, bytes], pieces: list[bytes]) -> None:
    notes: list[Withheld] = []
    sent = respond(HTML, header, (b"set-cookie", b"session=1"), pieces=[*pieces, b"more"], notes=notes)
    assert (sent.status, sent.complete) == (502, True)
    assert sent.body.startswith(b"<p>withheld: its ")
    assert sent.headers == {
        b"content-type": b"text/html; charset=utf-8",
        b"content-length": b"%d" % len(sent.body),
        b"cache-control": b"no-store",
    }
    assert notes[0].what.startswith("page that cannot be read (its ")


def test_a_page_that_turns_out_unreadable_ends_where_it_is() -> None:
    coded = gzip.compress(b"<p>" + bytes(range(32, 60)) * 2000)
    gate = ResponseGate(page_of(gzip=False))
    gate.feed(start(HTML, (b"content-encoding", b"gzip")))
    assert gate.feed(body(coded[:60], more=True))[0]["status"] == 200
    assert gate.feed(body(b"\xff" * 60, more=True)) == [body(b"")]
    assert gate.feed(body(b"<p>", more=True)) == []
    assert gate.feed(body(b"<p>")) == []


CHARSETS = {
    "utf-16 by its header": (b"text/html; charset=UTF-16", DENIED.decode().encode("utf-16-le")),
    "utf-16 by its mark": (b"text/html", b"\xff\xfe" + DENIED.decode().encode("utf-16-le")),
    "a quoted label": (b'text/html; charset="utf-16le" x', DENIED.decode().encode("utf-16-le")),
    "escapes in a name": (b"text/html; charset=iso-2022-jp", DENIED.replace(b"img", b"i\x1b(Bmg")),
}


@pytest.mark.parametrize(("content_type", "page"), CHARSETS.values(), ids=CHARSETS)
@pytest.mark.parametrize("size", [1, 1000])
def test_encodings_that_hide_markup_become_utf8(content_type: bytes, page: bytes, size: int) -> None:
    pieces = [page[at : at + size] for at in range(0, len(page), size)]
    sent = respond((b"content-type", content_type), pieces=pieces)
    assert sent.body == BANNER + GATED
    assert sent.headers[b"content-type"] == b"text/html; charset=utf-8"


def test_escapes_hide_nothing_where_browsers_guess() -> None:
    page = b"<meta charset=iso-2022-jp><i\x1b(Bmg src=//t.example/1>"
    for content_type in (b"text/html", b"text/html; charset=bogus", b"text/html; charset='utf-8'"):
        assert b"\x1b" not in respond((b"content-type", content_type), pieces=[page]).body


def test_a_label_in_quotes_of_another_parameter_is_none() -> None:
    sent = respond((b"content-type", b'text/html; x="; charset=utf-16le"'))
    assert sent.body == BANNER + GATED


# -- streaming ---------------------------------------------------------------------------------------------------------


def test_the_first_piece_leaves_at_once() -> None:
    gate = ResponseGate(page_of())
    assert gate.feed(start(HTML)) == []
    first, second = gate.feed(body(b"<title>a</title><p>b<img s", more=True))
    assert first["type"] == "http.response.start"
    assert second == body(b"<title>a</title>" + BANNER + b"<p>b", more=True)
    assert gate.feed(body(b"rc=//t.example/1", more=True)) in ([], [body(b"", more=True)])
    assert gate.feed(body(b">c", more=True)) == [
        body(b'<img data-cg="marketing" data-cg-src=//t.example/1>c', more=True)
    ]
    assert gate.feed(body(b"", more=False)) == [body(b"")]
    assert gate.is_page


def test_a_coded_page_streams_as_well() -> None:
    gate = ResponseGate(page_of(gzip=False))
    gate.feed(start(HTML, (b"content-encoding", b"gzip")))
    engine = gzip.compress(b"<p>" + b"text " * 50_000)
    sent = [
        message for at in range(0, len(engine), 100) for message in gate.feed(body(engine[at : at + 100], more=True))
    ]
    assert len([message for message in sent if message.get("body")]) > 3


@given(st.lists(st.integers(0, 200), max_size=5))
def test_pieces_change_nothing(cuts: list[int]) -> None:
    page = b"\xef\xbb\xbf<!DOCTYPE html><title>a</title>" + DENIED + "é".encode()
    places = sorted({0, len(page), *(cut % len(page) for cut in cuts)})
    pieces = [page[start:end] for start, end in pairwise(places)]
    assert respond(HTML, pieces=pieces).body == respond(HTML, pieces=[page]).body


def test_a_message_may_leave_everything_out() -> None:
    gate = ResponseGate(page_of())
    gate.feed({"type": "http.response.start", "status": 200, "headers": [HTML]})
    sent = Sent(gate.feed({"type": "http.response.body"}))
    assert (sent.body, sent.complete) == (BANNER, True)


def test_a_file_that_the_server_would_send_is_gated(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    for page in (b"", DENIED, b"<p>text " * 20_000 + DENIED):
        file.write_bytes(page)
        gate = ResponseGate(page_of())
        gate.feed(start(HTML, (b"content-length", b"1")))
        sent = Sent(gate.feed({"type": "http.response.pathsend", "path": str(file)}))
        assert sent.body == BANNER + page.replace(DENIED, GATED)
        assert sent.complete
        assert [message["type"] for message in sent.messages].count("http.response.start") == 1
    other = {"type": "http.response.pathsend", "path": str(file)}
    gate = ResponseGate(page_of())
    gate.feed(start((b"content-type", b"image/png")))
    assert gate.feed(other) == [other]


def test_other_messages_pass() -> None:
    message = {"type": "http.response.trailers", "headers": []}
    assert ResponseGate(page_of()).feed(message) == [message]


# -- what is inserted --------------------------------------------------------------------------------------------------


def test_who_has_chosen_gets_the_way_back() -> None:
    assert respond(HTML, grants=["marketing"]).body == WAY_BACK + DENIED


def test_a_signal_is_told_to_the_banner() -> None:
    sent = respond(HTML, signals=Signals(gpc=True))
    assert b"signal" in sent.body


def test_fragments_get_nothing_but_are_gated() -> None:
    assert respond(HTML, signals=Signals(document=False)).body == GATED


# -- only watching -----------------------------------------------------------------------------------------------------


def test_watching_changes_nothing_but_inserts_the_banner() -> None:
    notes: list[Withheld] = []
    headers = [(b"set-cookie", b"_t=1"), (b"link", b"<//t.example/>; rel=preload"), (b"refresh", b"0;url=//t.example")]
    page = b"<svg><style><b></style><title/></svg><select><plaintext>" + DENIED
    sent = respond(HTML, *headers, pieces=[page], policy=OBSERVING, notes=notes)
    assert sent.body == BANNER + page
    assert dict(headers).items() <= sent.headers.items()
    assert {note.host for note in notes} >= {"t.example"}
    assert {note.name for note in notes} >= {"_t"}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"content-encoding", b"xor"), 200),
        ((b"content-encoding", b"gzip"), 200),
        ((b"content-encoding", b"deflate"), 200),
        ((b"content-range", b"x"), 206),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_watching_lets_pass_what_it_cannot_read(header: tuple[bytes, bytes], status: int, size: int) -> None:
    pieces = [DENIED[at : at + size] for at in range(0, len(DENIED), size)]
    sent = respond(HTML, header, pieces=pieces, status=status, policy=OBSERVING)
    assert (sent.status, sent.body, sent.complete) == (status, DENIED, True)
