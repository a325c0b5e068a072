"""Which visit a page view belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_samples import NOON, opened, query, tally, view

from cookiegate.record import UsageRecord
from cookiegate.store import Store
from cookiegate.store.visits import GAP, Visits

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return opened(tmp_path / "cookiegate.db")


def put(store: Store, *records: UsageRecord, together: bool) -> list[tuple[str | None, int | None]]:
    """Visit and position of each row, the records having been written in one transaction or one by one."""
    for record in records:
        store.put_usage(record)
        if not together:
            assert store.flush()
    store.close()
    return [(row.visit_id, row.position) for row in store.usage()]


def at(moment: datetime, key: str | None = "k", previous: str | None = None) -> UsageRecord:
    return view(at=moment, visit_key=key, previous_key=previous, path=f"/{moment:%H%M}")


either_way = pytest.mark.parametrize("together", [True, False], ids=["one transaction", "one by one"])


@either_way
def test_views_of_one_key_are_one_visit_until_half_an_hour_passes(store: Store, together: bool) -> None:
    moments = [NOON, NOON + 29 * MINUTE, NOON + 58 * MINUTE, NOON + 58 * MINUTE + GAP]
    (first, one), (second, two), (third, three), (fourth, again) = put(store, *map(at, moments), together=together)
    assert first == second == third
    assert fourth not in {first, None}
    assert (one, two, three, again) == (1, 2, 3, 1)


def test_the_gap_is_less_than_thirty_minutes(store: Store) -> None:
    just = NOON + GAP - timedelta(microseconds=1)
    places = put(store, at(NOON), at(just), at(just + GAP), together=True)
    assert [position for _, position in places] == [1, 2, 1]


@either_way
def test_keys_keep_visits_apart(store: Store, together: bool) -> None:
    places = put(store, at(NOON, "a"), at(NOON, "b"), at(NOON, "a"), at(NOON, None), together=together)
    (a, _), (b, _), (again, position), nowhere = places
    assert a == again != b
    assert position == 2
    assert nowhere == (None, None)


@either_way
def test_a_visit_goes_on_over_midnight_and_takes_the_new_key(store: Store, together: bool) -> None:
    places = put(
        store,
        at(MIDNIGHT - 5 * MINUTE, "old"),
        at(MIDNIGHT + 5 * MINUTE, "new", "old"),
        at(MIDNIGHT + 20 * MINUTE, "new", "old"),
        at(MIDNIGHT + 40 * MINUTE, "new"),
        together=together,
    )
    assert len({visit for visit, _ in places}) == 1
    assert [position for _, position in places] == [1, 2, 3, 4]


@either_way
def test_a_visit_that_ended_before_midnight_is_not_taken_up_again(store: Store, together: bool) -> None:
    (old, _), (new, position) = put(
        store, at(MIDNIGHT - 20 * MINUTE, "old"), at(MIDNIGHT + 10 * MINUTE, "new", "old"), together=together
    )
    assert old != new
    assert position == 1


def test_a_visits_row_tells_its_beginning_end_and_views(store: Store, tmp_path: Path) -> None:
    put(store, *(at(NOON + number * MINUTE) for number in (3, 1, 7, 5)), together=True)
    rows = query(tmp_path / "cookiegate.db", "SELECT entry_path, exit_path, views, last_at - started_at FROM visits")
    assert rows == [("/1201", "/1207", 4, 360_000_000)]
    sums = store.sums()
    assert (sums.visits, sums.single, list(sums.lengths)) == (1, 0, [(360, 1)])


def test_the_keys_themselves_are_in_no_page_view(store: Store, tmp_path: Path) -> None:
    put(store, at(NOON, "k" * 24), together=True)
    columns = {name for _, name, *_ in query(tmp_path / "cookiegate.db", "PRAGMA table_info(usage)")}
    assert not {name for name in columns if "key" in name}
    assert query(tmp_path / "cookiegate.db", "SELECT key FROM visits") == [("k" * 24,)]


def test_a_visit_that_is_over_gives_its_key_up(store: Store, tmp_path: Path) -> None:
    put(store, at(NOON), at(NOON + 2 * GAP), together=False)
    assert query(tmp_path / "cookiegate.db", "SELECT views, key FROM visits ORDER BY started_at") == [
        (1, None),
        (1, "k"),
    ]


def test_browsers_are_counted_from_views_with_details_only(store: Store) -> None:
    for browser in ("Firefox", "Firefox", "Chrome", None):
        store.put_usage(view(browser=browser))
    store.put_count(tally())
    store.close()
    assert [(item.name, item.views) for item in store.sums().browsers] == [("Firefox", 2), ("Chrome", 1)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["a", "b"])), max_size=40))
def test_visits_are_the_runs_of_each_key_without_a_gap(steps: list[tuple[int, str]]) -> None:
    """Against the definition, said in another way."""
    steps.sort()
    records = [at(NOON + minutes * MINUTE, key) for minutes, key in steps]
    visits = Visits(())
    places = [visits.place(record) for record in records]
    for key in "ab":
        own = [(record.at, place) for record, place in zip(records, places, strict=True) if record.visit_key == key]
        for (before, first), (after, second) in pairwise(own):
            assert (first.visit_id == second.visit_id) == (after - before < GAP)
    assert sum(visit.views for visit in visits.changes()[1]) == len(records)
