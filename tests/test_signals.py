"""What a request says unasked: opt-out signals, language, country, kind, and whom to believe."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.policy import Policy
from cookiegate.signals import Signals, is_trusted, negotiate, read

LOCALES = ("en", "de", "pt", "pt-BR")
Raw = list[tuple[bytes, bytes]]


def signals(policy: Policy, *raw: tuple[bytes, bytes], secure: bool = True, peer: str = "203.0.113.77") -> Signals:
    return read(raw, policy, locales=LOCALES, secure=secure, peer=peer)


@pytest.mark.parametrize(
    ("values", "on"),
    [
        ([b"1"], True),
        ([b" 1 "], True),
        ([b"0", b"1"], True),
        ([], False),
        ([b""], False),
        ([b"0"], False),
        ([b"true"], False),
        ([b"11"], False),
        ([b'"1"'], False),
        ([b"?1"], False),
    ],
)
def test_only_exactly_one_is_a_signal(policy: Policy, values: list[bytes], on: bool) -> None:
    assert signals(policy, *((b"sec-gpc", value) for value in values)).gpc is on
    assert signals(policy, *((b"DNT", value) for value in values)).dnt is on


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        (None, "en"),
        (b"", "en"),
        (b"de", "de"),
        (b"DE-at", "de"),
        (b"fr, de;q=0.5", "de"),
        (b"fr", "en"),
        (b"de;q=0", "en"),
        (b"pt-br", "pt-BR"),
        (b"pt-PT", "pt"),
        (b"en;q=0.1, de;q=0.2", "de"),
        (b"*", "en"),
        (b"\xff\xfe", "en"),
        (b"-", "en"),
    ],
)
def test_the_language_is_looked_up(header: bytes | None, locale: str) -> None:
    assert negotiate(header, LOCALES) == locale


@given(st.binary(max_size=300))
def test_some_language_is_always_found(header: bytes) -> None:
    assert negotiate(header, LOCALES) in LOCALES


@pytest.mark.parametrize("header", [b"a-" * 30_000, b"x," * 30_000, b"de-" + b"a" * 60_000])
def test_a_long_wish_for_languages_costs_little(header: bytes) -> None:
    started = time.perf_counter()
    negotiate(header, LOCALES)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("value", "country"),
    [(b"de", "DE"), (b" SE ", "SE"), (b"XX", ""), (b"T1", ""), (b"DEU", ""), (b"", ""), (b"\xc4\xc4", ""), (b"1A", "")],
)
def test_a_proxys_country_is_two_letters(policy: Policy, value: bytes, country: str) -> None:
    assert signals(policy, (b"x-country", value), peer="127.0.0.1").country == country


def test_two_countries_are_none(policy: Policy) -> None:
    one, other = (b"x-country", b"DE"), (b"x-country", b"FR")
    assert signals(policy, one, one, peer="127.0.0.1").country == "DE"
    assert signals(policy, one, other, peer="127.0.0.1").country == ""


@pytest.mark.parametrize(
    ("peer", "believed"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),  # the policy names a network
        ("::ffff:127.0.0.1", True),
        ("::1", True),
        ("::2", False),
        ("203.0.113.77", False),
        ("", False),
        ("testclient", False),
        ("127.0.0.1 ", False),
    ],
)
def test_only_a_trusted_proxy_is_believed(policy: Policy, peer: str, believed: bool) -> None:
    said = signals(policy, (b"x-country", b"DE"), (b"x-forwarded-proto", b"https"), secure=False, peer=peer)
    assert (said.country, said.secure) == (("DE", True) if believed else ("", False))
    assert is_trusted(peer, policy.site.trusted_proxies) is believed


def test_nobody_is_trusted_unasked() -> None:
    assert not is_trusted("127.0.0.1", ())


@pytest.mark.parametrize(
    ("proto", "secure"),
    [
        (b"https", True),
        (b"HTTPS", True),
        (b"http", False),
        (b"http, https", True),
        (b"https, http", False),
        (b"", False),
    ],
)
def test_the_nearest_proxy_tells_the_scheme(policy: Policy, proto: bytes, secure: bool) -> None:
    assert signals(policy, (b"x-forwarded-proto", proto), secure=False, peer="127.0.0.1").secure is secure


def test_a_secure_connection_stays_one(policy: Policy) -> None:
    assert signals(policy, (b"x-forwarded-proto", b"http"), peer="127.0.0.1").secure


@pytest.mark.parametrize(
    ("raw", "document"),
    [
        ([], True),
        ([(b"sec-fetch-dest", b"document")], True),
        ([(b"sec-fetch-dest", b"iframe")], False),
        ([(b"sec-fetch-dest", b"empty")], False),
        ([(b"sec-fetch-dest", b"")], False),
        ([(b"hx-request", b"true")], False),
        ([(b"x-requested-with", b"XMLHttpRequest")], False),
        ([(b"turbo-frame", b"f")], False),
        ([(b"sec-fetch-dest", b"document"), (b"x-requested-with", b"com.example.app")], True),
    ],
)
def test_pages_are_told_from_fragments(policy: Policy, raw: Raw, document: bool) -> None:
    assert signals(policy, *raw).document is document


@pytest.mark.parametrize(
    ("raw", "prefetch"),
    [
        ([], False),
        ([(b"sec-purpose", b"prefetch;prerender")], True),
        ([(b"purpose", b"prefetch")], True),
        ([(b"x-moz", b"prefetch")], True),
        ([(b"sec-purpose", b"Prefetch")], True),
        ([(b"purpose", b"other")], False),
    ],
)
def test_speculative_loads_are_seen(policy: Policy, raw: Raw, prefetch: bool) -> None:
    assert signals(policy, *raw).prefetch is prefetch
