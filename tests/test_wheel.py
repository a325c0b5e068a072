"""The wheel, not the tree: built, opened, installed alone in a clean environment, and served from there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
ALONE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
"""An environment in which nothing leads back to this tree."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    run(sys.executable, "-m", *build)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment that holds the wheel, its dependencies, and nothing else."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    commands = environment / ("Scripts" if sys.platform == "win32" else "bin")
    pip = ("pip", "--python", str(commands / "python"), "--disable-pip-version-check", "--no-input")
    run(sys.executable, "-m", *pip, "install", "--quiet", str(wheel))
    return commands


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command to its end; show what it said if it fails."""
    result = subprocess.run(command, cwd=cwd, env=ALONE, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def test_the_wheel_holds_all_that_is_not_code(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("static", "templates"):
        shipped = {name for name in names if name.startswith(f"cookiegate/{folder}/")}
        assert shipped == {f"cookiegate/{path}" for path in files_below(ROOT / folder)}
    assert "cookiegate/py.typed" in names
    data = {f"cookiegate/{path}" for path in files_below(ROOT / "cookiegate") if Path(path).suffix == ".toml"}
    assert {name.partition("/")[2] for name in data} <= names
    assert any(name.startswith("cookiegate/locales/") for name in names)
    assert any(name.startswith("cookiegate/policy/services/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cookiegate"}


def files_below(folder: Path) -> set[str]:
    """Paths of all files, beginning with the folder's own name."""
    return {
        path.relative_to(folder.parent).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_command_works_alone(installed: Path, tmp_path: Path) -> None:
    assert "0.1" in run(str(installed / "cookiegate"), "--version", cwd=tmp_path)
    where = run(str(installed / "python"), "-c", "import cookiegate; print(cookiegate.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_the_demonstration_is_served_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    with demonstration(installed, tmp_path) as origin, httpx.Client(base_url=origin) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert "Sleep where the light is kept." in page.text
        assert 'name="choice" value="accept"' in page.text
        assert 'name="choice" value="reject"' in page.text
        for path in re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js|svg))"', page.text):
            assert client.get(path).status_code == 200, path
        assert ' src="https://' not in page.text
        assert client.get("/_privacy/details").status_code == 200
    assert list(tmp_path.iterdir()) == [tmp_path / "demo.db"], "the folder it runs in stays as it was"


@contextmanager
def demonstration(commands: Path, folder: Path) -> Iterator[str]:
    """`cookiegate demo` in an empty folder, until the block ends."""
    command = (str(commands / "cookiegate"), "demo", "--port", "0", "--store", str(folder / "demo.db"))
    log = folder.parent / f"{folder.name}.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=folder, env=ALONE, stdout=output, stderr=output) as server,
    ):
        try:
            yield wait_for_address(log)
        finally:
            server.terminate()


def wait_for_address(log: Path) -> str:
    """The address the demonstration prints."""
    for _ in range(200):
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text("utf-8"))
        if found:
            return found.group()
        time.sleep(0.1)
    raise AssertionError(f"the demonstration did not start:\n{log.read_text('utf-8')}")
