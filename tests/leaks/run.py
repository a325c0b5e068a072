"""Visits fixtures in a browser, several at once, and says what got out of each."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from browser.world import Contact, Outside, Stage
from playwright.sync_api import BrowserContext, Page
from playwright.sync_api import Error as BrowserError

from .fixtures import Fixture, Kind
from .site import SITE, Fixtures, Layer, label, layered, policy

TABS = 16
"""Fixtures that are visited at once."""
QUIET = 0.4
"""Seconds of rest after which a batch of visits is over."""
PATIENCE = 6.0
"""Seconds after which it is over without any."""

_LABEL = re.compile(r"f\d+-[a-z]+")
_LOOK = """async () => ({
    whole: !!document.getElementById("whole"),
    hints: [
        ...[...document.querySelectorAll("link[rel~=dns-prefetch i][href]")].map((link) => link.href),
        ...[...document.querySelectorAll("meta[http-equiv=x-dns-prefetch-control i][content=on i]")].map(() => "on"),
    ],
    stored: [
        ...Object.keys(localStorage), ...Object.keys(sessionStorage),
        ...(await indexedDB.databases()).map((database) => database.name), ...(await caches.keys()),
    ],
})"""
"""Whether the end of the page is there; names that the browser was asked to resolve, which no server sees; and keys of
everything that is stored."""

Visit = tuple[Fixture, Layer]


@dataclass(slots=True)
class Seen:
    """What one visit gave away, by kind, and whether the end of the page was there."""

    leaks: dict[Kind, set[str]] = field(default_factory=lambda: defaultdict(set))
    whole: bool = False

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of what was given away."""
        return frozenset(kind for kind, found in self.leaks.items() if found)


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that was seen: by fixture and layer, and the contacts that belong to no visit."""

    visits: Mapping[tuple[str, Layer], Seen]
    strangers: tuple[Contact, ...]

    def leaks(self, layer: Layer) -> dict[str, frozenset[Kind]]:
        """The fixtures that leak through a layer, and how."""
        return {identity: seen.kinds for (identity, at), seen in self.visits.items() if at == layer and seen.kinds}

    def whole(self, layer: Layer) -> set[str]:
        """The fixtures whose end was there."""
        return {identity for (identity, at), seen in self.visits.items() if at == layer and seen.whole}


def visit_all(stage: Stage, fixtures: Sequence[Fixture], layers: Sequence[Layer]) -> Record:
    """Visit every fixture through every layer, in a world of its own."""
    visits = [(fixture, layer) for fixture in fixtures for layer in layers]
    seen = {label(*visit): Seen() for visit in visits}
    with TemporaryDirectory(prefix="leaks-", ignore_cleanup_errors=True) as folder, stage.world() as world:
        sites = layered(fixtures, Path(folder))
        world.mount(sites, at="https")
        for scripting in (True, False):
            chosen = [visit for visit in visits if visit[0].scripting == scripting]
            if chosen:
                profile = Path(folder) / f"scripting-{scripting}"
                profile.mkdir()
                context = stage.launch(profile, java_script_enabled=scripting)
                Round(context, stage.outside, sites, seen).visit(chosen)
                context.close()
        contacts = stage.outside.contacts()
    for visited, headers in sites.headers.items():
        seen[visited].leaks["hint"].update(_left_by(headers))
    strangers = _attribute(contacts, seen)
    return Record({(fixture.id, layer): seen[label(fixture, layer)] for fixture, layer in visits}, strangers)


class Round:
    """One browser's visits."""

    def __init__(self, context: BrowserContext, outside: Outside, sites: Fixtures, seen: Mapping[str, Seen]) -> None:
        self._context = context
        self._outside = outside
        self._sites = sites
        self._seen = seen
        self._cookie_rule = policy().cookie_rule

    def visit(self, visits: Sequence[Visit]) -> None:
        """Visit them all, a batch at a time; those that only a tab in front can show, one at a time."""
        behind = [visit for visit in visits if not visit[0].foreground]
        pages = [self._context.new_page() for _ in range(min(TABS, len(visits)))]
        for start in range(0, len(behind), TABS):
            self._visit(pages, behind[start : start + TABS])
        pages[0].bring_to_front()
        for visit in visits:
            if visit[0].foreground:
                self._visit(pages, [visit])
        self._rest()
        self._look_at_cookies()

    def _visit(self, pages: Sequence[Page], visits: Sequence[Visit]) -> None:
        batch = list(zip(pages, visits, strict=False))
        for page, (fixture, layer) in batch:
            self._go(page, f"https://{label(fixture, layer)}.{SITE}/", scripting=fixture.scripting)
        self._rest({label(*visit) for visit in visits})
        acting = [(page, fixture.run) for page, (fixture, _) in batch if fixture.run]
        for page, run in acting:
            with suppress(BrowserError):
                page.evaluate(run)
        if acting:
            self._rest()
        for page, visit in batch:
            self._look(page, self._seen[label(*visit)])
        self._look_at_cookies()

    def _go(self, page: Page, url: str, *, scripting: bool) -> None:
        """Set off, without waiting to arrive; without scripting there are no timers to do that with."""
        if scripting:
            page.evaluate("url => { setTimeout(() => { location.href = url }) }", url)
        else:
            page.goto(url, wait_until="commit")

    def _rest(self, expected: Collection[str] = ()) -> None:
        """Wait until every site was asked, and nobody has done anything new for a while."""
        deadline = time.monotonic() + PATIENCE
        before, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            self._context.pages[0].wait_for_timeout(40)
            if self._activity() != before or not self._sites.asked.keys() >= set(expected):
                before, since = self._activity(), time.monotonic()
            elif time.monotonic() - since > QUIET:
                break

    def _activity(self) -> int:
        return len(self._outside.contacts()) + self._sites.asked.total()

    def _look(self, page: Page, seen: Seen) -> None:
        with suppress(BrowserError):  # an error page of the browser's own
            found = page.evaluate(_LOOK)
            seen.whole = found["whole"]
            seen.leaks["storage"].update(found["stored"])
            seen.leaks["hint"].update(url for url in found["hints"] if url == "on" or SITE not in url)

    def _look_at_cookies(self) -> None:
        """Note the cookies there are, and delete them: a browser keeps only so many for all hosts of a site."""
        for cookie in self._context.cookies():
            match = _LABEL.search(cookie["domain"]) or _LABEL.search(cookie["value"])
            rule = self._cookie_rule(cookie["name"])
            if match and (rule is None or rule.purpose != "necessary"):
                self._seen[match.group()].leaks["cookie"].add(f"{cookie['name']}@{cookie['domain']}")
        self._context.clear_cookies()


def _left_by(headers: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Headers that a browser obeys some other time: resolving a name, or reporting after a minute."""
    for name, value in headers:
        resolves = (name == "link" and "dns-prefetch" in value) or (name == "x-dns-prefetch-control" and value == "on")
        if resolves or (name in {"report-to", "reporting-endpoints"} and _LABEL.search(value)):
            yield f"{name}: {value}"


def _attribute(contacts: Sequence[Contact], seen: Mapping[str, Seen]) -> tuple[Contact, ...]:
    """Put every contact down to the visit that its host names; return the others."""
    strangers: list[Contact] = []
    for contact in contacts:
        match = _LABEL.search(contact.host)
        if match is None:
            strangers.append(contact)
        elif contact.path is not None:
            seen[match.group()].leaks["request"].add(contact.host + contact.path)
    asked = {place.partition("/")[0] for found in seen.values() for place in found.leaks["request"]}
    for contact in contacts:
        match = _LABEL.search(contact.host)
        if match is not None and contact.host not in asked:
            seen[match.group()].leaks["connection"].add(contact.host)
    return tuple(strangers)
