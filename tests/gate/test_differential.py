"""Random markup through the gate: whatever real parsers make of the output, none of it leads to the third party.

A few thousand seeded cases; `scripts/fuzz` runs as many as one likes, and asks Chromium too.
"""

from __future__ import annotations

import shutil

import pytest

from . import oracle
from .campaign import ENGINES, case, leaks, problems
from .strategies import THIRD_PARTY
from .support import PAGE, scan

SEED = 20261122


@pytest.mark.parametrize("first", range(0, 5000, 500))
def test_no_parser_finds_a_leak(first: int) -> None:
    """Also: any pieces give the same output, and with everything allowed nothing but certainty is added."""
    for number in range(first, first + 500):
        page, random = case(number, seed=SEED)
        engines = ENGINES if number % 5 == 0 else ("lexbor", "preload")  # html5lib is slow
        found = list(problems(page, random, engines=engines))
        assert found == [], f"case {number}: {page!r}"


IMAGE = b"<img src=//t.example/1>"
KNOWN = {
    "a script with a source that does not count": b"<svg><script src=/own.js>x('//t.example/1')</script></svg>",
    "a script with an address that does not count": b"<script href=/own.js>x('//t.example/1')</script>",
    "a parenthesis by reference": b"<svg><rect fill='url&lpar;//t.example/1&rpar;'></svg>",
    "a comment that a bang does not end": b"<!--!><style>--><img src=//t.example/1></style>",
    "a section that is longer than a comment": b"<svg><![CDATA[><p>]]><style><img src=//t.example/1></style>",
    "a section that is shorter to a preload scanner": b"<svg><![CDATA[ > <img src=//t.example/1> ]]></svg>",
    "a title that is text to a preload scanner": b"<svg><title><!--</title><img src=//t.example/1>--></svg>",
    "a textarea that is text to a preload scanner": b"<svg><textarea><!--</textarea><img src=//t.example/1>-->",
    "a script that is open to a preload scanner": b"<svg><script/><!--</script><img src=//t.example/1>--></svg>",
    "a link that is HTML to a preload scanner": b"<svg><link rel=stylesheet href=//t.example/1></svg>",
    "a base that counts for a preload scanner": b"<svg><base href=//t.example/></svg><img src=1>",
    "a template in columns": b"<template><col><style></template><img src=//t.example/1></style>",
    "a select around a template": b"<select><template></select></template><style></select>" + IMAGE,
    "a select that hides a noscript": b"<select><noscript><style></select><img src=//t.example/1></style></noscript>",
    "a noscript that ends a template": b"<template><noscript></template></noscript><svg><style>" + IMAGE,
    "a paragraph's end in a drawing": b"<svg></p><style><img src=//t.example/1></style>",
    "a paragraph's end in a drawing in a paragraph": b"<p><svg></p><style><img src=//t.example/1></style>",
    "a foreign end tag of a template": b"<template><svg><template></template><col><style></template>" + IMAGE,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("page", KNOWN.values(), ids=KNOWN)
def test_what_once_leaked_does_not(page: bytes, engine: str) -> None:
    assert list(leaks(scan(page).html, engine)) == []
    for cut in range(len(page)):
        assert scan(page, pieces=[page[:cut], page[cut:]]).html == scan(page).html


@pytest.mark.parametrize("engine", ENGINES)
def test_the_oracle_sees_what_is_not_gated(engine: str) -> None:
    """An oracle that finds nothing anywhere would pass every test above."""
    pages = [case(number, seed=SEED)[0] for number in range(300)]
    found = [oracle.contacts(ENGINES[engine](page, scripting=True), PAGE, THIRD_PARTY) for page in pages]
    assert sum(map(bool, found)) > 150
    assert len({contact for contacts in found for contact in contacts}) > 20


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_chromium_asks_for_nothing() -> None:
    from .chromium import SITE, frames

    with frames() as shown:
        pages = [*KNOWN.values(), *(case(number, seed=SEED)[0] for number in range(60))]
        assert len(shown.requests(pages, scripting=True)) > 10
        for scripting in (True, False):
            assert shown.requests([scan(page, url=SITE).html for page in pages], scripting=scripting) == set()
