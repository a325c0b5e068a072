"""Cookies through the gate: what may be set, what the app may read, and what a withdrawal ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.cookies import parse_set_cookie
from cookiegate.gate.cookies import expire_cookies, filter_set_cookies, hide_request_cookies, judge_cookie
from cookiegate.gate.resources import Withheld

from .support import NOW, POLICY, verdict


def unexpected(withheld: Withheld) -> None:
    """Nothing was to be withheld."""
    pytest.fail(str(withheld))


SET = {
    b"session=1; HttpOnly": "",
    b"_t=1; Max-Age=60; HttpOnly; Secure": "marketing",
    b" _t = 1": "marketing",
    b"_t": "undeclared",
    b"=_t": "undeclared",
    b"_a_123=x; Path=/; Domain=site.example": "analytics",
    b"_A_123=x": "undeclared",
    b"unheard=1": "undeclared",
    b"": "undeclared",
    b"__Host-session=1": "undeclared",
}


@pytest.mark.parametrize(("value", "purpose"), SET.items())
def test_what_a_response_may_set(value: bytes, purpose: str) -> None:
    for grants in ((), ("analytics",), ("marketing",), ("all",)):
        notes: list[Withheld] = []
        kept = filter_set_cookies([(b"Set-Cookie", value)], POLICY, verdict(*grants), now=NOW, note=notes.append)
        passes = not purpose or purpose in grants or (grants == ("all",) and purpose != "undeclared")
        assert kept == ([(b"Set-Cookie", value)] if passes else [])
        assert [note.purpose for note in notes] == ([] if passes else [purpose if purpose != "undeclared" else ""])


def test_a_deletion_passes_and_is_one_to_every_browser() -> None:
    value = b"_t=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/a; Domain=site.example"
    ((_, kept),) = filter_set_cookies([(b"set-cookie", value)], POLICY, verdict(), now=NOW, note=unexpected)
    cookie = parse_set_cookie(kept, now=NOW)
    assert cookie is not None
    assert (cookie.name, cookie.kind, cookie.path, cookie.domain) == ("_t", "deletion", "/a", "site.example")
    assert b"Max-Age=0" in kept


def test_other_headers_stay_in_their_order() -> None:
    raw = [(b"a", b"1"), (b"set-cookie", b"_t=1"), (b"b", b"2"), (b"SET-COOKIE", b"session=1"), (b"a", b"3")]
    kept = filter_set_cookies(raw, POLICY, verdict(), now=NOW, note=lambda _: None)
    assert kept == [(b"a", b"1"), (b"b", b"2"), (b"SET-COOKIE", b"session=1"), (b"a", b"3")]


def test_the_app_sees_only_cookies_that_it_may_read() -> None:
    raw = [(b"host", b"x"), (b"cookie", b"session=1; _t=2;_a_x=3"), (b"cookie", b"unheard=4; session=5; nameless")]
    notes: list[Withheld] = []
    seen, denied = hide_request_cookies(raw, POLICY, verdict("analytics"), note=notes.append)
    assert seen == [(b"host", b"x"), (b"cookie", b"session=1; _a_x=3; session=5")]
    assert denied == ("_t",)
    assert {(note.what, note.name) for note in notes} == {("request cookie", name) for name in ("_t", "unheard", "")}


def test_a_request_with_nothing_to_hide_is_as_it_was() -> None:
    raw = [(b"cookie", b"session=1"), (b"cookie", b"session=2")]
    assert hide_request_cookies(raw, POLICY, verdict(), note=unexpected) == (raw, ())
    assert hide_request_cookies([(b"cookie", b"_t=1")], POLICY, verdict(), note=lambda _: None) == ([], ("_t",))


@given(st.lists(st.binary(max_size=12), max_size=6))
def test_no_denied_value_ever_reaches_the_app(pieces: list[bytes]) -> None:
    raw = [(b"cookie", b";".join([*pieces, b"_t=SENTINEL", b"_a_=SENTINEL", b"x=SENTINEL"]))]
    seen, _ = hide_request_cookies(raw, POLICY, verdict(), note=lambda _: None)
    assert b"SENTINEL" not in b"".join(value for _, value in seen)


@given(st.text(max_size=8))
def test_only_the_declared_is_allowed(name: str) -> None:
    allowed = judge_cookie(POLICY, verdict(), name) is None
    assert allowed is (name == "session")


def ended(*names: str, host: str = "www.site.example", path: str = "/a/b", turn: int = 0) -> set[tuple[str, str, str]]:
    """Name, path and domain of each cookie that would be deleted; every header must be a deletion."""
    found = set()
    for header, value in expire_cookies(names, host=host, path=path, secure=True, turn=turn):
        cookie = parse_set_cookie(value, now=NOW)
        assert (header, cookie and cookie.kind) == (b"set-cookie", "deletion")
        assert cookie is not None
        found.add((cookie.name, cookie.path or "", cookie.domain or ""))
    return found


def test_a_cookie_is_ended_wherever_it_can_have_been_seen() -> None:
    everywhere = set().union(*(ended("_t", turn=turn) for turn in range(10)))
    domains = ("", "site.example", "www.site.example")
    assert everywhere == {("_t", path, domain) for path in ("/", "/a", "/a/", "/a/b") for domain in domains}


def test_the_likely_places_come_with_every_answer() -> None:
    for turn in range(10):
        assert {("_t", "/", ""), ("_t", "/", "site.example")} <= ended("_t", turn=turn)


def test_a_cookie_bound_to_its_host_has_one_place() -> None:
    assert ended("__Host-x") == {("__Host-x", "/", "")}


def test_a_public_suffix_and_an_address_are_no_domains() -> None:
    assert ended("x", host="someone.github.io", path="/") == {("x", "/", ""), ("x", "/", "someone.github.io")}
    assert ended("x", host="127.0.0.1", path="/") == {("x", "/", "")}


def test_an_answer_stays_small_whatever_the_request_carried() -> None:
    headers = list(
        expire_cookies([f"c{number}" for number in range(500)], host="www.site.example", path="/a" * 50, secure=True)
    )
    assert 0 < sum(len(value) for _, value in headers) < 4096


@pytest.mark.parametrize("name", ["a;b", "a\nb", "a=b", "a\0", ""])
def test_names_that_no_header_can_carry_break_nothing(name: str) -> None:
    for _, value in expire_cookies([name], host="www.site.example", path="/a;b\n", secure=True):
        assert not {0, 10, 13} & set(value)
