"""Sentinels: what a visitor shows the server is nowhere on its disk, but for what a lawful basis covers.

A server in a process of its own logs all it can to a file; visitors come whose every word can be recognised; the
server ends well or is killed; then every byte it left is searched: database, journals, logs, exports.
"""

from __future__ import annotations

import ipaddress
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import httpx
import pytest
from http_samples import FIREFOX, Served, served

from cookiegate.exports import export_consents, export_usage
from cookiegate.record import ConsentRecord
from cookiegate.store import Store, UsageRow, open_store
from cookiegate.testing import find_bytes

FORMATS: tuple[Literal["csv"], Literal["jsonl"]] = ("csv", "jsonl")
PEER, FORWARDED = "127.66.77.88", "198.51.100.123"
ADDRESSES: list[str | bytes] = [
    PEER,
    FORWARDED,
    *(ipaddress.ip_address(address).packed for address in (PEER, FORWARDED)),
]
WORDS = ["zqxj", "Bearer", "zqxj%40", "zqxj@"]
"""Every word of the visitor begins with these four letters, which not even a random key holds by chance."""
DETAILS = ["198.51.100.", "127.66.77.", "firefox", "linux", "mozilla"]
"""What would be kept of a visitor who allows it."""

HEADERS = {
    "user-agent": f"{FIREFOX} zqxjagent/7.7",
    "referer": "https://zqxjreferrer.example/zqxjpath?zqxjtoken=zqxjvalue#zqxjfragment",
    "accept-language": "zqxj-ZQ, en",
    "authorization": "Bearer zqxjcredential",
    "x-zqxjheader": "zqxjheadervalue",
    "sec-ch-ua-model": "zqxjphone",
    "cookie": "sid=zqxjsession; theme=zqxjtheme; _ga=zqxjclient; cg_consent=zqxjbadconsent; unknown=zqxjmystery",
}
PATHS = [
    "/?email=zqxj@example.com",
    "/plain?zqxjquery=1",
    "/people/zqxjname",
    "/invite/zqxj@example.com",
    "/invite/zqxj%40example.com?x=zqxj",
    "/call/+49-170-1234567",
    "/early-failure?zqxj",
    "/late-failure?zqxj",
    "/echo?zqxj",
    "/gone?zqxj",
    "/_privacy?return_to=/zqxjcentre",
    "/_privacy/zqxjmissing",
    "/_privacy/files/zqxjfile.css",
    "/stream?zqxj=1",
]
FORMS = [
    {"choice": "zqxjchoice"},
    {"choice": "save", "purpose": "zqxjpurpose"},
    {"choice": "accept", "return_to": "//zqxjevil.example/"},
    {"choice": "accept", "zqxjfield": "zqxj" * 20_000},
]


class Loopback(httpx.Client):
    """A browser whose address is one of the loopback network's that nothing else has."""

    def __init__(self, server: Served, **headers: str) -> None:
        transport = httpx.HTTPTransport(local_address=PEER)
        super().__init__(transport=transport, base_url=server.origin, headers={**HEADERS, **headers})


def visit(browser: httpx.Client) -> None:
    """Ask for everything, and send every kind of wrong form."""
    for path in PATHS:
        try:
            browser.get(path)
        except httpx.TransportError:
            assert "late-failure" in path
    for form in FORMS:
        assert browser.post("/_privacy/choices", data=form).status_code in {400, 413}
    cross_site = {"origin": "https://zqxjorigin.example"}
    assert browser.post("/_privacy/choices", data={"choice": "accept"}, headers=cross_site).status_code == 403


def choose(browser: httpx.Client, choice: str) -> None:
    """Choose, and bring the cookie along from now on."""
    form = {"choice": choice, "return_to": "/invite/zqxj%40example.com?zqxjquery"}
    answer = browser.post("/_privacy/choices", data=form)
    assert answer.status_code == 303
    browser.headers["cookie"] = f"{HEADERS['cookie']}; cg_consent={answer.cookies['cg_consent']}"
    browser.cookies.clear()


@contextmanager
def store_of(folder: Path) -> Iterator[Store]:
    store = open_store(folder / "cookiegate.db", clock=lambda: datetime.now(UTC), create=False)
    try:
        yield store
    finally:
        store.close()


def end(server: Served, folder: Path, *, how: str) -> None:
    """Stop the server, or kill it once what was counted is written."""
    if how == "stop":
        server.stop()
        return
    deadline = time.monotonic() + 10
    with closing(sqlite3.connect(folder / "cookiegate.db")) as reader:
        while time.monotonic() < deadline:
            if reader.execute("SELECT sum(views) FROM counters WHERE page LIKE '/stream%'").fetchone()[0]:
                break
            time.sleep(0.02)
    server.kill()


def export_all(folder: Path) -> None:
    """Everything that can be exported, in every form, beside the database."""
    with store_of(folder) as store:
        for kind in FORMATS:
            with (folder / f"consents.{kind}").open("wb") as out:
                export_consents(store, out, format=kind)
            with (folder / f"usage.{kind}").open("wb") as out:
                export_usage(store, out, format=kind)


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("choice", ["", "reject"])
def test_of_a_visitor_without_a_basis_nothing_is_left(tmp_path: Path, how: str, choice: str) -> None:
    with served(tmp_path, "--no-access-log", "--log-level", "debug", DEBUG="1") as server:
        for forwarded in ({}, {"x-forwarded-for": f"zqxjhost, {FORWARDED}"}):
            with Loopback(server, **forwarded) as browser:
                if choice:
                    choose(browser, choice)
                visit(browser)
        end(server, tmp_path, how=how)
    assert (tmp_path / "server.log").stat().st_size > 1_000, "a log that says nothing proves nothing"
    assert find_bytes(tmp_path, *ADDRESSES, *WORDS, *DETAILS) == []
    export_all(tmp_path)
    assert find_bytes(tmp_path, *ADDRESSES, *WORDS, *DETAILS) == []
    with store_of(tmp_path) as store:
        assert store.count_usage() == 0
        assert store.count_consents() == (2 if choice else 0)
        pages = {page.name for page in store.sums(top=100).pages}
        assert pages >= {"/people/{name}"}, "they were counted all the same"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_of_a_visitor_who_allows_it_only_the_fields_are_left(tmp_path: Path, how: str) -> None:
    with served(tmp_path, "--no-access-log", "--log-level", "debug", DEBUG="1") as server:
        with Loopback(server, **{"x-forwarded-for": FORWARDED}) as browser:
            choose(browser, "accept")
            visit(browser)
        end(server, tmp_path, how=how)
    export_all(tmp_path)
    assert (
        find_bytes(tmp_path, *ADDRESSES, "zqxjagent", "zqxjtoken", "zqxjvalue", "zqxjpath", "zqxjfragment", "Bearer")
        == []
    )
    assert (
        find_bytes(
            tmp_path, "zqxjsession", "zqxjtheme", "zqxjclient", "zqxjmystery", "zqxjquery", "zqxjheader", "zqxjphone"
        )
        == []
    )
    assert (
        find_bytes(tmp_path, "zqxj@", "zqxj%40", "@example.com", "1234567", "zqxjchoice", "zqxjpurpose", "zqxjevil")
        == []
    )
    assert find_bytes(tmp_path / "server.log", "zqxj") == []
    with store_of(tmp_path) as store:
        (choice,) = store.consents()
        rows = list(store.usage())
    assert {row.path for row in rows} >= {"/", "/plain", "/people/zqxjname", "/invite/:email", "/call/:number"}
    assert {(row.ip, row.browser, row.browser_version, row.os) for row in rows} == {
        ("198.51.100.0", "Firefox", "140", "Linux")
    }
    assert {row.referrer for row in rows} == {"https://zqxjreferrer.example"}
    assert {(row.consent_id, row.basis, row.purpose) for row in rows} == {(choice.consent_id, "consent", "analytics")}
    assert choice.path == "/invite/:email"


def test_while_the_store_is_away_nothing_is_left_elsewhere(tmp_path: Path) -> None:
    log_all = served(tmp_path, "--no-access-log", "--log-level", "debug", DEBUG="1")
    with log_all as server, Loopback(server, **{"x-forwarded-for": FORWARDED}) as browser:
        choose(browser, "accept")
        with closing(sqlite3.connect(tmp_path / "cookiegate.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            visit(browser)
            time.sleep(0.3)
            server.kill()
    assert find_bytes(tmp_path, *ADDRESSES, *WORDS, *DETAILS) == []


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """The oracle sees a leak: uvicorn's own access log prints addresses and queries, so it is off in the others."""
    with served(tmp_path, "--log-level", "trace") as server, Loopback(server) as browser:
        visit(browser)
        server.stop()
    found = {sentinel for _, sentinel in find_bytes(tmp_path, *ADDRESSES, *WORDS)}
    assert {PEER.encode(), b"zqxj"} <= found


def test_no_field_can_hold_more_than_the_documented_ones() -> None:
    """A new column is a decision: docs/usage.md has to say what it is for."""
    document = (Path(__file__).parents[1] / "docs" / "usage.md").read_text()
    for kind in (UsageRow, ConsentRecord):
        for field in fields(kind):
            assert f"`{field.name}`" in document, f"{kind.__name__}.{field.name}"
