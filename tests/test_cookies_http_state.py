"""The conformance cases of the IETF http-state group, through a small cookie jar over `cookiegate.cookies`.

The cases are not part of this repository; they are looked for in ``$COOKIEGATE_TEST_DATA`` or beside it. They
were written in 2010 and 2011 for RFC 6265, and their dates assume a clock of that time.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from cookiegate.cookies import (
    SetCookie,
    Spec,
    canonical_host,
    domain_match,
    parse_cookie_date,
    parse_set_cookie,
    path_match,
)

NOW = datetime(2011, 4, 1, tzinfo=UTC)
HOST, PATH, RESULT_PATH = "home.example.org", "/cookie-parser", "/cookie-parser-result"
DATA = Path(os.environ.get("COOKIEGATE_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")

Pairs = list[tuple[str, str]]

DISABLED = {
    "DISABLED_CHROMIUM0022": "wants the value cut at NUL: rfc6265bis drops the cookie, RFC 6265 cuts nothing",
    "DISABLED_CHROMIUM0023": "wants the value cut at CR: rfc6265bis drops the cookie, RFC 6265 cuts nothing",
    "DISABLED_PATH0029": "wants %6F in a path to equal o: both specifications compare paths undecoded",
}
"""Cases their own authors had switched off: no specification asks for what they expect."""

BIS_EXPECTATIONS: dict[str, Pairs] = {
    # A pair without "=" is the value of a nameless cookie (rfc6265bis 5.6 step 3), where RFC 6265 dropped it.
    "0004": [("", "foo")],
    "0023": [("", "foo")],
    "0024": [("", "foo")],
    "0025": [("", "foo")],
    "0026": [("", "foo")],
    "0027": [("", "bar")],
    "0028": [("", "foo")],
    "CHROMIUM0009": [("", "BLAHHH")],
    "CHROMIUM0010": [("", '"BLA\\"HHH"')],
    "MOZILLA0012": [("test", '"fubar! = foo'), ("", "five")],
    "MOZILLA0014": [("", "six")],
    "MOZILLA0015": [("", "seven")],
    "NAME0023": [("", "foo")],
    "NAME0031": [("", '"foo')],
    "NAME0032": [("", '"foo\\"bar')],
    # An empty name is a nameless cookie too (rfc6265bis 5.6 step 3), where RFC 6265 dropped it.
    "0021": [("a", "b"), ("", "x"), ("c", "d")],
    "CHROMIUM0012": [("", "ABC")],
    "MOZILLA0016": [("", "eight")],
    "MOZILLA0017": [("", "eight"), ("test", "six")],
    "NAME0017": [("", "a=bar")],
    "NAME0025": [("", "==a=bar")],
    "NAME0028": [("", "a")],
    "NAME0033": [("", "aaa")],
    # An empty Domain takes back an earlier one (rfc6265bis 5.6.3), where RFC 6265 ignored it.
    "OPTIONAL_DOMAIN0042": [("foo", "bar")],
}
"""What rfc6265bis asks for in the 24 cases where it departs from RFC 6265 on purpose."""


@dataclass
class Jar:
    """As much of a cookie store as the cases need (RFC 6265 5.3 and 5.4), for plain-HTTP requests."""

    spec: Spec
    cookies: dict[tuple[object, ...], SetCookie] = field(default_factory=dict)

    def receive(self, header: bytes) -> None:
        cookie = parse_set_cookie(header, now=NOW, host=HOST, path=PATH, secure=False, spec=self.spec)
        if cookie is None:
            return
        key = (
            cookie.name,
            cookie.domain or HOST,
            cookie.host_only and self.spec == "rfc6265bis",
            cookie.path,
        )
        if cookie.kind == "deletion":
            self.cookies.pop(key, None)
        else:
            self.cookies[key] = cookie  # a replaced cookie keeps its place: its creation time stays

    def send(self, url: str) -> Pairs:
        target = urlsplit(url)
        host = canonical_host(target.hostname or "")
        fitting = [cookie for cookie in self.cookies.values() if self._fits(cookie, host, target.path)]
        ordered = sorted(fitting, key=lambda cookie: -len(cookie.path or "/"))
        return [(_utf8(cookie.name), _utf8(cookie.value)) for cookie in ordered]

    @staticmethod
    def _fits(cookie: SetCookie, host: str, path: str) -> bool:
        ours = host == HOST if cookie.domain is None else domain_match(host, cookie.domain)
        return ours and not cookie.secure and path_match(path, cookie.path or "/")


def _utf8(text: str) -> str:
    return text.encode("latin-1").decode("utf-8")


def _load(name: str) -> list[dict[str, Any]]:
    """The cases of one file, or none where it is absent. A leading block of ``//`` comments is skipped."""
    file = DATA / "http-state" / name
    if not file.is_file():
        return []
    cases: list[dict[str, Any]] = json.loads(re.sub(r"(?m)^//.*$", "", file.read_text("utf-8")))
    return cases


PARSER, DATES = _load("parser.json"), _load("dates.json") + _load("bsd-dates.json")

needs_data = pytest.mark.skipif(
    not (PARSER and DATES),
    reason=f"no http-state cases in {DATA / 'http-state'}: set COOKIEGATE_TEST_DATA to where they are",
)


def _sent(case: dict[str, Any], spec: Spec) -> Pairs:
    jar = Jar(spec)
    for header in case["received"]:
        jar.receive(header.encode("utf-8"))
    return jar.send(urljoin(f"http://{HOST}{PATH}", case.get("sent-to", RESULT_PATH)))


def _expected(case: dict[str, Any], spec: Spec) -> Pairs:
    original = [(pair["name"], pair["value"]) for pair in case["sent"]]
    return BIS_EXPECTATIONS.get(case["test"], original) if spec == "rfc6265bis" else original


def _failing(spec: Spec) -> set[str]:
    return {case["test"] for case in PARSER if _sent(case, spec) != _expected(case, spec)}


@needs_data
def test_all_cases_are_there() -> None:
    assert len(PARSER) == 222
    assert len(DATES) == 70


@needs_data
@pytest.mark.parametrize("spec", ["rfc6265", "rfc6265bis"])
def test_exactly_the_disabled_cases_deviate(spec: Spec) -> None:
    assert _failing(spec) == set(DISABLED)


@needs_data
def test_the_overlay_holds_nothing_that_rfc6265_expects_too() -> None:
    originals = {case["test"]: _expected(case, "rfc6265") for case in PARSER}
    assert len(BIS_EXPECTATIONS) == 24
    assert all(originals[name] != expected for name, expected in BIS_EXPECTATIONS.items())


@needs_data
@pytest.mark.parametrize("case", DATES, ids=lambda case: case["test"] or "empty")
def test_cookie_dates(case: dict[str, str | None]) -> None:
    expected = case["expected"]
    wanted = expected and datetime.strptime(expected, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert parse_cookie_date(case["test"] or "") == wanted
