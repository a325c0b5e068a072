"""The scripts say what they do, and what is missing when they cannot go on. Cheap checks: nothing is installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = ("bench", "demo", "format", "lint", "test")
SCRIPTS = [*(ROOT / "scripts" / name for name in COMMANDS), ROOT / ".ci" / "run"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the scripts are for POSIX shells")


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing was set up yet, and nothing can be."""
    for folder in ("scripts", "benchmarks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def bare_path(folder: Path, *programs: str) -> str:
    """A PATH on which only these programs, and what the scripts take for granted, can be found."""
    folder.mkdir()
    for name in ("bash", "dirname", "awk", "env", "cksum", "id", "basename", *programs):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return str(folder)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_can_be_run_and_stops_at_the_first_error(script: Path) -> None:
    assert os.access(script, os.X_OK)
    text = script.read_text("utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert run("bash", "-n", script).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_scripts_own_comment(name: str) -> None:
    result = run(ROOT / "scripts" / name, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"Usage: scripts/{name}")
    assert len(result.stdout.splitlines()) >= 3


def test_ci_runs_what_a_contributor_runs() -> None:
    assert "exec scripts/test" in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.parametrize("name", ["test", "lint", "format", "demo"])
def test_a_wrong_python_is_named_with_its_cure(name: str, checkout: Path) -> None:
    result = run(checkout / "scripts" / name, PYTHON="/bin/false")
    assert result.returncode == 1
    assert "PYTHON=/bin/false is not a Python 3.11 or newer" in result.stderr
    assert not (checkout / ".venv").exists()


def test_no_python_is_said_with_its_cure(checkout: Path, tmp_path: Path) -> None:
    result = run(checkout / "scripts" / "test", PATH=bare_path(tmp_path / "bin"), PYTHON="")
    assert result.returncode == 1
    assert "no Python 3.11 or newer was found" in result.stderr
    assert "apt-get install" in result.stderr


def test_no_chromium_is_said_with_its_cure(checkout: Path, tmp_path: Path) -> None:
    """Where nothing may be installed, the rest can still be tested."""
    path = bare_path(tmp_path / "bin")
    library = checkout / "scripts" / "_lib.sh"
    result = run("bash", "-c", f"source {library}; ensure_chromium", PATH=path)
    assert result.returncode == 1
    assert "the browser tests need Chromium" in result.stderr
    assert "-m 'not browser'" in result.stderr


def test_an_unknown_benchmark_is_named(checkout: Path) -> None:
    result = run(checkout / "scripts" / "bench", "nonsense")
    assert result.returncode == 1
    assert "there is no benchmark named nonsense" in result.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    result = run("shellcheck", "-x", "-P", str(ROOT), ROOT / "scripts" / "_lib.sh", *SCRIPTS)
    assert result.stdout == ""
