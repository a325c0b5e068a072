"""``cookiegate export`` and ``cookiegate report``, as they are typed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import pty
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from store_samples import NOON, choice, opened, sighting, tally, view

import cookiegate
from cookiegate.cli import main


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of three choices, three page views and one count."""
    path = tmp_path / "cookiegate.db"
    store = opened(path)
    for number in range(3):
        asyncio.run(store.put_consent(choice(number)))
        store.put_usage(view(number))
    store.put_count(tally())
    store.close()
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_consents_as_csv(path: Path) -> None:
    done = run("export", "consents", "--format", "csv", "--store", path)
    assert done.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert [row["consent_id"] for row in rows] == ["visitor-0", "visitor-1", "visitor-2"]
    assert done.stderr == "exported 3 consents\n"


def test_usage_as_json_lines_in_a_period(path: Path) -> None:
    since, until = NOON + timedelta(seconds=1), "2026-11-21T13:00:02+01:00"
    done = run(
        *("export", "usage", "--format", "jsonl", "--store", f"sqlite:///{path}"),
        *("--since", since.isoformat(), "--until", until),
    )
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == ["/page/1"]


def test_a_file(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    done = run("export", "consents", "--format", "jsonl", "-o", target, "--store", path)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr == f"exported 3 consents to {target}\n"
    assert len(target.read_text("utf-8").splitlines()) == 3
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_date_is_its_first_moment_in_utc(path: Path) -> None:
    assert run("export", "consents", "--store", path, "--since", "2026-11-21").stderr == "exported 3 consents\n"
    assert run("export", "consents", "--store", path, "--until", "2026-11-21").stderr == "exported 0 consents\n"


@pytest.mark.parametrize("command", [["export", "consents"], ["export", "usage"], ["report"], ["report", "--blocked"]])
def test_a_missing_store_is_an_error_and_stays_missing(tmp_path: Path, command: list[str]) -> None:
    done = run(*command, "--store", tmp_path / "no.db")
    assert done.exit_code == 1
    assert "there is no store at" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--since", "yesterday"], "write 2026-11-21, 2026-11-21T09:30"),
        (["--until", "2026-13-01"], "'2026-13-01' is no date or time"),
        (["--since", "0001-01-01T00:00+10:00"], "is no date or time"),
        (["--since", "2026-02-01", "--until", "2026-02-01"], "the period is empty"),
        (["--format", "xlsx"], "csv"),
    ],
)
def test_mistakes_are_explained(path: Path, options: list[str], says: str) -> None:
    done = run("export", "usage", "--store", path, *options)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())


def test_a_file_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    done = run("export", "consents", "--store", path, "-o", tmp_path / "no" / "x.csv")
    assert done.exit_code == 1
    assert "was not written (No such file or directory)" in done.stderr
    assert "exported" not in done.stderr


def test_another_kind_of_file_is_no_store(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("these are notes" * 100)
    done = run("report", "--store", other)
    assert done.exit_code == 1
    assert "not an SQLite database" in done.stderr


def test_report_as_text_and_json(path: Path) -> None:
    assert "Page views, of everybody" in run("report", "--store", path).stdout
    values = json.loads(run("report", "--store", path, "--format", "json").stdout)
    assert values["page_views"]["total"] == 1
    assert values["visits"]["total"] == 1


def test_the_report_of_what_was_blocked(path: Path) -> None:
    store = opened(path)
    store.put_sighting(sighting(), 12)
    store.put_sighting(sighting(hour=NOON + timedelta(hours=1), layer="wall", what="frame-src", host="example.org"))
    store.close()
    shown = run("report", "--blocked", "--store", path).stdout
    assert "cdn.example.net" in shown
    assert 'hosts = ["example.org"]' in shown
    assert "Page views" not in shown

    values = json.loads(
        run("report", "--blocked", "--until", "2026-11-21T13:00", "--store", path, "--format", "json").stdout
    )
    assert [(it["times"], it["host"], it["purpose"]) for it in values["blocked"]] == [(12, "cdn.example.net", None)]
    assert values["until"] == "2026-11-21T13:00:00Z"
    assert 'hosts = ["cdn.example.net"]' in values["declare"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(cookiegate.__file__).parents[1])}


_COMMAND = [sys.executable, "-W", "error", "-c", "from cookiegate.cli import main; main()"]


def test_a_progress_bar_where_somebody_watches(path: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        command = [*_COMMAND, "export", "usage", "--store", str(path), "-o", str(tmp_path / "x.csv")]
        subprocess.run(command, stderr=theirs, stdout=theirs, check=True, env=_environment())
        seen = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "exporting page views" in seen
    assert "100%" in seen
    assert "exported 3 page views" in seen


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "many.db"
    store = opened(path)
    for number in range(3000):
        store.put_usage(view(number, path="/" + "x" * 300))
    store.close()
    export = subprocess.Popen(
        [*_COMMAND, "export", "usage", "--store", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
    )
    assert export.stdout is not None
    export.stdout.readline()
    export.stdout.close()
    assert export.stderr is not None
    with export.stderr:
        assert export.stderr.read() == b""
    assert export.wait(30) == 0
