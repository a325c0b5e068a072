"""What makes the gate fast must not make it another gate: every shortcut gives what the long way gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate import CookieGate
from cookiegate.gate import Page, Readable, Repeats, ResponseGate, Wall, Withheld, needs_gate
from cookiegate.gate.cookies import judge_cookie
from cookiegate.signals import Signals
from cookiegate.testing import FrozenClock, consent_cookie, gated

from .strategies import pages
from .support import NOW, PAGE, POLICY, RESOURCES, verdict

MARKUP = (
    b"<html><head><title>T</title></head><body><p>Hello</p>"
    b'<script src="https://t.example/x.js"></script><iframe src="https://a.example/"></iframe></body></html>'
)
BODY = "http.response.body"


class Layer:
    """Stands in for the visitor's part of a page."""

    def banner(self, *, return_to: str, signal: bool = False, allowed: Any = ()) -> bytes:
        return f"<form data-to='{return_to}'></form>".encode()

    def way_back(self, *, return_to: str, granted: bool, allowed: Any = ()) -> bytes:
        return f"<a href='{return_to}'></a>".encode()

    def placeholder(self, *, purpose: str, service: str, host: str, kind: str, width: str, height: str) -> bytes:
        return f"<span>{purpose} {service} {host}</span>".encode()


def page_for(repeats: Repeats | None, noted: list[Withheld], **changed: Any) -> Page:
    page = Page(
        policy=POLICY,
        resources=RESOURCES,
        wall=Wall(POLICY),
        verdict=verdict(),
        signals=Signals(locale="en", secure=True),
        layer=Layer(),
        url=PAGE,
        host="www.site.example",
        path="/dir/page",
        return_to="/dir/page?q=1",
        method="GET",
        gzip=False,
        now=NOW,
        denied_cookies=(),
        note=noted.append,
        withheld_page=lambda why: why.encode(),
        repeats=repeats,
    )
    return replace(page, **changed)


def answer(
    body: bytes,
    repeats: Repeats | None,
    *headers: tuple[bytes, bytes],
    pieces: int = 1,
    **changed: Any,
) -> tuple[list[Any], bytes, list[Withheld]]:
    """The response's headers, its body, and what was withheld."""
    noted: list[Withheld] = []
    gate = ResponseGate(page_for(repeats, noted, **changed))
    raw = [(b"content-type", b"text/html; charset=utf-8"), *headers]
    out = gate.feed({"type": "http.response.start", "status": 200, "headers": raw})
    cut = len(body) // pieces
    for index in range(pieces):
        piece = body[index * cut : None if index == pieces - 1 else (index + 1) * cut]
        out += gate.feed({"type": BODY, "body": piece, "more_body": index < pieces - 1})
    start = next(message for message in out if message["type"] == "http.response.start")
    return start["headers"], b"".join(message.get("body", b"") for message in out), noted


@given(pages(), st.sampled_from([(), ("analytics",), ("all",)]), st.booleans())
def test_a_page_that_comes_again_is_gated_as_before(body: bytes, grants: tuple[str, ...], document: bool) -> None:
    changed: dict[str, Any] = {"verdict": verdict(*grants), "signals": Signals(document=document, secure=True)}
    expected = answer(body, None, **changed)
    repeats = Repeats()
    assert [answer(body, repeats, **changed) for _ in range(3)] == [expected] * 3
    assert (repeats.hits, repeats.misses) == (1, 2)


def test_what_is_put_in_is_of_this_request() -> None:
    repeats = Repeats()
    targets = ["/dir/page?q=1", "/dir/page?q=2", "/dir/page?q=3"]
    bodies = [answer(MARKUP, repeats, return_to=target)[1] for target in targets]
    assert repeats.hits == 1
    assert bodies == [answer(MARKUP, None, return_to=target)[1] for target in targets]


@pytest.mark.parametrize(
    "changed",
    [
        {"verdict": verdict("marketing")},
        {"url": "https://www.site.example/elsewhere"},
        {"url": "https://many.example/maps/"},
        {"signals": Signals(locale="de", secure=True)},
        {"signals": Signals(document=False, secure=True)},
    ],
)
def test_other_circumstances_are_another_page(changed: dict[str, Any]) -> None:
    repeats = Repeats()
    for _ in range(3):
        answer(MARKUP, repeats)
    hits = repeats.hits
    assert answer(MARKUP, repeats, **changed) == answer(MARKUP, None, **changed)
    assert repeats.hits == hits


@pytest.mark.parametrize(
    "header",
    [
        (b"Set-Cookie", b"session=1"),
        (b"set-cookie", b"_t=1"),
        (b"Cache-Control", b"no-store"),
        (b"cache-control", b"max-age=60, Private"),
    ],
)
def test_a_page_of_one_visitors_own_is_not_kept(header: tuple[bytes, bytes]) -> None:
    repeats = Repeats()
    for _ in range(3):
        answer(MARKUP, repeats, header)
    assert (repeats.hits, repeats.misses) == (0, 0)


def test_a_page_that_streams_is_not_gathered() -> None:
    repeats = Repeats()
    for _ in range(3):
        assert answer(MARKUP, repeats, pieces=4)[1] == answer(MARKUP, None)[1]
    assert (repeats.hits, repeats.misses) == (0, 0)


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    room_for_two = Repeats(limit=5 * len(MARKUP) + 400)
    for number in (0, 1, 2):
        for _ in range(3):
            answer(b"%s<!--%d-->" % (MARKUP, number), room_for_two)
    assert room_for_two.hits == 3
    for number, known in ((0, False), (2, True)):
        before = room_for_two.hits
        answer(b"%s<!--%d-->" % (MARKUP, number), room_for_two)
        assert (room_for_two.hits > before) == known


async def ask(gate: CookieGate, *headers: tuple[bytes, bytes], method: str = "GET") -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    scope = {
        "type": "http",
        "method": method,
        "scheme": "https",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"www.site.example"), *headers],
        "client": ("203.0.113.7", 5),
        "server": ("127.0.0.1", 80),
    }
    await gate(scope, receive, send)


async def _site(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": BODY, "body": MARKUP, "more_body": False})


async def test_only_pages_for_nobody_in_particular_are_kept(tmp_path: Path) -> None:
    gate = gated(_site, POLICY, folder=tmp_path, clock=FrozenClock(NOW))
    chosen = b"=".join(part.encode() for part in consent_cookie(gate, "marketing"))
    try:
        for _ in range(3):
            await ask(gate, (b"cookie", b"session=1"))
            await ask(gate, (b"cookie", b"session=1; " + chosen))
            await ask(gate, (b"cookie", b"oddly written"))
            await ask(gate, (b"Authorization", b"Basic eDp5"))
            await ask(gate, method="POST")
        assert (gate.repeats.hits, gate.repeats.misses) == (0, 0)
        for _ in range(3):
            await ask(gate)
            await ask(gate, (b"cookie", chosen))
        assert (gate.repeats.hits, gate.repeats.misses) == (2, 4)
    finally:
        gate.store.close()


NAMES = st.sampled_from([b"session", b"_t", b"_a_1", b"_a_2", b"unknown", b"__Host-cg_consent", b"", b"x" * 100])


@given(st.lists(st.tuples(st.lists(NAMES, max_size=5), st.sampled_from([(), ("analytics",), ("all",)])), max_size=12))
def test_names_judged_before_are_judged_the_same(requests: list[tuple[list[bytes], tuple[str, ...]]]) -> None:
    readable = Readable(POLICY)
    for names, grants in requests:
        ruling = verdict(*grants)
        expected = all(judge_cookie(POLICY, ruling, name.decode()) is None for name in names)
        assert readable.all(names, ruling, ruling.allowed) == expected


def test_names_that_are_not_known_are_not_readable() -> None:
    assert not Readable(POLICY).all(None, verdict("all"), verdict("all").allowed)


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"content-type", b"Content-Type", b"set-cookie", b"Link", b"refresh", b"nel", b"etag", b"content-length"]
        ),
        st.sampled_from(
            [
                *(
                    b"text/html",
                    b"TEXT/HTML; charset=x",
                    b"application/json",
                    b"image/svg+xml",
                    b"text/plain",
                    b"",
                    b"x",
                ),
                *(b"application/xhtml+xml", b"*/*", b"_t=1", b"</x>; rel=preload", b"0; url=https://t.example/"),
            ]
        ),
    ),
    max_size=4,
)


@given(HEADERS, st.sampled_from([b"", b"{}", b"<p>"]))
def test_what_needs_no_gate_is_left_as_it_is_by_the_gate(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    messages = [start, {"type": BODY, "body": body, "more_body": False}]
    if not needs_gate(start):
        gate = ResponseGate(page_for(None, []))
        assert [out for message in messages for out in gate.feed(message)] == messages


@pytest.mark.parametrize(
    "start",
    [
        {"type": "http.response.early_hint", "links": []},
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.start", "status": 200, "headers": iter([(b"content-type", b"text/plain")])},
        {"type": "http.response.start", "status": 200, "headers": [(bytearray(b"set-cookie"), b"_t=1")]},
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", bytearray(b"text/html"))]},
    ],
)
def test_in_doubt_the_gate_is_needed(start: dict[str, Any]) -> None:
    assert needs_gate(start)


def test_most_answers_need_none() -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    assert not needs_gate({"type": "http.response.start", "status": 200, "headers": headers})
