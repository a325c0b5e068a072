"""News and blog pages as they are: byte for byte when everything is allowed, and nobody else's when nothing is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cookiegate.gate.elements import Elements
from cookiegate.gate.resources import Decider, Resources, Withheld
from cookiegate.gate.scanner import Scanner
from cookiegate.policy import Policy
from cookiegate.preview import verdict_for

from . import oracle
from .campaign import ENGINES
from .support import NOW, POLICY, service

DATA = Path(os.environ.get("COOKIEGATE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
PAGES = sorted((DATA / "pages").glob("*.html"))
HOST = "www.newspaper.example"
URL = f"https://{HOST}/news/1"
PLAIN = replace(POLICY, services=(), known=())
SLOW = 150_000
"""Bytes beyond which what stands on html5lib would take most of the time of all tests."""
MARK = b"<!-- what the gate inserts -->"

pytestmark = pytest.mark.skipif(not PAGES, reason=f"no real pages in {DATA}: set COOKIEGATE_TEST_DATA")


def gate(page: bytes, policy: Policy, *, insert: bytes = b"", piece: int = 1 << 30) -> tuple[bytes, list[Withheld]]:
    """A page through the scanner with everything granted, and what was withheld all the same."""
    notes: list[Withheld] = []
    decider = Decider(Resources(policy), verdict_for(policy, ["all"], NOW), url=URL)
    scanner = Scanner(Elements(decider, placeholders=None, note=notes.append), insert=insert)
    out = [scanner.feed(page[at : at + piece]) for at in range(0, len(page), piece)]
    return b"".join([*out, scanner.close()]), notes


def declaring(hosts: set[str]) -> Policy:
    """A policy with one service that claims all these hosts."""
    return replace(PLAIN, services=(service("all", "marketing", *sorted(hosts)),))


def third_parties(page: bytes) -> set[str]:
    """Every host of a page that has to be declared, until none is left."""
    hosts: set[str] = set()
    while found := {note.host for note in gate(page, declaring(hosts))[1]} - hosts:
        hosts |= found
    return hosts


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_with_everything_allowed_the_bytes_are_the_pages(path: Path) -> None:
    page = path.read_bytes()
    policy = declaring(third_parties(page))
    for piece in (1 << 30, 1460):
        gated, notes = gate(page, policy, insert=MARK, piece=piece)
        assert notes == []
        assert gated.count(MARK) == 1
        assert gated.replace(MARK, b"") == page


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_with_nothing_declared_no_parser_finds_another_host(path: Path) -> None:
    page = path.read_bytes()
    assert oracle.contacts(oracle.by_lexbor(page, scripting=False), URL, f"not {HOST}") != []
    gated, notes = gate(page, PLAIN)
    assert notes
    for name, parse in ENGINES.items():
        if name != "lexbor" and len(page) > SLOW:
            continue
        for scripting in (True, False):
            assert oracle.contacts(parse(gated, scripting=scripting), URL, f"not {HOST}") == [], name
