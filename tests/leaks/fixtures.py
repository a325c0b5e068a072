"""The fixtures: small sites written to leak, one table each in ``fixtures/*.toml``, one file per class.

A table holds ``body`` (and ``head``), put into a plain page, or ``document``, the whole of it. The rest is optional:

==============  =======================================================================================================
``type``        Content-Type of the document; "" sends none
``status``      its status
``headers``     further headers, as pairs
``encoding``    Python's name of the encoding the document is sent in
``bom``         send a byte order mark first
``coding``      its content coding: gzip, deflate, br, zstd; or several
``pieces``      send it in pieces of so many bytes
``files``       name to the same keys, for what else the site answers
``run``         JavaScript to run in the page once it rests, such as a click
``scripting``   false: visit with scripting switched off
``foreground``  true: visit in a tab of its own in front; speculation rules are obeyed in no other
``leaks``       what an unguarded browser gives away: some of `KINDS`; ``request`` where nothing is said
``inert``       why nothing leaks even from an unguarded browser
==============  =======================================================================================================

Third parties go by their real names in a fixture (`THIRD_PARTIES`); every visit puts a label of its own in front of
them, so that what reaches the outside says from which visit it came. Where a name is hidden, ``$ID`` stands for the
label, and ``$BASE64{text}`` for text that a script will decode.
"""

from __future__ import annotations

import base64
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["request", "connection", "cookie", "storage", "hint"]
"""A request; a connection without one; a cookie; a storage entry; a DNS hint that was left for the browser."""
KINDS: tuple[Kind, ...] = get_args(Kind)

FOLDER = Path(__file__).parent / "fixtures"
THIRD_PARTIES = ("tracker.example", "google-analytics.com", "googletagmanager.com", "youtube.com", "hotjar.com")
"""Nobody's; two that the policy declares for analytics; one for marketing; and one that only the catalogue knows."""
_NAMED = re.compile("|".join(map(re.escape, THIRD_PARTIES)))
_BASE64 = re.compile(r"\$BASE64\{(.*?)\}")
_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>Fixture</title>
{head}</head>
<body>
{body}
<p id="whole">The end of the page.</p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a fixture's site answers to one path. Keys are those of its table."""

    body: str
    type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    encoding: str = "utf-8"
    bom: bool = False
    coding: tuple[str, ...] = ()
    pieces: int = 0


@dataclass(frozen=True, slots=True)
class Fixture:
    """One fixture. ``id`` is its class and name, ``number`` its place among all."""

    id: str
    number: int
    document: Answer
    files: Mapping[str, Answer] = field(default_factory=dict)
    run: str = ""
    scripting: bool = True
    foreground: bool = False
    leaks: frozenset[Kind] = frozenset({"request"})
    inert: str = ""

    @property
    def group(self) -> str:
        """The class of leaks it belongs to."""
        return self.id.partition("/")[0]


def filled(text: str, label: str) -> str:
    """A fixture's text for one visit."""
    named = _NAMED.sub(lambda match: f"{label}.{match.group()}", text.replace("$ID", label))
    return _BASE64.sub(lambda match: base64.b64encode(match[1].encode()).decode(), named)


@cache
def load() -> tuple[Fixture, ...]:
    """All fixtures, class by class."""
    tables = [
        (f"{path.stem}/{name}", table)
        for path in sorted(FOLDER.glob("*.toml"))
        for name, table in tomllib.loads(path.read_text("utf-8")).items()
    ]
    return tuple(_fixture(identity, number, dict(table)) for number, (identity, table) in enumerate(tables))


def _fixture(identity: str, number: int, table: dict[str, Any]) -> Fixture:
    files = {name: _answer(dict(file)) for name, file in table.pop("files", {}).items()}
    head, body = table.pop("head", None), table.pop("body", None)
    if "document" in table:
        table["body"] = table.pop("document")
    else:
        table["body"] = _SHELL.format(head=head or "", body=body or "")
    own = {key: table.pop(key) for key in ("run", "scripting", "foreground", "inert") if key in table}
    leaks: frozenset[Kind] = frozenset(table.pop("leaks", () if own.get("inert") else ("request",)))
    if not leaks <= set(KINDS):
        raise ValueError(f"{identity}: leaks are some of {', '.join(KINDS)}")
    return Fixture(identity, number, _answer(table), files=files, leaks=leaks, **own)


def _answer(table: dict[str, Any]) -> Answer:
    table["headers"] = tuple(map(tuple, table.get("headers", ())))
    coding = table.get("coding", ())
    table["coding"] = (coding,) if isinstance(coding, str) else tuple(coding)
    return Answer(**table)
