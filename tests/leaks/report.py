"""What each layer catches, as tables for people."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import fill

from .fixtures import Fixture, Kind
from .run import Record
from .site import LAYERS, Layer

KNOWN = Path(__file__).parent / "known.toml"


@dataclass(frozen=True, slots=True)
class Known:
    """Fixtures that are known to leak with every layer on, and why."""

    reason: str
    leaks: frozenset[Kind]
    fixtures: tuple[str, ...]


@cache
def known() -> tuple[Known, ...]:
    """Everything that is known to leak."""
    entries = tomllib.loads(KNOWN.read_text("utf-8"))["known"]
    return tuple(
        Known(entry["reason"], frozenset(entry["leaks"]), tuple(sorted(entry["fixtures"]))) for entry in entries
    )


def known_leaks() -> dict[str, frozenset[Kind]]:
    """The fixtures that are known to leak, and how."""
    return {fixture: entry.leaks for entry in known() for fixture in entry.fixtures}


def silent(fixtures: Sequence[Fixture], record: Record, layer: Layer = "none") -> dict[str, frozenset[Kind]]:
    """The fixtures that give away less than they say they do, and what is missing."""
    found = record.leaks(layer)
    wanting = {fixture.id: _missing(fixture.leaks, found.get(fixture.id, frozenset())) for fixture in fixtures}
    return {identity: kinds for identity, kinds in wanting.items() if kinds}


def _missing(said: frozenset[Kind], found: frozenset[Kind]) -> frozenset[Kind]:
    """Where a request was made, there was a connection."""
    return said - found - ({"connection"} if "request" in found else set())


def table(fixtures: Sequence[Fixture], records: Mapping[Layer, Record]) -> Iterator[str]:
    """A Markdown table: how many fixtures of each class leak through each layer."""
    layers = [layer for layer in LAYERS if layer in records]
    leaking = {layer: records[layer].leaks(layer) for layer in layers}
    rows = [["class", "fixtures", *(LAYERS[layer] for layer in layers)]]
    for group in (*dict.fromkeys(fixture.group for fixture in fixtures), ""):
        members = [fixture.id for fixture in fixtures if group in {fixture.group, ""}]
        counts = [sum(identity in leaking[layer] for identity in members) for layer in layers]
        rows.append([group or "**all**", str(len(members)), *map(str, counts)])
    yield from _markdown(rows)


def known_list() -> Iterator[str]:
    """A Markdown list of what is known to leak, and why."""
    for entry in known():
        names = ", ".join(f"`{fixture}`" for fixture in entry.fixtures)
        item = f"- {entry.reason} ({', '.join(sorted(entry.leaks))}: {names})"
        yield fill(item, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield "| " + " | ".join(row) + " |"
        if number == 0:
            yield "| --- |" + " ---: |" * (len(row) - 1)
