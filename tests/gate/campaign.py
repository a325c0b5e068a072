"""One case of the differential fuzz: a page through the gate, and what real parsers then make of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from random import Random

from . import oracle
from .strategies import THIRD_PARTY, chunked, document
from .support import PAGE, scan

ENGINES = {"lexbor": oracle.by_lexbor, "html5lib": oracle.by_html5lib, "preload": oracle.by_preload_scanner}


def case(number: int, *, seed: int) -> tuple[bytes, Random]:
    """The page of a number, the same on every machine, and the dice for what else is done with it."""
    random = Random(seed * 1_000_000_007 + number)
    return document(random).encode(), random


def problems(page: bytes, random: Random, *, engines: Iterable[str]) -> Iterator[str]:
    """Everything that is wrong with what the gate makes of a page; nothing where all is well."""
    gated = scan(page, placeholders=random.random() < 0.3).html
    for name in engines:
        yield from leaks(gated, name)
    cuts = [random.randrange(len(page) + 1) for _ in range(3)]
    if scan(page, pieces=chunked(page, cuts)).html != scan(page).html:
        yield f"another output when cut at {cuts}"
    yield from _changes(page)


def leaks(gated: bytes, engine: str) -> Iterator[str]:
    """How a gated page would still reach the third party, with scripting and without."""
    for scripting in (True, False):
        try:
            found = oracle.contacts(ENGINES[engine](gated, scripting=scripting), PAGE, THIRD_PARTY)
        except AssertionError:  # html5lib's own: some framesets in templates are beyond it
            continue
        yield from (f"{engine}, scripting {scripting}: {contact}" for contact in found)


def _changes(page: bytes) -> Iterator[str]:
    """With everything allowed, only end tags that make foreign content certain may come, and slashes go."""
    allowed = scan(page, "all")
    if allowed.notes or b"srcdoc" in page.lower():
        return
    if _CERTAINTY.sub(b"", allowed.html) != _CERTAINTY.sub(b"", page):
        yield f"changed although everything is allowed: {allowed.html!r}"


_CERTAINTY = re.compile(
    rb"</(?:svg|math|script|style|title|textarea|xmp|iframe|noembed|noframes|noscript)>|/(?=>)", re.IGNORECASE
)
