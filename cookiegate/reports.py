"""Page views, visits and the consent rate of a period, as values, text and JSON.

What is known of whom differs, and every figure says which: page views are counted for everybody, visits and browsers
only for visitors who allowed it, and the consent rate only for visitors who chose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .store import Named, Store

_WIDTH = 44
_LONGEST_NAME = 60


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
    return "\n".join((*_heading(report), *_views(report), *_visits(report), *_choices(report), *_tops(report)))


def _heading(report: Report) -> Iterable[str]:
    since = _moment(report.since) or "the beginning"
    until = _moment(report.until) or "now"
    return (f"From {since} to {until}",)


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
    shown = printable(name)
    if len(shown) > _LONGEST_NAME:
        shown = shown[: _LONGEST_NAME - 1] + "…"
    return f"  {shown:<{_WIDTH}}{value:>12}".rstrip()


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
