"""A module imports only modules above it, and the edges' libraries stay at the edges.

Nested and `TYPE_CHECKING` imports count: a cycle that is only lazy is still a cycle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cookiegate"
ORDER = (
    *("errors", "headers", "cookies", "policy", "signals", "consent", "lawful", "gate", "record", "store"),
    *("reports", "exports", "assets", "preview", "endpoints", "middleware", "__init__"),
    *("demo", "cli", "__main__", "testing"),
)
"""Lowest first. ``__init__`` is the package's own: only what stands on the public interface may import it."""
EDGES = {"click": {"cli"}, "uvicorn": {"demo", "cli"}}
"""Libraries that would cost or bind every user, and the modules that may import them."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """The name in ORDER that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, as an absolute dotted name."""
    package = ("cookiegate", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def breaches(path: Path) -> Iterator[str]:
    module = module_of(path)
    for name in imported(path):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if top in EDGES and module not in EDGES[top]:
            yield f"{module} imports {top}, which belongs to {', '.join(sorted(EDGES[top]))}"
        if top == "cookiegate":
            target = target if target in ORDER else "__init__"
            if ORDER.index(target) > ORDER.index(module):
                yield f"{module} imports {target}, which stands below it"


def test_every_module_has_its_place() -> None:
    assert {module_of(path) for path in modules()} <= set(ORDER), "give the new module its place in ORDER"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_those_above_it(path: Path) -> None:
    assert list(breaches(path)) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("consent.py", "from .store import Store"),
        ("gate/scanner.py", "def f():\n    from ..middleware import CookieGate"),
        ("gate/scanner.py", "from .. import store"),
        ("record.py", "import cookiegate.cli"),
        ("errors.py", "from cookiegate import Policy"),
        ("lawful.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import record"),
        ("store/sqlite.py", "import click.testing"),
        ("middleware.py", "from uvicorn import run"),
    ],
)
def test_a_breach_is_seen(file: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(source, "utf-8")
    assert len(list(breaches(path))) == 1
