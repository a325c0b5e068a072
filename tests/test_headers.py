"""Raw header lists: reading, replacing, Vary, quality lists and the cookies of a request."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate import headers

RAW = [(b"Host", b"a"), (b"x", b"1"), (b"X", b"2"), (b"accept", b"*/*")]


def test_names_are_compared_without_case() -> None:
    assert headers.get(RAW, b"host") == b"a"
    assert list(headers.get_all(RAW, b"x")) == [b"1", b"2"]
    assert headers.get(RAW, b"missing") is None
    assert headers.without(RAW, b"x", b"host") == [(b"accept", b"*/*")]
    assert headers.replaced(RAW, b"x", b"3") == [(b"Host", b"a"), (b"accept", b"*/*"), (b"x", b"3")]


def test_members_of_a_list_are_joined_over_headers() -> None:
    raw = [(b"cache-control", b"No-Store, max-age=0,"), (b"Cache-Control", b" private ,,")]
    assert headers.list_members(raw, b"cache-control") == [b"no-store", b"max-age=0", b"private"]
    assert headers.list_members([], b"cache-control") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [b"Cookie, DNT"]),
        ([b"Accept-Encoding"], [b"Accept-Encoding, Cookie, DNT"]),
        ([b"cookie"], [b"cookie, DNT"]),
        ([b"COOKIE", b"dnt"], [b"COOKIE", b"dnt"]),
        ([b"*"], [b"*"]),
        ([b"Origin", b"*"], [b"Origin", b"*"]),
    ],
)
def test_vary_gains_only_what_it_lacks(before: list[bytes], after: list[bytes]) -> None:
    raw = [(b"vary", value) for value in before]
    assert [value for _, value in headers.with_vary(raw, b"Cookie", b"DNT")] == after


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (b"gzip, br", [b"gzip", b"br"]),
        (b"gzip;q=0.5, br", [b"br", b"gzip"]),
        (b"gzip;q=0, br;q=0.0", []),
        (b"de-AT;q=0.8,en ; Q=0.9 , fr;q=1", [b"fr", b"en", b"de-AT"]),
        (b"a;q=nan, b;q=inf, c;q=-1, d;q=x, e;q=", [b"b"]),
        (b"gzip;level=3;q=0.1,*", [b"*", b"gzip"]),
        (b"", []),
        (b",;,;q=1,", []),
    ],
)
def test_quality_lists(value: bytes, members: list[bytes]) -> None:
    assert headers.quality_list(value) == members


@given(st.binary(max_size=200))
def test_a_quality_list_never_raises(value: bytes) -> None:
    assert all(isinstance(member, bytes) for member in headers.quality_list(value))


@pytest.mark.parametrize(
    ("sent", "pairs"),
    [
        ([b"a=1; b=2"], [("a", b"a=1"), ("b", b"b=2")]),
        ([b"a=1", b"b=2"], [("a", b"a=1"), ("b", b"b=2")]),
        ([b"a=1; a=2"], [("a", b"a=1"), ("a", b"a=2")]),
        ([b"a = 1 ;\tb=2;;"], [("a", b"a = 1"), ("b", b"b=2")]),
        ([b"lonely; =x"], [("", b"lonely"), ("", b"=x")]),
        ([b'a="x=y"; b=\xff'], [("a", b'a="x=y"'), ("b", b"b=\xff")]),
        ([b"\xe9=1"], [("é", b"\xe9=1")]),
        ([b""], []),
        ([], []),
    ],
)
def test_cookies_of_a_request(sent: list[bytes], pairs: list[tuple[str, bytes]]) -> None:
    assert headers.cookie_pairs([(b"cookie", value) for value in sent]) == pairs


def test_every_value_of_a_cookie_is_given_in_order() -> None:
    raw = [(b"cookie", b"c=1; d=2; c= 3"), (b"cookie", b"c=4=5")]
    assert headers.cookie_values(raw, "c") == ["1", "3", "4=5"]
    assert headers.cookie_values(raw, "C") == []


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_cookie_pairs_lose_no_byte_but_separators(values: list[bytes]) -> None:
    pairs = [pair for _, pair in headers.cookie_pairs([(b"cookie", value) for value in values])]
    plain = b"".join(values).translate(None, b"; \t")
    assert b"".join(pairs).translate(None, b"; \t") == plain


@given(st.binary(max_size=60) | st.from_regex(rb"([ab_]=[x= \t]{0,3}(; |;|,)?){0,4}", fullmatch=True))
def test_the_usual_cookies_are_the_same_cookies(header: bytes) -> None:
    """The fast reading is either the same as the careful one or none."""
    usual = headers.usual_cookies(header)
    pairs = headers.cookie_pairs([(b"cookie", header)])
    if usual is not None:
        assert [name for name, _ in pairs] == [name.decode() for name in usual]
        values = {name: value.decode("latin-1").strip(" \t") for name, value in usual.items()}
        assert all(headers.cookie_values([(b"cookie", header)], name.decode()) == [values[name]] for name in usual)


@pytest.mark.parametrize("header", [b"a=1", b"a=1; b=2", b"_ga=GA1.1.2; __Host-x=; c=d=e", b""])
def test_what_browsers_send_is_usual(header: bytes) -> None:
    assert headers.usual_cookies(header) is not None


@pytest.mark.parametrize("header", [b"a=1;b=2", b"a=1; a=2", b"a", b"=a", b"a=1;", b"a =1", b" a=1", b"a=1;  b=2"])
def test_what_else_is_sent_is_not(header: bytes) -> None:
    assert headers.usual_cookies(header) is None


def test_long_headers_cost_little() -> None:
    started = time.perf_counter()
    headers.quality_list(b"a;q=0.1," * 8_000)
    headers.cookie_pairs([(b"cookie", b"a=1;" * 16_000)])
    assert time.perf_counter() - started < 1
