"""`cookiegate.cookies`: our own cases, and properties that hold for every header."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cookiegate.cookies import (
    LIFETIME_LIMIT,
    Refused,
    SetCookie,
    canonical_host,
    default_path,
    domain_match,
    expire,
    is_ip_address,
    is_public_suffix,
    parse_cookie_date,
    parse_set_cookie,
    path_match,
    read_set_cookie,
    registrable_domain,
    rewrite,
    same_site,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "set-cookie.json").read_text("utf-8"))
NOW = datetime.fromisoformat(VECTORS["now"])


def _header(parts: str | list[str | list[Any]]) -> bytes:
    pieces: Iterable[str | list[Any]] = [parts] if isinstance(parts, str) else parts
    return b"".join((piece if isinstance(piece, str) else piece[0] * piece[1]).encode("latin-1") for piece in pieces)


def _read(case: dict[str, Any]) -> SetCookie | Refused:
    request = {key: case[key] for key in ("host", "secure", "path", "site", "spec") if key in case}
    return read_set_cookie(_header(case["header"]), now=NOW, **request)


def _seen(cookie: SetCookie, key: str) -> object:
    """One field of a cookie as the vectors write it."""
    seconds = {"lifetime_s": cookie.lifetime, "declared_s": cookie.declared_lifetime}
    if key in seconds:
        span = seconds[key]
        return None if span is None else span.total_seconds()
    if key == "path_length":
        return len(cookie.path or "")
    value = getattr(cookie, key)
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _ids(case: dict[str, Any]) -> str:
    return f"{case['clause']}: {case['note']}"


@pytest.mark.parametrize("case", VECTORS["cases"], ids=_ids)
def test_vector(case: dict[str, Any]) -> None:
    result = _read(case)
    if case["expect"] is None:
        assert isinstance(result, Refused)
        assert case["refused"] in result.reason
        return
    expected = dict(case["expect"])
    warning = expected.pop("warning", "")
    assert isinstance(result, SetCookie)
    assert {key: _seen(result, key) for key in expected} == expected
    assert any(warning in text for text in result.warnings) or not warning


def test_vectors_are_many_and_distinct() -> None:
    asked = [json.dumps({**case, "note": "", "expect": ""}) for case in VECTORS["cases"]]
    assert len(set(asked)) == len(asked) >= 80


# Properties

UNHURRIED = settings(deadline=None)
"""The first example with a host also reads the public suffix list."""

WORDS = b"__Host- Max-Age Expires Domain Path Secure SameSite=None Partitioned HttpOnly example.com -1".split()
DATES = [b"Mon, 23 Nov 2026 12:00:00 GMT", b"Thu, 01 Jan 1970 00:00:00 GMT"]
PIECES = st.sampled_from([*WORDS, *DATES, *(bytes([octet]) for octet in b'; =/.,"a0\t\x00\xff'), b"9" * 20])
HEADERS = st.binary() | st.lists(PIECES, max_size=24).map(b"".join)
HOSTS = st.none() | st.text(max_size=20) | st.sampled_from(["example.com", "a.co.uk", "127.0.0.1", "[::1]:80"])
MOMENTS = st.datetimes(timezones=st.just(UTC))


@UNHURRIED
@given(
    header=HEADERS | st.text(),
    now=MOMENTS,
    host=HOSTS,
    site=HOSTS,
    spec=st.sampled_from(["rfc6265bis", "rfc6265"]),
)
def test_any_header_is_read_without_an_error(
    header: bytes | str, now: datetime, host: str | None, site: str | None, spec: Any
) -> None:
    parse_set_cookie(header, now=now, host=host, site=site, secure=False, path="/x", spec=spec)


@given(header=HEADERS, now=MOMENTS)
def test_kind_lifetime_and_expiry_agree(header: bytes, now: datetime) -> None:
    cookie = parse_set_cookie(header, now=now)
    if cookie is None:
        return
    if cookie.kind == "session":
        assert (cookie.expires_at, cookie.lifetime, cookie.declared_lifetime) == (None, None, None)
        return
    assert cookie.expires_at is not None
    assert cookie.lifetime is not None
    assert (cookie.kind == "deletion") == (cookie.expires_at <= now)
    assert timedelta(0) <= cookie.lifetime <= LIFETIME_LIMIT
    assert cookie.kind == "deletion" or cookie.expires_at == now + cookie.lifetime


@UNHURRIED
@given(header=HEADERS)
def test_with_a_host_there_is_never_more_than_without(header: bytes) -> None:
    alone = parse_set_cookie(header, now=NOW)
    stored = parse_set_cookie(header, now=NOW, host="www.example.com", secure=True)
    if stored is not None:
        assert alone is not None
        assert (stored.name, stored.value, stored.expires_at) == (alone.name, alone.value, alone.expires_at)
        assert not any(text.startswith("A browser refuses it") for text in stored.warnings)


@given(header=HEADERS, max_age=st.integers(1, 34_560_000))
@example(header=b"a=b; Expires=Mon, 23 Nov 2026 12:00:00 GMT; Path=/; Max-Age=9; Secure", max_age=5)
def test_rewrite_changes_the_lifetime_and_nothing_else(header: bytes, max_age: int) -> None:
    before = parse_set_cookie(header, now=NOW)
    after = parse_set_cookie(rewrite(header, max_age=max_age), now=NOW)
    if before is None or after is None:
        assert before is after
        return
    assert after.lifetime == timedelta(seconds=max_age)
    lifetime_fields = {"kind", "expires_at", "lifetime", "declared_lifetime", "capped", "warnings"}
    kept = [field for field in SetCookie.__slots__ if field not in lifetime_fields]
    assert [getattr(after, field) for field in kept] == [getattr(before, field) for field in kept]


@given(st.text())
def test_any_text_is_a_date_or_none(text: str) -> None:
    moment = parse_cookie_date(text)
    assert moment is None or moment.tzinfo is UTC


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001
def test_http_dates_are_read_back(moment: datetime) -> None:
    whole = moment.replace(microsecond=0, tzinfo=UTC)
    assert parse_cookie_date(whole.strftime("%a, %d %b %Y %H:%M:%S GMT")) == whole


@UNHURRIED
@given(st.text(max_size=40))
def test_any_host_has_a_site_or_none(host: str) -> None:
    domain = registrable_domain(host)
    assert domain is None or canonical_host(host).endswith(domain)
    assert same_site(host, host)


# Clock and text


def test_a_naive_clock_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        parse_set_cookie(b"a=b", now=datetime(2026, 11, 22))  # noqa: DTZ001


def test_the_zone_of_the_clock_does_not_matter() -> None:
    elsewhere = NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    header = b"a=b; Expires=Sun, 22 Nov 2026 13:00:00 GMT"
    assert parse_set_cookie(header, now=elsewhere) == parse_set_cookie(header, now=NOW)
    cookie = parse_set_cookie(b"a=b; Max-Age=60", now=elsewhere)
    assert cookie is not None
    assert cookie.expires_at is not None
    assert cookie.expires_at.isoformat() == "2026-11-22T12:01:00+00:00"


def test_text_is_latin1_and_beyond_that_utf8() -> None:
    latin, wide = parse_set_cookie("a=é", now=NOW), parse_set_cookie("a=春", now=NOW)
    assert latin is not None
    assert wide is not None
    assert latin.value == "é"
    assert wide.value.encode("latin-1") == "春".encode()


# Hosts, sites and paths


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("WWW.Example.COM:8080", "example.com"),
        ("www.example.co.uk", "example.co.uk"),
        ("user.github.io", "user.github.io"),
        ("www.bücher.example", "xn--bcher-kva.example"),
        ("www.example.com.", "example.com."),
        ("com", None),
        ("co.uk", None),
        ("github.io", None),
        ("localhost", None),
        ("127.0.0.1", None),
        ("0x7f.1", None),
        ("127.0.0.0x1", None),
        ("[2001:db8::1]:443", None),
        ("2001:db8::1", None),
        ("", None),
        ("..", None),
    ],
)
def test_registrable_domain(host: str, domain: str | None) -> None:
    assert registrable_domain(host) == domain


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("www.example.com", "static.example.com", True),
        ("example.com", "EXAMPLE.com:8000", True),
        ("example.com", "example.org", False),
        ("one.github.io", "two.github.io", False),
        ("localhost", "localhost:3000", True),
        ("app.localhost", "localhost", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("github.io", "one.github.io", False),
    ],
)
def test_same_site(one: str, other: str, same: bool) -> None:
    assert same_site(one, other) is same
    assert same_site(other, one) is same


def test_addresses_and_suffixes() -> None:
    assert is_ip_address("10.0.0.1")
    assert is_ip_address("::1")
    assert not is_ip_address("10.example")
    assert is_public_suffix("co.uk")
    assert not is_public_suffix("10.0.0.1")
    assert not domain_match("10.0.0.1", "0.1")


@pytest.mark.parametrize(
    ("request_path", "path"),
    [
        ("", "/"),
        ("x/y", "/"),
        ("/", "/"),
        ("/a", "/"),
        ("/a/", "/a"),
        ("/a/b", "/a"),
        ("//", "/"),
        ("/a//b", "/a/"),
    ],
)
def test_default_path(request_path: str, path: str) -> None:
    assert default_path(request_path) == path


@pytest.mark.parametrize(
    ("request_path", "cookie_path", "matches"),
    [
        ("/a", "/a", True),
        ("/a/", "/a", True),
        ("/a/b", "/a", True),
        ("/ab", "/a", False),
        ("/a", "/a/", False),
        ("/a/b", "/a/", True),
        ("/anything", "/", True),
        ("/A", "/a", False),
    ],
)
def test_path_match(request_path: str, cookie_path: str, matches: bool) -> None:
    assert path_match(request_path, cookie_path) is matches


# Writing


@pytest.mark.parametrize(
    ("header", "rewritten"),
    [
        (b"a=b", b"a=b; Max-Age=60"),
        (b'a="b c";Path=/ ;  HttpOnly', b'a="b c";Path=/ ;  HttpOnly; Max-Age=60'),
        (b"a=b; expires=Mon, 23 Nov 2026 12:00:00 GMT; Path=/", b"a=b; Max-Age=60; Path=/"),
        (b"a=b; MAX-AGE = 9;Secure; Expires=x;max-age", b"a=b; Max-Age=60;Secure"),
        (b"Expires=1; Path=/", b"Expires=1; Path=/; Max-Age=60"),
        (b"a=\xe9\xff; Foo=Max-Age", b"a=\xe9\xff; Foo=Max-Age; Max-Age=60"),
    ],
)
def test_rewrite(header: bytes, rewritten: bytes) -> None:
    assert rewrite(header, max_age=60) == rewritten


def test_rewrite_knows_no_negative_lifetime() -> None:
    with pytest.raises(ValueError, match="give 0"):
        rewrite(b"a=b", max_age=-1)


@pytest.mark.parametrize(
    ("wanted", "header"),
    [
        ({"name": "a"}, b"a=; Max-Age=0; Path=/"),
        (
            {"name": "_ga", "path": "/x", "domain": "example.com"},
            b"_ga=; Max-Age=0; Path=/x; Domain=example.com",
        ),
        ({"name": "a", "secure": True, "http_only": True}, b"a=; Max-Age=0; Path=/; Secure; HttpOnly"),
        ({"name": "a", "same_site": "none"}, b"a=; Max-Age=0; Path=/; Secure; SameSite=None"),
        ({"name": "a", "partitioned": True}, b"a=; Max-Age=0; Path=/; Secure; Partitioned"),
        ({"name": "__Secure-a"}, b"__Secure-a=; Max-Age=0; Path=/; Secure"),
        ({"name": "__host-a"}, b"__host-a=; Max-Age=0; Path=/; Secure"),
        ({"name": "__Host-Http-a"}, b"__Host-Http-a=; Max-Age=0; Path=/; Secure; HttpOnly"),
        ({"name": ""}, b"=x; Max-Age=0; Path=/"),
        ({"name": "\u00c3\u00a9"}, b"\xc3\xa9=; Max-Age=0; Path=/"),
    ],
)
def test_expire(wanted: dict[str, Any], header: bytes) -> None:
    assert expire(**wanted) == header


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": "a;b"},
        {"name": "a=b"},
        {"name": "a\r\nSet-Cookie: c"},
        {"name": " a"},
        {"name": "a", "path": "/; Domain=evil.example"},
        {"name": "a", "domain": "x\n"},
        {"name": "__Host-a", "domain": "example.com"},
        {"name": "__Host-a", "path": "/x"},
    ],
)
def test_expire_refuses_what_no_browser_would_take(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be the|has no domain"):
        expire(**wanted)


@UNHURRIED
@given(
    name=st.text(st.characters(max_codepoint=255)),
    prefix=st.sampled_from(["", "__Secure-", "__hOsT-", "__Http-"]),
)
def test_what_expire_writes_deletes_that_cookie_in_a_browser(name: str, prefix: str) -> None:
    try:
        header = expire(prefix + name)
    except ValueError:
        return
    cookie = parse_set_cookie(header, now=NOW, host="www.example.com", secure=True)
    assert cookie is not None
    assert (cookie.name, cookie.kind, cookie.path, cookie.domain) == (prefix + name, "deletion", "/", None)
