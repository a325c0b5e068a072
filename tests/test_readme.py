"""What the documents at the root say: commands exist, code compiles, policies load, links lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cookiegate.cli import COMMANDS, main
from cookiegate.policy import parse_policy

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_is_python(code: str) -> None:
    ast.parse(code)


@pytest.mark.parametrize("text", blocks("toml"))
def test_a_policy_is_a_policy(text: str) -> None:
    assert parse_policy(text, file="README.md").site.name == "Example"


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_a_command_exists_with_its_options(line: str) -> None:
    words = line.partition("#")[0].split()
    if words[0] == "cookiegate":
        command = [word for word in words[1:] if word in COMMANDS or word in {"consents", "usage"}]
        usage = CliRunner().invoke(main, [*command, "--help"])
        assert usage.exit_code == 0
        assert [word for word in words if word.startswith("-") and word not in usage.output] == []
    elif words[0].startswith("scripts/"):
        assert (ROOT / words[0]).is_file()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if not target.startswith("http")]
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_architecture_names_every_module() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    modules = {path.stem for path in (ROOT / "cookiegate").iterdir() if path.suffix == ".py"} - {"__init__"}
    packages = {f"{path.parent.name}/" for path in (ROOT / "cookiegate").glob("*/__init__.py")}
    assert [name for name in sorted(modules | packages) if f"`{name}`" not in text] == []
