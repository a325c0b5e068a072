"""Exports: what goes in comes out, a spreadsheet executes nothing, and a failed export leaves nothing behind."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import stat
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import NOON, choice, choices, opened, view, views

from cookiegate.errors import CookiegateError
from cookiegate.exports import (
    CONSENT_CSV,
    CONSENT_FIELDS,
    USAGE_FIELDS,
    defuse,
    export_consents,
    export_usage,
    fuse,
    replacing,
)
from cookiegate.policy import Basis
from cookiegate.record import ConsentRecord, UsageRecord
from cookiegate.store import Store, UsageRow

few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SIGNS = "=+-@\t\r\n＝＋－＠"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = opened(tmp_path / "cookiegate.db")
    yield store
    store.close()


def save(store: Store, *records: ConsentRecord | UsageRecord) -> None:
    async def everything() -> None:
        for record in records:
            if isinstance(record, ConsentRecord):
                await store.put_consent(record)
            else:
                assert store.put_usage(record)

    asyncio.run(everything())
    assert store.flush()


def table(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV as a careful program reads them."""
    rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    return [dict(zip(rows[0], map(fuse, row), strict=True)) for row in rows[1:]]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def consent_of(row: dict[str, Any]) -> ConsentRecord:
    changed = {
        "at": moment(row["at"]),
        "valid_until": moment(row["valid_until"]),
        "choices": row["choices"] if isinstance(row["choices"], dict) else json.loads(row["choices"]),
        "gpc": row["gpc"] in {True, "true"},
        "dnt": row["dnt"] in {True, "true"},
    }
    return ConsentRecord(**{name: row[name] for name in CONSENT_FIELDS} | changed)


def usage_of(row: dict[str, Any]) -> UsageRow:
    numbers = {name: int(row[name]) for name in ("status", "duration_ms")}
    position = int(row["position"]) if row["position"] else None
    changed = {"at": moment(row["at"]), "basis": Basis(row["basis"]), "position": position}
    return UsageRow(**row | numbers | changed)


def without_empty(row: UsageRow) -> dict[str, Any]:
    """CSV has one word for nothing: an empty cell."""
    return {name: getattr(row, name) or None for name in USAGE_FIELDS}


# -- round trips -------------------------------------------------------------------------------------------------------


@few
@given(records=st.lists(choices(), max_size=5, unique_by=lambda record: record.record_id))
def test_consents_come_back_equal(tmp_path_factory: pytest.TempPathFactory, records: list[ConsentRecord]) -> None:
    store = opened(tmp_path_factory.mktemp("store") / "x.db")
    save(store, *records)
    as_csv, as_lines = io.BytesIO(), io.BytesIO()
    assert export_consents(store, as_csv, format="csv") == len(records)
    assert export_consents(store, as_lines, format="jsonl") == len(records)
    store.close()
    assert [consent_of(row) for row in table(as_csv.getvalue())] == records
    assert [consent_of(json.loads(line)) for line in as_lines.getvalue().splitlines()] == records


@few
@given(records=st.lists(views(), max_size=5))
def test_page_views_come_back_equal(tmp_path_factory: pytest.TempPathFactory, records: list[UsageRecord]) -> None:
    store = opened(tmp_path_factory.mktemp("store") / "x.db")
    save(store, *records)
    as_csv, as_lines = io.BytesIO(), io.BytesIO()
    assert export_usage(store, as_csv, format="csv") == len(records)
    assert export_usage(store, as_lines, format="jsonl") == len(records)
    store.close()
    rows = list(store.usage())
    assert [usage_of(json.loads(line)) for line in as_lines.getvalue().splitlines()] == rows
    read = [without_empty(usage_of(row)) for row in table(as_csv.getvalue())]
    assert read == [without_empty(row) for row in rows]


def test_the_visit_and_the_place_in_it_are_exported(store: Store) -> None:
    save(store, view(0), view(1), view(2, visit_key=None))
    out = io.BytesIO()
    export_usage(store, out, format="csv")
    first, second, alone = table(out.getvalue())
    assert first["visit_id"] == second["visit_id"] != ""
    assert (first["position"], second["position"]) == ("1", "2")
    assert (alone["visit_id"], alone["position"]) == ("", "")


# -- form --------------------------------------------------------------------------------------------------------------


def test_the_columns_and_their_order_are_kept(store: Store) -> None:
    """The public interface of exports: add at the end, never rename."""
    consents, usage = CONSENT_CSV, USAGE_FIELDS
    assert consents == (
        *("record_id", "consent_id", "at", "valid_until", "method", "source", "choices", "policy_version"),
        *("banner_hash", "locale", "host", "path", "gpc", "dnt", "country", "profile", "granted", "refused"),
    )
    assert usage == (
        *("at", "visit_id", "position", "host", "path", "purpose", "basis", "policy_version", "consent_id"),
        *("status", "duration_ms", "referrer", "ip", "country", "browser", "browser_version", "os", "os_version"),
        "device",
    )
    out = io.BytesIO()
    export_consents(store, out, format="csv")
    assert out.getvalue() == (",".join(f'"{name}"' for name in CONSENT_CSV) + "\r\n").encode()


def test_csv_is_rfc_4180(store: Store) -> None:
    save(store, choice(host='a"b', path="/x,\r\ny", choices={"analytics": True, "marketing": False, "x": True}))
    out = io.BytesIO()
    export_consents(store, out, format="csv")
    text = out.getvalue().decode()
    assert '"a""b"' in text
    assert '"/x,\r\ny"' in text
    assert '"analytics x","marketing"\r\n' in text
    assert '"{""analytics"":true,""marketing"":false,""x"":true}"' in text
    assert '"2026-11-21T12:00:00.000000Z"' in text
    assert ',"false","false",' in text


def test_numbers_stay_numbers(store: Store) -> None:
    save(store, view(status=404, duration_ms=0))
    out = io.BytesIO()
    export_usage(store, out, format="csv")
    assert b",404,0," in out.getvalue()
    assert b",1," in out.getvalue()


def test_json_lines_are_one_object_each_with_choices_as_an_object(store: Store) -> None:
    save(store, choice(path="/ä\u2028b\n"))
    out = io.BytesIO()
    export_consents(store, out, format="jsonl")
    (line,) = out.getvalue().split(b"\n")[:-1]
    assert json.loads(line)["choices"] == {"analytics": True, "marketing": False}
    assert json.loads(line)["gpc"] is False
    assert json.loads(line)["path"] == "/ä\u2028b\n"


def test_a_period_is_half_open(store: Store) -> None:
    save(store, *(choice(number) for number in range(5)), *(view(number) for number in range(5)))
    since, until = NOON + timedelta(seconds=1), NOON + timedelta(seconds=3)
    for export in (export_consents, export_usage):
        out = io.BytesIO()
        assert export(store, out, format="jsonl", since=since, until=until) == 2
        assert [json.loads(line)["at"] for line in out.getvalue().splitlines()] == [
            "2026-11-21T12:00:01.000000Z",
            "2026-11-21T12:00:02.000000Z",
        ]


def test_progress_adds_up_to_the_rows(store: Store) -> None:
    save(store, *(view(number) for number in range(1234)))
    steps: list[int] = []
    assert export_usage(store, io.BytesIO(), format="csv", progress=steps.append) == 1234
    assert sum(steps) == 1234
    assert len(steps) > 2


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_memory_does_not_grow_with_the_rows(store: Store, form: Any) -> None:
    save(store, *(view(number, path="/" + "x" * 500) for number in range(8000)))
    tracemalloc.start()
    try:
        export_usage(store, io.BufferedWriter(_Nowhere()), format=form)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000, "8,000 rows are 12 MB as Python objects"


# -- spreadsheets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", list(SIGNS))
@pytest.mark.parametrize("before", ["", " ", "\u00a0", "a;", "a;  ", "a\t", "a\r\n", "\ufeff", ";;"])
def test_what_a_spreadsheet_would_execute_is_defused(before: str, sign: str) -> None:
    attack = f'{before}{sign}HYPERLINK("http://evil.example")'
    assert not executable(defuse(attack)), defuse(attack)
    assert fuse(defuse(attack)) == attack


def executable(cell: str) -> bool:
    """Whether a spreadsheet that splits at semicolons and tabs too would see a formula in any piece."""
    pieces = re.split("[;\t\r\n]", cell)
    return any(piece.lstrip().lstrip("\ufeff\u200b").lstrip()[:1] in set("=+-@＝＋－＠") for piece in pieces)


@pytest.mark.parametrize("harmless", ["", "/news", "a=b", "x-y", "me@example.com", "1-2", "/a;b", "it's", "v1+2"])
def test_other_text_is_left_alone(harmless: str) -> None:
    assert defuse(harmless) == harmless


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=SIGNS + " ;'\"a/\ufeff\u00a0", max_size=12))
def test_defusing_is_undone_exactly_and_always_works(text: str) -> None:
    assert fuse(defuse(text)) == text
    assert not executable(defuse(text))


def test_no_cell_of_an_export_can_be_executed(store: Store) -> None:
    attack = "=cmd|' /C calc'!A0"
    save(
        store,
        choice(path=attack, host=attack, source=attack, profile=attack, policy_version=attack, choices={attack: True}),
        view(path=attack, host="+1;=2", referrer="@SUM(1)", browser="\t=1", os="－2", ip="-1"),
    )
    for export in (export_consents, export_usage):
        out = io.BytesIO()
        export(store, out, format="csv")
        cells = [cell for row in csv.reader(io.StringIO(out.getvalue().decode(), newline="")) for cell in row]
        assert not [cell for cell in cells if executable(cell)]
        assert attack in {fuse(cell) for cell in cells}


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_takes_its_place_whole_and_private(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    target.chmod(0o644)
    with replacing(target) as out:
        out.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["out.csv"]  # noqa: PTH208


def half_written(target: Path, error: type[BaseException]) -> None:
    with replacing(target) as out:
        out.write(b"half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_export_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(error):
        half_written(target, error)
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "real" / "out.csv")
    with replacing(link) as out:
        out.write(b"x")
    assert link.is_symlink()
    assert (tmp_path / "real" / "out.csv").read_bytes() == b"x"


def test_a_device_is_written_in_place() -> None:
    with replacing(Path("/dev/null")) as out:
        out.write(b"x")
    assert Path("/dev/null").is_char_device()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(CookiegateError, match=r"no/out\.csv was not written \(No such file or directory\)"),
        replacing(tmp_path / "no" / "out.csv"),
    ):
        pass


def test_moments_sort_as_text(store: Store) -> None:
    moments = [NOON, NOON + timedelta(microseconds=1), datetime(2026, 11, 21, 13, tzinfo=UTC)]
    save(store, *(view(at=at) for at in moments))
    out = io.BytesIO()
    export_usage(store, out, format="jsonl")
    texts = [json.loads(line)["at"] for line in out.getvalue().splitlines()]
    assert texts == sorted(texts)
    assert [moment(text) for text in texts] == moments
