"""Nothing leaks before a choice: every fixture, in Chromium, through every layer, but for what is known to."""

from __future__ import annotations

import os

import pytest
from browser.world import Stage

from .__main__ import written
from .fixtures import KINDS, load
from .report import known_leaks, known_list, silent
from .run import Record, visit_all

CHOSEN = load() if os.environ.get("COOKIEGATE_LEAKS") else load()[::6]
"""All of them is some minutes of Chromium, and so only done when it is asked for; `scripts/leaks` does more."""
SAMPLE = CHOSEN[::4]
"""Fixtures that are visited without a gate as well."""
IDS = frozenset(fixture.id for fixture in CHOSEN)
UNREADABLE = frozenset(
    {
        "documents/partial",
        "documents/xhtml-attribute-default",
        "documents/xhtml-entity",
        "documents/xhtml-escapes-hide-a-quote",
        "encodings/unknown-coding",
    }
)
"""Fixtures of which nothing is shown, because they cannot be judged."""
UNREAD = frozenset(
    {"documents/multipart", "encodings/type-plain", "encodings/type-twice-plain-last", "parser/plaintext"}
)
"""Fixtures whose end is no markup to a browser."""
LEFT = frozenset({"inline/beacon-at-the-end", "inline/form-submitted-by-script"})
"""Fixtures whose page is left for another one."""


@pytest.fixture(scope="module")
def gated(stage: Stage) -> Record:
    """The fixtures through every layer."""
    return visit_all(stage, CHOSEN, ["all"])


@pytest.fixture(scope="module")
def ungated(stage: Stage) -> Record:
    """The sample without protection."""
    return visit_all(stage, SAMPLE, ["none"])


def test_nothing_leaks_but_what_is_known_to(gated: Record) -> None:
    assert gated.leaks("all") == {identity: kinds for identity, kinds in known_leaks().items() if identity in IDS}


def test_nobody_else_is_contacted(gated: Record) -> None:
    assert gated.strangers == ()


def test_pages_stay_whole(gated: Record) -> None:
    whole = {fixture.id for fixture in CHOSEN if 'id="whole"' in fixture.document.body}
    assert whole - gated.whole("all") == IDS & (UNREADABLE | UNREAD | LEFT)


def test_without_a_gate_the_fixtures_do_leak(ungated: Record) -> None:
    assert silent(SAMPLE, ungated) == {}


def test_there_are_enough_of_them() -> None:
    live = [fixture for fixture in load() if not fixture.inert]
    assert len(live) >= 500
    assert {kind for fixture in live for kind in fixture.leaks} == set(KINDS)


def test_every_fixture_says_what_it_gives_away_or_why_nothing() -> None:
    assert [fixture.id for fixture in load() if bool(fixture.inert) == bool(fixture.leaks)] == []


def test_what_is_known_to_leak_is_documented() -> None:
    assert written("known") == "\n".join(known_list()), "run scripts/leaks --write"


def test_the_figures_in_the_document_are_of_these_fixtures() -> None:
    total = written("figures").splitlines()[-1]
    assert total.startswith(f"| **all** | {len(load())} |"), "run scripts/leaks --write"
    assert total.endswith(f" {len(known_leaks())} |")
