"""The consent log and the usage log as CSV or JSON Lines: row by row, in constant memory, and whole or not at
all.

CSV is RFC 4180 in UTF-8: a header row, CRLF, every text quoted. JSON Lines is one object per line, with the
same names. The columns and their order are part of the public interface: new ones are added at the end.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from .errors import CookiegateError
from .record import ConsentRecord
from .store import Store, UsageRow

Format = Literal["csv", "jsonl"]
Progress = Callable[[int], object]
"""Called now and then with the number of rows written since it was last called."""

CONSENT_FIELDS = tuple(field.name for field in fields(ConsentRecord))
CONSENT_CSV = (*CONSENT_FIELDS, "granted", "refused")
"""Columns of the consent log as CSV: JSON Lines leaves out the last two, which repeat ``choices`` for readers."""
USAGE_FIELDS = tuple(field.name for field in fields(UsageRow))

_Row = TypeVar("_Row")
_STEP = 500
_CELL = r"(?:^|(?<=[;\t\r\n]))"
"""Where a spreadsheet may see a cell begin: at the text's beginning, and after what some take for a separator."""
_COMMAND = re.compile(_CELL + r"(?=[\s\ufeff\u200b]*['=+\-@＝＋－＠])|^(?=[\t\r\n])")
_DEFUSED = re.compile(_CELL + "'")


def export_consents(
    store: Store,
    out: BinaryIO,
    *,
    format: Format,  # noqa: A002 - the word people use
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the choices made in [since, until), in the order of their saving. Returns their number.

    Raises:
        StoreError: the store cannot be read.
        OSError: ``out`` cannot be written.
    """
    records = store.consents(since, until)
    if format == "csv":
        return _write_csv(out, CONSENT_CSV, map(_consent_cells, records), progress)
    return _write_jsonl(out, map(_consent_object, records), progress)


def export_usage(
    store: Store,
    out: BinaryIO,
    *,
    format: Format,  # noqa: A002 - the word people use
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the page views of [since, until) that have details, on the terms of `export_consents`."""
    rows = map(_usage_object, store.usage(since, until))
    if format == "csv":
        return _write_csv(out, USAGE_FIELDS, (row.values() for row in rows), progress)
    return _write_jsonl(out, rows, progress)


def defuse(text: str) -> str:
    """The text with an apostrophe before everything that a spreadsheet would take for a formula.

    That is ``=``, ``+``, ``-``, ``@``, their full-width forms, tab, CR and LF at the beginning, and the same
    signs after a semicolon, tab, CR or LF, where a spreadsheet with other settings begins a new cell. An
    apostrophe in such a place gets another one, so that `fuse` gives back exactly what was there. (OWASP,
    "CSV Injection".)
    """
    return _COMMAND.sub("'", text)


def fuse(text: str) -> str:
    """Undo `defuse`: for programs that read the CSV."""
    return _DEFUSED.sub("", text)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` when all went well, readable by its owner alone.

    Until then, and for ever where something goes wrong, ``path`` stays as it was. What is no ordinary file,
    such as ``/dev/null`` or a pipe, is written in place.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as out:
            yield out
        return
    target = path.resolve()
    try:
        with _partial(target) as out:
            yield out
    except OSError as error:
        raise CookiegateError(
            f"{path} was not written ({error.strerror or error}): check its directory and the space on the disk"
        ) from error


@contextmanager
def _partial(target: Path) -> Iterator[BinaryIO]:
    """A temporary file beside the target, renamed to it at the end or removed."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _write_csv(
    out: BinaryIO, header: tuple[str, ...], rows: Iterable[Iterable[object]], progress: Progress | None
) -> int:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    try:
        writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(header)
        return _write(rows, lambda row: writer.writerow(map(_cell, row)), progress)
    finally:
        text.detach()  # flushes, and leaves `out` open


def _write_jsonl(out: BinaryIO, objects: Iterable[dict[str, object]], progress: Progress | None) -> int:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_json_value).encode
    return _write(objects, lambda row: out.write(encode(row).encode() + b"\n"), progress)


def _write(rows: Iterable[_Row], write: Callable[[_Row], object], progress: Progress | None) -> int:
    number = 0
    for number, row in enumerate(rows, 1):
        write(row)
        if progress and number % _STEP == 0:
            progress(_STEP)
    if progress:
        progress(number % _STEP)
    return number


def _consent_object(record: ConsentRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in CONSENT_FIELDS} | {"choices": dict(record.choices)}


def _consent_cells(record: ConsentRecord) -> list[object]:
    row = _consent_object(record)
    row["choices"] = json.dumps(row["choices"], ensure_ascii=False, separators=(",", ":"))
    granted = " ".join(purpose for purpose, choice in record.choices.items() if choice)
    refused = " ".join(purpose for purpose, choice in record.choices.items() if not choice)
    return [*row.values(), granted, refused]


def _usage_object(row: UsageRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in USAGE_FIELDS}


def _cell(value: object) -> object:
    """What goes into a CSV cell. Numbers are no text, and so nothing a spreadsheet could execute."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return value
        case datetime():
            return _moment(value)
        case _:
            return defuse(str(value))


def _json_value(value: object) -> str:
    assert isinstance(value, datetime)
    return _moment(value)


def _moment(moment: datetime) -> str:
    """ISO 8601 in UTC, always to the microsecond, so that text sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
