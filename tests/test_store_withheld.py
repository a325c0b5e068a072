"""What was withheld, as counters: added up, by whole hours, refused where malformed, and free of what is a person's."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import NOON, opened, query, sighting, tally, text

from cookiegate.gate import Withheld
from cookiegate.policy import parse_policy
from cookiegate.record import Sighting, scrub_cookie, scrub_host
from cookiegate.record import sighting as of

POLICY = parse_policy("""
services = ["google-analytics"]
[site]
name = "Example"
policy_version = "1"
[controller]
name = "Example Ltd"
email = "privacy@example.com"
""")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cookiegate.db"


def test_sightings_add_up_within_a_batch_and_across_processes(path: Path) -> None:
    for times in (1, 2, 40):
        store = opened(path)
        assert store.put_sighting(sighting(), times)
        assert store.put_sighting(sighting())
        store.close()
    assert query(path, "SELECT hour, layer, what, host, cookie, service, purpose, times FROM withheld") == [
        (int(NOON.timestamp()) * 1_000_000, "markup", "script", "cdn.example.net", "", "", "", 46)
    ]


def test_each_field_tells_one_thing_from_another(path: Path) -> None:
    others = [
        sighting(hour=NOON + timedelta(hours=1)),
        sighting(layer="wall"),
        sighting(what="img"),
        sighting(host="example.net"),
        sighting(cookie="x"),
        sighting(service="youtube"),
        sighting(purpose="marketing"),
    ]
    store = opened(path)
    for each in (sighting(), *others):
        assert store.put_sighting(each)
    store.close()
    assert query(path, "SELECT count(*), sum(times) FROM withheld") == [(8, 8)]
    assert sum(found.times for found in store.blocked()) == 8
    assert len(store.blocked()) == 7  # hours are summed up


def test_a_period_counts_the_hours_that_start_in_it(path: Path) -> None:
    store = opened(path)
    for hour, times in ((0, 1), (1, 10), (2, 100)):
        store.put_sighting(sighting(hour=NOON + timedelta(hours=hour)), times)
    store.close()
    one = timedelta(hours=1)
    assert [found.times for found in store.blocked()] == [111]
    assert [found.times for found in store.blocked(since=NOON + one)] == [110]
    assert [found.times for found in store.blocked(since=NOON + one, until=NOON + 2 * one)] == [10]
    assert store.blocked(until=NOON) == []


def test_the_most_frequent_comes_first(path: Path) -> None:
    store = opened(path)
    for host, times in (("b.example", 2), ("a.example", 2), ("c.example", 3)):
        store.put_sighting(sighting(host=host), times)
    store.close()
    assert [found.host for found in store.blocked()] == ["c.example", "a.example", "b.example"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.builds(
                sighting,
                layer=st.sampled_from(["markup", "headers", "wall"]),
                what=text,
                host=text,
                cookie=text,
                service=text,
                purpose=text,
            ),
            st.integers(1, 2**40),
        ),
        max_size=8,
    )
)
def test_whatever_is_put_comes_back(tmp_path_factory: pytest.TempPathFactory, put: list[tuple[Sighting, int]]) -> None:
    store = opened(tmp_path_factory.mktemp("store") / "x.db")
    expected: Counter[tuple[str, ...]] = Counter()
    for each, times in put:
        assert store.put_sighting(each, times)
        expected[each.layer, each.what, each.host, each.cookie, each.service, each.purpose] += times
    store.close()
    found = {(it.layer, it.what, it.host, it.cookie, it.service, it.purpose): it.times for it in store.blocked()}
    assert found == expected


@pytest.mark.parametrize(
    "changes", [{"hour": NOON + timedelta(minutes=1)}, {"layer": "request"}], ids=["no whole hour", "no such layer"]
)
def test_a_malformed_one_is_refused_and_takes_nothing_with_it(path: Path, changes: dict[str, Any]) -> None:
    store = opened(path)
    assert store.put_sighting(sighting(**changes))
    assert store.put_sighting(sighting(), 0)
    assert store.put_sighting(sighting(), 5)
    assert store.put_count(tally())
    store.close()
    assert [found.times for found in store.blocked()] == [5]
    assert query(path, "SELECT views FROM counters") == [(1,)]


def test_the_table_refuses_what_another_program_writes(path: Path) -> None:
    opened(path).put_sighting(sighting())
    with pytest.raises(sqlite3.IntegrityError, match="withheld_times"):
        query(path, "INSERT INTO withheld VALUES (0, 'wall', 'img-src', 'a.example', '', '', '', 0)")


# -- what becomes of a thing that was withheld -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("withheld", "expected"),
    [
        (Withheld("script", "a.example", ""), ("markup", "script", "a.example", "", "", "")),
        (Withheld("Link header", "a.example", ""), ("headers", "Link header", "a.example", "", "", "")),
        (
            Withheld("wall: frame-src", "www.youtube.com", "marketing", "youtube", "YouTube"),
            ("wall", "frame-src", "www.youtube.com", "", "youtube", "marketing"),
        ),
        (Withheld("cookie", "", "", name="theme"), ("headers", "cookie", "", "theme", "", "")),
        (
            Withheld("cookie", "", "analytics", "google-analytics", "_ga_1234"),
            ("headers", "cookie", "", "_ga_*", "google-analytics", "analytics"),
        ),
    ],
)
def test_a_thing_withheld_is_a_sighting(withheld: Withheld, expected: tuple[str, ...]) -> None:
    made = of(POLICY, withheld, NOON + timedelta(minutes=59, seconds=3))
    assert made is not None
    assert made.hour == NOON
    assert (made.layer, made.what, made.host, made.cookie, made.service, made.purpose) == expected


def test_a_cookie_that_only_the_request_named_is_none() -> None:
    assert of(POLICY, Withheld("request cookie", "", "", name="jane@example.com"), NOON) is None


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("cdn.example.net", "cdn.example.net"),
        ("example.net", "example.net"),
        ("3b5e1c7d9f0a4b6c8d2e.safeframe.googlesyndication.com", "safeframe.googlesyndication.com"),
        ("a.3b5e1c7d-9f0a-4b6c-8d2e-111111111111.example.net", "example.net"),
        ("493827165.log.example.net", "log.example.net"),
        ("d111111abcdef8.cloudfront.net", "d111111abcdef8.cloudfront.net"),  # the third party's own name
        ("192.0.2.1", "192.0.2.1"),
        ("localhost", "localhost"),
        ("?", "?"),
        ("", ""),
    ],
)
def test_a_host_keeps_no_label_that_looks_like_an_id(host: str, kept: str) -> None:
    assert scrub_host(host) == kept


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("theme", "theme"),
        ("_ga", "_ga"),
        ("wp-settings-time-12345", "wp-settings-time-*"),
        ("remember_web_59ba36addc2b2f9401580f014c7f58ea4e30989d", "remember_web_*"),
        ("basket-3b5e1c7d-9f0a-4b6c-8d2e-111111111111", "basket-*"),
        ("averyveryverylongname", "averyveryverylongname"),
    ],
)
def test_a_cookies_name_becomes_a_pattern_where_it_holds_an_id(name: str, kept: str) -> None:
    assert scrub_cookie(name) == kept


def test_a_long_name_costs_no_more_than_a_short_one() -> None:
    assert len(scrub_cookie("a" * 100_000)) <= 255
