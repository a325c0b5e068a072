"""Reports: each figure from records of which the answer is known."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import NOON, choice, opened, query, sighting, tally, view

from cookiegate.policy import parse_policy
from cookiegate.reports import as_json, as_text, blocked_as_json, blocked_as_text, mean, median, printable, summary
from cookiegate.store import Store

SITE = """
[site]
name = "Example"
policy_version = "1"

[controller]
name = "Example Ltd"
email = "privacy@example.com"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookiegate.db"


@pytest.fixture
def store(path: Path) -> Store:
    """Ten page views of everybody; three visits of visitors who allowed it; four visitors who chose."""
    store = opened(path)
    for hour, page, consented, undecided, views in (
        (0, "/", True, False, 4),
        (0, "/", False, True, 3),
        (1, "/news", False, False, 2),
        (1, "/", False, True, 1),
    ):
        for _ in range(views):
            counted = tally(hour=NOON + timedelta(hours=hour), page=page, consented=consented, undecided=undecided)
            assert store.put_count(counted)
    for key, seconds in (("a", 0), ("a", 60), ("b", 0), ("b", 0), ("b", 120), ("c", 5)):
        assert store.put_usage(view(seconds, visit_key=key, browser="Firefox" if key == "b" else "Chrome"))
    asyncio.run(_choose(store))
    store.close()
    return store


async def _choose(store: Store) -> None:
    yes, no, partly = {"x": True, "y": True}, {"x": False, "y": False}, {"x": True, "y": False}
    for number, (visitor, chosen) in enumerate([("1", yes), ("2", no), ("3", partly), ("4", yes), ("4", no)]):
        await store.put_consent(choice(number, consent_id=visitor, choices=chosen))


def test_every_figure(store: Store) -> None:
    report = summary(store)
    assert (report.views, report.detailed, report.withheld, report.undecided) == (10, 4, 6, 4)
    assert (report.visits, report.single) == (3, 1)
    assert (report.median_seconds, report.mean_seconds) == (90, 90)
    assert [(page.name, page.views) for page in report.pages] == [("/", 8), ("/news", 2)]
    assert [(browser.name, browser.views) for browser in report.browsers] == [("Chrome", 3), ("Firefox", 3)]
    assert (report.accepted, report.partly, report.rejected, report.chosen) == (1, 1, 2, 4)
    assert report.consent_rate == 0.5


def test_a_period_counts_what_begins_in_it(store: Store) -> None:
    report = summary(store, since=NOON + timedelta(hours=1))
    assert (report.views, report.detailed, report.visits, report.chosen) == (3, 0, 0, 0)
    assert (report.consent_rate, report.median_seconds, report.mean_seconds) == (None, None, None)
    assert summary(store, until=NOON + timedelta(hours=1)).views == 7


def test_page_views_are_not_read_for_it(store: Store, path: Path) -> None:
    """Rollups suffice: the report is the same when the rows themselves are gone."""
    before = summary(store)
    query(path, "DELETE FROM usage")
    assert summary(store) == before


def test_the_text_is_aligned_and_says_of_whom_each_figure_is(store: Store) -> None:
    text = as_text(summary(store))
    assert "Page views, of everybody" in text
    assert "Visits, of visitors who allowed it" in text
    assert "Choices, of visitors who chose" in text
    assert "1 min 30 s" in text
    figures = [line for line in text.splitlines() if line.startswith("  ") and line.endswith("%")]
    assert len({line.index("%") for line in figures}) == 1
    assert len(figures) == 3 + 1 + 3 + 2 + 2
    assert "  rejected" + " " * 47 + "2  50.0%" in text


def test_an_empty_store_has_a_report(path: Path) -> None:
    report = summary(opened(path))
    assert "unknown" in as_text(report)
    assert "none" in as_text(report)
    assert as_json(report)["choices"]["consent_rate"] is None


def test_the_json_is_json(store: Store) -> None:
    values = json.loads(json.dumps(as_json(summary(store, since=NOON))))
    assert values["since"] == "2026-11-21T12:00:00Z"
    assert values["until"] is None
    assert values["page_views"] == {"total": 10, "detailed": 4, "withheld": 6, "undecided": 4}
    assert values["pages"][0] == {"host": "example.com", "page": "/", "views": 8}


def test_pages_of_several_hosts_name_their_host(path: Path) -> None:
    store = opened(path)
    for host in ("a.example", "b.example"):
        store.put_count(tally(host=host))
    store.close()
    assert "/news (a.example)" in as_text(summary(store))
    assert "/news (b.example)" in as_text(summary(store))


def test_a_visitor_cannot_command_the_terminal(path: Path) -> None:
    store = opened(path)
    store.put_count(tally(page="/\x1b]0;owned\x07\u202eevil\n" + "x" * 200))
    store.close()
    text = as_text(summary(store))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "/\\x1b]0;owned\\x07\\u202eevil\\n" in text
    assert max(map(len, text.splitlines())) < 100


@given(st.text())
def test_printable_text_prints(text: str) -> None:
    assert printable(text).isprintable()


@given(st.lists(st.integers(0, 100), min_size=1))
def test_mean_and_median_of_a_histogram(values: list[int]) -> None:
    histogram = sorted(Counter(values).items())
    assert mean(histogram) == pytest.approx(statistics.mean(values))
    assert median(histogram) == statistics.median(values)


def test_mean_and_median_of_nothing() -> None:
    assert mean([]) is None
    assert median([]) is None


# -- what was withheld ----------------------------------------------------------------------------------------------


@pytest.fixture
def kept_out(path: Path) -> Store:
    """Five things withheld, three of them undeclared."""
    store = opened(path)
    store.put_sighting(sighting(what="iframe", host="www.youtube.com", service="youtube", purpose="marketing"), 1204)
    store.put_sighting(sighting(layer="wall", what="script-src-elem", host="tag.example.net"), 7)
    store.put_sighting(sighting(what="link rel=stylesheet", host="fonts.googleapis.com", service="google-fonts"), 6)
    store.put_sighting(sighting(layer="headers", what="cookie", host="", cookie="_ga_*", purpose="analytics"), 3)
    store.put_sighting(sighting(layer="headers", what="cookie", host="", cookie="promo-*"), 2)
    store.close()
    return store


def test_what_was_withheld_is_a_table(kept_out: Store) -> None:
    lines = blocked_as_text(kept_out.blocked()).splitlines()
    assert lines[0] == "From the beginning to now"
    table = [line for line in lines if line.startswith("  ")][:6]
    assert [line.split() for line in table[1:]] == [
        ["1,204", "markup", "iframe", "www.youtube.com", "youtube", "marketing"],
        ["7", "wall", "script-src-elem", "tag.example.net", "undeclared"],
        ["6", "markup", "link", "rel=stylesheet", "fonts.googleapis.com", "google-fonts", "undeclared"],
        ["3", "headers", "cookie", "_ga_*", "analytics"],
        ["2", "headers", "cookie", "promo-*", "undeclared"],
    ]
    for column in ("layer", "what", "host or cookie", "service", "purpose"):
        place = table[0].index(column)
        assert all(line[place - 1] == " " and line[place - 2] == " " for line in table[1:])


def test_the_lines_that_would_declare_it_are_a_policys(kept_out: Store) -> None:
    """Once the operator has filled in what only they know, the policy loads and declares the three."""
    advice = blocked_as_json(kept_out.blocked())["declare"]
    assert advice in blocked_as_text(kept_out.blocked())
    answers = {'purpose = "…"': 'purpose = "marketing"', 'country = "…"': 'country = "IE"', '"…"': '"x"'}
    for question, answer in answers.items():
        advice = advice.replace(question, answer)
    policy = parse_policy(f"{advice}\n{SITE}")
    assert {service.id for service in policy.services} == {"google-fonts", "tag-example-net"}
    assert policy.cookie_rule("promo-summer") is not None


def test_what_is_declared_needs_no_lines(path: Path) -> None:
    store = opened(path)
    store.put_sighting(sighting(service="youtube", purpose="marketing"))
    store.put_sighting(sighting(what="inline script", host=""))
    store.close()
    assert blocked_as_json(store.blocked())["declare"] == ""
    assert "To declare" not in blocked_as_text(store.blocked())


def test_nothing_was_withheld(path: Path) -> None:
    assert "  nothing" in blocked_as_text(opened(path).blocked())
    assert blocked_as_json([]) == {"since": None, "until": None, "blocked": [], "declare": ""}


def test_a_long_table_ends(path: Path) -> None:
    store = opened(path)
    for number in range(130):
        store.put_sighting(sighting(host=f"h{number}.example.net"))
    store.close()
    text = blocked_as_text(store.blocked())
    assert "and 30 more" in text
    assert text.count("[[service]]") == 100
    assert len(blocked_as_json(store.blocked())["blocked"]) == 130


def test_a_report_cannot_command_the_terminal(path: Path) -> None:
    store = opened(path)
    store.put_sighting(sighting(layer="wall", what="img-src\x1b[2J", host="\u202eevil.example\x07"))
    store.put_sighting(sighting(what="cookie", host="", cookie='x"\n[site]\nname = "\x1b'))
    store.close()
    text = blocked_as_text(store.blocked())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "img-src\\x1b[2J" in text
    assert "[site]" not in text.splitlines()
