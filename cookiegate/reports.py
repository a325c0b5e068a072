"""Page views, visits and the consent rate of a period, and what was withheld in it, as values, text and JSON.

What is known of whom differs, and every figure says which: page views are counted for everybody, visits and browsers
only for visitors who allowed it, and the consent rate only for visitors who chose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from .gate import Withheld, cures
from .policy import load_catalogue
from .store import Blocked, Named, Store

_WIDTH = 44
_LONGEST_NAME = 60
_MOST_BLOCKED = 100
_BLOCKED_TITLES = ("times", "layer", "what", "host or cookie", "service", "purpose")
_ADVICE = """To declare what is undeclared, in the policy file. First make sure that the site means to use it:
what the wall kept out is known from browsers' reports alone, and anybody can send one."""


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of [since, until).

    Attributes:
        views: page views of everybody, in whole hours that start in the period.
        detailed: those of ``views`` for which a lawful basis allowed details.
        withheld: those of ``views`` that were only counted.
        undecided: those of ``views`` before the visitor had chosen.
        visits: visits begun in the period, of visitors who allowed it.
        single: those of ``visits`` with one page view; their length is unknown, not zero.
        median_seconds, mean_seconds: length of the other visits, from whole seconds; None where there is none.
        pages: most viewed first, from ``views``.
        browsers: most used first, from ``detailed``.
        accepted, partly, rejected: visitors by the last choice each made in the period.
    """

    since: datetime | None
    until: datetime | None
    views: int
    detailed: int
    withheld: int
    undecided: int
    visits: int
    single: int
    median_seconds: float | None
    mean_seconds: float | None
    pages: tuple[Named, ...]
    browsers: tuple[Named, ...]
    accepted: int
    partly: int
    rejected: int

    @property
    def chosen(self) -> int:
        """Visitors who chose."""
        return self.accepted + self.partly + self.rejected

    @property
    def consent_rate(self) -> float | None:
        """The share of visitors who allowed something, among those who chose; None where nobody did."""
        return (self.accepted + self.partly) / self.chosen if self.chosen else None


def summary(store: Store, since: datetime | None = None, until: datetime | None = None) -> Report:
    """The report of [since, until); None leaves that end open.

    Raises:
        StoreError: the store cannot be read.
    """
    sums = store.sums(since, until)
    return Report(
        since=since,
        until=until,
        views=sums.views,
        detailed=sums.detailed,
        withheld=sums.views - sums.detailed,
        undecided=sums.undecided,
        visits=sums.visits,
        single=sums.single,
        median_seconds=median(sums.lengths),
        mean_seconds=mean(sums.lengths),
        pages=tuple(sums.pages),
        browsers=tuple(sums.browsers),
        accepted=sums.outcomes.get("accepted", 0),
        partly=sums.outcomes.get("partly", 0),
        rejected=sums.outcomes.get("rejected", 0),
    )


def mean(histogram: Sequence[tuple[int, int]]) -> float | None:
    """The mean of a histogram of ``(value, number)``; None where it is empty."""
    total = sum(number for _, number in histogram)
    return sum(value * number for value, number in histogram) / total if total else None


def median(histogram: Sequence[tuple[int, int]]) -> float | None:
    """The median of a histogram of ``(value, number)``, values ascending; None where it is empty."""
    total = sum(number for _, number in histogram)
    if not total:
        return None
    return (_at(histogram, (total - 1) // 2) + _at(histogram, total // 2)) / 2


def _at(histogram: Sequence[tuple[int, int]], index: int) -> int:
    """The value at an index of the sorted values that the histogram sums up."""
    for value, number in histogram:
        if index < number:
            return value
        index -= number
    raise IndexError(index)


def as_json(report: Report) -> dict[str, Any]:
    """The report in types that JSON has. Rates are fractions, lengths seconds, moments ISO 8601 in UTC."""
    return {
        "since": _moment(report.since),
        "until": _moment(report.until),
        "page_views": {
            "total": report.views,
            "detailed": report.detailed,
            "withheld": report.withheld,
            "undecided": report.undecided,
        },
        "visits": {
            "total": report.visits,
            "single_page": report.single,
            "median_seconds": report.median_seconds,
            "mean_seconds": report.mean_seconds,
        },
        "choices": {
            "visitors": report.chosen,
            "accepted": report.accepted,
            "partly": report.partly,
            "rejected": report.rejected,
            "consent_rate": report.consent_rate,
        },
        "pages": [{"host": page.host, "page": page.name, "views": page.views} for page in report.pages],
        "browsers": [
            {"host": browser.host, "browser": browser.name, "views": browser.views} for browser in report.browsers
        ],
    }


def as_text(report: Report) -> str:
    """The report for people, in aligned columns."""
    return "\n".join(
        (*_heading(report.since, report.until), *_views(report), *_visits(report), *_choices(report), *_tops(report))
    )


def _heading(since: datetime | None, until: datetime | None) -> Iterable[str]:
    return (f"From {_moment(since) or 'the beginning'} to {_moment(until) or 'now'}",)


def _views(report: Report) -> Iterable[str]:
    yield _title("Page views, of everybody")
    yield _line("all", report.views)
    yield _line("with details, on a lawful basis", report.detailed, of=report.views)
    yield _line("counted only", report.withheld, of=report.views)
    yield _line("before any choice", report.undecided, of=report.views)


def _visits(report: Report) -> Iterable[str]:
    yield _title("Visits, of visitors who allowed it")
    yield _line("all", report.visits)
    yield _line("of one page (length unknown)", report.single, of=report.visits)
    yield _pair("median length of the others", _length(report.median_seconds))
    yield _pair("mean length of the others", _length(report.mean_seconds))


def _choices(report: Report) -> Iterable[str]:
    yield _title("Choices, of visitors who chose")
    yield _line("all", report.chosen)
    yield _line("accepted", report.accepted, of=report.chosen)
    yield _line("partly accepted", report.partly, of=report.chosen)
    yield _line("rejected", report.rejected, of=report.chosen)


def _tops(report: Report) -> Iterable[str]:
    yield _title("Most viewed pages, of everybody")
    yield from _named(report.pages, of=report.views)
    yield _title("Browsers, of visitors who allowed it")
    yield from _named(report.browsers, of=report.detailed)


def _named(items: Sequence[Named], *, of: int) -> Iterable[str]:
    several = len({item.host for item in items}) > 1
    for item in items:
        yield _line(f"{item.name} ({item.host})" if several else item.name, item.views, of=of)
    if not items:
        yield "  none"


def _title(text: str) -> str:
    return f"\n{text}"


def _line(name: str, number: int, *, of: int | None = None) -> str:
    share = f"{number / of:7.1%}" if of else ""
    return _pair(name, f"{number:12,}{share}")


def _pair(name: str, value: str) -> str:
    return f"  {_shortened(printable(name)):<{_WIDTH}}{value:>12}".rstrip()


def blocked_as_json(
    blocked: Sequence[Blocked], since: datetime | None = None, until: datetime | None = None
) -> dict[str, Any]:
    """What was withheld in types that JSON has. ``purpose`` is null for what the policy did not declare; ``declare``
    is the TOML that would declare all of that."""
    return {
        "since": _moment(since),
        "until": _moment(until),
        "blocked": [asdict(found) | {"purpose": found.purpose or None} for found in blocked],
        "declare": cures(_undeclared(blocked)),
    }


def blocked_as_text(blocked: Sequence[Blocked], since: datetime | None = None, until: datetime | None = None) -> str:
    """What was withheld, for people: a table, and the TOML that would declare what is undeclared."""
    shown = blocked[:_MOST_BLOCKED]
    rows = [_BLOCKED_TITLES, *(_blocked_row(found) for found in shown)]
    lines = [
        *_heading(since, until),
        _title("Withheld, by the page's markup, its headers and the second wall"),
        *_table(rows),
    ]
    if not shown:
        lines.append("  nothing")
    if len(blocked) > len(shown):
        lines.append(f"  and {len(blocked) - len(shown):,} more: --format json has them all")
    advice = cures(_undeclared(shown))
    return "\n".join([*lines, _title(_ADVICE), "", *map(printable, advice.splitlines())] if advice else lines)


def _blocked_row(found: Blocked) -> tuple[str, ...]:
    purpose = found.purpose or "undeclared"
    return f"{found.times:,}", found.layer, found.what, found.host or found.cookie, found.service, purpose


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Rows of texts in aligned columns: the first to the right, all others to the left."""
    cells = [[_shortened(printable(text)) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, *texts in cells:
        aligned = (f"{text:<{width}}" for text, width in zip(texts, widths[1:], strict=True))
        yield f"  {number:>{widths[0]}}  {'  '.join(aligned)}".rstrip()


def _undeclared(blocked: Iterable[Blocked]) -> Iterable[Withheld]:
    """What no purpose stands for, in the form in which it was withheld."""
    names = {service.id: service.name for service in load_catalogue()}
    for found in blocked:
        if not found.purpose:
            name = found.cookie or names.get(found.service, found.service)
            yield Withheld(found.what, found.host, "", found.service, name)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def printable(text: str) -> str:
    """The text with everything escaped that could command a terminal: a visitor can put it into a path."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _length(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
