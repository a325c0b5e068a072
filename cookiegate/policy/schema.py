"""Reading TOML by declaration: a table of keys drives type checks, unknown keys, defaults and the reference.

A `Table` names every key a TOML table may have. Reading never stops at the first mistake: what is missing or
unreadable is reported and takes its default, so that one run names every problem. What was built from such
defaults must not be used: a loader raises when its list of problems is not empty.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any

from ..errors import Problem

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHORT_CHOICE = 12
"""How many names an error message still lists."""


class Invalid(ValueError):
    """A value that cannot be read. The message says what to write instead; whoever catches it knows where."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a policy file, and the list to which problems found there are added.

    Attributes:
        file: path of the file as the user gave it.
        problems: shared by all locations of one reading.
        key: dotted TOML path, entries of arrays counted from 0; "" for the file as a whole.
        top: plain keys of the top level, to recognise one that was written below a ``[table]`` line.
    """

    file: str
    problems: list[Problem]
    key: str = ""
    top: frozenset[str] = frozenset()

    def at(self, part: str | int) -> Location:
        """The location of a key of this table, or of an entry of this array."""
        if isinstance(part, int):
            return replace(self, key=f"{self.key}[{part}]")
        name = part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
        return replace(self, key=f"{self.key}.{name}" if self.key else name)

    def problem(self, message: str) -> None:
        """Report something wrong here."""
        self.problems.append(Problem(self.file, self.key, message))


@dataclass(frozen=True, slots=True)
class Reader:
    """How one TOML value is read.

    Attributes:
        label: what the reference calls such a value, such as ``list of hosts``.
        read: turns the TOML value into ours, or raises `Invalid`.
        table: the keys of the table, or of each table, that it reads.
    """

    label: str
    read: Callable[[Any, Location], Any]
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table.

    Attributes:
        reader: how its value is read.
        required: whether it must be there, and not be empty.
        default: its value, as `reader` would have returned it, where the key is absent.
        implied: for a table: an absent one is read as an empty one, so that its own defaults hold.
        hint: what to say when a required key is missing.
    """

    reader: Reader
    required: bool = False
    default: Any = ""
    implied: bool = False
    hint: str = ""


Table = Mapping[str, Key]


@dataclass(frozen=True, slots=True)
class Row:
    """A TOML table as read: a value for every key it may have.

    ``given`` are the keys that stand in the file with something in them, whether or not it could be read.
    """

    values: Mapping[str, Any]
    given: frozenset[str]
    location: Location

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def has(self, name: str) -> bool:
        """Whether the key stands in the file with something in it."""
        return name in self.given


def read_document(text: str, table: Table, location: Location) -> Row:
    """Read a whole file. Text that is not TOML is reported, and read as if it were empty but complete."""
    try:
        return read_table(tomllib.loads(text.removeprefix("\ufeff")), table, location)
    except tomllib.TOMLDecodeError as error:
        location.problem(_syntax_error(str(error), text))
    except RecursionError:
        location.problem("is nested too deeply to be a policy: no table needs more than three levels")
    return _blank(table, location)


def _syntax_error(message: str, text: str) -> str:
    """The parser's message with the position in front: ``line 3, column 5: ...``."""
    what, _, where = message.rstrip(")").rpartition(" (at ")
    if where == "end of document":
        lines = text.split("\n")
        where = f"line {len(lines)}, column {len(lines[-1]) + 1}"
    return f"{where}: not valid TOML: {what[:1].lower()}{what[1:]}"


def read_table(value: Any, table: Table, location: Location) -> Row:
    """Read a parsed TOML table by the keys it may have."""
    if not isinstance(value, dict):
        raise Invalid(f"expected a table, found {describe(value)}")
    for name in value:
        if name not in table:
            location.at(name).problem(_unknown_key(name, table, location))
    values = {name: _read_key(value, name, key, location) for name, key in table.items()}
    given = frozenset(name for name, item in value.items() if not _is_empty(item))
    return Row(MappingProxyType(values), given, location)


def _unknown_key(name: str, table: Table, location: Location) -> str:
    if name in location.top:
        return f'"{name}" belongs at the top of the file: move it above the first [table]'
    return unknown("key", name, table)


def _read_key(given: Mapping[str, Any], name: str, key: Key, location: Location) -> Any:
    here = location.at(name)
    if key.required and _is_empty(given.get(name, "")):
        here.problem(_lacking("is empty", key) if name in given else is_missing(key))
        return key.default
    if name in given:
        return attempt(key.reader, given[name], here, otherwise=_fallback(key, here))
    return key.reader.read({}, here) if key.implied else key.default


def _is_empty(value: Any) -> bool:
    return value == [] or (isinstance(value, str) and not value.strip())


def is_missing(key: Key) -> str:
    """The message for a key that should be there."""
    return _lacking("is missing", key)


def _lacking(what: str, key: Key) -> str:
    return f"{what}: {key.hint or f'expected {key.reader.label}'}"


def _fallback(key: Key, location: Location) -> Any:
    """What stands in for an unreadable value."""
    return _blank(key.reader.table, location) if key.implied and key.reader.table else key.default


def _blank(table: Table, location: Location) -> Row:
    """A row of defaults, what it lacks unreported: its problem is known already."""
    values = {name: _fallback(key, location.at(name)) for name, key in table.items()}
    return Row(MappingProxyType(values), frozenset(), location)


def attempt(reader: Reader, value: Any, location: Location, *, otherwise: Any) -> Any:
    """Read a value; where that fails, report why and return ``otherwise``."""
    try:
        return reader.read(value, location)
    except Invalid as error:
        location.problem(str(error))
        return otherwise


def table_of(table: Table) -> Reader:
    """A reader of one ``[table]``, returning a `Row`."""

    def read(value: Any, location: Location) -> Row:
        if isinstance(value, list):
            raise Invalid(f"expected one table: write [{location.key}], not [[{location.key}]]")
        return read_table(value, table, location)

    return Reader("table", read, table)


def tables_of(table: Table) -> Reader:
    """A reader of ``[[tables]]``, returning a tuple of `Row`. An entry that is no table is reported."""
    entry = Reader("table", lambda value, location: read_table(value, table, location), table)

    def read(value: Any, location: Location) -> tuple[Row, ...]:
        if isinstance(value, dict):
            name = re.sub(r"\[\d+\]", "", location.key)
            raise Invalid(f"expected an array of tables: write [[{name}]], not [{name}]")
        return read_items(entry, value, location)

    return Reader("tables", read, table)


def list_of(item: Reader, plural: str) -> Reader:
    """A reader of a list, returning a tuple. An entry that cannot be read, or stands twice, is reported."""

    def read(value: Any, location: Location) -> tuple[Any, ...]:
        items = read_items(item, value, location)
        for repeated in repeats(items):
            location.problem(f'"{repeated}" is listed twice: leave one of them out')
        return tuple(dict.fromkeys(items))

    return Reader(f"list of {plural}", read)


def read_items(item: Reader, value: Any, location: Location) -> tuple[Any, ...]:
    """The entries of a list that could be read; each of the others is reported."""
    if isinstance(value, str):
        raise Invalid(f"expected a list: write [{json.dumps(value, ensure_ascii=False)}]")
    if not isinstance(value, list):
        raise Invalid(f"expected a list, found {describe(value)}")
    read = (attempt(item, entry, location.at(index), otherwise=None) for index, entry in enumerate(value))
    return tuple(entry for entry in read if entry is not None)


def repeats(items: Iterable[Hashable]) -> list[Hashable]:
    """The items that were seen before, in order."""
    seen: set[Hashable] = set()
    return [item for item in items if item in seen or seen.add(item)]  # type: ignore[func-returns-value]


def one_of(*names: str) -> Reader:
    """A reader of text that is one of a few names."""

    def read(value: Any, _: Location) -> str:
        if not isinstance(value, str) or value not in names:
            raise Invalid(unknown("value", value, names) if isinstance(value, str) else expected("text", value))
        return value

    *others, last = (f'"{name}"' for name in names)
    return Reader(f"{', '.join(others)} or {last}", read)


def expected(what: str, value: Any) -> str:
    """The message for a value of the wrong TOML type."""
    if isinstance(value, date | time) and what == "text":
        return f'expected text, found a date: put it in quotes, "{value}"'
    quotes = " in quotes" if what == "text" else ""
    return f"expected {what}{quotes}, found {describe(value)}"


def describe(value: Any) -> str:
    """A TOML value's type in words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    words: dict[type, str] = {
        str: "text",
        list: "a list",
        dict: "a table",
        int: "a number",
        float: "a number",
    }
    return words.get(type(value), "a date" if isinstance(value, datetime | date | time) else "something else")


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not among the known ones, with the nearest of them."""
    names = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), names, n=1)
    message = f'unknown {what} "{name}"'
    if near:
        return f'{message}; did you mean "{names[near[0]]}"?'
    if len(names) <= _SHORT_CHOICE:
        return f"{message}; known are: {', '.join(names.values())}"
    return message
