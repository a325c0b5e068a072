"""``cookiegate classify``: headers from arguments and from a pipe, as text and as JSON."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cookiegate.cli import main
from cookiegate.cli.classify import fields_of, in_words

NOW = "--now=2026-11-22T12:00:00Z"

POLICY = """
[site]
name = "Example"
policy_version = "1"

[controller]
name = "Example Ltd"
email = "privacy@example.com"

[[cookie]]
name = "theme"
purpose = "preferences"

[[cookie]]
name = "exp_*"
purpose = "analytics"
lifetime = "P30D"
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "cookiegate.toml"
    file.write_text(POLICY, encoding="utf-8")
    return file


def run(*arguments: str, piped: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["classify", NOW, *arguments], input=piped)


def objects(*arguments: str, piped: bytes = b"") -> list[dict[str, Any]]:
    result = run("--format=json", *arguments, piped=piped)
    assert result.exit_code == 0, result.output
    answer: list[dict[str, Any]] = json.loads(result.stdout)
    return answer


def test_a_persistent_cookie_in_words() -> None:
    header = "_ga=GA1; Expires=Wed, 22 Nov 2028 12:00:00 GMT; Path=/; Domain=.example.com; Secure; SameSite=Lax"
    result = run("--host=www.example.com", header)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "_ga  persistent",
        "  lifetime  400 days, about 13 months; asked for: 731 days, about 2 years",
        "  expires   2027-12-27 12:00:00 UTC",
        "  sent to   example.com and its subdomains, path /",
        "  flags     Secure, SameSite=Lax",
        "  party     first party",
        "  purpose   analytics (google-analytics)",
        "  warning   Lifetime is cut from 731 to 400 days",
    ]


def test_a_session_cookie_of_a_framework() -> None:
    assert run("--host=Example.com:8000", "csrftoken=x; HttpOnly; SameSite=Strict").stdout.splitlines() == [
        "csrftoken  session",
        "  lifetime  until the browser's session ends",
        "  sent to   only example.com, path /",
        "  flags     HttpOnly, SameSite=Strict",
        "  party     first party",
        "  purpose   necessary (csrf)",
    ]


def test_a_deletion_has_no_lifetime() -> None:
    lines = run("zzz_own=; Max-Age=0; Path=/").stdout.splitlines()
    assert lines[:2] == ["zzz_own  deletion", "  lifetime  none: deletes the cookie"]
    assert "  purpose   not in the catalogue" in lines
    assert not any(line.startswith("  expires") for line in lines)


def test_json_has_every_field() -> None:
    (cookie,) = objects("--host=a.example", "--site=b.example", "x=é; Secure; SameSite=None; Max-Age=90")
    assert cookie == {
        "name": "x",
        "value": "é",
        "kind": "persistent",
        "expires_at": "2026-11-22T12:01:30+00:00",
        "lifetime_s": 90,
        "declared_lifetime_s": 90,
        "capped": False,
        "domain": None,
        "host_only": True,
        "path": "/",
        "secure": True,
        "http_only": False,
        "same_site": "none",
        "partitioned": False,
        "prefix": "",
        "prefix_ok": True,
        "third_party": True,
        "purpose": cookie["purpose"],
        "service": cookie["service"],
        "warnings": cookie["warnings"],
    }
    assert len(cookie["warnings"]) == 1
    assert "without Partitioned" in cookie["warnings"][0]


def test_a_response_is_piped_in() -> None:
    response = b"HTTP/2 200\r\nserver: x\r\nset-cookie: a=b; Path=/\r\nSET-COOKIE:c=d, e=f\r\n\r\n<p>Set it: g=h\r\n"
    assert [cookie["name"] for cookie in objects(piped=response)] == ["a", "c"]


def test_bare_headers_are_piped_in() -> None:
    assert [cookie["name"] for cookie in objects(piped=b"a=b\n\n  c=d; Secure\r\n")] == ["a", "c"]


def test_what_counts_as_a_field() -> None:
    assert fields_of(b"< HTTP/1.1 200 OK\n< Set-Cookie:  a=b\n> Cookie: c=d") == [b"a=b"]
    assert fields_of(b"HTTP/1.1 200 OK\nServer: x") == []
    assert fields_of(b"x=1; Set-Cookie: y=2\nz") == [b"x=1; Set-Cookie: y=2", b"z"]


def test_an_argument_may_name_the_field() -> None:
    assert [cookie["name"] for cookie in objects("Set-Cookie: a=b", "set-cookie:c=d")] == ["a", "c"]


@pytest.mark.parametrize("piped", [b"", b"\n \n", b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n<p>hello\r\n"])
def test_no_header_is_an_error_that_says_what_to_do(piped: bytes) -> None:
    result = run(piped=piped)
    assert result.exit_code == 1
    assert "no Set-Cookie header: give one as an argument" in result.stderr


def test_only_refused_cookies_are_an_error() -> None:
    result = run("=", "a=b\x01")
    assert result.exit_code == 1
    assert "because   it has neither a name nor a value" in result.stdout
    assert "because   it contains a control character" in result.stdout
    assert "a browser ignores all that was given" in result.stderr


def test_one_refused_cookie_among_others_is_none() -> None:
    refused, kept = objects("--host=example.com", "--insecure", "a=b; Secure", "c=d")
    assert (refused["name"], refused["kind"]) == ("a", None)
    assert refused["refused"] == "a Secure cookie cannot be set over an insecure connection"
    assert kept["kind"] == "session"


def test_the_policy_names_the_purpose(policy: Path) -> None:
    own, pattern, unknown = objects(f"--policy={policy}", "theme=dark", "exp_a=1; Max-Age=2592000", "x=y")
    assert (own["purpose"], own["service"], own["warnings"]) == ("preferences", None, [])
    assert (pattern["purpose"], pattern["warnings"]) == ("analytics", [])
    assert unknown["purpose"] is None


def test_what_is_not_as_declared_is_a_warning(policy: Path) -> None:
    longer, longer_still = objects(f"--policy={policy}", "theme=dark; Max-Age=60", "exp_a=1; Max-Age=5184000")
    assert longer["warnings"] == [f"In {policy} it is a session cookie"]
    assert longer_still["warnings"] == [f"In {policy} it lives 30 days (P30D)"]


def test_a_policy_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    result = run(f"--policy={tmp_path / 'none.toml'}", "a=b")
    assert result.exit_code == 1
    assert "none.toml" in result.stderr


def test_an_exact_name_goes_before_a_pattern() -> None:
    exact, pattern = objects("_ga=1", "_ga_AB12=1")
    assert exact["service"] == pattern["service"] == "google-analytics"


def test_a_header_cannot_drive_the_terminal() -> None:
    result = run("\x1b[2Ja=b", "c\u009b=d", "e=f; Domain=\u009b2J")
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in result.output.replace("\n", ""))
    assert "\\x1b[2Ja  refused" in result.stdout
    assert "c\\x9b  session" in result.stdout


def test_names_that_are_no_utf8_are_shown_as_latin1() -> None:
    assert objects(piped=b"caf\xe9=1")[0]["name"] == "café"
    assert objects(piped="café=1".encode())[0]["name"] == "café"


@pytest.mark.parametrize("time", ["2026-11-22T13:00:00+01:00", "2026-11-22T12:00:00", "2026-11-22 12:00"])
def test_the_moment_may_be_given_in_any_zone(time: str) -> None:
    (cookie,) = objects(f"--now={time}", "a=b; Max-Age=60")
    assert cookie["expires_at"] == "2026-11-22T12:01:00+00:00"


def test_mistaken_options_are_explained() -> None:
    bad_time = run("--now=soon", "a=b")
    assert (bad_time.exit_code, "'soon' is not an ISO 8601 time" in bad_time.stderr) == (2, True)
    no_host = run("--site=example.com", "a=b")
    assert (no_host.exit_code, "give that --host too" in no_host.stderr) == (2, True)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(0), "0 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=0.7), "1 second"),
        (timedelta(minutes=20), "20 minutes"),
        (timedelta(hours=1, minutes=30, seconds=5), "1 hour 30 minutes"),
        (timedelta(days=1, seconds=1), "1 day 1 second"),
        (timedelta(days=59), "59 days"),
        (timedelta(days=90), "90 days, about 3 months"),
        (timedelta(days=365), "365 days, about 12 months"),
        (timedelta(days=3650), "3,650 days, about 10 years"),
    ],
)
def test_durations_in_words(span: timedelta, words: str) -> None:
    assert in_words(span) == words
